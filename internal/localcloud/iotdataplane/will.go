package iotdataplane

import (
	"context"
)

// publishDisconnect publishes the last will and the disconnected event.
func (s *Service) publishDisconnect(ctx context.Context, c *Connection, reason string, byClient bool) {
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
