package iot_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	campaigniot "github.com/fleetstep/fleetstep/internal/campaign/iot"
	"github.com/fleetstep/fleetstep/internal/event"
)

// registry is AWS IoT: things by name, of groups.
type registry struct {
	things map[string]map[string]string
	groups map[string][]string
	index  types.ThingIndexingMode
	asked  []string
}

func missing() error { return &types.ResourceNotFoundException{} }

func (r *registry) DescribeThing(_ context.Context, in *iot.DescribeThingInput, _ ...func(*iot.Options)) (
	*iot.DescribeThingOutput, error) {
	a, ok := r.things[*in.ThingName]
	if !ok {
		return nil, missing()
	}
	return &iot.DescribeThingOutput{ThingName: in.ThingName, Attributes: a}, nil
}

func (r *registry) DescribeThingGroup(_ context.Context, in *iot.DescribeThingGroupInput, _ ...func(*iot.Options)) (
	*iot.DescribeThingGroupOutput, error) {
	if _, ok := r.groups[*in.ThingGroupName]; !ok {
		return nil, missing()
	}
	return &iot.DescribeThingGroupOutput{}, nil
}

func (r *registry) ListThingsInThingGroup(_ context.Context, in *iot.ListThingsInThingGroupInput,
	_ ...func(*iot.Options)) (*iot.ListThingsInThingGroupOutput, error) {
	r.asked = append(r.asked, "list "+*in.ThingGroupName)
	return &iot.ListThingsInThingGroupOutput{Things: r.groups[*in.ThingGroupName]}, nil
}

func (r *registry) SearchIndex(_ context.Context, in *iot.SearchIndexInput, _ ...func(*iot.Options)) (
	*iot.SearchIndexOutput, error) {
	r.asked = append(r.asked, *in.QueryString)
	if strings.Contains(*in.QueryString, "(") {
		return nil, &types.InvalidQueryException{Message: aws.String("a bracket")}
	}
	if in.NextToken == nil {
		return &iot.SearchIndexOutput{NextToken: aws.String("2"), Things: []types.ThingDocument{{
			ThingName: aws.String("a"), Attributes: r.things["a"]}}}, nil
	}
	return &iot.SearchIndexOutput{Things: []types.ThingDocument{{ThingName: aws.String("b")}}}, nil
}

func (r *registry) GetIndexingConfiguration(context.Context, *iot.GetIndexingConfigurationInput,
	...func(*iot.Options)) (*iot.GetIndexingConfigurationOutput, error) {
	return &iot.GetIndexingConfigurationOutput{ThingIndexingConfiguration: &types.ThingIndexingConfiguration{
		ThingIndexingMode: r.index}}, nil
}

