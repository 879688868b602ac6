package functions

// Keys of every log line.
const (
	logRequestID = "requestId"
	logThing     = "thingName"
	logEndpoint  = "endpointId"
	logJob       = "jobId"
	logRule      = "ruleName"
)
