package upgrade

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Overhear keeps the registry's word of a device's version true while no upgrade is at
// work on it: after a restart that nobody waits for, say that of an upgrade that timed
// out, the device is asked what it runs, whatever Boot! says (11e), and what it says is
// entered. So is what it says late, or by itself.
func (*Flow) Overhear(known event.DeviceState, ev event.DeviceEvent) event.Overheard {
	version, active := "", ""
	switch ev.Kind {
	case event.KindBooted:
		return event.Overheard{Ask: &device.Get{
			ID: fmt.Sprintf("fs-runs-%d", ev.At.UnixMilli()), Paths: []string{softwareVersion, activeFirmwareImage},
		}}
	case event.KindAnswer:
		if ev.Answer != nil {
			version, active = ev.Answer.Params[softwareVersion], ev.Answer.Params[activeFirmwareImage]
		}
	case event.KindValueChanged:
		if ev.Path == softwareVersion {
			version = ev.Value
		}
	}
	version = event.FactOf(version)
	at, entered := entry(known)
	if version == "" || ev.At.Before(at) { // what it said later is known
		return event.Overheard{}
	}
	out := event.Overheard{Facts: map[string]string{factSoftware: version}}
	if active != "" {
		out.Facts[factActive] = event.FactOf(device.ObjectOf(active))
	}
	if version != entered {
		out.Attributes = map[string]string{AttributeFirmware: version}
		out.Facts[factEntered] = enter(ev.At, version)
	}
	return out
}

// entry is which version the registry was told outside of an execution, and when the
// device said so.
func entry(known event.DeviceState) (at time.Time, version string) {
	moment, version, _ := strings.Cut(known.Facts[factEntered], " ")
	at, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return time.Time{}, ""
	}
	return at, version
}

func enter(at time.Time, version string) string {
	return at.UTC().Format(time.RFC3339Nano) + " " + version
}
