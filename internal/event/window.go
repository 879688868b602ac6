package event

import (
	"encoding/binary"
	"time"
	_ "time/tzdata" // zones by name, also where the machine knows none
)

// Window is a time of day in which a device may be disturbed, "02:00" to "05:00"; it
// may span midnight. It is in the device's own time where that is known, else in Zone.
type Window struct {
	Start string `json:"start"`
	End   string `json:"end"`
	// Zone is a name of the IANA time zone database, or a TZ string of POSIX, which
	// devices report (TR-181, Device.Time.LocalTimeZone); "" is UTC.
	Zone string `json:"zone,omitempty"`
	// Registered is set where Zone is the device's by the registry: what the device
	// itself reports does not count then. Many report UTC, whatever their walls show.
	Registered bool `json:"registered,omitempty"`
	// Days are the days of the week on which it opens, as MON; none is every day.
	Days []Day `json:"days,omitempty"`
	// Except are dates on no moment of which it is open.
	Except []Dates `json:"except,omitempty"`
	// Or are other hours in the same zone, with the same exceptions.
	Or []Hours `json:"or,omitempty"`
}

// Hours are a time of day on days of the week.
type Hours struct {
	Start string `json:"start"`
	End   string `json:"end"`
	Days  []Day  `json:"days,omitempty"`
}

// Day is a day of the week, as MON.
type Day string

// Days are the days of the week, from Sunday as time.Weekday has them.
func Days() []Day { return []Day{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"} }

// Dates are days, the last one among them, as 2006-01-02.
type Dates struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Never is when a window opens that does not open within a year and a day.
var Never = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// mostDays is how far ahead a window is looked for.
const mostDays = 367

// Of is the same window in the time of a device: the registry's zone, which whoever made
// the window has set (workflow's start.go, campaign's request.go), or else FactZone, which
// the upgrade (inspect.go) and the onboarding learn.
func (w Window) Of(s DeviceState) Window {
	if w.Registered {
		return w
	}
	return w.In(s.Facts[FactZone])
}

// In is the same window in another zone, if that is one.
func (w Window) In(zone string) Window {
	if zone != "" && IsZone(zone) {
		w.Zone = zone
	}
	return w
}

// Next gives the window that now lies in, or else the next one; Never where there is
// none. Where a change of the clock skips a time of day, the window begins or ends at the
// change. Where a time of day comes twice, the window begins at its second occurrence and
// ends at its first: no moment in it is outside of the hours that were asked for. Excepted
// dates cut it.
func (w Window) Next(now time.Time) (opens, closes time.Time) {
	loc, ok := location(w.Zone)
	if !ok {
		loc = time.UTC
	}
	opens, closes = w.next(Hours{Start: w.Start, End: w.End, Days: w.Days}, loc, now)
	for _, h := range w.Or {
		if o, c := w.next(h, loc, now); o.Before(opens) {
			opens, closes = o, c
		}
	}
	return opens, closes
}

func (w Window) next(h Hours, loc *time.Location, now time.Time) (opens, closes time.Time) {
	from, to := minuteOfDay(h.Start), minuteOfDay(h.End)
	if to <= from {
		to += 24 * 60
	}
	today := now.In(loc)
	for day := -1; day < mostDays; day++ {
		year, month, date := today.Date()
		if !h.on(time.Date(year, month, date+day, 12, 0, 0, 0, loc).Weekday()) {
			continue
		}
		_, opens = occurrences(loc, year, month, date+day, from)
		first, last := occurrences(loc, year, month, date+day, to)
		if closes = first; !closes.After(opens) {
			closes = last // both are in the hour that comes twice
		}
		opens, closes = w.cut(opens, closes, loc)
		// A day on which it does not open at all has none.
		if closes.After(opens) && closes.After(now) {
			return opens, closes
		}
	}
	return Never, Never
}

func (h Hours) on(day time.Weekday) bool {
	for _, d := range h.Days {
		if d == Days()[day] {
			return true
		}
	}
	return len(h.Days) == 0
}

// cut takes excepted dates from a window: what is left before them, or else after them.
func (w Window) cut(opens, closes time.Time, loc *time.Location) (time.Time, time.Time) {
	for range len(w.Except) {
		for _, d := range w.Except {
			from, err1 := time.ParseInLocation(time.DateOnly, d.From, loc)
			to, err2 := time.ParseInLocation(time.DateOnly, d.To, loc)
			if err1 != nil || err2 != nil {
				continue // whoever checked what holds the Window has said so
			}
			to = to.AddDate(0, 0, 1)
			if !from.Before(closes) || !to.After(opens) {
				continue
			}
			if from.After(opens) {
				closes = from
			} else {
				opens = to
			}
		}
	}
	return opens, closes
}

// minuteOfDay reads "15:04"; the check of what holds a Window has seen that it is one.
func minuteOfDay(s string) int {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0
	}
	return t.Hour()*60 + t.Minute()
}

// occurrences are the first and the last moment at which clocks show a time of day on
// a date. Where they skip it both are the moment of the change.
func occurrences(loc *time.Location, year int, month time.Month, day, minute int) (first, last time.Time) {
	near := time.Date(year, month, day, 0, minute, 0, 0, loc)
	shown := time.Date(year, month, day, 0, minute, 0, 0, time.UTC).Unix()
	began, ends := near.ZoneBounds()
	for _, t := range []time.Time{began.Add(-time.Second), near, ends} {
		_, offset := t.Zone()
		at := time.Unix(shown-int64(offset), 0).In(loc)
		if _, is := at.Zone(); is != offset || t.IsZero() || began.IsZero() && t.Before(began) {
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	if !first.IsZero() {
		return first, last
	}
	change := began
	if _, offset := near.Zone(); near.Unix()+int64(offset) < shown {
		change = ends
	}
	return change, change
}

// mostZone is how long a zone's name or rule may be.
const mostZone = 128

// IsZone reports whether a text is the name of a time zone, or a rule for one.
func IsZone(zone string) bool {
	_, ok := location(zone)
	return ok
}

func location(zone string) (*time.Location, bool) {
	if len(zone) > mostZone || zone == "Local" {
		return nil, false
	}
	if loc, err := time.LoadLocation(zone); err == nil {
		return loc, true
	}
	return posix(zone)
}

// noZone is the abbreviation that a time has for which a rule says nothing.
const noZone = "???\x00"

// posix is a zone by its rule, such as "CET-1CEST,M3.5.0,M10.5.0/3": a file of the
// time zone database with no changes of its own, after the last of which the rule in
// its footer counts. RFC 8536, "The Time Zone Information Format (TZif)".
func posix(rule string) (*time.Location, bool) {
	for _, c := range []byte(rule) {
		if c <= ' ' || c >= 0x7f {
			return nil, false
		}
	}
	header := func(types, chars uint32) []byte {
		b := append([]byte("TZif2"), make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, 0, types, chars} { // isut, isstd, leap, time, type, char
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	data := append(header(0, 0), header(1, uint32(len(noZone)))...)
	data = append(data, make([]byte, 6)...) // the one type: offset, is not daylight saving, abbreviation
	data = append(data, noZone...)
	data = append(data, "\n"+rule+"\n"...)
	loc, err := time.LoadLocationFromTZData(rule, data)
	if err != nil {
		return nil, false
	}
	// A rule that cannot be read is left aside without an error.
	name, _ := time.Unix(0, 0).In(loc).Zone()
	return loc, name != noZone[:3]
}
