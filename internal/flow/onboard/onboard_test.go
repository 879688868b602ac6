package onboard_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/onboard"
)

const controller = "self::fleetstep"

var (
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	needed = []device.Subscription{
		{Name: "boot", Kind: device.EventNews, Of: device.BootEvent},
		{Name: "transfer", Kind: device.EventNews, Of: device.TransferEvent},
	}
	flow = onboard.New(controller, needed)
)

// params are what a device says of itself, with so many of its Subscriptions right, and
// perhaps one that is disabled, or of another kind.
func params(right int, disabled, other bool) map[string]string {
	all := map[string]string{
		"Device.DeviceInfo.Manufacturer": "ACME", "Device.DeviceInfo.ModelName": "GW-1",
		"Device.DeviceInfo.SerialNumber": "SN1", "Device.DeviceInfo.HardwareVersion": "B",
		"Device.DeviceInfo.SoftwareVersion": "1.0.0", "Device.Time.LocalTimeZone": "CET-1CEST",
	}
	added := device.CompareSubscriptions(controller, &event.Answer{}, needed).Add
	for i, o := range added[:right] {
		row := fmt.Sprintf("%s%d.", device.Subscriptions, i+1)
		for _, s := range o.Settings {
			all[row+s.Param] = s.Value
		}
		if disabled {
			all[row+"Enable"] = "false"
		}
		if other {
			all[row+"ReferenceList"] = "Device.Other!"
		}
	}
	return all
}

func answer(id string, params map[string]string) event.DeviceEvent {
	var objects []string
	for path := range params {
		if rest, ok := strings.CutPrefix(path, device.Subscriptions); ok {
			row, _, _ := strings.Cut(rest, ".")
			objects = append(objects, device.Subscriptions+row+".")
		}
	}
	slices.Sort(objects)
	return event.DeviceEvent{Kind: event.KindAnswer, At: noon.Add(time.Second),
		Answer: &event.Answer{MessageID: "m-" + id, Params: params, Objects: slices.Compact(objects)}}
}

func fault(id string, code int) event.DeviceEvent {
	ev := answer(id, nil)
	ev.Answer.Fault = &event.Fault{Code: code, Text: "no"}
	return ev
}

// tell is a move in a word: the id of what is sent, or how the step ends.
func tell(m event.Move) string {
	switch {
	case m.Ignore:
		return "ignore"
	case m.Failed != nil:
		return m.Failed.Error()
	case m.Done != nil:
		return "done"
	case m.Away:
		return "away"
	}
	switch r := m.Send.(type) {
	case *device.Get:
		return "get " + r.ID
	case *device.Add:
		return fmt.Sprintf("add %d %s", len(r.Objects), r.ID)
	case *device.Set:
		return fmt.Sprintf("set %d %s", len(r.Objects), r.ID)
	case *device.Delete:
		return fmt.Sprintf("delete %d %s", len(r.Paths), r.ID)
	}
	return "nothing"
}

