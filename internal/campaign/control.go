package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// ControllerPorts are what a Controller needs.
type ControllerPorts struct {
	Store    Store
	Manifest Manifest
	Counts   Counts
	Flags    Flags
	Carrier  Carrier
	Callback Callback
	Now      func() time.Time
	// Errors are the names with which an operation fails; of one that is not among them any may be.
	Errors map[event.Operation][]event.ErrorName
}

// Controller does what operators ask. Each verb may be repeated: what was done is not done
// again, and the answer says so.
type Controller struct{ ControllerPorts }

// Done is what a verb came to.
type Done struct {
	Campaign event.CampaignID   `json:"campaignId"`
	Verb     event.CampaignVerb `json:"verb"`
	Changed  bool               `json:"changed"`
	State    State              `json:"state"`
	Wave     string             `json:"wave,omitempty"`
	Devices  int                `json:"devices,omitempty"` // of exclude and retry: how many
	Left     int                `json:"left,omitempty"`    // those that stay as they are
	// Unknown are things that exclude was given and that are not the campaign's.
	Unknown []event.ThingName `json:"unknown,omitempty"`
	// Of retry: where the next request goes on, if there are more devices, and how many have failed
	// that the list does not show yet.
	Next     string `json:"next,omitempty"`
	Unlisted int    `json:"unlisted,omitempty"`
}

// Do does what a request asks, which was checked, for somebody.
func (w *Controller) Do(ctx context.Context, r event.CampaignRequest, who string) (Done, error) {
	out := Done{Campaign: r.Campaign, Verb: r.Verb}
	var err error
	switch r.Verb {
	case event.VerbApprove, event.VerbDeny:
		err = w.decide(ctx, r, who, &out)
	case event.VerbPauseCampaign:
		err = w.pause(ctx, r, who, &out)
	case event.VerbResumeCampaign:
		err = w.resume(ctx, r, who, &out)
	case event.VerbSkip:
		err = w.skip(ctx, r, who, &out)
	case event.VerbAbort:
		err = w.abort(ctx, r, who, &out)
	case event.VerbExclude:
		err = w.exclude(ctx, r, who, &out)
	case event.VerbRetry:
		err = w.retry(ctx, r, who, &out)
	default:
		err = fmt.Errorf("there is no verb %q", r.Verb)
	}
	if err != nil {
		if problems, ok := errors.AsType[event.Problems](err); ok {
			return out, problems
		}
		return out, fmt.Errorf("campaign.%s: %s: %w", r.Verb, r.Campaign, err)
	}
	return out, nil
}

func (w *Controller) entry(r event.CampaignRequest, who, wave string) Entry {
	return Entry{At: w.Now(), Verb: string(r.Verb), Who: who, Why: r.Why, Wave: wave}
}

// moment says what a campaign waits for, to who came at another moment.
func (c *Campaign) moment() string {
	wave := ""
	if c.Current < len(c.Waves) {
		wave = c.Waves[c.Current].Name
	}
	if c.Gone != nil {
		return c.Gone.String() + ": " + c.Gone.remedy(c.State)
	}
	switch c.Phase {
	case Staging:
		return "it is staged"
	case Approval:
		return "wave " + wave + " waits for approval"
	case Admit:
		return "wave " + wave + " is on its way"
	case Bake:
		return "wave " + wave + " bakes"
	case Hold:
		return "the gate of wave " + wave + " asks whether to go on: resume or abort it"
	case Close:
		return "it comes to its end"
	}
	return "it is about to begin"
}

// decide is an operator's word on a wave that waits for it.
func (w *Controller) decide(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	c, err := change(ctx, w.Store, r.Campaign, func(c *Campaign) ([]Entry, error) {
		*out = Done{Campaign: r.Campaign, Verb: r.Verb, State: c.State}
		if r.Wave != "" {
			k, err := c.waveNamed("$.wave", r.Wave)
			if err != nil {
				return nil, err
			}
			if c.Waves[k].Approved != nil && r.Verb == event.VerbApprove {
				out.Wave = r.Wave
				return nil, nil // it was, and may be over by now
			}
		}
		if r.Verb == event.VerbDeny && (c.State == Aborting || c.State == Aborted) {
			return nil, nil
		}
		if c.State.Over() {
			return nil, ErrOver
		}
		if c.Gone != nil && r.Verb == event.VerbApprove {
			return nil, fmt.Errorf("%w: %s", ErrNothingToDo, c.moment())
		}
		if c.Phase != Approval || c.Current >= len(c.Waves) || r.Wave != "" && c.wave().Name != r.Wave {
			if c.Current < len(c.Waves) && c.wave().Approved != nil && r.Verb == event.VerbApprove && r.Wave == "" {
				out.Wave = c.wave().Name
				return nil, nil
			}
			return nil, fmt.Errorf("%w: no such wave waits for approval; %s", ErrNothingToDo, c.moment())
		}
		if c.Request.FourEyes && r.Verb == event.VerbApprove {
			switch who {
			case event.Nobody:
				return nil, ErrUnproved
			case c.By:
				return nil, ErrFourEyes
			}
		}
		one := c.wave()
		out.Wave = one.Name
		if c.Answer != nil {
			return nil, nil
		}
		e := w.entry(r, who, one.Name)
		if r.Verb == event.VerbDeny {
			c.State, c.Why = Aborting, "denied by "+who+": "+r.Why
			c.answer(Answer{Next: NextAbort, Why: c.Why})
		} else {
			one.Approved = &e
			c.answer(Answer{Next: NextGo})
		}
		out.Changed, out.State = true, c.State
		return []Entry{e}, nil
	})
	if err != nil {
		return err
	}
	return respond(ctx, w.Store, w.Callback, c)
}

