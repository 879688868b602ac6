package cloudwatch

import (
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// failure makes an error that CBOR clients know by its shape and Query
// clients by its code.
func failure(shape, code string, status int, format string, args ...any) *awsapi.Error {
	return &awsapi.Error{Code: shape, QueryCode: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

func errValue(format string, args ...any) *awsapi.Error {
	return failure("InvalidParameterValueException", "InvalidParameterValue", 400, format, args...)
}

func errMissing(name string) *awsapi.Error {
	return failure("MissingRequiredParameterException", "MissingParameter", 400, "The parameter %s is required.", name)
}

func errCombination(format string, args ...any) *awsapi.Error {
	return failure("InvalidParameterCombinationException", "InvalidParameterCombination", 400, format, args...)
}

func errValidation(format string, args ...any) *awsapi.Error {
	return failure("ValidationError", "ValidationError", 400, format, args...)
}

func errToken() *awsapi.Error {
	return failure("InvalidNextToken", "InvalidNextToken", 400, "The next token specified is invalid.")
}

func errNoAlarm(name string) *awsapi.Error {
	return failure("ResourceNotFound", "ResourceNotFound", 404, "Unknown alarm: %s", name)
}

func errNoDashboard(name string) *awsapi.Error {
	return failure("DashboardNotFoundError", "ResourceNotFound", 404, "Dashboard %s does not exist", name)
}

func errNoResource(arn string) *awsapi.Error {
	return failure("ResourceNotFoundException", "ResourceNotFoundException", 404, "Unable to find the resource %s.",
		arn)
}