func TestFind(t *testing.T) {
	things := map[string]map[string]string{
		"a": {"model": "M", "hardwareVersion": "1.0", "firmwareVersion": "1.0.0", "tz": "Europe/Berlin"},
		"b": {}, "c": {},
	}
	for _, c := range []struct {
		name    string
		index   types.ThingIndexingMode
		targets campaign.Targets
		want    []event.ThingName
		asked   []string
		paths   []string
		err     error
	}{
		{"things, one of which is not there", types.ThingIndexingModeOff,
			campaign.Targets{Things: []event.ThingName{"a", "x", "b", "a"}}, []event.ThingName{"a", "b"}, nil,
			[]string{"$.targets.things[1]"}, nil},
		{"groups without an index", types.ThingIndexingModeOff, campaign.Targets{Groups: []string{"g", "h", "none"}},
			[]event.ThingName{"a", "b", "c"}, []string{"list g", "list h"}, []string{"$.targets.groups[2]"}, nil},
		{"a group with an index", types.ThingIndexingModeRegistry, campaign.Targets{Groups: []string{"g"}},
			[]event.ThingName{"a", "b"}, []string{`thingGroupNames:"g"`, `thingGroupNames:"g"`}, nil, nil},
		{"a query", types.ThingIndexingModeRegistry, campaign.Targets{Query: "x:1"}, []event.ThingName{"a", "b"},
			[]string{"x:1", "x:1"}, nil, nil},
		{"a query without an index", types.ThingIndexingModeOff, campaign.Targets{Query: "x:1"}, nil, nil, nil,
			campaign.ErrNoIndex},
		{"a query that is none", types.ThingIndexingModeRegistry, campaign.Targets{Query: "x:("}, nil,
			[]string{"x:("}, []string{"$.targets.query"}, nil},
	} {
		r := &registry{things: things, groups: map[string][]string{"g": {"a", "b", "gone"}, "h": {"b", "c"}},
			index: c.index}
		var got []event.ThingName
		take := func(all []campaign.Device) error {
			for _, d := range all {
				want := campaign.Device{Thing: "a", Model: "M", Hardware: "1.0", Version: "1.0.0",
					Zone: "Europe/Berlin"}
				if got = append(got, d.Thing); d.Thing == "a" && d != want {
					t.Errorf("%s: %+v", c.name, d)
				}
			}
			return nil
		}
		next, problems, err := campaigniot.New(r).Find(t.Context(), c.targets, campaign.Place{}, 9, take)
		if next != nil {
			t.Errorf("%s: goes on at %+v", c.name, next)
		}
		var paths []string
		for _, p := range problems {
			paths = append(paths, p.Path)
		}
		if !errors.Is(err, c.err) || !slices.Equal(got, c.want) || !slices.Equal(r.asked, c.asked) ||
			!slices.Equal(paths, c.paths) {
			t.Errorf("%s: found %q, asked %q, problems at %q, %v", c.name, got, r.asked, paths, err)
		}
	}
}

// TestASearchEndsAfterSoManyPages and goes on where it was: in the middle of a group or of the query, or before it.
func TestASearchEndsAfterSoManyPages(t *testing.T) {
	targets := campaign.Targets{Things: []event.ThingName{"c"}, Groups: []string{"g", "h"}, Query: "x:1"}
	for pages := 1; pages <= 6; pages++ {
		r := &registry{things: map[string]map[string]string{"a": {}, "c": {}},
			groups: map[string][]string{"g": {}, "h": {}}, index: types.ThingIndexingModeRegistry}
		found, calls := map[event.ThingName]int{}, 0
		for from := (campaign.Place{}); ; calls++ {
			before := len(r.asked)
			next, problems, err := campaigniot.New(r).Find(t.Context(), targets, from, pages,
				func(all []campaign.Device) error {
					for _, d := range all {
						found[d.Thing]++
					}
					return nil
				})
			if err != nil || len(problems) > 0 || len(r.asked)-before > pages || calls > 9 {
				t.Fatalf("%d pages: %v, %v, asked %q", pages, problems, err, r.asked[before:])
			}
			if next == nil {
				break
			}
			from = *next
		}
		want := []string{`thingGroupNames:"g"`, `thingGroupNames:"g"`, `thingGroupNames:"h"`, `thingGroupNames:"h"`,
			"x:1", "x:1"}
		if !slices.Equal(r.asked, want) || found["c"] != 1 || found["a"] < 1 || found["b"] < 1 ||
			calls != (6+pages-1)/pages-1 {
			t.Errorf("%d pages: asked %q in %d calls, found %v", pages, r.asked, calls+1, found)
		}
	}
}

func TestALargeGroupNeedsAnIndex(t *testing.T) {
	r := &registry{things: map[string]map[string]string{}, groups: map[string][]string{}}
	for i := range campaigniot.MostDescribed + 1 {
		r.groups["g"] = append(r.groups["g"], fmt.Sprint(i))
	}
	_, problems, err := campaigniot.New(r).Find(t.Context(), campaign.Targets{Groups: []string{"g"}},
		campaign.Place{}, 9, func([]campaign.Device) error { return nil })
	if err != nil || len(problems) != 1 {
		t.Errorf("%v, %v", problems, err)
	}
}
