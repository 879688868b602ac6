//go:build !unix

package rehearsal

import "runtime"

// peakMemory is the memory in bytes that the process has from the system.
func peakMemory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys
}
