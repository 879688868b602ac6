package iotdataplane

import (
	"context"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
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

// Subscribe adds subscriptions and returns one result for each: nil or a
// Refusal; if one has the reason THROTTLED, the client is to be disconnected. Retained messages
// follow for those without wildcards.
func (c *Connection) Subscribe(ctx context.Context, wants ...Subscription) ([]error, error) {
	s := c.s
	results := make([]error, len(wants))
	for i, w := range wants {
		results[i] = c.maySubscribe(ctx, w)
		if i >= maxFilters {
			results[i] = &Refusal{Reason: ReasonClientError, Code: RefusedFilter,
				Message: "one SUBSCRIBE holds at most 8 filters"}
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
	room := s.room(c.session, wants)
	for i, w := range wants {
		if results[i] == nil && i >= room {
			results[i] = &Refusal{Reason: ReasonThrottled, Code: RefusedQuota,
				Message: fmt.Sprintf("a session has at most %d subscriptions", s.Limits.Subscriptions)}
		}
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
	if room < len(wants) {
		s.throttled(c.session.id, "Subscribe.Throttle", func(t *Throttled) { t.Refused += int64(len(wants) - room) })
	}
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
