// Package iot finds the devices of a campaign in AWS IoT: things by name, things of thing
// groups, and things of a query of the fleet index. What is known of a device are attributes
// of its thing: model, hardwareVersion, firmwareVersion, tz.
//
// With fleet indexing a page of 100 things comes with its attributes; without it each thing
// of a group is described, of which there may be MostDescribed. Sources: AWS IoT API
// reference, SearchIndex, ListThingsInThingGroup, DescribeThing, GetIndexingConfiguration
// (read 2026-11).
package iot

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of AWS IoT that is used.
type API interface {
	DescribeThing(ctx context.Context, in *iot.DescribeThingInput, opts ...func(*iot.Options)) (
		*iot.DescribeThingOutput, error)
	DescribeThingGroup(ctx context.Context, in *iot.DescribeThingGroupInput, opts ...func(*iot.Options)) (
		*iot.DescribeThingGroupOutput, error)
	ListThingsInThingGroup(ctx context.Context, in *iot.ListThingsInThingGroupInput, opts ...func(*iot.Options)) (
		*iot.ListThingsInThingGroupOutput, error)
	SearchIndex(ctx context.Context, in *iot.SearchIndexInput, opts ...func(*iot.Options)) (*iot.SearchIndexOutput,
		error)
	GetIndexingConfiguration(ctx context.Context, in *iot.GetIndexingConfigurationInput,
		opts ...func(*iot.Options)) (*iot.GetIndexingConfigurationOutput, error)
}

// Things finds devices.
type Things struct{ api API }

// New is the registry.
func New(api API) *Things { return &Things{api} }

// Attributes of things.
const (
	AttributeModel    = "model"
	AttributeHardware = "hardwareVersion"
	AttributeVersion  = "firmwareVersion"
)

// MostDescribed is how many things of groups are described one by one: AWS IoT takes 100
// DescribeThing a second, and a function has minutes.
const MostDescribed = 5000

// Limits of pages (AWS IoT API reference).
const (
	mostListed = 250
	mostFound  = 100
)

func device(name *string, attributes map[string]string) campaign.Device {
	return campaign.Device{
		Thing: event.ThingName(aws.ToString(name)), Model: attributes[AttributeModel],
		Hardware: attributes[AttributeHardware], Version: attributes[AttributeVersion],
		Zone: attributes[event.ThingZoneAttribute],
	}
}

func notFound(err error) bool {
	_, missing := errors.AsType[*types.ResourceNotFoundException](err)
	return missing
}

// Find gives the devices of targets, but for those of a file, each once.
func (t *Things) Find(ctx context.Context, targets campaign.Targets, page func([]campaign.Device) error) (
	problems event.Problems, err error) {
	once := campaign.Once(page)
	indexed := false
	if targets.Query != "" || len(targets.Groups) > 0 {
		if indexed, err = t.indexed(ctx); err != nil {
			return nil, fmt.Errorf("campaign/iot.Find: %w", err)
		}
	}
	for i, name := range targets.Things {
		out, err := t.api.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(string(name))})
		switch {
		case notFound(err):
			problems = append(problems, event.Problem{Path: fmt.Sprintf("$.targets.things[%d]", i), Value: name,
				Allowed: "a thing that exists"})
			continue
		case err != nil:
			return nil, fmt.Errorf("campaign/iot.Find: thing %s: %w", name, err)
		}
		if err := once([]campaign.Device{device(out.ThingName, out.Attributes)}); err != nil {
			return nil, err
		}
	}
	described := 0
	for i, name := range targets.Groups {
		at := fmt.Sprintf("$.targets.groups[%d]", i)
		_, err := t.api.DescribeThingGroup(ctx, &iot.DescribeThingGroupInput{ThingGroupName: &name})
		switch {
		case notFound(err):
			problems = append(problems, event.Problem{Path: at, Value: name, Allowed: "a thing group that exists"})
			continue
		case err != nil:
			return nil, fmt.Errorf("campaign/iot.Find: group %s: %w", name, err)
		}
		if indexed {
			err = t.search(ctx, `thingGroupNames:"`+name+`"`, once)
		} else {
			var more event.Problems
			more, err = t.describe(ctx, at, name, &described, once)
			problems = append(problems, more...)
		}
		if err != nil {
			return nil, fmt.Errorf("campaign/iot.Find: group %s: %w", name, err)
		}
	}
	switch {
	case targets.Query == "":
		return problems, nil
	case !indexed:
		return problems, campaign.ErrNoIndex
	}
	err = t.search(ctx, targets.Query, once)
	if bad, ok := errors.AsType[*types.InvalidQueryException](err); ok {
		return append(problems, event.Problem{Path: "$.targets.query", Value: targets.Query,
			Allowed: "a query of the fleet index: " + bad.ErrorMessage()}), nil
	}
	if err != nil {
		return nil, fmt.Errorf("campaign/iot.Find: %w", err)
	}
	return problems, nil
}

// indexed reports whether things are indexed. Those of their groups are among what an index
// of the registry has.
func (t *Things) indexed(ctx context.Context) (bool, error) {
	out, err := t.api.GetIndexingConfiguration(ctx, &iot.GetIndexingConfigurationInput{})
	if err != nil {
		return false, err
	}
	c := out.ThingIndexingConfiguration
	return c != nil && c.ThingIndexingMode != "" && c.ThingIndexingMode != types.ThingIndexingModeOff, nil
}

func (t *Things) search(ctx context.Context, query string, page func([]campaign.Device) error) error {
	var next *string
	for {
		out, err := t.api.SearchIndex(ctx, &iot.SearchIndexInput{QueryString: &query, NextToken: next,
			MaxResults: aws.Int32(mostFound)})
		if err != nil {
			return err
		}
		var all []campaign.Device
		for _, d := range out.Things {
			all = append(all, device(d.ThingName, d.Attributes))
		}
		if err := page(all); err != nil {
			return err
		}
		if next = out.NextToken; aws.ToString(next) == "" {
			return nil
		}
	}
}

func (t *Things) describe(ctx context.Context, at, group string, described *int, page func([]campaign.Device) error) (
	event.Problems, error) {
	pages := iot.NewListThingsInThingGroupPaginator(t.api, &iot.ListThingsInThingGroupInput{
		ThingGroupName: &group, Recursive: true, MaxResults: aws.Int32(mostListed),
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		if *described += len(out.Things); *described > MostDescribed {
			return event.Problems{{Path: at, Value: group, Allowed: fmt.Sprintf("groups of at most %d things"+
				" together, or fleet indexing, with which there is no such limit", MostDescribed)}}, nil
		}
		var all []campaign.Device
		for _, name := range out.Things {
			d, err := t.api.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: &name})
			if notFound(err) {
				continue // since it was listed
			}
			if err != nil {
				return nil, err
			}
			all = append(all, device(&name, d.Attributes))
		}
		if err := page(all); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
