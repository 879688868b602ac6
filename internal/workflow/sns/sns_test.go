package sns_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/fleetstep/fleetstep/internal/event"
	workflowsns "github.com/fleetstep/fleetstep/internal/workflow/sns"
)

// topic is SNS: it keeps what it was sent.
type topic struct {
	in    *sns.PublishInput
	fails error
}

func (p *topic) Publish(_ context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	p.in = in
	return &sns.PublishOutput{}, p.fails
}

func TestAnEventIsAMessageWithAttributes(t *testing.T) {
	at := time.Date(2026, 11, 30, 8, 0, 31, 4_567_890, time.FixedZone("CET", 3600))
	e := event.NewDomainEvent(event.EventFinished, at, event.JobOwner("fw-2"), "gw-1", 1, "blink")
	e.Outcome, e.Reason = event.StatusFailed, event.DeviceNoReport
	p := &topic{}
	if err := workflowsns.New(p, "arn:topic", "fleetstep").Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, v := range p.in.MessageAttributes {
		got[name] = aws.ToString(v.StringValue)
	}
	if want := map[string]string{"event": "Finished", "operation": "blink", "outcome": "FAILED",
		"reason": "Device.NoReport", "jobId": "fw-2"}; !maps.Equal(got, want) || *p.in.TopicArn != "arn:topic" {
		t.Errorf("attributes %v, want %v", got, want)
	}
	var message map[string]any
	if err := json.Unmarshal([]byte(*p.in.Message), &message); err != nil {
		t.Fatal(err)
	}
	if message["time"] != "2026-11-30T07:00:31.004Z" || message["stack"] != "fleetstep" || message["version"] != 1.0 ||
		message["id"] != e.ID || len(e.ID) != 32 {
		t.Errorf("%s", *p.in.Message)
	}
	again := event.NewDomainEvent(event.EventFinished, at.Add(time.Hour), e.Owner, "gw-1", 1, "blink")
	other := event.NewDomainEvent(event.EventStarted, at, e.Owner, "gw-1", 1, "blink")
	if again.ID != e.ID || other.ID == e.ID {
		t.Errorf("ids %s, %s, %s", e.ID, again.ID, other.ID)
	}
}

func TestWhatHasNoValueIsNoAttribute(t *testing.T) {
	p := &topic{fails: errors.New("throttled")}
	e := event.NewDomainEvent(event.EventStarted, time.Now(), event.ArrivalOwner(), "gw-1", 7, "welcome")
	err := workflowsns.New(p, "arn:topic", "fleetstep").Publish(t.Context(), e)
	if !errors.Is(err, p.fails) || len(p.in.MessageAttributes) != 2 || strings.Contains(*p.in.Message, "outcome") {
		t.Errorf("%v, %v, %s", err, p.in.MessageAttributes, *p.in.Message)
	}
}
