package iotdataplane

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

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
