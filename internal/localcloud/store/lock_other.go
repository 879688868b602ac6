//go:build !unix

package store

// lockedBy is the process that holds the lock of the file name; it cannot be
// asked for here.
func lockedBy(string, error) int { return 0 }
