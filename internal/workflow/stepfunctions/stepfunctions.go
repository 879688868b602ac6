// Package stepfunctions calls Step Functions for workflow: it resumes tasks by their tokens
// (workflow.Callback) and handles executions by name (workflow.Machine). A token that is over,
// and an execution that is unknown or over, have errors of their own, apart from those worth a
// retry. No error contains a token.
package stepfunctions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// API is the part of Step Functions that is used.
type API interface {
	SendTaskSuccess(ctx context.Context, in *sfn.SendTaskSuccessInput, opts ...func(*sfn.Options)) (
		*sfn.SendTaskSuccessOutput, error)
	SendTaskFailure(ctx context.Context, in *sfn.SendTaskFailureInput, opts ...func(*sfn.Options)) (
		*sfn.SendTaskFailureOutput, error)
	SendTaskHeartbeat(ctx context.Context, in *sfn.SendTaskHeartbeatInput, opts ...func(*sfn.Options)) (
		*sfn.SendTaskHeartbeatOutput, error)
	StartExecution(ctx context.Context, in *sfn.StartExecutionInput, opts ...func(*sfn.Options)) (
		*sfn.StartExecutionOutput, error)
	DescribeExecution(ctx context.Context, in *sfn.DescribeExecutionInput, opts ...func(*sfn.Options)) (
		*sfn.DescribeExecutionOutput, error)
	ListExecutions(ctx context.Context, in *sfn.ListExecutionsInput, opts ...func(*sfn.Options)) (
		*sfn.ListExecutionsOutput, error)
	StopExecution(ctx context.Context, in *sfn.StopExecutionInput, opts ...func(*sfn.Options)) (
		*sfn.StopExecutionOutput, error)
}

// Client is a workflow.Callback and a workflow.Machine.
type Client struct {
	api      API
	machines map[event.Operation]string
}

// New is a client; machines are the ARNs of the state machines, nil for a client
// that only resumes tasks.
func New(api API, machines map[event.Operation]string) *Client {
	return &Client{api: api, machines: machines}
}

// machine is the ARN of an operation's state machine.
func (c *Client) machine(o event.Operation) (string, error) {
	arn := c.machines[o]
	if arn == "" {
		return "", fmt.Errorf("no state machine is known for the operation %q", o)
	}
	return arn, nil
}

// Succeed implements workflow.Callback.
func (c *Client) Succeed(ctx context.Context, token event.TaskToken, output any) error {
	b, err := json.Marshal(output)
	if err != nil {
		return fmt.Errorf("workflow/stepfunctions.Succeed: %w", err)
	}
	_, err = c.api.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: aws.String(string(token)),
		Output: aws.String(string(b))})
	return tokenError("Succeed", token, err)
}

// Fail implements workflow.Callback.
func (c *Client) Fail(ctx context.Context, token event.TaskToken, f event.Failure) error {
	_, err := c.api.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{
		TaskToken: aws.String(string(token)), Error: aws.String(string(f.Name)), Cause: cause(f),
	})
	return tokenError("Fail", token, err)
}

// Alive implements workflow.Callback. A heartbeat is the one call that tells a task that
// is over; to a state without HeartbeatSeconds it does nothing else, and it makes no
// event in the history. Source: Step Functions API Reference, SendTaskHeartbeat (read
// 2026-11).
func (c *Client) Alive(ctx context.Context, token event.TaskToken) error {
	_, err := c.api.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: aws.String(string(token))})
	return tokenError("Alive", token, err)
}

// cause is what Step Functions takes for one: up to 32,768 characters.
func cause(f event.Failure) *string {
	n := 0
	for i := range f.Detail {
		if n++; n > 32768 {
			return aws.String(f.Detail[:i])
		}
	}
	return &f.Detail
}

func tokenError(op string, token event.TaskToken, err error) error {
	var timedOut *types.TaskTimedOut
	var unknown *types.TaskDoesNotExist
	switch {
	case err == nil:
		return nil
	case errors.As(err, &timedOut), errors.As(err, &unknown):
		return workflow.ErrDeadToken
	}
	return fmt.Errorf("workflow/stepfunctions.%s: %w", op, &quoted{err, string(token)})
}

// quoted is an error that may quote the token that it is about: AWS says which value it
// refuses. What it says of itself does not.
type quoted struct {
	err   error
	token string
}

func (q *quoted) Error() string {
	return strings.ReplaceAll(q.err.Error(), q.token, event.TaskToken(q.token).String())
}

// Unwrap is the error as it came.
func (q *quoted) Unwrap() error { return q.err }

// Start implements workflow.Machine.
func (c *Client) Start(ctx context.Context, in event.ExecutionInput) (began time.Time, err error) {
	fail := func(err error) (time.Time, error) {
		return time.Time{}, fmt.Errorf("workflow/stepfunctions.Start: execution %s: %w", in.Execution, err)
	}
	machine, err := c.machine(in.Operation)
	if err != nil {
		return fail(err)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return fail(err)
	}
	execution, err := executionARN(machine, in.Execution)
	if err != nil {
		return fail(err)
	}
	out, err := c.api.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &machine, Name: &in.Execution, Input: aws.String(string(b)),
	})
	var exists *types.ExecutionAlreadyExists
	if errors.As(err, &exists) {
		x, err := c.Look(ctx, in.Operation, in.Execution)
		switch {
		case err != nil:
			return fail(err)
		case x.Running:
			return x.Began, nil
		case !x.Known:
			// DescribeExecution is eventually consistent: it is too early to say.
			return fail(errors.New("it exists and cannot be seen yet"))
		}
		return time.Time{}, workflow.ErrPlayed
	}
	if err != nil {
		return fail(err)
	}
	if got := aws.ToString(out.ExecutionArn); got != execution {
		return fail(fmt.Errorf("it is %s, and would be looked for as %s", got, execution))
	}
	return aws.ToTime(out.StartDate), nil
}

