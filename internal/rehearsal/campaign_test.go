package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// lead plays a campaign and returns its summary and all that was printed.
func lead(t *testing.T, c Config) (*CampaignSummary, string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	c.Env = &cli.Env{Out: &out, Err: &errs}
	if c.Campaign.File == "" {
		c.Campaign.File = "../../events/create-campaign-demo.json"
	}
	if c.Image == 0 {
		c.Image = 4 << 10
	}
	if c.Every == 0 {
		c.Every = time.Minute
	}
	var s *CampaignSummary
	c.played = func(got *CampaignSummary) { s = got }
	_, err := Run(t.Context(), c)
	return s, out.String() + errs.String(), err
}

// payload writes a payload into a file.
func payload(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "campaign.json")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

// campaigns is the environment variable with which campaigns are tried for minutes (make test-campaigns): seeds, "10"
// or "21-30". campaignDevices says with how many devices, 200 if it is not set.
const (
	campaigns       = "FLEETSTEP_CAMPAIGNS"
	campaignDevices = "FLEETSTEP_CAMPAIGN_DEVICES"
)

func thoroughly(t *testing.T) {
	t.Helper()
	if os.Getenv(campaigns) == "" {
		t.Skip("it takes a while: make test-campaigns")
	}
}

// TestCampaignsEndAsTheyShould: the demo's three waves, with good images and bad ones. What must hold at every moment
// (counts that add up, no wave before its gate) and at the end (every device as it is said to be, nothing left) the
// trial looks at itself.
func TestCampaignsEndAsTheyShould(t *testing.T) {
	for _, c := range []struct {
		name     string
		config   Config
		verdict  string
		haltedIn string
		blast    int // devices that a bad image may reach
		long     bool
	}{
		{"a good image", Config{Devices: 24}, "completed", "", 0, false},
		{"a bad image", Config{Devices: 20, Campaign: trial.Campaign{BadImage: "2.0.0:100%"}}, "halted", "canary", 12,
			false},
		{"an image that is bad on a third", Config{Devices: 40, Campaign: trial.Campaign{BadImage: "2.0.0:35%"}},
			"halted", "", 30, true},
		{"a wave that is denied", Config{Devices: 13, Campaign: trial.Campaign{Approve: "deny"}}, "aborted", "", 0,
			true},
		{"one device", Config{Devices: 1}, "completed", "", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long {
				thoroughly(t)
			}
			c.config.Seed, c.config.Campaign.Expect = 7, c.verdict
			s, out, err := lead(t, c.config)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if c.haltedIn != "" && s.HaltedWave != c.haltedIn || s.BlastRadius > c.blast {
				t.Errorf("halted in %q, %d devices were sent a bad image: %s", s.HaltedWave, s.BlastRadius, out)
			}
			if s.HistoryEventsPerWave > 40 || s.HistoryEventsPerWave < 10 {
				t.Errorf("%d events of history for a wave", s.HistoryEventsPerWave)
			}
			if c.verdict == "completed" && s.PerUpgrade.Transitions > 6 {
				t.Errorf("%v transitions for an upgrade", s.PerUpgrade.Transitions)
			}
		})
	}
}

