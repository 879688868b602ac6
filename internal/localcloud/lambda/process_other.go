//go:build !unix

package lambda

import (
	"os/exec"
	"syscall"
)

// processAttributes is empty where there are no groups of processes.
func processAttributes() *syscall.SysProcAttr { return nil }

// killAll ends a function's process; what that has started may stay.
func killAll(cmd *exec.Cmd) error { return cmd.Process.Kill() }
