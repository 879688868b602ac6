package topicrule

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// Waits before the second and third attempt of an action.
var retryAfter = []time.Duration{time.Second, 4 * time.Second}

// Execution is a message's way through the rules that match it.
type Execution struct {
	s       *Service
	message Message
	input   *rulesql.Input
	runs    []run
	saved   bool
	number  uint64

	mu   sync.Mutex
	left int
}

// run is one rule with the message. The result is there if Prepare could
// evaluate the statement.
type run struct {
	rule   *rule
	result *rulesql.Result
}

func (s *Service) execution(m Message) *Execution {
	if m.TraceID == "" {
		m.TraceID = s.Scheduler.UUID()
	}
	e := &Execution{s: s, message: m}
	name := m.Topic
	if _, rest, ok := topic.Ingest(name); ok {
		name = rest
	}
	trace := m.TraceID
	if m.ClientID == "" {
		trace = ""
	}
	e.input = rulesql.NewInput(rulesql.Message{
		Payload: m.Payload, Topic: name, ClientID: m.ClientID, Principal: m.Principal, SourceIP: m.SourceIP,
		AccountID: s.Account, TraceID: trace, Time: m.ReceivedAt,
		PayloadFormat: m.PayloadFormat, ContentType: m.ContentType, ResponseTopic: m.ResponseTopic,
		CorrelationData: m.CorrelationData, UserProperties: m.UserProperties,
	}, random{s}, nil)
	return e
}

type random struct{ s *Service }

func (r random) UUID() string     { return r.s.Scheduler.UUID() }
func (r random) Float64() float64 { return r.s.Scheduler.Rand().Float64() }

// Prepare finds the rules that want a message; nil if there are none. It waits
// for nothing.
func (s *Service) Prepare(m Message) *Execution {
	var matched []*rule
	if name, _, ok := topic.Ingest(m.Topic); ok {
		s.mu.RLock()
		r := s.rules[name]
		s.mu.RUnlock()
		if r == nil || r.Disabled {
			s.count("RuleNotFound", counter{rule: name})
			return nil
		}
		matched = []*rule{r}
	} else {
		s.mu.RLock()
		s.topics.Match(m.Topic, func(r *rule) { matched = append(matched, r) })
		s.mu.RUnlock()
	}
	if len(matched) == 0 {
		return nil
	}
	e := s.execution(m)
	for _, r := range matched {
		s.count("TopicMatch", counter{rule: r.Name})
		if r.statement.External() {
			e.runs = append(e.runs, run{rule: r})
			continue
		}
		result, err := r.statement.Eval(context.Background(), e.input)
		if err != nil {
			s.statementFailed(r, m, err)
		} else if result != nil && (len(r.actions) > 0) {
			e.runs = append(e.runs, run{r, result})
		}
	}
	if len(e.runs) == 0 {
		return nil
	}
	return e
}

// Route is Prepare and Start for a message that need not survive.
func (s *Service) Route(_ context.Context, m Message) error {
	if e := s.Prepare(m); e != nil {
		e.Start()
	}
	return nil
}

func (s *Service) statementFailed(r *rule, m Message, err error) {
	s.count("ParseError", counter{rule: r.Name})
	s.log.Error("rule statement failed", "ruleName", r.Name, "topic", m.Topic, "clientId", m.ClientID, "traceId",
		m.TraceID, "error", err)
}

// Save writes the outbox row in the transaction that accepts the message.
func (e *Execution) Save(tx *store.Tx) error {
	s := e.s
	s.outbox.Lock()
	s.outbox.last++
	e.number = s.outbox.last
	s.outbox.Unlock()
	e.saved = true
	row := outboxRecord{Message: e.message}
	for _, r := range e.runs {
		row.Rules = append(row.Rules, r.rule.Name)
	}
	return outboxTable.Put(tx, row, store.Number(e.number))
}

// Start runs the actions, without waiting for them.
func (e *Execution) Start() {
	if len(e.runs) == 0 {
		e.end()
		return
	}
	e.left = len(e.runs)
	for i := range e.runs {
		r := &e.runs[i]
		e.s.Scheduler.Go("topicrule "+r.rule.Name, func() {
			e.run(r)
			e.mu.Lock()
			e.left--
			last := e.left == 0
			e.mu.Unlock()
			if last {
				e.end()
			}
		})
	}
}

// run runs one rule.
func (e *Execution) run(r *run) {
	s, ctx := e.s, context.Background()
	in := e.input
	if r.rule.statement.External() || r.result == nil {
		in = rulesql.NewInput(e.input.Message, random{s}, &external{s: s, rule: r.rule})
		result, err := r.rule.statement.Eval(ctx, in)
		if err != nil {
			s.statementFailed(r.rule, e.message, err)
			return
		}
		if result == nil {
			return
		}
		r.result = result
	}
	d := &delivery{s: s, rule: r.rule, message: &e.message, input: in, result: r.result, value: r.result.Value(),
		body: r.result.Bytes()}
	what := "actions of " + r.rule.Name
	if delay := s.Weather.Delay(what); delay > 0 && s.Scheduler.Sleep(ctx, delay) != nil {
		return
	}
	for again := true; again; {
		failures := d.act(ctx, r.rule.actions)
		if len(failures) > 0 && r.rule.onError != nil {
			d.report(ctx, failures)
		}
		// At least once.
		if again = s.Weather.Draw(weather.Duplicated, what); again &&
			s.Scheduler.Sleep(ctx, s.Weather.Later()) != nil {
			return
		}
	}
}

