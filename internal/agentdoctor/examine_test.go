package agentdoctor_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetstep/fleetstep/internal/agentdoctor"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
)

const (
	controller = usp.EndpointID("self::fleetstep")
	endpoint   = usp.EndpointID("os::012345-rg-1")
)

// wire joins a simulated agent and the doctor without a broker between them.
type wire struct {
	heard   chan agentdoctor.Heard
	handler simulator.Handler
	lose    int // so many of the doctor's records are lost
	deaf    int // so many of the device's answers to Add are lost
	// adding is called before the doctor's Add reaches the device.
	adding func()
	stop   context.CancelFunc
	sent   int
	other  string // the name of another examination, whose Subscriptions may stay
}

// subscribe has another examination add a Subscription.
func (w *wire) subscribe(t *testing.T, name string) {
	t.Helper()
	payload, err := usp.NewRecord(controller, endpoint, usp.NewAdd("other", true, usp.Object{Path: usp.Subscriptions,
		Settings: []usp.Setting{{Param: "ID", Value: name + "-boot", Required: true},
			{Param: "NotifType", Value: "Event", Required: true},
			{Param: "ReferenceList", Value: usp.EventBoot, Required: true}}})).Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.handler.Received(simulator.Publish{Topic: "usp/v1/agent/rg-1", Payload: payload})
	w.other = name
}

func (w *wire) Connect(_ context.Context, _ simulator.Connection, h simulator.Handler) (simulator.Session, error) {
	w.handler = h
	return w, nil
}

func (w *wire) Publish(p simulator.Publish) error {
	if r, err := usp.DecodeRecord(p.Payload); w.deaf > 0 && err == nil && r.Message != nil {
		if _, _, added := usp.ReadAddResp(r.Message); added || usp.ReadError(r.Message) != nil {
			w.deaf--
			return nil
		}
	}
	w.heard <- agentdoctor.Heard{Topic: p.Topic, Payload: p.Payload}
	return nil
}

func (w *wire) Close(bool) error { w.handler = nil; return nil }

func (w *wire) Send(_ context.Context, record []byte) error {
	w.sent++
	if w.lose > 0 {
		w.lose--
		return nil
	}
	if r, err := usp.DecodeRecord(record); err == nil && usp.Type(r.Message) == "ADD" && w.adding != nil {
		do := w.adding
		w.adding = nil
		do()
	}
	if w.handler != nil {
		w.handler.Received(simulator.Publish{Topic: "usp/v1/agent/rg-1", Payload: record})
	}
	return nil
}

func (w *wire) Receive(ctx context.Context, most time.Duration) (agentdoctor.Heard, bool, error) {
	select {
	case h := <-w.heard:
		return h, true, nil
	case <-time.After(most):
		return agentdoctor.Heard{}, false, nil
	case <-ctx.Done():
		return agentdoctor.Heard{}, false, ctx.Err()
	}
}

// left is what the doctor has left in the table of Subscriptions of a device that is
// there.
func (w *wire) left(t *testing.T) string {
	if w.handler == nil {
		return ""
	}
	payload, err := usp.NewRecord(controller, endpoint, usp.NewGet("left", 0, usp.Subscriptions)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.lose = 0
	if err := w.Send(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
	for {
		h, ok, err := w.Receive(t.Context(), 10*time.Second)
		if err != nil || !ok {
			t.Fatalf("no answer, %v", err)
		}
		r, err := usp.DecodeRecord(h.Payload)
		if err != nil || r.Message == nil || usp.ID(r.Message) != "left" {
			continue
		}
		v, _ := usp.ReadGetResp(r.Message)
		for _, row := range v.Rows(usp.Subscriptions) {
			if id := row.Params["ID"]; strings.HasPrefix(id, "fleetstep-doctor-") && !strings.HasPrefix(id, w.other) {
				return id
			}
		}
		return ""
	}
}

// files serves an image.
type files []byte

func (f files) Do(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/nothing") {
		return &http.Response{StatusCode: 404, Body: io.NopCloser(strings.NewReader("no"))}, nil
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(f)), ContentLength: int64(len(f)),
		Request: r}, nil
}

