package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sns/filterpolicy"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// A source is an event source mapping at work: pollers take messages from the
// queue as the function's role, gather them into batches, run the function, and
// delete what it has done.
//
// Lambda's pollers ask the queue again and again. Ours exist only while they have
// something to do: the queue wakes the source, a timer does where a message
// becomes visible by itself. What can be seen is the same, and virtual time comes
// to rest. A message that comes goes to any of the pollers that AWS would have
// waiting, drawn by lot: so that, as there, several gather at the same time and
// batches are fuller the more there is to do.
//
// How many there are follows AWS's page "Configuring scaling behavior for SQS
// event source mappings" (read 2026-11): five at first, up to 300 more a minute
// while all are busy and messages are left, up to 1,250 or MaximumConcurrency,
// and five again when there is nothing to do. After a failure they become fewer,
// to two; AWS does not say by how many, here it is one for each failed batch.
// With ReportBatchItemFailures only throttling has that effect.
//
// A throttled batch is tried again until the queue's visibility timeout has passed since it
// was received, and then left to the queue.

const (
	firstPollers  = 5
	fewestPollers = 2
	mostPollers   = 1250
	morePerSecond = 5
	maxBatchBytes = maxSyncPayload
)

// Queues tells when a queue has messages, so that nobody needs to ask again and
// again.
type Queues interface {
	// Watch has wake called, which returns at once, whenever a message of the
	// queue may have become visible or will at another time than before.
	Watch(arn string, wake func()) (stop func())
	// NextVisible is when the next message becomes or became visible.
	NextVisible(arn string) (at time.Time, ok bool, err error)
}

type source struct {
	s       *Service
	m       mapping
	filters []*filterpolicy.Policy
	stop    func() // ends the watch

	mu            sync.Mutex
	ended         bool
	limit         int // pollers that may be busy
	busy          int
	gathering     []*scheduler.Gate // of pollers that wait for more messages
	missed        bool              // a message came and every poller was busy
	addingPollers *scheduler.Timer
	due           *scheduler.Timer // for the next message that becomes visible by itself
	failures      int              // of calls, in a row
	problem       string
}

func (s *Service) startSource(m mapping) {
	filters, err := parseFilters(m.Filters)
	if err != nil { // it was checked when it was made
		filters = nil
	}
	x := &source{s: s, m: m, filters: filters}
	x.limit = x.first()
	s.mu.Lock()
	if s.sources[m.UUID] != nil {
		s.mu.Unlock()
		return
	}
	s.sources[m.UUID] = x
	s.mu.Unlock()
	x.stop = s.Queues.Watch(m.Source, x.wake)
	x.wake()
}

func (s *Service) stopSource(uuid string) {
	s.mu.Lock()
	x := s.sources[uuid]
	delete(s.sources, uuid)
	s.mu.Unlock()
	if x == nil {
		return
	}
	x.stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	x.due.Stop()
	x.addingPollers.Stop()
	for _, g := range x.gathering {
		g.Open() // what was gathered is still worked on
	}
}

// busySources lists the sources that have a batch.
func (s *Service) busySources() (lines []string) {
	s.mu.Lock()
	list := slices.SortedFunc(maps.Values(s.sources), func(a, b *source) int {
		return strings.Compare(a.m.UUID, b.m.UUID)
	})
	s.mu.Unlock()
	for _, x := range list {
		x.mu.Lock()
		if x.busy > 0 {
			lines = append(lines, fmt.Sprintf("lambda: event source mapping %s of %s has %d pollers at work", x.m.UUID,
				x.m.FunctionARN, x.busy))
		}
		x.mu.Unlock()
	}
	return lines
}

// problem is what hinders a mapping, "" if nothing does.
func (s *Service) problem(uuid string) string {
	s.mu.Lock()
	x := s.sources[uuid]
	s.mu.Unlock()
	if x == nil {
		return ""
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.problem
}

func (x *source) first() int { return min(firstPollers, x.most()) }

func (x *source) most() int {
	if x.m.MaxParallel > 0 {
		return x.m.MaxParallel
	}
	return mostPollers
}

// wake lets a poller look at the queue.
func (x *source) wake() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	idle := max(0, x.limit-x.busy)
	waiting := len(x.gathering)
	if idle+waiting == 0 {
		x.missed = true
		x.addPollersLater()
		return
	}
	n := 0
	if idle+waiting > 1 {
		n = x.s.Scheduler.Rand().IntN(idle + waiting)
	}
	if n < waiting {
		x.gathering[n].Open()
		x.gathering = slices.Delete(x.gathering, n, n+1)
		return
	}
	x.busy++
	x.s.Scheduler.Go("lambda poller of "+x.m.FunctionARN, x.poll)
}

