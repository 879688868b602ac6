package awsapi

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPageTokensGiveTheirKeyBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []string
		for _, part := range rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 4).Draw(t, "key") {
			want = append(want, string(part))
		}
		if got, ok := PageKey(PageToken(want...)); !ok || !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
	for _, bad := range []string{"!", "x", "BQ", "_____________w"} {
		if key, ok := PageKey(bad); ok {
			t.Errorf("%q is a token of %q", bad, key)
		}
	}
}
