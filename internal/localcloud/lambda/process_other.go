//go:build !linux

package lambda

import "syscall"

// processAttributes is empty where no signal on the parent's death is to be
// had: there the runtime ends itself when the Runtime API is gone.
func processAttributes() *syscall.SysProcAttr { return nil }
