package workflow_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

func (r *rig) arrived(want ...event.ThingName) {
	r.t.Helper()
	if got := r.store.Arrived(); !slices.Equal(got, want) {
		r.t.Fatalf("arrived are %v, want %v", got, want)
	}
}

// appears is a device at its first greeting.
func (r *rig) appears() {
	r.t.Helper()
	_, err := r.Record(r.t.Context(), greets(r.now))
	r.must(err)
	r.log = nil // but the answer
}

// receive has the clock come, and the queue hand over whom it wakes.
func (r *rig) receive() (out []workflow.Started) {
	r.t.Helper()
	b := &bell{}
	ticker, err := workflow.NewTicker(workflow.TickerPorts{Ticks: r.store, Controls: r.store, Waker: b, Store: r.store,
		Backlog: r, Stops: r, Now: func() time.Time { return r.now }, ArrivalsPerMinute: 600})
	r.must(err)
	ticked, err := ticker.Tick(r.t.Context(), "x", time.Time{})
	r.must(err)
	if ticked.Arrived != len(b.woken) {
		r.t.Fatalf("%d arrived, %d woken", ticked.Arrived, len(b.woken))
	}
	r.now = r.now.Add(time.Minute)
	for _, w := range b.woken {
		s, err := r.Wake(r.t.Context(), w.Thing, w.Owner)
		r.must(err)
		out = append(out, s)
	}
	return out
}

func (r *rig) receives(want ...workflow.Start) {
	r.t.Helper()
	var got []workflow.Start
	for _, s := range r.receive() {
		got = append(got, s.Did)
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("what became of those who arrived: %v, want %v", got, want)
	}
}

func TestADeviceThatAppearsIsReceivedByTheClock(t *testing.T) {
	r := newRig(t)
	r.wanted = true
	r.appears()
	r.expect("nothing begins at the greeting")
	r.arrived("rg-1")
	r.receives(workflow.StartBegun)
	r.arrived()
	r.expect("begun", "begin", "start")
	d := r.load()
	if d.Claim == nil || d.Claim.Owner != event.ArrivalOwner() || d.Claim.Operation != welcome {
		t.Fatalf("claim %+v", d.Claim)
	}
	// It greets again while it is at work; the clock leaves it alone, and comes again.
	_, err := r.greetAgain()
	r.must(err)
	r.arrived("rg-1")
	r.receives(workflow.StartBusy)
	r.arrived("rg-1")
	// It is over.
	r.running[d.Claim.Execution] = false
	r.must(r.store.Release(t.Context(), d, d.Claim.Execution, d.Claim.Identity()))
	r.wanted = false
	r.receives(workflow.StartForeign)
	r.arrived()
	_, err = r.greetAgain()
	r.must(err)
	r.arrived()
}

func TestADeviceThatIsAwayIsReceivedWhenItGreets(t *testing.T) {
	r := newRig(t)
	r.wanted = true
	r.appears()
	_, err := r.Presence(t.Context(), "rg-1", workflow.Presence{Version: 1, At: r.now.Add(time.Second)})
	r.must(err)
	r.receives(workflow.StartForeign)
	r.arrived()
	r.now = r.now.Add(time.Minute)
	_, err = r.greetAgain()
	r.must(err)
	r.arrived("rg-1")
	r.receives(workflow.StartBegun)
}

func TestAResetIsNotedAndReceived(t *testing.T) {
	r := newRig(t)
	r.appears()
	r.arrived()
	r.noted = map[string]string{"proof": ""}
	r.must(r.store.Arrive(t.Context(), workflow.Arrival{Thing: "rg-1", At: r.now}, map[string]string{"proof": "1"}))
	r.receives(workflow.StartForeign)
	_, err := r.Record(t.Context(), record(event.DeviceEvent{Kind: event.KindBooted, At: r.now}))
	r.must(err)
	r.arrived()
	if got := r.load().State.Facts["proof"]; got != "1" {
		t.Fatalf("the proof is %q after a restart", got)
	}
	_, err = r.Record(t.Context(), record(event.DeviceEvent{Kind: event.KindBooted, Reset: true, At: r.now}))
	r.must(err)
	r.arrived("rg-1")
	if got := r.load().State.Facts["proof"]; got != "" {
		t.Fatalf("the proof is %q after a reset", got)
	}
}

