package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	refuses                      func(details map[string]string) bool

	calls      int             // of Update and Cancel
	order      string          // who was told, in order
	now        event.JobStatus // of the job execution
	details    map[string]string
	attributes []string
	published  []event.Outcome
}

func (e *ends) Update(_ context.Context, _ event.ThingName, _ event.JobID, _ int64, s event.JobStatus,
	details map[string]string) error {
	e.calls++
	e.order += "job "
	if e.refuses != nil && e.refuses(details) {
		return fmt.Errorf("%w: InvalidRequestException", jobs.ErrRefused)
	}
	if e.update == nil {
		e.now, e.details = s, details
	}
	return e.update
}

func (e *ends) Cancel(ctx context.Context, thing event.ThingName, job event.JobID, number int64,
	details map[string]string) error {
	return e.Update(ctx, thing, job, number, event.StatusCanceled, details)
}

func (e *ends) Next(context.Context, event.ThingName) (*jobs.Next, error) { return nil, nil }

func (e *ends) Status(context.Context, event.ThingName, event.JobID, int64) (event.JobStatus, error) {
	return e.now, e.status
}

func (e *ends) SetAttribute(_ context.Context, _ event.ThingName, name, value string) error {
	e.order += "thing "
	e.attributes = append(e.attributes, name+"="+value)
	return e.set
}

