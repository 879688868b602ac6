package jobs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

var (
	// ErrOver: the job execution is terminal, or gone.
	ErrOver = errors.New("the job execution is over")
	// ErrTerminal is an ErrOver of which is known that the job execution is there,
	// in a terminal state that AWS IoT does not name.
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

// Outcomes publishes how upgrades ended.
type Outcomes interface {
	Publish(ctx context.Context, o event.Outcome) error
}

// Finisher ends job executions.
type Finisher struct {
	Executions Executions
	Registry   Registry
	Outcomes   Outcomes
	Now        func() time.Time
}

// Known is what is known of the device when its upgrade ends.
type Known struct {
	Connected       bool
	SoftwareVersion string
}

// Judge names how an upgrade ended. A step that ran out of time ended for want of
// the device, or of its word.
func (f *Finisher) Judge(in event.FinalizeInput, known Known) event.Outcome {
	up := in.Upgrade
	o := event.Outcome{
		Event: event.OutcomeSuccess, JobID: up.JobID, ThingName: up.ThingName, ExecutionNumber: up.ExecutionNumber,
		FirmwareVersion: up.Document.Firmware.Version, SoftwareVersion: known.SoftwareVersion,
	}
	if in.Verify != nil {
		o.SoftwareVersion = in.Verify.SoftwareVersion
	}
	if started, err := time.Parse(time.RFC3339, in.StartedAt); err == nil {
		o.Seconds = math.Round(f.Now().Sub(started).Seconds()*1000) / 1000
	}
	if in.Failure != nil {
		o.Reason, o.Detail = reason(*in.Failure, known)
	}
	o.Status = o.Reason.Status()
	if o.Status != event.StatusSucceeded {
		o.Event = event.OutcomeFail
	}
	return o
}

func reason(c event.Caught, known Known) (event.ErrorName, string) {
	detail := strings.TrimSpace(c.Cause)
	if len(detail) > 1000 {
		detail = detail[:1000]
	}
	for _, name := range event.ErrorNames() {
		if c.Error == string(name) {
			return name, detail
		}
	}
	where := "in state " + c.State
	switch {
	case strings.HasPrefix(c.Error, "States.") && strings.Contains(c.Error, "Timeout"):
		if !known.Connected {
			return event.DeviceOffline, "away, and not back in time " + where
		}
		return event.DeviceNoReport, "connected, and no answer in time " + where
	}
	// Ours, not the device's: a function or its permissions. The detail says which.
	return event.DeviceNoReport, strings.TrimSpace(c.Error + " " + where + " " + detail)
}

// Finish reports an outcome to the job execution, the thing and the world. It may
// be repeated. What AWS IoT has ended already stays as it is, and its status is
// then the outcome's. Where AWS IoT does not tell how a terminal execution ended,
// it counts as our own report, repeated: that is what it is, but for a timer or a
// cancellation in the very moment of the end.
func (f *Finisher) Finish(ctx context.Context, o event.Outcome) (event.Outcome, error) {
	fail := func(err error) (event.Outcome, error) {
		return o, fmt.Errorf("jobs.Finish: thing %s, job %s: %w", o.ThingName, o.JobID, err)
	}
	if o.Status != event.StatusTimedOut && o.Status != event.StatusCanceled {
		err := f.Executions.Update(ctx, o.ThingName, o.JobID, o.ExecutionNumber, o.Status, details(o))
		if err != nil && !errors.Is(err, ErrOver) {
			return fail(err)
		}
		if errors.Is(err, ErrOver) {
			status, err := f.Executions.Status(ctx, o.ThingName, o.JobID, o.ExecutionNumber)
			switch {
			case errors.Is(err, ErrTerminal):
				status = o.Status
			case errors.Is(err, ErrOver):
				status = event.StatusCanceled // deleted
			case err != nil:
				return fail(err)
			}
			o = overruled(o, status)
		}
	}
	if o.SoftwareVersion != "" {
		err := f.Registry.SetAttribute(ctx, o.ThingName, event.ThingVersionAttribute, attribute(o.SoftwareVersion))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fail(err)
		}
	}
	if err := f.Outcomes.Publish(ctx, o); err != nil {
		return fail(err)
	}
	return o, nil
}

// overruled is an outcome whose job execution AWS IoT had ended before.
func overruled(o event.Outcome, status event.JobStatus) event.Outcome {
	switch status {
	case event.StatusTimedOut:
		o.Reason = event.JobTimedOut
	case event.StatusCanceled, event.StatusRemoved:
		o.Reason = event.JobCanceled
	default:
		return o // our own report, repeated
	}
	o.Status, o.Event = o.Reason.Status(), event.OutcomeFail
	return o
}

// details are at most ten pairs, with values of up to 1,024 characters.
func details(o event.Outcome) map[string]string {
	d := map[string]string{"firmwareVersion": o.FirmwareVersion}
	for k, v := range map[string]string{"reason": string(o.Reason), "detail": o.Detail, "softwareVersion": o.SoftwareVersion} {
		if v != "" {
			d[k] = printable(v, 1024)
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

// Phases are the durations of the phases that an upgrade went through, as far as
// it got, in seconds.
func Phases(in event.FinalizeInput) map[string]float64 {
	d := map[string]float64{}
	put := func(phase string, from, to time.Time) {
		if !from.IsZero() && !to.IsZero() && to.After(from) {
			d[phase] = to.Sub(from).Seconds()
		}
	}
	started, err := time.Parse(time.RFC3339, in.StartedAt)
	if err != nil {
		started = time.Time{}
	}
	if in.Inspect != nil {
		put(event.PhaseInspect, started, in.Inspect.At)
	}
	var arrived time.Time
	switch {
	case in.Activate != nil:
		arrived = in.Activate.At
	case in.Report != nil && in.Report.TransferredAt != nil:
		arrived = *in.Report.TransferredAt
	}
	if in.Download != nil {
		put(event.PhaseDownload, in.Download.At, arrived)
	}
	if in.Report != nil {
		put(event.PhaseActivate, arrived, in.Report.At)
		if in.Verify != nil {
			put(event.PhaseVerify, in.Report.At, in.Verify.At)
		}
	}
	return d
}
