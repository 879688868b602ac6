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

func TestPageAfterRefusesTheTokenOfAnotherListing(t *testing.T) {
	for _, c := range []struct {
		token string
		parts int
		want  []string
		ok    bool
	}{
		{"", 1, nil, true},
		{PageToken("a", ""), 2, []string{"a", ""}, true},
		{PageToken("a", ""), 1, nil, false},
		{PageToken("a"), 2, nil, false},
		{"!", 1, nil, false},
	} {
		if got, ok := PageAfter(c.token, c.parts); ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%q of %d parts: got %q, %v; want %q, %v", c.token, c.parts, got, ok, c.want, c.ok)
		}
	}
}
