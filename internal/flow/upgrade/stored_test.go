package upgrade

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
)

// TestStoredMemoriesAreRead reads the memories of conversations that this version and those
// before it have begun, and finds all in them. They are from make stored-forms.
func TestStoredMemoriesAreRead(t *testing.T) {
	files, err := filepath.Glob("testdata/stored/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	kinds := map[string]bool{}
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
			kinds[name] = true
			b, err := json.Marshal(was)
			if err != nil {
				t.Fatal(err)
			}
			m, err := readMemory(event.Turn{Step: event.Step(name), State: b})
			if err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
				continue
			}
			var now map[string]any
			err = json.Unmarshal(m.save(), &now)
			if was["v"] = float64(memoryForm); err != nil || !reflect.DeepEqual(now, was) {
				t.Errorf("%s: %s is read as %s, %v", file, name, m.save(), err)
			}
		}
	}
	for _, step := range []event.Step{Inspect, Download, AwaitReport, Activate, Verify, Rollback} {
		kind := string(step)
		if !kinds[kind] {
			t.Errorf("no version has stored one of %s: %q", kind, slices.Sorted(maps.Keys(kinds)))
		}
	}
}

// TestAMemoryOfALaterVersionIsRefused by name, and nothing is done to its device.
func TestAMemoryOfALaterVersionIsRefused(t *testing.T) {
	later := json.RawMessage(`{"v":2}`)
	var unknown *event.FormError
	f := &Flow{}
	_, err := f.Continue(event.Turn{Step: Download, State: later}, event.DeviceEvent{Kind: event.KindBooted})
	if !errors.As(err, &unknown) || unknown.Form != 2 || !strings.Contains(unknown.What, string(Download)) {
		t.Errorf("got %v", err)
	}
	if _, _, err := f.Hold(event.Turn{Step: Download, State: later}); !errors.As(err, &unknown) {
		t.Errorf("held: %v", err)
	}
	in := event.NewExecutionInput(event.JobOwner("j"), "t", 1, Operation, event.Plan{}).InLap(1,
		json.RawMessage(`{"v":3}`))
	if _, err := readResumption(in); !errors.As(err, &unknown) {
		t.Errorf("what the lap before left: %v", err)
	}
}
