package sfn

import (
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// TestRedriveStatus: what is told of an execution in time, and that RedriveExecution says the same.
//
// Source: Step Functions API reference, DescribeExecution (redriveStatusReason), RedriveExecution (read 2026-11).
func TestRedriveStatus(t *testing.T) {
	const (
		fails  = `{"StartAt":"A","States":{"A":{"Type":"Fail","Error":"E"}}}`
		waits  = `{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":99999999,"End":true}}}`
		blocks = `{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":31535000,"Next":"B"},"B":{"Type":"Fail"}}}`
	)
	day := 24 * time.Hour
	for _, tt := range []struct {
		name, definition string
		after            time.Duration
		do               func(w *world, machine, execution string)
		status, reason   string
	}{
		{"failed", fails, day, nil, "REDRIVABLE", ""},
		{"failed 14 days ago", fails, 14 * day, nil, "REDRIVABLE", ""},
		{"failed longer ago", fails, 14*day + time.Second, nil, "NOT_REDRIVABLE", "Execution redrivable period " +
			"exceeded"},
		{"running", waits, day, nil, "NOT_REDRIVABLE", "Execution is RUNNING and cannot be redriven"},
		{"succeeded", passMachine, day, nil, "NOT_REDRIVABLE", "Execution is SUCCEEDED and cannot be redriven"},
		{"stopped", waits, day, func(w *world, _, execution string) {
			w.call("StopExecution", map[string]any{"executionArn": execution})
		}, "REDRIVABLE", ""},
		{"a year old", blocks, 366 * day, nil, "NOT_REDRIVABLE", "Execution has exceeded the max execution time"},
		{"of a machine that is deleted", fails, day, func(w *world, machine, _ string) {
			w.call("UpdateStateMachine", map[string]any{"stateMachineArn": machine, "definition": waits})
			w.start(machine, "holds", `{}`)
			w.call("DeleteStateMachine", map[string]any{"stateMachineArn": machine})
		}, "NOT_REDRIVABLE", "State machine is in DELETING status"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := virtual(t)
			machine := w.create("m", tt.definition)
			e := w.start(machine, "e", `{}`)
			w.sched.RunFor(tt.after)
			if tt.do != nil {
				tt.do(w, machine, e)
			}
			d := w.describe(e)
			if reason, _ := d["redriveStatusReason"].(string); d["redriveStatus"] != tt.status || reason != tt.reason {
				t.Errorf("%v %v", d["redriveStatus"], d["redriveStatusReason"])
			}
			_, err := w.try("RedriveExecution", map[string]any{"executionArn": e})
			want, code := "Redrive execution failed: '"+tt.reason+"': '"+e+"'", "ExecutionNotRedrivable"
			if tt.reason == "" {
				code = ""
			}
			if awsapi.Code(err) != code || err != nil && awsapi.AsError(err).Message != want {
				t.Errorf("%v", err)
			}
		})
	}
}
