package workflow

import (
	"context"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/event"
)

// EnderPorts are what an Ender needs.
type EnderPorts struct {
	Store   Store
	Machine Machine
	Orders  Orders
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

// Release gives a device back at the end of its execution, and says what was
// known of it then. Releasing twice is releasing once.
func Release(ctx context.Context, store Store, in event.ExecutionInput) (Device, error) {
	d, err := store.Load(ctx, in.ThingName)
	if err == nil {
		err = store.Release(ctx, d, in.Execution, in.Owner, in.ExecutionNumber)
	}
	if err != nil {
		return d, fmt.Errorf("workflow.Release: thing %s, %s: %w", in.ThingName, in.Owner, err)
	}
	return d, nil
}

// End is for an attempt that its owner has ended: cancelled, timed out, or
// removed. It stops the execution that works on it, if there is one, and removes
// everything of the two. An owner may not say which of its attempts it ended
// (AWS IoT's events carry no execution number), so the attempt that owns the device
// is ended only if this very attempt is over: another may have begun meanwhile.
func (w *Ender) End(ctx context.Context, thing event.ThingName, owner event.Owner, why event.Failure) (ended Ended, err error) {
	fail := func(err error) (Ended, error) {
		return ended, fmt.Errorf("workflow.End: thing %s, %s: %w", thing, owner, err)
	}
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return fail(err)
	}
	for _, p := range d.Pending {
		if p.Owner != owner {
			continue
		}
		over, err := w.Orders.Over(ctx, thing, owner, p.ExecutionNumber)
		if err != nil {
			return fail(err)
		}
		if over {
			ended.Pending = true
			if err := w.Store.DropPending(ctx, thing, owner, p.ExecutionNumber); err != nil {
				return fail(err)
			}
		}
	}
	if d.Claim == nil || d.Claim.Owner != owner {
		return ended, nil
	}
	over, err := w.Orders.Over(ctx, thing, owner, d.Claim.ExecutionNumber)
	if err != nil {
		return fail(err)
	}
	if !over {
		return ended, nil
	}
	// Stopping first: what the execution's functions still register fails
	// without the claim, and nothing starts anew, since the attempt is over.
	if err := w.Machine.Stop(ctx, d.Claim.Operation, d.Claim.Execution, why); err != nil {
		return fail(err)
	}
	if err := w.Store.Release(ctx, d, d.Claim.Execution, owner, d.Claim.ExecutionNumber); err != nil {
		return fail(err)
	}
	ended.Execution, ended.Operation = true, d.Claim.Operation
	return ended, nil
}
