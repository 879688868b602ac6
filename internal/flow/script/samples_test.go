package script_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/script"
)

const samples = "../../../events"

// compiled is the schema of tasks, or of the results of one.
func compiled(t *testing.T, result string) *jsonschema.Schema {
	t.Helper()
	at := filepath.Join(samples, "schema", "usp-task.json")
	if result != "" {
		at += "#/$defs/results/" + result
	}
	s, err := jsonschema.NewCompiler().Compile(at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, payload []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// taken reports why a payload is no task, as the function that gets it says.
func taken(t *testing.T, payload []byte) *event.Failure {
	t.Helper()
	flow := script.New("test", controller)
	var head struct{ Task script.Task }
	if json.Unmarshal(payload, &head) == nil && head.Task == script.Finalize {
		var in event.FinalizeInput
		if err := json.Unmarshal(payload, &in); err != nil {
			t.Fatal(err)
		}
		_, err := flow.Judge(in, event.DeviceState{})
		failure, _ := event.AsFailure(err)
		return failure
	}
	turn := event.Turn{Step: "Ask", Tries: map[event.Step]int{"Ask": 1}}
	move, err := flow.Begin(t.Context(), turn, event.StepInput{Results: payload})
	if err != nil {
		t.Fatal(err)
	}
	return move.Failed
}

// Every sample of a task is one, by its schema and by the function; and it is none any
// more, by both, without a member that it needs and with one that it does not have.
func TestSamplesOfTasks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(samples, "usp-task-*.json"))
	if err != nil || len(files) != 13 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	schema := compiled(t, "")
	results := map[string]any{
		"GET": script.Got{}, "SET": script.Written{}, "ADD": script.Objects{}, "DELETE": script.Objects{},
		"OPERATE": script.Operated{}, "AWAIT": script.News{},
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ToUpper(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "usp-task-"), ".json"))
		if task, is := strings.CutSuffix(name, ".RESPONSE"); is {
			if err := valid(t, compiled(t, task), b); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			result := reflect.New(reflect.TypeOf(results[task]))
			d := json.NewDecoder(bytes.NewReader(b))
			d.DisallowUnknownFields()
			if err := d.Decode(result.Interface()); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if again, err := json.Marshal(result.Interface()); err != nil || !same(again, b) {
				t.Errorf("%s is written %s, %v", file, again, err)
			}
			continue
		}
		if err := valid(t, schema, b); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if f := taken(t, b); f != nil {
			t.Errorf("%s: %v", file, f)
		}
		var members map[string]any
		if err := json.Unmarshal(b, &members); err != nil {
			t.Fatal(err)
		}
		for _, member := range []string{"paths", "parameters", "objects", "command", "event"} {
			if members[member] == nil {
				continue
			}
			was := members[member]
			delete(members, member)
			without := written(t, members)
			if valid(t, schema, without) == nil || taken(t, without) == nil {
				t.Errorf("%s: it may do without %s", file, member)
			}
			members[member] = was
		}
		members["somethingElse"] = true
		with := written(t, members)
		if valid(t, schema, with) == nil || taken(t, with) == nil && name != "FINALIZE" {
			t.Errorf("%s: it may have a member that it does not have", file)
		}
	}
}

func written(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func same(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
