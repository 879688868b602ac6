// Package bench measures the local cloud as a client sees it: the whole cloud
// over a store on disk, reached through the AWS SDK for Go over loopback. It
// holds benchmarks, which "make bench" runs with those of the packages, and a soak ("make soak"):
// load_test.go has its phases, load_mix_test.go the requests, load_fleet_test.go things, job and
// connected devices, load_limits_test.go what goes beyond quotas. docs/performance.md has the
// results.
//
// Client and cloud share the machine and the process, so every figure contains the SDK's work.
// BenchmarkCannedServer measures the highest possible rate: it serves prepared answers.
// of-canned is a row's share of that rate, measured right after the row; of-canned-cpu is the
// same share by processor time. Experiments with many executions, waiting or finished, run
// once, and with -short at a tenth of their size.
//
// BenchmarkReady starts bin/fleetstep, which "make build" makes.
package bench
