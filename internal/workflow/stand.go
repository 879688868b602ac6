package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Standings keep where devices stand with the campaigns that count them. A device's
// own standings come with Store's Load, and are changed by what is written anyway:
// Claim, Park and Release. An owner that counts no devices has none, and costs nothing.
type Standings interface {
	// Admit makes the standings of devices that have none, and PENDING of each: all or
	// nothing, so many as MostAdmitted and of one shard; ErrChanged if one of them has a
	// standing already, or PENDING.
	Admit(ctx context.Context, all []Admission) error
	// Retry puts PENDING of a device that has ended, and changes its standing, as Admit
	// does; ErrChanged unless the standing is as it was.
	Retry(ctx context.Context, thing event.ThingName, s event.Shift, p Pending) error
	// StandAll changes standings of devices, so many as MostShifted and of one shard: all or
	// nothing; ErrChanged unless all are as they were.
	StandAll(ctx context.Context, all []Shifted) error
	// Standings reads those that things have with a campaign, strongly consistent.
	Standings(ctx context.Context, id event.CampaignID, things []event.ThingName) (
		map[event.ThingName]event.Standing, error)
	// ListStandings reads up to so many devices by where they stand, from a cursor of before on, or "".
	// next is where the following ones begin, "" behind the last: a page may be short, or
	// empty, and not be the last. It reads an index, which shows a change a moment after it.
	ListStandings(ctx context.Context, id event.CampaignID, shards int, where event.Where, after string, most int) (
		found []event.Stood, next string, err error)
	// Counts reads a campaign's, of so many shards.
	Counts(ctx context.Context, id event.CampaignID, shards int) (event.Counts, error)
	// InDanger reads how many devices of a campaign are in danger, of so many shares.
	InDanger(ctx context.Context, id event.CampaignID, shares int) (int, error)
}

// MostAdmitted is how many devices are admitted at once: each is two items, their count
// is one, and a transaction has 100 at most (DynamoDB API reference, TransactWriteItems).
const MostAdmitted = 49

// MostShifted is how many standings are changed at once: each is an item, their count one more.
const MostShifted = 99

// Shifted is a device whose standing changes.
type Shifted struct {
	Thing event.ThingName
	Shift event.Shift
}

// Admission is a device that may begin.
type Admission struct {
	Thing    event.ThingName
	Standing event.Standing
	Pending  Pending
}

// standing finds where the device stands with an owner.
func (d Device) standing(owner event.Owner) (event.Standing, bool) {
	if owner.Campaign == "" {
		return event.Standing{}, false
	}
	for _, s := range d.Standings {
		if s.Campaign == owner.Campaign {
			return s, true
		}
	}
	return event.Standing{}, false
}

// priority is an owner's: of several whose attempts wait for the device the highest begins.
func (d Device) priority(owner event.Owner) int {
	if s, ok := d.standing(owner); ok {
		return s.Priority
	}
	return event.NormalPriority
}

// shift is the change of an owner's device to a state, where that is one: nil for an
// owner that counts no devices, an attempt that is another by now, and a device that
// stands so already.
func (d Device) shift(owner event.Owner, attempt int64, to event.StandState, name event.ErrorName, now time.Time,
) *event.Shift {
	s, ok := d.standing(owner)
	if !ok || s.Attempt != attempt || s.State.Over() || s.State == to {
		return nil
	}
	return &event.Shift{From: &s, To: s.In(to, name, now)}
}

// endangered is the change of a campaign's device that is about to be in danger; nil for any other.
func (d Device) endangered(owner event.Owner, attempt int64) *event.Shift {
	s, ok := d.standing(owner)
	if !ok || s.Danger || s.Stage || s.State != event.StandRunning || s.Attempt != attempt {
		return nil
	}
	to := s
	to.Danger = true // its time stays: what a list shows of it does not change, and costs nothing
	return &event.Shift{From: &s, To: to}
}

// roomWait is how long a device waits for room in its campaign's budget: three to eight minutes, each
// lap another.
func roomWait(thing event.ThingName, lap int) time.Duration {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", thing, lap))
	return 3*time.Minute + time.Duration(binary.BigEndian.Uint16(sum[:2]))*5*time.Minute/0x10000
}

