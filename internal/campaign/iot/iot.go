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

// FileStep is the step of a search that reads targets' file: the one after those that are here.
func FileStep(t campaign.Targets) int { return len(t.Groups) + 2 }

// Find implements campaign.Fleet, but for the targets' file.
func (t *Things) Find(ctx context.Context, targets campaign.Targets, from campaign.Place, pages int,
	page func([]campaign.Device) error) (next *campaign.Place, problems event.Problems, err error) {
	once := campaign.Once(page)
	indexed := false
	if targets.Query != "" || len(targets.Groups) > 0 {
		if indexed, err = t.indexed(ctx); err != nil {
			return nil, nil, fmt.Errorf("campaign/iot.Find: %w", err)
		}
	}
	if from.Step == 0 {
		if problems, err = t.byName(ctx, targets.Things, once); err != nil {
			return nil, problems, err
		}
		from = campaign.Place{Step: 1}
	}
	described := 0
	for step := from.Step; step <= len(targets.Groups); step++ {
		i, token := step-1, from.Token
		from.Token = ""
		name, at := targets.Groups[i], fmt.Sprintf("$.targets.groups[%d]", i)
		_, err := t.api.DescribeThingGroup(ctx, &iot.DescribeThingGroupInput{ThingGroupName: &name})
		switch {
		case notFound(err):
			problems = append(problems, event.Problem{Path: at, Value: name, Allowed: "a thing group that exists"})
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("campaign/iot.Find: group %s: %w", name, err)
		}
		if pages <= 0 {
			return &campaign.Place{Step: step, Token: token}, problems, nil
		}
		if indexed {
			token, err = t.search(ctx, `thingGroupNames:"`+name+`"`, token, &pages, once)
		} else {
			var more event.Problems
			more, err = t.describe(ctx, at, name, &described, once)
			problems, token = append(problems, more...), ""
		}
		if err != nil {
			return nil, nil, fmt.Errorf("campaign/iot.Find: group %s: %w", name, err)
		}
		if token != "" {
			return &campaign.Place{Step: step, Token: token}, problems, nil
		}
	}
	query := len(targets.Groups) + 1
	switch {
	case targets.Query == "" || from.Step > query:
		return nil, problems, nil
	case !indexed:
		return nil, problems, campaign.ErrNoIndex
	case pages <= 0:
		return &campaign.Place{Step: query, Token: from.Token}, problems, nil
	}
	token, err := t.search(ctx, targets.Query, from.Token, &pages, once)
	if bad, ok := errors.AsType[*types.InvalidQueryException](err); ok {
		return nil, append(problems, event.Problem{Path: "$.targets.query", Value: targets.Query,
			Allowed: "a query of the fleet index: " + bad.ErrorMessage()}), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("campaign/iot.Find: %w", err)
	}
	if token != "" {
		return &campaign.Place{Step: query, Token: token}, problems, nil
	}
	return nil, problems, nil
}

// byName finds things one by one.
func (t *Things) byName(ctx context.Context, names []event.ThingName, page func([]campaign.Device) error) (
	problems event.Problems, err error) {
	for i, name := range names {
		out, err := t.api.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String(string(name))})
		switch {
		case notFound(err):
			problems = append(problems, event.Problem{Path: fmt.Sprintf("$.targets.things[%d]", i), Value: name,
				Allowed: "a thing that exists"})
			continue
		case err != nil:
			return nil, fmt.Errorf("campaign/iot.Find: thing %s: %w", name, err)
		}
		if err := page([]campaign.Device{device(out.ThingName, out.Attributes)}); err != nil {
			return nil, err
		}
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

// search reads up to so many pages, from a token on; next is "" behind the last.
func (t *Things) search(ctx context.Context, query, token string, pages *int, page func([]campaign.Device) error) (
	next string, err error) {
	for {
		in := &iot.SearchIndexInput{QueryString: &query, MaxResults: aws.Int32(mostFound)}
		if token != "" {
			in.NextToken = &token
		}
		out, err := t.api.SearchIndex(ctx, in)
		if err != nil {
			return "", err
		}
		var all []campaign.Device
		for _, d := range out.Things {
			all = append(all, device(d.ThingName, d.Attributes))
		}
		if err := page(all); err != nil {
			return "", err
		}
		*pages--
		if token = aws.ToString(out.NextToken); token == "" || *pages <= 0 {
			return token, nil
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
