package upgrade_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
)

// ends is how an execution of a document ended.
func ends(t *testing.T, doc *upgrade.Document, execution string, caught event.ErrorName) event.FinalizeInput {
	t.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	in := event.FinalizeInput{Input: event.ExecutionInput{Document: b, Execution: execution}}
	if caught != "" {
		in.Failure = &event.Caught{Error: string(caught), Cause: "so it was"}
	}
	return in
}

// learn is what is known of a device after an end.
func learn(known event.DeviceState, in event.FinalizeInput) event.DeviceState {
	facts := maps.Clone(known.Facts)
	if facts == nil {
		facts = map[string]string{}
	}
	maps.Copy(facts, upgrade.New("self::fleetstep").Learn(in, known))
	known.Facts = facts
	return known
}

// failed is what is known of a device that failed in these executions.
func failed(t *testing.T, doc *upgrade.Document, executions ...string) map[string]string {
	var known event.DeviceState
	for _, one := range executions {
		known = learn(known, ends(t, doc, one, upgrade.ActivateFailed))
	}
	return known.Facts
}

// failing is Inspect of a device that shows itself so and failed in these executions, where it may fail so often.
func failing(most int, shown show, executions ...string) func(*talk) event.Move {
	return func(c *talk) event.Move {
		c.document(func(d *upgrade.Document) { d.Firmware.MaxFailures = most })
		c.turn.Device.Facts = failed(c.t, &c.doc, executions...)
		c.begin()
		return c.on(c.shows(shown))
	}
}

// TestFailuresWithAnImageAreCounted over all that ask for it, each execution once, and not those of a device that was
// away or busy; the last that may be is final. A success ends the count.
func TestFailuresWithAnImageAreCounted(t *testing.T) {
	flow := upgrade.New("self::fleetstep")
	doc := upgrade.Document{Firmware: upgrade.Firmware{Version: "2.0.0", SHA256: strings.Repeat("a", 64),
		MaxFailures: 3}}
	other := doc
	other.Firmware.SHA256 = strings.Repeat("b", 64)
	known := event.DeviceState{Connected: true}
	final := func(doc *upgrade.Document, execution string, caught event.ErrorName) bool {
		t.Helper()
		in := ends(t, doc, execution, caught)
		var all []bool
		for range 2 { // the second time it is known
			c, err := flow.Judge(in, known)
			if err != nil || caught != "" && (c.Reason != caught || !strings.HasPrefix(c.Detail, "so it was")) ||
				c.Final != strings.Contains(c.Detail, "; 3 failures with this image: it is not tried again") {
				t.Errorf("%s, %s: %+v, %v", execution, caught, c, err)
			}
			all, known = append(all, c.Final), learn(known, in)
		}
		if all[0] != all[1] {
			t.Errorf("%s, %s: final %v, and told again %v", execution, caught, all[0], all[1])
		}
		return all[0]
	}
	for _, one := range []struct {
		doc       *upgrade.Document
		execution string
		caught    event.ErrorName
		final     bool
	}{
		{&doc, "1", upgrade.DownloadFailed, false}, {&doc, "2", event.DeviceOffline, false},
		{&doc, "3", event.DeviceBusy, false}, {&doc, "4", event.ControllerFailed, false},
		{&doc, "5", upgrade.ActivateFailed, false}, {&other, "6", upgrade.ActivateFailed, false},
		{&doc, "7", event.DeviceNoReport, true}, {&doc, "8", upgrade.UpgradeQuarantined, false},
		{&other, "9", upgrade.ActivateFailed, false}, {&doc, "10", "", false},
		{&doc, "11", upgrade.ActivateFailed, false}, {&other, "12", upgrade.ActivateFailed, true},
	} {
		if got := final(one.doc, one.execution, one.caught); got != one.final {
			t.Errorf("execution %s: final %v; known: %v", one.execution, got, known.Facts)
		}
	}
	// No more than the latest images are remembered.
	for _, version := range []string{"3", "4", "5", "6", "7"} {
		one := upgrade.Document{Firmware: upgrade.Firmware{Version: version}}
		known = learn(known, ends(t, &one, "of "+version, upgrade.ActivateFailed))
	}
	if text := known.Facts["failures"]; strings.Contains(text, "aaa") || strings.Contains(text, `"version 3"`) ||
		strings.Count(text, `"image"`) != 4 {
		t.Errorf("remembered: %s", text)
	}
}
