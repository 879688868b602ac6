package ssm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	devicessm "github.com/fleetstep/fleetstep/internal/device/ssm"
)

// store is Systems Manager with one parameter.
type store struct {
	in  *ssm.GetParameterInput
	err error
}

func (s *store) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (
	*ssm.GetParameterOutput, error,
) {
	s.in = in
	return &ssm.GetParameterOutput{Parameter: &types.Parameter{Value: aws.String("secret")}}, s.err
}

func TestASecretIsReadDecrypted(t *testing.T) {
	s := &store{}
	got, err := devicessm.New(s, "/fleetstep/key").Secret(t.Context())
	if err != nil || got != "secret" || aws.ToString(s.in.Name) != "/fleetstep/key" ||
		!aws.ToBool(s.in.WithDecryption) {
		t.Errorf("%q, %v of %+v", got, err, s.in)
	}
	s.err = errors.New("no right")
	_, err = devicessm.New(s, "/fleetstep/key").Secret(t.Context())
	if !errors.Is(err, s.err) || !strings.Contains(err.Error(), "/fleetstep/key") {
		t.Errorf("refused: %v", err)
	}
}
