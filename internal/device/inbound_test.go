package device_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/recordings"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

func TestCapturedAgentsAreUnderstood(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings.Dir(t, "captures of a real agent", "usp/captures"), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	topics := device.Topics{Agent: "usp/agent/{thing}/in", Controller: "usp/controller/{controller}/from/{thing}"}
	kinds := map[event.Kind]int{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var packets []struct {
			Packet, Dir, Topic string
			PayloadHex         string `json:"payload_hex"`
			Undecodable        any
		}
		if err := json.Unmarshal(b, &packets); err != nil {
			t.Fatal(f, err)
		}
		for _, p := range packets {
			if p.Packet != "PUBLISH" || p.Dir != "agent->controller" {
				continue
			}
			payload, err := hex.DecodeString(p.PayloadHex)
			if err != nil {
				t.Fatal(err)
			}
			in, err := device.Read(event.DeviceMessage{
				Topic: p.Topic, ThingName: "cpe-0001", ClientID: "cpe-0001",
				Record: base64.StdEncoding.EncodeToString(payload),
			}, topics, "self::controller-1")
			var refused *event.Refused
			if err != nil && !errors.As(err, &refused) {
				t.Errorf("%s: %v", f, err)
			}
			if err == nil {
				kinds[in.Event.Kind]++
				if in.Event.Kind == event.KindConnected && !in.Greets {
					t.Errorf("%s: a connection without a greeting", f)
				}
			}
		}
	}
	for _, k := range []event.Kind{event.KindConnected, event.KindBooted, event.KindTransferComplete,
		event.KindCommandComplete, event.KindAnswer} {
		if kinds[k] == 0 {
			t.Errorf("no %s in any capture: %v", k, kinds)
		}
	}
}

// Where an agent wants to be answered is its own topic or nothing.
func TestAgentsAreAnsweredAtTheirOwnTopicOnly(t *testing.T) {
	topics := device.Topics{Agent: "usp/v1/agent/{thing}", Controller: "usp/v1/controller/{controller}/from/{thing}"}
	const own, base = "usp/v1/agent/cpe-0001", "usp/v1/controller/self::fleetstep/from/cpe-0001"
	for _, row := range []struct {
		says string
		want string
	}{
		{own, own}, {own + "/in", own + "/in"}, {own + "/", ""}, {own + "2", ""}, {"", ""},
		{"usp/v1/agent/cpe-0002", ""}, {"usp/v1/agent/+", ""}, {"#", ""}, {"$aws/things/cpe-0001/jobs/start-next", ""},
		{own + "/../cpe-0002", ""}, {own + "/+", ""}, {own + "/a/b", ""}, {own + "/\x00", ""}, {own + "/\xff", ""},
		{own + "/" + strings.Repeat("x", 33), ""},
		{own + "/reply-to=usp", ""}, {base, ""},
	} {
		boot, err := usp.NewRecord("os::012345-A", "self::fleetstep", usp.Notification{ID: "n", Kind: usp.KindEvent,
			Path: usp.EventBoot, Params: usp.Boot{}.Params()}.Message()).Encode()
		if err != nil {
			t.Fatal(err)
		}
		m := event.DeviceMessage{Topic: base, ThingName: "cpe-0001", ClientID: "cpe-0001",
			Record: base64.StdEncoding.EncodeToString(boot)}
		inProperty, inTopic, inRecord := m, m, m
		inProperty.ResponseTopic = row.says
		inTopic.Topic = usp.JoinReplyTo(base, row.says)
		if utf8.ValidString(row.says) { // a record's text always is
			greeting, err := usp.NewMQTTConnect("os::012345-A", "self::fleetstep", usprecord.MQTTConnectRecord_V5,
				row.says).Encode()
			if err != nil {
				t.Fatal(err)
			}
			inRecord.Record = base64.StdEncoding.EncodeToString(greeting)
		} else {
			inRecord.ResponseTopic = row.says
		}
		for where, m := range map[string]event.DeviceMessage{"response topic": inProperty, "topic": inTopic,
			"greeting": inRecord} {
			in, err := device.Read(m, topics, "self::fleetstep")
			if where == "topic" && strings.Contains(row.says, "/reply-to=") {
				if refused, ok := errors.AsType[*event.Refused](err); !ok && in.AgentTopic != "" || ok &&
					refused.Reason != event.RefusedTopic {
					t.Errorf("%s %q: %+v, %v", where, row.says, in, err)
				}
				continue
			}
			if err != nil || in.AgentTopic != row.want || in.Thing != "cpe-0001" {
				t.Errorf("%s %q: answered at %q, %v, want %q", where, row.says, in.AgentTopic, err, row.want)
			}
		}
	}
	// A wildcard below is what an agent with MQTT 3.1.1 subscribes to.
	greeting, err := usp.NewMQTTConnect("os::012345-A", "self::fleetstep", usprecord.MQTTConnectRecord_V3_1_1,
		own+"/#").Encode()
	if err != nil {
		t.Fatal(err)
	}
	in, err := device.Read(event.DeviceMessage{Topic: base, ThingName: "cpe-0001", ClientID: "cpe-0001",
		Record: base64.StdEncoding.EncodeToString(greeting)}, topics, "self::fleetstep")
	if err != nil || in.AgentTopic != own {
		t.Errorf("answered at %q, %v", in.AgentTopic, err)
	}
}