// TestWhatWasAskedForGoesFirst: a job's attempt takes the device from what nobody asked
// for, whichever way it begins; and that is done later.
func TestWhatWasAskedForGoesFirst(t *testing.T) {
	for _, pending := range []bool{false, true} {
		t.Run(fmt.Sprintf("pending %t", pending), func(t *testing.T) {
			r := newRig(t)
			r.wanted = true
			want := []string{"stop Device.Busy", "begin", "start"}
			r.appears()
			r.receives(workflow.StartBegun)
			unasked := r.load().Claim.Execution
			r.expect("begun", "begin", "start")
			if pending {
				gone := workflow.Presence{Version: 1, At: r.now.Add(time.Second)}
				_, err := r.Presence(t.Context(), "rg-1", gone)
				r.must(err)
				s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc)
				if r.must(err); s.Did != workflow.StartPending {
					t.Fatal(s.Did)
				}
				r.now = r.now.Add(time.Minute)
				got, err := r.greetAgain()
				if r.must(err); len(got.Started) != 1 || got.Started[0].Did != workflow.StartBegun {
					t.Fatalf("%+v", got.Started)
				}
			} else {
				s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc)
				if r.must(err); s.Did != workflow.StartBegun {
					t.Fatal(s.Did)
				}
			}
			r.expect("the unasked is stopped", want...)
			d := r.load()
			if d.Claim.Owner != fw2 || d.Claim.Execution == unasked {
				t.Fatalf("claim %+v", d.Claim)
			}
			r.arrived("rg-1")
			// The unasked takes nothing from the job's, even when that is over without a word.
			r.receives(workflow.StartBusy)
			r.running[d.Claim.Execution] = false
			r.receives(workflow.StartBusy)
			r.arrived("rg-1")
			r.expect("nothing begins")
		})
	}
}

func TestAStopOfEverythingHoldsArrivalsToo(t *testing.T) {
	r := newRig(t)
	r.wanted = true
	r.set(workflow.Everyone, event.ControlPaused)
	r.appears()
	r.receives(workflow.StartPaused)
	r.arrived()
	r.set(workflow.Everyone, event.ControlRunning)
	b := &bell{}
	_, err := r.ticker(b).Tick(t.Context(), "x", time.Time{})
	r.must(err)
	if len(b.woken) != 1 || b.woken[0].Owner != event.ArrivalOwner() {
		t.Fatalf("woken are %+v", b.woken)
	}
}

// TestNobodyIsForgottenInAStorm: more appear than the rate allows, some of them stay busy.
func TestNobodyIsForgottenInAStorm(t *testing.T) {
	r, b := newRig(t), &bell{}
	const fleet, rate, busy = 1000, 60, 100
	ticker, err := workflow.NewTicker(workflow.TickerPorts{Ticks: r.store, Controls: r.store, Waker: b, Store: r.store,
		Backlog: r, Stops: r, Now: func() time.Time { return r.now }, ArrivalsPerMinute: rate})
	r.must(err)
	thing := func(i int) event.ThingName { return event.ThingName(fmt.Sprintf("rg-%04d", i)) }
	for i := range fleet {
		r.must(r.store.Arrive(t.Context(), workflow.Arrival{Thing: thing(i), At: r.now}, nil))
	}
	seen := map[event.ThingName]int{}
	minutes := 0
	for ; len(seen) < fleet; minutes++ {
		if minutes > 10*fleet/rate {
			t.Fatalf("after %d minutes %d were never received", minutes, fleet-len(seen))
		}
		b.woken = nil
		_, err := ticker.Tick(t.Context(), "x", time.Time{})
		r.must(err)
		if len(b.woken) > rate {
			t.Fatalf("%d in a minute, at most %d are allowed", len(b.woken), rate)
		}
		seconds := map[time.Duration]int{}
		for _, w := range b.woken {
			if seconds[w.After]++; seconds[w.After] > rate/60+1 || w.After >= time.Minute {
				t.Fatalf("%d in second %v", seconds[w.After], w.After)
			}
			seen[w.Thing]++
			if w.Thing < thing(busy) { // and is put back
				r.must(r.store.Arrive(t.Context(), workflow.Arrival{Thing: w.Thing, At: r.now.Add(time.Second)}, nil))
			}
		}
		r.now = r.now.Add(time.Minute)
	}
	if most := fleet/rate + 1; minutes > most {
		t.Errorf("it took %d minutes, %d would do", minutes, most)
	}
	if left := len(r.store.Arrived()); left != busy {
		t.Errorf("%d wait, want the %d that stay busy", left, busy)
	}
}

func TestWithoutARateNothingIsReceived(t *testing.T) {
	r, b := newRig(t), &bell{}
	r.wanted = true
	r.appears()
	if _, err := r.ticker(b).Tick(t.Context(), "x", time.Time{}); err != nil || len(b.woken) > 0 {
		t.Fatal(b.woken, err)
	}
	r.arrived("rg-1")
}
