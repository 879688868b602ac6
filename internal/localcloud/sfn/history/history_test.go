package history

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

func TestSecondsAreWrittenAsFloatsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.OneOf(rapid.Int64Range(-1e6, 1e14), rapid.Int64Range(0, 1e4)).Draw(t, "ms")
		want := strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
		if got := string(appendSeconds([]byte("00"), ms)); got != "00"+want {
			t.Fatalf("%d ms: got %s, want %s", ms, got, want)
		}
	})
}

// TestPartsAreWholeHistories: whatever their sizes, the events of a recorder are in its parts, in order, each part is
// under its first event, and no part is larger than a part's size and one event.
func TestPartsAreWholeHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRecorder()
		defer r.Release()
		var want []int64
		for i, size := range rapid.SliceOfN(rapid.IntRange(0, 40<<10), 0, 12).Draw(t, "sizes") {
			id := int64(i + 1)
			r.Add(&asl.Event{
				ID: id, Previous: id - 1, Time: time.UnixMilli(1500), Type: "PassStateEntered", Name: "S",
				Input: asl.TextData(`"` + strings.Repeat("a", size) + `"`),
			})
			want = append(want, id)
		}
		var got []int64
		for first, text := range r.Parts() {
			events, err := Read(text)
			if err != nil || len(events) == 0 || events[0].ID != first || len(text) > partSize+41<<10 {
				t.Fatalf("part %d of %d bytes: %d events, %v", first, len(text), len(events), err)
			}
			for i := range events {
				got = append(got, events[i].ID)
				events[i].OmitData()
				if d := events[i].StateEntered; d == nil || d.Name != "S" || d.Input != nil || d.InputDetails != nil {
					t.Fatalf("event %d without its data: %+v", events[i].ID, d)
				}
			}
		}
		if len(got) != len(want) || len(got) > 0 && got[len(got)-1] != want[len(want)-1] {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestLevelsLetEventsThrough(t *testing.T) {
	for _, tt := range []struct {
		event              string
		all, errors, fatal bool
	}{
		{"TaskStateEntered", true, false, false},
		{"TaskTimedOut", true, true, false},
		{"FailStateEntered", true, true, false},
		{"ExecutionFailed", true, true, true},
		{"ExecutionSucceeded", true, false, false},
	} {
		got := []bool{Logged(LevelAll, tt.event), Logged(LevelError, tt.event), Logged(LevelFatal, tt.event)}
		if got[0] != tt.all || got[1] != tt.errors || got[2] != tt.fatal || Logged(LevelOff, tt.event) {
			t.Errorf("%s: %v", tt.event, got)
		}
	}
}

func TestLinesOfALog(t *testing.T) {
	e := &asl.Event{ID: 2, Previous: 1, Time: time.UnixMilli(1500), Type: "PassStateEntered", Name: "S",
		Input: asl.TextData(`{"secret":1}`)}
	for _, data := range []bool{false, true} {
		line, err := Line("arn:e", 3, e, data)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		d, _ := got["details"].(map[string]any)
		if got["id"] != "2" || got["event_timestamp"] != "1500" || got["redrive_count"] != "3" || d["name"] != "S" ||
			(d["input"] != nil) != data {
			t.Errorf("with data %v: %s", data, line)
		}
	}
}
