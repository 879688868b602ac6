package device_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

func TestPathsAreTakenApart(t *testing.T) {
	for path, want := range map[string]device.PathForm{
		"Device.DeviceInfo.":                           {Kind: device.PathObject, Concrete: true},
		"Device.DeviceInfo.UpTime":                     {Kind: device.PathParameter, Concrete: true},
		"Device.Reboot()":                              {Kind: device.PathCommand, Concrete: true},
		"Device.Boot!":                                 {Kind: device.PathEvent, Concrete: true},
		"Device.DeviceInfo.FirmwareImage.*.Status":     {Kind: device.PathParameter},
		`Device.IP.Interface.[Alias=="lan"].`:          {Kind: device.PathObject},
		`Device.IP.Interface.[Alias=="lan"].Enable`:    {Kind: device.PathParameter},
		"Device.DeviceInfo.FirmwareImage.2.Download()": {Kind: device.PathCommand, Concrete: true},
	} {
		if got, err := device.FormOfPath(path); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", path, got, err, want)
		}
	}
	for _, path := range []string{"", "Device", "Device..Name", "Device.[x==", "Device.A.[B=1].C"} {
		if got, err := device.FormOfPath(path); err == nil {
			t.Errorf("%q is %+v", path, got)
		}
	}
	object, name := device.SplitPath("Device.DeviceInfo.UpTime")
	if object != "Device.DeviceInfo." || name != "UpTime" {
		t.Errorf("%s and %s", object, name)
	}
}

func TestRowsAreSearchedByTheirParameters(t *testing.T) {
	having := map[string]string{"NotifType": "Event", "ID": "boot"}
	got := device.SearchRow("Device.LocalAgent.Subscription.", having)
	if want := `Device.LocalAgent.Subscription.[ID=="boot"&&NotifType=="Event"].`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if f, err := device.FormOfPath(got); err != nil || f.Concrete || f.Kind != device.PathObject {
		t.Errorf("%+v, %v", f, err)
	}
	if got := device.SearchRow("no path..", having); got != "no path.." {
		t.Errorf("what is no table became %s", got)
	}
}

func TestAnswersAreReadByPath(t *testing.T) {
	a := &event.Answer{
		Params: map[string]string{"Device.A.1.Name": "one", "Device.A.2.Name": "two", "Device.A.2.Size": "3",
			"Device.B": "b"},
		Objects: []string{"Device.C.4."},
	}
	for parameter, want := range map[string][]string{
		"Device.B": {"b"}, "Device.A.*.Name": {"one", "two"}, `Device.A.[Size==3].Name`: {"one", "two"},
		"Device.A.*.Other": nil, "Device.Absent": nil, "no path..": nil,
	} {
		if got := device.Matching(a, parameter); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", parameter, got, want)
		}
	}
	for object, want := range map[string][2]bool{ // there, concrete
		"Device.A.1.": {true, true}, "Device.A.": {true, true}, "Device.A.*.": {true, false},
		"Device.C.4.": {true, true},
		"Device.C.*.": {true, false}, "Device.D.": {false, true}, `Device.D.[X==1].`: {false, false},
		"no path..": {false, true},
	} {
		if there, concrete := device.Shows(a, object); [2]bool{there, concrete} != want {
			t.Errorf("%s: there %t, concrete %t; want %v", object, there, concrete, want)
		}
	}
}

func TestValuesAreTheSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"x", "x", true}, {"x", "y", false}, {"true", "1", true}, {"0", "false", true}, {"true", "false", false},
		{"1", "1", true}, {"1", "0", false}, {"01", "1", false}, {"TRUE", "1", false},
	} {
		if got := device.SameValue(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
		if got := device.SameValue(c.b, c.a); got != c.same {
			t.Errorf("%s and %s: %t", c.b, c.a, got)
		}
	}
}

// TestSubscriptionsAreNamedByWhatTheyAreOf: the same name for the same news, another for another; the upgrade's own
// are those of the operations as well.
func TestSubscriptionsAreNamedByWhatTheyAreOf(t *testing.T) {
	names := map[string]string{}
	for _, c := range []struct {
		s        device.Subscription
		name, of string
		kind     any
	}{
		{device.NewsOf(device.BootEvent), "boot", device.BootEvent, device.EventNews},
		{device.NewsOf(device.TransferEvent), "transfer", device.TransferEvent, device.EventNews},
		{device.NewsOf("Device.Periodic!"), "event-", "Device.Periodic!", device.EventNews},
		{device.EndOf("Device.Reboot()"), "command-", "Device.Reboot()", device.CommandNews},
		{device.EndOf("Device.DeviceInfo.FirmwareImage.2.Download()"), "command-",
			"Device.DeviceInfo.FirmwareImage.*.Download()", device.CommandNews},
		{device.EndOf("no path.."), "command-", "no path..", device.CommandNews},
		{device.ChangeOf("Device.DeviceInfo.UpTime"), "value-", "Device.DeviceInfo.UpTime", device.ValueNews},
	} {
		if !strings.HasPrefix(c.s.Name, c.name) || c.s.Of != c.of || any(c.s.Kind) != c.kind {
			t.Errorf("%+v, want the name %s…, kind %v, of %s", c.s, c.name, c.kind, c.of)
		}
		if other, ok := names[c.s.Name]; ok {
			t.Errorf("%s and %s are both %s", c.s.Of, other, c.s.Name)
		}
		names[c.s.Name] = c.s.Of
	}
	if a, b := device.NewsOf("Device.Periodic!"), device.NewsOf("Device.Periodic!"); a != b {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestTheFaultOfAPartSaysMore(t *testing.T) {
	whole := &event.Fault{Code: 7004, Text: "invalid arguments"}
	for _, c := range []struct {
		a    event.Answer
		want *event.Fault
	}{
		{event.Answer{}, nil},
		{event.Answer{Fault: whole}, whole},
		{event.Answer{Results: []event.Result{{Path: "Device.A."}}}, nil},
		{event.Answer{Fault: whole, Results: []event.Result{{Path: "Device.A."},
			{Path: "Device.B.", Fault: &event.Fault{Code: 7012, Text: "read only"}}}},
			&event.Fault{Code: 7012, Text: "Device.B.: read only"}},
	} {
		got := device.Failed(&c.a)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%+v: %+v, want %+v", c.a, got, c.want)
		}
	}
}
