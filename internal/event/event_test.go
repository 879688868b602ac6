package event_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/event"
)

const samples = "../../events"

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shapes says what each sample is; a file that is not listed fails.
var shapes = map[string]any{
	"create-job.json":                nil, // by internal/functions: TestSamplesOfCreateJob
	"create-job-full.json":           nil,
	"create-job-five-mistakes.json":  nil,
	"create-job-quick.json":          nil,
	"create-job-faults.json":         nil,
	"create-job-bad-day.json":        nil,
	"create-job-fast.json":           nil,
	"prepare-account.json":           nil, // CloudFormation's own shape
	"create-job.response.json":       nil, // by internal/functions: TestTheSampleOfAnAnswerIsOne
	"create-job-operation.json":      nil,
	"create-job-reboot.json":         nil, // by internal/functions: TestSamplesOfOperations
	"create-job-set-parameters.json": nil,
	"create-job-collect.json":        nil,
	"create-campaign-demo.json":      nil, // by internal/rehearsal, which plays it
	"create-campaign-staged.json":    nil, // by internal/functions: TestSamplesOfCampaigns
	"create-campaign.json":           nil, // by internal/functions: TestSamplesOfCampaigns
	"job-document.json":              nil, // by flow/upgrade: TestTheSampleOfADocumentIsOne
	"notify-next.json":               event.NotifyNext{},
	"execution-input.json":           event.ExecutionInput{},
	"send-usp-operate-inspect.json":  event.StepInput{},
	"send-usp-operate-download.json": event.StepInput{},
	"send-usp-operate-activate.json": event.StepInput{},
	"send-usp-operate-rollback.json": event.StepInput{},
	"await-firmware-report.json":     event.StepInput{},
	"verify-version.json":            event.StepInput{},
	// Tasks: by flow/script, TestSamplesOfTasks.
	"usp-task-get.json": nil, "usp-task-get.response.json": nil,
	"usp-task-set.json": nil, "usp-task-set.response.json": nil,
	"usp-task-add.json": nil, "usp-task-add.response.json": nil,
	"usp-task-delete.json": nil, "usp-task-delete.response.json": nil,
	"usp-task-operate.json": nil, "usp-task-operate.response.json": nil,
	"usp-task-await.json": nil, "usp-task-await.response.json": nil,
	"usp-task-finalize.json":     nil,
	"finalize-succeeded.json":    event.FinalizeInput{},
	"finalize-failed.json":       event.FinalizeInput{},
	"outcome.json":               event.Outcome{},
	"domain-event-finished.json": event.DomainEvent{}, "domain-event-downloaded.json": event.DomainEvent{},
	"domain-event-onboarded.json":   event.DomainEvent{},
	"usp-message-boot.json":         event.DeviceMessage{},
	"usp-message-mqtt-connect.json": event.DeviceMessage{},
	"presence-connected.json":       event.DeviceMessage{},
	"presence-disconnected.json":    event.DeviceMessage{},
	"job-event.json":                event.JobEvent{},
	"job-execution-event.json":      event.JobEvent{},
}

func TestEverySampleHasItsShape(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(samples, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		name := filepath.Base(f)
		seen[name] = true
		shape, listed := shapes[name]
		if !listed {
			t.Errorf("%s: no shape is listed for it", name)
			continue
		}
		if shape == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			v := reflect.New(reflect.TypeOf(shape))
			if err := json.Unmarshal(sample(t, name), v.Interface()); err != nil {
				t.Fatal(err)
			}
			// What we write ourselves comes out as it went in.
			switch shape.(type) {
			case event.ExecutionInput, event.Outcome, event.DomainEvent:
				var want, got any
				b, err := json.Marshal(v.Interface())
				if err != nil {
					t.Fatal(err)
				}
				if json.Unmarshal(b, &got) != nil || json.Unmarshal(sample(t, name), &want) != nil ||
					!reflect.DeepEqual(got, want) {
					t.Errorf("got %s", b)
				}
			}
		})
	}
	for name := range shapes {
		if !seen[name] {
			t.Errorf("%s is listed and not there", name)
		}
	}
}

func TestExecutionNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		job := event.JobOwner(event.JobID(rapid.StringMatching(`[a-zA-Z0-9_-]{1,64}`).Draw(t, "job")))
		thing := event.ThingName(rapid.StringMatching(`[a-zA-Z0-9:_-]{1,128}`).Draw(t, "thing"))
		n := rapid.Int64Range(1, 1<<40).Draw(t, "number")
		name := event.ExecutionName(job, thing, n, 0)
		if len(name) > 80 || strings.ContainsAny(name, `:/?*<>{}[]"#%\^|~$&,; `) {
			t.Fatalf("bad name %q", name)
		}
		if name != event.ExecutionName(job, thing, n, 0) || name == event.ExecutionName(job, thing, n+1, 0) {
			t.Fatalf("name %q does not follow job, thing and number", name)
		}
	})
}

