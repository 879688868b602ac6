package iot

import (
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func invalid(format string, args ...any) error {
	return awsapi.Errorf("InvalidRequestException", format, args...)
}

// refused is a rule's no, as the API answers it; nil for nil.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return invalid("%v.", err)
}

func notFound(format string, args ...any) error {
	return awsapi.Errorf("ResourceNotFoundException", format, args...).WithStatus(404)
}

func exists(id, arn, format string, args ...any) error {
	return &awsapi.Error{Code: "ResourceAlreadyExistsException", Message: fmt.Sprintf(format, args...), Status: 409,
		Fields: map[string]any{"resourceId": id, "resourceArn": arn}}
}

func conflict(code, format string, args ...any) error {
	return awsapi.Errorf(code, format, args...).WithStatus(409)
}

func versionConflict(expected, actual int64) error {
	return conflict("VersionConflictException",
		"The expected version %d does not match the version %d of the resource.", expected, actual)
}

func limitExceeded(format string, args ...any) error {
	return awsapi.Errorf("LimitExceededException", format, args...).WithStatus(410)
}

func certificateState(format string, args ...any) error {
	return awsapi.Errorf("CertificateStateException", format, args...).WithStatus(406)
}
