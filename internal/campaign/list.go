package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// ErrBehind: the index does not show yet what the counts say; ask again.
var ErrBehind = errors.New("the list of devices does not show all of them yet")

// Devices is a page of a list of devices.
type Devices struct {
	Campaign event.CampaignID `json:"campaignId"`
	Devices  []Listed         `json:"devices"`
	// Next is where the next page begins; "" behind the last. A page may be short, or empty.
	Next string `json:"next,omitempty"`
}

// Listed is a device of a campaign.
type Listed struct {
	Thing   event.ThingName  `json:"thingName"`
	State   event.StandState `json:"state"`
	Error   event.ErrorName  `json:"error,omitempty"`
	Wave    string           `json:"wave"`
	Model   string           `json:"model,omitempty"`
	Attempt int64            `json:"attempt"`
	At      time.Time        `json:"at"`
	Waits   *event.Waits     `json:"waits,omitempty"` // for what, if that was asked
}

// waveNamed finds a wave; path is where its name was given.
func (c *Campaign) waveNamed(path, name string) (int, error) {
	k := slices.IndexFunc(c.Waves, func(w WaveRun) bool { return w.Name == name })
	if k >= 0 {
		return k, nil
	}
	names := make([]string, len(c.Waves))
	for i, w := range c.Waves {
		names[i] = w.Name
	}
	return -1, event.Problems{{Path: path, Value: name, Allowed: fmt.Sprintf("a wave of the campaign: %q", names)}}
}

// mostModels is how many models are named to who asked for another.
const mostModels = 20

// modelNamed finds a model; path is where its name was given. Which models there are the plan says.
func modelNamed(ctx context.Context, manifest Manifest, id event.CampaignID, path, name string) error {
	b, err := manifest.Document(ctx, id, PlanDocument)
	if errors.Is(err, ErrNotFound) {
		return nil // somebody has deleted it: nobody knows
	}
	if err != nil {
		return err
	}
	var plan struct{ Models map[string]int }
	if err := json.Unmarshal(b, &plan); err != nil {
		return fmt.Errorf("plan of campaign %s: %w", id, err)
	}
	if _, ok := plan.Models[name]; ok || len(plan.Models) == 0 {
		return nil
	}
	delete(plan.Models, "") // those of which nobody knows it
	names, more := slices.Sorted(maps.Keys(plan.Models)), ""
	if len(names) > mostModels {
		names, more = names[:mostModels], fmt.Sprintf(" and %d more", len(names)-mostModels)
	}
	allowed := fmt.Sprintf("a model of the campaign: %q%s", names, more)
	if len(names) == 0 {
		allowed = "nothing: the plan knows no device's model"
	}
	return event.Problems{{Path: path, Value: name, Allowed: allowed}}
}

// failsWith checks the name of an error with which devices of a campaign may have failed; path is where it was given.
// all are the names with which an operation fails: where they are not known any may be.
func (c *Campaign) failsWith(all map[event.Operation][]event.ErrorName, path string, name event.ErrorName) error {
	names := all[c.Request.Operation]
	if len(names) == 0 && !slices.Contains(noFailures, name) {
		return nil
	}
	if allowed := (errorNames{names}).allowed(string(name)); allowed != "" {
		return event.Problems{{Path: path, Value: string(name), Allowed: allowed}}
	}
	return nil
}

// may checks the error and the model by which devices are asked for, if they are; path is where they were given. The
// model is looked for on the first page only.
func (c *Campaign) may(ctx context.Context, manifest Manifest, all map[event.Operation][]event.ErrorName, path string,
	name event.ErrorName, model string, first bool) error {
	if name != "" {
		if err := c.failsWith(all, path+".error", name); err != nil {
			return err
		}
	}
	if model != "" && first {
		return modelNamed(ctx, manifest, c.ID, path+".model", model)
	}
	return nil
}

// Lister lists devices.
type Lister struct {
	Store    Store
	Manifest Manifest
	Counts   Counts
	Errors   map[event.Operation][]event.ErrorName // see ControllerPorts
	Now      func() time.Time
}

