package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/entrance"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/broker"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// pipes is a listener in memory, so that time in a bubble is virtual. Its first
// Accepts fail.
type pipes struct {
	conns chan net.Conn
	end   chan struct{}
	once  sync.Once

	mu       sync.Mutex
	failures int
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "192.0.2.1:1" }

type pipeConn struct{ net.Conn }

func (pipeConn) RemoteAddr() net.Addr { return pipeAddr{} }

func (p *pipes) Accept() (net.Conn, error) {
	p.mu.Lock()
	if p.failures > 0 {
		p.failures--
		p.mu.Unlock()
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	p.mu.Unlock()
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.end) }); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- pipeConn{server}
	return client
}

// memory is a broker whose plain and TLS listeners are in memory.
type memory struct {
	core       *iotdataplane.Service
	entrance   *entrance.Entrance
	plain, tls *pipes
	close      func()
}

func inMemory(t *testing.T, limits iotdataplane.Limits, connections entrance.Limits, failures int) *memory {
	t.Helper()
	sched := scheduler.NewReal()
	sched.OnFailure(func(string, error) {})
	core, err := iotdataplane.New(iotdataplane.Config{Platform: platform.Platform{Scheduler: sched,
		Store: store.Memory(), Account: account, Region: "us-east-1"}, Devices: devices{}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{core: core, entrance: entrance.New(sched, connections)}
	b, err := broker.New(broker.Config{Core: core, Scheduler: sched, Entrance: m.entrance})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []**pipes{&m.plain, &m.tls} {
		*p = &pipes{conns: make(chan net.Conn, 1000), end: make(chan struct{}), failures: failures}
	}
	if err := errors.Join(b.Listen(m.plain), b.ListenTLS(m.tls, &tls.Config{MinVersion: tls.VersionTLS12}),
		b.Serve()); err != nil {
		t.Fatal(err)
	}
	m.close = func() {
		if err := errors.Join(core.Close(context.Background()), b.Close()); err != nil {
			t.Error(err)
		}
	}
	return m
}

// connect is a CONNECT of a version, with a keep-alive of ten minutes.
func connect(version byte, id string) []byte {
	body := []byte{0, 4, 'M', 'Q', 'T', 'T', version, 2, 0x02, 0x58}
	if version == 5 {
		body = append(body, 0)
	}
	body = append(append(body, 0, byte(len(id))), id...)
	return append([]byte{0x10, byte(len(body))}, body...)
}

// enter sends a CONNECT and returns the code of the CONNACK.
func enter(t *testing.T, c net.Conn, version byte, id string) byte {
	t.Helper()
	go func() { _, _ = c.Write(connect(version, id)) }()
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil || head[0] != 0x20 {
		t.Fatalf("CONNACK: %x, %v", head, err)
	}
	if _, err := io.CopyN(io.Discard, c, int64(head[1])-2); err != nil {
		t.Fatal(err)
	}
	return head[3]
}

func TestListenersOutliveAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, iotdataplane.Limits{}, entrance.Limits{}, 50)
		defer m.close()
		for range 3 {
			c := m.plain.dial()
			if code := enter(t, c, 4, "dev"); code != 0 {
				t.Errorf("CONNACK %d", code)
			}
			_ = c.Close()
		}
	})
}

func TestHalfOpenConnectionsAreCutOff(t *testing.T) {
	for _, row := range []struct {
		name string
		tls  bool
		send []byte
	}{
		{"nothing", false, nil}, {"half a CONNECT", false, connect(4, "dev")[:9]}, {"no end of a length", false,
			[]byte{0x10, 0xff}},
		{"no TLS hello", true, nil}, {"half a TLS hello", true, []byte{0x16, 3, 1, 2, 0, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := inMemory(t, iotdataplane.Limits{}, entrance.Limits{}, 0)
				defer m.close()
				l := m.plain
				if row.tls {
					l = m.tls
				}
				c := l.dial()
				started := time.Now()
				go func() { _, _ = c.Write(row.send) }()
				if _, err := io.Copy(io.Discard, c); err != nil || time.Since(started) != 30*time.Second {
					t.Errorf("%v after %v", err, time.Since(started))
				}
			})
		})
	}
}

