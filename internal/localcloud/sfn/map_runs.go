package sfn

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// saveMapRuns stores what a move has done to Map Runs.
func (s *Service) saveMapRuns(tx *store.Tx, rec *executionRecord, run *asl.Run) error {
	now := run.MapRuns
	run.Branches(func(b *asl.Branch) {
		if m, ok := asl.MapRunOf(b); ok {
			if run.Status != asl.Running {
				m.Status = asl.Aborted // the execution ended elsewhere
			}
			now = append(now, m)
		}
	})
	for _, m := range now {
		k := []string{rec.Machine, rec.Name, store.Number(uint64(m.Entered)), m.ARN}
		old, ok, err := mapRuns.Get(tx, k...)
		if err != nil {
			return err
		}
		if !ok {
			old.Started, old.Execution = s.sched.Now(), rec.key()
			if err := mapRunKeys.Put(tx, k, m.ARN); err != nil {
				return err
			}
		}
		if m.Redrives > old.Redrives {
			old.Redriven, old.Stopped = s.sched.Now(), time.Time{}
		}
		old.MapRun = m
		if m.Status != asl.Running && old.Stopped.IsZero() {
			old.Stopped = s.sched.Now()
		}
		if err := mapRuns.Put(tx, old, k...); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) mapRun(arn string) (*mapRunRecord, error) {
	if err := names.CheckMapRun(arn); err != nil {
		return nil, named(err)
	}
	var out *mapRunRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		out, err = mapRunIn(tx, arn)
		return err
	})
	if err == nil && out == nil {
		err = noResource(arn)
	}
	return out, err
}

// mapRunIn reads a Map Run, nil if there is none.
func mapRunIn(tx *store.Tx, arn string) (*mapRunRecord, error) {
	k, ok, err := mapRunKeys.Get(tx, arn)
	if err != nil || !ok {
		return nil, err
	}
	m, ok, err := mapRuns.Get(tx, k...)
	if err != nil || !ok {
		return nil, err
	}
	return &m, nil
}

// childrenOf lists the children of a Map Run in the order of their start.
func (s *Service) childrenOf(machine, arn string) ([]executionRecord, error) {
	var out []executionRecord
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range byStart.Scan(tx, store.Query{Prefix: []string{arn}, Reverse: true}) {
			if err != nil {
				return err
			}
			rec, ok, err := executions.Get(tx, machine, row.Key[2])
			if err != nil {
				return err
			}
			if ok {
				out = append(out, rec)
			}
		}
		return nil
	})
	return out, err
}
