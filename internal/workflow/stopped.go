package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Stop is an execution that was stopped from outside.
type Stop struct {
	Thing     event.ThingName
	Owner     event.Owner
	Execution string // its name
}

// Stops lists executions that were stopped from outside.
type Stops interface {
	// StoppedSince lists those that were stopped since a time: of each operation MostStops, and not those
	// that began long before others that were stopped.
	StoppedSince(ctx context.Context, since time.Time) ([]Stop, error)
}

// MostStops is how many stopped executions of an operation are looked at in a minute. Each is a DescribeExecution, of
// which a new account has 10 a second.
const MostStops = 100

// stopsWithin is longer than the time between two ticks, one of which may be late.
const stopsWithin = 3 * time.Minute

// stops asks that attempts be ended whose executions somebody has stopped, and not we. One that it does not see, the
// sweep finds.
func (w *Ticker) stops(ctx context.Context, out *Ticked) error {
	all, err := w.Stops.StoppedSince(ctx, w.Now().Add(-stopsWithin))
	if err != nil {
		return err
	}
	var lost []Wake
	for _, s := range all {
		d, err := w.Store.Load(ctx, s.Thing)
		if err != nil {
			return err
		}
		if c := d.Claim; c == nil || c.Execution != s.Execution || c.Ending != nil {
			continue // it was given back, or is about to be
		}
		lost = append(lost, Wake{Thing: s.Thing, Owner: s.Owner, Lost: true})
	}
	if err := w.Waker.Wake(ctx, lost); err != nil {
		return err
	}
	out.Stopped = len(lost)
	return nil
}

// withdraw ends an attempt whose execution somebody has stopped: as its owner would have ended it. Its owner hears of
// it before the device is given back, so that nobody starts it again.
func (w *Starter) withdraw(ctx context.Context, d Device, why event.Failure) error {
	claim := *d.Claim
	c := w.closer()
	if _, err := c.close(ctx, d, why); err != nil {
		return err
	}
	err := w.Orders.Cancel(ctx, d.Thing, claim.Owner, claim.ExecutionNumber, why)
	if err != nil && !errors.Is(err, ErrOver) {
		return fmt.Errorf("%s: %w", claim.Owner, err)
	}
	return c.release(ctx, d.Thing, claim)
}

// stopped is how an attempt ends whose execution somebody has stopped.
func stopped(owner event.Owner, told event.Failure) event.Failure {
	f := event.Failure{Name: event.JobCanceled, Detail: "its execution was stopped"}
	if owner.Campaign != "" {
		f.Name = event.CampaignHeld
	}
	if told.Name != "" {
		f.Detail += ": " + string(told.Name)
	}
	if told.Detail != "" {
		f.Detail += ": " + told.Detail
	}
	return f
}
