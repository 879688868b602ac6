package sqs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Message move tasks: the messages of a dead-letter queue go back to the queues
// that they came from, or to one that is named. A moved message is a new one:
// its id, dates and count begin again. Messages in flight stay.
//
// Sources: SQS API Reference, StartMessageMoveTask; Developer Guide, "Learn how
// to configure a dead-letter queue redrive in Amazon SQS" (read 2026-11). AWS
// does not say how fast a task without a rate is; here it is as fast as the
// fastest rate that can be asked for.

const (
	fastestMove = 500
	keptMoves   = 10
)

type move struct {
	Source, Destination string // ARNs; Destination "" is where each message came from
	Rate                int    // 0: none was given
	Started             time.Time
	Status              string // RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED
	Moved, ToMove       int64
	Failure             string `json:",omitempty"`
}

func (m move) active() bool { return m.Status == "RUNNING" || m.Status == "CANCELLING" }

type moveHandle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

func formatMoveHandle(source, id string) (string, error) {
	b, err := json.Marshal(moveHandle{id, source})
	return base64.StdEncoding.EncodeToString(b), err
}

func parseMoveHandle(handle string) (source, id string, err error) {
	var h moveHandle
	b, err := base64.StdEncoding.DecodeString(handle)
	if err != nil || json.Unmarshal(b, &h) != nil || h.TaskID == "" || h.SourceARN == "" {
		return "", "", invalidParameter("Value for parameter TaskHandle is invalid.")
	}
	return h.SourceARN, h.TaskID, nil
}

type (
	startMoveIn struct {
		SourceARN      string `json:"SourceArn"`
		DestinationARN string `json:"DestinationArn"`
		Rate           *int   `json:"MaxNumberOfMessagesPerSecond"`
	}
	startMoveOut struct {
		TaskHandle string `json:"TaskHandle"`
	}
	listMovesIn struct {
		SourceARN  string `json:"SourceArn"`
		MaxResults *int   `json:"MaxResults"`
	}
	moveOut struct {
		TaskHandle  string `json:"TaskHandle,omitempty"`
		Status      string `json:"Status"`
		Source      string `json:"SourceArn"`
		Destination string `json:"DestinationArn,omitempty"`
		Rate        int    `json:"MaxNumberOfMessagesPerSecond,omitempty"`
		Moved       int64  `json:"ApproximateNumberOfMessagesMoved"`
		ToMove      int64  `json:"ApproximateNumberOfMessagesToMove"`
		Failure     string `json:"FailureReason,omitempty"`
		Started     int64  `json:"StartedTimestamp"` // milliseconds
	}
	listMovesOut struct {
		Results []moveOut `json:"Results" xml:"ListMessageMoveTasksResultEntry,flat"`
	}
	cancelMoveIn struct {
		TaskHandle string `json:"TaskHandle"`
	}
	cancelMoveOut struct {
		Moved int64 `json:"ApproximateNumberOfMessagesMoved"`
	}
)

// queueOf finds a queue by its ARN.
func (s *Service) queueOf(tx *store.Tx, parameter, arn string) (queue, error) {
	q, err := getQueue(tx, nameOf(arn))
	if err != nil && awsapi.Code(err) != "QueueDoesNotExist" {
		return queue{}, err
	}
	if err != nil || s.arn(q.Name) != arn {
		return queue{}, coded("ResourceNotFoundException", "ResourceNotFoundException",
			"The resource that you specified for the %s parameter doesn't exist.", parameter).WithStatus(404)
	}
	return q, nil
}

// sources are the names of the queues whose dead letters go to a queue.
func (s *Service) sources(tx *store.Tx, q queue) (names []string, err error) {
	for row, err := range queueTable.Scan(tx, store.Query{}) {
		if err != nil {
			return nil, err
		}
		if target, _ := row.Value.redrive(); target == s.arn(q.Name) {
			names = append(names, row.Value.Name)
		}
	}
	return names, nil
}