// TestACampaignThatSearchesHasAnIndex: the trial switches fleet indexing on for it.
func TestACampaignThatSearchesHasAnIndex(t *testing.T) {
	file := payload(t, `{"campaignId": "q", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"query": "attributes.model:model-1"}, "rate": 60,
		"waves": [{"name": "all", "bakeMinutes": 0}], "gate": {"success": 0.5}}`)
	s, out, err := lead(t, Config{Devices: 6, Seed: 1, Campaign: trial.Campaign{File: file, Models: 2}})
	if err != nil || s.Succeeded != 3 || !strings.Contains(out, "fleet indexing is switched on") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestACampaignIsPausedAndResumed in its last wave, by the functions: nothing begins from the moment on at which the
// pause has returned, and all do when it is resumed.
func TestACampaignIsPausedAndResumed(t *testing.T) {
	file := payload(t, `{"campaignId": "p", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "rate": 10, "gate": {"success": 0.8},
		"waves": [{"name": "canary", "count": 12, "bakeMinutes": 0}, {"name": "rest", "bakeMinutes": 0}]}`)
	thoroughly(t)
	var w *world
	c := Config{Devices: 40, Seed: 3, Campaign: trial.Campaign{File: file}}
	c.opened = func(opened *world) {
		w = opened
		w.sched.Go("an operator", func() {
			ctx := context.Background()
			api := cli.Campaigns{AWS: w.operator(), Stack: stack, Now: w.sched.Now}
			report := func() cli.CampaignView {
				v, _, err := api.Describe(ctx, "p", false)
				if err != nil && !strings.Contains(err.Error(), "CampaignNotFound") &&
					!strings.Contains(err.Error(), "ResourceNotFound") {
					t.Error(err)
				}
				return v
			}
			for report().Wave != "rest" || report().Devices.Succeeded < 15 {
				_ = w.sched.Sleep(ctx, 10*time.Second)
			}
			if api.Asker == nil {
				who, err := w.somebody(ctx, "ann")
				if err != nil {
					t.Error(err)
					return
				}
				api.Asker = who
			}
			do := func(r event.CampaignRequest) {
				r.Campaign, r.Why = "p", "a test"
				if _, err := api.Do(ctx, r); err != nil {
					t.Error(err)
				}
			}
			do(event.CampaignRequest{Verb: event.VerbPauseCampaign})
			_ = w.sched.Sleep(ctx, 10*time.Second)
			before := report()
			_ = w.sched.Sleep(ctx, 30*time.Minute)
			after := report()
			begun := func(v cli.CampaignView) int {
				d := v.Devices
				return d.Running + d.Waiting + d.Succeeded + d.Failures()
			}
			if begun(before) != begun(after) || !after.Paused || after.Devices.Planned == 0 {
				t.Errorf("paused: %s; half an hour later: %s", before.Devices, after.Devices)
			}
			do(event.CampaignRequest{Verb: event.VerbResumeCampaign})
		})
	}
	s, out, err := lead(t, c)
	if err != nil || s.Succeeded != 40 {
		t.Fatalf("%v\n%s", err, out)
	}
	if s.VirtualSeconds < 1800 {
		t.Errorf("it was not paused:\n%s", out)
	}
}

// TestDevicesOfACampaignThatAreAwayAreLeftOver: things that no agent is behind. Their wave is over at its time, its
// gate asks, and when the operator has said to go on, and the last wave is over too, they are withdrawn.
func TestDevicesOfACampaignThatAreAwayAreLeftOver(t *testing.T) {
	file := payload(t, `{"campaignId": "away", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"things": ["ghost-1", "ghost-2", "ghost-3", "ghost-4", "ghost-5"]}, "gate": {"success": 0.5},
		"waves": [{"name": "canary", "count": 3, "bakeMinutes": 0, "maxHours": 1},
		{"name": "rest", "bakeMinutes": 0, "maxHours": 1}]}`)
	c := Config{Devices: 1, Seed: 3, Campaign: trial.Campaign{File: file}}
	c.opened = func(w *world) {
		for _, ghost := range []string{"ghost-1", "ghost-2", "ghost-3", "ghost-4", "ghost-5"} {
			w.must(t, "iot", "CreateThing", map[string]any{"thingName": ghost})
		}
	}
	s, out, err := lead(t, c)
	if err != nil || s.Withdrawn != 5 || s.Waves[0].Gate.Outcome != campaign.Inconclusive {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestTheSmallestTargetsEndRight: nobody, and one device alone. Of nobody there is no wave and nothing to judge; one
// device is upgraded, and the gate of its wave, the last, is told and decides nothing.
func TestTheSmallestTargetsEndRight(t *testing.T) {
	of := func(targets, more string) string {
		return payload(t, `{"campaignId": "small", "images": [{"firmware": {"version": "2.0.0"}}],
			"targets": {`+targets+`}, "waves": [{"name": "canary", "percent": 1, "bakeMinutes": 0},
			{"name": "rest", "bakeMinutes": 0}]`+more+`}`)
	}
	c := Config{Devices: 1, Seed: 3, Campaign: trial.Campaign{File: of(`"things": ["done"]`, `, "allowEmpty": true`)}}
	c.opened = func(w *world) {
		w.must(t, "iot", "CreateThing", map[string]any{"thingName": "done", "attributePayload": map[string]any{
			"attributes": map[string]any{"firmwareVersion": "2.0.0"}}})
	}
	s, out, err := lead(t, c)
	if err != nil || s.Verdict != "completed" || s.Waves == nil || len(s.Waves) != 0 || s.Succeeded+s.Withdrawn != 0 {
		t.Errorf("nobody: %v\n%s", err, out)
	}
	s, out, err = lead(t, Config{Devices: 1, Seed: 3, Campaign: trial.Campaign{File: of(`"groups": ["demo"]`, "")}})
	if err != nil || s.Verdict != "completed" || s.Succeeded != 1 || len(s.Waves) != 1 || s.Waves[0].Gate.N != 1 ||
		s.Waves[0].Gate.Outcome != campaign.Inconclusive {
		t.Errorf("one device: %v\n%s", err, out)
	}
}

// TestTwoCampaignsAtOnceUpgradeNobodyTwice: both want all devices, and one image. Each device downloads it once; the
// second campaign waits behind the first, says so, and finds its devices up to date.
func TestTwoCampaignsAtOnceUpgradeNobodyTwice(t *testing.T) {
	const of = `"images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]},
		"gate": {"success": 0.5}, "waves": [{"name": "all", "bakeMinutes": 5}]`
	file := payload(t, `{"campaignId": "first", "priority": 90, `+of+`}`)
	c := Config{Devices: 20, Seed: 3, Campaign: trial.Campaign{File: file}}
	var second cli.CampaignView
	behind := map[string]int{}
	var in *world
	c.opened = func(w *world) {
		in = w
		w.sched.Go("another operator", func() {
			ctx := context.Background()
			api := cli.Campaigns{AWS: w.operator(), Stack: stack, Now: w.sched.Now}
			for { // until the first is there
				if v, _, err := api.Describe(ctx, "first", false); err == nil && v.Phase != "" {
					break
				}
				_ = w.sched.Sleep(ctx, 100*time.Millisecond)
			}
			who, err := w.somebody(ctx, "bob")
			if err != nil {
				t.Error(err)
				return
			}
			api.Asker = who
			if _, err := api.Create(ctx, []byte(`{"campaignId": "second", `+of+`}`), false); err != nil {
				t.Error(err)
			}
			for range 120 {
				_ = w.sched.Sleep(ctx, 5*time.Second)
				v, _, err := api.Describe(ctx, "second", false)
				if err != nil {
					continue // it is not there yet, or the stack has gone
				}
				second = v
				waiting, _, err := api.Waiting(ctx, v)
				for _, d := range waiting {
					if err == nil && d.Waits != nil && d.Waits.For == event.WaitsOwner {
						behind[d.Waits.Behind]++
					}
				}
			}
		})
	}
	s, out, err := lead(t, c)
	if err != nil || s.Succeeded != 20 {
		t.Fatalf("%v\n%s", err, out)
	}
	if d := second.Devices; d.Succeeded != 20 || d.Failures() > 0 {
		t.Errorf("the second: %s", second.Devices)
	}
	for _, f := range in.fleet.Facts() {
		if f.Downloads != 1 {
			t.Errorf("%s has downloaded %d times", f.Thing, f.Downloads)
		}
	}
	if behind["campaign first"] == 0 || len(behind) > 1 {
		t.Errorf("devices of the second waited behind %v", behind)
	}
}

// TestDevicesOfACampaignBeginInTheirOwnWindow: of six zones that the devices themselves report, over the day on which
// clocks are put forward and the one on which they are put back; the first day is one on which nothing may begin.
// Package campaign's test of the same looks at any hours.
func TestDevicesOfACampaignBeginInTheirOwnWindow(t *testing.T) {
	thoroughly(t)
	zones := []string{"Europe/Berlin", "America/New_York", "Asia/Tokyo", "Africa/Cairo", "Australia/Lord_Howe",
		"America/St_Johns"}
	zone := func(thing string) string { return zones[int(thing[len(thing)-1]-'0')%len(zones)] }
	for _, c := range []struct {
		name, blackout string
		begins         time.Time
	}{
		{"Berlin's clocks go forward", "2026-03-28", time.Date(2026, time.March, 28, 0, 30, 0, 0, time.UTC)},
		{"Berlin's clocks go back", "2026-10-24", time.Date(2026, time.October, 24, 0, 30, 0, 0, time.UTC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := payload(t, `{"campaignId": "night", "images": [{"firmware": {"version": "2.0.0"}}],
				"targets": {"groups": ["demo"]}, "gate": {"success": 0.5}, "rate": 100,
				"windows": [{"from": "02:30", "to": "04:30"}], "blackout": [{"from": "`+c.blackout+`", "to": "`+
				c.blackout+`"}], "waves": [{"name": "all", "bakeMinutes": 0, "maxHours": 90}]}`)
			config := Config{Devices: 12, Seed: 3, Every: time.Hour, Campaign: trial.Campaign{File: file}}
			config.at, config.zone = c.begins, zone
			begun := map[string]time.Time{}
			config.opened = func(w *world) {
				w.sched.Go("a witness", func() {
					ctx := context.Background()
					for range 3 * 24 * 30 {
						_ = w.sched.Sleep(ctx, 2*time.Minute)
						if w.fleet == nil {
							continue
						}
						for _, f := range w.fleet.Facts() {
							if f.Downloads > 0 && begun[f.Thing].IsZero() {
								begun[f.Thing] = w.sched.Now()
							}
						}
					}
				})
			}
			s, out, err := lead(t, config)
			if err != nil || s.Succeeded != 12 {
				t.Fatalf("%v\n%s", err, out)
			}
			for thing, at := range begun {
				loc, err := time.LoadLocation(zone(thing))
				if err != nil {
					t.Fatal(err)
				}
				local := at.In(loc)
				if minute := local.Hour()*60 + local.Minute(); minute < 150 || minute > 275 ||
					local.Format(time.DateOnly) == c.blackout {
					t.Errorf("%s in %s began at %s", thing, loc, local)
				}
			}
			if len(begun) != 12 {
				t.Errorf("%d devices were seen to begin", len(begun))
			}
		})
	}
}

// TestACampaignIsStaged: everybody downloads, then waves activate. Nobody runs the image before, and nobody downloads
// twice: the trial looks. A bad image is met by its first wave, and lies on the others in vain.
func TestACampaignIsStaged(t *testing.T) {
	const of = `{"campaignId": "s", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]},
		"rate": 60, "gate": {"success": 0.8}, "stage": {"maxHours": 2}, "windows": [{"from": "06:30", "to": "08:00"}],
		"waves": [{"name": "canary", "count": 12, "bakeMinutes": 1}, {"name": "rest", "bakeMinutes": 0}]}`
	for _, c := range []struct {
		name, verdict string
		config        Config
	}{
		{"a good image", "completed", Config{Devices: 14}},
		{"a bad image", "halted", Config{Devices: 14, Campaign: trial.Campaign{BadImage: "2.0.0:100%"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Campaign.File, c.config.Campaign.Expect = payload(t, of), c.verdict
			c.config.Seed, c.config.at = 5, time.Date(2026, time.March, 2, 6, 0, 0, 0, time.UTC)
			s, out, err := lead(t, c.config)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if s.Stage == nil || s.Stage.Peak != 14 || s.Stage.Ended == nil ||
				s.Stage.Ended.After(time.Date(2026, time.March, 2, 6, 10, 0, 0, time.UTC)) {
				t.Errorf("stage %+v", s.Stage)
			}
			// Two executions: of at most six, and seven to activate.
			if n := s.PerUpgrade.Transitions; n < 1 || c.verdict == "completed" && n > 13 {
				t.Errorf("%v transitions for an upgrade", n)
			}
			if s.Waves[0].Began == nil || s.BlastRadius > 12 || s.Failed > 0 != (c.verdict == "halted") {
				t.Errorf("summary %s", out)
			}
		})
	}
}

// TestABudgetOfDevicesInDangerIsHeld: however the clock admits them, no more devices than that restart at a time, in
// bad weather too, where functions die and messages come twice and late. That the count is no more either, and 0 at
// the end, the trial looks at itself.
func TestABudgetOfDevicesInDangerIsHeld(t *testing.T) {
	for _, c := range []struct {
		name, more string
		weather    string
		long       bool
	}{
		{"activated by a command, in bad weather", `, "activation": {"mode": "SEPARATE"}`, "bad", false},
		{"by themselves", ``, "", true},
		{"by themselves, in bad weather", ``, "bad", true},
		{"staged, in bad weather", `, "stage": {}`, "bad", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long {
				thoroughly(t)
			}
			const most = 3
			config := Config{Devices: 16, Seed: 6, Every: 2 * time.Second, Campaign: trial.Campaign{File: payload(t, `{"campaignId": "b",
				"images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]}, "rate": 60, "budget": 3,
				"gate": {"success": 0.5, "haltOn": {}, "notReturned": 0}, "waves": [{"name": "all", "bakeMinutes": 0}]`+
				c.more+`}`)}}
			if c.weather != "" {
				var err error
				if config.Weather, err = localcloud.ParseWeather(c.weather, "", config.Seed); err != nil {
					t.Fatal(err)
				}
			}
			peak := 0
			config.opened = func(w *world) {
				w.sched.Go("a witness", func() {
					for range 3600 {
						_ = w.sched.Sleep(context.Background(), time.Second)
						if w.fleet == nil {
							continue
						}
						restarting := 0
						for _, f := range w.fleet.Facts() {
							if f.Phase == simulator.Rebooting && f.Completed > 0 {
								restarting++
							}
						}
						peak = max(peak, restarting)
					}
				})
			}
			s, out, err := lead(t, config)
			if err != nil || s.Succeeded != 16 {
				t.Fatalf("%v\n%s", err, out)
			}
			if peak > most || peak == 0 || s.InDangerPeak > most || s.InDangerPeak == 0 {
				t.Errorf("%d devices restarted at once, %d counted as in danger, of a budget of %d", peak,
					s.InDangerPeak, most)
			}
		})
	}
}

// TestManyThatBeginAtOnceKeepToTheBudget: an operator has all that failed tried again, which no clock paces. Those for
// which there is no room wait, and come in turn.
func TestManyThatBeginAtOnceKeepToTheBudget(t *testing.T) {
	const devices, most = 12, 2
	c := Config{Devices: devices, Seed: 6, Every: 2 * time.Second, Faults: "404=12", Campaign: trial.Campaign{
		Expect: "halted", File: payload(t, `{"campaignId": "b", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "rate": 60, "budget": 2, "attempts": 2, "gate": {"success": 0.8, "haltOn": {}},
		"waves": [{"name": "all", "bakeMinutes": 30}]}`)}}
	waited := 0
	c.opened = func(w *world) {
		w.whileRunning(t, "b", 0, func(api cli.Campaigns) {
			ctx := context.Background()
			failed := func() int {
				v, _, err := api.Describe(ctx, "b", false)
				if err != nil {
					t.Error(err)
				}
				if waited = max(waited, v.Devices.Waiting); v.Budget.InDanger > most {
					t.Errorf("%d in danger", v.Budget.InDanger)
				}
				return v.Devices.Failures()
			}
			for failed() < devices {
				_ = w.sched.Sleep(ctx, 10*time.Second)
			}
			r := event.CampaignRequest{Verb: event.VerbRetry, Campaign: "b", Why: "again"}
			if _, err := api.Do(ctx, r); err != nil {
				t.Error(err)
			}
			for first := true; first || failed() < devices; first = false {
				_ = w.sched.Sleep(ctx, time.Second)
			}
		})
	}
	s, out, err := lead(t, c)
	if err != nil || s.Failed != devices || s.InDangerPeak > most || s.InDangerPeak == 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	if waited < devices/2 {
		t.Errorf("only %d waited for room", waited)
	}
}

// TestAnAlarmOfAGateHaltsInTheBake: one of somebody's own, over CloudWatch.
func TestAnAlarmOfAGateHaltsInTheBake(t *testing.T) {
	c := Config{Devices: 14, Seed: 4, Campaign: trial.Campaign{Expect: "halted", File: payload(t, `{"campaignId": "a",
		"images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]}, "rate": 60,
		"gate": {"success": 0.8, "alarms": ["support calls"]},
		"waves": [{"name": "canary", "count": 12, "bakeMinutes": 30}, {"name": "rest", "bakeMinutes": 0}]}`)}}
	c.opened = func(w *world) {
		w.must(t, "cloudwatch", "PutMetricAlarm", map[string]any{"AlarmName": "support calls", "Namespace": "Support",
			"MetricName": "Calls", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 5,
			"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"})
		w.sched.Go("customers", func() {
			ctx := context.Background()
			api := cli.Campaigns{AWS: w.operator(), Stack: stack, Now: w.sched.Now}
			for phase := ""; phase != string(campaign.Bake); {
				_ = w.sched.Sleep(ctx, 30*time.Second)
				if v, _, err := api.Describe(ctx, "a", false); err == nil {
					phase = v.Phase
				}
			}
			w.must(t, "cloudwatch", "PutMetricData", map[string]any{"Namespace": "Support", "MetricData": []any{
				map[string]any{"MetricName": "Calls", "Value": 9}}})
		})
	}
	s, out, err := lead(t, c)
	if err != nil || s.HaltedWave != "canary" || s.Succeeded != 12 ||
		!strings.HasPrefix(s.HaltReason, "wave canary: alarm support calls is in ALARM: Threshold Crossed") {
		t.Fatalf("%v, %q\n%s", err, s.HaltReason, out)
	}
	if v := s.Waves[0]; v.Ended.Sub(*v.Began) > 20*time.Minute || v.Gate.Alarms["support calls"] != "ALARM" {
		t.Errorf("%+v", v)
	}
}

// whileRunning calls f once, a while after the first device of a campaign is at work.
func (w *world) whileRunning(t *testing.T, id string, after time.Duration, f func(api cli.Campaigns)) {
	w.sched.Go("an operator", func() {
		ctx := context.Background()
		api := cli.Campaigns{AWS: w.operator(), Stack: stack, Now: w.sched.Now}
		for running := 0; running == 0; {
			_ = w.sched.Sleep(ctx, 2*time.Second)
			if v, _, err := api.Describe(ctx, id, false); err == nil {
				running = v.Devices.Running
			}
		}
		_ = w.sched.Sleep(ctx, after)
		who, err := w.somebody(ctx, "ann")
		if err != nil {
			t.Error(err)
			return
		}
		api.Asker = who
		f(api)
	})
}

// standing are the ARNs of upgrades' executions with a status.
func (w *world) standing(t *testing.T, status string) (arns []string) {
	t.Helper()
	all, err := w.upgrades(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, e := range all {
		if e.Status == status {
			arns = append(arns, e.ExecutionARN)
		}
	}
	return arns
}

// TestAnAbortEndsDownloadsAndFollowsRestarts: the last device downloads as the campaign is aborted. Where its image
// does not start by itself its execution is stopped with the next minute; else it is seen to its end.
func TestAnAbortEndsDownloadsAndFollowsRestarts(t *testing.T) {
	for mode, stops := range map[string]bool{"SEPARATE": true, "AUTO": false} {
		t.Run(mode, func(t *testing.T) {
			config := Config{Devices: 6, Seed: 2, Faults: "slow-link=6", Campaign: trial.Campaign{Expect: "aborted",
				File: payload(t, `{"campaignId": "x", "images": [{"firmware": {"version": "2.0.0"}}], "rate": 60,
				"targets": {"groups": ["demo"]}, "activation": {"mode": "`+mode+`"}, "gate": {"success": 0.5},
				"waves": [{"name": "all", "bakeMinutes": 0}]}`)}}
			var aborted time.Time
			stopped := 0
			config.opened = func(w *world) {
				w.whileRunning(t, "x", 48*time.Second, func(api cli.Campaigns) {
					aborted = w.sched.Now()
					r := event.CampaignRequest{Verb: event.VerbAbort, Campaign: "x", Why: "enough"}
					if _, err := api.Do(context.Background(), r); err != nil {
						t.Error(err)
					}
					_ = w.sched.Sleep(context.Background(), 50*time.Second)
					stopped = len(w.standing(t, "ABORTED"))
				})
			}
			s, out, err := lead(t, config)
			if err != nil || s.Held > 0 != stops || s.Succeeded != 6-s.Held || s.Succeeded == 0 || aborted.IsZero() {
				t.Fatalf("%v\n%s", err, out)
			}
			if stopped > 0 != stops {
				t.Errorf("%d executions were stopped", stopped)
			}
		})
	}
}

// TestAnExecutionThatEndsWithoutAReportIsCounted: Finalize of one device may not write for hours, and gives up. Its
// campaign ends all the same, with the device as a failure of ours.
func TestAnExecutionThatEndsWithoutAReportIsCounted(t *testing.T) {
	lost := ""
	c := Config{Devices: 6, Seed: 2, Every: 5 * time.Minute, Campaign: trial.Campaign{File: payload(t, `{
		"campaignId": "x", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["demo"]},
		"gate": {"success": 0.5}, "waves": [{"name": "all", "bakeMinutes": 0}]}`)}}
	c.Fault = func(_ context.Context, r *localcloud.Request, in any) error {
		if r.Operation != "TransactWriteItems" || !strings.Contains(r.Identity.RoleARN, "FinalizeRole") {
			return nil
		}
		b, err := json.Marshal(in)
		if err != nil || !strings.Contains(string(b), simulator.ThingName(3)) {
			return err
		}
		lost = simulator.ThingName(3)
		return errInvalidEndpoint
	}
	s, out, err := lead(t, c)
	if s == nil || s.Failed != 1 || s.Succeeded != 5 || s.Waves[0].Failed["Controller.Failed"] != 1 || lost == "" {
		t.Fatalf("%v\n%s", err, out)
	}
	if over := s.Waves[0].Ended.Sub(*s.Waves[0].Began); over > 12*time.Hour {
		t.Errorf("its wave took %s", over)
	}
	// The trial has nothing else to say than that a healthy device failed.
	if n := strings.Count(out, "PROBLEM"); n != 1 || !strings.Contains(out, "failed with Controller.Failed") {
		t.Errorf("%s", out)
	}
}

// TestManyCampaigns: seeds with every fault, a third of them in bad weather, every other one staged and with a budget.
// What must hold the trial looks at itself.
func TestManyCampaigns(t *testing.T) {
	thoroughly(t)
	seeds, err := seedsOf(os.Getenv(campaigns))
	if err != nil {
		t.Fatal(err)
	}
	devices := 200
	if text := os.Getenv(campaignDevices); text != "" {
		if devices, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	const many = `{"campaignId": "many", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "rate": 300, "gate": {"success": 0.6, "haltOn": {}, "notReturned": 0},
		"waves": [{"name": "canary", "count": 20, "bakeMinutes": 10},
		{"name": "early", "percent": 30, "bakeMinutes": 5, "approval": true}, {"name": "rest", "bakeMinutes": 5}]}`
	files := []string{payload(t, many), payload(t, strings.Replace(many, `"rate"`, `"stage": {}, "budget": 10, "rate"`, 1))}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := Config{Devices: devices, Seed: seed, Faults: "all", Every: 5 * time.Minute,
				Campaign: trial.Campaign{File: files[(seed+1)%2], Models: 3}}
			if seed%3 == 0 {
				if c.Weather, err = localcloud.ParseWeather("bad", "", c.Seed); err != nil {
					t.Fatal(err)
				}
			}
			if _, out, err := lead(t, c); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
