package jobs

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/statusdetails"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

func (e *execution) summaryView() executionSummary {
	return executionSummary{
		Status: e.Status, QueuedAt: shown(e.Queued), StartedAt: shown(e.Started),
		LastUpdatedAt: shown(e.Updated), ExecutionNumber: e.Number, RetryAttempt: e.Attempt,
	}
}

func (s *Service) executionsForJob(_ context.Context, _ *awsapi.Call,
	in *executionsForJobIn) (*executionsForJobOut, error) {
	p, err := newPage(in.MaxResults, in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	entry := func(e *execution, ok bool, err error) (executionForJob, bool, error) {
		return executionForJob{s.thingARN(e.Thing), e.summaryView()}, ok, err
	}
	out := &executionsForJobOut{}
	err = s.db.View(func(tx *store.Tx) error {
		if _, ok, err := jobTable.Get(tx, in.JobID); err != nil {
			return err
		} else if !ok {
			return noJob(in.JobID)
		}
		var err error
		if in.Status == "" {
			out.ExecutionSummaries, out.NextToken, err = list(tx, executionTable,
				store.Query{Prefix: []string{in.JobID}}, p,
				func(row store.Row[execution]) (executionForJob, bool, error) { return entry(&row.Value, true, nil) })
			return err
		}
		out.ExecutionSummaries, out.NextToken, err = list(tx, executionByStatus,
			store.Query{Prefix: []string{in.JobID, in.Status}}, p,
			func(row store.Row[mark]) (executionForJob, bool, error) {
				e, ok, err := executionTable.Get(tx, in.JobID, row.Key[2], row.Key[3])
				return entry(&e, ok, err)
			})
		return err
	})
	return out, err
}

func (s *Service) executionsForThing(_ context.Context, _ *awsapi.Call,
	in *executionsForThingIn) (*executionsForThingOut, error) {
	if in.NamespaceID != "" {
		return nil, awsapi.NotBuilt("ListJobExecutionsForThing with namespaceId")
	}
	q, parts := store.Query{Prefix: []string{in.ThingName}}, 2
	if in.JobID != "" {
		q.Prefix, parts = append(q.Prefix, in.JobID), 1
	}
	p, err := newPage(in.MaxResults, in.NextToken, parts)
	if err != nil {
		return nil, err
	}
	out := &executionsForThingOut{}
	err = s.db.View(func(tx *store.Tx) error {
		if ok, err := s.config.Registry.HasThing(tx, in.ThingName); err != nil {
			return err
		} else if !ok {
			return notFound("Thing %s cannot be found.", in.ThingName)
		}
		var err error
		out.ExecutionSummaries, out.NextToken, err = list(tx, executionByThing, q, p,
			func(row store.Row[mark]) (executionForThing, bool, error) {
				e, ok, err := executionTable.Get(tx, row.Key[1], row.Key[0], row.Key[2])
				return executionForThing{e.Job, e.summaryView()}, ok && (in.Status == "" || e.Status == in.Status), err
			})
		return err
	})
	return out, err
}

func executionNotFound(id, thing string) error {
	return notFound("The execution of job %s on thing %s cannot be found.", id, thing)
}

func (s *Service) describeExecution(_ context.Context, _ *awsapi.Call,
	in *describeExecutionIn) (*describeExecutionOut, error) {
	var e *execution
	err := s.db.View(func(tx *store.Tx) (err error) {
		if e, err = numbered(tx, in.JobID, in.ThingName, in.ExecutionNumber); err == nil && e == nil {
			return executionNotFound(in.JobID, in.ThingName)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &describeExecutionOut{executionView{
		JobID: e.Job, Status: e.Status, ForceCanceled: e.Forced, StatusDetails: detailsView{e.state().StatusDetails},
		ThingARN: s.thingARN(e.Thing),
		QueuedAt: shown(e.Queued), StartedAt: shown(e.Started),
		LastUpdatedAt:   shown(e.Updated),
		ExecutionNumber: e.Number, VersionNumber: e.Version,
		ApproximateSecondsBeforeTimedOut: e.view(millis(s.sched.Now())).ApproximateSecondsBeforeTimedOut,
	}}, nil
}

func (s *Service) cancelExecution(_ context.Context, _ *awsapi.Call, in *cancelExecutionIn) (*empty, error) {
	if err := statusdetails.Check(in.StatusDetails); err != nil {
		return nil, invalid("%v.", err)
	}
	return &empty{}, s.change(func(c *change) error {
		e, err := latest(c.tx, in.JobID, in.ThingName)
		if err != nil {
			return err
		}
		switch {
		case e == nil:
			return executionNotFound(in.JobID, in.ThingName)
		case in.ExpectedVersion != nil && *in.ExpectedVersion != e.Version:
			return versionConflict("The expected version %d does not match the version %d of the job execution.",
				*in.ExpectedVersion, e.Version)
		case terminal(e.Status), e.Status == InProgress && !in.Force:
			return badTransition("The job execution is %s and cannot be canceled.", e.Status)
		}
		return c.finish(e, Canceled, in.StatusDetails, in.Force)
	})
}

func (s *Service) deleteExecution(_ context.Context, _ *awsapi.Call, in *deleteExecutionIn) (*empty, error) {
	if in.NamespaceID != "" {
		return nil, awsapi.NotBuilt("DeleteJobExecution with namespaceId")
	}
	return &empty{}, s.change(func(c *change) error {
		e, err := numbered(c.tx, in.JobID, in.ThingName, max(in.ExecutionNumber, 1))
		if err != nil {
			return err
		}
		if e == nil {
			return executionNotFound(in.JobID, in.ThingName)
		}
		if !terminal(e.Status) && !in.Force {
			return badTransition("The job execution is %s; it can be deleted only when it is terminal, or with force.",
				e.Status)
		}
		j, err := c.job(e.Job)
		if err != nil {
			return err
		}
		isLatest, err := c.isLatest(e)
		if err != nil {
			return err
		}
		if j != nil && isLatest {
			j.count(e.Status, -1)
		}
		if err := c.executionEvent(e, "deleted"); err != nil {
			return err
		}
		return c.drop(e)
	})
}
