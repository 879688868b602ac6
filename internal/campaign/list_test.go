package campaign_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

const listed = `{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
	"gate": {"success": 0.8}, "rate": 1000, "waves": [{"name": "canary", "count": 20, "bakeMinutes": 30},
	{"name": "rest", "bakeMinutes": 0}]}`

// TestDevicesAreListed by state, error, wave and model, page by page, each once.
func TestDevicesAreListed(t *testing.T) {
	w := newWorld(t, 60)
	c := w.create(listed)
	for i, d := range w.devices {
		w.stands[d.Thing] = event.Standing{Campaign: "fall", Attempt: 1, State: event.StandFailed, Wave: i % 2,
			Error: []event.ErrorName{"Download.Failed", "Activate.Failed", "Activate.FailedBadly"}[i%3],
			Model: d.Model, Shard: i % c.Shards, At: noon}
	}
	w.stands["rg-000060"] = w.stands["rg-000060"].In(event.StandSucceeded, "", noon)
	for _, r := range []struct {
		ask  event.ListRequest
		want int
	}{
		{event.ListRequest{}, 60},
		{event.ListRequest{State: event.StandSucceeded}, 1},
		{event.ListRequest{State: event.StandHeld}, 0},
		{event.ListRequest{Error: "Activate.Failed"}, 20},
		{event.ListRequest{Error: "Activate.Failed", Wave: "rest"}, 10},
		{event.ListRequest{Wave: "canary"}, 30},
		{event.ListRequest{Model: "M1"}, 20},
		{event.ListRequest{Model: "M1", Error: "Download.Failed"}, 0},
	} {
		for _, most := range []int{1, 7, 0} {
			ask, seen, pages := r.ask, map[event.ThingName]bool{}, 0
			ask.Most = most
			if err := ask.Check(); err != nil {
				t.Fatal(err)
			}
			for {
				page, err := w.lister().List(t.Context(), "fall", ask)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range page.Devices {
					if seen[d.Thing] || r.ask.Error != "" && d.Error != r.ask.Error ||
						r.ask.Wave != "" && d.Wave != r.ask.Wave || r.ask.Model != "" && d.Model != r.ask.Model {
						t.Errorf("%+v: %+v", r.ask, d)
					}
					seen[d.Thing] = true
				}
				if pages++; len(page.Devices) > ask.Most || pages > 100 {
					t.Fatalf("%+v: page %d of %d devices", r.ask, pages, len(page.Devices))
				}
				if ask.After = page.Next; page.Next == "" {
					break
				}
			}
			if len(seen) != r.want {
				t.Errorf("%+v in pages of %d: %d devices, want %d", r.ask, ask.Most, len(seen), r.want)
			}
		}
	}
	for _, r := range []struct {
		ask  event.ListRequest
		told string
	}{
		{event.ListRequest{Wave: "x"}, `$.devices.wave: "x": a wave of the campaign: ["canary" "rest"]`},
		{event.ListRequest{After: "x"}, `$.devices.after: "x"`},
		{event.ListRequest{Error: "Download.Faild"},
			`$.devices.error: "Download.Faild": one of Download.Failed Device.Busy Activate.Failed`},
		{event.ListRequest{Error: event.CampaignHeld},
			`$.devices.error: "Campaign.Held": one of Download.Failed Device.Busy Activate.Failed; a device that a ` +
				`campaign holds has not failed, and is HELD`},
		{event.ListRequest{Model: "M9"}, `$.devices.model: "M9": a model of the campaign: ["M0" "M1" "M2"]`},
	} {
		r.ask.Most = 1
		_, err := w.lister().List(t.Context(), "fall", r.ask)
		if err == nil || !strings.Contains(err.Error(), r.told) {
			t.Errorf("%+v: %v, want %s", r.ask, err, r.told)
		}
	}
	_, err := w.lister().List(t.Context(), "no", event.ListRequest{Most: 1})
	if !errors.Is(err, campaign.ErrNotFound) {
		t.Errorf("a campaign that there is not: %v", err)
	}
	if err := w.PutDocument(t.Context(), "fall", campaign.PlanDocument, []byte(`{}`)); err != nil { // of nobody
		t.Fatal(err)
	}
	if page, err := w.lister().List(t.Context(), "fall", event.ListRequest{Model: "M9", Most: 1}); err != nil ||
		len(page.Devices) != 0 {
		t.Errorf("without models: %+v, %v", page, err)
	}
}

