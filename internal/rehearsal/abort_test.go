package rehearsal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestABadImageMeetsFewDevices plays jobs without settings of their own on targets that an
// image does not suit: those that begin before the first verdict are all that meet it,
// also where the target is small, and where devices refuse it.
func TestABadImageMeetsFewDevices(t *testing.T) {
	// The same as create-job.json, under a name for which play takes no patient one.
	b, err := os.ReadFile("../../events/create-job.json")
	if err != nil {
		t.Fatal(err)
	}
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, faults string
		devices      int
	}{
		{"it does not boot", "boot-fails=60", 60},
		{"devices refuse it", "refuses=60", 60},
		{"of a small target", "boot-fails=25", 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			summary, out, _ := play(t, Config{
				Devices: c.devices, Seed: 1, Faults: c.faults, Event: event, Image: 1 << 10,
			})
			if summary == nil {
				t.Fatal(out)
			}
			// 20 begin in the first minute, and no more are told.
			met := summary.Failed + summary.Rejected
			if met == 0 || met > 20 || summary.Succeeded+summary.TimedOut > 0 {
				t.Errorf("%d devices of %d met it\n%s", met, c.devices, out)
			}
			if !strings.Contains(out, " CANCELED ") {
				t.Errorf("the job was not aborted\n%s", out)
			}
			if !strings.Contains(out, "and is CANCELED: no job execution for ") ||
				strings.Contains(out, "said to have succeeded") || strings.Contains(out, "ended with succeeded") {
				t.Errorf("of the devices that were not told it says\n%s", out)
			}
		})
	}
}
