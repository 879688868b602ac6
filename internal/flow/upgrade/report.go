package upgrade

import (
	"cmp"
	"regexp"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Report: wait for what the device says by itself. The image is there when
// TransferComplete! or the completion of Download() says so; the device is back
// when it says Boot!, or completes Activate(), or a look shows the new version.
// Any one of them suffices, in any order.

func (f *Flow) beginReport(t event.Turn, m memory, in stepInput) (event.Move, error) {
	commands := map[string]string{}
	if in.Download != nil {
		m.Since, m.Passes = in.Download.At, in.Download.Pass
		commands[m.Download] = m.Target.Path + commandDownload
	}
	if in.Activate != nil {
		m.Since, m.Passes = in.Activate.At, in.Activate.Pass
		commands[m.Activate] = m.Target.Path + commandActivate
	}
	s := turn{f, t, m}
	if in.Activate != nil && in.Activate.Running || in.Activate == nil && in.Download != nil && in.Download.Running {
		return event.Move{Done: s.reportOf(m.Since), State: m.save(), Commands: commands}, nil
	}
	var move event.Move
	if t.Tries[AwaitReport] > 1 {
		move = s.look(forLook) // news may have come while nobody was registered
	}
	move.State, move.Commands = m.save(), commands
	return move, nil
}

func (s turn) reported(ev event.DeviceEvent) event.Move { return event.Move{Done: s.reportOf(ev.At)} }

func (s turn) reportOf(at time.Time) Report {
	return Report{Command: cmp.Or(s.m.Activate, s.m.Download), TransferredAt: s.m.Arrived, At: at}
}

func (s turn) report(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindTransferComplete:
		return s.transferred(ev)
	case event.KindCommandComplete:
		if event.SameTry(ev.CommandKey, s.m.Activate) {
			switch {
			case ev.Fault == nil:
				return s.reported(ev)
			case ev.CommandKey != s.m.Activate:
				return event.Move{} // old: the one after it was taken
			}
			return s.faulted(ev)
		}
		return s.transferred(ev)
	case event.KindBooted:
		ours := ev.CommandKey != "" &&
			(event.SameTry(ev.CommandKey, s.m.Activate) || event.SameTry(ev.CommandKey, s.m.Download) &&
				!s.m.separate())
		if !ours && !s.returned(ev) {
			return ignore
		}
		if ours || ev.FirmwareUpdated {
			return s.reported(ev) // Verify sees whether it was for the better
		}
		return s.restarted()
	case event.KindConnected:
		if !s.returned(ev) {
			return ignore
		}
		return s.look(forReturn)
	case event.KindAnswer:
		return s.reportLook(ev)
	}
	return ignore
}

// restarted looks what a restart has left, and remembers that it is to be looked
// for: the request may be lost with the connection, and then the next look tells.
func (s turn) restarted() event.Move {
	s.m.Restarted, s.m.Cut = true, true
	move := s.look(forRestart)
	move.State = s.m.save()
	return move
}

// transferred takes the end of a download, from either of the two that tell it.
func (s turn) transferred(ev event.DeviceEvent) event.Move {
	if s.m.Activate != "" {
		return event.Move{} // known already
	}
	if ev.CommandKey != s.m.Download {
		return event.Move{} // old: the download after it was taken (11f2)
	}
	if ev.Fault != nil {
		if ev.Fault.Code == device.CodeCommandFailure && strings.Contains(ev.Fault.Text, faultInterrupted) {
			return s.restarted() // interrupted (07b), no verdict on the image
		}
		// The code of a failed transfer is the vendor's; the image's status tells
		// a failed download from a failed check.
		return s.faulted(ev)
	}
	if s.m.separate() {
		return s.fail(NextActivate, "image %s is complete", s.m.Target.Path) // noted as Activate begins
	}
	if s.m.Arrived != nil {
		return event.Move{}
	}
	at := ev.At
	s.m.Arrived, s.m.Fault = &at, nil
	return event.Move{State: s.m.save()}
}

