package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fleetstep/fleetstep/internal/usp"
)

// FleetConfig describes a fleet.
type FleetConfig struct {
	Settings
	Devices int
	// Things names the devices; where it is nil they are rg-000001, rg-000002, …
	Things []string
	Seed   uint64
	Faults Faults
	// Profiles are the models of the devices.
	Profiles Profiles
	// StartWithin spreads the first connections over this time.
	StartWithin time.Duration
}

// Fleet is many agents.
type Fleet struct {
	settings *Settings
	agents   []*Agent
	byThing  map[string]*Agent
	within   time.Duration
	rng      *rand.Rand
}

// ThingName is the name of the n-th device of a fleet, from 1.
func ThingName(n int) string { return fmt.Sprintf("rg-%06d", n) }

// OUI is that of fleets whose configuration names no other.
const OUI = "012345"

// EndpointIDOf is the endpoint ID of the device behind a thing: not the same
// name, as real ones are not.
func EndpointIDOf(oui, thing string) usp.EndpointID {
	return usp.EndpointID("os::" + oui + "-" + usp.EscapeInstance(thing))
}

// NewFleet makes a fleet that is switched off.
func NewFleet(c FleetConfig) (*Fleet, error) {
	s, err := c.Settings.withDefaults()
	if err != nil {
		return nil, err
	}
	if c.Things != nil {
		c.Devices = len(c.Things)
	}
	faults, err := c.Faults.Assign(c.Devices, c.Seed)
	if err != nil {
		return nil, err
	}
	profiles, err := c.Profiles.Assign(faults, c.Seed)
	if err != nil {
		return nil, err
	}
	f := &Fleet{settings: s, within: c.StartWithin, byThing: make(map[string]*Agent, c.Devices),
		rng: rand.New(rand.NewPCG(c.Seed, 0xf1ee7))}
	for i := range c.Devices {
		thing := ThingName(i + 1)
		if c.Things != nil {
			thing = c.Things[i]
		}
		id := Identity{Thing: thing, EndpointID: EndpointIDOf(s.OUI, thing), Seed: f.rng.Uint64(), Fault: faults[i],
			Profile: profiles[i]}
		if err := id.EndpointID.Validate(); err != nil {
			return nil, err
		}
		if f.byThing[thing] != nil {
			return nil, fmt.Errorf("simulator: two devices for thing %s", thing)
		}
		a := newAgent(s, id)
		f.agents = append(f.agents, a)
		f.byThing[thing] = a
	}
	return f, nil
}

// Start switches all devices on, within the time of the configuration.
func (f *Fleet) Start() {
	for _, a := range f.agents {
		if f.within <= 0 {
			a.Start()
			continue
		}
		f.settings.Clock.AfterFunc(time.Duration(f.rng.Int64N(int64(f.within)+1)), a.Start)
	}
}

// Stop switches all devices off for good.
func (f *Fleet) Stop() {
	for _, a := range f.agents {
		a.Stop()
	}
}

// Agent is the device behind a thing, nil if there is none.
func (f *Fleet) Agent(thing string) *Agent { return f.byThing[thing] }

// Facts are those of all devices, in the order of their numbers.
func (f *Fleet) Facts() []Facts {
	all := make([]Facts, len(f.agents))
	for i, a := range f.agents {
		all[i] = a.Facts()
	}
	return all
}

// Progress counts the devices. Every device is in exactly one of the first five;
// Upgraded counts those that run another version than they were made with,
// whatever else they do.
type Progress struct {
	Off, Offline, Connected, Downloading, Rebooting int
	Upgraded                                        int
}

// Progress is the fleet's as of now.
func (f *Fleet) Progress() Progress {
	var p Progress
	for _, a := range f.agents {
		facts := a.Facts()
		switch facts.Phase {
		case Off:
			p.Off++
		case Offline:
			p.Offline++
		case Connected:
			p.Connected++
		case Downloading:
			p.Downloading++
		case Rebooting:
			p.Rebooting++
		}
		if facts.Upgraded() {
			p.Upgraded++
		}
	}
	return p
}

// Refusal is why the first of those devices cannot connect that cannot; nil if all can.
func (f *Fleet) Refusal() error {
	for _, a := range f.agents {
		if err := a.Refusal(); err != nil {
			return err
		}
	}
	return nil
}
