package workflow_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

const fall = event.CampaignID("fall")

// woken are the wakes of a queue.
type woken struct{ all []workflow.Wake }

func (w *woken) Wake(_ context.Context, wakes []workflow.Wake) error {
	w.all = append(w.all, wakes...)
	return nil
}

// counting is a rig whose owner is a campaign.
func counting(t *testing.T) (*rig, *workflow.Carrier, *woken) {
	r, queue := newRig(t), &woken{}
	now := func() time.Time { return r.now }
	r.Starter.Orders = workflow.Counted(orders{r}, r.store, now)
	return r, &workflow.Carrier{Store: r.store, Waker: queue, Flows: r.Starter.Flows, Now: now}, queue
}

func entrant(thing event.ThingName) workflow.Entrant {
	return workflow.Entrant{Thing: thing, Document: doc, Standing: event.Standing{Campaign: fall, Attempt: 1,
		State: event.StandAdmitted, Shard: 1, Model: "M"}}
}

// counts are those of the campaign.
func (r *rig) counts(want map[event.StandState]int) {
	r.t.Helper()
	c, err := r.store.Counts(r.t.Context(), fall, 4)
	r.must(err)
	got := map[event.StandState]int{}
	for p, n := range c.Tally {
		got[p.State] += n
	}
	if !maps.Equal(got, want) {
		r.t.Errorf("devices stand %v, want %v", got, want)
	}
}

func TestADeviceOfACampaignIsCountedWithItsClaimAndItsRelease(t *testing.T) {
	r, carrier, queue := counting(t)
	r.greeted()
	for range 2 { // twice is once
		both := []workflow.Entrant{entrant("rg-1"), entrant("rg-2")}
		n, skipped, err := carrier.Admit(t.Context(), both, time.Minute)
		if err != nil || n != 2 || skipped != 0 {
			t.Fatalf("admitted %d, skipped %d, %v", n, skipped, err)
		}
		r.counts(map[event.StandState]int{event.StandAdmitted: 2})
	}
	if len(queue.all) != 4 || queue.all[1].After != 30*time.Second {
		t.Errorf("woken %+v", queue.all)
	}
	owner := event.CampaignOwner(fall)
	s, err := r.Wake(t.Context(), "rg-1", owner)
	if err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	if s, err := r.Wake(t.Context(), "rg-2", owner); err != nil || s.Did != workflow.StartPending {
		t.Fatal("a device that is away:", s, err)
	}
	r.expect("no job hears of it", "start")
	r.counts(map[event.StandState]int{event.StandAdmitted: 1, event.StandRunning: 1})
	if s, err := r.Wake(t.Context(), "rg-1", owner); err != nil || s.Did != workflow.StartBegun {
		t.Fatal("woken again:", s, err)
	}

	d := r.load()
	in := event.NewExecutionInput(owner, "rg-1", 1, operation, d.Pending[0].Plan)
	releaser := &workflow.Releaser{Store: r.store, Flows: r.Starter.Flows, Now: func() time.Time { return r.now }}
	for i, want := range []bool{true, false} {
		_, owned, err := releaser.Release(t.Context(), event.FinalizeInput{Input: in})
		if err != nil || owned != want {
			t.Fatalf("release %d: owned %t, %v", i, owned, err)
		}
		r.counts(map[event.StandState]int{event.StandAdmitted: 1, event.StandSucceeded: 1})
	}
	// A late copy of what woke it begins nothing.
	r.must(r.store.PutPending(t.Context(), "rg-1", d.Pending[0]))
	if s, err := r.Wake(t.Context(), "rg-1", owner); err != nil || s.Did != workflow.StartOver {
		t.Fatal("a late copy:", s, err)
	}
	if left := r.store.Residue(); len(left) != 1 || left[0] != "rg-2 PENDING#campaign:fall" {
		t.Errorf("left %q", left)
	}
}

