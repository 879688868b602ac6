package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// A claim whose execution is not to be found may be about to start it; after this
// long it is not.
const startGrace = 5 * time.Minute

// Pending items of devices that never appear go with this.
const pendingLife = 90 * 24 * time.Hour

// Started says what became of a job execution that could be started.
type Started struct {
	Did       string // "started", "pending", "busy", "over", "played"
	Execution string
}

// Offer takes a job execution that AWS IoT says is a device's next: it starts the
// upgrade if the device can be reached, else it leaves a PENDING item. Offering
// twice is offering once.
func (w *Workflow) Offer(ctx context.Context, thing event.ThingName, job event.JobID, number int64, doc event.Document) (Started, error) {
	now := w.Now()
	p := Pending{Job: job, ExecutionNumber: number, Document: doc, At: now, ExpiresAt: now.Add(pendingLife)}
	// Rule 1: PENDING is written before STATE is read.
	if err := w.Store.PutPending(ctx, thing, p); err != nil {
		return Started{}, fmt.Errorf("workflow.Offer: thing %s, job %s: %w", thing, job, err)
	}
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return Started{}, fmt.Errorf("workflow.Offer: thing %s, job %s: %w", thing, job, err)
	}
	if d.State.Reachable() {
		return w.start(ctx, d, p)
	}
	// The same rule between PENDING and the job: whoever cancels it first ends
	// the job execution, then removes PENDING.
	over, err := w.Job.Over(ctx, thing, job, number)
	if err == nil && over {
		err = w.Store.DropPending(ctx, thing, job, number)
	}
	if err != nil {
		return Started{}, fmt.Errorf("workflow.Offer: thing %s, job %s: %w", thing, job, err)
	}
	if over {
		return Started{Did: "over"}, nil
	}
	return Started{Did: "pending"}, nil
}

// Appear starts what is pending for a device that can be reached. d was loaded
// after its presence was written.
func (w *Workflow) Appear(ctx context.Context, d Device) (started []Started, err error) {
	if !d.State.Reachable() || len(d.Pending) == 0 {
		return nil, nil
	}
	// One at a time: the first in order of their offers. The others follow when
	// AWS IoT names them as next.
	first := d.Pending[0]
	for _, p := range d.Pending[1:] {
		if p.At.Before(first.At) {
			first = p
		}
	}
	if d.Claim != nil && d.Claim.Job == first.Job && d.Claim.ExecutionNumber >= first.ExecutionNumber {
		if running, _, err := w.Machine.Running(ctx, d.Claim.Execution); err != nil || running {
			return nil, err
		}
	}
	s, err := w.start(ctx, d, first)
	return []Started{s}, err
}

// start claims the device and starts the execution. Every part may be repeated:
// claim and execution are named by job, thing and execution number.
func (w *Workflow) start(ctx context.Context, d Device, p Pending) (Started, error) {
	const attempts = 4
	for i := 1; ; i++ {
		out, err := w.tryStart(ctx, d, p)
		if !errors.Is(err, ErrClaimed) {
			return out, err
		}
		// The claim changed hands, or was released, since it was read: nobody
		// would come back for PENDING, so look again.
		if i == attempts {
			return out, err
		}
		if d, err = w.Store.Load(ctx, d.Thing); err != nil {
			return out, fmt.Errorf("workflow.start: thing %s, job %s: %w", d.Thing, p.Job, err)
		}
	}
}

func (w *Workflow) tryStart(ctx context.Context, d Device, p Pending) (Started, error) {
	in := event.NewExecutionInput(p.Job, d.Thing, p.ExecutionNumber, p.Document)
	out := Started{Execution: in.Execution}
	fail := func(err error) (Started, error) {
		return out, fmt.Errorf("workflow.start: thing %s, job %s: %w", d.Thing, p.Job, err)
	}
	now := w.Now()
	deadline := now.Add(time.Duration(p.Document.Timeouts.WithDefaults().JobMinutes) * time.Minute)
	claim := Claim{
		Job: p.Job, ExecutionNumber: p.ExecutionNumber, Execution: in.Execution,
		ClaimedAt: now, Deadline: deadline, ExpiresAt: deadline.Add(7 * linger),
	}
	var dead *Claim
	if d.Claim != nil && d.Claim.Execution != in.Execution {
		ok, err := w.takeable(ctx, d)
		if err != nil {
			return fail(err)
		}
		if !ok {
			// PENDING stays; AWS IoT names the job again when the other is over.
			out.Did = "busy"
			return out, nil
		}
		dead = d.Claim
	}
	err := w.Store.Claim(ctx, d.Thing, claim, dead)
	if err != nil {
		return fail(err)
	}
	// First the job, then the execution: if the job is over there is nothing to
	// start, and AWS IoT's timer runs from here on whatever happens to us.
	err = w.Job.Begin(ctx, d.Thing, p.Job, p.ExecutionNumber)
	if errors.Is(err, ErrOver) {
		out.Did = "over"
		return out, w.abandon(ctx, d.Thing, in)
	}
	if err != nil {
		return fail(err)
	}
	err = w.Machine.Start(ctx, in.Execution, in)
	if errors.Is(err, ErrPlayed) {
		out.Did = "played"
		f := event.Failf(event.UpgradeDuplicate, "execution %s is over", in.Execution)
		if err := w.Job.Reject(ctx, d.Thing, p.Job, p.ExecutionNumber, *f); err != nil {
			return fail(err)
		}
		return out, w.abandon(ctx, d.Thing, in)
	}
	if err != nil {
		return fail(err)
	}
	out.Did = "started"
	return out, nil
}

// takeable reports whether the claim of a device is a dead owner's: its execution
// is over, or its job execution is and only the execution does not know yet.
func (w *Workflow) takeable(ctx context.Context, d Device) (bool, error) {
	owner := d.Claim
	running, known, err := w.Machine.Running(ctx, owner.Execution)
	if err != nil {
		return false, err
	}
	if !known {
		return w.Now().Sub(owner.ClaimedAt) > startGrace, nil
	}
	if !running {
		return true, nil
	}
	over, err := w.Job.Over(ctx, d.Thing, owner.Job, owner.ExecutionNumber)
	if err != nil || !over {
		return false, err
	}
	return true, w.Machine.Stop(ctx, owner.Execution, event.Failure{Name: event.JobTimedOut, Detail: "the job execution is over"})
}

// abandon gives back what start took.
func (w *Workflow) abandon(ctx context.Context, thing event.ThingName, in event.ExecutionInput) error {
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return err
	}
	return w.Store.Release(ctx, d, in.Execution, in.JobID, in.ExecutionNumber)
}
