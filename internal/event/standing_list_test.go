package event

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAListReadsAllThatItIsAskedFor: whoever is asked for has a key that begins as the list reads, and where the list
// filters least nobody else has.
func TestAListReadsAllThatItIsAskedFor(t *testing.T) {
	models := rapid.SampledFrom([]string{"", "GW-1", "GW-1|2", "a#b", "a%b", "=x", "ä ", strings.Repeat("m", 400),
		strings.Repeat("m", 401)})
	names := rapid.SampledFrom([]ErrorName{"Download.Failed", "Download.FailedTwice", "Verify.WrongVersion"})
	rapid.Check(t, func(t *rapid.T) {
		s := Standing{State: rapid.SampledFrom(StandStates()).Draw(t, "state"), Wave: rapid.IntRange(0, 12).Draw(t,
			"wave"), Model: models.Draw(t, "model")}
		if s.State == StandFailed {
			s.Error = names.Draw(t, "error")
		}
		w := Anywhere()
		if rapid.Bool().Draw(t, "by state") {
			w.State = rapid.SampledFrom(StandStates()).Draw(t, "of state")
			if w.State == StandFailed && rapid.Bool().Draw(t, "by error") {
				w.Error = names.Draw(t, "of error")
			}
		}
		if rapid.Bool().Draw(t, "by wave") {
			w.Wave = rapid.IntRange(0, 12).Draw(t, "of wave")
		}
		if rapid.Bool().Draw(t, "by model") {
			w.Model = models.Draw(t, "of model")
		}
		key := s.ListKey("rg-1:a")
		if len(key) > 1024 || strings.Count(key, placeEnd) != 4 {
			t.Fatalf("key %q", key)
		}
		begins := strings.HasPrefix(key, w.ListPrefix())
		if w.Has(s) && !begins {
			t.Fatalf("%+v is asked for by %+v, and %q does not begin with %q", s, w, key, w.ListPrefix())
		}
		exact := w.State != "" && (w.Error != "" || w.State != StandFailed) && (w.Wave >= 0 || w.Model == "")
		if exact && begins && !w.Has(s) {
			t.Fatalf("%+v is read for %+v", s, w)
		}
		c := ListCursor{Shard: rapid.IntRange(0, 3).Draw(t, "shard"), After: key}
		got, err := ParseListCursor(c.String(), w, 4)
		if (err == nil) != begins || err == nil && (got != c || got.Thing() != "rg-1:a") {
			t.Fatalf("cursor %+v is read as %+v, %v", c, got, err)
		}
	})
}

func TestACursorThatNobodyGaveIsRefused(t *testing.T) {
	for _, text := range []string{"x", "!", ListCursor{Shard: 4}.String(), ListCursor{Shard: -1}.String(),
		ListCursor{After: "a|b"}.String(), "MA"} {
		if c, err := ParseListCursor(text, Anywhere(), 4); err == nil {
			t.Errorf("%q is read as %+v", text, c)
		}
	}
}

func TestAListIsChecked(t *testing.T) {
	for _, r := range []ListRequest{{State: "GONE"}, {State: StandHeld, Error: "Download.Failed"}, {Most: 1001},
		{Most: -1}, {Most: 101, Why: true}, {After: strings.Repeat("x", 3000)}} {
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), "$.devices.") {
			t.Errorf("%+v: %v", r, err)
		}
	}
	r := ListRequest{Error: "Download.Failed"}
	if err := r.Check(); err != nil || r.State != StandFailed || r.Most != 100 {
		t.Errorf("%+v, %v", r, err)
	}
}
