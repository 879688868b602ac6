package cloudwatchlogs

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

type tagIn struct {
	LogGroupName string            `json:"logGroupName,omitempty"`
	ResourceArn  string            `json:"resourceArn,omitempty"`
	Tags         map[string]string `json:"tags"`
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
	ResourceArn string   `json:"resourceArn"`
	TagKeys     []string `json:"tagKeys,omitempty"`
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
