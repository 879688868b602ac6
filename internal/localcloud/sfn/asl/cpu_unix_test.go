//go:build unix

package asl

import (
	"syscall"
	"testing"
	"time"
)

// cpu is the processor's time that the tests have taken so far, which does not depend on what else the machine does.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
