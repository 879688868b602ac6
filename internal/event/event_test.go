package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
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
	"create-job.json":                nil, // by TestSamplesOfCreateJob
	"create-job-full.json":           nil,
	"create-job-five-mistakes.json":  nil,
	"create-job-quick.json":          nil,
	"create-job-faults.json":         nil,
	"create-job-fast.json":           nil,
	"prepare-account.json":           nil, // CloudFormation's own shape
	"create-job.response.json":       event.Created{},
	"job-document.json":              event.Document{},
	"notify-next.json":               event.NotifyNext{},
	"execution-input.json":           event.ExecutionInput{},
	"send-usp-operate-inspect.json":  event.StepInput{},
	"send-usp-operate-download.json": event.StepInput{},
	"send-usp-operate-activate.json": event.StepInput{},
	"send-usp-operate-rollback.json": event.StepInput{},
	"await-firmware-report.json":     event.StepInput{},
	"verify-version.json":            event.StepInput{},
	"finalize-succeeded.json":        event.FinalizeInput{},
	"finalize-failed.json":           event.FinalizeInput{},
	"outcome.json":                   event.Outcome{},
	"usp-message-boot.json":          event.DeviceMessage{},
	"usp-message-mqtt-connect.json":  event.DeviceMessage{},
	"presence-connected.json":        event.DeviceMessage{},
	"presence-disconnected.json":     event.DeviceMessage{},
	"job-event.json":                 event.JobEvent{},
	"job-execution-event.json":       event.JobEvent{},
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
			case event.ExecutionInput, event.Document, event.Created, event.Outcome:
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

func TestSamplesOfCreateJob(t *testing.T) {
	r, err := event.ParseRequest(sample(t, "create-job.json"))
	if err != nil || r.Firmware.Version != "2.0.0" || r.Activation.Mode != event.ActivateAuto || len(r.Targets) != 1 {
		t.Errorf("short form: %+v, %v", r, err)
	}
	full, err := event.ParseRequest(sample(t, "create-job-full.json"))
	if err != nil || full.JobID != "fw-2-0-0-demo" || full.Activation.Window == nil ||
		full.Rollout.ExponentialRate == nil {
		t.Errorf("full form: %+v, %v", full, err)
	}
	// neither has the template's slow beginning
	for _, name := range []string{"create-job-fast.json", "create-job-quick.json"} {
		fast, err := event.ParseRequest(sample(t, name))
		if err != nil || fast.Rollout == nil || fast.Rollout.MaximumPerMinute != 1000 ||
			fast.Rollout.ExponentialRate != nil {
			t.Errorf("%s: %+v, %v", name, fast, err)
		}
	}
	if faults, err := event.ParseRequest(sample(t, "create-job-faults.json")); err != nil || faults.Abort == nil ||
		len(faults.Abort.CriteriaList) != 0 ||
		faults.JobID != r.DerivedJobID() {
		t.Errorf("without abort: %+v, %v", faults, err)
	}
	_, err = event.ParseRequest(sample(t, "create-job-five-mistakes.json"))
	var problems event.Problems
	if !errors.As(err, &problems) || len(problems) != 5 {
		t.Fatalf("five mistakes: %v", err)
	}
	want := []string{"$.activation.mode", "$.firmware.sha256", "$.jobId", "$.rollout.maximumPerMinute", "$.targets[0]"}
	for i, p := range problems {
		if p.Path != want[i] || p.Value == nil || p.Allowed == "" {
			t.Errorf("problem %d: got %s, want path %s", i, p, want[i])
		}
	}
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(samples, "schema", "create-job.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func accepts(s *jsonschema.Schema, payload []byte) bool {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	return err == nil && s.Validate(v) == nil
}

func TestSchemaAgreesWithValidation(t *testing.T) {
	s := schema(t)
	values := []any{
		nil, true, 0, 1, -1, 1.5, 0.05, 5, 7, 100, 1000, 1001, 10080, 1e9, "", "x", "2.0.0", "02:00", "24:00", "AUTO",
		"SEPARATE", "FAILED",
		"TIMED_OUT", "CANCEL", "SNAPSHOT", "IMMEDIATE", "http://h/p", "http://u@h/p", "ftp://h/p", "YQ==", "Y",
		strings.Repeat("a", 64),
		strings.Repeat("a", 65), strings.Repeat("k", 1025), []any{}, []any{"x"}, map[string]any{},
		map[string]any{"start": "02:00", "end": "03:00"},
		map[string]any{"url": "https://h/p", "version": "2"}, map[string]any{"numberOfNotifiedThings": 1},
	}
	bases := []string{"create-job.json", "create-job-full.json", "create-job-five-mistakes.json"}
	rapid.Check(t, func(t *rapid.T) {
		var tree any
		name := rapid.SampledFrom(bases).Draw(t, "base")
		b, err := os.ReadFile(filepath.Join(samples, name))
		if err != nil || json.Unmarshal(b, &tree) != nil {
			t.Fatal(name, err)
		}
		for i := rapid.IntRange(0, 3).Draw(t, "changes"); i > 0; i-- {
			mutate(t, tree, values)
		}
		payload, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		_, err = event.ParseRequest(payload)
		var problems event.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%s: %v is not a list of problems", payload, err)
		}
		if ok := accepts(s, payload); ok != (err == nil) && !(ok && beyondSchema(problems)) {
			t.Fatalf("schema says %v, validation says %v, of %s", ok, err, payload)
		}
	})
}

