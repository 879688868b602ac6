// Package sqs is the queue of attempts to start (workflow.Waker). An event source mapping
// hands its messages to their function. If the queue does not accept a message, the error is
// worth a retry of all of them.
package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// API is the part of SQS that is used.
type API interface {
	SendMessageBatch(ctx context.Context, in *sqs.SendMessageBatchInput, opts ...func(*sqs.Options)) (
		*sqs.SendMessageBatchOutput, error)
}

// Queue is a workflow.Waker.
type Queue struct {
	api API
	url string
}

// New is a queue by its URL.
func New(api API, url string) *Queue { return &Queue{api, url} }

// Limits of SendMessageBatch (SQS API reference).
const (
	mostEntries = 10
	longest     = 900 * time.Second
)

// Wake implements workflow.Waker.
func (q *Queue) Wake(ctx context.Context, wakes []workflow.Wake) error {
	for len(wakes) > 0 {
		n := min(len(wakes), mostEntries)
		var entries []types.SendMessageBatchRequestEntry
		for i, w := range wakes[:n] {
			body, err := json.Marshal(event.StartMessage{ThingName: w.Thing, Owner: w.Owner, Lost: w.Lost})
			if err != nil {
				return fmt.Errorf("workflow/sqs.Wake: %w", err)
			}
			entries = append(entries, types.SendMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)),
				DelaySeconds: int32(min(max(w.After, 0), longest) / time.Second),
			})
		}
		out, err := q.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		if err != nil {
			return fmt.Errorf("workflow/sqs.Wake: %w", err)
		}
		for _, f := range out.Failed {
			return fmt.Errorf("workflow/sqs.Wake: %d messages not taken, the first: %s: %s",
				len(out.Failed), aws.ToString(f.Code), aws.ToString(f.Message))
		}
		wakes = wakes[n:]
	}
	return nil
}
