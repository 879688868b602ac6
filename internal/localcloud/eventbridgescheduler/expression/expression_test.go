package expression

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// points are the next n points from a time, as local times with their offset.
func points(t testing.TB, text, from, zone string, n int) string {
	t.Helper()
	e, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	at, err := time.Parse(time.RFC3339, from)
	if err != nil {
		t.Fatal(err)
	}
	origin := at
	var list []string
	for range n {
		next, ok := e.Next(at, origin, mustZone(t, zone))
		if !ok {
			list = append(list, "none")
			break
		}
		list = append(list, next.In(mustZone(t, zone)).Format("Mon 2006-01-02T15:04:05-07:00"))
		at = next.Add(time.Second)
	}
	return strings.Join(list, ", ")
}

func TestPointsInTime(t *testing.T) {
	for _, c := range []struct{ text, from, zone, want string }{
		// Examples of AWS's page.
		{"cron(15 10 ? * 6L 2022-2023)", "2022-11-01T00:00:00Z", "UTC",
			"Fri 2022-11-25T10:15:00+00:00, Fri 2022-12-30T10:15:00+00:00, Fri 2023-01-27T10:15:00+00:00"},
		{"cron(0/10 * ? * MON-FRI *)", "2026-01-02T23:45:00Z", "UTC",
			"Fri 2026-01-02T23:50:00+00:00, Mon 2026-01-05T00:00:00+00:00, Mon 2026-01-05T00:10:00+00:00"},
		{"cron(0 18 ? * MON-FRI *)", "2026-01-01T18:00:01Z", "UTC",
			"Fri 2026-01-02T18:00:00+00:00, Mon 2026-01-05T18:00:00+00:00, Tue 2026-01-06T18:00:00+00:00"},
		{"cron(0 8 1 * ? *)", "2026-01-01T08:00:00Z", "UTC",
			"Thu 2026-01-01T08:00:00+00:00, Sun 2026-02-01T08:00:00+00:00, Sun 2026-03-01T08:00:00+00:00"},
		{"cron(0 9 ? * 2#1 *)", "2026-01-01T00:00:00Z", "UTC",
			"Mon 2026-01-05T09:00:00+00:00, Mon 2026-02-02T09:00:00+00:00, Mon 2026-03-02T09:00:00+00:00"},
		{"cron(0 9 ? * TUE#5 *)", "2026-01-01T00:00:00Z", "UTC",
			"Tue 2026-03-31T09:00:00+00:00, Tue 2026-06-30T09:00:00+00:00, Tue 2026-09-29T09:00:00+00:00"},
		{"cron(0 0 L * ? *)", "2028-01-31T00:00:01Z", "UTC",
			"Tue 2028-02-29T00:00:00+00:00, Fri 2028-03-31T00:00:00+00:00, Sun 2028-04-30T00:00:00+00:00"},
		{"cron(0 0 LW 2,5 ? *)", "2026-01-01T00:00:00Z", "UTC",
			"Fri 2026-02-27T00:00:00+00:00, Fri 2026-05-29T00:00:00+00:00, Fri 2027-02-26T00:00:00+00:00"},
		{"cron(0 0 1W,15W * ? *)", "2026-08-01T00:00:00Z", "UTC",
			"Mon 2026-08-03T00:00:00+00:00, Fri 2026-08-14T00:00:00+00:00, Tue 2026-09-01T00:00:00+00:00"},
		{"cron(0 0 31W 5 ? *)", "2026-01-01T00:00:00Z", "UTC",
			"Fri 2026-05-29T00:00:00+00:00, Mon 2027-05-31T00:00:00+00:00, Wed 2028-05-31T00:00:00+00:00"},
		{"cron(5/20,7 3 ? JAN-MAR/2 L 2026)", "2026-01-01T00:00:00Z", "UTC",
			"Sat 2026-01-03T03:05:00+00:00, Sat 2026-01-03T03:07:00+00:00, Sat 2026-01-03T03:25:00+00:00"},
		{"cron(0 0 29 2 ? *)", "2096-03-01T00:00:00Z", "UTC",
			"Fri 2104-02-29T00:00:00+00:00, Wed 2108-02-29T00:00:00+00:00, Mon 2112-02-29T00:00:00+00:00"},
		{"cron(0 0 1 1 ? 2026)", "2026-01-01T00:00:01Z", "UTC", "none"},
		{"cron(0 0 31 2 ? *)", "2026-01-01T00:00:00Z", "UTC", "none"},
		// Changes of clocks: 2026-03-08 and 2026-11-01 in New York, 2026-03-29 and 2026-10-25 in Berlin.
		{"cron(30 2 * * ? *)", "2026-03-07T12:00:00Z", "America/New_York",
			"Mon 2026-03-09T02:30:00-04:00, Tue 2026-03-10T02:30:00-04:00, Wed 2026-03-11T02:30:00-04:00"},
		{"cron(30 1 * * ? *)", "2026-10-31T12:00:00Z", "America/New_York",
			"Sun 2026-11-01T01:30:00-04:00, Mon 2026-11-02T01:30:00-05:00, Tue 2026-11-03T01:30:00-05:00"},
		{"cron(0/30 1,2 25 10 ? *)", "2026-10-24T22:30:00Z", "Europe/Berlin",
			"Sun 2026-10-25T01:00:00+02:00, Sun 2026-10-25T01:30:00+02:00, Sun 2026-10-25T02:00:00+02:00"},
		{"cron(0 * 25 10 ? *)", "2026-10-25T00:30:00Z", "Europe/Berlin",
			"Sun 2026-10-25T03:00:00+01:00, Sun 2026-10-25T04:00:00+01:00, Sun 2026-10-25T05:00:00+01:00"},
		{"cron(0 12 * * ? *)", "2026-03-28T12:00:00Z", "Europe/Berlin",
			"Sun 2026-03-29T12:00:00+02:00, Mon 2026-03-30T12:00:00+02:00, Tue 2026-03-31T12:00:00+02:00"},
		// Midnight that does not exist.
		{"cron(0 0 * * ? *)", "2026-09-05T12:00:00Z", "America/Santiago",
			"Mon 2026-09-07T00:00:00-03:00, Tue 2026-09-08T00:00:00-03:00, Wed 2026-09-09T00:00:00-03:00"},
		{"at(2026-03-29T02:30:00)", "2026-01-01T00:00:00Z", "Europe/Berlin", "Sun 2026-03-29T03:30:00+02:00, none"},
		{"at(2026-10-25T02:30:00)", "2026-01-01T00:00:00Z", "Europe/Berlin", "Sun 2026-10-25T02:30:00+02:00, none"},
		{"at(2025-12-31T23:59:59)", "2026-01-01T00:00:00Z", "UTC", "none"},
		{"rate(1 day)", "2026-03-28T11:00:00Z", "Europe/Berlin",
			"Sat 2026-03-28T12:00:00+01:00, Sun 2026-03-29T13:00:00+02:00, Mon 2026-03-30T13:00:00+02:00"},
		{"rate(1 hours)", "2026-01-01T00:00:00Z", "UTC",
			"Thu 2026-01-01T00:00:00+00:00, Thu 2026-01-01T01:00:00+00:00, Thu 2026-01-01T02:00:00+00:00"},
		{"rate(90 minutes)", "2026-01-01T00:00:00Z", "UTC",
			"Thu 2026-01-01T00:00:00+00:00, Thu 2026-01-01T01:30:00+00:00, Thu 2026-01-01T03:00:00+00:00"},
	} {
		if got := points(t, c.text, c.from, c.zone, 3); got != c.want {
			t.Errorf("%s from %s in %s:\n got %s\nwant %s", c.text, c.from, c.zone, got, c.want)
		}
	}
}

