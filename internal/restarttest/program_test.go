package restarttest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// programs builds the command and the functions once, as make build does, and
// returns their folder.
var programs = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("FLEETSTEP_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	bin, err := os.MkdirTemp("", "fleetstep-restart-")
	if err != nil {
		return "", err
	}
	built = bin
	flat := filepath.Join(bin, "functions")
	if err := os.MkdirAll(flat, 0o755); err != nil { //nolint:gosec // programs are for running
		return "", err
	}
	for _, args := range [][]string{{bin, "./cmd/fleetstep"}, {flat, "./lambdas/..."}} {
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", args[0]+string(filepath.Separator), args[1])
		cmd.Dir = filepath.Join("..", "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	functions, err := os.ReadDir(flat)
	if err != nil {
		return "", err
	}
	for _, f := range functions {
		dir := filepath.Join(bin, "lambda", f.Name())
		if err := errors.Join(os.MkdirAll(dir, 0o755),
			os.Rename(filepath.Join(flat, f.Name()),
				filepath.Join(dir, "bootstrap"))); err != nil { //nolint:gosec // as above
			return "", err
		}
	}
	return bin, nil
})

// built is the folder that programs made, to be removed.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// ready is the line that "fleetstep local" prints.
type ready struct {
	Endpoint, MQTTS, CA, Region, Stack string
	Outputs                            map[string]string
}

// patience is how long a program may take to be ready or to end.
const patience = 2 * time.Minute

// cloud is a data folder and the ports on which "fleetstep local" serves it.
type cloud struct {
	t          *testing.T
	bin, dir   string
	http, mqtt int
	log        *tail

	cmd   *exec.Cmd
	lines chan ready // one, when it is ready; closed when the process has ended
}

// newCloud starts a cloud on free ports.
func newCloud(t *testing.T) (*cloud, ready) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, bin: bin, dir: t.TempDir(), http: freePort(t), mqtt: freePort(t), log: &tail{}}
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("the local cloud said last:\n%s", c.log)
		}
	})
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	return c, c.ready()
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// start starts the process and does not wait for it.
func (c *cloud) start() error {
	c.cmd = exec.Command(filepath.Join(c.bin, "fleetstep"), "local", "--data-dir", c.dir,
		"--port", strconv.Itoa(c.http), "--mqtt-port", "-1", "--mqtts-port", strconv.Itoa(c.mqtt),
		"--parameter", "OnboardingPerMinute=0") // the registry knows the devices
	c.cmd.Stderr = c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	lines := make(chan ready, 1)
	c.lines = lines
	go func() {
		defer close(lines)
		var r ready
		line, err := bufio.NewReader(out).ReadBytes('\n')
		if err == nil && json.Unmarshal(line, &r) == nil {
			lines <- r
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	return nil
}

// ready waits until it serves.
func (c *cloud) ready() ready {
	c.t.Helper()
	select {
	case r, ok := <-c.lines:
		if !ok {
			c.t.Fatalf("fleetstep local ended before it was ready: %v\n%s", c.cmd.Wait(), c.log)
		}
		return r
	case <-time.After(patience):
		c.t.Fatalf("fleetstep local was not ready after %s\n%s", patience, c.log)
	}
	return ready{}
}

// kill ends the process as kill -9 does. It is an error of the test's subject
// if the process had ended by itself.
func (c *cloud) kill() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	for range c.lines {
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err == nil || errors.As(err, &exit) && exit.Exited() {
		c.t.Errorf("fleetstep local ended by itself: %v", err)
	}
	c.cmd = nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if over := len(l.b) - 16<<10; over > 0 {
		l.b = l.b[over:]
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimSpace(l.b))
}