func (s *Service) startMove(ctx context.Context, c *awsapi.Call, in *startMoveIn) (*startMoveOut, error) {
	if in.SourceARN == "" {
		return nil, missingParameter("SourceArn")
	}
	if in.Rate != nil && (*in.Rate < 1 || *in.Rate > fastestMove) {
		return nil, invalidParameter(
			"Value %d for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a value "+
				"between 1 and %d.", *in.Rate, fastestMove)
	}
	// The task does as the caller what the caller may.
	var sources []string
	if err := s.config.Store.View(func(tx *store.Tx) error {
		q, err := s.queueOf(tx, "SourceArn", in.SourceARN)
		if err != nil {
			return err
		}
		if sources, err = s.sources(tx, q); err != nil {
			return err
		}
		if len(sources) == 0 {
			return invalidParameter("Source queue must be configured as a Dead Letter Queue.")
		}
		if in.DestinationARN != "" {
			_, err = s.queueOf(tx, "DestinationArn", in.DestinationARN)
		}
		return err
	}); err != nil {
		return nil, err
	}
	for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
		if err := c.Authorize(ctx, action, in.SourceARN, nil); err != nil {
			return nil, err
		}
	}
	targets := []string{in.DestinationARN}
	if in.DestinationARN == "" {
		targets = nil
		for _, name := range sources {
			targets = append(targets, s.arn(name))
		}
	}
	for _, arn := range targets {
		if err := c.Authorize(ctx, "sqs:SendMessage", arn, nil); err != nil {
			return nil, err
		}
	}

	m := move{Source: in.SourceARN, Destination: in.DestinationARN, Started: s.config.Scheduler.Now(),
		Status: "RUNNING"}
	if in.Rate != nil {
		m.Rate = *in.Rate
	}
	id := s.config.Scheduler.UUID()
	key := []string{nameOf(in.SourceARN), millis(m.Started), id}
	err := s.config.Store.Update(func(tx *store.Tx) error {
		q, err := s.queueOf(tx, "SourceArn", in.SourceARN)
		if err != nil {
			return err
		}
		var all [][]string
		for row, err := range moveTable.Scan(tx, store.Query{Prefix: key[:1]}) {
			if err != nil {
				return err
			}
			if row.Value.active() {
				return coded("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation",
					"There is already a task running. Only one active task is allowed for a source queue arn at a "+
						"given time.")
			}
			all = append(all, row.Key)
		}
		for _, old := range all[:max(0, len(all)-keptMoves+1)] {
			if err := moveTable.Delete(tx, old...); err != nil {
				return err
			}
		}
		for _, err := range messageTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
			if err != nil {
				return err
			}
			m.ToMove++
		}
		tx.OnCommit(func() { s.continueMove(key) })
		return moveTable.Put(tx, m, key...)
	})
	if err != nil {
		return nil, err
	}
	handle, err := formatMoveHandle(in.SourceARN, id)
	return &startMoveOut{handle}, err
}

func (s *Service) continueMove(key []string) {
	s.config.Scheduler.Go("sqs message move", func() { s.moveSome(key) })
}

// moveSome moves as many messages as the rate allows in a second.
func (s *Service) moveSome(key []string) {
	more := false
	err := s.config.Store.Update(func(tx *store.Tx) error {
		more = false
		m, ok, err := moveTable.Get(tx, key...)
		if err != nil || !ok || !m.active() {
			return err
		}
		if m.Status == "CANCELLING" {
			m.Status = "CANCELLED"
			return moveTable.Put(tx, m, key...)
		}
		q, err := getQueue(tx, key[0])
		if err != nil {
			return err
		}
		n, failure, err := s.moveBatch(tx, &q, m)
		if err != nil {
			return err
		}
		m.Moved += int64(n)
		switch {
		case failure != "":
			m.Status, m.Failure = "FAILED", failure
		case n < m.rate():
			m.Status = "COMPLETED"
		default:
			more = true
		}
		return moveTable.Put(tx, m, key...)
	})
	s.config.Scheduler.Failed("sqs message move", err) // Start goes on with it
	if err == nil && more {
		s.config.Scheduler.After(time.Second, "sqs message move", func() { s.moveSome(key) })
	}
}

