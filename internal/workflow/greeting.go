package workflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// greet notes that the agent of a thing is there, d being the device as just
// loaded. ErrForeign if the endpoint is not the thing's; ErrStale if the agent has
// gone since, or has greeted for a later connection.
//
// Whose an endpoint is the registry decides, and is asked when a pair is new. A
// thing of which it says nothing may take an endpoint that nobody has, once: that
// endpoint is lost again to the thing that the registry gives it to.
func (w *Inbox) greet(ctx context.Context, d Device, g Greeting) error {
	fail := func(err error) error { return fmt.Errorf("workflow.Greet: thing %s: %w", d.Thing, err) }
	foreign := func(format string, args ...any) error {
		return fail(fmt.Errorf("%w: "+format, append([]any{ErrForeign}, args...)...))
	}
	if d.State.Endpoint == g.Endpoint {
		if d.met(g) {
			return nil
		}
		if err := w.Store.Greet(ctx, d.Thing, g); err != nil {
			return fail(err)
		}
		return nil
	}
	entry, err := w.Registry.Thing(ctx, d.Thing)
	registered := entry.Endpoint
	switch {
	case err != nil:
		return fail(err)
	case registered == g.Endpoint:
	case registered != "":
		return foreign("the registry says %s, the agent %s", registered, g.Endpoint)
	case d.State.Endpoint != "":
		return foreign("it greeted as %s before, now as %s", d.State.Endpoint, g.Endpoint)
	}
	// What was found out is of another device.
	b := Binding{Before: d.State.Endpoint, Forget: slices.Sorted(maps.Keys(d.State.Facts))}
	err = w.Store.Bind(ctx, d.Thing, g, b)
	var owned *OwnedError
	if errors.As(err, &owned) && registered == g.Endpoint {
		theirs, err2 := w.Registry.Thing(ctx, owned.By)
		switch {
		case err2 != nil:
			return fail(err2)
		case theirs.Endpoint == g.Endpoint:
			return foreign("the registry gives %s to thing %s as well", g.Endpoint, owned.By)
		}
		b.From = owned.By
		err = w.Store.Bind(ctx, d.Thing, g, b)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// SameArrival is how far apart the broker's word that a device has come and its own
// greeting are of one connection. It is shorter than a restart: a greeting that is taken for one of
// the connection before is not noted, and the end of that one, told late, makes the device seem away.
const SameArrival = time.Second

// met reports whether a greeting says nothing that is not known: the broker has just
// told of the connection. What is written then would be the same but for the moment.
func (d Device) met(g Greeting) bool {
	s := d.State
	return s.Connected && s.Legacy == g.Legacy && s.AgentTopic == g.AgentTopic &&
		g.At.Sub(s.SeenAt).Abs() <= SameArrival
}
