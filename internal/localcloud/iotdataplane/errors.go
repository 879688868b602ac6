package iotdataplane

import (
	"errors"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Reasons why a connection ended, as presence events spell them.
const (
	ReasonAuthError        = "AUTH_ERROR"
	ReasonClientInitiated  = "CLIENT_INITIATED_DISCONNECT"
	ReasonClientError      = "CLIENT_ERROR"
	ReasonConnectionLost   = "CONNECTION_LOST"
	ReasonDuplicateClient  = "DUPLICATE_CLIENTID"
	ReasonForbidden        = "FORBIDDEN_ACCESS"
	ReasonKeepAliveTimeout = "MQTT_KEEP_ALIVE_TIMEOUT"
	ReasonServerError      = "SERVER_ERROR"
	ReasonServerInitiated  = "SERVER_INITIATED_DISCONNECT"
	ReasonAPIInitiated     = "API_INITIATED_DISCONNECT"
	ReasonThrottled        = "THROTTLED"
)

// RefusalCode says why the broker refused something; values are the reason
// codes of MQTT 5.
type RefusalCode byte

// The refusals.
const (
	RefusedNotAuthorized RefusalCode = 0x87
	RefusedClientID      RefusalCode = 0x85
	RefusedFilter        RefusalCode = 0x8F
	RefusedTopic         RefusalCode = 0x90
	RefusedTooLarge      RefusalCode = 0x95
	RefusedQoS           RefusalCode = 0x9B
	RefusedUnavailable   RefusalCode = 0x88
	RefusedServerError   RefusalCode = 0x83
	RefusedRate          RefusalCode = 0x96
	RefusedQuota         RefusalCode = 0x97
	RefusedConnectRate   RefusalCode = 0x9F
)

// ErrClosed is returned by the methods of a connection that has ended.
var ErrClosed = errors.New("iotdataplane: the connection has ended")

// Refusal is the broker's no to a client. A client that is refused a publish is
// disconnected with Reason.
type Refusal struct {
	Reason  string
	Code    RefusalCode
	Message string
	Cause   error
}

func (r *Refusal) Error() string {
	if r.Cause != nil {
		return fmt.Sprintf("iotdataplane: %s: %v", r.Message, r.Cause)
	}
	return "iotdataplane: " + r.Message
}

func (r *Refusal) Unwrap() error { return r.Cause }

func invalidRequest(message string) *awsapi.Error {
	return awsapi.Errorf("InvalidRequestException", "%s", message)
}

func notFound(message string) *awsapi.Error {
	return awsapi.Errorf("ResourceNotFoundException", "%s", message).WithStatus(404)
}
