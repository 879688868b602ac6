package cli

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
)

func invoking(function string) string {
	return "POST /2015-03-31/functions/fleetstep-" + function + "/invocations"
}

const described = `{"campaign": {"campaignId": "fall", "state": "%s", "phase": "BAKE", "wave": "canary",
	"paused": true, "created": "2026-11-22T11:00:00Z", "by": "arn:ann",
	"devices": {"planned": 3, "succeeded": 1, "failed": {"A.B": 2}},
	"waves": [{"name": "canary", "planned": 3, "gate": {"verdict": "fail", "why": "2 of 3 failed"},
	"late": true,
	"devices": {"succeeded": 1, "failed": {"A.B": 2}}, "first": [{"thingName": "rg-1", "error": "A.B"}]}],
	"log": [{"at": "2026-11-22T11:00:00Z", "verb": "create", "who": "arn:ann"}], "leftOver": ["rg-9"]}}`

func stateOf(state string) string { return strings.Replace(described, "%s", state, 1) }

// TestEachVerbOfACampaignIsAsked: its function, its request, proved, and what is printed.
func TestEachVerbOfACampaignIsAsked(t *testing.T) {
	seven := 7
	for _, c := range []struct {
		args     string
		function string
		want     event.CampaignRequest
		answer   string
		out      string
	}{
		{"approve fall --wave early", "approve-campaign", event.CampaignRequest{Verb: "approve", Wave: "early"},
			`{"changed": true, "wave": "early"}`, "campaign fall: approve wave early\n"},
		{"deny fall --why no", "approve-campaign", event.CampaignRequest{Verb: "deny", Why: "no"}, `{"changed": true}`,
			"campaign fall: deny\n"},
		{"pause fall --why storm", "control-campaign", event.CampaignRequest{Verb: "pause", Why: "storm"},
			`{"changed": false}`, "campaign fall: pause: nothing to do\n"},
		{"resume fall --acknowledge 7", "control-campaign", event.CampaignRequest{Verb: "resume", Failures: &seven},
			`{"changed": true}`, "campaign fall: resume\n"},
		{"skip fall", "control-campaign", event.CampaignRequest{Verb: "skip"}, `{"changed": true}`,
			"campaign fall: skip\n"},
		{"exclude fall a b --why loan", "control-campaign", event.CampaignRequest{Verb: "exclude", Why: "loan",
			Things: []event.ThingName{"a", "b"}}, `{"changed": true, "devices": 1, "left": 1}`,
			"campaign fall: exclude of 1 devices; 1 were left as they are\n"},
		{"retry fall --error A.B --model M", "control-campaign", event.CampaignRequest{Verb: "retry", Error: "A.B",
			Model: "M"}, `{"changed": true, "devices": 2}`,
			"campaign fall: retry of 2 devices; 0 were left as they are\n"},
		{"abort fall --why bad", "abort-campaign", event.CampaignRequest{Verb: "abort", Why: "bad"},
			`{"changed": true}`, "campaign fall: abort\n"},
		{"abort fall --why bad", "abort-campaign", event.CampaignRequest{Verb: "abort", Why: "bad"},
			`{"changed": false, "state": "ABORTED"}`, "campaign fall: abort: nothing to do\n"},
		{"abort fall --why bad", "abort-campaign", event.CampaignRequest{Verb: "abort", Why: "bad"},
			`{"changed": false, "state": "HALTING"}`,
			"campaign fall: abort: nothing to do, it was halted: no device begins, and it ends as HALTED\n"},
	} {
		r := run(t, setup{answers: map[string][]answer{invoking(c.function): ok(c.answer)}},
			append([]string{"campaign"}, strings.Fields(c.args)...)...)
		if r.code != 0 || r.out != c.out {
			t.Errorf("%s: code %d, %q, %s", c.args, r.code, r.out, r.text)
			continue
		}
		var got event.CampaignRequest
		if err := json.Unmarshal([]byte(r.bodies[0]), &got); err != nil || got.Proof == "" {
			t.Errorf("%s: asked %s, %v", c.args, r.bodies[0], err)
		}
		c.want.Campaign = "fall"
		if got.Subject() != c.want.Subject() {
			t.Errorf("%s: asked %+v", c.args, got)
		}
		if err := got.Check(got.Verb); err != nil {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

// TestExcludeTellsOfThingsThatAreNotTheCampaigns and ends with 1, however much of the rest was done before; the same
// devices again are fine.
func TestExcludeTellsOfThingsThatAreNotTheCampaigns(t *testing.T) {
	for _, c := range []struct {
		args, answer, out, errs string
		code                    int
	}{
		{"fall a b c", `{"changed": true, "devices": 1, "unknown": ["b", "c"]}`,
			"campaign fall: exclude of 1 devices; 0 were left as they are\n", "not devices of campaign fall: b, c", 1},
		{"fall b", `{"changed": false, "unknown": ["b"]}`,
			"campaign fall: exclude of 0 devices; 0 were left as they are: nothing to do\n",
			"not devices of campaign fall: b", 1},
		{"fall a", `{"changed": false, "left": 1}`,
			"campaign fall: exclude of 0 devices; 1 were left as they are: nothing to do\n", "", 0},
		{"fall b --json", `{"changed": false, "unknown": ["b"]}`, `"unknown": [`, "not devices of campaign fall: b", 1},
	} {
		r := run(t, setup{answers: map[string][]answer{invoking("control-campaign"): ok(c.answer)}},
			append([]string{"campaign", "exclude", "--why", "loan"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.out, c.out) || r.text != c.errs {
			t.Errorf("%s: code %d, %q, %q", c.args, r.code, r.out, r.text)
		}
	}
}

func TestCampaignCommandsSayWhatIsMissing(t *testing.T) {
	for _, args := range []string{"pause fall", "abort fall", "exclude fall --why x", "approve", "create", "plan",
		"describe", "watch a b"} {
		if r := run(t, setup{}, append([]string{"campaign"}, strings.Fields(args)...)...); r.code != 2 {
			t.Errorf("%s: code %d, %s", args, r.code, r.text)
		}
	}
}

func TestACampaignIsCreatedFromAFile(t *testing.T) {
	const plan = `"plan": {"total": 60, "notEligible": {"no image is for it": 5},
		"examples": {"no image is for it": ["rg-4", "rg-1", "rg-9", "rg-8"]}, "notes": ["wave a has 52 devices"],
		"waves": [{"name": "a", "size": 52, "minutes": 1, "bakeMinutes": 60, "needs": 52, "approval": true,
		"gate": {"success": 0.95}}], "estimate": {"minutes": 61, "dollars": 0.02,
		"egressBytes": 31000000000, "limit": "x", "ends": "y"}}`
	answers := func(more string) map[string][]answer {
		return map[string][]answer{invoking("create-campaign"): ok(`{"campaignId": "fall", ` + more + `}`)}
	}
	r := run(t, setup{answers: answers(`"state": "RUNNING", ` + plan), in: `{"images": [], "from": "<2"}`}, "campaign",
		"create", "--file", "-")
	if r.code != 0 || !strings.Contains(r.out, "campaign fall begins\n") ||
		!strings.Contains(r.out, "wave a: 52 devices") {
		t.Errorf("code %d, %s%s", r.code, r.out, r.text)
	}
	var got event.CreateCampaignRequest
	if err := json.Unmarshal([]byte(r.bodies[0]), &got); err != nil || got.Plan || got.Proof == "" {
		t.Errorf("asked %s, %v", r.bodies[0], err)
	}
	r = run(t, setup{answers: answers(plan), in: `{}`}, "campaign", "plan", "--file", "-")
	if r.code != 0 || strings.Contains(r.out, "begins") ||
		!strings.Contains(r.out, "5 devices not eligible: no image is for it, such as rg-4, rg-1, rg-9\n") ||
		!strings.Contains(r.out, "about $0.02 without egress, which is 31 GB;") {
		t.Errorf("code %d, %s%s", r.code, r.out, r.text)
	}
	r = run(t, setup{answers: answers(`"existed": true, "state": "HELD"`), in: `{}`}, "campaign", "create", "-f", "-")
	if r.code != 0 || r.out != "campaign fall existed, HELD\n" {
		t.Errorf("code %d, %s%s", r.code, r.out, r.text)
	}
	if r = run(t, setup{in: `{`}, "campaign", "create", "-f", "-"); r.code != 2 {
		t.Errorf("no JSON: code %d, %s", r.code, r.text)
	}
}

func TestACampaignIsDescribedAndWatched(t *testing.T) {
	answers := func(states ...string) map[string][]answer {
		var list []string
		for _, s := range states {
			list = append(list, stateOf(s))
		}
		return map[string][]answer{invoking("describe-campaign"): ok(list...)}
	}
	r := run(t, setup{answers: answers("RUNNING")}, "campaign", "describe", "fall")
	for _, part := range []string{"campaign fall RUNNING, paused, wave canary bake: 3 planned",
		"gate: fail, 2 of 3 failed",
		"its time was over, by its maxHours or the campaign's end, before all but a few had ended",
		"2 × A.B", "rg-1 A.B", "create by arn:ann"} {
		if !strings.Contains(r.out, part) {
			t.Errorf("described without %q: %s%s", part, r.out, r.text)
		}
	}
	if r = run(t, setup{answers: answers("RUNNING", "RUNNING", "HELD", "COMPLETED")}, "campaign", "watch",
		"fall"); r.code != 0 || strings.Count(r.out, "\n") != 3 {
		t.Errorf("watched: code %d, %s", r.code, r.out)
	}
	// Who watches for days is not ended by what passes, and not told that it was halted.
	away := slices.Concat(ok(stateOf("RUNNING")), refused(403, "AccessDeniedException", "no"),
		refused(403, "AccessDeniedException", "no"), ok(stateOf("COMPLETED")))
	for name, c := range map[string]struct {
		answers []answer
		code    int
	}{"for a moment": {away, 0}, "for good": {away[:3], 1}, "from the beginning": {away[1:], 1}} {
		r = run(t, setup{answers: map[string][]answer{invoking("describe-campaign"): c.answers}}, "campaign", "watch",
			"fall")
		if refused := strings.Contains(r.text, "AccessDeniedException"); r.code != c.code || refused != (c.code == 1) {
			t.Errorf("away %s: code %d, %s%s", name, r.code, r.out, r.text)
		}
	}
	nobody := map[string][]answer{invoking("describe-campaign"): ok(`{"campaign": {"campaignId": "fall",
		"state": "COMPLETED", "devices": {"planned": 0}}}`)}
	if r = run(t, setup{answers: nobody}, "campaign", "watch", "fall"); r.code != 3 ||
		r.text != "campaign fall is COMPLETED, and no device was in it" {
		t.Errorf("of nobody: code %d, %s%s", r.code, r.out, r.text)
	}
	interrupted := setup{answers: answers("RUNNING"), sleep: func(context.Context) error { return context.Canceled }}
	if r = run(t, interrupted, "campaign", "watch", "fall"); r.code != 130 || r.text != "interrupted" {
		t.Errorf("interrupted: code %d, %s%s", r.code, r.out, r.text)
	}
	if r = run(t, setup{answers: answers("HALTED")}, "campaign", "watch", "fall", "--json"); r.code != 1 ||
		!strings.Contains(r.out, `"state": "HALTED"`) {
		t.Errorf("halted: code %d, %s", r.code, r.out)
	}
	if r = run(t, setup{answers: answers("HALTED")}, "campaign", "report", "fall"); r.code != 0 ||
		!strings.Contains(r.out, "left over: rg-9\n") {
		t.Errorf("report: code %d, %s", r.code, r.out)
	}
	many := map[string][]answer{invoking("describe-campaign"): ok(`{"campaign": {"campaignId": "fall", "state": "HALTED",
		"devices": {"planned": 3000, "held": 20, "withdrawn": 1, "excluded": 7},
		"leftOver": ["rg-9", "rg-8"]}}`)}
	if r = run(t, setup{answers: many}, "campaign", "report", "fall"); !strings.HasSuffix(r.out,
		"left over: rg-8\nthese are the first 2 of 3021 that are left over\n") {
		t.Errorf("report: code %d, %s", r.code, r.out)
	}
	if !strings.Contains(r.out, "20 held, 1 withdrawn, 7 excluded\n") {
		t.Errorf("report: %s", r.out)
	}
	if r = run(t, setup{answers: answers("RUNNING")}, "campaign", "report", "fall"); r.code != 1 {
		t.Errorf("a report before the end: code %d, %s", r.code, r.out)
	}
	list := func(text string, args ...string) result {
		return run(t, setup{answers: map[string][]answer{invoking("describe-campaign"): ok(text)}},
			append([]string{"campaign", "list"}, args...)...)
	}
	const held = `{"campaigns": [{"campaignId": "fall", "state": "HELD", "devices": 60, "wave": "early",
		"created": "2026-11-22T11:00:00Z", "by": "arn:ann"}]}`
	if r = list(held); r.code != 0 || r.out != "fall  HELD  60 devices  early  2026-11-22T11:00:00Z  arn:ann\n" {
		t.Errorf("list: code %d, %q%s", r.code, r.out, r.text)
	}
	// As JSON it has the members of the answer, and none is an empty list.
	if r = list(held, "--json"); !strings.Contains(r.out, `"campaignId": "fall"`) {
		t.Errorf("list as JSON: %s", r.out)
	}
	if r = list(`{}`, "--json"); r.code != 0 || r.out != "[]\n" {
		t.Errorf("no campaigns as JSON: %q%s", r.out, r.text)
	}
}

// TestALargeFleetIsFoundInSeveralCalls: each goes on where the last one ended, with a proof of its own.
func TestALargeFleetIsFoundInSeveralCalls(t *testing.T) {
	r := run(t, setup{in: `{}`, answers: map[string][]answer{invoking("create-campaign"): ok(
		`{"campaignId": "fall", "searching": {"found": 300000, "after": "c1"}}`,
		`{"campaignId": "fall", "searching": {"found": 450000, "after": "c2"}}`,
		`{"campaignId": "fall", "state": "RUNNING"}`)}}, "campaign", "create", "-f", "-")
	if r.code != 0 || r.out != "found 300000 devices, searching on\nfound 450000 devices, searching on\n"+
		"campaign fall begins\n" {
		t.Errorf("code %d, %q, %q", r.code, r.out, r.text)
	}
	var after []string
	for _, body := range r.bodies {
		var ask event.CreateCampaignRequest
		if err := json.Unmarshal([]byte(body), &ask); err != nil || ask.Proof == "" {
			t.Fatal(body, err)
		}
		after = append(after, ask.After)
	}
	if strings.Join(after, ",") != ",c1,c2" {
		t.Errorf("asked after %q", after)
	}
	r = run(t, setup{in: `{}`, answers: map[string][]answer{invoking("create-campaign"): ok(
		`{"searching": {"found": 1, "after": "c1"}}`, `{"searching": {"found": 1, "after": "c1"}}`)}}, "campaign",
		"plan", "-f", "-")
	if r.code != 1 {
		t.Errorf("a search that does not go on: code %d, %s", r.code, r.text)
	}
}
