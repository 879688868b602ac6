package iotdataplane

import (
	"context"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Limits of AWS IoT Core for one connection.
const (
	receiveMaximum = 100                    // unacknowledged messages to a client
	backlogMaximum = 10000                  // messages that wait for a slow client
	storedInterval = 100 * time.Millisecond // between stored messages after a reconnect: 10 a second
	maxFilters     = 8                      // in one SUBSCRIBE
)

// Receiver is the client's end of a connection. Its methods must neither wait
// nor call the connection.
type Receiver interface {
	// Deliver hands a message over. A message of QoS 1 has a token, which
	// the client gives back to Ack; again says that the client may have had it
	// before.
	Deliver(m Message, token uint64, again bool)
	// Ended says that the broker has ended the connection.
	Ended(reason string)
}

// Connection is an attached client.
type Connection struct {
	s          *Service
	session    *session
	receiver   Receiver
	principal  Principal
	presence   presenceRecord
	present    bool
	window     int
	will       *Message
	willDelay  time.Duration
	sourceIP   string
	expiryMade time.Duration
	stored     bool // the store has the session, or something left of it
	// before is when the connection before this one ended: stored messages that
	// are older may have been sent over it.
	before time.Time

	mu       sync.Mutex
	meter    meter
	closed   bool
	started  bool   // Resume was called
	loading  bool   // stored copies are being sent
	loaded   uint64 // number of the last stored copy that was sent
	missed   bool   // a stored copy came while loading
	token    uint64
	inflight map[uint64]uint64 // token to number of the stored copy
	waiting  []outgoingMessage
	requests []Message
	asking   bool
}

type outgoingMessage struct {
	message   Message
	number    uint64
	duplicate bool
}

// SessionPresent reports whether the connection continues a session.
func (c *Connection) SessionPresent() bool { return c.present }

// SessionExpiry is how long the session will outlive the connection.
func (c *Connection) SessionExpiry() time.Duration { return c.expiryMade }

// Principal is who the client is.
func (c *Connection) Principal() Principal { return c.principal }

// Resume begins delivery: first the stored messages, at AWS's pace.
func (c *Connection) Resume() {
	c.mu.Lock()
	c.started = true
	c.loading = c.present && c.stored
	load := c.loading
	early := c.waiting
	c.waiting = nil
	for _, p := range early {
		c.pass(p)
	}
	c.mu.Unlock()
	if load {
		c.s.Scheduler.Go("iotdataplane stored messages", c.load)
	}
}

// load sends the stored copies.
func (c *Connection) load() {
	s, id := c.s, c.session.id
	c.mu.Lock()
	after := c.loaded
	c.mu.Unlock()
	for {
		var number uint64
		var m Message
		found := false
		err := s.Store.View(func(tx *store.Tx) error {
			for row, err := range queuedTable.Scan(tx, store.Query{Prefix: []string{id},
				After: []string{store.Number(after)}}) {
				if err != nil {
					return err
				}
				number, m, found = store.ParseNumber(row.Key[1]), row.Value, true
				break
			}
			return nil
		})
		if err != nil {
			s.log.Error("stored messages not read", "clientId", id, "error", err)
		}
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return
		}
		if !found {
			if !c.missed || err != nil {
				c.loading = false
				c.mu.Unlock()
				return
			}
			c.missed = false
			c.mu.Unlock()
			continue
		}
		c.mu.Unlock()
		after = number
		aged, alive := m.withRemainingExpiry(s.Scheduler.Now())
		if !alive || !s.mayReceive(c, m.Topic) {
			s.removeCopies(acknowledgedCopy{id, number})
			continue
		}
		c.mu.Lock()
		if !c.closed {
			c.loaded = number
			c.pass(outgoingMessage{aged, number, !m.ReceivedAt.After(c.before)})
		}
		c.mu.Unlock()
		if s.Scheduler.Sleep(context.Background(), storedInterval) != nil {
			return
		}
	}
}

// send hands a message to the client, or keeps it until there is room.
func (c *Connection) send(m Message, number uint64, now time.Time) {
	m, alive := m.withRemainingExpiry(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed || !alive:
	case number > 0 && number <= c.loaded: // load was faster
	case number > 0 && c.loading:
		c.missed = true // load will find it in the store
	case c.started && !c.mayDeliver(&m, now):
		if number > 0 { // its copy is in the store: load sends it at its own pace
			c.loading, c.missed = true, true
			c.s.Scheduler.Go("iotdataplane stored messages", c.load)
		}
	case !c.started:
		if number > 0 && c.present {
			return // load will find it in the store
		}
		c.waiting = append(c.waiting, outgoingMessage{message: m, number: number})
	default:
		c.loaded = max(c.loaded, number)
		c.pass(outgoingMessage{message: m, number: number})
	}
}