// A client that has connected is held to its keep-alive alone.
func TestAConnectedClientIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, iotdataplane.Limits{}, entrance.Limits{}, 0)
		defer m.close()
		c := m.plain.dial()
		enter(t, c, 4, "dev")
		time.Sleep(10 * time.Minute)
		go func() { _, _ = c.Write([]byte{0xc0, 0}) }()
		answer := make([]byte, 2)
		if _, err := io.ReadFull(c, answer); err != nil || !bytes.Equal(answer, []byte{0xd0, 0}) {
			t.Errorf("PINGRESP: %x, %v", answer, err)
		}
	})
}

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, iotdataplane.Limits{}, entrance.Limits{Connections: 2, PerAddress: 2}, 0)
		defer m.close()
		first := m.plain.dial()
		for i, c := range []net.Conn{first, m.plain.dial()} {
			if code := enter(t, c, 4, string(rune('a'+i))); code != 0 {
				t.Fatalf("client %d: CONNACK %d", i, code)
			}
		}
		if code := enter(t, m.plain.dial(), 5, "c"); code != 0x97 {
			t.Errorf("MQTT 5: CONNACK %#x, want quota exceeded", code)
		}
		if code := enter(t, m.plain.dial(), 4, "d"); code != 3 {
			t.Errorf("MQTT 3.1.1: CONNACK %d, want server unavailable", code)
		}
		if list := m.core.Throttled(); len(list) != 2 || list[0].Refused != 1 {
			t.Errorf("throttled %+v", list)
		}
		_ = first.Close()
		synctest.Wait()
		if code := enter(t, m.plain.dial(), 4, "e"); code != 0 {
			t.Errorf("once there is room: CONNACK %d", code)
		}
	})
}

func TestAFlooderGetsNoAcknowledgementsAndIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := inMemory(t, iotdataplane.AWSLimits, entrance.Limits{}, 0)
		defer m.close()
		c := m.plain.dial()
		enter(t, c, 5, "dev")
		var mu sync.Mutex
		acknowledged, disconnect := 0, byte(0)
		over := make(chan struct{})
		go func() {
			defer close(over)
			head := make([]byte, 2)
			for {
				if _, err := io.ReadFull(c, head); err != nil {
					return
				}
				rest := make([]byte, head[1])
				if _, err := io.ReadFull(c, rest); err != nil {
					return
				}
				mu.Lock()
				switch head[0] >> 4 {
				case 4:
					acknowledged++
				case 14:
					disconnect = rest[0]
				}
				mu.Unlock()
			}
		}()
		fifth := func(n int) []byte { // MQTT 5 has a length of properties
			var all []byte
			for i := range n {
				all = append(all, 0x32, 7, 0, 1, 'a', byte((i+1)>>8), byte(i+1), 0, 'x')
			}
			return all
		}
		seconds := 0
		for ; seconds < 60; seconds++ {
			if _, err := c.Write(fifth(300)); err != nil {
				break
			}
			if seconds == 0 {
				synctest.Wait()
				mu.Lock()
				if acknowledged != 100 {
					t.Errorf("300 messages at once: %d acknowledged", acknowledged)
				}
				mu.Unlock()
			}
			time.Sleep(time.Second)
		}
		<-over
		if seconds < 10 || seconds > 12 || disconnect != 0x96 {
			t.Errorf("disconnected after %d seconds with %#x, want message rate too high", seconds, disconnect)
		}
		if list := m.core.Throttled(); len(list) != 1 || list[0].ClientID != "dev" || list[0].Disconnected != 1 {
			t.Errorf("throttled %+v", list)
		}
		if p, ok, err := m.core.Connectivity("dev"); err != nil || !ok ||
			p.DisconnectReason != iotdataplane.ReasonThrottled {
			t.Errorf("presence %+v, %v, %v", p, ok, err)
		}
	})
}

func TestOneSubscriptionTooManyClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := iotdataplane.AWSLimits
		limits.Subscriptions = 1
		m := inMemory(t, limits, entrance.Limits{}, 0)
		defer m.close()
		c := m.plain.dial()
		enter(t, c, 4, "dev")
		go func() { _, _ = c.Write([]byte{0x82, 10, 0, 1, 0, 1, 'a', 1, 0, 1, 'b', 1}) }()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, []byte{0x90, 4, 0, 1, 1, 0x80}) {
			t.Errorf("got %x, %v; want a SUBACK that refuses the second, then the end", got, err)
		}
	})
}
