// Package ssm reads the private key that signs URLs (cloudfront.Keys) from the SSM Parameter
// Store, where it is a SecureString.
package ssm

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// API is the part of Systems Manager that is used.
type API interface {
	GetParameter(ctx context.Context, in *ssm.GetParameterInput, opts ...func(*ssm.Options)) (
		*ssm.GetParameterOutput, error)
}

// Parameter is a secret parameter.
type Parameter struct {
	api  API
	name string
}

// New is the parameter of this name.
func New(api API, name string) *Parameter { return &Parameter{api: api, name: name} }

// Secret implements cloudfront.Keys.
func (p *Parameter) Secret(ctx context.Context) (string, error) {
	out, err := p.api.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return "", fmt.Errorf("device/ssm.Secret: parameter %s: %w", p.name, err)
	}
	return aws.ToString(out.Parameter.Value), nil
}
