package trial

import (
	"errors"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// A campaign's devices are held to what they did. Other names of a failure, and images that are downloaded again, are
// right only where the cloud loses messages.
func TestDevicesOfACampaignAreJudged(t *testing.T) {
	failed := func(as event.ErrorName) event.Standing {
		return event.Standing{State: event.StandFailed, Attempt: 1, Error: as}
	}
	succeeded := event.Standing{State: event.StandSucceeded, Attempt: 1}
	old, upgraded := simulator.Facts{Version: "1.0.0", Factory: "1.0.0"}, simulator.Facts{Version: "2.0.0",
		Factory: "1.0.0", Downloads: 1, Completed: 1}
	twice, hidden := upgraded, upgraded
	twice.Completed = 2
	gone := simulator.Facts{Version: "1.0.0", Factory: "1.0.0", Fired: true}
	for name, c := range map[string]struct {
		fault           string
		stands          *event.Standing
		facts           simulator.Facts
		calm, disturbed string // the problem in either
	}{
		"never admitted":           {"", nil, old, "", ""},
		"downloaded all the same":  {"", nil, upgraded, "never admitted", "never admitted"},
		"upgraded":                 {"", &succeeded, upgraded, "", ""},
		"said to be":               {"", &succeeded, old, "runs 1.0.0", "runs 1.0.0"},
		"healthy and failed":       {"", new(failed("Download.Failed")), old, "is healthy", "is healthy"},
		"downloaded twice":         {"", &succeeded, twice, "downloaded 2 times", ""},
		"at work at the end":       {"", &event.Standing{State: event.StandRunning}, old, "at the end", "at the end"},
		"as declared":              {simulator.NeverReturns, new(failed("Device.Offline")), gone, "", ""},
		"as it may when disturbed": {simulator.NeverReturns, new(failed("Device.NoReport")), gone, "expected", ""},
		"as it may not":            {simulator.NeverReturns, new(failed("Job.Held")), old, "expected", "expected"},
		"failed, was to succeed":   {simulator.SlowLink, new(failed("Device.NoReport")), old, "expected", "expected"},
		"no fault was seen":        {simulator.SlowLink, &succeeded, hidden, "never showed", "never showed"},
		"success, was to fail":     {simulator.BootFails, &succeeded, upgraded, "succeeded", "succeeded"},
	} {
		for _, disturbed := range []bool{false, true} {
			p := played{run: &run{Config: Config{Disturbed: disturbed}, things: []string{"gw-1"},
				faults:   []*simulator.Fault{simulator.FaultNamed(c.fault)},
				profiles: []*simulator.Profile{nil}}, versions: []string{"2.0.0"}}
			want, st := c.calm, event.Standing{}
			if disturbed {
				want = c.disturbed
			}
			if c.stands != nil {
				st = *c.stands
			}
			got := p.judgeDevice(0, c.facts, st, c.stands != nil)
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s, disturbed %v: %q, want %q", name, disturbed, got, want)
			}
		}
	}
}

// TestWhatPassesIsTriedAgain by the trial's operator, and no verb that is for another moment, although it says which
// error has ended the campaign's execution.
func TestWhatPassesIsTriedAgain(t *testing.T) {
	for text, want := range map[string]bool{
		"Transient: the table is away":                       true,
		"invoke f: api error TooManyRequestsException: Rate": true,
		"NothingToDo: its execution failed (Transient: x)":   false,
		"InvalidPayload: 1 mistake":                          false,
	} {
		if passes(errors.New(text)) != want {
			t.Errorf("%q passes: %v", text, !want)
		}
	}
}
