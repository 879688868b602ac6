package sqs

import (
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Watching a queue: for whoever takes messages as they come without asking
// again and again, such as Lambda's event source mappings.

type watcher struct{ wake func() }

// Watch has wake called after each change by which a message of a queue may
// have become visible, or may become visible at another time than before, and
// when the queue is deleted. What becomes visible only because time passes is
// not told: see NextVisible. Wake must return at once. The queue need not be
// there yet.
func (s *Service) Watch(arn string, wake func()) (stop func()) {
	name, w := nameOf(arn), &watcher{wake}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[name] = append(s.watchers[name], w)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		left := slices.DeleteFunc(slices.Clone(s.watchers[name]), func(x *watcher) bool { return x == w })
		if s.watchers[name] = left; len(left) == 0 {
			delete(s.watchers, name)
		}
	}
}

// NextVisible is when the next message of a queue becomes or became visible; ok
// is false if the queue has none, or is not there.
func (s *Service) NextVisible(arn string) (at time.Time, ok bool, err error) {
	err = s.config.Store.View(func(tx *store.Tx) error {
		q, there, err := queueTable.Get(tx, nameOf(arn))
		if err != nil || !there {
			return err
		}
		for row, err := range visibleTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
			if err != nil {
				return err
			}
			at, ok = time.UnixMilli(int64(store.ParseNumber(row.Key[1]))).UTC(), true
			break
		}
		return nil
	})
	return at, ok, err
}

// arrived wakes those who wait for messages of a queue.
func (s *Service) arrived(q *queue) {
	s.mu.Lock()
	g := s.arrivals[q.ID]
	delete(s.arrivals, q.ID)
	watchers := s.watchers[q.Name]
	s.mu.Unlock()
	if g != nil {
		g.Open()
	}
	for _, w := range watchers {
		w.wake()
	}
	s.used(q.Name)
}
