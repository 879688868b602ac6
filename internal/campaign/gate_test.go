package campaign_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// TestSmallestSamples: n / (n + z²) is the lower bound when nothing fails, z² = 2.7055.
func TestSmallestSamples(t *testing.T) {
	for success, want := range map[float64]int{0.90: 25, 0.95: 52, 0.98: 133, 0.99: 268, 0.8: 11, 0.5: 3} {
		if got := campaign.Needs(success); got != want {
			t.Errorf("%v needs %d, want %d", success, got, want)
		}
	}
}

func TestSmallestSampleIsTheSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		success := rapid.Float64Range(0.5, 0.999).Draw(t, "success")
		n := campaign.Needs(success)
		if lower, _ := campaign.Wilson(n, n); lower < success {
			t.Errorf("%d of %d do not pass %v: %v", n, n, success, lower)
		}
		if lower, _ := campaign.Wilson(n-1, n-1); lower >= success {
			t.Errorf("%d of %d pass %v already: %v", n-1, n-1, success, lower)
		}
	})
}

// TestWilson: values of the score interval with z = 1.6449, by the formula of the page
// "Binomial proportion confidence interval", worked out by hand.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n         int
		lower, upper float64
	}{
		{0, 0, 0, 1}, {10, 10, 0.7871, 1}, {0, 10, 0, 0.2129}, {50, 100, 0.4188, 0.5812}, {99, 100, 0.9564, 0.9978},
	} {
		lower, upper := campaign.Wilson(c.k, c.n)
		if math.Abs(lower-c.lower) > 5e-5 || math.Abs(upper-c.upper) > 5e-5 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.k, c.n, lower, upper, c.lower, c.upper)
		}
	}
}

func TestWilsonHoldsTheShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100000).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		lower, upper := campaign.Wilson(k, n)
		share := float64(k) / float64(n)
		if lower < 0 || upper > 1 || lower > share+1e-9 || upper < share-1e-9 {
			t.Errorf("%d of %d: %v to %v", k, n, lower, upper)
		}
		if more, _ := campaign.Wilson(min(k+1, n), n); more < lower {
			t.Errorf("one more success of %d of %d is worse: %v, %v", k, n, more, lower)
		}
	})
}

func TestGate(t *testing.T) {
	g := campaign.Gate{Success: 0.95, HaltOn: campaign.HaltOn(), NotReturned: 5}
	failures := func(name event.ErrorName, n int) map[event.ErrorName]int { return map[event.ErrorName]int{name: n} }
	for _, c := range []struct {
		name  string
		s     campaign.Sample
		acked map[event.ErrorName]int
		want  campaign.Outcome
		n     int
	}{
		{"nothing was seen", campaign.Sample{}, nil, campaign.Inconclusive, 0},
		{"one too few", campaign.Sample{Succeeded: 51}, nil, campaign.Inconclusive, 51},
		{"enough", campaign.Sample{Succeeded: 52}, nil, campaign.Pass, 52},
		{"one of 52 fails", campaign.Sample{Succeeded: 51, Failures: failures("Download.Failed", 1)}, nil,
			campaign.Inconclusive, 52},
		{"one of 100 fails", campaign.Sample{Succeeded: 99, Failures: failures("Download.Failed", 1)}, nil,
			campaign.Pass, 100},
		{"a third fails", campaign.Sample{Succeeded: 20, Failures: failures("Download.Failed", 10)}, nil,
			campaign.Fail, 30},
		{"what is ours does not count", campaign.Sample{Succeeded: 52, Failures: failures(event.ControllerFailed, 30)},
			nil, campaign.Pass, 52},
		{"nor what was held", campaign.Sample{Succeeded: 52, Failures: failures(event.CampaignHeld, 30)}, nil,
			campaign.Pass, 52},
		{"five of a name that halts, of thousands", campaign.Sample{Succeeded: 9000, Failures: failures(
			"Verify.WrongVersion", 5)}, nil, campaign.Fail, 9005},
		{"four", campaign.Sample{Succeeded: 9000, Failures: failures("Verify.WrongVersion", 4)}, nil, campaign.Pass,
			9004},
		{"five that are known", campaign.Sample{Succeeded: 9000, Failures: failures("Verify.WrongVersion", 5)},
			failures("Verify.WrongVersion", 3), campaign.Pass, 9005},
		{"five did not come back", campaign.Sample{Succeeded: 9000, Failures: map[event.ErrorName]int{
			event.DeviceNoReport: 3, event.DeviceOffline: 2}}, nil, campaign.Fail, 9005},
	} {
		v := g.Judge(c.s, c.acked)
		if v.Outcome != c.want || v.N != c.n || v.Why == "" {
			t.Errorf("%s: %+v, want %s of %d", c.name, v, c.want, c.n)
		}
	}
}
