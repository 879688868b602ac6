package jobs

import (
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func invalid(format string, args ...any) error {
	return awsapi.Errorf("InvalidRequestException", format, args...)
}

func notFound(format string, args ...any) error {
	return awsapi.Errorf("ResourceNotFoundException", format, args...).WithStatus(404)
}

func exists(resource, arn, format string, args ...any) error {
	return &awsapi.Error{Code: "ResourceAlreadyExistsException", Message: fmt.Sprintf(format, args...), Status: 409,
		Fields: map[string]any{"resourceId": resource, "resourceArn": arn}}
}

func limitExceeded(format string, args ...any) error {
	return awsapi.Errorf("LimitExceededException", format, args...).WithStatus(410)
}

func badTransition(format string, args ...any) error {
	return awsapi.Errorf("InvalidStateTransitionException", format, args...).WithStatus(409)
}

func versionConflict(format string, args ...any) error {
	return awsapi.Errorf("VersionConflictException", format, args...).WithStatus(409)
}

func outside(member string, value any, low, high any) error {
	return invalid("%s is %v; allowed are %v to %v.", member, value, low, high)
}
