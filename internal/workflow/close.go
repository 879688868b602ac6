package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Reports tells the world of ends that no execution reports: of attempts that were
// ended from outside while they ran, and of those that never ran.
type Reports interface {
	// Report tells of an end. What is told twice is the same.
	Report(ctx context.Context, e End) error
}

// End is an attempt's end.
type End struct {
	Thing           event.ThingName
	Owner           event.Owner
	ExecutionNumber int64
	Operation       event.Operation
	Status          event.JobStatus
	Why             event.Failure
	// Unreported is set where an execution had come to its end and reported nothing.
	Unreported bool
}

// Ending says who is at ending an execution from outside, and since when.
type Ending struct {
	By string // one invocation of a function, and its repetitions
	At time.Time
}

// Who began to end an execution and was not heard of for so long has died of it.
const endingGrace = 2 * time.Minute

// ErrEnding: somebody else is about to end the execution; look again in a minute.
var ErrEnding = errors.New("somebody else is about to end the execution")

// foreign reports whether somebody else is at ending the execution of a claim.
func (c Claim) foreign(by string, now time.Time) bool {
	return c.Ending != nil && c.Ending.By != by && now.Sub(c.Ending.At) < endingGrace
}

func (c *Claim) endedBy() string {
	if c == nil || c.Ending == nil {
		return ""
	}
	return c.Ending.By
}

// SameEnding reports whether two looks at a claim saw the same one at ending it.
func SameEnding(a, b *Claim) bool {
	return a.endedBy() == b.endedBy()
}

// closer ends from outside an execution whose attempt is over.
type closer struct {
	store   Store
	machine Machine
	reports Reports
	now     func() time.Time
	who     func(context.Context) string
}

// close takes the end of a device's execution upon itself, stops the execution, and
// reports. The claim stays, for the caller to release or to take over. Whoever wrote
// first into the claim that he ends it does all of this; others get ErrEnding, and
// Finalize too, which has nothing to report then. Repeating it repeats the report.
// ErrChanged if the claim is not as it was read.
func (c closer) close(ctx context.Context, d Device, why event.Failure) (End, error) {
	claim, by, now := *d.Claim, c.who(ctx), c.now()
	end := End{
		Thing: d.Thing, Owner: claim.Owner, ExecutionNumber: claim.ExecutionNumber, Operation: claim.Operation,
		Status: why.Name.Status(), Why: why,
	}
	if claim.foreign(by, now) {
		return end, fmt.Errorf("execution %s, %s: %w", claim.Execution, claim.Ending.By, ErrEnding)
	}
	if claim.endedBy() != by {
		if err := c.store.End(ctx, d.Thing, claim, Ending{By: by, At: now}); err != nil {
			return end, err
		}
	}
	x, err := c.machine.Look(ctx, claim.Operation, claim.Execution)
	if err != nil {
		return end, err
	}
	// One that was stopped, by who wrote that he ends it or by somebody else, had no occasion to report.
	end.Unreported = x.Known && !x.Running && claim.Ending == nil && x.Stopped == nil
	// Stopping first: what the execution's functions still register fails without
	// the claim, and nothing starts anew, since the attempt is over.
	if err := c.machine.Stop(ctx, claim.Operation, claim.Execution, why); err != nil {
		return end, err
	}
	return end, c.reports.Report(ctx, end)
}

// release gives back a device whose execution was closed. Who takes it over
// meanwhile has it.
func (c closer) release(ctx context.Context, thing event.ThingName, closed Claim) error {
	return c.releaseAs(ctx, thing, closed, nil)
}

// releaseAs is release of a device that somebody counts: shift says where it stands then. Where
// somebody else ends it, or has it, by now, it stays as it is.
func (c closer) releaseAs(ctx context.Context, thing event.ThingName, closed Claim, shift func(Device) *event.Shift,
) error {
	by := c.who(ctx)
	for i := 1; ; i++ {
		d, err := c.store.Load(ctx, thing)
		if err != nil {
			return err
		}
		if shift != nil {
			if d.Claim == nil || d.Claim.Execution != closed.Execution || d.Claim.endedBy() != by {
				return nil
			}
			d.Shift = shift(d)
		}
		err = c.store.Release(ctx, d, closed.Execution, closed.Identity())
		if !errors.Is(err, ErrChanged) || i == closeAttempts {
			return err
		}
	}
}

// reportPending reports the end of an attempt that its owner has ended while it was
// parked. PENDING stays, for the caller to remove.
func (c closer) reportPending(ctx context.Context, thing event.ThingName, p Pending, why event.Failure) error {
	if err := c.takePending(ctx, thing, p); err != nil {
		return err
	}
	return c.reports.Report(ctx, End{
		Thing: thing, Owner: p.Owner, ExecutionNumber: p.ExecutionNumber, Operation: p.Operation,
		Status: why.Name.Status(), Why: why,
	})
}

// takePending takes the report of the end of a parked attempt upon itself. Whoever
// wrote first into PENDING that he reports it does so; others get ErrEnding.
func (c closer) takePending(ctx context.Context, thing event.ThingName, p Pending) error {
	by, now := c.who(ctx), c.now()
	switch {
	case p.Ending == nil:
	case p.Ending.By == by:
		return nil
	case now.Sub(p.Ending.At) < endingGrace:
		return fmt.Errorf("attempt %d of %s, %s: %w", p.ExecutionNumber, p.Owner, p.Ending.By, ErrEnding)
	}
	err := c.store.EndPending(ctx, thing, p, Ending{By: by, At: now})
	if errors.Is(err, ErrChanged) {
		err = fmt.Errorf("attempt %d of %s: %w", p.ExecutionNumber, p.Owner, ErrEnding)
	}
	return err
}
