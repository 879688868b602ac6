package workflow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// A claim whose execution is not to be found may be about to start it; after this
// long it is not.
const startGrace = 5 * time.Minute

// The clocks of Lambda and of Step Functions are no further apart.
const clockSkew = 5 * time.Second

// Pending items of devices that never appear go with this.
const pendingLife = 90 * 24 * time.Hour

// StarterPorts are what a Starter needs.
type StarterPorts struct {
	Store    Store
	Controls Controls
	Machine  Machine
	Orders   Orders
	Reports  Reports
	Registry Registry
	Announce Announcer
	Flows    event.Flows
	Now      func() time.Time
	// Who names an invocation, the same for its repetitions.
	Who func(context.Context) string
}

// Starter starts executions: when an attempt is offered, and when its device
// appears.
type Starter struct{ StarterPorts }

// NewStarter checks that nothing is missing.
func NewStarter(p StarterPorts) (*Starter, error) {
	if err := complete("workflow.Starter", p); err != nil {
		return nil, err
	}
	return &Starter{p}, nil
}

// Start is what became of an attempt that could be started.
type Start int

// The ends of an offer.
const (
	StartForeign Start = iota // its document names an operation that is none of ours
	StartBegun                // its execution runs
	StartPending              // its device is away; it starts when that appears
	StartBusy                 // its device belongs to another execution, and it waits for that
	StartOver                 // its owner has ended it
	StartPlayed               // its execution is over: it was played before
	StartRefused              // its document is not fit to be followed
	StartPaused               // a flag keeps it from beginning; it is woken when that is lifted
	StartHeld                 // its owner was stopped for good, and is told that it is held
	StartWaiting              // it waits for its time: the clock wakes it
	StartStopped              // its execution was stopped by somebody, and it is ended
)

var starts = [...]string{
	"ignored", "started", "pending", "busy", "over", "played", "rejected", "paused", "held", "waiting",
	"stopped",
}

// String is for logs.
func (s Start) String() string { return starts[s] }

// MarshalText writes it as String.
func (s Start) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Started says what became of an attempt.
type Started struct {
	Did       Start
	Owner     event.Owner
	Execution string         // its name, where there is one
	Lap       int            // of the attempt: 0 where it begins
	Refused   *event.Failure // with StartRefused: why
	// Unreported is set where the device was taken from an execution that is over and
	// has not reported, though its attempt is open.
	Unreported bool
	// Ahead is what became of attempts of higher priority that waited for the same device.
	Ahead []Started
}

// Offer takes an attempt that its owner says is a device's next: it starts the
// execution if the device can be reached, else it leaves a PENDING item. Offering
// twice is offering once.
func (w *Starter) Offer(ctx context.Context, thing event.ThingName, owner event.Owner, number int64,
	document json.RawMessage) (Started, error) {
	out := Started{Owner: owner}
	fail := func(err error) (Started, error) {
		return out, fmt.Errorf("workflow.Offer: thing %s, %s: %w", thing, owner, err)
	}
	flow, ok := w.Flows.OfDocument(document)
	if !ok {
		return out, nil
	}
	plan, err := flow.Plan(document)
	if err != nil {
		out.Did, out.Refused = StartRefused, event.Failf(flow.Unfit, "%s", err)
		err := w.reject(ctx, thing, owner, number, flow, *out.Refused)
		if errors.Is(err, ErrOver) {
			out.Did, err = StartOver, nil
		}
		if err != nil {
			return fail(err)
		}
		return out, nil
	}
	now := w.Now()
	p := Pending{
		Owner: owner, ExecutionNumber: number, Operation: flow.Operation, Plan: plan, At: now,
		ExpiresAt: now.Add(pendingLife),
	}
	if plan.Window != nil {
		if p.Plan.Window, err = w.window(ctx, thing, *plan.Window); err != nil {
			return fail(err)
		}
		p.Gated = plan.WindowStarts
	}
	// Rule 1: PENDING is written before STATE is read.
	if err := w.Store.PutPending(ctx, thing, p); err != nil {
		return fail(err)
	}
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return fail(err)
	}
	if d.State.Reachable() {
		return w.inTurn(ctx, d, p)
	}
	if parked, ok := d.pending(owner); ok && parked.Identity().After(p.Identity()) {
		out.Did = StartPending // a copy of what named it before it was parked
		return out, nil
	}
	// The same rule between PENDING and its owner: whoever cancels it first ends
	// the attempt, then removes PENDING.
	over, err := w.Orders.Over(ctx, thing, owner, number)
	if err == nil && over != nil {
		err = w.Store.DropPending(ctx, thing, p.Identity())
	}
	if err != nil {
		return fail(err)
	}
	out.Did = StartPending
	if over != nil {
		out.Did = StartOver
	}
	return out, nil
}

