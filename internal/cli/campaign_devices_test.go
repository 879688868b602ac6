package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/event"
)

func devicesPageOf(next string, devices ...string) string {
	return `{"devices": {"campaignId": "fall", "devices": [` + strings.Join(devices, ",") + `], "next": "` + next +
		`"}}`
}

const (
	rg1 = `{"thingName": "rg-1", "state": "FAILED", "error": "A.B", "wave": "canary", "model": "M", "attempt": 2,
		"at": "2026-11-22T11:00:00Z"}`
	rg2 = `{"thingName": "rg-2", "state": "ADMITTED", "wave": "canary", "attempt": 1, "at": "2026-11-22T11:00:00Z",
		"waits": {"for": "OWNER", "behind": "job fw-2", "why": "waits behind job fw-2 of another owner, since noon"}}`
	rg3 = `{"thingName": "rg-3", "state": "ADMITTED", "wave": "rest", "attempt": 1, "at": "2026-11-22T11:00:00Z",
		"waits": {"for": "DEVICE", "why": "it is not connected, since noon"}}`
)

// asked are the requests for lists among those that were sent.
func asked(t *testing.T, bodies []string) (all []event.ListRequest) {
	t.Helper()
	for _, body := range bodies {
		var r event.DescribeCampaignRequest
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(body, err)
		}
		if r.Devices != nil {
			all = append(all, *r.Devices)
		}
	}
	return all
}

func TestDevicesOfACampaignAreListed(t *testing.T) {
	answers := map[string][]answer{
		invoking("describe-campaign"): ok(devicesPageOf("c1", rg1), devicesPageOf("", rg2))}
	r := run(t, setup{answers: answers}, "campaign", "devices", "fall", "--error", "A.B", "--wave", "canary",
		"--model", "M", "--limit", "0")
	if r.code != 0 || !strings.Contains(r.out, "rg-1   FAILED  A.B    canary  M      2        2026-11-22T11:00:00Z") ||
		!strings.Contains(r.out, "rg-2  ADMITTED  -  canary  -") || !strings.Contains(r.out, "waits behind job fw-2") {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.text)
	}
	want := event.ListRequest{Error: "A.B", Wave: "canary", Model: "M", Most: 1000}
	second := want
	second.After = "c1"
	if got := asked(t, r.bodies); len(got) != 2 || got[0] != want || got[1] != second {
		t.Errorf("asked %+v", got)
	}
	// A part of them, and where it goes on; states in any case of letters.
	answers = map[string][]answer{invoking("describe-campaign"): ok(devicesPageOf("c1", rg1))}
	r = run(t, setup{answers: answers}, "campaign", "devices", "fall", "--state", "failed", "--limit", "1")
	if r.code != 0 || !strings.HasSuffix(r.out, "there may be more: --after c1, or --limit 0 for all\n") {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.text)
	}
	if got := asked(t, r.bodies); len(got) != 1 || got[0] != (event.ListRequest{State: "FAILED", Most: 1}) {
		t.Errorf("asked %+v", got)
	}
	r = run(t, setup{answers: answers}, "campaign", "devices", "fall", "--limit", "1", "--json", "--why", "--after",
		"c0")
	var all struct {
		CampaignID, Next string
		Devices          []struct{ ThingName string }
	}
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || all.Next != "c1" || len(all.Devices) != 1 {
		t.Errorf("%s: %v", r.out, err)
	}
	if got := asked(t, r.bodies); got[0] != (event.ListRequest{Most: 1, Why: true, After: "c0"}) {
		t.Errorf("asked %+v", got)
	}
	if r = run(t, setup{}, "campaign", "devices", "fall", "--limit", "-1"); r.code != 2 {
		t.Errorf("code %d, %s", r.code, r.text)
	}
}

