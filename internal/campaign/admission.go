package campaign

import "time"

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

// models is a budget of devices at work, by model, over all campaigns of a stack.
type models struct {
	working map[string]int
}

// room is how many more of a model a campaign may let begin; -1 is any number.
func (m models) room(r Request, model string) int {
	if r.Budget == 0 {
		return -1
	}
	return max(0, r.Budget-m.working[model])
}
