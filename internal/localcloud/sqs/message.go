package sqs

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// Sending.

func (s *Service) sendMessage(_ context.Context, c *awsapi.Call, in *sendIn) (*sendOut, error) {
	var out *sendOut
	err := s.change(in.QueueURL, func(tx *store.Tx, q *queue) error {
		var err error
		out, err = s.send(tx, c, q, &in.sendEntry)
		return err
	})
	return out, err
}

// send puts one message into the queue.
func (s *Service) send(tx *store.Tx, c *awsapi.Call, q *queue, in *sendEntry) (*sendOut, error) {
	if in.Body == "" {
		return nil, missingParameter("MessageBody")
	}
	if !validText(in.Body) {
		return nil, invalidContents()
	}
	if in.DeduplicationID != "" {
		return nil, invalidParameter("The request include parameter that is not valid for this queue type")
	}
	if in.GroupID != "" && !groupID.MatchString(in.GroupID) {
		return nil, invalidParameter(
			"Value %s for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include "+
				"alphanumeric and punctuation characters. 1 to 128 in length.", in.GroupID)
	}
	size := len(in.Body)
	if err := checkAttributes(in.Attributes, &size); err != nil {
		return nil, err
	}
	if limit := q.number("MaximumMessageSize"); size > limit {
		return nil, invalidParameter(
			"One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
	}
	m := message{ID: s.config.Scheduler.UUID(), Body: in.Body, Attributes: in.Attributes, Sender: c.Identity.UserID,
		Sent: s.config.Scheduler.Now()}
	if m.Sender == "" {
		m.Sender = c.Identity.ARN
	}
	if in.GroupID != "" {
		m.Group, q.Fair = in.GroupID, true
	}
	for _, name := range slices.Sorted(maps.Keys(in.SystemAttributes)) {
		v := in.SystemAttributes[name]
		if name != "AWSTraceHeader" || v.DataType != "String" {
			return nil, invalidParameter("Value %s for parameter MessageSystemAttributeName is invalid.", name)
		}
		m.Trace = v.StringValue
	}
	delay := q.seconds("DelaySeconds")
	if in.DelaySeconds != nil {
		if *in.DelaySeconds < 0 || *in.DelaySeconds > 900 {
			return nil, invalidParameter(
				"Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
				*in.DelaySeconds)
		}
		delay = time.Duration(*in.DelaySeconds) * time.Second
	}
	m.Visible = m.Sent.Add(delay + s.config.Weather.Delay("message to "+q.Name))
	if err := q.add(tx, m); err != nil {
		return nil, err
	}
	if s.config.Weather.Draw(weather.Duplicated, "message to "+q.Name) { // at least once
		again := m
		again.Visible = m.Visible.Add(s.config.Weather.Later())
		if err := q.add(tx, again); err != nil {
			return nil, err
		}
	}
	name := q.Name
	tx.OnCommit(func() {
		s.arrived(q)
		s.measure(name, "NumberOfMessagesSent", "Count", 1)
		s.measure(name, "SentMessageSize", "Bytes", float64(size))
	})
	out := &sendOut{MessageID: m.ID, MD5OfBody: md5Of(in.Body), MD5OfAttributes: md5OfAttributes(in.Attributes)}
	out.MD5OfSystemAttributes = md5OfAttributes(in.SystemAttributes)
	return out, nil
}

// validText says whether a body has only characters that XML 1.0 knows.
func validText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	})
}

var attributeName = regexp.MustCompile(`^[\w.-]{1,256}$`)

