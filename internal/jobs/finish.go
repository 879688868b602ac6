package jobs

import (
	"context"
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
)

// Executions are job executions, as a device may touch them.
type Executions interface {
	// Update sets status and details; ErrOver if it is terminal or gone.
	Update(ctx context.Context, thing event.ThingName, job event.JobID, number int64, status event.JobStatus, details map[string]string) error
	// Status is where it stands; ErrTerminal if all that is told is that it is
	// terminal, another ErrOver if it is gone.
	Status(ctx context.Context, thing event.ThingName, job event.JobID, number int64) (event.JobStatus, error)
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

// Finish has the flow judge the end of an execution, and reports the outcome to the
// job execution, the thing and the world. known is what was known of the device
// then. It may be repeated. What AWS IoT has ended already stays as it is, and its
// status is then the outcome's. Where AWS IoT does not tell how a terminal execution
// ended, it counts as our own report, repeated: that is what it is, but for a timer
// or a cancellation in the very moment of the end.
func (f *Finisher) Finish(ctx context.Context, in event.FinalizeInput, known event.DeviceState) (event.Outcome, event.Conclusion, error) {
	x := in.Input
	o := event.Outcome{Owner: x.Owner, ThingName: x.ThingName, ExecutionNumber: x.ExecutionNumber}
	var c event.Conclusion
	fail := func(err error) (event.Outcome, event.Conclusion, error) {
		return o, c, fmt.Errorf("jobs.Finish: thing %s, %s: %w", x.ThingName, x.Owner, err)
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
	if o.Status != event.StatusTimedOut && o.Status != event.StatusCanceled {
		err := f.Executions.Update(ctx, x.ThingName, x.Job, x.ExecutionNumber, o.Status, details(o))
		if err != nil && !errors.Is(err, ErrOver) {
			return fail(err)
		}
		if errors.Is(err, ErrOver) {
			status, err := f.Executions.Status(ctx, x.ThingName, x.Job, x.ExecutionNumber)
			switch {
			case errors.Is(err, ErrTerminal):
				status = o.Status
			case errors.Is(err, ErrOver):
				status = event.StatusCanceled // deleted
			case err != nil:
				return fail(err)
			}
			overrule(&o, status)
		}
	}
	o.Event = flow.Succeeded
	if o.Status != event.StatusSucceeded {
		o.Event = flow.Failed
	}
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		if c.Attributes[name] == "" {
			continue
		}
		err := f.Registry.SetAttribute(ctx, x.ThingName, name, attribute(c.Attributes[name]))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fail(err)
		}
	}
	if err := f.Outcomes.Publish(ctx, o); err != nil {
		return fail(err)
	}
	return o, c, nil
}

// overrule is for an outcome whose job execution AWS IoT had ended before.
func overrule(o *event.Outcome, status event.JobStatus) {
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

// mostDetails is how many pairs AWS IoT takes in statusDetails.
const mostDetails = 10

// details are at most ten pairs, with values of up to 1,024 characters: reason and
// detail, then the flow's in the order of their names.
func details(o event.Outcome) map[string]string {
	d := map[string]string{}
	for k, v := range map[string]string{"reason": string(o.Reason), "detail": o.Detail} {
		if v != "" {
			d[k] = printable(v, 1024)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(o.Details)) {
		if len(d) < mostDetails {
			d[k] = printable(o.Details[k], 1024)
		}
	}
	return d
}

// printable keeps what AWS IoT takes in statusDetails: no control characters.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > most {
		s = string(r[:most])
	}
	return s
}

// attribute keeps what a thing's attribute may hold: [a-zA-Z0-9_.,@/:#=\[\]-]*.
func attribute(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_.,@/:#=[]-", r):
			return r
		}
		return '_'
	}, s)
	if len(s) > 800 {
		s = s[:800]
	}
	return s
}
