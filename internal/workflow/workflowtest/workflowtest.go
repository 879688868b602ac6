// Package workflowtest has a Store of workflow in memory, with the same conditions as the
// table's, and a contract (Contract) that tests every Store for them. The Store counts its
// requests, and can stop at one of them as a function that crashes would. Safe for concurrent
// use.
package workflowtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// ErrCrash is what a Store answers when it was told to crash.
var ErrCrash = errors.New("crashed here")

type partition struct {
	state      event.DeviceState
	known      bool
	presence   bool
	presenceAt time.Time
	claim      *workflow.Claim
	pending    map[event.Owner]workflow.Pending
	awaits     map[event.Step]workflow.Await
	news       map[string]event.DeviceEvent
	standings  map[event.CampaignID]event.Standing
}

// Store is a workflow.Store.
type Store struct {
	mu       sync.Mutex
	devices  map[event.ThingName]*partition
	owners   map[event.EndpointID]event.ThingName
	flags    map[event.Owner]workflow.Control
	knocks   map[event.Owner]map[event.ThingName]workflow.Knock
	lifted   map[event.Owner]int64
	lease    workflow.Lease
	due      []workflow.Due
	arrivals map[event.ThingName]workflow.Arrival
	requests int
	// Before is called before each request, with its name; an error is the
	// request's, and nothing happens. Nil does nothing.
	Before func(op string) error
	// After is called after each request that did its work.
	After func(op string) error
}

var _ workflow.Store = (*Store)(nil)

// Requests counts requests so far.
func (s *Store) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Residue lists what is left of executions: nothing, once all jobs are over.
func (s *Store) Residue() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []string
	for thing, p := range s.devices {
		add := func(what string) { left = append(left, string(thing)+" "+what) }
		if p.claim != nil {
			add("CLAIM " + p.claim.Execution)
		}
		for step := range p.awaits {
			add("AWAIT#" + string(step))
		}
		for key := range p.news {
			add("NEWS#" + key)
		}
		for owner := range p.pending {
			add("PENDING#" + owner.Key())
		}
	}
	sort.Strings(left)
	return left
}

// do runs one request.
func (s *Store) do(op string, thing event.ThingName, f func(p *partition) error) error {
	s.mu.Lock()
	s.requests++
	before, after := s.Before, s.After
	s.mu.Unlock()
	if before != nil {
		if err := before(op); err != nil {
			return err
		}
	}
	s.mu.Lock()
	if s.devices == nil {
		s.devices, s.owners = map[event.ThingName]*partition{}, map[event.EndpointID]event.ThingName{}
	}
	err := f(s.partition(thing))
	s.mu.Unlock()
	if err == nil && after != nil {
		return after(op)
	}
	return err
}

func (s *Store) partition(thing event.ThingName) *partition {
	p := s.devices[thing]
	if p == nil {
		p = &partition{pending: map[event.Owner]workflow.Pending{}, awaits: map[event.Step]workflow.Await{},
			news: map[string]event.DeviceEvent{}, standings: map[event.CampaignID]event.Standing{}}
		s.devices[thing] = p
	}
	return p
}

// Load implements workflow.Store.
func (s *Store) Load(_ context.Context, thing event.ThingName) (d workflow.Device, err error) {
	err = s.do("Load", thing, func(p *partition) error {
		d = workflow.Device{Thing: thing, State: p.state, Known: p.known}
		if p.claim != nil {
			c := *p.claim
			if c.Ending != nil {
				e := *c.Ending
				c.Ending = &e
			}
			c.Tries, c.Seen, c.Taken = maps.Clone(c.Tries), maps.Clone(c.Seen), slices.Clone(c.Taken)
			d.Claim = &c
		}
		for _, v := range p.pending {
			d.Pending = append(d.Pending, v)
		}
		for _, v := range p.awaits {
			d.Awaits = append(d.Awaits, v)
		}
		for _, v := range p.news {
			d.News = append(d.News, v)
		}
		for _, id := range slices.Sorted(maps.Keys(p.standings)) {
			d.Standings = append(d.Standings, p.standings[id])
		}
		sort.Slice(d.Pending, func(i, j int) bool { return d.Pending[i].Owner.Key() < d.Pending[j].Owner.Key() })
		sort.Slice(d.Awaits, func(i, j int) bool { return d.Awaits[i].Step < d.Awaits[j].Step })
		sort.Slice(d.News, func(i, j int) bool { return d.News[i].At.Before(d.News[j].At) })
		return nil
	})
	return d, err
}