// TestWhatADeviceSaysFitsIntoTheTable: keys of a table have 1,024 bytes, and a device may fill a message of 128 KB
// with a name.
func TestWhatADeviceSaysFitsIntoTheTable(t *testing.T) {
	topics := device.Topics{Agent: "usp/v1/agent/{thing}", Controller: "usp/v1/controller/{controller}/from/{thing}"}
	read := func(from usp.EndpointID, m *uspmsg.Msg) (event.Inbound, error) {
		record, err := usp.NewRecord(from, "self::fleetstep", m).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return device.Read(event.DeviceMessage{Topic: "usp/v1/controller/self::fleetstep/from/cpe-0001",
			ThingName: "cpe-0001", ClientID: "cpe-0001", Record: base64.StdEncoding.EncodeToString(record)}, topics,
			"self::fleetstep")
	}
	long := strings.Repeat("x", 100_000)
	notify := func(id, path, key string) *uspmsg.Msg {
		return usp.Notification{ID: id, Kind: usp.KindEvent, Path: path, SendResp: true,
			Params: map[string]string{"CommandKey": key}}.Message()
	}
	_, err := read("os::012345-"+usp.EndpointID(long), notify("1", usp.EventBoot, ""))
	if refused, ok := errors.AsType[*event.Refused](err); !ok || refused.Reason != event.RefusedSender ||
		len(refused.Detail) > 1000 {
		t.Errorf("a long endpoint id: %.200v", err)
	}
	ids, keys := map[string]bool{}, map[string]bool{}
	for _, m := range []*uspmsg.Msg{
		notify(long, usp.EventBoot, long), notify(long+"2", usp.EventBoot, long+"2"),
		notify("1", "Device."+long+"!", ""), notify("2", "Device."+long+"2!", ""),
	} {
		in, err := read("os::012345-1", m)
		if err != nil || in.Answer == nil {
			t.Fatal(err)
		}
		if len(in.Event.ID) > 200 || len(in.Event.NewsKey()) > 900 {
			t.Errorf("an id of %d bytes and a key of %d", len(in.Event.ID), len(in.Event.NewsKey()))
		}
		ids[in.Event.ID], keys[in.Event.NewsKey()] = true, true
	}
	if len(ids) != 4 || len(keys) != 4 {
		t.Errorf("%d ids and %d keys of 4 pieces of news", len(ids), len(keys))
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"usp-message-boot.json", "usp-message-mqtt-connect.json"} {
		b, err := os.ReadFile(filepath.Join("../../events", name))
		if err != nil {
			f.Fatal(err)
		}
		var m event.DeviceMessage
		if err := json.Unmarshal(b, &m); err != nil {
			f.Fatal(err)
		}
		record, err := base64.StdEncoding.DecodeString(m.Record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record, m.Topic)
	}
	topics := device.Topics{Agent: "usp/v1/agent/{thing}", Controller: "usp/v1/controller/{controller}/from/{thing}"}
	f.Fuzz(func(t *testing.T, record []byte, topic string) {
		in, err := device.Read(event.DeviceMessage{
			Topic: topic, ThingName: "cpe-0001", ClientID: "cpe-0001",
			Record: base64.StdEncoding.EncodeToString(record),
		}, topics, "self::fleetstep")
		var refused *event.Refused
		if err != nil && (!errors.As(err, &refused) || in.Thing != "") {
			t.Fatalf("%v with %+v", err, in)
		}
		if err == nil && in.Thing != "cpe-0001" {
			t.Fatalf("the thing became %q", in.Thing)
		}
	})
}

func TestSamplesAreUnderstood(t *testing.T) {
	topics := device.Topics{Agent: "usp/v1/agent/{thing}", Controller: "usp/v1/controller/{controller}/from/{thing}"}
	for name, want := range map[string]event.Kind{"usp-message-boot.json": event.KindBooted,
		"usp-message-mqtt-connect.json": event.KindConnected} {
		b, err := os.ReadFile(filepath.Join("../../events", name))
		if err != nil {
			t.Fatal(err)
		}
		var m event.DeviceMessage
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		in, err := device.Read(m, topics, "self::fleetstep")
		if err != nil || in.Event.Kind != want || (want == event.KindBooted) != (in.Answer != nil) {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
}
