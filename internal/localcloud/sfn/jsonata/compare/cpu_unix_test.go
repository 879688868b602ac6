//go:build unix

package compare

import (
	"syscall"
	"testing"
)

// cpu reports the time that the process has had a processor for, per operation.
// Unlike ns/op it does not grow with what else the machine does.
func cpu(b *testing.B) (stop func()) {
	start := spent()
	return func() { b.ReportMetric(float64(spent()-start)/float64(b.N), "cpu-ns/op") }
}

func spent() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
