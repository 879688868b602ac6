package device_test

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

var topics = device.Topics{Agent: "usp/v1/agent/{thing}", Controller: "usp/v1/controller/{controller}/from/{thing}"}

func wrapped(t *testing.T, r *usp.Record) event.DeviceMessage {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return event.DeviceMessage{
		Topic: "usp/v1/controller/self::fleetstep/from/cpe-0001", ThingName: "cpe-0001", ClientID: "cpe-0001",
		Record: base64.StdEncoding.EncodeToString(b),
	}
}

func read(t *testing.T, r *usp.Record) (event.Inbound, error) {
	t.Helper()
	return device.Read(wrapped(t, r), topics, "self::fleetstep")
}

func TestRecordsOfNobodyElseAreTaken(t *testing.T) {
	good := func() *usp.Record {
		return usp.NewRecord("os::012345-A", "self::fleetstep", usp.New("m-1", &uspmsg.SetResp{}))
	}
	for name, c := range map[string]struct {
		record *usp.Record
		change func(m *event.DeviceMessage)
		reason string
	}{
		"well": {good(), func(*event.DeviceMessage) {}, ""},
		"another thing": {good(), func(m *event.DeviceMessage) {
			m.ThingName = "cpe-0002"
		}, event.RefusedTopic},
		"another client": {good(), func(m *event.DeviceMessage) {
			m.ClientID = "cpe-0002"
		}, event.RefusedClient},
		"another controller": {good(), func(m *event.DeviceMessage) {
			m.Topic = "usp/v1/controller/self::x/from/cpe-0001"
		}, event.RefusedRecipient},
		"no base64": {good(), func(m *event.DeviceMessage) { m.Record = "%" }, event.RefusedUnreadable},
		"no record": {good(), func(m *event.DeviceMessage) { m.Record = "AAAA" }, event.RefusedUnreadable},
		"to another": {usp.NewRecord("os::012345-A", "self::x", usp.New("m-1", &uspmsg.SetResp{})),
			func(*event.DeviceMessage) {}, event.RefusedRecipient},
		"from nobody": {usp.NewRecord("nobody", "self::fleetstep", usp.New("m-1", &uspmsg.SetResp{})),
			func(*event.DeviceMessage) {}, event.RefusedSender},
		"a message of nothing": {usp.NewRecord("os::012345-A", "self::fleetstep", &uspmsg.Msg{}),
			func(*event.DeviceMessage) {}, event.RefusedUnreadable},
	} {
		m := wrapped(t, c.record)
		c.change(&m)
		_, err := device.Read(m, topics, "self::fleetstep")
		refused, ok := errors.AsType[*event.Refused](err)
		if ok != (c.reason != "") || ok && (refused.Reason != c.reason || refused.Error() == "") {
			t.Errorf("%s: got %v, want %s", name, err, c.reason)
		}
	}
	in, err := read(t, usp.NewMQTTConnect("os::012345-A", "self::fleetstep", usprecord.MQTTConnectRecord_V5,
		"usp/v1/agent/cpe-0001"))
	if err != nil || !in.Greets || in.Event.Kind != event.KindConnected || in.Legacy {
		t.Errorf("a greeting: %+v, %v", in, err)
	}
}
