package sfn

import (
	"context"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// after sets the timer of an execution and makes calls.
func (s *Service) after(rec *executionRecord, run *asl.Run, calls []asl.Call) {
	k := rec.key()
	l := s.lock(k)
	s.timer(k, l, run)
	s.unlock(k, l)
	s.call(rec, run, calls)
}

// followMove does what follows a stored move.
func (s *Service) followMove(rec *executionRecord, rev *revisionRecord, run *asl.Run, events []asl.Event,
	calls []asl.Call) {
	s.log(rec, rev, events)
	s.call(rec, run, calls)
	s.stopChildren(run)
	for _, j := range run.Unfinished() {
		s.stopJob(Task{ExecutionARN: rec.ARN, MachineARN: run.Info.MachineARN, Role: run.Info.RoleARN,
			Call: asl.Call{RoleARN: j.RoleARN}}, j.ARN)
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
			name, _ := activityName(c.Resource.ARN)
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
		s.background("answer to "+t.State, k, s.move(k, func(run *asl.Run) error {
			return run.Complete(t.Branch, t.Attempt, a.Result)
		}))
		return
	}
	err := s.moveWith(k, func(run *asl.Run) error { return run.Submit(t.Branch, t.Attempt, a.Result, a.Job) },
		func(tx *store.Tx) error {
			if a.Job == "" {
				return nil
			}
			job, ok := executionKey(a.Job)
			if !ok {
				return nil
			}
			s.await(job)
			return waiters.Put(tx, waiterRecord{k, t.Branch, t.Attempt}, job.Machine, job.Name, k.Machine, k.Name,
				store.Number(uint64(t.Attempt)))
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
		s.background("result of "+t.State, k, s.move(k, func(run *asl.Run) error {
			return run.Complete(t.Branch, t.Attempt, *a.Later)
		}))
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
	child, ok := executionKey(job)
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
	ended, err := s.shownExecution(rec)
	if err != nil {
		s.background("end of job "+job, k, err)
		return
	}
	err = s.moveWith(k, func(run *asl.Run) error {
		b, err := run.Waiter(branch, attempt)
		if err != nil {
			return err
		}
		return run.Complete(branch, attempt, jobResult(ended, run.Pattern(b)))
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
	gates, awaited := s.endWaiters[k], s.awaited[k]
	delete(s.endWaiters, k)
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
