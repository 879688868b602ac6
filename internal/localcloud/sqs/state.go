package sqs

import (
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// queue is a queue and its attributes as they were set.
type queue struct {
	Name       string
	ID         string // unique among all queues that ever had the name
	Attributes map[string]string
	Tags       map[string]string `json:",omitempty"`
	Created    time.Time
	Modified   time.Time
	Purged     time.Time
	Next       uint64 // number of the next message
	Fair       bool   `json:",omitempty"` // a message with a group was sent to it
}

// message is a message in a queue.
type message struct {
	ID         string
	Body       string
	Attributes map[string]attributeValue `json:",omitempty"`
	Trace      string                    `json:",omitempty"` // AWSTraceHeader
	Sender     string
	Sent       time.Time
	// First is when it was first received, Count how often it was.
	First time.Time
	Count int
	// Visible is when it can be received (again).
	Visible time.Time
	// Source is the ARN of the queue it was moved from, Moved when that was.
	Source string    `json:",omitempty"`
	Moved  time.Time `json:",omitzero"`
	// Group is its message group: on a standard queue the tenant among whom
	// messages are shared out fairly.
	Group string `json:",omitempty"`
}

var (
	queueTable = store.NewTable[queue]("sqs.queue").Versions(store.JSON) // name
	// messageTable: queue ID, number. Numbers rise with the time of arrival.
	messageTable = store.NewTable[message]("sqs.message").Versions(store.JSON)
	// visibleTable orders messages by when they can be received: queue ID,
	// milliseconds, number. The value says why one cannot be yet.
	visibleTable = store.NewTable[hidden]("sqs.visible").Versions(store.JSON)
	// moveTable: name of the source, milliseconds of the start, handle.
	moveTable = store.NewTable[move]("sqs.move").Versions(store.JSON)
)

// hidden is why a message is not visible before its time.
type hidden string

const (
	delayed  hidden = "delayed"
	inFlight hidden = "inflight"
)

func millis(t time.Time) string { return store.Number(uint64(max(t.UnixMilli(), 0))) }

func getQueue(tx *store.Tx, name string) (queue, error) {
	q, ok, err := queueTable.Get(tx, name)
	if err == nil && !ok {
		err = noQueue()
	}
	return q, err
}

// put writes a message under its number and into the order of visibility.
func (q *queue) put(tx *store.Tx, number string, m message, why hidden) error {
	if err := visibleTable.Put(tx, why, q.ID, millis(m.Visible), number); err != nil {
		return err
	}
	return messageTable.Put(tx, m, q.ID, number)
}

// remove deletes a message.
func (q *queue) remove(tx *store.Tx, number string, m message) error {
	if err := visibleTable.Delete(tx, q.ID, millis(m.Visible), number); err != nil {
		return err
	}
	return messageTable.Delete(tx, q.ID, number)
}

// add appends a message; the queue's record must be written afterwards.
func (q *queue) add(tx *store.Tx, m message) error {
	number := store.Number(q.Next)
	q.Next++
	return q.put(tx, number, m, delayed)
}

// nameOf is the queue's name in its URL or ARN.
func nameOf(urlOrARN string) string {
	return urlOrARN[strings.LastIndexAny(urlOrARN, "/:")+1:]
}
