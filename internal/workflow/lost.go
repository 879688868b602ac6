package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// LookAfter has devices of a campaign looked at that count as at work, evenly over a time (Starter.Recover).
func (c *Carrier) LookAfter(ctx context.Context, id event.CampaignID, things []event.ThingName, over time.Duration,
) error {
	wakes := make([]Wake, len(things))
	for i, thing := range things {
		after := over * time.Duration(i) / time.Duration(len(things))
		wakes[i] = Wake{Thing: thing, Owner: event.CampaignOwner(id), Lost: true, After: after.Truncate(time.Second)}
	}
	if err := c.Waker.Wake(ctx, wakes); err != nil {
		return fmt.Errorf("workflow.LookAfter: campaign %s: %w", id, err)
	}
	return nil
}

// recoverCounted is Recover of a campaign's device that counts as at work:
//
//   - Its campaign was stopped, and it is in no danger: its execution is stopped, and it ends as held. One
//     in danger is followed to its end, since nobody else would see what it runs.
//   - Its execution came to its end without a report, or is gone: it ends as failed by what is ours,
//     so that the campaign counts it. A redrive of the execution reports the truth after that. One
//     that somebody has stopped ends as held.
//   - It waits, or nobody began what it was to do: it is started, if it may be.
func (w *Starter) recoverCounted(ctx context.Context, d Device, owner event.Owner) (Started, error) {
	out := Started{Owner: owner}
	fail := func(err error) (Started, error) {
		return out, fmt.Errorf("workflow.Recover: thing %s, %s: %w", d.Thing, owner, err)
	}
	s, ok := d.standing(owner)
	_, waits := d.pending(owner)
	switch {
	case d.Claim == nil || d.Claim.Owner != owner:
		if !ok || s.State != event.StandRunning {
			if waits {
				return w.Wake(ctx, d.Thing, owner)
			}
			return out, nil
		}
		if waits { // parked to look once more, or another has the device for now
			return w.Wake(ctx, d.Thing, owner)
		}
		out.Did, out.Unreported = StartOver, true
		to := s.In(event.StandFailed, event.ControllerFailed, w.Now())
		err := w.Store.Stand(ctx, d.Thing, event.Shift{From: &s, To: to}, nil)
		if errors.Is(err, ErrChanged) {
			return Started{Owner: owner}, nil // somebody works on it
		}
		if err != nil {
			return fail(err)
		}
		return out, nil
	}
	out.Execution, out.Lap = d.Claim.Execution, d.Claim.Lap
	x, err := w.Machine.Look(ctx, d.Claim.Operation, d.Claim.Execution)
	switch {
	case err != nil:
		return fail(err)
	case x.Running:
		return w.cancel(ctx, d, out)
	case !x.Known || d.parked():
		if waits {
			return w.Wake(ctx, d.Thing, owner)
		}
		if !x.Known && w.Now().Sub(d.Claim.ClaimedAt) <= startGrace {
			return out, nil
		}
	}
	if err := w.bury(ctx, d, x, &out); err != nil {
		return fail(err)
	}
	return out, nil
}

// bury ends the attempt of a campaign's device whose execution is over and has not reported.
func (w *Starter) bury(ctx context.Context, d Device, x ExecutionStatus, out *Started) error {
	owner := d.Claim.Owner
	if d.Claim.Ending != nil { // who was about to cancel it did not come to count it
		flags, err := w.Controls.Flags(ctx, owner)
		if err != nil {
			return err
		}
		if flags.Owner.State == event.ControlStopped {
			out.Did = StartHeld
			return w.conclude(ctx, d, event.StandHeld, cancelled(owner, flags.Owner), out)
		}
	}
	if x.Stopped != nil {
		out.Did = StartStopped
		return w.conclude(ctx, d, event.StandHeld, stopped(owner, *x.Stopped), out)
	}
	out.Did = StartOver
	why := event.Failf(event.ControllerFailed, "execution %s came to its end, and has not reported", d.Claim.Execution)
	return w.conclude(ctx, d, event.StandFailed, *why, out)
}

func cancelled(owner event.Owner, flag Control) event.Failure {
	return *event.Failf(owner.Held(), "%s ended (%s) before the device was in danger", owner, flag.Why)
}

// cancel ends the execution of a device whose campaign was stopped, unless it is in danger. The same rule
// as between KNOCK and CONTROL: whoever puts it in danger marks it first and reads the flag after; here the
// flag is read first.
func (w *Starter) cancel(ctx context.Context, d Device, out Started) (Started, error) {
	owner, thing := out.Owner, d.Thing
	fail := func(err error) (Started, error) {
		return out, fmt.Errorf("workflow.Recover: thing %s, %s: %w", thing, owner, err)
	}
	out.Did = StartBegun
	flags, err := w.Controls.Flags(ctx, owner)
	if err != nil {
		return fail(err)
	}
	if flags.Owner.State != event.ControlStopped {
		return out, nil
	}
	if d, err = w.Store.Load(ctx, thing); err != nil {
		return fail(err)
	}
	s, ok := d.standing(owner)
	if !ok || s.State != event.StandRunning || s.Danger || d.Claim == nil || d.Claim.Execution != out.Execution {
		return out, nil
	}
	out.Did = StartHeld
	if err := w.conclude(ctx, d, event.StandHeld, cancelled(owner, flags.Owner), &out); err != nil {
		return fail(err)
	}
	return out, nil
}

// conclude closes the execution of a device that its campaign counts, and gives the device back. Who is
// changed meanwhile is looked at another time.
func (w *Starter) conclude(ctx context.Context, d Device, state event.StandState, why event.Failure, out *Started,
) error {
	c, closed := w.closer(), *d.Claim
	end, err := c.close(ctx, d, why)
	if errors.Is(err, ErrChanged) {
		out.Did = StartBegun // it goes on: what it was about to do is looked at first
		return nil
	}
	if err != nil {
		return err
	}
	out.Unreported = end.Unreported
	return c.releaseAs(ctx, d.Thing, closed, func(d Device) *event.Shift {
		return d.shift(closed.Owner, closed.ExecutionNumber, state, why.Name, w.Now())
	})
}
