package quirk

import (
	"slices"
	"strings"
	"testing"
)

func TestListsAreReadAsTheyAreWritten(t *testing.T) {
	for _, c := range []struct{ text, want, bad string }{
		{"", "", ""},
		{" mqtt-3.1.1, one-image,one-image", "one-image,mqtt-3.1.1", ""},
		{"one-image,two-images,,none", "", `"two-images", "none"`},
	} {
		l, err := Parse(c.text)
		if l.String() != c.want || (err == nil) != (c.bad == "") ||
			err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%q: %q, %v", c.text, l, err)
		}
	}
	var all List
	for _, each := range All {
		all = append(all, each.Quirk)
	}
	again, err := Parse(all.String())
	if err != nil || !slices.Equal(again, all) || !again.Has(StuckStatus) || again[:1].Has(StuckStatus) {
		t.Errorf("%v, %v", again, err)
	}
}

func FuzzQuirks(f *testing.F) {
	f.Add("one-image, status-active")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(l.String()); err != nil || !slices.Equal(again, l) {
			t.Fatal(again, err)
		}
	})
}
