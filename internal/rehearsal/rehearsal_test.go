package rehearsal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
)

// play rehearses a job and returns its summary and all that was printed.
func play(t *testing.T, c Config) (*Summary, string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	c.Env = &cli.Env{Out: &out, Err: &errs}
	if c.Event == "" {
		c.Event = "../../events/create-job.json"
	}
	if c.Event == "../../events/create-job.json" && c.Faults != "" {
		c.Event = "../../events/create-job-faults.json" // which does not stop at so many failures
	}
	if c.Image == 0 {
		c.Image = 4 << 10
	}
	c.Every = time.Minute
	s, err := Run(t.Context(), c)
	return s, out.String() + errs.String(), err
}

// seven is one run of seed 7, which several tests look at.
var seven struct {
	once    sync.Once
	summary *Summary
	out     string
	err     error
}

func playSeven(t *testing.T) (*Summary, string) {
	t.Helper()
	seven.once.Do(func() {
		seven.summary, seven.out, seven.err = play(t, Config{Devices: 50, Seed: 7, Faults: "all"})
	})
	if seven.err != nil {
		t.Fatalf("%v\n%s", seven.err, seven.out)
	}
	return seven.summary, seven.out
}

func TestEveryFaultEndsAsItShouldAndLeavesNothing(t *testing.T) {
	s, out := playSeven(t)
	if s.Succeeded != 40 || s.Failed != 9 || s.Rejected != 1 {
		t.Errorf("summary %+v", s)
	}
	if s.PerUpgrade.Transitions > 6 {
		t.Errorf("%v transitions for an upgrade; 6 are allowed", s.PerUpgrade.Transitions)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	document, ok := strings.CutPrefix(lines[len(lines)-1], "SUMMARY ")
	var members map[string]any
	if !ok || json.Unmarshal([]byte(document), &members) != nil {
		t.Fatalf("last line %q", lines[len(lines)-1])
	}
	for _, name := range []string{"jobId", "devices", "succeeded", "failed", "rejected", "timedOut", "canceled",
		"seconds", "perUpgrade", "digest", "virtualSeconds", "peakMemoryMiB"} {
		if _, ok := members[name]; !ok {
			t.Errorf("the summary has no %s: %s", name, document)
		}
	}
}

// Where activation is a command of its own, every fault ends as it does without.
func TestFaultsEndTheSameWithSeparateActivation(t *testing.T) {
	event := filepath.Join(t.TempDir(), "separate.json")
	if err := os.WriteFile(event, []byte(`{
  "firmware": {"version": "2.0.0"}, "activation": {"mode": "SEPARATE"},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"], "abort": {"criteriaList": []}
}`), 0o666); err != nil {
		t.Fatal(err)
	}
	s, out, err := play(t, Config{Devices: 30, Seed: 3, Faults: "all", Event: event})
	if err != nil || s.Succeeded != 20 || s.Failed != 9 || s.Rejected != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOneSeedIsOneRun(t *testing.T) {
	c := Config{Devices: 50, Seed: 7, Faults: "all"}
	first, _ := playSeven(t)
	again, _, err := play(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest != first.Digest {
		t.Errorf("two runs of one seed: %s and %s", first.Digest, again.Digest)
	}
	procs := runtime.GOMAXPROCS(1)
	alone, _, err := play(t, c)
	runtime.GOMAXPROCS(procs)
	if err != nil {
		t.Fatal(err)
	}
	if alone.Digest != first.Digest {
		t.Errorf("with GOMAXPROCS=1: %s, else %s", alone.Digest, first.Digest)
	}
	c.Seed = 8
	other, _, err := play(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if other.Digest == first.Digest {
		t.Error("another seed has the same digest")
	}
}

func TestFailingRunSaysHowToRepeatIt(t *testing.T) {
	// Devices that never get to speak: after a minute the job is given up.
	_, out, err := play(t, Config{Devices: 3, Seed: 11, Faults: "wrong-endpoint-id=2", Timeout: time.Minute})
	if !errors.Is(err, cli.ErrFailed) {
		t.Fatalf("error %v\n%s", err, out)
	}
	if !strings.Contains(out, `fleetstep rehearse --devices 3 --seed 11 --faults "wrong-endpoint-id=2"`) {
		t.Errorf("no command to repeat the run:\n%s", out)
	}
}

func BenchmarkRehearsal(b *testing.B) {
	for b.Loop() {
		s, err := Run(b.Context(), Config{
			Env: &cli.Env{Out: io.Discard, Err: io.Discard}, Event: "../../events/create-job.json",
			Devices: 1000, Seed: 7, Faults: "all", Image: 16 << 10, Every: time.Minute,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.Devices)/s.Seconds, "devices/s")
		b.ReportMetric(float64(s.PeakMemoryMiB), "peak-MiB")
	}
}