// end removes the outbox row.
func (e *Execution) end() {
	if !e.saved {
		return
	}
	s := e.s
	s.outbox.Lock()
	s.outbox.pending = append(s.outbox.pending, e.number)
	start := !s.outbox.removing
	s.outbox.removing = true
	s.outbox.Unlock()
	if start {
		s.Scheduler.Go("topicrule outbox", s.removeEnded)
	}
}

func (s *Service) removeEnded() {
	for {
		s.outbox.Lock()
		batch := s.outbox.pending
		s.outbox.pending = nil
		if len(batch) == 0 {
			s.outbox.removing = false
			s.outbox.Unlock()
			return
		}
		s.outbox.Unlock()
		if err := s.Store.Update(func(tx *store.Tx) error {
			for _, n := range batch {
				if err := outboxTable.Delete(tx, store.Number(n)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			s.log.Error("ended actions not removed from the outbox", "error", err)
		}
	}
}

// delivery is what an action sees: the message, the statement's result, and
// the body to send.
type delivery struct {
	s       *Service
	rule    *rule
	message *Message
	input   *rulesql.Input
	result  *rulesql.Result
	value   rulesql.Value
	body    []byte
}

// text evaluates a field of an action.
func (d *delivery) text(ctx context.Context, t *rulesql.Template) (string, error) {
	if t == nil {
		return "", nil
	}
	return t.Eval(ctx, d.input, d.result)
}

// json is the body if it is JSON.
func (d *delivery) json(action string) ([]byte, error) {
	if d.value.Kind() == rulesql.Binary || len(d.body) == 0 {
		return nil, notJSON(action)
	}
	return d.body, nil
}

// failure is one entry of an error action's message.
type failure struct {
	Action   string `json:"failedAction"`
	Resource string `json:"failedResource"`
	Message  string `json:"errorMessage"`
}

// act runs actions, those that failed in passing again later, and returns what
// failed in the end.
func (d *delivery) act(ctx context.Context, actions []action) []failure {
	var failures []failure
	for attempt := 0; len(actions) > 0; attempt++ {
		var retries []action
		for _, a := range actions {
			resource, err := a.run(spared(ctx, attempt), d)
			if err == nil {
				d.s.count("Success", counter{rule: d.rule.Name, action: a.kind()})
				continue
			}
			if passing(err) && attempt < len(retryAfter) {
				retries = append(retries, a)
				continue
			}
			d.s.count("Failure", counter{rule: d.rule.Name, action: a.kind()})
			d.s.log.Error("rule action failed", "ruleName", d.rule.Name, "action", a.kind(), "resource", resource,
				"topic", d.message.Topic, "clientId", d.message.ClientID, "traceId", d.message.TraceID, "error", err)
			failures = append(failures, failure{a.kind() + "Action", resource, err.Error()})
		}
		if actions = retries; len(actions) > 0 {
			if err := d.s.Scheduler.Sleep(ctx, retryAfter[attempt]); err != nil {
				return append(failures, failure{"", "", err.Error()})
			}
		}
	}
	return failures
}

// spared has the weather spare the last attempt.
func spared(ctx context.Context, attempt int) context.Context {
	if attempt < len(retryAfter) {
		return ctx
	}
	return weather.Spare(ctx)
}

// errorMessage is what an error action gets.
type errorMessage struct {
	RuleName        string    `json:"ruleName"`
	Topic           string    `json:"topic"`
	TraceID         string    `json:"cloudwatchTraceId"`
	ClientID        string    `json:"clientId"`
	OriginalPayload []byte    `json:"base64OriginalPayload"`
	Failures        []failure `json:"failures"`
}

// report runs the error action.
func (d *delivery) report(ctx context.Context, failures []failure) {
	client := d.message.ClientID
	if client == "" {
		client = "N/A"
	}
	b, err := json.Marshal(errorMessage{
		RuleName: d.rule.Name, Topic: d.message.Topic, TraceID: d.message.TraceID, ClientID: client,
		OriginalPayload: d.message.Payload, Failures: failures,
	})
	if err == nil {
		e := *d
		e.body = b
		if e.value, err = rulesql.ParseJSON(b); err == nil {
			if left := e.retry(ctx, d.rule.onError); left != nil {
				err = left
			}
		}
	}
	if err != nil {
		d.s.count("ErrorActionFailure", counter{rule: d.rule.Name})
		d.s.log.Error("error action failed", "ruleName", d.rule.Name, "action", d.rule.onError.kind(), "traceId",
			d.message.TraceID, "error", err)
		return
	}
	d.s.count("ErrorActionSuccess", counter{rule: d.rule.Name})
}

// retry runs one action with the usual attempts.
func (d *delivery) retry(ctx context.Context, a action) error {
	for attempt := 0; ; attempt++ {
		_, err := a.run(spared(ctx, attempt), d)
		if err == nil || !passing(err) || attempt >= len(retryAfter) {
			return err
		}
		if err := d.s.Scheduler.Sleep(ctx, retryAfter[attempt]); err != nil {
			return fmt.Errorf("topicrule: %w", err)
		}
	}
}
