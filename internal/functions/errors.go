package functions

import (
	"errors"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/workflow"
)

// Error types of functions that are no event.ErrorName.
const (
	TypeInvalidPayload = "InvalidPayload" // create-job: the message lists every mistake
	TypeJobConflict    = "JobConflict"    // create-job: the job id is taken by another job
	TypeTransient      = "Transient"      // worth a retry, which the state machine makes
)

// named gives an error the name by which Lambda reports it, and by which a state
// machine catches it.
func named(err error) error {
	if err == nil {
		return nil
	}
	var problems event.Problems
	name := TypeTransient
	switch f, ok := event.AsFailure(err); {
	case ok:
		name = string(f.Name)
	case errors.Is(err, workflow.ErrGone):
		name = string(event.JobCanceled)
	case errors.As(err, &problems):
		name = TypeInvalidPayload
	case errors.Is(err, jobs.ErrConflict):
		name = TypeJobConflict
	}
	return messages.InvokeResponse_Error{Message: err.Error(), Type: name}
}
