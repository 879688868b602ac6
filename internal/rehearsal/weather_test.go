package rehearsal

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// weatherSeeds is the environment variable that says with how many seeds bad weather
// is played; make test-weather sets it.
const weatherSeeds = "FLEETSTEP_WEATHER_SEEDS"

// TestUpgradesOutliveBadWeather plays jobs on bad days: every device ends as its fault
// declares, and nothing is left behind. One fault is left out: an agent that is blocked
// for good cannot be asked again when the function that asked was killed
// (docs/weather.md, "What is open").
func TestUpgradesOutliveBadWeather(t *testing.T) {
	faults := slices.DeleteFunc(faultNames("all"), func(name string) bool { return name == simulator.Blocked })
	seeds, devices := []uint64{3, 4, 5}, 35
	if testing.Short() {
		seeds = seeds[:1]
	}
	if n, err := strconv.Atoi(os.Getenv(weatherSeeds)); err == nil {
		seeds, devices = nil, 300
		for seed := range n {
			seeds = append(seeds, uint64(seed+1))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			weather, err := localcloud.ParseWeather("bad", "", seed)
			if err != nil {
				t.Fatal(err)
			}
			s, out, err := play(t, Config{
				Devices: devices, Seed: seed, Faults: strings.Join(faults, ","), Weather: weather,
				Timeout: 24 * time.Hour,
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, k := range weather.Kinds() {
				// Whatever could be hit a hundred times was hit, but for what is rarer than that.
				if n := s.Weather.Asked(k); n >= 1000 && s.Weather.Happened(k) == 0 {
					t.Errorf("%s could have happened %d times, and did not", k, n)
				}
			}
		})
	}
}
