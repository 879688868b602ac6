package rehearsal

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
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
