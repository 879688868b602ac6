package rehearsal

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// TestACampaignWhoseExecutionIsStopped in its first wave is paused. It goes on when an operator resumes it, and ends
// when he aborts it.
func TestACampaignWhoseExecutionIsStopped(t *testing.T) {
	for verb, verdict := range map[event.CampaignVerb]string{
		event.VerbResumeCampaign: "completed", event.VerbAbort: "aborted",
	} {
		t.Run(string(verb), func(t *testing.T) {
			config := Config{Devices: 24, Seed: 4, Campaign: trial.Campaign{Expect: verdict,
				File: payload(t, `{"campaignId": "gone", "images": [{"firmware": {"version": "2.0.0"}}], "rate": 4,
				"targets": {"groups": ["demo"]}, "gate": {"success": 0.5},
				"waves": [{"name": "canary", "count": 16, "bakeMinutes": 1}, {"name": "rest", "bakeMinutes": 0}]}`)}}
			seen := false
			config.opened = func(w *world) {
				w.whileRunning(t, "gone", 70*time.Second, func(api cli.Campaigns) {
					ctx := context.Background()
					report := func() cli.CampaignView {
						v, _, err := api.Describe(ctx, "gone", true)
						if err != nil {
							t.Error(err)
						}
						return v
					}
					arn := "arn:aws:states:us-east-1:123456789012:execution:" + stack + "-firmware-campaign:gone"
					w.must(t, "sfn", "StopExecution", map[string]any{"executionArn": arn,
						"cause": "the wrong button"})
					_ = w.sched.Sleep(ctx, 3*time.Minute)
					before := report()
					_ = w.sched.Sleep(ctx, 20*time.Minute)
					after := report()
					if before.Devices.Planned != after.Devices.Planned || after.Devices.Planned == 0 ||
						!after.Paused || after.ExecutionEnded == nil ||
						!strings.Contains(after.ExecutionEnded.Text, "was stopped at ") ||
						!strings.Contains(after.ExecutionEnded.Text, "(the wrong button)") {
						t.Errorf("%s, twenty minutes later %s; %+v", before.Devices, after.Devices,
							after.ExecutionEnded)
					}
					r := event.CampaignRequest{Verb: verb, Campaign: "gone", Why: "a test"}
					if _, err := api.Do(ctx, r); err != nil {
						t.Error(err)
					}
					seen = true
					if verb == event.VerbAbort {
						return
					}
					_ = w.sched.Sleep(ctx, 3*time.Minute)
					if v := report(); v.ExecutionEnded != nil || v.Paused {
						t.Errorf("three minutes after %s: %s, %+v", verb, v.State, v.ExecutionEnded)
					}
				})
			}
			s, out, err := lead(t, config)
			if err != nil || !seen || verb == event.VerbResumeCampaign != (s.Succeeded == 24) {
				t.Fatalf("seen %v, %v\n%s", seen, err, out)
			}
		})
	}
}

// TestACampaignWhoseExecutionFailed: its function may not read for a while, in the middle of a wave and as it is to be
// halted for that. The alarm tells of it as long as the operator has decided nothing.
func TestACampaignWhoseExecutionFailed(t *testing.T) {
	c := Config{Devices: 24, Seed: 4, Campaign: trial.Campaign{Expect: "halted",
		File: payload(t, `{"campaignId": "gone", "images": [{"firmware": {"version": "2.0.0"}}], "rate": 12,
		"targets": {"groups": ["demo"]}, "gate": {"success": 0.5},
		"waves": [{"name": "canary", "count": 16, "bakeMinutes": 1}, {"name": "rest", "bakeMinutes": 0}]}`)}}
	broken, states := false, []string{}
	c.Fault = func(_ context.Context, r *localcloud.Request, _ any) error {
		if broken && strings.Contains(r.Identity.RoleARN, "RunCampaignRole") {
			return errInvalidEndpoint
		}
		return nil
	}
	c.opened = func(w *world) {
		w.whileRunning(t, "gone", 0, func(api cli.Campaigns) {
			ctx := context.Background()
			look := func() cli.CampaignView {
				v, _, err := api.Describe(ctx, "gone", true)
				if err != nil {
					t.Error(err)
				}
				return v
			}
			broken = true
			for look().ExecutionEnded == nil {
				_ = w.sched.Sleep(ctx, time.Minute)
			}
			broken = false
			for range 2 {
				_ = w.sched.Sleep(ctx, 15*time.Minute)
				states = append(states, w.state(t, "campaign-stopped"))
			}
			v := look()
			if text := v.ExecutionEnded.Text; !strings.HasPrefix(text, "its execution failed at ") || !v.Paused {
				t.Errorf("%q, paused %v", text, v.Paused)
			}
			r := event.CampaignRequest{Verb: event.VerbResumeCampaign, Campaign: "gone", Why: "a test"}
			if _, err := api.Do(ctx, r); err != nil {
				t.Error(err)
			}
		})
	}
	s, out, err := lead(t, c)
	if err != nil || !strings.HasPrefix(s.HaltReason, "Permanent in Gate: ") {
		t.Errorf("%v\n%s", err, out)
	}
	if want := []string{"ALARM", "ALARM"}; !slices.Equal(states, want) {
		t.Errorf("the alarm was %q, want %q", states, want)
	}
}
