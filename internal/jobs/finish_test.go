package jobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// ends is everything that an upgrade's end is reported to.
type ends struct {
	update, status, set, publish error

	now       event.JobStatus // of the job execution
	details   map[string]string
	attribute string
	published []event.Outcome
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
	e.attribute = name + "=" + value
	return e.set
}

func (e *ends) Publish(_ context.Context, o event.Outcome) error {
	e.published = append(e.published, o)
	return e.publish
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func (e *ends) finisher() *jobs.Finisher {
	return &jobs.Finisher{Executions: e, Registry: e, Outcomes: e, Now: func() time.Time { return noon }}
}

func upgrade() event.ExecutionInput {
	return event.NewExecutionInput("fw-2", "rg-1", 1, event.Document{Operation: event.Operation, Firmware: event.Firmware{Version: "2.0.0"}})
}

func TestJudgeNamesTheEnd(t *testing.T) {
	at := noon.Add(-90*time.Second - 250*time.Millisecond).Format(time.RFC3339Nano)
	for name, c := range map[string]struct {
		caught    *event.Caught
		connected bool
		status    event.JobStatus
		reason    event.ErrorName
	}{
		"success":        {nil, true, event.StatusSucceeded, ""},
		"up to date":     {&event.Caught{Error: "Upgrade.UpToDate"}, true, event.StatusSucceeded, event.UpgradeUpToDate},
		"not eligible":   {&event.Caught{Error: "Upgrade.NotEligible"}, true, event.StatusRejected, event.UpgradeNotEligible},
		"download":       {&event.Caught{Error: "Download.Failed", Cause: "7022"}, true, event.StatusFailed, event.DownloadFailed},
		"silent":         {&event.Caught{Error: "States.Timeout", State: "Download"}, true, event.StatusFailed, event.DeviceNoReport},
		"away":           {&event.Caught{Error: "States.Timeout", State: "Download"}, false, event.StatusFailed, event.DeviceOffline},
		"away, by beats": {&event.Caught{Error: "States.HeartbeatTimeout", State: "Download"}, false, event.StatusFailed, event.DeviceOffline},
		"ours":           {&event.Caught{Error: "Lambda.TooManyRequestsException", State: "Verify"}, true, event.StatusFailed, event.DeviceNoReport},
	} {
		o := (&ends{}).finisher().Judge(
			event.FinalizeInput{Upgrade: upgrade(), StartedAt: at, Failure: c.caught},
			jobs.Known{Connected: c.connected, SoftwareVersion: "1.0.0"})
		if o.Status != c.status || o.Reason != c.reason || o.Seconds != 90.25 || o.SoftwareVersion != "1.0.0" {
			t.Errorf("%s: got %+v", name, o)
		}
		if want := c.status == event.StatusSucceeded; want != (o.Event == event.OutcomeSuccess) {
			t.Errorf("%s: event %s of status %s", name, o.Event, o.Status)
		}
		if c.caught != nil && c.caught.State != "" && !strings.Contains(o.Detail, c.caught.State) {
			t.Errorf("%s: detail %q does not say where", name, o.Detail)
		}
	}
}

func TestFinishReportsToAll(t *testing.T) {
	e := &ends{}
	o, err := e.finisher().Finish(t.Context(), event.Outcome{
		Event: event.OutcomeFail, JobID: "fw-2", ThingName: "rg-1", Status: event.StatusFailed, Reason: event.DownloadFailed,
		Detail: "7022\nno\x00 route" + strings.Repeat("ä", 1100), FirmwareVersion: "2.0.0", SoftwareVersion: "1.0 (β)",
	})
	if err != nil || len(e.published) != 1 || e.published[0] != o {
		t.Fatalf("got %+v, %v, published %+v", o, err, e.published)
	}
	if e.now != event.StatusFailed || e.details["reason"] != "Download.Failed" || e.details["firmwareVersion"] != "2.0.0" {
		t.Errorf("job execution %s %v", e.now, e.details)
	}
	if d := e.details["detail"]; !strings.HasPrefix(d, "7022 no  route") || len([]rune(d)) != 1024 {
		t.Errorf("detail %q of %d characters", d, len([]rune(d)))
	}
	if e.attribute != "firmwareVersion=1.0____" {
		t.Errorf("attribute %s", e.attribute)
	}
}

func TestWhatAWSHasEndedStays(t *testing.T) {
	success := event.Outcome{Event: event.OutcomeSuccess, Status: event.StatusSucceeded}
	for name, c := range map[string]struct {
		now    event.JobStatus
		status error
		want   event.JobStatus
	}{
		"canceled":                {event.StatusCanceled, nil, event.StatusCanceled},
		"timed out":               {event.StatusTimedOut, nil, event.StatusTimedOut},
		"removed":                 {event.StatusRemoved, nil, event.StatusCanceled},
		"deleted":                 {"", jobs.ErrOver, event.StatusCanceled},
		"our own report":          {event.StatusSucceeded, nil, event.StatusSucceeded},
		"terminal, and no status": {"", jobs.ErrTerminal, event.StatusSucceeded},
	} {
		e := &ends{update: jobs.ErrOver, now: c.now, status: c.status}
		o, err := e.finisher().Finish(t.Context(), success)
		if err != nil || o.Status != c.want || len(e.published) != 1 {
			t.Errorf("%s: got %+v, %v", name, o, err)
		}
	}
}

func TestFinishIsWorthARetry(t *testing.T) {
	broken := errors.New("broken")
	for name, e := range map[string]*ends{
		"job execution": {update: broken}, "its status": {update: jobs.ErrOver, status: broken}, "thing": {set: broken}, "topic": {publish: broken},
	} {
		_, err := e.finisher().Finish(t.Context(), event.Outcome{Status: event.StatusSucceeded, SoftwareVersion: "2"})
		if !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	e := &ends{set: jobs.ErrNotFound}
	if _, err := e.finisher().Finish(t.Context(), event.Outcome{Status: event.StatusSucceeded, SoftwareVersion: "2"}); err != nil || len(e.published) != 1 {
		t.Errorf("a thing that is gone: %v", err)
	}
	// TIMED_OUT and CANCELED are AWS IoT's to set.
	e = &ends{update: broken}
	if _, err := e.finisher().Finish(t.Context(), event.Outcome{Status: event.StatusCanceled}); err != nil || e.now != "" {
		t.Errorf("%v, job execution %s", err, e.now)
	}
}

func TestPhasesAreAsLongAsTheyWent(t *testing.T) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	arrived := at(30)
	in := event.FinalizeInput{
		StartedAt: noon.Format(time.RFC3339), Inspect: &event.Inspection{At: at(2)}, Download: &event.Accepted{At: at(3)},
		Report: &event.Report{TransferredAt: &arrived, At: at(70)}, Verify: &event.Verification{At: at(71)},
	}
	want := map[string]float64{event.PhaseInspect: 2, event.PhaseDownload: 27, event.PhaseActivate: 40, event.PhaseVerify: 1}
	got := jobs.Phases(in)
	for phase, s := range want {
		if got[phase] != s {
			t.Errorf("%s took %v, want %v", phase, got[phase], s)
		}
	}
	if got = jobs.Phases(event.FinalizeInput{StartedAt: "?", Inspect: &event.Inspection{At: at(2)}}); len(got) != 0 {
		t.Errorf("without a start: %v", got)
	}
}