// pause sets the flag first: once it has returned, nothing begins but what had read the flag
// before.
func (w *Controller) pause(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	c, err := w.Store.Load(ctx, r.Campaign)
	if err != nil {
		return err
	}
	if out.State = c.State; c.State.Over() {
		return ErrOver
	}
	own, _, err := w.Flags.Flag(ctx, c.ID)
	if err != nil {
		return err
	}
	if own == event.ControlStopped {
		return ErrOver
	}
	if own == event.ControlPaused { // by a gate that asks, or by who may not have come to note it
		if c.Gone != nil && c.Gone.Paused {
			return w.keep(ctx, r, who, out)
		}
		noted, err := w.noted(ctx, r)
		if err != nil || noted || c.Phase == Hold {
			return err
		}
		return w.note(ctx, r, who, 0)
	}
	if err := w.Flags.SetFlag(ctx, c.ID, event.ControlPaused, who, r.Why); err != nil {
		return err
	}
	out.Changed = true
	return w.note(ctx, r, who, 0)
}

// keep is a pause of what the clock has paused because the execution is gone: it lasts when that goes on.
func (w *Controller) keep(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	_, err := change(ctx, w.Store, r.Campaign, func(c *Campaign) ([]Entry, error) {
		if out.Changed = c.Gone != nil && c.Gone.Paused; !out.Changed {
			return nil, nil
		}
		c.Gone.Paused = false
		return []Entry{w.entry(r, who, "")}, nil
	})
	return err
}

// noted reports whether the last that was done of pausing and resuming, by an operator or a gate, is this verb.
func (w *Controller) noted(ctx context.Context, r event.CampaignRequest) (bool, error) {
	log, err := w.Store.Log(ctx, r.Campaign)
	for _, e := range slices.Backward(log) {
		switch verb := event.CampaignVerb(e.Verb); verb {
		case event.VerbPauseCampaign, event.VerbResumeCampaign, gateVerb + event.CampaignVerb(Inconclusive):
			return verb == r.Verb, err
		}
	}
	return false, err
}

// note records a verb, of so many devices if it is of devices.
func (w *Controller) note(ctx context.Context, r event.CampaignRequest, who string, devices int) error {
	_, err := change(ctx, w.Store, r.Campaign, func(*Campaign) ([]Entry, error) {
		e := w.entry(r, who, r.Wave)
		e.Error, e.Model, e.N = r.Error, r.Model, devices
		return []Entry{e}, nil
	})
	return err
}

