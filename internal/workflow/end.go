package workflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Releaser gives devices back.
type Releaser struct {
	Store Store
	Flows event.Flows
	Now   func() time.Time
}

// Release gives a device back at the end of its execution, notes what its flow has
// learnt of it, and says what is known of it then. Releasing twice is releasing once.
// owned is false if the execution did not own the device any more: then it was
// released before, or somebody else has ended the attempt, and reported that.
// ErrEnding if somebody is just about to.
func (w *Releaser) Release(ctx context.Context, end event.FinalizeInput) (d Device, owned bool, err error) {
	in := end.Input
	fail := func(err error) (Device, bool, error) {
		return d, false, fmt.Errorf("workflow.Release: thing %s, %s: %w", in.ThingName, in.Owner, err)
	}
	flow, _ := w.Flows.Find(in.Operation)
	for range closeAttempts {
		if d, err = w.Store.Load(ctx, in.ThingName); err != nil {
			return fail(err)
		}
		owned = d.Claim != nil && d.Claim.Execution == in.Execution
		// Whoever was at ending it for longer has died of it: the execution runs, and
		// reports for itself.
		if owned && d.Claim.foreign("", w.Now()) {
			return fail(ErrEnding)
		}
		if flow.Learn != nil {
			d.Learnt = fresh(d.State.Facts, flow.Learn(end, d.State))
		}
		var final bool
		if d.Shift, final, err = w.shift(end, d, owned); err != nil {
			return fail(err)
		}
		var again *Pending
		if !final {
			if again, err = w.again(d, in); err != nil {
				return fail(err)
			}
		}
		if again != nil {
			err = w.Store.Park(ctx, d, in.Execution, *again, again.due(d.Thing, w.Now()))
		} else {
			err = w.Store.Release(ctx, d, in.Execution, attemptOf(in))
		}
		if !errors.Is(err, ErrChanged) {
			break
		}
	}
	if err != nil {
		return fail(err)
	}
	if len(d.Learnt) > 0 {
		facts := make(map[string]string, len(d.State.Facts)+len(d.Learnt))
		maps.Copy(facts, d.State.Facts)
		maps.Copy(facts, d.Learnt)
		d.State.Facts = facts
	}
	return d, owned, nil
}

// again is the next attempt of a device that has failed, where its campaign tries that again:
// it waits outside of executions until its time. Then d's Shift says so.
func (w *Releaser) again(d Device, in event.ExecutionInput) (*Pending, error) {
	if d.Shift == nil || d.Shift.To.State != event.StandFailed || d.Claim == nil || d.Claim.Execution != in.Execution {
		return nil, nil
	}
	after, ok := d.Shift.From.Tries(d.Thing, d.Shift.To.Error)
	if !ok {
		return nil, nil
	}
	flow, ok := w.Flows.Find(in.Operation)
	if !ok {
		return nil, fmt.Errorf("no flow is called %q", in.Operation)
	}
	plan, err := flow.Plan(in.Document)
	if err != nil {
		return nil, err
	}
	plan.Window = in.Window
	now := w.Now()
	later := now.Add(after)
	p := Pending{
		Owner: in.Owner, ExecutionNumber: in.ExecutionNumber + 1, Operation: in.Operation, Plan: plan, At: now,
		ExpiresAt: now.Add(pendingLife), Gated: plan.Window != nil && (plan.WindowStarts || flow.Hold == nil),
	}
	if p.Gated {
		p.gate(d, later)
	}
	if p.NotBefore.Before(later) {
		p.NotBefore = later
	}
	to := d.Shift.From.In(event.StandWaiting, "", now)
	to.Attempt++
	d.Shift.To = to
	return &p, nil
}

