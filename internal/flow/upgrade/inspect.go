package upgrade

import (
	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Inspect: look, subscribe if need be.

func (f *Flow) beginInspect(t event.Turn, m memory) (event.Move, error) {
	s := turn{f, t, m}
	move := s.inspectLook(forLook)
	move.State = m.save()
	return move, nil
}

func (s turn) inspectLook(why string) event.Move {
	paths := append(append([]string{}, lookPaths...), device.Subscriptions)
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
	case forSubscribe:
		if f := device.Written(a); f != nil {
			return refusal(*f)
		}
		if s.m.Inspection == nil {
			return ignore
		}
		if len(s.m.Repair) > 0 {
			return event.Move{Send: &device.Set{ID: s.t.Messages + forRepair, Objects: s.m.Repair}}
		}
		return s.inspectDone()
	case forRepair:
		if f := device.Written(a); f != nil {
			return refusal(*f)
		}
		return s.inspectDone()
	}
	return ignore
}

func (s turn) inspected(a *event.Answer, ev event.DeviceEvent) event.Move {
	v := viewOf(a)
	version := s.m.version()
	switch {
	case len(v.images) == 0:
		return s.failWith(v, UpgradeNotEligible, "the device shows no %s", firmwareImages)
	case v.active.Path == "":
		return s.failWith(v, UpgradeNotEligible, "the device does not tell which of its %d images is running", len(v.images))
	case v.runs(version):
		return s.failWith(v, UpgradeUpToDate, "runs %s", version)
	}
	if r, ok := v.busy(commandDownload); ok {
		return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way", r.Command, r.Key)
	}
	target, second := v.target(version)
	if !second && s.m.separate() {
		return s.failWith(v, UpgradeNotEligible, "the device has one image only, which cannot be activated separately")
	}
	s.m.Inspection = &Inspection{SoftwareVersion: v.software, Active: v.active, Target: target, At: ev.At}
	add, repair := device.MissingSubscriptions(s.f.controller, a, subscriptions)
	s.m.Repair = repair
	switch {
	case len(add) > 0:
		// Each row has its own result, 7025 among them.
		return event.Move{Send: &device.Add{ID: s.t.Messages + forSubscribe, Objects: add}, State: s.m.save()}
	case len(repair) > 0:
		return event.Move{Send: &device.Set{ID: s.t.Messages + forRepair, Objects: repair}, State: s.m.save()}
	}
	return s.inspectDone()
}

func (s turn) inspectDone() event.Move {
	if s.m.Inspection == nil {
		return ignore
	}
	i := *s.m.Inspection
	return event.Move{Done: i, Learnt: facts(i.SoftwareVersion, i.Active.Path)}
}