func (s turn) reportLook(ev event.DeviceEvent) event.Move {
	a := ev.Answer
	if a.Fault != nil {
		return event.Move{} // the deadline decides
	}
	why := s.purpose(a)
	v := viewOf(a)
	i := v.image(s.m.Target.Path)
	if v.runs(s.m.version()) {
		move := s.reported(ev)
		move.Learnt = v.learnt()
		return move
	}
	restarted := why == forRestart || s.m.Restarted
	// After a restart a status may be left over from before: what is at work is in the
	// table of commands.
	atWork := !restarted && (i.Status == statusDownloading || i.Status == statusValidating)
	for _, command := range []string{commandDownload, commandActivate} {
		ours := func(key string) bool { return key == s.m.Download || key == s.m.Activate }
		r, busy := v.busy(command, ours)
		// What another is at says nothing about a failure of ours.
		atWork = atWork || busy && (why != forFault || ours(r.Key))
	}
	if atWork {
		return s.looked(why)
	}
	complete := s.complete(v)
	if why == forFault || s.m.Fault != nil {
		switch {
		case s.m.Activate != "":
			return s.failedActivation(v, i)
		case !s.m.Cut || i.Status == statusValidationFailed || i.Status == statusInstallationFailed:
			return s.failedTransfer(v, i)
		}
		restarted = true // it was cut, whatever its failure is called
	}
	switch {
	case i.Status == statusActivationFailed && (s.m.Activate != "" || s.m.Arrived != nil ||
		i.Status != s.m.Target.Status):
		return s.failWith(v, ActivateFailed, "image %s: %s %s", i.Path, i.Status, i.BootLog)
	case complete && s.m.separate() && s.m.Activate == "":
		move := s.fail(NextActivate, "image %s is complete", i.Path)
		move.Learnt = v.learnt()
		return move
	case complete && restarted:
		// It restarted for another reason, before the image could start, and
		// commands do not outlive a restart.
		return s.activateAgain(v, i, "the device restarted before it activated image %s", i.Path)
	case !complete && s.m.Activate == "" && (restarted || why == forLook && broken(i) != "" &&
		i.Status != s.m.Target.Status):
		switch {
		case !restarted && s.m.servable(): // it did not say why; whoever has the image may not have served it
			return s.fail(s.m.later(), "image %s is %s, without a word", i.Path, i.Status)
		case restarted && s.m.interruptible():
			return s.fail(NextDownload, "the device restarted in the middle of the download")
		}
		return s.failWith(v, DownloadFailed, "interrupted %d times, not served %d times (image is %s)",
			max(s.m.Passes, 1)-s.m.Refused, s.m.Refused, i.Status)
	}
	return s.looked(why)
}

// activateAgain has a complete image activated once more, as often as may be.
func (s turn) activateAgain(v view, i Image, format string, args ...any) event.Move {
	if s.m.Activate != "" && s.m.Passes >= mostTries-1 {
		return s.failWith(v, ActivateFailed, "image %s (%s) does not become active: "+format,
			append([]any{i.Path, i.Status}, args...)...)
	}
	move := s.fail(NextActivate, format, args...)
	move.Learnt = with(v.learnt(), s.proof())
	return move
}

// failedActivation tells an activation that a restart has ended, or that fails for
// now, from an image that does not start.
func (s turn) failedActivation(v view, i Image) event.Move {
	f := event.Fault{}
	if s.m.Fault != nil {
		f = *s.m.Fault
	}
	if s.complete(v) {
		return s.activateAgain(v, i, "%d %s, and image %s is complete", f.Code, f.Text, i.Path)
	}
	return s.failWith(v, ActivateFailed, "%d %s (image is %s %s)", f.Code, f.Text, i.Status, i.BootLog)
}

// looked notes that a look found nothing to decide.
func (s turn) looked(why string) event.Move {
	if why != forRestart || !s.m.Restarted {
		return event.Move{}
	}
	s.m.Restarted = false
	return event.Move{State: s.m.save()}
}

// failedTransfer ends the step with what the device said and what a look showed.
func (s turn) failedTransfer(v view, i Image) event.Move {
	name := broken(i)
	if name != DownloadChecksumMismatch {
		name = DownloadFailed
	}
	f := event.Fault{}
	if s.m.Fault != nil {
		f = *s.m.Fault
	}
	if name == DownloadFailed && s.refusedAddress(f) {
		return s.fail(NextRenewal, "%d %s", f.Code, f.Text)
	}
	if name == DownloadFailed && serverFailed.MatchString(f.Text) && s.m.servable() {
		return s.fail(s.m.later(), "%d %s", f.Code, f.Text)
	}
	return s.failWith(v, name, "%d %s (image is %s)", f.Code, f.Text, i.Status)
}

// forbidden is HTTP's status in the text of a failed transfer, which is the vendor's:
// "(http status 401)" (04).
var forbidden = regexp.MustCompile(`\b403\b`)

// serverFailed is the text of a transfer that whoever has the image could not serve now: S3 asks to try again
// after 500 and 503. The text is the vendor's: "(http status 503)" (04), "The requested URL returned error: 503"
// (curl), "ERROR 503: Service Unavailable" (wget); a number alone may be of bytes.
var serverFailed = regexp.MustCompile(
	`(?i)\b(http|http/[\d.]+|status|code|error|returned|response|got)\W{1,3}(5\d\d|429)\b` +
		`|service unavailable|internal server error|bad gateway|gateway time-?out|too many requests`)

// refusedAddress reports whether a transfer failed because an address of ours was not
// taken, and a new one may help: it may have expired before the device came to it.
func (s turn) refusedAddress(f event.Fault) bool {
	return forbidden.MatchString(f.Text) && s.m.Document.Firmware.S3 != nil && !s.m.Renewed &&
		s.m.servable()
}
