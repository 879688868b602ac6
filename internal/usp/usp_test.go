package usp_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
)

func TestEndpointIDs(t *testing.T) {
	for _, c := range []struct {
		id                          string
		scheme, authority, instance string // of a valid one
		invalid                     bool
	}{
		{id: "os::012345-cpe-0001", scheme: "os", instance: "012345-cpe-0001"},
		{id: "ops::012345-HGW-a%2Db", scheme: "ops", instance: "012345-HGW-a-b"},
		{id: "self::controller-1", scheme: "self", instance: "controller-1"},
		{id: "self:assigned:x_y.z", scheme: "self", authority: "assigned", instance: "x_y.z"},
		{id: "oui:00256D:my%20id", scheme: "oui", authority: "00256D", instance: "my id"},
		{id: "cid:3AA3F8A:x", scheme: "cid", authority: "3AA3F8A", instance: "x"},
		{id: "pen:3561:x", scheme: "pen", authority: "3561", instance: "x"},
		{id: "uuid::f81d4fae-7dec-11d0-a765-00a0c91e6bf6", scheme: "uuid",
			instance: "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
		{id: "imei::990000862471854", scheme: "imei", instance: "990000862471854"},
		{id: "fqdn::cpe.example.com", scheme: "fqdn", instance: "cpe.example.com"},
		{id: "user::anything", scheme: "user", instance: "anything"},
		{id: "doc::x", scheme: "doc", instance: "x"},
		{id: "", invalid: true},
		{id: "os:012345-1", invalid: true},
		{id: "os::", invalid: true},
		{id: "os:1:012345-1", invalid: true},
		{id: "os::012345", invalid: true},
		{id: "ops::012345-1", invalid: true},
		{id: "oui:00256:x", invalid: true},
		{id: "oui:00256G:x", invalid: true},
		{id: "pen:x:x", invalid: true},
		{id: "uuid::1", invalid: true},
		{id: "imei::abc", invalid: true},
		{id: "self::a b", invalid: true},
		{id: "self::a:b", invalid: true},
		{id: "self::a%2", invalid: true},
		{id: "self::a%zz", invalid: true},
		{id: "self:a/b:c", invalid: true},
		{id: "nope::x", invalid: true},
		{id: "OS::012345-1", invalid: true},
	} {
		id, err := usp.ParseEndpointID(c.id)
		if c.invalid {
			if !errors.Is(err, usp.ErrEndpointID) || id != "" {
				t.Errorf("ParseEndpointID(%q) = %q, %v; want an error", c.id, id, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseEndpointID(%q): %v", c.id, err)
			continue
		}
		if string(id.Scheme()) != c.scheme || id.Authority() != c.authority || id.Instance() != c.instance {
			t.Errorf("%q = %q, %q, %q", c.id, id.Scheme(), id.Authority(), id.Instance())
		}
		if back, err := usp.ParseURN(id.URN()); err != nil || back != id {
			t.Errorf("ParseURN(%q) = %q, %v", id.URN(), back, err)
		}
	}
	if id, err := usp.NewEndpointID(usp.SchemeOS, "", "012345-ä 1"); err != nil || id != "os::012345-%C3%A4%201" {
		t.Errorf("NewEndpointID = %q, %v", id, err)
	}
	if _, err := usp.ParseURN("urn:other:x"); err == nil {
		t.Error("ParseURN takes another URN")
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		path, normal, schema string
		kind                 usp.PathKind
		invalid              bool
	}{
		{path: "Device.", schema: "Device.", kind: usp.ObjectPath},
		{path: "Device.DeviceInfo.FirmwareImage.2.", schema: "Device.DeviceInfo.FirmwareImage.{i}.",
			kind: usp.ObjectPath},
		{path: "Device.DeviceInfo.SoftwareVersion", schema: "Device.DeviceInfo.SoftwareVersion",
			kind: usp.ParameterPath},
		{path: "Device.Reboot()", schema: "Device.Reboot()", kind: usp.CommandPath},
		{path: "Device.DeviceInfo.FirmwareImage.*.Download()",
			schema: "Device.DeviceInfo.FirmwareImage.{i}.Download()", kind: usp.CommandPath},
		{path: "Device.LocalAgent.TransferComplete!", schema: "Device.LocalAgent.TransferComplete!",
			kind: usp.EventPath},
		{path: `Device.A.[B=="x"].C`, schema: "Device.A.{i}.C", kind: usp.ParameterPath},
		{path: `Device.A.[B==x&&C.D != "1.2]"].`, normal: `Device.A.[B=="x"&&C.D!="1.2]"].`, schema: "Device.A.{i}.", kind: usp.ObjectPath},
		{path: `Device.A.[B=="say %22hi%22"].`, schema: "Device.A.{i}.", kind: usp.ObjectPath},
		{path: "Device.X_012345_Y.1.Z-1", schema: "Device.X_012345_Y.{i}.Z-1", kind: usp.ParameterPath},
		{path: "", invalid: true},
		{path: "Device", invalid: true},
		{path: ".", invalid: true},
		{path: "Device..", invalid: true},
		{path: "1.A", invalid: true},
		{path: "*.A", invalid: true},
		{path: "Device.01.", invalid: true},
		{path: "Device.A.0.", invalid: true},
		{path: "Device.A.[B].", invalid: true},
		{path: "Device.A.[].", invalid: true},
		{path: `Device.A.[B=="x].`, invalid: true},
		{path: `Device.A.[B=="x"&&].`, invalid: true},
		{path: "Device.A.[B=x].", invalid: true},
		{path: "Device.A.B==1].", invalid: true},
		{path: "Device.A.Ref+.B", invalid: true},
		{path: "Device.A.()", invalid: true},
		{path: "Device.a b", invalid: true},
	} {
		p, err := usp.ParsePath(c.path)
		if c.invalid {
			if !errors.Is(err, usp.InvalidPathSyntax) {
				t.Errorf("ParsePath(%q) = %+v, %v; want 7008", c.path, p, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParsePath(%q): %v", c.path, err)
			continue
		}
		normal := c.normal
		if normal == "" {
			normal = c.path
		}
		if p.String() != normal || p.Schema() != c.schema || p.Kind != c.kind {
			t.Errorf("%q: %v %q %q", c.path, p.Kind, p.String(), p.Schema())
		}
	}
}

func TestPathsMatch(t *testing.T) {
	values := map[string]string{
		"Device.F.1.Status": "Available", "Device.F.1.N": "9", "Device.F.1.Version": "1.10", "Device.F.1.On": "1",
		"Device.F.1.Tags":   "a, b",
		"Device.F.2.Status": "NoImage", "Device.F.2.N": "10", "Device.F.2.Version": "1.1", "Device.F.2.On": "false",
	}
	value := func(object, param string) (string, bool) {
		v, ok := values[object+param]
		return v, ok
	}
	for _, c := range []struct {
		pattern, path  string
		match, covered bool
	}{
		{"Device.F.*.Download()", "Device.F.2.Download()", true, true},
		{"Device.F.2.Download()", "Device.F.2.Download()", true, true},
		{"Device.F.1.Download()", "Device.F.2.Download()", false, false},
		{"Device.F.*.Dowload()", "Device.F.2.Download()", false, false},
		{"Device.", "Device.F.2.Download()", false, true},
		{"Device.F.", "Device.F.2.Download()", false, true},
		{"Device.F.*.", "Device.F.2.Download()", false, true},
		{"Device.G.", "Device.F.2.Download()", false, false},
		{"Device.F.2.G.", "Device.F.2.Download()", false, false},
		{"Device.*.Download()", "Device.F.Download()", false, false},
		{"Device.Boot!", "Device.Boot!", true, true},
		{`Device.F.[Status=="Available"].`, "Device.F.1.", true, true},
		{`Device.F.[Status=="Available"].`, "Device.F.2.", false, false},
		{`Device.F.[Status==Available].`, "Device.F.1.", true, true},
		{`Device.F.[Status!="Available"].`, "Device.F.2.", true, true},
		{`Device.F.[N<"10"].`, "Device.F.1.", true, true},
		{`Device.F.[N>=10].`, "Device.F.2.", true, true},
		{`Device.F.[N>=10].`, "Device.F.1.", false, false},
		{`Device.F.[N<=9&&Status=="Available"].`, "Device.F.1.", true, true},
		{`Device.F.[N>9&&Status=="Available"].`, "Device.F.2.", false, false},
		{`Device.F.[Version=="1.1"].`, "Device.F.1.", false, false},
		{`Device.F.[Version=="1.1"].`, "Device.F.2.", true, true},
		{`Device.F.[On==true].`, "Device.F.1.", true, true},
		{`Device.F.[On==0].`, "Device.F.2.", true, true},
		{`Device.F.[Tags~=b].`, "Device.F.1.", true, true},
		{`Device.F.[Tags~=c].`, "Device.F.1.", false, false},
		{`Device.F.[Nope=="x"].`, "Device.F.1.", false, false},
		{`Device.F.[Nope!="x"].`, "Device.F.1.", false, false},
	} {
		pattern, err1 := usp.ParsePath(c.pattern)
		path, err2 := usp.ParsePath(c.path)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if pattern.Match(path, value) != c.match || pattern.Covers(path, value) != c.covered {
			t.Errorf("%s on %s: match %v, covers %v", c.pattern, c.path, pattern.Match(path, value),
				pattern.Covers(path, value))
		}
	}
}

func TestReplyTopicsTravelInMQTT311Topics(t *testing.T) {
	for _, c := range []struct{ topic, base, reply string }{
		{"usp/controller/self::controller-1/from/cpe-0001/reply-to=usp%2Fagent%2Fcpe-0001%2Fin",
			"usp/controller/self::controller-1/from/cpe-0001", "usp/agent/cpe-0001/in"},
		{"a/reply-to=b/reply-to=c", "a/reply-to=b", "c"},
		{"a/reply-to=x%2fy", "a", "x/y"},
	} {
		base, reply, ok := usp.SplitReplyTo(c.topic)
		if !ok || base != c.base || reply != c.reply {
			t.Errorf("SplitReplyTo(%q) = %q, %q, %v", c.topic, base, reply, ok)
		}
	}
	if base, reply, ok := usp.SplitReplyTo("a/b"); ok || base != "a/b" || reply != "" {
		t.Errorf("a topic without a reply topic gives %q, %q, %v", base, reply, ok)
	}
	template := usp.TopicTemplate("usp/v1/controller/{controller}/from/{thing}")
	if err := template.Validate(); err != nil {
		t.Error(err)
	}
	topic := template.Expand("rg-000001", "self::fleetstep")
	if topic != "usp/v1/controller/self::fleetstep/from/rg-000001" {
		t.Errorf("Expand gives %q", topic)
	}
	for _, have := range []string{topic, usp.JoinReplyTo(topic, "usp/v1/agent/rg-000001")} {
		if thing, controller, ok := template.Match(have); !ok || thing != "rg-000001" ||
			controller != "self::fleetstep" {
			t.Errorf("Match(%q) = %q, %q, %v", have, thing, controller, ok)
		}
	}
	for _, other := range []string{"usp/v1/controller/self::fleetstep/from",
		"usp/v2/controller/self::fleetstep/from/x", ""} {
		if _, _, ok := template.Match(other); ok {
			t.Errorf("Match(%q) is true", other)
		}
	}
	for _, bad := range []usp.TopicTemplate{"a/x{thing}", "a/{thing}/{thing}", "a/#", "a/+/{thing}"} {
		if bad.Validate() == nil {
			t.Errorf("template %q is taken", bad)
		}
	}
	if !usp.IsContentType("usp.msg") || !usp.IsContentType("application/vnd.bbf.usp.msg") ||
		usp.IsContentType("application/json") {
		t.Error("content types")
	}
}

func TestRecordsOfEveryKind(t *testing.T) {
	get := usp.NewGet("g-1", 2, usp.SoftwareVersion)
	for _, r := range []*usp.Record{
		usp.NewRecord("os::012345-1", "self::c", get),
		usp.NewMQTTConnect("os::012345-1", "self::c", usprecord.MQTTConnectRecord_V5, "usp/agent/1"),
		usp.NewDisconnect("os::012345-1", "self::c", usp.SessionNotAllowed, "no sessions"),
		{From: "a", To: "b", SessionContext: &usprecord.SessionContextRecord{SessionId: 1,
			Payload: [][]byte{{1}, {2}}}},
		{From: "a", To: "b", WebSocketConnect: &usprecord.WebSocketConnectRecord{}},
		{From: "a", To: "b", STOMPConnect: &usprecord.STOMPConnectRecord{SubscribedDestination: "d"}},
		{From: "a", To: "b", UDSConnect: &usprecord.UDSConnectRecord{}},
	} {
		payload, err := r.Encode()
		if err != nil {
			t.Errorf("%s: %v", r.Kind(), err)
			continue
		}
		back, err := usp.DecodeRecord(payload)
		if err != nil || back.Kind() != r.Kind() || back.From != r.From || back.To != r.To ||
			back.Version != usp.Version {
			t.Errorf("%s comes back as %+v (%v)", r.Kind(), back, err)
			continue
		}
		again, _ := back.Encode()
		if string(again) != string(payload) {
			t.Errorf("%s does not encode to the same bytes", r.Kind())
		}
	}
	if _, err := (&usp.Record{}).Encode(); !errors.Is(err, usp.InvalidRecordValue) {
		t.Errorf("an empty record encodes: %v", err)
	}
}

func TestRefusedRecordsNameTheirSender(t *testing.T) {
	envelope := func(r *usprecord.Record) []byte {
		r.FromId, r.ToId = "os::012345-1", "self::c"
		b, _ := proto.Marshal(r)
		return b
	}
	for name, c := range map[string]struct {
		payload []byte
		code    usp.Code
		from    usp.EndpointID
	}{
		"not protobuf": {[]byte(`{"a":1}`), usp.RecordNotParsed, ""},
		"empty":        {nil, usp.InvalidRecordValue, ""},
		"no type":      {envelope(&usprecord.Record{}), usp.InvalidRecordValue, "os::012345-1"},
		"no payload": {envelope(
			&usprecord.Record{RecordType: &usprecord.Record_NoSessionContext{
				NoSessionContext: &usprecord.NoSessionContextRecord{},
			}}), usp.InvalidRecordValue, "os::012345-1"},
		"no message": {envelope(&usprecord.Record{RecordType: &usprecord.Record_NoSessionContext{
			NoSessionContext: &usprecord.NoSessionContextRecord{Payload: []byte("nonsense")},
		}}), usp.InvalidRecordValue, "os::012345-1"},
	} {
		r, err := usp.DecodeRecord(c.payload)
		var refused *usp.RecordError
		if r != nil || !errors.As(err, &refused) || refused.Code != c.code || refused.From != c.from ||
			!errors.Is(err, c.code) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestMessagesOfEveryTypeOpen(t *testing.T) {
	check := func(m *uspmsg.Msg) {
		t.Helper()
		body, err := usp.Open(m)
		if err != nil || body == nil {
			t.Errorf("%s: %v", usp.Type(m), err)
		}
		payload, err := usp.EncodeMessage(m)
		if err != nil {
			t.Error(err)
		}
		back, err := usp.DecodeMessage(payload)
		if err != nil || !proto.Equal(back, m) {
			t.Errorf("%s comes back as %v (%v)", usp.Type(m), back, err)
		}
		seen := usp.Type(m)
		m.Header.MsgType = (m.Header.MsgType + 1) % 23
		if _, err := usp.Open(m); !errors.Is(err, usp.MessageNotSupported) {
			t.Errorf("%s opens under the header %s", seen, usp.Type(m))
		}
	}
	check(usp.New("1", &uspmsg.Error{}))
	check(usp.New("1", &uspmsg.Get{}))
	check(usp.New("1", &uspmsg.GetResp{}))
	check(usp.New("1", &uspmsg.GetSupportedDM{}))
	check(usp.New("1", &uspmsg.GetSupportedDMResp{}))
	check(usp.New("1", &uspmsg.GetInstances{}))
	check(usp.New("1", &uspmsg.GetInstancesResp{}))
	check(usp.New("1", &uspmsg.Set{}))
	check(usp.New("1", &uspmsg.SetResp{}))
	check(usp.New("1", &uspmsg.Add{}))
	check(usp.New("1", &uspmsg.AddResp{}))
	check(usp.New("1", &uspmsg.Delete{}))
	check(usp.New("1", &uspmsg.DeleteResp{}))
	check(usp.New("1", &uspmsg.Operate{}))
	check(usp.New("1", &uspmsg.OperateResp{}))
	check(usp.New("1", &uspmsg.Notify{}))
	check(usp.New("1", &uspmsg.NotifyResp{}))
	check(usp.New("1", &uspmsg.GetSupportedProtocol{}))
	check(usp.New("1", &uspmsg.GetSupportedProtocolResp{}))
	check(usp.New("1", &uspmsg.Register{}))
	check(usp.New("1", &uspmsg.RegisterResp{}))
	check(usp.New("1", &uspmsg.Deregister{}))
	check(usp.New("1", &uspmsg.DeregisterResp{}))
	check(usp.NewAdd("1", true, usp.Object{Path: usp.Subscriptions, Settings: []usp.Setting{{"ID", "x", true}}}))
	check(usp.NewSet("1", true, usp.Object{Path: usp.DeviceInfo,
		Settings: []usp.Setting{{"BootFirmwareImage", "x", true}}}))
	check(usp.NewDelete("1", false, "Device.LocalAgent.Subscription.1."))
	check(usp.NewGetSupportedProtocol("1"))
	check(usp.NewGetInstances("1", true, usp.Subscriptions))
	check(usp.NewNotifyResp("1", "x"))
	check(usp.NewOperate("1", usp.CommandReboot, "k", true, nil))

	for name, m := range map[string]*uspmsg.Msg{
		"nil": nil, "empty": {}, "no header": {Body: usp.NewGet("1", 0, "x").Body},
		"no body": {Header: &uspmsg.Header{MsgId: "1"}}, "empty request": {Header: &uspmsg.Header{},
			Body: &uspmsg.Body{MsgBody: &uspmsg.Body_Request{Request: &uspmsg.Request{}}}},
	} {
		if body, err := usp.Open(m); !errors.Is(err, usp.MessageNotSupported) {
			t.Errorf("%s opens as %v, %v", name, body, err)
		}
	}
}

func TestErrorsWrapTheirCodes(t *testing.T) {
	e := &usp.Error{Code: usp.InvalidArguments, Message: "ID in use",
		Params: []usp.ParamError{{"Device.LocalAgent.Subscription.{i}.ID", usp.DuplicateUniqueKey, "ID in use"}}}
	var err error = e
	if !errors.Is(err, usp.InvalidArguments) || !errors.Is(err, usp.DuplicateUniqueKey) ||
		errors.Is(err, usp.UnsupportedPath) {
		t.Errorf("%v", err)
	}
	if want := "7004 invalid arguments: ID in use; Device.LocalAgent.Subscription.{i}.ID: 7025 duplicate " +
		"unique key"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	for code, want := range map[usp.Code]string{
		7005: "7005 resources exceeded", 7106: "7106 session context not allowed", 7190: "7190 record error",
		7201: "7201 error defined by the data model",
		7850: "7850 error defined by the vendor", 1: "1 unknown error", 0: "0 no error",
	} {
		if code.Error() != want {
			t.Errorf("got %q, want %q", code.Error(), want)
		}
	}
	if got := usp.ReadError(usp.NewError("1", e)); got.Error() != e.Error() {
		t.Errorf("an Error message reads as %v", got)
	}
}

func TestRowsOfAGet(t *testing.T) {
	m := usp.New("1", &uspmsg.GetResp{ReqPathResults: []*uspmsg.GetResp_RequestedPathResult{
		{RequestedPath: usp.FirmwareImages, ResolvedPathResults: []*uspmsg.GetResp_ResolvedPathResult{
			{ResolvedPath: usp.FirmwareImage(10), ResultParams: map[string]string{"Version": "2.0.0"}},
			{ResolvedPath: usp.FirmwareImage(2), ResultParams: map[string]string{"Version": "1.0.0",
				"Status": "Available"}},
			{ResolvedPath: usp.FirmwareImage(3)},
		}},
		{RequestedPath: "Device.Nope", ErrCode: 7026, ErrMsg: "nope"},
	}})
	v, ok := usp.ReadGetResp(m)
	rows := v.Rows(usp.FirmwareImages)
	if !ok || len(rows) != 3 || rows[0].Instance != 2 || rows[0].Params["Status"] != "Available" ||
		rows[1].Instance != 3 || rows[2].Path != usp.FirmwareImage(10) {
		t.Errorf("rows %+v", rows)
	}
	if v.Get("Device.DeviceInfo.FirmwareImage.2.Version") != "1.0.0" ||
		!errors.Is(v.Failed["Device.Nope"], usp.UnsupportedPath) {
		t.Errorf("values %+v", v)
	}
}
