package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Wake asks that an attempt of a device be started if it can be, a while from now.
type Wake struct {
	Thing event.ThingName
	Owner event.Owner
	After time.Duration // up to 15 minutes
	Lost  bool          // nobody seems to work on it: Starter.Recover, not Wake
}

// Waker puts Wakes into the queue of Starter.Wake. Some may be there although an
// error is returned; twice is harmless.
type Waker interface {
	Wake(ctx context.Context, wakes []Wake) error
}

// Lease is the right to be the only tick for a while.
type Lease struct {
	Holder string
	Until  time.Time
	Fence  int64 // rises with each lease: what an earlier holder still writes is refused
	// Minute is the last one whose hints are done; zero before the first.
	Minute time.Time
	// Served is the last time of the clock that a tick came to the end of; zero before the first.
	Served time.Time
	// Where the next tick goes on: to look at open attempts, and to receive arrivals.
	Sweep, Arrivals string
}

// ErrLeased: another tick is at work. ErrServed: this one, or a later one, has been at work.
var (
	ErrLeased = errors.New("another tick is at work")
	ErrServed = errors.New("the minute is served")
)

// Ticks keeps what the tick alone decides.
type Ticks interface {
	// Lease takes the lease for holder, until then; ErrLeased while another has it.
	Lease(ctx context.Context, holder string, now, until time.Time) (Lease, error)
	// Keep keeps the Minute, Served, Sweep and Arrivals of a lease that goes on; ErrLeased if it is another's by now.
	Keep(ctx context.Context, l Lease) error
	// Return gives a lease back, and keeps its Minute, Served, Sweep and Arrivals; one that is
	// another's by now is no error.
	Return(ctx context.Context, l Lease) error
	// Lifted lists the flags that were lifted and at which somebody may have
	// knocked. A flag that holds again is not among them.
	Lifted(ctx context.Context) ([]Lifted, error)
	// Knocks reads up to so many of those who knocked at a flag; more is false if
	// these are all.
	Knocks(ctx context.Context, whose event.Owner, most int) (knocks []Knock, more bool, err error)
	// Answer removes a knock, unless it was repeated since it was read.
	Answer(ctx context.Context, whose event.Owner, k Knock) error
	// Forget removes a flag from those that were lifted, unless it was lifted anew.
	Forget(ctx context.Context, l Lifted) error
	// Arrivals reads up to so many arrivals, from a cursor of before on, or "": each once,
	// round and round. next is where the following ones begin.
	Arrivals(ctx context.Context, after string, most int) (found []Arrival, next string, err error)
	// Admitted removes an arrival, unless it was written anew since it was read.
	Admitted(ctx context.Context, a Arrival) error
	// Due reads up to so many hints of a minute; more is false if these are all.
	Due(ctx context.Context, minute time.Time, most int) (due []Due, more bool, err error)
	// Done removes hints.
	Done(ctx context.Context, due []Due) error
}

// Lifted is a flag that was lifted.
type Lifted struct {
	Whose event.Owner
	Rev   int64 // of the flag
}

// StartsPerMinute is how many attempts the tick wakes in a minute. It leaves most of
// Step Functions' StartExecution and of AWS IoT's 200 UpdateJobExecution a second to
// those that begin by themselves.
const StartsPerMinute = 1000

// DuePerMinute is how many parked attempts the tick wakes in a minute. Each tells AWS
// IoT once of its end: half of 200 UpdateJobExecution a second. Where more are due in
// a minute, those beyond are moved to the next one.
const DuePerMinute = 6000

// mostMinutes is how many minutes a tick catches up on after a standstill, minutesAtOnce after how many it notes how
// far it has come.
const (
	mostMinutes   = 60
	minutesAtOnce = 2
	// elsewhere is the golden part of a minute: so many rounds as there may be begin far from each other.
	elsewhere = 37082 * time.Millisecond
)

// tickLasts is longer than the tick's function may run, and shorter than a minute.
const tickLasts = 55 * time.Second

// TickerPorts are what a Ticker needs.
type TickerPorts struct {
	Ticks    Ticks
	Controls Controls
	Waker    Waker
	Store    Store
	Backlog  Backlog
	Stops    Stops
	Now      func() time.Time
	// ArrivalsPerMinute is how many of the devices that have appeared are received in a
	// minute; 0 is none.
	ArrivalsPerMinute int
}

// Ticker does what is done by the clock, once a minute.
type Ticker struct {
	TickerPorts
	// Also is done by the same tick, under its lease; nil is nothing.
	Also func(context.Context) error
}

// NewTicker checks that nothing is missing.
func NewTicker(p TickerPorts) (*Ticker, error) {
	if err := complete("workflow.Ticker", p); err != nil {
		return nil, err
	}
	return &Ticker{TickerPorts: p}, nil
}

// Ticked says what a tick has done.
type Ticked struct {
	Woken   int // those who had knocked
	Due     int // those whose time had come
	Lost    int // those on which nobody seemed to work
	Stopped int // those whose execution somebody stopped
	Arrived int // those who had appeared
}

