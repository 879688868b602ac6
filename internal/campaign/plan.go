package campaign

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/version"
)

// Device is one that the targets name, as the registry knows it; "" is what it does not
// know.
type Device struct {
	Thing    event.ThingName `json:"thingName"`
	Model    string          `json:"model,omitempty"`
	Hardware string          `json:"hardware,omitempty"`
	Version  string          `json:"version,omitempty"`
	Zone     string          `json:"zone,omitempty"`
}

// Member is a device of the manifest.
type Member struct {
	Thing event.ThingName `json:"thingName"`
	Model string          `json:"model,omitempty"`
	Image int             `json:"image,omitempty"` // index of Request.Images
}

// Part names a piece of the manifest: devices of one zone in one wave.
type Part struct {
	Campaign event.CampaignID
	Wave     int
	Class    int // index of PlannedWave.Classes
	Number   int
}

// PartSize is how many devices a part has.
const PartSize = 1000

// Class are the devices of a wave that live in one time zone.
type Class struct {
	Zone  string `json:"zone,omitempty"`
	Count int    `json:"count"`
}

// PlannedWave is a wave with its size.
type PlannedWave struct {
	Wave
	Asked   int     `json:"asked"` // devices, before it was enlarged
	Size    int     `json:"size"`
	Needs   int     `json:"needs"` // the smallest sample with which its gate can pass
	Classes []Class `json:"classes"`
	Minutes int     `json:"minutes"` // to admit it at the rate, windows counted
}

// PlannedStage is the stage with what it takes.
type PlannedStage struct {
	Stage
	Minutes int `json:"minutes"` // to admit all devices at the rate, blackout dates counted
}

// Plan is what a request comes to.
type Plan struct {
	Campaign    event.CampaignID `json:"campaignId"`
	Total       int              `json:"total"`
	NotEligible map[string]int   `json:"notEligible,omitempty"` // by reason
	Examples    map[string]Names `json:"examples,omitempty"`    // devices that are not eligible, by reason
	Stage       *PlannedStage    `json:"stage,omitempty"`
	Waves       []PlannedWave    `json:"waves"`
	Notes       []string         `json:"notes,omitempty"`
	Models      map[string]int   `json:"models,omitempty"`
	Estimate    Estimate         `json:"estimate"`

	parts [][][]Member // by wave and class
}

// Names are a few things.
type Names []event.ThingName

// Reasons for which a device does not take part.
const (
	NoImage     = "no image is for it"
	ManyImages  = "several images are for it"
	RunsAlready = "it runs that version already"
	Downgrade   = "its version is later, and downgrades are not allowed"
)

// Allot finds the image of a device: exactly one must match.
func (r Request) Allot(d Device) (image int, reason string) {
	image = -1
	for i, m := range r.Images {
		if !m.matches(d) {
			continue
		}
		if image >= 0 {
			return -1, ManyImages
		}
		image = i
	}
	if image < 0 {
		return -1, NoImage
	}
	m := r.Images[image]
	switch {
	case m.Version == "" || d.Version == "":
	case d.Version == m.Version:
		return -1, RunsAlready
	case !m.AllowDowngrade && version.Compare(d.Version, m.Version) > 0:
		return -1, Downgrade
	}
	return image, ""
}

func (m Image) matches(d Device) bool {
	if len(m.Models) > 0 && !slices.Contains(m.Models, d.Model) {
		return false
	}
	anyOf := func(ranges []string, v string) bool {
		return len(ranges) == 0 || slices.ContainsFunc(ranges, func(text string) bool {
			r, err := version.ParseRange(text)
			return err == nil && r.Has(v)
		})
	}
	return anyOf(m.Hardware, d.Hardware) && anyOf(m.From, d.Version)
}

const mostExamples = 10

// candidate is a device that takes part, at its place in the order.
type candidate struct {
	Device
	image int
	hash  uint64
	rank  float64
}

func (c *candidate) member() Member { return Member{Thing: c.Thing, Model: c.Model, Image: c.image} }

