package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Arrival is a device that has appeared, and to which the operation that nobody asks for
// (event.Flow's Wants) is to be done.
type Arrival struct {
	Thing event.ThingName
	At    time.Time // when it was written last
}

// arrived notes that a device is to have done to it what nobody asks for. The clock has
// it begun, so many in a minute: a whole fleet may appear at once. What is noted stays
// until the clock has seen it, and the device says that it is there again at its next
// greeting, as long as it lacks what it wants.
func (w *Inbox) arrived(ctx context.Context, d Device, ev event.DeviceEvent) error {
	flow, ok := w.Flows.Unasked()
	if !ok || !w.Arrivals {
		return nil
	}
	learnt, wanted := flow.Wants(d.State, ev)
	if !wanted {
		return nil
	}
	a := Arrival{Thing: d.Thing, At: w.Now()}
	if err := w.Store.Arrive(ctx, a, fresh(d.State.Facts, learnt)); err != nil {
		return fmt.Errorf("workflow.arrived: thing %s: %w", d.Thing, err)
	}
	return nil
}

// receive begins what an arrival wants, if it still does. A device that is away says so
// at its next greeting; one that something is done to is left for a later minute.
func (w *Starter) receive(ctx context.Context, d Device) (Started, error) {
	owner, now := event.ArrivalOwner(), w.Now()
	out := Started{Owner: owner}
	fail := func(err error) (Started, error) {
		return out, fmt.Errorf("workflow.receive: thing %s: %w", d.Thing, err)
	}
	flow, ok := w.Flows.Unasked()
	if !ok || !d.State.Reachable() {
		return out, nil
	}
	if _, wanted := flow.Wants(d.State, event.DeviceEvent{At: now}); !wanted {
		return out, nil
	}
	plan, err := flow.Plan(nil)
	if err != nil {
		return fail(err)
	}
	out, err = w.start(ctx, d, Pending{
		// No two attempts have a name in common; the claim keeps two from being at work.
		Owner: owner, ExecutionNumber: now.UnixMilli(), Operation: flow.Operation, Plan: plan, At: now,
	})
	if err == nil && (out.Did == StartBusy || out.Did == StartPlayed) {
		err = w.Store.Arrive(ctx, Arrival{Thing: d.Thing, At: now}, nil)
	}
	if err != nil {
		return fail(err)
	}
	return out, nil
}

// yields takes a device from the execution of an arrival, for an attempt that somebody
// has asked for. What it was about is done later: first that is noted, so that nobody is
// forgotten, then the execution is stopped. What it has asked of the device does no harm.
func (w *Starter) yields(ctx context.Context, d Device, to event.Owner) error {
	if err := w.Store.Arrive(ctx, Arrival{Thing: d.Thing, At: w.Now()}, nil); err != nil {
		return err
	}
	return w.Machine.Stop(ctx, d.Claim.Operation, d.Claim.Execution,
		*event.Failf(event.DeviceBusy, "%s has the device now", to))
}

// mostArrivals is how many arrivals a tick reads at most, whatever it was told.
const mostArrivals = 3000

// receive has those begun who have arrived, at the rate that the stack allows, evenly
// over the minute. It goes on where the last tick stopped, so that nobody who is left
// again and again keeps others from their turn.
func (w *Ticker) receive(ctx context.Context, lease *Lease, out *Ticked) error {
	rate := min(w.ArrivalsPerMinute, mostArrivals)
	if rate <= 0 {
		return nil
	}
	found, next, err := w.Ticks.Arrivals(ctx, lease.Arrivals, rate)
	if err != nil {
		lease.Arrivals = ""
		return err
	}
	wakes := make([]Wake, len(found))
	for i, a := range found {
		at := time.Duration(i) * time.Minute / time.Duration(rate)
		wakes[i] = Wake{Thing: a.Thing, Owner: event.ArrivalOwner(), After: at.Truncate(time.Second)}
	}
	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return err
	}
	lease.Arrivals, out.Arrived = next, len(found)
	var errs []error
	for _, a := range found {
		errs = append(errs, w.Ticks.Admitted(ctx, a))
	}
	return errors.Join(errs...)
}
