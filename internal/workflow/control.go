package workflow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Everyone is the owner of no attempt: its flag is that of the whole stack.
var Everyone = event.Owner{}

// Control is a flag: whether an owner's attempts, or those of Everyone, may go on.
// Where none was ever written, they may.
type Control struct {
	State event.ControlState
	Rev   int64 // of the item; 0: there is none
	Who   string
	Why   string
	At    time.Time
}

// Holds reports whether the flag keeps attempts from going on.
func (c Control) Holds() bool {
	return c.State == event.ControlPaused || c.State == event.ControlStopped
}

// Flags are the two flags that an attempt is under.
type Flags struct{ Everyone, Owner Control }

// Holds is the flag that keeps the attempt from going on, and whose it is. An owner
// that is stopped for good counts before a pause of everything.
func (f Flags) Holds(owner event.Owner) (c Control, whose event.Owner, holds bool) {
	switch {
	case f.Owner.State == event.ControlStopped:
		return f.Owner, owner, true
	case f.Everyone.Holds():
		return f.Everyone, Everyone, true
	}
	return f.Owner, owner, f.Owner.Holds()
}

// Controls keeps flags, and who was refused by one. Reads are strongly consistent:
// once a pause has returned, nothing begins but what had read the flag before.
type Controls interface {
	// Flags reads an owner's flag and Everyone's.
	Flags(ctx context.Context, owner event.Owner) (Flags, error)
	// SetFlag writes a flag; ErrChanged unless it is at c.Rev, which it raises.
	SetFlag(ctx context.Context, owner event.Owner, c Control) error
	// Knock notes a thing that a flag has refused, for when it is lifted.
	Knock(ctx context.Context, whose event.Owner, k Knock) error
}

// Knock is an attempt that a flag refused to begin.
type Knock struct {
	Thing event.ThingName
	Owner event.Owner // of the attempt
	At    time.Time
}

// Controller changes flags.
type Controller struct {
	Controls Controls
	Now      func() time.Time
}

// ErrStopped: what is over cannot be resumed or paused.
var ErrStopped = errors.New("it is over, and cannot be paused or resumed")

// Set sets the flag of an owner, or of Everyone, and says what it is then, and
// whether that is new. What was stopped stays so: setting it otherwise is
// ErrStopped.
func (c *Controller) Set(ctx context.Context, owner event.Owner, state event.ControlState, who, why string) (
	now Control, changed bool, err error) {
	return c.set(ctx, owner, state, who, why, false)
}

// Stop sets the flag of an owner that is over for good.
func (c *Controller) Stop(ctx context.Context, owner event.Owner, who, why string) (now Control, changed bool,
	err error) {
	return c.set(ctx, owner, event.ControlStopped, who, why, false)
}

// Last is Stop for the last reason that there will be, and is written over an earlier one: whoever reads it knows
// that nothing is told of the owner any more.
func (c *Controller) Last(ctx context.Context, owner event.Owner, who, why string) (now Control, changed bool,
	err error) {
	return c.set(ctx, owner, event.ControlStopped, who, why, true)
}

// set is Set; last is whether a flag that is stopped for another reason is written again.
func (c *Controller) set(ctx context.Context, owner event.Owner, state event.ControlState, who, why string,
	last bool) (now Control, changed bool, err error) {
	const attempts = 8
	for range attempts {
		flags, err := c.Controls.Flags(ctx, owner)
		if err != nil {
			return Control{}, false, fmt.Errorf("workflow.Control: %s: %w", owner, err)
		}
		was := flags.Owner
		if owner == Everyone {
			was = flags.Everyone
		}
		same := was.State == state || was.Rev == 0 && state == event.ControlRunning
		switch {
		case same && (!last || was.Why == why):
			return was, false, nil
		case !same && was.State == event.ControlStopped:
			return was, false, fmt.Errorf("workflow.Control: %s: %w", owner, ErrStopped)
		}
		now = Control{State: state, Rev: was.Rev, Who: who, Why: why, At: c.Now()}
		err = c.Controls.SetFlag(ctx, owner, now)
		switch {
		case err == nil:
			now.Rev++
			return now, true, nil
		case !errors.Is(err, ErrChanged):
			return Control{}, false, fmt.Errorf("workflow.Control: %s: %w", owner, err)
		}
	}
	return Control{}, false, fmt.Errorf("workflow.Control: %s: %w: %d times in a row", owner, ErrChanged, attempts)
}

// passes reports whether an attempt may go on. One that a pause refuses has then
// knocked: it is woken when the flag is lifted.
func passes(ctx context.Context, controls Controls, thing event.ThingName, owner event.Owner, now time.Time) (
	held Control, ok bool, err error) {
	flags, err := controls.Flags(ctx, owner)
	if err != nil {
		return Control{}, false, err
	}
	held, whose, holds := flags.Holds(owner)
	if !holds || held.State == event.ControlStopped {
		return held, !holds, nil
	}
	flags, err = knock(ctx, controls, whose, Knock{Thing: thing, Owner: owner, At: now})
	if err != nil {
		return held, false, err
	}
	held, _, holds = flags.Holds(owner)
	return held, !holds, nil
}

// knock notes that a pause keeps an attempt, and reads its flags again. Rule 1 between
// KNOCK and CONTROL: whoever lifts the flag writes it first and reads who knocked after.
func knock(ctx context.Context, controls Controls, whose event.Owner, k Knock) (Flags, error) {
	if err := controls.Knock(ctx, whose, k); err != nil {
		return Flags{}, err
	}
	return controls.Flags(ctx, k.Owner)
}

// gate is before each command of a gate.
type gate struct {
	controls Controls
	store    Store
}

func (w *Steps) gate() gate { return gate{w.Controls, w.Store} }
func (w *Inbox) gate() gate { return gate{w.Controls, w.Store} }

