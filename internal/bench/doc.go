// Package bench measures the local cloud as a client meets it: the whole cloud
// over a store on disk, reached through the AWS SDK for Go over loopback. It
// holds benchmarks only; "make bench" runs them with those of the packages, and
// docs/performance.md says what they gave.
//
// Client and cloud share the machine and the process, so that the SDK's work is
// part of every figure; BenchmarkCannedServer is what that leaves at most. The
// number of iterations is the size of the experiment where a benchmark is about
// many of something:
//
//	go test -run '^$' -bench 'Waiting' -benchtime 10000x ./internal/bench
//	go test -run '^$' -bench 'Finished' -benchtime 100000x ./internal/bench
//
// BenchmarkReady starts bin/fleetstep, which "make build" makes.
package bench
