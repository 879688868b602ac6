package topicrule

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// stepFunctionsAction starts an execution with a name of its own, so that a
// message delivered twice starts two, as on AWS.
type stepFunctionsAction struct {
	roled
	machine, prefix *rulesql.Template
}

func makeStepFunctions(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN string `json:"roleArn"`
		Machine string `json:"stateMachineName"`
		Prefix  string `json:"executionNamePrefix"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &stepFunctionsAction{roled: roled{p.RoleARN}}
	err := errors.Join(checkRole(p.RoleARN),
		templates(r, "!stateMachineName", p.Machine, &a.machine, "executionNamePrefix", p.Prefix, &a.prefix))
	return a, errors.Join(err, plainly("stateMachineName", a.machine, machineName, "the name of a state machine"))
}

func (a *stepFunctionsAction) kind() string { return "StepFunctions" }

func (a *stepFunctionsAction) run(ctx context.Context, d *delivery) (string, error) {
	machine, err := d.text(ctx, a.machine)
	if err != nil {
		return a.machine.Source(), err
	}
	arn := "arn:aws:states:" + d.s.Region + ":" + d.s.Account + ":stateMachine:" + machine
	body, err := d.json("stepFunctions")
	if err != nil {
		return arn, err
	}
	in := map[string]string{"stateMachineArn": arn, "input": string(body)}
	if a.prefix != nil {
		prefix, err := d.text(ctx, a.prefix)
		if err != nil {
			return arn, err
		}
		in["name"] = prefix + d.s.Scheduler.UUID()
	}
	return arn, d.call(ctx, a.roleARN, "sfn", "StartExecution", in)
}
