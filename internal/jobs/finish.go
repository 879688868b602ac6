package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

var (
	// ErrOver: the job execution is terminal, or gone.
	ErrOver = errors.New("the job execution is over")
	// ErrTerminal is an ErrOver of a job execution that is there, in a terminal
	// state that AWS IoT does not name.
	ErrTerminal = fmt.Errorf("%w: terminal", ErrOver)
	// ErrRefused: AWS IoT does not take the request as it is.
	ErrRefused = errors.New("AWS IoT refuses the request")
)

// Executions are job executions, as a device may touch them.
type Executions interface {
	// Update sets status and details; ErrOver if it is terminal or gone, ErrRefused.
	Update(ctx context.Context, thing event.ThingName, job event.JobID, number int64, status event.JobStatus,
		details map[string]string) error
	// Cancel ends it as an operator may at any time; ErrOver if it is terminal or
	// gone, ErrRefused. It is slow: AWS IoT takes ten a second.
	Cancel(ctx context.Context, thing event.ThingName, job event.JobID, number int64, details map[string]string) error
	// Status is where it stands; ErrTerminal if all that is told is that it is
	// terminal, another ErrOver if it is gone.
	Status(ctx context.Context, thing event.ThingName, job event.JobID, number int64) (event.JobStatus, error)
	// Next is the job execution that is next for a thing; nil if there is none.
	Next(ctx context.Context, thing event.ThingName) (*Next, error)
}

// Next is a job execution as AWS IoT names it to a thing.
type Next struct {
	Job      event.JobID
	Number   int64
	Document json.RawMessage
}

// Open is a job execution that is not over.
type Open struct {
	Thing event.ThingName
	Job   event.JobID
	Since time.Time // of its last change
}

// Registry keeps things.
type Registry interface {
	// SetAttribute merges an attribute into a thing's; ErrNotFound.
	SetAttribute(ctx context.Context, thing event.ThingName, name, value string) error
}

// Outcomes publishes how operations ended.
type Outcomes interface {
	Publish(ctx context.Context, o event.Outcome) error
}

// Finisher ends job executions. All its members are needed.
type Finisher struct {
	Executions Executions
	Registry   Registry
	Outcomes   Outcomes
	Flows      event.Flows
	Now        func() time.Time
}

// Finished is an end that was reported.
type Finished struct {
	Outcome event.Outcome
	Phases  map[string]float64 // seconds, by an operator's name
	Tells   []string           // as the flow's Conclusion
	// Elsewhere is set where nothing was told: somebody else has ended the attempt, and
	// told of it.
	Elsewhere bool
	// What could not be told, which costs no end: details of the job execution, and
	// attributes of the thing.
	Unsaid, Unset error
}

