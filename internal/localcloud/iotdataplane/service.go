package iotdataplane

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/limit"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Hello is how a client introduces itself.
type Hello struct {
	ClientID    string
	Certificate *x509.Certificate // nil without mutual TLS
	Username    string
	Password    []byte
	SourceIP    string
}

// Principal is who a client turned out to be.
type Principal struct {
	// ID is the certificate's id, or whatever principal() shows in rules.
	ID string
	// ClientID is the client that connects under it.
	ClientID string
	// ThingName is set if presence events name a thing for this client.
	ThingName string
	// SourceIP is the address the client connects from.
	SourceIP string
	// Detail is the Devices' own; it comes back with every question.
	Detail any
}

// Devices knows clients and what they may do; the iot service is it.
type Devices interface {
	// Authenticate finds the principal of a client; an error refuses it.
	Authenticate(ctx context.Context, h Hello) (Principal, error)
	// Authorize returns nil if the principal's policies allow the action
	// (iot:Connect, iot:Publish, iot:RetainPublish, iot:Subscribe,
	// iot:Receive) on a resource, given as ARN.
	Authorize(ctx context.Context, p Principal, action, resource string) error
}

// Rules is the rules engine.
type Rules interface {
	// Prepare finds what the rules want of a message; nil if nothing. It
	// reads no state and waits for nothing.
	Prepare(m Message) Execution
}

// Execution is a message's way through the rules that match it.
type Execution interface {
	// Save writes the outbox row, in the transaction that accepts the
	// message; it is not called for messages of QoS 0.
	Save(tx *store.Tx) error
	// Start runs the actions, without waiting for them.
	Start()
}

// Reserved answers requests on topics below $aws/things/ (jobs).
type Reserved interface {
	// Handle answers a request by way of reply, which reaches the asking
	// client only, subscribed or not. It returns false for a topic that is
	// none of its own. Requests of one client come one after the other.
	Handle(ctx context.Context, c Asker, m Message, reply func(topic string, payload []byte)) (handled bool)
}

// Asker is the client that sent a request to a reserved topic.
type Asker struct {
	ClientID  string
	Principal Principal
}

// Metrics takes the broker's metrics of AWS/IoT with the dimension Protocol=MQTT,
// of which those of refusals are kept: Connect, PublishIn and Subscribe, each with
// .AuthError, .ClientError, .ServerError and .Throttle; PublishOut.Throttle; and
// Throttle.Exceeded once for each second in which a client sent too much.
type Metrics interface {
	// Count adds one to a metric; it must not wait.
	Count(metric string)
}

// Config is what the service needs.
type Config struct {
	platform.Platform

	Devices  Devices  // nil: every client is admitted and may do everything
	Rules    Rules    // nil: there are no rules
	Reserved Reserved // nil: requests are refused as not built
	Metrics  Metrics  // nil: nothing is counted

	// Changed is told of each connect and disconnect, after the presence
	// event is safe; it must not wait. May be nil.
	Changed func(Presence)
	// MaxSessionExpiry caps persistent sessions; 0 is AWS's hour.
	MaxSessionExpiry time.Duration
	// Limits bound each connection.
	Limits Limits
}

// Service is the data plane.
type Service struct {
	Config
	log *slog.Logger

	mu            sync.Mutex
	sessions      map[string]*session
	subscriptions topic.Tree[*subscription]
	turn          map[string]uint64 // shared subscriptions: whose turn it is
	refused       uint64
	stopped       bool

	accept struct {
		sync.Mutex
		pending   []submission
		active    bool // a batch is being accepted
		scheduled bool // a task is about to come that will
	}
	throttle struct {
		sync.Mutex
		by       map[string]*Throttled
		connects limit.Once
	}
	sweep struct {
		sync.Mutex
		pending []acknowledgedCopy
		running bool
	}
}

