package sfn

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Whether an execution can be redriven.
const (
	redrivableNow      = "REDRIVABLE"
	redrivableByMapRun = "REDRIVABLE_BY_MAP_RUN"
	notRedrivable      = "NOT_REDRIVABLE"
)

// redriveStatus says whether an execution can be redriven, and why not.
//
// Source: Step Functions API reference, DescribeExecution (redriveStatusReason), RedriveExecution.
func (s *Service) redriveStatus(rec *executionRecord) (status, reason string, err error) {
	switch rec.Status {
	case asl.Running:
		return notRedrivable, "Execution is RUNNING and cannot be redriven", nil
	case asl.Succeeded:
		return notRedrivable, "Execution is SUCCEEDED and cannot be redriven", nil
	}
	m, err := s.newest(rec.Machine)
	if err != nil {
		return "", "", err
	}
	now := s.sched.Now()
	switch {
	case m != nil && m.machine.Deleting:
		return notRedrivable, "State machine is in DELETING status", nil
	case !rec.Started.AddDate(1, 0, 0).After(now):
		return notRedrivable, "Execution has exceeded the max execution time", nil
	case rec.Stopped.AddDate(0, 0, redriveDays).Before(now):
		return notRedrivable, "Execution redrivable period exceeded", nil
	}
	if rec.Type != express {
		snap, found, err := s.redrivable(rec.key())
		if err != nil {
			return "", "", err
		}
		if !found || snap.Next >= asl.MaxEvents {
			return notRedrivable, "Execution history event limit exceeded", nil
		}
	}
	if rec.Child != nil {
		return redrivableByMapRun, "", nil
	}
	return redrivableNow, "", nil
}

// shownExecution is an execution that has ended as results show it.
func (s *Service) shownExecution(rec *executionRecord) (integration.Execution, error) {
	status, reason, err := s.redriveStatus(rec)
	return integration.Execution{
		ARN: rec.ARN, Name: rec.name(), MachineARN: s.arn(names.StateMachine, rec.machine()), Status: rec.Status,
		Input: rec.Input, Output: rec.Output, Error: rec.Error, Cause: rec.Cause,
		Started: rec.Started, Stopped: rec.Stopped,
		Redrive: &integration.Redrive{Count: rec.RedriveCount, Status: status, Reason: reason},
	}, err
}

// redrivable is an execution as it was before the error that ended it.
func (s *Service) redrivable(k key) (snap asl.Snapshot, found bool, err error) {
	err = s.db.View(func(tx *store.Tx) (err error) {
		snap, found, err = redrivable.Get(tx, k.Machine, k.Name)
		return err
	})
	return snap, found, err
}

// redriveDays is how long after its end an execution can be redriven.
const redriveDays = 14

// redriveTokenLife is how long a redrive can be asked for again with its token.
const redriveTokenLife = 15 * time.Minute

// redrive takes an execution up again; reason says why it cannot be. A child is
// taken up by its Map Run, which notes that with change. A request with the token
// of one of the last ten redrives, at most a quarter of an hour old, is the same
// request. ErrClosed means that there is no such execution.
func (s *Service) redrive(k key, token string,
	change func(rec *executionRecord)) (at time.Time, reason string, err error) {
	l := s.lock(k)
	defer s.unlock(k, l)
	rec, _, rev, err := s.load(k)
	if err != nil {
		return at, "", err
	}
	if rec == nil {
		return at, "", asl.ErrClosed
	}
	now := s.sched.Now()
	for _, r := range rec.Redrives {
		if token != "" && r.Token == token && now.Sub(r.At) < redriveTokenLife {
			return r.At, "", nil
		}
	}
	status, reason, err := s.redriveStatus(rec)
	if err != nil {
		return at, "", err
	}
	if status == redrivableByMapRun && change == nil {
		reason = "Execution is redrivable by its Map Run only"
	}
	if reason != "" {
		return at, reason, nil
	}
	snap, _, err := s.redrivable(k)
	if err != nil {
		return at, "", err
	}
	old := rec.Status
	rec.RedriveCount++
	rec.Redriven, rec.Status = now, asl.Running
	rec.Stopped, rec.Output, rec.Error, rec.Cause = time.Time{}, nil, nil, nil
	if token != "" {
		rec.Redrives = append(rec.Redrives, redriveToken{token, now})
		rec.Redrives = rec.Redrives[max(0, len(rec.Redrives)-10):]
	}
	if change != nil {
		change(rec)
	}
	m, err := s.program(rec, rev)
	if err != nil {
		return at, "", err
	}
	sink := &asl.Run{}
	events := s.record(rec, rev, sink)
	defer events.Release()
	run := asl.Redrive(m, host{s, k}, s.info(rec, rev), snap, sink.Record)
	calls := run.Calls
	err = s.db.Update(func(tx *store.Tx) error {
		if err := redrivable.Delete(tx, k.Machine, k.Name); err != nil {
			return err
		}
		if err := s.index(tx, rec, old); err != nil {
			return err
		}
		return s.save(tx, rec, run, events)
	})
	if err != nil {
		return at, "", err
	}
	s.timer(k, l, run)
	s.follow(rec, rev, run, events.Events, calls)
	return now, "", nil
}
