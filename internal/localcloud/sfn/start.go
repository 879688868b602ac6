package sfn

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Start resumes the open executions.
func (s *Service) Start(ctx context.Context) error {
	var keys []key
	var deleting []string
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range machines.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.Deleting {
				deleting = append(deleting, row.Value.Name)
			}
		}
		for row, err := range open.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			keys = append(keys, key{row.Key[0], row.Key[1]})
		}
		for row, err := range waiters.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.await(key{row.Key[0], row.Key[1]})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sfn.Start: %w", err)
	}
	// Tasks that wait for a worker are queued again: the queue may have lost one
	// that a worker was about to take.
	if err := s.db.Update(func(tx *store.Tx) error { return activityTasks.DeleteAll(tx) }); err != nil {
		return fmt.Errorf("sfn.Start: %w", err)
	}
	for _, k := range keys {
		if err := s.resume(k); err != nil {
			return fmt.Errorf("sfn.Start: execution %s of %s: %w", k.Name, k.Machine, err)
		}
	}
	for _, name := range deleting {
		s.drain(name)
	}
	return nil
}

// resume takes an open execution up again after a restart.
func (s *Service) resume(k key) error {
	rec, o, rev, err := s.load(k)
	if err != nil {
		return err
	}
	if o == nil {
		return nil
	}
	run, err := s.run(rec, rev, o.Snapshot)
	if err != nil {
		return err
	}
	calls, waiting := run.Outstanding()
	s.after(rec, run, calls)
	if rec.Child != nil {
		s.sched.Go("sfn.map-run", func() { s.stopMapRun(rec.Child.MapRun) })
	}
	for _, b := range waiting {
		if b.Phase == asl.Scheduled {
			name, _ := activityName(run.Resource(b).ARN)
			err := s.db.Update(func(tx *store.Tx) error { return s.queue(tx, name, activityTask{k, b.ID, b.Attempt}) })
			if err != nil {
				return err
			}
		}
		if b.Job != "" {
			s.sched.Go("sfn.job", func() { s.checkJob(k, b.ID, b.Attempt, b.Job) })
		}
	}
	return nil
}

// Residue lists the open executions and what they wait for.
func (s *Service) Residue(ctx context.Context) []string {
	var out []string
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range open.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			var visit func(b *asl.Branch)
			visit = func(b *asl.Branch) {
				if b == nil {
					return
				}
				if b.Phase != asl.Inside {
					line := fmt.Sprintf("execution %s of %s: state %s: %s", row.Key[1], row.Key[0], b.State,
						phaseName(b))
					out = append(out, line)
				}
				for _, kid := range b.Kids {
					visit(kid)
				}
			}
			visit(row.Value.Snapshot.Root)
		}
		for row, err := range activityTasks.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			out = append(out, "activity "+row.Key[0]+": a task that no worker has taken")
		}
		return nil
	})
	if err != nil {
		out = append(out, "sfn: "+err.Error())
	}
	return out
}

func phaseName(b *asl.Branch) string {
	switch b.Phase {
	case asl.Waiting:
		return "waits until " + b.Wake.Format(time.RFC3339)
	case asl.Retrying:
		return "retries at " + b.Wake.Format(time.RFC3339)
	case asl.Calling, asl.Reading:
		return "its task has not answered"
	case asl.Submitted:
		if b.Job != "" {
			return "waits for " + b.Job
		}
		return "waits for its task token"
	case asl.Scheduled:
		return "waits for a worker"
	case asl.Started:
		return "waits for the worker's result"
	case asl.Apart:
		return "waits for its child execution"
	}
	return "about to run"
}
