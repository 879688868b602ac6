package workflow_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
)

// TestOtherSystemsAreToldByWhoeverMovesAStep: the start of an execution, what a step is at
// its beginning, what news that came before it ends it with, and what comes later.
func TestOtherSystemsAreToldByWhoeverMovesAStep(t *testing.T) {
	r, in := owned(t)
	heard := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, e := range r.told {
			got = append(got, e.Name)
			if e.ThingName != "rg-1" || e.Owner != fw2 || e.Operation != operation || e.ExecutionNumber != 1 {
				t.Errorf("%s: %+v", what, e)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %v, want %v", what, got, want)
		}
		r.told = nil
	}
	heard("the start", event.EventStarted)
	_, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc)
	r.must(err)
	heard("the start, repeated", event.EventStarted)

	r.begin = event.Move{State: memory, Tells: []string{"Begun"}}
	_, err = r.Steps.Await(t.Context(), step(in, first, "token-1"))
	r.must(err)
	heard("the beginning of a step", "Begun")
	_, err = r.Steps.Await(t.Context(), step(in, first, "token-1"))
	r.must(err)
	heard("a copy of it")

	r.says[event.KindBooted] = event.Move{Done: "x", Tells: []string{"Back"}}
	_, err = r.Record(t.Context(), record(booted))
	r.must(err)
	heard("news", "Back")

	r.says[event.KindBooted] = event.Move{Ignore: true}
	_, err = r.Record(t.Context(), record(booted)) // kept for the step to come
	r.must(err)
	heard("news that is kept")
	r.says[event.KindBooted] = event.Move{Done: "x", Tells: []string{"Back"}}
	r.begin = event.Move{State: memory}
	_, err = r.Steps.Await(t.Context(), step(in, second, "token-2"))
	r.must(err)
	heard("news that came before", "Back")
}

// TestABeginningIsToldThoughItsFunctionDies: what comes again finds the execution at work, and tells nothing.
func TestABeginningIsToldThoughItsFunctionDies(t *testing.T) {
	r := newRig(t)
	r.greeted()
	r.fail["start"] = errors.New("the answer is lost with the function")
	if _, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err == nil {
		t.Fatal("it did not die")
	}
	if len(r.told) != 1 || r.told[0].Name != event.EventStarted {
		t.Errorf("told %+v", r.told)
	}
}
