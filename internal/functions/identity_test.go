package functions

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

func TestNobodySpeaksForAnotherThing(t *testing.T) {
	w := newWorld(t, 1)
	victim, rogue := w.agent("cpe-0001"), w.agent("cpe-0002")
	victim.connect()
	rogue.connect()
	w.run()
	if w.refused != 0 {
		t.Fatal("honest greetings were refused")
	}
	boot := usp.Notification{ID: "n", Kind: usp.KindEvent, Path: usp.EventBoot, SendResp: true,
		Params: usp.Boot{}.Params()}.Message()
	record := func(from, to usp.EndpointID) string {
		b, err := usp.NewRecord(from, to, boot).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	greeting, err := usp.NewMQTTConnect(victim.endpoint, controllerID, usprecord.MQTTConnectRecord_V5,
		"usp/v1/agent/cpe-0003").Encode()
	if err != nil {
		t.Fatal(err)
	}
	const own = "usp/v1/controller/self::fleetstep/from/cpe-0002"
	for _, c := range []struct {
		name string
		m    event.DeviceMessage
	}{
		{"another's from_id on its own topic", event.DeviceMessage{Topic: own, ThingName: "cpe-0002",
			ClientID: "cpe-0002", Record: record(victim.endpoint, controllerID)}},
		{"another's topic", event.DeviceMessage{Topic: "usp/v1/controller/self::fleetstep/from/cpe-0001",
			ThingName: "cpe-0001", ClientID: "cpe-0002", Record: record(victim.endpoint, controllerID)}},
		{"topic and thing disagree", event.DeviceMessage{Topic: own, ThingName: "cpe-0001", ClientID: "cpe-0002",
			Record: record(rogue.endpoint, controllerID)}},
		{"another controller", event.DeviceMessage{Topic: own, ThingName: "cpe-0002", ClientID: "cpe-0002",
			Record: record(rogue.endpoint, "self::other")}},
		{"an endpoint that is taken, at first contact",
			event.DeviceMessage{Topic: "usp/v1/controller/self::fleetstep/from/cpe-0003", ThingName: "cpe-0003",
				ClientID: "cpe-0003", Record: base64.StdEncoding.EncodeToString(greeting)}},
		{"garbage", event.DeviceMessage{Topic: own, ThingName: "cpe-0002", ClientID: "cpe-0002", Record: "AAECAw=="}},
		{"not base64", event.DeviceMessage{Topic: own, ThingName: "cpe-0002", ClientID: "cpe-0002", Record: "{}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.refused
			c.m.ReceivedAt = w.now.UnixMilli()
			out := w.devices.take(context.Background(), []event.DeviceMessage{c.m})[0]
			if out.Err != nil || out.Did != "refused" || w.refused != before+1 {
				t.Errorf("got %+v, %d refusals", out, w.refused-before)
			}
		})
	}
}

// say hands a record of a thing's agent, which claims to be an endpoint, to
// handle-device-message, and tells whether it was refused.
func (w *world) claim(thing event.ThingName, r *usp.Record) (refused bool) {
	w.t.Helper()
	b, err := r.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
	if a := w.agents[thing]; a == nil || a.deaf { // what is asked of it is lost
		w.agents[thing] = &agent{endpoint: r.From, deaf: true}
	}
	out := w.devices.take(context.Background(), []event.DeviceMessage{{
		Topic: w.topics.Controller.Expand(string(thing), controllerID), ThingName: string(thing),
		ClientID: string(thing),
		Record:   base64.StdEncoding.EncodeToString(b), ReceivedAt: w.now.UnixMilli(),
	}})[0]
	if out.Err != nil {
		w.t.Fatal(out.Err)
	}
	return out.Did == "refused"
}

func (w *world) greets(thing event.ThingName, endpoint usp.EndpointID) (refused bool) {
	return w.claim(thing, usp.NewMQTTConnect(endpoint, controllerID, usprecord.MQTTConnectRecord_V5, "usp/v1/agent/"+
		string(thing)))
}

func (w *world) endpointOf(thing event.ThingName) usp.EndpointID {
	d, err := w.store.Load(context.Background(), thing)
	if err != nil {
		w.t.Fatal(err)
	}
	return usp.EndpointID(d.State.Endpoint)
}

func TestTheRegistrySaysWhoseAnEndpointIs(t *testing.T) {
	const a, b, c = usp.EndpointID("os::012345-A"), usp.EndpointID("os::012345-B"), usp.EndpointID("os::012345-C")
	type greeting struct {
		thing   event.ThingName
		as      usp.EndpointID
		refused bool
	}
	for _, row := range []struct {
		name  string
		says  map[event.ThingName]event.EndpointID
		then  []greeting
		leave map[event.ThingName]usp.EndpointID
	}{
		{"a thing is what the registry says", map[event.ThingName]event.EndpointID{"x": "os::012345-A"},
			[]greeting{{"x", b, true}, {"x", a, false}, {"x", b, true}, {"x", a, false}},
			map[event.ThingName]usp.EndpointID{"x": a}},
		{"before its own device was ever heard", map[event.ThingName]event.EndpointID{"x": "os::012345-A",
			"y": "os::012345-B"},
			[]greeting{{"y", a, true}, {"x", a, false}, {"y", b, false}}, map[event.ThingName]usp.EndpointID{
				"x": a, "y": b,
			}},
		{"without a word in the registry the first greeting counts", nil,
			[]greeting{{"x", a, false}, {"y", a, true}, {"x", b, true}, {"y", b, false}, {"x", a, false}},
			map[event.ThingName]usp.EndpointID{"x": a, "y": b}},
		{"the registry wins over a first greeting", map[event.ThingName]event.EndpointID{"x": "os::012345-A"},
			[]greeting{{"y", a, false}, {"x", a, false}, {"y", a, true}, {"y", b, false}},
			map[event.ThingName]usp.EndpointID{"x": a, "y": b}},
		{"one endpoint for two things", map[event.ThingName]event.EndpointID{"x": "os::012345-A", "y": "os::012345-A"},
			[]greeting{{"x", a, false}, {"y", a, true}, {"x", a, false}}, map[event.ThingName]usp.EndpointID{
				"x": a, "y": "",
			}},
		{"a name that could be encoded twice", map[event.ThingName]event.EndpointID{
			"x": event.EndpointOfAttribute("os::012345-A@2D1"),
		},
			[]greeting{{"x", "os::012345-A%2D1", false}, {"y", "os::012345-A%2d1", false}},
			map[event.ThingName]usp.EndpointID{"x": "os::012345-A%2D1", "y": "os::012345-A%2d1"}},
		{"nobody", nil, []greeting{{"x", c, false}}, map[event.ThingName]usp.EndpointID{"x": c}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1)
			for thing, endpoint := range row.says {
				w.things[thing] = endpoint
			}
			for i, g := range row.then {
				if refused := w.greets(g.thing, g.as); refused != g.refused {
					t.Errorf("%d: %s as %s: refused %t", i, g.thing, g.as, refused)
				}
			}
			for thing, endpoint := range row.leave {
				if got := w.endpointOf(thing); got != endpoint {
					t.Errorf("%s is %q, want %q", thing, got, endpoint)
				}
			}
		})
	}
}