// pass delivers within the client's window; c.mu is held.
func (c *Connection) pass(p outgoingMessage) {
	if p.message.QoS == 0 {
		c.receiver.Deliver(p.message, 0, false) // [MQTT-3.3.1-2]
		return
	}
	if len(c.inflight) >= c.window {
		if len(c.waiting) < backlogMaximum {
			c.waiting = append(c.waiting, p)
		} else {
			c.s.log.Warn("message dropped: the client does not acknowledge", "clientId", c.session.id, "topic",
				p.message.Topic)
		}
		return
	}
	if c.inflight == nil {
		c.inflight = map[uint64]uint64{}
	}
	c.token++
	c.inflight[c.token] = p.number
	c.receiver.Deliver(p.message, c.token, p.duplicate)
}

// Ack acknowledges a message of QoS 1.
func (c *Connection) Ack(token uint64) {
	c.mu.Lock()
	number, ok := c.inflight[token]
	delete(c.inflight, token)
	if ok && !c.closed && len(c.waiting) > 0 {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.pass(next)
	}
	c.mu.Unlock()
	if number > 0 {
		c.s.removeCopies(acknowledgedCopy{c.session.id, number})
	}
}

// Publish publishes as the client and waits until the message is accepted. A
// Refusal means that the client is to be disconnected with its Reason;
// ErrDiscarded, that the client goes on without an acknowledgement.
func (c *Connection) Publish(ctx context.Context, m Message) error {
	sub, err := c.submission(ctx, m)
	if err != nil {
		return err
	}
	return c.s.publish(ctx, sub)
}

// Submit is Publish without waiting for more than the limit of bytes: done is
// called, and must not wait, once the message is accepted. Messages are accepted in the order of their calls. An
// error means that done will not be called.
func (c *Connection) Submit(ctx context.Context, m Message, done func(error)) error {
	sub, err := c.submission(ctx, m)
	if err != nil {
		return err
	}
	sub.done = done
	c.s.submit(sub)
	return nil
}

func (c *Connection) submission(ctx context.Context, m Message) (submission, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed || c.cut("message of "+c.session.id) {
		return submission{}, ErrClosed
	}
	if err := c.admitMessage(ctx, &m); err != nil {
		return submission{}, err
	}
	m.ClientID, m.Principal, m.SourceIP, m.FromService = c.session.id, c.principal.ID, c.sourceIP, false
	err := c.s.mayPublish(ctx, c.principal, &m)
	c.s.count("PublishIn", err)
	return submission{message: m, from: c}, err
}

// Leave ends the connection by the client's word: no will is published unless
// the client asks for it.
func (c *Connection) Leave(ctx context.Context, withWill bool) {
	if !withWill {
		c.mu.Lock()
		c.will = nil
		c.mu.Unlock()
	}
	c.end(ctx, ReasonClientInitiated, true)
}

// Lost ends a connection whose client is gone without a word, for one of the
// reasons above.
func (c *Connection) Lost(ctx context.Context, reason string) { c.end(ctx, reason, false) }

// Disconnect ends the connection from the broker's side.
func (c *Connection) Disconnect(ctx context.Context, reason string) {
	if c.end(ctx, reason, false) {
		c.receiver.Ended(reason)
	}
}

// stop lets nothing more be delivered. It reports whether it did anything.
func (c *Connection) stop() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	c.waiting, c.inflight = nil, nil
	return true
}

// drop takes the connection out of its session. It reports whether the session
// was still this connection's.
func (s *Service) drop(c *Connection) (mine, persistent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := c.session
	if sess.conn != c {
		return false, false
	}
	sess.conn = nil
	sess.disconnectedAt = s.Scheduler.Now()
	if sess.expiry > 0 {
		return true, true
	}
	s.removeSubscriptions(sess)
	if sess.will == nil {
		delete(s.sessions, sess.id)
	}
	return true, false
}

func (c *Connection) end(ctx context.Context, reason string, byClient bool) bool {
	if !c.stop() {
		return false
	}
	mine, persistent := c.s.drop(c)
	if !mine {
		return false // taken over: whoever did it publishes the end
	}
	if persistent {
		c.s.mu.Lock()
		record := c.session.record()
		c.s.mu.Unlock()
		if err := c.s.Store.Update(func(tx *store.Tx) error {
			return sessionTable.Put(tx, record, c.session.id)
		}); err != nil {
			c.s.log.Error("session not stored", "clientId", c.session.id, "error", err)
		}
		c.s.expireLater(c.session)
	} else if c.stored { // the client wants nothing of it to outlive the connection
		c.s.erase(c.session.id)
	}
	c.s.publishDisconnect(ctx, c, reason, byClient)
	return true
}
