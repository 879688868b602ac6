package campaign_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

const three = `{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]},
	"rate": 20, "gate": {"success": 0.8}, "waves": [{"name": "canary", "count": 15, "bakeMinutes": 10},
	{"name": "early", "count": 20, "bakeMinutes": 5, "approval": true}, {"name": "rest", "bakeMinutes": 1}]}`

// do is a verb, twice.
func (w *world) do(r event.CampaignRequest, who string) campaign.Done {
	w.t.Helper()
	first, err := w.controller().Do(w.t.Context(), r, who)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Verb == event.VerbRetry {
		return first
	}
	if again, err := w.controller().Do(w.t.Context(), r, who); err != nil || again.Changed {
		w.t.Fatalf("%s again: %+v, %v", r.Verb, again, err)
	}
	return first
}

func TestACampaignOfThreeWaves(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(three)
	asked := 0
	end := w.play(c.ID, 3*time.Hour, func(c campaign.Campaign) {
		if c.Phase == campaign.Approval {
			if asked++; asked == 30 {
				d := w.do(event.CampaignRequest{Verb: event.VerbApprove, Campaign: c.ID}, "arn:other")
				if !d.Changed || d.Wave != "early" {
					t.Errorf("approved %+v", d)
				}
			}
		}
	})
	if campaign.State(end.Next) != campaign.Completed {
		t.Fatalf("ended %+v", end)
	}
	c = w.load("fall")
	if c.State != campaign.Completed || c.Token != "" || c.Waves[1].Approved.Who != "arn:other" {
		t.Errorf("record %+v", c)
	}
	for i, w := range c.Waves {
		if w.Verdict.Outcome != campaign.Pass || w.Verdict.N != w.Size {
			t.Errorf("wave %s: %+v", w.Name, w.Verdict)
		}
		if i > 0 && !w.Began.After(c.Waves[i-1].Ended.Add(-time.Minute)) {
			t.Errorf("wave %s began at %s, before the end of the one before, %s", w.Name, w.Began, c.Waves[i-1].Ended)
		}
		if got := w.Ended.Sub(w.Baking); got < time.Duration(w.BakeMinutes)*time.Minute {
			t.Errorf("wave %s baked for %s", w.Name, got)
		}
	}
	for minute, n := range w.admitted {
		if n > 20 {
			t.Errorf("%d devices at %s, at a rate of 20", n, minute)
		}
	}
	var events []string
	for _, n := range w.notices {
		events = append(events, n.Event)
	}
	if !slices.Equal(slices.Compact(events), []string{campaign.NoticeApproval, campaign.NoticeCompleted}) {
		t.Errorf("told %q", events)
	}
	b, err := w.Document(t.Context(), "fall", campaign.ReportDocument)
	var r campaign.Report
	if err = errors.Join(err, json.Unmarshal(b, &r)); err != nil || r.Devices.Succeeded != 60 || len(r.LeftOver) > 0 {
		t.Errorf("report %+v, %v", r, err)
	}
	log, _ := w.Log(t.Context(), "fall")
	var verbs []string
	for _, e := range log {
		verbs = append(verbs, e.Verb)
	}
	if want := []string{"create", "gate pass", "approve", "gate pass", "gate pass", "COMPLETED"}; !slices.Equal(verbs,
		want) {
		t.Errorf("log %q, want %q", verbs, want)
	}
	if _, err := w.controller().Do(t.Context(), event.CampaignRequest{Verb: event.VerbPauseCampaign, Campaign: "fall"},
		"x"); !errors.Is(err, campaign.ErrOver) {
		t.Errorf("pause of one that is over: %v", err)
	}
}

// told are the events of notices, one that comes again left out.
func (w *world) told() (events []string) {
	for _, n := range w.notices {
		events = append(events, n.Event)
	}
	return slices.Compact(events)
}

// TestABadImageHaltsInTheCanary: most fail, and no device of another wave is ever told.
func TestABadImageHaltsInTheCanary(t *testing.T) {
	w := newWorld(t, 60)
	for _, d := range w.devices {
		w.fails[d.Thing] = "Verify.WrongVersion"
	}
	c := w.create(three)
	w.onNotice = func(n campaign.Notice) { // at once, and not when the last device has ended
		over := w.load("fall").State.Over()
		if over != (n.Event == campaign.NoticeHalted) || n.Wave != "canary" || n.Verdict == nil || len(n.First) == 0 {
			t.Errorf("over %t, told %+v", over, n)
		}
	}
	end := w.play(c.ID, 3*time.Hour, nil)
	if want := []string{campaign.NoticeHalting, campaign.NoticeHalted}; !slices.Equal(w.told(), want) {
		t.Errorf("told %q", w.told())
	}
	if campaign.State(end.Next) != campaign.Halted {
		t.Fatalf("ended %+v", end)
	}
	c = w.load("fall")
	if c.HaltedIn != "canary" || c.Waves[0].Cut == "" || len(c.Waves[0].First) == 0 ||
		c.Waves[0].First[0].Error != "Verify.WrongVersion" || w.flag != event.ControlStopped {
		t.Errorf("halted %+v, flag %s", c, w.flag)
	}
	for thing, s := range w.stands {
		if s.Wave != 0 || !s.State.Over() {
			t.Errorf("%s stands %+v", thing, s)
		}
	}
}

// TestAHaltIsToldOnce: a step that is taken again, because it failed or its execution was redriven, tells nobody
// again; one that failed before it told does.
func TestAHaltIsToldOnce(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(three)
	lost := errors.New("nobody heard it")
	in := campaign.StepInput{Step: campaign.StepClose, Campaign: c.ID, Next: campaign.NextHalt, Why: "two failed",
		Token: "t0", Entered: noon}
	for i, at := range []struct {
		in    campaign.StepInput
		fails bool
		told  int
	}{
		{in: in, fails: true},
		{in: in, told: 1}, // the same attempt, as a client's retry makes it
		{in: in, told: 1},
		{in: retried(in, 1), told: 1},
		{in: redriven(in, 1), told: 1},
	} {
		w.deaf = nil
		if at.fails {
			w.deaf = lost
		}
		_, err := w.machine().Take(t.Context(), at.in)
		if at.fails != errors.Is(err, lost) || !at.fails && err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if got := w.told(); len(got) != at.told || at.told > 0 && got[0] != campaign.NoticeHalting {
			t.Fatalf("%d: told %q", i, got)
		}
	}
}

func retried(in campaign.StepInput, n int) campaign.StepInput {
	in.Retry, in.Token = n, event.TaskToken(fmt.Sprint("retry-", n))
	return in
}

func redriven(in campaign.StepInput, n int) campaign.StepInput {
	in.Redrive, in.Entered, in.Token = n, in.Entered.Add(time.Hour), event.TaskToken(fmt.Sprint("redrive-", n))
	return in
}

