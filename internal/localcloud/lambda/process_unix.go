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

// follow reads to the end.
func (p *pipe) follow() {
	defer p.end()
	raw, err := p.file.SyscallConn()
	for open := err == nil; open; {
		err := raw.Read(func(fd uintptr) bool {
			n, err := p.read(fd)
			open = n > 0 || errors.Is(err, syscall.EAGAIN)
			return n > 0 || !open
		})
		open = open && err == nil
	}
}

// rest reads what is there, and does not wait.
func (p *pipe) rest() {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return // it is closed, at its end
	}
	_ = raw.Control(func(fd uintptr) {
		for total := 0; total < mostRest; {
			n, err := p.read(fd)
			if n <= 0 || err != nil {
				return
			}
			total += n
		}
	})
}

// read reads once, from a pipe that does not block: EAGAIN is that nothing is there, 0 that nothing will be.
func (p *pipe) read(fd uintptr) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n, err = syscall.Read(int(fd), p.buffer[:])
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if n > 0 {
		p.cut.write(p.buffer[:n])
	}
	return n, err
}
