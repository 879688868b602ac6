package scheduler

import (
	"container/heap"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"time"
)

// ErrDeadlock is returned by a wait from outside any task, in virtual mode,
// when nothing can run any more and no timer is due, so that the wait would
// never end.
var ErrDeadlock = errors.New("scheduler: nothing left to run, the wait would never end")

// Scheduler runs tasks, keeps time and draws random numbers, in real or in
// virtual mode. Make one with NewReal or NewVirtual.
type Scheduler struct {
	virtual bool
	rnd     *rand.Rand    // over draws
	draws   *lockedSource // numbers that decide something
	bytes   *lockedSource // ids, nonces and keys; apart, so that one id more does not decide otherwise
	started time.Time

	mu     sync.Mutex
	closed bool
	seq    uint64
	holds  bool
	held   []*task             // started while Hold held
	live   map[*task]struct{}  // tasks started and not ended
	timers map[*Timer]struct{} // timers set and not fired
	report func(what string, err error)

	// Virtual mode only.
	now     time.Time
	queue   timerHeap
	ready   []*task
	current *task
	workers []chan struct{} // idle; each goes on when it gets the turn
	loop    *loop
	order   *rand.Rand // draws the order of tasks; apart from rnd so that services cannot disturb it
	running bool

	// Real mode only.
	idle *sync.Cond
}

type task struct {
	name   string
	run    func()
	resume chan struct{} // virtual: signalled when the task may go on
	waits  uint64        // virtual: number of the wait it is parked in; stale wake-ups carry an older one
	parked bool
}

// NewReal returns a scheduler on the machine's clock and goroutines.
func NewReal() *Scheduler {
	var seed [16]byte
	if _, err := crand.Read(seed[:]); err != nil {
		panic("scheduler: the operating system gives no randomness: " + err.Error())
	}
	s := newScheduler(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:]))
	s.idle = sync.NewCond(&s.mu)
	s.started = time.Now()
	return s
}

// NewVirtual returns a scheduler whose clock begins at start and moves only
// when nothing can run. The same seed gives the same run.
func NewVirtual(seed uint64, start time.Time) *Scheduler {
	s := newScheduler(seed, 0x9e3779b97f4a7c15)
	s.virtual = true
	s.now = start
	s.started = start
	s.order = rand.New(rand.NewPCG(seed, 0xda942042e4dd58b5))
	return s
}

// Anew makes a virtual scheduler draw from a seed as if nothing had been drawn yet: what follows does not
// depend on how much was made before, as by a deployment. Ids go on, so that none comes twice.
func (s *Scheduler) Anew(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.virtual {
		s.draws.again(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
		s.order = rand.New(rand.NewPCG(seed, 0xda942042e4dd58b5))
	}
}

func newScheduler(a, b uint64) *Scheduler {
	draws := &lockedSource{src: rand.NewPCG(a, b)}
	return &Scheduler{
		rnd: rand.New(draws), draws: draws, bytes: &lockedSource{src: rand.NewPCG(a, ^b)},
		live:   map[*task]struct{}{},
		timers: map[*Timer]struct{}{},
	}
}

type lockedSource struct {
	mu  sync.Mutex
	src rand.Source
}

func (l *lockedSource) again(src rand.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.src = src
}

func (l *lockedSource) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.src.Uint64()
}

// Virtual reports whether the clock is virtual.
func (s *Scheduler) Virtual() bool { return s.virtual }

// Now returns the current time: UTC, without a monotonic reading.
func (s *Scheduler) Now() time.Time {
	if !s.virtual {
		return time.Now().UTC().Round(0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.UTC()
}

// Rand returns the scheduler's random numbers; safe for concurrent use. In
// virtual mode they follow from the seed.
func (s *Scheduler) Rand() *rand.Rand { return s.rnd }

// UUID draws a random (version 4) UUID in its usual text form.
func (s *Scheduler) UUID() string {
	var b [16]byte
	s.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:8], b[:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// Read fills p with random bytes, so that a Scheduler is an io.Reader of
// randomness. In real mode they are fit for keys; in virtual mode they follow
// from the seed.
func (s *Scheduler) Read(p []byte) (int, error) {
	if !s.virtual {
		return crand.Read(p)
	}
	for i := 0; i < len(p); i += 8 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], s.bytes.Uint64())
		copy(p[i:], w[:])
	}
	return len(p), nil
}

