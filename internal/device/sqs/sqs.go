// Package sqs is the queue of device messages in Amazon SQS: a device.Queue. It postpones up
// to ten messages in a call, as many as a batch of the event source mapping has. Delays are in
// whole seconds. Errors are the SDK's, or name the entries of a batch that SQS refused. A
// message that was not postponed is not lost: it comes again after the visibility timeout.
package sqs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/fleetstep/fleetstep/internal/device"
)

// mostEntries is SQS's limit of a batch request.
const mostEntries = 10

// API is the part of SQS that is used.
type API interface {
	ChangeMessageVisibilityBatch(
		ctx context.Context, in *sqs.ChangeMessageVisibilityBatchInput, opts ...func(*sqs.Options),
	) (*sqs.ChangeMessageVisibilityBatchOutput, error)
}

// Queue is a device.Queue.
type Queue struct {
	api API
	url string
}

var _ device.Queue = (*Queue)(nil)

// New is the queue of a URL.
func New(api API, url string) *Queue { return &Queue{api: api, url: url} }

// Postpone implements device.Queue.
func (q *Queue) Postpone(ctx context.Context, list []device.Delay) error {
	var errs []error
	for part := range slices.Chunk(list, mostEntries) {
		in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url}
		for i, d := range part {
			in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(d.Receipt),
				VisibilityTimeout: int32(d.For / time.Second),
			})
		}
		out, err := q.api.ChangeMessageVisibilityBatch(ctx, in)
		if err != nil {
			errs = append(errs, fmt.Errorf("device/sqs.Postpone: %w", err))
			continue
		}
		for _, f := range out.Failed {
			errs = append(errs, fmt.Errorf("device/sqs.Postpone: %s: %s", aws.ToString(f.Code),
				aws.ToString(f.Message)))
		}
	}
	return errors.Join(errs...)
}
