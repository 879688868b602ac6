package workflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// InboxPorts are what an Inbox needs.
type InboxPorts struct {
	Store    Store
	Controls Controls
	Callback Callback
	Registry Registry
	Sender   Sender
	Announce Announcer
	Starter  *Starter
	Flows    event.Flows
	Now      func() time.Time
	// Arrivals is whether devices that appear have done to them what nobody asks for.
	Arrivals bool
	// Parallel calls do with 0 to n-1, n being 1 or more, at the same time where it can, and returns
	// when all have returned.
	Parallel func(n int, do func(i int))
}

// Inbox takes what comes from devices and of them: their records, and what the
// broker says of their connections.
type Inbox struct {
	InboxPorts
	asks pace
}

// AsksPerSecond is how often one Inbox asks for a device's next attempt: with 100 of
// them, which the queue's mapping starts at the most by default, half of the 200
// DescribeJobExecution a second that AWS IoT's jobs data plane takes of an account.
const AsksPerSecond = 1

// NewInbox checks that nothing is missing.
func NewInbox(p InboxPorts) (*Inbox, error) {
	if err := complete("workflow.Inbox", p); err != nil {
		return nil, err
	}
	return &Inbox{InboxPorts: p, asks: pace{perSecond: AsksPerSecond, burst: 3 * AsksPerSecond}}, nil
}

// ErrAgain makes the queue deliver a message once more: what it needs to see was
// written while it was handled, or it is too early for it.
var ErrAgain = errors.New("the message is to come again")

// Received says what became of what was received.
type Received struct {
	Delivery
	Greeted bool           // it showed that the agent is there
	Refused *event.Refused // with FateRefused: why
	Started []Started      // what was pending, and was to be started
	Unset   error          // an attribute of the thing that the registry did not take
}

// Presence notes what the broker says of a thing's connection, and starts what is
// pending if it came.
func (w *Inbox) Presence(ctx context.Context, thing event.ThingName, p Presence) (Received, error) {
	out, _, err := w.presence(ctx, thing, p)
	return out, err
}

// presence is Presence; d is the device as it was loaded, if it was, and nothing
// has been written since.
func (w *Inbox) presence(ctx context.Context, thing event.ThingName, p Presence) (out Received, d *Device, err error) {
	err = w.Store.Presence(ctx, thing, p)
	switch {
	case errors.Is(err, ErrStale):
		out.Fate = FateStale
		return out, nil, nil
	case err != nil:
		return out, nil, err
	}
	out.Fate = FateNoted
	if !p.Connected {
		return out, nil, nil
	}
	// Rule 1: the presence is written, now look what is pending.
	now, err := w.Store.Load(ctx, thing)
	if err != nil {
		return out, nil, err
	}
	if out.Started, err = w.Starter.Appear(ctx, now); err != nil || len(out.Started) > 0 {
		return out, nil, err
	}
	return out, &now, nil
}

// Record takes a record of a device.
func (w *Inbox) Record(ctx context.Context, in event.Inbound) (Received, error) {
	d, err := w.Store.Load(ctx, in.Thing)
	if err != nil {
		return Received{}, err
	}
	return w.record(ctx, d, in, false)
}

func refuse(reason, detail string) (Received, error) {
	out := Received{Refused: &event.Refused{Reason: reason, Detail: detail}}
	out.Fate = FateRefused
	return out, nil
}

// record takes a record, d being its device as just loaded. Of a surplus one
// nothing is taken; its agent gets the answer that it wants.
func (w *Inbox) record(ctx context.Context, d Device, in event.Inbound, surplus bool) (Received, error) {
	out, err := w.taken(ctx, d, in, surplus)
	if err != nil || out.Fate == FateRefused || out.Fate == FateDropped || out.Fate == FateStale {
		return out, err
	}
	err = w.overhear(ctx, d, in, &out)
	return out, err
}

// overhear notes what an event says of a device to operations that are not at work on
// it, d being the device before. What the registry does not take is no reason for the
// event to come again; it is tried with the next.
func (w *Inbox) overhear(ctx context.Context, d Device, in event.Inbound, out *Received) error {
	fail := func(err error) error {
		return fmt.Errorf("workflow.Inbox: thing %s, %s overheard: %w", d.Thing, in.Event.Kind, err)
	}
	for _, flow := range w.Flows.All() {
		if flow.Overhear == nil || d.Claim != nil && d.Claim.Operation == flow.Operation {
			continue
		}
		heard := flow.Overhear(d.State, in.Event)
		var unset []error
		for _, name := range slices.Sorted(maps.Keys(heard.Attributes)) {
			if err := w.Registry.SetAttribute(ctx, d.Thing, name, heard.Attributes[name]); err != nil {
				unset = append(unset, err)
			}
		}
		out.Unset = errors.Join(out.Unset, errors.Join(unset...))
		if facts := fresh(d.State.Facts, heard.Facts); len(facts) > 0 && len(unset) == 0 {
			if err := w.Store.Learn(ctx, d.Thing, facts); err != nil {
				return fail(err)
			}
			out.told = true
		}
		if heard.Ask != nil {
			if err := w.Sender.Send(ctx, d.Thing, reachedBy(d.State, in), heard.Ask); err != nil {
				return fail(err)
			}
		}
	}
	return nil
}

