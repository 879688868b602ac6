package awsapi

import (
	"errors"
	"fmt"
)

// Error is an error as AWS answers it. It is returned by operations and by
// Caller.
type Error struct {
	// Code is AWS's name of the error, such as "ResourceNotFoundException".
	Code string
	// Message is the text for people.
	Message string
	// Status is the HTTP status; 0 means 400. Below 300, the answer has nothing
	// but Fields: AWS has answered errors as successes, with a body that tells
	// (github.com/aws/aws-sdk-js/issues/2539, 2019-02-16).
	Status int
	// QueryCode is the code under which Query clients know the error, if it
	// differs: "AWS.SimpleQueueService.NonExistentQueue".
	QueryCode string
	// Fields are further members of the error's body.
	Fields map[string]any
	// Denial is what was refused, if the error says that; Message are its words.
	Denial *Denial
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// HTTPStatus is the status, 400 if none is set.
func (e *Error) HTTPStatus() int {
	if e.Status == 0 {
		return 400
	}
	return e.Status
}

// Is makes errors.Is compare two Errors by their code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an error with status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithStatus returns a copy of e with another HTTP status.
func (e *Error) WithStatus(status int) *Error {
	c := *e
	c.Status = status
	return &c
}

// Code returns the AWS code of err: "" for nil, "InternalFailure" if err is
// none of ours.
func Code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "InternalFailure"
}

// IsFault reports whether err says nothing about what was asked, because the
// asking failed: what is stored could not be read, for one. It must not be taken
// for an answer such as "there is none" or "not allowed".
func IsFault(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return err != nil && (!ok || e.HTTPStatus() >= 500)
}

// AsError returns err as AWS answers it; an error that is none of ours becomes
// InternalFailure with status 500.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: "InternalFailure", Message: err.Error(), Status: 500}
}

// NotBuilt is the answer to an operation or option that the local cloud does
// not have.
func NotBuilt(what string) *Error {
	return &Error{Code: "NotImplemented", Message: "the local cloud does not implement " + what, Status: 501}
}
