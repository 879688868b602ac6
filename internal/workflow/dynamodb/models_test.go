package dynamodb_test

import (
	"slices"
	"testing"
	"time"

	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
)

// What was found of a model is known for a minute without another look.
func TestModelsAreRemembered(t *testing.T) {
	st := newStore(t, local(t, nil))
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	m := &workflowdb.Models{Store: st, Now: func() time.Time { return now }}
	expect := func(model string, want ...string) {
		t.Helper()
		if got, err := m.Quirks(t.Context(), model); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s at %s: %q, %v, want %q", model, now, got, err, want)
		}
	}
	expect("GW-1")
	if err := st.PutModel(t.Context(), "GW-1", []string{"blinks", "no-time-window"}, "rg-1", now); err != nil {
		t.Fatal(err)
	}
	if err := st.PutModel(t.Context(), "GW-2", nil, "rg-2", now); err != nil {
		t.Fatal(err)
	}
	expect("GW-1")
	now = now.Add(61 * time.Second)
	expect("GW-1", "blinks", "no-time-window")
	expect("GW-2")
	expect("GW-1 ") // another name is another model
}
