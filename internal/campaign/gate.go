package campaign

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
)

// z is the 95 % quantile of the standard normal distribution: bounds are one-sided.
const z = 1.6448536269514722

// Wilson gives the score bounds of a share of which so many of n were seen, each with
// 95 % confidence by itself: E. B. Wilson, "Probable Inference, the Law of Succession, and
// Statistical Inference", JASA 22 (1927), 209-212. Of nothing, all is possible.
func Wilson(successes, n int) (lower, upper float64) {
	if n <= 0 {
		return 0, 1
	}
	p, m := float64(successes)/float64(n), float64(n)
	middle := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	return max(0, (middle-half)/scale), min(1, (middle+half)/scale)
}

// Needs is the smallest sample with which a gate of this success can pass, if nothing
// fails: n / (n + z²) is the lower bound then.
func Needs(success float64) int {
	if success <= 0 {
		return 0
	}
	n := max(1, int(math.Ceil(z*z*success/(1-success)-1e-9)))
	for lower, _ := Wilson(n, n); lower < success; lower, _ = Wilson(n, n) { // the last bit of a sum
		n++
	}
	return n
}

// Gate is what a wave is held to.
type Gate struct {
	// Success is the share of devices that must succeed, by the lower bound.
	Success float64 `json:"success"`
	// HaltOn are failures that halt at once when so many devices have them.
	HaltOn map[event.ErrorName]int `json:"haltOn,omitempty"`
	// NotReturned halts when so many devices did not come back; 0 is never.
	NotReturned int `json:"notReturned,omitempty"`
	// Alarms are names or ARNs of alarms of CloudWatch: one in ALARM halts.
	Alarms []string `json:"alarms,omitempty"`

	at string // where they are written
}

// Outcome is a gate's verdict.
type Outcome string

// The verdicts.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	Inconclusive Outcome = "inconclusive"
)

// Verdict is a gate's, with all that it was made of.
type Verdict struct {
	Outcome  Outcome                 `json:"verdict"`
	N        int                     `json:"n"` // devices that count
	Failed   int                     `json:"failed"`
	Lower    float64                 `json:"lower"`
	Upper    float64                 `json:"upper"`
	Failures map[event.ErrorName]int `json:"failures,omitempty"` // all of the wave, also those that do not count
	Alarms   map[string]AlarmState   `json:"alarms,omitempty"`
	Why      string                  `json:"why"`
}

// notOurs are failures that say nothing of an image: what is ours, what an operator did,
// and what the device was never asked.
var notOurs = []event.ErrorName{
	event.ControllerFailed, event.JobCanceled, event.JobTimedOut, event.JobHeld, event.CampaignHeld,
	"Upgrade.NotEligible", "Upgrade.Duplicate", "Upgrade.Quarantined",
}

// gone are the failures of devices that did not come back in time.
var gone = []event.ErrorName{event.DeviceOffline, event.DeviceNoReport}

// Sample is what was seen of a wave.
type Sample struct {
	Succeeded int
	Failures  map[event.ErrorName]int
	// Alarms are those of the gate that are there.
	Alarms map[string]Alarm
}

// counts is how many failures count.
func (s Sample) counts() (failed int) {
	for name, n := range s.Failures {
		if !slices.Contains(notOurs, name) {
			failed += n
		}
	}
	return failed
}

// Judge looks at a sample once. acknowledged are failures that an operator has seen and
// gone on with: they halt nothing again, and count in the share.
func (g Gate) Judge(s Sample, acknowledged map[event.ErrorName]int) Verdict {
	failed := s.counts()
	v := Verdict{N: s.Succeeded + failed, Failed: failed, Failures: maps.Clone(s.Failures)}
	v.Lower, v.Upper = Wilson(s.Succeeded, v.N)
	missing := g.watch(s, &v)
	if why := g.Halts(s, acknowledged); why != "" {
		v.Outcome, v.Why = Fail, why
		return v
	}
	switch {
	case v.N > 0 && v.Upper < g.Success:
		v.Outcome = Fail
		v.Why = fmt.Sprintf("%d of %d failed: at most %.1f %% succeed, and %.1f %% must", failed, v.N, 100*v.Upper,
			100*g.Success)
	case v.Lower >= g.Success && missing != "":
		// That nobody watches says nothing good.
		v.Outcome, v.Why = Inconclusive, missing
	case v.Lower >= g.Success:
		v.Outcome = Pass
		v.Why = fmt.Sprintf("%d of %d succeeded: at least %.1f %%, and %.1f %% must", s.Succeeded, v.N, 100*v.Lower,
			100*g.Success)
	default:
		v.Outcome = Inconclusive
		v.Why = fmt.Sprintf("%d of %d succeeded: between %.1f %% and %.1f %%, and %.1f %% must", s.Succeeded, v.N,
			100*v.Lower, 100*v.Upper, 100*g.Success)
	}
	return v
}

// Halts says why a wave is halted at once, whatever else was seen; "" if it is not.
func (g Gate) Halts(s Sample, acknowledged map[event.ErrorName]int) string {
	var why []string
	for _, name := range slices.Sorted(maps.Keys(g.HaltOn)) {
		if n := s.Failures[name] - acknowledged[name]; n >= g.HaltOn[name] {
			why = append(why, fmt.Sprintf("%d × %s, and %d halt", n, name, g.HaltOn[name]))
		}
	}
	away := 0
	for _, name := range gone {
		away += s.Failures[name] - acknowledged[name]
	}
	for _, name := range g.Alarms {
		if a := s.Alarms[name]; a.State == AlarmInAlarm {
			why = append(why, strings.TrimSuffix("alarm "+name+" is in ALARM: "+a.Reason, ": "))
		}
	}
	if g.NotReturned > 0 && away >= g.NotReturned {
		why = append(why, fmt.Sprintf("%d devices did not come back, and %d halt", away, g.NotReturned))
	}
	return strings.Join(why, "; ")
}

// watch notes how the gate's alarms stand, and says which of them are not there; "" if all are. One
// with INSUFFICIENT_DATA has seen nothing that is bad: it stands so until there are requests to count.
func (g Gate) watch(s Sample, v *Verdict) (missing string) {
	var gone []string
	for _, name := range g.Alarms {
		if v.Alarms == nil {
			v.Alarms = map[string]AlarmState{}
		}
		a, ok := s.Alarms[name]
		if v.Alarms[name] = a.State; !ok {
			v.Alarms[name] = AlarmMissing
			gone = append(gone, "there is no alarm "+name+" any more")
		}
	}
	return strings.Join(gone, "; ")
}
