package sfn

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/history"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// load reads an execution; o is nil if it has ended.
func (s *Service) load(k key) (rec *executionRecord, o *openRecord, rev *revisionRecord, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		r, ok, err := executions.Get(tx, k.Machine, k.Name)
		if err != nil || !ok {
			return err
		}
		rec = &r
		s.mu.Lock()
		if p := s.plans[k.Machine+"/"+r.Revision]; p != nil {
			rev = p.revision
		}
		s.mu.Unlock()
		if rev == nil {
			if v, ok, err := revisions.Get(tx, k.Machine, r.Revision); err != nil {
				return err
			} else if ok {
				rev = &v
			}
		}
		v, ok, err := open.Get(tx, k.Machine, k.Name)
		if ok {
			o = &v
		}
		return err
	})
	return rec, o, rev, err
}

// lock takes the right to move an execution.
func (s *Service) lock(k key) *live {
	s.mu.Lock()
	l := s.live[k]
	if l == nil {
		l = &live{}
		s.live[k] = l
	}
	l.users++
	s.mu.Unlock()
	l.mu.Lock()
	return l
}

func (s *Service) unlock(k key, l *live) {
	l.mu.Unlock()
	s.mu.Lock()
	l.users--
	if l.users == 0 && l.timer == nil {
		delete(s.live, k)
	}
	s.mu.Unlock()
}

// move loads an execution, changes it and stores it. ErrClosed is returned if
// it has ended.
func (s *Service) move(k key, change func(run *asl.Run) error) error {
	return s.moveWith(k, change, nil)
}

// moveWith is move with further writes in the same transaction.
func (s *Service) moveWith(k key, change func(run *asl.Run) error, also func(tx *store.Tx) error) error {
	l := s.lock(k)
	defer s.unlock(k, l)
	rec, o, rev, err := s.load(k)
	if err != nil {
		return err
	}
	if rec == nil || o == nil {
		return asl.ErrClosed
	}
	run, err := s.run(rec, rev, o.Snapshot)
	if err != nil {
		return err
	}
	events := s.record(rec, rev, run)
	defer events.Release()
	if err := change(run); err != nil {
		return err
	}
	calls := run.Calls
	err = s.db.Update(func(tx *store.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		return s.save(tx, rec, run, events)
	})
	if err != nil {
		return err
	}
	s.timer(k, l, run)
	s.follow(rec, rev, run, events.Events, calls)
	return nil
}

// begin starts an execution: its first move and its record in one transaction.
// admit may refuse in that transaction.
func (s *Service) begin(rec *executionRecord, rev *revisionRecord, admit func(tx *store.Tx) error) error {
	m, err := s.program(rec, rev)
	if err != nil {
		return err
	}
	k := rec.key()
	run := asl.New(m, host{s, k}, s.info(rec, rev))
	events := s.record(rec, rev, run)
	defer events.Release()
	run.Start()
	calls := run.Calls
	err = s.db.Update(func(tx *store.Tx) error {
		if admit != nil {
			if err := admit(tx); err != nil {
				return err
			}
		}
		if run.Status == asl.Running {
			rec.Status = asl.Running
			if err := s.index(tx, rec, ""); err != nil {
				return err
			}
		}
		return s.save(tx, rec, run, events)
	})
	if err != nil {
		return err
	}
	s.count(rec.machine(), "ExecutionsStarted", 1)
	if run.Status == asl.Running {
		l := s.lock(k)
		s.timer(k, l, run)
		s.unlock(k, l)
	}
	s.follow(rec, rev, run, events.Events, calls)
	return nil
}