// beyondSchema reports whether all that is wrong is what the schema says it cannot hold.
func beyondSchema(problems event.Problems) bool {
	for _, p := range problems {
		if !strings.HasSuffix(p.Path, ".window.end") && !strings.Contains(p.Allowed, "all criteria together") {
			return false
		}
	}
	return true
}

func TestRetryCriteriaThatAWSRefusesAreMistakes(t *testing.T) {
	const f = `{"firmware":{"version":"2"},"targets":["arn:aws:iot:us-east-1:123456789012:thing/a"],"retry":{"criteriaList":[%s]}}`
	one := func(kind string, n int) string {
		return fmt.Sprintf(`{"failureType":%q,"numberOfRetries":%d}`, kind, n)
	}
	const second = "$.retry.criteriaList[1]."
	for list, path := range map[string]string{
		one("FAILED", 1) + "," + one("FAILED", 2):     second + "failureType",
		one("ALL", 1) + "," + one("FAILED", 1):        second + "failureType",
		one("TIMED_OUT", 1) + "," + one("ALL", 1):     second + "failureType",
		one("FAILED", 6) + "," + one("TIMED_OUT", 5):  second + "numberOfRetries",
		one("FAILED", 10) + "," + one("TIMED_OUT", 0): "",
		one("ALL", 10): "",
		`{"failureType":["FAILED"],"numberOfRetries":1}`: "$.retry.criteriaList[0].failureType",
	} {
		_, err := event.ParseRequest(fmt.Appendf(nil, f, list))
		var problems event.Problems
		if path == "" && err == nil || errors.As(err, &problems) && len(problems) == 1 && problems[0].Path == path {
			continue
		}
		t.Errorf("%s: want %q: %v", list, path, err)
	}
}

