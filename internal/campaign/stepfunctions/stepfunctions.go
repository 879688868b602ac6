// Package stepfunctions runs campaigns (campaign.Executions) and answers their steps
// (campaign.Callback) by Step Functions. A step that is over is no error: it was answered
// before. Tokens never appear in an error's text.
package stepfunctions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/fleetstep/fleetstep/internal/campaign"
	"github.com/fleetstep/fleetstep/internal/event"
)

// API is the part of Step Functions that is used.
type API interface {
	SendTaskSuccess(ctx context.Context, in *sfn.SendTaskSuccessInput, opts ...func(*sfn.Options)) (
		*sfn.SendTaskSuccessOutput, error)
	StartExecution(ctx context.Context, in *sfn.StartExecutionInput, opts ...func(*sfn.Options)) (
		*sfn.StartExecutionOutput, error)
	DescribeExecution(ctx context.Context, in *sfn.DescribeExecutionInput, opts ...func(*sfn.Options)) (
		*sfn.DescribeExecutionOutput, error)
	RedriveExecution(ctx context.Context, in *sfn.RedriveExecutionInput, opts ...func(*sfn.Options)) (
		*sfn.RedriveExecutionOutput, error)
}

// Client is a campaign.Executions and a campaign.Callback.
type Client struct {
	api     API
	machine string
}

// New is a client; machine is the ARN of the state machine, with its alias, "" for a client
// that only answers.
func New(api API, machine string) *Client { return &Client{api, machine} }

// Succeed implements campaign.Callback.
func (c *Client) Succeed(ctx context.Context, token event.TaskToken, output any) error {
	b, err := json.Marshal(output)
	if err != nil {
		return fmt.Errorf("campaign/stepfunctions.Succeed: %w", err)
	}
	_, err = c.api.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: aws.String(string(token)),
		Output: aws.String(string(b))})
	_, over := errors.AsType[*types.TaskTimedOut](err)
	_, unknown := errors.AsType[*types.TaskDoesNotExist](err)
	switch {
	case err == nil, over, unknown:
		return nil
	}
	return fmt.Errorf("campaign/stepfunctions.Succeed: %w", &quoted{err, string(token)})
}

// quoted is an error that may quote the token that it is about. What it says of itself does
// not.
type quoted struct {
	err   error
	token string
}

func (q *quoted) Error() string {
	return strings.ReplaceAll(q.err.Error(), q.token, event.TaskToken(q.token).String())
}

// Unwrap is the error as it came.
func (q *quoted) Unwrap() error { return q.err }

// Start implements campaign.Executions. The execution has the campaign's name: one that is
// there is the same campaign's.
func (c *Client) Start(ctx context.Context, in campaign.MachineInput) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("campaign/stepfunctions.Start: %s: %w", in.Campaign, err)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return fail(err)
	}
	execution := nameOf(in)
	out, err := c.api.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &c.machine, Name: &execution, Input: aws.String(string(b)),
	})
	if _, exists := errors.AsType[*types.ExecutionAlreadyExists](err); exists {
		at, err := arn.Parse(c.machine)
		kind, rest, _ := strings.Cut(at.Resource, ":")
		if err != nil || kind != "stateMachine" || rest == "" {
			return fail(fmt.Errorf("%q is no ARN of a state machine", c.machine))
		}
		// An execution is named by the machine alone, without version or alias.
		name, _, _ := strings.Cut(rest, ":")
		at.Resource = "execution:" + name + ":" + execution
		return at.String(), nil
	}
	if err != nil {
		return fail(err)
	}
	return aws.ToString(out.ExecutionArn), nil
}

// longest is the longest name of an execution.
const longest = 80

// nameOf is the name of a campaign's execution: the campaign's, and of one that takes the place of another a longer
// one than a campaign may have, the same for the same other.
func nameOf(in campaign.MachineInput) string {
	if in.After == "" {
		return string(in.Campaign)
	}
	sum := sha256.Sum256([]byte(in.After))
	return (string(in.Campaign) + "-" + hex.EncodeToString(sum[:]) + hex.EncodeToString(sum[:]))[:longest]
}

// mostWhy is how much is kept of why an execution ended.
const mostWhy = 500

// Execution implements campaign.Executions.
func (c *Client) Execution(ctx context.Context, arn string) (campaign.Execution, error) {
	out, err := c.api.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if _, missing := errors.AsType[*types.ExecutionDoesNotExist](err); missing {
		return campaign.Execution{Status: campaign.ExecutionMissing}, nil
	}
	if err != nil {
		return campaign.Execution{}, fmt.Errorf("campaign/stepfunctions.Execution: %s: %w", arn, err)
	}
	x := campaign.Execution{
		Status: campaign.ExecutionStatus(out.Status), Ended: aws.ToTime(out.StopDate).UTC(),
		Redrivable: out.RedriveStatus == types.ExecutionRedriveStatusRedrivable,
	}
	switch out.Status {
	case types.ExecutionStatusRunning, types.ExecutionStatusPendingRedrive:
		return campaign.Execution{Status: campaign.ExecutionRunning}, nil
	}
	var why []string
	for _, text := range []string{aws.ToString(out.Error), aws.ToString(out.Cause)} {
		if text != "" {
			why = append(why, text)
		}
	}
	x.Why = campaign.Plain(strings.Join(why, ": "))
	if len(x.Why) > mostWhy {
		x.Why = strings.ToValidUTF8(x.Why[:mostWhy], "") + "…"
	}
	return x, nil
}

// Redrive implements campaign.Executions.
func (c *Client) Redrive(ctx context.Context, arn string) error {
	_, err := c.api.RedriveExecution(ctx, &sfn.RedriveExecutionInput{ExecutionArn: &arn})
	_, not := errors.AsType[*types.ExecutionNotRedrivable](err)
	_, missing := errors.AsType[*types.ExecutionDoesNotExist](err)
	switch {
	case err == nil:
		return nil
	case not, missing:
		return fmt.Errorf("campaign/stepfunctions.Redrive: %s: %w: %w", arn, campaign.ErrNotRedrivable, err)
	}
	return fmt.Errorf("campaign/stepfunctions.Redrive: %s: %w", arn, err)
}