// window is a window in the time of a device, if the registry knows it.
func (w *Starter) window(ctx context.Context, thing event.ThingName, of event.Window) (*event.Window, error) {
	entry, err := w.Registry.Thing(ctx, thing)
	if err != nil {
		return nil, err
	}
	if entry.Zone != "" && event.IsZone(entry.Zone) {
		of.Zone, of.Registered = entry.Zone, true
	}
	return &of, nil
}

// Appear starts what is pending for a device that can be reached. d was loaded
// after its presence was written.
func (w *Starter) Appear(ctx context.Context, d Device) (started []Started, err error) {
	if !d.State.Reachable() || len(d.Pending) == 0 {
		return nil, nil
	}
	// One at a time. The others follow when their owners name them as next; behind one that is over,
	// or waits for its time, nobody will.
	for _, p := range d.waiting() {
		if d.Claim != nil && d.Claim.Owner == p.Owner && d.Claim.ExecutionNumber >= p.ExecutionNumber {
			x, err := w.Machine.Look(ctx, d.Claim.Operation, d.Claim.Execution)
			if err != nil || x.Running {
				return started, err
			}
		}
		s, err := w.start(ctx, d, p)
		started = append(started, s)
		if err != nil || s.Did != StartOver && s.Did != StartWaiting {
			return started, err
		}
		if s.Did == StartWaiting {
			continue // only its own PENDING was written
		}
		if d, err = w.Store.Load(ctx, d.Thing); err != nil {
			return started, err
		}
	}
	return started, nil
}

// Wake starts an owner's attempt that is pending, if its device can be reached. Where
// nothing is pending any more, or the device is away, there is nothing to do: it is
// started when it appears.
func (w *Starter) Wake(ctx context.Context, thing event.ThingName, owner event.Owner) (Started, error) {
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return Started{Owner: owner}, fmt.Errorf("workflow.Wake: thing %s, %s: %w", thing, owner, err)
	}
	if owner.Arrival {
		return w.receive(ctx, d)
	}
	p, ok := d.pending(owner)
	switch {
	case !ok:
		return Started{Owner: owner}, nil
	case !d.State.Reachable():
		return Started{Did: StartPending, Owner: owner}, nil
	}
	return w.inTurn(ctx, d, p)
}

// inTurn is start, after those of higher priority that wait for the same device: whoever is woken
// first, the device is theirs.
func (w *Starter) inTurn(ctx context.Context, d Device, p Pending) (Started, error) {
	var ahead []Started
	for _, q := range d.waiting() {
		if d.Claim != nil || d.priority(q.Owner) <= d.priority(p.Owner) {
			break
		}
		s, err := w.start(ctx, d, q)
		ahead = append(ahead, s)
		if err == nil {
			d, err = w.Store.Load(ctx, d.Thing)
		}
		if err != nil {
			return Started{Owner: p.Owner, Ahead: ahead}, err
		}
	}
	out, err := w.start(ctx, d, p)
	out.Ahead = ahead
	return out, err
}

