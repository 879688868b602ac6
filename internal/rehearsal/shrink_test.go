package rehearsal

import (
	"slices"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/trial"
)

// A rehearsal that fails whenever three devices, one fault and two events of one kind
// of weather come together is reduced to these.
func TestAFailingRehearsalIsReduced(t *testing.T) {
	weather, err := localcloud.ParseWeather("bad", "", 5)
	if err != nil {
		t.Fatal(err)
	}
	kinds, early := 0, 0 // rehearsals until one kind is left, and those among them with less of anything else
	s := shrinker{
		over: func() bool { return false },
		fails: func(c Config) (bool, []int) {
			if len(c.Weather.Kinds()) != 1 {
				if kinds++; c.Faults != "all" || c.Devices != 300 || c.Weather.Only != nil {
					early++
				}
			}
			events := c.Weather.Only
			if events == nil {
				for n := range 200 {
					events = append(events, n+1)
				}
			}
			lost := slices.Contains(c.Weather.Kinds(), localcloud.WeatherLost)
			reorders := slices.Contains(faultNames(c.Faults), "reorder")
			both := slices.Contains(events, 17) && slices.Contains(events, 103)
			return c.Devices >= 3 && reorders && lost && both, events
		},
	}
	c := s.shrink(Config{Devices: 300, Faults: "all", Seed: 5, Event: "e.json", Image: 1, Weather: weather})
	const want = `fleetstep rehearse --devices 3 --seed 5 --faults "reorder" --event "e.json" --image-size 1 --weather lost ` +
		`--weather-events 17,103`
	if got := c.command(); got != want {
		t.Errorf("reduced to %s\nwant %s", got, want)
	}
	if s.plays > 300 {
		t.Errorf("%d rehearsals were played", s.plays)
	}
	if kinds == 0 || kinds > 30 || early > 0 {
		t.Errorf("%d rehearsals until one kind of weather was left; %d of them had less of anything else", kinds,
			early)
	}
}

// A rehearsal that fails in any weather is reduced to one in fair weather.
func TestWeatherThatHasNoPartInAFailureGoesFirst(t *testing.T) {
	weather, err := localcloud.ParseWeather("bad", "", 5)
	if err != nil {
		t.Fatal(err)
	}
	s := shrinker{
		over:  func() bool { return false },
		fails: func(c Config) (bool, []int) { return c.Devices >= 2, nil },
	}
	c := s.shrink(Config{Devices: 30, Faults: "all", Seed: 5, Event: "e.json", Image: 1, Weather: weather})
	const want = `fleetstep rehearse --devices 2 --seed 5 --faults "" --event "e.json" --image-size 1`
	if got := c.command(); got != want {
		t.Errorf("reduced to %s\nwant %s", got, want)
	}
}

// With no time left, what there is stays.
func TestReductionEndsWithItsTime(t *testing.T) {
	s := shrinker{over: func() bool {
		return true
	}, fails: func(Config) (bool, []int) { t.Error("played"); return false, nil }}
	if c := s.shrink(Config{Devices: 7, Faults: "reorder"}); c.Devices != 7 || c.Faults != "reorder" {
		t.Errorf("reduced to %+v", c)
	}
}

// What repeats a campaign names it, and how its operator behaves.
func TestACampaignIsRepeatedByItsCommand(t *testing.T) {
	c := Config{Devices: 40, Faults: "all", Seed: 3, Image: 1, Event: "e.json", Campaign: trial.Campaign{
		File: "c.json", Models: 3, BadImage: "2.0.0:30%", Approve: "at=2s", OnHold: "abort", Expect: "halted",
	}}
	const want = `fleetstep rehearse --devices 40 --seed 3 --faults "all" --campaign "c.json" --image-size 1 --models 3 ` +
		`--bad-image "2.0.0:30%" --approve "at=2s" --on-hold "abort" --expect "halted"`
	if got := c.command(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
