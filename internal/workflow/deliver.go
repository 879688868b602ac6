package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Fate is what became of a device event.
type Fate int

// The fates of an event.
const (
	FateIgnored   Fate = iota // nobody has a use for it
	FateResumed               // it ended a step
	FateAnswered              // a step asks the device something
	FateNoted                 // a step keeps it in mind
	FateKept                  // no step waits for it yet
	FateUnclaimed             // nothing is done to its device
	FateOvertaken             // a copy, or other news, was quicker
	FateLate                  // the step that it would have ended is over
	FateStale                 // more recent is known
	FateRefused               // its record is not taken
	FateDropped               // its device says more at once than is listened to
)

var fates = [...]string{
	"ignored", "resumed", "answered", "noted", "kept", "unclaimed", "overtaken", "late", "stale", "refused",
	"dropped",
}

// String is for logs.
func (f Fate) String() string { return fates[f] }

// Delivery says what became of a device event.
type Delivery struct {
	Fate    Fate
	Step    event.Step
	Owner   event.Owner
	Failure *event.Failure // with FateResumed, unless the step succeeded

	kept bool // the event is in NEWS
	told bool // it said something of the device, which is noted
	gone bool // the claim that was loaded is gone
}

// deliver hands an event to the task that waits for it, or keeps it for one that
// will. d is the device as just loaded; persisted is called once the event cannot
// be lost any more, before the device is told anything else.
func (w *Inbox) deliver(ctx context.Context, d Device, ev event.DeviceEvent, persisted func() error) (
	Delivery, error) {
	if d.Claim == nil {
		return Delivery{Fate: FateUnclaimed}, persisted()
	}
	flow, ok := w.Flows.Find(d.Claim.Operation)
	if !ok {
		return Delivery{}, fmt.Errorf("no flow is called %q", d.Claim.Operation)
	}
	out := Delivery{Fate: FateIgnored, Owner: d.Claim.Owner}
	acked := false
	ack := func() error {
		if acked {
			return nil
		}
		acked = true
		return persisted()
	}
	first, waits := d.await(ev)
	if waits {
		delivered, again, err := w.turn(ctx, flow, d, first, ev, ack, true)
		if err != nil || !again {
			return delivered, err
		}
		out = delivered
	}
	if _, taken := d.Claim.takenBy(ev.ID); taken || !newsworthy(flow, *d.Claim, ev) {
		return out, ack()
	}
	if crowded(d, ev) {
		return Delivery{Fate: FateDropped, Owner: out.Owner}, ack()
	}
	// Rule 1: NEWS is written, now look whether somebody waits by now.
	var err error
	if !out.kept {
		err = w.Store.PutNews(ctx, d.Thing, d.Claim.Execution, ev, d.Claim.Deadline.Add(linger))
	}
	if errors.Is(err, ErrGone) {
		return Delivery{Fate: FateUnclaimed, gone: true}, ack()
	}
	if err != nil {
		return out, err
	}
	if err := ack(); err != nil {
		return out, err
	}
	if d, err = w.Store.Load(ctx, d.Thing); err != nil {
		return out, err
	}
	if a, ok := d.await(ev); ok && d.Claim != nil {
		switch {
		case a.Token != first.Token:
		case out.Fate == FateLate: // over it was, and its successor is not there yet
			return Delivery{Fate: FateKept, Owner: out.Owner}, nil
		case out.kept:
			return out, nil // it has taken the event, and its successor will
		}
		delivered, again, err := w.turn(ctx, flow, d, a, ev, ack, false)
		if err != nil {
			return delivered, err
		}
		if !again {
			return delivered, nil
		}
	}
	return Delivery{Fate: FateKept, Owner: out.Owner}, nil
}

