package workflowtest

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

var _ workflow.Controls = (*Store)(nil)

// Flags implements workflow.Controls.
func (s *Store) Flags(_ context.Context, owner event.Owner) (f workflow.Flags, err error) {
	err = s.do("Flags", "", func(*partition) error {
		f = workflow.Flags{Everyone: s.flags[workflow.Everyone]}
		if owner != workflow.Everyone {
			f.Owner = s.flags[owner]
		}
		return nil
	})
	return f, err
}

// SetFlag implements workflow.Controls.
func (s *Store) SetFlag(_ context.Context, owner event.Owner, c workflow.Control) error {
	return s.do("SetFlag", "", func(*partition) error {
		if s.flags[owner].Rev != c.Rev {
			return workflow.ErrChanged
		}
		if s.flags == nil {
			s.flags = map[event.Owner]workflow.Control{}
		}
		c.Rev++
		s.flags[owner] = c
		if c.State != event.ControlPaused {
			if s.lifted == nil {
				s.lifted = map[event.Owner]int64{}
			}
			s.lifted[owner] = c.Rev
		}
		return nil
	})
}

// Knock implements workflow.Controls.
func (s *Store) Knock(_ context.Context, whose event.Owner, k workflow.Knock) error {
	return s.do("Knock", "", func(*partition) error {
		if s.knocks == nil {
			s.knocks = map[event.Owner]map[event.ThingName]workflow.Knock{}
		}
		if s.knocks[whose] == nil {
			s.knocks[whose] = map[event.ThingName]workflow.Knock{}
		}
		s.knocks[whose][k.Thing] = k
		return nil
	})
}

// Knocked is who knocked at a flag.
func (s *Store) Knocked(whose event.Owner) map[event.ThingName]workflow.Knock {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knocks[whose]
}
