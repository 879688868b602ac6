package iotdataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/limit"
)

// Limits bound what one connection may do. The zero value bounds nothing.
type Limits struct {
	// Publishes is how many messages a second may come in, and as many go
	// out. Those beyond it are discarded: one of QoS 1 gets no PUBACK.
	Publishes int
	// Bytes is how much a second may come in, and as much go out. What is
	// beyond it is delayed.
	Bytes int
	// Subscriptions is how many a session may have. A request for more is
	// refused, and the connection closed.
	Subscriptions int
	// ConnectEvery is how long a client ID waits between connections.
	ConnectEvery time.Duration
	// FloodSeconds is for how many seconds in a row a client may send more
	// than Publishes before it is disconnected as THROTTLED.
	FloodSeconds int
}

// AWSLimits are AWS IoT Core's quotas ("AWS IoT Core message broker and protocol
// limits and quotas", AWS General Reference, 2026): publish requests per second
// per connection 100, in and out, those beyond are discarded; throughput per
// second per connection 512 KB, what is beyond is delayed in processing;
// subscriptions per connection 50, beyond which the request is rejected and the
// connection closed; connect requests per second per client ID 1. Users see that
// discarded messages alone do not end a connection (Classmethod, "behaviour of MQTT
// messages when throttling occurs in AWS IoT Core"), while life-cycle events know
// the reason THROTTLED, "for exceeding a throttling limit". When AWS goes from
// the one to the other is not documented; ten seconds in a row are our choice.
var AWSLimits = Limits{Publishes: 100, Bytes: 512 << 10, Subscriptions: 50, ConnectEvery: time.Second,
	FloodSeconds: 10}

// ErrDiscarded is returned for a message beyond Limits.Publishes: nobody gets it,
// and it is not acknowledged.
var ErrDiscarded = errors.New(
	"iotdataplane: the message was discarded: it is more than the connection may send in a second")

// maxThrottled is how many clients Throttled remembers.
const maxThrottled = 256

// Throttled is what a client has gone beyond its limits since the service was
// made.
type Throttled struct {
	ClientID     string    `json:"clientId"`
	Discarded    int64     `json:"discarded"`    // messages, in and out
	Refused      int64     `json:"refused"`      // connections and subscriptions
	Disconnected int64     `json:"disconnected"` // times
	Last         time.Time `json:"last"`
}

// Throttled lists the clients that went beyond their limits, those with the
// most discarded messages first.
func (s *Service) Throttled() []Throttled {
	s.throttle.Lock()
	defer s.throttle.Unlock()
	list := make([]Throttled, 0, len(s.throttle.by))
	for _, id := range sortedKeys(s.throttle.by) {
		list = append(list, *s.throttle.by[id])
	}
	slices.SortStableFunc(list, func(a, b Throttled) int { return cmp.Compare(b.Discarded, a.Discarded) })
	return list
}

// throttled notes what a client did beyond a limit, under a metric of AWS/IoT.
func (s *Service) throttled(id, metric string, note func(t *Throttled)) {
	s.throttle.Lock()
	t := s.throttle.by[id]
	if t == nil && len(s.throttle.by) < maxThrottled {
		t = &Throttled{ClientID: id}
		s.throttle.by[id] = t
	}
	if t != nil {
		note(t)
		t.Last = s.Scheduler.Now()
	}
	s.throttle.Unlock()
	if s.Metrics != nil {
		s.Metrics.Count(metric)
	}
}

// meter is what one connection has used of its limits; Connection.mu guards it.
type meter struct {
	in, out  limit.Bucket // messages
	bytesIn  limit.Bucket
	flood    limit.Flood
	lostOut  limit.Flood
	finished bool // disconnected for a flood
}

func newMeter(l Limits) meter {
	return meter{in: limit.Bucket{Rate: l.Publishes}, out: limit.Bucket{Rate: l.Publishes},
		bytesIn: limit.Bucket{Rate: l.Bytes}}
}

// admitMessage lets a client's message in, discards it, or refuses the client
// that has sent too many for too long. It waits for what is beyond the bytes a
// second.
func (c *Connection) admitMessage(ctx context.Context, m *Message) error {
	s := c.s
	now := s.Scheduler.Now()
	c.mu.Lock()
	passes := c.meter.in.Take(now, 1)
	var wait time.Duration
	var seconds int
	first, over := false, false
	if passes {
		wait = c.meter.bytesIn.Wait(now, len(m.Topic)+len(m.Payload))
	} else {
		seconds, first = c.meter.flood.Beyond(now)
		over = s.Limits.FloodSeconds > 0 && seconds > s.Limits.FloodSeconds && !c.meter.finished
		c.meter.finished = c.meter.finished || over
	}
	c.mu.Unlock()
	if wait > 0 {
		return s.Scheduler.Sleep(ctx, wait)
	}
	if passes {
		return nil
	}
	s.throttled(c.session.id, "PublishIn.Throttle", func(t *Throttled) {
		t.Discarded++
		if over {
			t.Disconnected++
		}
	})
	if first {
		if s.Metrics != nil {
			s.Metrics.Count("Throttle.Exceeded")
		}
		s.log.Warn("publishes discarded", "clientId", c.session.id, "topic", m.Topic, "limit", s.Limits.Publishes,
			"seconds", seconds)
	}
	if over {
		return &Refusal{Reason: ReasonThrottled, Code: RefusedRate,
			Message: fmt.Sprintf("more than %d messages a second for %d seconds", s.Limits.Publishes,
				s.Limits.FloodSeconds)}
	}
	return ErrDiscarded
}

// mayDeliver lets a message out or discards it; c.mu is held.
func (c *Connection) mayDeliver(m *Message, now time.Time) bool {
	if c.meter.out.Take(now, 1) {
		return true
	}
	_, first := c.meter.lostOut.Beyond(now)
	c.s.throttled(c.session.id, "PublishOut.Throttle", func(t *Throttled) { t.Discarded++ })
	if first {
		c.s.log.Warn("messages to a client discarded", "clientId", c.session.id, "topic", m.Topic, "limit",
			c.s.Limits.Publishes)
	}
	return false
}

// room returns how many of the wanted filters the session has room for; s.mu is
// held.
func (s *Service) room(sess *session, wants []Subscription) int {
	if s.Limits.Subscriptions == 0 {
		return len(wants)
	}
	fresh := map[string]bool{}
	for i, w := range wants {
		if _, known := sess.subs[w.Filter]; !known {
			fresh[w.Filter] = true
		}
		if len(sess.subs)+len(fresh) > s.Limits.Subscriptions {
			return i
		}
	}
	return len(wants)
}

// checkConnectRate refuses a client ID that has connected just now.
func (s *Service) checkConnectRate(id string) error {
	s.throttle.Lock()
	pass := s.throttle.connects.Pass(s.Scheduler.Now(), id)
	s.throttle.Unlock()
	if pass {
		return nil
	}
	s.throttled(id, "Connect.Throttle", func(t *Throttled) { t.Refused++ })
	return &Refusal{Reason: ReasonThrottled, Code: RefusedConnectRate,
		Message: fmt.Sprintf("a client ID connects once in %v", s.Limits.ConnectEvery)}
}

// Overcrowded is the refusal of a client that comes when as many connections
// are open as there may be.
func (s *Service) Overcrowded(id string) error {
	s.throttled(id, "Connect.Throttle", func(t *Throttled) { t.Refused++ })
	return &Refusal{Reason: ReasonThrottled, Code: RefusedQuota, Message: "too many connections are open"}
}
