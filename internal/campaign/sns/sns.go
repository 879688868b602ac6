// Package sns tells people of a campaign by a topic (campaign.Bulletin): a message of JSON,
// as campaign.Notice has it, whose attributes event and campaignId are for filter policies.
package sns

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of SNS that is used.
type API interface {
	Publish(ctx context.Context, in *sns.PublishInput, opts ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Topic is a campaign.Bulletin.
type Topic struct {
	api API
	arn string
}

// New is a topic by its ARN.
func New(api API, arn string) *Topic { return &Topic{api, arn} }

// Announce implements campaign.Bulletin.
func (t *Topic) Announce(ctx context.Context, n campaign.Notice) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("campaign/sns.Announce: %w", err)
	}
	attribute := func(v string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
	}
	_, err = t.api.Publish(ctx, &sns.PublishInput{
		TopicArn: &t.arn, Message: aws.String(string(b)), Subject: aws.String(n.Event),
		MessageAttributes: map[string]types.MessageAttributeValue{
			event.AttributeEvent: attribute(n.Event), event.AttributeCampaign: attribute(string(n.Campaign)),
		},
	})
	if err != nil {
		return fmt.Errorf("campaign/sns.Announce: %w", err)
	}
	return nil
}
