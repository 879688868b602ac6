package upgrade

import (
	"encoding/json"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/version"
)

// Inspect: look, subscribe if need be.

func (f *Flow) beginInspect(t event.Turn, m memory) (event.Move, error) {
	s := turn{f, t, m}
	if m.Resumed.Soaking != nil {
		move := s.soaked()
		move.State = m.save()
		return move, nil
	}
	move := s.inspectLook(forLook)
	move.State = m.save()
	return move, nil
}

func (s turn) inspectLook(why string) event.Move {
	paths := append(append([]string{}, lookPaths...), localTimeZone, device.Subscriptions)
	return event.Move{Send: &device.Get{ID: s.t.Messages + why, Paths: paths}}
}

func (s turn) inspect(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindConnected, event.KindBooted:
		if !s.returned(ev) {
			return ignore
		}
		return s.inspectLook(forReturn)
	case event.KindAnswer:
	default:
		return ignore
	}
	a := ev.Answer
	switch s.purpose(a) {
	case forLook, forReturn:
		if a.Fault != nil {
			return refusal(*a.Fault)
		}
		return s.inspected(a, ev)
	case forRemoval, forSubscribe, forRepair:
		if s.m.Inspection == nil {
			return ignore
		}
		if f := device.Written(a); f != nil {
			return refusal(*f)
		}
		return s.subscribe(s.purpose(a))
	}
	return ignore
}

// subscribe does what is left to be done about Subscriptions after one part of it:
// remove, then add, since an ID cannot be twice, then set right.
func (s turn) subscribe(after string) event.Move {
	switch {
	case after == forRemoval && len(s.m.Add) > 0:
		// Each row has its own result, 7025 among them.
		return event.Move{Send: &device.Add{ID: s.t.Messages + forSubscribe, Objects: s.m.Add}}
	case after != forRepair && len(s.m.Repair) > 0:
		return event.Move{Send: &device.Set{ID: s.t.Messages + forRepair, Objects: s.m.Repair}}
	}
	return s.inspectDone()
}

func (s turn) inspected(a *event.Answer, ev event.DeviceEvent) event.Move {
	v := viewOf(a)
	wanted := s.m.version()
	switch {
	case len(v.images) == 0:
		return s.failWith(v, UpgradeNotEligible, "the device shows no %s", firmwareImages)
	case v.active.Path == "":
		return s.failWith(v, UpgradeNotEligible, "the device does not tell which of its %d images is running",
			len(v.images))
	case v.runs(wanted):
		return s.failWith(v, UpgradeUpToDate, "runs %s", wanted)
	case s.m.Document.Firmware.NoDowngrade && version.Compare(v.software, wanted) > 0:
		return s.failWith(v, UpgradeNotEligible, "runs %s, which is later than %s, and downgrades are not allowed",
			v.software, wanted)
	}
	if most := s.m.Document.Firmware.MaxFailures; most > 0 {
		if n := failuresOf(s.t.Device).of(s.m.Document.Firmware).Times; n >= most {
			return s.failWith(v, UpgradeQuarantined, "has failed %d times with this image, of at most %d", n, most)
		}
	}
	if r, ok := v.busy(commandDownload, anybodys); ok {
		// Whoever asked for it: the state machine comes back when it may be over.
		return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way", r.Command, r.Key)
	}
	target, second := v.target(wanted)
	if staged := v.image(s.m.Resumed.Staged); s.m.Resumed.Staged != "" && v.has(staged.Path, wanted) &&
		staged.Path != v.active.Path {
		target, second = staged, true
	}
	if !second && s.m.separate() {
		return s.failWith(v, UpgradeNotEligible, "the device has one image only, which cannot be activated separately")
	}
	s.m.Inspection = &Inspection{SoftwareVersion: v.software, Active: v.active, Target: target,
		Zone: a.Params[localTimeZone], Quirks: s.m.Quirks, At: ev.At}
	missing := device.CompareSubscriptions(s.f.controller, a, subscriptions)
	s.m.Add, s.m.Repair = missing.Add, missing.Repair
	if len(missing.Remove) > 0 {
		return event.Move{Send: &device.Delete{ID: s.t.Messages + forRemoval, Paths: missing.Remove},
			State: s.m.save()}
	}
	move := s.subscribe(forRemoval)
	if !move.Ends() {
		move.State = s.m.save()
	}
	return move
}

func (s turn) inspectDone() event.Move {
	if s.m.Inspection == nil {
		return ignore
	}
	i := *s.m.Inspection
	s.m.Target = i.Target
	if i.Target.Path == s.m.Resumed.Staged && s.resumes() {
		b, err := json.Marshal(i)
		if err != nil {
			b = nil // unreachable: plain values only
		}
		return event.Move{Failed: &event.Failure{Name: NextActivate, Detail: string(b)}, Learnt: i.facts()}
	}
	return event.Move{Done: i} // noted as Download begins
}

// facts are what an inspection says of the device.
func (i Inspection) facts() map[string]string {
	learnt := facts(i.SoftwareVersion, i.Active.Path)
	if i.Zone != "" {
		learnt[event.FactZone] = event.FactOf(i.Zone)
	}
	return learnt
}

// noted is what the first step after Inspect notes of it.
func (s turn) noted(i Inspection) map[string]string {
	learnt := i.facts()
	if !s.proven() && s.t.Device.Facts[factBank+i.Target.Path] != "" {
		learnt[factBank+i.Target.Path] = "" // it is about to be overwritten
	}
	return learnt
}

// resumes reports whether what the lap before has left is to be activated: unless
// something else was downloaded there since.
func (s turn) resumes() bool {
	return s.m.staged() && (s.proven() || s.m.Document.Firmware.SHA256 == "")
}
