package eventbridgescheduler

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi"

func errValidation(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ValidationException", format, args...)
}

// errMember is the answer to a member that breaks a constraint of the model.
func errMember(name string, value any, constraint string) *awsapi.Error {
	return errValidation("1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: Member "+
		"must %s", value, name, constraint)
}

func errConflict(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ConflictException", format, args...).WithStatus(409)
}

func errNotFound(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ResourceNotFoundException", format, args...).WithStatus(404)
}