// addPollersLater adds pollers a second from now, if all are still busy; x.mu is held.
func (x *source) addPollersLater() {
	if x.addingPollers != nil || x.limit >= x.most() {
		return
	}
	x.addingPollers = x.s.Scheduler.After(time.Second, "lambda pollers of "+x.m.FunctionARN, func() {
		x.mu.Lock()
		x.addingPollers = nil
		more := x.missed && !x.ended
		n := 0
		if more {
			n = min(morePerSecond, x.most()-x.limit)
			x.limit += n
			x.missed = false
		}
		x.mu.Unlock()
		for range n {
			x.wake()
		}
		if more {
			x.mu.Lock()
			x.missed = true // whoever has time looks
			if !x.ended && x.busy >= x.limit {
				x.addPollersLater()
			}
			x.mu.Unlock()
		}
	})
}

// poll takes batches until there are none.
func (x *source) poll() {
	for {
		batch, err := x.gather()
		if err == nil && len(batch.records) > 0 {
			x.process(batch)
			x.mu.Lock()
			leaves := x.busy > x.limit || x.ended || x.s.ctx.Err() != nil
			if leaves {
				x.busy--
				x.missed = x.missed || !x.ended
			}
			x.mu.Unlock()
			if leaves {
				return
			}
			continue
		}
		x.mu.Lock()
		if err == nil && x.missed && !x.ended {
			x.missed = false
			x.mu.Unlock()
			continue
		}
		if x.busy--; x.busy == 0 {
			x.limit, x.missed = x.first(), false
			x.addingPollers.Stop()
			x.addingPollers = nil
		}
		x.mu.Unlock()
		x.setTimer(err)
		return
	}
}

// setTimer sets the timer for the next message that becomes visible by itself.
func (x *source) setTimer(err error) {
	gone := awsapi.Code(err) == "QueueDoesNotExist"
	at, ok, looked := x.s.Queues.NextVisible(x.m.Source)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.due.Stop()
	x.due = nil
	x.failures++
	if err == nil {
		x.failures, x.problem = 0, ""
	} else {
		x.problem = "PROBLEM: " + awsapi.AsError(err).Message
	}
	if x.ended || !ok || gone || looked != nil || x.s.ctx.Err() != nil {
		return
	}
	if x.failures > 0 {
		pause := min(5*time.Minute, time.Second<<min(x.failures-1, 10))
		if again := x.s.Scheduler.Now().Add(pause); at.Before(again) {
			at = again
		}
	}
	x.due = x.s.Scheduler.At(at, "lambda poller of "+x.m.FunctionARN, x.wake)
}

// received is a message as ReceiveMessage returns it.
type received struct {
	MessageID         string                       `json:"MessageId"`
	ReceiptHandle     string                       `json:"ReceiptHandle"`
	Body              string                       `json:"Body"`
	MD5OfBody         string                       `json:"MD5OfBody"`
	MD5OfAttributes   string                       `json:"MD5OfMessageAttributes,omitempty"`
	Attributes        map[string]string            `json:"Attributes,omitempty"`
	MessageAttributes map[string]receivedAttribute `json:"MessageAttributes,omitempty"`
	encoded           []byte                       // as a record of the event
}

type receivedAttribute struct {
	DataType    string `json:"DataType"`
	StringValue string `json:"StringValue,omitempty"`
	BinaryValue []byte `json:"BinaryValue,omitempty"`
}

// record is a message in the event that the function gets.
type record struct {
	MessageID         string                     `json:"messageId"`
	ReceiptHandle     string                     `json:"receiptHandle"`
	Body              string                     `json:"body"`
	Attributes        map[string]string          `json:"attributes"`
	MessageAttributes map[string]recordAttribute `json:"messageAttributes"`
	MD5OfAttributes   string                     `json:"md5OfMessageAttributes,omitempty"`
	MD5OfBody         string                     `json:"md5OfBody"`
	EventSource       string                     `json:"eventSource"`
	EventSourceARN    string                     `json:"eventSourceARN"`
	Region            string                     `json:"awsRegion"`
}

