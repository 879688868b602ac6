package event_test

import (
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

func TestWindow(t *testing.T) {
	const form = "2006-01-02T15:04Z07:00"
	for _, c := range []struct {
		name, start, end, zone string
		now, opens, closes     string
	}{
		{"before it", "02:00", "05:00", "", "2026-11-29T01:00Z", "2026-11-29T02:00Z", "2026-11-29T05:00Z"},
		{"in it", "02:00", "05:00", "", "2026-11-29T03:00Z", "2026-11-29T02:00Z", "2026-11-29T05:00Z"},
		{"at its end", "02:00", "05:00", "", "2026-11-29T05:00Z", "2026-11-30T02:00Z", "2026-11-30T05:00Z"},
		{"after midnight, in it", "23:00", "01:00", "", "2026-11-29T00:30Z", "2026-11-28T23:00Z", "2026-11-29T01:00Z"},
		{"over midnight, before it", "23:00", "01:00", "", "2026-11-29T22:00Z", "2026-11-29T23:00Z",
			"2026-11-30T01:00Z"},
		{"east", "02:00", "05:00", "Asia/Kolkata", "2026-11-29T00:00Z", "2026-11-29T20:30Z", "2026-11-29T23:30Z"},
		{"west, another day there", "02:00", "05:00", "America/Los_Angeles", "2026-11-29T05:00Z", "2026-11-29T10:00Z",
			"2026-11-29T13:00Z"},
		{"by a rule", "02:00", "05:00", "PST8PDT,M3.2.0,M11.1.0", "2026-07-29T05:00Z", "2026-07-29T09:00Z",
			"2026-07-29T12:00Z"},
		{"by a rule with signs", "02:00", "05:00", "<+0530>-5:30", "2026-11-28T10:00Z", "2026-11-28T20:30Z",
			"2026-11-28T23:30Z"},
		// Clocks in Berlin go from 02:00 to 03:00 on 2026-03-29 at 01:00Z.
		{"begins in the hour that is skipped", "02:30", "05:00", "Europe/Berlin", "2026-03-28T12:00Z",
			"2026-03-29T01:00Z", "2026-03-29T03:00Z"},
		{"ends in the hour that is skipped", "01:00", "02:30", "Europe/Berlin", "2026-03-28T12:00Z",
			"2026-03-29T00:00Z", "2026-03-29T01:00Z"},
		{"is the hour that is skipped", "02:00", "03:00", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-30T00:00Z",
			"2026-03-30T01:00Z"},
		{"over it, by a rule", "01:00", "05:00", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-28T12:00Z",
			"2026-03-29T00:00Z", "2026-03-29T03:00Z"},
		// And from 03:00 to 02:00 on 2026-10-25 at 01:00Z.
		{"over the hour that comes twice", "01:00", "04:00", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-24T23:00Z",
			"2026-10-25T03:00Z"},
		{"begins in the hour that comes twice", "02:30", "04:00", "Europe/Berlin", "2026-10-24T12:00Z",
			"2026-10-25T01:30Z", "2026-10-25T03:00Z"},
		{"ends in the hour that comes twice", "01:00", "02:30", "Europe/Berlin", "2026-10-24T12:00Z",
			"2026-10-24T23:00Z", "2026-10-25T00:30Z"},
		{"within the hour that comes twice", "02:10", "02:50", "Europe/Berlin", "2026-10-24T12:00Z",
			"2026-10-25T01:10Z", "2026-10-25T01:50Z"},
		{"over midnight and the change", "23:00", "03:30", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-24T21:00Z",
			"2026-10-25T02:30Z"},
	} {
		now, err := time.Parse(form, c.now)
		if err != nil {
			t.Fatal(err)
		}
		opens, closes := event.Window{Start: c.start, End: c.end, Zone: c.zone}.Next(now)
		if got := opens.UTC().Format(form) + " " + closes.UTC().Format(form); got != c.opens+" "+c.closes {
			t.Errorf("%s: %s, want %s %s", c.name, got, c.opens, c.closes)
		}
	}
}

// TestNoMomentOfAWindowIsOutsideItsHours looks at every quarter of an hour of two years.
func TestNoMomentOfAWindowIsOutsideItsHours(t *testing.T) {
	for _, zone := range []string{
		"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "EST5EDT,M4.1.0/2,M10.5.0/2",
		"Asia/Kathmandu",
	} {
		loc, err := time.LoadLocation(zone)
		for _, w := range []event.Window{
			{Start: "02:00", End: "03:00", Zone: zone}, {Start: "01:30", End: "02:15", Zone: zone},
			{Start: "22:30", End: "02:45", Zone: zone},
		} {
			if err != nil {
				continue // a rule: held by the table above
			}
			days := map[string]bool{}
			for now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); now.Year() < 2028; {
				opens, closes := w.Next(now)
				if !closes.After(now) || !closes.After(opens) {
					t.Fatalf("%v at %s: %s to %s", w, now, opens, closes)
				}
				for at := opens; at.Before(closes); at = at.Add(15 * time.Minute) {
					clock, inside := at.In(loc).Format("15:04"), false
					if w.Start < w.End {
						inside = w.Start <= clock && clock < w.End
					} else {
						inside = w.Start <= clock || clock < w.End
					}
					if !inside {
						t.Fatalf("%v opens %s, closes %s: %s there is %s", w, opens, closes, at, clock)
					}
				}
				days[opens.In(loc).Format("2006-01-02")] = true
				now = closes
			}
			if len(days) < 365*2-4 {
				t.Errorf("%v opens on %d days of two years only", w, len(days))
			}
		}
	}
}

