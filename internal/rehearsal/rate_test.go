package rehearsal

import "testing"

// TestAnUpgradeCostsWhatItMay holds what an upgrade takes at the rate at which a job
// of a large fleet runs, 1,000 devices a minute, of which this are the first 300.
func TestAnUpgradeCostsWhatItMay(t *testing.T) {
	s, out, err := play(t, Config{Devices: 300, Seed: 5, Event: "../../events/create-job-fast.json"})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := s.PerUpgrade
	for _, c := range []struct {
		what      string
		got, most float64
	}{
		{"invocations of functions", took.Invocations, 12},
		{"reads of the table", took.Reads, 20},
		{"writes to the table", took.Writes, 12},
		{"state transitions", took.Transitions, 6},
	} {
		if c.got > c.most || c.got == 0 {
			t.Errorf("%v %s for each upgrade; want up to %v, and some", c.got, c.what, c.most)
		}
	}
	if took.Batch < 5 {
		t.Errorf("%v messages of devices in a batch; at this rate one of 10 is to be half full", took.Batch)
	}
	t.Logf("%+v", took)
}