// TestAFewFailuresAreAskedAbout: not enough to halt, and too many to go on.
func TestAFewFailuresAreAskedAbout(t *testing.T) {
	for name, verb := range map[string]event.CampaignVerb{"and it goes on": event.VerbResumeCampaign,
		"and it ends": event.VerbAbort} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 60)
			c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}],
				"targets": {"groups": ["demo"]}, "gate": {"success": 0.8},
				"waves": [{"name": "canary", "count": 20, "bakeMinutes": 0}, {"name": "rest", "bakeMinutes": 0}]}`)
			failing := 0
			hold := 0
			end := w.play(c.ID, 3*time.Hour, func(c campaign.Campaign) {
				for thing, s := range w.stands {
					if s.Wave == 0 && failing < 3 && w.fails[thing] == "" {
						w.fails[thing] = "Download.Failed"
						failing++
					}
				}
				if c.Phase != campaign.Hold {
					return
				}
				if w.flag != event.ControlPaused || c.State != campaign.Held || c.Why == "" {
					t.Errorf("held %+v, flag %s", c, w.flag)
				}
				if hold++; hold > 1 {
					return
				}
				r := event.CampaignRequest{Verb: verb, Campaign: c.ID, Why: "seen"}
				if verb == event.VerbResumeCampaign {
					var problems event.Problems
					if _, err := w.controller().Do(t.Context(), r, "me"); !errors.As(err, &problems) {
						t.Errorf("resumed without a word on failures: %v", err)
					}
					n := 2
					r.Failures = &n
					if _, err := w.controller().Do(t.Context(), r, "me"); !errors.As(err, &problems) {
						t.Errorf("resumed with a wrong word on failures: %v", err)
					}
					n = 3
				}
				w.do(r, "me")
			})
			want := campaign.Completed
			if verb == event.VerbAbort {
				want = campaign.Aborted
			}
			if campaign.State(end.Next) != want {
				t.Errorf("ended %+v, want %s", end, want)
			}
			c = w.load("fall")
			if v := c.Waves[0].Verdict; v.Outcome != campaign.Inconclusive || v.Failed != 3 {
				t.Errorf("gate %+v", v)
			}
		})
	}
}

func TestAPauseLetsNothingBegin(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(three)
	minute, before := 0, 0
	end := w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		minute++
		switch {
		case c.Phase == campaign.Approval:
			w.do(event.CampaignRequest{Verb: event.VerbApprove, Campaign: c.ID, Wave: "early"}, "me")
		case minute == 20:
			before = len(w.stands)
		}
	})
	if campaign.State(end.Next) != campaign.Completed || before == 0 {
		t.Fatalf("ended %+v", end)
	}

	w = newWorld(t, 60)
	c = w.create(three)
	minute = 0
	var paused, resumed int
	end = w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		minute++
		switch {
		case c.Phase == campaign.Approval:
			w.do(event.CampaignRequest{Verb: event.VerbApprove, Campaign: c.ID}, "me")
		case c.Phase == campaign.Admit && c.Current == 2 && paused == 0:
			w.do(event.CampaignRequest{Verb: event.VerbPauseCampaign, Campaign: c.ID, Why: "wait"}, "me")
			paused, before = minute, len(w.stands)
		case paused > 0 && minute == paused+60:
			if len(w.stands) != before {
				t.Errorf("%d devices were admitted while it was paused", len(w.stands)-before)
			}
			w.do(event.CampaignRequest{Verb: event.VerbResumeCampaign, Campaign: c.ID, Why: "go on"}, "me")
			resumed = minute
		}
	})
	if campaign.State(end.Next) != campaign.Completed || resumed == 0 {
		t.Errorf("ended %+v", end)
	}
	if c = w.load("fall"); c.Waves[2].Idle < 55*time.Minute {
		t.Errorf("its time ran on: idle for %s", c.Waves[2].Idle)
	}
}

// TestADeviceThatWasAskedIsTakenOutWithoutTheManifest, which is as long as the fleet: it is walked for devices that
// nobody has asked yet, from the first of those on.
func TestADeviceThatWasAskedIsTakenOutWithoutTheManifest(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "gate": {"success": 0.5},
		"waves": [{"name": "canary", "count": 20, "bakeMinutes": 0}, {"name": "rest", "bakeMinutes": 0}]}`)
	w.away["rg-000007"] = true
	parts := &counting{Manifest: w}
	controller := w.controller()
	controller.Manifest = parts
	exclude := func(want campaign.Done, reads int, things ...event.ThingName) {
		t.Helper()
		parts.n = 0
		got, err := controller.Do(t.Context(), event.CampaignRequest{Verb: event.VerbExclude, Campaign: "fall",
			Why: "x", Things: things}, "me")
		if err != nil || got.Devices != want.Devices || got.Left != want.Left || parts.n != reads ||
			!slices.Equal(got.Unknown, want.Unknown) {
			t.Errorf("%v: %+v, %v, %d parts were read", things, got, err, parts.n)
		}
	}
	asked := false
	w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		if len(w.stands) < len(w.devices) || asked {
			return
		}
		asked = true
		exclude(campaign.Done{Devices: 1}, 0, "rg-000007")
		exclude(campaign.Done{Left: 1}, 0, "rg-000007")
		// Everybody has been asked by now, and who has not begun may still be taken out.
		exclude(campaign.Done{Devices: 1, Unknown: []event.ThingName{"nobody"}}, 0, "rg-000008", "nobody")
	})
	if !asked {
		t.Error("nobody was taken out")
	}
}

// counting is a Manifest that counts the parts that are read.
type counting struct {
	campaign.Manifest
	n int
}

func (c *counting) Part(ctx context.Context, at campaign.Part) ([]campaign.Member, error) {
	c.n++
	return c.Manifest.Part(ctx, at)
}

// dying is a Store whose caller dies before it saves.
type dying struct {
	campaign.Store
	dead error
}

func (d dying) Save(ctx context.Context, c campaign.Campaign, done ...campaign.Entry) error {
	if d.dead != nil {
		return d.dead
	}
	return d.Store.Save(ctx, c, done...)
}

