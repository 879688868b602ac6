package topicrule

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
)

// logsAction writes the result to a log group, in a stream named for the rule.
type logsAction struct {
	roled
	group *rulesql.Template
	batch bool
}

func makeLogs(_ *Service, r *rule, parameters json.RawMessage) (action, error) {
	var p struct {
		RoleARN   string `json:"roleArn"`
		GroupName string `json:"logGroupName"`
		BatchMode bool   `json:"batchMode"`
	}
	if err := read(parameters, &p); err != nil {
		return nil, err
	}
	a := &logsAction{roled: roled{p.RoleARN}, batch: p.BatchMode}
	return a, errors.Join(checkRole(p.RoleARN), templates(r, "!logGroupName", p.GroupName, &a.group))
}

func (a *logsAction) kind() string { return "CloudwatchLogs" }

type logEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

func (a *logsAction) run(ctx context.Context, d *delivery) (string, error) {
	group, err := d.text(ctx, a.group)
	if err != nil {
		return a.group.Source(), err
	}
	events := []logEvent{{d.s.Scheduler.Now().UnixMilli(), string(d.body)}}
	if a.batch {
		events = nil
		if err := json.Unmarshal(d.body, &events); err != nil || len(events) == 0 {
			return group, errors.New("batchMode needs an array of objects with timestamp and message")
		}
	}
	stream := map[string]any{"logGroupName": group, "logStreamName": d.rule.Name}
	if err := d.call(ctx, a.roleARN, "cloudwatchlogs", "CreateLogStream", stream); err != nil &&
		awsapi.Code(err) != "ResourceAlreadyExistsException" {
		return group, err
	}
	stream["logEvents"] = events
	return group, d.call(ctx, a.roleARN, "cloudwatchlogs", "PutLogEvents", stream)
}
