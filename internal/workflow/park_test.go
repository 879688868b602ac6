package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

func (r *rig) park(in event.ExecutionInput, p event.Park) (workflow.Pending, bool) {
	r.t.Helper()
	w := workflow.Parker{Store: r.store, Now: func() time.Time { return r.now }}
	pending, parked, err := w.Park(r.t.Context(), in, p)
	r.must(err)
	r.running[in.Execution] = false
	return pending, parked
}

// parked is a rig whose attempt waits in its second lap; its input is the first's.
func parked(t *testing.T, p event.Park) (*rig, event.ExecutionInput) {
	t.Helper()
	r, in := owned(t)
	if in.Window = r.window; in.Window == nil {
		in.Window = &event.Window{Start: "13:00", End: "15:00"}
	}
	if _, parked := r.park(in, p); !parked {
		t.Fatal("not parked")
	}
	return r, in
}

// wakes has the clock tick until it wakes somebody, and is whom.
func (r *rig) wakes(within time.Duration) []workflow.Wake {
	r.t.Helper()
	for end := r.now.Add(within); r.now.Before(end); r.now = r.now.Add(time.Minute) {
		b := &bell{}
		_, err := r.ticker(b).Tick(r.t.Context(), "x", time.Time{})
		r.must(err)
		if len(b.woken) > 0 {
			return b.woken
		}
	}
	return nil
}

func (r *rig) wake(want workflow.Start) workflow.Started {
	r.t.Helper()
	s, err := r.Wake(r.t.Context(), "rg-1", fw2)
	r.must(err)
	if s.Did != want {
		r.t.Fatalf("%s: woken, it is %s, want %s", r.now, s.Did, want)
	}
	return s
}

func TestAParkedAttemptGoesOnInItsNextLap(t *testing.T) {
	r, in := parked(t, event.Park{Resume: json.RawMessage(`{"a":1}`), Gated: true})
	if _, again := r.park(in, event.Park{}); again {
		t.Error("parked twice")
	}
	d := r.load()
	if d.Claim != nil || len(d.Pending) != 1 || !d.Pending[0].Parked() {
		t.Fatalf("parked: %+v", d)
	}
	p := d.Pending[0]
	opens, closes := r.now.Add(time.Hour), r.now.Add(3*time.Hour)
	if p.NotBefore.Before(opens) || !p.NotBefore.Before(closes) || !p.NotAfter.Equal(closes) ||
		!p.Deadline.Equal(r.now.Add(24*time.Hour)) {
		t.Errorf("it waits from %s to %s, until %s", p.NotBefore, p.NotAfter, p.Deadline)
	}
	// Whatever comes before its time starts nothing.
	r.wake(workflow.StartWaiting)
	if s, err := r.Appear(t.Context(), r.load()); err != nil || len(s) != 1 || s[0].Did != workflow.StartWaiting {
		t.Error(s, err)
	}
	// Nor a copy of what named it, its first execution being over.
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartWaiting {
		t.Error(s, err)
	}
	r.expect("before its time")

	woken := r.wakes(4 * time.Hour)
	if len(woken) != 1 || woken[0].Thing != "rg-1" || woken[0].Owner != fw2 {
		t.Fatalf("woken: %+v", woken)
	}
	r.now = r.now.Add(woken[0].After)
	if r.now.Before(p.NotBefore) || !r.now.Before(p.NotBefore.Add(time.Minute)) {
		t.Errorf("woken at %s, its point is %s", r.now, p.NotBefore)
	}
	s := r.wake(workflow.StartBegun)
	if want := event.ExecutionName(fw2, "rg-1", 1, 1); s.Execution != want {
		t.Errorf("it goes on as %s, want %s", s.Execution, want)
	}
	r.expect("its next lap begins, of which its owner knows", "start")
	d = r.load()
	if d.Claim == nil || d.Claim.Lap != 1 || !d.Claim.Deadline.Equal(p.Deadline) {
		t.Errorf("the claim is %+v, the deadline was %s", d.Claim, p.Deadline)
	}
	if left := r.wakes(24 * time.Hour); left != nil {
		t.Errorf("woken again: %+v", left)
	}
	second := in.InLap(1, p.Resume)
	if _, owned, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: second}); err != nil || !owned {
		t.Error(owned, err)
	}
	r.clean("after its end")
}

