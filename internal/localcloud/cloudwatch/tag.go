package cloudwatch

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type tag struct {
	Key   string `json:"Key" api:"min=1,max=128"`
	Value string `json:"Value" api:"max=256"`
}

type tagIn struct {
	ResourceARN string `json:"ResourceARN" api:"min=1,max=1024"`
	Tags        []tag  `json:"Tags"`
}

type untagIn struct {
	ResourceARN string   `json:"ResourceARN" api:"min=1,max=1024"`
	TagKeys     []string `json:"TagKeys" api:"each.min=1,each.max=128"`
}

type resourceRef struct {
	ResourceARN string `json:"ResourceARN" api:"min=1,max=1024"`
}

type listTagsOut struct {
	Tags []tag `json:"Tags"`
}

func checkTags(in []tag) error {
	for _, t := range in {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(t.Key, "aws:") {
			return errValue("The tag %q is invalid.", t.Key)
		}
	}
	return nil
}

func tagMap(have map[string]string, in []tag) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	for _, t := range in {
		out[t.Key] = t.Value
	}
	return out
}

// taggable fails if there is no alarm or dashboard of that ARN.
func (s *Service) taggable(tx *store.Tx, arn string) error {
	var ok bool
	var err error
	if name, is := strings.CutPrefix(arn, s.alarmARN("")); is && name != "" {
		_, ok, err = alarms.Get(tx, name)
	} else if name, is := strings.CutPrefix(arn, s.dashboardARN("")); is && name != "" {
		_, ok, err = dashboards.Get(tx, name)
	}
	if err == nil && !ok {
		err = errNoResource(arn)
	}
	return err
}

// retag changes the tags of a resource.
func (s *Service) retag(arn string, change func(map[string]string) (map[string]string, error)) error {
	return s.Store.Update(func(tx *store.Tx) error {
		if err := s.taggable(tx, arn); err != nil {
			return err
		}
		have, _, err := tags.Get(tx, arn)
		if err != nil {
			return err
		}
		next, err := change(have)
		if err != nil {
			return err
		}
		return tags.Put(tx, next, arn)
	})
}

func (s *Service) tagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*nothing, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return &nothing{}, s.retag(in.ResourceARN, func(have map[string]string) (map[string]string, error) {
		next := tagMap(have, in.Tags)
		if len(next) > 50 {
			return nil, errValue("A resource has at most 50 tags.")
		}
		return next, nil
	})
}

func (s *Service) untagResource(_ context.Context, _ *awsapi.Call, in *untagIn) (*nothing, error) {
	return &nothing{}, s.retag(in.ResourceARN, func(have map[string]string) (map[string]string, error) {
		next := tagMap(have, nil)
		for _, k := range in.TagKeys {
			delete(next, k)
		}
		return next, nil
	})
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *resourceRef) (*listTagsOut, error) {
	out := &listTagsOut{Tags: []tag{}}
	return out, s.Store.View(func(tx *store.Tx) error {
		if err := s.taggable(tx, in.ResourceARN); err != nil {
			return err
		}
		have, _, err := tags.Get(tx, in.ResourceARN)
		for _, k := range slices.Sorted(maps.Keys(have)) {
			out.Tags = append(out.Tags, tag{k, have[k]})
		}
		return err
	})
}
