package workflowtest

import (
	"cmp"
	"context"
	"slices"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// shift changes a standing, if it is as it was.
func (p *partition) shift(s *event.Shift) error {
	if s == nil {
		return nil
	}
	now, there := p.standings[s.To.Campaign]
	if s.From == nil && there || s.From != nil && (!there || now.Rev != s.From.Rev) {
		return workflow.ErrChanged
	}
	to := s.To
	to.Rev = now.Rev + 1
	p.standings[to.Campaign] = to
	return nil
}

// shift is shift of a partition, if there is room for a device in danger.
func (s *Store) shift(p *partition, shift *event.Shift) error {
	if shift != nil && shift.To.Danger && (shift.From == nil || !shift.From.Danger) && s.full(shift.To) {
		if now := p.standings[shift.To.Campaign]; shift.From == nil || now.Rev == shift.From.Rev {
			return workflow.ErrFull
		}
	}
	return p.shift(shift)
}

func (s *Store) full(of event.Standing) bool {
	return of.Budget > 0 && s.inDanger(of.Campaign, func(st event.Standing) bool {
		return st.Share == of.Share
	}) >= of.Budget
}

func (s *Store) inDanger(id event.CampaignID, which func(event.Standing) bool) (n int) {
	for _, p := range s.devices {
		if st, there := p.standings[id]; there && st.Danger && which(st) {
			n++
		}
	}
	return n
}

// Full implements workflow.Store.
func (s *Store) Full(_ context.Context, of event.Standing) (full bool, err error) {
	err = s.do("Full", "", func(*partition) error {
		full = s.full(of)
		return nil
	})
	return full, err
}

// InDanger implements workflow.Standings.
func (s *Store) InDanger(_ context.Context, id event.CampaignID, _ int) (n int, err error) {
	err = s.do("InDanger", "", func(*partition) error {
		n = s.inDanger(id, func(event.Standing) bool { return true })
		return nil
	})
	return n, err
}

// Admit implements workflow.Standings.
func (s *Store) Admit(_ context.Context, all []workflow.Admission) error {
	return s.do("Admit", "", func(*partition) error {
		for _, a := range all {
			if p := s.devices[a.Thing]; p != nil {
				if _, there := p.standings[a.Standing.Campaign]; there {
					return workflow.ErrChanged
				}
				if _, there := p.pending[a.Pending.Owner]; there {
					return workflow.ErrChanged
				}
			}
		}
		for _, a := range all {
			p := s.partition(a.Thing)
			a.Standing.Rev = 1
			p.standings[a.Standing.Campaign], p.pending[a.Pending.Owner] = a.Standing, a.Pending
		}
		return nil
	})
}

// Stand implements workflow.Store.
func (s *Store) Stand(_ context.Context, thing event.ThingName, shift event.Shift, drop *workflow.Attempt,
	void ...workflow.Due) error {
	return s.do("Stand", thing, func(p *partition) error {
		if drop != nil {
			if old, ok := p.pending[drop.Owner]; ok && old.Identity().After(*drop) {
				return workflow.ErrChanged
			}
		}
		if err := s.shift(p, &shift); err != nil {
			return err
		}
		if drop != nil {
			p.drop(*drop)
		}
		s.due = slices.DeleteFunc(s.due, func(d workflow.Due) bool { return slices.Contains(void, d) })
		return nil
	})
}

// Retry implements workflow.Standings.
func (s *Store) Retry(_ context.Context, thing event.ThingName, shift event.Shift, pending workflow.Pending) error {
	return s.do("Retry", thing, func(p *partition) error {
		if err := p.shift(&shift); err != nil {
			return err
		}
		p.pending[pending.Owner] = pending
		return nil
	})
}

// StandAll implements workflow.Standings.
func (s *Store) StandAll(_ context.Context, all []workflow.Shifted) error {
	return s.do("StandAll", "", func(*partition) error {
		for _, one := range all {
			if now := s.partition(one.Thing).standings[one.Shift.To.Campaign]; now.Rev != one.Shift.From.Rev {
				return workflow.ErrChanged
			}
		}
		for _, one := range all {
			if err := s.partition(one.Thing).shift(&one.Shift); err != nil {
				return err
			}
		}
		return nil
	})
}

// Standings implements workflow.Standings.
func (s *Store) Standings(_ context.Context, id event.CampaignID, things []event.ThingName) (
	found map[event.ThingName]event.Standing, err error) {
	found = map[event.ThingName]event.Standing{}
	err = s.do("Standings", "", func(*partition) error {
		for _, thing := range things {
			if p := s.devices[thing]; p != nil {
				if st, there := p.standings[id]; there {
					found[thing] = st
				}
			}
		}
		return nil
	})
	return found, err
}

// Counts implements workflow.Standings.
func (s *Store) Counts(_ context.Context, id event.CampaignID, _ int) (c event.Counts, err error) {
	c = event.Counts{Tally: event.Tally{}, Running: map[string]int{}}
	err = s.do("Counts", "", func(*partition) error {
		for _, p := range s.devices {
			st, there := p.standings[id]
			if !there {
				continue
			}
			c.Tally[st.Place()]++
			if st.State == event.StandRunning && !st.Stage {
				c.Running[st.Model]++
			}
		}
		return nil
	})
	return c, err
}

// ListStandings implements workflow.Standings. It shows a change at once.
func (s *Store) ListStandings(_ context.Context, id event.CampaignID, shards int, where event.Where, after string,
	most int) (found []event.Stood, next string, err error) {
	from, err := event.ParseListCursor(after, where, shards)
	if err != nil {
		return nil, "", event.Problems{{Path: "$.after", Value: after, Allowed: "what the page before has as next"}}
	}
	type entry struct {
		at event.ListCursor
		event.Stood
	}
	var all []entry
	err = s.do("ListStandings", "", func(*partition) error {
		for thing, p := range s.devices {
			st, there := p.standings[id]
			at := event.ListCursor{Shard: st.Shard, After: st.ListKey(thing)}
			if there && where.Has(st) && (at.Shard > from.Shard || at.Shard == from.Shard && at.After > from.After) {
				all = append(all, entry{at, event.Stood{Thing: thing, Standing: st}})
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at.Shard, b.at.Shard), cmp.Compare(a.at.After, b.at.After))
	})
	for _, e := range all[:min(most, len(all))] {
		found, next = append(found, e.Stood), e.at.String()
	}
	if len(all) <= most {
		next = ""
	}
	return found, next, err
}
