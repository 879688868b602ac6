package device

import (
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Inspect: look, subscribe if need be.

func (k *Talk) beginInspect(t event.Turn, m memory) (event.Move, error) {
	s := say{k, t, m}
	move := s.inspectLook(forLook)
	move.State = m.save()
	return move, nil
}

func (s say) inspectLook(why string) event.Move {
	paths := append(append([]string{}, lookPaths...), usp.Subscriptions)
	return event.Move{Send: &Request{usp.NewGet(s.t.Messages+why, 0, paths...)}}
}

func (s say) inspect(ev event.DeviceEvent) event.Move {
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
		return s.inspected(see(a), ev)
	case forSubscribe:
		if f := subscribeFault(a); f != nil {
			return refusal(*f)
		}
		if s.m.Inspection == nil {
			return ignore
		}
		if len(s.m.Repair) > 0 {
			return event.Move{Send: &Request{usp.NewSet(s.t.Messages+forRepair, false, s.m.Repair...)}}
		}
		return s.inspectDone()
	case forRepair:
		if f := subscribeFault(a); f != nil {
			return refusal(*f)
		}
		return s.inspectDone()
	}
	return ignore
}

// subscribeFault finds a fault that is not "already there" (7025). An Error
// message for the whole carries the parts in its results.
func subscribeFault(a *event.Answer) *event.Fault {
	for _, r := range a.Results {
		if r.Fault != nil && r.Fault.Code != int(usp.DuplicateUniqueKey) {
			return r.Fault
		}
	}
	if a.Fault != nil && len(a.Results) == 0 && a.Fault.Code != int(usp.DuplicateUniqueKey) {
		return a.Fault
	}
	return nil
}

func (s say) inspected(v view, ev event.DeviceEvent) event.Move {
	version := s.m.version()
	switch {
	case len(v.images) == 0:
		return s.failWith(v, event.UpgradeNotEligible, "the device shows no %s", usp.FirmwareImages)
	case v.active.Path == "":
		return s.failWith(v, event.UpgradeNotEligible, "the device does not tell which of its %d images is running", len(v.images))
	case v.runs(version):
		return s.failWith(v, event.UpgradeUpToDate, "runs %s", version)
	}
	if r, ok := v.busy(usp.CommandDownload); ok {
		return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way", r.path, r.key)
	}
	target, second := v.target(version)
	if !second && s.m.separate() {
		return s.failWith(v, event.UpgradeNotEligible, "the device has one image only, which cannot be activated separately")
	}
	s.m.Inspection = &event.Inspection{SoftwareVersion: v.software, Active: v.active, Target: target, At: ev.At}
	add, repair := lacking(s.k.Controller, v.rows)
	s.m.Repair = repair
	switch {
	case len(add) > 0:
		// With allow_partial each row has its own result, 7025 among them.
		return event.Move{Send: &Request{usp.NewAdd(s.t.Messages+forSubscribe, true, add...)}, State: s.m.save()}
	case len(repair) > 0:
		return event.Move{Send: &Request{usp.NewSet(s.t.Messages+forRepair, false, repair...)}, State: s.m.save()}
	}
	return s.inspectDone()
}

func (s say) inspectDone() event.Move {
	if s.m.Inspection == nil {
		return ignore
	}
	i := *s.m.Inspection
	return event.Move{Done: i, Learnt: &event.Learnt{SoftwareVersion: i.SoftwareVersion, ActiveImage: i.Active.Path}}
}
