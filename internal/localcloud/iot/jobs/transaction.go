package jobs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// change runs fn over jobs and executions in a transaction, and what follows from it.
func (s *Service) change(fn func(c *change) error) error {
	return s.db.Update(func(tx *store.Tx) error { return s.changeIn(tx, fn) })
}

// changeIn is change within a transaction that goes on.
func (s *Service) changeIn(tx *store.Tx, fn func(c *change) error) error {
	now := s.sched.Now()
	c := &change{s: s, tx: tx, now: now, ms: millis(now), jobs: map[string]*loaded{}, things: map[string]*watched{}}
	if err := fn(c); err != nil {
		return err
	}
	return c.end()
}

// end settles jobs, writes them, and queues notifications.
func (c *change) end() error {
	for _, id := range c.jobOrder {
		j := c.jobs[id]
		if j.gone {
			continue
		}
		if err := c.abortOrComplete(j); err != nil {
			return err
		}
		if err := c.save(j); err != nil {
			return err
		}
	}
	for _, thing := range c.order {
		if err := c.notify(thing, c.things[thing]); err != nil {
			return err
		}
	}
	for _, m := range c.events {
		if err := c.s.config.Outbox.Add(c.tx, m); err != nil {
			return err
		}
	}
	if c.earliest != 0 {
		due := c.earliest
		c.tx.OnCommit(func() { c.s.arm(due) })
	}
	if len(c.arrivals) > 0 {
		c.tx.OnCommit(func() { c.s.count(c.arrivals) })
	}
	return nil
}
