package sfn

import (
	"context"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// CreateActivityInput is the input of CreateActivity.
type CreateActivityInput struct {
	Name       string          `json:"name" api:"required,min=1,max=80"`
	Tags       []Tag           `json:"tags"`
	Encryption *EncryptionConf `json:"encryptionConfiguration"`
}

// Activity is an activity.
type Activity struct {
	ActivityARN  string          `json:"activityArn"`
	Name         string          `json:"name,omitempty"`
	CreationDate awsapi.Time     `json:"creationDate"`
	Encryption   *EncryptionConf `json:"encryptionConfiguration,omitempty"`
}

func (s *Service) createActivity(ctx context.Context, c *awsapi.Call, in *CreateActivityInput) (*Activity, error) {
	if !names.Valid(in.Name) {
		return nil, invalidName(in.Name)
	}
	if len(in.Tags) > maxTags {
		return nil, tooManyTags()
	}
	if err := checkEncryption(in.Encryption); err != nil {
		return nil, err
	}
	out := &Activity{ActivityARN: s.arn(names.Activity, in.Name)}
	err := s.db.Update(func(tx *store.Tx) error {
		a, ok, err := activities.Get(tx, in.Name)
		if err != nil {
			return err
		}
		if !ok {
			a = activityRecord{Name: in.Name, Created: s.sched.Now(), Tags: map[string]string{},
				Encryption: in.Encryption}
			for _, t := range in.Tags {
				a.Tags[t.Key] = t.Value
			}
		} else if !sameConfig(shownEncryption(a.Encryption), shownEncryption(in.Encryption)) {
			return awsapi.Errorf("ActivityAlreadyExists", "Activity Already Exists: '%s'", out.ActivityARN)
		}
		out.CreationDate = awsapi.Time{Time: a.Created}
		return activities.Put(tx, a, in.Name)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ActivityRef names an activity.
type ActivityRef struct {
	ActivityARN string `json:"activityArn" api:"required,min=1,max=256"`
}

func (s *Service) deleteActivity(ctx context.Context, c *awsapi.Call, in *ActivityRef) (*Empty, error) {
	name, err := activityOf(in.ActivityARN)
	if err != nil {
		return nil, err
	}
	if err := s.db.Update(func(tx *store.Tx) error { return activities.Delete(tx, name) }); err != nil {
		return nil, err
	}
	s.wake(name)
	return &Empty{}, nil
}

func (s *Service) findActivity(arn string) (*Activity, error) {
	name, err := activityOf(arn)
	if err != nil {
		return nil, err
	}
	var out *Activity
	err = s.db.View(func(tx *store.Tx) error {
		a, ok, err := activities.Get(tx, name)
		if ok {
			out = &Activity{s.arn(names.Activity, name), name, awsapi.Time{Time: a.Created},
				shownEncryption(a.Encryption)}
		}
		return err
	})
	if err == nil && out == nil {
		err = noActivity(arn)
	}
	return out, err
}

func (s *Service) describeActivity(ctx context.Context, c *awsapi.Call, in *ActivityRef) (*Activity, error) {
	return s.findActivity(in.ActivityARN)
}

// ListActivitiesOutput is the output of ListActivities.
type ListActivitiesOutput struct {
	Activities []Activity `json:"activities"`
	NextToken  *string    `json:"nextToken,omitempty"`
}

func (s *Service) listActivities(ctx context.Context, c *awsapi.Call, in *ListInput) (*ListActivitiesOutput, error) {
	p, err := newPage(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &ListActivitiesOutput{}
	err = s.db.View(func(tx *store.Tx) (err error) {
		out.Activities, out.NextToken, err = list(tx, activities, store.Query{}, p,
			func(row store.Row[activityRecord]) (Activity, bool, error) {
				return Activity{ActivityARN: s.arn(names.Activity, row.Value.Name), Name: row.Value.Name,
					CreationDate: awsapi.Time{Time: row.Value.Created}}, true, nil
			})
		return err
	})
	return out, err
}

// GetActivityTaskInput is the input of GetActivityTask.
type GetActivityTaskInput struct {
	ActivityARN string `json:"activityArn" api:"required,min=1,max=256"`
	WorkerName  string `json:"workerName" api:"min=1,max=80"`
}

// GetActivityTaskOutput is the output of GetActivityTask; empty if there was no
// task within a minute.
type GetActivityTaskOutput struct {
	TaskToken *string `json:"taskToken,omitempty"`
	Input     *string `json:"input,omitempty"`
}

// pollTime is how long GetActivityTask waits for a task.
const pollTime = 60 * 1e9

func (s *Service) getActivityTask(ctx context.Context, c *awsapi.Call, in *GetActivityTaskInput) (
	*GetActivityTaskOutput, error) {
	a, err := s.findActivity(in.ActivityARN)
	if err != nil {
		return nil, err
	}
	name := a.Name
	ctx, cancel := s.sched.WithTimeout(ctx, pollTime)
	defer cancel()
	for {
		gate := s.sched.NewGate()
		s.mu.Lock()
		s.pollers[name] = append(s.pollers[name], gate)
		s.mu.Unlock()
		for {
			task, row, err := s.takeActivityTask(name)
			if err != nil {
				return nil, err
			}
			if row == "" {
				break
			}
			out := &GetActivityTaskOutput{}
			err = s.move(task.Execution, func(run *asl.Run) error {
				b, err := run.Work(task.Branch, task.Attempt, in.WorkerName)
				if err != nil {
					return err
				}
				input, token := b.Arguments.Text(), b.Token
				out.Input, out.TaskToken = &input, &token
				return nil
			})
			if err == nil {
				return out, nil
			}
			if !errors.Is(err, asl.ErrClosed) {
				return nil, err
			}
		}
		if gate.Wait(ctx) != nil {
			return &GetActivityTaskOutput{}, nil
		}
		if _, err := s.findActivity(in.ActivityARN); err != nil {
			return nil, err
		}
	}
}

// takeActivityTask removes the oldest task of an activity. The execution still
// knows that it is scheduled, so that a task lost here is found again at Start.
func (s *Service) takeActivityTask(name string) (task activityTask, number string, err error) {
	err = s.db.Update(func(tx *store.Tx) error {
		for row, err := range activityTasks.Scan(tx, store.Query{Prefix: []string{name}}) {
			if err != nil {
				return err
			}
			task, number = row.Value, row.Key[1]
			break
		}
		if number == "" {
			return nil
		}
		return activityTasks.Delete(tx, name, number)
	})
	return task, number, err
}
