package history

import (
	"encoding/json"
	"strconv"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// Levels of a logging configuration.
const (
	LevelOff   = "OFF"
	LevelAll   = "ALL"
	LevelError = "ERROR"
	LevelFatal = "FATAL"
)

// errorEvents are the events of level ERROR that are not of level FATAL.
var errorEvents = map[string]bool{
	"ActivityFailed": true, "ActivityScheduleFailed": true, "ActivityTimedOut": true, "EvaluationFailed": true,
	"FailStateEntered": true, "LambdaFunctionFailed": true, "LambdaFunctionScheduleFailed": true,
	"LambdaFunctionStartFailed": true, "LambdaFunctionTimedOut": true, "MapIterationAborted": true,
	"MapIterationFailed": true, "MapRunAborted": true, "MapRunFailed": true, "MapStateAborted": true,
	"MapStateFailed": true, "ParallelStateAborted": true, "ParallelStateFailed": true, "TaskFailed": true,
	"TaskStartFailed": true, "TaskStateAborted": true, "TaskSubmitFailed": true, "TaskTimedOut": true,
	"WaitStateAborted": true,
}

// Logged reports whether a level lets events of a type through.
func Logged(level, event string) bool {
	fatal := event == "ExecutionAborted" || event == "ExecutionFailed" || event == "ExecutionTimedOut"
	switch level {
	case LevelAll:
		return true
	case LevelError:
		return fatal || errorEvents[event]
	case LevelFatal:
		return fatal
	}
	return false
}

// Line is an event of an execution as CloudWatch Logs shows it, without payloads unless data is set.
func Line(executionARN string, redrives int, e *asl.Event, data bool) (string, error) {
	d := map[string]any{}
	if _, member := asl.Details(e.Type); member != "" {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(Append(nil, e), &all); err != nil {
			return "", err
		}
		if all[member] != nil {
			if err := json.Unmarshal(all[member], &d); err != nil {
				return "", err
			}
		}
		if !data {
			for _, m := range []string{
				"input", "output", "parameters", "assignedVariables", "inputDetails", "outputDetails",
				"assignedVariablesDetails",
			} {
				delete(d, m)
			}
		}
	}
	line, err := json.Marshal(map[string]any{
		"id": strconv.FormatInt(e.ID, 10), "previous_event_id": strconv.FormatInt(e.Previous, 10), "type": e.Type,
		"details": d, "execution_arn": executionARN,
		"event_timestamp": strconv.FormatInt(e.Time.UnixMilli(), 10), "redrive_count": strconv.Itoa(redrives),
	})
	return string(line), err
}