func TestTokensDoNotPrint(t *testing.T) {
	token := event.TaskToken("secret")
	if s := fmt.Sprintf("%v %s %#v %+v", token, token, token, struct{ T event.TaskToken }{token}); strings.Contains(s,
		"secret") {
		t.Error(s)
	}
}

func TestOutcomesKeepTheirDetails(t *testing.T) {
	o := event.Outcome{
		Event: "REBOOT_FAIL", Owner: event.JobOwner("j"), ThingName: "rg-1", ExecutionNumber: 2,
		Status: event.StatusFailed,
		Reason: event.DeviceBusy, Detail: "a \"b\"", Seconds: 1.5, Details: map[string]string{"uptime": "7"},
	}
	b, err := json.Marshal(o)
	if err != nil || !strings.Contains(string(b), `"uptime":"7"`) || !strings.Contains(string(b), `"jobId":"j"`) {
		t.Fatalf("%s, %v", b, err)
	}
	var back event.Outcome
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, o) {
		t.Errorf("got %+v, %v", back, err)
	}
	o.Details = nil
	if b, err = json.Marshal(o); err != nil || json.Unmarshal(b, &back) != nil {
		t.Errorf("%s, %v", b, err)
	}
}

func TestInputsKeepWhatTheyDoNotKnow(t *testing.T) {
	var in event.StepInput
	var end event.FinalizeInput
	const document = `{"step":"S","taskToken":"t","input":{"jobId":"j","operation":"o","document":{"a":1}},"uptime":{"seconds":5}}`
	if err := json.Unmarshal([]byte(document), &in); err != nil || string(in.Results) != document ||
		in.Input.Job != "j" || in.Input.Operation != "o" {
		t.Errorf("%+v, %v", in, err)
	}
	if err := json.Unmarshal([]byte(document), &end); err != nil || string(end.Results) != document {
		t.Errorf("%+v, %v", end, err)
	}
	if json.Unmarshal([]byte(`{"step":1}`), &in) == nil || json.Unmarshal([]byte(`{"startedAt":1}`), &end) == nil {
		t.Error("wrong types are read")
	}
}

func TestDocumentsOfOtherStacksAreNotOurs(t *testing.T) {
	flows, err := event.NewFlows(event.Flow{
		Operation: "o", Played: "a", Unfit: "b", Succeeded: "c", Failed: "d",
		Plan:     func(json.RawMessage) (event.Plan, error) { return event.Plan{}, nil },
		Begin:    func(context.Context, event.Turn, event.StepInput) (event.Move, error) { return event.Move{}, nil },
		Continue: func(event.Turn, event.DeviceEvent) (event.Move, error) { return event.Move{}, nil },
		Judge: func(event.FinalizeInput, event.DeviceState) (event.Conclusion, error) {
			return event.Conclusion{}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stack, document string
		ours            bool
	}{
		{"one", `{"operation":"o","owner":"one"}`, true},
		{"one", `{"operation":"o","owner":"two"}`, false},
		{"one", `{"operation":"o"}`, true},
		{"", `{"operation":"o","owner":"two"}`, true},
		{"one", `{"operation":"p","owner":"one"}`, false},
		{"one", `{"operation":"o","owner":7}`, false},
	} {
		if _, ours := flows.Of(c.stack).OfDocument(json.RawMessage(c.document)); ours != c.ours {
			t.Errorf("stack %q, %s: ours %t", c.stack, c.document, ours)
		}
	}
}

func TestFlowsAreWhole(t *testing.T) {
	whole := event.Flow{
		Operation: "o", Played: "a", Unfit: "b", Succeeded: "c", Failed: "d",
		Plan:     func(json.RawMessage) (event.Plan, error) { return event.Plan{}, nil },
		Begin:    func(context.Context, event.Turn, event.StepInput) (event.Move, error) { return event.Move{}, nil },
		Continue: func(event.Turn, event.DeviceEvent) (event.Move, error) { return event.Move{}, nil },
		Judge: func(event.FinalizeInput, event.DeviceState) (event.Conclusion, error) {
			return event.Conclusion{}, nil
		},
	}
	flows, err := event.NewFlows(whole)
	if err != nil || flows.Len() != 1 {
		t.Fatal(err)
	}
	if f, ok := flows.OfDocument(json.RawMessage(`{"operation":"o"}`)); !ok || f.Operation != "o" {
		t.Error("its document does not name it")
	}
	for _, document := range []string{`{"operation":"p"}`, `{}`, `[]`, `nonsense`} {
		if _, ok := flows.OfDocument(json.RawMessage(document)); ok {
			t.Errorf("%s names a flow", document)
		}
	}
	without := func(change func(*event.Flow)) event.Flow { f := whole; change(&f); return f }
	for name, bad := range map[string][]event.Flow{
		"two of a name":    {whole, whole},
		"no operation":     {without(func(f *event.Flow) { f.Operation = "" })},
		"no plan":          {without(func(f *event.Flow) { f.Plan = nil })},
		"no judgement":     {without(func(f *event.Flow) { f.Judge = nil })},
		"no outcome names": {without(func(f *event.Flow) { f.Failed = "" })},
	} {
		if _, err := event.NewFlows(bad...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
