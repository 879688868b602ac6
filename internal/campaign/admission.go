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
