package event

import "time"

// Window is a time of day in UTC, "02:00" to "05:00"; it may span midnight.
type Window struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// Next gives the next window at or after now: the time until its start, 0 if
// now is within it, and the time until its end.
func (w Window) Next(now time.Time) (start, end time.Duration) {
	at := func(s string) time.Duration {
		t, err := time.Parse("15:04", s)
		if err != nil {
			return 0
		}
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	const day = 24 * time.Hour
	now = now.UTC()
	since := now.Sub(time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC))
	from, length := at(w.Start), (at(w.End)-at(w.Start)+day)%day
	if into := (since - from + day) % day; into < length {
		return 0, length - into
	}
	wait := (from - since + day) % day
	return wait, wait + length
}