// TestAVerbThatWasCutOffIsRecordedOnce: pausing and resuming are two writes, and who does them may die in between.
// When it is repeated the record has who did it, once.
func TestAVerbThatWasCutOffIsRecordedOnce(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(three)
	gone := errors.New("gone")
	recorded := func() (all []string) {
		log, err := w.Log(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range log {
			all = append(all, e.Verb)
		}
		return all
	}
	cut := func(verb event.CampaignVerb, controller *campaign.Controller) {
		t.Helper()
		if _, err := controller.Do(t.Context(), event.CampaignRequest{Verb: verb, Campaign: c.ID, Why: "x"},
			"me"); !errors.Is(err, gone) {
			t.Fatalf("%s: %v", verb, err)
		}
	}
	want := []string{"create"}
	for range 2 {
		controller := w.controller()
		controller.Store = dying{w, gone} // after the flag
		cut(event.VerbPauseCampaign, controller)
		if w.flag != event.ControlPaused {
			t.Error("it is not paused")
		}
		w.do(event.CampaignRequest{Verb: event.VerbPauseCampaign, Campaign: c.ID, Why: "x"}, "me")
		want = append(want, "pause")
		if got := recorded(); !slices.Equal(got, want) {
			t.Fatalf("recorded %v, want %v", got, want)
		}

		w.flagless = gone
		cut(event.VerbResumeCampaign, w.controller())
		w.flagless = nil
		w.do(event.CampaignRequest{Verb: event.VerbResumeCampaign, Campaign: c.ID}, "me")
		want = append(want, "resume")
		if got := recorded(); !slices.Equal(got, want) || w.flag != event.ControlRunning {
			t.Fatalf("recorded %v, want %v", got, want)
		}
	}
}

func TestABakeIsSkippedAndADeviceTakenOut(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "gate": {"success": 0.8},
		"waves": [{"name": "canary", "count": 20, "bakeMinutes": 10000}, {"name": "rest", "bakeMinutes": 0}]}`)
	out := w.do(event.CampaignRequest{Verb: event.VerbExclude, Campaign: "fall", Why: "on loan",
		Things: []event.ThingName{"rg-000007", "rg-000008", "nobody"}}, "me")
	if out.Devices != 2 || out.Left != 0 || !slices.Equal(out.Unknown, []event.ThingName{"nobody"}) {
		t.Errorf("excluded %+v", out)
	}
	if _, err := w.controller().Do(t.Context(), event.CampaignRequest{Verb: event.VerbSkip, Campaign: "fall"},
		"me"); !errors.Is(err, campaign.ErrNothingToDo) {
		t.Errorf("skipped what does not bake: %v", err)
	}
	skipped := false
	end := w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		if c.Phase == campaign.Bake && !skipped {
			skipped = w.do(event.CampaignRequest{Verb: event.VerbSkip, Campaign: "fall"}, "me").Changed
		}
	})
	if campaign.State(end.Next) != campaign.Completed || w.stands["rg-000007"].State != event.StandExcluded {
		t.Errorf("ended %+v, excluded stands %+v", end, w.stands["rg-000007"])
	}
	r, err := campaign.NewReport(t.Context(), w, w, w.load("fall"))
	if err != nil || len(r.LeftOver) != 0 || r.Devices.Succeeded != 58 || r.Devices.Excluded != 2 {
		t.Errorf("report %+v, %v", r, err)
	}
}

// TestARedriveRegistersAnew: an execution that was redriven tries its state again, which was entered when it was, and
// counts retries from 0. Its token is another.
func TestARedriveRegistersAnew(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(three)
	m := w.machine()
	take := func(in campaign.StepInput) {
		t.Helper()
		in.Campaign, in.Wave, in.Entered = c.ID, 1, noon
		if _, err := m.Take(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		take(campaign.StepInput{Step: campaign.StepApproval, Token: "first", Retry: 20})
	}
	w.do(event.CampaignRequest{Verb: event.VerbApprove, Campaign: c.ID, Wave: "early"}, "me")
	if a := w.answers["first"]; a.Next != campaign.NextGo {
		t.Fatalf("approved, and its execution was told %+v", a)
	}
	asked := len(w.notices)
	for range 2 { // nobody was there to hear it
		take(campaign.StepInput{Step: campaign.StepApproval, Token: "second", Redrive: 1})
	}
	if a := w.answers["second"]; a.Next != campaign.NextGo || len(w.notices) != asked {
		t.Errorf("approved before it was redriven, and told %+v; %d notices more", a, len(w.notices)-asked)
	}
	take(campaign.StepInput{Step: campaign.StepClose, Token: "third", Redrive: 1, Retry: 3, Next: campaign.NextHalt})
	take(campaign.StepInput{Step: campaign.StepClose, Token: "fourth", Redrive: 2, Next: campaign.NextHalt})
	take(campaign.StepInput{Step: campaign.StepClose, Token: "late", Redrive: 1, Retry: 4, Next: campaign.NextHalt})
	if c = w.load(c.ID); c.Token != "fourth" {
		t.Errorf("after a redrive it waits by %q: %+v", c.Token, c.Turn)
	}
}

// TestASkippedBakeIsOverAtOnce: no clock has to tick, and who asks again is told that it was done.
func TestASkippedBakeIsOverAtOnce(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(`{"campaignId": "fall", ` + simple + `, "gate": {"success": 0.8},
		"waves": [{"name": "canary", "count": 20, "bakeMinutes": 10000}, {"name": "rest", "bakeMinutes": 10000}]}`)
	skip := event.CampaignRequest{Verb: event.VerbSkip, Campaign: "fall"}
	skipped := 0
	end := w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		if c.Phase == campaign.Admit && c.Current == 1 && skipped == 1 {
			if again := w.do(skip, "me"); again.Changed || again.Wave != "canary" {
				t.Errorf("skipped again: %+v", again)
			}
		}
		if c.Phase != campaign.Bake || skipped > c.Current {
			return
		}
		skipped++
		if out := w.do(skip, "me"); !out.Changed || out.Wave != c.Waves[c.Current].Name {
			t.Errorf("skipped %+v", out)
		}
		if c = w.load("fall"); c.Answer == nil || c.Answer.Next != campaign.NextGo || !c.Answered ||
			!c.Waves[c.Current].Ended.Equal(w.now) {
			t.Errorf("skipped, and its execution was told %+v", c.Answer)
		}
		if again := w.do(skip, "me"); again.Changed {
			t.Errorf("skipped at once again: %+v", again)
		}
	})
	if campaign.State(end.Next) != campaign.Completed || skipped != 2 {
		t.Errorf("skipped %d times, ended %+v", skipped, end)
	}
	report, err := campaign.NewReport(t.Context(), w, w, w.load("fall"))
	if err != nil || !report.Waves[0].Skipped || !report.Waves[1].Skipped {
		t.Errorf("report %+v, %v", report.Waves, err)
	}
}

// TestWhoIsAskedMayAnswerAtOnce: a program that hears of the notice is as fast as that.
func TestWhoIsAskedMayAnswerAtOnce(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(`{"campaignId": "fall", ` + simple + `, "gate": {"success": 0.8},
		"waves": [{"name": "canary", "count": 5, "bakeMinutes": 0, "gate": {"success": 0.5}}, {"name": "rest",
		"bakeMinutes": 0}]}`)
	for _, d := range w.devices {
		w.fails[d.Thing] = "Download.Failed" // of every other one, below
	}
	asked := 0
	w.onNotice = func(n campaign.Notice) {
		if n.Event != campaign.NoticeHeld {
			return
		}
		asked++
		if w.flag != event.ControlPaused {
			t.Errorf("asked while its flag is %q", w.flag)
		}
		seen := n.Devices.Failures()
		w.fails = map[event.ThingName]event.ErrorName{}
		w.do(event.CampaignRequest{Verb: event.VerbResumeCampaign, Campaign: c.ID, Failures: &seen}, "me")
	}
	end := w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		if c.Current > 0 {
			return
		}
		n := 0
		for _, d := range w.devices {
			if s, ok := w.stands[d.Thing]; ok && s.Wave == 0 {
				if n++; n%2 == 0 {
					delete(w.fails, d.Thing)
				}
			}
		}
	})
	if campaign.State(end.Next) != campaign.Completed || asked != 1 || w.flag == event.ControlPaused {
		t.Errorf("asked %d times, flag %q, ended %+v", asked, w.flag, end)
	}
}

// TestAPauseHoldsABakeAndTheEnd: its time stands still, and who waits because of it is not taken out.
func TestAPauseHoldsABakeAndTheEnd(t *testing.T) {
	for _, at := range []campaign.Phase{campaign.Bake, campaign.Close} {
		w := newWorld(t, 40)
		c := w.create(`{"campaignId": "fall", ` + simple + `, "gate": {"success": 0.8},
			"waves": [{"name": "all", "bakeMinutes": 30}]}`)
		waits := w.devices[0].Thing
		w.lost = waits // at work until it is paused
		minute, paused := 0, 0
		end := w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
			minute++
			switch {
			case c.Phase == at && paused == 0:
				w.do(event.CampaignRequest{Verb: event.VerbPauseCampaign, Campaign: c.ID, Why: "wait"}, "me")
				w.stands[waits] = w.stands[waits].In(event.StandWaiting, "", w.now)
				paused = minute
			case paused > 0 && minute == paused+60:
				if c.Phase != at || c.Answer != nil || w.stands[waits].State != event.StandWaiting {
					t.Errorf("paused in %s, and an hour later it is %s, %+v; %s stands %+v", at, c.Phase, c.Answer,
						waits, w.stands[waits])
				}
				w.do(event.CampaignRequest{Verb: event.VerbResumeCampaign, Campaign: c.ID}, "me")
				w.stands[waits], w.lost = w.stands[waits].In(event.StandRunning, "", w.now), ""
			}
		})
		if campaign.State(end.Next) != campaign.Completed || w.stands[waits].State != event.StandSucceeded {
			t.Errorf("paused in %s: ended %+v, %s stands %+v", at, end, waits, w.stands[waits])
		}
		if one := w.load("fall").Waves[0]; at == campaign.Bake && one.Ended.Sub(one.Baking) < 89*time.Minute {
			t.Errorf("its bake of 30 minutes and a pause of 60 took %s", one.Ended.Sub(one.Baking))
		}
	}
}

// TestDevicesThatAreAwayEndTheWaveAtItsTime: of all that are away nothing is known, so that
// an operator is asked; in the end they are what is left over.
func TestDevicesThatAreAwayEndTheWaveAtItsTime(t *testing.T) {
	w := newWorld(t, 40)
	for _, d := range w.devices {
		w.away[d.Thing] = true
	}
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "gate": {"success": 0.8}, "waves": [
		{"name": "canary", "count": 20, "bakeMinutes": 0, "maxHours": 2},
		{"name": "rest", "bakeMinutes": 0, "maxHours": 1}]}`)
	end := w.play(c.ID, 30*time.Hour, func(c campaign.Campaign) {
		if c.Phase == campaign.Hold && c.Answer == nil {
			_, err := w.controller().Do(t.Context(), event.CampaignRequest{Verb: event.VerbResumeCampaign,
				Campaign: "fall"}, "me")
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	c = w.load("fall")
	if campaign.State(end.Next) != campaign.Completed || !c.Waves[0].Late || c.Waves[0].Verdict.N != 0 ||
		c.Waves[0].Verdict.Outcome != campaign.Inconclusive {
		t.Errorf("ended %+v, %+v", end, c.Waves[0])
	}
	r, err := campaign.NewReport(t.Context(), w, w, c)
	if err != nil || len(r.LeftOver) != 40 || r.Devices.Withdrawn != 40 {
		t.Errorf("report %+v, %v", r, err)
	}
}

func TestAWaveThatIsDeniedEndsTheCampaign(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(three)
	end := w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		if c.Phase == campaign.Approval && c.Answer == nil {
			w.do(event.CampaignRequest{Verb: event.VerbDeny, Campaign: "fall", Why: "not today"}, "me")
		}
	})
	if campaign.State(end.Next) != campaign.Aborted || end.Why != "denied by me: not today" {
		t.Errorf("ended %+v", end)
	}
}

