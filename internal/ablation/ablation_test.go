package ablation

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/rehearsal"
)

var campaign = rehearsal.Config{Devices: devices, Seed: 7, Faults: faults}

func TestWithEveryStatementNothingIsDenied(t *testing.T) {
	t.Parallel()
	o := play(t, infra.Template, campaign, false, story)
	if len(o.denied) > 0 {
		t.Errorf("denied:\n%s", strings.Join(o.denied, "\n"))
	}
	if len(o.said) > 0 || o.err != nil || o.summary.Canceled != 1 {
		t.Errorf("%v\n%s\n%s", o.err, o.all(), o.printed)
	}
}

func TestWithEveryFaultNothingIsDenied(t *testing.T) {
	t.Parallel()
	o := play(t, infra.Template, rehearsal.Config{Devices: 20, Seed: 7, Faults: "all"}, false, nil)
	if o.err != nil || len(o.denied) > 0 {
		t.Errorf("%v\n%s", o.err, o.all())
	}
}

func TestEveryStatementIsMissed(t *testing.T) {
	t.Parallel()
	for _, s := range statements(t) {
		if s.effect == "Deny" {
			continue // see TestBucketRefusesWhatIsNotTLS
		}
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			o := play(t, without(t, s, ""), campaign, !thorough(), story)
			if len(o.denied) == 0 && len(o.said) == 0 && o.err == nil {
				t.Fatalf("nothing went wrong without %v", s.actions)
			}
			if !slices.ContainsFunc(s.actions, func(a string) bool { return strings.Contains(o.all(), "to perform: "+a+" ") }) {
				t.Errorf("none of %v was denied; this went wrong: %v\n%s", s.actions, o.err, o.all())
			}
		})
	}
}
