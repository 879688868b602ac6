package bench

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkReady starts "fleetstep local" with its own template until it says
// that it is ready, in an empty folder and in one that it has used.
func BenchmarkReady(b *testing.B) {
	program, err := filepath.Abs("../../bin/fleetstep")
	must(b, err)
	if _, err := os.Stat(program); err != nil {
		b.Skip("bin/fleetstep is not there; run make build")
	}
	for _, fresh := range []bool{true, false} {
		b.Run(map[bool]string{true: "fresh", false: "existing"}[fresh], func(b *testing.B) {
			dir := b.TempDir()
			if !fresh {
				ready(b, program, dir)
			}
			var cpu time.Duration
			for b.Loop() {
				if fresh {
					dir = b.TempDir()
				}
				cpu += ready(b, program, dir)
			}
			b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// ready starts the program, waits for its line and ends it, with the timer
// stopped; it returns the processor time of its life.
func ready(b *testing.B, program, dir string) time.Duration {
	cmd := exec.Command(program, "local", "--port", "0", "--mqtt-port", "0", "--mqtts-port", "0", "--data-dir", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	_, err = bufio.NewReader(out).ReadBytes('\n')
	must(b, err)
	b.StopTimer()
	defer b.StartTimer()
	must(b, cmd.Process.Signal(os.Interrupt))
	must(b, cmd.Wait())
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