func TestWhoCreatedDoesNotApprove(t *testing.T) {
	payload := `{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"approval": {"fourEyes": true}, "waves": [{"name": "all", "approval": true, "bakeMinutes": 0}]}`
	w := newWorld(t, 10)
	if _, err := w.ask([]byte(payload), event.Nobody, false); !errors.Is(err,
		campaign.ErrUnproved) {
		t.Errorf("created by nobody: %v", err)
	}
	c := w.create(payload)
	end := w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		if c.Phase != campaign.Approval || c.Answer != nil {
			return
		}
		approve := event.CampaignRequest{Verb: event.VerbApprove, Campaign: "fall"}
		if _, err := w.controller().Do(t.Context(), approve, "arn:creator"); !errors.Is(err, campaign.ErrFourEyes) {
			t.Errorf("approved by its creator: %v", err)
		}
		if _, err := w.controller().Do(t.Context(), approve, event.Nobody); !errors.Is(err, campaign.ErrUnproved) {
			t.Errorf("approved by nobody: %v", err)
		}
		for _, verb := range []event.CampaignVerb{event.VerbApprove, event.VerbDeny} {
			typo := event.CampaignRequest{Verb: verb, Campaign: "fall", Wave: "al", Why: "x"}
			_, err := w.controller().Do(t.Context(), typo, "arn:other")
			if p, ok := errors.AsType[event.Problems](err); !ok || p[0].Path != "$.wave" ||
				p[0].Allowed != `a wave of the campaign: ["all"]` {
				t.Errorf("%s of a wave that there is not: %v", verb, err)
			}
		}
		w.do(approve, "arn:other")
	})
	if campaign.State(end.Next) != campaign.Completed {
		t.Errorf("ended %+v", end)
	}
}