func TestNoExpression(t *testing.T) {
	for _, text := range []string{
		"", "rate(0 minutes)", "rate(2 minute)", "rate(1.5 hours)", "rate(1 week)",
		"rate(1 second)", "rate(1  minute)", "rate(9999999999 days)",
		"at(2026-02-30T00:00:00)", "at(2026-01-01T00:00:00Z)", "at(2026-01-01)", "at(2026-01-01T24:00:00)",
		"cron(* * * * *)", "cron(* * * * * *)", "cron(* * ? * ? *)", "cron(60 * * * ? *)", "cron(* 24 * * ? *)",
		"cron(* * 0 * ? *)", "cron(* * 32 * ? *)",
		"cron(* * * 13 ? *)", "cron(* * ? * 8 *)", "cron(* * ? * 0 *)", "cron(* * ? * 2#6 *)", "cron(* * * * ? 1969)",
		"cron(* * * * ? 2200)", "cron(0/0 * * * ? *)",
		"cron(5-1 * * * ? *)", "cron(* * ? * FRI-MON *)", "cron(a * * * ? *)", "cron(, * * * ? *)",
		"cron(1-2-3 * * * ? *)", "cron(+1 * * * ? *)", "cron(*  * * * ? *)",
		"cron(* * 32W * ? *)", "cron(* * W * ? *)", "cron(* * ? * XL *)", "rate (1 minute)", "RATE(1 minute)",
	} {
		if e, err := Parse(text); !errors.Is(err, ErrInvalid) || e != nil {
			t.Errorf("%q: got %v, %v", text, e, err)
		}
	}
}

