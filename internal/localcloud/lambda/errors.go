package lambda

import (
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func errFunctionNotFound(arn string) *awsapi.Error {
	e := awsapi.Errorf("ResourceNotFoundException", "Function not found: %s", arn).WithStatus(404)
	e.Fields = map[string]any{"Type": "User"}
	return e
}

func errFunctionExists(name string) *awsapi.Error {
	return awsapi.Errorf("ResourceConflictException", "Function already exist: %s", name).WithStatus(409)
}

func errInvalidParameter(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("InvalidParameterValueException", format, args...)
}

func errRevision() *awsapi.Error {
	return awsapi.Errorf("PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. "+
			"Call the GetFunction/GetAlias API to retrieve the latest Revision Id").WithStatus(412)
}

func errConflict(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ResourceConflictException", format, args...).WithStatus(409)
}

func errNotFound(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ResourceNotFoundException", format, args...).WithStatus(404)
}

func errTooLarge(size, limit int) *awsapi.Error {
	return awsapi.Errorf("RequestTooLargeException",
		"%d byte payload is too large for the invocation type (limit %d bytes)", size, limit).WithStatus(413)
}

func errThrottled(reason string) *awsapi.Error {
	e := awsapi.Errorf("TooManyRequestsException", "Rate Exceeded.").WithStatus(429)
	e.Fields = map[string]any{"Reason": reason}
	return e
}

func errInvalidRequestContent(err error) *awsapi.Error {
	return awsapi.Errorf("InvalidRequestContentException", "Could not parse request body into json: %v", err)
}

// FunctionError is a failure of the function itself, as its caller sees it.
type FunctionError struct {
	Message string   `json:"errorMessage"`
	Type    string   `json:"errorType,omitempty"`
	Stack   []string `json:"stackTrace,omitempty"`
}

func (e *FunctionError) Error() string { return fmt.Sprintf("%s: %s", e.Type, e.Message) }
