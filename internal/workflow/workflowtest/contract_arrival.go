package workflowtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// arrivals holds a Store and Ticks to what workflow expects of devices that have appeared.
func arrivals(t *testing.T, s Kept) {
	t.Helper()
	ctx, at := context.Background(), time.UnixMilli(1795334400000).UTC()
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	}
	const fleet = 20
	want := map[event.ThingName]time.Time{}
	for i := range fleet {
		thing := event.ThingName(fmt.Sprintf("arrived-%02d", i))
		want[thing] = at.Add(time.Duration(i) * time.Second)
		must(s.Arrive(ctx, workflow.Arrival{Thing: thing, At: at}, nil), nil)
		must(s.Arrive(ctx, workflow.Arrival{Thing: thing, At: want[thing]}, map[string]string{"seen": "1"}), nil)
		if d, err := s.Load(ctx, thing); err != nil || d.State.Facts["seen"] != "1" {
			t.Fatalf("%s: %+v, %v", thing, d, err)
		}
	}
	// Page by page each comes once, and then again.
	cursor := ""
	for range 2 {
		got := map[event.ThingName]time.Time{}
		for pages := 0; len(got) < fleet; pages++ {
			page, next, err := s.Arrivals(ctx, cursor, 7)
			must(err, nil)
			if len(page) > 7 || pages > fleet/7+1 {
				t.Fatalf("page %d has %d", pages, len(page))
			}
			for _, a := range page {
				if !a.At.Equal(want[a.Thing]) {
					t.Fatalf("%s came at %s, want %s", a.Thing, a.At, want[a.Thing])
				}
				got[a.Thing] = a.At
			}
			cursor = next
		}
	}
	all, next, err := s.Arrivals(ctx, cursor, 100)
	must(err, nil)
	if len(all) != fleet || next != "" {
		t.Fatalf("%d of %d, then %q", len(all), fleet, next)
	}
	if some, next, err := s.Arrivals(ctx, "no cursor of ours", 100); err != nil || len(some) != fleet || next != "" {
		t.Fatalf("%d of %d, then %q, %v", len(some), fleet, next, err)
	}
	// One is written anew, and stays.
	again := workflow.Arrival{Thing: all[0].Thing, At: at.Add(time.Hour)}
	must(s.Arrive(ctx, again, nil), nil)
	for range 2 {
		for _, a := range all {
			must(s.Admitted(ctx, a), nil)
		}
	}
	left, _, err := s.Arrivals(ctx, "", 100)
	must(err, nil)
	if len(left) != 1 || left[0].Thing != again.Thing || !left[0].At.Equal(again.At) {
		t.Fatalf("left: %+v", left)
	}
	must(s.Admitted(ctx, again), nil)
	l, err := s.Lease(ctx, "arrivals", at.Add(10*time.Minute), at.Add(11*time.Minute))
	must(err, nil)
	l.Arrivals = "3#there"
	must(s.Return(ctx, l), nil)
	l, err = s.Lease(ctx, "arrivals", at.Add(10*time.Minute), at.Add(11*time.Minute))
	must(err, nil)
	if l.Arrivals != "3#there" {
		t.Fatalf("the cursor is %q", l.Arrivals)
	}
	l.Arrivals = ""
	must(s.Return(ctx, l), nil)
}
