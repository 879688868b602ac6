package event_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
)

// TestStoredInputsAreRead reads inputs of executions that this version and those before it
// have started, and finds all in them. They are from make stored-forms.
func TestStoredInputsAreRead(t *testing.T) {
	files, err := filepath.Glob("testdata/stored/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var stored map[string]map[string]any
		if err := json.Unmarshal(b, &stored); err != nil {
			t.Fatal(err)
		}
		for name, was := range stored {
			b, err := json.Marshal(was)
			if err != nil {
				t.Fatal(err)
			}
			var in event.ExecutionInput
			if err := json.Unmarshal(b, &in); err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
				continue
			}
			if b, err = json.Marshal(in); err != nil {
				t.Fatal(err)
			}
			var now map[string]any
			if err := json.Unmarshal(b, &now); err != nil || !reflect.DeepEqual(now, was) {
				t.Errorf("%s: %s is read as %s, %v", file, name, b, err)
			}
		}
	}
}

// TestAnInputOfALaterVersionIsRefused by name.
func TestAnInputOfALaterVersionIsRefused(t *testing.T) {
	in := event.NewExecutionInput(event.JobOwner("j"), "t", 1, "o", event.Plan{})
	in.Form++
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var unknown *event.FormError
	err = json.Unmarshal(b, &in)
	if !errors.As(err, &unknown) || unknown.Form != in.Form || !strings.Contains(unknown.What, in.Execution) {
		t.Errorf("got %v", err)
	}
}
