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
	files, err := filepath.Glob("*.asl.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	// What others begin with, too.
	examples, err := filepath.Glob("../examples/workflows/*.asl.json")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	files = append(append(files, examples...), "../internal/operation/skeleton.asl.json")
	for _, name := range files {
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
