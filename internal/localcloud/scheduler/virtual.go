package scheduler

import (
	"container/heap"
	"time"
)

// worker is a goroutine of the virtual mode that runs one task after another.
type worker struct{ next chan *task }

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
		t.resume = make(chan struct{})
	}
	s.yield <- struct{}{}
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
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
	}()
	for until == nil || !until() {
		s.mu.Lock()
		if len(s.ready) == 0 && !s.advance(limit) {
			s.mu.Unlock()
			return
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
		if t.run == nil { // parked before, goes on
			s.mu.Unlock()
			t.resume <- struct{}{}
		} else {
			w := s.worker()
			s.mu.Unlock()
			w.next <- t
		}
		<-s.yield
		s.mu.Lock()
		s.current = nil
		s.mu.Unlock()
	}
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

// worker returns an idle goroutine; s.mu is held.
func (s *Scheduler) worker() *worker {
	if n := len(s.workers); n > 0 {
		w := s.workers[n-1]
		s.workers = s.workers[:n-1]
		return w
	}
	w := &worker{next: make(chan *task)}
	go func() {
		for t := range w.next {
			run := t.run
			t.run = nil
			run()
			s.mu.Lock()
			delete(s.live, t)
			s.workers = append(s.workers, w)
			s.mu.Unlock()
			s.yield <- struct{}{}
		}
	}()
	return w
}
