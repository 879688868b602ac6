package topicrule

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// s3Action writes the result to an object.
type s3Action struct {
	roled
	bucket, key *rulesql.Template
	acl         string
}

func makeS3(s *Service, r *rule, parameters json.RawMessage) (action, error) {
	if s.Objects == nil {
		return nil, awsapi.NotBuilt("the topic rule action s3")
	}
	var p struct {
		RoleARN    string `json:"roleArn"`
		BucketName string `json:"bucketName"`
		Key        string `json:"key"`
		CannedACL  string `json:"cannedAcl"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &s3Action{roled: roled{p.RoleARN}, acl: p.CannedACL}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!bucketName", p.BucketName, &a.bucket, "!key",
		p.Key, &a.key))
}

func (a *s3Action) kind() string { return "S3" }

func (a *s3Action) run(ctx context.Context, d *delivery) (string, error) {
	bucket, err := d.text(ctx, a.bucket)
	if err != nil {
		return a.bucket.Source(), err
	}
	key, err := d.text(ctx, a.key)
	if err != nil {
		return bucket, err
	}
	id, err := d.s.identity(ctx, a.roleARN, d.rule.arn)
	if err != nil {
		return bucket, err
	}
	return bucket, d.s.Objects.PutObject(ctx, id, bucket, key, d.body, a.acl)
}
