// Package sns publishes how operations ended, on an SNS topic (jobs.Outcomes). The message is
// the event.Outcome as JSON. Filter policies of subscriptions can use its attributes: event,
// jobId, reason, and those that the flow names. A message may be published twice; messages
// with the same jobId, thingName and executionNumber are copies.
package sns

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of SNS that is used.
type API interface {
	Publish(ctx context.Context, in *sns.PublishInput, opts ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Topic is a jobs.Outcomes.
type Topic struct {
	api API
	arn string
}

// Options are those of a client for a Topic: what SNS throttles is tried again. The
// SDK has a list of such codes, and not SNS's among them.
func Options(o *sns.Options) {
	o.Retryer = retry.AddWithErrorCodes(o.Retryer, "Throttled")
}

// New is a topic by its ARN; api is a client with Options.
func New(api API, arn string) *Topic { return &Topic{api: api, arn: arn} }

// Publish implements jobs.Outcomes.
func (t *Topic) Publish(ctx context.Context, o event.Outcome) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("jobs/sns.Publish: %w", err)
	}
	attributes := map[string]types.MessageAttributeValue{}
	values := map[string]string{event.AttributeEvent: o.Event, event.AttributeJob: string(o.Job),
		event.AttributeCampaign: string(o.Campaign), event.AttributeReason: string(o.Reason)}
	for _, name := range o.Filters {
		values[name] = o.Details[name]
	}
	for name, v := range values {
		if v != "" {
			attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
		}
	}
	_, err = t.api.Publish(ctx, &sns.PublishInput{
		TopicArn: &t.arn, Message: aws.String(string(b)), Subject: aws.String(o.Event), MessageAttributes: attributes,
	})
	if err != nil {
		return fmt.Errorf("jobs/sns.Publish: %w", err)
	}
	return nil
}