// TestALateOfferDoesNotEndAParkedAttempt: its last lap has given the device back and is about to
// report when a late copy of what named the attempt comes.
func TestALateOfferDoesNotEndAParkedAttempt(t *testing.T) {
	r, in := parked(t, event.Park{Gated: true})
	r.now = r.load().Pending[0].NotBefore
	r.wake(workflow.StartBegun)
	second := in.InLap(1, nil)
	_, _, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: second})
	r.must(err)
	r.expect("its next lap", "start")
	s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc)
	if err != nil || s.Did != workflow.StartBegun || s.Execution != second.Execution || s.Lap != 1 {
		t.Errorf("offered late, it is %+v, %v", s, err)
	}
	r.expect("the late offer", "begin")
	r.clean("after the late offer")

	// Where none of them runs any more nobody else will report.
	r.running[second.Execution] = false
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartPlayed {
		t.Error(s, err)
	}
	r.expect("over without a report", "begin", "reject Blink.Duplicate", "report fw-2 REJECTED Blink.Duplicate")
	r.clean("after all")
}

// TestAnAttemptThatMissedItsWindowWaitsForTheNext: its device was away.
func TestAnAttemptThatMissedItsWindowWaitsForTheNext(t *testing.T) {
	r, _ := parked(t, event.Park{Gated: true})
	p := r.load().Pending[0]
	r.now = p.NotAfter
	r.wake(workflow.StartWaiting)
	next := r.load().Pending[0]
	if !next.NotBefore.Equal(p.NotBefore.Add(24*time.Hour)) || !next.NotAfter.Equal(p.NotAfter.Add(24*time.Hour)) {
		t.Errorf("it waits from %s to %s, before %s to %s", next.NotBefore, next.NotAfter, p.NotBefore, p.NotAfter)
	}
	// It is there again in the middle of that one: no need to wait for the third.
	r.now = next.NotAfter.Add(23 * time.Hour)
	r.wake(workflow.StartBegun)
}

// TestAWindowGatesTheBeginning of attempts whose flow says so, in the device's time.
func TestAWindowGatesTheBeginning(t *testing.T) {
	for _, c := range []struct {
		name, zone, fact string
		now              string
		want             workflow.Start
	}{
		{"in its own zone, outside", "", "", "12:00", workflow.StartWaiting},
		{"in its own zone, inside", "", "", "02:30", workflow.StartBegun},
		{"as the registry says", "Asia/Tokyo", "America/New_York", "17:30", workflow.StartBegun},
		{"as the registry says, outside", "Asia/Tokyo", "", "02:30", workflow.StartWaiting},
		{"as the device says", "", "EST5EDT,M3.2.0,M11.1.0", "07:30", workflow.StartBegun},
		{"as nobody can read", "Nowhere", "somewhere", "02:30", workflow.StartBegun},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.greeted()
			r.window, r.zone = &event.Window{Start: "02:00", End: "04:00"}, c.zone
			if c.fact != "" {
				r.must(r.store.Finish(t.Context(), "rg-1", workflow.Await{},
					map[string]string{event.FactZone: c.fact}))
			}
			at, err := time.Parse("15:04", c.now)
			r.must(err)
			r.now = time.Date(2026, 11, 22, at.Hour(), at.Minute(), 0, 0, time.UTC)
			s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc)
			if err != nil || s.Did != c.want {
				t.Fatalf("%s, %v, want %s", s.Did, err, c.want)
			}
			if c.want == workflow.StartBegun {
				return
			}
			woken := r.wakes(24 * time.Hour)
			if len(woken) != 1 {
				t.Fatal("nobody wakes it")
			}
			r.now = r.now.Add(woken[0].After)
			r.wake(workflow.StartBegun)
			r.expect("begun", "begin", "start")
		})
	}
}

