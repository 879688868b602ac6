package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// ends is everything that an operation's end is reported to.
type ends struct {
	update, status, set, publish error

	now        event.JobStatus // of the job execution
	details    map[string]string
	attributes []string
	published  []event.Outcome
}

func (e *ends) Update(_ context.Context, _ event.ThingName, _ event.JobID, _ int64, s event.JobStatus, details map[string]string) error {
	if e.update == nil {
		e.now, e.details = s, details
	}
	return e.update
}

func (e *ends) Status(context.Context, event.ThingName, event.JobID, int64) (event.JobStatus, error) {
	return e.now, e.status
}

func (e *ends) SetAttribute(_ context.Context, _ event.ThingName, name, value string) error {
	e.attributes = append(e.attributes, name+"="+value)
	return e.set
}

func (e *ends) Publish(_ context.Context, o event.Outcome) error {
	e.published = append(e.published, o)
	return e.publish
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// finisher is one whose only flow, "reboot", judges as c says.
func (e *ends) finisher(c event.Conclusion, err error) *jobs.Finisher {
	flows, bad := event.NewFlows(event.Flow{
		Operation: "reboot", Played: "Reboot.Duplicate", Unfit: "Reboot.Unfit", Succeeded: "REBOOT_SUCCESS", Failed: "REBOOT_FAIL",
		Plan:     func(json.RawMessage) (event.Plan, error) { return event.Plan{}, nil },
		Begin:    func(context.Context, event.Turn, event.StepInput) (event.Move, error) { return event.Move{}, nil },
		Continue: func(event.Turn, event.DeviceEvent) (event.Move, error) { return event.Move{}, nil },
		Judge:    func(event.FinalizeInput, event.DeviceState) (event.Conclusion, error) { return c, err },
	})
	if bad != nil {
		panic(bad)
	}
	return &jobs.Finisher{Executions: e, Registry: e, Outcomes: e, Flows: flows, Now: func() time.Time { return noon }}
}

// over is the end of an execution.
func over() event.FinalizeInput {
	return event.FinalizeInput{
		Input:     event.NewExecutionInput(event.JobOwner("fw-2"), "rg-1", 1, "reboot", event.Plan{}),
		StartedAt: noon.Add(-90*time.Second - 250*time.Millisecond).Format(time.RFC3339Nano),
	}
}

func TestFinishReportsToAll(t *testing.T) {
	e := &ends{}
	o, c, err := e.finisher(event.Conclusion{
		Status: event.StatusFailed, Reason: "Reboot.Failed", Detail: "7022\nno\x00 route" + strings.Repeat("ä", 1100),
		Details: map[string]string{"uptime": "7", "none": ""}, Filters: []string{"uptime"},
		Attributes: map[string]string{"z": "1.0 (β)", "a": "x", "none": ""}, Phases: map[string]float64{"Down": 2},
	}, nil).Finish(t.Context(), over(), event.DeviceState{})
	if err != nil || len(e.published) != 1 || !reflect.DeepEqual(e.published[0], o) || c.Phases["Down"] != 2 {
		t.Fatalf("got %+v, %v, published %+v", o, err, e.published)
	}
	if o.Event != "REBOOT_FAIL" || o.Job != "fw-2" || o.Seconds != 90.25 || o.Details["uptime"] != "7" || len(o.Details) != 1 {
		t.Errorf("outcome %+v", o)
	}
	if e.now != event.StatusFailed || e.details["reason"] != "Reboot.Failed" || e.details["uptime"] != "7" || len(e.details) != 3 {
		t.Errorf("job execution %s %v", e.now, e.details)
	}
	if d := e.details["detail"]; !strings.HasPrefix(d, "7022 no  route") || len([]rune(d)) != 1024 {
		t.Errorf("detail %q of %d characters", d, len([]rune(d)))
	}
	if want := []string{"a=x", "z=1.0____"}; !slices.Equal(e.attributes, want) {
		t.Errorf("attributes %v", e.attributes)
	}
}

// A plain success of an operation that has nothing to tell.
func TestFinishNeedsNoDetails(t *testing.T) {
	e := &ends{}
	o, _, err := e.finisher(event.Conclusion{Status: event.StatusSucceeded}, nil).Finish(t.Context(), over(), event.DeviceState{})
	if err != nil || o.Event != "REBOOT_SUCCESS" || len(e.details) != 0 || len(e.attributes) != 0 {
		t.Errorf("got %+v, %v, details %v, attributes %v", o, err, e.details, e.attributes)
	}
}

// AWS IoT takes ten pairs.
func TestAJobExecutionHoldsTenDetails(t *testing.T) {
	c := event.Conclusion{Status: event.StatusFailed, Reason: "Reboot.Failed", Detail: "x", Details: map[string]string{}}
	for i := range 12 {
		c.Details[string(rune('a'+i))] = "v"
	}
	e := &ends{}
	o, _, err := e.finisher(c, nil).Finish(t.Context(), over(), event.DeviceState{})
	if err != nil || len(e.details) != 10 || e.details["reason"] == "" || e.details["detail"] == "" || len(o.Details) != 12 {
		t.Errorf("%d details, %v", len(e.details), err)
	}
}

func TestWhatAWSHasEndedStays(t *testing.T) {
	for name, c := range map[string]struct {
		now    event.JobStatus
		status error
		want   event.JobStatus
		reason event.ErrorName
	}{
		"canceled":                {event.StatusCanceled, nil, event.StatusCanceled, event.JobCanceled},
		"timed out":               {event.StatusTimedOut, nil, event.StatusTimedOut, event.JobTimedOut},
		"removed":                 {event.StatusRemoved, nil, event.StatusCanceled, event.JobCanceled},
		"deleted":                 {"", jobs.ErrOver, event.StatusCanceled, event.JobCanceled},
		"our own report":          {event.StatusSucceeded, nil, event.StatusSucceeded, ""},
		"terminal, and no status": {"", jobs.ErrTerminal, event.StatusSucceeded, ""},
	} {
		e := &ends{update: jobs.ErrOver, now: c.now, status: c.status}
		o, _, err := e.finisher(event.Conclusion{Status: event.StatusSucceeded}, nil).Finish(t.Context(), over(), event.DeviceState{})
		if err != nil || o.Status != c.want || o.Reason != c.reason || len(e.published) != 1 || (o.Event == "REBOOT_FAIL") != (c.reason != "") {
			t.Errorf("%s: got %+v, %v", name, o, err)
		}
	}
}

func TestFinishIsWorthARetry(t *testing.T) {
	broken := errors.New("broken")
	success := event.Conclusion{Status: event.StatusSucceeded, Attributes: map[string]string{"a": "b"}}
	for name, e := range map[string]*ends{
		"job execution": {update: broken}, "its status": {update: jobs.ErrOver, status: broken}, "thing": {set: broken}, "topic": {publish: broken},
	} {
		if _, _, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, _, err := (&ends{}).finisher(success, broken).Finish(t.Context(), over(), event.DeviceState{}); !errors.Is(err, broken) {
		t.Errorf("judgement: got %v", err)
	}
	e := &ends{set: jobs.ErrNotFound}
	if _, _, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}); err != nil || len(e.published) != 1 {
		t.Errorf("a thing that is gone: %v", err)
	}
	// TIMED_OUT and CANCELED are AWS IoT's to set.
	e = &ends{update: broken}
	canceled := event.Conclusion{Status: event.StatusCanceled, Reason: event.JobCanceled}
	if _, _, err := e.finisher(canceled, nil).Finish(t.Context(), over(), event.DeviceState{}); err != nil || e.now != "" {
		t.Errorf("%v, job execution %s", err, e.now)
	}
	in := over()
	in.Input.Operation = "another"
	if _, _, err := e.finisher(success, nil).Finish(t.Context(), in, event.DeviceState{}); err == nil || !strings.Contains(err.Error(), `"another"`) {
		t.Errorf("an operation that nobody knows: %v", err)
	}
}
