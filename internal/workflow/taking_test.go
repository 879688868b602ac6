package workflow_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// keeping is a rig whose flow has news of events kept, and its execution's input.
func keeping(t *testing.T) (*rig, event.ExecutionInput) {
	r, in := owned(t)
	f := r.flow()
	f.News = []event.Kind{event.KindEvent}
	flows, err := event.NewFlows(f)
	r.must(err)
	r.Steps.Flows, r.Inbox.Flows = flows, flows
	return r, in
}

// attempt is a step whose state machine tells when it was entered, and how often tried.
func attempt(in event.ExecutionInput, s event.Step, token event.TaskToken, entered, tries int) event.StepInput {
	out := step(in, s, token)
	out.Attempt = fmt.Sprintf("%d+%d", entered, tries)
	return out
}

func pushed(id string) event.DeviceEvent {
	return event.DeviceEvent{Kind: event.KindEvent, Thing: "rg-1", ID: id, Path: "Device.Push!"}
}

// A function that is late registers nothing: the execution went on without it, and its
// request would be a second one, of a task that nobody waits for.
func TestALateAttemptIsNotTaken(t *testing.T) {
	r, in := keeping(t)
	r.begin = event.Move{Send: "push", Once: true, State: memory}
	for _, a := range []struct {
		in   event.StepInput
		want workflow.Taken
	}{
		{attempt(in, first, "tok1", 1, 1), workflow.TakenSent},
		{attempt(in, first, "tok0", 1, 0), workflow.TakenOvertaken},
		{attempt(in, second, "tok3", 3, 0), workflow.TakenSent},
		{attempt(in, first, "tok2", 2, 0), workflow.TakenOvertaken},
		{attempt(in, second, "tok3", 3, 0), workflow.TakenRepeated},
	} {
		if did, err := r.Await(t.Context(), a.in); err != nil || did != a.want {
			t.Errorf("%s %s: %s, %v, want %s", a.in.Step, a.in.Attempt, did, err, a.want)
		}
	}
	if d := r.load(); len(d.Awaits) != 1 || d.Awaits[0].Token != "tok3" {
		t.Errorf("waits: %+v", d.Awaits)
	}
	r.expect("each is sent once", "send rg-1 push", "send rg-1 push")
}

// The device comes back between the look at it and the registration: nobody else will
// say so again.
func TestADeviceThatComesBackMeanwhileIsAsked(t *testing.T) {
	r, in := keeping(t)
	r.must(r.store.Presence(t.Context(), "rg-1", workflow.Presence{Version: 1, At: r.now}))
	r.begin = event.Move{Away: true, State: memory}
	r.says[event.KindConnected] = event.Move{Send: "push", Once: true, State: memory}
	if did, err := r.Await(t.Context(), attempt(in, first, "tok", 1, 0)); err != nil || did != workflow.TakenWaiting {
		t.Fatal(did, err)
	}
	r.expect("while it is away")
	r.store.After = func(op string) error {
		if op == "Register" {
			r.store.After = nil
			return r.store.Presence(t.Context(), "rg-1", workflow.Presence{Connected: true, Version: 2, At: r.now})
		}
		return nil
	}
	if did, err := r.Await(t.Context(), attempt(in, first, "tok2", 1, 1)); err != nil || did != workflow.TakenSent {
		t.Fatal(did, err)
	}
	r.expect("when it is back", "send rg-1 push")
	if d := r.load(); d.Awaits[0].Rev != 2 {
		t.Errorf("it was not noted that it was asked: %+v", d.Awaits)
	}
}

func TestNewsIsTakenOnce(t *testing.T) {
	r, in := keeping(t)
	take := func(id string) event.Move { return event.Move{Done: "news", Takes: id} }
	deliver := func(ev event.DeviceEvent, want workflow.Fate) {
		t.Helper()
		got, err := r.Deliver(t.Context(), r.load(), ev, nothing)
		if err != nil || got.Fate != want {
			t.Errorf("%s: %s, %v, want %s", ev.ID, got.Fate, err, want)
		}
	}
	// It comes before anybody waits, and is kept, the latest of its kind.
	deliver(pushed("n-1"), workflow.FateKept)
	deliver(pushed("n-2"), workflow.FateKept)
	if d := r.load(); len(d.News) != 1 || d.News[0].ID != "n-2" {
		t.Fatalf("kept %+v", d.News)
	}
	r.begin = event.Move{State: memory}
	r.says[event.KindEvent] = take("n-2")
	if did, err := r.Await(t.Context(), attempt(in, first, "tok1", 1, 0)); err != nil ||
		did != workflow.TakenCollected {
		t.Fatal(did, err)
	}
	r.expect("the first", "succeed tok1")
	// The next waits for other news, whether the copy is kept or told again.
	if did, err := r.Await(t.Context(), attempt(in, second, "tok2", 2, 0)); err != nil ||
		did != workflow.TakenWaiting {
		t.Fatal(did, err)
	}
	deliver(pushed("n-2"), workflow.FateIgnored)
	r.expect("the second")
	r.says[event.KindEvent] = take("n-3")
	deliver(pushed("n-3"), workflow.FateResumed)
	r.expect("other news", "succeed tok2")
	deliver(pushed("n-3"), workflow.FateLate) // the task is over, and stays until the next begins
	if d := r.load(); len(d.News) != 1 || d.News[0].ID != "n-2" {
		t.Errorf("kept once more: %+v", d.News)
	}
	if by := r.load().Claim.Taken; len(by) != 2 {
		t.Errorf("taken: %+v", by)
	}
}

