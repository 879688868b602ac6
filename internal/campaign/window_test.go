package campaign_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// TestDevicesBeginInTheirWindowsWhereClocksChange: devices in six zones and in none, whatever the hours are, around a
// day on which clocks are put forward or back. Whoever begins sees a time of day within the hours on the wall, and no
// blackout date on the calendar; everybody has begun when a night has passed after that.
func TestDevicesBeginInTheirWindowsWhereClocksChange(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Tokyo",
		"America/St_Johns", ""}
	// The day before: of Berlin and Cairo, New York and St. John's, and Lord Howe, where half an hour is put.
	changes := []time.Time{time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 4, 23, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 29, 0, 0, 0, 0, time.UTC)}
	const step = 10 * time.Minute
	try := func(t *rapid.T, w *world) {
		half := time.Duration(rapid.IntRange(0, 47).Draw(t, "half hours"))
		start := rapid.SampledFrom(changes).Draw(t, "change").Add(half * 30 * time.Minute)
		from := rapid.IntRange(0, 47).Draw(t, "from") * 30
		to := (from + rapid.IntRange(2, 12).Draw(t, "length")*30) % (24 * 60)
		clock := func(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
		out := start.AddDate(0, 0, rapid.IntRange(-1, 2).Draw(t, "blackout")).Format(time.DateOnly)
		w.now = start
		for _, zone := range zones {
			for range 2 {
				thing := event.ThingName(fmt.Sprintf("rg-%06d", len(w.devices)))
				w.devices = append(w.devices, campaign.Device{Thing: thing, Version: "1.0.0", Zone: zone})
			}
		}
		c := w.create(fmt.Sprintf(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}],
			"targets": {"groups": ["d"]}, "zone": "Asia/Kathmandu", "windows": [{"from": "%s", "to": "%s"}],
			"blackout": [{"from": "%s", "to": "%s"}], "waves": [{"name": "all", "maxHours": 200}]}`, clock(from),
			clock(to), out, out))
		if _, err := w.machine().Take(w.t.Context(), campaign.StepInput{Step: campaign.StepWave, Campaign: c.ID,
			Token: "t"}); err != nil {
			t.Fatal(err)
		}
		for ; len(w.stands) < len(w.devices); w.now = w.now.Add(step) {
			if w.now.Sub(start) > 5*24*time.Hour {
				t.Fatalf("after five days %d of %d devices have begun", len(w.stands), len(w.devices))
			}
			if _, err := w.driver().Tick(w.t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range w.devices {
			zone := d.Zone
			if zone == "" {
				zone = "Asia/Kathmandu"
			}
			loc, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatal(err)
			}
			at := w.stands[d.Thing].At.In(loc)
			minute, inside := at.Hour()*60+at.Minute(), false
			if from < to {
				inside = from <= minute && minute < to
			} else {
				inside = from <= minute || minute < to
			}
			if !inside || at.Format(time.DateOnly) == out {
				t.Fatalf("%s begins at %s: the hours are %s to %s, the blackout is %s", d.Thing, at, clock(from),
					clock(to), out)
			}
		}
	}
	rapid.Check(t, func(r *rapid.T) { try(r, newWorld(t, 0)) })
}
