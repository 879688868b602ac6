package workflowtest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Kept is all that is kept.
type Kept interface {
	workflow.Store
	workflow.Controls
	workflow.Ticks
	workflow.Standings
}

// ticks holds Ticks, whose flags are untouched, to what workflow expects of them.
func ticks(t *testing.T, s Kept) {
	t.Helper()
	ctx, at, job := context.Background(), time.UnixMilli(1795334400000).UTC(), event.JobOwner("drained")
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	}
	one, err := s.Lease(ctx, "one", at, at.Add(time.Minute))
	must(err, nil)
	_, err = s.Lease(ctx, "two", at.Add(time.Second), at.Add(time.Minute))
	must(err, workflow.ErrLeased)
	two, err := s.Lease(ctx, "two", at.Add(time.Minute), at.Add(2*time.Minute))
	must(err, nil)
	if two.Fence <= one.Fence {
		t.Fatalf("fences %d, %d", one.Fence, two.Fence)
	}
	must(s.Keep(ctx, one), workflow.ErrLeased)
	must(s.Return(ctx, one), nil) // which it has no more
	_, err = s.Lease(ctx, "three", at.Add(61*time.Second), at.Add(2*time.Minute))
	must(err, workflow.ErrLeased)
	two.Minute, two.Served, two.Sweep, two.Arrivals = at, at.Add(time.Second), "s", "a"
	must(s.Keep(ctx, two), nil)
	_, err = s.Lease(ctx, "three", at.Add(61*time.Second), at.Add(2*time.Minute))
	must(err, workflow.ErrLeased) // it goes on
	two.Sweep = ""
	must(s.Return(ctx, two), nil)
	three, err := s.Lease(ctx, "three", at.Add(61*time.Second), at.Add(2*time.Minute))
	must(err, nil)
	if !three.Minute.Equal(at) || !three.Served.Equal(at.Add(time.Second)) || three.Sweep != "" ||
		three.Arrivals != "a" {
		t.Fatalf("kept %+v", three)
	}
	must(s.Return(ctx, workflow.Lease{Fence: three.Fence, Minute: three.Minute}), nil)
	_, err = s.Lease(ctx, "three", at.Add(61*time.Second), at.Add(2*time.Minute))
	must(err, nil)

	for _, thing := range []event.ThingName{"a", "b", "c"} {
		must(s.Knock(ctx, job, workflow.Knock{Thing: thing, Owner: job, At: at}), nil)
	}
	must(s.SetFlag(ctx, job, workflow.Control{State: event.ControlPaused, At: at}), nil)
	lifted := func(want ...workflow.Lifted) {
		t.Helper()
		all, err := s.Lifted(ctx)
		must(err, nil)
		var got []workflow.Lifted
		for _, l := range all {
			if l.Whose == job {
				got = append(got, l)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("lifted %+v, want %+v", got, want)
		}
	}
	lifted()
	must(s.SetFlag(ctx, job, workflow.Control{State: event.ControlRunning, Rev: 1, At: at}), nil)
	lifted(workflow.Lifted{Whose: job, Rev: 2})
	must(s.Forget(ctx, workflow.Lifted{Whose: job, Rev: 1}), nil)
	lifted(workflow.Lifted{Whose: job, Rev: 2})
	knocks, more, err := s.Knocks(ctx, job, 2)
	must(err, nil)
	if len(knocks) != 2 || !more || knocks[0].Owner != job || !knocks[0].At.Equal(at) {
		t.Fatalf("knocks %+v, %t", knocks, more)
	}
	must(s.Knock(ctx, job, workflow.Knock{Thing: knocks[0].Thing, Owner: job, At: at.Add(time.Second)}), nil)
	for range 2 {
		must(s.Answer(ctx, job, knocks[0]), nil) // of before
		must(s.Answer(ctx, job, knocks[1]), nil)
	}
	if knocks, more, err = s.Knocks(ctx, job, 10); err != nil || len(knocks) != 2 || more {
		t.Fatalf("knocks %+v, %t, %v", knocks, more, err)
	}
	must(s.Forget(ctx, workflow.Lifted{Whose: job, Rev: 2}), nil)
	lifted()
}

