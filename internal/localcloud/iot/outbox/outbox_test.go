package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// box is an outbox whose deliveries fail as told.
type box struct {
	*Outbox
	sched     *scheduler.Scheduler
	delivered []string
	fail      func(m Message) bool
}

func newBox(sched *scheduler.Scheduler, db *store.DB) *box {
	b := &box{sched: sched, fail: func(Message) bool { return false }}
	b.Outbox = New(sched, db, "test.outbox", func(_ context.Context, m Message) error {
		if b.fail(m) {
			return errors.New("no broker")
		}
		b.delivered = append(b.delivered, m.Topic)
		return nil
	})
	return b
}

func (b *box) add(t *testing.T, db *store.DB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := db.Update(func(tx *store.Tx) error { return b.Add(tx, Message{Topic: fmt.Sprint(i)}) }); err != nil {
			t.Fatal(err)
		}
	}
}

func sequence(from, to int) string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return strings.Join(s, " ")
}

func start() *scheduler.Scheduler { return scheduler.NewVirtual(3, time.Unix(0, 0)) }

func TestDeliversInOrderAcrossFailuresAndRestarts(t *testing.T) {
	db := store.Memory()
	b := newBox(start(), db)
	failures := 3
	b.fail = func(m Message) bool {
		if m.Topic == "140" && failures > 0 {
			failures--
			return true
		}
		return false
	}
	b.add(t, db, 0, 150)
	b.sched.RunFor(500 * time.Millisecond)
	if got := strings.Join(b.delivered, " "); got != sequence(0, 140) {
		t.Fatalf("before the failure: %s", got)
	}
	// The process dies here; its successor sends the rest.
	again := newBox(start(), db)
	again.Start()
	again.add(t, db, 150, 160)
	again.sched.RunFor(time.Second)
	if got := strings.Join(again.delivered, " "); got != sequence(140, 160) {
		t.Fatalf("after the restart: %s", got)
	}
	if n, err := again.Undelivered(); n != 0 || err != nil {
		t.Fatalf("%d left, %v", n, err)
	}
}

func TestDropsWhatCannotBeDelivered(t *testing.T) {
	db := store.Memory()
	b := newBox(start(), db)
	b.fail = func(m Message) bool { return m.Topic == "1" }
	b.add(t, db, 0, 3)
	b.sched.RunFor(time.Minute)
	if got := strings.Join(b.delivered, " "); got != "0 2" {
		t.Fatalf("delivered %s", got)
	}
}

func TestNothingIsSentForAFailedTransaction(t *testing.T) {
	db := store.Memory()
	b := newBox(start(), db)
	wrong := errors.New("wrong")
	err := db.Update(func(tx *store.Tx) error {
		if err := b.Add(tx, Message{Topic: "0"}); err != nil {
			return err
		}
		return wrong
	})
	b.sched.RunFor(time.Second)
	if !errors.Is(err, wrong) || len(b.delivered) != 0 {
		t.Fatalf("delivered %v, %v", b.delivered, err)
	}
}

// A look for messages begins behind those that were delivered: a row that nothing but an older store can have is not
// met before the next start.
func TestLooksBehindWhatItHasDelivered(t *testing.T) {
	db := store.Memory()
	b := newBox(start(), db)
	b.add(t, db, 0, 300)
	b.sched.RunFor(time.Second)
	if err := db.Update(func(tx *store.Tx) error {
		return b.table.Put(tx, Message{Topic: "planted"}, store.Number(7))
	}); err != nil {
		t.Fatal(err)
	}
	b.add(t, db, 300, 301)
	b.sched.RunFor(time.Second)
	if got := strings.Join(b.delivered, " "); got != sequence(0, 301) {
		t.Fatalf("delivered %s", got)
	}
	if n, err := b.Undelivered(); n != 0 || err != nil {
		t.Errorf("%d left, %v", n, err)
	}
	again := newBox(start(), db)
	again.Start()
	again.sched.RunFor(time.Second)
	if got := strings.Join(again.delivered, " "); got != "planted" {
		t.Errorf("after a restart: %s", got)
	}
}

// What an earlier process left is delivered before the first new message is added: the new one comes behind it, not in
// front of where looks begin.
func TestAddsBehindWhatAnEarlierProcessLeft(t *testing.T) {
	db := store.Memory()
	newBox(start(), db).add(t, db, 0, 5) // its scheduler never runs
	b := newBox(start(), db)
	b.Start()
	b.sched.RunFor(time.Second)
	b.add(t, db, 5, 7)
	b.sched.RunFor(time.Second)
	if got := strings.Join(b.delivered, " "); got != sequence(0, 7) {
		t.Errorf("delivered %s", got)
	}
}