// pass is a move as the flag lets it be: a command that is not sent yet is not sent
// to a device whose owner is held. Where that is for good the attempt ends; where it
// is paused it is parked, if its flow knows how, and has knocked: it is woken when the
// flag is lifted. Where that is before it is parked the hint of its PENDING wakes it. One
// that cannot be begun anew goes on: what a device has half of is finished.
//
// A device that is only staged is parked as well, before what puts it in danger, and so is one for
// which there is no room in its campaign's budget. d is the device as loaded: if its wave lets it
// go on meanwhile, Park finds that out.
func (g gate) pass(ctx context.Context, flow event.Flow, t event.Turn, owner event.Owner, d Device, m event.Move) (
	event.Move, error) {
	if m.Send == nil || !m.Once || m.Ends() || !m.Gate && !isGate(flow, t.Step) {
		return m, nil
	}
	if s, ok := d.standing(owner); ok && s.Stage && m.Danger && flow.Hold != nil {
		// It goes no further, whatever the flag says.
		return parked(flow, t, m, event.Park{Stage: true, Why: "staged: waits for its wave"})
	}
	flags, err := g.controls.Flags(ctx, owner)
	if err != nil {
		return m, err
	}
	held, whose, holds := flags.Holds(owner)
	if holds && held.State != event.ControlStopped && flow.Hold != nil {
		if flags, err = knock(ctx, g.controls, whose, Knock{Thing: t.Thing, Owner: owner, At: t.Now}); err != nil {
			return m, err
		}
		held, whose, holds = flags.Holds(owner)
	}
	if !holds {
		return g.danger(ctx, flow, t, owner, d, m)
	}
	switch {
	case held.State == event.ControlStopped && whose == owner:
		return heldBefore(t, owner, held), nil
	case flow.Hold == nil:
		return m, nil
	}
	why := strings.TrimSpace("paused before step " + string(t.Step) + ": " + held.Why)
	return parked(flow, t, m, event.Park{Why: why})
}

// parked is a move whose command is not sent: the attempt is parked as its flow says, with what why says
// beside. One that cannot be begun anew goes on.
func parked(flow event.Flow, t event.Turn, m event.Move, why event.Park) (event.Move, error) {
	if m.State != nil {
		t.State = m.State
	}
	park, ok, err := flow.Hold(t)
	if err != nil || !ok {
		return m, err
	}
	park.Stage, park.Why = why.Stage, why.Why
	if why.Seconds > 0 {
		park.Seconds = why.Seconds
	}
	return event.Move{Park: &park}, nil
}

// danger is a move of a campaign's device that comes into danger by it: there must be room first. A step
// that begins with its command has made sure of that.
func (g gate) danger(ctx context.Context, flow event.Flow, t event.Turn, owner event.Owner, d Device, m event.Move) (
	event.Move, error) {
	s, ok := d.standing(owner)
	if !ok || s.Danger || !m.Danger || flow.Hold == nil || d.Claim == nil {
		return m, nil
	}
	err := g.endanger(ctx, d, owner, t.Now)
	switch {
	case err == nil:
		return g.marked(ctx, t, owner, m)
	case !errors.Is(err, ErrFull):
		return m, err
	}
	return parked(flow, t, m, event.Park{Seconds: int(roomWait(d.Thing, d.Claim.Lap) / time.Second),
		Why: "waits for room in the budget of " + owner.String()})
}

// marked is a move of a device that was just marked: whoever cancels it has set the flag, and looks for
// the mark after.
func (g gate) marked(ctx context.Context, t event.Turn, owner event.Owner, m event.Move) (event.Move, error) {
	flags, err := g.controls.Flags(ctx, owner)
	if err != nil || flags.Owner.State != event.ControlStopped {
		return m, err
	}
	return heldBefore(t, owner, flags.Owner), nil
}

func heldBefore(t event.Turn, owner event.Owner, flag Control) event.Move {
	return event.Move{Failed: event.Failf(owner.Held(), "%s ended (%s) before step %s", owner, flag.Why, t.Step)}
}

// endanger marks a device that is about to be in danger; ErrFull if there is no room, ErrGone if its
// execution does not work on it any more.
func (g gate) endanger(ctx context.Context, d Device, owner event.Owner, now time.Time) (err error) {
	number := d.Claim.ExecutionNumber
	for range closeAttempts {
		shift := d.endangered(owner, number)
		if shift == nil {
			if s, ok := d.standing(owner); ok && s.Danger {
				return nil
			}
			return ErrGone
		}
		if err = g.store.Stand(ctx, d.Thing, *shift, nil); !errors.Is(err, ErrChanged) {
			return err
		}
		if d, err = g.store.Load(ctx, d.Thing); err != nil {
			return err
		}
	}
	return fmt.Errorf("thing %s, %s: it stands otherwise each time", d.Thing, owner)
}

func isGate(flow event.Flow, step event.Step) bool {
	for _, g := range flow.Gates {
		if g == step {
			return true
		}
	}
	return false
}

// ErrUnproved: a proof is not one.
var ErrUnproved = errors.New("who asks is not proved")

// Identities tells who presigned a proof.
type Identities interface {
	// Caller is the ARN of whoever made a proof of a subject; ErrUnproved if it is none.
	Caller(ctx context.Context, proof, subject string) (arn string, err error)
}

// Asker is who asks for a flag to be set: whom the request's proof proves, and
// event.Nobody without one, so that nobody can be named who did not ask. In an
// emergency whoever may invoke the function needs no proof.
func Asker(ctx context.Context, identities Identities, r event.ControlRequest) (string, error) {
	if r.Proof == "" {
		return event.Nobody, nil
	}
	return identities.Caller(ctx, r.Proof, r.Subject())
}
