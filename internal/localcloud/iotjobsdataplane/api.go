package iotjobsdataplane

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

type thingIn struct {
	ThingName string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
}

type pendingOut struct {
	InProgressJobs []Summary `json:"inProgressJobs"`
	QueuedJobs     []Summary `json:"queuedJobs"`
}

type startNextIn struct {
	ThingName            string            `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	StatusDetails        map[string]string `json:"statusDetails,omitempty" api:"each.min=1,each.pattern=printable,key.min=1,key.max=128,key.pattern=thing name"`
	StepTimeoutInMinutes *int64            `json:"stepTimeoutInMinutes,omitempty"`
}

type executionOut struct {
	Execution *Execution `json:"execution,omitempty"`
}

type describeIn struct {
	ThingName          string `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	JobID              string `json:"jobId" uri:"jobId" api:"pattern=job id or next"`
	IncludeJobDocument *bool  `json:"includeJobDocument,omitempty" query:"includeJobDocument"`
	ExecutionNumber    int64  `json:"executionNumber,omitempty" query:"executionNumber"`
}

type updateIn struct {
	ThingName                string            `json:"thingName" uri:"thingName" api:"min=1,max=128,pattern=thing name"`
	JobID                    string            `json:"jobId" uri:"jobId" api:"min=1,max=64,pattern=job id"`
	Status                   string            `json:"status" api:"set=states that devices report"`
	StatusDetails            map[string]string `json:"statusDetails,omitempty" api:"each.min=1,each.pattern=printable,key.min=1,key.max=128,key.pattern=thing name"`
	StepTimeoutInMinutes     *int64            `json:"stepTimeoutInMinutes,omitempty"`
	ExpectedVersion          *int64            `json:"expectedVersion,omitempty"`
	IncludeJobExecutionState bool              `json:"includeJobExecutionState,omitempty"`
	IncludeJobDocument       bool              `json:"includeJobDocument,omitempty"`
	ExecutionNumber          int64             `json:"executionNumber,omitempty"`
}

type updateOut struct {
	ExecutionState *State `json:"executionState,omitempty"`
	JobDocument    string `json:"jobDocument,omitempty"`
}

// API describes the service to the door.
func (s *Service) API() awsapi.Service {
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "ServiceUnavailableException", Status: 503},
		Throttled: awsapi.Word{Code: "ThrottlingException", Status: 429},
		ID:        "iotjobsdataplane", Signing: "iot-jobs-data", Prefix: "iotjobsdata",
		Protocols:  []awsapi.Protocol{awsapi.RESTJSON},
		DeniedCode: "ForbiddenException", Invalid: "InvalidRequestException",
		Operations: []awsapi.Operation{
			awsapi.Op("GetPendingJobExecutions", s.getPending, awsapi.REST("GET", "/things/{thingName}/jobs"),
				awsapi.On(func(c *awsapi.Call, in *thingIn) []string { return thing(c, in.ThingName) })),
			awsapi.Op("StartNextPendingJobExecution", s.startNext,
				awsapi.REST("PUT", "/things/{thingName}/jobs/$next"),
				awsapi.On(func(c *awsapi.Call, in *startNextIn) []string { return thing(c, in.ThingName) })),
			awsapi.Op("DescribeJobExecution", s.describe, awsapi.REST("GET", "/things/{thingName}/jobs/{jobId}"),
				awsapi.On(func(c *awsapi.Call, in *describeIn) []string { return thing(c, in.ThingName) })),
			awsapi.Op("UpdateJobExecution", s.update, awsapi.REST("POST", "/things/{thingName}/jobs/{jobId}"),
				awsapi.On(func(c *awsapi.Call, in *updateIn) []string { return thing(c, in.ThingName) })),
		},
		Unbuilt: []string{"StartCommandExecution"},
	}
}

func thing(c *awsapi.Call, name string) []string { return []string{c.ARN("iot", "thing/"+name)} }

func (s *Service) getPending(ctx context.Context, _ *awsapi.Call, in *thingIn) (*pendingOut, error) {
	inProgress, queued, err := s.config.Executions.Pending(ctx, in.ThingName)
	if err != nil {
		return nil, exception(err)
	}
	return &pendingOut{notNil(inProgress), notNil(queued)}, nil
}

func notNil(list []Summary) []Summary {
	if list == nil {
		return []Summary{}
	}
	return list
}

func (s *Service) startNext(ctx context.Context, _ *awsapi.Call, in *startNextIn) (*executionOut, error) {
	e, err := s.config.Executions.StartNext(ctx, in.ThingName, in.StatusDetails, in.StepTimeoutInMinutes)
	if err != nil {
		return nil, exception(err)
	}
	return &executionOut{e}, nil
}

func (s *Service) describe(ctx context.Context, _ *awsapi.Call, in *describeIn) (*executionOut, error) {
	document := in.IncludeJobDocument == nil || *in.IncludeJobDocument
	e, err := s.config.Executions.Describe(ctx, in.ThingName, in.JobID, in.ExecutionNumber, document)
	if err != nil {
		return nil, exception(err)
	}
	return &executionOut{e}, nil
}

func (s *Service) update(ctx context.Context, _ *awsapi.Call, in *updateIn) (*updateOut, error) {
	state, document, err := s.config.Executions.Update(ctx, in.ThingName, in.JobID, Update{
		Status: in.Status, StatusDetails: in.StatusDetails, ExpectedVersion: in.ExpectedVersion,
		ExecutionNumber: in.ExecutionNumber, IncludeDocument: in.IncludeJobDocument,
		StepTimeoutInMinutes: in.StepTimeoutInMinutes,
	})
	if err != nil {
		return nil, exception(err)
	}
	out := &updateOut{JobDocument: document}
	if in.IncludeJobExecutionState {
		out.ExecutionState = &state
	}
	return out, nil
}

// Values that members take, for their tags.
var (
	_ = constraint.Set("states that devices report",
		"QUEUED IN_PROGRESS SUCCEEDED FAILED TIMED_OUT REJECTED REMOVED CANCELED")
)
