package device

import (
	"context"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Download: ask for the image, once. The step ends when the device has taken the
// command; Report waits for the rest.

func (k *Talk) beginDownload(ctx context.Context, t event.Turn, m memory) (event.Move, error) {
	url, err := k.ImageURL(ctx, m.Upgrade.Document.Firmware, m.Upgrade.Document.Timeouts)
	if err != nil {
		return event.Move{}, err
	}
	m.URL = url
	s := say{k, t, m}
	var move event.Move
	switch {
	case t.Tries[event.StepDownload] > 1:
		// Somebody asked before: look what came of it.
		move = s.look(forLook)
		move.State = m.save()
	case m.Target.Version == m.version() && m.Target.Status == usp.StatusAvailable && !m.single():
		move = s.fail(event.NextActivate, "image %s has %s already", m.Target.Path, m.version())
		move.State = m.save()
	default:
		move = s.askDownload()
	}
	move.Commands = pending(t, event.StepDownload, m.Target.Path+usp.CommandDownload, m.Download)
	return move, nil
}

func (s say) askDownload() event.Move {
	f := s.m.Upgrade.Document.Firmware
	args := map[string]string{"URL": s.m.URL, "AutoActivate": strconv.FormatBool(!s.m.separate())}
	if f.Size > 0 {
		args["FileSize"] = strconv.FormatInt(f.Size, 10)
	}
	if f.SHA256 != "" {
		args["CheckSumAlgorithm"], args["CheckSum"] = "SHA-256", f.SHA256
	}
	return s.command(s.m.Target.Path+usp.CommandDownload, s.key(), args)
}

func (s say) downloading(key string, ev event.DeviceEvent, running bool) event.Move {
	t := s.m.Upgrade.Document.Timeouts
	seconds := t.DownloadSeconds
	if !s.m.separate() {
		seconds += t.RebootSeconds
	}
	return event.Move{Done: event.Accepted{CommandKey: key, Running: running, ReportSeconds: seconds, At: ev.At}}
}

func (s say) download(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindTransferComplete, event.KindCommandComplete:
		// News of the command may come before its answer (01a), and proves that
		// it was taken. What it says is for Report.
		move := s.downloading(ev.CommandKey, ev, false)
		move.KeepNews = true
		return move
	case event.KindConnected:
		if !s.returned(ev) {
			return ignore
		}
		return s.look(forReturn)
	case event.KindBooted:
		if !s.returned(ev) {
			return ignore
		}
		if _, ours := pending(s.t, event.StepDownload, "", s.m.Download)[ev.CommandKey]; ours && !s.m.separate() {
			// The command was taken, and more: its end, which came before, may be
			// told after.
			move := s.downloading(ev.CommandKey, ev, false)
			move.KeepNews = true
			return move
		}
		// The step may be over before the look is answered.
		move := s.look(forReturn)
		move.KeepNews = true
		return move
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
			return s.downloading(s.key(), ev, false)
		case f.Code == busyCode:
			// Perhaps a second copy of a command whose first is running (07a).
			return s.look(forBusy)
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
	path := s.m.Target.Path
	if r, ok := v.busy(usp.CommandDownload); ok {
		if _, ours := keys(s.t, event.StepDownload, "")[r.key]; ours {
			return s.downloading(r.key, ev, false)
		}
		return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way", r.path, r.key)
	}
	switch {
	case v.runs(s.m.version()):
		return s.downloading(s.key(), ev, true)
	case v.has(path, s.m.version()) && !s.m.single():
		return s.fail(event.NextActivate, "image %s has %s", path, s.m.version())
	case why == forBusy:
		return s.failWith(v, event.DeviceBusy, "the device refuses a download (7005) and shows none")
	}
	if i := v.image(path); s.t.Tries[event.StepDownload] > 1 && i.Status != s.m.Target.Status {
		if name := broken(i); name == event.DownloadFailed || name == event.DownloadChecksumMismatch {
			return s.failWith(v, name, "image %s is %s", path, i.Status)
		}
	}
	if s.m.Sends >= mostSends {
		return s.failWith(v, event.DeviceNoReport, "%s was sent %d times without a trace", usp.CommandDownload, s.m.Sends)
	}
	return s.askDownload()
}
