package iotdataplane

import (
	"errors"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// SetSessionExpiry changes how long the session will live, as a DISCONNECT
// may.
func (c *Connection) SetSessionExpiry(d time.Duration) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.session.conn == c {
		c.session.expiry = min(d, c.s.MaxSessionExpiry)
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
