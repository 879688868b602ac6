package workflow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// atWork is a rig whose device a campaign has at work.
func atWork(t *testing.T) (*rig, event.ExecutionInput) {
	t.Helper()
	r, carrier, _ := counting(t)
	r.greeted()
	_, _, err := carrier.Admit(t.Context(), []workflow.Entrant{entrant("rg-1")}, 0)
	r.must(err)
	owner := event.CampaignOwner(fall)
	if s, err := r.Wake(t.Context(), "rg-1", owner); err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	r.log, r.name = nil, "first"
	return r, event.NewExecutionInput(owner, "rg-1", 1, operation, event.Plan{Document: doc})
}

// steps has the device's execution begin a step, after which it may be in danger.
func (r *rig) steps(in event.ExecutionInput, token event.TaskToken, danger bool) {
	r.t.Helper()
	r.begin = event.Move{Send: "look", Danger: danger, State: memory}
	_, err := r.Await(r.t.Context(), step(in, second, token))
	r.must(err)
	r.log = nil
}

func (r *rig) recover(want workflow.Start) workflow.Started {
	r.t.Helper()
	s, err := r.Recover(r.t.Context(), "rg-1", event.CampaignOwner(fall))
	if err != nil || s.Did != want {
		r.t.Fatalf("looked after: %+v, %v, want %s", s, err, want)
	}
	return s
}

// TestACampaignCountsWhatEndedWithoutAReport: as a failure that is ours, and once.
func TestACampaignCountsWhatEndedWithoutAReport(t *testing.T) {
	failed := map[event.StandState]int{event.StandFailed: 1}
	report := "report campaign:fall CANCELED Controller.Failed unreported"
	for _, c := range []struct {
		name   string
		before func(r *rig, in event.ExecutionInput)
		want   workflow.Start
		counts map[event.StandState]int
		does   []string
	}{
		{"it runs", func(*rig, event.ExecutionInput) {}, workflow.StartBegun,
			map[event.StandState]int{event.StandRunning: 1}, nil},
		{"it is over", func(r *rig, in event.ExecutionInput) { r.running[in.Execution] = false }, workflow.StartOver,
			failed, []string{"stop Controller.Failed", report}},
		{"somebody has stopped it", func(r *rig, in event.ExecutionInput) {
			r.running[in.Execution] = false
			r.aborted = map[string]*event.Failure{in.Execution: {Name: "Console", Detail: "by hand"}}
		}, workflow.StartStopped, map[event.StandState]int{event.StandHeld: 1}, []string{"stop Campaign.Held",
			"report campaign:fall REJECTED Campaign.Held"}},
		{"it is over in danger", func(r *rig, in event.ExecutionInput) {
			r.steps(in, "tok", true)
			r.running[in.Execution] = false
		}, workflow.StartOver, failed, []string{"stop Controller.Failed", report}},
		{"it was never begun", func(r *rig, in event.ExecutionInput) { delete(r.running, in.Execution) },
			workflow.StartBegun, map[event.StandState]int{event.StandRunning: 1}, []string{"start"}},
		{"it has reported", func(r *rig, in event.ExecutionInput) {
			_, _, err := r.releaser().Release(r.t.Context(), event.FinalizeInput{Input: in})
			r.must(err)
			r.running[in.Execution] = false
		}, workflow.StartForeign, map[event.StandState]int{event.StandSucceeded: 1}, nil},
		{"it is parked", func(r *rig, in event.ExecutionInput) { r.park(in, event.Park{Seconds: 3600}) },
			workflow.StartWaiting, map[event.StandState]int{event.StandWaiting: 1}, nil},
		{"it is parked to look again", func(r *rig, in event.ExecutionInput) {
			r.park(in, event.Park{Seconds: 3600, Looks: true})
		}, workflow.StartWaiting, map[event.StandState]int{event.StandRunning: 1}, nil},
		{"its claim is gone", func(r *rig, in event.ExecutionInput) {
			r.steps(in, "tok", false)
			d := r.load()
			r.must(r.store.Release(r.t.Context(), d, in.Execution, d.Claim.Identity()))
			r.running[in.Execution] = false
		}, workflow.StartOver, failed, nil},
		{"another has taken the device", func(r *rig, in event.ExecutionInput) {
			r.running[in.Execution] = false
			if s, err := r.Offer(r.t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
				r.t.Fatal(s, err)
			}
			r.expect("who takes it closes it", "stop Controller.Failed", report, "begin", "start")
		}, workflow.StartForeign, failed, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := atWork(t)
			c.before(r, in)
			r.now = r.now.Add(10 * time.Minute)
			s := r.recover(c.want)
			r.expect(c.name, c.does...)
			r.counts(c.counts)
			if s.Unreported != (c.want == workflow.StartOver) {
				t.Errorf("%+v", s)
			}
			if c.want != workflow.StartOver {
				return
			}
			if n, err := r.store.InDanger(t.Context(), fall, 1); err != nil || n != 0 {
				t.Errorf("%d in danger, %v", n, err)
			}
			r.clean(c.name)
			r.recover(workflow.StartForeign)
			r.expect("again")
			// A redrive reports the truth, and what it does after that is nothing new.
			for range 2 {
				end := event.FinalizeInput{Input: in, Redrives: 1}
				if _, owned, err := r.releaser().Release(t.Context(), end); err != nil || owned {
					t.Fatal(owned, err)
				}
				r.counts(map[event.StandState]int{event.StandSucceeded: 1})
			}
		})
	}
}