// Finish has the flow judge the end of an execution, and reports the outcome: first to
// the job execution, if its owner is a job, then to the world, then to the thing. known is what was known of
// the device then; owned, that the execution had the device until now: another's end
// is not told where the job execution has one. It may be repeated. What AWS IoT has ended already stays as it is,
// and its status is then the outcome's. Where AWS IoT does not tell how a terminal
// execution ended, it counts as our own report, repeated: that is what it is, but for
// a timer or a cancellation in the very moment of the end.
func (f *Finisher) Finish(ctx context.Context, in event.FinalizeInput, known event.DeviceState, owned bool) (
	Finished, error) {
	x := in.Input
	o := event.Outcome{Owner: x.Owner, ThingName: x.ThingName, ExecutionNumber: x.ExecutionNumber}
	fail := func(err error) (Finished, error) {
		return Finished{}, fmt.Errorf("jobs.Finish: thing %s, %s: %w", x.ThingName, x.Owner, err)
	}
	flow, ok := f.Flows.Find(x.Operation)
	if !ok {
		return fail(fmt.Errorf("no flow is called %q", x.Operation))
	}
	c, err := flow.Judge(in, known)
	if err != nil {
		return fail(err)
	}
	o.Status, o.Reason, o.Detail, o.Filters = c.Status, c.Reason, c.Detail, c.Filters
	o.Details = maps.Clone(c.Details)
	maps.DeleteFunc(o.Details, func(_, v string) bool { return v == "" })
	if started, err := time.Parse(time.RFC3339, in.StartedAt); err == nil {
		o.Seconds = math.Round(f.Now().Sub(started).Seconds()*1000) / 1000
	}
	done := Finished{Phases: c.Phases, Tells: c.Tells}
	if x.Arrival {
		// Nobody waits to hear of it.
		if done.Elsewhere = !owned; owned {
			done.Unset = f.setAttributes(ctx, x.ThingName, c.Attributes)
		}
		o.Event = flow.Outcome(o.Status)
		done.Outcome = o
		return done, nil
	}
	if !owned && x.Job == "" {
		return Finished{Outcome: o, Elsewhere: true}, nil
	}
	if !owned {
		status, err := f.Executions.Status(ctx, x.ThingName, x.Job, x.ExecutionNumber)
		if err != nil && !errors.Is(err, ErrOver) {
			return fail(err)
		}
		if err != nil || status.Terminal() {
			return Finished{Outcome: o, Elsewhere: true}, nil
		}
	}
	if x.Job != "" { // another owner has counted it with the device's release
		if done.Unsaid, err = f.tellJob(ctx, &o); err != nil {
			return fail(err)
		}
	}
	o.Event = flow.Outcome(o.Status)
	if err := f.Outcomes.Publish(ctx, o); err != nil {
		return fail(err)
	}
	done.Outcome = o
	done.Unset = f.setAttributes(ctx, x.ThingName, c.Attributes)
	return done, nil
}

// setAttributes sets those that have a value, the most useful first: a thing without a
// type holds few.
func (f *Finisher) setAttributes(ctx context.Context, thing event.ThingName, attributes map[string]string) error {
	rank := func(name string) int {
		if i := slices.Index(event.ThingAttributes, name); i >= 0 {
			return i
		}
		return len(event.ThingAttributes)
	}
	names := slices.Sorted(maps.Keys(attributes))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var unset []error
	for _, name := range names {
		if attributes[name] == "" {
			continue
		}
		err := f.Registry.SetAttribute(ctx, thing, name, event.AttributeValue(attributes[name]))
		if err != nil && !errors.Is(err, ErrNotFound) {
			unset = append(unset, err)
		}
	}
	return errors.Join(unset...)
}

// tellJob reports an outcome to its job execution, and makes it the one that the job
// execution has, if that was ended before.
func (f *Finisher) tellJob(ctx context.Context, o *event.Outcome) (unsaid, err error) {
	a := Attempt{Thing: o.ThingName, Job: o.Job, Number: o.ExecutionNumber}
	if o.Reason != event.JobCanceled && o.Reason != event.JobTimedOut {
		unsaid, err = Report(ctx, f.Executions, a, o.Status, o.Reason, o.Detail, o.Details)
		if !errors.Is(err, ErrOver) {
			return unsaid, err
		}
	}
	status, err := f.Executions.Status(ctx, a.Thing, a.Job, a.Number)
	switch {
	case errors.Is(err, ErrTerminal):
		status = o.Status
	case errors.Is(err, ErrOver):
		status = event.StatusCanceled // deleted
	case err != nil:
		return nil, err
	case !status.Terminal():
		// A step was told that the job execution is over, and it is not.
		o.Detail = strings.TrimSpace(string(o.Reason) + " " + o.Detail)
		o.Reason, o.Status = event.ControllerFailed, event.ControllerFailed.Status()
		return Report(ctx, f.Executions, a, o.Status, o.Reason, o.Detail, o.Details)
	}
	overrule(o, status)
	return nil, nil
}

// overrule is for an outcome whose job execution was ended before.
func overrule(o *event.Outcome, status event.JobStatus) {
	if status == o.Status {
		return // our own report, repeated
	}
	switch status {
	case event.StatusTimedOut:
		o.Reason = event.JobTimedOut
	case event.StatusCanceled, event.StatusRemoved:
		o.Reason = event.JobCanceled
	default:
		return // our own report, repeated
	}
	o.Status = o.Reason.Status()
}
