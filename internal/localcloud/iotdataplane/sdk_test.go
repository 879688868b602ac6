package iotdataplane_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane/types"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
)

// TestSDK publishes with AWS's client, so that bindings are those of the wire.
func TestSDK(t *testing.T) {
	w := newWorld(t)
	var got []iotdataplane.Message
	w.connect("dev", func(c *iotdataplane.Client) {
		c.OnMessage = func(_ *iotdataplane.Connection, m iotdataplane.Message) { got = append(got, m) }
	})
	w.subscribe("dev", "usp/#")
	door := awsapi.New(awsapi.Config{Scheduler: w.sched, Account: "123456789012", Region: "us-east-1"})
	door.Add(w.svc.API())
	server := httptest.NewServer(door)
	defer server.Close()
	client := sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: aws.String(server.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "")})
	_, err := client.Publish(ctx, &sdk.PublishInput{
		Topic: aws.String("usp/v1/agent/cpe-1"), Qos: 1, Retain: true, Payload: []byte{0, 0xff},
		ContentType:   aws.String("usp.msg"),
		ResponseTopic: aws.String("usp/v1/controller/self::fleetstep/from/cpe-1"), CorrelationData: aws.String("AAE="),
		MessageExpiry:          60,
		PayloadFormatIndicator: types.PayloadFormatIndicatorUtf8Data, UserProperties: aws.String(`[{"a":"b"},{"c":"d"}]`),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sched.RunFor(0)
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	m := got[0]
	if m.Topic != "usp/v1/agent/cpe-1" || m.QoS != 1 || !bytes.Equal(m.Payload, []byte{0, 0xff}) ||
		m.ContentType != "usp.msg" ||
		m.ResponseTopic != "usp/v1/controller/self::fleetstep/from/cpe-1" ||
		!bytes.Equal(m.CorrelationData, []byte{0, 1}) ||
		m.MessageExpiry != 60 || m.PayloadFormat != 1 || len(m.UserProperties) != 2 ||
		m.UserProperties[1] != [2]string{"c", "d"} {
		t.Errorf("got %+v", m)
	}
	r, err := client.GetRetainedMessage(ctx, &sdk.GetRetainedMessageInput{Topic: aws.String(m.Topic)})
	if err != nil || !bytes.Equal(r.Payload, m.Payload) || r.Qos != 1 || string(r.UserProperties) != `[{"a":"b"},{"c":"d"}]` {
		t.Errorf("GetRetainedMessage %+v, %v", r, err)
	}
	list, err := client.ListRetainedMessages(ctx, &sdk.ListRetainedMessagesInput{})
	if err != nil || len(list.RetainedTopics) != 1 || *list.RetainedTopics[0].Topic != m.Topic ||
		list.RetainedTopics[0].PayloadSize != 2 {
		t.Errorf("ListRetainedMessages %+v, %v", list, err)
	}
	_, err = client.GetRetainedMessage(ctx, &sdk.GetRetainedMessageInput{Topic: aws.String("none")})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("GetRetainedMessage of nothing: %v", err)
	}
	_, err = client.Publish(ctx, &sdk.PublishInput{Topic: aws.String("a/+")})
	if _, ok := errors.AsType[*types.InvalidRequestException](err); !ok {
		t.Errorf("publish to a filter: %v", err)
	}
	if _, err = client.DeleteConnection(ctx, &sdk.DeleteConnectionInput{ClientId: aws.String("dev")}); err != nil {
		t.Error(err)
	}
	if p, _, _ := w.svc.Connectivity("dev"); p.DisconnectReason != iotdataplane.ReasonAPIInitiated {
		t.Errorf("presence %+v", p)
	}
	if _, err = client.GetThingShadow(ctx, &sdk.GetThingShadowInput{ThingName: aws.String("t")}); err == nil {
		t.Error("shadows are not built")
	} else {
		t.Log(err)
	}
}
