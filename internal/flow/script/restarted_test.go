package script

import (
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// TestARestartIsToldByWholeSeconds: a device that began shortly before its command has not restarted since, though its
// time, which is cut to seconds, is less.
func TestARestartIsToldByWholeSeconds(t *testing.T) {
	given := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	for up, row := range map[string]struct {
		after time.Duration
		want  bool
	}{
		"4": {4900 * time.Millisecond, false}, "3": {4900 * time.Millisecond, true}, "400": {70 * time.Second, false},
		"": {time.Hour, false},
	} {
		a := &event.Answer{Params: map[string]string{device.UpTime: up}}
		if got := restarted(a, given.Add(row.after), given); got != row.want {
			t.Errorf("%s s after %s: %v, want %v", up, row.after, got, row.want)
		}
	}
}
