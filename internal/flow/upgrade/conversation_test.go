package upgrade_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/quirk"
)

const (
	image1 = "Device.DeviceInfo.FirmwareImage.1."
	image2 = "Device.DeviceInfo.FirmwareImage.2."
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// show is what a device shows to a look.
type show struct {
	software, active string
	images           [][3]string // version, status, boot log; from instance 1
	running          [][3]string // command, key, status
}

// Devices that the tables speak of: the old version runs, and so on.
var (
	old       = show{software: "1", active: image1, images: [][3]string{{"1", "Available"}, {"", "NoImage"}}}
	oldSingle = show{software: "1", active: image1, images: [][3]string{{"1", "Available"}}}
	later     = show{software: "2.1", active: image1, images: [][3]string{{"2.1", "Available"}, {"", "NoImage"}}}
	staged    = show{software: "1", active: image1, images: [][3]string{{"1", "Available"}, {"2", "Available"}}}
	upgraded  = show{software: "2", active: image2, images: [][3]string{{"1", "Available"}, {"2", "Active"}}}
	other     = show{software: "3", active: image2, images: [][3]string{{"1", "Available"}, {"3", "Active"}}}
)

// with is old with image 2 in a status.
func with(status string) show {
	return show{software: "1", active: image1, images: [][3]string{{"1", "Available"}, {"", status, "log"}}}
}

// at is a device that works on a command.
func (s show) at(command, key string) show {
	s.running = append([][3]string{{"Device.Other()", "k", "Active"}, {image2 + command, "done", "Success"}},
		[3]string{image2 + command, key, "Active"})
	return s
}

// and has another command at work beside that.
func (s show) and(command, key string) show {
	s.running = append(slices.Clone(s.running), [3]string{image2 + command, key, "Active"})
	return s
}

func (s show) params() map[string]string {
	p := map[string]string{}
	if s.software != "" {
		p["Device.DeviceInfo.SoftwareVersion"] = s.software
	}
	if s.active != "" {
		p["Device.DeviceInfo.ActiveFirmwareImage"] = strings.TrimSuffix(s.active, ".")
	}
	for i, image := range s.images {
		at := "Device.DeviceInfo.FirmwareImage." + strconv.Itoa(i+1) + "."
		p[at+"Version"], p[at+"Status"], p[at+"BootFailureLog"] = image[0], image[1], image[2]
	}
	for i, r := range s.running {
		at := device.Requests + strconv.Itoa(i+1) + "."
		p[at+"Command"], p[at+"CommandKey"], p[at+"Status"] = r[0], r[1], r[2]
	}
	return p
}

// talk is one conversation, and the parts of a device that speaks in it.
type talk struct {
	t       *testing.T
	flow    event.Flow
	turn    event.Turn
	doc     upgrade.Document
	results map[string]any
	in      event.ExecutionInput
	asked   string // id of the last request
}

func newTalk(t *testing.T, step event.Step) *talk {
	c := &talk{
		t: t, flow: upgrade.New("self::fleetstep"),
		doc: upgrade.Document{
			Operation: upgrade.Operation, Firmware: upgrade.Firmware{
				Version: "2", SHA256: "ab", Size: 7,
				S3: &upgrade.S3Object{Bucket: "b", Key: "2/a.bin", VersionID: "v"},
			},
			Activation: upgrade.Activation{Mode: upgrade.ActivateAuto}, Timeouts: upgrade.Timeouts{}.WithDefaults(),
		},
		turn: event.Turn{Thing: "rg-1", Execution: "x", Step: step, Messages: "m-", Now: noon,
			Tries: map[event.Step]int{step: 1}},
		results: map[string]any{"inspect": upgrade.Inspection{
			SoftwareVersion: "1", Active: upgrade.Image{Path: image1, Version: "1", Status: "Available"},
			Target: upgrade.Image{Path: image2, Status: "NoImage"}, At: noon,
		}},
	}
	switch step {
	case upgrade.Inspect:
		c.results = map[string]any{}
	case upgrade.AwaitReport, upgrade.Verify, upgrade.Rollback:
		c.turn.Tries[upgrade.Download] = 1
		c.results["download"] = upgrade.Accepted{CommandKey: c.key(upgrade.Download, 1), ReportSeconds: 9, At: noon}
	}
	return c
}

func (c *talk) key(step event.Step, try int) string { return event.StepKey("x", step, try) }

// separate has the upgrade activate by a command of its own.
func (c *talk) separate() *talk {
	c.doc.Activation.Mode = upgrade.ActivateSeparate
	return c
}

// single makes it a device of one image.
func (c *talk) single() *talk {
	c.results["inspect"] = upgrade.Inspection{
		SoftwareVersion: "1", Active: upgrade.Image{Path: image1, Version: "1"}, Target: upgrade.Image{Path: image1,
			Version: "1"},
	}
	return c
}

// activated has Activate behind it.
func (c *talk) activated() *talk {
	c.turn.Tries[upgrade.Activate] = max(1, c.turn.Tries[upgrade.Activate])
	c.results["activate"] = upgrade.Accepted{CommandKey: c.key(upgrade.Activate, 1), ReportSeconds: 9, At: noon}
	return c.separate()
}

// again is a retry of the step.
func (c *talk) again() *talk { c.turn.Tries[c.turn.Step]++; return c }

func (c *talk) tried(step event.Step, times int) *talk { c.turn.Tries[step] = times; return c }

func (c *talk) set(name string, v any) *talk { c.results[name] = v; return c }

// staged has an image of the wanted version lie in the other bank at inspection.
func (c *talk) staged() *talk {
	return c.set("inspect", upgrade.Inspection{
		SoftwareVersion: "1", Active: upgrade.Image{Path: image1, Version: "1", Status: "Available"},
		Target: upgrade.Image{Path: image2, Version: "2", Status: "Available"}, At: noon,
	})
}

// proven has our record say which bytes of version 2 were downloaded to image 2.
func (c *talk) proven(sha256 string) *talk {
	c.turn.Device.Facts = map[string]string{"bank " + image2: `{"version":"2","sha256":"` + sha256 + `","by":"y"}`}
	return c
}

// window has the device restart between 13 and 14 o'clock only.
func (c *talk) window() *talk {
	c.in.Window = &event.Window{Start: "13:00", End: "14:00"}
	return c
}

// resumed has a lap behind it that left an image staged.
func (c *talk) resumed() *talk {
	c.in.Lap, c.in.Resume = 1, json.RawMessage(`{"staged":"`+image2+`","passes":2}`)
	return c
}

// resumedAfter has a lap behind it that left something else.
func (c *talk) resumedAfter(resume string) *talk {
	c.in.Lap, c.in.Resume = 1, json.RawMessage(resume)
	return c
}

// quirks has the device's model have them.
func (c *talk) quirks(quirks ...quirk.Quirk) *talk {
	i := c.results["inspect"].(upgrade.Inspection)
	i.Quirks = quirk.Of(quirks...)
	return c.set("inspect", i)
}

func (c *talk) document(change func(*upgrade.Document)) *talk { change(&c.doc); return c }

func (c *talk) input() event.StepInput {
	c.t.Helper()
	doc, err := json.Marshal(c.doc)
	if err != nil {
		c.t.Fatal(err)
	}
	results, err := json.Marshal(c.results)
	if err != nil {
		c.t.Fatal(err)
	}
	c.in.Document = doc
	return event.StepInput{Step: c.turn.Step, Input: c.in, Results: results}
}

// learns is what the whole upgrade says of the device, with what Verify ended with.
func (c *talk) learns(verified any) map[string]string {
	c.t.Helper()
	if verified != nil {
		c.set("verify", verified)
	}
	in := c.input()
	in.Input.Execution = "x"
	return c.flow.Learn(event.FinalizeInput{Input: in.Input, Results: in.Results}, event.DeviceState{})
}

func (c *talk) took(m event.Move, err error) event.Move {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	if m.State != nil {
		c.turn.State = m.State
	}
	switch r := m.Send.(type) {
	case *device.Get:
		c.asked = r.ID
	case *device.Operate:
		c.asked = r.ID
	case *device.Add:
		c.asked = r.ID
	case *device.Set:
		c.asked = r.ID
	case *device.Delete:
		c.asked = r.ID
	}
	return m
}

func (c *talk) begin() event.Move {
	c.t.Helper()
	return c.took(c.flow.Begin(c.t.Context(), c.turn, c.input()))
}

// begun goes on.
func (c *talk) begun() *talk { c.t.Helper(); c.begin(); return c }

func (c *talk) on(ev event.DeviceEvent) event.Move {
	c.t.Helper()
	if ev.At.IsZero() {
		c.turn.Now = c.turn.Now.Add(time.Second)
		ev.At = c.turn.Now
	}
	return c.took(c.flow.Continue(c.turn, ev))
}

// then is on, and goes on.
func (c *talk) then(ev event.DeviceEvent) *talk { c.t.Helper(); c.on(ev); return c }

// answer is one to the last request.
func (c *talk) answer(a event.Answer) event.DeviceEvent {
	a.MessageID = c.asked
	return event.DeviceEvent{Kind: event.KindAnswer, Answer: &a}
}

func (c *talk) shows(s show) event.DeviceEvent { return c.answer(event.Answer{Params: s.params()}) }

// named is an answer to a request of some purpose.
func named(purpose string, a event.Answer) event.DeviceEvent {
	a.MessageID = "m-" + purpose
	return event.DeviceEvent{Kind: event.KindAnswer, Answer: &a}
}

func (c *talk) faults(code int) event.DeviceEvent {
	return c.answer(event.Answer{Fault: &event.Fault{Code: code, Text: "no"}})
}

func (c *talk) taken() event.DeviceEvent {
	return c.answer(event.Answer{Results: []event.Result{{Path: "p"}}})
}

func refused(c *talk, code int) event.DeviceEvent {
	return c.answer(event.Answer{Results: []event.Result{{Path: "p", Fault: &event.Fault{Code: code, Text: "no"}}}})
}

var (
	connected = event.DeviceEvent{Kind: event.KindConnected}
	booted    = event.DeviceEvent{Kind: event.KindBooted, Cause: "LocalReboot"}
	longAgo   = noon.Add(-time.Hour)
	nothing   = event.DeviceEvent{Kind: event.KindOther}
)

func past(ev event.DeviceEvent) event.DeviceEvent { ev.At = longAgo; return ev }

func news(kind event.Kind, key string, f *event.Fault) event.DeviceEvent {
	return event.DeviceEvent{Kind: kind, CommandKey: key, Fault: f}
}

// told puts a move into words.
func told(m event.Move) string {
	var words []string
	switch r := m.Send.(type) {
	case nil:
	case *device.Get:
		words = append(words, "get "+strings.TrimPrefix(r.ID, "m-"))
	case *device.Operate:
		words = append(words, "operate "+strings.TrimPrefix(r.Command, "Device.DeviceInfo.FirmwareImage."))
	case *device.Add:
		words = append(words, fmt.Sprintf("add %d", len(r.Objects)))
	case *device.Set:
		words = append(words, fmt.Sprintf("set %d", len(r.Objects)))
	case *device.Delete:
		words = append(words, fmt.Sprintf("delete %d", len(r.Paths)))
	}
	switch done := m.Done.(type) {
	case nil:
	case upgrade.Accepted:
		words = append(words, fmt.Sprintf("accepted %s %d", done.CommandKey, done.ReportSeconds))
		if done.Running {
			words = append(words, "running")
		}
	case upgrade.Report:
		words = append(words, "reported")
		if done.TransferredAt != nil {
			words = append(words, "transferred")
		}
	case upgrade.Inspection:
		words = append(words, "inspected "+done.Active.Path+" to "+done.Target.Path)
	case upgrade.Verification:
		words = append(words, "verified "+done.SoftwareVersion)
	case map[string]string:
		words = append(words, "rollback: "+done["rollback"])
	}
	if m.Failed != nil {
		words = append(words, string(m.Failed.Name))
	}
	if p := m.Park; p != nil {
		words = append(words, "park")
		gated := ""
		if p.Gated {
			gated = "gated "
		}
		words = append(words, gated+string(p.Resume))
	}
	for word, is := range map[string]bool{"ignored": m.Ignore} {
		if is {
			words = append(words, word)
		}
	}
	if m.Once {
		words = append(words, "once")
	}
	if m.KeepNews {
		words = append(words, "kept")
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

type row struct {
	name string
	step event.Step
	play func(c *talk) event.Move
	want string
}

func TestConversations(t *testing.T) {
	d, a, r := event.StepKey("x", upgrade.Download, 1), event.StepKey("x", upgrade.Activate, 1),
		event.StepKey("x", upgrade.Rollback, 1)
	d2 := event.StepKey("x", upgrade.Download, 2)
	busy, failure := device.CodeBusy, &event.Fault{Code: 7022, Text: "404"}
	forbidden := &event.Fault{Code: 7022,
		Text: "Download failed: The requested URL returned error: 403 (http status 403)"}
	unserved := &event.Fault{Code: 7022,
		Text: "Download failed: The requested URL returned error: 503 (http status 503)"}
	interrupted := &event.Fault{Code: device.CodeCommandFailure, Text: "did not complete before reboot"}
	sixteen := func(c *talk) *talk {
		for range 16 {
			c.then(connected).then(c.shows(old))
		}
		return c
	}
	park2 := `park, gated {"v":1,"staged":"` + image2 + `"}`
	for _, row := range []row{
		// Inspect.
		{"goes on with the image that is staged", upgrade.Inspect, func(c *talk) event.Move {
			c.separate().resumed().proven("ab").begin()
			c.on(c.shows(staged))
			return c.on(c.taken())
		}, "Next.Activate"},
		{"goes on with the image that is staged, without a checksum", upgrade.Inspect, func(c *talk) event.Move {
			c.separate().resumed().document(func(d *upgrade.Document) { d.Firmware.SHA256 = "" }).begin()
			c.on(c.shows(staged))
			return c.on(c.taken())
		}, "Next.Activate"},
		{"lost the image that was staged", upgrade.Inspect, func(c *talk) event.Move {
			c.separate().resumed().proven("ab").begin()
			c.on(c.shows(old))
			return c.on(c.taken())
		}, "inspected " + image1 + " to " + image2},
		{"has another image where one was staged", upgrade.Inspect, func(c *talk) event.Move {
			c.separate().resumed().proven("cd").begin()
			c.on(c.shows(staged))
			return c.on(c.taken())
		}, "inspected " + image1 + " to " + image2},
		{"activated by itself what was staged", upgrade.Inspect, func(c *talk) event.Move {
			c.separate().resumed().begin()
			return c.on(c.shows(upgraded))
		}, "Upgrade.UpToDate"},
		{"looks", upgrade.Inspect, func(c *talk) event.Move { return c.begin() }, "get look"},
		{"looks again when it is back", upgrade.Inspect, func(c *talk) event.Move {
			return c.begun().on(connected)
		}, "get return"},
		{"does not heed what was before", upgrade.Inspect, func(c *talk) event.Move {
			return c.begun().on(past(booted))
		}, "ignored"},
		{"does not heed other news", upgrade.Inspect, func(c *talk) event.Move {
			return c.begun().on(nothing)
		}, "ignored"},
		{"does not heed an answer to nothing", upgrade.Inspect, func(c *talk) event.Move {
			return c.begun().on(named("x", event.Answer{}))
		}, "ignored"},
		{"is refused", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			return c.on(c.faults(7006))
		}, "Device.Refused"},
		{"subscribes", upgrade.Inspect, func(c *talk) event.Move { c.begin(); return c.on(c.shows(old)) }, "add 4"},
		{"is subscribed", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			c.on(c.shows(old))
			return c.on(c.taken())
		}, "inspected " + image1 + " to " + image2},
		{"was subscribed already", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			c.on(c.shows(old))
			return c.on(refused(c, device.CodeDuplicate))
		}, "inspected " + image1 + " to " + image2},
		{"may not subscribe", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			c.on(c.shows(old))
			return c.on(refused(c, 7006))
		}, "Device.Refused"},
		{"may not subscribe at all", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			c.on(c.shows(old))
			return c.on(c.faults(7006))
		}, "Device.Refused"},
		{"subscribes before it has looked", upgrade.Inspect, func(c *talk) event.Move {
			return c.begun().on(named("add", event.Answer{Results: []event.Result{{}}}))
		}, "ignored"},
		{"repairs before it has looked", upgrade.Inspect, func(c *talk) event.Move {
			return c.begun().on(named("set", event.Answer{}))
		}, "ignored"},
		{"has no images", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(show{software: "1"}))
		}, "Upgrade.NotEligible"},
		{"runs a later version by now, where nobody goes back", upgrade.Inspect, func(c *talk) event.Move {
			c.document(func(d *upgrade.Document) { d.Firmware.NoDowngrade = true }).begin()
			return c.on(c.shows(later))
		}, "Upgrade.NotEligible"},
		{"runs an earlier version, where nobody goes back", upgrade.Inspect, func(c *talk) event.Move {
			c.document(func(d *upgrade.Document) { d.Firmware.NoDowngrade = true }).begin()
			return c.on(c.shows(old))
		}, "add 4"},
		{"has failed too often with this image", upgrade.Inspect, failing(2, old, "one", "two"),
			"Upgrade.Quarantined"},
		{"has failed too often, and runs it by now", upgrade.Inspect, failing(2, upgraded, "one", "two"),
			"Upgrade.UpToDate"},
		{"has failed as often as it may once more", upgrade.Inspect, failing(2, old, "one"), "add 4"},
		{"has failed too often, and that is nothing to whoever asks", upgrade.Inspect,
			failing(0, old, "one", "two", "three"), "add 4"},
		{"runs a later version, and may go back", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(later))
		}, "add 4"},
		{"does not tell which image runs", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(show{software: "1", images: [][3]string{{"1", "Available"}, {"1", "Available"}}}))
		}, "Upgrade.NotEligible"},
		{"tells it by the status", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			c.on(c.shows(show{software: "1", images: [][3]string{{"0", "Available"}, {"1", "Active"}}}))
			return c.on(c.taken())
		}, "inspected " + image2 + " to " + image1},
		{"tells it by the version", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			c.on(c.shows(show{software: "1", images: [][3]string{{"0", "Available"}, {"1", "Available"}}}))
			return c.on(c.taken())
		}, "inspected " + image2 + " to " + image1},
		{"is up to date", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(upgraded))
		}, "Upgrade.UpToDate"},
		{"is busy", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(old.at("Download()", "k")))
		}, "Device.Busy"},
		{"cannot be activated separately", upgrade.Inspect, func(c *talk) event.Move {
			c.separate().begin()
			return c.on(c.shows(oldSingle))
		}, "Upgrade.NotEligible"},
		{"has one image", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			c.on(c.shows(oldSingle))
			return c.on(c.taken())
		}, "inspected " + image1 + " to " + image1},
		{"prefers the image that has it", upgrade.Inspect, func(c *talk) event.Move {
			c.begin()
			three := staged
			three.images = [][3]string{{"1", "Available"}, {"", "NoImage"}, {"2", "Available"}}
			c.on(c.shows(three))
			return c.on(c.taken())
		}, "inspected " + image1 + " to Device.DeviceInfo.FirmwareImage.3."},

		// Download.
		{"waits for the window, which is in the device's time", upgrade.Download, func(c *talk) event.Move {
			c.turn.Now = noon.Add(90 * time.Minute)
			c.turn.Device.Facts = map[string]string{event.FactZone: "CET-1CEST,M3.5.0,M10.5.0/3"}
			return c.window().begin()
		}, `park, gated {"v":1}`},
		{"counts the downloads of the laps before", upgrade.Download, func(c *talk) event.Move {
			c.resumedAfter(`{"downloads":6,"refused":5}`).begin()
			move := c.on(c.taken())
			if a, ok := move.Done.(upgrade.Accepted); !ok || a.Pass != 7 {
				c.t.Errorf("accepted %+v", move.Done)
			}
			return move
		}, "accepted " + d + " 4500"},
		{"does not wait, activation apart", upgrade.Download, func(c *talk) event.Move {
			return c.window().separate().begin()
		}, "operate 2.Download(), once"},
		{"asks for the image", upgrade.Download, func(c *talk) event.Move {
			return c.begin()
		}, "operate 2.Download(), once"},
		{"has the image already, by our record", upgrade.Download, func(c *talk) event.Move {
			return c.staged().proven("ab").begin()
		}, "Next.Activate"},
		{"has the image already, by the word of whoever asked", upgrade.Download, func(c *talk) event.Move {
			return c.staged().document(func(d *upgrade.Document) { d.Firmware.VersionIsProof = true }).begin()
		}, "Next.Activate"},
		{"has an image of that version, which is no proof", upgrade.Download, func(c *talk) event.Move {
			return c.staged().begin()
		}, "operate 2.Download(), once"},
		{"has another image of that version", upgrade.Download, func(c *talk) event.Move {
			return c.staged().proven("cd").begin()
		}, "operate 2.Download(), once"},
		{"has an image of that version at a retry, which is no proof", upgrade.Download, func(c *talk) event.Move {
			c.staged().again().begin()
			return c.on(c.shows(staged))
		}, "operate 2.Download(), once"},
		{"tells of a failure before it was asked again", upgrade.Download, func(c *talk) event.Move {
			c.begun().then(connected).then(c.shows(old))
			return c.on(news(event.KindCommandComplete, d, failure))
		}, "ignored"},
		{"tells of a failure of the try before", upgrade.Download, func(c *talk) event.Move {
			return c.again().begun().on(news(event.KindCommandComplete, d, failure))
		}, "ignored"},
		{"tells of the download of the try before", upgrade.Download, func(c *talk) event.Move {
			return c.again().begun().on(news(event.KindTransferComplete, d, nil))
		}, "accepted " + d + " 4500, kept"},
		{"answers the command before", upgrade.Download, func(c *talk) event.Move {
			c.begun()
			late := c.taken()
			c.then(connected).then(c.shows(old))
			return c.on(late)
		}, "ignored"},
		{"is taken the second time", upgrade.Download, func(c *talk) event.Move {
			c.begun().then(connected).then(c.shows(old))
			return c.on(c.taken())
		}, "accepted " + event.SendKey("x", upgrade.Download, 1, 2) + " 4500"},
		{"was cut by a restart before this try", upgrade.Download, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 1}).again().begin()
			return c.on(c.shows(with("DownloadFailed")))
		}, "operate 2.Download(), once"},
		{"looks at a retry", upgrade.Download, func(c *talk) event.Move { return c.again().begin() }, "get look@0"},
		{"is taken", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			return c.on(c.taken())
		}, "accepted " + d + " 4500"},
		{"is taken, activation apart", upgrade.Download, func(c *talk) event.Move {
			c.separate().begin()
			return c.on(c.taken())
		}, "accepted " + d + " 3600"},
		{"is refused", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			return c.on(refused(c, 7002))
		}, "Device.Refused"},
		{"is refused as a whole", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			return c.on(c.faults(7002))
		}, "Device.Refused"},
		{"matches nothing", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			return c.on(c.answer(event.Answer{}))
		}, "Device.Refused"},
		{"looks when it is busy", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			return c.on(refused(c, busy))
		}, "get busy@1"},
		{"was busy with ours", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			c.on(refused(c, busy))
			return c.on(c.shows(old.at("Download()", d)))
		}, "accepted " + d + " 4500"},
		{"was busy with another", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			c.on(refused(c, busy))
			return c.on(c.shows(old.at("Download()", "k")))
		}, "Device.Busy"},
		{"was busy with another and with ours", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			c.on(refused(c, busy))
			return c.on(c.shows(old.at("Download()", "k").and("Download()", d)))
		}, "accepted " + d + " 4500"},
		{"was busy without a trace", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			c.on(refused(c, busy))
			return c.on(c.shows(old))
		}, "Device.Busy"},
		{"may not be looked at", upgrade.Download, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.faults(7006))
		}, "Device.Refused"},
		{"asks again after it was away", upgrade.Download, func(c *talk) event.Move {
			c.begun().then(connected)
			return c.on(c.shows(old))
		}, "operate 2.Download(), once"},
		{"looks when it is back", upgrade.Download, func(c *talk) event.Move {
			return c.begun().on(connected)
		}, "get return@1"},
		{"does not heed an old connection", upgrade.Download, func(c *talk) event.Move {
			return c.begun().on(past(connected))
		}, "ignored"},
		{"does not heed an old restart", upgrade.Download, func(c *talk) event.Move {
			return c.begun().on(past(booted))
		}, "ignored"},
		{"does not heed other news", upgrade.Download, func(c *talk) event.Move {
			return c.begun().on(nothing)
		}, "ignored"},
		{"does not heed an old look", upgrade.Download, func(c *talk) event.Move {
			c.begin()
			return c.on(named("return@0", event.Answer{Params: old.params()}))
		}, "ignored"},
		{"looks after a restart", upgrade.Download, func(c *talk) event.Move {
			return c.begun().on(booted)
		}, "get return@1, kept"},
		{"restarted by our command", upgrade.Download, func(c *talk) event.Move {
			return c.begun().on(event.DeviceEvent{Kind: event.KindBooted, CommandKey: d})
		}, "accepted " + d + " 4500, kept"},
		{"has news before its answer", upgrade.Download, func(c *talk) event.Move {
			return c.begun().on(news(event.KindTransferComplete, d, failure))
		}, "accepted " + d + " 4500, kept"},
		{"runs it already", upgrade.Download, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(upgraded))
		}, "accepted " + d2 + " 4500, running"},
		{"has it already", upgrade.Download, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(staged))
		}, "Next.Activate"},
		{"has failed meanwhile, perhaps by a restart", upgrade.Download, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(with("DownloadFailed")))
		}, "operate 2.Download(), once"},
		{"has failed in every try", upgrade.Download, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 4, At: noon}).tried(upgrade.Download, 5).begin()
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"has failed, whatever the tries of its function", upgrade.Download, func(c *talk) event.Move {
			c.tried(upgrade.Download, 5).begin()
			return c.on(c.shows(with("DownloadFailed")))
		}, "operate 2.Download(), once"},
		{"was another image", upgrade.Download, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(with("ValidationFailed")))
		}, "Download.ChecksumMismatch"},
		{"could not be installed", upgrade.Download, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(with("InstallationFailed")))
		}, "Download.Failed"},
		{"is asked for again", upgrade.Download, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(with("ActivationFailed")))
		}, "operate 2.Download(), once"},
		{"is not asked for without end", upgrade.Download, func(c *talk) event.Move {
			c = sixteen(c.begun()).then(connected)
			return c.on(c.shows(old))
		}, "Device.NoReport"},

		// Activate.
		{"asks for the restart", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begin()
		}, "operate 2.Activate(), once"},
		{"looks at a retry", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().again().begin()
		}, "get look@0"},
		{"is taken", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			return c.on(c.taken())
		}, "accepted " + a + " 900"},
		{"waits for the window", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().window().begin()
		}, park2},
		{"waits for the next window", upgrade.Activate, func(c *talk) event.Move {
			c.separate().window().again().begin()
			return c.on(c.shows(staged))
		}, park2},
		{"waits for the next window, at the end of this one", upgrade.Activate, func(c *talk) event.Move {
			c = c.separate().window()
			c.turn.Now = noon.Add(2*time.Hour - 500*time.Millisecond)
			return c.begin()
		}, park2},
		{"waits for the window, where the restart was cut", upgrade.Activate, func(c *talk) event.Move {
			return c.window().begin()
		}, park2},
		{"waits for the window, after it tried in vain", upgrade.Activate, func(c *talk) event.Move {
			return c.window().activated().set("activate", upgrade.Accepted{CommandKey: a, Pass: 1, At: noon}).begin()
		}, `park, gated {"v":1,"staged":"` + image2 + `","passes":1}`},
		{"waits for the window, after a lap before tried in vain", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().window().resumed().begin()
		}, `park, gated {"v":1,"staged":"` + image2 + `","passes":2}`},
		{"is taken, in the window", upgrade.Activate, func(c *talk) event.Move {
			c.turn.Now = noon.Add(90 * time.Minute)
			c.separate().window().begin()
			c.turn.Now = noon.Add(90*time.Minute - time.Second)
			return c.on(c.taken())
		}, "accepted " + a + " 2700"},
		{"takes no window", upgrade.Activate, func(c *talk) event.Move {
			c.begin()
			m := c.on(refused(c, 7027))
			if o, ok := m.Send.(*device.Operate); !ok || len(o.Args) != 0 || o.Key == c.key(upgrade.Activate, 1) {
				c.t.Errorf("sends %+v", m.Send)
			}
			return m
		}, "operate 2.Activate(), once"},
		{"takes no arguments at all", upgrade.Activate, func(c *talk) event.Move {
			c.begin()
			c.on(refused(c, 7004))
			return c.on(refused(c, 7027))
		}, "Device.Refused"},
		{"is known to take no window", upgrade.Activate, func(c *talk) event.Move {
			m := c.quirks(quirk.NoTimeWindow).begin()
			if o, ok := m.Send.(*device.Operate); !ok || len(o.Args) != 0 {
				c.t.Errorf("sends %+v", m.Send)
			}
			return c.on(refused(c, 7027))
		}, "Device.Refused"},
		{"is known to ignore AutoActivate", upgrade.Download, func(c *talk) event.Move {
			m := c.quirks(quirk.NoAutoActivate).begin()
			if o, ok := m.Send.(*device.Operate); !ok || o.Args["AutoActivate"] != "false" {
				c.t.Errorf("sends %+v", m.Send)
			}
			return c.on(c.taken())
		}, fmt.Sprintf("accepted %s %d", event.StepKey("x", upgrade.Download, 1),
			upgrade.Timeouts{}.WithDefaults().DownloadSeconds)},
		{"is known to ignore AutoActivate, and has the image", upgrade.AwaitReport, func(c *talk) event.Move {
			c.quirks(quirk.NoAutoActivate).begin()
			return c.on(news(event.KindTransferComplete, d, nil))
		}, "Next.Activate"},
		{"is known to ignore AutoActivate, and has one image", upgrade.Download, func(c *talk) event.Move {
			m := c.single().quirks(quirk.NoAutoActivate).begin()
			if o, ok := m.Send.(*device.Operate); !ok || o.Args["AutoActivate"] != "true" {
				c.t.Errorf("sends %+v", m.Send)
			}
			return m
		}, "operate 1.Download(), once"},
		{"is refused by 7002, and boots without it", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			return c.on(refused(c, device.CodeDenied))
		}, "set 1, once"},
		{"is refused by 7002, and restarts", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			c.on(refused(c, device.CodeDenied))
			return c.on(c.taken())
		}, "operate Device.Reboot(), once"},
		{"is refused by 7002, and has restarted", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			c.on(refused(c, device.CodeDenied))
			c.on(c.taken())
			return c.on(c.taken())
		}, "accepted " + event.SendKey("x", upgrade.Activate, 1, 2) + " 900"},
		{"is refused by 7002, told again before it could boot without it", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			refusal := refused(c, device.CodeDenied)
			c.on(refusal)
			return c.on(refusal)
		}, "set 1, once"},
		{"is refused by 7002, told again when it restarts", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			refusal := refused(c, device.CodeDenied)
			c.on(refusal)
			c.on(c.taken())
			return c.on(refusal)
		}, "ignored"},
		{"is refused by 7002, and so is the restart", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			c.on(refused(c, device.CodeDenied))
			c.on(c.taken())
			return c.on(refused(c, device.CodeDenied))
		}, "Device.Refused"},
		{"is refused by 7002, and in every other way", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			c.on(refused(c, device.CodeDenied))
			return c.on(refused(c, 7006))
		}, "Device.Refused"},
		{"is told about a bank that it did not ask for", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(named("bank@1", event.Answer{}))
		}, "ignored"},
		{"has failed, and is asked for again", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begun().on(news(event.KindCommandComplete, a, interrupted))
			return c.on(c.shows(staged))
		}, "operate 2.Activate(), once"},
		{"has failed, told after it was asked for again", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begun().on(news(event.KindCommandComplete, a, interrupted))
			c.on(c.shows(staged))
			return c.on(news(event.KindCommandComplete, a, interrupted))
		}, "ignored"},
		{"has failed, and does not boot", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begun().on(news(event.KindCommandComplete, a, failure))
			return c.on(c.shows(with("ActivationFailed")))
		}, "Activate.Failed"},
		{"has failed again and again", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begun()
			for n := range 3 {
				if n > 0 {
					c.on(c.shows(staged))
				}
				c.turn.Now = c.turn.Now.Add(5 * time.Second)
				c.on(news(event.KindCommandComplete, event.SendKey("x", upgrade.Activate, 1, n+1), failure))
			}
			return c.on(c.shows(staged))
		}, "Activate.Failed"},
		{"is refused", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			return c.on(refused(c, 7006))
		}, "Device.Refused"},
		{"fails at once", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			return c.on(refused(c, device.CodeCommandFailure))
		}, "Activate.Failed"},
		{"looks when it is busy", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			return c.on(refused(c, busy))
		}, "get busy@1"},
		{"was busy with ours", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			c.on(refused(c, busy))
			return c.on(c.shows(staged.at("Activate()", a)))
		}, "accepted " + a + " 900"},
		{"was busy with another", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			c.on(refused(c, busy))
			return c.on(c.shows(staged.at("Activate()", "k")))
		}, "Device.Busy"},
		{"was busy without a trace", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			c.on(refused(c, busy))
			return c.on(c.shows(staged))
		}, "Device.Busy"},
		{"is over", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(news(event.KindCommandComplete, a, nil))
		}, "accepted " + a + " 900, kept"},
		{"has failed, and is looked at", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(news(event.KindCommandComplete, a, failure))
		}, "get fault@1, once, kept"},
		{"restarted by our command", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(event.DeviceEvent{Kind: event.KindBooted, CommandKey: a})
		}, "accepted " + a + " 900, kept"},
		{"restarted by itself", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(booted)
		}, "get return@1, kept"},
		{"does not heed an old restart", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(past(booted))
		}, "ignored"},
		{"looks when it is back", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(connected)
		}, "get return@1"},
		{"does not heed an old connection", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(past(connected))
		}, "ignored"},
		{"does not heed other news", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(nothing)
		}, "ignored"},
		{"does not heed an old look", upgrade.Activate, func(c *talk) event.Move {
			return c.separate().begun().on(named("return@0", event.Answer{Params: old.params()}))
		}, "ignored"},
		{"may not be looked at", upgrade.Activate, func(c *talk) event.Move {
			c.separate().again().begin()
			return c.on(c.faults(7006))
		}, "Device.Refused"},
		{"runs it already", upgrade.Activate, func(c *talk) event.Move {
			c.separate().again().begin()
			return c.on(c.shows(upgraded))
		}, "accepted " + event.StepKey("x", upgrade.Activate, 2) + " 900, running"},
		{"has lost the image", upgrade.Activate, func(c *talk) event.Move {
			c.separate().again().begin()
			return c.on(c.shows(old))
		}, "Activate.Failed"},
		{"is asked for again", upgrade.Activate, func(c *talk) event.Move {
			c.separate().again().begin()
			return c.on(c.shows(staged))
		}, "operate 2.Activate(), once"},
		{"is not asked for without end", upgrade.Activate, func(c *talk) event.Move {
			c.separate().begin()
			for range 15 {
				c.then(connected).then(c.shows(staged))
			}
			c.then(connected)
			return c.on(c.shows(staged))
		}, "Device.NoReport"},

		// AwaitReport.
		{"waits", upgrade.AwaitReport, func(c *talk) event.Move { return c.begin() }, "nothing"},
		{"looks at a retry", upgrade.AwaitReport, func(c *talk) event.Move { return c.again().begin() }, "get look@0"},
		{"runs it by now", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.set("download", upgrade.Accepted{CommandKey: d, Running: true, At: noon}).begin()
		}, "reported"},
		{"runs it after its activation", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.activated().set("activate", upgrade.Accepted{CommandKey: a, Running: true, At: noon}).begin()
		}, "reported"},
		{"has the image", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(news(event.KindTransferComplete, d, nil))
		}, "nothing"},
		{"has it, told twice", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().then(news(event.KindTransferComplete, d, nil)).on(news(event.KindCommandComplete, d, nil))
		}, "nothing"},
		{"has it, and waits to be activated", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.separate().begun().on(news(event.KindTransferComplete, d, nil))
		}, "Next.Activate"},
		{"has it, which is known", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.activated().begun().on(news(event.KindTransferComplete, d, nil))
		}, "nothing"},
		{"has restarted with it", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().then(news(event.KindTransferComplete, d, nil)).on(
				event.DeviceEvent{Kind: event.KindBooted, CommandKey: d})
		}, "reported, transferred"},
		{"has restarted with something new", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(event.DeviceEvent{Kind: event.KindBooted, FirmwareUpdated: true})
		}, "reported"},
		{"has restarted, by Activate", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.activated().begun().on(event.DeviceEvent{Kind: event.KindBooted, CommandKey: a})
		}, "reported"},
		{"is activated", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.activated().begun().on(news(event.KindCommandComplete, a, nil))
		}, "reported"},
		{"has failed to activate, and is looked at", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.activated().begun().on(news(event.KindCommandComplete, a, failure))
		}, "get fault@0, once"},
		{"could not be activated", upgrade.AwaitReport, func(c *talk) event.Move {
			c.activated().begun().on(news(event.KindCommandComplete, a, failure))
			return c.on(c.shows(with("ActivationFailed")))
		}, "Activate.Failed"},
		{"was not activated for a restart", upgrade.AwaitReport, func(c *talk) event.Move { // 11a, 11b
			c.activated().begun().on(news(event.KindCommandComplete, a, interrupted))
			return c.on(c.shows(staged))
		}, "Next.Activate"},
		{"was not activated for many restarts", upgrade.AwaitReport, func(c *talk) event.Move {
			c.activated().set("activate", upgrade.Accepted{CommandKey: a, Pass: 3, At: noon}).begun()
			c.on(news(event.KindCommandComplete, a, interrupted))
			return c.on(c.shows(staged))
		}, "Activate.Failed"},
		{"tells that an activation before the last has failed", upgrade.AwaitReport, func(c *talk) event.Move {
			c.activated().set("activate", upgrade.Accepted{CommandKey: event.SendKey("x", upgrade.Activate, 1, 2),
				Pass: 1, At: noon}).begun()
			return c.on(news(event.KindCommandComplete, a, interrupted))
		}, "nothing"},
		{"tells that a download before the last has failed", upgrade.AwaitReport, func(c *talk) event.Move { // 11f2
			c.set("download", upgrade.Accepted{CommandKey: event.SendKey("x", upgrade.Download, 1, 2), Pass: 1,
				At: noon}).begun()
			return c.on(news(event.KindCommandComplete, d, interrupted))
		}, "nothing"},
		{"has failed, and downloads all the same", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, failure))
			return c.on(c.shows(old.at("Download()", d)))
		}, "nothing"},
		{"has failed, and shows that it downloads", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, failure))
			return c.on(c.shows(with("Downloading")))
		}, "nothing"},
		{"was refused the image by its address", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, forbidden))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Renewal"},
		{"was refused it by its address, to be activated later", upgrade.AwaitReport, func(c *talk) event.Move {
			c.separate().begun().then(news(event.KindCommandComplete, d, forbidden))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Renewal"},
		{"was refused it by a new address too", upgrade.AwaitReport, func(c *talk) event.Move {
			c.set("renewed", true).begun().then(news(event.KindTransferComplete, d, forbidden))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"was refused it by the address that was asked for", upgrade.AwaitReport, func(c *talk) event.Move {
			c.document(func(d *upgrade.Document) { d.Firmware.S3, d.Firmware.URL = nil, "https://example.com/2.bin" })
			c.begun().then(news(event.KindTransferComplete, d, forbidden))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"was refused it in its last try", upgrade.AwaitReport, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 8, At: noon}).begun()
			c.then(news(event.KindTransferComplete, d, forbidden))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"was not served the image", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, unserved))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Backoff"},
		{"was not served the image, to be activated later", upgrade.AwaitReport, func(c *talk) event.Move {
			c.separate().begun().then(news(event.KindCommandComplete, d, unserved))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Backoff"},
		{"was not served it again, after four restarts", upgrade.AwaitReport, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 5, At: noon}).set("refused", 1).begun()
			c.then(news(event.KindTransferComplete, d, unserved))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Backoff"},
		{"was interrupted, and not served four times", upgrade.AwaitReport, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 5, At: noon}).set("refused", 4).begun()
			c.then(booted)
			return c.on(c.shows(old))
		}, "Next.Download"},
		{"was interrupted four times, and not served once", upgrade.AwaitReport, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 5, At: noon}).set("refused", 1).begun()
			c.then(booted)
			return c.on(c.shows(old))
		}, "Download.Failed"},
		{"was not served it in its last try, the laps before included", upgrade.AwaitReport, func(c *talk) event.Move {
			c.resumedAfter(`{"downloads":6,"refused":5}`).set("refused", 1)
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 8, At: noon}).begun()
			c.then(news(event.KindTransferComplete, d, unserved))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"was interrupted four times, the laps before included", upgrade.AwaitReport, func(c *talk) event.Move {
			c.resumedAfter(`{"downloads":4,"refused":1}`)
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 5, At: noon}).begun().then(booted)
			return c.on(c.shows(old))
		}, "Download.Failed"},
		{"was not served it in its last try", upgrade.AwaitReport, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 8, At: noon}).begun()
			c.then(news(event.KindTransferComplete, d, unserved))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"got 503 bytes of it", upgrade.AwaitReport, func(c *talk) event.Move {
			ended := &event.Fault{Code: 7022, Text: "ended after 503 bytes"}
			c.begun().then(news(event.KindTransferComplete, d, ended))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"has an image that is not the one, whatever the address", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, forbidden))
			return c.on(c.shows(with("ValidationFailed")))
		}, "Download.ChecksumMismatch"},
		{"has failed in its own words after a restart", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(booted).then(news(event.KindTransferComplete, d, failure))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Download"},
		{"has an image of that version after a restart, which is no proof", upgrade.AwaitReport,
			func(c *talk) event.Move {
				c.staged().begun().then(booted)
				return c.on(c.shows(staged))
			}, "Next.Download"},
		// 11d
		{"has an image of that version after a restart, and said so", upgrade.AwaitReport, func(c *talk) event.Move {
			c.staged().begun().then(news(event.KindTransferComplete, d, nil)).then(booted)
			return c.on(c.shows(staged))
		}, "Next.Activate"},
		{"does not heed an old restart", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(past(booted))
		}, "ignored"},
		{"does not heed an old connection", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(past(connected))
		}, "ignored"},
		{"does not heed other news", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(nothing)
		}, "ignored"},
		{"looks when it is back", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(connected)
		}, "get return@0"},
		{"has restarted by itself", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(booted)
		}, "get boot@0"},
		{"was interrupted", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(news(event.KindCommandComplete, d, interrupted))
		}, "get boot@0"},
		{"was interrupted, and downloads again", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(booted)
			return c.on(c.shows(old))
		}, "Next.Download"},
		{"was interrupted too often", upgrade.AwaitReport, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 4, At: noon}).begun().then(booted)
			return c.on(c.shows(old))
		}, "Download.Failed"},
		{"has failed, and is looked at", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(news(event.KindTransferComplete, d, failure))
		}, "get fault@0, once"},
		{"has failed, told twice", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().then(news(event.KindTransferComplete, d, failure)).on(news(event.KindCommandComplete,
				d, failure))
		}, "nothing"},
		{"has failed, and the very same is delivered again", upgrade.AwaitReport, func(c *talk) event.Move {
			told := news(event.KindTransferComplete, d, failure)
			told.ID = "n"
			return c.begun().then(told).on(told)
		}, "get fault@0"},
		{"has failed, told again much later", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, failure))
			c.turn.Now = c.turn.Now.Add(5 * time.Second)
			return c.on(news(event.KindTransferComplete, d, failure))
		}, "get fault@0, once"},
		{"has failed", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, failure))
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"was another image", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, failure))
			return c.on(c.shows(with("ValidationFailed")))
		}, "Download.ChecksumMismatch"},
		{"has failed, and the look for it was lost", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(news(event.KindTransferComplete, d, failure)).then(connected)
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"shows no failure that was told", upgrade.AwaitReport, func(c *talk) event.Move {
			return c.begun().on(named("fault@0", event.Answer{Params: old.params()}))
		}, "Download.Failed"},
		{"runs it", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(connected)
			return c.on(c.shows(upgraded))
		}, "reported"},
		{"may not be looked at", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(connected)
			return c.on(c.faults(7006))
		}, "nothing"},
		{"is at work", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(booted)
			return c.on(c.shows(old.at("Download()", d)))
		}, "nothing"},
		{"has done nothing yet", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(connected)
			return c.on(c.shows(old))
		}, "nothing"},
		{"did not boot", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(connected)
			return c.on(c.shows(with("ActivationFailed")))
		}, "Activate.Failed"},
		{"is complete, and waits to be activated", upgrade.AwaitReport, func(c *talk) event.Move {
			c.separate().begun().then(connected)
			return c.on(c.shows(staged))
		}, "Next.Activate"},
		{"restarted before it was activated", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begun().then(booted)
			return c.on(c.shows(staged))
		}, "Next.Activate"},
		{"does not become active", upgrade.AwaitReport, func(c *talk) event.Move {
			c.activated().set("activate", upgrade.Accepted{CommandKey: a, Pass: 3, At: noon}).begun().then(booted)
			return c.on(c.shows(staged))
		}, "Activate.Failed"},
		{"shows at a retry that it failed", upgrade.AwaitReport, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Backoff"},

		// Verify.
		{"looks", upgrade.Verify, func(c *talk) event.Move { return c.begin() }, "get look@0"},
		{"looks again when it is back", upgrade.Verify, func(c *talk) event.Move {
			return c.begun().on(booted)
		}, "get return@0"},
		{"does not heed what was before", upgrade.Verify, func(c *talk) event.Move {
			return c.begun().on(past(booted))
		}, "ignored"},
		{"does not heed other news", upgrade.Verify, func(c *talk) event.Move {
			return c.begun().on(nothing)
		}, "ignored"},
		{"may not be looked at", upgrade.Verify, func(c *talk) event.Move {
			c.begin()
			return c.on(c.faults(7006))
		}, "Device.Refused"},
		{"does not tell", upgrade.Verify, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(show{}))
		}, "Device.NoReport"},
		{"runs it", upgrade.Verify, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(upgraded))
		}, "verified 2"},
		{"runs it, and is to prove it", upgrade.Verify, func(c *talk) event.Move {
			c.document(func(d *upgrade.Document) { d.Activation.SoakSeconds = 9 }).begin()
			return c.on(c.shows(upgraded))
		}, "Next.Soak"},
		{"runs it, and is to prove it for long", upgrade.Verify, func(c *talk) event.Move {
			c.document(func(d *upgrade.Document) { d.Activation.SoakSeconds = 7200 }).begin()
			move := c.on(c.shows(upgraded))
			if p := move.Park; p != nil && p.Seconds == 7200 && p.Looks && !p.Gated {
				p.Resume = nil
			}
			return move
		}, "park, "},
		{"runs it still", upgrade.Verify, func(c *talk) event.Move {
			c.document(func(d *upgrade.Document) { d.Activation.SoakSeconds = 9 }).set("soaked", true).begin()
			return c.on(c.shows(upgraded))
		}, "verified 2"},
		{"runs it no more", upgrade.Verify, func(c *talk) event.Move {
			c.set("soaked", true).begin()
			return c.on(c.shows(staged))
		}, "Activate.Failed"},
		{"runs another", upgrade.Verify, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(other))
		}, "Verify.WrongVersion"},
		{"runs the old one", upgrade.Verify, func(c *talk) event.Move {
			c.begin()
			return c.on(c.shows(old))
		}, "Activate.Failed"},
		{"is still at work", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(old.at("Download()", d)))
		}, "Device.NoReport"},
		{"is late with its download, while another's is at work", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(staged.at("Download()", "another").and("Download()", d)))
		}, "Device.NoReport"},
		{"is late and has the image, while another's download is at work", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(staged.at("Download()", "another")))
		}, "Next.Activate"},
		{"is late without the image, while another's download is at work", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(old.at("Download()", "another")))
		}, "Device.Busy"},
		{"is late, and has failed without a word", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(with("DownloadFailed")))
		}, "Next.Download"},
		{"is late, and has failed without a word for the last time", upgrade.Verify, func(c *talk) event.Move {
			c.set("download", upgrade.Accepted{CommandKey: d, Pass: 4, At: noon}).set("overdue", true).begin()
			return c.on(c.shows(with("DownloadFailed")))
		}, "Download.Failed"},
		{"is late, and has another image than was asked for", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(with("ValidationFailed")))
		}, "Download.ChecksumMismatch"},
		{"is late, and has an image of that version, which is no proof", upgrade.Verify, func(c *talk) event.Move {
			c.staged().set("overdue", true).begin()
			return c.on(c.shows(staged))
		}, "Device.NoReport"},
		{"is late, and was not activated", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(staged))
		}, "Next.Activate"},
		{"was late with its download, and restarted with the old one after Activate()", upgrade.Verify,
			func(c *talk) event.Move {
				c.activated().set("overdue", true).set("report", upgrade.Report{At: noon.Add(time.Minute)}).begin()
				return c.on(c.shows(staged))
			}, "Activate.Failed"},
		{"was late with its download, and then with its restart", upgrade.Verify, func(c *talk) event.Move {
			c.activated().set("overdue", true).set("report", upgrade.Report{At: noon.Add(-time.Minute)}).begin()
			return c.on(c.shows(staged))
		}, "Device.NoReport"},
		{"was late with its download, and told at once of Activate() and its restart with the old one", upgrade.Verify,
			func(c *talk) event.Move {
				c.activated().set("overdue", true).set("report", upgrade.Report{Command: a, At: noon}).begin()
				return c.on(c.shows(staged))
			}, "Activate.Failed"},
		{"was late with its restart, which no report of its download tells", upgrade.Verify, func(c *talk) event.Move {
			c.activated().set("overdue", true).set("report", upgrade.Report{Command: d, At: noon}).begin()
			return c.on(c.shows(staged))
		}, "Device.NoReport"},
		{"was late with its first download, and restarted with the old one after the second", upgrade.Verify,
			func(c *talk) event.Move {
				c.set("download", upgrade.Accepted{CommandKey: d, Pass: 2, At: noon})
				c.set("overdue", true).set("report", upgrade.Report{Command: d, At: noon}).begin()
				return c.on(c.shows(staged))
			}, "Activate.Failed"},
		{"left its status behind as it restarted", upgrade.AwaitReport, func(c *talk) event.Move {
			c.begin()
			c.on(booted)
			return c.on(c.shows(with("Downloading")))
		}, "Next.Download"},
		{"is late", upgrade.Verify, func(c *talk) event.Move {
			c.set("overdue", true).begin()
			return c.on(c.shows(old))
		}, "Device.NoReport"},

		// Rollback.
		{"is not wanted", upgrade.Rollback, func(c *talk) event.Move {
			return c.document(func(d *upgrade.Document) { d.Activation.NoRollback = true }).begin()
		}, "rollback: not wanted"},
		{"has nothing to go back to", upgrade.Rollback, func(c *talk) event.Move {
			return c.single().begin()
		}, "Rollback.Failed"},
		{"asks for the previous image", upgrade.Rollback, func(c *talk) event.Move {
			return c.begin()
		}, "operate 1.Activate(), once"},
		{"looks at a retry", upgrade.Rollback, func(c *talk) event.Move { return c.again().begin() }, "get look@0"},
		{"asks again at a retry", upgrade.Rollback, func(c *talk) event.Move {
			c.again().begin()
			return c.on(c.shows(other))
		}, "operate 1.Activate(), once"},
		{"is taken", upgrade.Rollback, func(c *talk) event.Move { c.begin(); return c.on(c.taken()) }, "nothing"},
		{"is busy", upgrade.Rollback, func(c *talk) event.Move {
			c.begin()
			return c.on(refused(c, busy))
		}, "nothing"},
		{"is refused", upgrade.Rollback, func(c *talk) event.Move {
			c.begin()
			return c.on(refused(c, 7006))
		}, "Rollback.Failed"},
		{"is over", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(news(event.KindCommandComplete, r, nil))
		}, "get boot@1"},
		{"has failed, and is looked at", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(news(event.KindCommandComplete, r, failure))
		}, "get fault@1, once"},
		{"was ended by a restart, and is asked for again", upgrade.Rollback, func(c *talk) event.Move { // 11c
			c.begun().on(news(event.KindCommandComplete, r, interrupted))
			return c.on(c.shows(other))
		}, "operate 1.Activate(), once"},
		{"was ended by a restart, told again", upgrade.Rollback, func(c *talk) event.Move {
			c.begun().on(news(event.KindCommandComplete, r, interrupted))
			c.on(c.shows(other))
			return c.on(news(event.KindCommandComplete, r, interrupted))
		}, "ignored"},
		{"had gone back before the restart", upgrade.Rollback, func(c *talk) event.Move { // 11c2
			c.begun().on(booted)
			return c.on(c.shows(old))
		}, "rollback: runs 1"},
		{"is under way", upgrade.Rollback, func(c *talk) event.Move {
			c.begun().on(connected)
			return c.on(c.shows(other.at("Activate()", r)))
		}, "nothing"},
		{"has failed again and again", upgrade.Rollback, func(c *talk) event.Move {
			c.begun()
			for n := range 4 {
				if n > 0 {
					c.on(c.shows(other))
				}
				c.turn.Now = c.turn.Now.Add(5 * time.Second)
				c.on(news(event.KindCommandComplete, event.SendKey("x", upgrade.Rollback, 1, n+1), failure))
			}
			return c.on(c.shows(other))
		}, "Rollback.Failed"},
		{"is refused by 7002, and boots without it", upgrade.Rollback, func(c *talk) event.Move {
			c.begin()
			c.on(refused(c, device.CodeDenied))
			return c.on(c.taken())
		}, "operate Device.Reboot(), once"},
		{"is refused by 7002, told again before it could boot without it", upgrade.Rollback, func(c *talk) event.Move {
			c.begin()
			refusal := refused(c, device.CodeDenied)
			c.on(refusal)
			return c.on(refusal)
		}, "set 1, once"},
		{"looks after a restart", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(booted)
		}, "get boot@1"},
		{"does not heed an old restart", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(past(booted))
		}, "ignored"},
		{"looks when it is back", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(connected)
		}, "get return@1"},
		{"does not heed an old connection", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(past(connected))
		}, "ignored"},
		{"does not heed other news", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(nothing)
		}, "ignored"},
		{"does not heed an old look", upgrade.Rollback, func(c *talk) event.Move {
			return c.begun().on(named("return@0", event.Answer{Params: old.params()}))
		}, "ignored"},
		{"gets an answer again that led to a command just now", upgrade.Rollback, func(c *talk) event.Move {
			c.begun().on(booted)
			answer := c.shows(other)
			c.on(answer)
			return c.on(answer)
		}, "ignored"},
		{"gets an answer again that led to a command, which may not have been sent", upgrade.Rollback,
			func(c *talk) event.Move {
				c.begun().on(booted)
				answer := c.shows(other)
				c.on(answer)
				c.turn.Now = c.turn.Now.Add(time.Minute)
				return c.on(answer)
			}, "get return@2"},
		{"may not be looked at", upgrade.Rollback, func(c *talk) event.Move {
			c.begun().then(booted)
			return c.on(c.faults(7006))
		}, "nothing"},
		{"runs the previous one", upgrade.Rollback, func(c *talk) event.Move {
			c.begun().then(booted)
			return c.on(c.shows(old))
		}, "rollback: runs 1"},
		{"restarted and does not run it", upgrade.Rollback, func(c *talk) event.Move { // 11c
			c.begun().then(booted)
			return c.on(c.shows(other))
		}, "operate 1.Activate(), once"},
	} {
		t.Run(string(row.step)+" "+row.name, func(t *testing.T) {
			if got := told(row.play(newTalk(t, row.step))); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// TestAnAnswerToTheTryBeforeDoes: an answer to a try that only looked does for the next one of the same step, which
// looks for the same. One that gave a command, kept something in mind or was of other results is over.
func TestAnAnswerToTheTryBeforeDoes(t *testing.T) {
	for _, row := range []struct {
		name string
		step event.Step
		play func(c *talk) // the try before, from its beginning
		want string
	}{
		{"inspect", upgrade.Inspect, func(c *talk) { c.begin() }, "m-"},
		{"inspect, as it came back", upgrade.Inspect, func(c *talk) { c.begun().then(connected) }, "m-"},
		{"inspect, of which Subscriptions were added", upgrade.Inspect,
			func(c *talk) { c.begin(); c.then(c.shows(old)) }, ""},
		{"verify", upgrade.Verify, func(c *talk) { c.begin() }, "m-"},
		{"verify, of other results", upgrade.Verify, func(c *talk) { c.begun().set("soaked", true) }, ""},
		{"download, with a command", upgrade.Download, func(c *talk) { c.begin() }, ""},
		{"download, which only looked", upgrade.Download, func(c *talk) { c.again().begin() }, "m-"},
		{"report, which waits", upgrade.AwaitReport, func(c *talk) { c.begin() }, "m-"},
		{"report, of a restart", upgrade.AwaitReport, func(c *talk) { c.begun().then(booted) }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newTalk(t, row.step)
			row.play(c)
			c.turn.Messages, c.turn.Before, c.turn.Asked, c.turn.State = "m2-", c.turn.State, "m-", nil
			move := c.again().begin()
			if move.Messages != row.want {
				t.Errorf("goes on with the requests of %q, want %q", move.Messages, row.want)
			}
			if prefix := cmp.Or(row.want, "m2-"); move.Send != nil && !strings.HasPrefix(c.asked, prefix) {
				t.Errorf("asks %s, want %s…", c.asked, prefix)
			}
		})
	}
}

// A Subscription that is there and wrong is set right, and then the inspection ends.
func TestInspectRepairsSubscriptions(t *testing.T) {
	c := newTalk(t, upgrade.Inspect)
	c.begin()
	move := c.on(c.shows(old))
	rows := map[string]string{}
	for i, o := range move.Send.(*device.Add).Objects {
		for _, s := range o.Settings {
			v := s.Value
			if i == 2 && s.Param == "NotifRetry" {
				v = "false"
			}
			rows[device.Subscriptions+strconv.Itoa(i+1)+"."+s.Param] = v
		}
	}
	c = newTalk(t, upgrade.Inspect)
	c.begin()
	seen := old.params()
	for k, v := range rows {
		seen[k] = v
	}
	if got := told(c.on(c.answer(event.Answer{Params: seen}))); got != "set 1" {
		t.Fatalf("got %q", got)
	}
	if got := told(c.on(c.faults(7006))); got != "Device.Refused" {
		t.Errorf("refused: got %q", got)
	}
	if got := told(c.on(c.taken())); got != "inspected "+image1+" to "+image2 {
		t.Errorf("repaired: got %q", got)
	}
	// One has another ReferenceList, which no agent lets anybody change (11g): it is
	// removed and added, and the wrong one repaired after that.
	seen[device.Subscriptions+"2.ReferenceList"] = "Device.LocalAgent.Older!"
	c = newTalk(t, upgrade.Inspect)
	c.begin()
	removal := c.on(c.answer(event.Answer{Params: seen}))
	if got := told(removal); got != "delete 1" || removal.Send.(*device.Delete).Paths[0] != device.Subscriptions+"2." {
		t.Fatalf("got %q", got)
	}
	again := c.on(c.taken())
	if got := told(again); got != "add 1" {
		t.Fatalf("removed: got %q", got)
	}
	for _, s := range again.Send.(*device.Add).Objects[0].Settings {
		if want := rows[device.Subscriptions+"2."+s.Param]; s.Value != want {
			t.Errorf("%s is added as %q, not %q", s.Param, s.Value, want)
		}
	}
	if got := told(c.on(c.taken())); got != "set 1" {
		t.Errorf("added: got %q", got)
	}
	if got := told(c.on(c.taken())); got != "inspected "+image1+" to "+image2 {
		t.Errorf("repaired: got %q", got)
	}
	seen[device.Subscriptions+"2.ReferenceList"] = rows[device.Subscriptions+"2.ReferenceList"]
	// One is missing and one is wrong: added first, then repaired.
	for k := range rows {
		if strings.HasPrefix(k, device.Subscriptions+"1.") {
			delete(seen, k)
		}
	}
	c = newTalk(t, upgrade.Inspect)
	c.begin()
	if got := told(c.on(c.answer(event.Answer{Params: seen}))); got != "add 1" {
		t.Fatalf("got %q", got)
	}
	if got := told(c.on(c.taken())); got != "set 1" {
		t.Errorf("got %q", got)
	}
}

func TestDownloadSaysWhatTheImageIs(t *testing.T) {
	c := newTalk(t, upgrade.Download)
	m := c.begin()
	args := m.Send.(*device.Operate).Args
	for name, want := range map[string]string{
		"AutoActivate": "true", "FileSize": "7", "CheckSum": "ab", "CheckSumAlgorithm": "SHA-256",
	} {
		if args[name] != want {
			t.Errorf("%s is %q, want %q", name, args[name], want)
		}
	}
	// The address is made as the command goes out; until then only the file is named.
	want := device.File{Bucket: "b", Key: "2/a.bin", Version: "v", Lasts: time.Hour}
	if files := m.Send.(*device.Operate).Files; len(args) != 4 || len(files) != 1 || files["URL"] != want {
		t.Errorf("arguments %v, files %v", args, files)
	}
	given := newTalk(t, upgrade.Download).document(func(d *upgrade.Document) {
		d.Firmware.S3, d.Firmware.URL = nil, "https://images.example.com/2.bin"
	}).begin().Send.(*device.Operate)
	if given.Args["URL"] != "https://images.example.com/2.bin" || len(given.Files) != 0 {
		t.Errorf("of a given address: %v, %v", given.Args, given.Files)
	}
	key := c.key(upgrade.Download, 1)
	if m.Send.(*device.Operate).Key != key || m.Commands[key] != image2+"Download()" {
		t.Errorf("key %q, commands %v", m.Send.(*device.Operate).Key, m.Commands)
	}
	// What an earlier pass through the step ended with is no news any more.
	c = newTalk(t, upgrade.Download).set("download", upgrade.Accepted{CommandKey: key}).again()
	if m = c.begin(); len(m.Commands) != 1 || m.Commands[c.key(upgrade.Download, 2)] == "" {
		t.Errorf("waits for %v", m.Commands)
	}
}

// What was downloaded with its checksum is noted, and withdrawn before another image
// is asked for.
func TestWhatLiesInABankIsNotedWithItsProof(t *testing.T) {
	bank := "bank " + image2
	c := newTalk(t, upgrade.Activate).separate().tried(upgrade.Download, 1)
	m := c.begin()
	var proof struct{ Version, SHA256, By string }
	if err := json.Unmarshal([]byte(m.Learnt[bank]), &proof); err != nil || proof.Version != "2" ||
		proof.SHA256 != "ab" || proof.By != "x" {
		t.Errorf("complete: learnt %v (%v)", m.Learnt, err)
	}
	noted := newTalk(t, upgrade.Activate).separate().staged().tried(upgrade.Download, 1).proven("ab")
	if m = noted.begin(); m.Learnt[bank] != "" {
		t.Errorf("complete, and noted before: learnt %v", m.Learnt)
	}
	if m = newTalk(t, upgrade.Activate).separate().begin(); m.Learnt[bank] != "" {
		t.Errorf("not downloaded by this execution: learnt %v", m.Learnt)
	}
	c = newTalk(t, upgrade.Verify)
	c.begin()
	if learnt := c.learns(c.on(c.shows(upgraded)).Done); learnt[bank] == "" || learnt["softwareVersion"] != "2" {
		t.Errorf("verified: learnt %v", learnt)
	}
	c = newTalk(t, upgrade.Verify).document(func(d *upgrade.Document) { d.Firmware.SHA256 = "" })
	c.begin()
	if learnt := c.learns(c.on(c.shows(upgraded)).Done); learnt[bank] != "" || learnt["softwareVersion"] != "2" {
		t.Errorf("without a checksum: learnt %v", learnt)
	}
	c = newTalk(t, upgrade.AwaitReport)
	c.begun().then(booted)
	if m = c.on(c.shows(staged)); m.Failed == nil || m.Failed.Name != upgrade.NextActivate || m.Learnt[bank] == "" {
		t.Errorf("complete after a restart: %s, learnt %v", told(m), m.Learnt)
	}
	if learnt := newTalk(t, upgrade.Verify).learns(nil); learnt != nil {
		t.Errorf("not verified: learnt %v", learnt)
	}
	for sha256, want := range map[string]bool{"ab": false, "cd": true} {
		c = newTalk(t, upgrade.Download).staged().proven(sha256)
		m = c.begin()
		if withdrawn, said := m.Learnt[bank]; said != want || withdrawn != "" || m.Learnt["softwareVersion"] != "1" {
			t.Errorf("inspected, with a proof of %s: learnt %v", sha256, m.Learnt)
		}
	}
}

func TestMistakesOfOursAreErrors(t *testing.T) {
	c := newTalk(t, upgrade.Download)
	for name, change := range map[string]func(*event.StepInput){
		"no inspection":       func(in *event.StepInput) { in.Results = json.RawMessage(`{}`) },
		"unreadable results":  func(in *event.StepInput) { in.Results = json.RawMessage(`[]`) },
		"unreadable document": func(in *event.StepInput) { in.Input.Document = json.RawMessage(`[]`) },
		"unknown step":        func(in *event.StepInput) { in.Step = "DANCE" },
	} {
		in := c.input()
		change(&in)
		if _, err := c.flow.Begin(t.Context(), c.turn, in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c.turn.State = json.RawMessage(`[]`)
	if _, err := c.flow.Continue(c.turn, booted); err == nil {
		t.Error("unreadable memory: no error")
	}
	c.turn.State, c.turn.Step = json.RawMessage(`{}`), "DANCE"
	if _, err := c.flow.Continue(c.turn, booted); err == nil {
		t.Error("unknown step: no error")
	}
}

// A pause holds an upgrade before Download and before Activate: its next lap begins as
// the first did, or with the image that is staged.
func TestHold(t *testing.T) {
	for _, c := range []struct {
		step event.Step
		talk func(c *talk) *talk
		want event.Park
	}{
		{upgrade.Download, func(c *talk) *talk { return c }, event.Park{Resume: json.RawMessage(`{"v":1}`)}},
		{upgrade.Download, func(c *talk) *talk { return c.window() }, event.Park{Gated: true, Resume: json.RawMessage(`{"v":1}`)}},
		{upgrade.Download, func(c *talk) *talk { return c.window().separate() }, event.Park{Resume: json.RawMessage(`{"v":1}`)}},
		{upgrade.Download, func(c *talk) *talk { return c.resumed() }, event.Park{Resume: json.RawMessage(`{"v":1,"passes":2}`)}},
		{upgrade.Download, func(c *talk) *talk {
			return c.resumedAfter(`{"downloads":3,"refused":2}`)
		}, event.Park{Resume: json.RawMessage(`{"v":1,"downloads":3,"refused":2}`)}},
		{upgrade.Download, func(c *talk) *talk {
			return c.resumedAfter(`{"downloads":3,"refused":2}`).set("refused", 1).
				set("download", upgrade.Accepted{CommandKey: "x", Pass: 5, At: noon})
		}, event.Park{Resume: json.RawMessage(`{"v":1,"downloads":5,"refused":3}`)}},
		{upgrade.Inspect, func(c *talk) *talk {
			return c.resumedAfter(`{"downloads":3,"refused":2}`)
		}, event.Park{Resume: json.RawMessage(`{"v":1,"downloads":3,"refused":2}`)}},
		{upgrade.Activate, func(c *talk) *talk { return c.separate() }, event.Park{Resume: json.RawMessage(`{"v":1,"staged":"` + image2 + `"}`)}},
	} {
		talk := c.talk(newTalk(t, c.step))
		talk.turn.Now = noon.Add(90 * time.Minute) // in the window
		talk.begin()
		got, _, err := talk.flow.Hold(talk.turn)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.step, got, err, c.want)
		}
	}
	if _, _, err := newTalk(t, upgrade.Download).flow.Hold(event.Turn{State: json.RawMessage("x")}); err == nil {
		t.Error("a memory that cannot be read is held")
	}
}

// A soak that is parked goes on at Verify, with what the steps before it had found; for a
// version that knows nothing of it that is no upgrade of another kind.
func TestASoakGoesOnAtVerify(t *testing.T) {
	c := newTalk(t, upgrade.Verify).document(func(d *upgrade.Document) { d.Activation.SoakSeconds = 7200 })
	c.begin()
	park := c.on(c.shows(upgraded)).Park
	if park == nil {
		t.Fatal("not parked")
	}
	var form struct{ V int }
	if err := json.Unmarshal(park.Resume, &form); err != nil || form.V != 2 {
		t.Errorf("what the lap leaves is of form %d: %v", form.V, err)
	}
	next := newTalk(t, upgrade.Inspect).document(func(d *upgrade.Document) { d.Activation.SoakSeconds = 7200 })
	next.in.Lap, next.in.Resume = 1, park.Resume
	move := next.begin()
	if move.Send != nil || move.Failed == nil || move.Failed.Name != upgrade.NextVerify {
		t.Fatalf("Inspect: %+v", move)
	}
	var results map[string]any
	if err := json.Unmarshal([]byte(move.Failed.Detail), &results); err != nil || results["inspect"] == nil {
		t.Fatalf("it goes on with %s: %v", move.Failed.Detail, err)
	}
	verify := newTalk(t, upgrade.Verify).document(func(d *upgrade.Document) { d.Activation.SoakSeconds = 7200 })
	verify.set("soaked", true)
	for name, v := range results {
		verify.set(name, v)
	}
	verify.begin()
	if move := verify.on(verify.shows(upgraded)); move.Done == nil {
		t.Errorf("Verify: %+v", move)
	}
}