// Go starts run as a task. The name appears in Pending. After Close it does
// nothing.
func (s *Scheduler) Go(name string, run func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start(name, run)
}

func (s *Scheduler) start(name string, run func()) {
	if s.closed {
		return
	}
	t := &task{name: name, run: run}
	s.live[t] = struct{}{}
	if s.holds {
		s.held = append(s.held, t)
		return
	}
	s.launch(t)
}

// Hold keeps tasks from beginning until Release: those that are started
// meanwhile, and those of timers that fire. What runs goes on.
func (s *Scheduler) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = true
}

// Release begins what Hold has kept back, in the order in which it was started.
func (s *Scheduler) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = false
	held := s.held
	s.held = nil
	for _, t := range held {
		s.launch(t)
	}
}

// launch lets a task run; s.mu is held.
func (s *Scheduler) launch(t *task) {
	if s.virtual {
		s.ready = append(s.ready, t)
		return
	}
	go func() {
		defer func() {
			s.mu.Lock()
			delete(s.live, t)
			s.idle.Broadcast()
			s.mu.Unlock()
		}()
		t.run()
	}()
}

// A Timer starts its task at its time unless stopped before.
type Timer struct {
	s     *Scheduler
	name  string
	when  time.Time
	seq   uint64
	index int
	run   func()
	real  *time.Timer
	fired bool
}

// After starts run as a task once d has passed; at once (but still as a task
// of its own) if d is not positive.
func (s *Scheduler) After(d time.Duration, name string, run func()) *Timer {
	s.mu.Lock()
	defer s.mu.Unlock()
	d = max(d, 0)
	t := &Timer{s: s, name: name, run: run, seq: s.seq, index: -1}
	s.seq++
	if s.closed {
		t.fired = true
		return t
	}
	s.timers[t] = struct{}{}
	if s.virtual {
		t.when = s.now.Add(d)
		heap.Push(&s.queue, t)
		return t
	}
	t.when = time.Now().Add(d)
	t.real = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.fire()
	})
	return t
}

// At is After for a point in time.
func (s *Scheduler) At(when time.Time, name string, run func()) *Timer {
	return s.After(when.Sub(s.Now()), name, run)
}

func (t *Timer) fire() {
	if t.fired {
		return
	}
	t.fired = true
	delete(t.s.timers, t)
	t.s.start(t.name, t.run)
}

// Stop keeps the timer from firing. It reports whether it was in time; false
// means that the task has been started or the timer was stopped before. A nil
// Timer may be stopped.
func (t *Timer) Stop() bool {
	if t == nil {
		return false
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.fired {
		return false
	}
	t.fired = true
	delete(t.s.timers, t)
	if t.real != nil {
		t.real.Stop()
	} else if t.index >= 0 {
		heap.Remove(&t.s.queue, t.index)
	}
	return true
}

// Sleep waits for d, or until ctx ends, whose error it then returns.
func (s *Scheduler) Sleep(ctx context.Context, d time.Duration) error {
	g := s.NewGate()
	t := s.After(d, "sleep", g.Open)
	defer t.Stop()
	return g.Wait(ctx)
}

// Pending lists the names of the tasks that have not ended and of the timers
// that are set, sorted. It is what a residue check looks at.
func (s *Scheduler) Pending() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for t := range s.live {
		if t != s.current {
			names = append(names, "task "+t.name)
		}
	}
	for t := range s.timers {
		names = append(names, "timer "+t.name)
	}
	sort.Strings(names)
	return names
}

// Close stops all timers, refuses new tasks and waits for the running ones
// until ctx ends. In virtual mode tasks that wait are abandoned.
func (s *Scheduler) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for t := range s.timers {
		t.fired = true
		if t.real != nil {
			t.real.Stop()
		}
	}
	clear(s.timers)
	s.queue = nil
	for _, t := range s.held {
		delete(s.live, t)
	}
	s.held = nil
	if s.virtual {
		s.ready = nil
		s.mu.Unlock()
		return nil
	}
	defer s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	})
	defer stop()
	for len(s.live) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("scheduler: %d tasks still running: %w", len(s.live), err)
		}
		s.idle.Wait()
	}
	return nil
}

type timerHeap []*Timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].when.Equal(h[j].when) {
		return h[i].when.Before(h[j].when)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