// waiting are the attempts that wait for a device, in their turn: by priority, then in order of
// their offers.
func (d Device) waiting() []Pending {
	return slices.SortedStableFunc(slices.Values(d.Pending), func(a, b Pending) int {
		return cmp.Or(cmp.Compare(d.priority(b.Owner), d.priority(a.Owner)), a.At.Compare(b.At))
	})
}

// start claims the device and starts the execution. Every part may be repeated:
// claim and execution are named by owner, thing and execution number.
func (w *Starter) start(ctx context.Context, d Device, p Pending) (Started, error) {
	const attempts = 4
	for i := 1; ; i++ {
		// A late copy of what named an attempt does not begin its first lap again.
		if now, ok := d.pending(p.Owner); ok && now.Identity().After(p.Identity()) {
			p = now
		}
		out, err := w.tryStart(ctx, d, p)
		if !errors.Is(err, ErrClaimed) {
			return out, err
		}
		// The claim changed hands, or was released, since it was read, or the device
		// stands otherwise: nobody would come back for PENDING, so look again.
		if i == attempts {
			return out, err
		}
		if d, err = w.Store.Load(ctx, d.Thing); err != nil {
			return out, fmt.Errorf("workflow.start: thing %s, %s: %w", d.Thing, p.Owner, err)
		}
	}
}

func (w *Starter) tryStart(ctx context.Context, d Device, p Pending) (Started, error) {
	in := event.NewExecutionInput(p.Owner, d.Thing, p.ExecutionNumber, p.Operation, p.Plan).InLap(p.Lap, p.Resume)
	out := Started{Owner: p.Owner, Execution: in.Execution, Lap: p.Lap}
	fail := func(err error) (Started, error) {
		return out, fmt.Errorf("workflow.start: thing %s, %s: %w", d.Thing, p.Owner, err)
	}
	flow, ok := w.Flows.Find(p.Operation)
	if !ok {
		return fail(fmt.Errorf("no flow is called %s", p.Operation))
	}
	now := w.Now()
	deadline := p.Deadline
	if deadline.IsZero() {
		deadline = now.Add(p.Plan.Lasts)
	}
	claim := Claim{
		Owner: p.Owner, ExecutionNumber: p.ExecutionNumber, Lap: p.Lap, Operation: p.Operation,
		Execution: in.Execution,
		ClaimedAt: now, Deadline: deadline, ExpiresAt: deadline.Add(7 * linger),
	}
	if d.over(p.Owner, p.ExecutionNumber) {
		out.Did = StartOver
		if err := w.Store.DropPending(ctx, d.Thing, p.Identity()); err != nil {
			return fail(err)
		}
		return out, nil
	}
	if s, ok := d.standing(p.Owner); ok && s.State == event.StandStaged {
		out.Did = StartWaiting // for its wave
		return out, nil
	}
	var held Control
	var err error
	if ok = p.Looks; !ok {
		held, ok, err = passes(ctx, w.Controls, d.Thing, p.Owner, now)
	}
	switch {
	case err != nil:
		return fail(err)
	case !ok && held.State == event.ControlPaused: // PENDING stays
		out.Did = StartPaused
		return out, nil
	case !ok:
		err := w.hold(ctx, d, p, in, flow, &out, held)
		return out, err
	}
	if wait, due := p.waits(d, now); wait {
		out.Did = StartWaiting
		if err := w.postpone(ctx, d.Thing, p, due); err != nil {
			return fail(err)
		}
		return out, nil
	}
	if s, ok := d.standing(p.Owner); ok && s.Budget > 0 && p.Parked() && !p.Looks {
		// It would begin in vain. What fills up meanwhile its own step finds out.
		full, err := w.Store.Full(ctx, s)
		if err != nil {
			return fail(err)
		}
		if full {
			out.Did = StartWaiting
			p.NotBefore = now.Add(roomWait(d.Thing, p.Lap))
			if err := w.postpone(ctx, d.Thing, p, p.due(d.Thing, now)); err != nil {
				return fail(err)
			}
			return out, nil
		}
	}
	var dead *Claim
	if d.Claim != nil && d.Claim.Execution != in.Execution {
		t, err := w.free(ctx, d, p.Owner)
		if errors.Is(err, ErrChanged) {
			return fail(ErrClaimed)
		}
		if err != nil {
			return fail(err)
		}
		if !t.free {
			err := w.busy(ctx, d, p, &out)
			return out, err
		}
		dead, out.Unreported = d.Claim, t.unreported
	}
	claim.Shift = d.shift(p.Owner, p.ExecutionNumber, event.StandRunning, "", now)
	err = w.Store.Claim(ctx, d.Thing, claim, dead)
	if errors.Is(err, ErrChanged) {
		err = ErrClaimed
	}
	if err != nil {
		return fail(err)
	}
	// First the owner, then the execution: if the attempt is over there is nothing
	// to start, and its owner's timer runs from here on whatever happens to us.
	over, err := w.begin(ctx, d.Thing, p)
	if err != nil {
		return fail(err)
	}
	if over != nil {
		out.Did = StartOver
		if err := w.over(ctx, d.Thing, p, *over); err != nil {
			in.Lap-- // PENDING is another's to remove
			return fail(errors.Join(err, w.abandon(ctx, d.Thing, in)))
		}
		return out, w.abandon(ctx, d.Thing, in)
	}
	if p.Lap == 0 { // before it begins: who finds that it has begun tells nothing (decision 0038)
		w.Announce.Announce(ctx,
			event.NewDomainEvent(event.EventStarted, now, p.Owner, d.Thing, p.ExecutionNumber, p.Operation))
	}
	began, err := w.Machine.Start(ctx, in)
	if errors.Is(err, ErrPlayed) {
		if err := w.played(ctx, d.Thing, p, in, flow, &out); err != nil {
			return fail(err)
		}
		return out, w.abandon(ctx, d.Thing, in)
	}
	if err != nil {
		return fail(err)
	}
	out.Did = StartBegun
	if now.Sub(began) > clockSkew {
		late, err := w.claimedLate(ctx, d.Thing, in, began)
		if err != nil {
			return fail(err)
		}
		if late {
			return out, w.abandon(ctx, d.Thing, in)
		}
	}
	return out, nil
}

