package sfn

import (
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// TestRoutes: an alias sends executions to its versions by weight, and an execution tells by what it was started.
//
// Source: Step Functions API reference, CreateStateMachineAlias, StartExecution, ExecutionStartedEventDetails
// (read 2026-11).
func TestRoutes(t *testing.T) {
	w := virtual(t)
	machine := w.create("m", passMachine)
	first := w.call("PublishStateMachineVersion", map[string]any{"stateMachineArn": machine})["stateMachineVersionArn"]
	second := w.call("UpdateStateMachine", map[string]any{"stateMachineArn": machine, "publish": true,
		"definition": `{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}`})["stateMachineVersionArn"]
	route := func(arn any, weight int) map[string]any {
		return map[string]any{"stateMachineVersionArn": arn, "weight": weight}
	}
	alias := w.call("CreateStateMachineAlias", map[string]any{"name": "live", "description": "d",
		"routingConfiguration": []any{route(first, 75), route(second, 25)}})["stateMachineAliasArn"].(string)
	count := func(n int) map[any]int {
		out := map[any]int{}
		for range n {
			e := w.call("StartExecution", map[string]any{"stateMachineArn": alias})["executionArn"].(string)
			w.sched.RunFor(time.Millisecond)
			d := w.describe(e)
			out[d["stateMachineVersionArn"]]++
			events := w.call("GetExecutionHistory", map[string]any{"executionArn": e})["events"].([]any)
			started := events[0].(map[string]any)["executionStartedEventDetails"].(map[string]any)
			version := d["stateMachineVersionArn"]
			if d["stateMachineArn"] != machine || d["stateMachineAliasArn"] != alias ||
				started["stateMachineAliasArn"] != alias || started["stateMachineVersionArn"] != version {
				t.Fatalf("%v, %v", d, started)
			}
		}
		return out
	}
	if got := count(200); got[first]+got[second] != 200 || got[first] < 120 || got[first] > 180 {
		t.Errorf("75 to 25: %v", got)
	}
	w.call("UpdateStateMachineAlias", map[string]any{"stateMachineAliasArn": alias,
		"routingConfiguration": []any{route(second, 100), route(first, 0)}})
	if got := count(20); got[second] != 20 {
		t.Errorf("100 to 0: %v", got)
	}
	d := w.call("DescribeStateMachineAlias", map[string]any{"stateMachineAliasArn": alias})
	if d["name"] != "live" || d["description"] != "d" || mustJSON(d["routingConfiguration"]) !=
		mustJSON([]any{route(second, 100), route(first, 0)}) {
		t.Errorf("%v", d)
	}
	for arn, want := range map[any]int{alias: 220, machine: 220} {
		list := w.call("ListExecutions", map[string]any{"stateMachineArn": arn,
			"maxResults": 1000})["executions"].([]any)
		if len(list) != want {
			t.Errorf("%v: %d executions, want %d", arn, len(list), want)
		}
	}
	// An execution that is started by a version, or by the machine, belongs to no alias.
	for arn, version := range map[any]any{first: first, machine: nil} {
		e := w.call("StartExecution", map[string]any{"stateMachineArn": arn})["executionArn"].(string)
		if d := w.describe(e); d["stateMachineAliasArn"] != nil || d["stateMachineVersionArn"] != version {
			t.Errorf("%v: %v", arn, d)
		}
	}
	again := map[string]any{"name": "live", "description": "d",
		"routingConfiguration": []any{route(second, 100), route(first, 0)}}
	if out := w.call("CreateStateMachineAlias", again); out["stateMachineAliasArn"] != alias {
		t.Errorf("made again: %v", out)
	}
	again["description"] = "other"
	if _, err := w.try("CreateStateMachineAlias", again); awsapi.Code(err) != "ConflictException" {
		t.Errorf("made again with another description: %v", err)
	}
	for _, version := range []any{first, second} {
		if _, err := w.try("DeleteStateMachineVersion",
			map[string]any{"stateMachineVersionArn": version}); awsapi.Code(err) !=
			"ConflictException" {
			t.Errorf("%v, which the alias names: %v", version, err)
		}
	}
}
