package workflow_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// greetAgain makes a device that has greeted greet again.
func (r *rig) greetAgain() (workflow.Received, error) {
	return r.Record(r.t.Context(), event.Inbound{Thing: "rg-1", Endpoint: "os::1", Greets: true,
		Event: event.DeviceEvent{
			Kind: event.KindConnected, Thing: "rg-1", At: r.now,
		}})
}

// TestALostNameIsAskedForByAGreeting, not oftener than AWS IoT may be asked.
func TestALostNameIsAskedForByAGreeting(t *testing.T) {
	r := newRig(t)
	r.greeted()
	if got, err := r.greetAgain(); err != nil || len(got.Started) != 0 {
		t.Fatalf("nothing is next: %+v, %v", got, err)
	}
	r.next = &workflow.Offer{Owner: fw2, Number: 1, Document: doc}
	got, err := r.greetAgain()
	if err != nil || len(got.Started) != 1 || got.Started[0].Did != workflow.StartBegun {
		t.Fatalf("%+v, %v", got, err)
	}
	r.expect("found", "begin", "start")
	// What has the device is not asked for.
	r.next = &workflow.Offer{Owner: event.JobOwner("other"), Number: 1, Document: doc}
	if got, err := r.greetAgain(); err != nil || len(got.Started) != 0 {
		t.Fatalf("it is at work: %+v, %v", got, err)
	}

	r = newRig(t)
	r.greeted()
	r.fail["next"] = errors.New("throttled")
	asked := 0
	for range 10 {
		if _, err := r.greetAgain(); err != nil {
			asked++
		}
	}
	if asked != 3*workflow.AsksPerSecond {
		t.Errorf("asked %d times at once", asked)
	}
	r.now = r.now.Add(2 * time.Second)
	for range 10 {
		if _, err := r.greetAgain(); err != nil {
			asked++
		}
	}
	if asked != 5*workflow.AsksPerSecond {
		t.Errorf("asked %d times in two seconds", asked)
	}
}

// TestTheClockFindsWhatNobodyWorksOn, a page a minute, and nothing else.
func TestTheClockFindsWhatNobodyWorksOn(t *testing.T) {
	at := func(r *rig, ago time.Duration) workflow.Open {
		return workflow.Open{Thing: "rg-1", Owner: fw2, Since: r.now.Add(-ago)}
	}
	offered := func(t *testing.T) *rig {
		r := newRig(t)
		if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartPending {
			t.Fatal(s, err)
		}
		return r
	}
	for _, c := range []struct {
		name string
		rig  func(t *testing.T) *rig
		// ago is how long since the owner changed it, later how long since it was left.
		ago, later time.Duration
		lost       bool
	}{
		{"nothing is known of it", newRig, time.Hour, 0, true},
		{"nothing is known of it, and it is young", newRig, time.Minute, 0, false},
		{"an execution has it", func(t *testing.T) *rig { r, _ := owned(t); return r }, time.Hour, 0, false},
		{"an execution has it for long", func(t *testing.T) *rig {
			r, _ := owned(t)
			return r
		}, time.Hour, 2 * time.Hour, true},
		{"it waits for its device", offered, time.Hour, 24 * time.Hour, false},
		{"it waits for its device, which is there", func(t *testing.T) *rig {
			r := offered(t)
			r.greeted()
			return r
		}, time.Hour, 2 * time.Hour, true},
		{"it is parked", func(t *testing.T) *rig {
			r, _ := parked(t, event.Park{Gated: true})
			return r
		}, time.Hour, time.Hour, false},
		{"it is parked, and its time is long over", func(t *testing.T) *rig {
			r, _ := parked(t, event.Park{Gated: true})
			return r
		}, time.Hour, 4 * time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.rig(t)
			r.open = []workflow.Open{at(r, c.ago)}
			r.now = r.now.Add(c.later)
			for range workflowMinutes(c.later) { // the hints of before are done
				if _, err := r.ticker(&bell{}).Tick(t.Context(), "x", time.Time{}); err != nil {
					t.Fatal(err)
				}
			}
			b := &bell{}
			out, err := r.ticker(b).Tick(t.Context(), "x", time.Time{})
			r.must(err)
			if (out.Lost == 1) != c.lost || len(b.woken) != out.Lost+out.Due {
				t.Errorf("%+v, woken %+v", out, b.woken)
			}
			if c.lost && !b.woken[len(b.woken)-1].Lost {
				t.Errorf("woken %+v", b.woken)
			}
		})
	}

	r := newRig(t)
	for i := range 5 {
		r.open = append(r.open, workflow.Open{Thing: event.ThingName(fmt.Sprint("rg-", i)), Owner: fw2})
	}
	for minute, want := range []int{2, 2, 1, 2} {
		if out, err := r.ticker(&bell{}).Tick(t.Context(), "x", time.Time{}); err != nil || out.Lost != want {
			t.Errorf("minute %d: %+v, %v, want %d", minute, out, err, want)
		}
	}
	r.fail["backlog"] = errors.New("throttled")
	if _, err := r.ticker(&bell{}).Tick(t.Context(), "x", time.Time{}); err == nil {
		t.Error("no error")
	}
}

// workflowMinutes is how many ticks catch up on so much.
func workflowMinutes(d time.Duration) int { return int(d / time.Hour) }

// TestRecover: what nobody works on is taken, started, told of, or given back.
func TestRecover(t *testing.T) {
	did := func(t *testing.T, r *rig, want workflow.Start) workflow.Started {
		t.Helper()
		s, err := r.Recover(t.Context(), "rg-1", fw2)
		r.must(err)
		if s.Did != want {
			t.Fatalf("%s, want %s", s.Did, want)
		}
		return s
	}
	r := newRig(t)
	r.greeted()
	did(t, r, workflow.StartForeign) // nothing is next
	r.next = &workflow.Offer{Owner: fw2, Number: 1, Document: doc}
	did(t, r, workflow.StartBegun)
	r.expect("its name was lost", "begin", "start")
	if s := did(t, r, workflow.StartForeign); s.Unreported || r.load().Claim == nil {
		t.Errorf("it runs: %+v", s)
	}
	r.expect("it runs")

	// Its execution is over, and has reported nothing: that is told, each time; a
	// redrive reports it.
	r.running[r.load().Claim.Execution] = false
	if s := did(t, r, workflow.StartForeign); !s.Unreported || r.load().Claim == nil {
		t.Errorf("it ended without a report: %+v", s)
	}
	r.expect("it ended without a report")

	// Its owner has ended it, and nobody heard of that.
	r.over[1] = true
	did(t, r, workflow.StartForeign)
	r.expect("its owner has ended it", "stop Job.TimedOut", "report fw-2 TIMED_OUT Job.TimedOut unreported")
	r.clean("its owner has ended it")

	// The start of one that waited was lost.
	r = newRig(t)
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartPending {
		t.Fatal(s, err)
	}
	r.greeted()
	did(t, r, workflow.StartBegun)
}
