package workflow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

func (r *rig) set(owner event.Owner, state event.ControlState) {
	r.t.Helper()
	c := workflow.Controller{Controls: r.store, Now: func() time.Time { return r.now }}
	_, _, err := c.Set(context.Background(), owner, state, "me", "because")
	r.must(err)
}

func TestWhatIsPausedDoesNotBegin(t *testing.T) {
	for name, whose := range map[string]event.Owner{"its owner": fw2, "everything": workflow.Everyone} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.greeted()
			r.set(whose, event.ControlPaused)
			s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc)
			if err != nil || s.Did != workflow.StartPaused {
				t.Fatal(s, err)
			}
			// Its device appears: the same.
			if s, err := r.Appear(t.Context(), r.load()); err != nil || len(s) != 1 ||
				s[0].Did != workflow.StartPaused {
				t.Fatal(s, err)
			}
			r.expect("while it is paused")
			if d := r.load(); d.Claim != nil || len(d.Pending) != 1 {
				t.Errorf("left %+v", d)
			}
			if k := r.store.Knocked(whose)["rg-1"]; k.Owner != fw2 {
				t.Errorf("knocked: %+v", r.store.Knocked(whose))
			}
			r.set(whose, event.ControlRunning)
			if s, err := r.Appear(t.Context(), r.load()); err != nil || len(s) != 1 ||
				s[0].Did != workflow.StartBegun {
				t.Fatal(s, err)
			}
			r.expect("after it was resumed", "begin", "start")
		})
	}
}

// TestAFlagThatIsLiftedInThisMomentIsSeen: the pause is lifted, and those who
// knocked are read, before the knock is written. Nobody would come back for it.
func TestAFlagThatIsLiftedInThisMomentIsSeen(t *testing.T) {
	r := newRig(t)
	r.greeted()
	r.set(fw2, event.ControlPaused)
	r.store.Before = func(op string) error {
		if op == "Knock" {
			r.store.Before = nil
			r.set(fw2, event.ControlRunning)
		}
		return nil
	}
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
}

func TestAnAttemptWhoseOwnerIsOverIsHeldBeforeItBegins(t *testing.T) {
	r := newRig(t)
	r.greeted()
	r.set(workflow.Everyone, event.ControlPaused) // which nothing of it waits for
	r.set(fw2, event.ControlStopped)
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartHeld {
		t.Fatal(s, err)
	}
	r.expect("held", "reject Job.Held", "report fw-2 REJECTED Job.Held")
	r.clean("held")
}

// TestALateOfferDoesNotKeepADevice: its execution has given the device back, and is about to report.
func TestALateOfferDoesNotKeepADevice(t *testing.T) {
	r, in := owned(t)
	r.now = r.now.Add(time.Minute)
	_, _, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in})
	r.must(err)
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
		t.Errorf("offered late, it is %+v, %v", s, err)
	}
	r.clean("after the late offer")
	for _, e := range r.told {
		if e.ID != r.told[0].ID {
			t.Errorf("announced: %+v, which is no copy of %+v", e, r.told[0])
		}
	}
}

// TestARepeatedStartKeepsItsDevice: whoever started the execution did not come to say so.
func TestARepeatedStartKeepsItsDevice(t *testing.T) {
	r, in := owned(t)
	r.now = r.now.Add(time.Minute)
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
		t.Errorf("offered again, it is %+v, %v", s, err)
	}
	if d := r.load(); d.Claim == nil || d.Claim.Execution != in.Execution {
		t.Errorf("the claim is %+v", d.Claim)
	}
}

// TestAnAttemptThatIsAboutToReportIsNotHeld: it has given its device back when a late copy of what
// named it comes, and its owner is over.
func TestAnAttemptThatIsAboutToReportIsNotHeld(t *testing.T) {
	r, in := owned(t)
	_, _, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in})
	r.must(err)
	r.set(fw2, event.ControlStopped)
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun ||
		s.Execution != in.Execution {
		t.Errorf("offered late, it is %+v, %v", s, err)
	}
	r.expect("the late offer")
	r.clean("after the late offer")
}

