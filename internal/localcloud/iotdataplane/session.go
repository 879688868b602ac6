package iotdataplane

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Limits of AWS IoT Core for one connection.
const (
	receiveMaximum = 100                    // unacknowledged messages to a client
	backlogMaximum = 10000                  // messages that wait for a slow client
	storedInterval = 100 * time.Millisecond // between stored messages after a reconnect: 10 a second
	maxFilters     = 8                      // in one SUBSCRIBE
)

// Subscription is what a client asks to receive.
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool  `json:",omitempty"`
	RetainAsPublished bool  `json:",omitempty"`
	RetainHandling    uint8 `json:",omitempty"` // 0 send retained, 1 if new, 2 never
}

// subscription is a Subscription of a session, in the tree.
type subscription struct {
	Subscription
	session *session
	group   string // of a shared subscription
	match   string // the filter without $share/group/
}

// session outlives its connections if expiry is positive. Its fields are
// guarded by Service.mu.
type session struct {
	id             string
	conn           *Connection // nil while disconnected
	expiry         time.Duration
	disconnectedAt time.Time
	subs           map[string]*subscription
	last           uint64 // number of the latest stored copy
	timer          *scheduler.Timer
	will           *scheduler.Timer
}

// Options are a client's wishes for a connection.
type Options struct {
	Hello
	// Clean discards the session that is there.
	Clean bool
	// SessionExpiry is how long the session outlives the connection; 0 ends
	// both together. It is cut to Config.MaxSessionExpiry.
	SessionExpiry time.Duration
	// ReceiveMaximum is how many unacknowledged messages the client takes;
	// 0 is AWS's 100.
	ReceiveMaximum int
	// Will is published when the connection ends in any other way than by
	// the client's word.
	Will      *Message
	WillDelay time.Duration
}

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
	closed   bool
	started  bool   // Resume was called
	loading  bool   // stored copies are being sent
	loaded   uint64 // number of the last stored copy that was sent
	missed   bool   // a stored copy came while loading
	token    uint64
	inflight map[uint64]uint64 // token to number of the stored copy
	waiting  []parcel
	requests []Message
	asking   bool
}

type parcel struct {
	message Message
	number  uint64
	again   bool
}

// Attach connects a client. The returned connection delivers nothing before
// Resume is called.
func (s *Service) Attach(ctx context.Context, o Options, r Receiver) (*Connection, error) {
	c, err := s.admit(ctx, o)
	if err != nil {
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
		s.count("Connect", err)
		s.log.Info("connection refused", "clientId", o.ClientID, "sourceIp", o.SourceIP, "error", err)
		return nil, err
	}
	c.receiver = r
	now := s.Scheduler.Now()
	old, err := s.install(c, o)
	if err != nil {
		if c.session != nil {
			s.drop(c)
		}
		return nil, err
	}
	c.presence.Presence = Presence{
		ClientID: o.ClientID, Timestamp: now.UnixMilli(), At: now, EventType: "connected",
		SessionIdentifier: s.Scheduler.UUID(), PrincipalIdentifier: c.principal.ID,
		IPAddress: o.SourceIP, VersionNumber: c.presence.Version, ThingName: c.principal.ThingName,
	}
	if err := s.announce(ctx, c.presence, o.Will); err != nil {
		s.drop(c)
		return nil, &Refusal{Reason: ReasonServerError, Code: RefusedServerError, Message: "the connection could not be stored", Cause: err}
	}
	if old != nil {
		old.receiver.Ended(ReasonDuplicateClient)
		s.farewell(ctx, old, ReasonDuplicateClient, false)
	}
	return c, nil
}

