package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// bell is a Waker that writes down whom it wakes.
type bell struct {
	woken []workflow.Wake
	fails error
}

func (b *bell) Wake(_ context.Context, wakes []workflow.Wake) error {
	b.woken = append(b.woken, wakes...)
	return b.fails
}

func (r *rig) ticker(b *bell) *workflow.Ticker {
	r.t.Helper()
	w, err := workflow.NewTicker(workflow.TickerPorts{
		Store: r.store, Backlog: r, Stops: r,
		Ticks: r.store, Controls: r.store, Waker: b,
		Now: func() time.Time {
			return r.now
		}})
	r.must(err)
	return w
}

func (r *rig) knock(whose event.Owner, n int) {
	r.t.Helper()
	for i := range n {
		r.must(r.store.Knock(context.Background(), whose,
			workflow.Knock{Thing: event.ThingName(fmt.Sprintf("rg-%04d", i)), Owner: fw2, At: r.now}))
	}
}

func TestALiftedFlagWakesWhomItKept(t *testing.T) {
	for name, whose := range map[string]event.Owner{"of a job": fw2, "of everything": workflow.Everyone} {
		t.Run(name, func(t *testing.T) {
			r, b := newRig(t), &bell{}
			tick := func(want int) {
				t.Helper()
				b.woken = nil
				out, err := r.ticker(b).Tick(t.Context(), "x", time.Time{})
				r.must(err)
				if out.Woken != want || len(b.woken) != want {
					t.Fatalf("woke %d, said %d, want %d", len(b.woken), out.Woken, want)
				}
				r.now = r.now.Add(time.Minute)
			}
			r.set(whose, event.ControlPaused)
			r.knock(whose, 3)
			tick(0)
			r.set(whose, event.ControlRunning)
			r.set(whose, event.ControlPaused) // before the clock has seen it
			tick(0)
			r.set(whose, event.ControlRunning)
			tick(3)
			if b.woken[0].Thing != "rg-0000" || b.woken[0].Owner != fw2 {
				t.Errorf("woke %+v", b.woken)
			}
			tick(0)
		})
	}
}

func TestAFleetIsWokenEvenlyAndAtTheRate(t *testing.T) {
	r, b := newRig(t), &bell{}
	r.set(fw2, event.ControlPaused)
	const fleet = 2*workflow.StartsPerMinute + 10
	r.knock(fw2, fleet)
	r.set(fw2, event.ControlRunning)
	for minute, want := range []int{workflow.StartsPerMinute, workflow.StartsPerMinute, 10, 0} {
		b.woken = nil
		_, err := r.ticker(b).Tick(t.Context(), "x", time.Time{})
		r.must(err)
		if len(b.woken) != want {
			t.Fatalf("minute %d: woke %d, want %d", minute, len(b.woken), want)
		}
		seconds := map[time.Duration]int{}
		for _, w := range b.woken {
			seconds[w.After]++
			if w.After < 0 || w.After >= time.Minute {
				t.Fatalf("%s is woken after %v", w.Thing, w.After)
			}
		}
		for s, n := range seconds {
			if most := (workflow.StartsPerMinute+59)/60 + 1; n > most {
				t.Errorf("minute %d: %d in second %v, at most %d", minute, n, s, most)
			}
		}
		r.now = r.now.Add(time.Minute)
	}
}

func TestWhatCouldNotBeWokenIsWokenByTheNextTick(t *testing.T) {
	r, b := newRig(t), &bell{fails: errors.New("throttled")}
	r.set(fw2, event.ControlPaused)
	r.knock(fw2, 2)
	r.set(fw2, event.ControlRunning)
	if _, err := r.ticker(b).Tick(t.Context(), "x", time.Time{}); err == nil {
		t.Fatal("no error")
	}
	*b = bell{}
	out, err := r.ticker(b).Tick(t.Context(), "y", time.Time{}) // the lease was given back
	if err != nil || out.Woken != 2 {
		t.Fatal(out, err)
	}
}

