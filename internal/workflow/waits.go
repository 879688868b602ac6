package workflow

import (
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Waits says for what an owner's attempt waits; ok is false where it waits for nothing: it is at
// work, over, or the owner does not have the device.
func (d Device) Waits(owner event.Owner, flags Flags, now time.Time) (w event.Waits, ok bool) {
	p, pending := d.pending(owner)
	s, stands := d.standing(owner)
	switch {
	case d.Claim != nil && d.Claim.Owner == owner, stands && s.State.Over(), !stands && !pending:
		return w, false
	}
	if held, whose, holds := flags.Holds(owner); holds {
		since, what := held.At, "everything"
		if whose != Everyone {
			what = whose.String()
		}
		how := " was stopped by "
		if held.State == event.ControlPaused {
			how = " is paused by "
		}
		return event.Waits{For: event.WaitsFlag, Since: &since, Why: what + how + held.Who + ": " + held.Why}, true
	}
	switch {
	case stands && s.State == event.StandStaged:
		return event.Waits{For: event.WaitsWave, Why: "it is staged, and waits for its wave"}, true
	case !d.State.Reachable():
		w = event.Waits{For: event.WaitsDevice, Why: "it has never been connected"}
		if at := d.State.SeenAt; !at.IsZero() {
			w.Since, w.Why = &at, "it is not connected, since "+at.UTC().Format(time.RFC3339)
		}
		return w, true
	case pending && now.Before(p.NotBefore):
		until := p.NotBefore.UTC()
		w = event.Waits{For: event.WaitsTime, Until: &until, Why: "its time comes at " + until.Format(time.RFC3339)}
		// A pause would be told above, and who soaks or is tried again is not parked before a command.
		if s.Budget > 0 && p.Parked() && !p.Looks && !p.Gated {
			w.For = event.WaitsRoom
			w.Why = "waits for room in the budget, and tries again at " + until.Format(time.RFC3339)
		}
		return w, true
	case d.Claim != nil:
		since := d.Claim.ClaimedAt.UTC()
		return event.Waits{For: event.WaitsOwner, Since: &since, Behind: d.Claim.Owner.String(),
			Why: fmt.Sprintf("waits behind %s of another owner, which is at work on it since %s", d.Claim.Owner,
				since.Format(time.RFC3339))}, true
	}
	return event.Waits{For: event.WaitsStart, Why: "it is about to begin"}, true
}
