package lambda

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// processAttributes has a function's process die with us, and lead a group of its own.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// memoryOf is what a process and those that it has started hold of the machine's memory, in bytes; 0 if the system
// does not tell.
func memoryOf(pid int) int64 {
	dir := "/proc/" + strconv.Itoa(pid)
	n := statusOf(pid, "VmRSS:")
	threads, err := os.ReadDir(dir + "/task")
	if err != nil {
		return n
	}
	for _, thread := range threads {
		children, err := os.ReadFile(dir + "/task/" + thread.Name() + "/children")
		if err != nil {
			continue
		}
		for _, child := range bytes.Fields(children) {
			if id, err := strconv.Atoi(string(child)); err == nil {
				n += memoryOf(id)
			}
		}
	}
	return n
}

// mostMemoryOf is the most that a process itself has held.
func mostMemoryOf(pid int) int64 { return statusOf(pid, "VmHWM:") }

// statusOf reads a size of /proc/PID/status, in bytes.
func statusOf(pid int, name string) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, after, found := bytes.Cut(status, []byte("\n"+name))
	if !found {
		return 0
	}
	fields := bytes.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// killStrays ends what ended environments have left behind outside their groups: every process that has the address
// of one of these Runtime APIs, which nobody else knows, among its variables.
func killStrays(apis []string) error {
	dir, err := os.Open("/proc")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		variables, err := os.ReadFile("/proc/" + name + "/environ")
		if err != nil {
			continue // it is another user's, or has ended
		}
		for variable := range bytes.SplitSeq(variables, []byte{0}) {
			api, ok := bytes.CutPrefix(variable, []byte(runtimeAPI+"="))
			if !ok || !slices.Contains(apis, string(api)) {
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return nil
}
