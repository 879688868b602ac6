package sfn

import (
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// background reports the failure of work on an execution that nobody waits for.
// It is none if the execution has ended or its task is not waiting any more.
func (s *Service) background(what string, k key, err error) {
	if err != nil && !errors.Is(err, asl.ErrClosed) {
		s.sched.Failed("sfn: "+what+" of execution "+k.Name+" of "+k.Machine, err)
	}
}

// bestEffort reports what is no answer of a service: a call that a service
// refuses is not made again.
func (s *Service) bestEffort(what string, err error) {
	if _, answer := errors.AsType[*awsapi.Error](err); !answer {
		s.sched.Failed("sfn: "+what, err)
	}
}
