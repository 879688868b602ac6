package iotdataplane_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
)

// limited is a world with AWS's limits.
func limited(t testing.TB) *world {
	w := newWorld(t)
	w.limits = iotdataplane.AWSLimits
	w.restart()
	return w
}

// send publishes and says what came of it: "", "discarded" or the reason of a refusal.
func send(c *iotdataplane.Connection, topic string, size int, qos byte) string {
	err := c.Publish(ctx, iotdataplane.Message{Topic: topic, Payload: make([]byte, size), QoS: qos})
	switch r, refused := errors.AsType[*iotdataplane.Refusal](err); {
	case errors.Is(err, iotdataplane.ErrDiscarded):
		return "discarded"
	case refused:
		return r.Reason
	case err != nil:
		return err.Error()
	}
	return ""
}

func TestPublishesBeyondTheRateAreDiscarded(t *testing.T) {
	w := limited(t)
	w.connect("dev")
	outcomes := map[string]int{}
	for range 250 {
		outcomes[send(w.conns["dev"], "a", 10, 1)]++
	}
	if outcomes[""] != 100 || outcomes["discarded"] != 150 {
		t.Errorf("at once: %v", outcomes)
	}
	w.sched.RunFor(time.Second)
	if got := send(w.conns["dev"], "a", 10, 1); got != "" {
		t.Errorf("a second later: %s", got)
	}
	if w.counts["PublishIn.Throttle"] != 150 || w.counts["Throttle.Exceeded"] != 1 {
		t.Errorf("metrics %v", w.counts)
	}
	list := w.svc.Throttled()
	if len(list) != 1 || list[0].ClientID != "dev" || list[0].Discarded != 150 || list[0].Disconnected != 0 {
		t.Errorf("throttled %+v", list)
	}
}

func TestAFlooderIsDisconnectedAndNamed(t *testing.T) {
	w := limited(t)
	w.connect("quiet")
	w.connect("dev")
	w.connect("watch")
	w.subscribe("watch", "$aws/events/presence/disconnected/dev")
	accepted, seconds := 0, 0
	reason := ""
	for reason == "" && seconds < 60 {
		for range 500 {
			switch got := send(w.conns["dev"], "flood", 300, 1); got {
			case "":
				accepted++
			case "discarded":
			default:
				reason = got
			}
		}
		seconds++
		if got := send(w.conns["quiet"], "a", 10, 1); got != "" {
			t.Errorf("another client's message: %s", got)
		}
		w.sched.RunFor(time.Second)
	}
	if reason != iotdataplane.ReasonThrottled || seconds != 11 || accepted > 1200 {
		t.Errorf("%s after %d seconds, %d messages accepted", reason, seconds, accepted)
	}
	w.conns["dev"].Lost(ctx, reason) // as the listener does
	w.sched.RunFor(time.Second)
	var event iotdataplane.Presence
	heard := w.got["watch"]
	if len(heard) != 1 {
		t.Fatalf("heard %v", heard)
	}
	_, payload, _ := strings.Cut(heard[0], " ")
	if err := json.Unmarshal([]byte(payload), &event); err != nil || event.DisconnectReason != "THROTTLED" ||
		event.ClientID != "dev" {
		t.Errorf("%v, %+v of %q", err, event, heard[0])
	}
	if list := w.svc.Throttled(); len(list) != 1 || list[0].ClientID != "dev" || list[0].Disconnected != 1 {
		t.Errorf("throttled %+v", list)
	}
}

// Bursts with pauses are no flood, however many there are.
func TestBurstsAreNoFlood(t *testing.T) {
	w := limited(t)
	w.connect("dev")
	for range 30 {
		for range 300 {
			if got := send(w.conns["dev"], "a", 10, 0); got != "" && got != "discarded" {
				t.Fatal(got)
			}
		}
		w.sched.RunFor(2 * time.Second)
	}
}

func TestBytesBeyondTheRateAreDelayed(t *testing.T) {
	w := limited(t)
	w.connect("dev")
	started := w.sched.Now()
	for range 40 { // 5 MiB
		if got := send(w.conns["dev"], "a", 128<<10, 1); got != "" {
			t.Fatal(got)
		}
	}
	if took := w.sched.Now().Sub(started); took < 8*time.Second || took > 10*time.Second {
		t.Errorf("5 MiB at 512 KiB a second took %v", took)
	}
}

func TestMessagesToAClientBeyondTheRateAreDiscarded(t *testing.T) {
	w := limited(t)
	w.connect("slow")
	w.subscribe("slow", "fan")
	w.connect("kept", persistent)
	w.subscribe("kept", "fan")
	for i := range 4 {
		w.connect(fmt.Sprint("dev", i))
		for n := range 60 {
			w.publish(fmt.Sprint("dev", i), "fan", fmt.Sprint(i*60+n))
		}
	}
	w.sched.RunFor(time.Second)
	if n := len(w.got["slow"]); n < 100 || n > 110 {
		t.Errorf("240 at once: the client got %d", n)
	}
	if w.counts["PublishOut.Throttle"] == 0 {
		t.Errorf("metrics %v", w.counts)
	}
	// What a persistent session has stored comes later, each message once.
	w.sched.RunFor(time.Minute)
	got := slices.Clone(w.got["kept"])
	slices.Sort(got)
	if len(got) != 240 || len(slices.Compact(got)) != 240 {
		t.Errorf("the persistent session got %d", len(got))
	}
}

func TestSubscriptionsAreLimited(t *testing.T) {
	w := limited(t)
	w.connect("dev")
	c := w.conns["dev"]
	for i := range 50 {
		w.subscribe("dev", fmt.Sprint("f/", i))
	}
	w.subscribe("dev", "f/7") // known: it takes no room
	results, err := c.Subscribe(ctx, iotdataplane.Subscription{Filter: "f/3"},
		iotdataplane.Subscription{Filter: "more"}, iotdataplane.Subscription{Filter: "f/4"})
	if err != nil {
		t.Fatal(err)
	}
	r, refused := errors.AsType[*iotdataplane.Refusal](results[1])
	if results[0] != nil || !refused || r.Reason != iotdataplane.ReasonThrottled ||
		r.Code != iotdataplane.RefusedQuota {
		t.Errorf("results %v", results)
	}
	if w.counts["Subscribe.Throttle"] != 1 {
		t.Errorf("metrics %v", w.counts)
	}
}

func TestAClientIDConnectsOnceASecond(t *testing.T) {
	w := limited(t)
	w.connect("dev")
	options := iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: "dev", SourceIP: "192.0.2.1"}}
	_, err := w.svc.Connect(ctx, iotdataplane.Client{Options: options})
	if r, ok := errors.AsType[*iotdataplane.Refusal](err); !ok || r.Code != iotdataplane.RefusedConnectRate ||
		w.counts["Connect.Throttle"] != 1 {
		t.Errorf("at once: %v, %v", err, w.counts)
	}
	w.publish("dev", "a", "still there") // the connection that is open stays
	w.sched.RunFor(time.Second)
	if _, err := w.svc.Connect(ctx, iotdataplane.Client{Options: options}); err != nil {
		t.Errorf("a second later: %v", err)
	}
}
