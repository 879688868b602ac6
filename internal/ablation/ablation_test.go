package ablation

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/rehearsal"
)

// whole is the rehearsal whose story needs every permission.
var whole = rehearsal.Config{Devices: devices, Seed: 7, Faults: faults}

func TestWithEveryStatementNothingIsDenied(t *testing.T) {
	t.Parallel()
	o := play(t, template(t), whole, false, story)
	if len(o.denied) > 0 {
		t.Errorf("denied:\n%s", strings.Join(o.denied, "\n"))
	}
	if len(o.said) > 0 || o.err != nil || o.summary.Canceled != 1 {
		t.Errorf("%v\n%s\n%s", o.err, o.all(), o.printed)
	}
}

func TestWithEveryFaultNothingIsDenied(t *testing.T) {
	t.Parallel()
	o := play(t, template(t), rehearsal.Config{Devices: 30, Seed: 7, Faults: "all"}, false, nil)
	if o.err != nil || len(o.denied) > 0 {
		t.Errorf("%v\n%s", o.err, o.all())
	}
}

// A statement without which nothing goes wrong, and an action or a resource of a
// statement with several. Where each of its parts is missed the whole is, so that
// the whole is played only when everything is asked for.
func TestEveryStatementIsMissed(t *testing.T) {
	t.Parallel()
	for _, s := range statements(t) {
		if s.effect == "Deny" {
			continue // see TestBucketRefusesWhatIsNotTLS
		}
		cuts := s.parts()
		if len(cuts) == 0 || thorough() {
			cuts = append(cuts, cut{s, "", -1})
		}
		for _, c := range cuts {
			t.Run(c.String(), func(t *testing.T) { missed(t, c) })
		}
	}
}

// missed rehearses a job without a permission, which must be missed by its name.
func missed(t *testing.T, c cut) {
	t.Parallel()
	with, story := whole, story
	if ofArrivals(c.statement.resource) {
		with, story = arrivals, appearing
	}
	if ofCampaigns(c) {
		with, story = leading(t), campaigning
	}
	o := play(t, without(t, c), with, !thorough(), story)
	if len(o.denied) == 0 && len(o.said) == 0 && o.err == nil {
		t.Fatalf("nothing went wrong without it")
	}
	if !slices.ContainsFunc(o.denied, c.namedBy) {
		t.Errorf("it was not denied by name; this went wrong: %v\n%s", o.err, o.all())
	}
}