func TestFailuresAreTriedAgain(t *testing.T) {
	w := newWorld(t, 60)
	w.fails["rg-000001"], w.fails["rg-000002"] = "Download.Failed", "Device.Busy"
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"gate": {"success": 0.6}, "attempts": 2, "waves": [{"name": "all", "bakeMinutes": 30}]}`)
	retried := 0
	w.play(c.ID, 6*time.Hour, func(c campaign.Campaign) {
		if c.Phase != campaign.Bake || retried > 0 {
			return
		}
		delete(w.fails, "rg-000001")
		again := event.CampaignRequest{Verb: event.VerbRetry, Campaign: "fall", Error: "Download.Failed", Wave: "none"}
		var problems event.Problems
		if _, err := w.controller().Do(t.Context(), again, "me"); !errors.As(err, &problems) ||
			problems[0].Path != "$.wave" || !strings.Contains(problems[0].Allowed, `"all"`) {
			t.Errorf("retried in a wave that there is not: %v", err)
		}
		again.Wave, again.Error = "all", "Download.Faild"
		if _, err := w.controller().Do(t.Context(), again, "me"); !errors.As(err, &problems) ||
			problems[0].Path != "$.error" || !strings.Contains(problems[0].Allowed, "one of Download.Failed ") {
			t.Errorf("retried after an error that there is not: %v", err)
		}
		again.Error, again.Model = "Download.Failed", "M9"
		if _, err := w.controller().Do(t.Context(), again, "me"); !errors.As(err, &problems) ||
			problems[0].Path != "$.model" || !strings.Contains(problems[0].Allowed, `["M0" "M1" "M2"]`) {
			t.Errorf("retried a model that there is not: %v", err)
		}
		again.Model, w.unlisted = "", "rg-000001"
		if out := w.do(again, "me"); out.Devices != 0 || out.Unlisted != 1 || out.Changed {
			t.Errorf("retried what the index does not show: %+v", out)
		}
		w.unlisted = ""
		out := w.do(again, "me")
		if out.Devices != 1 || out.Unlisted != 0 {
			t.Errorf("retried %+v", out)
		}
		log, err := w.Log(t.Context(), "fall")
		if last := log[len(log)-1]; err != nil || last.Verb != "retry" || last.Wave != "all" ||
			last.Error != "Download.Failed" || last.N != 1 {
			t.Errorf("noted as %+v, %v", last, err)
		}
		retried += out.Devices
	})
	if s := w.stands["rg-000001"]; s.State != event.StandSucceeded || s.Attempt != 2 {
		t.Errorf("tried again: %+v", s)
	}
	if s := w.stands["rg-000002"]; s.State != event.StandFailed || s.Attempt != 1 {
		t.Errorf("not tried again: %+v", s)
	}
}

// TestBudgetAndPriority: the first of two campaigns takes what there is of a model.
func TestBudgetAndPriority(t *testing.T) {
	w := newWorld(t, 60)
	for i := range w.devices {
		w.devices[i].Model = "M"
	}
	const payload = `{"campaignId": "%s", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"priority": %d, "budget": 10, "rate": 30, "waves": [{"name": "all", "bakeMinutes": 0}]}`
	low := w.create(fmt.Sprintf(payload, "low", 1))
	high := w.create(fmt.Sprintf(payload, "high", 2))
	for _, c := range []campaign.Campaign{low, high} {
		if _, err := w.machine().Take(t.Context(), campaign.StepInput{Step: campaign.StepWave, Campaign: c.ID,
			Token: event.TaskToken(c.ID)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.driver().Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := w.load("high"); c.Waves[0].Admitted != 10 || c.Last["M"] != 10 {
		t.Errorf("the first has %+v", c.Waves[0])
	}
	if c := w.load("low"); c.Waves[0].Admitted != 0 {
		t.Errorf("the second has %+v", c.Waves[0])
	}
}

// TestABudgetIsOfTheCampaign over all its models, divided into shares that are all of it.
func TestABudgetIsOfTheCampaign(t *testing.T) {
	for _, budget := range []int{1, 7, 500, 501, 1234, 100000} {
		w := newWorld(t, 3000)
		c := w.create(fmt.Sprintf(`{"campaignId": "c", "images": [{"firmware": {"version": "2.0.0"}}],
			"targets": {"groups": ["d"]}, "budget": %d, "rate": 1000, "waves": [{"name": "all"}]}`, budget))
		step := campaign.StepInput{Step: campaign.StepWave, Campaign: c.ID, Token: "t"}
		if _, err := w.machine().Take(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			w.minute()
			counts, _ := w.Counts(t.Context(), c.ID, c.Shards)
			n := campaign.NumbersOf(counts.Tally, -1, c.Total)
			if n.Running+n.Admitted > budget || n.Running+n.Admitted+n.Succeeded == 0 {
				t.Fatalf("budget %d: %+v", budget, n)
			}
		}
		shares := map[int]int{}
		for _, s := range w.stands {
			shares[s.Share] = s.Budget
		}
		sum := 0
		for _, of := range shares {
			sum += of
		}
		if sum > budget || len(shares) > 16 || budget > 500 && len(w.stands) > 500 && sum != budget {
			t.Errorf("budget %d is divided into %v", budget, shares)
		}
	}
}

// TestDevicesBeginInTheirWindow: of two zones, over a blackout day.
func TestDevicesBeginInTheirWindow(t *testing.T) {
	w := newWorld(t, 40)
	for i := range w.devices {
		w.devices[i].Zone = []string{"Europe/Berlin", "America/New_York"}[i%2]
	}
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"windows": [{"from": "02:00", "to": "04:00"}], "blackout": [{"from": "2026-12-01", "to": "2026-12-01"}],
		"rate": 1, "waves": [{"name": "all", "bakeMinutes": 0, "maxHours": 100}]}`)
	w.play(c.ID, 100*time.Hour, nil)
	zones := map[event.ThingName]string{}
	for _, d := range w.devices {
		zones[d.Thing] = d.Zone
	}
	for thing, s := range w.stands {
		loc, err := time.LoadLocation(zones[thing])
		if err != nil {
			t.Fatal(err)
		}
		// It stands so since its end, which is three minutes after it was admitted.
		begun := s.At.Add(-5 * time.Minute).In(loc)
		if begun.Day() == 1 || begun.Hour() < 1 || begun.Hour() > 3 {
			t.Errorf("%s in %s began at %s", thing, zones[thing], begun)
		}
	}
	if len(w.stands) != 40 {
		t.Errorf("%d devices", len(w.stands))
	}
}

// TestACrashAtAnyWriteChangesNothingOfTheEnd: each write of a record fails once.
func TestACrashAtAnyWriteChangesNothingOfTheEnd(t *testing.T) {
	for name, payload := range map[string]string{"three waves": three, "staged": stagedThree} {
		t.Run(name, func(t *testing.T) { crashing(t, payload) })
	}
}