// Tick does the work of one minute, which the clock calls for at the time at, or somebody by hand if that is zero.
// ErrLeased if another does it, ErrServed if another did: the clock calls at least once, and twice as many may not
// begin in a minute. A part that fails does not keep the others from being done; the next tick does it. What was done
// is not done again by that, or is harmless twice.
func (w *Ticker) Tick(ctx context.Context, holder string, at time.Time) (out Ticked, err error) {
	now := w.Now()
	lease, err := w.Ticks.Lease(ctx, holder, now, now.Add(tickLasts))
	if err != nil {
		return out, fmt.Errorf("workflow.Tick: %w", err)
	}
	if !at.IsZero() {
		if !at.After(lease.Served) {
			return out, fmt.Errorf("workflow.Tick: %s: %w", at, errors.Join(ErrServed, w.Ticks.Return(ctx, lease)))
		}
		lease.Served = at
	}
	errs := []error{w.drain(ctx, &out), w.due(ctx, &lease, &out), w.sweep(ctx, &lease, &out), w.stops(ctx, &out),
		w.receive(ctx, &lease, &out)}
	if w.Also != nil {
		errs = append(errs, w.Also(ctx))
	}
	errs = append(errs, w.Ticks.Return(ctx, lease))
	if err := errors.Join(errs...); err != nil {
		return out, fmt.Errorf("workflow.Tick: %w", err)
	}
	return out, nil
}

// drain wakes those who knocked at flags that were lifted, evenly over the minute.
func (w *Ticker) drain(ctx context.Context, out *Ticked) error {
	lifted, err := w.Ticks.Lifted(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range lifted {
		if out.Woken >= StartsPerMinute {
			break // the next minute
		}
		errs = append(errs, w.drainOne(ctx, l, out))
	}
	return errors.Join(errs...)
}

func (w *Ticker) drainOne(ctx context.Context, l Lifted, out *Ticked) error {
	flags, err := w.Controls.Flags(ctx, l.Whose)
	if err != nil {
		return err
	}
	now := flags.Owner
	if l.Whose == Everyone {
		now = flags.Everyone
	}
	if now.State == event.ControlPaused {
		return w.Ticks.Forget(ctx, l) // paused again: they wait for the next time
	}
	knocks, more, err := w.Ticks.Knocks(ctx, l.Whose, StartsPerMinute-out.Woken)
	if err != nil {
		return err
	}
	wakes := make([]Wake, len(knocks))
	for i, k := range knocks {
		at := time.Duration(out.Woken+i) * time.Minute / StartsPerMinute
		wakes[i] = Wake{Thing: k.Thing, Owner: k.Owner, After: at.Truncate(time.Second)}
	}
	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return err
	}
	out.Woken += len(knocks)
	for _, k := range knocks {
		if err := w.Ticks.Answer(ctx, l.Whose, k); err != nil {
			return err
		}
	}
	if more {
		return nil
	}
	return w.Ticks.Forget(ctx, l)
}

// due wakes those whose time comes in the next minute, evenly over its seconds. What is left of minutes before comes
// first, some minutes at a time: a tick that ends on the way has not read them in vain.
func (w *Ticker) due(ctx context.Context, lease *Lease, out *Ticked) error {
	now := w.Now()
	next := now.Truncate(time.Minute).Add(time.Minute)
	if lease.Minute.IsZero() {
		lease.Minute = next.Add(-dueAhead) // nobody has written an earlier one
	}
	for n := 0; n < mostMinutes && lease.Minute.Before(next); n += minutesAtOnce {
		if n > 0 {
			if err := w.Ticks.Keep(ctx, *lease); err != nil {
				return err
			}
		}
		more, err := w.wakeDue(ctx, lease, next, next.Sub(now), n/minutesAtOnce, out)
		if err != nil || more {
			return err
		}
	}
	return nil
}

// wakeDue wakes those who are due in the minutes that follow the lease's, next at the latest. more is whether there
// are others, whom the next tick wakes. Each round of a tick begins elsewhere in the minute: not all of them have
// their first in one second.
func (w *Ticker) wakeDue(ctx context.Context, lease *Lease, next time.Time, wait time.Duration, round int,
	out *Ticked) (more bool, err error) {
	done := lease.Minute
	var hints []Due
	for n := 0; n < minutesAtOnce && !more && done.Before(next); n++ {
		var found []Due
		found, more, err = w.Ticks.Due(ctx, done.Add(time.Minute), DuePerMinute-out.Due-len(hints))
		if err != nil {
			return false, err
		}
		if hints = append(hints, found...); !more {
			done = done.Add(time.Minute)
		}
	}
	wakes := make([]Wake, len(hints))
	for i, h := range hints {
		at := (time.Duration(i)*time.Minute/time.Duration(len(hints)) + time.Duration(round)*elsewhere) % time.Minute
		wakes[i] = Wake{Thing: h.Thing, Owner: h.Owner, After: ceilSecond(wait) + at.Truncate(time.Second)}
	}
	if err := w.Waker.Wake(ctx, wakes); err != nil {
		return false, err
	}
	if err := w.Ticks.Done(ctx, hints); err != nil {
		return false, err
	}
	lease.Minute, out.Due = done, out.Due+len(hints)
	return more, nil
}

// ceilSecond is whole seconds, which a queue's delay has, and not too early.
func ceilSecond(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
