package script_test

import (
	"encoding/json"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/script"
)

// TestAPauseParksWhatHasChangedNothing: a task's request that changes the device is about
// to be sent, after so many turns, and after another task.
func TestAPauseParksWhatHasChangedNothing(t *testing.T) {
	flow := script.New("test", controller)
	turn := func(last json.RawMessage) event.Turn {
		return event.Turn{Thing: "rg-1", Execution: "x", Step: "Ask", Messages: "m-",
			Tries: map[event.Step]int{"Ask": 1}, Now: noon, Last: last,
			Device: event.DeviceState{Endpoint: "os::1", Connected: true}}
	}
	begin := func(task string, last json.RawMessage) event.Move {
		t.Helper()
		m, err := flow.Begin(t.Context(), turn(last), event.StepInput{Step: "Ask", Results: json.RawMessage(task)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	const set = `{"task":"SET","parameters":{"Device.A":"1"}}`
	held := func(what string, state json.RawMessage, want bool) {
		t.Helper()
		at := turn(nil)
		at.State = state
		park, ok, err := flow.Hold(at)
		if err != nil || ok != want || park.Gated {
			t.Errorf("%s: %+v, held %t, %v, want %t", what, park, ok, err, want)
		}
	}
	looked := begin(`{"task":"GET","paths":["Device.A"]}`, nil)
	first := begin(set, looked.State)
	if !first.Gate {
		t.Fatal("a SET is no gate")
	}
	held("the first change", first.State, true)
	held("a change after another", begin(set, first.State).State, false)
	held("a change after a look after another", begin(set, begin(`{"task":"GET","paths":["Device.A"]}`,
		first.State).State).State, false)

	// The answer is lost: it looks, and writes again.
	again := turn(nil)
	again.State, again.Now = first.State, noon.Add(60e9)
	m, err := flow.Continue(again, event.DeviceEvent{Kind: event.KindConnected, At: again.Now})
	if err != nil {
		t.Fatal(err)
	}
	again.State = m.State
	m, err = flow.Continue(again, event.DeviceEvent{Kind: event.KindAnswer, At: again.Now,
		Answer: &event.Answer{MessageID: "m-look@2", Params: map[string]string{"Device.A": "0"}}})
	if err != nil || !m.Gate {
		t.Fatalf("%+v, %v", m, err)
	}
	held("the same again", m.State, false)
	if _, _, err := flow.Hold(event.Turn{State: json.RawMessage("nonsense")}); err == nil {
		t.Error("it holds by nonsense")
	}
	if _, err := flow.Begin(t.Context(), turn(json.RawMessage("nonsense")), event.StepInput{Step: "Ask",
		Results: json.RawMessage(set)}); err == nil {
		t.Error("it begins after nonsense")
	}
}
