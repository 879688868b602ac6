package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// DriverPorts are what a Driver needs.
type DriverPorts struct {
	Store    Store
	Manifest Manifest
	Counts   Counts
	Flags    Flags
	Carrier  Carrier
	Alarms   Alarms
	Callback Callback
	// Executions are those of campaigns.
	Executions Executions
	Now        func() time.Time
}

// Driver does what is done by the clock, once a minute, one at a time: nobody else admits.
type Driver struct{ DriverPorts }

// Driven says what a tick has done.
type Driven struct {
	Open     int // campaigns
	Admitted int
	Closed   int // devices that were taken out at the end of a campaign
	Stopped  int // campaigns whose execution has ended before them, and does not go on yet
}

// StartsPerMinute is how many devices all campaigns let begin in a minute.
const StartsPerMinute = 1000

// tick is one minute.
const tick = time.Minute

// mostClosed is how many devices are taken out in a minute at the end of campaigns.
const mostClosed = 2000

// Tick does the work of one minute. A campaign that fails does not keep others from
// theirs: those of higher priority come first, then the older ones.
func (d *Driver) Tick(ctx context.Context) (out Driven, err error) {
	ids, err := d.Store.Open(ctx)
	if err != nil {
		return out, fmt.Errorf("campaign.Tick: %w", err)
	}
	var open []Campaign
	var errs []error
	all := models{working: map[string]int{}}
	counts := map[event.CampaignID]event.Counts{}
	for _, id := range ids {
		c, err := d.Store.Load(ctx, id)
		if err == nil && !c.State.Over() {
			counts[id], err = d.Counts.Counts(ctx, id, c.Shards)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if c.State.Over() {
			continue
		}
		open = append(open, c)
		for model, n := range counts[id].Running {
			all.working[model] += n
		}
		for model, n := range c.Last { // they are about to begin
			all.working[model] += n
		}
	}
	slices.SortStableFunc(open, func(a, b Campaign) int {
		return cmp.Or(cmp.Compare(b.Request.Priority, a.Request.Priority), a.Created.Compare(b.Created))
	})
	out.Open = len(open)
	left, closing := StartsPerMinute, mostClosed
	for _, c := range open {
		if err := d.one(ctx, c, counts[c.ID], all, &left, &closing, &out); err != nil {
			errs = append(errs, fmt.Errorf("campaign.Tick: %s: %w", c.ID, err))
		}
	}
	return out, errors.Join(errs...)
}

// working is how many devices of a campaign are at work, or were just let begin.
func working(c Campaign, counts event.Counts) (n int) {
	for _, of := range counts.Running {
		n += of
	}
	for _, of := range c.Last {
		n += of
	}
	return n
}

// one does the work of one campaign.
func (d *Driver) one(ctx context.Context, c Campaign, counts event.Counts, all models, left, closing *int,
	out *Driven) error {
	after := d.lookAfter(ctx, c, counts, closing) // its failure keeps nothing else from being done
	seen, err := d.look(ctx, c)
	if seen.Gone != nil && !seen.State.Over() {
		out.Stopped++
	}
	switch {
	case err != nil: // nobody knows whether somebody judges
		return errors.Join(after, err)
	case seen.Gone != nil && !seen.State.ends() || seen.State.Over():
		return after
	}
	c = seen
	if c.Answer != nil {
		// Whoever decided it did not come to say so.
		return errors.Join(after, respond(ctx, d.Store, d.Callback, c))
	}
	switch c.Phase {
	case Staging:
		err = d.stage(ctx, c, counts, left, out)
	case Admit, Bake:
		err = d.drive(ctx, c, counts, all, left, out)
	case Close:
		err = d.closing(ctx, c, counts, closing, out)
	}
	return errors.Join(after, err)
}

// drive brings a wave on its way.
func (d *Driver) drive(ctx context.Context, c Campaign, counts event.Counts, all models, left *int, out *Driven,
) error {
	now := d.Now()
	own, everything, err := d.Flags.Flag(ctx, c.ID)
	if err != nil {
		return err
	}
	paused := everything || own != "" && own != event.ControlRunning
	wave := c.Current
	numbers := NumbersOf(counts.Tally, wave, c.Waves[wave].Size)
	seen := numbers.Sample()
	if seen.Alarms, err = watched(ctx, d.Alarms, c.Waves[wave].Gate.Alarms); err != nil {
		return err // nobody begins while nobody can tell
	}
	next := c // what the record is to be
	next.Waves = slices.Clone(c.Waves)
	w := &next.Waves[wave]
	w.Cursors, w.Ahead, next.Last = slices.Clone(w.Cursors), maps.Clone(w.Ahead), nil
	if why := w.Gate.Halts(seen, c.Acknowledged); why != "" && w.Cut == "" {
		w.Cut = why
	}
	switch {
	case w.Cut != "":
		w.Ended = now
		next.answer(Answer{Next: NextGo, Why: w.Cut}) // to the gate, which halts
	case c.Phase == Admit:
		r := c.Request
		if paused || r.Start != nil && now.Before(*r.Start) {
			w.Idle += tick // its time stands still
		} else if err := d.admit(ctx, &next, all, working(c, counts), left, out); err != nil {
			return err
		}
		late := now.Sub(w.Began)-w.Idle >= time.Duration(w.MaxHours)*time.Hour ||
			r.End != nil && !now.Before(*r.End)
		// Those of this minute are not counted yet.
		if over := w.exhausted() && next.Last == nil && numbers.IsOver(); over || late {
			w.Late = late && !over
			next.Phase, w.Baking = Bake, now
		}
	}
	if c.Phase == Bake && paused {
		w.Still += tick
	}
	// A bake is skipped without the clock, but for one of which an earlier version has only noted that.
	baked := now.Sub(w.Baking)-w.Still >= time.Duration(w.BakeMinutes)*time.Minute
	if next.Phase == Bake && next.Answer == nil && (c.Skip || baked && !paused) {
		w.Ended = now
		next.answer(Answer{Next: NextGo})
	}
	saved, err := change(ctx, d.Store, c.ID, func(to *Campaign) ([]Entry, error) {
		if to.Token != c.Token || to.Answer != nil {
			return nil, nil // an operator was faster; those who were admitted are admitted, and found again
		}
		to.Phase, to.Last, to.Answer = next.Phase, next.Last, next.Answer
		to.Waves[wave] = *w
		return nil, nil
	})
	if err != nil {
		return err
	}
	return respond(ctx, d.Store, d.Callback, saved)
}

// watched reads alarms, if there are any to be read.
func watched(ctx context.Context, alarms Alarms, names []string) (map[string]Alarm, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return alarms.Alarms(ctx, names)
}

// stage lets devices of all waves download, in the order of waves.
func (d *Driver) stage(ctx context.Context, c Campaign, counts event.Counts, left *int, out *Driven) error {
	now := d.Now()
	own, everything, err := d.Flags.Flag(ctx, c.ID)
	if err != nil {
		return err
	}
	paused := everything || own != "" && own != event.ControlRunning
	next := c
	run := *c.Stage
	run.Cursors = nil
	for _, of := range c.Stage.Cursors {
		run.Cursors = append(run.Cursors, slices.Clone(of))
	}
	next.Stage = &run
	r := c.Request
	halted := ""
	var names []string
	for _, w := range c.Waves {
		names = append(names, w.Gate.Alarms...)
	}
	alarms, err := watched(ctx, d.Alarms, names)
	if err != nil {
		return err
	}
	for i, w := range c.Waves {
		// Nobody was told to restart: who is away is only away.
		gate, seen := w.Gate, NumbersOf(counts.Tally, i, w.Size).Sample()
		gate.NotReturned, seen.Alarms = 0, alarms
		if why := gate.Halts(seen, c.Acknowledged); why != "" && halted == "" {
			halted = why
		}
	}
	admitted := 0
	switch {
	case halted != "":
		run.Ended, next.HaltedIn, next.Why = now, stageName, stageName+": "+halted
		next.answer(Answer{Next: NextHalt, Why: next.Why})
	case paused || r.Start != nil && now.Before(*r.Start):
		run.Idle += tick
	default:
		if admitted, err = d.admitStage(ctx, &next, left, out); err != nil {
			return err
		}
	}
	late := now.Sub(run.Began)-run.Idle >= time.Duration(run.MaxHours)*time.Hour || r.End != nil && !now.Before(*r.End)
	all := NumbersOf(counts.Tally, -1, c.Total)
	over := run.Admitted >= c.Total && admitted == 0 && all.IsStaged()
	if (over || late || c.Skip) && next.Answer == nil {
		run.Ended, run.Late = now, late && !over && !c.Skip
		next.answer(Answer{Next: NextGo})
	}
	saved, err := change(ctx, d.Store, c.ID, func(to *Campaign) ([]Entry, error) {
		if to.Token != c.Token || to.Answer != nil {
			return nil, nil // an operator was faster
		}
		to.Stage, to.Last, to.Answer = &run, nil, next.Answer
		to.HaltedIn, to.Why = next.HaltedIn, next.Why
		return nil, nil
	})
	if err != nil {
		return err
	}
	return respond(ctx, d.Store, d.Callback, saved)
}

// stageName is what halted in the stage, and in no wave.
const stageName = "stage"

// admitStage admits devices to their download. Its cursors move as those of admit do.
func (d *Driver) admitStage(ctx context.Context, c *Campaign, left *int, out *Driven) (admitted int, err error) {
	now, run := d.Now(), c.Stage
	room := Room(c.Request.Rate, *left)
	var entrants []Entrant
	for wave := range c.Waves {
		for class, k := range c.Waves[wave].Classes {
			if !c.Request.stages(k.Zone, now) {
				continue
			}
			for cursor := &run.Cursors[wave][class]; *cursor < k.Count && len(entrants) < room; {
				at := Part{Campaign: c.ID, Wave: wave, Class: class, Number: *cursor / PartSize}
				members, err := d.Manifest.Part(ctx, at)
				if err != nil {
					return 0, fmt.Errorf("manifest of wave %s: %w", c.Waves[wave].Name, err)
				}
				members = members[*cursor%PartSize:]
				members = members[:min(len(members), room-len(entrants))]
				for _, m := range members {
					entrants = append(entrants, c.entrant(m, wave, 1, k.Zone, now))
				}
				*cursor += len(members)
				run.Admitted += len(members)
			}
		}
	}
	if len(entrants) == 0 {
		return 0, nil
	}
	n, _, err := d.Carrier.Admit(ctx, entrants, tick-5*time.Second)
	if err != nil {
		return 0, err
	}
	*left -= len(entrants)
	out.Admitted += n
	return len(entrants), nil
}

// admit lets devices of the current wave begin. Its cursors move when they are admitted:
// where a tick dies in between, the next one finds them admitted, and wakes them again.
// own are its devices at work. A model that has no room holds its own devices only: those of other models that
// are behind them begin before (WaveRun.Ahead).
func (d *Driver) admit(ctx context.Context, c *Campaign, all models, own int, left *int, out *Driven) error {
	w := c.wave()
	now := d.Now()
	room := Room(c.Request.Rate, *left)
	var entrants []Entrant
	last := map[string]int{}
	for class := range w.Classes {
		zone := w.Classes[class].Zone
		if !c.Request.admissible(zone, now) {
			continue
		}
		at := w.place(class)
		for at.at < w.Classes[class].Count && at.in() && len(entrants) < room && !c.Request.full(own+len(entrants)) {
			part := Part{Campaign: c.ID, Wave: c.Current, Class: class, Number: at.at / PartSize}
			members, err := d.Manifest.Part(ctx, part)
			if err != nil {
				return fmt.Errorf("manifest of wave %s: %w", w.Name, err)
			}
			if members = members[min(at.at%PartSize, len(members)):]; len(members) == 0 {
				break
			}
			for _, m := range members {
				if len(entrants) == room || c.Request.full(own+len(entrants)) || !at.in() {
					break
				}
				r := all.room(c.Request, m.Model, own+len(entrants)-last[m.Model])
				if at.has() || r >= 0 && r <= last[m.Model] {
					at.pass()
					continue
				}
				entrants = append(entrants, c.entrant(m, c.Current, 1, zone, now))
				last[m.Model]++
				at.take()
				w.Admitted++
			}
		}
		w.put(class, at)
	}
	if len(entrants) == 0 {
		return nil
	}
	n, _, err := d.Carrier.Admit(ctx, entrants, tick-5*time.Second)
	if err != nil {
		return err
	}
	*left -= len(entrants)
	out.Admitted += n
	for model, n := range last {
		all.working[model] += n
	}
	c.Last = maps.Clone(last)
	return nil
}

// entrant is a device as it is let in: before its wave only to be staged.
func (c *Campaign) entrant(m Member, wave int, attempt int64, zone string, now time.Time) Entrant {
	standing := c.standing(m, wave, attempt, event.StandAdmitted, now)
	standing.Zone = zone
	return Entrant{
		Thing: m.Thing, Document: c.Documents[m.Image], Window: c.Request.window(zone), Standing: standing,
		Staged: c.Stage != nil && !c.Waves[wave].Began.IsZero(),
	}
}

func (c *Campaign) standing(m Member, wave int, attempt int64, s event.StandState, now time.Time) event.Standing {
	budget, share := c.Request.share(c.ID, m.Thing)
	return event.Standing{
		Campaign: c.ID, Attempt: attempt, State: s, Wave: wave, Model: m.Model, Budget: budget, Share: share,
		Shard: int(hashOf(c.ID, m.Thing) % uint64(max(1, c.Shards))), At: now, Again: c.Request.Retry,
		Stage: c.Stage != nil && c.Waves[wave].Began.IsZero(), Document: m.Image,
		Priority: c.Request.Priority,
	}
}

// closing takes out what has not begun, and waits until all else has come to its end.
func (d *Driver) closing(ctx context.Context, c Campaign, counts event.Counts, budget *int, out *Driven) error {
	total := NumbersOf(counts.Tally, -1, c.Total)
	// No device is at work for longer. One that nobody could look after stands as running in the report.
	lost := total.Idle() == 0 && d.Now().Sub(c.Closing) > (mostMinutes+60)*time.Minute
	if total.Open() > 0 && !lost {
		to := event.StandHeld
		if c.State == Finishing {
			// Some wait because it is paused. They go on when it is resumed, and are not taken out.
			own, everything, err := d.Flags.Flag(ctx, c.ID)
			if err != nil || everything || own == event.ControlPaused {
				return err
			}
			to = event.StandWithdrawn
		}
		for wave := range c.Waves {
			n := NumbersOf(counts.Tally, wave, c.Waves[wave].Size)
			if n.Idle() == 0 || *budget <= 0 {
				continue
			}
			if err := d.withdraw(ctx, c, wave, to, budget, out); err != nil {
				return err
			}
		}
		return nil // the next minute looks again
	}
	saved, err := change(ctx, d.Store, c.ID, func(to *Campaign) ([]Entry, error) {
		if to.Token == c.Token {
			to.answer(Answer{Next: NextGo})
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	return respond(ctx, d.Store, d.Callback, saved)
}

func (d *Driver) withdraw(ctx context.Context, c Campaign, wave int, to event.StandState, budget *int, out *Driven,
) error {
	if *budget <= 0 {
		return nil
	}
	for _, state := range idle {
		where := event.Where{State: state, Wave: wave}
		err := list(ctx, d.Counts, c, where, func(s event.Stood) (bool, error) {
			changed, err := d.Carrier.Withdraw(ctx, s.Thing, c.ID, to)
			if err != nil {
				return false, err
			}
			if changed {
				out.Closed++
			}
			*budget--
			return *budget > 0, nil
		})
		if err != nil || *budget <= 0 {
			return err
		}
	}
	return nil
}

// idle are the states of devices that are not at work and have not come to their end.
var idle = []event.StandState{event.StandAdmitted, event.StandWaiting, event.StandStaged}