// NewPlan puts devices into waves, the same way each time. Devices are ordered by a hash of
// campaign and thing; each model and hardware version is then spread evenly over the whole
// order, so that any beginning of it has its fair share of each.
func NewPlan(r Request, id event.CampaignID, devices []Device, now time.Time) (Plan, event.Problems) {
	p := Plan{Campaign: id, NotEligible: map[string]int{}, Examples: map[string]Names{}, Models: map[string]int{}}
	strata := map[[2]string][]*candidate{}
	var all []*candidate
	unknown := 0 // devices
	zones := zones{known: map[string]bool{"": true}}
	used := make([]bool, len(r.Images))
	for _, d := range devices {
		image, reason := r.Allot(d)
		if reason != "" {
			p.NotEligible[reason]++
			if len(p.Examples[reason]) < mostExamples {
				p.Examples[reason] = append(p.Examples[reason], d.Thing)
			}
			continue
		}
		if !zones.see(d) {
			d.Zone = ""
		}
		one := &candidate{Device: d, image: image, hash: hashOf(id, d.Thing)}
		all, used[image] = append(all, one), true
		stratum := [2]string{d.Model, d.Hardware}
		strata[stratum] = append(strata[stratum], one)
		p.Models[d.Model]++
		if size := r.Images[image].Input.Size; size > 0 {
			p.Estimate.Egress += size
		} else if r.Images[image].Version != "" {
			unknown++
		}
	}
	byHash := func(a, b *candidate) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.Thing, b.Thing)) }
	for _, list := range strata {
		slices.SortFunc(list, byHash)
		for i, one := range list {
			one.rank = (float64(i) + 0.5) / float64(len(list))
		}
	}
	slices.SortFunc(all, func(a, b *candidate) int { return cmp.Or(cmp.Compare(a.rank, b.rank), byHash(a, b)) })
	p.Total = len(all)
	p.cut(r, all)
	for i, m := range r.Images {
		if !used[i] && len(devices) > 0 && !slices.ContainsFunc(devices, m.matches) {
			p.note("images[%d] is for none of the %d devices that were found", i, len(devices))
		}
	}
	if zones.none > 0 && len(r.Windows)+len(r.Blackout) > 0 {
		p.note("%d devices have a time zone that there is not, as %s of %s: the one that they report applies, or the "+
			"campaign's", zones.none, zones.first.Zone, zones.first.Thing)
	}
	if unknown > 0 {
		p.note("egress is without %d devices: the size of their image is not known", unknown)
	}
	problems := p.estimate(r, now)
	p.noteEnd()
	if p.Total == 0 && !r.AllowEmpty {
		problems = append(problems, event.Problem{Path: "$.targets", Value: r.Targets,
			Allowed: "a target with a device that is eligible, or allowEmpty: " + p.why(len(devices))})
	}
	return p, problems.Sorted()
}

// zones are the time zones of devices: to find one takes a while, and a fleet has few.
type zones struct {
	known map[string]bool // whether there is one
	none  int             // devices of one that there is not
	first Device          // of them
}

// see reports whether there is a device's zone, or it has none.
func (z *zones) see(d Device) bool {
	is, known := z.known[d.Zone]
	if !known {
		is = event.IsZone(d.Zone)
		z.known[d.Zone] = is
	}
	if !is {
		if z.none++; z.none == 1 {
			z.first = d
		}
	}
	return is
}

func (p Plan) why(found int) string {
	text := fmt.Sprintf("%d devices found", found)
	for _, reason := range []string{NoImage, ManyImages, RunsAlready, Downgrade} {
		if n := p.NotEligible[reason]; n > 0 {
			text += fmt.Sprintf("; %d: %s", n, reason)
		}
	}
	return text
}

func hashOf(id event.CampaignID, thing event.ThingName) uint64 {
	sum := sha256.Sum256([]byte(string(id) + "\n" + string(thing)))
	return binary.BigEndian.Uint64(sum[:8])
}

// cut makes the waves: as large as asked, but at least as large as their gates need, and
// no device twice. What is left over is in the last.
func (p *Plan) cut(r Request, left []*candidate) {
	var taken [][]*candidate
	for i, w := range r.Waves {
		one := PlannedWave{Wave: w, Asked: w.Count, Needs: Needs(w.Gate.Success)}
		if w.Percent > 0 {
			one.Asked = int(math.Ceil(w.Percent / 100 * float64(p.Total)))
		}
		if w.Percent == 0 && w.Count == 0 {
			one.Asked = len(left)
		}
		size := one.Asked
		if last := i == len(r.Waves)-1; !last && size < one.Needs && !w.PerModel {
			if size = one.Needs; len(left) >= size {
				p.note("wave %s has %d devices instead of %d: its gate of %.1f %% cannot pass with fewer", w.Name,
					size, one.Asked, 100*w.Gate.Success)
			}
		}
		var mine []*candidate
		if w.PerModel {
			mine, left = perModel(left, one.Asked)
			if missing := min(one.Needs-len(mine), len(left)); missing > 0 {
				mine, left = append(mine, left[:missing]...), left[missing:]
				p.note("wave %s has %d devices: its gate of %.1f %% cannot pass with fewer", w.Name, len(mine),
					100*w.Gate.Success)
			}
		} else {
			size = min(size, len(left))
			mine, left = left[:size:size], left[size:]
		}
		if len(mine) == 0 {
			p.note("wave %s has no devices left, and is left out", w.Name)
			continue
		}
		p.Waves, taken = append(p.Waves, one), append(taken, mine)
	}
	if n := len(taken); n > 0 && len(left) > 0 {
		p.note("wave %s has %d devices more than asked for: the rest", p.Waves[n-1].Name, len(left))
		taken[n-1] = append(taken[n-1], left...)
	}
	for i := range p.Waves {
		p.Waves[i].Size = len(taken[i])
		p.parts = append(p.parts, p.Waves[i].divide(r, taken[i]))
	}
	if n := len(p.Waves); n > 0 && p.Waves[n-1].Size < p.Waves[n-1].Needs {
		w := p.Waves[n-1]
		p.note("the gate of the last wave, %s, cannot pass with %d devices, and needs %d: it is told, and "+
			"decides nothing", w.Name, w.Size, w.Needs)
	}
}

