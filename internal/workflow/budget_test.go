package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// risk is a campaign with a budget whose devices are led by chance.
type risk struct {
	*rig
	t      *rapid.T
	owner  event.Owner
	budget int
	tokens int
	sent   map[event.ThingName]bool // what puts them in danger, and they are not given back
	parks  map[event.ThingName]bool // their execution is to end by being parked
}

var errCrash = errors.New("it died here")

// crashing makes a call that may die before a request to the table, or after it.
func (k *risk) crashing(call func() error) {
	at, after := rapid.IntRange(-6, 5).Draw(k.t, "crash"), rapid.Bool().Draw(k.t, "after")
	n := 0
	die := func(string) error {
		if n++; n-1 == at {
			return errCrash
		}
		return nil
	}
	if after {
		k.store.After = die
	} else {
		k.store.Before = die
	}
	if err := call(); err != nil && !errors.Is(err, errCrash) && !errors.Is(err, workflow.ErrGone) {
		k.t.Fatal(err)
	}
	k.store.Before, k.store.After = nil, nil
	k.look()
}

// look compares what devices were sent with what is counted.
func (k *risk) look() {
	for _, line := range k.log {
		if thing, ok := strings.CutSuffix(line, " reset"); ok {
			k.sent[event.ThingName(strings.TrimPrefix(thing, "send "))] = true
		}
		if strings.Contains(line, string(event.NextPark)) {
			k.parks[event.ThingName(strings.Fields(line)[1][:4])] = true
		}
	}
	k.log = nil
	for thing := range k.sent {
		if k.device(thing).Claim == nil {
			delete(k.sent, thing)
		}
	}
	n, err := k.store.InDanger(k.t.Context(), fall, 1)
	if err != nil || n > k.budget || len(k.sent) > n {
		k.t.Fatalf("%v: %d devices count as in danger, %d are, and %d may be", err, n, len(k.sent), k.budget)
	}
}

func (k *risk) device(thing event.ThingName) workflow.Device {
	d, err := k.store.Load(k.t.Context(), thing)
	if err != nil {
		k.t.Fatal(err)
	}
	return d
}

func (k *risk) some() event.ThingName {
	return event.ThingName(fmt.Sprintf("rg-%d", rapid.IntRange(1, 5).Draw(k.t, "device")))
}

// input is that of the execution that has a device.
func (k *risk) input(thing event.ThingName) (in event.ExecutionInput, ok bool) {
	c := k.device(thing).Claim
	if c == nil {
		return in, false
	}
	return event.NewExecutionInput(k.owner, thing, c.ExecutionNumber, operation, event.Plan{Document: doc}).
		InLap(c.Lap, nil), true
}

// end ends the execution of a device, parked or for good.
func (k *risk) end(thing event.ThingName) {
	in, ok := k.input(thing)
	if !ok {
		return
	}
	now := func() time.Time { return k.now }
	k.crashing(func() error {
		if k.parks[thing] {
			w := workflow.Parker{Store: k.store, Now: now}
			_, _, err := w.Park(k.t.Context(), in, event.Park{Seconds: 60, Resume: json.RawMessage(`{}`)})
			return err
		}
		_, _, err := (&workflow.Releaser{Store: k.store, Flows: k.Starter.Flows, Now: now}).Release(k.t.Context(),
			event.FinalizeInput{Input: in})
		return err
	})
	if k.device(thing).Claim == nil {
		k.running[in.Execution] = false
		delete(k.parks, thing)
	}
}

