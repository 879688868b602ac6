//go:build unix

package rehearsal

import (
	"runtime"
	"syscall"
)

// peakMemory is the most memory in bytes that the process has had.
func peakMemory() uint64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return uint64(u.Maxrss)
	}
	return uint64(u.Maxrss) << 10 // kilobytes elsewhere
}