// played says what becomes of an attempt whose execution is over. What it claimed is the caller's
// to give back.
func (w *Starter) played(ctx context.Context, thing event.ThingName, p Pending, in event.ExecutionInput,
	flow event.Flow, out *Started) error {
	d, err := w.Store.Load(ctx, thing)
	if err != nil {
		return err
	}
	if later, ok := d.pending(p.Owner); ok && later.Identity().After(p.Identity()) {
		out.Did = StartWaiting // it was parked since it was read: its next lap has its own time
		return nil
	}
	last, runs, err := w.lastLap(ctx, in)
	if err != nil {
		return err
	}
	if runs { // a late copy of what named it: it has given its device back, and is about to report
		out.Did, out.Execution, out.Lap = StartBegun, last.Execution, last.Lap
		return nil
	}
	out.Did = StartPlayed
	f := event.Failf(flow.Played, "execution %s is over", last.Execution)
	err = w.reject(ctx, thing, p.Owner, p.ExecutionNumber, flow, *f)
	if errors.Is(err, ErrOver) {
		out.Did, err = StartOver, nil
	}
	return err
}

// claimedLate says of an execution that was started before whether its device was claimed later
// than that, by a late copy of what named it: it has given its device back, and would not do so
// again.
func (w *Starter) claimedLate(ctx context.Context, thing event.ThingName, in event.ExecutionInput, began time.Time,
) (bool, error) {
	d, err := w.Store.Load(ctx, thing)
	if err != nil || d.Claim == nil {
		return false, err
	}
	return d.Claim.Execution == in.Execution && d.Claim.ClaimedAt.Sub(began) > clockSkew, nil
}

