package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowsqs "github.com/fleetstep/fleetstep/internal/workflow/sqs"
)

// queue takes batches; it refuses what names the thing refused.
type queue struct {
	batches []int
	bodies  []string
	delays  []int32
	err     error
}

func (q *queue) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (
	*sqs.SendMessageBatchOutput, error) {
	if q.err != nil {
		return nil, q.err
	}
	out := &sqs.SendMessageBatchOutput{}
	q.batches = append(q.batches, len(in.Entries))
	ids := map[string]bool{}
	for _, e := range in.Entries {
		if ids[*e.Id] {
			return nil, errors.New("BatchEntryIdsNotDistinct")
		}
		ids[*e.Id] = true
		if strings.Contains(*e.MessageBody, "refused") {
			out.Failed = append(out.Failed, types.BatchResultErrorEntry{Id: e.Id, Code: aws.String("InternalError"),
				Message: aws.String("no")})
			continue
		}
		q.bodies, q.delays = append(q.bodies, *e.MessageBody), append(q.delays, e.DelaySeconds)
	}
	return out, nil
}

func TestWakesGoInBatchesOfTen(t *testing.T) {
	q := &queue{}
	var wakes []workflow.Wake
	for i := range 21 {
		wakes = append(wakes, workflow.Wake{Thing: event.ThingName(fmt.Sprint("rg-", i)),
			Owner: event.JobOwner("fw-2"), After: time.Duration(i) * time.Minute})
	}
	if err := workflowsqs.New(q, "url").Wake(t.Context(), wakes); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(q.batches) != "[10 10 1]" || q.bodies[1] != `{"thingName":"rg-1","jobId":"fw-2"}` {
		t.Errorf("batches %v, the second message %s", q.batches, q.bodies[1])
	}
	if q.delays[0] != 0 || q.delays[1] != 60 || q.delays[15] != 900 || q.delays[20] != 900 {
		t.Errorf("delays %v: SQS takes up to 900 seconds", q.delays)
	}
}

func TestWhatTheQueueDoesNotTakeIsAnError(t *testing.T) {
	wakes := []workflow.Wake{{Thing: "rg-1"}, {Thing: "refused"}}
	err := workflowsqs.New(&queue{}, "url").Wake(t.Context(), wakes)
	if err == nil || !strings.Contains(err.Error(), "1 messages not taken, the first: InternalError: no") {
		t.Errorf("got %v", err)
	}
	if err := workflowsqs.New(&queue{err: errors.New("away")}, "url").Wake(t.Context(), wakes); err == nil {
		t.Error("no error")
	}
}