// A device that gets another board, and one that moves to another thing: the
// operator changes the registry, and the next greeting follows it.
func TestAnEndpointMovesWithTheRegistry(t *testing.T) {
	const a, b = usp.EndpointID("os::012345-A"), usp.EndpointID("os::012345-B")
	w := newWorld(t, 1)
	w.things["x"] = event.EndpointID(a)
	if w.greets("x", a) {
		t.Fatal("refused")
	}
	w.things["x"] = event.EndpointID(b)
	if w.greets("x", b) || w.endpointOf("x") != b {
		t.Error("the new board is not known")
	}
	w.things["y"] = event.EndpointID(a)
	if w.greets("y", a) || w.endpointOf("y") != a {
		t.Error("the old board is not known as the other thing")
	}
	w.things["x"], w.things["y"] = event.EndpointID(a), ""
	if w.greets("x", a) || w.endpointOf("x") != a || w.endpointOf("y") != "" {
		t.Errorf("x is %s, y is %s", w.endpointOf("x"), w.endpointOf("y"))
	}
	if !w.greets("y", a) {
		t.Error("two things are one endpoint")
	}
}

// Whatever things say in whatever order: no thing is an endpoint that the
// registry gives to another which has greeted as it, no two things are one
// endpoint, and a thing that says what the registry says is heard.
func TestNobodyTakesAnEndpoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, 1)
		things := []event.ThingName{"x", "y", "z"}
		endpoints := []event.EndpointID{"os::012345-A", "os::012345-B", "os::012345-C"}
		for i, thing := range things {
			if rapid.Bool().Draw(rt, "registered "+string(thing)) {
				w.things[thing] = endpoints[i]
			}
		}
		proved := map[event.ThingName]bool{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			thing, as := rapid.SampledFrom(things).Draw(rt, "thing"), rapid.SampledFrom(endpoints).Draw(rt, "endpoint")
			boots := rapid.Bool().Draw(rt, "without a greeting")
			record := usp.NewMQTTConnect(usp.EndpointID(as), controllerID, usprecord.MQTTConnectRecord_V5,
				"usp/v1/agent/"+string(thing))
			if boots {
				record = usp.NewRecord(usp.EndpointID(as), controllerID, usp.Notification{ID: "n", Kind: usp.KindEvent,
					Path: usp.EventBoot, Params: usp.Boot{}.Params()}.Message())
			}
			refused := w.claim(thing, record)
			says := w.things[thing]
			switch {
			case says != "" && says != as && !refused:
				rt.Fatalf("%s is heard as %s, although the registry says %s", thing, as, says)
			case says == as && refused:
				rt.Fatalf("%s is refused as %s, which the registry says", thing, as)
			}
			proved[thing] = proved[thing] || says == as
			owners := map[usp.EndpointID]event.ThingName{}
			for i, thing := range things {
				e := w.endpointOf(thing)
				if other := owners[e]; e != "" && other != "" {
					rt.Fatalf("%s and %s are %s", thing, other, e)
				}
				owners[e] = thing
				if proved[thing] && e != usp.EndpointID(endpoints[i]) {
					rt.Fatalf("%s has proved that it is %s, and is now %q", thing, endpoints[i], e)
				}
			}
		}
	})
}