func (e *ends) Publish(_ context.Context, o event.Outcome) error {
	e.order += "world "
	e.published = append(e.published, o)
	return e.publish
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// finisher is one whose only flow, "reboot", judges as c says.
func (e *ends) finisher(c event.Conclusion, err error) *jobs.Finisher {
	flows, bad := event.NewFlows(event.Flow{
		Operation: "reboot", Played: "Reboot.Duplicate", Unfit: "Reboot.Unfit", Succeeded: "REBOOT_SUCCESS",
		Failed:   "REBOOT_FAIL",
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
	done, err := e.finisher(event.Conclusion{
		Status: event.StatusFailed, Reason: "Reboot.Failed", Detail: "7022\nno\x00 route" + strings.Repeat("ä", 1100),
		Details: map[string]string{"uptime": "7", "none": ""}, Filters: []string{"uptime"},
		Attributes: map[string]string{"z": "1.0 (β)", "a": "x", "none": ""}, Phases: map[string]float64{"Down": 2},
	}, nil).Finish(t.Context(), over(), event.DeviceState{}, true)
	o := done.Outcome
	if err != nil || len(e.published) != 1 || !reflect.DeepEqual(e.published[0], o) || done.Phases["Down"] != 2 {
		t.Fatalf("got %+v, %v, published %+v", done, err, e.published)
	}
	if e.order != "job world thing thing " {
		t.Errorf("told %s", e.order)
	}
	if o.Event != "REBOOT_FAIL" || o.Job != "fw-2" || o.Seconds != 90.25 || o.Details["uptime"] != "7" ||
		len(o.Details) != 1 {
		t.Errorf("outcome %+v", o)
	}
	if e.now != event.StatusFailed || e.details["reason"] != "Reboot.Failed" || e.details["uptime"] != "7" ||
		len(e.details) != 3 {
		t.Errorf("job execution %s %v", e.now, e.details)
	}
	if d := e.details["detail"]; !strings.HasPrefix(d, "7022 no  route") || len([]rune(d)) != 1024 {
		t.Errorf("detail %q of %d characters", d, len([]rune(d)))
	}
	if want := []string{"a=x", "z=1.0____"}; !slices.Equal(e.attributes, want) {
		t.Errorf("attributes %v", e.attributes)
	}
}

// A plain success of an operation that has nothing to tell: not even the reason stays
// that was told at its beginning.
func TestFinishNeedsNoDetails(t *testing.T) {
	e := &ends{}
	done, err := e.finisher(event.Conclusion{Status: event.StatusSucceeded}, nil).Finish(t.Context(), over(),
		event.DeviceState{}, true)
	if o := done.Outcome; err != nil || o.Event != "REBOOT_SUCCESS" ||
		!maps.Equal(e.details, map[string]string{"status": "SUCCEEDED"}) || len(e.attributes) != 0 {
		t.Errorf("got %+v, %v, details %v, attributes %v", done, err, e.details, e.attributes)
	}
}

// AWS IoT takes ten pairs.
func TestAJobExecutionHoldsTenDetails(t *testing.T) {
	c := event.Conclusion{Status: event.StatusFailed, Reason: "Reboot.Failed", Detail: "x",
		Details: map[string]string{}}
	for i := range 12 {
		c.Details[string(rune('a'+i))] = "v"
	}
	e := &ends{}
	done, err := e.finisher(c, nil).Finish(t.Context(), over(), event.DeviceState{}, true)
	if o := done.Outcome; err != nil || len(e.details) != 10 || e.details["reason"] == "" ||
		e.details["detail"] == "" || len(o.Details) != 12 {
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
		done, err := e.finisher(event.Conclusion{Status: event.StatusSucceeded}, nil).Finish(t.Context(), over(),
			event.DeviceState{}, true)
		if o := done.Outcome; err != nil || o.Status != c.want || o.Reason != c.reason || len(e.published) != 1 ||
			(o.Event == "REBOOT_FAIL") != (c.reason != "") {
			t.Errorf("%s: got %+v, %v", name, done, err)
		}
	}
}

// What is ours costs the device no retry, as FAILED does, and is counted by no abort
// criterion, as FAILED and REJECTED are.
func TestOurOwnFailureIsCanceled(t *testing.T) {
	c := event.Conclusion{Status: event.ControllerFailed.Status(), Reason: event.ControllerFailed,
		Detail: "Lambda.Unknown in state Verify"}
	e := &ends{}
	done, err := e.finisher(c, nil).Finish(t.Context(), over(), event.DeviceState{}, true)
	if err != nil || e.now != event.StatusCanceled || e.details["reason"] != "Controller.Failed" ||
		e.details["detail"] != c.Detail {
		t.Fatalf("%v, job execution %s %v", err, e.now, e.details)
	}
	if o := done.Outcome; o.Status != event.StatusCanceled || o.Reason != event.ControllerFailed ||
		o.Event != "REBOOT_FAIL" {
		t.Errorf("outcome %+v", o)
	}
	e.update = jobs.ErrOver // the same, repeated
	again, err := e.finisher(c, nil).Finish(t.Context(), over(), event.DeviceState{}, true)
	if err != nil || !reflect.DeepEqual(again, done) {
		t.Errorf("repeated: %+v, %v", again, err)
	}
}

// A step was told that the job execution is over. Nobody else ends one that is not.
func TestAnEndIsBelievedOfTheJobExecution(t *testing.T) {
	c := event.Conclusion{Status: event.StatusCanceled, Reason: event.JobCanceled, Detail: "gone"}
	for now, want := range map[event.JobStatus]event.ErrorName{
		event.StatusCanceled: event.JobCanceled, event.StatusRemoved: event.JobCanceled,
		event.StatusTimedOut:   event.JobTimedOut,
		event.StatusInProgress: event.ControllerFailed,
	} {
		e := &ends{now: now}
		done, err := e.finisher(c, nil).Finish(t.Context(), over(), event.DeviceState{}, true)
		if err != nil || done.Outcome.Reason != want || done.Outcome.Status != want.Status() || len(e.published) != 1 {
			t.Errorf("%s: %+v, %v", now, done, err)
		}
		if told := e.calls > 0; told != (want == event.ControllerFailed) {
			t.Errorf("%s: the job execution was told %d times", now, e.calls)
		}
	}
}

// A thing that cannot be written costs no end: three attributes without a thing type,
// for one.
func TestTheThingIsToldLastAndCostsNothing(t *testing.T) {
	broken := errors.New("broken")
	success := event.Conclusion{Status: event.StatusSucceeded, Attributes: map[string]string{"a": "b", "c": "d"}}
	e := &ends{set: broken}
	done, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}, true)
	if err != nil || !errors.Is(done.Unset, broken) || e.now != event.StatusSucceeded || len(e.published) != 1 ||
		len(e.attributes) != 2 {
		t.Errorf("%+v, %v, %s, %v", done, err, e.now, e.attributes)
	}
	e = &ends{refuses: func(d map[string]string) bool { return d["detail"] != "" }}
	failure := event.Conclusion{Status: event.StatusFailed, Reason: "Reboot.Failed", Detail: "odd"}
	done, err = e.finisher(failure, nil).Finish(t.Context(), over(), event.DeviceState{}, true)
	if err != nil || !errors.Is(done.Unsaid, jobs.ErrRefused) || e.now != event.StatusFailed ||
		done.Outcome.Detail != "odd" {
		t.Errorf("%+v, %v, %s", done, err, e.now)
	}
}

// Whoever ended the attempt from outside has told of it.
func TestAnothersEndIsNotToldAgain(t *testing.T) {
	success := event.Conclusion{Status: event.StatusSucceeded, Attributes: map[string]string{"a": "b"}}
	for name, e := range map[string]*ends{
		"canceled": {now: event.StatusCanceled}, "timed out": {now: event.StatusTimedOut},
		"reported": {now: event.StatusSucceeded},
		"gone":     {status: jobs.ErrOver},
	} {
		done, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}, false)
		if err != nil || !done.Elsewhere || e.order != "" {
			t.Errorf("%s: %+v, %v, told %s", name, done, err, e.order)
		}
	}
	e := &ends{now: event.StatusInProgress}
	if done, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}, false); err != nil ||
		done.Elsewhere || e.order != "job world thing " {
		t.Errorf("nobody ended it: %+v, %v, told %s", done, err, e.order)
	}
	broken := errors.New("broken")
	e = &ends{status: broken}
	if _, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}, false); !errors.Is(
		err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestFinishIsWorthARetry(t *testing.T) {
	broken := errors.New("broken")
	success := event.Conclusion{Status: event.StatusSucceeded, Attributes: map[string]string{"a": "b"}}
	for name, e := range map[string]*ends{
		"job execution": {update: broken}, "its status": {update: jobs.ErrOver, status: broken},
		"topic": {publish: broken},
	} {
		if _, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}, true); !errors.Is(
			err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := (&ends{}).finisher(success, broken).Finish(t.Context(), over(), event.DeviceState{},
		true); !errors.Is(err, broken) {
		t.Errorf("judgement: got %v", err)
	}
	e := &ends{set: jobs.ErrNotFound}
	if _, err := e.finisher(success, nil).Finish(t.Context(), over(), event.DeviceState{}, true); err != nil ||
		len(e.published) != 1 {
		t.Errorf("a thing that is gone: %v", err)
	}
	// What AWS IoT has ended is not reported to it.
	e = &ends{update: broken, now: event.StatusCanceled}
	canceled := event.Conclusion{Status: event.StatusCanceled, Reason: event.JobCanceled}
	if _, err := e.finisher(canceled, nil).Finish(t.Context(), over(), event.DeviceState{}, true); err != nil ||
		e.calls != 0 {
		t.Errorf("%v, job execution told %d times", err, e.calls)
	}
	in := over()
	in.Input.Operation = "another"
	if _, err := e.finisher(success, nil).Finish(t.Context(), in, event.DeviceState{}, true); err == nil ||
		!strings.Contains(err.Error(), `"another"`) {
		t.Errorf("an operation that nobody knows: %v", err)
	}
}

func TestAnEndThatIsNoJobsIsToldToTheWorldAndTheThing(t *testing.T) {
	e := &ends{}
	in := over()
	in.Input.Owner = event.CampaignOwner("fall")
	c := event.Conclusion{Status: event.StatusFailed, Reason: event.DeviceNoReport,
		Attributes: map[string]string{"version": "1"}}
	done, err := e.finisher(c, nil).Finish(t.Context(), in, event.DeviceState{}, true)
	if err != nil || done.Elsewhere || e.order != "world thing " {
		t.Fatalf("%+v, %v, told %q", done, err, e.order)
	}
	if o := e.published[0]; o.Campaign != "fall" || o.Job != "" || o.Reason != event.DeviceNoReport {
		t.Errorf("published %+v", o)
	}
	if done, err = e.finisher(c, nil).Finish(t.Context(), in, event.DeviceState{}, false); err != nil ||
		!done.Elsewhere {
		t.Errorf("of an execution that had lost its device: %+v, %v", done, err)
	}
}

// What the stack did by itself is no job's: the thing alone hears of it, the most useful
// attribute first.
func TestFinishOfAnArrivalTellsTheThingAlone(t *testing.T) {
	in := over()
	in.Input.Owner = event.ArrivalOwner()
	c := event.Conclusion{Status: event.StatusSucceeded, Attributes: map[string]string{
		"model": "GW-1", "endpointId": "os::1", "firmwareVersion": "1.0.0", "another": "x",
	}}
	e := &ends{set: errors.New("three attributes")}
	done, err := e.finisher(c, nil).Finish(t.Context(), in, event.DeviceState{}, true)
	if err != nil || done.Elsewhere || done.Outcome.Event != "REBOOT_SUCCESS" || !done.Outcome.Arrival ||
		done.Unset == nil || e.calls != 0 || len(e.published) != 0 {
		t.Fatalf("%+v, %v, told %s", done, err, e.order)
	}
	if want := []string{"firmwareVersion=1.0.0", "endpointId=os::1", "model=GW-1", "another=x"}; !slices.Equal(
		e.attributes, want) {
		t.Errorf("attributes %v, want %v", e.attributes, want)
	}
	e = &ends{}
	if done, err := e.finisher(c, nil).Finish(t.Context(), in, event.DeviceState{}, false); err != nil ||
		!done.Elsewhere || e.order != "" {
		t.Errorf("of an execution whose device was taken: %+v, %v, told %s", done, err, e.order)
	}
}