func TestACommandIsNotSentForAnOwnerThatIsOver(t *testing.T) {
	command := event.Move{Send: "reset", Once: true, State: memory}
	for _, c := range []struct {
		name string
		step event.Step
		move event.Move
		want []string
	}{
		{"a command of a gate", second, command, []string{"fail tok Job.Held"}},
		{"a question of a gate", second, event.Move{Send: "look", State: memory}, []string{"send rg-1 look"}},
		{"a command of a step that is no gate", third, command, []string{"send rg-1 reset"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := owned(t)
			r.set(fw2, event.ControlStopped)
			r.begin = c.move
			_, err := r.Await(t.Context(), step(in, c.step, "tok"))
			r.must(err)
			r.expect("when the step begins", c.want...)

			r, in = owned(t)
			r.begin = event.Move{State: memory}
			_, err = r.Await(t.Context(), step(in, c.step, "tok"))
			r.must(err)
			r.set(fw2, event.ControlStopped)
			r.says[event.KindBooted] = c.move
			_, err = r.Deliver(t.Context(), r.load(), booted, nothing)
			r.must(err)
			r.expect("when the device has news", c.want...)
		})
	}
}

// TestAPauseHoldsWhatHasBegun: before a command of a gate, and before nothing else. It
// is parked, and goes on when it is resumed.
func TestAPauseHoldsWhatHasBegun(t *testing.T) {
	command := event.Move{Send: "reset", Once: true, State: memory}
	for _, c := range []struct {
		name  string
		whose event.Owner
		step  event.Step
		move  event.Move
		want  []string
		parks bool
	}{
		{"a command of a gate", fw2, second, command, []string{"fail tok Next.Park"}, true},
		{"a command of a gate, by the flag of everything", workflow.Everyone, second, command,
			[]string{"fail tok Next.Park"}, true},
		{"a question of a gate", fw2, second, event.Move{Send: "look", State: memory}, []string{"send rg-1 look"},
			false},
		{"a command of a step that is no gate", fw2, third, command, []string{"send rg-1 reset"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := owned(t)
			r.set(c.whose, event.ControlPaused)
			r.begin = c.move
			_, err := r.Await(t.Context(), step(in, c.step, "tok"))
			r.must(err)
			r.expect("when the step begins", c.want...)
			r.knocks("when the step begins", c.whose, c.parks)

			r, in = owned(t)
			r.begin = event.Move{State: memory}
			_, err = r.Await(t.Context(), step(in, c.step, "tok"))
			r.must(err)
			r.set(c.whose, event.ControlPaused)
			r.says[event.KindBooted] = c.move
			_, err = r.Deliver(t.Context(), r.load(), booted, nothing)
			r.must(err)
			r.expect("when the device has news", c.want...)
			r.knocks("when the device has news", c.whose, c.parks)
		})
	}
}

// knocks holds a flag to whether the thing has knocked at it.
func (r *rig) knocks(when string, whose event.Owner, want bool) {
	r.t.Helper()
	if k, knocked := r.store.Knocked(whose)["rg-1"]; knocked != want || want && k.Owner != fw2 {
		r.t.Errorf("%s: who knocked: %+v", when, r.store.Knocked(whose))
	}
}

