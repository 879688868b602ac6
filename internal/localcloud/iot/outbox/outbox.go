// Package outbox stores messages until they are delivered. A message is added in the
// transaction that decides to send it, is delivered after that transaction is durable, and is
// deleted after delivery. A crash in between delivers it again; none is lost.
//
// Messages are delivered one at a time in the order of their transactions. A delivery that
// fails is tried again after a second, ten times in all, and is then dropped so that it does
// not block those behind it.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	batch    = 128
	attempts = 10
	pause    = time.Second
)

// Message is one message to be sent. Kind tells the delivering function how to
// make the final payload; it is empty for a payload that is final.
type Message struct {
	Kind    string `json:"k,omitempty"`
	Topic   string `json:"t"`
	Payload []byte `json:"p"`
}

// Outbox is a queue of messages in the store.
type Outbox struct {
	sched   *scheduler.Scheduler
	db      *store.DB
	table   store.Table[Message]
	deliver func(ctx context.Context, m Message) error

	mu       sync.Mutex
	next     uint64 // key of the next message; 0: not read from the store yet
	removed  uint64 // key of the last message that was delivered and deleted; 0 if none was
	draining bool
	failed   int // failures of the first message
}

// New returns an outbox over a table of that name. Messages left by an earlier
// process are delivered after Start.
func New(sched *scheduler.Scheduler, db *store.DB, table string, deliver func(ctx context.Context,
	m Message) error) *Outbox {
	return &Outbox{sched: sched, db: db, table: store.NewTable[Message](table).Versions(store.JSON), deliver: deliver}
}

// Start delivers what an earlier process left.
func (o *Outbox) Start() { o.wake() }

// Add puts a message in the outbox as part of a transaction.
func (o *Outbox) Add(tx *store.Tx, m Message) error {
	o.mu.Lock()
	if o.next == 0 {
		o.next = o.removed + 1 // behind what an earlier process left, which may be delivered already
		for row, err := range o.table.Scan(tx, store.Query{Reverse: true}) {
			if err != nil {
				o.mu.Unlock()
				return err
			}
			o.next = store.ParseNumber(row.Key[0]) + 1
			break
		}
	}
	key := o.next
	o.next++
	o.mu.Unlock()
	if err := o.table.Put(tx, m, store.Number(key)); err != nil {
		return err
	}
	tx.OnCommit(o.wake)
	return nil
}

// Undelivered counts the messages that wait, up to a hundred.
func (o *Outbox) Undelivered() (n int, err error) {
	left := o.left()
	err = o.db.View(func(tx *store.Tx) error {
		for _, err := range o.table.Scan(tx, left) {
			if err != nil || n >= 100 {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// left is where messages are that are not delivered. Transactions, and so keys, come one after the other: none comes
// behind what was removed. A scan from the beginning would pass over everything that was ever delivered, until the
// store's next compaction: with 5,000 to 15,000 messages that took 1 to 3 ms.
func (o *Outbox) left() store.Query {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.removed == 0 {
		return store.Query{}
	}
	return store.Query{After: []string{store.Number(o.removed)}}
}

func (o *Outbox) wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.draining {
		return
	}
	o.draining = true
	o.sched.Go("iot outbox", o.drain)
}

func (o *Outbox) drain() {
	for {
		var rows []store.Row[Message]
		left := o.left()
		err := o.db.View(func(tx *store.Tx) error {
			for row, err := range o.table.Scan(tx, left) {
				if err != nil {
					return err
				}
				if rows = append(rows, row); len(rows) == batch {
					break
				}
			}
			if len(rows) == 0 {
				// A message added from here on finds draining unset.
				o.mu.Lock()
				o.draining = false
				o.mu.Unlock()
			}
			return nil
		})
		if errors.Is(err, store.ErrClosed) { // Start goes on from here
			o.mu.Lock()
			o.draining = false
			o.mu.Unlock()
			return
		}
		if err != nil {
			o.sched.Failed("iot outbox", err)
			o.sched.After(pause, "iot outbox retry", o.drain)
			return
		}
		if len(rows) == 0 {
			// One may have been added between the look and the reset.
			n, err := o.Undelivered()
			if n > 0 {
				o.wake()
			}
			if !errors.Is(err, store.ErrClosed) {
				o.sched.Failed("iot outbox", err)
			}
			return
		}
		sent, err := o.send(rows)
		if removeErr := o.remove(rows[:sent]); removeErr != nil {
			err = removeErr
		}
		if err != nil {
			o.sched.After(pause, "iot outbox retry", o.drain)
			return
		}
	}
}

// send delivers rows in order and returns how many are done with.
func (o *Outbox) send(rows []store.Row[Message]) (int, error) {
	for i, row := range rows {
		if err := o.deliver(context.Background(), row.Value); err != nil {
			o.failed++
			if o.failed < attempts {
				return i, fmt.Errorf("outbox: %s: %w", row.Value.Topic, err)
			}
			o.sched.Failed("iot outbox: message to "+row.Value.Topic+" dropped", err)
		}
		o.failed = 0
	}
	return len(rows), nil
}

func (o *Outbox) remove(rows []store.Row[Message]) error {
	if len(rows) == 0 {
		return nil
	}
	if err := o.db.Update(func(tx *store.Tx) error {
		for _, row := range rows {
			if err := o.table.Delete(tx, row.Key...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	o.mu.Lock()
	o.removed = store.ParseNumber(rows[len(rows)-1].Key[0])
	o.mu.Unlock()
	return nil
}
