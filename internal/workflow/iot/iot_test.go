package iot

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
)

type things map[string]map[string]string

func (t things) DescribeThing(_ context.Context, in *iot.DescribeThingInput, _ ...func(*iot.Options)) (
	*iot.DescribeThingOutput, error) {
	if *in.ThingName == "broken" {
		return nil, errors.New("throttled")
	}
	attributes, ok := t[*in.ThingName]
	if !ok {
		return nil, &types.ResourceNotFoundException{}
	}
	return &iot.DescribeThingOutput{Attributes: attributes}, nil
}

func TestEndpointIsAnAttributeOfTheThing(t *testing.T) {
	r := New(things{
		"rg-1": {"endpointId": "os::012345-rg@2D1", "model": "X1"},
		"rg-2": {"model": "X1"},
	})
	for thing, want := range map[event.ThingName]event.EndpointID{"rg-1": "os::012345-rg%2D1", "rg-2": "",
		"rg-3": ""} {
		if got, err := r.Endpoint(t.Context(), thing); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", thing, got, err, want)
		}
	}
	if _, err := r.Endpoint(t.Context(), "broken"); err == nil {
		t.Error("a failure counts as a thing without an endpoint")
	}
}