// examine has a simulated device examined.
func examine(t *testing.T, p *simulator.Profile, fault string, change func(*agentdoctor.Config, *wire)) (
	report agentdoctor.Report, facts simulator.Facts, err error) {
	synctest.Test(t, func(t *testing.T) {
		image := simulator.MakeImage("2.0.0", 2000, 1)
		sum := sha256.Sum256(image)
		w := &wire{heard: make(chan agentdoctor.Heard, 1000), other: "none"}
		s := simulator.Settings{Transport: w, HTTP: files(image), Controller: controller, MaxDownloads: 1,
			Timing: simulator.Timing{Download: [2]time.Duration{5 * time.Second, 5 * time.Second},
				Asleep: time.Second, Awake: 10 * time.Hour}}
		agent, err2 := simulator.NewAgent(&s, simulator.Identity{Thing: "rg-1", EndpointID: endpoint, Profile: p,
			Fault: simulator.FaultNamed(fault)})
		if err2 != nil {
			t.Fatal(err2)
		}
		agent.Start()
		defer agent.Stop()
		<-time.After(5 * time.Second)
		c := agentdoctor.Config{Line: w, Name: agentdoctor.NewName(time.Now(), 0xbeef), Controller: controller,
			Endpoint: endpoint, Disruptive: true,
			Image: &agentdoctor.Image{Version: "2.0.0", Size: int64(len(image)), SHA256: hex.EncodeToString(sum[:]),
				Address: func(context.Context) (string, error) { return "https://images/2.0.0", nil }}}
		if change != nil {
			change(&c, w)
		}
		var ctx context.Context
		ctx, w.stop = context.WithCancel(t.Context())
		defer w.stop()
		report, err = agentdoctor.Run(ctx, c)
		facts = agent.Facts()
		if left := w.left(t); left != "" {
			t.Errorf("left behind: %s", left)
		}
	})
	return report, facts, err
}

func tell(r agentdoctor.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString("\n" + string(f.Level) + " " + f.Check + ": " + f.Seen)
	}
	return b.String()
}

