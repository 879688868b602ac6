package lambda

import (
	"context"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// checkRole looks whether a function's role allows what Lambda itself will do
// with it: send traces, and send what fails to the dead-letter queue or topic.
// Lambda refuses a configuration whose role does not; it also wants
// xray:PutTelemetryRecords, which its documentation lists beside
// xray:PutTraceSegments.
func (s *Service) checkRole(ctx context.Context, c *awsapi.Call, f *Function) error {
	type need struct{ action, resource, service string }
	var needs []need
	if f.Tracing == "Active" {
		needs = append(needs, need{"xray:PutTraceSegments", "*", "XRAY"}, need{"xray:PutTelemetryRecords",
			"*", "XRAY"})
	}
	switch {
	case strings.HasPrefix(f.DeadLetter, "arn:aws:sqs:"):
		needs = append(needs, need{"sqs:SendMessage", f.DeadLetter, "SQS"})
	case strings.HasPrefix(f.DeadLetter, "arn:aws:sns:"):
		needs = append(needs, need{"sns:Publish", f.DeadLetter, "SNS"})
	}
	if needs == nil {
		return nil
	}
	id, err := s.Roles.Assume(ctx, f.RoleARN, "lambda.amazonaws.com", f.ARN, f.Name)
	if awsapi.IsFault(err) {
		return err
	}
	if err != nil {
		return errInvalidParameter("The role defined for the function cannot be assumed by Lambda.")
	}
	as := *c
	as.Identity, as.Service = id, &awsapi.Service{}
	for _, n := range needs {
		err := as.Authorize(ctx, n.action, n.resource, nil)
		if awsapi.Code(err) == "AccessDeniedException" {
			_, operation, _ := strings.Cut(n.action, ":")
			return errInvalidParameter("The provided execution role does not have permissions to call %s on %s",
				operation, n.service)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