func crashing(t *testing.T, payload string) {
	crash := errors.New("crashed here")
	for at := 1; ; at++ {
		w := newWorld(t, 60)
		writes, crashed := 0, false
		c := w.create(payload)
		w.Before = func(string) error {
			if writes++; writes == at {
				crashed = true
				return crash
			}
			return nil
		}
		again := func(err error) bool { return errors.Is(err, crash) }
		end := w.playing(c.ID, again)
		if campaign.State(end.Next) != campaign.Completed {
			t.Fatalf("write %d fails: ended %+v", at, end)
		}
		counts, _ := w.Counts(context.Background(), "fall", 4)
		got := map[event.StandState]int{}
		for p, n := range counts.Tally {
			got[p.State] += n
		}
		if !maps.Equal(got, map[event.StandState]int{event.StandSucceeded: 60}) {
			t.Fatalf("write %d fails: %v", at, got)
		}
		if !crashed {
			return
		}
	}
}

// playing plays a campaign whose calls may fail, and are then made again, as Step Functions
// and the clock do.
func (w *world) playing(id event.CampaignID, again func(error) bool) campaign.StepAnswer {
	w.t.Helper()
	take := func(in campaign.StepInput) campaign.StepAnswer {
		for {
			a, err := w.machine().Take(w.t.Context(), in)
			if err == nil {
				return a
			}
			if !again(err) {
				w.t.Fatal(err)
			}
		}
	}
	tokens := 0
	await := func(step campaign.Step, wave int, next string) string {
		tokens++
		token := event.TaskToken(fmt.Sprintf("token-%d", tokens))
		take(campaign.StepInput{Step: step, Campaign: id, Wave: wave, Token: token, Next: next})
		for range 1000 {
			if a, ok := w.answers[token]; ok {
				return a.Next
			}
			if step == campaign.StepApproval {
				r := event.CampaignRequest{Verb: event.VerbApprove, Campaign: id}
				_, err := w.controller().Do(w.t.Context(), r, "me")
				if err != nil && !again(err) {
					w.t.Fatal(err)
				}
			}
			for thing, s := range w.stands {
				switch s.State {
				case event.StandAdmitted:
					w.stands[thing] = s.In(event.StandRunning, "", w.now)
				case event.StandRunning:
					to := event.StandSucceeded
					if s.Stage {
						to = event.StandStaged
					}
					w.stands[thing] = s.In(to, "", w.now)
				}
			}
			if _, err := w.driver().Tick(w.t.Context()); err != nil && !again(err) {
				w.t.Fatal(err)
			}
			w.now = w.now.Add(time.Minute)
		}
		w.t.Fatalf("%v: %s of wave %d", errStuck, step, wave)
		return ""
	}
	if w.started[0].Stage {
		await(campaign.StepStage, 0, "")
	}
	next := campaign.NextGo
	for wave := 0; wave < 3 && next == campaign.NextGo; wave++ {
		if wave == 1 {
			await(campaign.StepApproval, wave, "")
		}
		await(campaign.StepWave, wave, "")
		next = take(campaign.StepInput{Step: campaign.StepGate, Campaign: id, Wave: wave}).Next
	}
	await(campaign.StepClose, 0, next)
	return take(campaign.StepInput{Step: campaign.StepReport, Campaign: id})
}

// TestACampaignHasABeginningAndAnEnd: nothing is admitted before its start, whose waiting is no wave's time, nor after
// its end, when what is left is left over.
func TestACampaignHasABeginningAndAnEnd(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"rate": 10, "start": "2026-12-02T12:00:00Z", "end": "2026-12-02T12:10:00Z", "gate": {"success": 0.5},
		"waves": [{"name": "all", "bakeMinutes": 0, "maxHours": 1}]}`)
	for _, d := range w.devices[:30] {
		w.away[d.Thing] = true
	}
	end := w.play(c.ID, 60*time.Hour, nil)
	if campaign.State(end.Next) != campaign.Completed {
		t.Fatalf("ended %+v", end)
	}
	c = w.load("fall")
	if got := c.Waves[0].Ended; got.Before(*c.Request.End) || got.After(c.Request.End.Add(2*time.Minute)) {
		t.Errorf("its wave ended at %s", got)
	}
	for minute := range w.admitted {
		if minute < "12:00" || minute > "12:10" {
			t.Errorf("devices were admitted at %s", minute)
		}
	}
	r, err := campaign.NewReport(t.Context(), w, w, c)
	if err != nil || r.Devices.Succeeded != 30 || len(r.LeftOver) != 30 {
		t.Errorf("report %+v, %v", r, err)
	}
}

// TestACampaignDoesNotWaitForALostDeviceForEver: its execution has ended without a report.
func TestACampaignDoesNotWaitForALostDeviceForEver(t *testing.T) {
	w := newWorld(t, 3)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"gate": {"success": 0.5}, "waves": [{"name": "all", "bakeMinutes": 0, "maxHours": 1}]}`)
	w.lost, w.unseen = "rg-000002", true
	end := w.play(c.ID, 8*24*time.Hour, nil)
	r, err := campaign.NewReport(t.Context(), w, w, w.load("fall"))
	if err != nil || campaign.State(end.Next) != campaign.Completed || r.Devices.Running != 1 ||
		r.Devices.Succeeded != 2 {
		t.Errorf("ended %+v, %+v, %v", end, r.Devices, err)
	}
}

const stagedThree = `{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}],
	"targets": {"groups": ["demo"]}, "rate": 20, "gate": {"success": 0.5}, "stage": {"maxHours": 2},
	"waves": [{"name": "canary", "count": 15, "bakeMinutes": 10}, {"name": "early", "count": 20, "bakeMinutes": 5,
	"approval": true}, {"name": "rest", "bakeMinutes": 1}]}`

