package iotdataplane

import (
	"context"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// lost draws whether a notification comes to nobody: of a thing's next job, or of
// a client's presence. AWS promises neither.
func (s *Service) lost(m *Message) bool {
	if !m.FromService {
		return false
	}
	notification := strings.HasPrefix(m.Topic, "$aws/events/presence/") ||
		strings.HasPrefix(m.Topic, "$aws/things/") && strings.HasSuffix(m.Topic, "/notify-next")
	return notification && s.Weather.Draw(weather.Lost, m.Topic)
}

// cut draws whether the connection breaks at a message, which is lost with it. It
// does not wait for the end of the connection.
func (c *Connection) cut(what string) bool {
	if !c.s.Weather.Draw(weather.Cut, what) {
		return false
	}
	c.s.Scheduler.Go("iotdataplane connection that breaks", func() {
		c.Disconnect(context.Background(), ReasonConnectionLost)
	})
	return true
}