func TestADeviceOfACampaignThatWasStoppedIsHeld(t *testing.T) {
	r, carrier, _ := counting(t)
	r.greeted()
	_, _, err := carrier.Admit(t.Context(), []workflow.Entrant{entrant("rg-1")}, 0)
	r.must(err)
	owner := event.CampaignOwner(fall)
	r.set(owner, event.ControlStopped)
	if s, err := r.Wake(t.Context(), "rg-1", owner); err != nil || s.Did != workflow.StartHeld {
		t.Fatal(s, err)
	}
	r.expect("held", "report campaign:fall REJECTED Campaign.Held")
	r.counts(map[event.StandState]int{event.StandHeld: 1})
	r.clean("held")
	// Once more, when it may.
	if ok, err := carrier.Again(t.Context(), entrant("rg-1"), 1); err != nil || ok {
		t.Fatalf("beyond its last attempt: %t, %v", ok, err)
	}
	if ok, err := carrier.Again(t.Context(), entrant("rg-1"), 2); err != nil || !ok {
		t.Fatalf("again: %t, %v", ok, err)
	}
	r.counts(map[event.StandState]int{event.StandAdmitted: 1})
}

func TestOnlyWhatIsNotAtWorkIsWithdrawn(t *testing.T) {
	r, carrier, _ := counting(t)
	r.greeted()
	_, _, err := carrier.Admit(t.Context(), []workflow.Entrant{entrant("rg-1"), entrant("rg-2")}, 0)
	r.must(err)
	_, err = r.Wake(t.Context(), "rg-1", event.CampaignOwner(fall))
	r.must(err)
	for thing, want := range map[event.ThingName]bool{"rg-1": false, "rg-2": true, "rg-3": false} {
		if ok, err := carrier.Withdraw(t.Context(), thing, fall, event.StandWithdrawn); err != nil || ok != want {
			t.Errorf("%s: %t, %v", thing, ok, err)
		}
	}
	r.counts(map[event.StandState]int{event.StandRunning: 1, event.StandWithdrawn: 1})
}

func TestADeviceThatAnotherHasIsWokenLater(t *testing.T) {
	r, carrier, _ := counting(t)
	r.greeted()
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	_, _, err := carrier.Admit(t.Context(), []workflow.Entrant{entrant("rg-1")}, 0)
	r.must(err)
	if s, err := r.Wake(t.Context(), "rg-1", event.CampaignOwner(fall)); err != nil || s.Did != workflow.StartBusy {
		t.Fatal(s, err)
	}
	due, _, err := r.store.Due(t.Context(), r.now.Truncate(time.Minute).Add(3*time.Minute), 10)
	if err != nil || len(due) != 1 || due[0].Owner != event.CampaignOwner(fall) {
		t.Errorf("due %+v, %v", due, err)
	}
	r.counts(map[event.StandState]int{event.StandAdmitted: 1})
}

// busy is a campaign whose device ends as Device.Busy, which is tried again twice, unless it is final.
func busy(t *testing.T, final bool) (*rig, *workflow.Releaser) {
	r, carrier, _ := counting(t)
	r.greeted()
	e := entrant("rg-1")
	e.Standing.Again = []event.Again{{Error: event.DeviceBusy, Times: 2, Minutes: 30}}
	_, _, err := carrier.Admit(t.Context(), []workflow.Entrant{e}, 0)
	r.must(err)
	flow := r.flow()
	flow.Judge = func(event.FinalizeInput, event.DeviceState) (event.Conclusion, error) {
		return event.Conclusion{Status: event.StatusFailed, Reason: event.DeviceBusy, Final: final}, nil
	}
	flows, err := event.NewFlows(flow)
	r.must(err)
	return r, &workflow.Releaser{Store: r.store, Flows: flows, Now: func() time.Time { return r.now }}
}

