package awsapi

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Time is a timestamp member: epoch seconds with milliseconds in JSON.
type Time struct{ time.Time }

// TimeOf returns t as a member that may be absent; the zero time is absent.
func TimeOf(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// MarshalJSON writes epoch seconds, with milliseconds if there are any.
func (t Time) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, t.Seconds(), 'f', -1, 64), nil
}

// Seconds is the time as epoch seconds, to the millisecond.
func (t Time) Seconds() float64 { return float64(t.UnixMilli()) / 1000 }

// UnmarshalJSON reads epoch seconds, or a date in RFC 3339 as some clients
// write it.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) > 1 && b[0] == '"' {
		s, err := strconv.Unquote(string(b))
		if err != nil {
			return fmt.Errorf("timestamp %s: %w", b, err)
		}
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return fmt.Errorf("timestamp %q is neither epoch seconds nor RFC 3339", s)
		}
		t.Time = v.UTC()
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1e12 {
		return fmt.Errorf("timestamp %s is not a number of epoch seconds", b)
	}
	t.Time = time.UnixMilli(int64(math.Round(f * 1000))).UTC()
	return nil
}

// ISO is the time as XML answers spell it: 2006-01-02T15:04:05.000Z.
func (t Time) ISO() string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
