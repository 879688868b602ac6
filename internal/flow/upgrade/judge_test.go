package upgrade_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
)

// ended is the end of an upgrade to 2.0.0, with the results of its steps.
func ended(t *testing.T, results map[string]any, caught *event.Caught) event.FinalizeInput {
	t.Helper()
	document := map[string]any{
		"input":     map[string]any{"document": map[string]any{"firmware": map[string]any{"version": "2.0.0"}}},
		"startedAt": noon.Format(time.RFC3339),
	}
	maps.Copy(document, results)
	if caught != nil {
		document["failure"] = caught
	}
	b, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var in event.FinalizeInput
	if err := json.Unmarshal(b, &in); err != nil {
		t.Fatal(err)
	}
	return in
}

func TestJudgeNamesTheEnd(t *testing.T) {
	flow := upgrade.New("self::fleetstep")
	for name, c := range map[string]struct {
		caught    *event.Caught
		connected bool
		status    event.JobStatus
		reason    event.ErrorName
	}{
		"success": {nil, true, event.StatusSucceeded, ""},
		"up to date": {&event.Caught{Error: "Upgrade.UpToDate"}, true, event.StatusSucceeded,
			upgrade.UpgradeUpToDate},
		"not eligible": {&event.Caught{Error: "Upgrade.NotEligible"}, true, event.StatusRejected,
			upgrade.UpgradeNotEligible},
		"download": {&event.Caught{Error: "Download.Failed", Cause: "7022"}, true, event.StatusFailed,
			upgrade.DownloadFailed},
		"silent": {&event.Caught{Error: "States.Timeout", State: "Download"}, true, event.StatusFailed,
			event.DeviceNoReport},
		"away": {&event.Caught{Error: "States.Timeout", State: "Download"}, false, event.StatusFailed,
			event.DeviceOffline},
		"away, by beats": {&event.Caught{Error: "States.HeartbeatTimeout", State: "Download"}, false,
			event.StatusFailed, event.DeviceOffline},
		"ours": {&event.Caught{Error: "Lambda.TooManyRequestsException", State: "Verify",
			Cause: strings.Repeat("x", 2000)}, true, event.StatusCanceled, event.ControllerFailed},
		"a function fails": {&event.Caught{Error: "Transient", State: "Inspect"}, true, event.StatusCanceled,
			event.ControllerFailed},
		"no permission": {&event.Caught{Error: "Lambda.AWSLambdaException", State: "Inspect"}, false,
			event.StatusCanceled, event.ControllerFailed},
		"no expression": {&event.Caught{Error: "States.QueryEvaluationError", State: "Inspect"}, false,
			event.StatusCanceled, event.ControllerFailed},
		"no signpost's name": {&event.Caught{Error: "Next.Soak", State: "Inspect"}, true, event.StatusCanceled,
			event.ControllerFailed},
	} {
		got, err := flow.Judge(ended(t, nil, c.caught), event.DeviceState{Connected: c.connected,
			Facts: map[string]string{"softwareVersion": "1.0.0"}})
		if err != nil || got.Status != c.status || got.Reason != c.reason {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if got.Details["firmwareVersion"] != "2.0.0" || got.Details["softwareVersion"] != "1.0.0" ||
			got.Attributes["firmwareVersion"] != "1.0.0" {
			t.Errorf("%s: tells %v, attributes %v", name, got.Details, got.Attributes)
		}
		if c.caught != nil && c.caught.State != "" && !strings.Contains(got.Detail, c.caught.State) ||
			len(got.Detail) > 1100 {
			t.Errorf("%s: detail %q does not say where", name, got.Detail)
		}
	}
}

func TestWhatWasVerifiedIsWhatRuns(t *testing.T) {
	results := map[string]any{"verify": upgrade.Verification{SoftwareVersion: "2.0.0"}}
	got, err := upgrade.New("self::fleetstep").Judge(ended(t, results, nil),
		event.DeviceState{Facts: map[string]string{"softwareVersion": "1.0.0"}})
	if err != nil || got.Details["softwareVersion"] != "2.0.0" || got.Attributes["firmwareVersion"] != "2.0.0" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnEndThatCannotBeReadIsAnError(t *testing.T) {
	flow := upgrade.New("self::fleetstep")
	for name, in := range map[string]event.FinalizeInput{
		"results":  {Input: event.ExecutionInput{Document: json.RawMessage(`{}`)}, Results: json.RawMessage(`[]`)},
		"document": {Input: event.ExecutionInput{Document: json.RawMessage(`[]`)}},
	} {
		if _, err := flow.Judge(in, event.DeviceState{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPhasesAreAsLongAsTheyWent(t *testing.T) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	arrived := at(30)
	flow := upgrade.New("self::fleetstep")
	phases := func(results map[string]any, startedAt string) map[string]float64 {
		t.Helper()
		in := ended(t, results, nil)
		in.StartedAt = startedAt
		c, err := flow.Judge(in, event.DeviceState{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Phases
	}
	results := map[string]any{
		"inspect": upgrade.Inspection{At: at(2)}, "download": upgrade.Accepted{At: at(3)},
		"report": upgrade.Report{TransferredAt: &arrived, At: at(70)}, "verify": upgrade.Verification{At: at(71)},
	}
	started := noon.Format(time.RFC3339)
	want := map[string]float64{upgrade.PhaseInspect: 2, upgrade.PhaseDownload: 27, upgrade.PhaseActivate: 40,
		upgrade.PhaseVerify: 1}
	if got := phases(results, started); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	results["activate"] = upgrade.Accepted{At: at(40)}
	want[upgrade.PhaseDownload], want[upgrade.PhaseActivate] = 37, 30
	if got := phases(results, started); !maps.Equal(got, want) {
		t.Errorf("activated apart: got %v, want %v", got, want)
	}
	if got := phases(map[string]any{"inspect": upgrade.Inspection{At: at(2)}}, "?"); len(got) != 0 {
		t.Errorf("without a start: %v", got)
	}
}
