package sfn

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
)

// logDelivery is what the role of a state machine that logs must be allowed.
//
// Source: Step Functions Developer Guide, "Logging in CloudWatch Logs".
var logDelivery = []string{
	"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
	"logs:ListLogDeliveries",
	"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
}

// tracing is what the role of a state machine that traces must be allowed.
//
// Source: Step Functions Developer Guide, "X-Ray and Step Functions", IAM policies.
var tracing = []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules",
	"xray:GetSamplingTargets"}

// passedHere says to whom a role is passed, as policies are asked.
var passedHere = map[string][]string{"iam:PassedToService": {"states.amazonaws.com"}}

// checkRole refuses a caller who may not pass the role, a role that Step
// Functions may not assume, and one that may not deliver the logs that are asked
// for. passed is "" where the caller names no role.
func (s *Service) checkRole(ctx context.Context, c *awsapi.Call, machineARN, passed, roleARN string,
	l *LoggingConfig) error {
	if passed != "" {
		if err := c.Authorize(ctx, "iam:PassRole", passed, passedHere); err != nil {
			return err
		}
	}
	if s.Roles == nil {
		return nil
	}
	id, err := s.Roles.Assume(ctx, roleARN, "states.amazonaws.com", machineARN, "create")
	if awsapi.IsFault(err) {
		return err
	}
	if err != nil {
		return awsapi.Errorf("AccessDeniedException",
			"Neither the global service principal states.amazonaws.com, nor the regional one is authorized to "+
				"assume the provided role.")
	}
	if l == nil || l.Level == "" || l.Level == "OFF" {
		return nil
	}
	if denial := s.may(ctx, c, id, logDelivery); awsapi.IsFault(denial) {
		return denial
	} else if denial != nil {
		return awsapi.Errorf("AccessDeniedException",
			"The state machine IAM Role is not authorized to access the Log Destination")
	}
	return nil
}

// trace asks, when an execution starts, for what its traces need. Step Functions
// goes on without: there are no traces then, and the denials are in the log of
// IAM.
func (s *Service) trace(ctx context.Context, c *awsapi.Call, rec *executionRecord, rev *revisionRecord) {
	if s.Roles == nil || rev.Tracing == nil || !rev.Tracing.Enabled {
		return
	}
	machine := s.arn(names.StateMachine, rec.Machine)
	id, err := s.Roles.Assume(ctx, rev.RoleARN, "states.amazonaws.com", machine, rec.Name)
	if err == nil {
		_ = s.may(ctx, c, id, tracing)
	}
}

// may tells whether a role may do all of these, and else the first denial.
func (s *Service) may(ctx context.Context, c *awsapi.Call, id awsapi.Identity, actions []string) (denial error) {
	as := *c
	as.Identity, as.Service = id, &awsapi.Service{}
	for _, action := range actions {
		if err := as.Authorize(ctx, action, "*", nil); err != nil && denial == nil {
			denial = err
		}
	}
	return denial
}