// TestNextIsTheFirstMinuteThatMatches compares Next with asking every minute
// what the clock on the wall shows.
func TestNextIsTheFirstMinuteThatMatches(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago",
		"Asia/Kathmandu"}
	rapid.Check(t, func(rt *rapid.T) {
		zone := mustZone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		hours, minutes := rapid.IntRange(0, 23).Draw(rt, "hour"), rapid.IntRange(0, 59).Draw(rt, "minute")
		days := rapid.SampledFrom([]string{"* * ?", "? * MON-FRI", "1-15/3 * ?", "? 3,4,9,10,11 SUN"}).Draw(rt, "days")
		e, err := Parse(fmt.Sprintf("cron(%d/20 %d/5 %s *)", minutes, hours, days))
		if err != nil {
			rt.Fatal(err)
		}
		from := time.Date(2026, 1, 1, 0, rapid.IntRange(0, 365*24*60).Draw(rt, "from"), 0, 0, time.UTC)
		got, ok := e.Next(from, from, zone)
		shown := map[string]bool{}
		for at := from.Add(-26 * time.Hour); ; at = at.Add(time.Minute) {
			local := at.In(zone)
			text := local.Format("2006-01-02T15:04")
			again := shown[text]
			shown[text] = true
			if again || at.Before(from) || !e.cron.shows(local) {
				if at.Sub(from) > 40*24*time.Hour {
					break // none within the time that is looked at
				}
				continue
			}
			if !ok || !got.Equal(at) {
				rt.Fatalf("from %s: got %s, want %s", from.In(zone), got, local)
			}
			return
		}
	})
}

// shows says whether the minute on the clock is one of the expression's.
func (c *cron) shows(t time.Time) bool {
	for _, h := range c.hours {
		for _, m := range c.minutes {
			if t.Hour() == h && t.Minute() == m {
				for _, month := range c.months {
					if int(t.Month()) == month {
						return c.matches(t.Year(), month, t.Day())
					}
				}
			}
		}
	}
	return false
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"rate(5 minutes)", "at(2026-01-01T00:00:00)",
		"cron(0/15 8-17 ? JAN-MAR MON#2,6L 2026-2030)", "cron(0 0 LW,3W,L * ? *)"} {
		f.Add(s)
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	zone := mustZone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			if e != nil || !errors.Is(err, ErrInvalid) {
				t.Fatalf("%q: %v, %v", text, e, err)
			}
			return
		}
		at, ok := e.Next(from, from, zone)
		if !ok {
			return
		}
		again, ok := e.Next(at, from, zone)
		if !ok || !again.Equal(at) {
			t.Fatalf("%q: %s is a point, and the next from there is %s", text, at, again)
		}
	})
}