// TestTheBudgetIsNeverExceeded, whatever devices do, however they come to their command, and wherever a function dies:
// at no moment are more of them sent what puts them in danger, and not at their end, than may be. And there is room
// again when they are.
func TestTheBudgetIsNeverExceeded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r, carrier, _ := counting(t)
		k := &risk{rig: r, t: rt, owner: event.CampaignOwner(fall), budget: rapid.IntRange(1, 3).Draw(rt, "budget"),
			sent: map[event.ThingName]bool{}, parks: map[event.ThingName]bool{}}
		var all []workflow.Entrant
		for i := range 5 {
			e := entrant(event.ThingName(fmt.Sprintf("rg-%d", i+1)))
			e.Standing.Budget = k.budget
			all = append(all, e)
			r.must(r.store.Bind(rt.Context(), e.Thing, workflow.Greeting{Endpoint: event.EndpointID("os::" + e.Thing),
				At: r.now}, workflow.Binding{}))
		}
		if n, _, err := carrier.Admit(rt.Context(), all, 0); err != nil || n != 5 {
			rt.Fatal(n, err)
		}
		wake := func(thing event.ThingName) {
			k.crashing(func() error {
				_, err := r.Wake(rt.Context(), thing, k.owner)
				return err
			})
		}
		command := event.Move{Send: "reset", Once: true, Danger: true, State: memory}
		register := func(thing event.ThingName, m event.Move) {
			in, ok := k.input(thing)
			if !ok || k.parks[thing] {
				return
			}
			k.tokens++
			r.begin = m
			token := event.TaskToken(fmt.Sprintf("%s token %d", thing, k.tokens))
			k.crashing(func() error {
				_, err := r.Await(rt.Context(), step(in, second, token))
				return err
			})
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":     func(*rapid.T) {},
			"wake": func(*rapid.T) { wake(k.some()) },
			"a step begins with its command": func(*rapid.T) {
				register(k.some(), command)
			},
			"a step looks first": func(*rapid.T) {
				register(k.some(), event.Move{Send: "look", Danger: true, State: memory})
			},
			"a step of before the budget looks first": func(*rapid.T) {
				register(k.some(), event.Move{Send: "look", State: memory})
			},
			"news makes a step send its command": func(*rapid.T) {
				thing := k.some()
				d := k.device(thing)
				if d.Claim == nil || k.parks[thing] {
					return
				}
				r.says[event.KindBooted] = command
				ev := booted
				ev.Thing = thing
				k.crashing(func() error {
					_, err := r.Deliver(rt.Context(), d, ev, nothing)
					return err
				})
			},
			"end":  func(*rapid.T) { k.end(k.some()) },
			"time": func(*rapid.T) { r.now = r.now.Add(10 * time.Minute) },
		})
		for i := range 5 {
			for range 20 {
				k.end(event.ThingName(fmt.Sprintf("rg-%d", i+1)))
			}
		}
		if n, err := r.store.InDanger(rt.Context(), fall, 1); err != nil || n != 0 {
			rt.Fatalf("%d devices are in danger at their end, %v", n, err)
		}
	})
}

// TestADeviceWithoutRoomWaits: it is parked before its command, does not begin in vain, and goes on when there is
// room.
func TestADeviceWithoutRoomWaits(t *testing.T) {
	r, carrier, _ := counting(t)
	owner := event.CampaignOwner(fall)
	var all []workflow.Entrant
	for _, thing := range []event.ThingName{"rg-1", "rg-2"} {
		e := entrant(thing)
		e.Standing.Budget = 1
		all = append(all, e)
		g := workflow.Greeting{Endpoint: event.EndpointID("os::" + thing), At: r.now}
		r.must(r.store.Bind(t.Context(), thing, g, workflow.Binding{}))
	}
	_, _, err := carrier.Admit(t.Context(), all, 0)
	r.must(err)
	wake := func(thing event.ThingName, want workflow.Start) {
		t.Helper()
		if s, err := r.Wake(t.Context(), thing, owner); err != nil || s.Did != want {
			t.Fatal(s, err)
		}
	}
	in := func(thing event.ThingName, lap int) event.ExecutionInput {
		return event.NewExecutionInput(owner, thing, 1, operation, event.Plan{Document: doc}).InLap(lap, nil)
	}
	wake("rg-2", workflow.StartBegun)
	wake("rg-1", workflow.StartBegun)
	r.log = nil
	r.begin = event.Move{Send: "reset", Once: true, Danger: true, State: memory}
	for _, thing := range []event.ThingName{"rg-2", "rg-1"} {
		_, err = r.Await(t.Context(), step(in(thing, 0), second, event.TaskToken(thing)))
		r.must(err)
	}
	r.expect("one has room", "send rg-2 reset", "fail rg-1 Next.Park")
	r.park(in("rg-1", 0), event.Park{Seconds: 180})
	r.counts(map[event.StandState]int{event.StandRunning: 1, event.StandWaiting: 1})
	r.now = r.now.Add(10 * time.Minute)
	wake("rg-1", workflow.StartWaiting)
	if p := r.load().Pending[0]; p.NotBefore.Before(r.now.Add(3*time.Minute)) || p.NotBefore.After(r.now.Add(
		8*time.Minute)) || len(r.store.Hints()) == 0 {
		t.Errorf("at %s it waits until %s, hints %+v", r.now, p.NotBefore, r.store.Hints())
	}
	_, _, err = r.releaser().Release(t.Context(), event.FinalizeInput{Input: in("rg-2", 0)})
	r.must(err)
	r.now = r.now.Add(10 * time.Minute)
	r.log = nil
	wake("rg-1", workflow.StartBegun)
	_, err = r.Await(t.Context(), step(in("rg-1", 1), second, "again"))
	r.must(err)
	r.expect("there is room", "start", "send rg-1 reset")
}