// checkAttributes checks message attributes and adds their size.
func checkAttributes(attributes map[string]attributeValue, size *int) error {
	if len(attributes) > 10 {
		return invalidParameter("Number of message attributes [%d] exceeds the allowed maximum [10].", len(attributes))
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[name]
		lower := strings.ToLower(name)
		if !attributeName.MatchString(name) || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") ||
			strings.Contains(name, "..") ||
			strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon.") {
			return invalidParameter("Message (user) attribute name is invalid: %s", name)
		}
		kind, _, _ := strings.Cut(v.DataType, ".")
		switch kind {
		case "String", "Number":
			if v.StringValue == "" || !validText(v.StringValue) {
				return invalidParameter("The message attribute '%s' must contain a non-empty message attribute "+
					"value for message attribute type 'String'.", name)
			}
			if _, err := strconv.ParseFloat(v.StringValue, 64); kind == "Number" && err != nil {
				return invalidParameter("Can't cast the value of message (user) attribute '%s' to a number.", name)
			}
		case "Binary":
			if len(v.BinaryValue) == 0 {
				return invalidParameter("The message attribute '%s' must contain a non-empty message attribute "+
					"value for message attribute type 'Binary'.", name)
			}
		default:
			return invalidParameter("The message attribute '%s' has an invalid message attribute type, the set of "+
				"supported type prefixes is Binary, Number, and String.", name)
		}
		*size += len(name) + len(v.DataType) + len(v.StringValue) + len(v.BinaryValue)
	}
	return nil
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes is the digest that SDKs compare: of names, types and values
// in the order of the names, each with its length.
func md5OfAttributes(attributes map[string]attributeValue) string {
	if len(attributes) == 0 {
		return ""
	}
	h := md5.New()
	add := func(b []byte) {
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))) // a hash does not fail
		_, _ = h.Write(b)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[name]
		add([]byte(name))
		add([]byte(v.DataType))
		if strings.HasPrefix(v.DataType, "Binary") {
			_, _ = h.Write([]byte{2})
			add(v.BinaryValue)
		} else {
			_, _ = h.Write([]byte{1})
			add([]byte(v.StringValue))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Receiving.

// arrival is the gate that opens at the next change of a queue.
func (s *Service) arrival(id string) *scheduler.Gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.arrivals[id]
	if g == nil {
		g = s.config.Scheduler.NewGate()
		s.arrivals[id] = g
	}
	return g
}

func (s *Service) receiveMessage(ctx context.Context, _ *awsapi.Call, in *receiveIn) (*receiveOut, error) {
	check := func(name string, v *int, least, most int) error {
		if v != nil && (*v < least || *v > most) {
			return invalidParameter("Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if "+
				"provided.", *v, name, least, most)
		}
		return nil
	}
	for _, err := range []error{
		check("MaxNumberOfMessages", in.Max, 1, 10), check("VisibilityTimeout", in.VisibilityTimeout, 0, 43200),
		check("WaitTimeSeconds", in.WaitTimeSeconds, 0, 20),
	} {
		if err != nil {
			return nil, err
		}
	}
	var id string
	var wait time.Duration
	if err := s.view(in.QueueURL, func(_ *store.Tx, q *queue) error {
		id, wait = q.ID, q.seconds("ReceiveMessageWaitTimeSeconds")
		return nil
	}); err != nil {
		return nil, err
	}
	if in.WaitTimeSeconds != nil {
		wait = time.Duration(*in.WaitTimeSeconds) * time.Second
	}
	deadline := s.config.Scheduler.Now().Add(wait)
	for {
		var gate *scheduler.Gate
		if wait > 0 {
			gate = s.arrival(id) // before looking, so that nothing slips through
		}
		out, next, err := s.receive(in)
		left := deadline.Sub(s.config.Scheduler.Now())
		if err != nil {
			return out, err
		}
		if n := len(out.Messages); n > 0 || left <= 0 {
			if n > 0 {
				s.measure(nameOf(in.QueueURL), "NumberOfMessagesReceived", "Count", float64(n))
			} else {
				s.measure(nameOf(in.QueueURL), "NumberOfEmptyReceives", "Count", 1)
			}
			return out, nil
		}
		if !next.IsZero() {
			left = min(left, next.Sub(s.config.Scheduler.Now()))
		}
		waiting, cancel := s.config.Scheduler.WithTimeout(ctx, left)
		err = gate.Wait(waiting)
		cancel()
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err() // the client is gone
		}
	}
}

