package functions

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
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
	boot := usp.Notification{ID: "n", Kind: usp.KindEvent, Path: usp.EventBoot, SendResp: true, Params: usp.Boot{}.Params()}.Message()
	record := func(from, to usp.EndpointID) string {
		b, err := usp.NewRecord(from, to, boot).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	greeting, err := usp.NewMQTTConnect(victim.endpoint, controllerID, usprecord.MQTTConnectRecord_V5, "usp/v1/agent/cpe-0003").Encode()
	if err != nil {
		t.Fatal(err)
	}
	const own = "usp/v1/controller/self::fleetstep/from/cpe-0002"
	for _, c := range []struct {
		name string
		m    event.DeviceMessage
	}{
		{"another's from_id on its own topic", event.DeviceMessage{Topic: own, ThingName: "cpe-0002", ClientID: "cpe-0002", Record: record(victim.endpoint, controllerID)}},
		{"another's topic", event.DeviceMessage{Topic: "usp/v1/controller/self::fleetstep/from/cpe-0001", ThingName: "cpe-0001", ClientID: "cpe-0002", Record: record(victim.endpoint, controllerID)}},
		{"topic and thing disagree", event.DeviceMessage{Topic: own, ThingName: "cpe-0001", ClientID: "cpe-0002", Record: record(rogue.endpoint, controllerID)}},
		{"another controller", event.DeviceMessage{Topic: own, ThingName: "cpe-0002", ClientID: "cpe-0002", Record: record(rogue.endpoint, "self::other")}},
		{"an endpoint that is taken, at first contact", event.DeviceMessage{Topic: "usp/v1/controller/self::fleetstep/from/cpe-0003", ThingName: "cpe-0003", ClientID: "cpe-0003", Record: base64.StdEncoding.EncodeToString(greeting)}},
		{"garbage", event.DeviceMessage{Topic: own, ThingName: "cpe-0002", ClientID: "cpe-0002", Record: "AAECAw=="}},
		{"not base64", event.DeviceMessage{Topic: own, ThingName: "cpe-0002", ClientID: "cpe-0002", Record: "{}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.refused
			c.m.ReceivedAt = w.now.UnixMilli()
			out, err := w.devices.handle(context.Background(), c.m)
			if err != nil || out.Did != "refused" || w.refused != before+1 {
				t.Errorf("got %+v, %v, %d refusals", out, err, w.refused-before)
			}
		})
	}
}

func TestARogueTouchesNobodysUpgrade(t *testing.T) {
	w := newWorld(t, 3)
	a, rogue := w.agent("cpe-0001"), w.agent("cpe-0002")
	a.online = true
	a.connect()
	rogue.connect()
	a.onDownload = func(finish func()) {
		// The rogue claims that the victim's download has failed.
		key := event.StepKey(event.ExecutionName("job", "cpe-0001", 1), event.StepDownload, 1)
		rogue.forge = a.endpoint
		rogue.say(usp.Notification{ID: "x", Kind: usp.KindOperationComplete, Path: usp.FirmwareImage(2) + usp.CommandDownload, CommandKey: key,
			Failure: usp.CommandFailure.Errorf("forged")}.Message())
		// And then as itself, with the victim's key.
		rogue.forge = ""
		rogue.say(usp.Notification{ID: "y", Kind: usp.KindOperationComplete, Path: usp.FirmwareImage(2) + usp.CommandDownload, CommandKey: key,
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
		x1, x2 := w.execs[event.ExecutionName("job", a.thing, 1)], w.execs[event.ExecutionName("job", a.thing, 2)]
		if s := w.status[executionKey(a.thing, "job", 2)]; s != event.StatusSucceeded || x1.over == "" || x2.over != "SUCCEEDED" {
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
	w.after(time.Hour, func() { w.offer(a.thing, "other", 1, document()) }) // AWS IoT names it again when the first is over
	w.run()
	if s := w.status[executionKey(a.thing, "job", 1)]; s != event.StatusSucceeded || a.downloads != 1 {
		t.Errorf("the first job is %s after %d downloads", s, a.downloads)
	}
	if o := w.outcome[a.thing]; o.JobID != "other" || o.Reason != event.UpgradeUpToDate {
		t.Errorf("the other job: %+v", o)
	}
	if left := w.store.Residue(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