// TestAFailureIsTriedAgainByItself: the device waits, and begins its next attempt when its time has come, as often as
// its campaign says.
func TestAFailureIsTriedAgainByItself(t *testing.T) {
	r, releaser := busy(t, false)
	owner := event.CampaignOwner(fall)
	for attempt := int64(1); attempt <= 3; attempt++ {
		if s, err := r.Wake(t.Context(), "rg-1", owner); err != nil || s.Did != workflow.StartBegun {
			t.Fatalf("attempt %d: %v, %v", attempt, s, err)
		}
		r.counts(map[event.StandState]int{event.StandRunning: 1})
		in := event.NewExecutionInput(owner, "rg-1", attempt, operation, event.Plan{Document: doc})
		for range 2 { // a copy changes nothing
			_, _, err := releaser.Release(t.Context(), event.FinalizeInput{Input: in})
			r.must(err)
		}
		if attempt == 3 {
			break
		}
		r.counts(map[event.StandState]int{event.StandWaiting: 1})
		if s, err := r.Wake(t.Context(), "rg-1", owner); err != nil || s.Did != workflow.StartWaiting {
			t.Fatalf("before its time: %v, %v", s, err)
		}
		d := r.load()
		wait := d.Pending[0].NotBefore.Sub(r.now)
		if least := time.Duration(15<<(attempt-1)) * time.Minute; wait < least || wait > 3*least {
			t.Errorf("attempt %d waits %s", attempt+1, wait)
		}
		r.now = d.Pending[0].NotBefore
	}
	r.counts(map[event.StandState]int{event.StandFailed: 1})
	r.clean("after its last attempt")
}

// TestAFinalFailureIsNotTriedAgain: its flow says that it has failed often enough.
func TestAFinalFailureIsNotTriedAgain(t *testing.T) {
	r, releaser := busy(t, true)
	owner := event.CampaignOwner(fall)
	if s, err := r.Wake(t.Context(), "rg-1", owner); err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	in := event.NewExecutionInput(owner, "rg-1", 1, operation, event.Plan{Document: doc})
	_, _, err := releaser.Release(t.Context(), event.FinalizeInput{Input: in})
	r.must(err)
	r.counts(map[event.StandState]int{event.StandFailed: 1})
	r.clean("after it")
}