// admit asks who the client is and whether it may connect.
func (s *Service) admit(ctx context.Context, o Options) (*Connection, error) {
	if o.ClientID == "" || len(o.ClientID) > 128 {
		return nil, &Refusal{Reason: ReasonClientError, Code: RefusedClientID, Message: "a client ID has 1 to 128 characters"}
	}
	if o.Will != nil {
		if err := o.Will.check(); err != nil {
			return nil, err
		}
	}
	c := &Connection{
		s: s, principal: Principal{ID: o.Username, ClientID: o.ClientID, SourceIP: o.SourceIP},
		window: receiveMaximum, willDelay: o.WillDelay, sourceIP: o.SourceIP,
	}
	if o.ReceiveMaximum > 0 {
		c.window = min(o.ReceiveMaximum, receiveMaximum)
	}
	if o.Will != nil {
		w := *o.Will
		w.ClientID, w.SourceIP = o.ClientID, o.SourceIP
		c.will = &w
	}
	if s.Devices == nil {
		return c, nil
	}
	p, err := s.Devices.Authenticate(ctx, o.Hello)
	if err != nil {
		return nil, &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "not authenticated", Cause: err}
	}
	p.ClientID, p.SourceIP = o.ClientID, o.SourceIP
	c.principal = p
	if c.will != nil {
		c.will.Principal = p.ID
	}
	if err := s.Devices.Authorize(ctx, p, "iot:Connect", s.arn("client", o.ClientID)); err != nil {
		s.connectFailed(ctx, o, p)
		return nil, &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "not authorized to connect as " + o.ClientID, Cause: err}
	}
	return c, nil
}

// connectFailed publishes the event of an authenticated client that may not
// connect.
func (s *Service) connectFailed(ctx context.Context, o Options, p Principal) {
	if eventless(o.ClientID) {
		return
	}
	now := s.Scheduler.Now()
	m := s.event("$aws/events/presence/connect_failed/"+o.ClientID, Presence{
		ClientID: o.ClientID, Timestamp: now.UnixMilli(), EventType: "connect_failed",
		SessionIdentifier: s.Scheduler.UUID(), PrincipalIdentifier: p.ID, IPAddress: o.SourceIP,
		DisconnectReason: ReasonAuthError,
	})
	if err := s.Publish(ctx, m); err != nil {
		s.log.Error("event not published", "topic", m.Topic, "error", err)
	}
}

// install puts the connection into its session and returns the one it replaces.
func (s *Service) install(c *Connection, o Options) (old *Connection, err error) {
	id := o.ClientID
	var past presenceRecord
	var known bool
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		past, known, err = presenceTable.Get(tx, id)
		return err
	}); err != nil {
		return nil, err
	}
	expiry := min(o.SessionExpiry, s.MaxSessionExpiry)
	var purge bool // what is stored for the session goes
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil, &Refusal{Reason: ReasonServerInitiated, Code: RefusedUnavailable, Message: "the broker is stopping"}
	}
	sess := s.sessions[id]
	if known {
		c.presence.Version = past.Version + 1
	}
	c.stored = expiry > 0
	if sess != nil {
		old = sess.conn
		if old != nil && old.presence.Version >= c.presence.Version {
			c.presence.Version = old.presence.Version + 1
		}
		sess.timer.Stop()
		sess.timer = nil
		if !o.Clean {
			sess.will.Stop() // the session lives on: a delayed will is not published
			sess.will = nil
		}
		if o.Clean || (sess.expiry == 0 && old != nil) {
			purge = sess.expiry > 0
			s.removeSubscriptions(sess)
			last := sess.last
			sess = nil
			delete(s.sessions, id)
			sess = &session{id: id, last: last}
			s.sessions[id] = sess
		} else {
			c.present = true
			if c.before = sess.disconnectedAt; old != nil {
				c.before = s.Scheduler.Now()
			}
			c.stored = c.stored || sess.expiry > 0
		}
	} else {
		sess = &session{id: id}
		s.sessions[id] = sess
	}
	sess.expiry, sess.conn, sess.disconnectedAt = expiry, c, time.Time{}
	c.session, c.expiryMade = sess, expiry
	record := sess.record()
	s.mu.Unlock()
	if old != nil {
		old.stop()
	}
	if purge || c.stored {
		err = s.Store.Update(func(tx *store.Tx) error {
			if purge {
				if err := queuedTable.DeleteAll(tx, id); err != nil {
					return err
				}
			}
			if expiry == 0 {
				return sessionTable.Delete(tx, id)
			}
			return sessionTable.Put(tx, record, id)
		})
	}
	return old, err
}

