package iotdataplane

import (
	"context"
	"sync"
)

// Client is a client inside the process: a simulated device, or a test.
type Client struct {
	Options
	// OnMessage gets the client's messages, one after the other, in tasks of
	// the scheduler; it may wait and may use the connection. A message of
	// QoS 1 is acknowledged when it returns.
	OnMessage func(c *Connection, m Message)
	// OnEnd is told that the broker has ended the connection. May be nil.
	OnEnd func(reason string)
}

// Connect connects a client inside the process, with the same authentication
// and authorisation as over the network. Connections end with Leave or Lost.
func (s *Service) Connect(ctx context.Context, cl Client) (*Connection, error) {
	in := &inbox{s: s, client: cl}
	c, err := s.Attach(ctx, cl.Options, in)
	if err != nil {
		return nil, err
	}
	in.conn = c
	c.Resume()
	return c, nil
}

// inbox queues a client's messages for its task.
type inbox struct {
	s      *Service
	client Client
	conn   *Connection

	mu      sync.Mutex
	queue   []delivery
	reading bool
}

type delivery struct {
	message Message
	token   uint64
}

func (in *inbox) Deliver(m Message, token uint64, _ bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.queue = append(in.queue, delivery{m, token})
	if !in.reading {
		in.reading = true
		in.s.Scheduler.Go("iotdataplane client "+in.client.ClientID, in.read)
	}
}

func (in *inbox) read() {
	for {
		in.mu.Lock()
		if len(in.queue) == 0 {
			in.reading = false
			in.mu.Unlock()
			return
		}
		d := in.queue[0]
		in.queue = in.queue[1:]
		in.mu.Unlock()
		if in.client.OnMessage != nil {
			in.client.OnMessage(in.conn, d.message)
		}
		if d.token != 0 {
			in.conn.Ack(d.token)
		}
	}
}

func (in *inbox) Ended(reason string) {
	if in.client.OnEnd != nil {
		in.client.OnEnd(reason)
	}
}
