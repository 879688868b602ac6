package stepfunctions_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	campaignsfn "github.com/fleetstep/fleetstep/internal/campaign/stepfunctions"
	"github.com/fleetstep/fleetstep/internal/event"
)

// states are Step Functions, which answers as told.
type states struct {
	answer, start, describe, redrive error

	output, name string
	execution    sfn.DescribeExecutionOutput
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

func (s *states) DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (
	*sfn.DescribeExecutionOutput, error) {
	return &s.execution, s.describe
}

func (s *states) RedriveExecution(context.Context, *sfn.RedriveExecutionInput, ...func(*sfn.Options)) (
	*sfn.RedriveExecutionOutput, error) {
	return &sfn.RedriveExecutionOutput{}, s.redrive
}

// TestAnExecutionThatIsGone is told by Step Functions' words; one that it does not know is missing.
func TestAnExecutionThatIsGone(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("ü", 400)
	for _, one := range []struct {
		out  sfn.DescribeExecutionOutput
		err  error
		want campaign.Execution
	}{
		{out: sfn.DescribeExecutionOutput{Status: types.ExecutionStatusRunning,
			RedriveStatus: types.ExecutionRedriveStatusNotRedrivable},
			want: campaign.Execution{Status: campaign.ExecutionRunning}},
		{out: sfn.DescribeExecutionOutput{Status: types.ExecutionStatusPendingRedrive},
			want: campaign.Execution{Status: campaign.ExecutionRunning}},
		{out: sfn.DescribeExecutionOutput{Status: types.ExecutionStatusAborted, StopDate: &at,
			Error: aws.String("A.B"), Cause: aws.String("c"), RedriveStatus: types.ExecutionRedriveStatusRedrivable},
			want: campaign.Execution{Status: campaign.ExecutionStopped, Ended: at, Why: "A.B: c", Redrivable: true}},
		{out: sfn.DescribeExecutionOutput{Status: types.ExecutionStatusFailed, StopDate: &at,
			Error: aws.String("Transient"),
			Cause: aws.String(`{"errorMessage":"the table is away","errorType":"Transient"}`)},
			want: campaign.Execution{Status: campaign.ExecutionFailed, Ended: at,
				Why: "Transient: the table is away"}},
		{out: sfn.DescribeExecutionOutput{Status: types.ExecutionStatusFailed, StopDate: &at, Cause: &long},
			want: campaign.Execution{Status: campaign.ExecutionFailed, Ended: at, Why: long[:500] + "…"}},
		{out: sfn.DescribeExecutionOutput{Status: types.ExecutionStatusTimedOut, StopDate: &at},
			want: campaign.Execution{Status: campaign.ExecutionTimedOut, Ended: at}},
		{err: &types.ExecutionDoesNotExist{}, want: campaign.Execution{Status: campaign.ExecutionMissing}},
	} {
		got, err := campaignsfn.New(&states{execution: one.out, describe: one.err}, "").Execution(t.Context(), "arn")
		if err != nil || got != one.want {
			t.Errorf("%+v, %v; want %+v", got, err, one.want)
		}
	}
	busy := errors.New("throttled")
	if _, err := campaignsfn.New(&states{describe: busy}, "").Execution(t.Context(), "arn"); !errors.Is(err, busy) {
		t.Errorf("throttled: %v", err)
	}
	for err, not := range map[error]bool{nil: false, &types.ExecutionNotRedrivable{}: true,
		&types.ExecutionDoesNotExist{}: true, busy: false} {
		got := campaignsfn.New(&states{redrive: err}, "").Redrive(t.Context(), "arn")
		if (got == nil) != (err == nil) || errors.Is(got, campaign.ErrNotRedrivable) != not {
			t.Errorf("redriven with %v: %v", err, got)
		}
	}
}

// TestAnotherExecutionHasAnotherName: that no campaign can have, and the same again.
func TestAnotherExecutionHasAnotherName(t *testing.T) {
	for _, id := range []event.CampaignID{"c", event.CampaignID(strings.Repeat("c", 64))} {
		names := map[string]bool{}
		for _, after := range []string{"arn:one", "arn:one", "arn:two"} {
			s := &states{}
			_, err := campaignsfn.New(s, "arn:m").Start(t.Context(), campaign.MachineInput{Campaign: id, After: after})
			if err != nil || len(s.name) != 80 || !strings.HasPrefix(s.name, string(id)+"-") {
				t.Errorf("%q, %v", s.name, err)
			}
			names[s.name] = true
		}
		if len(names) != 2 {
			t.Errorf("%s: %v", id, names)
		}
	}
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
