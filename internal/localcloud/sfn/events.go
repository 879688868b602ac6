package sfn

import (
	"bytes"
	"maps"
	"slices"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// HistoryEvent is an event as GetExecutionHistory shows it.
type HistoryEvent struct {
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

// appendEvent writes an event in the form of the API.
func appendEvent(b []byte, e *asl.Event) []byte {
	b = append(b, `{"timestamp":`...)
	b = appendSeconds(b, e.Time.UnixMilli())
	b = append(b, `,"type":"`...)
	b = append(b, e.Type...)
	b = append(b, `","id":`...)
	b = strconv.AppendInt(b, e.ID, 10)
	b = append(b, `,"previousEventId":`...)
	b = strconv.AppendInt(b, e.Previous, 10)
	kind, member := asl.Details(e.Type)
	if kind == asl.NoDetails {
		return append(b, '}')
	}
	b = append(b, ',', '"')
	b = append(b, member...)
	b = append(b, `":{`...)
	first := true
	name := func(n string) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, n...)
		b = append(b, '"', ':')
	}
	text := func(n, v string) {
		if v != "" {
			name(n)
			b = jsontext.AppendString(b, v)
		}
	}
	optional := func(n string, v *string) {
		if v != nil {
			name(n)
			b = jsontext.AppendString(b, *v)
		}
	}
	number := func(n string, v int64) {
		name(n)
		b = strconv.AppendInt(b, v, 10)
	}
	data := func(n string, d *asl.Data) {
		if d == nil {
			return
		}
		name(n)
		b = jsontext.AppendString(b, d.Text())
		name(n + "Details")
		b = append(b, `{"truncated":false}`...)
	}
	limits := func() {
		if e.Timeout > 0 {
			number("timeoutInSeconds", e.Timeout)
		}
		if e.Heartbeat > 0 {
			number("heartbeatInSeconds", e.Heartbeat)
		}
		if e.Credentials != "" {
			name("taskCredentials")
			b = append(b, `{"roleArn":`...)
			b = jsontext.AppendString(b, e.Credentials)
			b = append(b, '}')
		}
	}
	switch kind {
	case asl.ExecutionStarted:
		data("input", e.Input)
		text("roleArn", e.RoleARN)
	case asl.ExecutionEnded, asl.OnlyOutput:
		data("output", e.Output)
	case asl.OnlyError:
		optional("error", e.Error)
		optional("cause", e.Cause)
	case asl.ExecutionRedriven:
		number("redriveCount", int64(e.RedriveCount))
	case asl.StateEntered:
		text("name", e.Name)
		data("input", e.Input)
	case asl.StateExited:
		text("name", e.Name)
		data("output", e.Output)
		if e.Assigned != nil {
			name("assignedVariables")
			b = append(b, '{')
			comma := false
			for _, k := range slices.Sorted(maps.Keys(e.Assigned)) {
				v := e.Assigned[k]
				if comma {
					b = append(b, ',')
				}
				comma = true
				b = jsontext.AppendString(b, k)
				b = append(b, ':')
				b = jsontext.AppendString(b, v)
			}
			b = append(b, '}')
			name("assignedVariablesDetails")
			b = append(b, `{"truncated":false}`...)
		}
	case asl.TaskScheduled:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
		text("region", e.Region)
		name("parameters")
		b = jsontext.AppendString(b, e.Parameters.Text())
		limits()
	case asl.TaskStarted:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
	case asl.TaskOutput:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
		data("output", e.Output)
	case asl.TaskFailed:
		text("resourceType", e.ResourceType)
		text("resource", e.Resource)
		optional("error", e.Error)
		optional("cause", e.Cause)
	case asl.LambdaScheduled, asl.ActivityScheduled:
		text("resource", e.Resource)
		data("input", e.Input)
		limits()
	case asl.ActivityStarted:
		text("workerName", e.Worker)
	case asl.MapStarted:
		number("length", int64(e.Length))
	case asl.MapIteration:
		text("name", e.Name)
		number("index", int64(e.Index))
	case asl.MapRunStarted:
		text("mapRunArn", e.MapRunARN)
	case asl.MapRunRedriven:
		text("mapRunArn", e.MapRunARN)
		number("redriveCount", int64(e.RedriveCount))
	case asl.Evaluation:
		optional("error", e.Error)
		optional("cause", e.Cause)
		text("location", e.Location)
		text("state", e.State)
	}
	return append(b, '}', '}')
}

// appendSeconds writes milliseconds as seconds.
func appendSeconds(b []byte, millis int64) []byte {
	if millis < 0 {
		return strconv.AppendFloat(b, float64(millis)/1000, 'f', -1, 64)
	}
	b = strconv.AppendInt(b, millis/1000, 10)
	if millis %= 1000; millis == 0 {
		return b
	}
	b = append(b, '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10))
	return bytes.TrimRight(b, "0")
}