// TestWhatIsHeldAtAGateIsWokenWhenItsPauseIsLifted, long before the clock would look at
// it by itself.
func TestWhatIsHeldAtAGateIsWokenWhenItsPauseIsLifted(t *testing.T) {
	r, in := owned(t)
	r.set(fw2, event.ControlPaused)
	r.begin = event.Move{Send: "reset", Once: true, State: memory}
	_, err := r.Await(t.Context(), step(in, second, "tok"))
	r.must(err)
	r.expect("held", "fail tok Next.Park")
	if _, parked := r.park(in, event.Park{}); !parked {
		t.Fatal("not parked")
	}
	r.set(fw2, event.ControlRunning)
	if woken := r.wakes(time.Minute); len(woken) != 1 || woken[0].Thing != "rg-1" || woken[0].Owner != fw2 {
		t.Fatalf("the next tick wakes %+v", woken)
	}
	r.wake(workflow.StartBegun)
}

// TestAGateIsReadAgainAfterTheKnock: the flag is changed in between.
func TestAGateIsReadAgainAfterTheKnock(t *testing.T) {
	for state, want := range map[event.ControlState]string{
		event.ControlRunning: "send rg-1 reset", event.ControlStopped: "fail tok Job.Held",
	} {
		t.Run(string(state), func(t *testing.T) {
			r, in := owned(t)
			r.set(fw2, event.ControlPaused)
			r.store.Before = func(op string) error {
				if op == "Knock" {
					r.store.Before = nil
					r.set(fw2, state)
				}
				return nil
			}
			r.begin = event.Move{Send: "reset", Once: true, State: memory}
			_, err := r.Await(t.Context(), step(in, second, "tok"))
			r.must(err)
			r.expect("after the knock", want)
		})
	}
}

func TestFlagsAreSetOnce(t *testing.T) {
	r := newRig(t)
	c := workflow.Controller{Controls: r.store, Now: func() time.Time { return r.now }}
	for i, want := range []struct {
		state   event.ControlState
		changed bool
		err     error
	}{
		{event.ControlRunning, false, nil}, {event.ControlPaused, true, nil}, {event.ControlPaused, false, nil},
		{event.ControlRunning, true, nil}, {event.ControlStopped, true, nil}, {event.ControlStopped, false, nil},
		{event.ControlRunning, false, workflow.ErrStopped}, {event.ControlPaused, false, workflow.ErrStopped},
	} {
		_, changed, err := c.Set(t.Context(), fw2, want.state, "me", "because")
		if changed != want.changed || !errors.Is(err, want.err) {
			t.Errorf("%d: %s: changed %t, %v", i, want.state, changed, err)
		}
	}
	// Of an owner that is over the first reason stays, but for the last one.
	var why string
	for _, set := range []struct {
		by      func(context.Context, event.Owner, string, string) (workflow.Control, bool, error)
		why     string
		changed bool
		want    string
	}{
		{c.Stop, "it is being deleted", false, "because"}, {c.Last, "it is gone", true, "it is gone"},
		{c.Last, "it is gone", false, "it is gone"}, {c.Stop, "it is being deleted", false, "it is gone"},
	} {
		now, changed, err := set.by(t.Context(), fw2, "me", set.why)
		why = now.Why
		if err != nil || changed != set.changed || why != set.want || now.State != event.ControlStopped {
			t.Errorf("%s: %+v, changed %t, %v", set.why, now, changed, err)
		}
	}
	// Somebody else writes in between.
	r.store.Before = func(op string) error {
		if op == "SetFlag" {
			r.store.Before = nil
			r.set(workflow.Everyone, event.ControlPaused)
		}
		return nil
	}
	if now, changed, err := c.Set(t.Context(), workflow.Everyone, event.ControlPaused, "you", "also"); err != nil ||
		changed || now.Who != "me" {
		t.Errorf("in between: %+v, %t, %v", now, changed, err)
	}
}

// TestAnAttemptAtWorkIsNotRejectedByACopyOfItsOffer: its job is over, and the copy
// of what named it comes late.
func TestAnAttemptAtWorkIsNotRejectedByACopyOfItsOffer(t *testing.T) {
	r, _ := owned(t)
	r.set(fw2, event.ControlStopped)
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	r.expect("it is at work")
	if r.load().Claim == nil {
		t.Error("it lost its device")
	}
}
