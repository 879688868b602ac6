package workflow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// TestAStoppedExecutionEndsItsAttempt: who stops an execution has cancelled what it did for its device.
func TestAStoppedExecutionEndsItsAttempt(t *testing.T) {
	r, in := owned(t)
	r.stops = []workflow.Stop{{Thing: "rg-1", Owner: fw2, Execution: in.Execution}}
	tick := func(want int) {
		t.Helper()
		b := &bell{}
		out, err := r.ticker(b).Tick(t.Context(), "x", time.Time{})
		r.must(err)
		if out.Stopped != want || len(b.woken) != want {
			t.Fatalf("%+v, woken %+v, want %d", out, b.woken, want)
		}
		for _, w := range b.woken {
			if !w.Lost || w.Thing != "rg-1" || w.Owner != fw2 {
				t.Errorf("woken %+v", w)
			}
		}
	}
	recover := func(want workflow.Start) {
		t.Helper()
		s, err := r.Recover(t.Context(), "rg-1", fw2)
		r.must(err)
		if s.Did != want || s.Unreported {
			t.Fatalf("%+v, want %s", s, want)
		}
	}
	// What is listed may run again, as a redrive has it do.
	tick(1)
	recover(workflow.StartForeign)
	r.expect("it runs again")

	r.running[in.Execution], r.aborted[in.Execution] = false, event.Failf("Operator.Stop", "wrong device")
	tick(1)
	recover(workflow.StartStopped)
	r.expect("stopped", "stop Job.Canceled", "report fw-2 CANCELED Job.Canceled", "cancel Job.Canceled")
	r.clean("stopped")
	tick(0)

	// AWS IoT's own event of the end comes after it, or before: it is told of once.
	r.over[1] = true
	if ended, err := r.End(t.Context(), "rg-1", fw2, event.Failure{Name: event.JobCanceled}); err != nil ||
		ended.Execution {
		t.Errorf("%+v, %v", ended, err)
	}
	r.expect("told of")
}

// TestAStoppedExecutionThatWasNotGivenBackIsEndedAgain: who ends it may die between two of its calls.
func TestAStoppedExecutionThatWasNotGivenBackIsEndedAgain(t *testing.T) {
	r, in := owned(t)
	r.running[in.Execution], r.aborted[in.Execution] = false, &event.Failure{}
	r.fail["cancel"] = errors.New("throttled")
	if _, err := r.Recover(t.Context(), "rg-1", fw2); err == nil {
		t.Fatal("no error")
	}
	if r.load().Claim == nil {
		t.Fatal("the device is given back before its owner has heard")
	}
	delete(r.fail, "cancel")
	r.log = nil
	if s, err := r.Recover(t.Context(), "rg-1", fw2); err != nil || s.Did != workflow.StartStopped {
		t.Fatalf("%+v, %v", s, err)
	}
	r.expect("again", "stop Job.Canceled", "report fw-2 CANCELED Job.Canceled", "cancel Job.Canceled")
	r.clean("again")
}

// TestAnExecutionThatEndedByItselfIsNotWithdrawn: it reports when it is redriven.
func TestAnExecutionThatEndedByItselfIsNotWithdrawn(t *testing.T) {
	r, in := owned(t)
	r.running[in.Execution] = false
	if s, err := r.Recover(t.Context(), "rg-1", fw2); err != nil || !s.Unreported || r.load().Claim == nil {
		t.Errorf("%+v, %v", s, err)
	}
}
