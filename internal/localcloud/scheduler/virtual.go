package scheduler

import (
	"container/heap"
	"time"
)

// In virtual mode one goroutine at a time goes on: it has the turn. It is either
// a worker, which picks tasks and runs them itself, so that a task that never
// waits costs no switch of goroutines; or a task that has waited. A task that
// begins to wait keeps the worker's goroutine and passes the turn to another
// worker; one that may go on gets the turn from the worker that picked it.

// loop is one call of Run.
type loop struct {
	until func() bool
	limit time.Time
	done  chan struct{}
}

// await parks the running task until one of the gates is open. Outside any
// task it runs the loop until then.
func (s *Scheduler) await(gates []*Gate) error {
	s.mu.Lock()
	t := s.current
	if t == nil {
		s.mu.Unlock()
		done := func() bool {
			for _, g := range gates {
				if g.Opened() {
					return true
				}
			}
			return false
		}
		s.Run(done)
		if !done() {
			return ErrDeadlock
		}
		return nil
	}
	t.waits++
	wait := t.waits
	t.parked = true
	s.mu.Unlock()
	for _, g := range gates {
		g.mu.Lock()
		if g.open {
			g.mu.Unlock()
			s.mu.Lock()
			t.parked = false
			t.waits++ // make the registrations made so far stale
			s.mu.Unlock()
			return nil
		}
		g.waiters = append(g.waiters, waiter{t, wait})
		g.mu.Unlock()
	}
	if t.resume == nil {
		t.resume = make(chan struct{}, 1)
	}
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
	s.pass()
	<-t.resume
	return nil
}

// wake makes a parked task runnable; s.mu is held.
func (s *Scheduler) wake(w waiter) {
	if s.closed || !w.t.parked || w.t.waits != w.wait {
		return
	}
	w.t.parked = false
	s.ready = append(s.ready, w.t)
}

// Run runs tasks in virtual time until the condition holds, or until nothing
// is left to run and no timer is set. A nil condition never holds. It must not
// be called from a task, and panics in real mode.
func (s *Scheduler) Run(until func() bool) {
	s.run(until, time.Time{})
}

// RunFor runs tasks until d of virtual time has passed, and moves the clock
// there even if nothing was left to do.
func (s *Scheduler) RunFor(d time.Duration) {
	s.run(nil, s.Now().Add(d))
}

func (s *Scheduler) run(until func() bool, limit time.Time) {
	if !s.virtual {
		panic("scheduler: Run needs virtual time")
	}
	s.mu.Lock()
	if s.current != nil || s.running {
		s.mu.Unlock()
		panic("scheduler: Run called from a task")
	}
	s.running = true
	l := &loop{until, limit, make(chan struct{})}
	s.loop = l
	s.mu.Unlock()
	s.pass()
	<-l.done
	s.mu.Lock()
	s.running = false
	idle := s.workers
	s.workers = nil
	s.mu.Unlock()
	for _, turn := range idle { // they would keep everything that this scheduler leads to
		close(turn)
	}
}

// pass gives the turn to an idle worker, or to a new one.
func (s *Scheduler) pass() {
	s.mu.Lock()
	n := len(s.workers)
	if n == 0 {
		s.mu.Unlock()
		go s.work()
		return
	}
	w := s.workers[n-1]
	s.workers = s.workers[:n-1]
	s.mu.Unlock()
	w <- struct{}{}
}

// work is a worker's goroutine, from its first turn to the end of the run.
func (s *Scheduler) work() {
	turn := make(chan struct{}, 1)
	for {
		s.mu.Lock()
		l := s.loop
		s.mu.Unlock()
		if l.until != nil && l.until() {
			if !s.leave(turn, l.done) {
				return
			}
			continue
		}
		s.mu.Lock()
		if len(s.ready) == 0 && !s.advance(l.limit) {
			s.mu.Unlock()
			if !s.leave(turn, l.done) {
				return
			}
			continue
		}
		if len(s.ready) == 0 {
			s.mu.Unlock()
			continue
		}
		i := s.order.IntN(len(s.ready))
		last := len(s.ready) - 1
		t := s.ready[i]
		s.ready[i] = s.ready[last]
		s.ready[last] = nil
		s.ready = s.ready[:last]
		s.current = t
		run := t.run
		t.run = nil
		s.mu.Unlock()
		if run == nil { // it has waited, and goes on
			if !s.leave(turn, t.resume) {
				return
			}
			continue
		}
		run()
		s.mu.Lock()
		delete(s.live, t)
		s.current = nil
		s.mu.Unlock()
	}
}

// leave gives the turn to whoever waits for it, and comes back when this worker
// gets it again: true, or false when the run is over and the worker is to end.
func (s *Scheduler) leave(turn, to chan struct{}) bool {
	s.mu.Lock()
	s.workers = append(s.workers, turn)
	s.mu.Unlock()
	to <- struct{}{}
	_, again := <-turn
	return again
}

// advance moves the clock to the earliest timer and starts all tasks of that
// time. It reports false when there is none before the limit; s.mu is held.
func (s *Scheduler) advance(limit time.Time) bool {
	if len(s.queue) == 0 || (!limit.IsZero() && s.queue[0].when.After(limit)) {
		if !limit.IsZero() {
			s.now = limit
		}
		return false
	}
	s.now = s.queue[0].when
	for len(s.queue) > 0 && !s.queue[0].when.After(s.now) {
		heap.Pop(&s.queue).(*Timer).fire()
	}
	return true
}
