package workflow_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
)

func message(in event.Inbound) workflow.Message {
	return workflow.Message{Thing: in.Thing, At: in.Event.At, Record: in}
}

// loads counts what follows of a kind of request.
func (r *rig) count(op string) (n func() int) {
	count := 0
	r.store.Before = func(did string) error {
		if did == op {
			count++
		}
		return nil
	}
	return func() int { return count }
}

func TestABatchIsInTheOrderInWhichTheRuleSawIt(t *testing.T) {
	r, in := owned(t)
	if _, err := r.Await(t.Context(), step(in, first, "tok")); err != nil {
		t.Fatal(err)
	}
	r.expect("registered")
	r.says[event.KindBooted] = event.Move{State: []byte(`{"booted":true}`)}
	r.says[event.KindTransferComplete] = event.Move{Done: "complete"}
	var batch []workflow.Message
	// the last of them first
	for i, kind := range []event.Kind{event.KindOther, event.KindConnected, event.KindBooted} {
		batch = append(batch, message(
			record(event.DeviceEvent{Kind: kind, At: r.now.Add(time.Duration(10-i) * time.Second)})))
	}
	got := r.Batch(t.Context(), batch)
	for i, want := range []workflow.Fate{workflow.FateIgnored, workflow.FateIgnored, workflow.FateNoted} {
		if got[i].Err != nil || got[i].Fate != want {
			t.Errorf("message %d: %v, %v, want %v", i, got[i].Fate, got[i].Err, want)
		}
	}
	if string(r.load().Awaits[0].State) != `{"booted":true}` {
		t.Errorf("the conversation is at %s", r.load().Awaits[0].State)
	}
}

func TestMessagesThatChangeNothingShareOneLoad(t *testing.T) {
	r, _ := owned(t)
	loads := r.count("Load")
	var batch []workflow.Message
	for i := range 10 {
		batch = append(batch, message(
			record(event.DeviceEvent{Kind: event.KindOther, At: r.now.Add(time.Duration(i) * time.Second)})))
	}
	for i, got := range r.Batch(t.Context(), batch) {
		if got.Err != nil || got.Fate != workflow.FateIgnored {
			t.Errorf("message %d: %v, %v", i, got.Fate, got.Err)
		}
	}
	if loads() != 1 {
		t.Errorf("%d loads for 10 messages", loads())
	}
	if len(r.log) != 10 {
		t.Errorf("%d of 10 messages were answered", len(r.log))
	}
}

// A message after one that wrote must not be judged by what was known before it.
func TestNewsIsSeenByTheNextMessageOfItsBatch(t *testing.T) {
	r := newRig(t)
	r.greeted()
	r.must(r.store.PutPending(t.Context(), "rg-1", workflow.Pending{Owner: fw2, ExecutionNumber: 1,
		Operation: operation, At: r.now}))
	connected := workflow.Message{Thing: "rg-1", At: r.now, Presence: &workflow.Presence{Connected: true, Version: 1,
		At: r.now}}
	ev := booted
	ev.At = r.now.Add(time.Second)
	got := r.Batch(t.Context(), []workflow.Message{connected, message(record(ev))})
	if got[0].Err != nil || len(got[0].Started) != 1 || got[1].Err != nil || got[1].Fate != workflow.FateKept {
		t.Errorf("got %+v", got)
	}
}

func TestAMessageThatFailsHindersNoOther(t *testing.T) {
	r, _ := owned(t)
	fails := 0
	r.store.Before = func(op string) error {
		if fails++; fails == 1 {
			return workflowtest.ErrCrash
		}
		return nil
	}
	other := record(event.DeviceEvent{Kind: event.KindOther, At: r.now.Add(time.Second)})
	later := other
	later.Event.At = r.now.Add(2 * time.Second)
	got := r.Batch(t.Context(), []workflow.Message{message(other), message(later)})
	if !errors.Is(got[0].Err, workflowtest.ErrCrash) || got[1].Err != nil || got[1].Fate != workflow.FateIgnored {
		t.Errorf("got %+v", got)
	}
}

func TestAFloodOfNewsIsAnsweredAndDropped(t *testing.T) {
	r, in := owned(t)
	if _, err := r.Await(t.Context(), step(in, first, "tok")); err != nil {
		t.Fatal(err)
	}
	r.expect("registered")
	var batch []workflow.Message
	for i := range 9 {
		ev := event.DeviceEvent{Kind: event.KindCommandComplete, CommandKey: fmt.Sprint("flood-", i),
			At: r.now.Add(time.Duration(i) * time.Second)}
		batch = append(batch, message(record(ev)))
	}
	answer := record(event.DeviceEvent{Kind: event.KindAnswer, At: r.now.Add(4 * time.Second)})
	answer.Answer = nil
	batch = append(batch, message(answer))
	var fates []workflow.Fate
	for i, got := range r.Batch(t.Context(), batch) {
		if got.Err != nil {
			t.Errorf("message %d: %v", i, got.Err)
		}
		fates = append(fates, got.Fate)
	}
	const ignored, dropped = workflow.FateIgnored, workflow.FateDropped
	want := []workflow.Fate{ignored, ignored, dropped, dropped, dropped, dropped, dropped, ignored, ignored, ignored}
	if !slices.Equal(fates, want) {
		t.Errorf("got %v, want %v", fates, want)
	}
	if len(r.log) != 9 {
		t.Errorf("%d of 9 were answered", len(r.log))
	}
	batch[3].Record.Endpoint = "os::evil"
	r.log = nil
	if got := r.Batch(t.Context(), batch); got[3].Fate != workflow.FateRefused || len(r.log) != 8 {
		t.Errorf("a flood in another's name: %v, %d answers", got[3].Fate, len(r.log))
	}
}

// TestAFloodOfGreetingsIsOne: a device that opens its connection again and again costs no
// more than one that does so once. The last counts.
func TestAFloodOfGreetingsIsOne(t *testing.T) {
	r := newRig(t)
	r.greeted()
	var batch []workflow.Message
	for i := range 10 {
		in := record(event.DeviceEvent{Kind: event.KindConnected, At: r.now.Add(time.Duration(10-i) * time.Minute)})
		in.Greets, in.AgentTopic, in.Answer = true, fmt.Sprint("topic/", 10-i), nil
		batch = append(batch, message(in))
	}
	greetings := r.count("Greet")
	for i, got := range r.Batch(t.Context(), batch) {
		want := workflow.FateStale
		if i == 0 { // the rule saw it last
			want = workflow.FateNoted
		}
		if got.Err != nil || got.Fate != want {
			t.Errorf("greeting %d: %v, %v, want %v", i, got.Fate, got.Err, want)
		}
	}
	if n := greetings(); n != 1 {
		t.Errorf("%d greetings were written", n)
	}
	if topic := r.load().State.AgentTopic; topic != "topic/10" {
		t.Errorf("its topic is %s", topic)
	}
}
