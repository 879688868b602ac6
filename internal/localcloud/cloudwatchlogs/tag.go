package cloudwatchlogs

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type tagIn struct {
	LogGroupName string            `json:"logGroupName,omitempty" api:"min=1,max=512,pattern=log group name"`
	ResourceArn  string            `json:"resourceArn,omitempty" api:"min=1,max=1011,pattern=arn characters"`
	Tags         map[string]string `json:"tags" api:"min=1,max=50,each.max=256,each.pattern=tag text,key.min=1,key.max=128,key.pattern=log tag key"`
}

func (s *Service) tag(_ context.Context, _ *awsapi.Call, in *tagIn) (*nothing, error) {
	return &nothing{}, s.change(in.LogGroupName+in.ResourceArn, func(g *group) {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		for k, v := range in.Tags {
			g.Tags[k] = v
		}
	})
}

type untagIn struct {
	ResourceArn string   `json:"resourceArn" api:"min=1,max=1011,pattern=arn characters"`
	TagKeys     []string `json:"tagKeys,omitempty" api:"max=50,each.min=1,each.max=128,each.pattern=log tag key"`
}

func (s *Service) untag(_ context.Context, _ *awsapi.Call, in *untagIn) (*nothing, error) {
	return &nothing{}, s.change(in.ResourceArn, func(g *group) {
		for _, k := range in.TagKeys {
			delete(g.Tags, k)
		}
	})
}

type tagsOut struct {
	Tags map[string]string `json:"tags"`
}

func (s *Service) listTags(_ context.Context, _ *awsapi.Call, in *untagIn) (*tagsOut, error) {
	out := &tagsOut{}
	return out, s.Store.View(func(tx *store.Tx) error {
		g, err := find(tx, in.ResourceArn)
		out.Tags = g.Tags
		return err
	})
}
