package sqs

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// coded makes an error with the code that Query clients know.
func coded(code, queryCode, format string, args ...any) *awsapi.Error {
	e := awsapi.Errorf(code, format, args...)
	e.QueryCode = queryCode
	return e
}

func noQueue() *awsapi.Error {
	return coded("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
}

func queueExists(attribute string) *awsapi.Error {
	return coded("QueueNameExists", "QueueAlreadyExists",
		"A queue already exists with the same name and a different value for attribute %s", attribute)
}

func invalidParameter(format string, args ...any) *awsapi.Error {
	return coded("InvalidParameterValueException", "InvalidParameterValue", format, args...)
}

func missingParameter(name string) *awsapi.Error {
	return coded("MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter %s.",
		name)
}

func invalidAttributeName(name string) *awsapi.Error {
	return coded("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute %s.", name)
}

func invalidAttributeValue(name string) *awsapi.Error {
	return coded("InvalidAttributeValue", "InvalidAttributeValue", "Invalid value for the parameter %s.", name)
}

func invalidHandle() *awsapi.Error {
	return coded("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
}

func notInFlight() *awsapi.Error {
	return coded("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight",
		"Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for "+
			"visibility timeout change.")
}

func invalidContents() *awsapi.Error {
	return coded("InvalidMessageContents", "InvalidMessageContents",
		"Invalid binary character was found in the message body, the set of allowed characters is #x9 | #xA | #xD "+
			"| #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
}

func purging(name string) *awsapi.Error {
	return coded("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress",
		"Only one PurgeQueue operation on %s is allowed every 60 seconds.", name).WithStatus(403)
}
