package rehearsal

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAnUpgradeCostsWhatItMay holds what an upgrade takes at the rate at which a job
// of a large fleet runs, 1,000 devices a minute, of which this are the first 300.
func TestAnUpgradeCostsWhatItMay(t *testing.T) {
	s, out, err := play(t, Config{Devices: 300, Seed: 5, Event: "../../events/create-job-fast.json"})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	costs(t, s, most{invocations: 12, reads: 20, writes: 12, transitions: 6, batch: 5})
}

// TestAParkedUpgradeCostsWhatItMay is the same for devices that download at once and wait
// for their window, which is so short that they come as quickly when it opens.
func TestAParkedUpgradeCostsWhatItMay(t *testing.T) {
	event := filepath.Join(t.TempDir(), "parked.json")
	if err := os.WriteFile(event, []byte(`{
  "firmware": {"version": "2.0.0"},
  "activation": {"mode": "SEPARATE", "window": {"start": "10:00", "end": "10:02", "zone": "UTC"}},
  "targets": ["arn:aws:iot:us-east-1:123456789012:thinggroup/demo"], "abort": {"criteriaList": []},
  "rollout": {"maximumPerMinute": 1000}
}`), 0o666); err != nil {
		t.Fatal(err)
	}
	s, out, err := play(t, Config{Devices: 150, Seed: 5, Event: event, at: start.Add(110 * time.Minute)})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	costs(t, s, most{invocations: 18, reads: 34, writes: 22, batch: 2})
}

// most is what an upgrade may take, 0 for what is not counted: an execution that is parked
// is no upgrade, of which transitions are. Of a batch it is what it has at least.
type most struct{ invocations, reads, writes, transitions, batch float64 }

func costs(t *testing.T, s *Summary, m most) {
	t.Helper()
	took := s.PerUpgrade
	for _, c := range []struct {
		what      string
		got, most float64
	}{
		{"invocations of functions", took.Invocations, m.invocations},
		{"reads of the table", took.Reads, m.reads},
		{"writes to the table", took.Writes, m.writes},
		{"state transitions", took.Transitions, m.transitions},
	} {
		if c.most > 0 && (c.got > c.most || c.got == 0) {
			t.Errorf("%v %s for each upgrade; want up to %v, and some", c.got, c.what, c.most)
		}
	}
	if took.Batch < m.batch {
		t.Errorf("%v messages of devices in a batch; want %v", took.Batch, m.batch)
	}
	t.Logf("%+v", took)
}