// New returns the service with its sessions as the store has them.
func New(c Config) (*Service, error) {
	if c.MaxSessionExpiry == 0 {
		c.MaxSessionExpiry = time.Hour
	}
	s := &Service{Config: c, log: c.Log, sessions: map[string]*session{}, turn: map[string]uint64{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.throttle.by, s.throttle.connects.Every = map[string]*Throttled{}, c.Limits.ConnectEvery
	err := c.Store.View(func(tx *store.Tx) error {
		for row, err := range sessionTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.restore(row.Key[0], row.Value)
		}
		for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
			for row, err := range queuedTable.Scan(tx, store.Query{Prefix: []string{id}, Reverse: true}) {
				if err != nil {
					return err
				}
				s.sessions[id].last = store.ParseNumber(row.Key[1])
				break
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("iotdataplane: load sessions: %w", err)
	}
	return s, nil
}

// Start reports the clients that were connected when the process died as
// disconnected, publishes their last wills, and lets old sessions expire.
func (s *Service) Start(ctx context.Context) error {
	lost := map[string]connectedRecord{}
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range connectedTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			lost[row.Key[0]] = row.Value
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range sortedKeys(lost) {
		var p presenceRecord
		if err := s.Store.View(func(tx *store.Tx) (err error) {
			p, _, err = presenceTable.Get(tx, id)
			return err
		}); err != nil {
			return err
		}
		if w := lost[id].Will; w != nil {
			if err := s.Publish(ctx, *w); err != nil {
				s.log.Warn("last will not published", "clientId", id, "error", err)
			}
		}
		p.Presence.end(s.Scheduler.Now(), ReasonServerError, false)
		if err := s.announce(ctx, p); err != nil {
			return err
		}
	}
	s.mu.Lock()
	var waiting []*session
	for _, id := range sortedKeys(s.sessions) {
		if sess := s.sessions[id]; sess.conn == nil {
			waiting = append(waiting, sess)
		}
	}
	s.mu.Unlock()
	for _, sess := range waiting {
		s.expireLater(sess)
	}
	return nil
}

// Close disconnects every client.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	var open []*Connection
	for _, id := range sortedKeys(s.sessions) {
		if c := s.sessions[id].conn; c != nil {
			open = append(open, c)
		}
	}
	s.mu.Unlock()
	for _, c := range open {
		c.Disconnect(ctx, ReasonServerInitiated)
	}
	return nil
}

// Residue lists what is unfinished: messages on their way in, and copies that
// persistent sessions have not acknowledged.
func (s *Service) Residue(ctx context.Context) []string {
	var out []string
	s.accept.Lock()
	if n := len(s.accept.pending); n > 0 {
		out = append(out, fmt.Sprintf("iotdataplane: %d messages wait to be accepted", n))
	}
	s.accept.Unlock()
	err := s.Store.View(func(tx *store.Tx) error {
		counts := map[string]int{}
		for row, err := range queuedTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			counts[row.Key[0]]++
		}
		for _, id := range sortedKeys(counts) {
			out = append(out, fmt.Sprintf("iotdataplane: %d messages wait for the persistent session of client %s",
				counts[id], id))
		}
		return nil
	})
	if err != nil {
		out = append(out, "iotdataplane: "+err.Error())
	}
	return out
}

// count counts a refusal; other errors are none.
func (s *Service) count(what string, err error) {
	r, ok := errors.AsType[*Refusal](err)
	if !ok || s.Metrics == nil {
		return
	}
	switch r.Reason {
	case ReasonAuthError:
		s.Metrics.Count(what + ".AuthError")
	case ReasonClientError:
		s.Metrics.Count(what + ".ClientError")
	case ReasonServerError:
		s.Metrics.Count(what + ".ServerError")
	}
}

// Refused is how many connections were refused since the service was made.
func (s *Service) Refused() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

func (s *Service) arn(kind, name string) string {
	return "arn:aws:iot:" + s.Region + ":" + s.Account + ":" + kind + "/" + name
}
