package sfn

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// redriveStatus says whether an execution can be redriven.
func redriveStatus(rec *executionRecord) (status, reason string) {
	switch rec.Status {
	case asl.Running:
		return "NOT_REDRIVABLE", "Execution is RUNNING and cannot be redriven"
	case asl.Succeeded:
		return "NOT_REDRIVABLE", "Execution is SUCCEEDED and cannot be redriven"
	}
	if rec.Child != nil {
		return "REDRIVABLE_BY_MAP_RUN", ""
	}
	return "REDRIVABLE", ""
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
	status, reason := redriveStatus(rec)
	if status == "REDRIVABLE_BY_MAP_RUN" {
		if change != nil {
			status = "REDRIVABLE"
		} else {
			reason = "Execution is redrivable by its Map Run only"
		}
	}
	if status == "REDRIVABLE" && rec.Stopped.AddDate(0, 0, redriveDays).Before(now) {
		status, reason = "NOT_REDRIVABLE", "Execution redrivable period exceeded"
	}
	var snap asl.Snapshot
	found := false
	if err := s.db.View(func(tx *store.Tx) (err error) {
		snap, found, err = redrivable.Get(tx, k.Machine, k.Name)
		return err
	}); err != nil {
		return at, "", err
	}
	if status == "REDRIVABLE" && (!found || snap.Next >= asl.MaxEvents-1) {
		status, reason = "NOT_REDRIVABLE", "Execution history event limit exceeded"
	}
	if status != "REDRIVABLE" {
		return at, reason, nil
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
