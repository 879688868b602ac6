package workflowtest

import (
	"context"
	"maps"
	"slices"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Arrive implements workflow.Store.
func (s *Store) Arrive(_ context.Context, a workflow.Arrival, learnt map[string]string) error {
	return s.do("Arrive", a.Thing, func(p *partition) error {
		if s.arrivals == nil {
			s.arrivals = map[event.ThingName]workflow.Arrival{}
		}
		s.arrivals[a.Thing] = a
		p.learn(learnt)
		return nil
	})
}

// Arrived lists who has appeared and was not received yet.
func (s *Store) Arrived() []event.ThingName {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.arrivals))
}

// Arrivals implements workflow.Ticks. A cursor is the name of the last thing.
func (s *Store) Arrivals(_ context.Context, after string, most int) (found []workflow.Arrival, next string,
	err error) {
	err = s.do("Arrivals", "", func(*partition) error {
		things := slices.Sorted(maps.Keys(s.arrivals))
		at, there := slices.BinarySearch(things, event.ThingName(after))
		if there {
			at++
		}
		for _, thing := range append(slices.Clone(things[at:]), things[:at]...) {
			if len(found) == most {
				next = string(found[most-1].Thing)
				break
			}
			found = append(found, s.arrivals[thing])
		}
		return nil
	})
	return found, next, err
}

// Admitted implements workflow.Ticks.
func (s *Store) Admitted(_ context.Context, a workflow.Arrival) error {
	return s.do("Admitted", "", func(*partition) error {
		if s.arrivals[a.Thing].At.Equal(a.At) {
			delete(s.arrivals, a.Thing)
		}
		return nil
	})
}
