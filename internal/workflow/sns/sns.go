// Package sns publishes domain events on an SNS topic. The message is the event.DomainEvent as
// JSON. Filter policies of subscriptions can use its attributes event, operation, outcome,
// reason and jobId.
package sns

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of SNS that is used.
type API interface {
	Publish(ctx context.Context, in *sns.PublishInput, opts ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Topic is where events are published.
type Topic struct {
	api        API
	arn, stack string
}

// New is a topic by its ARN, for the events of a stack.
func New(api API, arn, stack string) *Topic { return &Topic{api: api, arn: arn, stack: stack} }

// Publish publishes an event.
func (t *Topic) Publish(ctx context.Context, e event.DomainEvent) error {
	e.Stack = t.stack
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("workflow/sns.Publish: %w", err)
	}
	attributes := map[string]types.MessageAttributeValue{}
	for name, v := range map[string]string{
		event.AttributeEvent: e.Name, event.AttributeOperation: string(e.Operation),
		event.AttributeOutcome: string(e.Outcome), event.AttributeReason: string(e.Reason),
		event.AttributeJob: string(e.Job),
	} {
		if v != "" {
			attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
		}
	}
	if _, err := t.api.Publish(ctx, &sns.PublishInput{TopicArn: &t.arn, Message: aws.String(string(b)),
		MessageAttributes: attributes}); err != nil {
		return fmt.Errorf("workflow/sns.Publish: %w", err)
	}
	return nil
}
