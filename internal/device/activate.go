package device

import (
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Activate: have a complete image started, now or in a window.

func (k *Talk) beginActivate(t event.Turn, m memory) (event.Move, error) {
	s := say{k, t, m}
	var move event.Move
	if t.Tries[event.StepActivate] > 1 {
		move = s.look(forLook)
		move.State = m.save()
	} else {
		move = s.askActivate()
	}
	move.Commands = pending(t, event.StepActivate, m.Target.Path+usp.CommandActivate, m.Activate)
	return move, nil
}

// window is when the device may restart, from now.
func (s say) window() (start, end time.Duration) {
	end = time.Duration(s.m.Upgrade.Document.Timeouts.RebootSeconds) * time.Second
	if w := s.m.Upgrade.Document.Activation.Window; w != nil {
		start, end = w.Next(s.t.Now)
	}
	return start, end
}

func (s say) askActivate() event.Move {
	// Whether Activate() is taken without a window differs by agent; with one it
	// always is.
	start, end := s.window()
	return s.command(s.m.Target.Path+usp.CommandActivate, s.key(), timeWindow(start, end))
}

func timeWindow(start, end time.Duration) map[string]string {
	seconds := func(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
	return map[string]string{
		"TimeWindow.1.Start": seconds(start),
		"TimeWindow.1.End":   seconds(end),
		"TimeWindow.1.Mode":  "Immediately",
	}
}

func (s say) activating(key string, ev event.DeviceEvent, running bool) event.Move {
	_, end := s.window()
	seconds := s.m.Upgrade.Document.Timeouts.RebootSeconds
	if s.m.Upgrade.Document.Activation.Window != nil {
		seconds += int(end / time.Second)
	}
	return event.Move{Done: event.Accepted{CommandKey: key, Running: running, ReportSeconds: seconds, At: ev.At}}
}

func (s say) activate(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindCommandComplete:
		if ev.Fault != nil {
			return s.fail(event.ActivateFailed, "%d %s", ev.Fault.Code, ev.Fault.Text)
		}
		move := s.activating(ev.CommandKey, ev, false)
		move.KeepNews = true
		return move
	case event.KindBooted:
		if !s.returned(ev) {
			return ignore
		}
		if _, ours := pending(s.t, event.StepActivate, "", s.m.Activate)[ev.CommandKey]; ours {
			move := s.activating(ev.CommandKey, ev, false)
			move.KeepNews = true
			return move
		}
		// The step may be over before the look is answered.
		move := s.look(forReturn)
		move.KeepNews = true
		return move
	case event.KindConnected:
		if !s.returned(ev) {
			return ignore
		}
		return s.look(forReturn)
	case event.KindAnswer:
	default:
		return ignore
	}
	a := ev.Answer
	why := s.purpose(a)
	if why == forCommand {
		accepted, f := answered(a)
		switch {
		case accepted:
			return s.activating(s.key(), ev, false)
		case f.Code == busyCode:
			return s.look(forBusy)
		case f.Code == int(usp.CommandFailure):
			// Not a refusal: it tried, and the image cannot be activated (05b).
			return s.fail(event.ActivateFailed, "%d %s", f.Code, f.Text)
		}
		return refusal(f)
	}
	if why == forNothing {
		return ignore
	}
	if a.Fault != nil {
		return refusal(*a.Fault)
	}
	v := see(a)
	if r, ok := v.busy(usp.CommandActivate); ok {
		if _, ours := keys(s.t, event.StepActivate, "")[r.key]; ours {
			return s.activating(r.key, ev, false)
		}
		return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way", r.path, r.key)
	}
	i := v.image(s.m.Target.Path)
	switch {
	case v.runs(s.m.version()):
		return s.activating(s.key(), ev, true)
	case why == forBusy:
		return s.failWith(v, event.DeviceBusy, "the device refuses to activate (7005) and shows no reason")
	case !v.has(i.Path, s.m.version()):
		return s.failWith(v, event.ActivateFailed, "image %s is %s with version %q %s", s.m.Target.Path, i.Status, i.Version, i.BootLog)
	case s.m.Sends >= mostSends:
		return s.failWith(v, event.DeviceNoReport, "%s was sent %d times without a trace", usp.CommandActivate, s.m.Sends)
	}
	return s.askActivate()
}