// TestWhyDevicesWaitIsSaid with a campaign: the same reasons together.
func TestWhyDevicesWaitIsSaid(t *testing.T) {
	answers := func() map[string][]answer {
		return map[string][]answer{invoking("describe-campaign"): ok(stateOf("RUNNING"),
			devicesPageOf("c1", rg2, rg3, strings.Replace(rg2, "rg-2", "rg-4", 1)), devicesPageOf(""))}
	}
	r := run(t, setup{answers: answers()}, "campaign", "describe", "fall", "--why")
	if r.code != 0 || !strings.HasSuffix(r.out, `waiting: 2 wait behind job fw-2 of another owner (rg-2, rg-4)
waiting: 1 not connected (rg-3)
these are the first that wait; see fleetstep campaign devices --why
`) {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.text)
	}
	if got := asked(t, r.bodies); len(got) != 2 || got[0].State != event.StandAdmitted ||
		got[1].State != event.StandWaiting || !got[0].Why {
		t.Errorf("asked %+v", got)
	}
	r = run(t, setup{answers: answers()}, "campaign", "describe", "fall", "--why", "--json")
	var all struct {
		CampaignID string
		Waiting    []struct {
			ThingName string
			Waits     event.Waits
		}
	}
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || all.CampaignID != "fall" || len(all.Waiting) != 3 ||
		all.Waiting[0].Waits.Behind != "job fw-2" {
		t.Errorf("%s: %v", r.out, err)
	}
}

// TestWhyStagedDevicesWaitIsSaid, and when somebody may begin.
func TestWhyStagedDevicesWaitIsSaid(t *testing.T) {
	const staged = `{"campaign": {"campaignId": "fall", "state": "RUNNING", "phase": "ADMIT", "wave": "canary",
		"opens": "2026-11-23T01:00:00Z", "stage": {"planned": 3, "admitted": 3}, "devices": {"staged": 3}, "waves": []}}`
	rg := func(thing string) string {
		return `{"thingName": "` + thing + `", "state": "STAGED", "wave": "canary", "attempt": 1,
			"at": "2026-11-22T11:00:00Z", "waits": {"for": "TIME", "why": "it is staged, and its time comes"}}`
	}
	r := run(t, setup{answers: map[string][]answer{invoking("describe-campaign"): ok(staged, devicesPageOf(""),
		devicesPageOf(""), devicesPageOf("", rg("rg-1"), rg("rg-2")))}}, "campaign", "describe", "fall", "--why")
	if r.code != 0 || !strings.HasSuffix(r.out, "waiting: 2 wait for their time (rg-1, rg-2)\n") ||
		!strings.Contains(r.out, "\nno device begins before 2026-11-23T01:00:00Z, by start, windows or blackout\n") {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.text)
	}
	if got := asked(t, r.bodies); len(got) != 3 || got[2].State != event.StandStaged {
		t.Errorf("asked %+v", got)
	}
}

// TestARetryOfManyGoesOn until there are no more, and adds up.
func TestARetryOfManyGoesOn(t *testing.T) {
	answers := func() map[string][]answer {
		return map[string][]answer{invoking("control-campaign"): ok(
			`{"campaignId": "fall", "verb": "retry", "changed": true, "devices": 900, "left": 100, "next": "c1"}`,
			`{"campaignId": "fall", "verb": "retry", "changed": false, "left": 7}`)}
	}
	r := run(t, setup{answers: answers()}, "campaign", "retry", "fall")
	if r.code != 0 || r.out != "campaign fall: retry of 900 devices; 107 were left as they are\n" {
		t.Errorf("code %d, %s%s", r.code, r.out, r.text)
	}
	r = run(t, setup{answers: answers()}, "campaign", "retry", "fall", "--json")
	var all struct {
		Changed       bool
		Devices, Left int
	}
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || !all.Changed || all.Devices != 900 ||
		all.Left != 107 {
		t.Errorf("%s: %v", r.out, err)
	}
	r = run(t, setup{answers: map[string][]answer{invoking("control-campaign"): ok(`{"unlisted": 2}`)}}, "campaign",
		"retry", "fall")
	if !strings.Contains(r.out, "2 more have failed that the list does not show yet") {
		t.Error(r.out)
	}
}
