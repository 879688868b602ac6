package sqs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/fleetstep/fleetstep/internal/device"
)

type api func(in *sqs.ChangeMessageVisibilityBatchInput) (*sqs.ChangeMessageVisibilityBatchOutput, error)

func (f api) ChangeMessageVisibilityBatch(
	_ context.Context, in *sqs.ChangeMessageVisibilityBatchInput, _ ...func(*sqs.Options),
) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
	return f(in)
}

func TestPostponeGoesOnAfterWhatFails(t *testing.T) {
	calls, broken := 0, errors.New("throttled")
	q := New(api(func(in *sqs.ChangeMessageVisibilityBatchInput) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
		if *in.QueueUrl != "url" {
			t.Errorf("queue %s", *in.QueueUrl)
		}
		switch calls++; calls {
		case 1:
			return nil, broken
		case 2:
			return &sqs.ChangeMessageVisibilityBatchOutput{Failed: []types.BatchResultErrorEntry{{
				Id: aws.String("0"), Code: aws.String("ReceiptHandleIsInvalid"), Message: aws.String("gone"),
			}}}, nil
		}
		e := in.Entries[0]
		if len(in.Entries) != 1 || *e.ReceiptHandle != "last" || e.VisibilityTimeout != 7 {
			t.Errorf("entries %+v", in.Entries)
		}
		return &sqs.ChangeMessageVisibilityBatchOutput{}, nil
	}), "url")
	list := make([]device.Delay, 21)
	list[20] = device.Delay{Receipt: "last", For: 7 * time.Second}
	err := q.Postpone(t.Context(), list)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "ReceiptHandleIsInvalid: gone") || calls != 3 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}
