package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// record is one of thing rg-1, answered when it is safe.
func record(ev event.DeviceEvent) event.Inbound {
	ev.Thing = "rg-1"
	return event.Inbound{Thing: "rg-1", Endpoint: "os::1", Event: ev, Answer: "confirm"}
}

func greets(at time.Time) event.Inbound {
	in := record(event.DeviceEvent{Kind: event.KindConnected, At: at})
	in.Greets, in.AgentTopic, in.Legacy = true, "usp/rg-1", true
	return in
}

func TestPresenceStartsWhatIsPending(t *testing.T) {
	r := newRig(t)
	if got, err := r.Presence(t.Context(), "rg-1", workflow.Presence{Connected: true, Version: 1, At: r.now}); err !=
		nil || got.Fate != workflow.FateNoted || len(got.Started) > 0 {
		t.Errorf("of a client that never greeted: %+v, %v", got, err)
	}
	r.greeted()
	gone := workflow.Presence{Version: 1, At: r.now.Add(time.Second)}
	if got, err := r.Presence(t.Context(), "rg-1", gone); err != nil || got.Fate != workflow.FateNoted ||
		r.load().State.Connected {
		t.Errorf("gone: %+v, %v", got, err)
	}
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartPending {
		t.Fatal(s, err)
	}
	got, err := r.Presence(t.Context(), "rg-1", workflow.Presence{Connected: true, Version: 2,
		At: r.now.Add(time.Minute)})
	if err != nil || len(got.Started) != 1 || got.Started[0].Did != workflow.StartBegun ||
		got.Started[0].Owner != fw2 {
		t.Errorf("back: %+v, %v", got, err)
	}
	r.expect("started", "begin", "start")
}

func TestARecordOfAnotherEndpointIsRefused(t *testing.T) {
	r, _ := owned(t)
	in := record(booted)
	in.Endpoint = "os::evil"
	got, err := r.Record(t.Context(), in)
	if err != nil || got.Fate != workflow.FateRefused || got.Refused.Reason != event.RefusedSender {
		t.Errorf("%+v, %v", got, err)
	}
	r.expect("it is told nothing")
	in.Greets = true
	if got, err = r.Record(t.Context(), in); err != nil || got.Refused == nil ||
		got.Refused.Reason != event.RefusedOwner {
		t.Errorf("a greeting: %+v, %v", got, err)
	}
	r.expect("it is told nothing")
}

