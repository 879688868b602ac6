package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/simulator"
)

// A shrinker makes a rehearsal that fails smaller.
type shrinker struct {
	// fails plays a rehearsal: whether it fails, and the numbers of the events of
	// weather that have happened in it.
	fails func(Config) (failed bool, events []int)
	over  func() bool // whether there is no time left
	plays int
}

// Shrink looks for a smaller rehearsal that fails, too: with fewer kinds of weather,
// faults, devices and events of the weather, until nothing more can be left out or the
// time is over. c has failed. It tells on c.Env.Err what it finds, at last the command that
// repeats it.
func Shrink(ctx context.Context, c Config, atMost time.Duration) Config {
	fmt.Fprintf(c.Env.Err, "looking for a smaller rehearsal that fails, for %s at most (--shrink 0 does not)\n",
		atMost)
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	s := shrinker{
		over: func() bool { return ctx.Err() != nil },
		fails: func(c Config) (bool, []int) {
			c.Env = &cli.Env{Out: io.Discard, Err: io.Discard}
			var events []int
			opened := c.opened
			var w *world
			c.opened = func(made *world) {
				w = made
				if opened != nil {
					opened(made)
				}
			}
			_, err := run(ctx, c)
			if w != nil {
				for _, e := range w.cloud.WeatherEvents() {
					events = append(events, e.Number)
				}
			}
			return ctx.Err() == nil && errors.Is(err, cli.ErrFailed), events
		},
	}
	small := s.shrink(c)
	fmt.Fprintf(c.Env.Err, "of %d rehearsals the smallest that fails: %s\n", s.plays+1, small.command())
	return small
}

// seedsTried is how many seeds are played before something is called needed: with
// other devices the same seed is another run.
const seedsTried = 3

// shrink leaves out what tells most first: with one kind of weather left one knows where to look. There are few
// kinds, and each that goes makes what comes after it quicker.
func (s *shrinker) shrink(c Config) Config {
	c = s.fewerKinds(c)
	c = s.fewerFaults(c)
	c = s.fewerDevices(c)
	if !c.Weather.Fair() {
		c = s.fewerEvents(c)
	}
	return c
}

// try plays a smaller rehearsal, with some seeds, and returns the one that fails.
func (s *shrinker) try(c Config, seeds int) (Config, []int, bool) {
	for range seeds {
		if s.over() {
			break
		}
		s.plays++
		if failed, events := s.fails(c); failed {
			return c, events, true
		}
		c.Seed++
		c.Weather.Seed = c.Seed
	}
	return c, nil, false
}

// leftOut returns the smallest list that fails, of lists that leave out parts of it:
// first halves, then quarters, down to single members.
func leftOut[T any](list []T, fails func([]T) bool) []T {
	for size := (len(list) + 1) / 2; size > 0; {
		left := false
		for at := 0; at < len(list); {
			end := min(at+size, len(list))
			fewer := slices.Concat(list[:at], list[end:])
			if fails(fewer) {
				list, left = fewer, true
			} else {
				at = end
			}
		}
		if !left || size > len(list) {
			size /= 2
		}
	}
	return list
}

// names are the faults of a list as it is given.
func faultNames(list string) (names []string) {
	for item := range strings.SplitSeq(list, ",") {
		switch item = strings.TrimSpace(item); item {
		case "":
		case "all":
			for _, f := range simulator.AllFaults {
				names = append(names, f.Name)
			}
		default:
			names = append(names, item)
		}
	}
	return names
}

func (s *shrinker) fewerFaults(c Config) Config {
	leftOut(faultNames(c.Faults), func(fewer []string) bool {
		smaller := c
		smaller.Faults = strings.Join(fewer, ",")
		found, _, ok := s.try(smaller, seedsTried)
		if ok {
			c = found
		}
		return ok
	})
	return c
}

func (s *shrinker) fewerDevices(c Config) Config {
	least := max(len(faultNames(c.Faults)), 1)
	for step := c.Devices / 2; step > 0 && c.Devices > least; {
		smaller := c
		smaller.Devices = max(c.Devices-step, least)
		found, _, ok := s.try(smaller, seedsTried)
		if ok {
			c = found
			step = min(step, c.Devices/2)
		} else {
			step /= 2
		}
	}
	return c
}

func (s *shrinker) fewerKinds(c Config) Config {
	leftOut(c.Weather.Kinds(), func(fewer []localcloud.WeatherKind) bool {
		smaller := c
		for _, k := range c.Weather.Kinds() {
			if !slices.Contains(fewer, k) {
				smaller.Weather = smaller.Weather.Without(k)
			}
		}
		found, _, ok := s.try(smaller, seedsTried)
		if ok {
			c = found
		}
		return ok
	})
	return c
}

// fewerEvents leaves out events. What is left out is drawn all the same, so that the
// others come where they came, for as long as the runs are equal.
func (s *shrinker) fewerEvents(c Config) Config {
	_, events, ok := s.try(c, 1)
	if !ok {
		return c
	}
	leftOut(events, func(fewer []int) bool {
		smaller := c
		smaller.Weather.Only = append([]int{}, fewer...)
		found, _, ok := s.try(smaller, 1)
		if ok {
			c = found
		}
		return ok
	})
	return c
}
