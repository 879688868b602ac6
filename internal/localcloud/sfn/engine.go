package sfn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const express = "EXPRESS"

// host gives a run time, randomness and tokens.
type host struct {
	s *Service
	k key
}

func (h host) Now() time.Time       { return h.s.sched.Now() }
func (h host) Random(n int64) int64 { return h.s.sched.Rand().Int64N(n) }
func (h host) UUID() string         { return h.s.sched.UUID() }
func (h host) Token(branch string, attempt int) string {
	return makeToken(h.k, branch, attempt, h.s.sched.UUID())
}

func (h host) ActivityExists(arn string) bool {
	name, ok := h.s.activityName(arn)
	if !ok {
		return false
	}
	found := false
	err := h.s.db.View(func(tx *store.Tx) (err error) {
		_, found, err = activities.Get(tx, name)
		return err
	})
	h.s.background("look for activity "+name, h.k, err)
	return found
}

// plan returns the compiled form of a revision.
func (s *Service) plan(rev *revisionRecord, typ string) (*asl.Machine, error) {
	id := rev.Machine + "/" + rev.ID
	s.mu.Lock()
	p := s.plans[id]
	s.mu.Unlock()
	if p != nil {
		return p.machine, nil
	}
	m, ds := asl.Compile(rev.Definition, typ == express)
	if m == nil {
		return nil, ds
	}
	s.mu.Lock()
	s.plans[id] = &plan{m, rev}
	s.mu.Unlock()
	return m, nil
}

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

func (s *Service) info(rec *executionRecord, rev *revisionRecord) asl.Info {
	info := asl.Info{
		ExecutionARN: rec.ARN, ExecutionName: rec.name(),
		MachineARN: s.arn("stateMachine", rec.machine()), MachineName: rec.machine(),
		RoleARN: rev.RoleARN, Region: s.Region, Account: s.Account,
		Started: rec.Started, Input: asl.TextData(rec.Input), RedriveCount: rec.RedriveCount, Redriven: rec.Redriven,
	}
	if rec.Child != nil {
		info.Around = rec.Child.Around
	}
	return info
}

// program is what an execution runs: the state machine, or the processor of the
// Map state that the execution is a child of.
func (s *Service) program(rec *executionRecord, rev *revisionRecord) (*asl.Machine, error) {
	if rec.Child == nil {
		return s.plan(rev, rec.Type)
	}
	m, err := s.plan(rev, "STANDARD")
	if err != nil {
		return nil, err
	}
	if m = m.Child(rec.Child.State); m == nil {
		return nil, fmt.Errorf("sfn: execution %s: no Map state %s", rec.ARN, rec.Child.State)
	}
	return m, nil
}

func (s *Service) run(rec *executionRecord, rev *revisionRecord, snap asl.Snapshot) (*asl.Run, error) {
	if rev == nil {
		return nil, fmt.Errorf("sfn: execution %s: its revision is gone", rec.ARN)
	}
	m, err := s.program(rec, rev)
	if err != nil {
		return nil, err
	}
	run := asl.Resume(m, host{s, rec.key()}, s.info(rec, rev), snap)
	return run, nil
}

// recorder takes the events of a move as they are stored, as JSON.
type recorder struct {
	text  []byte // of all parts
	parts []part
	kept  []asl.Event // for the log
}

// part is a stretch of a history under the id of its first event. Parts are
// kept small, as a page of a history reads whole parts.
type part struct {
	first int64
	from  int // in the text
}

const partSize = 64 << 10

// recorders keeps recorders for the next move. Few moves need more room than
// one part.
var recorders = sync.Pool{New: func() any { return &recorder{text: make([]byte, 0, 8<<10)} }}

// release gives a recorder back whose parts are stored or not wanted.
func (r *recorder) release() {
	if cap(r.text) > 2*partSize {
		return
	}
	r.text, r.parts, r.kept = r.text[:0], r.parts[:0], nil
	recorders.Put(r)
}

// store writes the parts.
func (r *recorder) store(tx *store.Tx, k key) error {
	for i, p := range r.parts {
		end := len(r.text)
		if i+1 < len(r.parts) {
			end = r.parts[i+1].from
		}
		if err := history.Put(tx, r.text[p.from:end], k.Machine, k.Name, store.Number(uint64(p.first))); err != nil {
			return err
		}
	}
	return nil
}

// record sends a run's events to a recorder.
func (s *Service) record(rec *executionRecord, rev *revisionRecord, run *asl.Run) *recorder {
	out := recorders.Get().(*recorder)
	keep := s.Logs != nil && rev != nil && rev.Logging != nil && rev.Logging.Level != "OFF"
	run.Record = func(e *asl.Event) {
		if keep {
			out.kept = append(out.kept, *e)
		}
		if rec.Type == express {
			return
		}
		// Each part is a JSON array, closed after each event.
		n := len(out.parts)
		if n == 0 || len(out.text)-out.parts[n-1].from > partSize {
			out.parts = append(out.parts, part{e.ID, len(out.text)})
			out.text = append(out.text, '[')
		} else {
			out.text[len(out.text)-1] = ','
		}
		out.text = append(appendEvent(out.text, e), ']')
	}
	return out
}

