package iot

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
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

func (t things) UpdateThing(_ context.Context, in *iot.UpdateThingInput, _ ...func(*iot.Options)) (
	*iot.UpdateThingOutput, error) {
	if t[*in.ThingName]["full"] != "" {
		return nil, errors.New("too many attributes")
	}
	if !in.AttributePayload.Merge {
		t[*in.ThingName] = nil
	}
	maps.Copy(t[*in.ThingName], in.AttributePayload.Attributes)
	t[*in.ThingName]["written"] += "x"
	return &iot.UpdateThingOutput{}, nil
}

func TestAnAttributeIsSetOnce(t *testing.T) {
	all := things{"rg-1": {"tz": "UTC"}, "rg-2": {"full": "yes"}}
	r := New(all)
	for range 2 {
		if err := r.SetAttribute(t.Context(), "rg-1", "colour", "dark red"); err != nil {
			t.Fatal(err)
		}
	}
	if got := all["rg-1"]; got["colour"] != "dark_red" || got["tz"] != "UTC" || got["written"] != "x" {
		t.Errorf("%v", got)
	}
	if err := r.SetAttribute(t.Context(), "rg-9", "a", "b"); err != nil {
		t.Errorf("a thing that is not there: %v", err)
	}
	for _, thing := range []event.ThingName{"rg-2", "broken"} {
		if err := r.SetAttribute(t.Context(), thing, "a", "b"); err == nil {
			t.Errorf("%s: no error", thing)
		}
	}
}

func TestAThingHasItsEndpointAndZoneAsAttributes(t *testing.T) {
	r := New(things{
		"rg-1": {"endpointId": "os::012345-rg@2D1", "model": "X1", "tz": "Europe/Berlin"},
		"rg-2": {"model": "X1"},
	})
	for thing, want := range map[event.ThingName]workflow.Entry{
		"rg-1": {Endpoint: "os::012345-rg%2D1", Zone: "Europe/Berlin"}, "rg-2": {}, "rg-3": {},
	} {
		if got, err := r.Thing(t.Context(), thing); got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", thing, got, err, want)
		}
	}
	if _, err := r.Thing(t.Context(), "broken"); err == nil {
		t.Error("a failure counts as a thing without an endpoint")
	}
}