// List is a page of the devices of a campaign that a request names, which was checked. What it asks for and the
// campaign cannot have is refused: an empty list would say that there is no such device.
func (l *Lister) List(ctx context.Context, id event.CampaignID, r event.ListRequest) (Devices, error) {
	fail := func(err error) (Devices, error) {
		if problems, ok := errors.AsType[event.Problems](err); ok {
			for i := range problems { // they are told where they stand in the request
				if problems[i].Path == "$.after" {
					problems[i].Path = "$.devices.after"
				}
			}
			return Devices{}, problems
		}
		return Devices{}, fmt.Errorf("campaign.List: %s: %w", id, err)
	}
	c, err := l.Store.Load(ctx, id)
	if err != nil {
		return fail(err)
	}
	where := event.Where{State: r.State, Error: r.Error, Wave: -1, Model: r.Model}
	if r.Wave != "" {
		if where.Wave, err = c.waveNamed("$.devices.wave", r.Wave); err != nil {
			return fail(err)
		}
	}
	if err := c.may(ctx, l.Manifest, l.Errors, "$.devices", r.Error, r.Model, r.After == ""); err != nil {
		return fail(err)
	}
	page, next, err := l.Counts.ListStandings(ctx, id, c.Shards, where, r.After, r.Most)
	if err != nil {
		return fail(err)
	}
	now := l.Now()
	out := Devices{Campaign: id, Devices: make([]Listed, 0, len(page)), Next: next}
	for _, s := range page {
		l := Listed{Thing: s.Thing, State: s.State, Error: s.Error, Model: s.Model, Attempt: s.Attempt, At: s.At}
		if s.Wave < len(c.Waves) {
			l.Wave = c.Waves[s.Wave].Name
		}
		if r.Why {
			l.Waits = c.waits(s, now)
		}
		out.Devices = append(out.Devices, l)
	}
	return out, nil
}

// listPage is how many devices are read at once by who looks at many.
const listPage = 100

// list hands devices on, until f says that it has enough.
func list(ctx context.Context, counts Counts, c Campaign, where event.Where,
	f func(event.Stood) (more bool, err error)) error {
	return listFrom(ctx, counts, c, where, "", f)
}

// listFrom is list from a cursor on.
func listFrom(ctx context.Context, counts Counts, c Campaign, where event.Where, after string,
	f func(event.Stood) (more bool, err error)) error {
	for {
		page, next, err := counts.ListStandings(ctx, c.ID, c.Shards, where, after, listPage)
		if err != nil {
			return err
		}
		for _, s := range page {
			if more, err := f(s); err != nil || !more {
				return err
			}
		}
		if after = next; next == "" {
			return nil
		}
	}
}

// offenders are some devices of a wave that have failed.
func offenders(ctx context.Context, counts Counts, c Campaign, wave int) (found []Offender, err error) {
	where := event.Where{State: event.StandFailed, Wave: wave}
	err = list(ctx, counts, c, where, func(s event.Stood) (bool, error) {
		found = append(found, Offender{Thing: s.Thing, Model: s.Model, Error: s.Error})
		return len(found) < mostOffenders, nil
	})
	return found, err
}

// mostLeftOver is how many devices a report names.
const mostLeftOver = 1000

// leftOver are devices that never came to an end of their own; of many, the first. ErrBehind if the
// index does not show all of those that were held or withdrawn.
func leftOver(ctx context.Context, manifest Manifest, counts Counts, c Campaign, n Numbers) (left []event.ThingName,
	err error) {
	for _, state := range []event.StandState{event.StandHeld, event.StandWithdrawn} {
		err := list(ctx, counts, c, event.Where{State: state, Wave: -1}, func(s event.Stood) (bool, error) {
			left = append(left, s.Thing)
			return len(left) < mostLeftOver, nil
		})
		if err != nil {
			return nil, err
		}
		if len(left) >= mostLeftOver {
			return left[:mostLeftOver], nil
		}
	}
	if len(left) < n.Held+n.Withdrawn {
		return nil, fmt.Errorf("%d of %d that were held or withdrawn: %w", len(left), n.Held+n.Withdrawn, ErrBehind)
	}
	planned, want := 0, min(n.Planned, mostLeftOver-len(left))
	for wave := 0; wave < len(c.Waves) && planned < want; wave++ {
		err := walk(ctx, manifest, c, wave, func(members []Member) (bool, error) {
			for page := range slices.Chunk(members, listPage) {
				names := make([]event.ThingName, len(page))
				for i, m := range page {
					names[i] = m.Thing
				}
				stand, err := counts.Standings(ctx, c.ID, names)
				if err != nil {
					return false, err
				}
				for _, name := range names {
					if _, stands := stand[name]; !stands && planned < want {
						left, planned = append(left, name), planned+1
					}
				}
				if planned == want {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

// reported are the devices that the report of a campaign has as left over; none before it was written.
func reported(ctx context.Context, manifest Manifest, id event.CampaignID) ([]event.ThingName, error) {
	b, err := manifest.Document(ctx, id, ReportDocument)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("report of campaign %s: %w", id, err)
	}
	return r.LeftOver, nil
}
