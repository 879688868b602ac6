// Package iot is the AWS IoT registry as workflow needs it: which endpoint
// a thing is (workflow.Registry), by the thing's attribute endpointId.
package iot

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of AWS IoT that is used.
type API interface {
	DescribeThing(ctx context.Context, in *iot.DescribeThingInput, opts ...func(*iot.Options)) (
		*iot.DescribeThingOutput, error)
}

// Things is a workflow.Registry.
type Things struct{ api API }

// New is the registry.
func New(api API) *Things { return &Things{api} }

// Endpoint implements workflow.Registry.
func (t *Things) Endpoint(ctx context.Context, thing event.ThingName) (event.EndpointID, error) {
	out, err := t.api.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(string(thing))})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("registry.Endpoint: %w", err)
	}
	return event.EndpointOfAttribute(out.Attributes[event.ThingEndpointAttribute]), nil
}