func TestADeviceMaySayThatItLeaves(t *testing.T) {
	r := newRig(t)
	r.greeted()
	bye := record(event.DeviceEvent{Kind: event.KindDisconnected, At: r.now.Add(time.Second)})
	if got, err := r.Record(t.Context(), bye); err != nil || got.Fate != workflow.FateNoted {
		t.Errorf("%+v, %v", got, err)
	}
	if r.load().State.Connected {
		t.Error("it is said to be there")
	}
	r.fail["x"] = nil
	broken := errors.New("broken")
	r.store.Before = func(op string) error {
		if op == "Presence" {
			return broken
		}
		return nil
	}
	if _, err := r.Record(t.Context(), bye); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestAGreetingStartsWhatIsPending(t *testing.T) {
	r := newRig(t)
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartPending {
		t.Fatal(s, err)
	}
	got, err := r.Record(t.Context(), greets(r.now))
	if err != nil || !got.Greeted || len(got.Started) != 1 || got.Started[0].Did != workflow.StartBegun {
		t.Errorf("%+v, %v", got, err)
	}
	r.expect("confirmed, then started", "send rg-1 confirm", "begin", "start")
	if s := r.load().State; !s.Legacy || s.AgentTopic != "usp/rg-1" || s.Endpoint != "os::1" {
		t.Errorf("kept %+v", s)
	}
	// With an execution at work it is news.
	r.says[event.KindConnected] = event.Move{Ignore: true}
	if got, err = r.Record(t.Context(), greets(r.now.Add(time.Second))); err != nil ||
		got.Fate != workflow.FateIgnored || got.Owner != fw2 {
		t.Errorf("%+v, %v", got, err)
	}
	r.expect("confirmed", "send rg-1 confirm")
}

func TestAnyRecordGreetsWhereGreetingsWereLost(t *testing.T) {
	r := newRig(t)
	got, err := r.Record(t.Context(), record(event.DeviceEvent{Kind: event.KindOther, At: r.now}))
	if err != nil || !got.Greeted || r.load().State.Endpoint != "os::1" {
		t.Errorf("%+v, %v", got, err)
	}
	r.expect("confirmed once", "send rg-1 confirm")
	if _, err := r.Presence(t.Context(), "rg-1", workflow.Presence{Version: 1, At: r.now.Add(time.Second)}); err !=
		nil {
		t.Fatal(err)
	}
	// It left, and this was said before: no greeting, but no mistake either.
	if got, err = r.Record(t.Context(), greets(r.now.Add(-time.Minute))); err != nil ||
		got.Fate != workflow.FateStale {
		t.Errorf("old: %+v, %v", got, err)
	}
	if got, err = r.Record(t.Context(),
		record(event.DeviceEvent{Kind: event.KindOther, At: r.now.Add(time.Minute)})); err != nil || !got.Greeted {
		t.Errorf("it speaks: %+v, %v", got, err)
	}
	if !r.load().State.Connected {
		t.Error("it speaks, and is said to be away")
	}
}

func TestNewsOfAnIdleDeviceIsConfirmed(t *testing.T) {
	r := newRig(t)
	r.greeted()
	ev := booted
	ev.At = r.now.Add(time.Second)
	if got, err := r.Record(t.Context(), record(ev)); err != nil || got.Fate != workflow.FateUnclaimed || got.Greeted {
		t.Errorf("%+v, %v", got, err)
	}
	r.expect("confirmed", "send rg-1 confirm")
	// And starts what a lost presence left waiting.
	r.must(r.store.PutPending(t.Context(), "rg-1", workflow.Pending{
		Owner: fw2, ExecutionNumber: 1, Operation: operation, Plan: event.Plan{Document: doc, Lasts: time.Hour},
		At: r.now,
	}))
	got, err := r.Record(t.Context(), record(ev))
	if err != nil || len(got.Started) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestTheEndOfAnOldConnectionDoesNotHideANewOne: a device that restarts within seconds greets, and only then the
// broker tells that its connection before has ended. A task that begins then would wait for a device that is there.
func TestTheEndOfAnOldConnectionDoesNotHideANewOne(t *testing.T) {
	r := newRig(t)
	r.greeted()
	told := func(p workflow.Presence) {
		t.Helper()
		if _, err := r.Presence(t.Context(), "rg-1", p); err != nil {
			t.Fatal(err)
		}
	}
	came := r.now.Add(time.Minute)
	told(workflow.Presence{Connected: true, Version: 2, At: came})
	if _, err := r.Record(t.Context(), greets(came.Add(50*time.Millisecond))); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Record(t.Context(), greets(came.Add(2400*time.Millisecond))); err != nil {
		t.Fatal(err)
	}
	told(workflow.Presence{Version: 2, At: came.Add(1400 * time.Millisecond)})
	if !r.load().State.Connected {
		t.Error("it has greeted since then, and is said to be away")
	}
}

// TestAGreetingThatComesLateHidesNothing: it is of a connection before the last, and told again after a minute. Then
// the late end of that one would make the device seem away.
func TestAGreetingThatComesLateHidesNothing(t *testing.T) {
	r := newRig(t)
	r.greeted()
	first, came := greets(r.now.Add(time.Second)), r.now.Add(time.Minute)
	for _, in := range []event.Inbound{first, greets(came)} {
		if _, err := r.Record(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.Record(t.Context(), first); err != nil || got.Fate != workflow.FateStale {
		t.Errorf("told again: %+v, %v", got, err)
	}
	ended := workflow.Presence{Version: 2, At: came.Add(-time.Second)}
	if _, err := r.Presence(t.Context(), "rg-1", ended); err != nil {
		t.Fatal(err)
	}
	if s := r.load().State; !s.Connected || !s.SeenAt.Equal(came) {
		t.Errorf("it has greeted at %s, and is %+v", came, s)
	}
}

// Rule 1: who offers may write PENDING between a greeting's read and its write.
func TestAGreetingSeesWhatWasLeftPendingMeanwhile(t *testing.T) {
	r := newRig(t)
	r.store.After = func(op string) error {
		if op == "Bind" {
			r.store.After = nil
			r.must(r.store.PutPending(t.Context(), "rg-1", workflow.Pending{
				Owner: fw2, ExecutionNumber: 1, Operation: operation, Plan: event.Plan{Document: doc,
					Lasts: time.Hour}, At: r.now,
			}))
		}
		return nil
	}
	if _, err := r.Record(t.Context(), greets(r.now)); !errors.Is(err, workflow.ErrAgain) {
		t.Errorf("got %v", err)
	}
	got, err := r.Record(t.Context(), greets(r.now))
	if err != nil || len(got.Started) != 1 {
		t.Errorf("again: %+v, %v", got, err)
	}
}

func TestTheRegistryGivesAnEndpointToItsThing(t *testing.T) {
	r := newRig(t)
	of := func(thing event.ThingName, endpoint event.EndpointID) event.Inbound {
		in := greets(r.now)
		in.Thing, in.Event.Thing, in.Endpoint = thing, thing, endpoint
		return in
	}
	take := func(what string, in event.Inbound, reason string) {
		t.Helper()
		got, err := r.Record(t.Context(), in)
		if err != nil || (got.Refused != nil) != (reason != "") || reason != "" &&
			!strings.Contains(got.Refused.Detail, reason) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	take("the first to come", of("rg-2", "os::9"), "")
	take("its owner by the registry", of("rg-9", "os::9"), "")
	take("the first, once more", of("rg-2", "os::9"), "rg-9")
	take("the owner as another", of("rg-9", "os::8"), "the registry says os::9")
	take("one more thing", of("rg-3", "os::3"), "")
	take("one that was another", of("rg-3", "os::4"), "it greeted as os::3")
	r.fail["registry"] = errors.New("throttled")
	if _, err := r.Record(t.Context(), of("rg-5", "os::5")); !errors.Is(err, r.fail["registry"]) {
		t.Errorf("got %v", err)
	}
}

// Every request that fails makes the whole worth a retry.
func TestErrorsOfAnInboxArePassedOn(t *testing.T) {
	broken := errors.New("broken")
	for _, op := range []string{"Load", "Bind", "Presence", "PutPending", "Claim", "DropPending"} {
		r := newRig(t)
		r.over[2] = true
		r.store.Before = func(o string) error {
			if o == op {
				return broken
			}
			return nil
		}
		_, first := r.Record(t.Context(), greets(r.now))
		_, second := r.Presence(t.Context(), "rg-1", workflow.Presence{Connected: true, Version: 1,
			At: r.now.Add(time.Second)})
		_, third := r.Offer(t.Context(), "rg-1", fw2, 1, doc)
		_, fourth := r.Offer(t.Context(), "rg-8", fw2, 2, doc)
		if err := errors.Join(first, second, third, fourth); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	r, in := owned(t)
	r.fail["send"] = broken
	r.begin = event.Move{Send: "look", State: memory}
	if _, err := r.Await(t.Context(), step(in, first, "tok")); !errors.Is(err, broken) {
		t.Errorf("a request that is not sent: %v", err)
	}
	r.fail["continue"] = broken
	ev := booted
	ev.At = r.now.Add(time.Second)
	if _, err := r.Record(t.Context(), record(ev)); !errors.Is(err, broken) {
		t.Errorf("a conversation that breaks: %v", err)
	}
}

func TestConstructorsNameWhatIsMissing(t *testing.T) {
	_, starter := workflow.NewStarter(workflow.StarterPorts{})
	_, steps := workflow.NewSteps(workflow.StepsPorts{})
	_, inbox := workflow.NewInbox(workflow.InboxPorts{})
	_, ender := workflow.NewEnder(workflow.EnderPorts{})
	for err, names := range map[error][]string{
		starter: {"Store", "Machine", "Orders", "Reports", "Flows", "Now", "Who"}, steps: {"Store", "Callback",
			"Sender", "Flows", "Now"},
		inbox: {"Store", "Callback", "Registry", "Sender", "Starter", "Flows", "Now"}, ender: {"Store", "Machine",
			"Orders", "Reports", "Now", "Who"},
	} {
		for _, name := range names {
			if err == nil || !strings.Contains(err.Error(), " needs "+name) {
				t.Errorf("%v does not name %s", err, name)
			}
		}
	}
}

// A claim whose operation nobody knows: a later program wrote it.
func TestAnUnknownOperationIsAnError(t *testing.T) {
	r, in := owned(t)
	flows, err := event.NewFlows(reboot())
	r.must(err)
	r.Steps.Flows, r.Inbox.Flows, r.Starter.Flows = flows, flows, flows
	_, await := r.Await(t.Context(), step(in, first, "tok"))
	ev := booted
	ev.At = r.now.Add(time.Second)
	_, recorded := r.Record(t.Context(), record(ev))
	r.must(r.store.Release(t.Context(), r.load(), in.Execution, workflow.Attempt{Owner: in.Owner, Number: 1}))
	r.must(r.store.PutPending(t.Context(), "rg-1", workflow.Pending{Owner: fw2, ExecutionNumber: 2,
		Operation: operation, At: r.now}))
	_, appeared := r.Appear(t.Context(), r.load())
	for name, err := range map[string]error{"step": await, "record": recorded, "start": appeared} {
		if err == nil || !strings.Contains(err.Error(), "no flow is called") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestOutcomesAreWords(t *testing.T) {
	b, err := json.Marshal(map[string]workflow.Start{"did": workflow.StartBusy})
	if err != nil || string(b) != `{"did":"busy"}` {
		t.Errorf("%s, %v", b, err)
	}
	seen := map[string]bool{}
	for s := workflow.StartForeign; s <= workflow.StartRefused; s++ {
		seen["start "+s.String()] = true
	}
	for f := workflow.FateIgnored; f <= workflow.FateDropped; f++ {
		seen["fate "+f.String()] = true
	}
	for k := workflow.TakenNot; k <= workflow.TakenRepeated; k++ {
		seen[fmt.Sprint("taken ", k)] = true
	}
	if len(seen) != 7+11+7 {
		t.Errorf("%d words: %v", len(seen), seen)
	}
}

// What a device says while an operation is not at work on it, the operation may have
// noted, and ask more. Of its own devices it hears by its conversations.
func TestWhatAnIdleDeviceSaysIsOverheard(t *testing.T) {
	r := newRig(t)
	r.heard = map[event.Kind]event.Overheard{
		event.KindBooted: {Ask: "what runs?"},
		event.KindAnswer: {Attributes: map[string]string{"colour": "red"}, Facts: map[string]string{"colour": "red"}},
	}
	ev := booted
	ev.At = r.now
	if _, err := r.Record(t.Context(), record(ev)); err != nil { // of one that never greeted
		t.Fatal(err)
	}
	r.expect("first confirmed, then asked", "send rg-1 confirm", "send rg-1 what runs?")
	answer := record(event.DeviceEvent{Kind: event.KindAnswer, At: r.now.Add(time.Second), Answer: &event.Answer{}})
	answer.Answer = nil
	broken := errors.New("broken")
	r.fail["attribute"] = broken
	got, err := r.Record(t.Context(), answer)
	if err != nil || !errors.Is(got.Unset, broken) || len(r.load().State.Facts) > 0 {
		t.Errorf("what the registry does not take is not noted: %+v, %v", got, err)
	}
	delete(r.fail, "attribute")
	r.expect("tried", "attribute rg-1 colour red")
	results := r.Batch(t.Context(), []workflow.Message{
		{Thing: "rg-1", At: answer.Event.At, Record: answer}, {Thing: "rg-1", At: answer.Event.At, Record: answer},
	})
	if results[0].Err != nil || results[1].Err != nil || r.load().State.Facts["colour"] != "red" {
		t.Errorf("%+v, %v", results, r.load().State.Facts)
	}
	r.expect("told by each copy", "attribute rg-1 colour red", "attribute rg-1 colour red")

	r, _ = owned(t)
	r.heard = map[event.Kind]event.Overheard{event.KindBooted: {Ask: "what runs?"}}
	if _, err := r.Record(t.Context(), record(booted)); err != nil {
		t.Fatal(err)
	}
	r.expect("its own", "send rg-1 confirm")
}