// receive takes what is visible. If there is nothing, next is when the next
// message becomes visible, zero if there is none.
func (s *Service) receive(in *receiveIn) (out *receiveOut, next time.Time, err error) {
	now := s.config.Scheduler.Now()
	limit := 1
	if in.Max != nil {
		limit = *in.Max
	}
	err = s.config.Store.Update(func(tx *store.Tx) error {
		out, next = &receiveOut{}, time.Time{}
		q, err := s.open(tx, in.QueueURL)
		if err != nil {
			return err
		}
		timeout := q.seconds("VisibilityTimeout")
		if in.VisibilityTimeout != nil {
			timeout = time.Duration(*in.VisibilityTimeout) * time.Second
		}
		retention := q.seconds("MessageRetentionPeriod")
		target, most := q.redrive()
		// The order of visibility cannot be changed while it is read, hence
		// rounds: what a round drops may have hidden more.
		for again := true; again && len(out.Messages) < limit; {
			again = false
			var due []string
			sample := limit - len(out.Messages)
			if q.Fair {
				sample = fairSample
			}
			for row, err := range visibleTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
				if err != nil {
					return err
				}
				if row.Key[1] > millis(now) {
					next = time.UnixMilli(int64(store.ParseNumber(row.Key[1])))
					break
				}
				if due = append(due, row.Key[2]); len(due) == sample {
					break
				}
			}
			if q.Fair {
				if due, err = s.quietFirst(tx, &q, due, limit-len(out.Messages)); err != nil {
					return err
				}
			}
			for _, number := range due {
				m, ok, err := messageTable.Get(tx, q.ID, number)
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
				if err := q.remove(tx, number, m); err != nil {
					return err
				}
				again = true
				switch {
				case !now.Before(m.Sent.Add(retention)):
				case target != "" && m.Count >= most:
					if err := s.moveToDeadLetterQueue(tx, &q, target, m); err != nil {
						return err
					}
				default:
					m.Count++
					if m.First.IsZero() {
						m.First = now
					}
					m.Visible = now.Add(timeout)
					if err := q.put(tx, number, m, inFlight); err != nil {
						return err
					}
					out.Messages = append(out.Messages, s.received(&q, number, m, in))
				}
			}
			if timeout == 0 {
				break // what was received is visible again
			}
		}
		if len(out.Messages) > 0 {
			next = time.Time{}
		}
		return nil
	})
	return out, next, err
}

// moveToDeadLetterQueue moves a message to the dead-letter queue. If that is gone, the message
// stays and can be received again.
func (s *Service) moveToDeadLetterQueue(tx *store.Tx, q *queue, target string, m message) error {
	dead, err := getQueue(tx, nameOf(target))
	if awsapi.Code(err) == "QueueDoesNotExist" {
		return q.addAgain(tx, m, s.config.Scheduler.Now().Add(q.seconds("VisibilityTimeout")))
	}
	if err != nil {
		return err
	}
	m.Source = s.arn(q.Name)
	m.Visible = s.config.Scheduler.Now() // AWS keeps the count and the dates
	m.Moved = m.Visible
	dead.Fair = dead.Fair || m.Group != ""
	if err := dead.add(tx, m); err != nil {
		return err
	}
	tx.OnCommit(func() { s.arrived(&dead) })
	return queueTable.Put(tx, dead, dead.Name)
}

// addAgain appends a message that was taken out.
func (q *queue) addAgain(tx *store.Tx, m message, visible time.Time) error {
	m.Visible = visible
	if err := q.add(tx, m); err != nil {
		return err
	}
	return queueTable.Put(tx, *q, q.Name)
}

// expire removes a few of the oldest messages that are past their retention.
func (s *Service) expire(tx *store.Tx, q *queue) error {
	before := s.config.Scheduler.Now().Add(-q.seconds("MessageRetentionPeriod"))
	var old []store.Row[message]
	for row, err := range messageTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
		if err != nil {
			return err
		}
		if row.Value.Sent.After(before) || len(old) == 1000 {
			break
		}
		old = append(old, row)
	}
	for _, row := range old {
		if err := q.remove(tx, row.Key[1], row.Value); err != nil {
			return err
		}
	}
	return nil
}

