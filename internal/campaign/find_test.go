package campaign_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// TestALargeFleetIsFoundInPieces: whatever the pieces are, the plan and the campaign are those of one call, and
// nothing is made before all are found.
func TestALargeFleetIsFoundInPieces(t *testing.T) {
	payload := []byte(strings.Replace(listed, `"rate"`, `"rate": 1000, "priority"`, 1))
	payload = []byte(strings.Replace(string(payload), `"priority": 1000`, `"priority": 10`, 1))
	plans := map[int]string{}
	for _, pages := range []int{1, 2, 7, 100} {
		w := newWorld(t, 105)
		w.devices = append(w.devices, w.devices[3]) // a page later it is there again
		ask := event.CreateCampaignRequest{Campaign: payload, Pages: pages}
		calls, found := 0, 0
		for {
			out, err := w.creator().Create(t.Context(), ask, "me")
			if err != nil {
				t.Fatal(err)
			}
			calls++
			if out.Searching == nil {
				b, err := json.Marshal(out.Plan)
				if err != nil || out.Campaign != "fall" || out.Plan.Total != 105 {
					t.Fatalf("%+v, %v", out, err)
				}
				plans[pages] = string(b)
				break
			}
			if _, err := w.Load(t.Context(), "fall"); !errors.Is(err, campaign.ErrNotFound) || out.Plan != nil ||
				out.Searching.Found <= found && calls < 11 || len(w.started) > 0 {
				t.Fatalf("call %d: %+v, %v", calls, out, err)
			}
			found, ask.After = out.Searching.Found, out.Searching.After
		}
		// One call for each so many of the eleven pages, and one for the plan; or one for all of it.
		want := map[int]int{1: 12, 2: 7, 7: 3, 100: 1}[pages]
		if calls != want || len(w.started) != 1 || plans[pages] != plans[1] {
			t.Errorf("%d pages a call: %d calls, want %d; %d executions", pages, calls, want, len(w.started))
		}
		// The last call again gives the campaign that is there.
		out, err := w.creator().Create(t.Context(), ask, "me")
		if err != nil || !out.Existed || len(w.started) != 1 {
			t.Errorf("again: %+v, %v", out, err)
		}
	}
}

func TestAPieceOfASearchIsRefused(t *testing.T) {
	w := newWorld(t, 105)
	ask := event.CreateCampaignRequest{Campaign: []byte(listed), Pages: 20, Plan: true}
	out, err := w.creator().Create(t.Context(), event.CreateCampaignRequest{Campaign: []byte(listed), Pages: 10}, "me")
	if err != nil || out.Searching == nil {
		t.Fatal(out, err)
	}
	next, err := w.creator().Create(t.Context(), event.CreateCampaignRequest{Campaign: []byte(listed), Pages: 10,
		After: out.Searching.After}, "me")
	if err != nil || next.Searching == nil {
		t.Fatal(next, err)
	}
	for name, c := range map[string]struct {
		change func(*event.CreateCampaignRequest)
		path   string
	}{
		"nonsense":       {func(r *event.CreateCampaignRequest) { r.After = "x" }, "$.after"},
		"no JSON":        {func(r *event.CreateCampaignRequest) { r.After = "eHh4" }, "$.after"},
		"nothing kept":   {func(r *event.CreateCampaignRequest) { r.After = "e30" }, "$.after"},
		"too many pages": {func(r *event.CreateCampaignRequest) { r.Pages = 5001 }, "$.pages"},
		"a negative":     {func(r *event.CreateCampaignRequest) { r.Pages = -1 }, "$.pages"},
		"another campaign": {func(r *event.CreateCampaignRequest) {
			r.Campaign, r.After = []byte(strings.Replace(listed, `"fall"`, `"spring"`, 1)), next.Searching.After
		}, "$.after"},
	} {
		r := ask
		c.change(&r)
		var problems event.Problems
		_, err := w.creator().Create(t.Context(), r, "me")
		if !errors.As(err, &problems) || problems[0].Path != c.path {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Mistakes are told before a fleet is searched to its end.
	r := event.CreateCampaignRequest{Pages: 1, Campaign: []byte(strings.Replace(listed, `"2.0.0"`, `"missing"`, 1))}
	var problems event.Problems
	if _, err := w.creator().Create(t.Context(), r, "me"); !errors.As(err, &problems) {
		t.Errorf("a mistake: %v", err)
	}
}