func TestShortForm(t *testing.T) {
	const target = `"targetArn":"arn:aws:iot:us-east-1:123456789012:thinggroup/g"`
	immediate, err := event.ParseRequest([]byte(`{"firmwareVersion":"2","upgradeTrigger":"IMMEDIATE",` + target + `}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"manual", "MANUAL"} {
		r, err := event.ParseRequest([]byte(`{"firmwareVersion":"2","upgradeTrigger":"` + word + `",` + target + `}`))
		if err != nil || !reflect.DeepEqual(r, immediate) || r.DerivedJobID() != immediate.DerivedJobID() {
			t.Errorf("%s: %+v, %v; want %+v", word, r, err, immediate)
		}
	}
	r, err := event.ParseRequest([]byte(`{"firmwareVersion":"2","targetSelection":"CONTINUOUS","allowEmpty":true,` + target + `}`))
	if err != nil || r.TargetSelection != event.Continuous || !r.AllowEmpty {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := event.ParseRequest([]byte(`{"firmwareVersion":"2","targetSelection":"ONCE",` + target + `}`)); err == nil ||
		!strings.HasPrefix(err.Error(), "1 mistake in the payload:\n$.targetSelection") {
		t.Errorf("got %v", err)
	}
}

// mutate changes, removes or adds one member somewhere in the tree.
func mutate(t *rapid.T, tree any, values []any) {
	node := tree
	for {
		switch n := node.(type) {
		case map[string]any:
			keys := make([]string, 0, len(n))
			for k := range n {
				keys = append(keys, k)
			}
			if len(keys) == 0 {
				return
			}
			sortStrings(keys)
			k := rapid.SampledFrom(keys).Draw(t, "key")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				delete(n, k)
				return
			case 1:
				n[k] = rapid.SampledFrom(values).Draw(t, "value")
				return
			case 2:
				n[rapid.SampledFrom([]string{"nope", "url", "window", "mode", "jobId", "noRollback"}).Draw(t, "new")] =
					rapid.SampledFrom(values).Draw(t, "value")
				return
			}
			node = n[k]
		case []any:
			if len(n) == 0 {
				return
			}
			i := rapid.IntRange(0, len(n)-1).Draw(t, "index")
			if rapid.Bool().Draw(t, "replace") {
				n[i] = rapid.SampledFrom(values).Draw(t, "value")
				return
			}
			node = n[i]
		default:
			return
		}
	}
}

func sortStrings(s []string) {
	for i := range s {
		for j := i + 1; j < len(s); j++ {
			if s[j] < s[i] {
				s[i], s[j] = s[j], s[i]
			}
		}
	}
}

func TestSameRequestSameJob(t *testing.T) {
	a, err := event.ParseRequest([]byte(`{"firmwareVersion":"2.0.0","targetArn":"arn:aws:iot:us-east-1:123456789012:thing/a"}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := event.ParseRequest([]byte(`{"targets":["arn:aws:iot:us-east-1:123456789012:thing/a"],"firmware":{"version":"2.0.0"}}`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := event.ParseRequest([]byte(`{"targets":["arn:aws:iot:us-east-1:123456789012:thing/b"],"firmware":{"version":"2.0.0"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if a.DerivedJobID() != b.DerivedJobID() || a.DerivedJobID() == c.DerivedJobID() {
		t.Error(a.DerivedJobID(), b.DerivedJobID(), c.DerivedJobID())
	}
}

func TestExecutionNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		job := event.JobOwner(event.JobID(rapid.StringMatching(`[a-zA-Z0-9_-]{1,64}`).Draw(t, "job")))
		thing := event.ThingName(rapid.StringMatching(`[a-zA-Z0-9:_-]{1,128}`).Draw(t, "thing"))
		n := rapid.Int64Range(1, 1<<40).Draw(t, "number")
		name := event.ExecutionName(job, thing, n)
		if len(name) > 80 || strings.ContainsAny(name, `:/?*<>{}[]"#%\^|~$&,; `) {
			t.Fatalf("bad name %q", name)
		}
		if name != event.ExecutionName(job, thing, n) || name == event.ExecutionName(job, thing, n+1) {
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

func TestWindow(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2006-01-02 15:04", "2026-11-22 "+s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		w          event.Window
		now        string
		start, end time.Duration
	}{
		{event.Window{Start: "02:00", End: "05:00"}, "01:00", time.Hour, 4 * time.Hour},
		{event.Window{Start: "02:00", End: "05:00"}, "03:00", 0, 2 * time.Hour},
		{event.Window{Start: "02:00", End: "05:00"}, "05:00", 21 * time.Hour, 24 * time.Hour},
		{event.Window{Start: "23:00", End: "01:00"}, "00:30", 0, 30 * time.Minute},
		{event.Window{Start: "23:00", End: "01:00"}, "22:00", time.Hour, 3 * time.Hour},
	} {
		if start, end := c.w.Next(at(c.now)); start != c.start || end != c.end {
			t.Errorf("%v at %s: got %v, %v, want %v, %v", c.w, c.now, start, end, c.start, c.end)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, name := range []string{"create-job.json", "create-job-full.json", "create-job-five-mistakes.json"} {
		f.Add(sample(f, name))
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := event.ParseRequest(payload)
		var problems event.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%v is not a list of problems", err)
		}
		if err == nil && !accepts(s, payload) {
			t.Fatalf("the schema refuses what is parsed as %+v", r)
		}
	})
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