// TestWhoKnocksAnewIsNotForgotten: it is refused by the next pause while the tick
// answers its first knock.
func TestWhoKnocksAnewIsNotForgotten(t *testing.T) {
	r, b := newRig(t), &bell{}
	r.set(fw2, event.ControlPaused)
	r.knock(fw2, 1)
	r.set(fw2, event.ControlRunning)
	r.store.Before = func(op string) error {
		if op == "Answer" {
			r.store.Before = nil
			r.now = r.now.Add(time.Second)
			r.set(fw2, event.ControlPaused)
			r.knock(fw2, 1)
		}
		return nil
	}
	_, err := r.ticker(b).Tick(t.Context(), "x", time.Time{})
	r.must(err)
	if len(r.store.Knocked(fw2)) != 1 {
		t.Fatal("the second knock is gone")
	}
	r.set(fw2, event.ControlRunning)
	if out, err := r.ticker(b).Tick(t.Context(), "y", time.Time{}); err != nil || out.Woken != 1 {
		t.Fatal(out, err)
	}
}

func TestOneTickAtATime(t *testing.T) {
	r := newRig(t)
	_, err := r.store.Lease(t.Context(), "another", r.now, r.now.Add(30*time.Second))
	r.must(err)
	if _, err := r.ticker(&bell{}).Tick(t.Context(), "x", time.Time{}); !errors.Is(err, workflow.ErrLeased) {
		t.Errorf("got %v", err)
	}
	r.now = r.now.Add(time.Minute) // it died
	if _, err := r.ticker(&bell{}).Tick(t.Context(), "x", time.Time{}); err != nil {
		t.Error(err)
	}
}

// The clock calls at least once, and late: what may begin in a minute does not begin twice in it.
func TestAMinuteIsServedOnce(t *testing.T) {
	r, b := newRig(t), &bell{}
	served := 0
	tick := func(at time.Time, want error) {
		t.Helper()
		ticker := r.ticker(b)
		ticker.Also = func(context.Context) error { served++; return nil }
		if _, err := ticker.Tick(t.Context(), "x", at); !errors.Is(err, want) {
			t.Errorf("the tick of %s: %v, want %v", at, err, want)
		}
	}
	at := r.now
	tick(at, nil)
	tick(at, workflow.ErrServed)
	tick(at.Add(time.Minute), nil)
	tick(at, workflow.ErrServed) // it comes late
	tick(time.Time{}, nil)       // somebody calls by hand
	b.fails = errors.New("no queue")
	r.set(fw2, event.ControlPaused)
	r.knock(fw2, 1)
	r.set(fw2, event.ControlRunning)
	tick(at.Add(2*time.Minute), b.fails)
	tick(at.Add(2*time.Minute), workflow.ErrServed) // the next minute does what failed
	b.fails = nil
	tick(at.Add(3*time.Minute), nil)
	if served != 5 || len(b.woken) != 2 {
		t.Errorf("%d minutes served, %d woken", served, len(b.woken))
	}
}

func TestWhatIsWokenBegins(t *testing.T) {
	r := newRig(t)
	if s, err := r.Starter.Wake(t.Context(), "rg-1", fw2); err != nil || s.Did != workflow.StartForeign {
		t.Errorf("nothing pending: %+v, %v", s, err)
	}
	if _, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil {
		t.Fatal(err)
	}
	if s, err := r.Starter.Wake(t.Context(), "rg-1", fw2); err != nil || s.Did != workflow.StartPending {
		t.Errorf("its device is away: %+v, %v", s, err)
	}
	r.greeted()
	if s, err := r.Starter.Wake(t.Context(), "rg-1", event.JobOwner("another")); err != nil ||
		s.Did != workflow.StartForeign {
		t.Errorf("another owner: %+v, %v", s, err)
	}
	for range 2 {
		if s, err := r.Starter.Wake(t.Context(), "rg-1", fw2); err != nil || s.Did != workflow.StartBegun {
			t.Errorf("there: %+v, %v", s, err)
		}
	}
}
