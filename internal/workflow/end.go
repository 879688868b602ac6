package workflow

import (
	"context"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Release gives a device back at the end of its execution, and says what was
// known of it then. Releasing twice is releasing once.
func (w *Workflow) Release(ctx context.Context, in event.ExecutionInput) (Device, error) {
	d, err := w.Store.Load(ctx, in.ThingName)
	if err == nil {
		err = w.Store.Release(ctx, d, in.Execution, in.JobID, in.ExecutionNumber)
	}
	if err != nil {
		return d, fmt.Errorf("workflow.Release: thing %s, job %s: %w", in.ThingName, in.JobID, err)
	}
	return d, nil
}

// End is for a job execution that AWS IoT has ended: cancelled, timed out, or
// removed. It stops the execution that works on it, if there is one, and removes
// everything of the two. AWS IoT's events carry no execution number, so the
// attempt that owns the device is ended only if AWS IoT says that this very
// attempt is over: a retry of the same job may have begun meanwhile.
func (w *Workflow) End(ctx context.Context, thing event.ThingName, job event.JobID, why event.Failure) (ended string, err error) {
	fail := func(err error) (string, error) {
		return ended, fmt.Errorf("workflow.End: thing %s, job %s: %w", thing, job, err)
	}
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return fail(err)
	}
	for _, p := range d.Pending {
		if p.Job != job {
			continue
		}
		over, err := w.Job.Over(ctx, thing, job, p.ExecutionNumber)
		if err != nil {
			return fail(err)
		}
		if over {
			ended = "pending"
			if err := w.Store.DropPending(ctx, thing, job, p.ExecutionNumber); err != nil {
				return fail(err)
			}
		}
	}
	if d.Claim == nil || d.Claim.Job != job {
		return ended, nil
	}
	over, err := w.Job.Over(ctx, thing, job, d.Claim.ExecutionNumber)
	if err != nil {
		return fail(err)
	}
	if !over {
		return ended, nil
	}
	// Stopping first: what the execution's functions still register fails
	// without the claim, and nothing starts anew, since the job is over.
	if err := w.Machine.Stop(ctx, d.Claim.Execution, why); err != nil {
		return fail(err)
	}
	if err := w.Store.Release(ctx, d, d.Claim.Execution, job, d.Claim.ExecutionNumber); err != nil {
		return fail(err)
	}
	return "execution", nil
}
