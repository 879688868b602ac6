package upgrade

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// TestFactsOfADeviceAreShort: they are read with each of its messages.
func TestFactsOfADeviceAreShort(t *testing.T) {
	long := strings.Repeat("9", 100_000)
	i := Inspection{SoftwareVersion: long, Active: Image{Path: "Device." + long + "."}, Zone: long}
	for name, value := range i.facts() {
		if len(value) > event.MostFact {
			t.Errorf("%s has %d bytes", name, len(value))
		}
	}
	heard := (&Flow{}).Overhear(event.DeviceState{}, event.DeviceEvent{Kind: event.KindAnswer, Answer: &event.Answer{
		Params: map[string]string{softwareVersion: "1", activeFirmwareImage: "Device." + long}}})
	if n := len(heard.Facts[factActive]); n == 0 || n > event.MostFact {
		t.Errorf("the active image has %d bytes", n)
	}
}

// A device is heard outside of upgrades: in each row it says something at this minute,
// and the registry is told, or not.
func TestTheRegistryFollowsWhatADeviceReports(t *testing.T) {
	f := &Flow{}
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	known := event.DeviceState{Facts: map[string]string{
		factSoftware: "1.0.0", factActive: "Device.DeviceInfo.FirmwareImage.1.",
	}}
	say := func(minute int, version string) event.DeviceEvent {
		return event.DeviceEvent{Kind: event.KindAnswer, At: start.Add(time.Duration(minute) * time.Minute),
			Answer: &event.Answer{Params: map[string]string{softwareVersion: version}}}
	}
	boot := f.Overhear(known, event.DeviceEvent{Kind: event.KindBooted, At: start})
	if ask, ok := boot.Ask.(*device.Get); !ok || ask.ID == "" || len(ask.Paths) != 2 || boot.Facts != nil {
		t.Fatalf("after a restart: %+v", boot)
	}
	registry := "1.0.0"
	hear := func(what string, ev event.DeviceEvent, want string) {
		t.Helper()
		heard := f.Overhear(known, ev)
		if v, ok := heard.Attributes[AttributeFirmware]; ok {
			registry = v
		}
		maps.Copy(known.Facts, heard.Facts)
		if registry != want || heard.Ask != nil {
			t.Errorf("%s: the registry says %s, want %s (%+v)", what, registry, want, heard)
		}
	}
	// finalize is the end of an upgrade, which has the registry say what Judge says.
	finalize := func(software string) {
		known.Facts[factSoftware] = software
		in := event.FinalizeInput{Input: event.ExecutionInput{Document: []byte(`{}`)}}
		maps.Copy(known.Facts, f.Learn(in, known))
		c, err := f.Judge(in, known)
		if err != nil {
			t.Fatal(err)
		}
		registry = c.Attributes[AttributeFirmware]
	}
	hear("it came up late with the new version", say(2, "2.0.0"), "2.0.0")
	hear("an answer from before", say(1, "1.0.0"), "2.0.0")
	hear("the same again", say(3, "2.0.0"), "2.0.0")
	hear("nothing of its version", say(4, ""), "2.0.0")
	hear("another parameter", event.DeviceEvent{Kind: event.KindValueChanged, At: start.Add(5 * time.Minute),
		Path: "Device.Time.LocalTimeZone", Value: "UTC0"}, "2.0.0")
	hear("a version that fills a message", say(6, strings.Repeat("9", 100_000)), strings.Repeat("9", event.MostFact))
	finalize("3.0.0")
	if registry != "3.0.0" {
		t.Fatalf("after an upgrade the registry says %s", registry)
	}
	hear("as the upgrade has told", say(6, "3.0.0"), "3.0.0")
	known.Facts[factSoftware] = "2.0.0" // learnt by an upgrade that was ended from outside
	hear("it went back by itself", say(7, "2.0.0"), "2.0.0")
	hear("by its own word", event.DeviceEvent{Kind: event.KindValueChanged, At: start.Add(8 * time.Minute),
		Path: softwareVersion, Value: "2.0.1"}, "2.0.1")
	if got := known.Facts[factActive]; got != "Device.DeviceInfo.FirmwareImage.1." {
		t.Errorf("the active image is %s", got)
	}
	ev := say(9, "2.0.2")
	ev.Answer.Params[activeFirmwareImage] = "Device.DeviceInfo.FirmwareImage.2"
	hear("with its image", ev, "2.0.2")
	if got := known.Facts[factActive]; got != "Device.DeviceInfo.FirmwareImage.2." {
		t.Errorf("the active image is %s", got)
	}
}
