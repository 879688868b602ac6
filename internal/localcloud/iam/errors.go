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
func notAuthorized(who, action, resource, why string) *awsapi.Error {
	return awsapi.Errorf("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s %s",
		who, action, resource, why).WithStatus(403)
}

// mayNotAssume is STS's denial, which gives no reason.
func mayNotAssume(who, roleARN string) *awsapi.Error {
	return awsapi.Errorf("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
		who, roleARN).WithStatus(403)
}
