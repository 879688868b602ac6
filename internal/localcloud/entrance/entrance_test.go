package entrance_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/entrance"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// pipes is a listener over net.Pipe whose Accept fails as often as it is told.
type pipes struct {
	mu    sync.Mutex
	fail  []error
	conns chan net.Conn
	end   chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn, 100), end: make(chan struct{})} }

type address string

func (address) Network() string  { return "pipe" }
func (a address) String() string { return string(a) }

type piped struct {
	net.Conn
	from address
}

func (p piped) RemoteAddr() net.Addr { return p.from }

func (p *pipes) Accept() (net.Conn, error) {
	p.mu.Lock()
	if len(p.fail) > 0 {
		err := p.fail[0]
		p.fail = p.fail[1:]
		p.mu.Unlock()
		return nil, err
	}
	p.mu.Unlock()
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.end); return nil }
func (p *pipes) Addr() net.Addr { return address("here") }

// dial connects from an address.
func (p *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	p.conns <- piped{server, address(from)}
	return client
}

func TestAcceptGoesOnAfterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := scheduler.NewReal()
		var told []string
		sched.OnFailure(func(what string, err error) { told = append(told, what+": "+err.Error()) })
		e := entrance.New(sched, entrance.Limits{})
		p := newPipes()
		for range 20 {
			p.fail = append(p.fail, &net.OpError{Op: "accept", Err: syscall.EMFILE})
		}
		l := e.Listener("mqtt", p, 0)
		defer func() { _ = l.Close() }()
		started := time.Now()
		done := make(chan error)
		go func() {
			c, err := l.Accept()
			if err == nil {
				err = c.Close()
			}
			done <- err
		}()
		time.Sleep(8 * time.Second)
		if failing := e.Report().Failing(); len(failing) != 1 || !strings.Contains(failing[0], "mqtt: ") {
			t.Errorf("failing: %q", failing)
		}
		client := p.dial("10.0.0.1:1")
		defer func() { _ = client.Close() }()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took < 8*time.Second || took > 20*time.Second {
			t.Errorf("20 failures took %v", took)
		}
		if r := e.Report(); len(r.Failing()) != 0 || r.Listeners["mqtt"].Failures != 20 ||
			r.Listeners["mqtt"].Accepted != 1 || r.Open != 0 {
			t.Errorf("report %+v", r)
		}
		if len(told) != 1 {
			t.Errorf("told %q, want the first of the row", told)
		}
	})
}

func TestCloseEndsAFailingListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := scheduler.NewReal()
		sched.OnFailure(func(string, error) {})
		p := newPipes()
		for range 1000 {
			p.fail = append(p.fail, syscall.EMFILE)
		}
		l := entrance.New(sched, entrance.Limits{}).Listener("http", p, 0)
		done := make(chan error)
		go func() { _, err := l.Accept(); done <- err }()
		time.Sleep(10 * time.Second)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestConnectionsAreLimitedInAllAndByAddress(t *testing.T) {
	sched := scheduler.NewReal()
	e := entrance.New(sched, entrance.Limits{Connections: 4, PerAddress: 2, TurnedAway: 1})
	p := newPipes()
	l := e.Listener("mqtt", p, 0)
	accept := func(from string) net.Conn {
		p.dial(from)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	want := func(c net.Conn, turned bool) net.Conn {
		t.Helper()
		if entrance.TurnedAway(c) != turned {
			t.Errorf("turned away: %v, want %v", !turned, turned)
		}
		return c
	}
	closed := func(c net.Conn) {
		t.Helper()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		_ = c.Close() // twice counts once
	}
	first := want(accept("10.0.0.1:1"), false)
	want(accept("10.0.0.1:2"), false)
	over := want(accept("10.0.0.1:3"), true) // the address has two
	// There is room to turn one away; the next is closed without a word.
	p.dial("10.0.0.1:4")
	second := want(accept("10.0.0.2:1"), false)
	want(accept("10.0.0.2:2"), false)
	closed(over)
	closed(want(accept("10.0.0.3:1"), true)) // four are open in all
	closed(second)
	want(accept("10.0.0.3:2"), false)
	closed(first)
	want(accept("10.0.0.1:5"), false)
	if r := e.Report(); r.Open != 4 || r.Listeners["mqtt"].Open != 4 || r.Listeners["mqtt"].TurnedAway != 3 ||
		r.Listeners["mqtt"].Accepted != 6 {
		t.Errorf("report %+v", r)
	}
}

func TestDefaultLimitsLeaveDescriptors(t *testing.T) {
	r := entrance.New(scheduler.NewReal(), entrance.Limits{}).Report()
	if r.Connections < 16 || r.PerAddress >= r.Connections {
		t.Errorf("limits %+v", r)
	}
}

func TestAConnectionThatSaysNothingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := entrance.New(scheduler.NewReal(), entrance.Limits{}).Listener("mqtt", p, 30*time.Second)
		started := time.Now()
		p.dial("10.0.0.1:1")
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Read(make([]byte, 1))
		if n, ok := errors.AsType[net.Error](err); !ok || !n.Timeout() || time.Since(started) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	})
}

