package workflowtest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// parking holds a Store and Ticks to what workflow expects of attempts that wait for
// their time.
func parking(t *testing.T, s Kept) {
	t.Helper()
	ctx, at, j := context.Background(), time.UnixMilli(1795334400000).UTC(), event.JobOwner("parked")
	const thing, step = event.ThingName("p1"), event.Step("INSPECT")
	must := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	}
	load := func() workflow.Device {
		t.Helper()
		d, err := s.Load(ctx, thing)
		must(err, nil)
		return d
	}
	lap := func(n int) workflow.Attempt { return workflow.Attempt{Owner: j, Number: 1, Lap: n} }
	minute := at.Truncate(time.Minute)

	c := workflow.Claim{
		Owner: j, ExecutionNumber: 1, Operation: "o", Execution: "x", ClaimedAt: at, Deadline: at.Add(time.Hour),
		ExpiresAt: at.Add(time.Hour),
	}
	must(s.Claim(ctx, thing, c, nil), nil)
	d := load()
	a := workflow.Await{Step: step, Token: "tok", Owner: j, Execution: "x", Rev: 1, Since: at,
		ExpiresAt: at.Add(time.Hour)}
	must(s.Register(ctx, thing, workflow.Registration{Claim: *d.Claim, Await: a, Started: true}), nil)
	next := workflow.Pending{
		Owner: j, ExecutionNumber: 1, Lap: 1, Operation: "o", At: at, ExpiresAt: at.Add(time.Hour),
		Plan: event.Plan{
			Document: json.RawMessage(`{"a":1}`), Timeouts: json.RawMessage(`{"b":1}`),
			Window: &event.Window{Start: "02:00", End: "04:00", Zone: "Asia/Tokyo"},
		},
		Gated: true, NotBefore: at, NotAfter: at.Add(time.Minute), Deadline: at.Add(time.Hour), Resume: json.RawMessage(`{"c":1}`),
		Looks: true,
	}
	due := workflow.Due{At: minute, Thing: thing, Owner: j}
	must(s.Park(ctx, d, "x", next, due), workflow.ErrChanged) // it has registered since
	d = load()
	must(s.Park(ctx, d, "y", next, due), workflow.ErrChanged)
	must(s.PutNews(ctx, thing, "x", event.DeviceEvent{Kind: event.KindBooted, Thing: thing, At: at},
		at.Add(time.Hour)), nil)
	d = load()
	must(s.Park(ctx, d, "x", next, due), nil)
	must(s.Park(ctx, d, "x", next, due), workflow.ErrChanged)
	if d = load(); d.Claim != nil || len(d.Awaits)+len(d.News) != 0 || len(d.Pending) != 1 ||
		!reflect.DeepEqual(d.Pending[0], next) {
		t.Fatalf("after Park: %+v", d)
	}

	// What is of the lap before leaves it alone.
	first := next
	first.Lap = 0
	must(s.PutPending(ctx, thing, first), nil)
	must(s.DropPending(ctx, thing, lap(0)), nil)
	must(s.Release(ctx, d, "x", lap(0)), nil)
	must(s.Postpone(ctx, thing, first, due), workflow.ErrChanged)
	must(s.EndPending(ctx, thing, first, workflow.Ending{By: "a", At: at}), workflow.ErrChanged)
	if d = load(); len(d.Pending) != 1 || !reflect.DeepEqual(d.Pending[0], next) {
		t.Fatalf("the lap before changed it: %+v", d.Pending)
	}

	hints := func(minute time.Time, most int, want ...workflow.Due) bool {
		t.Helper()
		got, more, err := s.Due(ctx, minute, most)
		must(err, nil)
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("hints of %s: %+v, want %+v", minute, got, want)
		}
		return more
	}
	hints(minute.Add(-time.Minute), 10)
	if hints(minute, 10, due) {
		t.Fatal("there are more hints than there are")
	}
	if !hints(minute, 1, due) {
		t.Fatal("a page that is full is all")
	}
	later := next
	later.NotBefore, later.NotAfter = at.Add(24*time.Hour), at.Add(25*time.Hour)
	tomorrow := workflow.Due{At: minute.Add(24 * time.Hour), Thing: thing, Owner: j}
	must(s.Postpone(ctx, thing, later, tomorrow), nil)
	must(s.Postpone(ctx, thing, later, tomorrow), nil)
	if d = load(); !reflect.DeepEqual(d.Pending, []workflow.Pending{later}) {
		t.Fatalf("after Postpone: %+v", d.Pending)
	}
	hints(tomorrow.At, 10, tomorrow)
	must(s.Done(ctx, []workflow.Due{due, tomorrow}), nil)
	must(s.Done(ctx, []workflow.Due{due}), nil)
	must(s.Done(ctx, nil), nil)
	hints(minute, 10)
	hints(tomorrow.At, 10)

	// One reports its end.
	must(s.EndPending(ctx, thing, later, workflow.Ending{By: "a", At: at}), nil)
	must(s.EndPending(ctx, thing, later, workflow.Ending{By: "b", At: at}), workflow.ErrChanged)
	must(s.Postpone(ctx, thing, later, due), workflow.ErrChanged)
	if d = load(); d.Pending[0].Ending == nil || *d.Pending[0].Ending != (workflow.Ending{By: "a", At: at}) {
		t.Fatalf("after EndPending: %+v", d.Pending)
	}
	must(s.EndPending(ctx, thing, d.Pending[0], workflow.Ending{By: "b", At: at.Add(time.Hour)}), nil)
	must(s.DropPending(ctx, thing, lap(1)), nil)
	must(s.DropPending(ctx, thing, lap(1)), nil)
	if d = load(); len(d.Pending) != 0 {
		t.Fatalf("after DropPending: %+v", d.Pending)
	}
	hints(minute, 10)

	// The lease keeps how far the tick has come.
	l, err := s.Lease(ctx, "minute", at.Add(72*time.Hour), at.Add(73*time.Hour))
	must(err, nil)
	l.Minute = minute
	must(s.Return(ctx, l), nil)
	l, err = s.Lease(ctx, "minute", at.Add(72*time.Hour), at.Add(72*time.Hour))
	must(err, nil)
	if !l.Minute.Equal(minute) {
		t.Fatalf("the lease came as far as %s, want %s", l.Minute, minute)
	}
}