// lastLap is the last lap of an attempt from one on: which one began, and whether it runs.
func (w *Starter) lastLap(ctx context.Context, in event.ExecutionInput) (last event.ExecutionInput, runs bool,
	err error) {
	for last = in; ; in = in.InLap(in.Lap+1, nil) {
		x, err := w.Machine.Look(ctx, in.Operation, in.Execution)
		if err != nil || !x.Known {
			return last, false, err
		}
		if last = in; x.Running {
			return last, true, nil
		}
	}
}

// begin tells the owner that work on an attempt begins, or goes on; over is how it
// was ended, if it was.
func (w *Starter) begin(ctx context.Context, thing event.ThingName, p Pending) (over *event.Failure, err error) {
	if p.Parked() { // it has begun
		return w.Orders.Over(ctx, thing, p.Owner, p.ExecutionNumber)
	}
	err = w.Orders.Begin(ctx, thing, p.Owner, p.ExecutionNumber)
	if errors.Is(err, ErrOver) {
		return event.Failf(event.JobCanceled, "%s ended before it began", p.Owner), nil
	}
	return nil, err
}

// over is for an attempt that its owner has ended while it waited: one that had begun
// is reported. Its PENDING is the caller's to remove.
func (w *Starter) over(ctx context.Context, thing event.ThingName, p Pending, why event.Failure) error {
	if !p.Parked() {
		return nil
	}
	return w.closer().reportPending(ctx, thing, p, why)
}

func (w *Starter) closer() closer { return closer{w.Store, w.Machine, w.Reports, w.Now, w.Who} }

// busy leaves an attempt whose device belongs to another execution. PENDING stays: its
// owner names it again when the other is over, and the clock wakes one that is parked, or
// that waits for a campaign or is one's. But not one that is over itself: a start that is
// repeated late.
func (w *Starter) busy(ctx context.Context, d Device, p Pending, out *Started) error {
	out.Did = StartBusy
	thing := d.Thing
	over, err := w.Orders.Over(ctx, thing, p.Owner, p.ExecutionNumber)
	switch {
	case err != nil:
	case over != nil:
		out.Did = StartOver
		if err = w.over(ctx, thing, p, *over); err == nil {
			err = w.Store.DropPending(ctx, thing, p.Identity())
		}
	case p.Parked() || p.Gated || p.Owner.Campaign != "" || d.Claim.Owner.Campaign != "": // nobody names it again
		err = w.postpone(ctx, thing, p, p.due(thing, w.Now()))
	}
	if err != nil {
		return fmt.Errorf("workflow.start: thing %s, %s: %w", thing, p.Owner, err)
	}
	return nil
}

// postpone leaves PENDING for the clock. One that is gone, or another by now, is
// somebody else's.
func (w *Starter) postpone(ctx context.Context, thing event.ThingName, p Pending, due Due) error {
	if err := w.Store.Postpone(ctx, thing, p, due); !errors.Is(err, ErrChanged) {
		return err
	}
	return nil
}

