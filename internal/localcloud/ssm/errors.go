package ssm

import "github.com/fleetstep/fleetstep/internal/localcloud/awsapi"

func invalid(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("ValidationException", format, args...)
}

// notFound has no message, as on AWS.
func notFound() *awsapi.Error { return awsapi.Errorf("ParameterNotFound", "") }

func noVersion(version int64, name string) *awsapi.Error {
	return awsapi.Errorf("ParameterVersionNotFound",
		"Systems Manager could not find version %d of %s. Verify the version and try again.", version, name)
}

func noLabel(label, name string) *awsapi.Error {
	return awsapi.Errorf("ParameterVersionNotFound",
		"Systems Manager could not find label %s of %s. Verify the label and try again.", label, name)
}

func alreadyExists() *awsapi.Error {
	return awsapi.Errorf("ParameterAlreadyExists",
		"The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
}

func tooDeep() *awsapi.Error {
	return awsapi.Errorf("HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of %d levels.",
		maxLevels)
}

func mismatch(pattern string) *awsapi.Error {
	return awsapi.Errorf("ParameterPatternMismatchException",
		"Parameter value, cannot be validated against allowedPattern: %s", pattern)
}

func tooManyVersions(name string) *awsapi.Error {
	return awsapi.Errorf("ParameterMaxVersionLimitExceeded",
		"You attempted to create a new version of %s by calling the PutParameter API with the "+
			"overwrite flag. Version 1, the oldest version, can't be deleted because it has a label associated "+
			"with it. Move the label to another "+
			"version of the parameter, and try again.", name)
}