// TestAStagedDeviceWaitsForItsWave: it is parked before what puts it in danger, begins by nothing that it does itself,
// and goes on in its next lap when its wave lets it. What is no danger it is told at any time.
func TestAStagedDeviceWaitsForItsWave(t *testing.T) {
	r, carrier, queue := counting(t)
	r.greeted()
	r.window = &event.Window{Start: "13:00", End: "15:00"}
	e, owner := entrant("rg-1"), event.CampaignOwner(fall)
	e.Standing.Stage = true
	admit := func(e workflow.Entrant) {
		t.Helper()
		if n, _, err := carrier.Admit(t.Context(), []workflow.Entrant{e}, 0); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	admit(e)
	r.now = r.now.Add(90 * time.Minute)
	wake := func(want workflow.Start) workflow.Started {
		t.Helper()
		s, err := r.Wake(t.Context(), "rg-1", owner)
		if err != nil || s.Did != want {
			t.Fatal(s, err)
		}
		return s
	}
	wake(workflow.StartBegun)
	r.log = nil
	in := event.NewExecutionInput(owner, "rg-1", 1, operation, event.Plan{Document: doc, Window: r.window})
	r.begin = event.Move{Send: "prepare", Once: true, State: memory}
	_, err := r.Await(t.Context(), step(in, second, "tok-1"))
	r.must(err)
	r.begin = event.Move{Send: "reset", Once: true, Danger: true, State: memory}
	_, err = r.Await(t.Context(), step(in, second, "tok-2"))
	r.must(err)
	r.expect("what is no danger is sent", "send rg-1 prepare", "fail tok-2 Next.Park")

	lasts := r.load().Claim.Deadline.Sub(r.load().Claim.ClaimedAt)
	// Also where what it waits for next would be its window.
	p, parked := r.park(in, event.Park{Gated: true, Resume: json.RawMessage(`{"a":1}`)})
	if hints := r.store.Hints(); !parked || len(hints) != 0 || !p.NotBefore.IsZero() {
		t.Fatalf("parked %+v, hints %+v", p, hints)
	}
	r.counts(map[event.StandState]int{event.StandStaged: 1})
	// Whatever it does, and however long it waits.
	r.now = r.now.Add(30*24*time.Hour - time.Hour)
	wake(workflow.StartWaiting)
	if s, err := r.Appear(t.Context(), r.load()); err != nil || len(s) != 1 || s[0].Did != workflow.StartWaiting {
		t.Fatal(s, err)
	}
	if p := r.load().Pending[0]; !p.ExpiresAt.After(r.now) {
		t.Errorf("it waits until %s", p.ExpiresAt)
	}
	r.expect("before its wave")

	queue.all = nil
	r.now = r.now.Add(2 * time.Hour)
	e.Standing.Stage = false
	for _, e.Staged = range []bool{true, false} { // twice is once, and a guess is a guess
		admit(e)
		r.counts(map[event.StandState]int{event.StandAdmitted: 1})
	}
	if len(queue.all) != 2 {
		t.Errorf("woken %+v", queue.all)
	}
	r.running[in.Execution] = false
	if s := wake(workflow.StartBegun); s.Lap != 1 {
		t.Errorf("it goes on as %+v", s)
	}
	if d := r.load(); !d.Claim.Deadline.Equal(r.now.Add(lasts)) {
		t.Errorf("at %s its time is over at %s", r.now, d.Claim.Deadline)
	}
	_, err = r.Await(t.Context(), step(in.InLap(1, nil), second, "tok-3"))
	r.must(err)
	r.expect("with its wave", "start", "send rg-1 reset")
}

// TestADeviceAtItsStageGoesOnWithItsWave: its wave comes while it is at work, or just as it is parked.
func TestADeviceAtItsStageGoesOnWithItsWave(t *testing.T) {
	for _, at := range []string{
		"it is at work", "it is about to be parked", "it is being parked", "it is parked meanwhile",
	} {
		t.Run(at, func(t *testing.T) {
			r, carrier, _ := counting(t)
			r.greeted()
			owner := event.CampaignOwner(fall)
			entrants := []workflow.Entrant{entrant("rg-1"), entrant("rg-2")}
			for i := range entrants {
				entrants[i].Standing.Stage = true
			}
			_, _, err := carrier.Admit(t.Context(), entrants, 0)
			r.must(err)
			_, err = r.Wake(t.Context(), "rg-1", owner)
			r.must(err)
			wave := func() {
				t.Helper()
				for i := range entrants {
					entrants[i].Standing.Stage, entrants[i].Staged = false, true
				}
				n, skipped, err := carrier.Admit(t.Context(), entrants, 0)
				if err != nil || n != 2 || skipped != 0 {
					t.Fatal(n, skipped, err)
				}
			}
			in := event.NewExecutionInput(owner, "rg-1", 1, operation, event.Plan{Document: doc})
			r.begin = event.Move{Send: "reset", Once: true, Danger: true, State: memory}
			r.log = nil
			if at == "it is at work" {
				wave()
				_, err = r.Await(t.Context(), step(in, second, "tok"))
				r.must(err)
				r.expect(at, "send rg-1 reset")
				return
			}
			_, err = r.Await(t.Context(), step(in, second, "tok"))
			r.must(err)
			r.expect(at, "fail tok Next.Park")
			switch at {
			case "it is about to be parked":
				wave()
			case "it is being parked": // between its loading and its writing
				r.store.Before = func(op string) error {
					if op == "Park" {
						r.store.Before = nil
						wave()
					}
					return nil
				}
			case "it is parked meanwhile": // between the wave's looking and its writing
				r.store.Before = func(op string) error {
					if op == "StandAll" {
						r.store.Before = nil
						r.park(in, event.Park{Stage: true})
					}
					return nil
				}
				wave()
				r.counts(map[event.StandState]int{event.StandAdmitted: 2})
				return
			}
			r.park(in, event.Park{Stage: true})
			r.counts(map[event.StandState]int{event.StandAdmitted: 1, event.StandWaiting: 1})
			if hints := r.store.Hints(); !slices.ContainsFunc(hints, func(d workflow.Due) bool {
				return d.Thing == "rg-1"
			}) {
				t.Errorf("nobody wakes it: %+v", hints)
			}
		})
	}
}

// TestTheHighestPriorityBegins on a device that several wait for, whoever was offered or is woken first; the others
// are woken by the clock.
func TestTheHighestPriorityBegins(t *testing.T) {
	owners := map[string]event.Owner{"low": event.CampaignOwner("low"), "high": event.CampaignOwner("high"),
		"job": event.JobOwner("fw-9")}
	for _, c := range []struct {
		name  string
		first func(r *rig) (workflow.Started, error)
	}{
		{"appears", func(r *rig) (workflow.Started, error) {
			all, err := r.Appear(r.t.Context(), r.load())
			if len(all) != 1 {
				r.t.Errorf("began %+v", all)
				return workflow.Started{}, err
			}
			return all[0], err
		}},
		{"is woken for the lowest", func(r *rig) (workflow.Started, error) {
			s, err := r.Wake(r.t.Context(), "rg-1", owners["low"])
			if s.Did != workflow.StartBusy || len(s.Ahead) != 1 {
				r.t.Errorf("the lowest: %+v", s)
				return workflow.Started{}, err
			}
			return s.Ahead[0], err
		}},
		{"is offered to a job", func(r *rig) (workflow.Started, error) {
			s, err := r.Offer(r.t.Context(), "rg-1", owners["job"], 1, doc)
			if s.Did != workflow.StartBusy || len(s.Ahead) != 1 {
				r.t.Errorf("the job: %+v", s)
				return workflow.Started{}, err
			}
			return s.Ahead[0], err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, carrier, _ := counting(t)
			for _, name := range []string{"low", "job", "high"} {
				if name == "job" {
					if _, err := r.Offer(t.Context(), "rg-1", owners[name], 1, doc); err != nil {
						t.Fatal(err)
					}
				} else {
					e := entrant("rg-1")
					e.Standing.Campaign = event.CampaignID(name)
					e.Standing.Priority = map[string]int{"low": 49, "high": 51}[name]
					if _, _, err := carrier.Admit(t.Context(), []workflow.Entrant{e}, 0); err != nil {
						t.Fatal(err)
					}
				}
				r.now = r.now.Add(time.Minute)
			}
			r.greeted()
			s, err := c.first(r)
			if err != nil || s.Did != workflow.StartBegun || s.Owner != owners["high"] {
				t.Fatalf("began %+v, %v", s, err)
			}
			for _, name := range []string{"low", "job"} {
				if s, err := r.Wake(t.Context(), "rg-1", owners[name]); err != nil || s.Did != workflow.StartBusy ||
					len(s.Ahead) > 0 {
					t.Errorf("%s: %+v, %v", name, s, err)
				}
				if w, ok := r.load().Waits(owners[name], workflow.Flags{}, r.now); !ok || w.Behind != "campaign high" {
					t.Errorf("%s waits for %+v", name, w)
				}
			}
			due, _, err := r.store.Due(t.Context(), r.now.Truncate(time.Minute).Add(3*time.Minute), 10)
			if err != nil || len(due) != 2 {
				t.Errorf("the clock wakes %+v, %v", due, err)
			}
		})
	}
}

// TestWhoIsWithdrawnLeavesNoHint: the clock would wake him in his window for nothing, and a campaign that is over has
// messages on their way.
func TestWhoIsWithdrawnLeavesNoHint(t *testing.T) {
	r, carrier, _ := counting(t)
	r.greeted()
	e := entrant("rg-1")
	from := r.now.Add(2 * time.Hour).UTC().Format("15:04")
	e.Window = &event.Window{Start: from, End: r.now.Add(4 * time.Hour).UTC().Format("15:04")}
	_, _, err := carrier.Admit(t.Context(), []workflow.Entrant{e}, 0)
	r.must(err)
	_, err = r.Wake(t.Context(), "rg-1", event.CampaignOwner(fall))
	r.must(err)
	hints := func() (n int) {
		for m := r.now.Truncate(time.Minute); m.Before(r.now.Add(24 * time.Hour)); m = m.Add(time.Minute) {
			due, _, err := r.store.Due(t.Context(), m, 10)
			r.must(err)
			n += len(due)
		}
		return n
	}
	if n := hints(); n != 1 {
		t.Fatalf("%d hints of who waits for a window", n)
	}
	if ok, err := carrier.Withdraw(t.Context(), "rg-1", fall, event.StandWithdrawn); err != nil || !ok {
		t.Fatalf("withdrawn: %t, %v", ok, err)
	}
	if n := hints(); n != 0 {
		t.Errorf("%d hints of who is withdrawn", n)
	}
}
