package functions

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/jobs/iotjobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// orders are job executions as workflow needs them. What nobody has asked for is nobody's
// to end, and nobody's to hear of.
type orders struct {
	jobs.Executions
	log *slog.Logger
}

// Begin implements workflow.Orders.
func (j orders) Begin(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) error {
	if owner.Arrival {
		return nil
	}
	// What AWS IoT itself ends, nobody can tell a reason any more: this one stays.
	err := j.Update(ctx, thing, owner.Job, number, event.StatusInProgress, map[string]string{"reason": jobs.Begun})
	if errors.Is(err, jobs.ErrOver) {
		return workflow.ErrOver
	}
	return err
}

// Over implements workflow.Orders.
func (j orders) Over(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) (
	*event.Failure, error) {
	if owner.Arrival {
		return nil, nil
	}
	status, err := j.Status(ctx, thing, owner.Job, number)
	switch {
	case errors.Is(err, jobs.ErrTerminal):
		return ended("over"), nil
	case errors.Is(err, jobs.ErrOver):
		return ended("gone"), nil
	case err != nil || !status.Terminal():
		return nil, err
	}
	return ended(string(status)), nil
}

// ended is how an attempt ends that AWS IoT has ended, in AWS IoT's word for it.
func ended(word string) *event.Failure {
	word = strings.ToUpper(word)
	f := event.Failf(event.JobCanceled, "AWS IoT says the job execution is %s", word)
	if word == string(event.StatusTimedOut) {
		f.Name = event.JobTimedOut
	}
	return f
}

// Next implements workflow.Orders.
func (j orders) Next(ctx context.Context, thing event.ThingName) (*workflow.Offer, error) {
	x, err := j.Executions.Next(ctx, thing)
	if err != nil || x == nil {
		return nil, err
	}
	return &workflow.Offer{Owner: event.JobOwner(x.Job), Number: x.Number, Document: x.Document}, nil
}

// backlog is the open job executions as workflow needs them.
type backlog struct {
	*iotjobs.Control
	now func() time.Time
}

// Open implements workflow.Backlog.
func (b backlog) Open(ctx context.Context, cursor string, most int) ([]workflow.Open, string, error) {
	page, next, err := b.Control.Open(ctx, cursor, b.now(), most)
	open := make([]workflow.Open, len(page))
	for i, x := range page {
		open[i] = workflow.Open{Thing: x.Thing, Owner: event.JobOwner(x.Job), Since: x.Since}
	}
	return open, next, err
}

// report ends a job execution. Details that AWS IoT refuses are logged: the status counts.
func (j orders) report(ctx context.Context, thing event.ThingName, owner event.Owner, number int64,
	status event.JobStatus, f event.Failure) error {
	a := jobs.Attempt{Thing: thing, Job: owner.Job, Number: number}
	unsaid, err := jobs.Report(ctx, j.Executions, a, status, f.Name, f.Detail, nil)
	if unsaid != nil {
		j.log.Error("details refused", logThing, thing, logJob, owner.Job, "error", unsaid.Error())
	}
	return err
}

// Cancel implements workflow.Orders.
func (j orders) Cancel(ctx context.Context, thing event.ThingName, owner event.Owner, number int64,
	f event.Failure) error {
	if owner.Arrival {
		return nil
	}
	err := j.report(ctx, thing, owner, number, event.StatusCanceled, f)
	if errors.Is(err, jobs.ErrOver) {
		return workflow.ErrOver
	}
	return err
}

// Reject implements workflow.Orders.
func (j orders) Reject(ctx context.Context, thing event.ThingName, owner event.Owner, number int64,
	f event.Failure) error {
	if owner.Arrival {
		return nil
	}
	err := j.report(ctx, thing, owner, number, event.StatusRejected, f)
	if !errors.Is(err, jobs.ErrOver) {
		return err
	}
	status, err := j.Status(ctx, thing, owner.Job, number)
	switch {
	case status == event.StatusRejected:
		return nil // by us, who did not come to say so
	case err == nil || errors.Is(err, jobs.ErrOver):
		return workflow.ErrOver
	}
	return err
}