func (w *Inbox) taken(ctx context.Context, d Device, in event.Inbound, surplus bool) (out Received, err error) {
	ev := in.Event
	if in.Greets {
		return w.greeting(ctx, d, in)
	}
	if d.State.Endpoint != "" && d.State.Endpoint != in.Endpoint {
		return refuse(event.RefusedSender, fmt.Sprintf("thing %s is %s", in.Thing, d.State.Endpoint))
	}
	if ev.Kind == event.KindDisconnected {
		err := w.Store.Presence(ctx, in.Thing, Presence{Version: d.State.PresenceVersion, At: ev.At})
		if err != nil && !errors.Is(err, ErrStale) {
			return out, err
		}
		out.Fate = FateNoted
		return out, nil
	}
	if surplus {
		out.Fate = FateDropped
		return out, w.answer(ctx, d.State, in)
	}
	// A device that speaks is there, whatever presence says; with a claim its
	// greeting or presence will say so in a moment.
	if d.State.Endpoint == "" || !d.State.Connected && d.Claim == nil && ev.At.After(d.State.SeenAt) {
		return w.greeting(ctx, d, in)
	}
	if ev.Kind == event.KindBooted || ev.Kind == event.KindOnBoardRequest {
		// Before it is answered: it says so once.
		if err := w.arrived(ctx, d, ev); err != nil {
			return out, err
		}
	}
	out.Delivery, err = w.Deliver(ctx, d, ev, func() error { return w.answer(ctx, d.State, in) })
	if err != nil {
		return out, err
	}
	if d.Claim == nil && len(d.Pending) > 0 {
		out.Started, err = w.Starter.Appear(ctx, d)
	}
	return out, err
}

// Deliver hands an event to the task that waits for it, or keeps it for one that
// will. d is the device as just loaded; persisted is called once the event cannot
// be lost any more, before the device is told anything else.
func (w *Inbox) Deliver(ctx context.Context, d Device, ev event.DeviceEvent, persisted func() error) (
	Delivery, error) {
	out, err := w.deliver(ctx, d, ev, persisted)
	if err != nil {
		return out, fmt.Errorf("workflow.Deliver: thing %s, %s: %w", d.Thing, ev.Kind, err)
	}
	return out, nil
}

// greeting takes a record that opens a connection: the agent is there, and
// listens. Another counts as one if the agent never greeted, or its greeting and
// presence were lost.
func (w *Inbox) greeting(ctx context.Context, d Device, in event.Inbound) (out Received, err error) {
	out.Fate, out.Greeted = FateNoted, true
	err = w.greet(ctx, d, Greeting{
		Endpoint: in.Endpoint, Legacy: in.Legacy, AgentTopic: in.AgentTopic, At: in.Event.At,
	})
	switch {
	case errors.Is(err, ErrForeign):
		return refuse(event.RefusedOwner, err.Error())
	case errors.Is(err, ErrStale) && in.Greets:
		out.Fate = FateStale
		return out, nil
	case err != nil && !errors.Is(err, ErrStale):
		return out, err
	}
	atEndpoint := func(d *Device) {
		d.State.Endpoint, d.State.Legacy, d.State.AgentTopic, d.State.Connected = in.Endpoint, in.Legacy,
			in.AgentTopic, true
	}
	if d.State.Endpoint != in.Endpoint {
		d.State.Facts = nil // they were another device's
	}
	atEndpoint(&d)
	if err := w.arrived(ctx, d, in.Event); err != nil {
		return out, err
	}
	if d.Claim == nil && len(d.Pending) == 0 {
		if err := w.answer(ctx, d.State, in); err != nil {
			return out, err
		}
		// Rule 1: PENDING may have been written since it was read, by somebody who
		// did not see the greeting yet. And an execution that began meanwhile may
		// have asked too early to be heard.
		if d, err = w.Store.Load(ctx, in.Thing); err != nil {
			return out, err
		}
		atEndpoint(&d)
		in.Answer = nil
		if d.Claim == nil && len(d.Pending) > 0 {
			return out, ErrAgain
		}
		if d.Claim == nil && w.asks.allows(w.Now()) {
			// What names a device's next attempt is sent once, at QoS 0: it may be lost.
			// The clock finds those for which nobody had the time to ask.
			s, found, err := w.Starter.Find(ctx, in.Thing)
			if found || err != nil {
				out.Started = append(out.Started, s)
			}
			return out, err
		}
	}
	if d.Claim == nil {
		if err := w.answer(ctx, d.State, in); err != nil {
			return out, err
		}
	} else if out.Delivery, err = w.Deliver(ctx, d, in.Event, func() error {
		return w.answer(ctx, d.State, in)
	}); err != nil {
		return out, err
	}
	out.Started, err = w.Starter.Appear(ctx, d)
	return out, err
}

// answer sends what a record wants for an answer, to where it wants it.
func (w *Inbox) answer(ctx context.Context, to event.DeviceState, in event.Inbound) error {
	if in.Answer == nil {
		return nil
	}
	return w.Sender.Send(ctx, in.Thing, reachedBy(to, in), in.Answer)
}

// reachedBy is a device as its record says that it is reached.
func reachedBy(to event.DeviceState, in event.Inbound) event.DeviceState {
	to.Endpoint, to.Legacy = in.Endpoint, to.Legacy || in.Legacy
	if in.AgentTopic != "" {
		to.AgentTopic = in.AgentTopic
	}
	return to
}