// TestAllDevicesAreStagedBeforeTheFirstWave: one that is away gets its image with its wave, one whose download fails
// counts in its wave, once.
func TestAllDevicesAreStagedBeforeTheFirstWave(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(stagedThree)
	canary := w.members(c)[0]
	for _, m := range canary[:6] { // as many as halt a wave whose devices do not come back
		w.fails[m.Thing] = event.DeviceNoReport
	}
	rest := w.members(c)[2]
	w.away[rest[0].Thing], w.away[rest[1].Thing], w.away[rest[2].Thing], w.away[rest[3].Thing] = true, true, true, true
	retried := false
	end := w.play(c.ID, 3*time.Hour, func(c campaign.Campaign) {
		counts, _ := w.Counts(t.Context(), c.ID, c.Shards)
		n := campaign.NumbersOf(counts.Tally, -1, c.Total)
		switch c.Phase {
		case campaign.Staging:
			if n.Succeeded > 0 {
				t.Fatalf("activated in the stage: %+v", n)
			}
			if len(counts.Running) > 0 {
				t.Fatalf("a download is no device in danger: %+v", counts.Running)
			}
			if n.Failures() == 6 && !retried {
				delete(w.fails, canary[0].Thing)
				out := w.do(event.CampaignRequest{Verb: event.VerbRetry, Campaign: c.ID, Wave: "canary"}, "me")
				if retried = true; out.Devices != 6 {
					t.Errorf("retried %+v", out)
				}
			}
		case campaign.Approval:
			if n.Succeeded > 15 || n.Staged < 35 {
				t.Fatalf("before the second wave: %+v", n)
			}
			w.do(event.CampaignRequest{Verb: event.VerbApprove, Campaign: c.ID}, "me")
		case campaign.Hold:
			five := 5
			w.do(event.CampaignRequest{Verb: event.VerbResumeCampaign, Campaign: c.ID, Failures: &five}, "me")
		default:
			for wave := c.Current + 1; wave < len(c.Waves); wave++ {
				if n := campaign.NumbersOf(counts.Tally, wave, c.Waves[wave].Size); n.Succeeded > 0 {
					t.Fatalf("wave %d activates in wave %d: %+v", wave, c.Current, n)
				}
			}
			for _, m := range rest[:4] {
				delete(w.away, m.Thing)
			}
		}
	})
	c = w.load("fall")
	if campaign.State(end.Next) != campaign.Completed || !retried {
		t.Fatalf("ended %+v, %+v", end, c)
	}
	if s := c.Stage; s.Admitted != 60 || !s.Late || s.Ended.Sub(s.Began) < 2*time.Hour {
		t.Errorf("stage %+v", s)
	}
	if v := c.Waves[0].Verdict; v.N != 15 || v.Failed != 5 || v.Outcome == campaign.Fail {
		t.Errorf("canary %+v", v)
	}
	for minute, n := range w.admitted {
		if n > 20 {
			t.Errorf("%d devices at %s, at a rate of 20", n, minute)
		}
	}
	for thing, s := range w.stands {
		if s.State != event.StandSucceeded && w.fails[thing] == "" || s.Stage && s.State != event.StandFailed {
			t.Errorf("%s ends %+v", thing, s)
		}
	}
	r, err := campaign.NewReport(t.Context(), w, w, c)
	if err != nil || r.Stage == nil || r.Stage.Ended == nil || r.Devices.Staged != 0 {
		t.Errorf("report %+v, %v", r.Stage, err)
	}
}

// TestAStageEndsEarly: one that fails halts before any wave, one that is aborted leaves images that do nothing, and
// one that is skipped goes on.
func TestAStageEndsEarly(t *testing.T) {
	for name, one := range map[string]struct {
		verb event.CampaignVerb
		want campaign.State
		fail event.ErrorName
	}{
		"halted": {"", campaign.Halted, "Verify.WrongVersion"}, "aborted": {event.VerbAbort, campaign.Aborted, ""},
		"skipped": {event.VerbSkip, campaign.Completed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 60)
			c := w.create(stagedThree)
			for _, m := range w.members(c)[2][:5] {
				w.fails[m.Thing] = one.fail
			}
			minutes := 0
			end := w.play(c.ID, 3*time.Hour, func(c campaign.Campaign) {
				if minutes++; minutes == 4 && one.verb != "" {
					w.do(event.CampaignRequest{Verb: one.verb, Campaign: c.ID, Why: "enough"}, "me")
				}
				if c.Phase == campaign.Approval {
					w.do(event.CampaignRequest{Verb: event.VerbApprove, Campaign: c.ID}, "me")
				}
			})
			c = w.load("fall")
			counts, _ := w.Counts(t.Context(), c.ID, c.Shards)
			n := campaign.NumbersOf(counts.Tally, -1, c.Total)
			if campaign.State(end.Next) != one.want || n.Open() != 0 {
				t.Fatalf("ended %+v, %+v", end, n)
			}
			if one.want == campaign.Completed {
				if n.Succeeded != 60 {
					t.Errorf("%+v", n)
				}
				return
			}
			if n.Succeeded != 0 || !c.Waves[0].Began.IsZero() {
				t.Errorf("%+v, %+v", n, c.Waves[0])
			}
			if one.want == campaign.Halted && (c.HaltedIn != "stage" || c.Why != "stage: 5 × Verify.WrongVersion, "+
				"and 5 halt") {
				t.Errorf("halted in %q: %q", c.HaltedIn, c.Why)
			}
			for _, n := range w.notices {
				if one.want == campaign.Halted && (n.Wave != "stage" || n.Verdict != nil || len(n.First) != 5) {
					t.Errorf("told %+v", n)
				}
			}
		})
	}
}

