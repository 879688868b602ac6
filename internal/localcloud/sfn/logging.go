package sfn

import (
	"context"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/history"
)

// log writes events to the log group of the state machine.
func (s *Service) log(rec *executionRecord, rev *revisionRecord, events []asl.Event) {
	c := rev.Logging
	if s.Logs == nil || c == nil || c.Level == "" || c.Level == history.LevelOff || len(c.Destinations) == 0 {
		return
	}
	var out []LogEvent
	for i := range events {
		e := &events[i]
		if !history.Logged(c.Level, e.Type) {
			continue
		}
		line, err := history.Line(rec.ARN, rec.RedriveCount, e, c.IncludeExecutionData)
		if err != nil {
			s.bestEffort("log of "+rec.ARN, err)
			continue
		}
		out = append(out, LogEvent{Time: e.Time, Message: line})
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
		l.Level = history.LevelOff
	}
	if l.Level != history.LevelOff && len(l.Destinations) == 0 || len(l.Destinations) > 1 {
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
