package integration

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// Execution is an execution that has ended, as the result of a task shows it.
type Execution struct {
	ARN, Name, MachineARN, Status string
	Input                         string
	Output, Error, Cause          *string
	Started, Stopped              time.Time
	Redrive                       *Redrive // shown only if set
}

// Redrive is what is told of an execution's redrives.
type Redrive struct {
	Count          int
	Status, Reason string
}

// Document is the execution with its members in AWS's order. data shows input and output, date its times.
func (e *Execution) Document(data func(text string) (any, bool), date func(time.Time) any) *document.Object {
	o := &document.Object{}
	text := func(name string, v *string) {
		if v != nil {
			o.Set(name, *v)
		}
	}
	payload := func(name string, v *string) {
		if v == nil {
			return
		}
		if value, ok := data(*v); ok {
			o.Set(name, value)
		}
		o.Set(name+"Details", document.NewObject(document.Member{Name: "Included", Value: true}))
	}
	text("Cause", e.Cause)
	text("Error", e.Error)
	o.Set("ExecutionArn", e.ARN)
	payload("Input", &e.Input)
	o.Set("Name", e.Name)
	payload("Output", e.Output)
	if e.Redrive != nil {
		o.Set("RedriveCount", document.Int(int64(e.Redrive.Count)))
		o.Set("RedriveStatus", e.Redrive.Status)
		if e.Redrive.Reason != "" {
			o.Set("RedriveStatusReason", e.Redrive.Reason)
		}
	}
	o.Set("StartDate", date(e.Started))
	o.Set("StateMachineArn", e.MachineARN)
	o.Set("Status", e.Status)
	o.Set("StopDate", date(e.Stopped))
	return o
}

// AsText shows input and output as they are stored.
func AsText(text string) (any, bool) { return text, true }

// AsJSON shows input and output parsed.
func AsJSON(text string) (any, bool) {
	v, err := document.ParseString(text)
	return v, err == nil
}

// InMilliseconds shows a time as a number.
func InMilliseconds(t time.Time) any { return document.Int(t.UnixMilli()) }

// InISO8601 shows a time as text.
func InISO8601(t time.Time) any { return Timestamp(t) }