func (sess *session) record() sessionRecord {
	r := sessionRecord{Expiry: sess.expiry, DisconnectedAt: sess.disconnectedAt}
	for _, f := range sortedKeys(sess.subs) {
		r.Subscriptions = append(r.Subscriptions, sess.subs[f].Subscription)
	}
	return r
}

// restore brings a session back from the store.
func (s *Service) restore(id string, r sessionRecord) {
	sess := &session{id: id, expiry: r.Expiry, disconnectedAt: r.DisconnectedAt}
	if sess.disconnectedAt.IsZero() {
		sess.disconnectedAt = s.Scheduler.Now()
	}
	s.sessions[id] = sess
	for _, sub := range r.Subscriptions {
		s.addSubscription(sess, sub)
	}
}

// addSubscription replaces the subscription of the same filter; s.mu is held
// or not yet needed.
func (s *Service) addSubscription(sess *session, want Subscription) (existed bool) {
	if have := sess.subs[want.Filter]; have != nil {
		have.Subscription = want
		return true
	}
	sub := &subscription{Subscription: want, session: sess, match: want.Filter}
	if group, rest, ok := topic.Shared(want.Filter); ok {
		sub.group, sub.match = group, rest
	}
	if sess.subs == nil {
		sess.subs = map[string]*subscription{}
	}
	sess.subs[want.Filter] = sub
	s.subscriptions.Add(sub.match, sub)
	return false
}

func (s *Service) removeSubscriptions(sess *session) {
	for _, sub := range sess.subs {
		s.subscriptions.Remove(sub.match, sub)
	}
	sess.subs = nil
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
	var after uint64
	for {
		var number uint64
		var m Message
		found := false
		err := s.Store.View(func(tx *store.Tx) error {
			for row, err := range queuedTable.Scan(tx, store.Query{Prefix: []string{id}, After: []string{store.Number(after)}}) {
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
		aged, alive := m.aged(s.Scheduler.Now())
		if !alive || !s.mayReceive(c, m.Topic) {
			s.forget(doomed{id, number})
			continue
		}
		c.mu.Lock()
		if !c.closed {
			c.loaded = number
			c.pass(parcel{aged, number, !m.ReceivedAt.After(c.before)})
		}
		c.mu.Unlock()
		if s.Scheduler.Sleep(context.Background(), storedInterval) != nil {
			return
		}
	}
}

// send hands a message to the client, or keeps it until there is room.
func (c *Connection) send(m Message, number uint64, now time.Time) {
	m, alive := m.aged(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed || !alive:
	case number > 0 && number <= c.loaded: // load was faster
	case number > 0 && c.loading:
		c.missed = true // load will find it in the store
	case !c.started:
		if number > 0 && c.present {
			return // load will find it in the store
		}
		c.waiting = append(c.waiting, parcel{message: m, number: number})
	default:
		c.pass(parcel{message: m, number: number})
	}
}

// pass delivers within the client's window; c.mu is held.
func (c *Connection) pass(p parcel) {
	if p.message.QoS == 0 {
		c.receiver.Deliver(p.message, 0, false) // [MQTT-3.3.1-2]
		return
	}
	if len(c.inflight) >= c.window {
		if len(c.waiting) < backlogMaximum {
			c.waiting = append(c.waiting, p)
		} else {
			c.s.log.Warn("message dropped: the client does not acknowledge", "clientId", c.session.id, "topic", p.message.Topic)
		}
		return
	}
	if c.inflight == nil {
		c.inflight = map[uint64]uint64{}
	}
	c.token++
	c.inflight[c.token] = p.number
	c.receiver.Deliver(p.message, c.token, p.again)
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
		c.s.forget(doomed{c.session.id, number})
	}
}

// Publish publishes as the client and waits until the message is accepted. A
// Refusal means that the client is to be disconnected with its Reason.
func (c *Connection) Publish(ctx context.Context, m Message) error {
	sub, err := c.submission(ctx, m)
	if err != nil {
		return err
	}
	return c.s.publish(ctx, sub)
}

// Submit is Publish without waiting: done is called, and must not wait, once
// the message is accepted. Messages are accepted in the order of their calls. An
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
	if closed {
		return submission{}, ErrClosed
	}
	m.ClientID, m.Principal, m.SourceIP, m.FromService = c.session.id, c.principal.ID, c.sourceIP, false
	err := c.s.mayPublish(ctx, c.principal, &m)
	c.s.count("PublishIn", err)
	return submission{message: m, from: c}, err
}

// mayPublish checks a client's message against the limits and its policies.
func (s *Service) mayPublish(ctx context.Context, p Principal, m *Message) error {
	if err := m.check(); err != nil {
		return err
	}
	if kindOf(m.Topic) == closed {
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "the topic " + m.Topic + " is reserved"}
	}
	if s.Devices == nil {
		return nil
	}
	resource := s.arn("topic", m.Topic)
	if err := s.Devices.Authorize(ctx, p, "iot:Publish", resource); err != nil {
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "not authorized to publish to " + m.Topic, Cause: err}
	}
	if m.Retain {
		if err := s.Devices.Authorize(ctx, p, "iot:RetainPublish", resource); err != nil {
			return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "not authorized to retain on " + m.Topic, Cause: err}
		}
	}
	return nil
}

