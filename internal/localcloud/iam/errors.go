package iam

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func noSuchEntity(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("NoSuchEntity", format, args...).WithStatus(404)
}

func alreadyExists(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("EntityAlreadyExists", format, args...).WithStatus(409)
}

func deleteConflict(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("DeleteConflict", format, args...).WithStatus(409)
}

func limitExceeded(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("LimitExceeded", format, args...).WithStatus(409)
}

func invalid(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ValidationError", format, args...)
}

// notAuthorized is AWS's denial of an action.
func notAuthorized(r awsapi.Request, why awsapi.Why) *awsapi.Error {
	return awsapi.Denied("AccessDeniedException", awsapi.Denial{Who: "User: " + r.Identity.ARN, Action: r.Action,
		Resource: r.Resource, Why: why})
}

// mayNotAssume is STS's denial, which gives no reason.
func mayNotAssume(who, roleARN string) *awsapi.Error {
	return awsapi.Denied("AccessDenied", awsapi.Denial{Who: "User: " + who, Action: "sts:AssumeRole",
		Resource: roleARN})
}
