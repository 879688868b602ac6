package entrance

import (
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// Pauses after a failed Accept.
const (
	firstPause = 5 * time.Millisecond
	longPause  = time.Second
)

// answerTime is how long a connection that is turned away may take.
const answerTime = 5 * time.Second

// Limits bound the connections that are open at a time.
type Limits struct {
	Connections int // of all listeners; 0 is what the process's descriptors allow
	PerAddress  int // 0 is three quarters of Connections
	TurnedAway  int // beyond Connections, waiting for their answer; 0 is 64
}

// Entrance counts the connections of its listeners.
type Entrance struct {
	sched  *scheduler.Scheduler
	limits Limits

	mu     sync.Mutex
	open   int
	turned int // of them, turned away
	by     map[string]int
	doors  map[string]*Door
}

// Door is what has come through a listener.
type Door struct {
	Open       int       `json:"open"`
	Accepted   int64     `json:"accepted"`
	TurnedAway int64     `json:"turnedAway"` // beyond a limit
	Failures   int64     `json:"failures"`   // of Accept
	Failing    string    `json:"failing,omitempty"`
	FailedAt   time.Time `json:"failedAt,omitzero"`
}

// Report is the state of an Entrance.
type Report struct {
	Open        int             `json:"open"`
	Connections int             `json:"limit"`
	PerAddress  int             `json:"limitPerAddress"`
	Listeners   map[string]Door `json:"listeners"`
}

// New returns an Entrance without listeners.
func New(s *scheduler.Scheduler, l Limits) *Entrance {
	if l.Connections == 0 {
		l.Connections = affordable()
	}
	if l.PerAddress == 0 {
		l.PerAddress = max(l.Connections*3/4, 1)
	}
	if l.TurnedAway == 0 {
		l.TurnedAway = 64
	}
	return &Entrance{sched: s, limits: l, by: map[string]int{}, doors: map[string]*Door{}}
}

// affordable is how many connections the descriptors of the process allow: a
// quarter of them, at least 128, is kept back.
func affordable() int {
	const most = 100_000
	n := descriptors()
	return max(min(n-max(n/4, 128), most), 16)
}

// Report says what has come so far.
func (e *Entrance) Report() Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := Report{Open: e.open, Connections: e.limits.Connections, PerAddress: e.limits.PerAddress,
		Listeners: map[string]Door{}}
	for name, d := range e.doors {
		r.Listeners[name] = *d
	}
	return r
}

// Failing names the listeners whose last Accept failed, with the error.
func (r Report) Failing() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.Listeners)) {
		if d := r.Listeners[name]; d.Failing != "" {
			list = append(list, name+": "+d.Failing)
		}
	}
	return list
}

// Listener returns l with the Entrance before it. A connection is cut off that
// has not had its deadline set anew, by whoever serves it, within hello; 0 sets
// none.
func (e *Entrance) Listener(name string, l net.Listener, hello time.Duration) net.Listener {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.doors[name]
	if d == nil {
		d = &Door{}
		e.doors[name] = d
	}
	return &listener{Listener: l, e: e, name: name, door: d, handshake: hello, closed: e.sched.NewGate()}
}

type listener struct {
	net.Listener
	e         *Entrance
	name      string
	door      *Door
	handshake time.Duration
	closed    *scheduler.Gate
	once      sync.Once
}

func (l *listener) Close() error {
	l.once.Do(l.closed.Open)
	return l.Listener.Close()
}

// Accept fails only when the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	pause := firstPause
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			if c := l.e.admit(c, l); c != nil {
				return c, nil
			}
			pause = firstPause
			continue
		}
		if errors.Is(err, net.ErrClosed) || l.closed.Opened() {
			return nil, net.ErrClosed
		}
		l.e.failed(l, err)
		if l.pause(pause) {
			return nil, net.ErrClosed
		}
		pause = min(2*pause, longPause)
	}
}

// pause waits and reports whether the listener was closed meanwhile.
func (l *listener) pause(d time.Duration) bool {
	ctx, cancel := l.e.sched.WithTimeout(contextBackground, d)
	defer cancel()
	return l.closed.Wait(ctx) == nil
}

func (e *Entrance) failed(l *listener, err error) {
	e.mu.Lock()
	first := l.door.Failing == ""
	l.door.Failures++
	l.door.Failing, l.door.FailedAt = err.Error(), e.sched.Now()
	e.mu.Unlock()
	if first { // the first of a row; Report tells of the others
		e.sched.Failed("listener "+l.name, err)
	}
}

// admit counts a connection; nil if there is no room even to turn it away.
func (e *Entrance) admit(c net.Conn, l *listener) net.Conn {
	address := host(c.RemoteAddr())
	now := e.sched.Now()
	e.mu.Lock()
	l.door.Failing = ""
	over := e.open-e.turned >= e.limits.Connections || e.by[address] >= e.limits.PerAddress
	if over {
		l.door.TurnedAway++
		if e.turned >= e.limits.TurnedAway {
			e.mu.Unlock()
			e.sched.Failed("listener "+l.name+": close a connection beyond the limit", c.Close())
			return nil
		}
		e.turned++
	} else {
		l.door.Accepted++
		e.by[address]++
	}
	e.open++
	l.door.Open++
	e.mu.Unlock()
	hello := l.handshake
	if over {
		hello = answerTime
	}
	if hello > 0 {
		if err := c.SetDeadline(now.Add(hello)); err != nil {
			e.sched.Failed("listener "+l.name+": deadline", err)
		}
	}
	return &conn{Conn: c, l: l, address: address, turned: over}
}

func host(a net.Addr) string {
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}

// conn is a connection that is counted until it is closed.
type conn struct {
	net.Conn
	l       *listener
	address string
	turned  bool
	once    sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() {
		e := c.l.e
		e.mu.Lock()
		defer e.mu.Unlock()
		e.open--
		c.l.door.Open--
		if c.turned {
			e.turned--
			return
		}
		if e.by[c.address]--; e.by[c.address] == 0 {
			delete(e.by, c.address)
		}
	})
	return c.Conn.Close()
}

// TurnedAway reports whether a connection, or the one below its TLS, is beyond
// a limit: it is to be answered and closed.
func TurnedAway(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, ok := c.(*conn)
	return ok && own.turned
}
