package workflowtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Park implements workflow.Store.
func (s *Store) Park(_ context.Context, d workflow.Device, execution string, v workflow.Pending,
	due workflow.Due) error {
	return s.do("Park", d.Thing, func(p *partition) error {
		if p.claim == nil || p.claim.Execution != execution || d.Claim == nil || p.claim.Rev != d.Claim.Rev {
			return workflow.ErrChanged
		}
		if old, ok := p.pending[v.Owner]; ok && old.Identity().After(v.Identity()) {
			return workflow.ErrChanged
		}
		if err := p.shift(d.Shift); err != nil {
			return err
		}
		p.free(execution)
		p.pending[v.Owner] = v
		if due != (workflow.Due{}) {
			s.putDue(due)
		}
		return nil
	})
}

// Postpone implements workflow.Store.
func (s *Store) Postpone(_ context.Context, thing event.ThingName, v workflow.Pending, due workflow.Due) error {
	return s.do("Postpone", thing, func(p *partition) error {
		old, ok := p.pending[v.Owner]
		if !ok || old.Identity() != v.Identity() || old.Ending != nil {
			return workflow.ErrChanged
		}
		old.NotBefore, old.NotAfter = v.NotBefore, v.NotAfter
		p.pending[v.Owner] = old
		s.putDue(due)
		return nil
	})
}

// EndPending implements workflow.Store.
func (s *Store) EndPending(_ context.Context, thing event.ThingName, v workflow.Pending, e workflow.Ending) error {
	return s.do("EndPending", thing, func(p *partition) error {
		old, ok := p.pending[v.Owner]
		same := (old.Ending == nil) == (v.Ending == nil) && (old.Ending == nil || *old.Ending == *v.Ending)
		if !ok || old.Identity() != v.Identity() || !same {
			return workflow.ErrChanged
		}
		old.Ending = &e
		p.pending[v.Owner] = old
		return nil
	})
}

func (s *Store) putDue(d workflow.Due) {
	s.due = slices.DeleteFunc(s.due, func(old workflow.Due) bool {
		return old.Thing == d.Thing && old.Owner == d.Owner &&
			old.At.Truncate(time.Minute).Equal(d.At.Truncate(time.Minute))
	})
	s.due = append(s.due, d)
}

// Hints are those that are not done.
func (s *Store) Hints() []workflow.Due {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.due)
}

// Waiting reports whether a tick has something to do, or will have.
func (s *Store) Waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.due)+len(s.lifted) > 0
}

// Due implements workflow.Ticks.
func (s *Store) Due(_ context.Context, minute time.Time, most int) (found []workflow.Due, more bool, err error) {
	err = s.do("Due", "", func(*partition) error {
		for _, d := range s.due {
			if d.At.Truncate(time.Minute).Equal(minute) {
				found = append(found, d)
			}
		}
		slices.SortFunc(found, func(a, b workflow.Due) int { return cmp.Compare(a.Thing, b.Thing) })
		if more = len(found) >= most; more {
			found = found[:most]
		}
		return nil
	})
	return found, more, err
}

// Done implements workflow.Ticks.
func (s *Store) Done(_ context.Context, due []workflow.Due) error {
	return s.do("Done", "", func(*partition) error {
		s.due = slices.DeleteFunc(s.due, func(d workflow.Due) bool { return slices.Contains(due, d) })
		return nil
	})
}
