package device_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

func TestRequestsBecomeUSP(t *testing.T) {
	message := func(r event.Outgoing) *uspmsg.Msg {
		t.Helper()
		m, err := device.Message(r)
		if err != nil || usp.ID(m) != "m-1" {
			t.Fatalf("%T: %v, %v", r, m, err)
		}
		return m
	}
	get := message(&device.Get{ID: "m-1", Paths: []string{"Device.A.", "Device.B"}}).GetBody().GetRequest().GetGet()
	if p := get.GetParamPaths(); len(p) != 2 || p[0] != "Device.A." || get.GetMaxDepth() != 0 {
		t.Errorf("Get %v", get)
	}
	operate := message(&device.Operate{ID: "m-1", Command: "Device.Reboot()", Key: "k",
		Args: map[string]string{"a": "b"}}).GetBody().GetRequest().GetOperate()
	if operate.GetCommand() != "Device.Reboot()" || operate.GetCommandKey() != "k" || !operate.GetSendResp() ||
		operate.GetInputArgs()["a"] != "b" {
		t.Errorf("Operate %v", operate)
	}
	rows := []device.Object{{Path: "Device.T.", Settings: []device.Setting{{Param: "P", Value: "v", Required: true}}}}
	add := message(&device.Add{ID: "m-1", Objects: rows}).GetBody().GetRequest().GetAdd()
	if o := add.GetCreateObjs(); !add.GetAllowPartial() || len(o) != 1 || o[0].GetObjPath() != "Device.T." ||
		!o[0].GetParamSettings()[0].GetRequired() {
		t.Errorf("Add %v", add)
	}
	set := message(&device.Set{ID: "m-1", Objects: rows}).GetBody().GetRequest().GetSet()
	if o := set.GetUpdateObjs(); set.GetAllowPartial() || len(o) != 1 || o[0].GetParamSettings()[0].GetValue() != "v" {
		t.Errorf("Set %v", set)
	}
	if _, err := device.Message("a text"); err == nil {
		t.Error("a text is a request")
	}
}