// PutPending implements workflow.Store.
func (s *Store) PutPending(_ context.Context, thing event.ThingName, v workflow.Pending) error {
	return s.do("PutPending", thing, func(p *partition) error {
		if old, ok := p.pending[v.Owner]; !ok || !old.Identity().After(v.Identity()) {
			p.pending[v.Owner] = v
		}
		return nil
	})
}

// DropPending implements workflow.Store.
func (s *Store) DropPending(_ context.Context, thing event.ThingName, a workflow.Attempt) error {
	return s.do("DropPending", thing, func(p *partition) error {
		p.drop(a)
		return nil
	})
}

// Claim implements workflow.Store.
func (s *Store) Claim(_ context.Context, thing event.ThingName, c workflow.Claim, dead *workflow.Claim) error {
	return s.do("Claim", thing, func(p *partition) error {
		switch old := p.claim; {
		case dead != nil:
			if old == nil || old.Execution != dead.Execution {
				return workflow.ErrClaimed
			}
			c.Rev = old.Rev + 1
		case old == nil:
			c.Rev = 1
		case old.Execution == c.Execution:
			return p.shift(c.Shift)
		default:
			return workflow.ErrClaimed
		}
		if err := p.shift(c.Shift); err != nil {
			return err
		}
		c.Tries, c.Seen, c.Ending, c.Attempt, c.Taken, c.Shift = nil, nil, nil, "", nil, nil
		p.claim = &c
		return nil
	})
}

// Register implements workflow.Store.
func (s *Store) Register(_ context.Context, thing event.ThingName, r workflow.Registration) error {
	return s.do("Register", thing, func(p *partition) error {
		if p.claim == nil || p.claim.Execution != r.Claim.Execution || p.claim.Rev != r.Claim.Rev {
			return workflow.ErrChanged
		}
		if r.Started {
			if old, ok := p.pending[r.Await.Owner]; ok && old.Identity().After(r.Claim.Identity()) {
				return workflow.ErrChanged
			}
		}
		if err := s.shift(p, r.Shift); err != nil {
			return err
		}
		if r.Started {
			delete(p.pending, r.Await.Owner)
		}
		p.claim.Rev++
		p.claim.Tries, p.claim.Seen = maps.Clone(r.Claim.Tries), maps.Clone(r.Claim.Seen)
		if r.Await.Attempt != "" {
			p.claim.Attempt = r.Await.Attempt
		}
		for _, step := range r.Dismiss {
			delete(p.awaits, step)
		}
		p.awaits[r.Await.Step] = r.Await
		p.learn(r.Learnt)
		return nil
	})
}

// Take implements workflow.Store.
func (s *Store) Take(_ context.Context, thing event.ThingName, c workflow.Claim) error {
	return s.do("Take", thing, func(p *partition) error {
		if p.claim == nil || p.claim.Execution != c.Execution || p.claim.Rev != c.Rev {
			return workflow.ErrChanged
		}
		p.claim.Taken, p.claim.Rev = slices.Clone(c.Taken), p.claim.Rev+1
		return nil
	})
}

// Advance implements workflow.Store.
func (s *Store) Advance(_ context.Context, thing event.ThingName, a workflow.Await) error {
	return s.do("Advance", thing, func(p *partition) error {
		old, ok := p.awaits[a.Step]
		if !ok || old.Token != a.Token || old.Rev != a.Rev {
			return workflow.ErrChanged
		}
		old.State, old.Rev = a.State, old.Rev+1
		p.awaits[a.Step] = old
		return nil
	})
}

// Finish implements workflow.Store.
func (s *Store) Finish(_ context.Context, thing event.ThingName, a workflow.Await, learnt map[string]string) error {
	return s.do("Finish", thing, func(p *partition) error {
		if old, ok := p.awaits[a.Step]; ok && old.Token != a.Token {
			return nil
		}
		delete(p.awaits, a.Step)
		p.learn(learnt)
		return nil
	})
}

func (p *partition) learn(learnt map[string]string) {
	if len(learnt) == 0 {
		return
	}
	facts := maps.Clone(p.state.Facts)
	if facts == nil {
		facts = map[string]string{}
	}
	maps.Copy(facts, learnt)
	p.state.Facts, p.known = facts, true
}

// Learn implements workflow.Store.
func (s *Store) Learn(_ context.Context, thing event.ThingName, learnt map[string]string) error {
	return s.do("Learn", thing, func(p *partition) error {
		p.learn(learnt)
		return nil
	})
}

