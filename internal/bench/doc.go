// Package bench measures the local cloud as a client meets it: the whole cloud
// over a store on disk, reached through the AWS SDK for Go over loopback. It
// holds benchmarks only; "make bench" runs them with those of the packages, and
// docs/performance.md says what they gave.
//
// Client and cloud share the machine and the process, so that the SDK's work is
// part of every figure; BenchmarkCannedServer is what that leaves at most.
// of-canned is a row's share of its rate, measured right after the row, and
// of-canned-cpu what that share is by processor time. Experiments with
// many executions, waiting or finished, are run once and have a tenth of their
// size with -short.
//
// BenchmarkReady starts bin/fleetstep, which "make build" makes.
package bench
