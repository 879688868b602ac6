package awsapi

import "net/http"

// refusals are how services say that they are asked too much, where that is not
// "ThrottlingException: Rate exceeded" with status 400.
//
// Sources, API references as of 2026-11: DynamoDB common errors and "Throttling
// diagnosis" (on-demand tables); S3 error responses; Lambda Invoke; SNS common
// errors; SQS SendMessage; AWS IoT data plane Publish; AWS IoT jobs data plane
// UpdateJobExecution.
var refusals = map[string]Error{
	"dynamodb": {Code: "ThrottlingException", Status: http.StatusBadRequest,
		Message: "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling " +
			"your table or index so please try again shortly. If exceptions persist, check if you have a hot key: " +
			"https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"},
	"s3": {Code: "SlowDown", Status: http.StatusServiceUnavailable, Message: "Please reduce your request rate."},
	"lambda": {Code: "TooManyRequestsException", Status: http.StatusTooManyRequests, Message: "Rate Exceeded.",
		Fields: map[string]any{"Reason": "CallerRateLimitExceeded", "Type": "User"}},
	"sns":              {Code: "Throttled", Status: http.StatusTooManyRequests, Message: "Rate exceeded"},
	"sqs":              {Code: "RequestThrottled", Status: http.StatusBadRequest, Message: "Request is throttled."},
	"iotdataplane":     {Code: "ThrottlingException", Status: http.StatusTooManyRequests, Message: "Rate exceeded"},
	"iotjobsdataplane": {Code: "ThrottlingException", Status: http.StatusTooManyRequests, Message: "Rate exceeded"},
}

// TooMuch is how the service refuses what is more than it allows.
func (s *Service) TooMuch() *Error {
	if e, ok := refusals[s.ID]; ok {
		return &e
	}
	e := &Error{Code: "ThrottlingException", Status: http.StatusBadRequest, Message: "Rate exceeded"}
	if w := s.Throttled; w.Code != "" {
		e.Code, e.Status = w.Code, w.Status
	}
	return e
}

// Broken is how the service answers when the failure is its own.
func (s *Service) Broken() *Error {
	e := &Error{Code: "InternalFailure", Status: http.StatusInternalServerError,
		Message: "The request processing has failed because of an unknown error, exception or failure."}
	if w := s.Fault; w.Code != "" {
		e.Code, e.Status = w.Code, w.Status
	}
	if s.ID == "s3" {
		e.Code, e.Message = "InternalError", "We encountered an internal error. Please try again."
	}
	return e
}
