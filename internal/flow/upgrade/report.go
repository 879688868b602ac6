package upgrade

import (
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
		m.Since = in.Download.At
		commands[m.Download] = m.Target.Path + commandDownload
	}
	if in.Activate != nil {
		m.Since = in.Activate.At
		commands[m.Activate] = m.Target.Path + commandActivate
	}
	s := turn{f, t, m}
	if in.Activate != nil && in.Activate.Running || in.Activate == nil && in.Download != nil && in.Download.Running {
		return event.Move{Done: Report{At: m.Since}, State: m.save(), Commands: commands}, nil
	}
	var move event.Move
	if t.Tries[AwaitReport] > 1 {
		move = s.look(forLook) // news may have come while nobody was registered
	}
	move.State, move.Commands = m.save(), commands
	return move, nil
}

func (s turn) reported(ev event.DeviceEvent) event.Move {
	return event.Move{Done: Report{TransferredAt: s.m.Arrived, At: ev.At}}
}

func (s turn) report(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindTransferComplete:
		return s.transferred(ev)
	case event.KindCommandComplete:
		if ev.CommandKey == s.m.Activate {
			if ev.Fault != nil {
				return s.fail(ActivateFailed, "%d %s", ev.Fault.Code, ev.Fault.Text)
			}
			return s.reported(ev)
		}
		return s.transferred(ev)
	case event.KindBooted:
		ours := ev.CommandKey != "" && (ev.CommandKey == s.m.Activate || ev.CommandKey == s.m.Download && !s.m.separate())
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
	s.m.Restarted = true
	move := s.look(forRestart)
	move.State = s.m.save()
	return move
}

// lookAgain is how long after the news of a failure the same news, told again,
// means that the look it led to was lost. The two pieces of news that a failed
// transfer makes come together; an agent repeats one after 5 s at the earliest.
const lookAgain = 4 * time.Second

// transferred takes the end of a download, from either of the two that tell it.
func (s turn) transferred(ev event.DeviceEvent) event.Move {
	if s.m.Activate != "" {
		return event.Move{} // known already
	}
	if ev.Fault != nil {
		if ev.Fault.Code == device.CodeCommandFailure && strings.Contains(ev.Fault.Text, "reboot") {
			return s.restarted() // interrupted (07b), no verdict on the image
		}
		if s.m.Fault != nil && s.t.Now.Sub(s.m.FaultAt) < lookAgain {
			return event.Move{}
		}
		// The code of a failed transfer is the vendor's; the image's status tells
		// a failed download from a failed check.
		s.m.Fault, s.m.FaultAt = ev.Fault, s.t.Now
		move := s.look(forFault)
		move.State, move.Once = s.m.save(), true
		return move
	}
	if s.m.separate() {
		return s.fail(NextActivate, "image %s is complete", s.m.Target.Path)
	}
	if s.m.Arrived != nil {
		return event.Move{}
	}
	at := ev.At
	s.m.Arrived = &at
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
	if why == forFault {
		return s.failedTransfer(v, i)
	}
	for _, command := range []string{commandDownload, commandActivate} {
		if _, busy := v.busy(command); busy {
			return s.looked(why) // at work
		}
	}
	if s.m.Fault != nil { // the look for it was lost
		return s.failedTransfer(v, i)
	}
	complete := v.has(i.Path, s.m.version()) && !s.m.single()
	restarted := why == forRestart || s.m.Restarted
	switch {
	case i.Status == statusActivationFailed:
		return s.failWith(v, ActivateFailed, "image %s: %s %s", i.Path, i.Status, i.BootLog)
	case complete && s.m.separate() && s.m.Activate == "":
		return s.fail(NextActivate, "image %s is complete", i.Path)
	case complete && restarted:
		// It restarted for another reason, before the image could start, and
		// commands do not outlive a restart.
		if s.t.Tries[Activate] < mostTries-1 {
			return s.fail(NextActivate, "the device restarted before it activated image %s", i.Path)
		}
		return s.failWith(v, ActivateFailed, "image %s does not become active", i.Path)
	case !complete && s.m.Activate == "" && (restarted || why == forLook && broken(i) != "" && i.Status != s.m.Target.Status):
		if s.t.Tries[Download] < mostTries {
			return s.fail(NextDownload, "the device restarted in the middle of the download")
		}
		return s.failWith(v, DownloadFailed, "interrupted %d times (image is %s)", mostTries, i.Status)
	}
	return s.looked(why)
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
	return s.failWith(v, name, "%d %s (image is %s)", f.Code, f.Text, i.Status)
}
