package scheduler

import (
	"context"
	"sync"
	"time"
)

// A Gate is closed until Open is called once, and open for ever after. It is
// how one task waits for another.
type Gate struct {
	s *Scheduler

	mu      sync.Mutex
	open    bool
	ch      chan struct{} // real mode
	waiters []waiter      // virtual mode
}

type waiter struct {
	t    *task
	wait uint64
}

// NewGate returns a closed gate.
func (s *Scheduler) NewGate() *Gate {
	g := &Gate{s: s}
	if !s.virtual {
		g.ch = make(chan struct{})
	}
	return g
}

// Open lets every present and future Wait return. Further calls do nothing.
func (g *Gate) Open() {
	g.mu.Lock()
	if g.open {
		g.mu.Unlock()
		return
	}
	g.open = true
	waiters := g.waiters
	g.waiters = nil
	g.mu.Unlock()
	if !g.s.virtual {
		close(g.ch)
		return
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	for _, w := range waiters {
		g.s.wake(w)
	}
}

// Opened reports whether Open has been called.
func (g *Gate) Opened() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// Wait returns nil once the gate is open, or ctx's error if that ends first.
// In virtual mode only contexts made by WithTimeout or WithCancel of this
// package (or derived from them) interrupt the wait.
func (g *Gate) Wait(ctx context.Context) error {
	if !g.s.virtual {
		select {
		case <-g.ch:
			return nil
		default:
		}
		select {
		case <-g.ch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	gates := append([]*Gate{g}, ending(ctx)...)
	if err := g.s.await(gates); err != nil {
		return err
	}
	if !g.Opened() {
		return ctx.Err()
	}
	return nil
}

type ctxKey struct{}

// endingContext is a context whose end goes through the scheduler.
type endingContext struct {
	context.Context
	gate     *Gate
	done     chan struct{}
	deadline time.Time

	mu  sync.Mutex
	err error
}

func (c *endingContext) Deadline() (time.Time, bool) {
	if c.deadline.IsZero() {
		return c.Context.Deadline()
	}
	return c.deadline, true
}
func (c *endingContext) Done() <-chan struct{} { return c.done }
func (c *endingContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return c.Context.Err()
}
func (c *endingContext) Value(key any) any {
	if key == (ctxKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c *endingContext) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	close(c.done)
	c.mu.Unlock()
	c.gate.Open()
}

// ending returns the gates of ctx and of its parents that end it.
func ending(ctx context.Context) []*Gate {
	var gates []*Gate
	for ctx != nil {
		c, ok := ctx.Value(ctxKey{}).(*endingContext)
		if !ok {
			break
		}
		gates = append(gates, c.gate)
		ctx = c.Context
	}
	return gates
}

// WithTimeout is context.WithTimeout on the scheduler's clock.
func (s *Scheduler) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if !s.virtual {
		return context.WithTimeout(ctx, d)
	}
	c, cancel := s.withEnd(ctx)
	c.deadline = s.Now().Add(d)
	t := s.After(d, "timeout", func() { c.end(context.DeadlineExceeded) })
	return c, func() { t.Stop(); cancel() }
}

// WithCancel is context.WithCancel; its end interrupts waits in virtual mode.
func (s *Scheduler) WithCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	if !s.virtual {
		return context.WithCancel(ctx)
	}
	return s.withEnd(ctx)
}

func (s *Scheduler) withEnd(ctx context.Context) (*endingContext, context.CancelFunc) {
	c := &endingContext{Context: ctx, gate: s.NewGate(), done: make(chan struct{})}
	return c, func() { c.end(context.Canceled) }
}