// TestManyAreRetriedPageByPage: more than one request lets begin again.
func TestManyAreRetriedPageByPage(t *testing.T) {
	w := newWorld(t, 2500)
	c := w.create(listed)
	if _, err := w.machine().Take(t.Context(), campaign.StepInput{Step: campaign.StepWave, Campaign: c.ID, Wave: 0,
		Token: "t"}); err != nil {
		t.Fatal(err)
	}
	for i, d := range w.devices {
		w.stands[d.Thing] = event.Standing{Campaign: "fall", Attempt: int64(i%4 + 1), State: event.StandFailed,
			Error: "Download.Failed", Shard: i % c.Shards}
	}
	ask := event.CampaignRequest{Verb: event.VerbRetry, Campaign: "fall"}
	requests, devices, left := 0, 0, 0
	for {
		out := w.do(ask, "me")
		requests, devices, left = requests+1, devices+out.Devices, left+out.Left
		if ask.After = out.Next; out.Next == "" {
			break
		}
	}
	if requests != 3 || devices != 1250 || left != 1250 {
		t.Errorf("%d requests let %d devices begin again and left %d", requests, devices, left)
	}
}

// TestAReportNamesWhoIsLeftOver: those whom nobody asked, and those that were held; none that has ended or failed,
// and none that an operator has excluded. While the index does not show all of them the report is not written.
func TestAReportNamesWhoIsLeftOver(t *testing.T) {
	for _, stage := range []bool{false, true} {
		t.Run(fmt.Sprint("staged ", stage), func(t *testing.T) {
			w := newWorld(t, 60)
			payload := listed
			if stage {
				payload = strings.Replace(payload, `"rate"`, `"stage": {}, "rate"`, 1)
			}
			c := w.create(payload)
			for _, d := range w.devices {
				w.fails[d.Thing] = "Verify.WrongVersion"
			}
			w.away["rg-000007"] = true
			w.unlisted = "rg-000007"
			w.do(event.CampaignRequest{Verb: event.VerbExclude, Campaign: "fall", Why: "x",
				Things: []event.ThingName{"rg-000007", "rg-000008"}}, "me")
			withdrawn := w.stands["rg-000007"] // as an earlier version has written it
			withdrawn.State = event.StandWithdrawn
			w.stands["rg-000007"] = withdrawn
			if stage {
				clear(w.fails)
			}
			behind := false
			w.behind = func() { behind, w.unlisted = true, "" }
			end := w.play(c.ID, 12*time.Hour, func(c campaign.Campaign) {
				if c.Phase == campaign.Admit && c.Current == 0 && stage && w.fails["rg-000001"] == "" {
					for _, d := range w.devices {
						w.fails[d.Thing] = "Verify.WrongVersion"
					}
				}
			})
			if campaign.State(end.Next) != campaign.Halted || !behind {
				t.Fatalf("ended %+v, behind %t", end, behind)
			}
			r, err := campaign.NewReport(t.Context(), w, w, w.load("fall"))
			if err != nil || len(r.LeftOver) != r.Devices.Planned+r.Devices.Held+r.Devices.Withdrawn ||
				!slices.Contains(r.LeftOver, "rg-000007") || r.Devices.Excluded != 1 {
				t.Fatalf("%v: %d of %+v", err, len(r.LeftOver), r.Devices)
			}
			for _, thing := range r.LeftOver {
				if s, ok := w.stands[thing]; ok && s.State != event.StandHeld && s.State != event.StandWithdrawn {
					t.Errorf("%s is left over, and %s", thing, s.State)
				}
			}
		})
	}
}
