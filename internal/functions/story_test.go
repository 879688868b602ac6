package functions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

func document() upgrade.Document {
	return upgrade.Document{
		Firmware: upgrade.Firmware{Version: "2.0.0", URL: "https://example.com/2.0.0.bin", SHA256: strings.Repeat("0",
			64), Size: 10},
		Activation: upgrade.Activation{Mode: upgrade.ActivateAuto},
		Timeouts:   upgrade.Timeouts{JobMinutes: 600, AnswerSeconds: 30, DownloadSeconds: 600, RebootSeconds: 300},
	}
}

// stories are what can become of one device.
var stories = []struct {
	name   string
	doc    func(d *upgrade.Document)
	play   func(w *world, a *agent)
	status event.JobStatus
	reason event.ErrorName
	// visits, if given, is the path through the machine.
	visits string
	// within, if given, is how long it may take: less than any timeout.
	within time.Duration
	// downloads is how often the device is told to download.
	downloads int
}{
	{name: "success", status: event.StatusSucceeded, visits: "Inspect Download AwaitReport Verify Finalize",
		downloads: 1, within: time.Minute},
	{name: "news before anyone waits", doc: separate, play: func(w *world, a *agent) {
		a.duration = 0
	}, status: event.StatusSucceeded,
		visits: "Inspect Download AwaitReport Activate AwaitReport Verify Finalize", downloads: 1,
		within: time.Minute},
	{name: "one piece of news before anyone waits", doc: separate, play: func(w *world, a *agent) {
		a.duration = 0
		a.mute = func(n usp.Notification) bool { return n.Path == usp.EventTransferComplete }
	}, status: event.StatusSucceeded, downloads: 1, within: time.Minute},
	{name: "answer to the download is lost", play: func(w *world, a *agent) {
		a.parallel, a.duration = true, 2*time.Minute
		a.drop = func(m *uspmsg.Msg) bool { return m.GetBody().GetResponse().GetOperateResp() != nil }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "answer to the download is lost, and the download is quick", play: func(w *world, a *agent) {
		a.parallel, a.mute = true, func(n usp.Notification) bool { return n.Path != usp.EventBoot }
		a.drop = func(m *uspmsg.Msg) bool { return m.GetBody().GetResponse().GetOperateResp() != nil }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "success with a separate activation", doc: separate, status: event.StatusSucceeded,
		visits: "Inspect Download AwaitReport Activate AwaitReport Verify Finalize", downloads: 1},
	{name: "its job is cancelled before it activates", doc: separate, play: func(w *world, a *agent) {
		a.onDownload = func(finish func()) {
			w.after(time.Second, func() {
				w.control(event.ControlStopped)
				finish()
			})
		}
	}, status: event.StatusRejected, reason: event.JobHeld, downloads: 1, within: time.Minute,
		visits: "Inspect Download AwaitReport Activate FinalizeFailed"},
	{name: "success after soaking", doc: func(d *upgrade.Document) {
		d.Activation.SoakSeconds = 60
	}, status: event.StatusSucceeded,
		visits: "Inspect Download AwaitReport Verify Soak Verify Finalize", downloads: 1},
	{name: "success after a long soak, outside of executions", doc: func(d *upgrade.Document) {
		d.Activation.SoakSeconds = 2 * 3600
	}, status: event.StatusSucceeded,
		visits: "Inspect Download AwaitReport Verify Finalize", downloads: 1},
	{name: "its job is cancelled while it soaks", doc: func(d *upgrade.Document) {
		d.Activation.SoakSeconds = 2 * 3600
	}, play: func(w *world, a *agent) {
		w.after(time.Hour, func() { w.control(event.ControlStopped) })
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "falls back while it soaks", doc: func(d *upgrade.Document) {
		d.Activation.SoakSeconds = 2 * 3600
	}, play: func(w *world, a *agent) {
		w.after(time.Hour, func() { a.active, a.software = 1, "1.0.0" })
	}, status: event.StatusFailed, reason: upgrade.ActivateFailed, downloads: 1},
	{name: "activation in a window", doc: windowed, visits: "Inspect Download AwaitReport Activate Finalize",
		status: event.StatusSucceeded, downloads: 1},
	{name: "its job is paused before it activates, and resumed", doc: separate, play: func(w *world, a *agent) {
		a.onDownload = func(finish func()) {
			w.after(time.Second, func() {
				w.control(event.ControlPaused)
				finish()
			})
			w.after(time.Hour, func() { w.control(event.ControlRunning) })
		}
	}, status: event.StatusSucceeded, downloads: 1, visits: "Inspect Download AwaitReport Activate Finalize"},
	{name: "its job is paused before it downloads, and resumed", play: func(w *world, a *agent) {
		w.soon(func() { w.control(event.ControlPaused) })
		w.after(time.Hour, func() { w.control(event.ControlRunning) })
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "its job is paused before it activates, and cancelled", doc: separate, play: func(w *world, a *agent) {
		a.onDownload = func(finish func()) {
			w.after(time.Second, func() {
				w.control(event.ControlPaused)
				finish()
			})
			w.after(time.Hour, func() { w.control(event.ControlStopped) })
		}
	}, status: event.StatusRejected, reason: event.JobHeld, downloads: 1},
	{name: "its window opens while it is away", doc: windowed, play: func(w *world, a *agent) {
		w.after(10*time.Minute, a.disconnect)
		w.after(2*time.Hour, a.connect) // it has closed
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "its window opens while it is away, and it is back in it", doc: windowed, play: func(w *world, a *agent) {
		w.after(10*time.Minute, a.disconnect)
		w.after(58*time.Minute, a.connect)
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "it lost what was staged when its window opens", doc: windowed, play: func(w *world, a *agent) {
		w.after(10*time.Minute, func() { a.images[2] = upgrade.Image{Status: usp.StatusNoImage} })
	}, status: event.StatusSucceeded, downloads: 2},
	{name: "automatic activation in a window", doc: func(d *upgrade.Document) {
		d.Activation.Window = &event.Window{Start: "12:30", End: "13:00"}
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "what names it is lost, and it connects again", play: func(w *world, a *agent) {
		w.lost = true
		w.after(time.Minute, func() {
			a.disconnect()
			w.after(10*time.Second, a.connect)
		})
	}, status: event.StatusSucceeded, downloads: 1, within: time.Minute},
	{name: "what names it is lost, and the clock finds it", play: func(w *world, a *agent) {
		w.lost = true
		w.after(time.Hour, w.clock)
	}, status: event.StatusSucceeded, downloads: 1, within: time.Minute},
	{name: "up to date", play: func(w *world, a *agent) {
		a.software, a.images[1].Version = "2.0.0", "2.0.0"
	}, status: event.StatusSucceeded, reason: upgrade.UpgradeUpToDate, visits: "Inspect Finalize"},
	{name: "image there already, by the word of whoever asked", doc: func(d *upgrade.Document) {
		d.Firmware.VersionIsProof = true
	}, play: func(w *world, a *agent) {
		a.images[2] = upgrade.Image{Version: "2.0.0", Status: usp.StatusAvailable}
	}, status: event.StatusSucceeded},
	{name: "image of that version there, which is no proof", play: func(w *world, a *agent) {
		a.images[2] = upgrade.Image{Version: "2.0.0", Status: usp.StatusAvailable}
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "404", play: func(w *world, a *agent) {
		a.fault = "404"
	}, status: event.StatusFailed, reason: upgrade.DownloadFailed, downloads: 1},
	{name: "wrong checksum", play: func(w *world, a *agent) {
		a.fault = "checksum"
	}, status: event.StatusFailed, reason: upgrade.DownloadChecksumMismatch, downloads: 1},
	{name: "the look after a failed download meets a connection that has just gone", play: func(w *world, a *agent) {
		a.fault = "404"
		a.loseOnce("fault", func() {
			a.disconnect()
			w.after(10*time.Second, a.connect)
		})
	}, status: event.StatusFailed, reason: upgrade.DownloadFailed, downloads: 1, within: time.Minute},
	{name: "the look after a failed download is lost, and the news comes again", play: func(w *world, a *agent) {
		a.fault = "checksum"
		a.loseOnce("fault", func() {
			w.after(30*time.Second, func() {
				for _, m := range a.said {
					if m.GetBody().GetRequest().GetNotify().GetOperComplete() != nil {
						a.send(m)
						return
					}
				}
			})
		})
	}, status: event.StatusFailed, reason: upgrade.DownloadChecksumMismatch, downloads: 1, within: time.Minute},
	{name: "the look after a restart in the download meets a connection that has just gone",
		play: func(w *world, a *agent) {
			cut := false
			a.onDownload = func(finish func()) {
				if !cut {
					cut = true
					w.after(time.Second, func() {
						a.powerCut()
						// What boots in half a minute says nothing but Boot!
						a.mute = func(n usp.Notification) bool { return n.Kind == usp.KindOperationComplete }
					})
					return
				}
				w.after(time.Second, finish)
			}
			a.loseOnce("boot", func() {
				a.disconnect()
				w.after(10*time.Second, a.connect)
			})
		}, status: event.StatusSucceeded, downloads: 2, within: 2 * time.Minute},
	{name: "the boot is seen before all that was before it", doc: patient, play: tellLate,
		status: event.StatusSucceeded, downloads: 1, within: 2 * time.Minute},
	{name: "a boot for no reason given is seen before all that was before it", doc: patient,
		play: func(w *world, a *agent) {
			tellLate(w, a)
			a.anonymous = true
		}, status: event.StatusSucceeded, downloads: 1, within: 2 * time.Minute},
	{name: "the boot is seen before all that was before it, separate activation", doc: func(d *upgrade.Document) {
		patient(d)
		separate(d)
	}, play: tellLate, status: event.StatusSucceeded, downloads: 1, within: 4 * time.Minute},
	{name: "does not boot", play: func(w *world, a *agent) {
		a.fault = "boot"
	}, status: event.StatusFailed, reason: upgrade.ActivateFailed, downloads: 1},
	{name: "does not boot, separate activation", doc: separate, play: func(w *world, a *agent) {
		a.fault = "boot"
	}, status: event.StatusFailed, reason: upgrade.ActivateFailed, downloads: 1},
	{name: "wrong version, rolled back", play: func(w *world, a *agent) {
		a.wanted = "2.0.1"
	}, status: event.StatusFailed, reason: upgrade.VerifyWrongVersion, downloads: 1},
	{name: "wrong version, no rollback wanted", doc: func(d *upgrade.Document) { d.Activation.NoRollback = true },
		play: func(w *world, a *agent) {
			a.wanted = "2.0.1"
		}, status: event.StatusFailed, reason: upgrade.VerifyWrongVersion, downloads: 1},
	{name: "refuses", play: func(w *world, a *agent) {
		a.refuse = usp.RequestDenied
	}, status: event.StatusRejected, reason: event.DeviceRefused},
	{name: "busy with another download", play: func(w *world, a *agent) {
		a.requests[7] = running2{usp.FirmwareImage(2) + usp.CommandDownload, "somebody-else"}
	}, status: event.StatusFailed, reason: event.DeviceBusy},
	{name: "no images", play: func(w *world, a *agent) {
		a.lose = func(m *uspmsg.Msg) bool {
			if g := m.GetBody().GetRequest().GetGet(); g != nil {
				a.send(usp.New(usp.ID(m), &uspmsg.GetResp{}))
				return true
			}
			return false
		}
	}, status: event.StatusRejected, reason: upgrade.UpgradeNotEligible},
	{name: "transfer complete is lost", play: func(w *world, a *agent) {
		a.mute = func(n usp.Notification) bool { return n.Path == usp.EventTransferComplete }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "operation complete is lost", play: func(w *world, a *agent) {
		a.mute = func(n usp.Notification) bool { return n.Kind == usp.KindOperationComplete }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "operation complete is lost, separate activation", doc: separate, play: func(w *world, a *agent) {
		a.mute = func(n usp.Notification) bool { return n.Kind == usp.KindOperationComplete }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "only boot is told", play: func(w *world, a *agent) {
		a.mute = func(n usp.Notification) bool { return n.Path != usp.EventBoot }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "nothing is ever told", play: func(w *world, a *agent) {
		a.mute = func(n usp.Notification) bool { return true }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "nothing is ever told, separate activation", doc: separate, play: func(w *world, a *agent) {
		a.mute = func(n usp.Notification) bool { return true }
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "download request lost once", play: func(w *world, a *agent) {
		lost := false
		a.lose = func(m *uspmsg.Msg) bool {
			first := !lost && m.GetBody().GetRequest().GetOperate() != nil
			lost = lost || first
			return first
		}
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "every download request meets a connection that has just gone, for a while",
		play: func(w *world, a *agent) {
			lost := 0
			a.lose = func(m *uspmsg.Msg) bool {
				if m.GetBody().GetRequest().GetOperate() == nil || lost == 12 {
					return false
				}
				lost++
				a.disconnect()
				w.after(time.Second, a.connect)
				return true
			}
		}, status: event.StatusSucceeded, downloads: 1},
	{name: "what a look showed before the download comes again after it began", play: func(w *world, a *agent) {
		a.parallel = true
		a.mute = func(n usp.Notification) bool { return n.Path != usp.EventBoot }
		lost := false
		a.lose = func(m *uspmsg.Msg) bool {
			if lost || m.GetBody().GetRequest().GetOperate() == nil {
				return false
			}
			lost = true
			a.disconnect()
			w.after(time.Second, a.connect)
			return true
		}
		var shown *uspmsg.Msg
		a.drop = func(m *uspmsg.Msg) bool {
			if r := m.GetBody().GetResponse(); r.GetGetResp() != nil && a.downloads == 0 {
				shown = m
			} else if r.GetOperateResp() != nil {
				w.after(time.Second, func() { a.publish(usp.NewRecord(a.endpoint, controllerID, shown)) })
				return true
			}
			return false
		}
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "the request to roll back meets a connection that has just gone", play: func(w *world, a *agent) {
		a.wanted = "2.0.1"
		lost := false
		a.lose = func(m *uspmsg.Msg) bool {
			if lost || !strings.HasSuffix(m.GetBody().GetRequest().GetOperate().GetCommand(), usp.CommandActivate) {
				return false
			}
			lost = true
			a.disconnect()
			w.after(time.Second, a.connect)
			return true
		}
	}, status: event.StatusFailed, reason: upgrade.VerifyWrongVersion, downloads: 1},
	{name: "answers nothing", play: func(w *world, a *agent) { a.lose = func(*uspmsg.Msg) bool { return true } },
		status: event.StatusFailed, reason: event.DeviceNoReport},
	{name: "goes away for good", play: func(w *world, a *agent) {
		a.onDownload = func(func()) { a.disconnect() }
	}, status: event.StatusFailed, reason: event.DeviceOffline, downloads: 1},
	{name: "hangs in the download", play: func(w *world, a *agent) { a.onDownload = func(func()) {} },
		status: event.StatusFailed, reason: event.DeviceNoReport, downloads: 1},
	{name: "power cut in the download", play: func(w *world, a *agent) {
		cut := false
		a.onDownload = func(finish func()) {
			if !cut {
				cut = true
				w.after(5*time.Second, a.powerCut)
			}
			w.after(10*time.Second, finish)
		}
	}, status: event.StatusSucceeded, downloads: 2},
	{name: "reconnects in the download", play: func(w *world, a *agent) {
		a.onDownload = func(finish func()) {
			w.after(5*time.Second, a.disconnect)
			w.after(8*time.Second, a.connect)
			w.after(20*time.Second, finish)
		}
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "answers to looks take longer than a try waits for them", doc: separate, play: func(_ *world, a *agent) {
		a.late = looksTake(40 * time.Second) // a try waits for 30 s
	}, status: event.StatusSucceeded, downloads: 1,
		visits: "Inspect Download AwaitReport Activate AwaitReport Verify Finalize"},
	{name: "offers twice with a late copy", play: func(w *world, a *agent) {
		w.after(time.Hour, func() { w.offer(a.thing, "job", 1, document()) })
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "first away, then appears", play: func(w *world, a *agent) {
		a.online = false
		w.after(time.Hour, a.connect)
	}, status: event.StatusSucceeded, downloads: 1},
	{name: "cancelled in the download", play: func(w *world, a *agent) {
		a.onDownload = func(finish func()) {
			w.after(5*time.Second, func() { w.cancel(a.thing, "job", 1, event.StatusCanceled, event.JobCanceled) })
			w.after(20*time.Second, finish)
		}
	}, status: event.StatusCanceled, downloads: 1},
	{name: "timed out by AWS IoT in the download", play: func(w *world, a *agent) {
		a.onDownload = func(finish func()) {
			w.after(5*time.Second, func() { w.cancel(a.thing, "job", 1, event.StatusTimedOut, event.JobTimedOut) })
		}
	}, status: event.StatusTimedOut, downloads: 1},
	{name: "cancelled while pending", play: func(w *world, a *agent) {
		a.online = false
		w.after(time.Hour, func() { w.cancel(a.thing, "job", 1, event.StatusCanceled, event.JobCanceled) })
		w.after(2*time.Hour, a.connect)
	}, status: event.StatusCanceled},
}

// looksTake has the answers to looks take so long.
func looksTake(d time.Duration) func(*usp.Record) time.Duration {
	return func(r *usp.Record) time.Duration {
		if r.Message == nil || r.Message.GetBody().GetResponse().GetGetResp() == nil {
			return 0
		}
		return d
	}
}

// tellLate has the functions see what a device says before it boots half a minute
// after its Boot!, and the answers to looks later yet.
func tellLate(w *world, a *agent) {
	a.late = func(r *usp.Record) time.Duration {
		commanded := a.downloads > 0 || len(a.requests) > 0
		switch {
		case r.Message == nil || !commanded:
			return 0
		case r.Message.GetBody().GetResponse().GetGetResp() != nil:
			return 25 * time.Second
		case r.Message.GetBody().GetRequest().GetNotify().GetEvent().GetEventName() == "Boot!":
			return 0
		}
		return 55 * time.Second
	}
}

func patient(d *upgrade.Document) { d.Timeouts.AnswerSeconds = 120 }

func separate(d *upgrade.Document) { d.Activation.Mode = upgrade.ActivateSeparate }

// windowed opens half an hour after the stories begin.
func windowed(d *upgrade.Document) {
	separate(d)
	d.Activation.Window = &event.Window{Start: "12:30", End: "13:00"}
}

type odds struct {
	doubled, mixed bool
	crashes        int
}

func play(t testing.TB, i int, seed uint64, o odds) (*world, *agent, *execution) {
	s := stories[i]
	w := newWorld(t, seed)
	w.doubled, w.mixed, w.crashes = o.doubled, o.mixed, o.crashes
	a := w.agent("cpe-0001")
	a.online = true
	doc := document()
	if s.doc != nil {
		s.doc(&doc)
	}
	if s.play != nil {
		s.play(w, a)
	}
	if a.online {
		a.connect()
	}
	w.offer(a.thing, "job", 1, doc)
	w.run()
	return w, a, w.execs[event.ExecutionName(event.JobOwner("job"), a.thing, 1, 0)]
}

func judge(t interface {
	Errorf(string, ...any)
	Helper()
}, i int, w *world, a *agent, x *execution) {
	t.Helper()
	s := stories[i]
	if got := w.status[executionKey(a.thing, "job", 1)]; got != s.status {
		t.Errorf("the job execution is %s, want %s; outcome %+v", got, s.status, w.outcome[a.thing])
	}
	if o, ok := w.outcome[a.thing]; ok && o.Reason != s.reason {
		t.Errorf("the reason is %q (%s), want %q", o.Reason, o.Detail, s.reason)
	}
	if x != nil {
		if x.over == "" {
			t.Errorf("the execution still runs, in %v", x.visits)
		}
		if visits := strings.Join(x.visits, " "); s.visits != "" && visits != s.visits {
			t.Errorf("went through %s, want %s", visits, s.visits)
		}
	}
	if took := time.Duration(w.outcome[a.thing].Seconds * float64(time.Second)); s.within > 0 && took > s.within {
		t.Errorf("took %v, more than %v: something waited for its timeout", took, s.within)
	}
	if left := w.store.Residue(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if a.downloads != s.downloads {
		t.Errorf("%d downloads, want %d", a.downloads, s.downloads)
	}
	if w.worst > 3 {
		t.Errorf("%d requests to the table for one device message", w.worst)
	}
	if w.refused > 0 {
		t.Errorf("%d records refused", w.refused)
	}
}

func TestStories(t *testing.T) {
	for i, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			w, a, x := play(t, i, 1, odds{})
			judge(t, i, w, a, x)
		})
	}
}

// Whatever the order, whatever comes twice, however the functions' requests
// interleave: the end is the same.
func TestStoriesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.IntRange(0, len(stories)-1).Draw(rt, "story")
		seed := rapid.Uint64().Draw(rt, "seed")
		o := odds{doubled: rapid.Bool().Draw(rt, "doubled"), mixed: rapid.Bool().Draw(rt, "mixed")}
		w, a, x := play(t, i, seed, o)
		rec := &recorder{}
		judge(rec, i, w, a, x)
		if len(rec.lines) > 0 {
			rt.Fatalf("%s, seed %d, %+v: %s", stories[i].name, seed, o, strings.Join(rec.lines, "; "))
		}
	})
}

// Functions that crash between any two requests delay an upgrade, and may cost
// it; they never leave anything behind, nor make a device download beside itself.
func TestStoriesWithCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.IntRange(0, len(stories)-1).Draw(rt, "story")
		seed := rapid.Uint64().Draw(rt, "seed")
		o := odds{doubled: rapid.Bool().Draw(rt, "doubled"), mixed: rapid.Bool().Draw(rt, "mixed"),
			crashes: rapid.IntRange(1, 3).Draw(rt, "crashes")}
		w, a, x := play(t, i, seed, o)
		name := fmt.Sprintf("%s, seed %d, %+v", stories[i].name, seed, o)
		if left := w.store.Residue(); len(left) > 0 {
			rt.Fatalf("%s: left behind: %v", name, left)
		}
		if s := w.status[executionKey(a.thing, "job", 1)]; !s.Terminal() {
			rt.Fatalf("%s: the job execution is %s", name, s)
		}
		if x != nil && x.over == "" {
			rt.Fatalf("%s: the execution still runs", name)
		}
		if a.downloads > stories[i].downloads+1 {
			rt.Fatalf("%s: %d downloads", name, a.downloads)
		}
		if got, want := w.status[executionKey(a.thing, "job", 1)], stories[i].status; want == event.StatusSucceeded &&
			got != want && o.crashes < 2 {
			rt.Fatalf("%s: one crash cost the upgrade: %s, %+v", name, got, w.outcome[a.thing])
		}
	})
}

// An operator, or AWS IoT's timer, ends an upgrade at any moment, while another job
// waits for the device. Its end is told by whoever comes first (Finalize, AWS IoT's
// event, the start of the other), in any order and interleaved request by request, and
// by nobody else; both jobs are told of, and nothing is left.
func TestEveryEndIsToldOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		o := odds{doubled: rapid.Bool().Draw(rt, "doubled"), mixed: rapid.Bool().Draw(rt, "mixed"),
			crashes: rapid.IntRange(0, 2).Draw(rt, "crashes")}
		end := rapid.SampledFrom([]event.JobStatus{event.StatusCanceled, event.StatusTimedOut}).Draw(rt, "end")
		doc := document()
		if rapid.Bool().Draw(rt, "window") {
			windowed(&doc)
			doc.Activation.Window.Start = "12:01"
		}
		within := func(name string) time.Duration {
			return time.Duration(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 100), rapid.IntRange(0, 30_000)).Draw(rt,
				name)) * time.Millisecond
		}
		w := newWorld(t, seed)
		w.doubled, w.mixed, w.crashes = o.doubled, o.mixed, o.crashes
		a := w.agent("cpe-0001")
		a.online = true
		a.connect()
		w.offer(a.thing, "job", 1, doc)
		told, named := within("event"), within("the other")
		w.after(within("end"), func() {
			if k := executionKey(a.thing, "job", 1); !w.status[k].Terminal() {
				w.status[k] = end
				w.after(told, func() { w.cancel(a.thing, "job", 1, end, ended(string(end)).Name) })
			}
			w.after(named, func() { w.offer(a.thing, "other", 1, document()) })
		})
		w.run()
		for _, job := range []event.JobID{"job", "other"} {
			x, k := w.execs[event.ExecutionName(event.JobOwner(job), a.thing, 1, 0)], executionKey(a.thing, job, 1)
			var told []event.Outcome
			var words []string
			for _, p := range w.published {
				if p.Job == job {
					told = append(told, p)
					words = append(words, fmt.Sprintf("%s %s (%s)", p.Status, p.Reason, p.Detail))
				}
			}
			if !w.status[k].Terminal() {
				rt.Fatalf("%s is %s", job, w.status[k])
			}
			if x == nil && len(told) == 0 {
				continue // it never began
			}
			if len(told) == 0 || len(told) > 1 && !o.doubled && o.crashes == 0 {
				rt.Fatalf("the end of %s, %s, was told %d times: %q", job, w.status[k], len(told), words)
			}
			for _, p := range told {
				if p.Status != w.status[k] || p.Reason != told[0].Reason || p.ExecutionNumber != 1 || p.Event == "" {
					rt.Fatalf("%s is %s, and told: %q", job, w.status[k], words)
				}
			}
			if x != nil && x.over == "" {
				rt.Fatalf("%s runs on", job)
			}
		}
		if left := w.store.Residue(); len(left) > 0 {
			rt.Fatalf("left behind: %v", left)
		}
	})
}

type recorder struct{ lines []string }

func (r *recorder) Errorf(f string, a ...any) { r.lines = append(r.lines, fmt.Sprintf(f, a...)) }
func (r *recorder) Helper()                   {}
