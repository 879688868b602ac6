package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// timeoutBatch is how many executions time out in one transaction.
const timeoutBatch = 200

// retryAfter is how many milliseconds pass before work that failed is tried
// again.
const retryAfter = 1000

// arm makes sure that due rows are looked at by the time ms.
func (s *Service) arm(ms int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		s.rowsAdded = true
		return
	}
	if s.armed != 0 && s.armed <= ms {
		return
	}
	s.timer.Stop()
	s.armed = ms
	s.timer = s.sched.At(moment(ms), "iot jobs due", s.fire)
}

func (s *Service) fire() {
	s.mu.Lock()
	if s.busy {
		s.rowsAdded = true
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.armed = 0
	s.mu.Unlock()
	s.runDue()
}

// runDue does what is due, then sets the timer for the rest.
func (s *Service) runDue() {
	for {
		rows, next, err := s.dueRows()
		if err == nil && len(rows) > 0 {
			if err = s.step(rows); err == nil {
				continue
			}
		}
		switch {
		case errors.Is(err, store.ErrClosed): // Start goes on from here
			s.stop()
			return
		case err != nil:
			s.sched.Failed("iot jobs due", err)
			next = millis(s.sched.Now()) + retryAfter
		}
		if s.finishWork(next) {
			return
		}
	}
}

// stop ends the work of a closed store, whatever was added meanwhile.
func (s *Service) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rowsAdded, s.busy, s.armed = false, false, 0
	s.timer.Stop()
}

// finishWork ends the work unless rows were added meanwhile.
func (s *Service) finishWork(next int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rowsAdded {
		s.rowsAdded = false
		return false
	}
	s.busy = false
	s.timer.Stop()
	s.armed = next
	if next != 0 {
		s.timer = s.sched.At(moment(next), "iot jobs due", s.fire)
	}
	return true
}

// dueRows returns the keys of the first rows that are due: one job's step, or
// a batch of timeouts; otherwise the time of the first row, 0 if there is none.
func (s *Service) dueRows() (rows [][]string, next int64, err error) {
	now := millis(s.sched.Now())
	err = s.db.View(func(tx *store.Tx) error {
		for row, err := range dueTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			at := int64(store.ParseNumber(row.Key[0]))
			if at > now {
				next = at
				return nil
			}
			isJob := row.Key[2] == ""
			if isJob && len(rows) > 0 {
				return nil
			}
			rows = append(rows, row.Key)
			if isJob || len(rows) == timeoutBatch {
				return nil
			}
		}
		return nil
	})
	return rows, next, err
}

func (s *Service) step(rows [][]string) error {
	return s.change(func(c *change) error {
		for _, key := range rows {
			id, thing := key[1], key[2]
			if thing == "" {
				j, err := c.job(id)
				if err != nil {
					return err
				}
				if j == nil || store.Number(uint64(j.NextAt)) != key[0] {
					if err := dueTable.Delete(c.tx, key...); err != nil {
						return err
					}
					continue
				}
				if err := c.advance(j); err != nil {
					return err
				}
				continue
			}
			e, ok, err := executionTable.Get(c.tx, id, thing, key[3])
			if err != nil {
				return err
			}
			if !ok || store.Number(uint64(e.due())) != key[0] || terminal(e.Status) {
				if err := dueTable.Delete(c.tx, key...); err != nil {
					return err
				}
				continue
			}
			if err := c.finish(&e, TimedOut, nil, false); err != nil {
				return err
			}
		}
		return nil
	})
}

// Start resumes the jobs and timers of the store.
func (s *Service) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = true
	s.sched.Go("iot jobs", s.runDue)
	return nil
}

// Residue lists jobs with steps to go and executions under a timeout, up to a
// hundred.
func (s *Service) Residue(context.Context) []string {
	var lines []string
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range dueTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			at := moment(int64(store.ParseNumber(row.Key[0]))).Format(time.RFC3339)
			if row.Key[2] == "" {
				lines = append(lines, fmt.Sprintf("iot: job %s has a step due at %s", row.Key[1], at))
			} else {
				lines = append(lines, fmt.Sprintf("iot: job %s on thing %s times out at %s", row.Key[1],
					row.Key[2], at))
			}
			if len(lines) == 100 {
				break
			}
		}
		return nil
	})
	if err != nil {
		lines = append(lines, "iot: "+err.Error())
	}
	return lines
}

// advance does a job's due step.
func (c *change) advance(j *loaded) error {
	running := j.Status == Scheduled || j.Status == InProgress
	if running && j.End != 0 && !j.Ended && c.ms >= j.End {
		c.endSchedule(j)
		return nil
	}
	switch j.Work {
	case starting:
		j.Status, j.Updated = InProgress, c.ms
		c.next(j, resolving, c.ms)
		return nil
	case resolving:
		return c.resolve(j)
	case rollingOut:
		return c.rollOut(j)
	case canceling, ending:
		return c.cancelSome(j)
	case deleting:
		return c.deleteSome(j)
	}
	c.next(j, resting, 0)
	return nil
}
