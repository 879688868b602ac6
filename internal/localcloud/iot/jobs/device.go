package jobs

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/configuration"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/statusdetails"
	dataplane "github.com/fleetstep/fleetstep/internal/localcloud/iotjobsdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var _ dataplane.Executions = (*Service)(nil)

func (s *Service) hasThing(tx *store.Tx, thing string) error {
	ok, err := s.config.Registry.HasThing(tx, thing)
	if err != nil {
		return err
	}
	if !ok {
		return dataplane.Rejectf(dataplane.ResourceNotFound, "Thing %s does not exist.", thing)
	}
	return nil
}

// Pending implements iotjobsdataplane.Executions.
func (s *Service) Pending(_ context.Context, thing string) (inProgress, queued []dataplane.Summary, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		if err := s.hasThing(tx, thing); err != nil {
			return err
		}
		list, err := pendingList(tx, thing, maxPending)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].Status == InProgress {
				inProgress = append(inProgress, list[i].summary())
			} else {
				queued = append(queued, list[i].summary())
			}
		}
		return nil
	})
	return inProgress, queued, err
}

// Describe implements iotjobsdataplane.Executions.
func (s *Service) Describe(ctx context.Context, thing, jobID string, number int64, document bool) (
	*dataplane.Execution, error) {
	var e *execution
	err := s.db.View(func(tx *store.Tx) error {
		if err := s.hasThing(tx, thing); err != nil {
			return err
		}
		if jobID == "$next" {
			list, err := pendingList(tx, thing, 1)
			if err != nil || len(list) == 0 {
				return err
			}
			e = &list[0]
			return nil
		}
		var err error
		if e, err = numbered(tx, jobID, thing, number); err != nil {
			return err
		}
		if e == nil {
			return noExecution(jobID, thing)
		}
		if terminal(e.Status) {
			return dataplane.Rejectf(dataplane.TerminalStateReached,
				"The execution of job %s on thing %s is in the terminal state %s.", jobID, thing, e.Status)
		}
		return nil
	})
	if err != nil || e == nil {
		return nil, err
	}
	return s.shown(ctx, e, document)
}

func noExecution(jobID, thing string) error {
	return dataplane.Rejectf(dataplane.ResourceNotFound, "There is no execution of job %s on thing %s.", jobID, thing)
}

func (s *Service) shown(ctx context.Context, e *execution, document bool) (*dataplane.Execution, error) {
	v := e.view(millis(s.sched.Now()))
	if document {
		var err error
		if v.JobDocument, err = s.documentFor(ctx, e.Job, e.Thing, e.Number); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// StartNext implements iotjobsdataplane.Executions.
func (s *Service) StartNext(ctx context.Context, thing string, details map[string]string, step *int64) (
	*dataplane.Execution, error) {
	if err := checkRequest(details, step); err != nil {
		return nil, err
	}
	var e *execution
	err := s.change(func(c *change) error {
		if err := s.hasThing(c.tx, thing); err != nil {
			return err
		}
		list, err := pendingList(c.tx, thing, 1)
		if err != nil || len(list) == 0 {
			return err
		}
		e = &list[0]
		if e.Status == InProgress {
			return nil
		}
		j, err := c.job(e.Job)
		if err != nil {
			return err
		}
		old := *e
		c.start(j, e)
		e.Version++
		e.Updated = c.ms
		if details != nil {
			e.Details = details
		}
		setStep(e, step, c.ms)
		if err := c.put(&old, e); err != nil {
			return err
		}
		j.count(Queued, -1)
		j.count(InProgress, 1)
		return nil
	})
	if err != nil || e == nil {
		return nil, err
	}
	return s.shown(ctx, e, true)
}

// Update implements iotjobsdataplane.Executions.
func (s *Service) Update(ctx context.Context, thing, jobID string, u dataplane.Update) (dataplane.State,
	string, error) {
	switch u.Status {
	case InProgress, Succeeded, Failed, Rejected:
	case Queued: // a move that there is not, which the execution's state refuses
	case "":
		return dataplane.State{}, "", dataplane.Rejectf(dataplane.InvalidRequest, "status is required.")
	default:
		return dataplane.State{}, "", dataplane.Rejectf(dataplane.InvalidRequest,
			"A device cannot set the status %s; allowed are IN_PROGRESS, FAILED, SUCCEEDED, REJECTED.", u.Status)
	}
	if err := checkRequest(u.StatusDetails, u.StepTimeoutInMinutes); err != nil {
		return dataplane.State{}, "", err
	}
	var e *execution
	err := s.change(func(c *change) error {
		if err := s.hasThing(c.tx, thing); err != nil {
			return err
		}
		var err error
		if e, err = numbered(c.tx, jobID, thing, u.ExecutionNumber); err != nil {
			return err
		}
		if e == nil {
			return noExecution(jobID, thing)
		}
		return c.update(e, u)
	})
	if err != nil {
		return dataplane.State{}, "", err
	}
	document := ""
	if u.IncludeDocument {
		if document, err = s.documentFor(ctx, e.Job, e.Thing, e.Number); err != nil {
			return dataplane.State{}, "", err
		}
	}
	return e.state(), document, nil
}

func (c *change) update(e *execution, u dataplane.Update) error {
	refuse := func(code, format string, args ...any) error {
		r := dataplane.Rejectf(code, format, args...)
		state := e.state()
		r.State = &state
		return r
	}
	if u.ExpectedVersion != nil && *u.ExpectedVersion != e.Version {
		return refuse(dataplane.VersionMismatch,
			"Expected version %d but found version %d",
			*u.ExpectedVersion, e.Version)
	}
	if terminal(e.Status) || u.Status == Queued {
		return refuse(dataplane.InvalidStateTransition, "The job execution cannot go from %s to %s.",
			e.Status, u.Status)
	}
	if u.Status != InProgress {
		return c.finish(e, u.Status, u.StatusDetails, false)
	}
	j, err := c.job(e.Job)
	if err != nil {
		return err
	}
	old := *e
	if e.Status == Queued {
		c.start(j, e)
		j.count(Queued, -1)
		j.count(InProgress, 1)
	}
	e.Version++
	e.Updated = c.ms
	if u.StatusDetails != nil {
		e.Details = u.StatusDetails
	}
	setStep(e, u.StepTimeoutInMinutes, c.ms)
	return c.put(&old, e)
}

// setStep sets the step timer of an execution in progress; -1 clears it.
func setStep(e *execution, step *int64, now int64) {
	switch {
	case step == nil:
	case *step == -1:
		e.StepAt = 0
	default:
		e.StepAt = now + *step*minute
	}
}

func checkRequest(details map[string]string, step *int64) error {
	if step != nil && *step != -1 && (*step < 1 || *step > configuration.MaxTimeout) {
		return dataplane.Rejectf(dataplane.InvalidRequest, "stepTimeoutInMinutes is %d; allowed are 1 to %d, or -1.",
			*step, configuration.MaxTimeout)
	}
	return checkDetails(details)
}

func checkDetails(details map[string]string) error {
	if err := statusdetails.Check(details); err != nil {
		return dataplane.Rejectf(dataplane.InvalidRequest, "%v.", err)
	}
	return nil
}