// over reports whether an owner that counts its devices has done with an attempt.
func (d Device) over(owner event.Owner, attempt int64) bool {
	if owner.Campaign == "" {
		return false
	}
	s, ok := d.standing(owner)
	return !ok || s.Attempt != attempt || s.State.Over()
}

// stands is the state of a device whose attempt ended so.
func stands(status event.JobStatus, reason event.ErrorName) (event.StandState, event.ErrorName) {
	switch {
	case status == event.StatusSucceeded:
		return event.StandSucceeded, ""
	case reason == event.CampaignHeld:
		return event.StandHeld, ""
	}
	return event.StandFailed, reason
}

// Counted are Orders of both kinds of owners: jobs has those of jobs. What a campaign
// knows of an attempt lies with the device, and is changed with its claim.
func Counted(jobs Orders, store interface {
	Store
	Standings
}, now func() time.Time) Orders {
	return counted{jobs, store, now}
}

type counted struct {
	Orders
	store interface {
		Store
		Standings
	}
	now func() time.Time
}

// Begin implements Orders.
func (c counted) Begin(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) error {
	if owner.Campaign == "" {
		return c.Orders.Begin(ctx, thing, owner, number)
	}
	return nil // the claim said so
}

// Over implements Orders.
func (c counted) Over(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) (
	*event.Failure, error) {
	if owner.Campaign == "" {
		return c.Orders.Over(ctx, thing, owner, number)
	}
	all, err := c.store.Standings(ctx, owner.Campaign, []event.ThingName{thing})
	if err != nil {
		return nil, err
	}
	switch s, ok := all[thing]; {
	case !ok:
		return event.Failf(event.CampaignHeld, "%s does not have the device", owner), nil
	case s.Attempt != number, s.State.Over():
		return event.Failf(event.CampaignHeld, "in %s attempt %d is %s", owner, s.Attempt, s.State), nil
	}
	return nil, nil
}

// Cancel implements Orders.
func (c counted) Cancel(ctx context.Context, thing event.ThingName, owner event.Owner, number int64,
	f event.Failure) error {
	if owner.Campaign == "" {
		return c.Orders.Cancel(ctx, thing, owner, number, f)
	}
	return c.Reject(ctx, thing, owner, number, f)
}

