package cli

import (
	"strings"
	"testing"
)

func TestTheVersionNamesCommitAndDate(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		commit, date string
		changed      bool
		want         string
	}{
		{hash, "2026-11-29T12:00:00Z", false, "commit 0123456789ab, 2026-11-29T12:00:00Z (go"},
		{hash, "2026-11-29T12:00:00Z", true, "commit 0123456789ab with changes, 2026-11-29T12:00:00Z (go"},
		{"0123", "", false, "commit 0123 (go"},
		{"", "", false, "commit unknown (go"},
	} {
		if got := version(c.commit, c.date, c.changed); !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q…", got, c.want)
		}
	}
}
