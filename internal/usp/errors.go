package usp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/proto/uspmsg"
)

// Code is a USP error code. It is itself an error, to be compared with
// errors.Is; the zero Code is no error.
type Code uint32

// Codes of messages. The comment says which of them arise where.
const (
	MessageFailed         Code = 7000 // Error only: none of the others fits
	MessageNotSupported   Code = 7001 // Error only
	RequestDenied         Code = 7002
	InternalError         Code = 7003
	InvalidArguments      Code = 7004 // the whole Add, Set or Delete failed; see Error.Params
	ResourcesExceeded     Code = 7005 // among others a second Download() beside a running one
	PermissionDenied      Code = 7006
	InvalidConfiguration  Code = 7007
	InvalidPathSyntax     Code = 7008
	ParameterActionFailed Code = 7009 // Set
	UnsupportedParameter  Code = 7010 // Add, Set
	InvalidType           Code = 7011 // Add, Set
	InvalidValue          Code = 7012 // Add, Set
	ParameterReadOnly     Code = 7013 // Add, Set
	ValueConflict         Code = 7014 // Add, Set
	OperationError        Code = 7015 // Add, Set, Delete
	ObjectDoesNotExist    Code = 7016
	ObjectNotCreated      Code = 7017 // Add
	NotATable             Code = 7018 // Add, GetInstances
	ObjectNotCreatable    Code = 7019 // Add
	ObjectNotUpdated      Code = 7020 // Set
	RequiredParamFailed   Code = 7021 // Add, Set
	CommandFailure        Code = 7022 // Operate and OperationComplete; also: did not finish before a reboot
	CommandCanceled       Code = 7023 // OperationComplete after Cancel()
	DeleteFailure         Code = 7024 // Delete
	DuplicateUniqueKey    Code = 7025 // Add, Set
	UnsupportedPath       Code = 7026 // not in the supported data model, or no such instance
	InvalidCommandArgs    Code = 7027 // Operate
	RegisterFailure       Code = 7028 // Register
	AlreadyInUse          Code = 7029 // Register
	DeregisterFailure     Code = 7030 // Deregister
	PathAlreadyRegistered Code = 7031 // Deregister
)

// Codes of records: why one was refused. They go into a Disconnect record, or
// into an Error message where a message can be answered (R-MTP.5, R-MTP.9).
const (
	RecordNotParsed          Code = 7100
	SecureSessionRequired    Code = 7101
	SecureSessionUnsupported Code = 7102
	SegmentationUnsupported  Code = 7103
	InvalidRecordValue       Code = 7104
	SessionTerminated        Code = 7105
	SessionNotAllowed        Code = 7106
)

var codeNames = map[Code]string{
	MessageFailed:         "message failed",
	MessageNotSupported:   "message not supported",
	RequestDenied:         "request denied",
	InternalError:         "internal error",
	InvalidArguments:      "invalid arguments",
	ResourcesExceeded:     "resources exceeded",
	PermissionDenied:      "permission denied",
	InvalidConfiguration:  "invalid configuration",
	InvalidPathSyntax:     "invalid path syntax",
	ParameterActionFailed: "parameter action failed",
	UnsupportedParameter:  "unsupported parameter",
	InvalidType:           "invalid type",
	InvalidValue:          "invalid value",
	ParameterReadOnly:     "parameter is not writeable",
	ValueConflict:         "value conflict",
	OperationError:        "operation error",
	ObjectDoesNotExist:    "object does not exist",
	ObjectNotCreated:      "object could not be created",
	NotATable:             "object is not a table",
	ObjectNotCreatable:    "object is not creatable",
	ObjectNotUpdated:      "object could not be updated",
	RequiredParamFailed:   "required parameter failed",
	CommandFailure:        "command failure",
	CommandCanceled:       "command canceled",
	DeleteFailure:         "delete failure",
	DuplicateUniqueKey:    "duplicate unique key",
	UnsupportedPath:       "path is not supported",
	InvalidCommandArgs:    "invalid command arguments",
	RegisterFailure:       "register failure",
	AlreadyInUse:          "path already in use",
	DeregisterFailure:     "deregister failure",
	PathAlreadyRegistered: "path already registered",

	RecordNotParsed:          "record could not be parsed",
	SecureSessionRequired:    "secure session required",
	SecureSessionUnsupported: "secure session not supported",
	SegmentationUnsupported:  "segmentation and reassembly not supported",
	InvalidRecordValue:       "invalid record value",
	SessionTerminated:        "session context terminated",
	SessionNotAllowed:        "session context not allowed",
}

// Name is the code in words; a code that TR-369 leaves to the data model or the
// vendor says so.
func (c Code) Name() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	switch {
	case c == 0:
		return "no error"
	case c >= 7100 && c <= 7199:
		return "record error"
	case c >= 7200 && c <= 7299:
		return "error defined by the data model"
	case c >= 7800 && c <= 7999:
		return "error defined by the vendor"
	}
	return "unknown error"
}

// String is number and name: "7026 path is not supported".
func (c Code) String() string { return strconv.Itoa(int(c)) + " " + c.Name() }

func (c Code) Error() string { return c.String() }

// IsRecord tells a code about a record from one about a message.
func (c Code) IsRecord() bool { return c >= 7100 && c <= 7199 }

// Error is what an agent or a controller answered instead of success, wherever
// it stood: an Error message, a result of a Get, a cmd_failure.
type Error struct {
	Code    Code
	Message string       // the sender's words; they vary with the vendor
	Params  []ParamError // in Error messages that answer Add, Set or Delete
}

// ParamError is the part of an Error that concerns one path.
type ParamError struct {
	Path    string
	Code    Code
	Message string
}

// Errorf is an Error of this code, with a message in the manner of Sprintf.
func (c Code) Errorf(format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Code.String())
	if e.Message != "" {
		b.WriteString(": ")
		b.WriteString(e.Message)
	}
	for _, p := range e.Params {
		fmt.Fprintf(&b, "; %s: %s", p.Path, p.Code)
	}
	return b.String()
}

// Unwrap gives the Error's code and those of its parameters, so that errors.Is
// finds 7025 inside a 7004.
func (e *Error) Unwrap() []error {
	all := []error{e.Code}
	for _, p := range e.Params {
		all = append(all, p.Code)
	}
	return all
}

func errorOf(code uint32, message string) *Error {
	if code == 0 {
		return nil
	}
	return &Error{Code: Code(code), Message: message}
}

func readError(e *uspmsg.Error) *Error {
	out := &Error{Code: Code(e.GetErrCode()), Message: e.GetErrMsg()}
	for _, p := range e.GetParamErrs() {
		out.Params = append(out.Params, ParamError{Path: p.GetParamPath(), Code: Code(p.GetErrCode()),
			Message: p.GetErrMsg()})
	}
	return out
}

// RecordError is a payload that is no usable record. From and To are those of
// the record as far as it could be read, else empty; they are not validated.
type RecordError struct {
	Code     Code // one of 7100 to 7106
	Reason   string
	From, To EndpointID
}

func (e *RecordError) Error() string {
	s := "usp: " + e.Code.String()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.From != "" {
		s += " (from " + string(e.From) + ")"
	}
	return s
}

func (e *RecordError) Unwrap() error { return e.Code }
