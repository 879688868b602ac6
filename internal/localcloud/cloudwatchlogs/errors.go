package cloudwatchlogs

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi"

func errInvalid(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("InvalidParameterException", format, args...)
}

var (
	errNoGroup  = awsapi.Errorf("ResourceNotFoundException", "The specified log group does not exist.")
	errNoStream = awsapi.Errorf("ResourceNotFoundException", "The specified log stream does not exist.")
	errGroup    = awsapi.Errorf("ResourceAlreadyExistsException", "The specified log group already exists")
	errStream   = awsapi.Errorf("ResourceAlreadyExistsException", "The specified log stream already exists")
)