func TestZones(t *testing.T) {
	for zone, want := range map[string]bool{
		"": true, "UTC": true, "Europe/Berlin": true, "Etc/GMT+5": true, "CET-1CEST,M3.5.0,M10.5.0/3": true,
		"EST5EDT": true, "<-03>3": true,
		"Local": false, "Berlin": false, "../etc/passwd": false, "CET": true, "5": false, "CET-1CEST,M3": false,
		"Europe/Berlin\n":      false,
		"AAA4BBB,J60/0,J300/0": true,
	} {
		if got := event.IsZone(zone); got != want {
			t.Errorf("%q: %t", zone, got)
		}
	}
	if w := (event.Window{Zone: "UTC"}).In("nonsense"); w.Zone != "UTC" {
		t.Errorf("in nonsense: %+v", w)
	}
	if w := (event.Window{Zone: "UTC"}).In("Asia/Tokyo"); w.Zone != "Asia/Tokyo" {
		t.Errorf("in Tokyo: %+v", w)
	}
}

func TestWindowOnSomeDays(t *testing.T) {
	const form = "2006-01-02T15:04Z07:00"
	night := event.Window{Start: "22:00", End: "04:00", Zone: "Europe/Berlin", Days: []event.Day{"FRI", "SAT"}}
	shut := night
	shut.Except = []event.Dates{{From: "2026-12-05", To: "2026-12-06"}, {From: "2026-12-11", To: "2026-12-12"}}
	both := shut
	both.Or = []event.Hours{{Start: "12:00", End: "13:00", Days: []event.Day{"WED"}}}
	always := event.Window{Start: "00:00", End: "00:00", Except: []event.Dates{{From: "2026-12-24", To: "2026-12-26"}}}
	never := event.Window{Start: "00:00", End: "00:00", Except: []event.Dates{{From: "2026-01-01", To: "2029-01-01"}}}
	for _, c := range []struct {
		name               string
		w                  event.Window
		now, opens, closes string
	}{
		{"a Monday", night, "2026-11-30T12:00Z", "2026-12-04T21:00Z", "2026-12-05T03:00Z"},
		{"after midnight it is the day before's", night, "2026-12-05T01:00Z", "2026-12-04T21:00Z",
			"2026-12-05T03:00Z"},
		{"cut at midnight, and none on Saturday", shut, "2026-11-30T12:00Z", "2026-12-04T21:00Z", "2026-12-04T23:00Z"},
		{"both nights fall into exceptions", shut, "2026-12-05T00:00Z", "2026-12-12T23:00Z", "2026-12-13T03:00Z"},
		{"at noon as well", both, "2026-12-05T00:00Z", "2026-12-09T11:00Z", "2026-12-09T12:00Z"},
		{"all day, to the exception", always, "2026-12-23T10:00Z", "2026-12-23T00:00Z", "2026-12-24T00:00Z"},
		{"all day, from it on", always, "2026-12-24T10:00Z", "2026-12-27T00:00Z", "2026-12-28T00:00Z"},
		{"not within a year", never, "2026-12-24T10:00Z", "9999-01-01T00:00Z", "9999-01-01T00:00Z"},
	} {
		now, err := time.Parse(form, c.now)
		if err != nil {
			t.Fatal(err)
		}
		opens, closes := c.w.Next(now)
		if got := opens.UTC().Format(form) + " " + closes.UTC().Format(form); got != c.opens+" "+c.closes {
			t.Errorf("%s: %s, want %s %s", c.name, got, c.opens, c.closes)
		}
	}
}