// save writes what a run has become.
func (s *Service) save(tx *store.Tx, rec *executionRecord, run *asl.Run, events *history.Recorder) error {
	k := rec.key()
	if err := saveEvents(tx, k, events); err != nil {
		return err
	}
	if err := s.saveMapRuns(tx, rec, run); err != nil {
		return err
	}
	for _, c := range run.Calls {
		if c.Resource.Kind == asl.Activity && !c.Reader {
			name, _ := activityName(c.Resource.ARN)
			if err := s.queue(tx, name, activityTask{k, c.Branch, c.Attempt}); err != nil {
				return err
			}
		}
	}
	if run.Status == asl.Running {
		return open.Put(tx, openRecord{Snapshot: run.Snapshot()}, k.Machine, k.Name)
	}
	old := rec.Status
	rec.Status, rec.Stopped = run.Status, s.sched.Now()
	rec.Error, rec.Cause = run.Error, run.Cause
	if run.Output != nil {
		text := run.Output.Text()
		rec.Output = &text
	}
	if run.Status != asl.Succeeded && rec.Type != express {
		if snap, ok := run.Redrivable(); ok {
			if err := redrivable.Put(tx, snap, k.Machine, k.Name); err != nil {
				return err
			}
		}
	}
	if old != "" { // it was stored as open
		if err := open.Delete(tx, k.Machine, k.Name); err != nil {
			return err
		}
	}
	return s.index(tx, rec, old)
}

// queue lets a task wait for a worker.
func (s *Service) queue(tx *store.Tx, activity string, t activityTask) error {
	n, _, err := sequences.Get(tx, "activity")
	if err != nil {
		return err
	}
	if err := sequences.Put(tx, n+1, "activity"); err != nil {
		return err
	}
	return activityTasks.Put(tx, t, activity, store.Number(n))
}

// index writes an execution and moves it in the lists.
func (s *Service) index(tx *store.Tx, rec *executionRecord, old string) error {
	k := rec.key()
	if rec.Type != express || rec.Child != nil {
		list, at := rec.list(), backward(rec.Order)
		if old != "" {
			if err := byStatus.Delete(tx, list, old, at, k.Name); err != nil {
				return err
			}
		} else if err := byStart.Put(tx, nil, list, at, k.Name); err != nil {
			return err
		}
		if err := byStatus.Put(tx, nil, list, rec.Status, at, k.Name); err != nil {
			return err
		}
	}
	if rec.Type == express && rec.Status != asl.Running && rec.Child == nil {
		return executions.Delete(tx, k.Machine, k.Name)
	}
	return executions.Put(tx, *rec, k.Machine, k.Name)
}

// timer sets the execution's timer to the run's next moment.
func (s *Service) timer(k key, l *live, run *asl.Run) {
	var at time.Time
	if run.Status == asl.Running {
		at = run.NextWake()
	}
	if l.timer != nil && l.at.Equal(at) {
		return
	}
	l.timer.Stop()
	l.timer, l.at = nil, at
	if at.IsZero() {
		return
	}
	l.timer = s.sched.At(at, "sfn.timer", func() { s.tick(k, at) })
}

func (s *Service) tick(k key, at time.Time) {
	l := s.lock(k)
	if l.at.Equal(at) {
		l.timer, l.at = nil, time.Time{}
	}
	s.unlock(k, l)
	s.background("timer", k, s.move(k, func(run *asl.Run) error {
		run.Tick()
		return nil
	}))
}

// addEndWaiter gives a waiter whose gate is opened when an execution ends.
func (s *Service) addEndWaiter(k key) *endWaiter {
	e := &endWaiter{gate: s.sched.NewGate()}
	s.mu.Lock()
	s.endWaiters[k] = append(s.endWaiters[k], e)
	s.mu.Unlock()
	return e
}

// removeEndWaiter takes a waiter back that is not needed.
func (s *Service) removeEndWaiter(k key, e *endWaiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.endWaiters[k]
	for i, other := range list {
		if other == e {
			s.endWaiters[k] = append(list[:i:i], list[i+1:]...)
		}
	}
	if len(s.endWaiters[k]) == 0 {
		delete(s.endWaiters, k)
	}
}

// wake lets the workers that poll an activity look again.
func (s *Service) wake(activity string) {
	s.mu.Lock()
	gates := s.pollers[activity]
	delete(s.pollers, activity)
	s.mu.Unlock()
	for _, g := range gates {
		g.Open()
	}
}

func (s *Service) count(machine, metric string, value float64) {
	if s.Metrics != nil && metric != "" {
		s.Metrics.Count(metric, s.arn(names.StateMachine, machine), value)
	}
}

// order makes start times differ, so that lists have one order.
func (s *Service) order(t time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.After(s.lastStart) {
		t = s.lastStart.Add(1)
	}
	s.lastStart = t
	return t
}
