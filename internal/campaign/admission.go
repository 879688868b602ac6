package campaign

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Room is how many devices of a campaign may begin in a minute: its rate, and what others
// of higher priority have left of what the stack starts in a minute.
func Room(rate, left int) int { return max(0, min(rate, left)) }

// admissible is whether devices of a zone may begin now, and be done in time.
func (r Request) admissible(zone string, now time.Time) bool {
	if r.Start != nil && now.Before(*r.Start) || r.End != nil && !now.Before(*r.End) {
		return false
	}
	w := r.window(zone)
	if w == nil {
		return true
	}
	opens, closes := w.Next(now)
	return !opens.After(now) && closes.Sub(now) > margin(closes.Sub(opens))
}

// opens is when devices of a zone may begin; now if they may.
func (r Request) opens(zone string, now time.Time) time.Time {
	if r.Start != nil && now.Before(*r.Start) {
		now = *r.Start
	}
	w := r.window(zone)
	if w == nil {
		return now
	}
	opens, closes := w.Next(now)
	if !opens.After(now) && closes.Sub(now) <= margin(closes.Sub(opens)) {
		opens, _ = w.Next(closes)
	}
	if opens.Before(now) {
		return now
	}
	return opens
}

// Opens is when the first devices of the wave that is on its way, or of the stage, may begin that were not asked yet;
// nil if some may, and where nobody waits for a time.
func (c Campaign) Opens(now time.Time) (first *time.Time) {
	waves, r := c.Waves[min(c.Current, len(c.Waves)):], c.Request
	switch {
	case c.Phase == Staging && c.Stage != nil:
		waves, r.Windows = c.Waves, nil // they are for what disturbs a device
	case c.Phase == Admit && len(waves) > 0:
		waves = waves[:1]
	default:
		return nil
	}
	for i, w := range waves {
		for class, k := range w.Classes {
			at := w.Cursors
			if c.Phase == Staging {
				at = c.Stage.Cursors[i]
			}
			if class >= len(at) || at[class] >= k.Count {
				continue
			}
			opens := r.opens(k.Zone, now)
			if !opens.After(now) {
				return nil
			}
			if first == nil || opens.Before(*first) {
				first = &opens
			}
		}
	}
	return first
}

// waits is for what a device waits that is staged; nil is for its wave.
func (c *Campaign) waits(s event.Stood, now time.Time) *event.Waits {
	if s.State != event.StandStaged || s.Wave >= len(c.Waves) || c.Waves[s.Wave].Began.IsZero() {
		return nil
	}
	if until := c.Request.opens(s.Zone, now).UTC(); until.After(now) {
		return &event.Waits{For: event.WaitsTime, Until: &until, Why: "it is staged, and its time comes at " +
			until.Format(time.RFC3339)}
	}
	return &event.Waits{For: event.WaitsStart, Why: "it is staged, and its wave is on its way: it is about to go on"}
}

// models are devices at work, by model, over all campaigns of a stack.
type models struct {
	working map[string]int
}

// room is how many more of a model a campaign may let begin; -1 is any number. So that few devices
// find no room when they come to be in danger (share), no more are let begin than that: of one
// model over all campaigns, and of the campaign over all models, of which own are at work.
func (m models) room(r Request, model string, own int) int {
	if r.Budget == 0 {
		return -1
	}
	return max(0, min(r.Budget-m.working[model], r.Budget-own))
}

// full reports whether a campaign with so many devices at work lets no more begin, of whatever model.
func (r Request) full(own int) bool { return r.Budget > 0 && own >= r.Budget }

// mostAhead is how far behind its cursor devices of a class begin while a model in front of them has no room, and
// mostHolding of how many classes some do: so the record of a campaign stays small.
const mostAhead, mostHolding = 4 * PartSize, 32

// place is where the clock is in a class of a wave.
type place struct {
	from   int    // the first that had not begun
	begun  []bool // from there on
	cursor int    // the first that has not begun
	at     int    // the one that is looked at
	most   int    // how far behind the cursor it goes
}

// place is where the clock begins in a class.
func (w *WaveRun) place(class int) *place {
	from, ahead := w.Cursors[class], w.Ahead[class]
	p := &place{from: from, begun: make([]bool, 8*len(ahead)), cursor: from, at: from, most: mostAhead}
	for i := range p.begun {
		p.begun[i] = ahead[i/8]&(1<<(i%8)) != 0
	}
	if len(ahead) == 0 && len(w.Ahead) >= mostHolding {
		p.most = 1
	}
	return p
}

// put keeps where the clock has come in a class.
func (w *WaveRun) put(class int, p *place) {
	w.Cursors[class] = p.cursor
	var ahead []byte
	for i, begun := range p.begun[min(p.cursor-p.from, len(p.begun)):] {
		for begun && len(ahead) <= i/8 {
			ahead = append(ahead, 0)
		}
		if begun {
			ahead[i/8] |= 1 << (i % 8)
		}
	}
	switch {
	case len(ahead) == 0:
		delete(w.Ahead, class)
	case w.Ahead == nil:
		w.Ahead = map[int][]byte{class: ahead}
	default:
		w.Ahead[class] = ahead
	}
}

// in reports whether the clock goes that far.
func (p *place) in() bool { return p.at-p.cursor < p.most }

// has reports whether the device that is looked at has begun.
func (p *place) has() bool { return p.at-p.from < len(p.begun) && p.begun[p.at-p.from] }

// pass leaves it as it is.
func (p *place) pass() { p.at++ }

// take has it begin.
func (p *place) take() {
	if more := p.at - p.from + 1 - len(p.begun); more > 0 {
		p.begun = append(p.begun, make([]bool, more)...)
	}
	p.begun[p.at-p.from] = true
	for p.at++; p.cursor-p.from < len(p.begun) && p.begun[p.cursor-p.from]; {
		p.cursor++
	}
}

// perShare is how large a share of a budget is at least: that many devices come into danger and out
// of it in a few minutes, and meet in one item.
const perShare, mostShares = 500, 16

// shares is into how many pieces a campaign's budget is divided; 0 without one.
func (r Request) shares() int { return min((r.Budget+perShare-1)/perShare, mostShares) }

// share is a device's share of the budget, and how many devices of it may be in danger.
func (r Request) share(id event.CampaignID, thing event.ThingName) (budget, share int) {
	n := r.shares()
	if n == 0 {
		return 0, 0
	}
	share = int(hashOf(id, thing) >> 32 % uint64(n))
	budget = r.Budget / n
	if share < r.Budget%n {
		budget++
	}
	return budget, share
}
