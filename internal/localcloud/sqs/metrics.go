package sqs

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// CloudWatch has counts of what is done with a queue, as it is done, and once a
// minute what a queue holds, while it is in use. AWS goes on for six hours after
// the last use; here an empty queue that nobody uses is measured once more and
// then no longer, so that virtual time can come to rest.
//
// Source: SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS".

const measureEvery = time.Minute

func (s *Service) measure(queue, metric, unit string, value float64) {
	if s.config.Metrics != nil {
		s.config.Metrics.Add("AWS/SQS", metric, unit, value, map[string]string{"QueueName": queue})
		s.used(queue)
	}
}

// used has the queue measured at the next minute.
func (s *Service) used(queue string) {
	if s.config.Metrics == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active[queue] = true
	s.arm()
}

// arm sets the timer of the next look; s.mu is held.
func (s *Service) arm() {
	if s.measuring || len(s.active) == 0 {
		return
	}
	s.measuring = true
	now := s.config.Scheduler.Now()
	s.config.Scheduler.At(now.Truncate(measureEvery).Add(measureEvery), "sqs metrics", s.measureAll)
}

// measureAll measures the queues that are in use.
func (s *Service) measureAll() {
	s.mu.Lock()
	queues := slices.Sorted(maps.Keys(s.active))
	clear(s.active)
	s.measuring = false
	s.mu.Unlock()
	var kept []string
	for _, name := range queues {
		if s.gauge(name) {
			kept = append(kept, name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range kept {
		s.active[name] = true
	}
	s.arm()
}

// gauge tells what a queue holds; holds is false if that is nothing.
func (s *Service) gauge(name string) (holds bool) {
	var counts map[string]string
	var age time.Duration
	now := s.config.Scheduler.Now()
	err := s.config.Store.Update(func(tx *store.Tx) error {
		counts, age, holds = nil, 0, false
		q, ok, err := queueTable.Get(tx, name)
		if err != nil || !ok {
			return err
		}
		if err := s.expire(tx, &q); err != nil {
			return err
		}
		if counts, err = s.count(tx, &q); err != nil {
			return err
		}
		for row, err := range messageTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
			if err != nil {
				return err
			}
			holds = true
			// A message that was received three times no longer counts.
			if m := row.Value; m.Count < 3 || !m.Moved.IsZero() {
				from := m.Sent
				if !m.Moved.IsZero() {
					from = m.Moved
				}
				age = now.Sub(from)
				break
			}
		}
		return nil
	})
	s.config.Scheduler.Failed("sqs metrics", err)
	if err != nil || counts == nil { // the queue is gone
		return false
	}
	add := func(metric, unit string, value float64) {
		s.config.Metrics.Add("AWS/SQS", metric, unit, value, map[string]string{"QueueName": name})
	}
	for metric, attribute := range map[string]string{
		"ApproximateNumberOfMessagesVisible":    "ApproximateNumberOfMessages",
		"ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
		"ApproximateNumberOfMessagesDelayed":    "ApproximateNumberOfMessagesDelayed",
	} {
		n, err := strconv.Atoi(counts[attribute])
		if err != nil {
			return holds
		}
		add(metric, "Count", float64(n))
	}
	add("ApproximateAgeOfOldestMessage", "Seconds", float64(int(age/time.Second)))
	return holds
}
