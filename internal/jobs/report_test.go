package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
)

// What AWS IoT takes as statusDetails: shapes DetailsKey and DetailsValue of its API
// models (botocore 1.44.8), and the quotas of AWS IoT Jobs, read 2026-11.
var (
	keyOfDetails   = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)
	valueOfDetails = regexp.MustCompile(`^[^\p{C}]+$`)
)

func refusedByAWS(details map[string]string) error {
	if len(details) > 10 {
		return fmt.Errorf("%d pairs", len(details))
	}
	for k, v := range details {
		if !keyOfDetails.MatchString(k) || !utf8.ValidString(v) || !valueOfDetails.MatchString(v) ||
			len(utf16.Encode([]rune(v))) > 1024 {
			return fmt.Errorf("%q: %q", k, v)
		}
	}
	return nil
}

func reported(t interface{ Fatalf(string, ...any) }, detail string, more map[string]string) map[string]string {
	e := &ends{}
	unsaid, err := jobs.Report(context.Background(), e, jobs.Attempt{}, event.StatusFailed, "Download.Failed",
		detail, more)
	if unsaid != nil || err != nil || e.now != event.StatusFailed {
		t.Fatalf("%v, %v, %s", unsaid, err, e.now)
	}
	if err := refusedByAWS(e.details); err != nil || e.details["reason"] != "Download.Failed" {
		t.Fatalf("%v, %v", err, e.details)
	}
	return e.details
}

func TestDetailsAreWhatAWSTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string {
			return string(b)
		}))
		reported(t, text.Draw(t, "detail"), rapid.MapOf(text, text).Draw(t, "more"))
	})
}

// Every code point there is, alone and between letters, in blocks of 500.
func TestNoCharacterOfUnicodeCostsADetail(t *testing.T) {
	var b strings.Builder
	n := 0
	for r := rune(0); r <= utf8.MaxRune; r++ {
		b.WriteRune(r)
		if n++; n == 500 || r == utf8.MaxRune {
			if d := reported(t, "a"+b.String()+"z", nil)["detail"]; !strings.HasPrefix(d, "a") {
				t.Fatalf("up to %U: %q", r, d)
			}
			b.Reset()
			n = 0
		}
	}
}

func TestDetailsSayWhatTheyCan(t *testing.T) {
	for text, want := range map[string]string{
		"7022\nno route":              "7022 no route",
		"zero\u200bwidth\ufeff":       "zero width",
		"turned\u202eround\u0085here": "turned round here",
		"a half \xed\xa0\x80 of one":  "a half ? of one",
		"Zürich, 東京 🚀":                "Zürich, 東京 🚀",
		" \u2028 \t":                  "",
		"":                            "",
		strings.Repeat("🚀", 600):      strings.Repeat("🚀", 512),
	} {
		d := reported(t, text, map[string]string{"größe": "1"})
		if got, there := d["detail"]; got != want || there != (want != "") {
			t.Errorf("%q became %q", text, got)
		}
		if d["gr__e"] != "1" {
			t.Errorf("the key is lost: %v", d)
		}
	}
}

func FuzzDetailsAreWhatAWSTakes(f *testing.F) {
	f.Add("7022\nno\x00 route", "key", "\u202e\U000e0001\xff")
	f.Fuzz(func(t *testing.T, detail, key, value string) {
		reported(t, detail, map[string]string{key: value})
	})
}

// AWS IoT may know fewer characters than this program: the status and the reason are
// told all the same, and it is known what was not.
func TestRefusedDetailsCostNoStatus(t *testing.T) {
	for _, status := range []event.JobStatus{event.StatusFailed, event.StatusCanceled} {
		e := &ends{refuses: func(d map[string]string) bool { return d["detail"] != "" }}
		unsaid, err := jobs.Report(t.Context(), e, jobs.Attempt{}, status, "Download.Failed", "odd",
			map[string]string{"k": "v"})
		if err != nil || !errors.Is(unsaid, jobs.ErrRefused) || e.now != status ||
			!maps.Equal(e.details, map[string]string{"reason": "Download.Failed"}) {
			t.Errorf("%s: %v, %v, %s %v", status, unsaid, err, e.now, e.details)
		}
	}
	e := &ends{refuses: func(map[string]string) bool { return true }}
	if _, err := jobs.Report(t.Context(), e, jobs.Attempt{}, event.StatusFailed, "Download.Failed", "odd",
		nil); !errors.Is(err, jobs.ErrRefused) || e.now != "" {
		t.Errorf("what is refused for another reason: %v", err)
	}
	if _, err := jobs.Report(t.Context(), e, jobs.Attempt{}, event.StatusSucceeded, "", "", nil); !errors.Is(err,
		jobs.ErrRefused) || e.calls != 3 {
		t.Errorf("without details: %v after %d calls", err, e.calls)
	}
}
