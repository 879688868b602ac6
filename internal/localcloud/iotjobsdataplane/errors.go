package iotjobsdataplane

import (
	"errors"
	"fmt"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Codes of refusals, as the MQTT topics spell them.
const (
	InvalidTopic           = "InvalidTopic"
	InvalidJSON            = "InvalidJson"
	InvalidRequest         = "InvalidRequest"
	InvalidStateTransition = "InvalidStateTransition"
	ResourceNotFound       = "ResourceNotFound"
	VersionMismatch        = "VersionMismatch"
	InternalError          = "InternalError"
	RequestThrottled       = "RequestThrottled"
	TerminalStateReached   = "TerminalStateReached"
)

// Rejection is a refusal of a device's request.
type Rejection struct {
	Code    string
	Message string
	// State is the execution's state, with VersionMismatch and
	// InvalidStateTransition.
	State *State
}

func (r *Rejection) Error() string { return r.Code + ": " + r.Message }

// Is makes errors.Is compare two Rejections by their code.
func (r *Rejection) Is(target error) bool {
	t, ok := target.(*Rejection)
	return ok && t.Code == r.Code
}

// Rejectf makes a Rejection.
func Rejectf(code, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// rejection returns err as a Rejection; one that is none is an InternalError.
func rejection(err error) *Rejection {
	if r, ok := errors.AsType[*Rejection](err); ok {
		return r
	}
	if e, ok := errors.AsType[*awsapi.Error](err); ok && e.HTTPStatus() < 500 {
		return &Rejection{Code: InvalidRequest, Message: e.Error()}
	}
	return &Rejection{Code: InternalError, Message: err.Error()}
}

// exception returns err as HTTP answers it.
func exception(err error) error {
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		return err
	}
	code, status := "ServiceUnavailableException", 503
	switch r.Code {
	case InvalidTopic, InvalidJSON, InvalidRequest:
		code, status = "InvalidRequestException", 400
	case InvalidStateTransition, VersionMismatch: // the HTTP model has no exception for the latter
		code, status = "InvalidStateTransitionException", 409
	case ResourceNotFound:
		code, status = "ResourceNotFoundException", 404
	case RequestThrottled:
		code, status = "ThrottlingException", 429
	case TerminalStateReached:
		code, status = "TerminalStateException", 410
	}
	e := &awsapi.Error{Code: code, Message: r.Message, Status: status}
	if r.State != nil {
		e.Fields = map[string]any{"executionState": r.State}
	}
	return e
}