// TestAPausedAttemptIsHeldAndGoesOn: parked at a gate, it knocks when the clock wakes
// it, and is woken when the flag is lifted; also where that was before it knocked.
func TestAPausedAttemptIsHeldAndGoesOn(t *testing.T) {
	for _, early := range []bool{true, false} {
		r, _ := parked(t, event.Park{})
		r.set(fw2, event.ControlPaused)
		if early {
			r.set(fw2, event.ControlRunning)
		}
		woken := r.wakes(10 * time.Minute)
		if len(woken) != 1 {
			t.Fatal("the clock does not look at it")
		}
		if early {
			r.wake(workflow.StartBegun)
			continue
		}
		r.wake(workflow.StartPaused)
		if left := r.wakes(time.Hour); left != nil {
			t.Errorf("woken while it is paused: %+v", left)
		}
		r.set(fw2, event.ControlRunning)
		if woken = r.wakes(2 * time.Minute); len(woken) != 1 {
			t.Fatal("not woken when it was resumed")
		}
		r.wake(workflow.StartBegun)
	}
}

// TestTheEndOfAParkedAttemptIsToldOnce, by whoever comes first: its owner's event, the
// clock, or the start of another.
func TestTheEndOfAParkedAttemptIsToldOnce(t *testing.T) {
	end := func(r *rig) error {
		_, err := r.End(context.Background(), "rg-1", fw2, event.Failure{Name: event.JobTimedOut})
		return err
	}
	wake := func(r *rig) error { _, err := r.Wake(context.Background(), "rg-1", fw2); return err }
	for name, order := range map[string][]func(*rig) error{"the event first": {end, wake},
		"the clock first": {wake, end}} {
		t.Run(name, func(t *testing.T) {
			r, _ := parked(t, event.Park{})
			r.over[1] = true
			for i, do := range order {
				r.name = fmt.Sprint("caller ", i)
				r.must(do(r))
			}
			r.expect("told", "report fw-2 TIMED_OUT Job.TimedOut")
			r.clean("told")

			// The other comes while the first is at it, and the first dies.
			r, _ = parked(t, event.Park{})
			r.over[1] = true
			r.fail["report"] = errors.New("crashed")
			r.name = "first"
			if err := order[0](r); err == nil {
				t.Fatal("no error")
			}
			delete(r.fail, "report")
			r.log, r.name = nil, "second"
			if err := order[1](r); !errors.Is(err, workflow.ErrEnding) {
				t.Fatalf("the second: %v", err)
			}
			r.expect("while the first is at it")
			if d := r.load(); d.Claim != nil || len(d.Pending) != 1 {
				t.Errorf("while the first is at it: %+v", d)
			}
			r.now = r.now.Add(3 * time.Minute)
			r.must(order[1](r))
			r.expect("told by the second", "report fw-2 TIMED_OUT Job.TimedOut")
			r.clean("told by the second")
		})
	}
}

// TestAParkedAttemptWhoseOwnerIsOverIsHeld, at its next start.
func TestAParkedAttemptWhoseOwnerIsOverIsHeld(t *testing.T) {
	r, _ := parked(t, event.Park{})
	r.set(fw2, event.ControlStopped)
	r.wake(workflow.StartHeld)
	r.expect("held", "reject Job.Held", "report fw-2 REJECTED Job.Held")
	r.clean("held")
}

