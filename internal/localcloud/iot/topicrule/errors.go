package topicrule

import (
	"errors"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func invalid(format string, args ...any) error {
	return awsapi.Errorf("InvalidRequestException", format, args...)
}

func sqlError(err error) error {
	return awsapi.Errorf("SqlParseException", "%v", err)
}

func exists(name, arn string) error {
	return &awsapi.Error{Code: "ResourceAlreadyExistsException", Status: 409,
		Message: "The rule " + name + " already exists", Fields: map[string]any{"resourceId": name,
			"resourceArn": arn}}
}

// noRule is AWS's answer for a rule that is not there: it does not tell it
// from one that the caller may not see.
func noRule() error {
	return awsapi.Errorf("UnauthorizedException", "Access to topic rule is denied").WithStatus(401)
}

// passing reports whether a failed action may succeed if tried again.
func passing(err error) bool {
	e, ok := errors.AsType[*awsapi.Error](err)
	if !ok {
		return false
	}
	switch e.Code {
	case "ThrottlingException", "Throttling", "Throttled", "RequestThrottled", "TooManyRequestsException",
		"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ServiceUnavailable",
		"ServiceUnavailableException", "InternalServerError", "TransactionConflictException":
		return true
	}
	return e.HTTPStatus() >= 500 && e.HTTPStatus() != 501
}

func notJSON(action string) error {
	return fmt.Errorf("%s: the result of the statement is not JSON: use encode(*, 'base64')", action)
}
