package functions

import (
	"context"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/campaign/campaigntest"
	"github.com/fleetstep/fleetstep/internal/event"
)

type counts interface{ campaign.Counts }

// idle has no device anywhere.
type idle struct{ counts }

func (idle) Counts(context.Context, event.CampaignID, int) (event.Counts, error) {
	return event.Counts{}, nil
}

// free pauses nothing.
type free struct{ campaign.Flags }

func (free) Flag(context.Context, event.CampaignID) (event.ControlState, bool, error) {
	return event.ControlRunning, false, nil
}

// TestADescriptionSaysWhenDevicesMayBegin: before that nothing else says why nothing happens.
func TestADescriptionSaysWhenDevicesMayBegin(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	start := now.Add(time.Hour)
	records := &campaigntest.Memory{}
	c := campaign.Campaign{ID: "fall", State: campaign.Running, Phase: campaign.Admit, Total: 1,
		Request: campaign.Request{Start: &start}, Waves: []campaign.WaveRun{{Cursors: []int{0},
			PlannedWave: campaign.PlannedWave{Size: 1, Classes: []campaign.Class{{Count: 1}}}}}}
	if err := records.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]*time.Time{now: &start, start: nil} {
		r, err := describe(t.Context(), records, records, idle{}, free{},
			event.DescribeCampaignRequest{Campaign: "fall"}, at)
		if err != nil || (r.Opens == nil) != (want == nil) || want != nil && !r.Opens.Equal(*want) {
			t.Errorf("at %s: %v, %v, want %v", at, r.Opens, err, want)
		}
	}
}