// resume goes on, and says that the failures until now are known.
func (w *Controller) resume(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	c, err := w.Store.Load(ctx, r.Campaign)
	if err != nil {
		return err
	}
	if out.State = c.State; c.State.Over() {
		return ErrOver
	}
	counts, err := w.Counts.Counts(ctx, c.ID, c.Shards)
	if err != nil {
		return err
	}
	failed := NumbersOf(counts.Tally, -1, c.Total)
	if n := failed.Failures(); r.Failures != nil && *r.Failures != n {
		return event.Problems{{Path: "$.acknowledge", Value: *r.Failures,
			Allowed: fmt.Sprintf("%d: so many devices have failed by now", n)}}
	}
	own, _, err := w.Flags.Flag(ctx, c.ID)
	if err != nil {
		return err
	}
	held := c.Phase == Hold && c.Answer == nil
	if own == event.ControlStopped {
		return ErrOver
	}
	if held && failed.Failures() > 0 && r.Failures == nil {
		return event.Problems{{Path: "$.acknowledge",
			Allowed: fmt.Sprintf("%d: after a gate that asks, the failures that were seen", failed.Failures())}}
	}
	switch g := c.Gone; {
	case g != nil && g.Final && !c.State.ends():
		return fmt.Errorf("%w: %s", ErrNothingToDo, c.moment())
	case !held && own != event.ControlPaused && (g == nil || g.Resumed):
		return nil
	}
	noted, err := w.noted(ctx, r) // by who did not come to lift the flag
	if err != nil {
		return err
	}
	c, err = change(ctx, w.Store, r.Campaign, func(c *Campaign) ([]Entry, error) {
		if r.Failures != nil {
			c.Acknowledged = map[event.ErrorName]int{}
			for p, n := range counts.Tally {
				if p.State == event.StandFailed && c.Current < len(c.Waves) &&
					(p.Wave == c.Current || c.Phase == Staging) {
					c.Acknowledged[p.Error] += n
				}
			}
		}
		if c.Phase == Hold && c.Answer == nil {
			c.State, c.Why, c.Acknowledged = Running, "", nil // the next wave counts anew
			c.answer(Answer{Next: NextGo})
		}
		lost := c.Gone != nil && !c.Gone.Resumed
		if lost {
			c.Gone.Resumed = true // by the clock
		}
		if out.State = c.State; noted && !held && !lost {
			return nil, nil
		}
		return []Entry{w.entry(r, who, "")}, nil
	})
	if err != nil {
		return err
	}
	out.Changed = true
	if err := w.Flags.SetFlag(ctx, c.ID, event.ControlRunning, who, r.Why); err != nil {
		return err
	}
	return respond(ctx, w.Store, w.Callback, c)
}

// skip ends the bake of the wave, or the stage: who has no image yet downloads it with his wave. A bake ends here and
// now, and its gate decides; the stage ends by the clock, which sees first whether what was seen by then halts.
func (w *Controller) skip(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	c, err := change(ctx, w.Store, r.Campaign, func(c *Campaign) ([]Entry, error) {
		if out.State = c.State; c.State.Over() {
			return nil, ErrOver
		}
		if c.Gone != nil {
			return nil, fmt.Errorf("%w: %s", ErrNothingToDo, c.moment())
		}
		switch c.Phase {
		case Staging:
			if c.Skip || c.Answer != nil {
				return nil, nil
			}
			c.Skip, c.Stage.Skipped = true, true
		case Bake:
			one := c.wave()
			if out.Wave = one.Name; c.Answer != nil {
				return nil, nil
			}
			one.Skipped, one.Ended = true, w.Now()
			c.answer(Answer{Next: NextGo})
		default:
			if name, ok := c.skipped(); ok {
				out.Wave = name
				return nil, nil
			}
			return nil, fmt.Errorf("%w: no wave bakes; %s", ErrNothingToDo, c.moment())
		}
		out.Changed = true
		return []Entry{w.entry(r, who, out.Wave)}, nil
	})
	if err != nil {
		return err
	}
	return respond(ctx, w.Store, w.Callback, c)
}

// skipped reports whether what ended last was skipped: the bake of a wave, or the stage, which has no name.
func (c *Campaign) skipped() (wave string, ok bool) {
	for _, one := range slices.Backward(c.Waves) {
		if !one.Ended.IsZero() {
			return one.Name, one.Skipped
		}
	}
	return "", c.Stage != nil && c.Stage.Skipped
}

// abort ends a campaign: what has begun is held before its next command.
func (w *Controller) abort(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	c, err := w.Store.Load(ctx, r.Campaign)
	if err != nil {
		return err
	}
	out.State = c.State
	switch c.State {
	case Aborted:
		return nil
	case Completed, Halted:
		return ErrOver
	}
	if err := w.Flags.SetFlag(ctx, c.ID, event.ControlStopped, who, r.Why); err != nil && !errors.Is(err, ErrOver) {
		return err
	}
	c, err = change(ctx, w.Store, r.Campaign, func(c *Campaign) ([]Entry, error) {
		if out.State = c.State; c.State.Over() || c.State == Aborting || c.State == Halting {
			return nil, nil
		}
		c.State, c.Why = Aborting, "aborted by "+who+": "+r.Why
		out.State, out.Changed = c.State, true
		if c.Phase != Close && c.Token != "" {
			c.answer(Answer{Next: NextAbort, Why: c.Why})
		}
		return []Entry{w.entry(r, who, "")}, nil
	})
	if err != nil {
		return err
	}
	return respond(ctx, w.Store, w.Callback, c)
}

