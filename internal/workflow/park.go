package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Due is a hint that an attempt may begin in a minute. Its PENDING decides: a hint
// that comes twice, late or for nothing does no harm.
type Due struct {
	At    time.Time
	Thing event.ThingName
	Owner event.Owner
}

// dueAhead is how far from the minute it is written in the minute of a hint lies at
// least. The tick of a minute reads the hints of the next one: those who write may be
// slow, or have a slow clock, by a minute.
const dueAhead = 3 * time.Minute

// due is the hint for a PENDING.
func (p Pending) due(thing event.ThingName, now time.Time) Due {
	at := now.Truncate(time.Minute).Add(dueAhead)
	if p.NotBefore.After(at) {
		at = p.NotBefore
	}
	return Due{At: at, Thing: thing, Owner: p.Owner}
}

// gate sets when an attempt that begins in its window only may begin: now if the
// window is open, else at the device's own point of the next one.
func (p *Pending) gate(d Device, now time.Time) {
	opens, closes := p.Plan.Window.Of(d.State).Next(now)
	p.NotBefore, p.NotAfter = time.Time{}, closes
	if opens.After(now) {
		p.NotBefore = point(d.Thing, opens, closes)
	}
}

// waits reports whether an attempt waits for its time, and when the clock is to look
// again. One whose window has closed waits for the next, unless it is in that by now.
func (p *Pending) waits(d Device, now time.Time) (bool, Due) {
	if !p.Gated || p.Plan.Window == nil {
		return now.Before(p.NotBefore), p.due(d.Thing, now)
	}
	if !now.Before(p.NotAfter) {
		p.gate(d, now)
	}
	return now.Before(p.NotBefore), p.due(d.Thing, now)
}

// What is left at the end of a window of which no device has its point: the time that
// a device needs from its beginning to its command.
const mostMargin = 5 * time.Minute

// point is the minute of a window in which a device begins, so that a fleet begins
// evenly over it: the same each day. The tick spreads those of a minute over its
// seconds.
func point(thing event.ThingName, opens, closes time.Time) time.Time {
	length := closes.Sub(opens)
	margin := min(length/10, mostMargin)
	if length >= 2*time.Minute {
		margin = max(margin, time.Minute) // those of the last minute are spread over it
	}
	length -= margin
	sum := sha256.Sum256([]byte(thing))
	into := time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(length))
	at := opens.Add(into).Truncate(time.Minute)
	if at.Before(opens) {
		at = opens
	}
	return at.UTC()
}

// Parker parks attempts at the end of their executions.
type Parker struct {
	Store Store
	Now   func() time.Time
}

// Park gives a device back at the end of an execution whose attempt goes on later: in
// one transaction the claim and all of the execution go, and PENDING and the hint for
// the tick come. Parking twice is parking once. parked is false if the execution did
// not own the device any more: it was parked before, or somebody else has ended the
// attempt. ErrEnding if somebody is just about to.
func (w *Parker) Park(ctx context.Context, in event.ExecutionInput, park event.Park) (p Pending, parked bool,
	err error) {
	fail := func(err error) (Pending, bool, error) {
		return p, false, fmt.Errorf("workflow.Park: thing %s, %s: %w", in.ThingName, in.Owner, err)
	}
	for range closeAttempts {
		d, err := w.Store.Load(ctx, in.ThingName)
		if err != nil {
			return fail(err)
		}
		now := w.Now()
		switch {
		case d.Claim == nil || d.Claim.Execution != in.Execution:
			return p, false, nil
		case d.Claim.foreign("", now):
			return fail(ErrEnding)
		}
		p = Pending{
			Owner: in.Owner, ExecutionNumber: in.ExecutionNumber, Lap: in.Lap + 1, Operation: in.Operation,
			Plan: event.Plan{Document: in.Document, Timeouts: in.Timeouts, Window: in.Window},
			At:   now, Deadline: d.Claim.Deadline, ExpiresAt: d.Claim.Deadline.Add(7 * linger), Resume: park.Resume,
			Looks: park.Looks,
		}
		if in.Owner.Campaign != "" {
			// No timer of a campaign runs on: its next lap has all its time, whenever that is.
			p.Plan.Lasts, p.Deadline = d.Claim.Deadline.Sub(d.Claim.ClaimedAt), time.Time{}
			p.ExpiresAt = now.Add(pendingLife)
		}
		due := p.due(in.ThingName, now)
		p.Gated = park.Gated && in.Window != nil
		state := event.StandWaiting
		s, stands := d.standing(in.Owner)
		switch {
		case stands && s.Stage && (park.Stage || park.Gated):
			// Its wave lets it go on; then the window is looked at.
			state, due = event.StandStaged, Due{}
		case park.Stage: // it has, meanwhile
		case p.Gated:
			p.gate(d, now)
			due = p.due(in.ThingName, now)
		case park.Seconds > 0:
			p.NotBefore = now.Add(time.Duration(park.Seconds) * time.Second)
			due = p.due(in.ThingName, now)
		}
		if !p.Looks { // else it runs on, as far as anybody counts
			d.Shift = d.shift(in.Owner, in.ExecutionNumber, state, "", now)
		}
		err = w.Store.Park(ctx, d, in.Execution, p, due)
		if err == nil {
			return p, true, nil
		}
		if !errors.Is(err, ErrChanged) {
			return fail(err)
		}
	}
	return fail(ErrChanged)
}