func (m move) rate() int {
	if m.Rate == 0 {
		return fastestMove
	}
	return m.Rate
}

// moveBatch moves what a second allows; failure is why no more can be moved.
func (s *Service) moveBatch(tx *store.Tx, q *queue, m move) (n int, failure string, err error) {
	now := s.config.Scheduler.Now()
	var due []string
	for row, err := range visibleTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
		if err != nil {
			return 0, "", err
		}
		if row.Key[1] > millis(now) || len(due) == m.rate() {
			break
		}
		due = append(due, row.Key[2])
	}
	for _, number := range due {
		x, ok, err := messageTable.Get(tx, q.ID, number)
		if err != nil || !ok {
			return n, "", err
		}
		to := m.Destination
		if to == "" {
			to = x.Source
		}
		if to == "" {
			return n, "CouldNotDetermineMessageSource", nil
		}
		target, err := getQueue(tx, nameOf(to))
		if awsapi.Code(err) == "QueueDoesNotExist" {
			return n, "AWS.SimpleQueueService.NonExistentQueue", nil
		}
		if err != nil {
			return n, "", err
		}
		if err := q.remove(tx, number, x); err != nil {
			return n, "", err
		}
		again := message{
			ID: s.config.Scheduler.UUID(), Body: x.Body, Attributes: x.Attributes, Trace: x.Trace, Sender: x.Sender,
			Group: x.Group,
			Sent:  now, Visible: now,
		}
		target.Fair = target.Fair || x.Group != ""
		if err := target.add(tx, again); err != nil {
			return n, "", err
		}
		if err := queueTable.Put(tx, target, target.Name); err != nil {
			return n, "", err
		}
		tx.OnCommit(func() { s.arrived(&target) })
		n++
	}
	return n, "", nil
}

func (s *Service) listMoves(_ context.Context, _ *awsapi.Call, in *listMovesIn) (*listMovesOut, error) {
	limit := 1
	if in.MaxResults != nil {
		if limit = *in.MaxResults; limit < 1 || limit > keptMoves {
			return nil, invalidParameter(
				"Value for parameter MaxResults is invalid. Reason: must be an integer from 1 to %d.", keptMoves)
		}
	}
	out := &listMovesOut{Results: []moveOut{}}
	return out, s.config.Store.View(func(tx *store.Tx) error {
		q, err := s.queueOf(tx, "SourceArn", in.SourceARN)
		if err != nil {
			return err
		}
		for row, err := range moveTable.Scan(tx, store.Query{Prefix: []string{q.Name}, Reverse: true}) {
			if err != nil {
				return err
			}
			m := row.Value
			x := moveOut{Status: m.Status, Source: m.Source, Destination: m.Destination, Rate: m.Rate, Moved: m.Moved,
				ToMove: m.ToMove, Failure: m.Failure, Started: m.Started.UnixMilli()}
			if m.active() { // a handle is for what can be cancelled
				if x.TaskHandle, err = formatMoveHandle(m.Source, row.Key[2]); err != nil {
					return err
				}
			}
			if out.Results = append(out.Results, x); len(out.Results) == limit {
				break
			}
		}
		return nil
	})
}

func (s *Service) cancelMove(_ context.Context, _ *awsapi.Call, in *cancelMoveIn) (*cancelMoveOut, error) {
	source, id, err := parseMoveHandle(in.TaskHandle)
	if err != nil {
		return nil, err
	}
	out := &cancelMoveOut{}
	return out, s.config.Store.Update(func(tx *store.Tx) error {
		var found []store.Row[move]
		for row, err := range moveTable.Scan(tx, store.Query{Prefix: []string{nameOf(source)}}) {
			if err != nil {
				return err
			}
			if row.Key[2] == id && row.Value.Status == "RUNNING" {
				found = append(found, row)
			}
		}
		for _, row := range found {
			m := row.Value
			out.Moved, m.Status = m.Moved, "CANCELLING"
			return moveTable.Put(tx, m, row.Key...)
		}
		return coded("ResourceNotFoundException", "ResourceNotFoundException", "Task does not exist.").WithStatus(404)
	})
}
