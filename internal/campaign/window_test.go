package campaign_test

import (
	"fmt"
	"slices"
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
		var told *time.Time // when somebody may begin
		for ; len(w.stands) < len(w.devices); w.now = w.now.Add(step) {
			opens, before := w.load(c.ID).Opens(w.now), len(w.stands)
			if opens != nil && (!opens.After(w.now) || told != nil && !opens.Equal(*told)) || opens == nil &&
				told != nil && told.After(w.now) {
				t.Fatalf("at %s nobody may begin before %v, and that was %v", w.now, opens, told)
			}
			told = opens
			if w.now.Sub(start) > 5*24*time.Hour {
				t.Fatalf("after five days %d of %d devices have begun", len(w.stands), len(w.devices))
			}
			if _, err := w.driver().Tick(w.t.Context()); err != nil {
				t.Fatal(err)
			}
			if begun := len(w.stands) > before; begun != (opens == nil) {
				t.Fatalf("at %s somebody begins: %t, and is to after %v", w.now, begun, opens)
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

// TestWhenSomebodyMayBegin is told while a wave is on its way or the stage is, and nobody may: by its start, by a
// window, of which the last minutes let nobody begin, or by a blackout date. Windows do not hold the stage.
func TestWhenSomebodyMayBegin(t *testing.T) {
	const format = `{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"gate": {"success": 0.8}, %s, "waves": [{"name": "all", "maxHours": 100}]}`
	const windows, blackout = `"windows": [{"from": "01:00", "to": "02:00"}]`,
		`"blackout": [{"from": "2026-11-30", "to": "2026-12-01"}]`
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 12, day, hour, minute, 0, 0, time.UTC) }
	for _, c := range []struct {
		members  string
		step     campaign.Step
		now      time.Time
		want     time.Time // the zero is now
		afterAll bool      // all were asked
	}{
		{`"rate": 7`, campaign.StepWave, noon, time.Time{}, false},
		{windows, campaign.StepWave, noon, at(1, 1, 0), false},
		{windows, campaign.StepWave, at(1, 1, 30), time.Time{}, false},
		{windows, campaign.StepWave, at(1, 1, 58), at(2, 1, 0), false},
		{windows, campaign.StepWave, noon, time.Time{}, true},
		{windows, campaign.StepApproval, noon, time.Time{}, false},
		{windows + "," + blackout, campaign.StepWave, noon, at(2, 1, 0), false},
		{`"start": "2026-12-01T18:00:00Z"`, campaign.StepWave, noon, at(1, 18, 0), false},
		{windows + `, "start": "2026-12-01T18:00:00Z"`, campaign.StepWave, noon, at(2, 1, 0), false},
		{windows + `, "stage": {}`, campaign.StepStage, noon, time.Time{}, false},
		{blackout + `, "stage": {"maxHours": 100}`, campaign.StepStage, noon, at(2, 0, 0), false},
	} {
		w := newWorld(t, 12)
		made := w.create(fmt.Sprintf(format, c.members))
		if _, err := w.machine().Take(t.Context(), campaign.StepInput{Step: c.step, Campaign: made.ID,
			Token: "t"}); err != nil {
			t.Fatal(err)
		}
		one := w.load(made.ID)
		for class, k := range one.Waves[0].Classes {
			if c.afterAll {
				one.Waves[0].Cursors[class] = k.Count
			}
		}
		switch got := one.Opens(c.now); {
		case (got == nil) != c.want.IsZero(), got != nil && !got.Equal(c.want):
			t.Errorf("%s, %s at %s: %v, want %s", c.members, c.step, c.now, got, c.want)
		}
	}
}

// TestWhatAStagedDeviceWaitsFor: for its wave, and when that is on its way for its window or only for the clock.
func TestWhatAStagedDeviceWaitsFor(t *testing.T) {
	w := newWorld(t, 30)
	c := w.create(`{"campaignId": "fall", "images": [{"firmware": {"version": "2.0.0"}}], "targets": {"groups": ["d"]},
		"gate": {"success": 0.6}, "windows": [{"from": "01:00", "to": "02:00"}], "stage": {},
		"waves": [{"name": "one", "count": 10}, {"name": "two"}]}`)
	for _, in := range []campaign.StepInput{{Step: campaign.StepStage, Token: "t0"},
		{Step: campaign.StepWave, Token: "t1"}} {
		in.Campaign = c.ID
		if _, err := w.machine().Take(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range w.devices[:3] {
		s := event.Standing{Campaign: c.ID, Attempt: 1, State: event.StandStaged, Wave: i / 2, At: noon}
		if i == 1 {
			s.Zone = "Asia/Tokyo" // it is nine hours ahead
		}
		w.stands[d.Thing] = s
	}
	for _, at := range []struct {
		now  time.Time
		want []string
	}{
		{noon, []string{"TIME 2026-12-01T01:00:00Z", "TIME 2026-11-30T16:00:00Z", ""}},
		{noon.Add(4 * time.Hour), []string{"TIME 2026-12-01T01:00:00Z", "START", ""}},
	} {
		w.now = at.now
		page, err := w.lister().List(t.Context(), c.ID, event.ListRequest{Why: true, Most: 10})
		if err != nil || len(page.Devices) != 3 {
			t.Fatal(page, err)
		}
		for _, d := range page.Devices {
			got := ""
			if d.Waits != nil {
				if got = string(d.Waits.For); d.Waits.Until != nil {
					got += " " + d.Waits.Until.Format(time.RFC3339)
				}
			}
			i := slices.IndexFunc(w.devices, func(o campaign.Device) bool { return o.Thing == d.Thing })
			if got != at.want[i] {
				t.Errorf("at %s %s waits for %q, want %q", at.now, d.Thing, got, at.want[i])
			}
		}
	}
}
