package event

import (
	"errors"
	"fmt"
)

// ErrorName is an error as the state machine catches it and a job execution
// reports it. docs/errors.md says when each arises and what an operator does.
type ErrorName string

// Errors that any operation may have. Those of one alone lie with its flow.
const (
	DeviceOffline  ErrorName = "Device.Offline"  // away, and not back before the step's deadline
	DeviceBusy     ErrorName = "Device.Busy"     // something else is under way on it
	DeviceRefused  ErrorName = "Device.Refused"  // the agent said no, with a USP code
	DeviceNoReport ErrorName = "Device.NoReport" // connected, but no answer or no news in time
	// ControllerFailed is ours: a function, its permissions, a service that it needs.
	// It is never counted against a device.
	ControllerFailed ErrorName = "Controller.Failed"
	JobCanceled      ErrorName = "Job.Canceled"  // an operator or an abort criterion ended it
	JobTimedOut      ErrorName = "Job.TimedOut"  // AWS IoT's in-progress timer ran out
	JobHeld          ErrorName = "Job.Held"      // its job ended before it went on
	CampaignHeld     ErrorName = "Campaign.Held" // the same, of a campaign: no failure for its gate
)

// NextPark is no error: a signpost to the end of the execution, not of the attempt.
const NextPark ErrorName = "Next.Park"

// JobStatus is the status of a job execution, in AWS's words.
type JobStatus string

// The statuses of a job execution.
const (
	StatusQueued     JobStatus = "QUEUED"
	StatusInProgress JobStatus = "IN_PROGRESS"
	StatusSucceeded  JobStatus = "SUCCEEDED"
	StatusFailed     JobStatus = "FAILED"
	StatusRejected   JobStatus = "REJECTED"
	StatusTimedOut   JobStatus = "TIMED_OUT"
	StatusCanceled   JobStatus = "CANCELED"
	StatusRemoved    JobStatus = "REMOVED"
)

// Terminal reports whether a job execution in this status changes no more.
func (s JobStatus) Terminal() bool {
	switch s {
	case StatusSucceeded, StatusFailed, StatusRejected, StatusTimedOut, StatusCanceled, StatusRemoved:
		return true
	}
	return false
}

// Status is the job status that an error leads to, unless its flow says otherwise;
// no name is a success. TIMED_OUT is AWS IoT's own to set, and CANCELED no device's.
func (n ErrorName) Status() JobStatus {
	switch n {
	case "":
		return StatusSucceeded
	case DeviceRefused, JobHeld, CampaignHeld:
		return StatusRejected
	case JobCanceled, ControllerFailed:
		return StatusCanceled
	case JobTimedOut:
		return StatusTimedOut
	}
	return StatusFailed
}

// Failure is an error with its name: what a function returns, so that the
// state machine sees the name and not a Go type.
type Failure struct {
	Name   ErrorName `json:"name"`
	Detail string    `json:"detail,omitempty"`
	Code   int       `json:"code,omitempty"` // USP error code, 0 when there is none
}

// Failf makes a Failure.
func Failf(name ErrorName, format string, args ...any) *Failure {
	return &Failure{Name: name, Detail: fmt.Sprintf(format, args...)}
}

// Refusal makes a Device.Refused with the code and text of the agent.
func Refusal(code int, text string) *Failure {
	return &Failure{Name: DeviceRefused, Code: code, Detail: fmt.Sprintf("%d %s", code, text)}
}

func (f *Failure) Error() string {
	if f.Detail == "" {
		return string(f.Name)
	}
	return string(f.Name) + ": " + f.Detail
}

// AsFailure finds the Failure in an error's chain.
func AsFailure(err error) (*Failure, bool) {
	var f *Failure
	ok := errors.As(err, &f)
	return f, ok
}
