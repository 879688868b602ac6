package upgrade

import (
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// Download: ask for the image, once. The step ends when the device has taken the
// command; Report waits for the rest.

func (f *Flow) beginDownload(t event.Turn, m memory, seen Inspection) (event.Move, error) {
	var learnt map[string]string
	if m.Download == "" && t.Tries[Download] == 1 {
		// What Inspect has found out is noted now, and counts already.
		learnt = turn{f, t, m}.noted(seen)
		t.Device.Facts = with(learnt, t.Device.Facts)
	}
	s := turn{f, t, m}
	var move event.Move
	switch {
	case t.Tries[Download] > 1:
		// Somebody asked before: look what came of it.
		move = s.look(forLook)
		move.State = m.save()
	case m.staged() && s.proven() && !m.single():
		move = s.fail(NextActivate, "image %s has %s already", m.Target.Path, m.version())
		move.State = m.save()
	default:
		move = s.askDownload()
	}
	move.Commands = pending(t, Download, m.Target.Path+commandDownload, m.Download)
	move.Learnt = learnt
	return move, nil
}

func (s turn) askDownload() event.Move {
	if _, ok := s.window(); !ok && !s.m.separate() {
		// It restarts by itself when it has the image. In which time it lives may be
		// known only since Inspect.
		park := s.park(false)
		park.Why = "waits for its window"
		return event.Move{Park: &park}
	}
	f := s.m.Document.Firmware
	args := map[string]string{"AutoActivate": strconv.FormatBool(!s.m.separate())}
	files := map[string]device.File{}
	if f.S3 == nil {
		args["URL"] = f.URL
	} else {
		lasts := time.Duration(s.m.Document.Timeouts.DownloadSeconds) * time.Second
		files["URL"] = device.File{Bucket: f.S3.Bucket, Key: f.S3.Key, Version: f.S3.VersionID, Lasts: lasts}
	}
	if f.Size > 0 {
		args["FileSize"] = strconv.FormatInt(f.Size, 10)
	}
	if f.SHA256 != "" {
		args["CheckSumAlgorithm"], args["CheckSum"] = "SHA-256", f.SHA256
	}
	return s.command(s.m.Target.Path+commandDownload, args, files)
}

func (s turn) downloading(key string, ev event.DeviceEvent, running bool) event.Move {
	t := s.m.Document.Timeouts
	seconds := t.DownloadSeconds
	if !s.m.separate() {
		seconds += t.RebootSeconds
	}
	return event.Move{Done: Accepted{CommandKey: key, Pass: s.m.Passes + 1, Running: running, ReportSeconds: seconds,
		At: ev.At}}
}

func (s turn) download(ev event.DeviceEvent) event.Move {
	switch ev.Kind {
	case event.KindTransferComplete, event.KindCommandComplete:
		if !s.last(ev) && (ev.Fault != nil || s.m.Sends > 0) {
			// Old: what came of a command before (11f). A look, or the answer to
			// the one after it, says how it stands.
			return ignore
		}
		// News of the command may come before its answer (01a), and proves that
		// it was taken. What it says is for Report.
		return keepNews(s.downloading(ev.CommandKey, ev, false))
	case event.KindConnected:
		if !s.returned(ev) {
			return ignore
		}
		return s.look(forReturn)
	case event.KindBooted:
		if !s.returned(ev) {
			return ignore
		}
		if among(pending(s.t, Download, "", s.m.Download), ev.CommandKey) && !s.m.separate() {
			// The command was taken, and more: its end, which came before, may be
			// told after.
			return keepNews(s.downloading(ev.CommandKey, ev, false))
		}
		return keepNews(s.look(forReturn)) // the step may be over before the look is answered
	case event.KindAnswer:
	default:
		return ignore
	}
	a := ev.Answer
	why := s.purpose(a)
	if why == forCommand {
		accepted, f := device.Taken(a)
		switch {
		case accepted:
			return s.downloading(s.key(), ev, false)
		case f.Code == device.CodeBusy:
			// Perhaps a second copy of a command whose first is running (07a).
			return s.look(forBusy)
		}
		return refusal(f)
	}
	if why == forNothing {
		return s.superseded()
	}
	if a.Fault != nil {
		return refusal(*a.Fault)
	}
	v := viewOf(a)
	path := s.m.Target.Path
	if r, ok := v.busy(commandDownload, s.gave(Download)); ok {
		if given(s.t, Download, r.Key) {
			return s.downloading(r.Key, ev, false)
		}
		return s.failWith(v, event.DeviceBusy, "%s with command key %q is under way", r.Command, r.Key)
	}
	switch {
	case v.runs(s.m.version()):
		return s.downloading(s.key(), ev, true)
	case s.complete(v):
		return s.fail(NextActivate, "image %s has %s", path, s.m.version())
	case why == forBusy:
		return s.failWith(v, event.DeviceBusy, "the device refuses a download (7005) and shows none")
	}
	if i := v.image(path); s.t.Tries[Download] > 1 && i.Status != s.m.Target.Status {
		// A transfer that failed may have been cut by a restart, whose news was lost
		// or told another step (07b, 07d): it is asked for again.
		// How often its function was tried says nothing of the device.
		again := i.Status == statusDownloadFailed && s.m.interruptible()
		if name := broken(i); !again && (name == DownloadFailed || name == DownloadChecksumMismatch) {
			return s.failWith(v, name, "image %s is %s", path, i.Status)
		}
	}
	if s.m.Sends >= mostSends {
		return s.failWith(v, event.DeviceNoReport, "%s was sent %d times without a trace", commandDownload, s.m.Sends)
	}
	return s.askDownload()
}