// newest returns a state machine as it is now, nil if there is none.
func (s *Service) newest(name string) (*current, error) {
	s.mu.Lock()
	c, changes := s.current[name], s.changes
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	err := s.db.View(func(tx *store.Tx) error {
		m, ok, err := machines.Get(tx, name)
		if err != nil || !ok {
			return err
		}
		rev, _, err := revisions.Get(tx, name, m.Revision)
		c = &current{m, &rev}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if c != nil && s.changes == changes {
		s.current[name] = c
	}
	s.mu.Unlock()
	return c, nil
}

// putMachine stores a state machine.
func (s *Service) putMachine(tx *store.Tx, m machineRecord) error {
	s.changed(tx, m.Name)
	return machines.Put(tx, m, m.Name)
}

// changed forgets what memory holds of a state machine.
func (s *Service) changed(tx *store.Tx, name string) {
	tx.OnCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changes++
		delete(s.current, name)
	})
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
	defer events.release()
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
	s.done(rec, rev, run, events, calls)
	return nil
}

// save writes what a run has become.
func (s *Service) save(tx *store.Tx, rec *executionRecord, run *asl.Run, events *recorder) error {
	k := rec.key()
	if err := events.store(tx, k); err != nil {
		return err
	}
	if err := s.saveMapRuns(tx, rec, run); err != nil {
		return err
	}
	for _, c := range run.Calls {
		if c.Resource.Kind == asl.Activity && !c.Reader {
			name, _ := s.activityName(c.Resource.ARN)
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

// bestEffort reports what is no answer of a service: a call that a service
// refuses is not made again.
func (s *Service) bestEffort(what string, err error) {
	if _, answer := errors.AsType[*awsapi.Error](err); !answer {
		s.sched.Failed("sfn: "+what, err)
	}
}

// background reports the failure of work on an execution that nobody waits for.
// It is none if the execution has ended or its task is not waiting any more.
func (s *Service) background(what string, k key, err error) {
	if err != nil && !errors.Is(err, asl.ErrClosed) {
		s.sched.Failed("sfn: "+what+" of execution "+k.Name+" of "+k.Machine, err)
	}
}

// after sets the timer of an execution and makes calls.
func (s *Service) after(rec *executionRecord, run *asl.Run, calls []asl.Call) {
	k := rec.key()
	l := s.lock(k)
	s.timer(k, l, run)
	s.unlock(k, l)
	s.call(rec, run, calls)
}

// done does what follows a stored move.
func (s *Service) done(rec *executionRecord, rev *revisionRecord, run *asl.Run, events *recorder, calls []asl.Call) {
	s.log(rec, rev, events.kept)
	s.call(rec, run, calls)
	s.stopChildren(run)
	for _, j := range run.Unfinished() {
		s.stopJob(Task{ExecutionARN: rec.ARN, MachineARN: run.Info.MachineARN, Role: run.Info.RoleARN, Call: asl.Call{RoleARN: j.RoleARN}}, j.ARN)
	}
	if run.Status != asl.Running {
		s.ended(rec)
	}
}

// call makes the calls of tasks.
func (s *Service) call(rec *executionRecord, run *asl.Run, calls []asl.Call) {
	k := rec.key()
	for _, c := range calls {
		if c.Child != nil {
			s.sched.Go("sfn.child "+c.State, func() { s.startChild(k, c) })
			continue
		}
		if c.Resource.Kind == asl.Activity && !c.Reader {
			name, _ := s.activityName(c.Resource.ARN)
			s.wake(name)
			if _, mocked := s.Tasks.(*integrations); mocked {
				continue
			}
		}
		t := Task{Call: c, ExecutionARN: rec.ARN, MachineARN: run.Info.MachineARN, Role: run.Info.RoleARN}
		s.sched.Go("sfn.task "+c.State, func() { s.answer(k, t, s.Tasks.Call(context.Background(), t)) })
	}
}

// answer hands a call's answer to its execution.
func (s *Service) answer(k key, t Task, a Answer) {
	if a.Silent && a.Later == nil && a.Result.Output == nil && !a.Result.Failed {
		return
	}
	if t.Reader || t.Writer || t.Resource.Pattern == asl.Request || a.Result.Failed && a.Later == nil {
		s.background("answer to "+t.State, k, s.move(k, func(run *asl.Run) error { return run.Complete(t.Branch, t.Attempt, a.Result) }))
		return
	}
	err := s.moveWith(k, func(run *asl.Run) error { return run.Submit(t.Branch, t.Attempt, a.Result, a.Job) },
		func(tx *store.Tx) error {
			if a.Job == "" {
				return nil
			}
			job, ok := s.executionKey(a.Job)
			if !ok {
				return nil
			}
			s.await(job)
			return waiters.Put(tx, waiterRecord{k, t.Branch, t.Attempt}, job.Machine, job.Name, k.Machine, k.Name, store.Number(uint64(t.Attempt)))
		})
	if errors.Is(err, asl.ErrClosed) && a.Job != "" {
		s.stopJob(t, a.Job)
	}
	if err != nil {
		s.background("submission of "+t.State, k, err)
		return
	}
	if a.Job != "" {
		s.checkJob(k, t.Branch, t.Attempt, a.Job)
	}
	if a.Later != nil {
		s.background("result of "+t.State, k, s.move(k, func(run *asl.Run) error { return run.Complete(t.Branch, t.Attempt, *a.Later) }))
	}
}

// stopJob stops an execution that a .sync task no longer waits for, with the
// task's role and as far as that may.
func (s *Service) stopJob(t Task, job string) {
	in, ok := s.Tasks.(*integrations)
	if !ok {
		return
	}
	s.sched.Go("sfn.job", func() {
		ctx := context.Background()
		id, err := in.identity(ctx, t)
		if err != nil {
			return // the role is gone, or may not be assumed any more: the job goes on
		}
		err = awsapi.CallInto(ctx, s.Caller, id, "sfn", "StopExecution", &struct {
			ExecutionArn string `json:"executionArn"`
		}{job}, nil)
		s.bestEffort("stop of "+job, err)
	})
}

// checkJob ends a .sync task if the execution it waits for has ended.
func (s *Service) checkJob(k key, branch string, attempt int, job string) {
	child, ok := s.executionKey(job)
	if !ok {
		return
	}
	rec, o, _, err := s.load(child)
	if err != nil || rec == nil || o != nil {
		s.background("look for the end", child, err)
		return
	}
	s.mu.Lock()
	delete(s.awaited, child)
	s.mu.Unlock()
	err = s.moveWith(k, func(run *asl.Run) error {
		b, err := run.Waiter(branch, attempt)
		if err != nil {
			return err
		}
		return run.Complete(branch, attempt, jobResult(rec, s.arn("stateMachine", rec.Machine), run.Pattern(b)))
	}, func(tx *store.Tx) error {
		return waiters.Delete(tx, child.Machine, child.Name, k.Machine, k.Name, store.Number(uint64(attempt)))
	})
	s.background("end of job "+job, k, err)
}

// await notes that a .sync task may wait for the end of an execution. It comes
// before the task's record of that: whoever has ended without seeing the note is
// found by checkJob, which comes after.
func (s *Service) await(job key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited[job] = true
}

// ended tells those who wait for an execution.
func (s *Service) ended(rec *executionRecord) {
	k := rec.key()
	if rec.Child != nil {
		s.sched.Go("sfn.child", func() { s.answerParent(rec) })
	}
	s.count(rec.machine(), map[string]string{asl.Succeeded: "ExecutionsSucceeded", asl.Failed: "ExecutionsFailed",
		asl.TimedOut: "ExecutionsTimedOut", asl.Aborted: "ExecutionsAborted"}[rec.Status], 1)
	s.count(rec.machine(), "ExecutionTime", float64(rec.Stopped.Sub(rec.Started).Milliseconds()))
	s.mu.Lock()
	gates, awaited := s.enders[k], s.awaited[k]
	delete(s.enders, k)
	delete(s.awaited, k)
	s.mu.Unlock()
	for _, g := range gates {
		g.rec = rec
		g.gate.Open()
	}
	if !awaited {
		return
	}
	var parents []waiterRecord
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range waiters.Scan(tx, store.Query{Prefix: []string{k.Machine, k.Name}}) {
			if err != nil {
				return err
			}
			parents = append(parents, row.Value)
		}
		return nil
	})
	s.background("look for who waits for the end", k, err)
	for _, w := range parents {
		s.sched.Go("sfn.job", func() { s.checkJob(w.Parent, w.Branch, w.Attempt, rec.ARN) })
	}
}

func (s *Service) count(machine, metric string, value float64) {
	if s.Metrics != nil && metric != "" {
		s.Metrics.Count(metric, s.arn("stateMachine", machine), value)
	}
}

// ender's gate is opened when an execution ends.
func (s *Service) ender(k key) *ender {
	e := &ender{gate: s.sched.NewGate()}
	s.mu.Lock()
	s.enders[k] = append(s.enders[k], e)
	s.mu.Unlock()
	return e
}

// unwait takes a waiter back that is not needed.
func (s *Service) unwait(k key, e *ender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.enders[k]
	for i, other := range list {
		if other == e {
			s.enders[k] = append(list[:i:i], list[i+1:]...)
		}
	}
	if len(s.enders[k]) == 0 {
		delete(s.enders, k)
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
	defer events.release()
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
	s.done(rec, rev, run, events, calls)
	return nil
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(b)
}