// TestARetryIsNotOvertakenByItsWave: a wave that begins while failures of its stage are being tried again.
func TestARetryIsNotOvertakenByItsWave(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(stagedThree)
	failed := w.members(c)[0][0].Thing
	w.fails[failed] = "Download.Failed"
	var record campaign.Campaign
	w.play(c.ID, 3*time.Hour, func(c campaign.Campaign) {
		switch {
		case c.Phase == campaign.Staging:
			record = c
		case c.Phase == campaign.Approval:
			w.do(event.CampaignRequest{Verb: event.VerbApprove, Campaign: c.ID}, "me")
		case c.Phase == campaign.Admit && c.Current == 0 && c.Waves[0].Admitted == 15 && w.fails[failed] != "":
			delete(w.fails, failed)
			controller := w.controller()
			controller.Store = &stale{w, record, 1}
			_, err := controller.Do(t.Context(), event.CampaignRequest{Verb: event.VerbRetry, Campaign: c.ID}, "me")
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if s := w.stands[failed]; s.State != event.StandSucceeded || s.Attempt != 2 {
		t.Errorf("it stands %+v", s)
	}
}

// stale is a store whose first loads are of before.
type stale struct {
	*world
	before campaign.Campaign
	left   int
}

func (s *stale) Load(ctx context.Context, id event.CampaignID) (campaign.Campaign, error) {
	if s.left--; s.left >= 0 {
		return s.before, nil
	}
	return s.world.Load(ctx, id)
}

// TestAnAlarmHalts: with its name, at once and before anybody of a wave begins, in the stage too. One that has nothing
// to count says nothing; one that is not there any more is asked about, and while nobody can tell nobody begins.
func TestAnAlarmHalts(t *testing.T) {
	const guarded = `{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["d"]}, "rate": 20, "gate": {"success": 0.5, "alarms": ["errors", "calls"]}, %s
		"waves": [{"name": "canary", "count": 15, "bakeMinutes": 30}, {"name": "rest", "bakeMinutes": 0}]}`
	alarm := campaign.Alarm{State: campaign.AlarmInAlarm, Reason: "Threshold Crossed"}
	calm := map[string]campaign.Alarm{"errors": {State: campaign.AlarmOK}, "calls": {
		State: campaign.AlarmInsufficient}}
	for name, c := range map[string]struct {
		stage  string
		at     campaign.Phase
		wave   int
		alarms map[string]campaign.Alarm
		want   campaign.State
		admits int // devices that were let begin
	}{
		"none": {"", campaign.Bake, 0, calm, campaign.Completed, 60},
		"as its devices begin": {"", campaign.Admit, 0, map[string]campaign.Alarm{"errors": alarm}, campaign.Halted,
			0},
		"in the bake": {"", campaign.Bake, 0, map[string]campaign.Alarm{"errors": alarm, "calls": {}},
			campaign.Halted, 15},
		"as the second wave begins": {"", campaign.Admit, 1, map[string]campaign.Alarm{"calls": alarm},
			campaign.Halted, 15},
		"in the stage": {`"stage": {},`, campaign.Staging, 0, map[string]campaign.Alarm{"calls": alarm},
			campaign.Halted, 0},
		"one is gone": {"", campaign.Bake, 0, map[string]campaign.Alarm{"errors": {State: campaign.AlarmOK}},
			campaign.Aborted, 15},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 60)
			w.alarms = calm
			c1 := w.create(fmt.Sprintf(guarded, c.stage))
			blind, before := 0, 0
			end := w.play(c1.ID, 9*time.Hour, func(now campaign.Campaign) {
				if now.Phase == c.at && now.Current == c.wave {
					w.alarms = c.alarms
				}
				if w.blind != nil && len(w.stands) != before {
					t.Errorf("%d devices began while nobody could tell", len(w.stands)-before)
				}
				before = len(w.stands)
				if w.blind = nil; now.Phase == campaign.Admit && blind < 5 {
					w.blind = errBlind
					blind++
				}
				if now.Phase != campaign.Hold || now.Answer != nil {
					return
				}
				if v := now.Waves[0].Verdict; v.Outcome != campaign.Inconclusive || v.Alarms["calls"] !=
					campaign.AlarmMissing || v.Why != "there is no alarm calls any more" {
					t.Errorf("held by %+v", v)
				}
				w.do(event.CampaignRequest{Verb: event.VerbAbort, Campaign: now.ID, Why: "enough"}, "me")
			})
			now := w.load("fall")
			if campaign.State(end.Next) != c.want || len(w.stands) != c.admits {
				t.Fatalf("ended %+v with %d devices: %q", end, len(w.stands), now.Why)
			}
			if c.want == campaign.Halted && !strings.Contains(now.Why, " is in ALARM: Threshold Crossed") {
				t.Errorf("halted because %q", now.Why)
			}
			if v := now.Waves[0].Verdict; c.want == campaign.Completed && v.Alarms["calls"] !=
				campaign.AlarmInsufficient {
				t.Errorf("judged %+v", v)
			}
		})
	}
}

var errBlind = errors.New("throttled")

// TestADeviceThatIsLostIsLookedAfter within half an hour: its campaign counts it as failed by what is ours, and ends.
func TestADeviceThatIsLostIsLookedAfter(t *testing.T) {
	w := newWorld(t, 30)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"gate": {"success": 0.5}, "waves": [{"name": "all", "bakeMinutes": 0, "maxHours": 1}]}`)
	w.lost = "rg-000002"
	end := w.play(c.ID, time.Hour, nil)
	r, err := campaign.NewReport(t.Context(), w, w, w.load("fall"))
	if err != nil || campaign.State(end.Next) != campaign.Completed || r.Devices.Failed[event.ControllerFailed] != 1 ||
		r.Devices.Succeeded != 29 || r.Waves[0].Gate.Failed != 0 {
		t.Errorf("ended %+v, %+v, %v", end, r.Devices, err)
	}
	if w.looked == 0 || w.looked > 2 {
		t.Errorf("looked after %d times", w.looked)
	}
}

// TestAnAbortIsFollowed: what is in no danger ends within minutes, the rest is seen to its end.
func TestAnAbortIsFollowed(t *testing.T) {
	w := newWorld(t, 30)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"gate": {"success": 0.5}, "rate": 30, "waves": [{"name": "all", "bakeMinutes": 0}]}`)
	aborted := time.Time{}
	w.play(c.ID, time.Hour, func(c campaign.Campaign) {
		for thing, s := range w.stands {
			if aborted.IsZero() && s.State == event.StandRunning {
				s.Danger = thing < "rg-000011"
				w.stands[thing], w.at[thing] = s, w.now.Add(time.Minute) // it takes a while longer
			}
		}
		if counts, _ := w.Counts(t.Context(), c.ID, c.Shards); aborted.IsZero() && len(counts.Running) > 0 {
			w.do(event.CampaignRequest{Verb: event.VerbAbort, Campaign: c.ID, Why: "enough"}, "me")
			aborted = w.now
		}
	})
	r, err := campaign.NewReport(t.Context(), w, w, w.load("fall"))
	if err != nil || r.State != campaign.Aborted || r.Devices.Succeeded != 10 || r.Devices.Held != 20 {
		t.Errorf("%+v, %v", r.Devices, err)
	}
	if took := r.Ended.Sub(aborted); took > 5*time.Minute {
		t.Errorf("it took %s", took)
	}
}

// TestTheReportIsThereWhenACampaignIsOver: whoever reads that it is over finds it. One that is aborted while it is
// being reported is reported so.
func TestTheReportIsThereWhenACampaignIsOver(t *testing.T) {
	w := newWorld(t, 3)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"gate": {"success": 0.5}, "waves": [{"name": "all", "bakeMinutes": 0}]}`)
	in := campaign.StepInput{Step: campaign.StepClose, Campaign: c.ID, Token: "t"}
	if _, err := w.machine().Take(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	written := func() (r campaign.Report) {
		b, err := w.Document(t.Context(), c.ID, campaign.ReportDocument)
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	aborted := false
	w.Before = func(op string) error {
		if op != "Save" || aborted {
			return nil
		}
		aborted = true
		if r := written(); r.State != campaign.Completed || len(r.LeftOver) != 3 || r.Ended == nil {
			t.Errorf("before it is over the report says %+v", r)
		}
		w.do(event.CampaignRequest{Verb: event.VerbAbort, Campaign: c.ID, Why: "enough"}, "me")
		return nil
	}
	a, err := w.machine().Take(t.Context(), campaign.StepInput{Step: campaign.StepReport, Campaign: c.ID})
	if err != nil || a.Next != string(campaign.Aborted) || !aborted {
		t.Fatalf("%+v, %v", a, err)
	}
	if r := written(); r.State != campaign.Aborted || w.load(c.ID).State != campaign.Aborted {
		t.Errorf("report %+v", r)
	}
}