// Look implements workflow.Machine.
func (c *Client) Look(ctx context.Context, operation event.Operation, name string) (workflow.ExecutionStatus, error) {
	fail := func(err error) (workflow.ExecutionStatus, error) {
		return workflow.ExecutionStatus{}, fmt.Errorf("workflow/stepfunctions.Look: execution %s: %w", name, err)
	}
	execution, err := c.execution(operation, name)
	if err != nil {
		return fail(err)
	}
	out, err := c.api.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
	var unknown *types.ExecutionDoesNotExist
	if errors.As(err, &unknown) {
		return workflow.ExecutionStatus{}, nil
	}
	if err != nil {
		return fail(err)
	}
	x := workflow.ExecutionStatus{Known: true, Began: aws.ToTime(out.StartDate)}
	switch out.Status {
	case types.ExecutionStatusRunning, types.ExecutionStatusPendingRedrive:
		x.Running = true
	case types.ExecutionStatusAborted:
		x.Stopped = &event.Failure{Name: event.ErrorName(aws.ToString(out.Error)), Detail: aws.ToString(out.Cause)}
	}
	return x, nil
}

// mostListed is how many executions of an operation are listed for those that were stopped: a page.
const mostListed = 1000

// StoppedSince implements workflow.Stops. Step Functions lists by the start: it is asked for the page of those that
// began last, of all that were aborted. A state machine that is not there has none.
func (c *Client) StoppedSince(ctx context.Context, since time.Time) (all []workflow.Stop, err error) {
	for _, operation := range slices.Sorted(maps.Keys(c.machines)) {
		list, err := c.stoppedOf(ctx, operation, since)
		if err != nil {
			return all, fmt.Errorf("workflow/stepfunctions.StoppedSince: operation %s: %w", operation, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

func (c *Client) stoppedOf(ctx context.Context, operation event.Operation, since time.Time) (all []workflow.Stop,
	err error) {
	machine, err := unqualified(c.machines[operation])
	if err != nil {
		return nil, err
	}
	page, err := c.api.ListExecutions(ctx, &sfn.ListExecutionsInput{
		StateMachineArn: &machine, StatusFilter: types.ExecutionStatusAborted, MaxResults: mostListed,
	})
	if _, unmade := errors.AsType[*types.StateMachineDoesNotExist](err); unmade {
		return nil, nil // while a stack is made its clock may tick before its machines are there
	}
	if err != nil {
		return nil, err
	}
	for _, x := range page.Executions {
		if x.StopDate == nil || x.StopDate.Before(since) || len(all) == workflow.MostStops {
			continue
		}
		out, err := c.api.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: x.ExecutionArn})
		if err != nil {
			return all, err
		}
		var in event.ExecutionInput
		if err := json.Unmarshal([]byte(aws.ToString(out.Input)), &in); err != nil || in.ThingName == "" {
			continue // none of ours
		}
		all = append(all, workflow.Stop{Thing: in.ThingName, Owner: in.Owner, Execution: aws.ToString(x.Name)})
	}
	return all, nil
}

// Stop implements workflow.Machine.
func (c *Client) Stop(ctx context.Context, operation event.Operation, name string, f event.Failure) error {
	execution, err := c.execution(operation, name)
	if err == nil {
		_, err = c.api.StopExecution(ctx, &sfn.StopExecutionInput{
			ExecutionArn: &execution, Error: aws.String(string(f.Name)), Cause: cause(f),
		})
	}
	var unknown *types.ExecutionDoesNotExist
	if err == nil || errors.As(err, &unknown) {
		return nil
	}
	return fmt.Errorf("workflow/stepfunctions.Stop: execution %s: %w", name, err)
}

// execution is the ARN of an execution of an operation.
func (c *Client) execution(o event.Operation, name string) (string, error) {
	machine, err := c.machine(o)
	if err != nil {
		return "", err
	}
	return executionARN(machine, name)
}

// executionARN is the ARN of an execution. A machine may be named with an alias or a
// version, an execution is named by the machine alone: an ARN made by replacing text
// would name nothing, a live claim would look dead and a cancel do nothing. Start
// compares it with what Step Functions answers.
// Sources: Service Authorization Reference, "Actions, resources, and condition keys for
// AWS Step Functions" (execution:${StateMachineName}:${ExecutionId}); Step Functions
// Developer Guide, "How Step Functions associates executions with a version or alias",
// whose example of ListExecutions has both (read 2026-11).
func executionARN(machine, name string) (string, error) {
	at, of, err := parse(machine)
	at.Resource = "execution:" + of + ":" + name
	return at.String(), err
}

// unqualified is the ARN of a machine without a version or an alias.
func unqualified(machine string) (string, error) {
	at, name, err := parse(machine)
	at.Resource = "stateMachine:" + name
	return at.String(), err
}

// parse takes the name out of the ARN of a machine.
func parse(machine string) (at arn.ARN, name string, err error) {
	at, err = arn.Parse(machine)
	kind, rest, _ := strings.Cut(at.Resource, ":")
	if err != nil || kind != "stateMachine" || rest == "" {
		return at, "", fmt.Errorf("%q is no ARN of a state machine", machine)
	}
	name, _, _ = strings.Cut(rest, ":")
	return at, name, nil
}