// turn lets the conversation of a task take an event. again is true if somebody
// else may need the event: the conversation has no use for it, or keeps it for its
// successor, or the task is over and its successor may wait already. mark is
// whether a resumed task is removed at once; its successor removes it in any case.
func (w *Inbox) turn(
	ctx context.Context, flow event.Flow, d Device, a Await, ev event.DeviceEvent, ack func() error, mark bool,
) (out Delivery, again bool, err error) {
	out = Delivery{Fate: FateIgnored, Step: a.Step, Owner: a.Owner}
	t := event.Turn{
		Thing: d.Thing, Execution: a.Execution, Device: d.State, Step: a.Step, State: a.State, Messages: a.Messages,
		Tries: d.Claim.Tries, Now: w.Now(),
	}
	m, err := flow.Continue(t, ev)
	if err != nil {
		return out, false, err
	}
	switch {
	case m.Ignore:
		return out, true, nil
	case m.Later:
		return out, false, ErrAgain
	}
	m, err = w.gate().pass(ctx, flow, t, a.Owner, d, m)
	if errors.Is(err, ErrGone) {
		out.gone = true
		return out, false, ack()
	}
	if err != nil {
		return out, false, err
	}
	if m.Takes != "" || !m.Ends() && m.Send != nil && (m.Once || m.Gate) {
		// Rule 2: the task may be over, and the next step not registered yet. It changes
		// nothing any more, and takes nothing from the next.
		if err := w.Callback.Alive(ctx, a.Token); errors.Is(err, ErrDeadToken) {
			out.Fate = FateLate
			return out, true, nil
		} else if err != nil {
			return out, false, err
		}
	}
	if m.Ends() {
		ok, err := take(ctx, w.Store, d, a, m.Takes)
		if err != nil {
			return out, false, err
		}
		if !ok {
			return out, false, ack() // a copy of what another task took
		}
	}
	announce(ctx, w.Announce, m, ev.At, a.Owner, d.Thing, d.Claim.ExecutionNumber, d.Claim.Operation)
	if m.KeepNews {
		err := w.Store.PutNews(ctx, d.Thing, d.Claim.Execution, ev, d.Claim.Deadline.Add(linger))
		if errors.Is(err, ErrGone) {
			out.gone = true
			return out, false, ack()
		}
		if err != nil {
			return out, false, err
		}
		out.kept = true
	}
	if m.Ends() {
		out.Fate, out.Failure = FateResumed, m.Failed
		if err := resume(ctx, w.Callback, a, m); errors.Is(err, ErrDeadToken) {
			// Its successor may wait by now, and may have looked before the news
			// was kept.
			out.Fate = FateLate
			return out, true, nil
		} else if err != nil {
			return out, false, err
		}
		if mark {
			if err := learn(ctx, w.Store, d.Thing, a, m.Learnt); err != nil {
				return out, false, err
			}
		}
		return out, false, ack()
	}
	if m.State != nil || m.Once {
		if m.State != nil {
			a.State = m.State
		}
		err := w.Store.Advance(ctx, d.Thing, a)
		switch {
		case errors.Is(err, ErrChanged) && (m.Once || m.Send == nil):
			// Another copy of this event, or other news, was quicker, and has
			// sent what there is to send.
			out.Fate = FateOvertaken
			return out, false, ack()
		case errors.Is(err, ErrChanged): // what was noted is lost, what is asked can be asked by both
		case err != nil:
			return out, false, err
		}
	}
	if err := ack(); err != nil {
		return out, false, err
	}
	out.Fate = FateNoted
	if m.Send != nil {
		out.Fate = FateAnswered
		err = w.Sender.Send(ctx, d.Thing, d.State, m.Send)
	}
	return out, m.KeepNews, err
}

// newsworthy reports whether an event may matter to a step that has not begun.
func newsworthy(flow event.Flow, c Claim, ev event.DeviceEvent) bool {
	switch ev.Kind {
	case event.KindTransferComplete, event.KindCommandComplete:
		if c.Owns(flow.Commands, ev.CommandKey) {
			return true
		}
	case event.KindBooted:
		return true
	}
	return slices.Contains(flow.News, ev.Kind)
}

// mostKept is how much news of one device is kept. What an operation waits for are a
// few events; a device that invents names for them fills no partition.
const mostKept = 32

// crowded reports whether no more news can be kept.
func crowded(d Device, ev event.DeviceEvent) bool {
	return len(d.News) >= mostKept && !slices.ContainsFunc(d.News, func(old event.DeviceEvent) bool {
		return old.NewsKey() == ev.NewsKey()
	})
}
