package stepfunctions_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	campaignsfn "github.com/fleetstep/fleetstep/internal/campaign/stepfunctions"
)

// states are Step Functions, which answers as told.
type states struct {
	answer, start error
	output, name  string
}

func (s *states) SendTaskSuccess(_ context.Context, in *sfn.SendTaskSuccessInput, _ ...func(*sfn.Options)) (
	*sfn.SendTaskSuccessOutput, error) {
	s.output = *in.Output
	return &sfn.SendTaskSuccessOutput{}, s.answer
}

func (s *states) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (
	*sfn.StartExecutionOutput, error) {
	s.name = *in.Name
	return &sfn.StartExecutionOutput{ExecutionArn: aws.String("arn:as-told")}, s.start
}

func TestAnAnswerThatComesTwiceIsNoError(t *testing.T) {
	broken := errors.New("token secret-token is wrong")
	for err, want := range map[error]bool{nil: true, &types.TaskTimedOut{}: true, &types.TaskDoesNotExist{}: true,
		broken: false} {
		s := &states{answer: err}
		got := campaignsfn.New(s, "").Succeed(t.Context(), "secret-token", campaign.Answer{Next: "go"})
		if (got == nil) != want || s.output != `{"next":"go"}` {
			t.Errorf("%v: %v, said %s", err, got, s.output)
		}
		if got != nil && (strings.Contains(got.Error(), "secret-token") || !errors.Is(got, broken)) {
			t.Errorf("%v", got)
		}
	}
}

func TestACampaignIsStartedOnce(t *testing.T) {
	const machine = "arn:aws:states:us-east-1:123456789012:stateMachine:fleetstep-firmware-campaign:live"
	for err, want := range map[error]string{
		nil: "arn:as-told",
		&types.ExecutionAlreadyExists{}: "arn:aws:states:us-east-1:123456789012:" +
			"execution:fleetstep-firmware-campaign:fall",
	} {
		s := &states{start: err}
		arn, got := campaignsfn.New(s, machine).Start(t.Context(), campaign.MachineInput{Campaign: "fall"})
		if got != nil || arn != want || s.name != "fall" {
			t.Errorf("%v: %s, %v", err, arn, got)
		}
	}
	if _, err := campaignsfn.New(&states{start: errors.New("no")}, machine).Start(t.Context(),
		campaign.MachineInput{Campaign: "fall"}); err == nil {
		t.Error("an error is none")
	}
}
