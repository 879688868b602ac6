package history

import (
	"encoding/json"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Event is an event as GetExecutionHistory shows it.
type Event struct {
	Timestamp       awsapi.Time `json:"timestamp"`
	Type            string      `json:"type"`
	ID              int64       `json:"id"`
	PreviousEventID int64       `json:"previousEventId"`

	ActivityFailed         *details `json:"activityFailedEventDetails,omitempty"`
	ActivityScheduleFailed *details `json:"activityScheduleFailedEventDetails,omitempty"`
	ActivityScheduled      *details `json:"activityScheduledEventDetails,omitempty"`
	ActivityStarted        *details `json:"activityStartedEventDetails,omitempty"`
	ActivitySucceeded      *details `json:"activitySucceededEventDetails,omitempty"`
	ActivityTimedOut       *details `json:"activityTimedOutEventDetails,omitempty"`
	TaskFailed             *details `json:"taskFailedEventDetails,omitempty"`
	TaskScheduled          *details `json:"taskScheduledEventDetails,omitempty"`
	TaskStartFailed        *details `json:"taskStartFailedEventDetails,omitempty"`
	TaskStarted            *details `json:"taskStartedEventDetails,omitempty"`
	TaskSubmitFailed       *details `json:"taskSubmitFailedEventDetails,omitempty"`
	TaskSubmitted          *details `json:"taskSubmittedEventDetails,omitempty"`
	TaskSucceeded          *details `json:"taskSucceededEventDetails,omitempty"`
	TaskTimedOut           *details `json:"taskTimedOutEventDetails,omitempty"`
	ExecutionFailed        *details `json:"executionFailedEventDetails,omitempty"`
	ExecutionStarted       *details `json:"executionStartedEventDetails,omitempty"`
	ExecutionSucceeded     *details `json:"executionSucceededEventDetails,omitempty"`
	ExecutionAborted       *details `json:"executionAbortedEventDetails,omitempty"`
	ExecutionTimedOut      *details `json:"executionTimedOutEventDetails,omitempty"`
	ExecutionRedriven      *details `json:"executionRedrivenEventDetails,omitempty"`
	MapStateStarted        *details `json:"mapStateStartedEventDetails,omitempty"`
	MapIterationStarted    *details `json:"mapIterationStartedEventDetails,omitempty"`
	MapIterationSucceeded  *details `json:"mapIterationSucceededEventDetails,omitempty"`
	MapIterationFailed     *details `json:"mapIterationFailedEventDetails,omitempty"`
	MapIterationAborted    *details `json:"mapIterationAbortedEventDetails,omitempty"`
	LambdaFailed           *details `json:"lambdaFunctionFailedEventDetails,omitempty"`
	LambdaScheduleFailed   *details `json:"lambdaFunctionScheduleFailedEventDetails,omitempty"`
	LambdaScheduled        *details `json:"lambdaFunctionScheduledEventDetails,omitempty"`
	LambdaStartFailed      *details `json:"lambdaFunctionStartFailedEventDetails,omitempty"`
	LambdaSucceeded        *details `json:"lambdaFunctionSucceededEventDetails,omitempty"`
	LambdaTimedOut         *details `json:"lambdaFunctionTimedOutEventDetails,omitempty"`
	StateEntered           *details `json:"stateEnteredEventDetails,omitempty"`
	StateExited            *details `json:"stateExitedEventDetails,omitempty"`
	MapRunStarted          *details `json:"mapRunStartedEventDetails,omitempty"`
	MapRunRedriven         *details `json:"mapRunRedrivenEventDetails,omitempty"`
	MapRunFailed           *details `json:"mapRunFailedEventDetails,omitempty"`
	EvaluationFailed       *details `json:"evaluationFailedEventDetails,omitempty"`
}

// details has the members of all kinds of details; which are there follows from
// the event's type.
type details struct {
	Name               string            `json:"name,omitempty"`
	Index              *int              `json:"index,omitempty"`
	Length             *int              `json:"length,omitempty"`
	Input              *string           `json:"input,omitempty"`
	InputDetails       *dataDetails      `json:"inputDetails,omitempty"`
	Output             *string           `json:"output,omitempty"`
	OutputDetails      *dataDetails      `json:"outputDetails,omitempty"`
	AssignedVariables  map[string]string `json:"assignedVariables,omitempty"`
	AssignedDetails    *dataDetails      `json:"assignedVariablesDetails,omitempty"`
	Error              *string           `json:"error,omitempty"`
	Cause              *string           `json:"cause,omitempty"`
	Resource           string            `json:"resource,omitempty"`
	ResourceType       string            `json:"resourceType,omitempty"`
	Region             string            `json:"region,omitempty"`
	Parameters         *string           `json:"parameters,omitempty"`
	TimeoutInSeconds   *int64            `json:"timeoutInSeconds,omitempty"`
	HeartbeatInSeconds *int64            `json:"heartbeatInSeconds,omitempty"`
	TaskCredentials    *taskCredentials  `json:"taskCredentials,omitempty"`
	RoleARN            string            `json:"roleArn,omitempty"`
	AliasARN           string            `json:"stateMachineAliasArn,omitempty"`
	VersionARN         string            `json:"stateMachineVersionArn,omitempty"`
	WorkerName         string            `json:"workerName,omitempty"`
	MapRunARN          string            `json:"mapRunArn,omitempty"`
	Location           string            `json:"location,omitempty"`
	State              string            `json:"state,omitempty"`
	RedriveCount       *int              `json:"redriveCount,omitempty"`
}

type dataDetails struct {
	Truncated bool `json:"truncated"`
}

type taskCredentials struct {
	RoleARN string `json:"roleArn,omitempty"`
}

// Read reads a part of a history, which is a JSON array of events.
func Read(part []byte) (events []Event, err error) {
	err = json.Unmarshal(part, &events)
	return events, err
}

// OmitData takes the payloads out of an event.
func (e *Event) OmitData() {
	for _, d := range []*details{
		e.ActivityScheduled, e.ActivitySucceeded, e.TaskScheduled, e.TaskSubmitted, e.TaskSucceeded,
		e.ExecutionStarted, e.ExecutionSucceeded, e.LambdaScheduled, e.LambdaSucceeded, e.StateEntered, e.StateExited,
	} {
		if d != nil {
			d.Input, d.Output, d.Parameters, d.AssignedVariables = nil, nil, nil, nil
			d.InputDetails, d.OutputDetails, d.AssignedDetails = nil, nil, nil
		}
	}
}
