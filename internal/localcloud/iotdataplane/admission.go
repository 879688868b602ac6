package iotdataplane

import (
	"context"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

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
		return nil, &Refusal{Reason: ReasonServerError, Code: RefusedServerError,
			Message: "the connection could not be stored", Cause: err}
	}
	if old != nil {
		old.receiver.Ended(ReasonDuplicateClient)
		s.publishDisconnect(ctx, old, ReasonDuplicateClient, false)
	}
	return c, nil
}

// admit asks who the client is and whether it may connect.
func (s *Service) admit(ctx context.Context, o Options) (*Connection, error) {
	if o.ClientID == "" || len(o.ClientID) > 128 {
		return nil, &Refusal{Reason: ReasonClientError, Code: RefusedClientID,
			Message: "a client ID has 1 to 128 characters"}
	}
	if o.Will != nil {
		if err := o.Will.check(); err != nil {
			return nil, err
		}
	}
	c := &Connection{
		s: s, principal: Principal{ID: o.Username, ClientID: o.ClientID, SourceIP: o.SourceIP},
		window: receiveMaximum, willDelay: o.WillDelay, sourceIP: o.SourceIP, meter: newMeter(s.Limits),
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
		return c, s.checkConnectRate(o.ClientID)
	}
	p, err := s.Devices.Authenticate(ctx, o.Hello)
	if err != nil {
		return nil, &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "not authenticated",
			Cause: err}
	}
	p.ClientID, p.SourceIP = o.ClientID, o.SourceIP
	c.principal = p
	if c.will != nil {
		c.will.Principal = p.ID
	}
	if err := s.Devices.Authorize(ctx, p, "iot:Connect", s.arn("client", o.ClientID)); err != nil {
		s.connectFailed(ctx, o, p)
		return nil, &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized,
			Message: "not authorized to connect as " + o.ClientID, Cause: err}
	}
	return c, s.checkConnectRate(o.ClientID)
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
	var found bool
	if err := s.Store.View(func(tx *store.Tx) (err error) {
		past, found, err = presenceTable.Get(tx, id)
		return err
	}); err != nil {
		return nil, err
	}
	expiry := min(o.SessionExpiry, s.MaxSessionExpiry)
	var purge bool // what is stored for the session goes
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil, &Refusal{Reason: ReasonServerInitiated, Code: RefusedUnavailable,
			Message: "the broker is stopping"}
	}
	sess := s.sessions[id]
	if found {
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

// mayPublish checks a client's message: its form and size, and the client's policies. How
// fast it may publish is admitMessage's (limits.go).
func (s *Service) mayPublish(ctx context.Context, p Principal, m *Message) error {
	if err := m.check(); err != nil {
		return err
	}
	if kindOf(m.Topic) == closed {
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "the topic " + m.Topic +
			" is reserved"}
	}
	if s.Devices == nil {
		return nil
	}
	resource := s.arn("topic", m.Topic)
	if err := s.Devices.Authorize(ctx, p, "iot:Publish", resource); err != nil {
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized, Message: "not authorized to publish to " +
			m.Topic, Cause: err}
	}
	if m.Retain {
		if err := s.Devices.Authorize(ctx, p, "iot:RetainPublish", resource); err != nil {
			return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized,
				Message: "not authorized to retain on " + m.Topic, Cause: err}
		}
	}
	return nil
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
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized,
			Message: "basic ingest topics cannot be subscribed to"}
	}
	if c.s.Devices == nil {
		return nil
	}
	if err := c.s.Devices.Authorize(ctx, c.principal, "iot:Subscribe", c.s.arn("topicfilter", w.Filter)); err != nil {
		return &Refusal{Reason: ReasonAuthError, Code: RefusedNotAuthorized,
			Message: "not authorized to subscribe to " + w.Filter, Cause: err}
	}
	return nil
}

func (s *Service) mayReceive(c *Connection, name string) bool {
	if s.Devices == nil {
		return true
	}
	err := s.Devices.Authorize(context.Background(), c.principal, "iot:Receive", s.arn("topic", name))
	if err != nil {
		s.log.Info("message not delivered: not authorised to receive", "clientId", c.session.id, "topic", name)
	}
	return err == nil
}
