package iot

import (
	"context"
	"maps"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const maxTags = 50

type tag struct {
	Key   string `json:"Key" api:"min=1,max=128,pattern=tag text"`
	Value string `json:"Value,omitempty" api:"max=256"`
}

func tagMap(tags []tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

func addTags(tx *store.Tx, arn string, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	m, _, err := tagTable.Get(tx, arn)
	if err != nil {
		return err
	}
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, tags)
	if len(m) > maxTags {
		return limitExceeded("The resource would have %d tags; at most %d are allowed.", len(m), maxTags)
	}
	return tagTable.Put(tx, m, arn)
}

type tagsIn struct {
	ResourceARN string `json:"resourceArn" query:"resourceArn"`
	NextToken   string `json:"nextToken,omitempty" query:"nextToken"`
}

type tagIn struct {
	ResourceARN string   `json:"resourceArn"`
	Tags        []tag    `json:"tags,omitempty"`
	TagKeys     []string `json:"tagKeys,omitempty" api:"each.min=1,each.max=128,each.pattern=tag text"`
}

type tagsOut struct {
	Tags []tag `json:"tags"`
}

func (s *Service) tagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error { return addTags(tx, in.ResourceARN, tagMap(in.Tags)) })
}

func (s *Service) untagResource(_ context.Context, _ *awsapi.Call, in *tagIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		m, ok, err := tagTable.Get(tx, in.ResourceARN)
		if err != nil || !ok {
			return err
		}
		for _, k := range in.TagKeys {
			delete(m, k)
		}
		return tagTable.Put(tx, m, in.ResourceARN)
	})
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *tagsIn) (*tagsOut, error) {
	out := &tagsOut{Tags: []tag{}}
	err := s.db.View(func(tx *store.Tx) error {
		m, _, err := tagTable.Get(tx, in.ResourceARN)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out.Tags = append(out.Tags, tag{k, m[k]})
		}
		return err
	})
	return out, err
}
