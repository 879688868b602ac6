package upgrade

import (
	"github.com/fleetstep/fleetstep/internal/event"
)

// Verify: the only proof of an upgrade. The device itself reports the wanted
// version, as its active image's.

func (f *Flow) beginVerify(t event.Turn, m memory) (event.Move, error) {
	move := turn{f, t, m}.look(forLook)
	move.State = m.save()
	return move, nil
}

func (s turn) verify(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindConnected, event.KindBooted:
		if !s.returned(ev) {
			return ignore
		}
		return s.look(forReturn)
	case event.KindAnswer:
	default:
		return ignore
	}
	if ev.Answer.Fault != nil {
		return refusal(*ev.Answer.Fault)
	}
	v := viewOf(ev.Answer)
	if v.software == "" {
		return s.failWith(v, event.DeviceNoReport, "the device does not tell its %s", softwareVersion)
	}
	if v.runs(s.m.version()) {
		if s.m.Document.Activation.SoakSeconds > 0 && !s.m.Soaked {
			if s.m.Soaking != nil {
				return s.soak(v)
			}
			return s.failWith(v, NextSoak, "runs %s", v.software)
		}
		// What it proves is noted as the device is given back: Learn.
		return event.Move{
			Done: Verification{SoftwareVersion: v.software, Active: v.active, PreviousVersion: s.m.Previous,
				At: ev.At},
		}
	}
	return s.unverified(v)
}

// unverified tells why the wanted version does not run.
func (s turn) unverified(v view) event.Move {
	target := v.image(s.m.Target.Path)
	if v.software != s.m.Previous || v.active.Path == s.m.Target.Path && !s.m.single() {
		return s.failWith(v, VerifyWrongVersion, "wanted %s, runs %s from image %s", s.m.version(), v.software,
			v.active.Path)
	}
	// The old version runs.
	if s.m.Soaked {
		return s.failWith(v, ActivateFailed, "fell back to %s after it had run %s", v.software, s.m.version())
	}
	if s.m.Overdue {
		r, busy := v.busy(commandDownload, s.gave(Download))
		if busy && given(s.t, Download, r.Key) {
			return s.failWith(v, event.DeviceNoReport, "%s is still under way", r.Command)
		}
		if name := broken(target); name != "" && target.Status != s.m.Target.Status {
			if target.Status == statusDownloadFailed && s.m.Activate == "" && s.m.interruptible() {
				// It did not say why; whoever has the image may not have served it.
				return s.fail(NextDownload, "image %s is %s, without a word", target.Path, target.Status)
			}
			return s.failWith(v, name, "image %s is %s %s", target.Path, target.Status, target.BootLog)
		}
		if s.complete(v) && s.t.Tries[Activate] == 0 {
			return s.fail(NextActivate, "image %s is complete and was not activated", target.Path)
		}
		if busy {
			return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way; image %s is %s", r.Command,
				r.Key, target.Path, target.Status)
		}
		return s.failWith(v, event.DeviceNoReport, "no report in time; runs %s, image %s is %s", v.software,
			target.Path, target.Status)
	}
	return s.failWith(v, ActivateFailed, "restarted with %s; image %s is %s %s", v.software, target.Path,
		target.Status, target.BootLog)
}
