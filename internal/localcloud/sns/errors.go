package sns

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func invalid(format string, args ...any) *awsapi.Error {
	e := awsapi.Errorf("InvalidParameter", format, args...)
	e.Message = "Invalid parameter: " + e.Message
	return e
}

func notFound(what string) *awsapi.Error {
	return awsapi.Errorf("NotFound", "%s does not exist", what).WithStatus(404)
}
