package workflowtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

var _ workflow.Ticks = (*Store)(nil)

// Lease implements workflow.Ticks.
func (s *Store) Lease(_ context.Context, holder string, now, until time.Time) (l workflow.Lease, err error) {
	err = s.do("Lease", "", func(*partition) error {
		if s.lease.Until.After(now) {
			return workflow.ErrLeased
		}
		s.lease = workflow.Lease{Holder: holder, Until: until, Fence: s.lease.Fence + 1, Minute: s.lease.Minute,
			Served: s.lease.Served, Sweep: s.lease.Sweep, Arrivals: s.lease.Arrivals}
		l = s.lease
		return nil
	})
	return l, err
}

// Keep implements workflow.Ticks.
func (s *Store) Keep(_ context.Context, l workflow.Lease) error {
	return s.do("Keep", "", func(*partition) error {
		if s.lease.Fence != l.Fence {
			return workflow.ErrLeased
		}
		s.lease.Minute, s.lease.Served, s.lease.Sweep, s.lease.Arrivals = l.Minute, l.Served, l.Sweep, l.Arrivals
		return nil
	})
}

// Return implements workflow.Ticks.
func (s *Store) Return(_ context.Context, l workflow.Lease) error {
	return s.do("Return", "", func(*partition) error {
		if s.lease.Fence == l.Fence {
			s.lease.Until, s.lease.Minute, s.lease.Sweep = time.Time{}, l.Minute, l.Sweep
			s.lease.Arrivals, s.lease.Served = l.Arrivals, l.Served
		}
		return nil
	})
}

// Lifted implements workflow.Ticks.
func (s *Store) Lifted(context.Context) (found []workflow.Lifted, err error) {
	err = s.do("Lifted", "", func(*partition) error {
		for whose, rev := range s.lifted {
			found = append(found, workflow.Lifted{Whose: whose, Rev: rev})
		}
		slices.SortFunc(found, func(a, b workflow.Lifted) int { return cmp.Compare(a.Whose.Key(), b.Whose.Key()) })
		return nil
	})
	return found, err
}

// Knocks implements workflow.Ticks.
func (s *Store) Knocks(_ context.Context, whose event.Owner, most int) (found []workflow.Knock, more bool, err error) {
	err = s.do("Knocks", "", func(*partition) error {
		for _, k := range s.knocks[whose] {
			found = append(found, k)
		}
		slices.SortFunc(found, func(a, b workflow.Knock) int { return cmp.Compare(a.Thing, b.Thing) })
		if more = len(found) >= most; more {
			found = found[:most]
		}
		return nil
	})
	return found, more, err
}

// Answer implements workflow.Ticks.
func (s *Store) Answer(_ context.Context, whose event.Owner, k workflow.Knock) error {
	return s.do("Answer", "", func(*partition) error {
		if s.knocks[whose][k.Thing].At.Equal(k.At) {
			delete(s.knocks[whose], k.Thing)
		}
		return nil
	})
}

// Forget implements workflow.Ticks.
func (s *Store) Forget(_ context.Context, l workflow.Lifted) error {
	return s.do("Forget", "", func(*partition) error {
		if s.lifted[l.Whose] == l.Rev {
			delete(s.lifted, l.Whose)
		}
		return nil
	})
}
