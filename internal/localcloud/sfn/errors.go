package sfn

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

func invalidARN(refused error) error {
	return awsapi.Errorf("InvalidArn", "Invalid Arn: '%s'", refused)
}

func noMachine(arn string) error {
	return awsapi.Errorf("StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", arn)
}

func machineDeleting(arn string) error {
	return awsapi.Errorf("StateMachineDeleting", "State Machine is being deleted: '%s'", arn)
}

func noExecution(arn string) error {
	return awsapi.Errorf("ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", arn)
}

func noActivity(arn string) error {
	return awsapi.Errorf("ActivityDoesNotExist", "Activity Does Not Exist: '%s'", arn)
}

func noResource(arn string) error {
	return awsapi.Errorf("ResourceNotFound", "Resource not found: '%s'", arn)
}

func invalidName(name string) error {
	return awsapi.Errorf("InvalidName", "Invalid Name: '%s'", name)
}

func validation(format string, args ...any) error {
	return awsapi.Errorf("ValidationException", format, args...)
}

// refusal is a validation with the reason that the API has a word for.
func refusal(reason, format string, args ...any) error {
	e := awsapi.Errorf("ValidationException", format, args...)
	e.Fields = map[string]any{"reason": reason}
	return e
}

func invalidRouting(format string, args ...any) error {
	return refusal("INVALID_ROUTING_CONFIGURATION", format, args...)
}

func invalidToken() error {
	return awsapi.Errorf("InvalidToken", "Invalid Token: 'Invalid token'")
}

func timedOut() error {
	return awsapi.Errorf("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
}