// received is what an agent's message says.
func received(t *testing.T, m *uspmsg.Msg) event.Inbound {
	t.Helper()
	in, err := read(t, usp.NewRecord("os::012345-A", "self::fleetstep", m))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestAnswersInPlainWords(t *testing.T) {
	failed := &uspmsg.AddResp_CreatedObjectResult_OperationStatus{
		OperStatus: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperFailure{
			OperFailure: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperationFailure{ErrCode: 7025,
				ErrMsg: "there"}}}
	notSet := &uspmsg.SetResp_UpdatedObjectResult_OperationStatus{
		OperStatus: &uspmsg.SetResp_UpdatedObjectResult_OperationStatus_OperFailure{
			OperFailure: &uspmsg.SetResp_UpdatedObjectResult_OperationStatus_OperationFailure{ErrCode: 7012,
				ErrMsg: "no"}}}
	for name, m := range map[string]*uspmsg.Msg{
		"Add": usp.New("m-1", &uspmsg.AddResp{CreatedObjResults: []*uspmsg.AddResp_CreatedObjectResult{
			{RequestedPath: "Device.T.", OperStatus: failed},
		}}),
		"Set": usp.New("m-1", &uspmsg.SetResp{UpdatedObjResults: []*uspmsg.SetResp_UpdatedObjectResult{
			{RequestedPath: "Device.T.", OperStatus: notSet},
		}}),
		"Operate": usp.New("m-1", &uspmsg.OperateResp{OperationResults: []*uspmsg.OperateResp_OperationResult{{
			ExecutedCommand: "Device.T.", OperationResp: &uspmsg.OperateResp_OperationResult_CmdFailure{
				CmdFailure: &uspmsg.OperateResp_OperationResult_CommandFailure{ErrCode: 7022, ErrMsg: "no"}}}}}),
	} {
		in := received(t, m)
		if a := in.Event.Answer; in.Event.Kind != event.KindAnswer || a.MessageID != "m-1" || len(a.Results) != 1 ||
			a.Results[0].Path != "Device.T." || a.Results[0].Fault == nil {
			t.Errorf("%s: %+v", name, in.Event)
		}
	}
	in := received(t, usp.NewError("m-1", &usp.Error{Code: usp.RequestDenied, Message: "no",
		Params: []usp.ParamError{{Path: "p", Code: 7012, Message: "bad"}}}))
	if a := in.Event.Answer; a == nil || a.Fault.Code != int(usp.RequestDenied) || len(a.Results) != 1 ||
		a.Results[0].Fault.Code != 7012 {
		t.Errorf("Error: %+v", in.Event)
	}
	get := received(t, usp.New("m-1", &uspmsg.GetResp{ReqPathResults: []*uspmsg.GetResp_RequestedPathResult{
		{RequestedPath: "Device.LocalAgent.Request.", ResolvedPathResults: []*uspmsg.GetResp_ResolvedPathResult{
			{ResolvedPath: "Device.LocalAgent.Request.1.", ResultParams: map[string]string{
				"Command": "Device.Reboot()", "CommandKey": "k", "Status": "Active",
			}},
			{ResolvedPath: "Device.LocalAgent.Request.2.", ResultParams: map[string]string{"Command": "Device.Other()",
				"Status": "Success"}},
		}},
		{RequestedPath: "Device.X", ErrCode: 7026, ErrMsg: "no such path"},
	}}))
	a := get.Event.Answer
	if a == nil || a.Missing["Device.X"].Code != 7026 {
		t.Fatalf("Get: %+v", get.Event)
	}
	if r := device.RunningIn(a); len(r) != 1 || r[0] != (device.Running{Command: "Device.Reboot()", Key: "k"}) {
		t.Errorf("under way: %+v", r)
	}
	if rows := device.Rows(a, device.Requests); len(rows) != 2 || rows[1].Params["Status"] != "Success" {
		t.Errorf("rows: %+v", rows)
	}
	if o := device.ObjectOf("Device.A.1"); o != "Device.A.1." {
		t.Errorf("object %s", o)
	}
}

func TestFaultsOfAnswers(t *testing.T) {
	fault := func(code int) *event.Fault { return &event.Fault{Code: code} }
	for name, c := range map[string]struct {
		a       event.Answer
		taken   bool
		code    int // of Taken's fault
		written int // of Written's, 0 for none
	}{
		"well":       {event.Answer{Results: []event.Result{{}}}, true, 0, 0},
		"one of two": {event.Answer{Results: []event.Result{{Fault: fault(7002)}, {}}}, true, 0, 7002},
		"there already": {event.Answer{Results: []event.Result{{Fault: fault(device.CodeDuplicate)}}}, false,
			device.CodeDuplicate, 0},
		"nothing matched": {event.Answer{}, false, device.CodeObjectDoesNotExist, 0},
		"as a whole":      {event.Answer{Fault: fault(7006)}, false, 7006, 7006},
		"as a whole, in part": {event.Answer{Fault: fault(7004),
			Results: []event.Result{{Fault: fault(device.CodeDuplicate)}}}, false, 7004, 0},
	} {
		taken, f := device.Taken(&c.a)
		if taken != c.taken || f.Code != c.code {
			t.Errorf("%s: taken %t, %+v", name, taken, f)
		}
		if w := device.Written(&c.a); (w != nil) != (c.written != 0) || w != nil && w.Code != c.written {
			t.Errorf("%s: written %+v", name, w)
		}
	}
}

func TestSubscriptionsAreComparedWithWhatIsThere(t *testing.T) {
	needed := []device.Subscription{
		{Name: "boot", Kind: device.EventNews, Of: device.BootEvent}, {Name: "transfer", Kind: device.EventNews,
			Of: device.TransferEvent},
	}
	compare := func(controller event.EndpointID, params map[string]string) device.Missing {
		return device.CompareSubscriptions(controller, &event.Answer{Params: params}, needed)
	}
	add := compare("self::fleetstep", nil).Add
	if m := compare("self::fleetstep", nil); len(m.Add) != 2 || len(m.Repair)+len(m.Remove) != 0 {
		t.Fatalf("of none: %+v", m)
	}
	if compare("self::other", nil).Add[0].Settings[1].Value == add[0].Settings[1].Value {
		t.Error("two controllers have one ID")
	}
	params := map[string]string{}
	for i, o := range add {
		for _, s := range o.Settings {
			params[device.Subscriptions+string(rune('1'+i))+"."+s.Param] = s.Value
		}
	}
	params[device.Subscriptions+"1.Enable"] = "1" // true, in another form
	if m := compare("self::fleetstep", params); len(m.Add)+len(m.Repair)+len(m.Remove) != 0 {
		t.Errorf("of all: %+v", m)
	}
	params[device.Subscriptions+"2.Persistent"] = "false"
	m := compare("self::fleetstep", params)
	if len(m.Repair) != 1 || len(m.Add)+len(m.Remove) != 0 || m.Repair[0].Path != device.Subscriptions+"2." ||
		len(m.Repair[0].Settings) != 1 || m.Repair[0].Settings[0].Param != "Persistent" {
		t.Errorf("of a wrong one: %+v", m)
	}
	// What an agent refuses to change is removed, and added as a whole (11g).
	for param, value := range map[string]string{"NotifType": "ValueChange",
		"ReferenceList": "Device.DeviceInfo.Other!"} {
		was := params[device.Subscriptions+"2."+param]
		params[device.Subscriptions+"2."+param] = value
		m := compare("self::fleetstep", params)
		if !slices.Equal(m.Remove, []string{device.Subscriptions + "2."}) || len(m.Add) != 1 || len(m.Repair) != 0 ||
			!slices.Equal(m.Add[0].Settings, add[1].Settings) {
			t.Errorf("of one with another %s: %+v", param, m)
		}
		params[device.Subscriptions+"2."+param] = was
	}
}

// An undefined message type ends a real agent (11k2), and a payload security that it
// does not have costs it its connection (11k): nothing that a controller asks for is
// newer than USP 1.0, or comes otherwise than in plain text.
func TestRequestsAreOfTypesThatEveryAgentKnows(t *testing.T) {
	known := []uspmsg.Header_MsgType{
		uspmsg.Header_GET, uspmsg.Header_SET, uspmsg.Header_ADD, uspmsg.Header_DELETE, uspmsg.Header_OPERATE,
		uspmsg.Header_NOTIFY_RESP,
	}
	notify := usp.Notification{ID: "n-1", SubscriptionID: "s", SendResp: true, Kind: usp.KindEvent,
		Path: usp.EventBoot}
	for _, r := range []event.Outgoing{
		&device.Get{ID: "1", Paths: []string{"Device."}}, &device.Set{ID: "2"}, &device.Add{ID: "3"},
		&device.Delete{ID: "4", Paths: []string{"Device.A.1."}},
		&device.Operate{ID: "5", Command: "Device.Reboot()"}, received(t, notify.Message()).Answer,
	} {
		m, err := device.Message(r)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(known, m.GetHeader().GetMsgType()) {
			t.Errorf("%T is of type %s", r, m.GetHeader().GetMsgType())
		}
		payload, err := usp.NewRecord("self::fleetstep", "os::012345-1", m).Encode()
		if err != nil {
			t.Fatal(err)
		}
		var record usprecord.Record
		if err := proto.Unmarshal(payload, &record); err != nil {
			t.Fatal(err)
		}
		if record.GetPayloadSecurity() != usprecord.Record_PLAINTEXT || record.GetNoSessionContext() == nil {
			t.Errorf("%T travels as %v", r, &record)
		}
	}
}

// TestNewsIsToldApartByItsContent: a device whose clock begins with each boot uses its message ids again (24). A
// repeat, or the copy that another Subscription causes, is the same news.
func TestNewsIsToldApartByItsContent(t *testing.T) {
	boot := func(subscription, key string) string {
		n := usp.Notification{ID: "n-1", SubscriptionID: subscription, Kind: usp.KindEvent, Path: usp.EventBoot,
			Params: usp.Boot{Cause: "RemoteReboot", CommandKey: key}.Params()}
		return received(t, n.Message()).Event.ID
	}
	first := boot("s", "k1")
	if boot("s", "k1") != first || boot("another", "k1") != first {
		t.Error("a copy is taken for other news")
	}
	if boot("s", "k2") == first {
		t.Error("the second restart is taken for a copy of the first")
	}
	done := usp.Notification{ID: "n-1", Kind: usp.KindOperationComplete, Path: "Device.X()", CommandKey: "k"}
	ok := received(t, done.Message()).Event.ID
	done.Failure = &usp.Error{Code: usp.CommandFailure, Message: "no"}
	if received(t, done.Message()).Event.ID == ok {
		t.Error("a failure is taken for a copy of a success")
	}
	done.ID = ""
	if id := received(t, done.Message()).Event.ID; id != "" {
		t.Errorf("news without an id has %q", id)
	}
}

func TestNewsInPlainWords(t *testing.T) {
	notify := func(n usp.Notification) event.Inbound {
		n.ID, n.SubscriptionID, n.SendResp = "n-1", "s", true
		return received(t, n.Message())
	}
	complete := usp.TransferComplete{Command: "Device.T.Get()", CommandKey: "k", TransferType: "Download",
		FaultCode: 7022, FaultString: "404"}
	for name, c := range map[string]struct {
		n    usp.Notification
		want event.DeviceEvent
	}{
		"boot": {usp.Notification{Kind: usp.KindEvent, Path: usp.EventBoot, Params: usp.Boot{Cause: "LocalReboot",
			CommandKey: "k", FirmwareUpdated: true}.Params()},
			event.DeviceEvent{Kind: event.KindBooted, Cause: "LocalReboot", CommandKey: "k", FirmwareUpdated: true}},
		"boot that does not parse": {usp.Notification{Kind: usp.KindEvent, Path: usp.EventBoot,
			Params: map[string]string{"Cause": "x", "FirmwareUpdated": "maybe"}},
			event.DeviceEvent{Kind: event.KindBooted, Cause: "x"}},
		"transfer": {usp.Notification{Kind: usp.KindEvent, Path: usp.EventTransferComplete, Params: complete.Params()},
			event.DeviceEvent{Kind: event.KindTransferComplete, CommandKey: "k", CommandPath: "Device.T.Get()",
				Fault: &event.Fault{Code: 7022, Text: "404"}}},
		"transfer that does not parse": {usp.Notification{Kind: usp.KindEvent, Path: usp.EventTransferComplete,
			Params: map[string]string{"CommandKey": "k", "FaultCode": "x"}},
			event.DeviceEvent{Kind: event.KindTransferComplete, CommandKey: "k",
				Fault: &event.Fault{Code: device.CodeCommandFailure}}},
		"command": {usp.Notification{Kind: usp.KindOperationComplete, Path: "Device.Reboot()", CommandKey: "k"},
			event.DeviceEvent{Kind: event.KindCommandComplete, CommandKey: "k", CommandPath: "Device.Reboot()"}},
		"another event": {usp.Notification{Kind: usp.KindEvent, Path: "Device.X!",
			Params: map[string]string{"A": "b"}},
			event.DeviceEvent{Kind: event.KindEvent}},
		"another value": {usp.Notification{Kind: usp.KindValueChange, Path: "Device.X", Value: "v"},
			event.DeviceEvent{Kind: event.KindValueChanged}},
		"anything else": {usp.Notification{Kind: usp.KindObjectDeletion, Path: "Device.X.1."},
			event.DeviceEvent{Kind: event.KindOther}},
	} {
		in := notify(c.n)
		got := in.Event
		if got.Kind != c.want.Kind || got.Cause != c.want.Cause || got.CommandKey != c.want.CommandKey ||
			got.CommandPath != c.want.CommandPath ||
			got.FirmwareUpdated != c.want.FirmwareUpdated || (got.Fault != nil) != (c.want.Fault != nil) ||
			got.Fault != nil && got.Fault.Code != c.want.Fault.Code {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if !strings.HasPrefix(got.ID, "n-1~") || got.Kind.Event() && got.Path != c.n.Path || got.Value != c.n.Value ||
			got.Kind == event.KindEvent && !maps.Equal(got.Params, c.n.Params) {
			t.Errorf("%s: got %+v", name, got)
		}
		m, err := device.Message(in.Answer)
		if err != nil || m.GetBody().GetResponse().GetNotifyResp().GetSubscriptionId() != "s" || usp.ID(m) != "n-1" {
			t.Errorf("%s: answered by %v, %v", name, m, err)
		}
	}
}
