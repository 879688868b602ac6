package jobs

import (
	"errors"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/document"
)

func invalid(format string, args ...any) error {
	return awsapi.Errorf("InvalidRequestException", format, args...)
}

// refusal is what the packages configuration and document refuse, as the API answers it.
func refusal(err error) error {
	if missing, ok := errors.AsType[document.NotBuilt](err); ok {
		return awsapi.NotBuilt(string(missing))
	}
	if err != nil {
		return invalid("%s", err)
	}
	return nil
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