func TestARogueTouchesNobodysUpgrade(t *testing.T) {
	w := newWorld(t, 3)
	a, rogue := w.agent("cpe-0001"), w.agent("cpe-0002")
	a.online = true
	a.connect()
	rogue.connect()
	a.onDownload = func(finish func()) {
		// The rogue claims that the victim's download has failed.
		key := event.StepKey(event.ExecutionName(event.JobOwner("job"), "cpe-0001", 1, 0), upgrade.Download, 1)
		rogue.forge = a.endpoint
		rogue.send(usp.Notification{ID: "x", Kind: usp.KindOperationComplete, Path: usp.FirmwareImage(2) +
			usp.CommandDownload, CommandKey: key,
			Failure: usp.CommandFailure.Errorf("forged")}.Message())
		// And then as itself, with the victim's key.
		rogue.forge = ""
		rogue.send(usp.Notification{ID: "y", Kind: usp.KindOperationComplete, Path: usp.FirmwareImage(2) +
			usp.CommandDownload, CommandKey: key,
			Failure: usp.CommandFailure.Errorf("forged")}.Message())
		w.after(10*time.Second, finish)
	}
	w.offer(a.thing, "job", 1, document())
	w.run()
	if s := w.status[executionKey(a.thing, "job", 1)]; s != event.StatusSucceeded || w.refused == 0 {
		t.Errorf("status %s, %d refused", s, w.refused)
	}
}

// A retry of a job: the first attempt's end is told late, when the second runs.
func TestALateEndSparesTheNextAttempt(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		w.mixed = true
		a := w.agent("cpe-0001")
		a.online = true
		a.connect()
		first := true
		a.onDownload = func(finish func()) {
			if !first {
				w.after(10*time.Second, finish)
				return
			}
			first = false
			w.after(5*time.Second, func() {
				w.status[executionKey(a.thing, "job", 1)] = event.StatusTimedOut
				a.requests = map[int]running2{}
				w.offer(a.thing, "job", 2, document())
				w.soon(func() { w.cancel(a.thing, "job", 1, event.StatusTimedOut, event.JobTimedOut) })
				w.after(3*time.Second, func() { w.cancel(a.thing, "job", 1, event.StatusTimedOut, event.JobTimedOut) })
			})
		}
		w.offer(a.thing, "job", 1, document())
		w.run()
		x1, x2 := w.execs[event.ExecutionName(event.JobOwner("job"), a.thing, 1, 0)],
			w.execs[event.ExecutionName(event.JobOwner("job"), a.thing, 2, 0)]
		if s := w.status[executionKey(a.thing, "job", 2)]; s != event.StatusSucceeded || x1.over == "" ||
			x2.over != "SUCCEEDED" {
			t.Errorf("seed %d: attempt 2 is %s, executions %q, %q: %+v", seed, s, x1.over, x2.over, w.outcome[a.thing])
		}
		if left := w.store.Residue(); len(left) > 0 {
			t.Errorf("seed %d: left behind: %v", seed, left)
		}
	}
}

func TestAnotherJobWaitsForTheDevice(t *testing.T) {
	w := newWorld(t, 1)
	a := w.agent("cpe-0001")
	a.online = true
	a.connect()
	w.offer(a.thing, "job", 1, document())
	w.after(5*time.Second, func() { w.offer(a.thing, "other", 1, document()) })
	// AWS IoT names it again when the first is over
	w.after(time.Hour, func() { w.offer(a.thing, "other", 1, document()) })
	w.run()
	if s := w.status[executionKey(a.thing, "job", 1)]; s != event.StatusSucceeded || a.downloads != 1 {
		t.Errorf("the first job is %s after %d downloads", s, a.downloads)
	}
	if o := w.outcome[a.thing]; o.Job != "other" || o.Reason != upgrade.UpgradeUpToDate {
		t.Errorf("the other job: %+v", o)
	}
	if left := w.store.Residue(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
