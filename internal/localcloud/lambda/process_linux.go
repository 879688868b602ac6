package lambda

import "syscall"

// processAttributes has a function's process die with us.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
