package topicrule

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// lambdaAction invokes a function asynchronously.
type lambdaAction struct{ function *rulesql.Template }

func makeLambda(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		FunctionARN string `json:"functionArn"`
	}
	a := &lambdaAction{}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	err := templates(r, "!functionArn", p.FunctionARN, &a.function)
	return a, errors.Join(err, plainly("functionArn", a.function, functionARN, "the ARN of a function"))
}

func (a *lambdaAction) kind() string { return "Lambda" }

func (a *lambdaAction) role() string { return "" }

type invokeInput struct {
	FunctionName   string `json:"FunctionName"`
	InvocationType string `json:"InvocationType"`
	Payload        []byte `json:"Payload"`
}

func (a *lambdaAction) run(ctx context.Context, d *delivery) (string, error) {
	arn, err := d.text(ctx, a.function)
	if err != nil {
		return a.function.Source(), err
	}
	body, err := d.json("lambda")
	if err != nil {
		return arn, err
	}
	id := awsapi.ServiceOf(principal, d.s.Account, d.rule.arn)
	_, err = d.s.Caller.Call(ctx, id, "lambda", "Invoke", invokeInput{arn, "Event", body})
	return arn, err
}
