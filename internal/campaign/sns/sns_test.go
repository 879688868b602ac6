package sns_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/fleetstep/fleetstep/internal/campaign"
	campaignsns "github.com/fleetstep/fleetstep/internal/campaign/sns"
)

type published struct{ in *sns.PublishInput }

func (p *published) Publish(_ context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput,
	error) {
	p.in = in
	return &sns.PublishOutput{}, nil
}

func TestANoticeIsAMessage(t *testing.T) {
	p := &published{}
	n := campaign.Notice{Event: campaign.NoticeHalted, Campaign: "fall", Wave: "canary", Why: "5 failed"}
	if err := campaignsns.New(p, "arn:topic").Announce(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	var got campaign.Notice
	err := json.Unmarshal([]byte(*p.in.Message), &got)
	if err != nil || got.Why != n.Why || *p.in.TopicArn != "arn:topic" ||
		*p.in.MessageAttributes["event"].StringValue != n.Event ||
		*p.in.MessageAttributes["campaignId"].StringValue != "fall" {
		t.Errorf("published %+v, %v", p.in, err)
	}
}