// Reject implements Orders.
func (c counted) Reject(ctx context.Context, thing event.ThingName, owner event.Owner, number int64,
	f event.Failure) error {
	if owner.Campaign == "" {
		return c.Orders.Reject(ctx, thing, owner, number, f)
	}
	to, name := stands(event.StatusRejected, f.Name)
	for range closeAttempts {
		d, err := c.store.Load(ctx, thing)
		if err != nil {
			return err
		}
		s, ok := d.standing(owner)
		if !ok || s.Attempt != number || s.State.Over() {
			if ok && s.Attempt == number && s.State == to && s.Error == name {
				return nil // by us, who did not come to say so
			}
			return ErrOver
		}
		err = c.store.Stand(ctx, thing, event.Shift{From: &s, To: s.In(to, name, c.now())}, nil)
		if !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("workflow.Reject: thing %s, %s: %w", thing, owner, ErrChanged)
}

// Entrant is a device that a campaign lets begin.
type Entrant struct {
	Thing    event.ThingName
	Document []byte
	Window   *event.Window // the campaign's, in the device's time where that is known
	Standing event.Standing
	// Staged says that the device was probably admitted before, to be staged only.
	Staged bool
}

// Carrier lets devices begin without a job: PENDING, where a device stands, and a word
// to the queue of starts.
type Carrier struct {
	Store interface {
		Store
		Standings
	}
	Waker Waker
	Flows event.Flows
	Now   func() time.Time
}

// Admit lets devices begin, evenly over a time. Twice is once: those that were admitted
// before are woken again, which is harmless. Those that were to be staged go on. skipped are
// those that stand elsewhere.
func (c *Carrier) Admit(ctx context.Context, all []Entrant, over time.Duration) (admitted, skipped int, err error) {
	fail := func(err error) (int, int, error) {
		return admitted, skipped, fmt.Errorf("workflow.Admit: %w", err)
	}
	shards := map[int][]Admission{}
	probably := map[event.ThingName]bool{}
	var order []int
	for _, e := range all {
		a, err := c.admission(e)
		if err != nil {
			return fail(err)
		}
		shard := a.Standing.Shard
		if shards[shard] == nil {
			order = append(order, shard)
		}
		shards[shard], probably[e.Thing] = append(shards[shard], a), e.Staged
	}
	var wakes []Wake
	for _, shard := range order {
		for list := shards[shard]; len(list) > 0; {
			n := min(len(list), MostAdmitted)
			in, err := c.admit(ctx, list[:n], slices.ContainsFunc(list[:n], func(a Admission) bool {
				return probably[a.Thing]
			}))
			if err != nil {
				return fail(err)
			}
			for _, a := range in {
				wakes = append(wakes, Wake{Thing: a.Thing, Owner: a.Pending.Owner})
			}
			admitted, skipped = admitted+len(in), skipped+n-len(in)
			list = list[n:]
		}
	}
	for i := range wakes {
		wakes[i].After = (over * time.Duration(i) / time.Duration(len(wakes))).Truncate(time.Second)
	}
	if err := c.Waker.Wake(ctx, wakes); err != nil {
		return fail(err)
	}
	return admitted, skipped, nil
}

// admit admits devices of one shard: together, or where some of them have a standing those
// that have none together, and of the others each by where it stands.
func (c *Carrier) admit(ctx context.Context, all []Admission, look bool) (in []Admission, err error) {
	if !look {
		err = c.Store.Admit(ctx, all)
		if err == nil {
			return all, nil
		}
		if !errors.Is(err, ErrChanged) {
			return nil, err
		}
	}
	things := make([]event.ThingName, len(all))
	for i, a := range all {
		things[i] = a.Thing
	}
	have, err := c.Store.Standings(ctx, all[0].Standing.Campaign, things)
	if err != nil {
		return nil, err
	}
	var fresh []Admission
	var staged []Shifted
	for _, a := range all {
		s, stands := have[a.Thing]
		switch {
		case !stands:
			fresh = append(fresh, a)
		case s.Stage && !s.State.Over() && !a.Standing.Stage:
			staged = append(staged, Shifted{a.Thing, unstaged(s, c.Now())})
		case s.State != event.StandAdmitted:
			continue
		}
		in = append(in, a)
	}
	if err := each(fresh, func(some []Admission) error { return c.Store.Admit(ctx, some) }); err != nil {
		return nil, err
	}
	err = each(staged, func(some []Shifted) error {
		err := c.Store.StandAll(ctx, some)
		if errors.Is(err, ErrChanged) && len(some) == 1 {
			return c.unstage(ctx, some[0].Thing, event.CampaignOwner(some[0].Shift.To.Campaign))
		}
		return err
	})
	return in, err
}

// each makes a change of several together, or if one of them is not as it was one by one. One
// that is not even alone is somebody else's by now.
func each[T any](all []T, change func([]T) error) error {
	if len(all) == 0 {
		return nil
	}
	err := change(all)
	if !errors.Is(err, ErrChanged) || len(all) == 1 {
		if errors.Is(err, ErrChanged) {
			return nil
		}
		return err
	}
	for i := range all {
		if err := change(all[i : i+1]); err != nil && !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return nil
}

// unstaged lets a device go on that was only to be staged. One that is may begin anew; one at work
// does not stop any more.
func unstaged(s event.Standing, now time.Time) event.Shift {
	to := s
	if s.State == event.StandStaged {
		to = s.In(event.StandAdmitted, "", now)
	}
	to.Stage = false
	return event.Shift{From: &s, To: to}
}

// unstage is unstaged of one device, that is at work.
func (c *Carrier) unstage(ctx context.Context, thing event.ThingName, owner event.Owner) error {
	for range closeAttempts {
		d, err := c.Store.Load(ctx, thing)
		if err != nil {
			return err
		}
		s, ok := d.standing(owner)
		if !ok || !s.Stage || s.State.Over() {
			return nil
		}
		if err = c.Store.Stand(ctx, thing, unstaged(s, c.Now()), nil); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("thing %s, %s: %w", thing, owner, ErrChanged)
}

func (c *Carrier) admission(e Entrant) (Admission, error) {
	owner := event.CampaignOwner(e.Standing.Campaign)
	flow, ok := c.Flows.OfDocument(e.Document)
	if !ok {
		return Admission{}, fmt.Errorf("%s: its document is no operation's of this stack", owner)
	}
	plan, err := flow.Plan(e.Document)
	if err != nil {
		return Admission{}, fmt.Errorf("%s: its document: %w", owner, err)
	}
	if e.Window != nil {
		plan.Window = e.Window
	}
	// An operation that cannot wait within is not begun outside.
	gated := plan.Window != nil && (plan.WindowStarts || len(flow.Gates) == 0)
	now := c.Now()
	p := Pending{
		Owner: owner, ExecutionNumber: e.Standing.Attempt, Operation: flow.Operation, Plan: plan, At: now,
		ExpiresAt: now.Add(pendingLife), Gated: gated,
	}
	return Admission{Thing: e.Thing, Standing: e.Standing, Pending: p}, nil
}

// Withdraw takes a device out of a campaign that has not begun, or waits: it is told of
// as held, if it has begun. changed is false where it is at work, or over.
func (c *Carrier) Withdraw(ctx context.Context, thing event.ThingName, id event.CampaignID, to event.StandState) (
	changed bool, err error) {
	owner := event.CampaignOwner(id)
	for range closeAttempts {
		d, err := c.Store.Load(ctx, thing)
		if err != nil {
			return false, fmt.Errorf("workflow.Withdraw: thing %s, %s: %w", thing, owner, err)
		}
		s, ok := d.standing(owner)
		if !ok || s.State != event.StandAdmitted && s.State != event.StandWaiting && s.State != event.StandStaged ||
			d.Claim != nil && d.Claim.Owner == owner {
			return false, nil
		}
		drop := Attempt{Owner: owner, Number: s.Attempt}
		var void []Due
		if p, ok := d.pending(owner); ok {
			drop = p.Identity()
			if p.NotBefore.After(c.Now()) { // else it has been read
				void = append(void, p.due(thing, c.Now()))
			}
		}
		err = c.Store.Stand(ctx, thing, event.Shift{From: &s, To: s.In(to, "", c.Now())}, &drop, void...)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, ErrChanged) {
			return false, fmt.Errorf("workflow.Withdraw: thing %s, %s: %w", thing, owner, err)
		}
	}
	return false, fmt.Errorf("workflow.Withdraw: thing %s, %s: %w", thing, owner, ErrChanged)
}

// Again lets a device begin once more that has failed, was held or was withdrawn.
// changed is false where it is otherwise, or has had so many attempts.
func (c *Carrier) Again(ctx context.Context, e Entrant, most int64) (changed bool, err error) {
	owner := event.CampaignOwner(e.Standing.Campaign)
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("workflow.Again: thing %s, %s: %w", e.Thing, owner, err)
	}
	d, err := c.Store.Load(ctx, e.Thing)
	if err != nil {
		return fail(err)
	}
	s, ok := d.standing(owner)
	if !ok || !s.State.Over() || s.State == event.StandSucceeded || most > 0 && s.Attempt >= most {
		return false, nil
	}
	to := s.In(event.StandAdmitted, "", c.Now())
	to.Attempt++
	to.Stage = e.Standing.Stage
	e.Standing = to
	a, err := c.admission(e)
	if err != nil {
		return fail(err)
	}
	err = c.Store.Retry(ctx, e.Thing, event.Shift{From: &s, To: to}, a.Pending)
	switch {
	case errors.Is(err, ErrChanged):
		return false, nil // somebody else did
	case err != nil:
		return fail(err)
	}
	if err := c.Waker.Wake(ctx, []Wake{{Thing: e.Thing, Owner: owner}}); err != nil {
		return fail(err)
	}
	return true, nil
}