// noteEnd says who is withdrawn at the end: nobody waits for the last few for ever.
func (p *Plan) noteEnd() {
	if len(p.Waves) == 0 {
		return
	}
	w := p.Waves[len(p.Waves)-1]
	share, late := fmt.Sprintf("%d %%", mostOver), "by then"
	if w.Size*(100-mostOver) < 100 {
		share = "all"
	}
	if w.BakeMinutes > 0 {
		late = fmt.Sprintf("%d minutes later", w.BakeMinutes)
	}
	p.note("the last wave, %s, is over when %s of its %d devices have ended, or after %d hours; those that have not "+
		"begun %s, because they are away for example, are withdrawn, and the report lists them: a longer bakeMinutes "+
		"gives them more time", w.Name, share, w.Size, w.MaxHours, late)
}

// perModel takes so many devices of each model, in their order.
func perModel(from []*candidate, each int) (taken, left []*candidate) {
	of := map[string]int{}
	for _, one := range from {
		if of[one.Model] < each {
			of[one.Model]++
			taken = append(taken, one)
		} else {
			left = append(left, one)
		}
	}
	return taken, left
}

// divide makes the classes of a wave: devices of a zone have the same windows.
func (w *PlannedWave) divide(r Request, devices []*candidate) (parts [][]Member) {
	classes := map[string]int{}
	for _, one := range devices {
		zone := one.Zone
		if len(r.Windows)+len(r.Blackout) == 0 {
			zone = ""
		}
		k, ok := classes[zone]
		if !ok {
			k = len(w.Classes)
			classes[zone] = k
			w.Classes, parts = append(w.Classes, Class{Zone: zone}), append(parts, nil)
		}
		w.Classes[k].Count++
		parts[k] = append(parts[k], one.member())
	}
	return parts
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// Estimate is what a campaign will take.
type Estimate struct {
	Minutes int     `json:"minutes"`           // from its beginning, approvals not counted
	Dollars float64 `json:"dollars"`           // beside egress, at the list prices of docs/performance.md
	Egress  int64   `json:"egressBytes"`       // of images
	Limit   string  `json:"limit,omitempty"`   // the quota that breaks first, and at which rate
	Ends    string  `json:"ends,omitempty"`    // when, if nothing holds it
	Blocked []Dates `json:"blocked,omitempty"` // blackout dates that lie within
}

// Dates are blackout dates.
type Dates = event.Dates

// perUpgrade is the measured cost of one upgrade (docs/performance.md), in dollars, and perStaged
// that of one that is staged: it takes two executions.
const (
	perUpgrade = 0.0003
	perStaged  = 0.0004
)

// mostStarts is the rate, in devices a second, at which the first quota breaks:
// StartExecution of Standard workflows in the regions with the smaller quota (Step
// Functions Developer Guide, "Quotas related to state throttling", read 2026-11).
const mostStarts = 150

// startAhead is how far ahead a campaign may begin. It waits in a state of its execution, which lasts 347 days
// (statemachines/firmware-campaign.asl.json); an execution lasts a year (Step Functions Developer Guide, "Quotas
// related to state machine executions", read 2026-12).
const startAhead = 300 * 24 * time.Hour

// estimate says how long it takes, and what cannot be.
func (p *Plan) estimate(r Request, now time.Time) (problems event.Problems) {
	begins := now
	if r.Start != nil && r.Start.After(now) {
		begins = *r.Start
	} else if r.Start != nil {
		p.note("start, %s, is past: it begins at once", r.Start.Format(time.RFC3339))
	}
	if begins.Sub(now) > startAhead {
		problems = append(problems, event.Problem{Path: "$.start", Value: r.Start.Format(time.RFC3339),
			Allowed: fmt.Sprintf("%s or earlier: a campaign waits in an execution, which lasts a year at most",
				now.Add(startAhead).UTC().Format(time.RFC3339))})
		return problems
	}
	at := begins
	if r.Stage != nil {
		if at, problems = p.stage(r, begins); at.Equal(event.Never) {
			return problems
		}
	}
	for i := range p.Waves {
		w := &p.Waves[i]
		var ends time.Time
		if w.Size > 0 {
			ends = p.admits(r, *w, at)
		}
		if ends.Equal(event.Never) {
			return append(problems, r.never("wave "+w.Name))
		}
		w.Minutes = int(math.Ceil(ends.Sub(at).Minutes()))
		if free := int(math.Ceil(float64(w.Size) / float64(r.Rate))); w.Minutes > free {
			p.note("windows and blackout dates hold wave %s for %d of its %d minutes", w.Name, w.Minutes-free,
				w.Minutes)
		}
		if most := w.MaxHours * 60; w.Minutes > most {
			k := slices.IndexFunc(r.Waves, func(o Wave) bool { return o.Name == w.Name })
			problems = append(problems, event.Problem{
				Path: fmt.Sprintf("$.waves[%d].maxHours", k), Value: w.MaxHours,
				Allowed: fmt.Sprintf("at least %d: at %d devices a minute, in its windows, wave %s takes so long; or"+
					" a higher rate", (w.Minutes+59)/60, r.Rate, w.Name),
			})
		}
		at = ends.Add(time.Duration(w.BakeMinutes) * time.Minute)
	}
	p.Estimate.Minutes = int(math.Ceil(at.Sub(begins).Minutes()))
	each := perUpgrade
	if r.Stage != nil {
		each = perStaged
	}
	p.Estimate.Dollars = math.Round(float64(p.Total)*each*100) / 100
	p.Estimate.Ends = at.UTC().Format(time.RFC3339)
	p.Estimate.Limit = fmt.Sprintf("StartExecution, at %d devices a minute", 60*mostStarts)
	for _, d := range r.Blackout {
		if d.From <= at.UTC().Format(time.DateOnly) && d.To >= begins.UTC().Format(time.DateOnly) {
			p.Estimate.Blocked = append(p.Estimate.Blocked, d)
			p.note("no device begins from %s to %s: blackout", d.From, d.To)
		}
	}
	if r.End != nil && at.After(*r.End) {
		problems = append(problems, event.Problem{
			Path: "$.end", Value: r.End.Format(time.RFC3339),
			Allowed: fmt.Sprintf("%s or later: at %d devices a minute, with its windows and bakes, it takes so long;"+
				" or a higher rate", at.UTC().Format(time.RFC3339), r.Rate),
		})
	}
	return problems
}

// never is the problem of blackout dates that leave no time within a year: windows alone always do.
func (r Request) never(what string) event.Problem {
	return event.Problem{Path: "$.blackout", Value: r.Blackout,
		Allowed: "dates that leave time: no device of " + what + " could begin within a year"}
}

// stage says how long all devices take to download.
func (p *Plan) stage(r Request, begins time.Time) (ends time.Time, problems event.Problems) {
	all := PlannedWave{Size: p.Total}
	for _, w := range p.Waves {
		all.Classes = append(all.Classes, w.Classes...)
	}
	free := r
	free.Windows = nil
	if ends = p.admits(free, all, begins); ends.Equal(event.Never) {
		return ends, event.Problems{r.never("the stage")}
	}
	p.Stage = &PlannedStage{Stage: *r.Stage, Minutes: int(math.Ceil(ends.Sub(begins).Minutes()))}
	if p.Stage.Minutes > 60*r.Stage.MaxHours {
		problems = append(problems, event.Problem{
			Path: "$.stage.maxHours", Value: r.Stage.MaxHours,
			Allowed: fmt.Sprintf("at least %d: at %d devices a minute all downloads take so long to begin; or a "+
				"higher rate", (p.Stage.Minutes+59)/60, r.Rate),
		})
	}
	return ends, problems
}

// admits is when the last device of a wave may begin at the earliest.
func (p *Plan) admits(r Request, w PlannedWave, from time.Time) time.Time {
	last := from
	for _, c := range w.Classes {
		left := time.Duration(float64(c.Count) / float64(r.Rate) * float64(time.Minute))
		at := from
		window := r.window(c.Zone)
		for left > 0 {
			if window == nil {
				at = at.Add(left)
				break
			}
			opens, closes := window.Next(at)
			if opens.Equal(event.Never) {
				return event.Never
			}
			begin := at
			if opens.After(begin) {
				begin = opens
			}
			open := closes.Sub(begin) - margin(closes.Sub(opens))
			if open <= 0 {
				at = closes
				continue
			}
			took := min(left, open)
			left -= took
			at = begin.Add(took)
			if left > 0 {
				at = closes
			}
		}
		if at.After(last) {
			last = at
		}
	}
	if floor := from.Add(time.Duration(float64(w.Size) / float64(r.Rate) * float64(time.Minute))); last.Before(floor) {
		return floor
	}
	return last
}

// margin is what is left at the end of a window, in which nobody is admitted any more: the
// time that a device needs to begin and to be at its command.
func margin(length time.Duration) time.Duration { return min(length/10, 5*time.Minute) }