// TestAParkedAttemptWaitsForAnother that has the device: the clock comes back.
func TestAParkedAttemptWaitsForAnother(t *testing.T) {
	r, _ := parked(t, event.Park{})
	other := event.JobOwner("other")
	if s, err := r.Offer(t.Context(), "rg-1", other, 1, doc); err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	if woken := r.wakes(10 * time.Minute); len(woken) != 1 {
		t.Fatal("the clock does not look at it")
	}
	r.wake(workflow.StartBusy)
	in := event.NewExecutionInput(other, "rg-1", 1, operation, event.Plan{Document: doc})
	if _, owned, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in}); err != nil || !owned {
		t.Fatal(owned, err)
	}
	if woken := r.wakes(10 * time.Minute); len(woken) != 1 {
		t.Fatal("the clock does not come back")
	}
	r.wake(workflow.StartBegun)
}

// TestADueFleetIsWokenEvenly: of those whose minute is the same no second has more
// than another by one, and what is too much for a minute is moved to the next.
func TestADueFleetIsWokenEvenly(t *testing.T) {
	r := newRig(t)
	minute := r.now.Add(10 * time.Minute)
	const fleet = workflow.DuePerMinute + 1000
	hint := func(i int, at time.Time) {
		thing := event.ThingName(fmt.Sprintf("rg-%05d", i))
		p := workflow.Pending{Owner: fw2, ExecutionNumber: 1}
		r.must(r.store.PutPending(t.Context(), thing, p))
		r.must(r.store.Postpone(t.Context(), thing, p, workflow.Due{At: at, Thing: thing, Owner: fw2}))
	}
	for i := range fleet {
		hint(i, minute)
	}
	hint(fleet, minute.Add(time.Minute))
	seen := map[event.ThingName]bool{}
	r.now = r.now.Add(23 * time.Second) // wherever in its minute the clock ticks
	for n, want := range []int{workflow.DuePerMinute, 1001} {
		woken := r.wakes(time.Hour)
		if len(woken) != want {
			t.Fatalf("tick %d woke %d, want %d", n, len(woken), want)
		}
		seconds := map[time.Time]int{}
		for _, k := range woken {
			at := r.now.Add(k.After)
			seconds[at.Truncate(time.Second)]++
			seen[k.Thing] = true
			from := minute.Add(time.Duration(n) * time.Minute)
			if at.Before(from) || !at.Before(from.Add(time.Minute)) {
				t.Fatalf("%s is woken at %s, its minute is %s", k.Thing, at, from)
			}
		}
		for at, n := range seconds {
			if n > (want+59)/60 {
				t.Errorf("%d are woken at %s", n, at)
			}
		}
		r.now = r.now.Add(time.Minute)
	}
	if len(seen) != fleet+1 || len(r.store.Hints()) > 0 {
		t.Errorf("%d of %d woken, %d hints left", len(seen), fleet+1, len(r.store.Hints()))
	}
}

// TestAClockThatStoodStillGoesOn with what was due meanwhile, also where it stood for
// longer than a tick can catch up on.
func TestAClockThatStoodStillGoesOn(t *testing.T) {
	for _, stood := range []time.Duration{10 * time.Minute, 5 * time.Hour} {
		r, _ := parked(t, event.Park{})
		r.wakes(time.Minute) // it ticked before
		r.now = r.now.Add(stood)
		if woken := r.wakes(10 * time.Minute); len(woken) != 1 || woken[0].After > 2*time.Minute {
			t.Errorf("after %s: woken %+v", stood, woken)
		}
	}
}

// TestATickThatEndsOnItsWayHasNotCaughtUpInVain: its function is ended after some calls, each time. It comes nearer,
// and wakes who is due in the end.
func TestATickThatEndsOnItsWayHasNotCaughtUpInVain(t *testing.T) {
	r, _ := parked(t, event.Park{})
	r.wakes(time.Minute)
	r.now = r.now.Add(50 * time.Minute)
	b, ended := &bell{}, errors.New("ended")
	for ticks := 0; len(b.woken) == 0; ticks++ {
		if ticks == 60 {
			t.Fatal("nobody was woken in an hour")
		}
		reads := 0
		r.store.Before = func(op string) error {
			if reads++; op == "Lease" {
				reads = 0
			}
			if reads > 8 {
				return ended
			}
			return nil
		}
		_, err := r.ticker(b).Tick(t.Context(), "x", time.Time{})
		if r.store.Before = nil; err != nil && !errors.Is(err, ended) {
			t.Fatal(err)
		}
		r.now = r.now.Add(time.Minute)
	}
}