// A function dies after it has taken the news and before it told the task: who follows it
// in the same entry of the state takes it again, nobody else does.
func TestNewsThatADeadFunctionTook(t *testing.T) {
	r, in := keeping(t)
	r.begin = event.Move{State: memory}
	r.says[event.KindEvent] = event.Move{Done: "news", Takes: "n-1"}
	if _, err := r.Await(t.Context(), attempt(in, first, "tok1", 1, 0)); err != nil {
		t.Fatal(err)
	}
	died := fmt.Errorf("died")
	r.fail["succeed"] = died
	for range 2 {
		if _, err := r.Deliver(t.Context(), r.load(), pushed("n-1"), nothing); err == nil {
			t.Error("nobody heard that it was not told")
		}
	}
	delete(r.fail, "succeed")
	r.log = nil
	if got, err := r.Deliver(t.Context(), r.load(), pushed("n-1"), nothing); err != nil ||
		got.Fate != workflow.FateResumed {
		t.Errorf("told again: %+v, %v", got, err)
	}
	r.expect("told again", "succeed tok1")

	r, in = keeping(t)
	r.begin = event.Move{State: memory}
	if _, err := r.Deliver(t.Context(), r.load(), pushed("n-1"), nothing); err != nil {
		t.Fatal(err)
	}
	r.says[event.KindEvent] = event.Move{Done: "news", Takes: "n-1"}
	r.fail["succeed"] = died
	if _, err := r.Await(t.Context(), attempt(in, first, "tok1", 1, 0)); err == nil {
		t.Error("nobody heard that it was not told")
	}
	delete(r.fail, "succeed")
	r.log = nil
	if did, err := r.Await(t.Context(), attempt(in, first, "tok2", 1, 1)); err != nil ||
		did != workflow.TakenCollected {
		t.Error(did, err)
	}
	r.expect("the next try", "succeed tok2")
}

// A task that ran out of time changes nothing any more, though the device comes back.
func TestADeadTaskChangesNothing(t *testing.T) {
	r, in := keeping(t)
	r.begin = event.Move{State: memory}
	if _, err := r.Await(t.Context(), attempt(in, first, "tok", 1, 0)); err != nil {
		t.Fatal(err)
	}
	r.says[event.KindConnected] = event.Move{Send: "set", Once: true, Gate: true, State: memory}
	back := event.DeviceEvent{Kind: event.KindConnected, Thing: "rg-1", At: r.now.Add(time.Minute)}
	r.dead["tok"] = true
	if got, err := r.Deliver(t.Context(), r.load(), back, nothing); err != nil || got.Fate != workflow.FateLate {
		t.Errorf("%+v, %v", got, err)
	}
	r.expect("of a dead task")
	r.dead["tok"] = false
	r.fail["alive"] = fmt.Errorf("throttled")
	if _, err := r.Deliver(t.Context(), r.load(), back, nothing); err == nil {
		t.Error("it was told though nobody knows whether the task is over")
	}
	delete(r.fail, "alive")
	if got, err := r.Deliver(t.Context(), r.load(), back, nothing); err != nil || got.Fate != workflow.FateAnswered {
		t.Errorf("%+v, %v", got, err)
	}
	r.expect("of one that is open", "send rg-1 set")

	// And nothing for an owner that is over.
	_, _, err := (&workflow.Controller{Controls: r.store, Now: func() time.Time {
		return r.now
	}}).Set(t.Context(), fw2,
		event.ControlStopped, "me", "enough")
	r.must(err)
	if got, err := r.Deliver(t.Context(), r.load(), back, nothing); err != nil || got.Failure == nil ||
		got.Failure.Name != event.JobHeld {
		t.Errorf("of an owner that is over: %+v, %v", got, err)
	}
}

func TestADeviceFillsNoPartition(t *testing.T) {
	r, _ := keeping(t)
	for n := range 50 {
		ev := pushed(fmt.Sprintf("n-%d", n))
		ev.Path = fmt.Sprintf("Device.E%d!", n)
		want := workflow.FateKept
		if n >= 32 {
			want = workflow.FateDropped
		}
		if got, err := r.Deliver(t.Context(), r.load(), ev, nothing); err != nil || got.Fate != want {
			t.Fatalf("event %d: %s, %v, want %s", n, got.Fate, err, want)
		}
	}
	again := pushed("n-99")
	again.Path = "Device.E7!"
	if got, err := r.Deliver(t.Context(), r.load(), again, nothing); err != nil || got.Fate != workflow.FateKept {
		t.Errorf("another of a kind that is kept: %s, %v", got.Fate, err)
	}
	if n := len(r.load().News); n != 32 {
		t.Errorf("%d are kept", n)
	}
}

// The next try of an entry into a state is told what the one before remembered, if that
// did not come to its end; another entry is told nothing.
func TestATryKnowsTheOneBefore(t *testing.T) {
	r, in := keeping(t)
	var before []string
	f := r.flow()
	f.Begin = func(_ context.Context, turn event.Turn, _ event.StepInput) (event.Move, error) {
		before = append(before, string(turn.Before))
		return r.begin, nil
	}
	flows, err := event.NewFlows(f)
	r.must(err)
	r.Steps.Flows = flows
	r.begin = event.Move{State: memory}
	for _, a := range []event.StepInput{
		attempt(in, first, "tok0", 1, 0), attempt(in, first, "tok1", 1, 1), attempt(in, first, "tok2", 2, 0),
		attempt(in, second, "tok3", 3, 0), attempt(in, first, "tok4", 4, 0),
	} {
		if _, err := r.Await(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"", string(memory), "", "", ""}; !slices.Equal(before, want) {
		t.Errorf("told %q, want %q", before, want)
	}
}
