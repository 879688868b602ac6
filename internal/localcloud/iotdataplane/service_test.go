package iotdataplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var ctx = context.Background()

// world is a data plane in virtual time, with clients that remember.
type world struct {
	t     testing.TB
	sched *scheduler.Scheduler
	db    *store.DB
	svc   *iotdataplane.Service
	got   map[string][]string
	ends  map[string]string
	conns map[string]*iotdataplane.Connection

	counts counts
	limits iotdataplane.Limits
}

type counts map[string]int

func (c counts) Count(metric string) { c[metric]++ }

type devices struct{ deny map[string]bool }

func (d devices) Authenticate(_ context.Context, h iotdataplane.Hello) (iotdataplane.Principal, error) {
	if h.Username == "stranger" {
		return iotdataplane.Principal{}, errors.New("unknown certificate")
	}
	return iotdataplane.Principal{ID: "cert-" + h.ClientID, ThingName: h.ClientID}, nil
}

func (d devices) Authorize(_ context.Context, p iotdataplane.Principal, action, resource string) error {
	if d.deny[action+" "+resource] {
		return errors.New("denied")
	}
	return nil
}

func newWorld(t testing.TB, deny ...string) *world {
	w := &world{t: t, sched: scheduler.NewVirtual(1, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)),
		db:     store.Memory(),
		counts: counts{}, got: map[string][]string{}, ends: map[string]string{},
		conns: map[string]*iotdataplane.Connection{}}
	w.restart(deny...)
	return w
}

