//go:build unix

package lambda

import (
	"errors"
	"os/exec"
	"syscall"
)

// killAll ends a function's process and all that it has started: they are a group of their own.
func killAll(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
