package statemachines_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// retriers are all of a document's, wherever they stand.
func retriers(v any, found func(names []string)) {
	switch v := v.(type) {
	case map[string]any:
		if list, ok := v["ErrorEquals"].([]any); ok && v["Next"] == nil {
			var names []string
			for _, n := range list {
				if s, ok := n.(string); ok {
					names = append(names, s)
				}
			}
			found(names)
		}
		for _, x := range v {
			retriers(x, found)
		}
	case []any:
		for _, x := range v {
			retriers(x, found)
		}
	}
}

// TestEveryRetrierNamesWhatLambdaSays: a function that died is known by one of three
// names, by its runtime and by how it died ("Lambda.Unknown", "Sandbox.Timedout",
// "Runtime.ExitError"). A retrier for the one is for all of them: a device must not
// pay for a machine of ours that failed.
func TestEveryRetrierNamesWhatLambdaSays(t *testing.T) {
	for _, name := range documents(t) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var document any
		if err := json.Unmarshal(b, &document); err != nil {
			t.Fatal(err)
		}
		seen := 0
		retriers(document, func(names []string) {
			if !slices.Contains(names, "Lambda.Unknown") {
				return
			}
			seen++
			for _, also := range []string{"Sandbox.Timedout", "Runtime.ExitError"} {
				if !slices.Contains(names, also) {
					t.Errorf("%s: the retrier %v does not name %s", name, names, also)
				}
			}
		})
		if seen == 0 {
			t.Errorf("%s: no retrier is for functions that die", name)
		}
	}
}

// documents are the files of all machines, and of those that others begin with.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.asl.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	examples, err := filepath.Glob("../examples/workflows/*.asl.json")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	return append(append(files, examples...), "../internal/operation/skeleton.asl.json")
}

// TestThrottledFunctionsAreTriedForMinutes: each task that is tried again when its function dies has another retrier
// for one that Lambda throttles, with twenty attempts: on a new account ten functions run at a time, and a busy minute
// must not end a device's upgrade.
func TestThrottledFunctionsAreTriedForMinutes(t *testing.T) {
	for _, name := range documents(t) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			States map[string]struct {
				Retry []struct {
					ErrorEquals     []string
					MaxAttempts     int
					MaxDelaySeconds int
				}
			}
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		for state, s := range m.States {
			dies, tried := false, false
			for _, r := range s.Retry {
				dies = dies || slices.Contains(r.ErrorEquals, "Lambda.Unknown")
				tried = tried || slices.Equal(r.ErrorEquals, []string{"Lambda.TooManyRequestsException"}) &&
					r.MaxAttempts == 20 && r.MaxDelaySeconds == 30
			}
			if dies && !tried {
				t.Errorf("%s: %s does not try a throttled function twenty times", name, state)
			}
		}
	}
}
