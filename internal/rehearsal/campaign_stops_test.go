package rehearsal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// stops is an operator at whose campaign the execution is stopped, at some moments, and who says after a while what is
// to become of the campaign.
type stops struct {
	after []time.Duration // before each stop, from what was before
	then  []time.Duration // from a stop to the operator's word
	last  event.CampaignVerb
	hands bool // he redrives the execution himself
	found int  // how many stops found it running
	said  int  // how many of his words changed something
	late  bool // it was over before his last word
}

func drawStops(r *rand.Rand) *stops {
	draw := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	s := &stops{last: event.VerbResumeCampaign, after: []time.Duration{draw(25 * time.Minute)}}
	for n := r.IntN(5); n > 0; n-- {
		longest := []time.Duration{15 * time.Second, 3 * time.Minute, 25 * time.Minute}[r.IntN(3)]
		s.after = append(s.after, draw(longest))
	}
	for range s.after {
		longest := []time.Duration{time.Second, 10 * time.Second, 3 * time.Minute, 40 * time.Minute}[r.IntN(4)]
		s.then = append(s.then, draw(longest))
	}
	switch r.IntN(5) {
	case 0, 1:
		s.last = event.VerbAbort
	case 2:
		s.hands = true
	}
	return s
}

// operate is what happens to the campaign. Errors of a bad day are met with another try.
func (s *stops) operate(ctx context.Context, w *world, api cli.Campaigns, id string) error {
	var v cli.CampaignView
	patiently := func(call func() error) error {
		for n := 1; ; n++ {
			err := call()
			if err == nil || n == 60 || strings.Contains(err.Error(), "NothingToDo") {
				return err
			}
			_ = w.sched.Sleep(ctx, 3*time.Second)
		}
	}
	look := func() error {
		return patiently(func() (err error) {
			v, _, err = api.Describe(ctx, id, false)
			return err
		})
	}
	word := func(verb event.CampaignVerb) error {
		return patiently(func() error {
			if err := look(); err != nil || v.Over() {
				s.late = err == nil
				return err
			}
			r := event.CampaignRequest{Verb: verb, Campaign: event.CampaignID(id), Why: "a test"}
			if failed := v.Devices.Failures(); verb == event.VerbResumeCampaign {
				r.Failures = &failed
			}
			out, err := api.Do(ctx, r)
			if err == nil && strings.Contains(string(out), `"changed":true`) {
				s.said++
			}
			return err
		})
	}
	call := func(operation string) error {
		return patiently(func() error {
			return w.call(ctx, "sfn", operation, map[string]any{"executionArn": v.Execution}, nil)
		})
	}
	for v.Execution == "" {
		_ = w.sched.Sleep(ctx, time.Second)
		v, _, _ = api.Describe(ctx, id, false)
	}
	for i := range s.after {
		_ = w.sched.Sleep(ctx, s.after[i])
		var x struct{ Status string }
		err := w.call(ctx, "sfn", "DescribeExecution", map[string]any{"executionArn": v.Execution}, &x)
		if err != nil {
			return err
		}
		if x.Status == "RUNNING" { // it may be about to be redriven, or be over
			if err := call("StopExecution"); err != nil {
				return err
			}
			s.found++
		}
		_ = w.sched.Sleep(ctx, s.then[i])
		verb := event.VerbResumeCampaign
		if i == len(s.after)-1 {
			verb = s.last
		}
		if s.hands {
			_ = call("RedriveExecution") // the clock may have done it, where the campaign was about to end
		} else if err := word(verb); err != nil {
			return err
		}
	}
	// Whoever said it before the clock had seen what happened says it again.
	for {
		if err := look(); err != nil || v.Over() {
			return err
		}
		if x := v.ExecutionEnded; x != nil && x.Remedy == "resume or abort it" {
			if err := word(s.last); err != nil {
				return err
			}
		}
		_ = w.sched.Sleep(ctx, 2*time.Minute)
	}
}

// TestCampaignsWhoseExecutionIsStoppedInBadWeather: at whatever moments somebody stops it, and whatever the operator
// then says. What must hold at every moment and at the end the trial looks at itself; no device downloads twice but
// in another attempt.
func TestCampaignsWhoseExecutionIsStoppedInBadWeather(t *testing.T) {
	seeds, devices := []uint64{1, 2}, 32
	if testing.Short() {
		seeds = seeds[:1]
	}
	if text := os.Getenv(campaigns); text != "" {
		var err error
		if seeds, err = seedsOf(text); err != nil {
			t.Fatal(err)
		}
		devices = 100
	}
	const of = `{"campaignId": "gone", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"]}, "rate": 20, "gate": {"success": 0.6, "haltOn": {}, "notReturned": 0},
		"waves": [{"name": "canary", "count": 12, "bakeMinutes": 4},
		{"name": "early", "percent": 30, "bakeMinutes": 3, "approval": true}, {"name": "rest", "bakeMinutes": 2}]`
	kinds := []string{of + "}", of + `, "stage": {}, "budget": 5}`,
		of + `, "activation": {"mode": "SEPARATE"}, "retry": [{"error": "Download.Failed", "times": 1, "minutes": 2}]}`}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			s := drawStops(r)
			file := payload(t, kinds[r.IntN(len(kinds))])
			c := Config{Devices: devices, Seed: seed, Faults: "all", Every: 15 * time.Second,
				Campaign: trial.Campaign{File: file, Models: 3}}
			if s.last == event.VerbAbort {
				c.Campaign.Expect = "aborted"
			}
			var err error
			if c.Weather, err = localcloud.ParseWeather("bad", "", seed); err != nil {
				t.Fatal(err)
			}
			c.opened = func(w *world) {
				w.sched.Go("an operator", func() {
					ctx := context.Background()
					api := cli.Campaigns{AWS: w.operator(), Stack: stack, Now: w.sched.Now}
					var err error
					for w.fleet == nil {
						_ = w.sched.Sleep(ctx, time.Second)
					}
					if api.Asker, err = w.somebody(ctx, "ann"); err == nil {
						err = s.operate(ctx, w, api, "gone")
					}
					if err != nil {
						t.Errorf("%+v: %v", s, err)
					}
				})
			}
			got, out, err := lead(t, c)
			if s.late && strings.Count(out, "PROBLEM") == 1 && got.Verdict == "completed" {
				err = nil // he was to abort it
			}
			if err != nil || s.found == 0 {
				t.Errorf("%+v: %v\n%s", s, err, out)
			} else if testing.Verbose() {
				t.Logf("%+v: %s after %.0f s", s, got.Verdict, got.VirtualSeconds)
			}
		})
	}
}