// hold ends an attempt whose owner was stopped for good. One that is at work is held
// by its own next command.
func (w *Starter) hold(
	ctx context.Context, d Device, p Pending, in event.ExecutionInput, flow event.Flow, out *Started, held Control,
) error {
	fail := func(err error) error { return fmt.Errorf("workflow.start: thing %s, %s: %w", d.Thing, in.Owner, err) }
	owns := d.Claim != nil && d.Claim.Execution == in.Execution
	// Of a job's attempt that is not parked this may be a late copy of its offer, after its execution has given
	// the device back. A parked one has no PENDING any more then, and a campaign's counts as over.
	if owns || !p.Parked() && in.Owner.Campaign == "" {
		last, runs, err := w.lastLap(ctx, in)
		if err == nil && runs && !owns {
			err = w.abandon(ctx, d.Thing, in) // it is about to report
		}
		if err != nil {
			return fail(err)
		}
		if runs {
			out.Did, out.Execution, out.Lap = StartBegun, last.Execution, last.Lap
			return nil
		}
	}
	out.Did = StartHeld
	f := event.Failf(in.Owner.Held(), "%s ended (%s) before it began", in.Owner, held.Why)
	if p.Parked() {
		// Who hears that the job execution is rejected has nothing to report.
		f.Detail = fmt.Sprintf("%s ended (%s) while the device waited", in.Owner, held.Why)
		if err := w.closer().takePending(ctx, d.Thing, p); err != nil {
			return fail(err)
		}
	}
	err := w.reject(ctx, d.Thing, in.Owner, in.ExecutionNumber, flow, *f)
	if errors.Is(err, ErrOver) {
		out.Did, err = StartOver, nil
	}
	if err == nil {
		err = w.abandon(ctx, d.Thing, in)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// taking is whether the device of a claim may be taken from its execution.
type taking struct {
	free       bool
	unreported bool           // the execution is over and has not reported, though its attempt is open
	stopped    *event.Failure // with unreported: what was told as somebody stopped it; nil of any other
}

// free says whether an owner's attempt may take a device from the execution that has
// it. What the stack does by itself takes nothing from anybody, and yields to all.
func (w *Starter) free(ctx context.Context, d Device, owner event.Owner) (taking, error) {
	switch {
	case d.Claim.Owner.Arrival && !owner.Arrival:
		return taking{free: true}, w.yields(ctx, d, owner)
	case owner.Arrival && !d.Claim.Owner.Arrival:
		return taking{}, nil
	}
	t, err := w.takeable(ctx, d)
	t.unreported = t.unreported && !owner.Arrival
	return t, err
}

// takeable says whether the claim of a device is a dead owner's: its attempt is
// over, and only the execution does not know yet, or did not report it; then that end
// is reported here. Or the execution is over though its attempt is not: it could not
// report, and does when it is redriven.
func (w *Starter) takeable(ctx context.Context, d Device) (taking, error) {
	claim := d.Claim
	x, err := w.Machine.Look(ctx, claim.Operation, claim.Execution)
	if err != nil {
		return taking{}, err
	}
	why, err := w.Orders.Over(ctx, d.Thing, claim.Owner, claim.ExecutionNumber)
	if err != nil {
		return taking{}, err
	}
	switch {
	case why != nil:
		_, err = w.closer().close(ctx, d, *why)
		return taking{free: err == nil}, err
	case !x.Known:
		return taking{free: w.Now().Sub(claim.ClaimedAt) > startGrace}, nil
	case !x.Running && !d.parked() && claim.Owner.Campaign != "":
		// Its campaign counts it as at work: nobody else would see that it is not.
		err := w.bury(ctx, d, x, &Started{})
		if err == nil {
			err = ErrChanged // it is free now, if the device is looked at again
		}
		return taking{}, err
	}
	return taking{free: !x.Running, unreported: !x.Running && !d.parked(), stopped: x.Stopped}, nil
}

// reject ends an attempt that cannot begin, and reports it; ErrOver if it had ended
// otherwise before.
func (w *Starter) reject(ctx context.Context, thing event.ThingName, owner event.Owner, number int64, flow event.Flow,
	f event.Failure) error {
	if err := w.Orders.Reject(ctx, thing, owner, number, f); err != nil {
		return err
	}
	return w.Reports.Report(ctx, End{
		Thing: thing, Owner: owner, ExecutionNumber: number, Operation: flow.Operation, Status: event.StatusRejected,
		Why: f,
	})
}

// abandon gives back what start took.
func (w *Starter) abandon(ctx context.Context, thing event.ThingName, in event.ExecutionInput) error {
	const attempts = 4
	for i := 1; ; i++ {
		d, err := w.Store.Load(ctx, thing)
		if err != nil {
			return err
		}
		if p, ok := d.pending(in.Owner); ok && p.Identity().After(attemptOf(in)) {
			d.Shift = d.shift(in.Owner, in.ExecutionNumber, event.StandWaiting, "", w.Now())
		}
		err = w.Store.Release(ctx, d, in.Execution, attemptOf(in))
		if !errors.Is(err, ErrChanged) || d.Shift == nil || i == attempts {
			return err
		}
	}
}