// TestAnAbortEndsWhatIsInNoDanger: what is in danger is followed to its end. However it was interrupted before.
func TestAnAbortEndsWhatIsInNoDanger(t *testing.T) {
	held := map[event.StandState]int{event.StandHeld: 1}
	runs := map[event.StandState]int{event.StandRunning: 1}
	report := "report campaign:fall REJECTED Campaign.Held"
	for _, c := range []struct {
		name    string
		state   event.ControlState
		danger  bool
		dies    string // a request of the table
		instead []string
		want    workflow.Start
		counts  map[event.StandState]int
		does    []string
	}{
		{"aborted", event.ControlStopped, false, "", nil, workflow.StartHeld, held,
			[]string{"stop Campaign.Held", report}},
		{"aborted, in danger", event.ControlStopped, true, "", nil, workflow.StartBegun, runs, nil},
		{"only paused", event.ControlPaused, false, "", nil, workflow.StartBegun, runs, nil},
		{"it died before it wrote that it ends it", event.ControlStopped, false, "End", nil, workflow.StartHeld, held,
			[]string{"stop Campaign.Held", report}},
		{"it died before it counted it", event.ControlStopped, false, "Release",
			[]string{"stop Campaign.Held", report}, workflow.StartHeld, held, []string{"stop Campaign.Held", report}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := atWork(t)
			r.steps(in, "tok", c.danger)
			r.set(in.Owner, c.state)
			if c.dies != "" {
				r.store.Before = func(op string) error {
					if op == c.dies {
						return errCrash
					}
					return nil
				}
				if _, err := r.Recover(t.Context(), "rg-1", in.Owner); !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				r.store.Before = nil
				r.expect("before it died", c.instead...)
				r.now, r.name = r.now.Add(10*time.Minute), "second"
			}
			s := r.recover(c.want)
			r.expect(c.name, c.does...)
			r.counts(c.counts)
			if s.Unreported {
				t.Errorf("%+v", s)
			}
			if c.want != workflow.StartBegun {
				r.clean(c.name)
			}
		})
	}
}

// TestAnAbortAndACommandMeet: at whichever request of one the other comes between, either the command is not sent, or
// the execution is followed to its end.
func TestAnAbortAndACommandMeet(t *testing.T) {
	command := event.Move{Send: "reset", Once: true, Danger: true, State: memory}
	ways := map[string]func(r *rig, in event.ExecutionInput) error{
		"a step begins with it": func(r *rig, in event.ExecutionInput) error {
			r.begin = command
			_, err := r.Await(t.Context(), step(in, second, "tok"))
			return err
		},
		"news leads to it": func(r *rig, _ event.ExecutionInput) error {
			r.says[event.KindBooted] = command
			_, err := r.Deliver(t.Context(), r.load(), booted, nothing)
			return err
		},
	}
	for name, way := range ways {
		for _, inner := range []string{"abort", "command"} {
			for at, done := 0, false; !done; at++ {
				r, in := atWork(t)
				if name == "news leads to it" {
					r.begin = event.Move{State: memory}
					_, err := r.Await(t.Context(), step(in, second, "early"))
					r.must(err)
				}
				r.log = nil
				abort := func() {
					r.set(in.Owner, event.ControlStopped)
					if _, err := r.Recover(t.Context(), "rg-1", in.Owner); err != nil && !errors.Is(err,
						workflow.ErrEnding) {
						t.Fatal(err)
					}
				}
				send := func() {
					if err := way(r, in); err != nil && !errors.Is(err, workflow.ErrGone) {
						t.Fatal(err)
					}
				}
				outside, inside := send, abort
				if inner == "command" {
					outside, inside = abort, send
				}
				n := 0
				done = true
				r.store.Before = func(string) error {
					if n++; n == at+1 {
						r.store.Before, done = nil, false
						inside()
					}
					return nil
				}
				outside()
				r.store.Before = nil
				sent, stopped := false, false
				for _, line := range r.log {
					sent, stopped = sent || line == "send rg-1 reset", stopped || line == "stop Campaign.Held"
				}
				if sent && stopped {
					t.Errorf("%s, %s within request %d: %q", name, inner, at, r.log)
				}
				if at > 30 {
					t.Fatal("no end")
				}
			}
		}
	}
}

// TestAnAbortIsSeenByWhoMarksADevice: its flag was read before the abort, and it is marked after the abort has looked
// for the mark.
func TestAnAbortIsSeenByWhoMarksADevice(t *testing.T) {
	r, in := atWork(t)
	r.begin = event.Move{State: memory}
	_, err := r.Await(t.Context(), step(in, second, "early"))
	r.must(err)
	r.log = nil
	r.says[event.KindBooted] = event.Move{Send: "reset", Once: true, Danger: true, State: memory}
	looked, told, over := make(chan bool), make(chan bool), make(chan error, 1)
	begun := false
	r.store.Before = func(op string) error {
		switch {
		case op == "Stand" && !begun:
			begun = true
			go func() {
				r.set(in.Owner, event.ControlStopped)
				_, err := r.Recover(t.Context(), "rg-1", in.Owner)
				over <- err
			}()
			<-looked
		case op == "End":
			close(looked)
			<-told
		}
		return nil
	}
	_, err = r.Deliver(t.Context(), r.load(), booted, nothing)
	r.must(err)
	r.expect("told", "fail early Campaign.Held")
	close(told)
	r.must(<-over)
	r.counts(map[event.StandState]int{event.StandHeld: 1})
}
