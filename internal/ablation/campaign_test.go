package ablation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/rehearsal"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// leading is the rehearsal whose story needs every permission of campaigns: its gate asks, its operator approves. The
// second device does not boot the image, whoever it is tried by.
func leading(t *testing.T) rehearsal.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "campaign.json")
	if err := os.WriteFile(path, []byte(`{"campaignId": "main", "images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"], "things": ["ghost-1"]}, "attempts": 2,
		"gate": {"success": 0.8, "alarms": ["fleetstep-stuck-upgrades"]},
		"timeouts": {"answerSeconds": 10, "downloadSeconds": 60, "rebootSeconds": 30},
		"waves": [{"name": "canary", "count": 12, "bakeMinutes": 5, "maxHours": 1},
		{"name": "rest", "bakeMinutes": 0, "maxHours": 1, "approval": true}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return rehearsal.Config{Devices: 15, Seed: 7, Faults: "boot-fails=3", Campaign: trial.Campaign{File: path},
		Timeout: 12 * time.Hour}
}

// ofCampaigns reports whether a permission is for campaigns alone.
func ofCampaigns(c cut) bool {
	if strings.Contains(c.statement.resource, "Campaign") {
		return true
	}
	if c.statement.resource != "TickRole" {
		return false
	}
	of := []string{"ReadManifest", "AnswerCampaign", "WatchAlarms", "ListDevices", "ReviveCampaign", "StartCampaign"}
	return slices.Contains(of, c.sid) ||
		slices.Contains([]string{"dynamodb:GetItem", "dynamodb:PutItem"}, c.action)
}

func TestWithEveryStatementCampaignsAreLed(t *testing.T) {
	t.Parallel()
	o := play(t, template(t), leading(t), false, campaigning)
	if len(o.denied) > 0 || len(o.said) > 0 || o.err != nil {
		t.Errorf("%v\n%s\n%s", o.err, o.all(), o.printed)
	}
}

// view is what describe-campaign says of one.
type view struct {
	State, Phase string
	Devices      struct {
		Planned, Admitted, Running, Succeeded, Withdrawn int
		Failed                                           map[string]int
	}
}

func (s stage) campaign(ctx context.Context, id string) (view, error) {
	var out struct{ Campaign view }
	err := s.invoke(ctx, "describe-campaign", "RequestResponse", map[string]any{"campaignId": id, "log": true}, &out)
	if err != nil && (strings.Contains(err.Error(), "CampaignNotFound") ||
		strings.Contains(err.Error(), "Function not found")) { // it is being deployed
		return view{}, nil
	}
	return out.Campaign, err
}

// comes asks every ten seconds, for at most two hours of the story's time.
func (s stage) comes(ctx context.Context, id, what string, is func(view) bool) error {
	for range 720 {
		v, err := s.campaign(ctx, id)
		if err != nil || is(v) {
			return err
		}
		if err := s.sched.Sleep(ctx, 10*time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("campaign %s: %s never came", id, what)
}

func (s stage) do(ctx context.Context, function, id, verb string, with map[string]any) error {
	in := map[string]any{"verb": verb, "campaignId": id, "why": "the story"}
	for k, v := range with {
		in[k] = v
	}
	return s.invoke(ctx, function, "RequestResponse", in, nil)
}

func (s stage) lead(ctx context.Context, payload string) error {
	in := map[string]any{"campaign": json.RawMessage(payload)}
	return s.invoke(ctx, "create-campaign", "RequestResponse", in, nil)
}

// orphaned are campaigns that are aborted and have no execution: somebody has stopped it, or it was never started.
func (s stage) orphaned(ctx context.Context, payload string) error {
	aborted := func(v view) bool { return v.State == "ABORTED" }
	if err := s.lead(ctx, `{"campaignId": "fifth", `+payload); err != nil {
		return err
	}
	if err := s.comes(ctx, "fifth", "its wave", func(v view) bool { return v.Phase == "ADMIT" }); err != nil {
		return err
	}
	machine := "arn:aws:states:" + region + ":" + account + ":stateMachine:fleetstep-firmware-campaign"
	execution := strings.Replace(machine, "stateMachine", "execution", 1) + ":fifth"
	if err := s.call(ctx, "sfn", "StopExecution", map[string]any{"executionArn": execution}, nil); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 2*time.Minute); err != nil {
		return err
	}
	if err := s.do(ctx, "abort-campaign", "fifth", "abort", nil); err != nil {
		return err
	}
	if err := s.comes(ctx, "fifth", "its end", aborted); err != nil {
		return err
	}
	// While there is no alias, nothing can be started.
	var alias map[string]any
	name := map[string]any{"stateMachineAliasArn": machine + ":live"}
	if err := s.call(ctx, "sfn", "DescribeStateMachineAlias", name, &alias); err != nil {
		return err
	}
	if err := s.call(ctx, "sfn", "DeleteStateMachineAlias", name, nil); err != nil {
		return err
	}
	if err := s.lead(ctx, `{"campaignId": "sixth", `+payload); err == nil {
		return errors.New("a campaign was begun without a state machine")
	}
	if err := s.call(ctx, "sfn", "CreateStateMachineAlias", map[string]any{"name": "live",
		"routingConfiguration": alias["routingConfiguration"]}, nil); err != nil {
		return err
	}
	if err := s.do(ctx, "abort-campaign", "sixth", "abort", nil); err != nil {
		return err
	}
	return s.comes(ctx, "sixth", "its end", aborted)
}

// campaigning is what operators do beside a campaign that the rehearsal leads.
func campaigning(ctx context.Context, s stage) error {
	for k := range 6 {
		if err := s.call(ctx, "iot", "CreateThing", map[string]any{"thingName": fmt.Sprintf("ghost-%d", k+1)},
			nil); err != nil {
			return err
		}
	}
	if err := s.comes(ctx, "main", "its first wave", func(v view) bool { return v.Phase == "ADMIT" }); err != nil {
		return err
	}
	if err := s.call(ctx, "iot", "UpdateIndexingConfiguration", map[string]any{
		"thingIndexingConfiguration": map[string]any{"thingIndexingMode": "REGISTRY"},
	}, nil); err != nil {
		return err
	}
	if err := s.invoke(ctx, "describe-campaign", "RequestResponse", map[string]any{}, nil); err != nil {
		return err
	}
	// A plan of two groups of devices, found in two calls.
	found := map[string]any{"plan": true, "pages": 1, "campaign": json.RawMessage(`{"campaignId": "pieces",
		"images": [{"firmware": {"version": "2.0.0"}}],
		"targets": {"groups": ["demo"], "query": "thingName:ghost-*"}}`)}
	for searches := true; searches; {
		var out struct{ Searching *struct{ After string } }
		if err := s.invoke(ctx, "create-campaign", "RequestResponse", found, &out); err != nil {
			return err
		}
		if searches = out.Searching != nil; searches {
			found["after"] = out.Searching.After
		}
	}
	// Nobody is behind the second's devices. One is taken out before it is admitted, one after.
	const away = `"images": [{"firmware": {"version": "2.0.0"}}], "targets": {"query": "thingName:ghost-*"}, "rate": 3,
		"gate": {"success": 0.5}`
	const oneWave = `, "waves": [{"name": "all", "maxHours": 5}]}`
	admitted := func(v view) bool { return v.Devices.Admitted > 0 }
	if err := s.lead(ctx, `{"campaignId": "second", `+away+oneWave); err != nil {
		return err
	}
	if err := s.comes(ctx, "second", "some are admitted", admitted); err != nil {
		return err
	}
	ghosts := []string{"ghost-1", "ghost-2", "ghost-3", "ghost-4", "ghost-5", "ghost-6"}
	for _, verb := range []struct {
		verb string
		with map[string]any
	}{{"pause", nil}, {"exclude", map[string]any{"things": ghosts}}, {"resume", nil}} {
		if err := s.do(ctx, "control-campaign", "second", verb.verb, verb.with); err != nil {
			return err
		}
	}
	// A wave that was approved is aborted before it has begun.
	if err := s.lead(ctx, `{"campaignId": "third", `+away+
		`, "waves": [{"name": "all", "maxHours": 5, "approval": true}]}`); err != nil {
		return err
	}
	if err := s.comes(ctx, "third", "an approval", func(v view) bool { return v.Phase == "APPROVAL" }); err != nil {
		return err
	}
	resume, err := s.pause(ctx, "run-campaign")
	if err != nil {
		return err
	}
	if err := s.do(ctx, "approve-campaign", "third", "approve", nil); err != nil {
		return err
	}
	if err := s.sched.Sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	if err := s.do(ctx, "abort-campaign", "third", "abort", nil); err != nil {
		return err
	}
	if err := resume(); err != nil {
		return err
	}
	if err := s.comes(ctx, "third", "its end", func(v view) bool { return v.State == "ABORTED" }); err != nil {
		return err
	}
	// One is aborted on its way.
	if err := s.lead(ctx, `{"campaignId": "fourth", `+away+oneWave); err != nil {
		return err
	}
	if err := s.comes(ctx, "fourth", "some are admitted", admitted); err != nil {
		return err
	}
	if err := s.do(ctx, "abort-campaign", "fourth", "abort", nil); err != nil {
		return err
	}
	if err := s.comes(ctx, "fourth", "its end", func(v view) bool { return v.State == "ABORTED" }); err != nil {
		return err
	}
	if _, err := s.campaign(ctx, "fourth"); err != nil { // and who is left over
		return err
	}
	if err := s.invoke(ctx, "describe-campaign", "RequestResponse",
		map[string]any{"campaignId": "fourth", "devices": map[string]any{"why": true}}, nil); err != nil {
		return err
	}
	if err := s.orphaned(ctx, away+oneWave); err != nil {
		return err
	}
	// What failed in the canary begins again while its gate asks.
	if err := s.comes(ctx, "main", "its gate asks", func(v view) bool { return v.Phase == "HOLD" }); err != nil {
		return err
	}
	return s.do(ctx, "control-campaign", "main", "retry", map[string]any{"error": "Activate.Failed"})
}