// received is a message as the receiver sees it.
func (s *Service) received(q *queue, number string, m message, in *receiveIn) messageShape {
	out := messageShape{MessageID: m.ID, ReceiptHandle: handle(q.ID, number, m), MD5OfBody: md5Of(m.Body),
		Body: m.Body}
	all := map[string]string{
		"SenderId":                         m.Sender,
		"SentTimestamp":                    strconv.FormatInt(m.Sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.Count),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.First.UnixMilli(), 10),
	}
	if m.Trace != "" {
		all["AWSTraceHeader"] = m.Trace
	}
	if m.Source != "" {
		all["DeadLetterQueueSourceArn"] = m.Source
	}
	if m.Group != "" {
		all["MessageGroupId"] = m.Group
	}
	for _, n := range slices.Concat(in.AttributeNames, in.SystemAttributeNames) {
		if n == "All" {
			out.Attributes = all
			break
		}
		if v, ok := all[n]; ok {
			if out.Attributes == nil {
				out.Attributes = map[string]string{}
			}
			out.Attributes[n] = v
		}
	}
	for name, v := range m.Attributes {
		if slices.ContainsFunc(in.MessageAttributeNames, func(want string) bool {
			prefix, wild := strings.CutSuffix(want, ".*")
			return want == "All" || want == name || wild && (prefix == "" || strings.HasPrefix(name, prefix+"."))
		}) {
			if out.MessageAttributes == nil {
				out.MessageAttributes = map[string]attributeValue{}
			}
			out.MessageAttributes[name] = v
		}
	}
	out.MD5OfMessageAttributes = md5OfAttributes(out.MessageAttributes)
	return out
}

// A receipt handle is queue ID, number and how often the message had been
// received, in base64. It stops being good when the message is received again.
func handle(id, number string, m message) string {
	return base64.StdEncoding.EncodeToString([]byte(id + "/" + hex.EncodeToString([]byte(number)) + "/" +
		strconv.Itoa(m.Count)))
}

func parseHandle(q *queue, handle string) (number string, count int, err error) {
	b, err := base64.StdEncoding.DecodeString(handle)
	if err != nil {
		return "", 0, invalidHandle()
	}
	parts := strings.Split(string(b), "/")
	if len(parts) != 3 || parts[0] != q.ID {
		return "", 0, invalidHandle()
	}
	n, err := hex.DecodeString(parts[1])
	if err != nil || len(n) != 8 {
		return "", 0, invalidHandle()
	}
	if count, err = strconv.Atoi(parts[2]); err != nil {
		return "", 0, invalidHandle()
	}
	return string(n), count, nil
}

func (s *Service) deleteMessage(_ context.Context, _ *awsapi.Call, in *deleteIn) (*none, error) {
	return nil, s.config.Store.Update(func(tx *store.Tx) error {
		q, err := s.open(tx, in.QueueURL)
		if err != nil {
			return err
		}
		return s.delete(tx, &q, in.ReceiptHandle)
	})
}

// delete deletes a message. A handle that is no longer good, and a message that
// is gone, are no errors.
func (s *Service) delete(tx *store.Tx, q *queue, handle string) error {
	if handle == "" {
		return missingParameter("ReceiptHandle")
	}
	number, count, err := parseHandle(q, handle)
	if err != nil {
		return err
	}
	m, ok, err := messageTable.Get(tx, q.ID, number)
	if err != nil || !ok || m.Count != count {
		return err
	}
	name := q.Name
	tx.OnCommit(func() { s.measure(name, "NumberOfMessagesDeleted", "Count", 1) })
	return q.remove(tx, number, m)
}

func (s *Service) changeVisibility(_ context.Context, _ *awsapi.Call, in *changeVisibilityIn) (*none, error) {
	return nil, s.config.Store.Update(func(tx *store.Tx) error {
		q, err := s.open(tx, in.QueueURL)
		if err != nil {
			return err
		}
		return s.hide(tx, &q, in.ReceiptHandle, in.VisibilityTimeout)
	})
}

// hide sets when a message in flight becomes visible again.
func (s *Service) hide(tx *store.Tx, q *queue, handle string, seconds *int) error {
	if seconds == nil {
		return missingParameter("VisibilityTimeout")
	}
	if *seconds < 0 || *seconds > 43200 {
		return invalidParameter("Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout "+
			"must be an integer between 0 and 43200.", *seconds)
	}
	number, count, err := parseHandle(q, handle)
	if err != nil {
		return err
	}
	m, ok, err := messageTable.Get(tx, q.ID, number)
	if err != nil {
		return err
	}
	now := s.config.Scheduler.Now()
	if !ok || m.Count != count || !m.Visible.After(now) {
		return notInFlight()
	}
	if err := q.remove(tx, number, m); err != nil {
		return err
	}
	m.Visible = now.Add(time.Duration(*seconds) * time.Second)
	tx.OnCommit(func() { s.arrived(q) })
	return q.put(tx, number, m, inFlight)
}
