package sfn

import (
	"context"
	"sort"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TagInput is the input of TagResource.
type TagInput struct {
	ResourceARN string `json:"resourceArn" api:"required,min=1,max=256"`
	Tags        []Tag  `json:"tags" api:"required"`
}

// UntagInput is the input of UntagResource.
type UntagInput struct {
	ResourceARN string   `json:"resourceArn" api:"required,min=1,max=256"`
	TagKeys     []string `json:"tagKeys" api:"required,each.min=1,each.max=128"`
}

// TagsInput is the input of ListTagsForResource.
type TagsInput struct {
	ResourceARN string `json:"resourceArn" api:"required,min=1,max=256"`
}

// TagsOutput is the output of ListTagsForResource.
type TagsOutput struct {
	Tags []Tag `json:"tags"`
}

// retag changes the tags of a state machine or an activity.
func (s *Service) retag(arn string, change func(tags map[string]string) error) error {
	kind, name, err := names.Split(arn)
	if err != nil {
		return named(err)
	}
	return s.db.Update(func(tx *store.Tx) error {
		switch kind {
		case names.StateMachine:
			m, ok, err := machines.Get(tx, name)
			if err != nil {
				return err
			}
			if !ok {
				return noResource(arn)
			}
			if m.Tags == nil {
				m.Tags = map[string]string{}
			}
			if err := change(m.Tags); err != nil {
				return err
			}
			return s.putMachine(tx, m)
		case names.Activity:
			a, ok, err := activities.Get(tx, name)
			if err != nil {
				return err
			}
			if !ok {
				return noResource(arn)
			}
			if a.Tags == nil {
				a.Tags = map[string]string{}
			}
			if err := change(a.Tags); err != nil {
				return err
			}
			return activities.Put(tx, a, name)
		}
		return invalidARN(names.WrongType(arn))
	})
}

func (s *Service) tagResource(ctx context.Context, c *awsapi.Call, in *TagInput) (*Empty, error) {
	err := s.retag(in.ResourceARN, func(tags map[string]string) error {
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
		if len(tags) > maxTags {
			return tooManyTags()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}

func (s *Service) untagResource(ctx context.Context, c *awsapi.Call, in *UntagInput) (*Empty, error) {
	err := s.retag(in.ResourceARN, func(tags map[string]string) error {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}

func (s *Service) listTags(ctx context.Context, c *awsapi.Call, in *TagsInput) (*TagsOutput, error) {
	out := &TagsOutput{Tags: []Tag{}}
	err := s.retag(in.ResourceARN, func(tags map[string]string) error {
		for k, v := range tags {
			out.Tags = append(out.Tags, Tag{k, v})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(out.Tags, func(i, j int) bool { return out.Tags[i].Key < out.Tags[j].Key })
	return out, nil
}