// flags holds Controls, empty at first, to what workflow expects of them.
func flags(t *testing.T, s workflow.Controls) {
	t.Helper()
	ctx, at, job := context.Background(), time.UnixMilli(1795334400000).UTC(), event.JobOwner("j")
	read := func(owner event.Owner, want workflow.Flags) {
		t.Helper()
		if f, err := s.Flags(ctx, owner); err != nil || f != want {
			t.Fatalf("flags of %v: %+v, %v, want %+v", owner, f, err, want)
		}
	}
	set := func(owner event.Owner, c workflow.Control, want error) {
		t.Helper()
		if err := s.SetFlag(ctx, owner, c); !errors.Is(err, want) {
			t.Fatalf("flag of %v, %+v: %v, want %v", owner, c, err, want)
		}
	}
	read(job, workflow.Flags{})
	read(workflow.Everyone, workflow.Flags{})
	c := workflow.Control{State: event.ControlPaused, Who: "me", Why: "because", At: at}
	set(job, workflow.Control{State: event.ControlPaused, Rev: 1, At: at}, workflow.ErrChanged)
	set(job, c, nil)
	set(job, c, workflow.ErrChanged)
	c.Rev = 1
	read(job, workflow.Flags{Owner: c})
	read(event.JobOwner("k"), workflow.Flags{})
	all := workflow.Control{State: event.ControlStopped, At: at}
	set(workflow.Everyone, all, nil)
	all.Rev = 1
	read(job, workflow.Flags{Owner: c, Everyone: all})
	read(workflow.Everyone, workflow.Flags{Everyone: all})
	c.State = event.ControlRunning
	set(job, c, nil)
	c.Rev = 2
	read(job, workflow.Flags{Owner: c, Everyone: all})
	for range 2 {
		if err := s.Knock(ctx, job, workflow.Knock{Thing: "t", Owner: job, At: at}); err != nil {
			t.Fatal(err)
		}
	}
}

