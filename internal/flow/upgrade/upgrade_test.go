package upgrade_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../../events", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plain is a JSON document without its layout.
func plain(t testing.TB, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	var out any
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNotifyNextSampleStartsTheSampleExecution(t *testing.T) {
	var n event.NotifyNext
	var want event.ExecutionInput
	if json.Unmarshal(sample(t, "notify-next.json"), &n) != nil || json.Unmarshal(sample(t, "execution-input.json"),
		&want) != nil {
		t.Fatal("unreadable samples")
	}
	flows, err := event.NewFlows(upgrade.New("self::fleetstep"))
	if err != nil {
		t.Fatal(err)
	}
	flow, ok := flows.OfDocument(n.Execution.JobDocument)
	if !ok {
		t.Fatalf("not an upgrade: %s", n.Execution.JobDocument)
	}
	plan, err := flow.Plan(n.Execution.JobDocument)
	if err != nil || plan.Lasts != 24*time.Hour {
		t.Fatal(plan.Lasts, err)
	}
	got := event.NewExecutionInput(event.JobOwner(n.Execution.JobID), n.ThingName, n.Execution.ExecutionNumber,
		flow.Operation, plan)
	if !reflect.DeepEqual(plain(t, got), plain(t, want)) {
		t.Errorf("got %+v\nwant %+v", plain(t, got), plain(t, want))
	}
}

func TestADocumentSaysAllThatIsWrongWithIt(t *testing.T) {
	for document, want := range map[string][]string{
		`{"activation":{"mode":"LATER"}}`:                                               {"firmware.version", "s3 or url", `"LATER"`},
		`{"firmware":{"version":"2","url":"http://a/b","s3":{"bucket":"b","key":"k"}}}`: {"s3 or url"},
		`{"firmware":"2"}`: {"job document"},
	} {
		_, err := upgrade.ParseDocument(json.RawMessage(document))
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %s", document, err, part)
			}
		}
		if _, err := (&upgrade.Flow{}).Plan(json.RawMessage(document)); err == nil {
			t.Errorf("%s: planned", document)
		}
	}
}

func TestEveryErrorIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range upgrade.ErrorNames() {
		c, err := (&upgrade.Flow{}).Judge(event.FinalizeInput{
			Input: event.ExecutionInput{Document: json.RawMessage(`{}`)}, Failure: &event.Caught{State: "Verify", Error: string(name)},
		}, event.DeviceState{})
		if err != nil || c.Reason != name {
			t.Errorf("%s: judged as %s, %v", name, c.Reason, err)
		}
		_, rest, ok := strings.Cut(string(page), "| `"+string(name)+"` |")
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		line, _, _ := strings.Cut(rest, "\n")
		if !strings.Contains(line, "| "+string(c.Status)+" |") {
			t.Errorf("%s: the page does not say %s", name, c.Status)
		}
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add(sample(f, "job-document.json"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := upgrade.ParseDocument(raw)
		if err != nil && !reflect.DeepEqual(doc, upgrade.Document{}) {
			t.Fatalf("an error with %+v", doc)
		}
	})
}