func (w *world) restart(deny ...string) {
	w.sched.RunFor(time.Millisecond) // nothing restarts in no time
	d := devices{map[string]bool{}}
	for _, x := range deny {
		d.deny[x] = true
	}
	svc, err := iotdataplane.New(iotdataplane.Config{
		Platform: platform.Platform{Scheduler: w.sched, Store: w.db, Account: "123456789012", Region: "us-east-1"},
		Devices:  d, Reserved: jobs{}, Metrics: w.counts, Limits: w.limits,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.svc = svc
	if err := svc.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) connect(id string, set ...func(*iotdataplane.Client)) *iotdataplane.Connection {
	w.t.Helper()
	c := iotdataplane.Client{
		Options:   iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: id, SourceIP: "192.0.2.1"}},
		OnMessage: func(_ *iotdataplane.Connection, m iotdataplane.Message) { w.hear(id, m) },
		OnEnd:     func(reason string) { w.ends[id] = reason },
	}
	for _, f := range set {
		f(&c)
	}
	conn, err := w.svc.Connect(ctx, c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.conns[id] = conn
	return conn
}

func (w *world) hear(id string, m iotdataplane.Message) {
	text := m.Topic + " " + string(m.Payload)
	if m.Retain {
		text += " (retained)"
	}
	w.got[id] = append(w.got[id], text)
}

func (w *world) subscribe(id string, filters ...string) {
	w.t.Helper()
	for _, f := range filters {
		results, err := w.conns[id].Subscribe(ctx, iotdataplane.Subscription{Filter: f, QoS: 1})
		if err == nil {
			err = results[0]
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) publish(id, topic, payload string) {
	w.t.Helper()
	if err := w.conns[id].Publish(ctx, iotdataplane.Message{Topic: topic, Payload: []byte(payload), QoS: 1}); err !=
		nil {
		w.t.Fatal(err)
	}
}

func (w *world) expect(id string, want ...string) {
	w.t.Helper()
	w.sched.RunFor(10 * time.Second)
	if got := strings.Join(w.got[id], "\n"); got != strings.Join(want, "\n") {
		w.t.Errorf("client %s got\n%s\nwant\n%s", id, got, strings.Join(want, "\n"))
	}
	w.got[id] = nil
}

func persistent(c *iotdataplane.Client) { c.SessionExpiry = time.Hour }

// jobs answers requests of the form $aws/things/T/jobs/get.
type jobs struct{}

func (jobs) Handle(_ context.Context, c iotdataplane.Asker, m iotdataplane.Message, reply func(string, []byte)) bool {
	if !strings.HasSuffix(m.Topic, "/jobs/get") {
		return false
	}
	reply(m.Topic+"/accepted", []byte(c.ClientID))
	return true
}

func TestMessagesReachSubscribers(t *testing.T) {
	w := newWorld(t)
	w.connect("a")
	w.connect("b")
	w.subscribe("a", "x/+", "x/#")
	w.publish("b", "x/1", "hello")
	w.publish("b", "x", "parent") // "x/#" does not match it on AWS
	w.expect("a", "x/1 hello")
	if _, err := w.conns["a"].Unsubscribe(ctx, "x/+", "x/#"); err != nil {
		t.Fatal(err)
	}
	w.publish("b", "x/1", "late")
	w.expect("a")
}

func TestReservedTopicsAnswerTheAskerOnly(t *testing.T) {
	w := newWorld(t)
	w.connect("a")
	w.connect("spy")
	w.subscribe("spy", "$aws/things/+/jobs/#")
	w.publish("a", "$aws/things/t/jobs/get", "{}")
	w.expect("a", "$aws/things/t/jobs/get/accepted a")
	w.expect("spy", "$aws/things/t/jobs/get {}") // requests are visible, answers are not
	w.publish("a", "$aws/things/t/shadow/get", "{}")
	w.expect("a", `$aws/things/t/shadow/get/rejected {"code":501,"message":"the local cloud does not implement thing shadows"}`)
	for _, topic := range []string{"$aws/events/presence/connected/a", "$aws/things/t/jobs/notify-next",
		"$aws/things/t/jobs/get/accepted", "$SYS/x"} {
		err := w.conns["a"].Publish(ctx, iotdataplane.Message{Topic: topic})
		if r, ok := errors.AsType[*iotdataplane.Refusal](err); !ok || r.Reason != iotdataplane.ReasonAuthError {
			t.Errorf("publish to %s: %v", topic, err)
		}
	}
}

func TestRetainedMessages(t *testing.T) {
	w := newWorld(t)
	c := w.connect("a")
	if err := c.Publish(ctx, iotdataplane.Message{Topic: "cfg/1", Payload: []byte("v1"), Retain: true}); err != nil {
		t.Fatal(err)
	}
	w.restart() // retained messages survive
	w.connect("b")
	w.subscribe("b", "cfg/+") // no retained messages for wildcards
	w.expect("b")
	w.subscribe("b", "cfg/1")
	w.expect("b", "cfg/1 v1 (retained)")
	door := awsapi.New(awsapi.Config{Scheduler: w.sched, Account: "123456789012", Region: "us-east-1"})
	door.Add(w.svc.API())
	root := awsapi.RootOf("123456789012")
	var out struct {
		Payload []byte
		QoS     int
	}
	if err := awsapi.CallInto(ctx, door, root, "iotdataplane", "GetRetainedMessage",
		map[string]string{"topic": "cfg/1"}, &out); err != nil || string(out.Payload) != "v1" {
		t.Errorf("GetRetainedMessage: %q, %v", out.Payload, err)
	}
	if _, err := door.Call(ctx, root, "iotdataplane", "Publish", map[string]any{"topic": "cfg/1",
		"retain": true}); err != nil {
		t.Fatal(err)
	}
	err := awsapi.CallInto(ctx, door, root, "iotdataplane", "GetRetainedMessage", map[string]string{"topic": "cfg/1"},
		&out)
	if awsapi.Code(err) != "ResourceNotFoundException" {
		t.Errorf("an empty retained message did not clear: %v", err)
	}
}

func TestStoredMessagesComeTenASecond(t *testing.T) {
	w := newWorld(t)
	w.connect("dev", persistent)
	w.subscribe("dev", "to/dev")
	w.conns["dev"].Lost(ctx, iotdataplane.ReasonConnectionLost)
	w.connect("ctl")
	for range 25 {
		w.publish("ctl", "to/dev", "stored")
	}
	w.connect("dev", persistent)
	w.sched.RunFor(time.Second)
	if n := len(w.got["dev"]); n < 9 || n > 11 {
		t.Errorf("%d in the first second", n)
	}
	w.sched.RunFor(2 * time.Second)
	if n := len(w.got["dev"]); n != 25 {
		t.Errorf("%d of 25", n)
	}
}

func TestPersistentSessionGetsWhatItMissed(t *testing.T) {
	w := newWorld(t)
	w.connect("dev", persistent)
	w.subscribe("dev", "to/dev")
	w.conns["dev"].Lost(ctx, iotdataplane.ReasonConnectionLost)
	w.connect("ctl")
	for i := range 3 {
		w.publish("ctl", "to/dev", fmt.Sprint(i))
	}
	if err := w.conns["ctl"].Publish(ctx, iotdataplane.Message{Topic: "to/dev", Payload: []byte("qos 0")}); err !=
		nil {
		t.Fatal(err)
	}
	if got := w.svc.Residue(ctx); len(got) != 1 || !strings.Contains(got[0], "3 messages wait") {
		t.Errorf("Residue = %q", got)
	}
	w.restart()
	c := w.connect("dev", persistent)
	if !c.SessionPresent() {
		t.Error("the session is gone")
	}
	w.connect("ctl")
	w.publish("ctl", "to/dev", "3")
	w.expect("dev", "to/dev 0", "to/dev 1", "to/dev 2", "to/dev 3")
	if got := w.svc.Residue(ctx); len(got) != 0 {
		t.Errorf("Residue = %q", got)
	}
	// The session ends an hour after the connection.
	c.Lost(ctx, iotdataplane.ReasonConnectionLost)
	w.sched.RunFor(61 * time.Minute)
	w.publish("ctl", "to/dev", "too late")
	if w.connect("dev", persistent).SessionPresent() {
		t.Error("the session outlived its expiry")
	}
	w.expect("dev")
}

func TestSessionThatEndsWithItsNextConnection(t *testing.T) {
	w := newWorld(t)
	w.connect("dev", persistent)
	w.subscribe("dev", "to/dev")
	w.conns["dev"].Leave(ctx, false)
	w.connect("ctl")
	w.publish("ctl", "to/dev", "1")
	if !w.connect("dev").SessionPresent() { // no expiry, but not clean
		t.Error("the session is gone")
	}
	w.expect("dev", "to/dev 1")
	w.conns["dev"].Leave(ctx, false)
	w.restart()
	if w.connect("dev", persistent).SessionPresent() {
		t.Error("the session outlived its connection")
	}
	w.connect("dev", persistent, func(c *iotdataplane.Client) { c.Clean = true })
	w.serve("to/dev", "2")
	w.expect("dev")
	if left := w.svc.Residue(ctx); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func (w *world) serve(topic, payload string) {
	w.t.Helper()
	if err := w.svc.Publish(ctx, iotdataplane.Message{Topic: topic, Payload: []byte(payload), QoS: 1}); err != nil {
		w.t.Fatal(err)
	}
}

func TestTakeoverAndPresence(t *testing.T) {
	w := newWorld(t)
	w.connect("watch")
	w.subscribe("watch", "$aws/events/presence/+/+")
	w.connect("dev", func(c *iotdataplane.Client) {
		c.Will = &iotdataplane.Message{Topic: "will/dev", Payload: []byte("gone")}
	})
	w.subscribe("watch", "will/dev")
	w.connect("dev")
	w.sched.RunFor(time.Second)
	if w.ends["dev"] != iotdataplane.ReasonDuplicateClient {
		t.Errorf("first connection ended with %q", w.ends["dev"])
	}
	w.conns["dev"].Leave(ctx, false)
	w.sched.RunFor(time.Second)
	var story []string
	var sessions []string
	for _, text := range w.got["watch"] {
		topic, payload, _ := strings.Cut(text, " ")
		if topic == "will/dev" {
			story = append(story, text)
			continue
		}
		var e iotdataplane.Presence
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			t.Fatal(err)
		}
		if e.ClientID != "dev" || e.PrincipalIdentifier != "cert-dev" || e.ThingName != "dev" || e.Timestamp == 0 ||
			(e.IPAddress == "") == e.Connected() {
			t.Errorf("event %s", text)
		}
		sessions = append(sessions, e.SessionIdentifier)
		story = append(story, fmt.Sprint(topic, " ", e.VersionNumber, " ", e.DisconnectReason))
	}
	want := []string{
		"$aws/events/presence/connected/dev 0 ",
		"$aws/events/presence/connected/dev 1 ",
		"will/dev gone",
		"$aws/events/presence/disconnected/dev 0 DUPLICATE_CLIENTID",
		"$aws/events/presence/disconnected/dev 1 CLIENT_INITIATED_DISCONNECT",
	}
	if strings.Join(story, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(story, "\n"), strings.Join(want, "\n"))
	}
	if len(sessions) == 4 && (sessions[0] != sessions[2] || sessions[1] != sessions[3] || sessions[0] == sessions[1]) {
		t.Errorf("session identifiers %q", sessions)
	}
}

func TestDeathOfTheProcessIsADisconnect(t *testing.T) {
	w := newWorld(t)
	w.connect("watch", persistent)
	w.subscribe("watch", "$aws/events/presence/disconnected/+", "will/dev")
	w.connect("dev", func(c *iotdataplane.Client) {
		c.Will = &iotdataplane.Message{Topic: "will/dev", Payload: []byte("gone"), QoS: 1}
	})
	w.restart()
	w.connect("watch", persistent)
	w.sched.RunFor(10 * time.Second)
	got := strings.Join(w.got["watch"], "\n")
	if !strings.Contains(got, "will/dev gone") || !strings.Contains(got, `"clientId":"dev"`) || !strings.Contains(got, "SERVER_ERROR") {
		t.Errorf("watch got\n%s", got)
	}
	p, ok, err := w.svc.Connectivity("dev")
	if err != nil || !ok || p.Connected() {
		t.Errorf("Connectivity = %+v %v %v", p, ok, err)
	}
}

func TestDenials(t *testing.T) {
	const iot = "arn:aws:iot:us-east-1:123456789012:"
	w := newWorld(t, "iot:Connect "+iot+"client/evil", "iot:Publish "+iot+"topic/no",
		"iot:Subscribe "+iot+"topicfilter/no/#", "iot:Receive "+iot+"topic/yes/secret")
	for _, h := range []iotdataplane.Hello{{ClientID: "evil"}, {ClientID: "x", Username: "stranger"}, {}} {
		if _, err := w.svc.Connect(ctx, iotdataplane.Client{Options: iotdataplane.Options{Hello: h}}); err == nil {
			t.Errorf("%+v was admitted", h)
		}
	}
	if w.svc.Refused() != 3 {
		t.Errorf("Refused = %d", w.svc.Refused())
	}
	c := w.connect("a")
	if err := c.Publish(ctx, iotdataplane.Message{Topic: "no"}); err == nil {
		t.Error("publish to a denied topic")
	}
	results, err := c.Subscribe(ctx, iotdataplane.Subscription{Filter: "no/#"},
		iotdataplane.Subscription{Filter: "yes/#"})
	if err != nil || results[0] == nil || results[1] != nil {
		t.Errorf("Subscribe = %v, %v", results, err)
	}
	w.publish("a", "yes/open", "1")
	w.publish("a", "yes/secret", "2")
	w.expect("a", "yes/open 1")
	if err := c.Publish(ctx, iotdataplane.Message{Topic: "big", Payload: make([]byte, iotdataplane.MaxPayload+
		1)}); err == nil {
		t.Error("a payload beyond 128 KiB was taken")
	}
	if want := (counts{"Connect.AuthError": 2, "Connect.ClientError": 1, "PublishIn.AuthError": 1,
		"PublishIn.ClientError": 1, "Subscribe.AuthError": 1}); !maps.Equal(w.counts, want) {
		t.Errorf("counted %v, want %v", w.counts, want)
	}
}

func TestSharedSubscriptionsTakeTurns(t *testing.T) {
	w := newWorld(t)
	w.connect("a")
	w.connect("b")
	w.subscribe("a", "$share/g/x/#")
	w.subscribe("b", "$share/g/x/#")
	for i := range 4 {
		w.publish("a", "x/y", fmt.Sprint(i))
	}
	w.sched.RunFor(time.Second)
	if len(w.got["a"]) != 2 || len(w.got["b"]) != 2 {
		t.Errorf("a got %q, b got %q", w.got["a"], w.got["b"])
	}
}

func TestMessageExpiry(t *testing.T) {
	w := newWorld(t)
	w.connect("dev", persistent)
	w.subscribe("dev", "x")
	w.conns["dev"].Lost(ctx, iotdataplane.ReasonConnectionLost)
	w.connect("ctl")
	for _, life := range []uint32{10, 1000} {
		if err := w.conns["ctl"].Publish(ctx, iotdataplane.Message{Topic: "x", Payload: []byte(fmt.Sprint(life)),
			QoS: 1, MessageExpiry: life}); err != nil {
			t.Fatal(err)
		}
	}
	w.sched.RunFor(time.Minute)
	w.connect("dev", persistent)
	w.expect("dev", "x 1000")
}

// TestNothingIsLostOrReordered plays random comings and goings of a persistent
// client, restarts included: it gets every message, in order, perhaps some
// more than once.
func TestNothingIsLostOrReordered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.connect("dev", persistent)
		w.subscribe("dev", "to/dev")
		n := 0
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				w.conns["dev"].Lost(ctx, iotdataplane.ReasonConnectionLost)
			case 1:
				w.connect("dev", persistent)
			case 2:
				w.restart()
			default:
				if err := w.svc.Publish(ctx, iotdataplane.Message{Topic: "to/dev", Payload: []byte(fmt.Sprint(n)),
					QoS: 1}); err != nil {
					rt.Fatal(err)
				}
				n++
			}
			if rapid.Bool().Draw(rt, "run") {
				w.sched.RunFor(time.Duration(rapid.IntRange(0, 300).Draw(rt, "ms")) * time.Millisecond)
			}
		}
		w.connect("dev", persistent)
		w.sched.RunFor(time.Minute)
		next := 0
		for _, text := range w.got["dev"] {
			var i int
			if _, err := fmt.Sscanf(text, "to/dev %d", &i); err != nil {
				rt.Fatal(err)
			}
			if i == next {
				next++
			}
		}
		if next != n {
			rt.Fatalf("%d messages sent, %d came in order: %q", n, next, w.got["dev"])
		}
		if left := w.svc.Residue(ctx); len(left) > 0 {
			rt.Fatalf("left over: %q", left)
		}
	})
}
