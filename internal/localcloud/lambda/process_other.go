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

// follow reads to the end.
func (p *pipe) follow() {
	defer p.end()
	for {
		n, err := p.file.Read(p.buffer[:])
		p.mu.Lock()
		p.cut.write(p.buffer[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// rest does nothing where a pipe cannot be read without waiting: the end of what an invocation printed may come after
// its answer.
func (p *pipe) rest() {}
