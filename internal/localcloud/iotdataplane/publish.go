package iotdataplane

import (
	"context"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// submission is one message on its way to acceptance.
type submission struct {
	message Message
	from    *Connection // nil if not from an attached client
	silent  bool        // nothing is published, only also is done
	also    func(tx *store.Tx) error
	done    func(error) // called once, must not wait

	// Worked out while its batch is accepted.
	targets   []target
	execution Execution
}

// target is a session that a message goes to.
type target struct {
	session  *session
	conn     *Connection // as it was when the message was matched
	qos      byte
	retained bool   // keep the retain flag
	number   uint64 // of the stored copy; 0 without one
}

// Publish accepts a message: when it returns nil the message is as safe as its
// QoS promises. Messages from services and from the API come in here; nobody's
// policy is asked.
func (s *Service) Publish(ctx context.Context, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	return s.publish(ctx, submission{message: m})
}

// leads is how many batches a caller of publish accepts before it leaves the
// messages of others to a task of their own.
const leads = 8

// publish waits until the submission is accepted. The caller does the work
// itself unless somebody else is at it.
func (s *Service) publish(ctx context.Context, sub submission) error {
	gate := s.Scheduler.NewGate()
	var result error
	sub.done = func(err error) {
		result = err
		gate.Open()
	}
	s.accept.Lock()
	s.accept.pending = append(s.accept.pending, sub)
	s.accept.Unlock()
	idle := false
	for i := 0; i < leads && !idle; i++ {
		idle = s.acceptBatch()
	}
	if !idle {
		s.acceptLater()
	}
	if err := gate.Wait(ctx); err != nil {
		return err
	}
	return result
}

// submit is publish without waiting: done is called when the message is
// accepted or refused.
func (s *Service) submit(sub submission) {
	s.accept.Lock()
	s.accept.pending = append(s.accept.pending, sub)
	s.accept.Unlock()
	s.acceptLater()
}

// acceptLater leaves what is pending to a task, unless one is about to come.
func (s *Service) acceptLater() {
	s.accept.Lock()
	start := !s.accept.scheduled
	s.accept.scheduled = true
	s.accept.Unlock()
	if start {
		s.Scheduler.Go("iotdataplane accept", s.acceptAll)
	}
}

func (s *Service) acceptAll() {
	s.accept.Lock()
	s.accept.scheduled = false
	s.accept.Unlock()
	for !s.acceptBatch() {
	}
}

// acceptBatch accepts what is pending. It reports true once nothing is, or when
// somebody else is at it, who will take what is pending then.
func (s *Service) acceptBatch() (idle bool) {
	s.accept.Lock()
	batch := s.accept.pending
	if s.accept.active || len(batch) == 0 {
		s.accept.Unlock()
		return true
	}
	s.accept.active = true
	s.accept.pending = nil
	s.accept.Unlock()

	now := s.Scheduler.Now()
	durable := false
	for i := range batch {
		b := &batch[i]
		b.message.ReceivedAt = now
		s.plan(b)
		durable = durable || b.durable()
	}
	var err error
	if durable {
		err = s.Store.Update(func(tx *store.Tx) error {
			for i := range batch {
				if err := batch[i].save(tx, now); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for i := range batch {
		if batch[i].done != nil {
			batch[i].done(err)
		}
	}
	if err != nil {
		s.log.Error("messages not accepted", "messages", len(batch), "error", err)
	} else {
		for i := range batch {
			s.deliverAccepted(&batch[i], now)
		}
	}
	s.accept.Lock()
	defer s.accept.Unlock()
	s.accept.active = false
	return len(s.accept.pending) == 0
}

// plan finds who gets a message.
func (s *Service) plan(b *submission) {
	if b.silent = b.silent || s.lost(&b.message); b.silent {
		return
	}
	m := &b.message
	if rule, _, ok := topic.Ingest(m.Topic); ok {
		if s.Rules != nil {
			b.execution = s.Rules.Prepare(*m)
		}
		if b.execution == nil {
			s.log.Warn("basic ingest message lost", "ruleName", rule, "event", "RuleNotFound")
		}
		return
	}
	b.targets = s.match(m)
	for i := 0; i < len(b.targets); i++ {
		if t := b.targets[i]; t.conn != nil && !s.mayReceive(t.conn, m.Topic) {
			b.targets = append(b.targets[:i], b.targets[i+1:]...)
			i--
		}
	}
	if s.Rules != nil {
		b.execution = s.Rules.Prepare(*m)
	}
}

// match finds the sessions with a subscription to the message's topic.
func (s *Service) match(m *Message) []target {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []target
	var shared map[string][]*subscription
	s.subscriptions.Match(m.Topic, func(sub *subscription) {
		if sub.NoLocal && m.ClientID == sub.session.id {
			return
		}
		if sub.group != "" {
			if shared == nil {
				shared = map[string][]*subscription{}
			}
			shared[sub.Filter] = append(shared[sub.Filter], sub)
			return
		}
		out = addTarget(out, sub, m)
	})
	for _, filter := range sortedKeys(shared) {
		if sub := s.choose(filter, shared[filter]); sub != nil {
			out = addTarget(out, sub, m)
		}
	}
	for i := range out {
		if t := &out[i]; t.qos > 0 && t.session.expiry > 0 {
			// Numbers rise over restarts and over sessions of the same
			// client ID too, so that a late removal hits nothing new.
			t.session.last = max(t.session.last+1, uint64(m.ReceivedAt.UnixMicro()))
			t.number = t.session.last
		}
	}
	return out
}

// addTarget adds a subscription's session; several subscriptions of one
// session get one copy, with the highest QoS.
func addTarget(out []target, sub *subscription, m *Message) []target {
	qos := min(sub.QoS, m.QoS)
	for i := range out {
		if out[i].session == sub.session {
			out[i].qos = max(out[i].qos, qos)
			out[i].retained = out[i].retained || sub.RetainAsPublished
			return out
		}
	}
	if sub.session.conn == nil && qos == 0 {
		return out
	}
	return append(out, target{session: sub.session, conn: sub.session.conn, qos: qos, retained: sub.RetainAsPublished})
}

// choose picks the member of a shared subscription that gets a message: the
// connected ones in turn, else one with a persistent session. s.mu is held.
func (s *Service) choose(filter string, members []*subscription) *subscription {
	s.turn[filter]++
	n := s.turn[filter]
	for _, online := range []bool{true, false} {
		var able []*subscription
		for _, m := range members {
			if (m.session.conn != nil) == online {
				able = append(able, m)
			}
		}
		if len(able) > 0 {
			return able[n%uint64(len(able))]
		}
	}
	return nil
}

func (b *submission) durable() bool {
	if b.also != nil || (b.message.Retain && !b.silent && kindOf(b.message.Topic) != ingest) ||
		(b.execution != nil && b.outboxed()) {
		return true
	}
	for _, t := range b.targets {
		if t.number > 0 {
			return true
		}
	}
	return false
}

// outboxed reports whether the rules' work must survive: all but MQTT's QoS 0.
func (b *submission) outboxed() bool { return b.message.QoS > 0 || b.from == nil }

func (b *submission) save(tx *store.Tx, now time.Time) error {
	m := b.message
	if b.also != nil {
		if err := b.also(tx); err != nil {
			return err
		}
	}
	if b.silent {
		return nil
	}
	if m.Retain && kindOf(m.Topic) != ingest {
		if len(m.Payload) == 0 {
			if err := retainedTable.Delete(tx, m.Topic); err != nil {
				return err
			}
		} else if err := retainedTable.Put(tx, retainedRecord{Message: m, LastModified: now}, m.Topic); err != nil {
			return err
		}
	}
	for _, t := range b.targets {
		if t.number == 0 {
			continue
		}
		stored := m
		stored.QoS, stored.Retain = t.qos, m.Retain && t.retained
		if err := queuedTable.Put(tx, stored, t.session.id, store.Number(t.number)); err != nil {
			return err
		}
	}
	if b.execution != nil && b.outboxed() {
		return b.execution.Save(tx)
	}
	return nil
}

// deliverAccepted passes an accepted message on.
func (s *Service) deliverAccepted(b *submission, now time.Time) {
	if b.silent {
		return
	}
	for _, t := range b.targets {
		if t.conn == nil || t.conn.cut("message to "+t.session.id) {
			continue
		}
		m := b.message
		m.QoS, m.Retain = t.qos, m.Retain && t.retained
		t.conn.send(m, t.number, now)
	}
	if b.execution != nil {
		b.execution.Start()
	}
	if !b.message.FromService && kindOf(b.message.Topic) == request {
		s.queueRequest(b.from, b.message)
	}
}

// queueRequest hands a request on a reserved topic to the service behind it, after the
// requests that the same client sent before.
func (s *Service) queueRequest(from *Connection, m Message) {
	if from == nil {
		s.Scheduler.Go("iotdataplane request", func() { s.answer(nil, m) })
		return
	}
	from.mu.Lock()
	from.requests = append(from.requests, m)
	start := !from.asking
	from.asking = true
	from.mu.Unlock()
	if !start {
		return
	}
	s.Scheduler.Go("iotdataplane request", func() {
		for {
			from.mu.Lock()
			if len(from.requests) == 0 {
				from.asking = false
				from.mu.Unlock()
				return
			}
			m := from.requests[0]
			from.requests = from.requests[1:]
			from.mu.Unlock()
			s.answer(from, m)
		}
	})
}

func (s *Service) answer(from *Connection, m Message) {
	asker := Asker{ClientID: m.ClientID}
	reply := func(string, []byte) {}
	if from != nil {
		asker.Principal = from.principal
		reply = func(name string, payload []byte) {
			now := s.Scheduler.Now()
			from.send(Message{Topic: name, Payload: payload, QoS: m.QoS, FromService: true, ReceivedAt: now}, 0, now)
		}
	}
	if s.Reserved != nil && s.Reserved.Handle(context.Background(), asker, m, reply) {
		return
	}
	s.log.Warn("request on a reserved topic that the local cloud does not implement", "clientId", m.ClientID,
		"topic", m.Topic)
	if strings.Contains(m.Topic, "/shadow") {
		reply(m.Topic+"/rejected", []byte(`{"code":501,"message":"the local cloud does not implement thing shadows"}`))
	}
}

// acknowledgedCopy is a stored copy that its client has acknowledged.
type acknowledgedCopy struct {
	client string
	number uint64
}

// removeCopies removes acknowledged copies from the store, many at a time.
func (s *Service) removeCopies(d ...acknowledgedCopy) {
	s.sweep.Lock()
	s.sweep.pending = append(s.sweep.pending, d...)
	start := !s.sweep.running
	s.sweep.running = true
	s.sweep.Unlock()
	if !start {
		return
	}
	s.Scheduler.Go("iotdataplane forget", func() {
		for {
			s.sweep.Lock()
			batch := s.sweep.pending
			s.sweep.pending = nil
			if len(batch) == 0 {
				s.sweep.running = false
				s.sweep.Unlock()
				return
			}
			s.sweep.Unlock()
			if err := s.Store.Update(func(tx *store.Tx) error {
				for _, d := range batch {
					if err := queuedTable.Delete(tx, d.client, store.Number(d.number)); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				s.log.Error("acknowledged messages not removed", "error", err)
			}
		}
	})
}
