package statusdetails_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/statusdetails"
)

func TestCheckAllowsWhatAWSAllows(t *testing.T) {
	ten := map[string]string{}
	for i := range 10 {
		ten[fmt.Sprintf("k%d", i)] = "v"
	}
	for name, details := range map[string]map[string]string{
		"nothing": nil, "ten pairs": ten,
		"every kind of key":     {"aZ09:_-": "v", strings.Repeat("k", 128): "v"},
		"letters of any tongue": {"k": "Zürich, 東京, 🚀 ~ ^ \u00a0 \u2028"}, // separators are category Z
		"1,024 characters":      {"k": strings.Repeat("ü", 1024)},
	} {
		if err := statusdetails.Check(details); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckRefusesWhatAWSRefuses(t *testing.T) {
	eleven := map[string]string{}
	for i := range 11 {
		eleven[fmt.Sprintf("k%d", i)] = "v"
	}
	for _, row := range []struct {
		details map[string]string
		want    string
	}{
		{eleven, "statusDetails has 11 pairs; at most 10 are allowed"},
		{map[string]string{"": "v"}, "a key of statusDetails has 0 characters; allowed are 1 to 128"},
		{map[string]string{strings.Repeat("k", 129): "v"},
			"a key of statusDetails has 129 characters; allowed are 1 to 128"},
		{map[string]string{"a b": "v"}, `the key "a b" of statusDetails must match [a-zA-Z0-9:_-]+`},
		{map[string]string{"größe": "v"}, `the key "größe" of statusDetails must match [a-zA-Z0-9:_-]+`},
		{map[string]string{"k": ""}, `the value of "k" in statusDetails has 0 characters; allowed are 1 to 1024`},
		{map[string]string{"k": strings.Repeat("v", 1025)}, `the value of "k" in statusDetails has 1025 characters; allowed are 1 to 1024`},
		{map[string]string{"b": "x\n", "a": "\u200b"}, `the value of "a" in statusDetails has the character U+200B at byte 0; it must match [^\p{C}]+; ` +
			`the value of "b" in statusDetails has the character U+000A at byte 1; it must match [^\p{C}]+`},
	} {
		if err := statusdetails.Check(row.details); err == nil || err.Error() != row.want {
			t.Errorf("got  %v\nwant %s", err, row.want)
		}
	}
}

// One of each kind that a device's text is found to hold.
func TestForbiddenIsCategoryC(t *testing.T) {
	for _, r := range "\x00\t\n\x7f\u0085\u00ad\u200b\u202e\u2066\ufeff\ue000\U000e0001\uffff\u0378" {
		if !statusdetails.Forbidden(r) {
			t.Errorf("%U is allowed", r)
		}
	}
	for _, r := range " ~a東\u00a0\u2028\ufffd" {
		if statusdetails.Forbidden(r) {
			t.Errorf("%U is refused", r)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	details := map[string]string{"phase": "Downloading", "percent": "50", "reason": strings.Repeat("word ", 20)}
	for b.Loop() {
		if err := statusdetails.Check(details); err != nil {
			b.Fatal(err)
		}
	}
}
