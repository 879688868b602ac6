// Package iotdataplane sends USP messages to agents over AWS IoT Core: the controller's side
// of TR-369's MQTT binding, over the broker's HTTP API. A message is put into a record and
// published at QoS 1. It is never retained, because a retained request would run again on each
// reconnect. Agents subscribe at QoS 0, so a message may still be lost.
//
// MQTT 5 agents get response topic and content type as properties, MQTT 3.1.1
// agents the response topic at the end of the topic (R-MQTT.24).
package iotdataplane

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// API is the part of the IoT data plane that is used.
type API interface {
	Publish(ctx context.Context, in *iotdataplane.PublishInput, opts ...func(*iotdataplane.Options)) (
		*iotdataplane.PublishOutput, error)
}

// Sender publishes to agents.
type Sender struct {
	api        API
	controller usp.EndpointID
	topics     device.Topics
	addresses  device.Addresses
}

// New is a sender that speaks as a controller, and takes the addresses of the files that
// it has agents fetch from addresses.
func New(api API, controller usp.EndpointID, topics device.Topics, addresses device.Addresses) *Sender {
	return &Sender{api: api, controller: controller, topics: topics, addresses: addresses}
}

// Send publishes a message to a thing's agent.
func (s *Sender) Send(ctx context.Context, thing event.ThingName, to event.DeviceState, m event.Outgoing) error {
	fail := func(err error) error { return fmt.Errorf("device/iotdataplane.Send: thing %s: %w", thing, err) }
	if to.Endpoint == "" {
		return fail(errors.New("its endpoint id is not known"))
	}
	m, err := device.Addressed(ctx, m, s.addresses)
	if err != nil {
		return fail(err)
	}
	message, err := device.Message(m)
	if err != nil {
		return fail(err)
	}
	payload, err := usp.NewRecord(s.controller, usp.EndpointID(to.Endpoint), message).Encode()
	if err != nil {
		return fail(err)
	}
	topic := to.AgentTopic
	if topic == "" {
		topic = s.topics.Agent.Expand(string(thing), s.controller)
	}
	reply := s.topics.Controller.Expand(string(thing), s.controller)
	in := &iotdataplane.PublishInput{Payload: payload, Qos: 1}
	if to.Legacy {
		topic = usp.JoinReplyTo(topic, reply)
	} else {
		in.ContentType, in.ResponseTopic = aws.String(usp.ContentType), &reply
	}
	in.Topic = &topic
	if _, err := s.api.Publish(ctx, in, once(m)...); err != nil {
		return fail(err)
	}
	return nil
}

// once has the SDK not repeat a command that may have been published: a device runs it
// twice. Whoever sent it looks first. What was refused, as too much, is tried again; so is
// a request that may come twice.
func once(m event.Outgoing) []func(*iotdataplane.Options) {
	if _, command := m.(*device.Operate); !command {
		return nil
	}
	return []func(*iotdataplane.Options){func(o *iotdataplane.Options) { o.Retryer = refusals{o.Retryer} }}
}

// refusals is a Retryer for what was certainly not done.
type refusals struct{ aws.Retryer }

// IsErrorRetryable implements aws.Retryer.
func (r refusals) IsErrorRetryable(err error) bool {
	answered, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && answered.HTTPStatusCode() < 500 && r.Retryer.IsErrorRetryable(err)
}

// GetAttemptToken implements aws.RetryerV2.
func (r refusals) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if v2, ok := r.Retryer.(aws.RetryerV2); ok {
		return v2.GetAttemptToken(ctx)
	}
	return r.GetInitialToken(), nil
}
