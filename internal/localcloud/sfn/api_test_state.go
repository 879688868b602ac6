package sfn

import (
	"context"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/teststate"
)

func (s *Service) testState(ctx context.Context, c *awsapi.Call, in *teststate.Input) (*teststate.Output, error) {
	t, err := teststate.New(in)
	if err != nil {
		return nil, err
	}
	if in.RevealSecrets {
		if err := c.Authorize(ctx, "states:RevealSecrets", "*", nil); err != nil {
			return nil, err
		}
	}
	if in.RoleARN != "" {
		if !strings.HasPrefix(in.RoleARN, "arn:") {
			return nil, invalidARN(names.WrongPrefix(in.RoleARN))
		}
		if err := c.Authorize(ctx, "iam:PassRole", in.RoleARN, passedHere); err != nil {
			return nil, err
		}
	}
	name, machine := s.sched.UUID(), s.sched.UUID()
	info := asl.Info{
		ExecutionARN: s.arn(names.Express, machine+":"+name), ExecutionName: name,
		MachineARN: s.arn(names.StateMachine, machine), MachineName: machine,
		RoleARN: in.RoleARN, Region: s.Region, Account: s.Account, Started: s.sched.Now(), Input: t.Input,
	}
	res := asl.Test(t.Machine, host{s, key{}}, info, t.Single, func(call asl.Call) asl.Result {
		a := s.Tasks.Call(ctx, Task{Call: call, ExecutionARN: info.ExecutionARN, MachineARN: info.MachineARN,
			Role: in.RoleARN})
		return a.Result
	})
	return teststate.OutputOf(&res, in.InspectionLevel), nil
}