// serve answers requests with the length of their bodies, over pipes.
func serve(t *testing.T, limits entrance.Limits, h http.HandlerFunc) *pipes {
	p := newPipes()
	e := entrance.New(scheduler.NewReal(), limits)
	server := &http.Server{Handler: e.Handler(h), ConnContext: entrance.ConnContext,
		ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = server.Serve(e.Listener("http", p, 0)) }()
	t.Cleanup(func() { _ = server.Close() })
	return p
}

func readAll(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		_, _ = io.WriteString(w, "done")
	}
}

// request sends a head and lets more send what follows; it returns the status
// and how long the answer took, 0 for none.
func request(c net.Conn, head string, more func(io.Writer)) (status int, took time.Duration) {
	started := time.Now()
	var sent sync.WaitGroup
	defer sent.Wait()
	sent.Go(func() {
		if _, err := io.WriteString(c, head); err == nil && more != nil {
			more(c)
		}
	})
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, time.Since(started)
	}
	_ = answer.Body.Close()
	return answer.StatusCode, time.Since(started)
}

func TestBodiesHaveToComeOn(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
	drip := func(n int, every time.Duration) func(io.Writer) {
		return func(w io.Writer) {
			for range 1000000 / n {
				if _, err := w.Write(make([]byte, n)); err != nil {
					return
				}
				time.Sleep(every)
			}
		}
	}
	for _, row := range []struct {
		name   string
		more   func(io.Writer)
		status int
		most   time.Duration
	}{
		{"at once", drip(1000000, 0), 200, time.Second},
		{"slow, but coming on", drip(10000, 8*time.Second), 200, 15 * time.Minute},
		{"nothing", nil, 408, 21 * time.Second},
		{"a byte now and then", drip(1, 10*time.Second), 408, 81 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, entrance.Limits{}, readAll).dial("10.0.0.1:1")
				defer func() { _ = c.Close() }()
				if status, took := request(c, head, row.more); status != row.status || took > row.most {
					t.Errorf("got %d after %v, want %d within %v", status, took, row.status, row.most)
				}
			})
		})
	}
}

func TestABodyThatNobodyReadsEndsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, entrance.Limits{}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
		})
		c := p.dial("10.0.0.1:1")
		defer func() { _ = c.Close() }()
		started := time.Now()
		go func() { _, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n") }()
		b, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 403") || time.Since(started) > time.Minute {
			t.Errorf("%q, %v after %v", b, err, time.Since(started))
		}
	})
}

// A client that waits for 100 Continue before it sends a body gets it also where the body is empty: botocore loses its
// way on a connection where the answer comes instead.
func TestAnEmptyBodyMayComeToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, entrance.Limits{}, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(b)
		})
		c := p.dial("10.0.0.1:1")
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		for _, body := range []string{"", "body", ""} {
			request := "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: " +
				strconv.Itoa(len(body)) + "\r\n\r\n"
			go func() { _, _ = io.WriteString(c, request) }()
			for i, status := range []int{http.StatusContinue, http.StatusOK} {
				answer, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if answer.StatusCode != status {
					t.Fatalf("of %q: %s, want %d", body, answer.Status, status)
				}
				if b, err := io.ReadAll(answer.Body); err != nil || i == 1 && string(b) != body {
					t.Errorf("%q, %v", b, err)
				}
				if i == 0 {
					go func() { _, _ = io.WriteString(c, body) }()
				}
			}
		}
	})
}

// A long poll's connection has no deadline while its handler waits, and serves
// the next request too.
func TestHandlersMayTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, entrance.Limits{}, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			select {
			case <-r.Context().Done():
				t.Error("the request was given up")
			case <-time.After(15 * time.Minute):
			}
			_, _ = w.Write(b)
		})
		c := p.dial("10.0.0.1:1")
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		for range 3 {
			go func() { _, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody") }()
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(answer.Body); err != nil || string(b) != "body" {
				t.Errorf("%q, %v", b, err)
			}
		}
	})
}

func TestAClientThatDoesNotReadLosesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		p := serve(t, entrance.Limits{}, func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			done <- err
		})
		c := p.dial("10.0.0.1:1")
		defer func() { _ = c.Close() }()
		started := time.Now()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil || time.Since(started) > 2*time.Minute {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	})
}

func TestHTTPBeyondTheLimitIsAnswered503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, entrance.Limits{Connections: 1}, readAll)
		first, second := p.dial("10.0.0.1:1"), p.dial("10.0.0.2:1")
		defer func() { _, _ = first.Close(), second.Close() }()
		synctest.Wait()
		const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
		if status, _ := request(second, get, nil); status != 503 {
			t.Errorf("beyond the limit: %d", status)
		}
		if status, _ := request(first, get, nil); status != 200 {
			t.Errorf("within the limit: %d", status)
		}
	})
}