func TestADeviceIsAskedWhatItIs(t *testing.T) {
	connected := event.DeviceEvent{Kind: event.KindConnected, At: noon.Add(time.Second)}
	type exchange struct {
		hears event.DeviceEvent
		does  string
	}
	for name, c := range map[string]struct {
		away  bool
		does  string
		turns []exchange
	}{
		"without Subscriptions": {does: "get m-look", turns: []exchange{
			{answer("look", params(0, false, false)), "add 2 m-add"}, {answer("add", nil), "done"},
		}},
		"with all of them": {does: "get m-look", turns: []exchange{
			{answer("look", params(2, false, false)), "done"},
		}},
		"with some that are disabled": {does: "get m-look", turns: []exchange{
			{answer("look", params(1, true, false)), "add 1 m-add"}, {answer("add", nil), "set 1 m-set"},
			{answer("set", nil), "done"},
		}},
		"with some of another event": {does: "get m-look", turns: []exchange{
			{answer("look", params(2, false, true)), "delete 2 m-delete"}, {answer("delete", nil), "add 2 m-add"},
			{answer("add", nil), "done"},
		}},
		"it has them by now": {does: "get m-look", turns: []exchange{
			{answer("look", params(0, false, false)), "add 2 m-add"}, {fault("add", 7025), "done"},
		}},
		"it reconnects": {does: "get m-look", turns: []exchange{
			{connected, "get m-look"}, {event.DeviceEvent{Kind: event.KindConnected, At: noon}, "ignore"},
			{event.DeviceEvent{Kind: event.KindBooted, At: noon.Add(time.Second)}, "get m-look"},
			{answer("look", params(2, false, false)), "done"},
		}},
		"it is away": {away: true, does: "away", turns: []exchange{
			{connected, "get m-look"}, {answer("look", params(2, false, false)), "done"},
		}},
		"it refuses": {does: "get m-look", turns: []exchange{
			{fault("look", 7001), "Device.Refused: 7001 no"},
		}},
		"it refuses Subscriptions": {does: "get m-look", turns: []exchange{
			{answer("look", params(0, false, false)), "add 2 m-add"}, {fault("add", 7004), "Device.Refused: 7004 no"},
		}},
		"answers to nothing": {does: "get m-look", turns: []exchange{
			{answer("add", nil), "ignore"}, {answer("other", nil), "ignore"},
			{event.DeviceEvent{Kind: event.KindEvent, At: noon}, "ignore"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			turn := event.Turn{Thing: "gw-1", Step: onboard.Look, Messages: "m-", Now: noon,
				Device: event.DeviceState{Endpoint: "os::1%2D", Connected: !c.away}}
			move, err := flow.Begin(t.Context(), turn, event.StepInput{Step: onboard.Look})
			if err != nil || tell(move) != c.does {
				t.Fatalf("begins with %s, %v, want %s", tell(move), err, c.does)
			}
			turn.Now = noon.Add(2 * time.Second)
			for i, e := range c.turns {
				if move.State != nil {
					turn.State = move.State
				}
				if move, err = flow.Continue(turn, e.hears); err != nil || tell(move) != e.does {
					t.Fatalf("turn %d: %s, %v, want %s", i+1, tell(move), err, e.does)
				}
			}
			if move.Done == nil {
				return
			}
			want := onboard.Seen{Endpoint: "os::1%2D", Manufacturer: "ACME", Model: "GW-1", SerialNumber: "SN1",
				HardwareVersion: "B", SoftwareVersion: "1.0.0", Zone: "CET-1CEST", At: noon.Add(time.Second)}
			if move.Done != want {
				t.Errorf("saw %+v, want %+v", move.Done, want)
			}
		})
	}
	if _, err := flow.Begin(t.Context(), event.Turn{Step: "Other"}, event.StepInput{}); err == nil {
		t.Error("it begins a step that it does not have")
	}
	if _, err := flow.Continue(event.Turn{State: json.RawMessage("nonsense")}, connected); err == nil {
		t.Error("it reads nonsense")
	}
}

// TestAFactIsShort: a device may fill a message with its name, which is then read with each of its messages.
func TestAFactIsShort(t *testing.T) {
	turn := event.Turn{Thing: "gw-1", Step: onboard.Look, Messages: "m-", Now: noon,
		Device: event.DeviceState{Endpoint: "os::1%2D", Connected: true}}
	move, err := flow.Begin(t.Context(), turn, event.StepInput{Step: onboard.Look})
	if err != nil {
		t.Fatal(err)
	}
	turn.State = move.State
	p := params(2, false, false)
	for path := range p {
		if strings.HasPrefix(path, "Device.DeviceInfo.") || strings.HasPrefix(path, "Device.Time.") {
			p[path] = strings.Repeat("\u00e4", 50_000)
		}
	}
	move, err = flow.Continue(turn, answer("look", p))
	seen, ok := move.Done.(onboard.Seen)
	if err != nil || !ok {
		t.Fatalf("%+v, %v", move, err)
	}
	for _, text := range []string{seen.Manufacturer, seen.Model, seen.SerialNumber, seen.HardwareVersion,
		seen.SoftwareVersion, seen.Zone} {
		if text != strings.Repeat("\u00e4", event.MostFact) {
			t.Errorf("kept %d bytes: %.20s", len(text), text)
		}
	}
}

func TestWhoIsWanted(t *testing.T) {
	known := func(facts map[string]string) event.DeviceState {
		return event.DeviceState{Endpoint: "os::1", Connected: true, Facts: facts}
	}
	done := map[string]string{"onboarded": "os::1", "bank Device.DeviceInfo.FirmwareImage.2.": "{}"}
	forgets := map[string]string{"onboarded": "", "onboardingFail": ""}
	reset := maps.Clone(forgets)
	reset["bank Device.DeviceInfo.FirmwareImage.2."] = ""
	hour := noon.Add(-time.Hour).Format(time.RFC3339)
	for name, c := range map[string]struct {
		known  event.DeviceState
		ev     event.DeviceEvent
		learnt map[string]string
		wanted bool
	}{
		"nothing is known of it": {known: known(nil), wanted: true},
		"it was asked":           {known: known(done)},
		"it restarts":            {known: known(done), ev: event.DeviceEvent{Kind: event.KindBooted}},
		"another board":          {known: known(map[string]string{"onboarded": "os::2"}), wanted: true},
		"it was reset": {known(done), event.DeviceEvent{Kind: event.KindBooted, Reset: true}, reset,
			true},
		"it introduces itself":      {known(done), event.DeviceEvent{Kind: event.KindOnBoardRequest}, forgets, true},
		"it failed an hour ago":     {known: known(map[string]string{"onboardingFail": hour}), wanted: true},
		"it failed a moment ago":    {known: known(map[string]string{"onboardingFail": noon.Format(time.RFC3339)})},
		"when it failed is unknown": {known: known(map[string]string{"onboardingFail": "x"}), wanted: true},
	} {
		c.ev.At = noon
		if learnt, wanted := flow.Wants(c.known, c.ev); wanted != c.wanted || !maps.Equal(learnt, c.learnt) {
			t.Errorf("%s: %v, %t, want %v, %t", name, learnt, wanted, c.learnt, c.wanted)
		}
	}
}

func TestHowItEnds(t *testing.T) {
	in := event.FinalizeInput{StartedAt: noon.Format(time.RFC3339), Results: json.RawMessage(
		`{"look":{"endpointId":"os::1%2D","model":"GW-1","hardwareVersion":"B","softwareVersion":"1.0.0",` +
			`"zone":"CET-1CEST"}}`)}
	c, err := flow.Judge(in, event.DeviceState{})
	if err != nil || c.Status != event.StatusSucceeded || c.Reason != "" ||
		!maps.Equal(c.Attributes, map[string]string{"firmwareVersion": "1.0.0", "model": "GW-1",
			"endpointId": "os::1@2D"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if got := flow.Learn(in, event.DeviceState{}); !maps.Equal(got, map[string]string{
		"onboarded": "os::1%2D", "onboardingFail": "", "model": "GW-1", "hardwareVersion": "B",
		"softwareVersion": "1.0.0", "zone": "CET-1CEST",
	}) {
		t.Errorf("learnt %v", got)
	}
	if _, wanted := flow.Wants(event.DeviceState{Endpoint: "os::1%2D", Facts: flow.Learn(in, event.DeviceState{})},
		event.DeviceEvent{At: noon}); wanted {
		t.Error("it is wanted again")
	}
	in.Results, in.Failure = nil, &event.Caught{State: "Look", Error: "States.Timeout"}
	c, err = flow.Judge(in, event.DeviceState{Connected: true})
	if err != nil || c.Status != event.StatusFailed || c.Reason != event.DeviceNoReport || len(c.Attributes) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if got := flow.Learn(in, event.DeviceState{}); !maps.Equal(got,
		map[string]string{"onboardingFail": in.StartedAt}) {
		t.Errorf("learnt of a failure %v", got)
	}
	in.Failure = nil
	for _, results := range []string{`{}`, `nonsense`} {
		in.Results = json.RawMessage(results)
		if c, err := flow.Judge(in, event.DeviceState{}); err == nil {
			t.Errorf("%s: %+v", results, c)
		}
	}
	p, err := flow.Plan(nil)
	if err != nil || !strings.Contains(string(p.Document), string(onboard.Operation)) || p.Lasts < 10*time.Minute {
		t.Errorf("plan %+v, %v", p, err)
	}
}

// TestAnAnswerToTheTryBeforeDoes: a look is a look, but once Subscriptions were asked for the next try looks anew.
func TestAnAnswerToTheTryBeforeDoes(t *testing.T) {
	turn := event.Turn{Thing: "rg-1", Execution: "x", Step: onboard.Look, Messages: "m-", Now: noon,
		Device: event.DeviceState{Endpoint: "os::1", Connected: true}}
	first, err := flow.Begin(t.Context(), turn, event.StepInput{Step: onboard.Look})
	if err != nil {
		t.Fatal(err)
	}
	next := turn
	next.Messages, next.Asked, next.Before, next.Now = "m2-", "m-", first.State, noon.Add(time.Minute)
	again, err := flow.Begin(t.Context(), next, event.StepInput{Step: onboard.Look})
	if err != nil || again.Messages != "m-" || tell(again) != tell(first) {
		t.Fatalf("%s, messages %q, %v", tell(again), again.Messages, err)
	}
	turn.State = first.State
	adds, err := flow.Continue(turn, answer("look", params(0, false, false)))
	if err != nil || adds.State == nil {
		t.Fatalf("%s, %v", tell(adds), err)
	}
	next.Before = adds.State
	again, err = flow.Begin(t.Context(), next, event.StepInput{Step: onboard.Look})
	if err != nil || again.Messages != "" {
		t.Errorf("%s, messages %q, %v", tell(again), again.Messages, err)
	}
}
