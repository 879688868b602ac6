package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/onboard"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/statemachines"
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

// asked is a payload of an upgrade as create-job reads it.
type asked struct {
	jobs.Request
	Firmware   upgrade.Firmware
	Activation upgrade.Activation
}

func parse(document []byte) (asked, error) {
	r, err := jobs.Parse(document, []event.Form{upgrade.NewForm(nil, upgrade.Rules{})})
	a := asked{Request: r}
	if err != nil {
		return a, err
	}
	return a, errors.Join(json.Unmarshal(r.Input.Members["firmware"], &a.Firmware),
		json.Unmarshal(r.Input.Members["activation"], &a.Activation))
}

func TestSamplesOfCreateJob(t *testing.T) {
	r, err := parse(sample(t, "create-job.json"))
	if err != nil || r.Firmware.Version != "2.0.0" || r.Activation.Mode != upgrade.ActivateAuto ||
		len(r.Targets) != 1 {
		t.Errorf("short form: %+v, %v", r, err)
	}
	// The same payload made this job before there was a second operation.
	if id := r.DerivedJobID(); id != "fw-2-0-0-3cbbac3bcde076df" {
		t.Errorf("the payload makes the job %s", id)
	}
	full, err := parse(sample(t, "create-job-full.json"))
	if err != nil || full.JobID != "fw-2-0-0-demo" || full.Activation.Window == nil ||
		full.Rollout.ExponentialRate == nil {
		t.Errorf("full form: %+v, %v", full, err)
	}
	named, err := parse(sample(t, "create-job-operation.json"))
	if err != nil || named.Firmware.Version != "2.0.0" || named.Activation.Mode != upgrade.ActivateSeparate {
		t.Errorf("with the operation's name: %+v, %v", named, err)
	}
	for _, name := range []string{"create-job-fast.json", "create-job-quick.json",
		"create-job-bad-day.json"} { // none has the template's slow beginning
		fast, err := parse(sample(t, name))
		if err != nil || fast.Rollout == nil || fast.Rollout.MaximumPerMinute != 1000 ||
			fast.Rollout.ExponentialRate != nil {
			t.Errorf("%s: %+v, %v", name, fast, err)
		}
	}
	if faults, err := parse(sample(t, "create-job-faults.json")); err != nil || faults.Abort == nil ||
		len(faults.Abort.CriteriaList) != 0 || faults.JobID != r.DerivedJobID() {
		t.Errorf("without abort: %+v, %v", faults, err)
	}
	_, err = parse(sample(t, "create-job-five-mistakes.json"))
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

func TestTheSampleOfAnAnswerIsOne(t *testing.T) {
	b, err := json.Marshal(jobs.Created{
		JobID: "fw-2-0-0-7a57f8c2b3c01f4e", JobARN: "arn:aws:iot:us-east-1:123456789012:job/fw-2-0-0-7a57f8c2b3c01f4e",
		Targets: []string{"arn:aws:iot:us-east-1:123456789012:thinggroup/demo"},
		Details: map[string]string{upgrade.DetailFirmware: "2.0.0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if json.Unmarshal(b, &got) != nil || json.Unmarshal(sample(t, "create-job.response.json"), &want) != nil ||
		!reflect.DeepEqual(got, want) {
		t.Errorf("got %s", b)
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
	bases := []string{"create-job.json", "create-job-full.json", "create-job-five-mistakes.json",
		"create-job-operation.json"}
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
		_, err = parse(payload)
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
		if !strings.HasSuffix(p.Path, ".window.end") && !strings.HasSuffix(p.Path, ".window.zone") &&
			!strings.Contains(p.Allowed, "all criteria together") &&
			p.Path != "$.operation" {
			return false
		}
	}
	return true
}

// mutate changes, removes or adds one member somewhere in the tree.
func mutate(t *rapid.T, tree any, values []any) {
	node := tree
	for {
		switch n := node.(type) {
		case map[string]any:
			keys := slices.Sorted(maps.Keys(n))
			if len(keys) == 0 {
				return
			}
			k := rapid.SampledFrom(keys).Draw(t, "key")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				delete(n, k)
				return
			case 1:
				n[k] = rapid.SampledFrom(values).Draw(t, "value")
				return
			case 2:
				n[rapid.SampledFrom([]string{"nope", "url", "window", "mode", "jobId", "noRollback"}).Draw(t,
					"new")] = rapid.SampledFrom(values).Draw(t, "value")
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

func FuzzPayload(f *testing.F) {
	for _, name := range []string{"create-job.json", "create-job-full.json", "create-job-five-mistakes.json",
		"create-job-operation.json"} {
		f.Add(sample(f, name))
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := parse(payload)
		var problems event.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%v is not a list of problems", err)
		}
		if err == nil && !accepts(s, payload) {
			t.Fatalf("the schema refuses what is parsed as %+v", r)
		}
	})
}

// TestSamplesOfOperations: each shipped operation that is only ASL has a sample, which is right, and wrong once its
// input is another's.
func TestSamplesOfOperations(t *testing.T) {
	scripts, err := operation.Load(statemachines.Files(), upgrade.Operation, onboard.Operation, statemachines.Campaign)
	if err != nil {
		t.Fatal(err)
	}
	s := schema(t)
	for _, o := range scripts {
		text := sample(t, "create-job-"+string(o.Name)+".json")
		r, err := jobs.Parse(text, []event.Form{o.Form()})
		if err != nil || !strings.HasPrefix(string(r.DerivedJobID()), string(o.Name)+"-") || !accepts(s, text) {
			t.Errorf("%s: %s, %v", o.Name, r.DerivedJobID(), err)
		}
		needs, err := o.Needs(fmt.Appendf(nil, `{"input":%s}`, r.Input.Members["input"]))
		if err != nil || needs == 0 || r.Timeouts.JobMinutes != 0 &&
			needs > time.Duration(r.Timeouts.JobMinutes)*time.Minute {
			t.Errorf("%s needs %s, %v", o.Name, needs, err)
		}
		wrong := bytes.Replace(text, []byte(`"input": {`), []byte(`"input": {"song": 1, `), 1)
		var problems event.Problems
		if _, err := jobs.Parse(wrong, []event.Form{o.Form()}); !errors.As(err, &problems) ||
			problems[0].Path != "$.input.song" {
			t.Errorf("%s: %v", o.Name, err)
		}
	}
}

// TestOperationsThatAreOnlyASLAreAskedForByName: those that the program knows, and those beside it.
func TestOperationsThatAreOnlyASLAreAskedForByName(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("../operation/testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	folder := fstest.MapFS{
		"blink.asl.json":    {Data: read("blink.asl.json")},
		"blink.schema.json": {Data: read("blink.schema.json")},
	}
	forms := func(files fs.FS) ([]event.Form, error) {
		env := Vars(map[string]string{environment.FirmwareBucket: "b"}, io.Discard)
		env.Operations = files
		p := newParts(t.Context(), env, aws.Config{Region: "us-east-1"}, nil)
		all := p.forms()
		return all, p.err("create-job")
	}
	all, err := forms(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range all {
		names = append(names, string(f.Operation))
	}
	if got := strings.Join(names, " "); got != "firmware-upgrade collect reboot set-parameters blink" {
		t.Errorf("there are %s", got)
	}
	r,
		err := jobs.Parse([]byte(`{"operation":"blink","input":{"colour":"red"},"targets":["arn:aws:iot:us-east-1:123456789012:thing/a"]}`), all)
	if err != nil || string(r.Input.Members["input"]) != `{"again":false,"colour":"red","restSeconds":30}` {
		t.Errorf("%s, %v", r.Input.Members["input"], err)
	}
	if all, err = forms(fstest.MapFS{}); err != nil || len(all) != 4 {
		t.Errorf("without a folder: %d, %v", len(all), err)
	}
	folder["reboot.asl.json"],
		folder["reboot.schema.json"] = folder["blink.asl.json"],
		folder["blink.schema.json"]
	if _, err = forms(folder); err == nil || !strings.Contains(err.Error(), "two operations are called reboot") {
		t.Errorf("got %v", err)
	}
	delete(folder, "blink.schema.json")
	if _, err = forms(folder); err == nil || !strings.Contains(err.Error(), "blink: missing: both files") {
		t.Errorf("got %v", err)
	}
}