// exclude takes devices out, those that have not begun and those that were to.
func (w *Controller) exclude(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	c, err := w.Store.Load(ctx, r.Campaign)
	if err != nil {
		return err
	}
	if out.State = c.State; c.State.Over() {
		return ErrOver
	}
	wanted := map[event.ThingName]bool{}
	for _, thing := range r.Things {
		wanted[thing] = true
	}
	took := func(changed bool) {
		if changed {
			out.Devices++
		} else {
			out.Left++
		}
	}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(wanted)), listPage) {
		stand, err := w.Counts.Standings(ctx, c.ID, names)
		if err != nil {
			return err
		}
		for _, thing := range names {
			if _, stands := stand[thing]; !stands {
				continue
			}
			delete(wanted, thing)
			changed, err := w.Carrier.Withdraw(ctx, thing, c.ID, event.StandExcluded)
			if err != nil {
				return err
			}
			took(changed)
		}
	}
	// Of the others only the manifest knows whether they are the campaign's, and in which wave.
	for wave := 0; wave < len(c.Waves) && len(wanted) > 0; wave++ {
		err := walk(ctx, w.Manifest, c, wave, func(members []Member) (bool, error) {
			for _, m := range members {
				if !wanted[m.Thing] {
					continue
				}
				delete(wanted, m.Thing)
				s := c.standing(m, wave, 1, event.StandExcluded, w.Now())
				changed, err := w.Carrier.Exclude(ctx, s, m.Thing)
				if err == nil && !changed { // it was admitted meanwhile
					changed, err = w.Carrier.Withdraw(ctx, m.Thing, c.ID, event.StandExcluded)
				}
				if err != nil {
					return false, err
				}
				took(changed)
			}
			return len(wanted) > 0, nil
		})
		if err != nil {
			return err
		}
	}
	out.Unknown = slices.Sorted(maps.Keys(wanted))
	if out.Changed = out.Devices > 0; !out.Changed {
		return nil
	}
	return w.note(ctx, r, who, out.Devices)
}

// mostRetried is how many devices one request lets begin again: each takes some requests, and the
// function has minutes.
const mostRetried = 1000

// retry lets devices begin again that have failed, as the request says which, up to so many
// attempts as the campaign allows: those beyond are left as they are. Where there are more than
// mostRetried the answer says where to go on.
func (w *Controller) retry(ctx context.Context, r event.CampaignRequest, who string, out *Done) error {
	c, err := w.Store.Load(ctx, r.Campaign)
	if err != nil {
		return err
	}
	out.State = c.State
	switch {
	case c.State.Over():
		return ErrOver
	case c.State != Running && c.State != Held:
		return fmt.Errorf("%w: %s", ErrNothingToDo, c.moment())
	}
	if err := c.may(ctx, w.Manifest, w.Errors, "$", r.Error, r.Model, r.After == ""); err != nil {
		return err
	}
	where := event.Where{State: event.StandFailed, Error: r.Error, Wave: -1, Model: r.Model}
	if r.Wave != "" {
		if where.Wave, err = c.waveNamed("$.wave", r.Wave); err != nil {
			return err
		}
	}
	counts, err := w.Counts.Counts(ctx, c.ID, c.Shards)
	if err != nil {
		return err
	}
	page, next, err := w.Counts.ListStandings(ctx, c.ID, c.Shards, where, r.After, mostRetried)
	if err != nil {
		return err
	}
	if r.After == "" && next == "" && r.Model == "" { // else nobody knows how many there are
		out.Unlisted = max(0, counts.Tally.Sum(where.Place)-len(page))
	}
	out.Next = next
	staged := map[int][]Entrant{}
	for _, s := range page {
		if c.Waves[s.Wave].Began.IsZero() && c.Stage == nil {
			continue
		}
		e := c.entrant(Member{Thing: s.Thing, Model: s.Model, Image: s.Document}, s.Wave, 1, s.Zone, w.Now())
		changed, err := w.Carrier.Again(ctx, e, c.Request.Attempts)
		if err != nil {
			return err
		}
		if changed {
			out.Devices++
		} else {
			out.Left++
		}
		if changed && e.Standing.Stage {
			staged[s.Wave] = append(staged[s.Wave], e)
		}
	}
	if err := w.overtaken(ctx, c.ID, staged); err != nil {
		return err
	}
	if out.Changed = out.Devices > 0; !out.Changed {
		return nil
	}
	return w.note(ctx, r, who, out.Devices)
}

// overtaken lets devices go on that begin again to be staged, if their wave has begun meanwhile: it
// may have passed them when they had failed. Either it finds them as they are now, or they are
// found here.
func (w *Controller) overtaken(ctx context.Context, id event.CampaignID, staged map[int][]Entrant) error {
	if len(staged) == 0 {
		return nil
	}
	c, err := w.Store.Load(ctx, id)
	if err != nil {
		return err
	}
	for wave, all := range staged {
		if c.Waves[wave].Began.IsZero() {
			continue
		}
		for i := range all {
			all[i].Standing.Stage, all[i].Staged = false, true
		}
		if _, _, err := w.Carrier.Admit(ctx, all, 0); err != nil {
			return err
		}
	}
	return nil
}
