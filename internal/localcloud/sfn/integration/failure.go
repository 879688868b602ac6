package integration

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// Failure is an error of a call as Step Functions tells it.
func Failure(r asl.Resource, err error, requestID string) asl.Result {
	e := awsapi.AsError(err)
	t, code, status := TargetOf(r), e.Code, e.HTTPStatus()
	if t.SDK {
		if code == "ValidationException" || code == "" || unmodelled(code, t.Service) {
			code = t.Prefix
		}
		if !strings.HasSuffix(code, "Exception") {
			code += "Exception"
		}
		ids := "Request ID: " + requestID
		if t.Service == "s3" {
			ids += ", Extended Request ID: " + extendedRequestID(requestID)
		}
		return asl.Failing(t.Prefix+"."+code, fmt.Sprintf(
			"%s (Service: %s, Status Code: %d, %s) (SDK Attempt Count: 1)", e.Message, t.Prefix, status, ids))
	}
	o := optimized[r.Service]
	if r.Kind == asl.Function {
		o = optimized["lambda"]
	}
	label := o.label
	if label == "" {
		label = t.Service
	}
	if t.Service == "sqs" && code == "MissingRequiredParameterException" {
		code = "MissingParameter" // as SQS calls it for the SDK behind the integration
	}
	name := code
	switch {
	case code == "MissingParameter":
		name = o.generic
	case code == "ValidationException" && t.Service == "dynamodb", unmodelled(code, t.Service) && o.generic != "":
		name = o.generic
	case !strings.HasSuffix(code, "Exception"):
		name += "Exception"
	}
	return asl.Failing(t.Prefix+"."+name, fmt.Sprintf(
		"%s (Service: %s; Status Code: %d; Error Code: %s; Request ID: %s; Proxy: null)",
		e.Message, label, status, code, requestID))
}

// extendedRequestID is the second name that S3 gives a request: 56 bytes in Base64.
func extendedRequestID(requestID string) string {
	sum := sha512.Sum512([]byte(requestID))
	return base64.StdEncoding.EncodeToString(sum[:56])
}

// unmodelled reports whether a denial is one for which the service's SDK has no exception, so that it has the name of
// any error of the service.
func unmodelled(code, service string) bool {
	return code == "AccessDenied" || code == "AccessDeniedException" && service != "cloudwatchlogs"
}

// FunctionFailure is the error that a Lambda function returned.
func FunctionFailure(payload []byte) asl.Result {
	var e struct {
		ErrorType string `json:"errorType"`
	}
	if json.Unmarshal(payload, &e) != nil || e.ErrorType == "" {
		e.ErrorType = "Lambda.Unknown"
	}
	return asl.Failing(e.ErrorType, string(payload))
}

// InvocationFailure is the error that a function returned to lambda:invoke, which tells it as it tells payloads: as
// JSON without the blanks that the function wrote.
func InvocationFailure(payload []byte) asl.Result {
	if v, err := document.Parse(payload); err == nil {
		payload = document.Append(nil, v)
	}
	return FunctionFailure(payload)
}
