package version_test

import (
	"testing"

	"github.com/fleetstep/fleetstep/internal/version"
)

func TestVersions(t *testing.T) {
	ordered := []string{"1", "1.0", "1.0.1", "1.2-rc", "1.2", "1.2.0", "1.10.0", "2.0.0-dev", "2.0.0-alpha3",
		"2.0.0-beta", "2.0.0-beta-2", "2.0.0-RC2", "2.0.0-rc10", "2.0.0-SNAPSHOT", "2.0.0", "2.0.0.1", "2.0.0-b7",
		"10", "x"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := version.Compare(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	for text, want := range map[string]map[string]bool{
		"<2.0.0":      {"1.9": true, "2.0.0": false, "2.0.1": false, "2.0.0-rc1": true, "": false},
		">=1.2 <2":    {"1.2": true, "1.10.3": true, "2": false, "1.1.9": false},
		"1.2.*":       {"1.2": true, "1.2.7": true, "1.20": false},
		"1.2.3":       {"1.2.3": true, "1.2.3.0": false},
		"<=1.0 >=1.0": {"1.0": true, "1": false},
		">1.0":        {"1.0": false, "1.0.1": true},
		"=1.0":        {"1.0": true, "1.1": false},
	} {
		r, err := version.ParseRange(text)
		if err != nil {
			t.Fatal(err)
		}
		for v, in := range want {
			if r.Has(v) != in {
				t.Errorf("%q has %s: %t", text, v, !in)
			}
		}
	}
	for _, text := range []string{"", "<", "<2.*", "a b!", "~1.2"} {
		if _, err := version.ParseRange(text); err == nil {
			t.Errorf("%q is a range", text)
		}
	}
}