// Contract holds a Store and Controls, empty at first, to what workflow expects.
func Contract(t *testing.T, s Kept) {
	flags(t, s)
	ticks(t, s)
	arrivals(t, s)
	ctx := context.Background()
	now := time.UnixMilli(1795334400000).UTC()
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	}
	load := func(thing event.ThingName) workflow.Device {
		t.Helper()
		d, err := s.Load(ctx, thing)
		must(err, nil)
		return d
	}
	plan := event.Plan{Document: json.RawMessage(`{"a":"2"}`), Timeouts: json.RawMessage(`{"b":1}`), Lasts: time.Hour}
	const inspect = event.Step("INSPECT")
	j, k := event.JobOwner("j"), event.JobOwner("k")

	// Presence that comes before the first greeting is kept.
	must(s.Presence(ctx, "t1", workflow.Presence{Connected: true, Version: 1, At: now}), nil)
	owned := func(err error, by event.ThingName) {
		t.Helper()
		must(err, workflow.ErrForeign)
		var o *workflow.OwnedError
		if !errors.As(err, &o) || o.By != by {
			t.Fatalf("got error %v, want one that names %s", err, by)
		}
	}
	a1, b1 := workflow.Greeting{Endpoint: "self::a", At: now, AgentTopic: "x"},
		workflow.Greeting{Endpoint: "self::b", At: now}
	must(s.Greet(ctx, "t1", a1), workflow.ErrForeign)
	if d := load("t1"); !d.State.Connected || d.State.Reachable() {
		t.Fatalf("a thing whose endpoint is not known: %+v", d.State)
	}
	// A first connection that is over before its greeting has come, in each order in
	// which a queue may tell of it.
	short := now.Add(30 * time.Millisecond)
	comes := func(thing event.ThingName) error {
		return s.Presence(ctx, thing, workflow.Presence{Connected: true, Version: 1, At: now})
	}
	goes := func(thing event.ThingName) error {
		return s.Presence(ctx, thing, workflow.Presence{Version: 1, At: short})
	}
	greets := func(thing event.ThingName) error {
		return s.Bind(ctx, thing, workflow.Greeting{Endpoint: event.EndpointID("self::" + thing),
			At: now.Add(10 * time.Millisecond)}, workflow.Binding{})
	}
	for thing, order := range map[event.ThingName][]func(event.ThingName) error{
		"brief-1": {comes, greets, goes}, "brief-2": {comes, goes, greets}, "brief-3": {goes, comes, greets},
		"brief-4": {goes, greets, comes}, "brief-5": {greets, goes, comes}, "brief-6": {greets, comes, goes},
	} {
		for _, tell := range order {
			if err := tell(thing); err != nil && !errors.Is(err, workflow.ErrStale) {
				t.Fatalf("%s: %v", thing, err)
			}
		}
		if d := load(thing); d.State.Connected || d.State.Reachable() {
			t.Fatalf("%s: connected after its loss: %+v", thing, d.State)
		}
		// The next connection is as any other.
		must(s.Bind(ctx, thing, workflow.Greeting{Endpoint: event.EndpointID("self::" + thing),
			At: now.Add(time.Minute)}, workflow.Binding{}), nil)
		if d := load(thing); !d.State.Reachable() {
			t.Fatalf("%s: not there though it has greeted: %+v", thing, d.State)
		}
	}
	must(s.Bind(ctx, "t1", a1, workflow.Binding{}), nil)
	must(s.Bind(ctx, "t1", a1, workflow.Binding{}), nil)
	must(s.Greet(ctx, "t1", a1), nil)
	owned(s.Bind(ctx, "t2", a1, workflow.Binding{}), "t1")
	owned(s.Bind(ctx, "t2", a1, workflow.Binding{From: "t3"}), "t1")
	must(s.Greet(ctx, "t1", b1), workflow.ErrForeign)
	must(s.Bind(ctx, "t1", b1, workflow.Binding{}), workflow.ErrForeign)
	must(s.Bind(ctx, "t1", b1, workflow.Binding{Before: "self::c"}), workflow.ErrForeign)
	if d := load("t1"); !d.Known || !d.State.Reachable() || d.State.AgentTopic != "x" {
		t.Fatalf("after greeting: %+v", d.State)
	}
	if d := load("t2"); d.Known {
		t.Fatalf("the refused thing is known: %+v", d.State)
	}
	must(s.Presence(ctx, "t1", workflow.Presence{Connected: true, Version: 3, At: now.Add(time.Second)}), nil)
	// Told again, by who had no answer: it is still so.
	must(s.Presence(ctx, "t1", workflow.Presence{Connected: true, Version: 3, At: now.Add(time.Second)}), nil)
	must(s.Presence(ctx, "t1", workflow.Presence{Version: 2, At: now.Add(2 * time.Second)}), workflow.ErrStale)
	must(s.Presence(ctx, "t1", workflow.Presence{Version: 3, At: now.Add(3 * time.Second)}), nil)
	must(s.Presence(ctx, "t1", workflow.Presence{Connected: true, Version: 3, At: now.Add(time.Second)}),
		workflow.ErrStale)
	must(s.Greet(ctx, "t1", workflow.Greeting{Endpoint: "self::a", At: now}), workflow.ErrStale)
	if load("t1").State.Connected {
		t.Fatal("connected after its disconnect")
	}
	must(s.Bind(ctx, "t1", b1, workflow.Binding{Before: "self::a"}), workflow.ErrStale)
	must(s.Presence(ctx, "t1", workflow.Presence{Connected: true, Version: 0, At: now.Add(2 * time.Hour)}), nil)
	// Its greeting is of that connection if it is of that second, else of one before.
	came := now.Add(2 * time.Hour)
	must(s.Greet(ctx, "t1", workflow.Greeting{Endpoint: "self::a", At: came.Add(-900 * time.Millisecond)}), nil)
	must(s.Greet(ctx, "t1", workflow.Greeting{Endpoint: "self::a", At: came.Add(-2 * time.Second)}), workflow.ErrStale)

	// A thing gets another endpoint, and gives it to yet another thing.
	late := func(g workflow.Greeting) workflow.Greeting { g.At = now.Add(3 * time.Hour); return g }
	must(s.Arrive(ctx, workflow.Arrival{Thing: "t1", At: now}, map[string]string{"of": "a", "other": "fact"}), nil)
	must(s.Admitted(ctx, workflow.Arrival{Thing: "t1", At: now}), nil)
	must(s.Bind(ctx, "t1", late(b1), workflow.Binding{Before: "self::a", Forget: []string{"of", "none"}}), nil)
	if facts := load("t1").State.Facts; len(facts) != 1 || facts["other"] != "fact" {
		t.Fatalf("facts of the endpoint before: %v", facts)
	}
	must(s.Bind(ctx, "t3", a1, workflow.Binding{}), nil) // it is free again
	owned(s.Bind(ctx, "t4", b1, workflow.Binding{}), "t1")
	must(s.Bind(ctx, "t4", b1, workflow.Binding{From: "t1"}), nil)
	if d := load("t1"); d.State.Endpoint != "" || d.State.Reachable() {
		t.Fatalf("the thing that lost its endpoint: %+v", d.State)
	}
	must(s.Greet(ctx, "t1", late(b1)), workflow.ErrForeign)
	must(s.Bind(ctx, "t1", late(a1), workflow.Binding{From: "t3"}), nil)

	must(s.PutPending(ctx, "t1", workflow.Pending{Owner: j, ExecutionNumber: 2, Operation: "o", Plan: plan, At: now,
		ExpiresAt: now.Add(time.Hour)}), nil)
	must(s.PutPending(ctx, "t1", workflow.Pending{Owner: j, ExecutionNumber: 1, Operation: "o", Plan: plan, At: now,
		ExpiresAt: now.Add(time.Hour)}), nil)
	must(s.DropPending(ctx, "t1", workflow.Attempt{Owner: j, Number: 1}), nil)
	if d := load("t1"); len(d.Pending) != 1 || d.Pending[0].ExecutionNumber != 2 ||
		!reflect.DeepEqual(d.Pending[0].Plan, plan) || d.Pending[0].Operation != "o" || d.Pending[0].Owner != j {
		t.Fatalf("pending: %+v", d.Pending)
	}

	parking(t, s)
	standings(t, s)

	c := workflow.Claim{Owner: j, ExecutionNumber: 2, Operation: "o", Execution: "x2", ClaimedAt: now,
		Deadline: now.Add(time.Hour), ExpiresAt: now.Add(2 * time.Hour)}
	must(s.Claim(ctx, "t1", c, nil), nil)
	must(s.Claim(ctx, "t1", c, nil), nil)
	other := c
	other.Execution, other.Owner = "y", k
	must(s.Claim(ctx, "t1", other, nil), workflow.ErrClaimed)
	must(s.Claim(ctx, "t1", other, &workflow.Claim{Execution: "z"}), workflow.ErrClaimed)

	d := load("t1")
	claim := *d.Claim
	claim.Tries, claim.Seen = map[event.Step]int{inspect: 1}, map[event.Step]string{inspect: "h"}
	a := workflow.Await{
		Step: inspect, Token: "tok", Owner: j, Execution: "x2", Messages: "m-", Commands: map[string]string{"k": "p"},
		State: json.RawMessage(`{"a":1}`), Attempt: "first", Rev: 1, Since: now, ExpiresAt: now.Add(time.Hour),
	}
	must(s.Register(ctx, "t1", workflow.Registration{Claim: claim, Await: a, Started: true,
		Learnt: map[string]string{"early": "1", "version": "0"}}), nil)
	must(s.Register(ctx, "t1", workflow.Registration{Claim: claim, Await: a}), workflow.ErrChanged)
	d = load("t1")
	if len(d.Pending) != 0 || len(d.Awaits) != 1 || !reflect.DeepEqual(d.Awaits[0], a) ||
		d.Claim.Tries[inspect] != 1 || d.Claim.Seen[inspect] != "h" || d.State.Facts["early"] != "1" {
		t.Fatalf("after Register: %+v", d)
	}
	if d.Claim.Attempt != "first" || len(d.Claim.Taken) != 0 {
		t.Fatalf("after Register: %+v", d.Claim)
	}
	taken := *d.Claim
	taken.Taken = []workflow.Taking{{News: "n-1", By: "INSPECT"}}
	must(s.Take(ctx, "t1", taken), nil)
	must(s.Take(ctx, "t1", taken), workflow.ErrChanged)
	must(s.Take(ctx, "t2", taken), workflow.ErrChanged)
	if c := load("t1").Claim; !reflect.DeepEqual(c.Taken, taken.Taken) || c.Rev != taken.Rev+1 {
		t.Fatalf("after Take: %+v", c)
	}
	a.State = json.RawMessage(`{"a":2}`)
	must(s.Advance(ctx, "t1", a), nil)
	must(s.Advance(ctx, "t1", a), workflow.ErrChanged)
	if d = load("t1"); d.Awaits[0].Rev != 2 || string(d.Awaits[0].State) != `{"a":2}` {
		t.Fatalf("after Advance: %+v", d.Awaits)
	}
	ev := event.DeviceEvent{Kind: event.KindBooted, Thing: "t1", At: now, CommandKey: "k"}
	must(s.PutNews(ctx, "t1", "another", ev, now.Add(time.Hour)), workflow.ErrGone)
	rev := load("t1").Claim.Rev
	must(s.PutNews(ctx, "t1", "x2", ev, now.Add(time.Hour)), nil)
	must(s.PutNews(ctx, "t1", "x2", ev, now.Add(time.Hour)), nil)
	for range 2 {
		for _, path := range []string{"Device.A!", "Device.B!"} {
			other := event.DeviceEvent{Kind: event.KindEvent, Thing: "t1", At: now, Path: path}
			must(s.PutNews(ctx, "t1", "x2", other, now.Add(time.Hour)), nil)
		}
	}
	if kept := load("t1").News; len(kept) != 3 {
		t.Fatalf("news of a restart and of two events, twice: %+v", kept)
	}
	d = load("t1")
	d.News = slices.DeleteFunc(d.News, func(ev event.DeviceEvent) bool { return ev.Kind == event.KindEvent })
	if len(d.News) != 1 || !reflect.DeepEqual(d.News[0], ev) || d.Claim.Rev == rev {
		t.Fatalf("after PutNews: %+v", d)
	}
	must(s.Finish(ctx, "t1", workflow.Await{Step: inspect, Token: "older"}, map[string]string{"version": "9"}), nil)
	must(s.Finish(ctx, "t1", workflow.Await{Step: inspect, Token: "older"}, nil), nil)
	if d = load("t1"); len(d.Awaits) != 1 {
		t.Fatal("an older try's end removed the later try")
	}
	must(s.Finish(ctx, "t1", a, map[string]string{"version": "2", "where": "i"}), nil)
	must(s.Finish(ctx, "t1", a, nil), nil)
	if d = load("t1"); len(d.Awaits) != 0 || d.State.Facts["version"] != "2" || d.State.Facts["where"] != "i" ||
		d.State.Endpoint != "self::a" {
		t.Fatalf("after Finish: %+v", d)
	}

	// One ends an execution from outside; who has not seen that releases nothing.
	unseen := load("t1")
	must(s.End(ctx, "t1", workflow.Claim{Execution: "z", Rev: d.Claim.Rev}, workflow.Ending{By: "a", At: now}),
		workflow.ErrChanged)
	must(s.End(ctx, "t1", *d.Claim, workflow.Ending{By: "a", At: now}), nil)
	must(s.End(ctx, "t1", *d.Claim, workflow.Ending{By: "b", At: now}), workflow.ErrChanged)
	must(s.End(ctx, "t2", *d.Claim, workflow.Ending{By: "b", At: now}), workflow.ErrChanged)
	must(s.Release(ctx, unseen, "x2", workflow.Attempt{Owner: j, Number: 2}), workflow.ErrChanged)
	if d = load("t1"); d.Claim == nil || d.Claim.Ending == nil ||
		*d.Claim.Ending != (workflow.Ending{By: "a", At: now}) || d.Claim.Rev != unseen.Claim.Rev+1 {
		t.Fatalf("after End: %+v", d.Claim)
	}

	// A takeover forgets what the dead owner wrote into the claim.
	must(s.Claim(ctx, "t1", other, d.Claim), nil)
	if d = load("t1"); d.Claim.Attempt != "" || len(d.Claim.Taken) != 0 {
		t.Fatalf("after the takeover: %+v", d.Claim)
	}
	if d = load("t1"); d.Claim.Execution != "y" || d.Claim.Operation != "o" || d.Claim.Owner != k ||
		len(d.Claim.Tries) != 0 || d.Claim.Ending != nil || d.Claim.Rev == 0 {
		t.Fatalf("after the takeover: %+v", d.Claim)
	}
	d.Learnt = map[string]string{"version": "of another execution"}
	must(s.Release(ctx, d, "x2", workflow.Attempt{Owner: j, Number: 2}), nil)
	if d = load("t1"); d.Claim == nil || d.State.Facts["version"] != "2" {
		t.Fatal("the dead owner released its successor's claim")
	}
	stale := d
	stale.Learnt = map[string]string{"version": "3", "early": ""}
	must(s.PutNews(ctx, "t1", "y", ev, now.Add(time.Hour)), nil)
	must(s.Release(ctx, stale, "y", workflow.Attempt{Owner: k, Number: 2}), nil) // it lost a race, and looks again
	must(s.Release(ctx, d, "y", workflow.Attempt{Owner: k, Number: 2}), nil)
	if d = load("t1"); d.State.Facts["version"] != "3" || d.State.Facts["early"] != "" || d.Claim != nil ||
		len(d.Awaits)+len(d.News)+len(d.Pending) != 0 || !d.Known {
		t.Fatalf("after Release: %+v", d)
	}
}
