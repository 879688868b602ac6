package upgrade

import (
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/quirk"
)

// Activate: have a complete image started, now or in a window.

func (f *Flow) beginActivate(t event.Turn, m memory) (event.Move, error) {
	s := turn{f, t, m}
	var move event.Move
	if t.Tries[Activate] > 1 {
		move = s.look(forLook)
	} else {
		move = s.askActivate()
	}
	if move.State == nil {
		move.State = m.save()
	}
	// Nobody comes here without the image being there. This is noted with the step's
	// beginning: who parks it, or what dies between two steps, loses no word of it.
	if (m.Download != "" || t.Tries[Download] > 0) && !s.proven() {
		move.Learnt = with(s.proof(), move.Learnt)
	}
	move.Commands = pending(t, Activate, m.Target.Path+commandActivate, m.Activate)
	return move, nil
}

// leastWindow is how much of a window is to be left for Activate() to be asked: it takes
// a moment to reach the device, and one whose TimeWindow has no second is refused.
const leastWindow = 10 * time.Second

// window is how long from now the device may restart; ok is false if it may not now.
func (s turn) window() (end time.Duration, ok bool) {
	if s.m.Window == nil {
		return time.Duration(s.m.Document.Timeouts.RebootSeconds) * time.Second, true
	}
	opens, closes := s.m.Window.Of(s.t.Device).Next(s.t.Now)
	end = closes.Sub(s.t.Now)
	return end, !opens.After(s.t.Now) && end >= leastWindow
}

func (s turn) askActivate() event.Move {
	end, ok := s.window()
	if !ok {
		// Not ahead: nothing stops an Activate() that waits, and no restart
		// outlives it (11a, 11j). A cancel before the window opens reaches no device.
		park := s.park(true)
		park.Why = "waits for its window"
		return event.Move{Park: &park}
	}
	// Whether Activate() is taken without a window differs by agent; with one it
	// always is.
	s.m.Blocked = nil
	return s.command(s.m.Target.Path+commandActivate, s.timeWindow(0, end), nil)
}

// timeWindow is the argument of Activate() that says when to restart; none for a device
// that takes none, and then restarts at once.
func (s turn) timeWindow(start, end time.Duration) map[string]string {
	if s.m.Plain || s.m.Quirks.Has(quirk.NoTimeWindow) {
		return nil
	}
	return timeWindow(start, end)
}

// plain asks again without a window where a device does not take its arguments.
func (s turn) plain(f event.Fault, ask func(turn) event.Move) (again event.Move, ok bool) {
	if s.m.Plain || s.m.Quirks.Has(quirk.NoTimeWindow) ||
		f.Code != device.CodeBadArguments && f.Code != device.CodeInvalidArguments {
		return again, false
	}
	s.m.Plain = true
	return ask(s), true
}

func timeWindow(start, end time.Duration) map[string]string {
	seconds := func(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
	return map[string]string{
		"TimeWindow.1.Start": seconds(start),
		"TimeWindow.1.End":   seconds(end),
		"TimeWindow.1.Mode":  "Immediately",
	}
}

func (s turn) activating(key string, ev event.DeviceEvent, running bool) event.Move {
	end, ok := s.window()
	seconds := s.m.Document.Timeouts.RebootSeconds
	if s.m.Window != nil && ok { // it has not closed since the command was sent
		seconds += int(end / time.Second)
	}
	return event.Move{Done: Accepted{CommandKey: key, Pass: s.m.Passes + 1, Running: running, ReportSeconds: seconds,
		At: ev.At}}
}

func (s turn) activate(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindCommandComplete:
		if ev.Fault != nil && !s.last(ev) {
			return ignore // old
		}
		if ev.Fault != nil {
			// The look may still show it under way; then it is Report's.
			return keepNews(s.faulted(ev))
		}
		return keepNews(s.activating(ev.CommandKey, ev, false))
	case event.KindBooted:
		if !s.returned(ev) {
			return ignore
		}
		if among(pending(s.t, Activate, "", s.m.Activate), ev.CommandKey) {
			return keepNews(s.activating(ev.CommandKey, ev, false))
		}
		return keepNews(s.look(forReturn)) // the step may be over before the look is answered
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
		accepted, f := device.Taken(a)
		if again, ok := s.plain(f, turn.askActivate); ok {
			return again
		}
		switch {
		case accepted:
			return s.activating(s.key(), ev, false)
		case f.Code == device.CodeBusy:
			return s.look(forBusy)
		case s.mayBoot(f):
			return s.boot(s.m.Target.Path, f)
		case f.Code == device.CodeCommandFailure:
			// Not a refusal: it tried, and the image cannot be activated (05b).
			return s.fail(ActivateFailed, "%d %s", f.Code, f.Text)
		}
		return refusal(f)
	}
	if why == forNothing {
		return s.superseded()
	}
	if why == forBank {
		return s.booting(a)
	}
	if a.Fault != nil {
		return refusal(*a.Fault)
	}
	v := viewOf(a)
	if r, ok := v.busy(commandActivate, s.gave(Activate)); ok {
		if given(s.t, Activate, r.Key) {
			return s.activating(r.Key, ev, false)
		}
		return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way", r.Command, r.Key)
	}
	i := v.image(s.m.Target.Path)
	switch {
	case v.runs(s.m.version()):
		return s.activating(s.key(), ev, true)
	case why == forBusy:
		return s.failWith(v, event.DeviceBusy, "the device refuses to activate (7005) and shows no reason")
	case !v.has(i.Path, s.m.version()):
		return s.failWith(v, ActivateFailed, "image %s is %s with version %q %s", s.m.Target.Path, i.Status,
			i.Version, i.BootLog)
	case s.m.Faults >= mostFaults && s.m.Fault != nil:
		return s.failWith(v, ActivateFailed, "%d %s (%d times; image is %s)", s.m.Fault.Code, s.m.Fault.Text,
			s.m.Faults, i.Status)
	case s.m.Sends >= mostSends:
		return s.failWith(v, event.DeviceNoReport, "%s was sent %d times without a trace", commandActivate, s.m.Sends)
	}
	return s.askActivate()
}
