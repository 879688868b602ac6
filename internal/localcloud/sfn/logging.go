package sfn

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
)

// Levels of a logging configuration and the events they let through.
var errorEvents = map[string]bool{}

func init() {
	for _, t := range []string{"ActivityFailed", "ActivityScheduleFailed", "ActivityTimedOut", "EvaluationFailed",
		"FailStateEntered",
		"LambdaFunctionFailed", "LambdaFunctionScheduleFailed", "LambdaFunctionStartFailed", "LambdaFunctionTimedOut",
		"MapIterationAborted",
		"MapIterationFailed", "MapRunAborted", "MapRunFailed", "MapStateAborted", "MapStateFailed",
		"ParallelStateAborted", "ParallelStateFailed",
		"TaskFailed", "TaskStartFailed", "TaskStateAborted", "TaskSubmitFailed", "TaskTimedOut", "WaitStateAborted",
		"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"} {
		errorEvents[t] = true
	}
}

func logged(level, event string) bool {
	switch level {
	case "ALL":
		return true
	case "ERROR":
		return errorEvents[event]
	case "FATAL":
		return event == "ExecutionAborted" || event == "ExecutionFailed" || event == "ExecutionTimedOut"
	}
	return false
}

// log writes events to the log group of the state machine.
func (s *Service) log(rec *executionRecord, rev *revisionRecord, events []asl.Event) {
	c := rev.Logging
	if s.Logs == nil || c == nil || c.Level == "" || c.Level == "OFF" || len(c.Destinations) == 0 {
		return
	}
	var out []LogEvent
	for i := range events {
		e := &events[i]
		if logged(c.Level, e.Type) {
			out = append(out, LogEvent{Time: e.Time, Message: logLine(rec, e, c.IncludeExecutionData)})
		}
	}
	if len(out) == 0 {
		return
	}
	_, group, _ := strings.Cut(c.Destinations[0].CloudWatchLogsLogGroup.LogGroupARN, ":log-group:")
	group = strings.TrimSuffix(group, ":*")
	stream := "states/" + rec.Machine + "/" + rec.Started.UTC().Format("2006-01-02-15-04") + "/" +
		strconv.FormatUint(fnv(rec.ARN), 16)
	s.sched.Go("sfn.log", func() {
		s.bestEffort("log of "+rec.ARN, s.Logs.Append(context.Background(), group, stream, out))
	})
}

func fnv(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h & 0xffffffff
}

// logLine is an event as CloudWatch Logs shows it.
func logLine(rec *executionRecord, e *asl.Event, data bool) string {
	d := map[string]any{}
	_, member := asl.Details(e.Type)
	if member != "" {
		var all map[string]json.RawMessage
		err := json.Unmarshal(appendEvent(nil, e), &all)
		if err == nil && all[member] != nil {
			err = json.Unmarshal(all[member], &d)
		}
		if err != nil {
			d["error"] = err.Error()
		}
		if !data {
			for _, m := range []string{"input", "output", "parameters", "assignedVariables", "inputDetails",
				"outputDetails", "assignedVariablesDetails"} {
				delete(d, m)
			}
		}
	}
	line := map[string]any{
		"id": strconv.FormatInt(e.ID, 10), "previous_event_id": strconv.FormatInt(e.Previous, 10), "type": e.Type,
		"details": d, "execution_arn": rec.ARN, "event_timestamp": strconv.FormatInt(e.Time.UnixMilli(), 10),
		"redrive_count": strconv.Itoa(rec.RedriveCount),
	}
	return mustJSON(line)
}

// LogGroups may be implemented by Logs: then a missing log group is refused when
// a state machine is created.
type LogGroups interface {
	HasGroup(ctx context.Context, group string) bool
}

func (s *Service) checkLogging(ctx context.Context, l *LoggingConfig) error {
	if l == nil {
		return nil
	}
	if l.Level == "" {
		l.Level = "OFF"
	}
	switch l.Level {
	case "OFF", "ALL", "ERROR", "FATAL":
	default:
		return awsapi.Errorf("InvalidLoggingConfiguration", "Invalid Logging Configuration: Log level is not valid.")
	}
	if l.Level != "OFF" && len(l.Destinations) == 0 || len(l.Destinations) > 1 {
		return awsapi.Errorf("InvalidLoggingConfiguration",
			"Invalid Logging Configuration: Must specify exactly one Log Destination.")
	}
	if groups, ok := s.Logs.(LogGroups); ok {
		for _, d := range l.Destinations {
			_, group, _ := strings.Cut(d.CloudWatchLogsLogGroup.LogGroupARN, ":log-group:")
			if !groups.HasGroup(ctx, strings.TrimSuffix(group, ":*")) {
				return awsapi.Errorf("InvalidLoggingConfiguration",
					"Invalid Logging Configuration: Log Destination not found.")
			}
		}
	}
	return nil
}
