//go:build unix

package store

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockedBy is the process that holds the lock of the file name, 0 if err is
// about something else.
func lockedBy(name string, err error) int {
	if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
		return 0
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0
	}
	return int(lock.Pid)
}