// Subscribe adds subscriptions and returns one result for each: nil or a
// Refusal. Retained messages follow for those without wildcards.
func (c *Connection) Subscribe(ctx context.Context, wants ...Subscription) ([]error, error) {
	s := c.s
	results := make([]error, len(wants))
	for i, w := range wants {
		results[i] = c.maySubscribe(ctx, w)
		if i >= maxFilters {
			results[i] = &Refusal{Reason: ReasonClientError, Code: RefusedFilter, Message: "one SUBSCRIBE holds at most 8 filters"}
		}
		s.count("Subscribe", results[i])
	}
	var fresh []Subscription
	var names []string
	s.mu.Lock()
	if c.session.conn != c {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	for i, w := range wants {
		if results[i] != nil {
			continue
		}
		existed := s.addSubscription(c.session, w)
		names = append(names, w.Filter)
		if w.RetainHandling == 0 || (w.RetainHandling == 1 && !existed) {
			fresh = append(fresh, w)
		}
	}
	s.mu.Unlock()
	if err := c.keepSession(ctx, "subscribed", names); err != nil {
		return nil, err
	}
	for _, w := range fresh {
		if err := c.sendRetained(w); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (c *Connection) maySubscribe(ctx context.Context, w Subscription) error {
	if w.QoS > 1 {
		return &Refusal{Reason: ReasonClientError, Code: RefusedQoS, Message: "QoS 2 is not supported"}
	}
	filter := w.Filter
	if _, rest, ok := topic.Shared(filter); ok {
		filter = rest
	}
	if err := topic.CheckFilter(filter); err != nil {
		return &Refusal{Reason: ReasonClientError, Code: RefusedFilter, Message: "filter", Cause: err}
	}
	if kindOf(filter) == ingest {
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "basic ingest topics cannot be subscribed to"}
	}
	if c.s.Devices == nil {
		return nil
	}
	if err := c.s.Devices.Authorize(ctx, c.principal, "iot:Subscribe", c.s.arn("topicfilter", w.Filter)); err != nil {
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "not authorized to subscribe to " + w.Filter, Cause: err}
	}
	return nil
}

// keepSession stores a persistent session and publishes the subscription event.
func (c *Connection) keepSession(ctx context.Context, event string, filters []string) error {
	if len(filters) == 0 {
		return nil
	}
	s := c.s
	s.mu.Lock()
	record, keep := c.session.record(), c.session.expiry > 0
	s.mu.Unlock()
	p := c.presence.Presence
	sub := submission{
		message: s.event("$aws/events/subscriptions/"+event+"/"+p.ClientID, subscriptionEvent{
			ClientID: p.ClientID, Timestamp: s.Scheduler.Now().UnixMilli(), EventType: event,
			SessionIdentifier: p.SessionIdentifier, PrincipalIdentifier: p.PrincipalIdentifier, Topics: filters,
		}),
		silent: eventless(p.ClientID),
	}
	if keep {
		sub.also = func(tx *store.Tx) error { return sessionTable.Put(tx, record, p.ClientID) }
	}
	return s.publish(ctx, sub)
}

func (c *Connection) sendRetained(w Subscription) error {
	if topic.Wild(w.Filter) {
		return nil
	}
	if _, _, shared := topic.Shared(w.Filter); shared {
		return nil
	}
	var r retainedRecord
	var ok bool
	if err := c.s.Store.View(func(tx *store.Tx) (err error) {
		r, ok, err = retainedTable.Get(tx, w.Filter)
		return err
	}); err != nil || !ok {
		return err
	}
	if !c.s.mayReceive(c, w.Filter) {
		return nil
	}
	m := r.Message
	m.QoS, m.Retain = min(m.QoS, w.QoS), true
	c.send(m, 0, c.s.Scheduler.Now())
	return nil
}

// Unsubscribe removes subscriptions and reports which of them were there.
func (c *Connection) Unsubscribe(ctx context.Context, filters ...string) ([]bool, error) {
	s := c.s
	existed := make([]bool, len(filters))
	s.mu.Lock()
	if c.session.conn != c {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	for i, f := range filters {
		if sub := c.session.subs[f]; sub != nil {
			existed[i] = true
			s.subscriptions.Remove(sub.match, sub)
			delete(c.session.subs, f)
		}
	}
	s.mu.Unlock()
	return existed, c.keepSession(ctx, "unsubscribed", filters)
}

// SetSessionExpiry changes how long the session will live, as a DISCONNECT
// may.
func (c *Connection) SetSessionExpiry(d time.Duration) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.session.conn == c {
		c.session.expiry = min(d, c.s.MaxSessionExpiry)
	}
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
		return false // taken over: whoever did it says farewell
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
	c.s.farewell(ctx, c, reason, byClient)
	return true
}

// farewell publishes the last will and the disconnected event.
func (s *Service) farewell(ctx context.Context, c *Connection, reason string, byClient bool) {
	c.mu.Lock()
	will := c.will
	c.mu.Unlock()
	if will != nil {
		delay := min(c.willDelay, c.expiryMade)
		if delay > 0 && reason != ReasonDuplicateClient {
			s.mu.Lock()
			c.session.will = s.Scheduler.After(delay, "iotdataplane delayed will", func() {
				s.publishWill(context.Background(), c, *will)
			})
			s.mu.Unlock()
		} else {
			s.publishWill(ctx, c, *will)
		}
	}
	r := c.presence
	r.Presence.end(s.Scheduler.Now(), reason, byClient)
	if err := s.announce(ctx, r); err != nil {
		s.log.Error("presence event not published", "clientId", c.session.id, "error", err)
	}
}

func (s *Service) publishWill(ctx context.Context, c *Connection, will Message) {
	err := s.mayPublish(ctx, c.principal, &will)
	s.count("PublishIn", err)
	if err == nil {
		err = s.publish(ctx, submission{message: will, from: c})
	}
	if err != nil {
		s.log.Warn("last will not published", "clientId", c.session.id, "topic", will.Topic, "error", err)
	}
}

// expireLater sets the end of a disconnected persistent session.
func (s *Service) expireLater(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.conn != nil || s.sessions[sess.id] != sess {
		return
	}
	sess.timer.Stop()
	sess.timer = s.Scheduler.At(sess.disconnectedAt.Add(sess.expiry), "iotdataplane session expiry", func() {
		s.mu.Lock()
		if sess.conn != nil || s.sessions[sess.id] != sess {
			s.mu.Unlock()
			return
		}
		s.removeSubscriptions(sess)
		delete(s.sessions, sess.id)
		s.mu.Unlock()
		s.erase(sess.id)
	})
}

// erase removes what the store has of a session.
func (s *Service) erase(id string) {
	if err := s.Store.Update(func(tx *store.Tx) error {
		return errors.Join(sessionTable.Delete(tx, id), queuedTable.DeleteAll(tx, id))
	}); err != nil {
		s.log.Error("expired session not removed", "clientId", id, "error", err)
	}
}
