package simulator

import (
	"context"
	"net/http"
	"sync"
)

// switchboard is a Transport that gives every client a broker of its own.
type switchboard struct {
	clock   Clock
	mu      sync.Mutex
	brokers map[string]*broker
}

func (s *switchboard) Connect(ctx context.Context, c Connection, h Handler) (Session, error) {
	s.mu.Lock()
	b := s.brokers[c.ClientID]
	if b == nil {
		b = &broker{clock: s.clock}
		s.brokers[c.ClientID] = b
	}
	s.mu.Unlock()
	return b.Connect(ctx, c, h)
}

// doer is an HTTPClient.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// silence is a Transport that takes everything and says nothing.
type silence struct{}

func (silence) Connect(context.Context, Connection, Handler) (Session, error) { return silence{}, nil }
func (silence) Publish(Publish) error                                         { return nil }
func (silence) Close(bool) error                                              { return nil }
