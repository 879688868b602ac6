package weather

import (
	"encoding/json"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// Config says what the weather is like.
type Config struct {
	Scheduler *scheduler.Scheduler
	Seed      uint64
	Rates     Rates
	// Only, if not nil, are the numbers of the events that happen; the others are
	// drawn, and come to nothing.
	Only []int
	// Conflict is what DynamoDB answers to a call that meets another transaction;
	// nil for a call that takes no part in such conflicts.
	Conflict func(in any, which int) error
	// End ends the function that makes a call over the network, by its access key.
	End func(accessKey string) bool
}

// Weather draws what happens. Its methods are safe for concurrent use; a nil
// Weather is fair.
type Weather struct {
	config Config
	draws  interface {
		Float64() float64
		IntN(int) int
		Int64N(int64) int64
	}

	mu       sync.Mutex
	begun    bool
	asked    [kinds]int64
	happened [kinds]int64
	number   int
	events   []Event
	spells   map[string]*spell // by service
}

// Event is what happened once.
type Event struct {
	Number int
	Kind   Kind
	At     time.Time
	What   string // what was hit
}

// mostEvents is how many events are remembered, from the first on.
const mostEvents = 10_000

// New is a weather that has not begun. It is nil, which is fair, if nothing can
// happen.
func New(c Config) *Weather {
	if c.Rates.Fair() {
		return nil
	}
	return &Weather{config: c, draws: scheduler.Stream(c.Seed), spells: map[string]*spell{}}
}

// Begin ends the calm.
func (w *Weather) Begin() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = true
}

// End begins the calm after it.
func (w *Weather) End() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = false
}

// Draw counts that something could be hit, and reports whether it is. what names
// it in Events.
func (w *Weather) Draw(k Kind, what string) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rate := w.config.Rates[k]
	if !w.begun || rate == 0 {
		return false
	}
	if k != Killed { // which invocations count, not their calls
		w.asked[k]++
	}
	if w.draws.Float64() >= rate {
		return false
	}
	w.number++
	if w.config.Only != nil && !slices.Contains(w.config.Only, w.number) {
		return false
	}
	w.happened[k]++
	w.remember(Event{w.number, k, w.config.Scheduler.Now(), what})
	return true
}

func (w *Weather) remember(e Event) {
	if len(w.events) < mostEvents {
		w.events = append(w.events, e)
	}
}

// spell is the trouble that a service is in, or was in last.
type spell struct {
	until time.Time // its end
	next  time.Time // the beginning of the one after it
}

// longestSpell is how long a service is in trouble at the most; an eighth of it is the least. How long the calm
// between two spells is follows from the rate, which is the share of time that a service is in trouble.
const (
	longestSpell = 4 * time.Minute
	longestCalm  = 10 * 365 * 24 * time.Hour // of rates for which it would be no time.Duration
)

// DrawImpaired counts a call to a service, and reports whether the service is in trouble, so that it refuses
// every call.
func (w *Weather) DrawImpaired(service string) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rate := w.config.Rates[Impaired]
	if !w.begun || rate == 0 {
		return false
	}
	w.asked[Impaired]++
	now := w.config.Scheduler.Now()
	s := w.spells[service]
	if s == nil {
		s = &spell{next: now.Add(w.calm(rate))}
		w.spells[service] = s
	}
	for !now.Before(s.next) {
		w.number++
		lasts := w.between(w.atMost(longestSpell)/8, w.atMost(longestSpell))
		if w.config.Only == nil || slices.Contains(w.config.Only, w.number) {
			s.until = s.next.Add(lasts)
			w.remember(Event{w.number, Impaired, s.next, service + " for " + lasts.Round(time.Second).String()})
		}
		s.next = s.next.Add(lasts + w.calm(rate))
	}
	if !now.Before(s.until) {
		return false
	}
	w.happened[Impaired]++
	return true
}

// calm draws how long a service is well between two spells.
func (w *Weather) calm(rate float64) time.Duration {
	mean := float64(w.atMost(longestSpell)) * 9 / 16 * (1 - rate) / rate
	return time.Duration(min(2*mean*w.draws.Float64(), float64(longestCalm)))
}

// Invoked counts an invocation of a function: it could be killed, at each of its calls.
func (w *Weather) Invoked() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun && w.config.Rates[Killed] > 0 {
		w.asked[Killed]++
	}
}

// Delay draws how long something that is to be delivered is held back: not at
// all, some seconds (reordered) or some minutes (late).
func (w *Weather) Delay(what string) time.Duration {
	switch {
	case w.Draw(Reordered, what):
		return w.between(50*time.Millisecond, 5*time.Second)
	case w.Draw(Late, what):
		return w.between(5*time.Second, w.atMost(3*time.Minute))
	}
	return 0
}

// Lag draws by how much longer than on a good day readers do not see a change: not at all, some seconds (stale) or
// some minutes (late).
func (w *Weather) Lag(what string) time.Duration {
	switch {
	case w.Draw(Stale, what):
		return w.between(100*time.Millisecond, 10*time.Second)
	case w.Draw(Late, what):
		return w.between(5*time.Second, w.atMost(3*time.Minute))
	}
	return 0
}

// Later draws how long after the first a second copy comes: mostly soon, and
// sometimes when all is over.
func (w *Weather) Later() time.Duration {
	if w.draws.IntN(4) == 0 {
		return w.between(10*time.Second, w.atMost(15*time.Minute))
	}
	return w.between(0, 3*time.Second)
}

// atMost is a delay, or twenty seconds where somebody waits for it.
func (w *Weather) atMost(d time.Duration) time.Duration {
	if w.config.Scheduler.Virtual() {
		return d
	}
	return min(d, 20*time.Second)
}

func (w *Weather) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.draws.Int64N(int64(to-from)))
}

// Events are those that have happened, the first ones if there are very many.
func (w *Weather) Events() []Event {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// Report is how often each kind has happened, and how often it could have.
type Report struct {
	happened, asked [kinds]int64
}

// Report counts what has happened so far; nil in fair weather.
func (w *Weather) Report() *Report {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return &Report{w.happened, w.asked}
}

// Happened is how often a kind has happened, Asked how often it could have.
func (r *Report) Happened(k Kind) int64 { return r.happened[k] }

// Asked is how often a kind could have happened.
func (r *Report) Asked(k Kind) int64 { return r.asked[k] }

// MarshalJSON writes how often each kind has happened under its name, and under
// "of" how often it could have.
func (r *Report) MarshalJSON() ([]byte, error) {
	out, of := map[string]any{}, map[string]int64{}
	for i, name := range names {
		out[name], of[name] = r.happened[i], r.asked[i]
	}
	out["of"] = of
	return json.Marshal(out)
}

// Share is the part of its calls that a kind has hit; NaN if there were none.
func (r *Report) Share(k Kind) float64 {
	if r.asked[k] == 0 {
		return math.NaN()
	}
	return float64(r.happened[k]) / float64(r.asked[k])
}
