package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
)

type postponed struct {
	list []device.Delay
	err  error
}

func (p *postponed) Postpone(_ context.Context, list []device.Delay) error {
	p.list = append(p.list, list...)
	return p.err
}

func letter(t *testing.T, id string, received int, body any) events.SQSMessage {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return events.SQSMessage{
		MessageId: id, ReceiptHandle: "receipt of " + id, Body: string(b),
		Attributes: map[string]string{"ApproximateReceiveCount": fmt.Sprint(received)},
	}
}

// TestWhatFailsOfABatchComesAgain: a batch has failed as far as its answer says so, and not further.
func TestWhatFailsOfABatchComesAgain(t *testing.T) {
	w := newWorld(t, 1)
	queue := &postponed{}
	w.devices.queue = queue
	presence := func(thing string) event.DeviceMessage {
		return event.DeviceMessage{Presence: event.PresenceConnected, ThingName: thing, ClientID: thing,
			ReceivedAt: w.now.UnixMilli(), VersionNumber: 1}
	}
	requests := 0
	w.store.Before = func(op string) error {
		if op == "Presence" {
			requests++
		}
		if op == "Presence" && (requests == 2 || requests == 3) {
			return workflowtest.ErrCrash
		}
		return nil
	}
	batch := events.SQSEvent{Records: []events.SQSMessage{
		letter(t, "a", 1, presence("cpe-1")), letter(t, "b", soonReceipts, presence("cpe-2")),
		letter(t, "c", soonReceipts+1, presence("cpe-3")), letter(t, "d", 1, "no object"),
		letter(t, "e", 1, presence("cpe-4")),
	}}
	out, err := w.devices.batch(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	for _, f := range out.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	if len(failed) != 3 || !failed["b"] || !failed["c"] || !failed["d"] {
		t.Errorf("failed are %v", out.BatchItemFailures)
	}
	receipts := map[string]bool{}
	for _, d := range queue.list {
		receipts[d.Receipt] = true
		if d.For < 2*time.Second || d.For > 10*time.Second {
			t.Errorf("%s comes again after %v", d.Receipt, d.For)
		}
	}
	if len(receipts) != 2 || !receipts["receipt of b"] || !receipts["receipt of d"] {
		t.Errorf("soon again come %v; what failed often waits for the visibility timeout", queue.list)
	}

	// The answer counts, whatever became of the delay.
	queue.err = errors.New("throttled")
	if out, err = w.devices.batch(t.Context(), events.SQSEvent{Records: batch.Records[3:4]}); err != nil ||
		len(out.BatchItemFailures) != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
	// Nothing more is asked of a function whose time is over.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	queue.list = nil
	if out, err = w.devices.batch(over, events.SQSEvent{Records: batch.Records[3:4]}); err != nil ||
		len(out.BatchItemFailures) != 1 || queue.list != nil {
		t.Errorf("got %+v, %v, %v", out, err, queue.list)
	}
}

// TestABatchWithoutFailuresSaysSo: Lambda takes null for a list of failures, and an absent one, for
// a whole success; an empty list cannot be read otherwise.
func TestABatchWithoutFailuresSaysSo(t *testing.T) {
	w := newWorld(t, 1)
	out, err := w.devices.batch(t.Context(), events.SQSEvent{})
	if b, marshal := json.Marshal(out); err != nil || marshal != nil || string(b) != `{"batchItemFailures":[]}` {
		t.Errorf("got %s, %v, %v", b, err, marshal)
	}
}

func TestWhatFailedTogetherComesAgainApart(t *testing.T) {
	at := map[time.Duration]int{}
	for i := range 900 {
		d, soon := comesAgain(letter(t, fmt.Sprint("message-", i), 1, nil))
		if !soon {
			t.Fatal("not soon")
		}
		at[d]++
	}
	for d := 2 * time.Second; d <= 10*time.Second; d += time.Second {
		if at[d] < 50 {
			t.Errorf("%d of 900 come again after %v: %v", at[d], d, at)
		}
	}
}