// PutNews implements workflow.Store.
func (s *Store) PutNews(_ context.Context, thing event.ThingName, execution string, ev event.DeviceEvent,
	_ time.Time) error {
	return s.do("PutNews", thing, func(p *partition) error {
		if p.claim == nil || p.claim.Execution != execution {
			return workflow.ErrGone
		}
		p.claim.Rev++
		p.news[ev.NewsKey()] = ev
		return nil
	})
}

// Presence implements workflow.Store.
func (s *Store) Presence(_ context.Context, thing event.ThingName, v workflow.Presence) error {
	return s.do("Presence", thing, func(p *partition) error {
		newer := !p.presence || p.state.PresenceVersion < v.Version || p.presenceAt.Before(v.At.Add(-time.Hour)) ||
			p.state.PresenceVersion == v.Version &&
				(!v.Connected || p.state.Connected && p.presenceAt.Equal(v.At))
		if !newer || !v.Connected && p.state.SeenAt.After(v.At) {
			return workflow.ErrStale
		}
		p.known = true
		p.state.Connected, p.state.PresenceVersion, p.state.SeenAt = v.Connected, v.Version, v.At
		p.presence, p.presenceAt = true, v.At
		return nil
	})
}

// Greet implements workflow.Store.
func (s *Store) Greet(_ context.Context, thing event.ThingName, g workflow.Greeting) error {
	return s.do("Greet", thing, func(p *partition) error {
		if p.state.Endpoint != g.Endpoint {
			return workflow.ErrForeign
		}
		if p.state.SeenAt.After(g.At.Add(workflow.SameArrival)) {
			return workflow.ErrStale
		}
		return p.greet(g)
	})
}

func (p *partition) greet(g workflow.Greeting) error {
	if p.known && !p.state.Connected && p.state.SeenAt.After(g.At) {
		return workflow.ErrStale
	}
	p.known = true
	p.state.Endpoint, p.state.Connected, p.state.SeenAt = g.Endpoint, true, g.At
	p.state.Legacy, p.state.AgentTopic = g.Legacy, g.AgentTopic
	return nil
}

// Bind implements workflow.Store.
func (s *Store) Bind(_ context.Context, thing event.ThingName, g workflow.Greeting, b workflow.Binding) error {
	return s.do("Bind", thing, func(p *partition) error {
		owner, owned := s.owners[g.Endpoint]
		switch {
		case owned && owner != thing && owner != b.From:
			return &workflow.OwnedError{By: owner}
		case p.state.Endpoint != "" && p.state.Endpoint != g.Endpoint && p.state.Endpoint != b.Before:
			return workflow.ErrForeign
		}
		before := p.state.Endpoint
		if err := p.greet(g); err != nil {
			return err
		}
		if before != g.Endpoint {
			delete(s.owners, before)
		}
		if len(b.Forget) > 0 {
			p.state.Facts = maps.Clone(p.state.Facts)
			for _, name := range b.Forget {
				delete(p.state.Facts, name)
			}
		}
		if from := s.devices[b.From]; from != nil && b.From != thing {
			from.state.Endpoint = ""
		}
		s.owners[g.Endpoint] = thing
		return nil
	})
}

// End implements workflow.Store.
func (s *Store) End(_ context.Context, thing event.ThingName, c workflow.Claim, e workflow.Ending) error {
	return s.do("End", thing, func(p *partition) error {
		if p.claim == nil || p.claim.Execution != c.Execution || p.claim.Rev != c.Rev {
			return workflow.ErrChanged
		}
		p.claim.Ending = &e
		p.claim.Rev++
		return nil
	})
}

// Release implements workflow.Store.
func (s *Store) Release(_ context.Context, d workflow.Device, execution string, a workflow.Attempt) error {
	return s.do("Release", d.Thing, func(p *partition) error {
		if p.claim != nil && p.claim.Execution == execution && !workflow.SameEnding(p.claim, d.Claim) {
			return workflow.ErrChanged
		}
		if err := p.shift(d.Shift); err != nil {
			return err
		}
		if p.claim != nil && p.claim.Execution == execution {
			p.learn(d.Learnt)
		}
		p.free(execution)
		p.drop(a)
		return nil
	})
}

// free removes an execution's claim, tasks and news.
func (p *partition) free(execution string) {
	mine := p.claim != nil && p.claim.Execution == execution
	if mine || p.claim == nil {
		clear(p.news)
	}
	if mine {
		p.claim = nil
	}
	for step, a := range p.awaits {
		if a.Execution == execution {
			delete(p.awaits, step)
		}
	}
}

// drop removes PENDING up to a lap.
func (p *partition) drop(a workflow.Attempt) {
	if old, ok := p.pending[a.Owner]; ok && !old.Identity().After(a) {
		delete(p.pending, a.Owner)
	}
}
