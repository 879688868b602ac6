// Package iot reads the AWS IoT registry for workflow (workflow.Registry): the endpoint id and
// the time zone of a thing, from its attributes endpointId and tz.
package iot

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// API is the part of AWS IoT that is used.
type API interface {
	DescribeThing(ctx context.Context, in *iot.DescribeThingInput, opts ...func(*iot.Options)) (
		*iot.DescribeThingOutput, error)
	UpdateThing(ctx context.Context, in *iot.UpdateThingInput, opts ...func(*iot.Options)) (
		*iot.UpdateThingOutput, error)
}

// Things is a workflow.Registry.
type Things struct{ api API }

// New is the registry.
func New(api API) *Things { return &Things{api} }

// Thing implements workflow.Registry.
func (t *Things) Thing(ctx context.Context, thing event.ThingName) (workflow.Entry, error) {
	out, err := t.api.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(string(thing))})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return workflow.Entry{}, nil
	}
	if err != nil {
		return workflow.Entry{}, fmt.Errorf("registry.Thing: %w", err)
	}
	return workflow.Entry{
		Endpoint: event.EndpointOfAttribute(out.Attributes[event.ThingEndpointAttribute]),
		Zone:     out.Attributes[event.ThingZoneAttribute],
	}, nil
}

// SetAttribute implements workflow.Registry. UpdateThing merges, so that attributes of
// others stay. A thing that has the value already is left alone.
func (t *Things) SetAttribute(ctx context.Context, thing event.ThingName, name, value string) error {
	value = event.AttributeValue(value)
	out, err := t.api.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(string(thing))})
	if err == nil && out.Attributes[name] != value {
		_, err = t.api.UpdateThing(ctx, &iot.UpdateThingInput{
			ThingName:        aws.String(string(thing)),
			AttributePayload: &types.AttributePayload{Attributes: map[string]string{name: value}, Merge: true},
		})
	}
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); err != nil && !missing {
		return fmt.Errorf("registry.SetAttribute: %w", err)
	}
	return nil
}
