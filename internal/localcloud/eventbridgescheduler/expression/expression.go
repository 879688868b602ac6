package expression

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrInvalid means that a text is no schedule expression.
var ErrInvalid = errors.New("expression: not a schedule expression")

// Expression is a parsed schedule expression.
type Expression struct {
	every time.Duration // rate
	once  *wall         // at
	cron  *cron
}

// wall is a date and time of day somewhere.
type wall struct {
	year, month, day, hour, minute, second int
}

var (
	ratePattern = regexp.MustCompile(`^rate\(([1-9][0-9]{0,9}) (minutes?|hours?|days?)\)$`)
	atPattern   = regexp.MustCompile(`^at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)$`)
	cronPattern = regexp.MustCompile(`^cron\((.*)\)$`)
)

// Parse reads an expression.
func Parse(text string) (*Expression, error) {
	if m := ratePattern.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, ErrInvalid
		}
		unit := m[2]
		if n > 1 && !strings.HasSuffix(unit, "s") { // the plural is for 1, too
			return nil, ErrInvalid
		}
		each := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour,
			"day": 24 * time.Hour}[strings.TrimSuffix(unit, "s")]
		every := time.Duration(n) * each
		if every/each != time.Duration(n) {
			return nil, ErrInvalid
		}
		return &Expression{every: every}, nil
	}
	if m := atPattern.FindStringSubmatch(text); m != nil {
		t, err := time.Parse("2006-01-02T15:04:05", m[1])
		if err != nil {
			return nil, ErrInvalid
		}
		return &Expression{once: &wall{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second()}}, nil
	}
	if m := cronPattern.FindStringSubmatch(text); m != nil {
		c, err := parseCron(m[1])
		if err != nil {
			return nil, err
		}
		return &Expression{cron: c}, nil
	}
	return nil, ErrInvalid
}

// Once reports whether the expression names a single point in time.
func (e *Expression) Once() bool { return e.once != nil }

// Rate is the time between two points, 0 if the expression is no rate.
func (e *Expression) Rate() time.Duration { return e.every }

// Next is the first point at or after from; ok is false if there is none. A
// rate counts from origin, which is its first point.
func (e *Expression) Next(from, origin time.Time, zone *time.Location) (at time.Time, ok bool) {
	switch {
	case e.once != nil:
		w := e.once
		at = time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, w.second, 0, zone)
		if first, exists := w.in(zone); exists {
			at = first
		}
		return at, !at.Before(from)
	case e.every > 0:
		if !origin.Before(from) {
			return origin, true
		}
		n := from.Sub(origin) / e.every
		if at = origin.Add(n * e.every); at.Before(from) {
			at = at.Add(e.every)
		}
		return at, true
	default:
		return e.cron.next(from, zone)
	}
}

// in is the first instant at which clocks show w; exists is false if they never
// do.
func (w wall) in(zone *time.Location) (first time.Time, exists bool) {
	plain := time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, w.second, 0, time.UTC)
	// The offsets in force around the time are those a day before and after.
	for _, near := range []time.Time{plain.AddDate(0, 0, -1), plain.AddDate(0, 0, 1)} {
		_, offset := near.In(zone).Zone()
		at := plain.Add(-time.Duration(offset) * time.Second).In(zone)
		if at.Day() != w.day || at.Hour() != w.hour || at.Minute() != w.minute {
			continue
		}
		if !exists || at.Before(first) {
			first, exists = at, true
		}
	}
	return first, exists
}