// shift is where the device of a campaign stands at the end of its execution. One that
// was taken from its execution is at its end all the same, unless it is parked. final says
// that it is not tried again.
func (w *Releaser) shift(end event.FinalizeInput, d Device, owned bool) (to *event.Shift, final bool, err error) {
	in := end.Input
	s, ok := d.standing(in.Owner)
	// Its campaign took it for lost (recoverCounted), and its execution was redriven.
	found := end.Redrives > 0 && s.Attempt == in.ExecutionNumber && s.Place() == event.Place{Wave: s.Wave,
		State: event.StandFailed, Error: event.ControllerFailed}
	if !ok || !owned && s.State != event.StandRunning && !found {
		return nil, false, nil
	}
	if _, waits := d.pending(in.Owner); waits && !owned {
		return nil, false, nil
	}
	flow, ok := w.Flows.Find(in.Operation)
	if !ok {
		return nil, false, fmt.Errorf("no flow is called %q", in.Operation)
	}
	c, err := flow.Judge(end, d.State)
	if err != nil {
		return nil, false, err
	}
	state, name := stands(c.Status, c.Reason)
	if found {
		if to := s.In(state, name, w.Now()); to.Place() != s.Place() {
			return &event.Shift{From: &s, To: to}, c.Final, nil
		}
	}
	return d.shift(in.Owner, in.ExecutionNumber, state, name, w.Now()), c.Final, nil
}

// fresh are the facts that are not known yet.
func fresh(known, learnt map[string]string) map[string]string {
	var out map[string]string
	for name, fact := range learnt {
		if have, ok := known[name]; ok && have == fact || !ok && fact == "" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = fact
	}
	return out
}

// closeAttempts is how often a claim that changes is looked at again.
const closeAttempts = 5

// EnderPorts are what an Ender needs.
type EnderPorts struct {
	Store   Store
	Machine Machine
	Orders  Orders
	Reports Reports
	Now     func() time.Time
	// Who names an invocation, the same for its repetitions.
	Who func(context.Context) string
}

// Ender ends executions whose owner has ended them.
type Ender struct{ EnderPorts }

// NewEnder checks that nothing is missing.
func NewEnder(p EnderPorts) (*Ender, error) {
	if err := complete("workflow.Ender", p); err != nil {
		return nil, err
	}
	return &Ender{p}, nil
}

// Ended says what was ended.
type Ended struct {
	Pending   bool            // an attempt that waited for its device
	Execution bool            // one that was at work
	Operation event.Operation // with Execution: which
}

// End is for an attempt that its owner has ended: cancelled, timed out, or
// removed. It stops the execution that works on it, if there is one, reports its
// end, and removes everything of the two; one that is parked is reported as well. What never began
// is nobody's to report. An owner may not say which of its attempts it ended (AWS IoT's events
// carry no execution number), so the attempt that owns the device is ended only if this very
// attempt is over: another may have begun meanwhile.
func (w *Ender) End(ctx context.Context, thing event.ThingName, owner event.Owner, why event.Failure) (ended Ended,
	err error) {
	fail := func(err error) (Ended, error) {
		return ended, fmt.Errorf("workflow.End: thing %s, %s: %w", thing, owner, err)
	}
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return fail(err)
	}
	c := closer{w.Store, w.Machine, w.Reports, w.Now, w.Who}
	if p, ok := d.pending(owner); ok {
		over, err := w.Orders.Over(ctx, thing, owner, p.ExecutionNumber)
		if err != nil {
			return fail(err)
		}
		if over != nil {
			ended.Pending = true
			if p.Parked() { // it has begun
				if err := c.reportPending(ctx, thing, p, why); err != nil {
					return fail(err)
				}
			}
			if p.Parked() && d.Claim != nil && d.Claim.Identity() == p.Identity() {
				// It was just to go on, and is reported.
				if err := w.Machine.Stop(ctx, d.Claim.Operation, d.Claim.Execution, why); err != nil {
					return fail(err)
				}
				ended.Execution, ended.Operation = true, d.Claim.Operation
				if err := c.release(ctx, thing, *d.Claim); err != nil {
					return fail(err)
				}
				return ended, nil
			}
			if err := w.Store.DropPending(ctx, thing, p.Identity()); err != nil {
				return fail(err)
			}
		}
	}
	for i := 1; d.Claim != nil && d.Claim.Owner == owner; i++ {
		over, err := w.Orders.Over(ctx, thing, owner, d.Claim.ExecutionNumber)
		if err != nil {
			return fail(err)
		}
		if over == nil {
			return ended, nil
		}
		end, err := c.close(ctx, d, why)
		if errors.Is(err, ErrChanged) && i < closeAttempts {
			if d, err = w.Store.Load(ctx, thing); err != nil {
				return fail(err)
			}
			continue
		}
		if err != nil {
			return fail(err)
		}
		ended.Execution, ended.Operation = true, end.Operation
		if err := c.release(ctx, thing, *d.Claim); err != nil {
			return fail(err)
		}
		return ended, nil
	}
	return ended, nil
}
