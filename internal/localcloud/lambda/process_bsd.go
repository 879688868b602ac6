//go:build unix && !linux

package lambda

import "syscall"

// processAttributes has a function's process lead a group of its own. Where no
// signal on the parent's death is to be had, the runtime ends itself when the
// Runtime API is gone.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