type recordAttribute struct {
	StringValue      string   `json:"stringValue,omitempty"`
	BinaryValue      []byte   `json:"binaryValue,omitempty"`
	StringListValues []string `json:"stringListValues"`
	BinaryListValues [][]byte `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

func (x *source) encode(m received) ([]byte, error) {
	r := record{
		MessageID: m.MessageID, ReceiptHandle: m.ReceiptHandle, Body: m.Body, Attributes: m.Attributes,
		MessageAttributes: map[string]recordAttribute{}, MD5OfAttributes: m.MD5OfAttributes, MD5OfBody: m.MD5OfBody,
		EventSource: "aws:sqs", EventSourceARN: x.m.Source, Region: x.s.Region,
	}
	for name, a := range m.MessageAttributes {
		r.MessageAttributes[name] = recordAttribute{a.StringValue, a.BinaryValue, []string{}, [][]byte{}, a.DataType}
	}
	return jsontext.Marshal(r)
}

// batch is what a poller has received.
type batch struct {
	role    awsapi.Identity
	since   time.Time // when the first message was received
	records []received
	size    int
}

type receiveMessage struct {
	QueueURL   string   `json:"QueueUrl"`
	Most       int      `json:"MaxNumberOfMessages"`
	Wait       *int     `json:"WaitTimeSeconds"`
	System     []string `json:"MessageSystemAttributeNames"`
	Attributes []string `json:"MessageAttributeNames"`
}

var everything = []string{"All"}

func (x *source) queue() string { return x.m.Source[strings.LastIndexByte(x.m.Source, ':')+1:] }

// gather receives messages until the batch is full or its window has passed. A
// message that no filter wants is deleted.
func (x *source) gather() (*batch, error) {
	ctx := x.s.ctx
	b := &batch{}
	var f Function
	if err := x.s.Store.View(func(tx *store.Tx) (err error) {
		f, err = x.s.find(tx, x.m.FunctionARN, "")
		return err
	}); err != nil {
		return b, err
	}
	var err error
	if b.role, err = x.s.Roles.Assume(ctx, f.RoleARN, "lambda.amazonaws.com", f.ARN, f.Name); err != nil {
		return b, err
	}
	window := time.Duration(x.m.Window) * time.Second
	for len(b.records) < x.m.BatchSize && b.size < maxBatchBytes {
		gate := x.s.Scheduler.NewGate()
		waits := len(b.records) > 0
		if waits {
			x.mu.Lock()
			if !x.ended {
				x.gathering = append(x.gathering, gate) // before looking, so that nothing slips through
			}
			x.mu.Unlock()
		}
		n, err := x.receive(ctx, b, min(receivedMost, x.m.BatchSize-len(b.records)))
		if waits && (err != nil || n > 0) {
			x.leave(gate)
		}
		if err != nil {
			if len(b.records) > 0 {
				break // what is there is worked on
			}
			return b, err
		}
		if n > 0 {
			if n == receivedMost {
				x.wake() // there may be more than one poller can take
			}
			if window == 0 && len(b.records) > 0 {
				break
			}
			continue
		}
		if !waits {
			break
		}
		left := b.since.Add(window).Sub(x.s.Scheduler.Now())
		if left <= 0 {
			x.leave(gate)
			break
		}
		limited, cancel := x.s.Scheduler.WithTimeout(ctx, left)
		err = gate.Wait(limited)
		cancel()
		x.leave(gate)
		x.mu.Lock()
		ended := x.ended
		x.mu.Unlock()
		if err != nil || ended {
			break
		}
	}
	return b, nil
}

// leave takes a gate away from those that wake opens.
func (x *source) leave(gate *scheduler.Gate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.gathering = slices.DeleteFunc(x.gathering, func(g *scheduler.Gate) bool { return g == gate })
}

// receive takes messages once; n is how many there were.
func (x *source) receive(ctx context.Context, b *batch, most int) (n int, err error) {
	var out struct {
		Messages []received `json:"Messages"`
	}
	wait := 0
	now := x.s.Scheduler.Now()
	in := &receiveMessage{QueueURL: x.queue(), Most: most, Wait: &wait, System: everything, Attributes: everything}
	if err := awsapi.CallInto(ctx, x.s.Caller, b.role, "sqs", "ReceiveMessage", in, &out); err != nil {
		return 0, err
	}
	var unwanted []received
	for _, m := range out.Messages {
		if !x.matches(m) {
			unwanted = append(unwanted, m)
			continue
		}
		if m.encoded, err = x.encode(m); err != nil {
			return 0, err
		}
		if len(b.records) == 0 {
			b.since = now
		}
		b.records = append(b.records, m)
		b.size += len(m.encoded)
	}
	return len(out.Messages), x.remove(ctx, b.role, unwanted)
}

// matches says whether one of the filters takes a message. A pattern for the body
// of which the body is no JSON takes nothing, and the other way round.
func (x *source) matches(m received) bool {
	if len(x.filters) == 0 {
		return true
	}
	var body any = m.Body
	var parsed map[string]any
	if json.Unmarshal([]byte(m.Body), &parsed) == nil {
		body = json.RawMessage(m.Body)
	}
	attributes := map[string]any{}
	for name, a := range m.MessageAttributes {
		attributes[name] = map[string]any{"stringValue": a.StringValue, "dataType": a.DataType}
	}
	doc, err := json.Marshal(map[string]any{
		"messageId": m.MessageID, "body": body, "attributes": m.Attributes, "messageAttributes": attributes,
		"eventSource": "aws:sqs", "eventSourceARN": x.m.Source, "awsRegion": x.s.Region,
	})
	if err != nil {
		return false
	}
	return slices.ContainsFunc(x.filters, func(p *filterpolicy.Policy) bool { return p.MatchBody(doc) })
}

type deleteEntry struct {
	ID            string `json:"Id"`
	ReceiptHandle string `json:"ReceiptHandle"`
}

type deleteMessages struct {
	QueueURL string        `json:"QueueUrl"`
	Entries  []deleteEntry `json:"Entries"`
}

// remove deletes messages from the queue.
func (x *source) remove(ctx context.Context, role awsapi.Identity, list []received) error {
	for part := range slices.Chunk(list, receivedMost) {
		in := &deleteMessages{QueueURL: x.queue()}
		for i, m := range part {
			in.Entries = append(in.Entries, deleteEntry{fmt.Sprint(i), m.ReceiptHandle})
		}
		if _, err := x.s.Caller.Call(ctx, role, "sqs", "DeleteMessageBatch", in); err != nil {
			return err
		}
	}
	return nil
}

// process runs the function over a batch, in parts that are small enough for an
// invocation.
func (x *source) process(b *batch) {
	for len(b.records) > 0 {
		n, size := 0, len(`{"Records":[]}`)
		for n < len(b.records) && (n == 0 || size+len(b.records[n].encoded)+1 <= maxBatchBytes) {
			size += len(b.records[n].encoded) + 1
			n++
		}
		x.invoke(b, b.records[:n])
		b.records = b.records[n:]
	}
}

func (x *source) invoke(b *batch, records []received) {
	ctx := x.s.ctx
	payload := []byte(`{"Records":[`)
	for i, r := range records {
		if i > 0 {
			payload = append(payload, ',')
		}
		payload = append(payload, r.encoded...)
	}
	payload = append(payload, "]}"...)
	requestID := x.s.Scheduler.UUID()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		var f Function
		err := x.s.Store.View(func(tx *store.Tx) (err error) {
			f, err = x.s.findShared(tx, x.m.FunctionARN, "")
			return err
		})
		var result Result
		if err == nil {
			result, _, err = x.s.run(ctx, f, requestID, payload)
		}
		switch {
		case ctx.Err() != nil:
			return
		case awsapi.Code(err) == "TooManyRequestsException":
			x.removePoller()
			until, err := x.s.visibility(ctx, b.role, x.m.Source)
			if err != nil || x.s.Scheduler.Now().Add(pause).Sub(b.since) >= until {
				return // the queue shows the messages again
			}
			jitter := time.Duration(x.s.Scheduler.Rand().Int64N(int64(pause)))
			if x.s.Scheduler.Sleep(ctx, pause/2+jitter) != nil {
				return
			}
		case err != nil || result.Failure != nil:
			if !x.m.Partial {
				x.removePoller()
			}
			return
		default:
			failed, whole := x.failed(result.Payload, records)
			if whole {
				return
			}
			done := slices.DeleteFunc(slices.Clone(records), func(m received) bool { return failed[m.MessageID] })
			err := x.remove(ctx, b.role, done)
			x.mu.Lock()
			if x.problem = ""; err != nil {
				x.problem = "PROBLEM: " + awsapi.AsError(err).Message
			}
			x.mu.Unlock()
			return
		}
	}
}

// removePoller takes one poller away.
func (x *source) removePoller() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.limit = max(min(fewestPollers, x.most()), x.limit-1)
}

// failed reads the messages that the function reports as failed; whole means
// that all count as failed, as they do where the answer cannot be understood.
func (x *source) failed(answer []byte, records []received) (failed map[string]bool, whole bool) {
	if !x.m.Partial || len(bytes.TrimSpace(answer)) == 0 {
		return nil, false
	}
	var response struct {
		Failures []map[string]any `json:"batchItemFailures"`
	}
	if json.Unmarshal(answer, &response) != nil {
		return nil, true
	}
	known := map[string]bool{}
	for _, r := range records {
		known[r.MessageID] = true
	}
	failed = map[string]bool{}
	for _, f := range response.Failures {
		id, _ := f["itemIdentifier"].(string)
		if !known[id] {
			return nil, true
		}
		failed[id] = true
	}
	return failed, false
}
