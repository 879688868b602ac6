package workflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Offer is an attempt that its owner says is a device's next.
type Offer struct {
	Owner    event.Owner
	Number   int64
	Document []byte
}

// Find takes the attempt that is next for a device, where nothing of it is known: what
// named it was lost. found is false if there is none.
func (w *Starter) Find(ctx context.Context, thing event.ThingName) (s Started, found bool, err error) {
	next, err := w.Orders.Next(ctx, thing)
	if err != nil {
		return s, false, fmt.Errorf("workflow.Find: thing %s: %w", thing, err)
	}
	if next == nil {
		return s, false, nil
	}
	s, err = w.Offer(ctx, thing, next.Owner, next.Number, next.Document)
	return s, s.Did != StartForeign, err
}

// Recover looks after an attempt that is open and that nobody seems to work on. One
// that was lost is taken; one that waits is started, if it may be; one whose execution
// somebody has stopped is ended; one whose execution is over otherwise is told of, and its
// device is given back where its owner has ended it.
func (w *Starter) Recover(ctx context.Context, thing event.ThingName, owner event.Owner) (Started, error) {
	out := Started{Owner: owner}
	fail := func(err error) (Started, error) {
		return out, fmt.Errorf("workflow.Recover: thing %s, %s: %w", thing, owner, err)
	}
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return fail(err)
	}
	if s, ok := d.standing(owner); owner.Campaign != "" && (d.Claim == nil || ok && !s.State.Over()) {
		return w.recoverCounted(ctx, d, owner)
	}
	if d.Claim == nil {
		if _, waits := d.pending(owner); waits {
			return w.Wake(ctx, thing, owner)
		}
		out, _, err := w.Find(ctx, thing)
		return out, err
	}
	out.Execution = d.Claim.Execution
	t, err := w.takeable(ctx, d)
	switch {
	case errors.Is(err, ErrChanged): // somebody works on it
		return out, nil
	case err != nil:
		return fail(err)
	}
	if t.unreported && t.stopped != nil {
		out.Did = StartStopped
		if err := w.withdraw(ctx, d, stopped(d.Claim.Owner, *t.stopped)); err != nil {
			return fail(err)
		}
		return out, nil
	}
	out.Unreported = t.unreported
	if !t.free || t.unreported {
		// It runs; or it is over without a report, and makes that when it is redriven.
		return out, nil
	}
	return out, w.Store.Release(ctx, d, d.Claim.Execution, d.Claim.Identity())
}

// Open is an attempt that is open, as its owner has it.
type Open struct {
	Thing event.ThingName
	Owner event.Owner
	Since time.Time // of its last change
}

// Backlog lists attempts that are open.
type Backlog interface {
	// Open reads a page of so many at most, from a cursor on, which is "" for the first;
	// next is "" after the last.
	Open(ctx context.Context, cursor string, most int) (page []Open, next string, err error)
}

// SweepPerMinute is how many open attempts the tick looks at in a minute: one call of
// AWS IoT's control plane, which takes ten a second, and one read of the table each. A
// million are looked at within three days, ten thousand within the hour.
const SweepPerMinute = 250

// What was changed within this time may be on its way; what an execution takes for
// longer is looked after, as one of Step Functions may have ended without a word.
const (
	sweepGrace = 5 * time.Minute
	sweepLong  = time.Hour
)

// sweep looks at a page of open attempts, and asks that those which nobody seems to
// work on be looked after. It goes on where the last tick stopped.
func (w *Ticker) sweep(ctx context.Context, lease *Lease, out *Ticked) error {
	page, next, err := w.Backlog.Open(ctx, lease.Sweep, SweepPerMinute)
	if err != nil {
		lease.Sweep = "" // of which the cursor may be too old
		return err
	}
	now := w.Now()
	var lost []Wake
	for _, o := range page {
		if now.Sub(o.Since) < sweepGrace {
			continue
		}
		d, err := w.Store.Load(ctx, o.Thing)
		if err != nil {
			return err
		}
		if !d.attended(o.Owner, now) {
			after := time.Duration(len(lost)) * time.Minute / SweepPerMinute
			lost = append(lost, Wake{Thing: o.Thing, Owner: o.Owner, Lost: true, After: after.Truncate(time.Second)})
		}
	}
	if err := w.Waker.Wake(ctx, lost); err != nil {
		return err
	}
	lease.Sweep, out.Lost = next, len(lost)
	return nil
}

// attended reports whether an open attempt is worked on, as far as the table says: it
// waits for its device or for its time, or an execution has the device.
func (d Device) attended(owner event.Owner, now time.Time) bool {
	if d.Claim != nil {
		return d.Claim.Owner != owner || now.Sub(d.Claim.ClaimedAt) < sweepLong && now.Before(d.Claim.Deadline)
	}
	p, waits := d.pending(owner)
	switch {
	case !waits:
		return false
	case p.Gated || !p.NotBefore.IsZero():
		return now.Sub(p.NotBefore) < sweepLong || !d.State.Reachable()
	}
	return !d.State.Reachable() || now.Sub(p.At) < sweepLong
}

// pace lets so much through in a second: for what asks a service whose rate is all
// that an account has.
type pace struct {
	perSecond float64
	burst     float64

	mu   sync.Mutex
	left float64
	at   time.Time
}

func (p *pace) allows(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		p.left = p.burst
	} else {
		p.left = min(p.burst, p.left+now.Sub(p.at).Seconds()*p.perSecond)
	}
	p.at = now
	if p.left < 1 {
		return false
	}
	p.left--
	return true
}
