package sfn

import (
	"context"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
)

// tokenResource is what a caller of SendTask* must be allowed.
func (s *Service) tokenResource(token string) []string {
	k, _, _, ok := parseToken(token)
	if !ok {
		return []string{"*"}
	}
	return []string{s.arn(names.StateMachine, k.Machine)}
}

// byToken moves the execution that a token belongs to.
func (s *Service) byToken(token string, change func(run *asl.Run, branch string, attempt int) error) error {
	k, branch, attempt, ok := parseToken(token)
	if !ok {
		return invalidToken()
	}
	err := s.move(k, func(run *asl.Run) error {
		b, err := run.Waiter(branch, attempt)
		if err != nil {
			return err
		}
		if b.Token != token {
			return invalidToken()
		}
		return change(run, branch, attempt)
	})
	if !errors.Is(err, asl.ErrClosed) {
		return err
	}
	if rec, _, _, err := s.load(k); err == nil && rec == nil {
		return awsapi.Errorf("TaskDoesNotExist", "Task Does Not Exist: 'Provided task does not exist anymore'")
	}
	return timedOut()
}

// SendTaskSuccessInput is the input of SendTaskSuccess.
type SendTaskSuccessInput struct {
	TaskToken string  `json:"taskToken" api:"required,min=1,max=2048"`
	Output    *string `json:"output" api:"required,max=262144,bytes,hidden"`
}

func (s *Service) sendTaskSuccess(ctx context.Context, c *awsapi.Call, in *SendTaskSuccessInput) (*Empty, error) {
	if _, _, _, ok := parseToken(in.TaskToken); !ok {
		return nil, invalidToken()
	}
	data, err := asl.ParseData(*in.Output)
	if err != nil {
		return nil, awsapi.Errorf("InvalidOutput", "Invalid Output: '%s'", asl.JSONProblem(*in.Output, err))
	}
	err = s.byToken(in.TaskToken, func(run *asl.Run, branch string, attempt int) error {
		return s.completeTask(run, branch, attempt, asl.Result{Output: data})
	})
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}

// completeTask ends a task by its token. A callback that comes before the call of
// its task has answered counts as the answer.
func (s *Service) completeTask(run *asl.Run, branch string, attempt int, res asl.Result) error {
	if res.Failed {
		if b, err := run.Waiter(branch, attempt); err == nil {
			res.EventType = "TaskFailed"
			if run.Resource(b).Kind == asl.Activity {
				res.EventType = "ActivityFailed"
			}
		}
	}
	return run.Complete(branch, attempt, res)
}

// SendTaskFailureInput is the input of SendTaskFailure.
type SendTaskFailureInput struct {
	TaskToken string  `json:"taskToken" api:"required,min=1,max=2048"`
	Error     *string `json:"error" api:"max=256,hidden"`
	Cause     *string `json:"cause" api:"max=32768,hidden"`
}

func (s *Service) sendTaskFailure(ctx context.Context, c *awsapi.Call, in *SendTaskFailureInput) (*Empty, error) {
	err := s.byToken(in.TaskToken, func(run *asl.Run, branch string, attempt int) error {
		return s.completeTask(run, branch, attempt, asl.Result{Failed: true, Error: in.Error, Cause: in.Cause})
	})
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}

// SendTaskHeartbeatInput is the input of SendTaskHeartbeat.
type SendTaskHeartbeatInput struct {
	TaskToken string `json:"taskToken" api:"required,min=1,max=2048"`
}

func (s *Service) sendTaskHeartbeat(ctx context.Context, c *awsapi.Call, in *SendTaskHeartbeatInput) (*Empty, error) {
	err := s.byToken(in.TaskToken, func(run *asl.Run, branch string, attempt int) error {
		return run.Heartbeat(branch, attempt)
	})
	if err != nil {
		return nil, err
	}
	return &Empty{}, nil
}