// TestPointsAreSpreadOverTheWindow, and each device has its own each day.
func TestPointsAreSpreadOverTheWindow(t *testing.T) {
	r := newRig(t)
	r.window = &event.Window{Start: "23:00", End: "01:00"}
	const fleet = 2400
	minutes := map[time.Time]int{}
	for i := range fleet {
		thing := event.ThingName(fmt.Sprintf("rg-%05d", i))
		r.must(r.store.Bind(t.Context(), thing, workflow.Greeting{Endpoint: event.EndpointID("os::" + thing),
			At: r.now}, workflow.Binding{}))
		if s, err := r.Offer(t.Context(), thing, fw2, 1, doc); err != nil || s.Did != workflow.StartWaiting {
			t.Fatal(s, err)
		}
		d, err := r.store.Load(t.Context(), thing)
		r.must(err)
		minutes[d.Pending[0].NotBefore]++
	}
	opens := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	most := 0
	for at, n := range minutes {
		if at.Before(opens) || at.After(opens.Add(115*time.Minute)) || at.Second() != 0 {
			t.Errorf("a point at %s", at)
		}
		most = max(most, n)
	}
	// 21 a minute on average; a minute of 45 would be five standard deviations away.
	if len(minutes) < 110 || most > 45 {
		t.Errorf("%d minutes have points, the fullest %d", len(minutes), most)
	}
	if hints := r.store.Hints(); len(hints) != fleet || slices.ContainsFunc(hints, func(h workflow.Due) bool {
		return minutes[h.At] == 0
	}) {
		t.Errorf("%d hints for %d points", len(hints), fleet)
	}
}

func TestParkSaysWhatItCannotDo(t *testing.T) {
	r, in := owned(t)
	w := workflow.Parker{Store: r.store, Now: func() time.Time { return r.now }}
	r.store.Before = func(op string) error {
		if op == "Park" {
			return errors.New("throttled")
		}
		return nil
	}
	if _, parked, err := w.Park(t.Context(), in, event.Park{}); parked || err == nil ||
		!strings.Contains(err.Error(), "thing rg-1, job fw-2: throttled") {
		t.Errorf("%t, %v", parked, err)
	}
	r.store.Before = nil
	d := r.load()
	r.must(r.store.End(t.Context(), "rg-1", *d.Claim, workflow.Ending{By: "another", At: r.now}))
	if _, parked, err := w.Park(t.Context(), in, event.Park{}); parked || !errors.Is(err, workflow.ErrEnding) {
		t.Errorf("somebody is about to end it: %t, %v", parked, err)
	}
}

// TestAnAttemptThatOnlyLooksWaitsForItsTime, whatever its flag says, and nobody looks after
// it meanwhile.
func TestAnAttemptThatOnlyLooksWaitsForItsTime(t *testing.T) {
	r, _ := parked(t, event.Park{Seconds: 2 * 3600, Looks: true})
	began := r.now
	r.wake(workflow.StartWaiting)
	r.set(fw2, event.ControlStopped)
	r.now = began.Add(90 * time.Minute)
	r.wake(workflow.StartWaiting)
	woken := r.wakes(time.Hour)
	if len(woken) != 1 || woken[0].Lost {
		t.Fatalf("woken: %+v", woken)
	}
	if at := r.now.Add(woken[0].After); at.Before(began.Add(2*time.Hour)) || at.After(began.Add(2*time.Hour+
		2*time.Minute)) {
		t.Errorf("woken at %s, it was parked at %s", at, began)
	}
	r.now = r.now.Add(woken[0].After)
	r.wake(workflow.StartBegun)
	r.expect("it goes on though its owner is over", "start")
}
