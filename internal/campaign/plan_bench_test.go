package campaign_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// BenchmarkPlanOfAMillion is the last call of create-campaign for a million devices in four zones, but for S3: what
// was found is read, and planned.
func BenchmarkPlanOfAMillion(b *testing.B) {
	zones := []string{"Europe/Berlin", "Asia/Tokyo", "America/New_York", ""}
	var documents [][]byte
	var page []campaign.Device
	for i := range 1000000 {
		page = append(page, campaign.Device{Thing: event.ThingName(fmt.Sprintf("rg-%08d-0123456", i)),
			Model: fmt.Sprintf("GW-%d", i%40), Hardware: fmt.Sprintf("%d.0", i%5), Version: "1.4.2", Zone: zones[i%4]})
		if len(page) == 20000 {
			text, err := json.Marshal(page)
			if err != nil {
				b.Fatal(err)
			}
			documents, page = append(documents, text), nil
		}
	}
	r, err := campaign.Parse([]byte(`{"images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"rate": 1000, "windows": [{"from": "02:00", "to": "05:00"}], "waves": [{"name": "canary", "percent": 0.1},
		{"name": "rest", "maxHours": 720}]}`), forms(), "firmware")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var devices []campaign.Device
		once := campaign.Once(func(all []campaign.Device) error {
			devices = append(devices, all...)
			return nil
		})
		for _, text := range documents {
			var all []campaign.Device
			if err := json.Unmarshal(text, &all); err != nil {
				b.Fatal(err)
			}
			if err := once(all); err != nil {
				b.Fatal(err)
			}
		}
		plan, problems := campaign.NewPlan(r, "c", devices, noon)
		if len(problems) > 0 || plan.Total != 1000000 {
			b.Fatal(problems)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/1e6, "MB")
}
