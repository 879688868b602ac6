//go:build !unix

package entrance

// descriptors is how many sockets the process may have open.
func descriptors() int { return 16384 }