// Whoever examines a device finds exactly the quirks that its model has, and leaves it
// with the version that it ran, where there is a way back.
func TestTheQuirksOfAModelAreFound(t *testing.T) {
	for _, p := range simulator.AllProfiles {
		t.Run(p.Name, func(t *testing.T) {
			r, facts, err := examine(t, p, "", nil)
			if err != nil || !r.Complete || !slices.Equal(r.Quirks, p.Quirks()) {
				t.Errorf("found %q, want %q (complete: %t), %v%s", r.Quirks, p.Quirks(), r.Complete, err, tell(r))
			}
			want := "1.0.0"
			if p.Images == 1 {
				want = "2.0.0"
			}
			if facts.Version != want {
				t.Errorf("it is left with %s, want %s%s", facts.Version, want, tell(r))
			}
			if r.Model != "USP Agent" || r.Software != "1.0.0" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestWhatIsNotAllowedIsNotTried(t *testing.T) {
	for name, c := range map[string]struct {
		profile   string
		change    func(*agentdoctor.Config, *wire)
		downloads int
		boots     int
	}{
		"no image":              {"reference", func(c *agentdoctor.Config, _ *wire) { c.Image = nil }, 0, 1},
		"no restart":            {"reference", func(c *agentdoctor.Config, _ *wire) { c.Disruptive = false }, 1, 1},
		"no restart, one image": {"one-image", func(c *agentdoctor.Config, _ *wire) { c.Disruptive = false }, 0, 1},
		"the version that it runs": {"reference", func(c *agentdoctor.Config, _ *wire) {
			c.Image.Version = "1.0.0"
		}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, facts, err := examine(t, simulator.ProfileNamed(c.profile), "", c.change)
			if err != nil || r.Complete || facts.Downloads != c.downloads || facts.Boots != c.boots {
				t.Errorf("%v, %+v%s", err, facts, tell(r))
			}
			for _, q := range r.Quirks {
				if !simulator.ProfileNamed(c.profile).Quirks().Has(q) {
					t.Errorf("found %s%s", q, tell(r))
				}
			}
		})
	}
}

// A device that is difficult beside its quirks is told so, and no quirk is made of it.
func TestProblemsAreNoQuirks(t *testing.T) {
	for fault, want := range map[string]string{
		simulator.Refuses: "download: it refuses Download(): 7002", simulator.NotFound: "download: it failed",
		simulator.BadChecksum:     "download: it failed",
		simulator.BootFails:       "auto-activate: it restarted and runs 1.0.0",
		simulator.NeverReturns:    "answers: the device does not answer any more",
		simulator.BusyWithAnother: "idle: it is at work on",
		simulator.DuplicateAll:    "", simulator.Garbage: "", simulator.SlowFlash: "", simulator.WrongClock: "",
	} {
		t.Run(fault, func(t *testing.T) {
			r, _, err := examine(t, nil, fault, nil)
			all := tell(r)
			if err != nil || len(r.Quirks) > 0 || want == "" && !r.Complete ||
				want != "" && !strings.Contains(all, "\nproblem "+want) {
				t.Errorf("%v, quirks %q%s", err, r.Quirks, all)
			}
		})
	}
}

func TestQuestionsAreAskedAgain(t *testing.T) {
	r, _, err := examine(t, nil, "", func(c *agentdoctor.Config, w *wire) { c.Image, w.lose = nil, 2 })
	if err != nil || len(r.Findings) < 5 || r.Findings[0].Level != agentdoctor.OK {
		t.Errorf("%v%s", err, tell(r))
	}
	r, _, err = examine(t, nil, "", func(c *agentdoctor.Config, w *wire) { w.lose = 100 })
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Level != agentdoctor.Problem || r.Complete {
		t.Errorf("of a silent one: %v%s", err, tell(r))
	}
	broken := errors.New("no address")
	_, _, err = examine(t, nil, "", func(c *agentdoctor.Config, w *wire) {
		c.Image.Address = func(context.Context) (string, error) { return "", broken }
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestAnExaminationThatIsInterruptedLeavesNothing: Ctrl-C comes in the middle of it.
func TestAnExaminationThatIsInterruptedLeavesNothing(t *testing.T) {
	_, _, err := examine(t, nil, "", func(c *agentdoctor.Config, w *wire) {
		c.Image.Address = func(ctx context.Context) (string, error) {
			w.stop()
			return "", ctx.Err()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestExaminationsMindEachOther: two at once would take each other's restarts and refusals for the device's.
func TestExaminationsMindEachOther(t *testing.T) {
	const busy = "\nproblem examination: another one, fleetstep-doctor-"
	const over = "\nnote examination: an earlier one ended before it could remove its Subscriptions: 1 removed"
	for name, c := range map[string]struct {
		change    func(*agentdoctor.Config, *wire)
		want      string
		downloads int
	}{
		"it is at work": {func(_ *agentdoctor.Config, w *wire) {
			w.subscribe(t, agentdoctor.NewName(time.Now().Add(-time.Hour), 1))
		}, "0001, is at work on it since 1999-12-31T23:00:05Z: try again when it is over", 0},
		"it begins at the same time": {func(_ *agentdoctor.Config, w *wire) {
			w.adding = func() { w.subscribe(t, agentdoctor.NewName(time.Now(), 1)) }
		}, busy, 0},
		"its device was away when it ended": {func(c *agentdoctor.Config, w *wire) {
			name := agentdoctor.NewName(time.Now().Add(-time.Hour), 1)
			w.subscribe(t, name)
			w.other = "none"
			c.AtWork = func(_ context.Context, asked string) bool { return asked != name }
		}, over, 3},
		"it was killed yesterday": {func(_ *agentdoctor.Config, w *wire) {
			w.subscribe(t, agentdoctor.NewName(time.Now().Add(-24*time.Hour), 1))
			w.other = "none"
		}, over, 3},
		"it is of an earlier version": {func(_ *agentdoctor.Config, w *wire) {
			w.subscribe(t, "fleetstep-doctor-1a2b3c4d")
			w.other = "none"
		}, over, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r, facts, err := examine(t, nil, "", c.change)
			if err != nil || !strings.Contains(tell(r), c.want) || facts.Downloads != c.downloads ||
				r.Complete != (c.downloads > 0) {
				t.Errorf("%v, %d downloads%s", err, facts.Downloads, tell(r))
			}
		})
	}
}

// TestALostAnswerLeavesNoSubscriptions: the device has added them, and refuses to add them again.
func TestALostAnswerLeavesNoSubscriptions(t *testing.T) {
	for _, deaf := range []int{1, 3} {
		r, _, err := examine(t, nil, "", func(c *agentdoctor.Config, w *wire) { c.Image, w.deaf = nil, deaf })
		if err != nil || deaf == 1 && !strings.Contains(tell(r), "\nok subscriptions: ") {
			t.Errorf("%d answers: %v%s", deaf, err, tell(r))
		}
	}
}

// TestARefusalSaysWhatTheDeviceIsAtWorkOn: 7005 alone does not.
func TestARefusalSaysWhatTheDeviceIsAtWorkOn(t *testing.T) {
	r, _, err := examine(t, nil, "", func(_ *agentdoctor.Config, w *wire) {
		w.adding = func() {
			up := usp.NewOperate("up", usp.FirmwareImages+"2."+usp.CommandDownload, "fs-download-1-0123", true,
				map[string]string{"URL": "https://images/x", "AutoActivate": "false"})
			payload, err := usp.NewRecord(controller, endpoint, up).Encode()
			if err != nil {
				t.Fatal(err)
			}
			w.handler.Received(simulator.Publish{Topic: "usp/v1/agent/rg-1", Payload: payload})
		}
	})
	want := "\nproblem download: it refuses Download(): 7005 "
	if err != nil || !strings.Contains(tell(r), want) || !strings.Contains(tell(r),
		"it is at work on Device.DeviceInfo.FirmwareImage.2.Download() (command key fs-download-1-0123)") {
		t.Errorf("%v%s", err, tell(r))
	}
}
