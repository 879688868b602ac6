//go:build unix

package lambda

import (
	"os"
	"testing"
	"time"
)

// TestTheEndOfAProcessMayMeetTheEndOfItsInvocation: both read the rest of what the process has printed, and one of
// them closes the pipe, which waits until nobody uses it.
func TestTheEndOfAProcessMayMeetTheEndOfItsInvocation(t *testing.T) {
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("the last line, without an end"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ended, read := make(chan bool), make(chan bool)
	p := &pipe{file: out}
	p.cut.line = func(string) {
		go func() {
			p.rest()
			close(read)
		}()
		time.Sleep(50 * time.Millisecond) // until it has the pipe
	}
	go func() {
		p.follow()
		close(ended)
	}()
	for name, done := range map[string]chan bool{"the process": ended, "its invocation": read} {
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s has no end", name)
		}
	}
}
