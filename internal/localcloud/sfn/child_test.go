package sfn

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// distributed is a machine with one distributed Map state, M.
func distributed(kind, more, processor string) string {
	return `{"StartAt":"M","States":{"M":{"Type":"Map","Label":"run","End":true,` + more + `"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"` + kind + `"},` + processor + `}}}}`
}

func (w *world) mapRun(execution string) string {
	w.t.Helper()
	runs := w.call("ListMapRuns", map[string]any{"executionArn": execution})["mapRuns"].([]any)
	if len(runs) != 1 {
		w.t.Fatalf("Map Runs %v", runs)
	}
	return runs[0].(map[string]any)["mapRunArn"].(string)
}

func (w *world) children(mapRun string, more map[string]any) []map[string]any {
	w.t.Helper()
	in := map[string]any{"mapRunArn": mapRun}
	for k, v := range more {
		in[k] = v
	}
	var out []map[string]any
	for _, e := range w.call("ListExecutions", in)["executions"].([]any) {
		out = append(out, e.(map[string]any))
	}
	return out
}

const fail2 = `"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":2,"Next":"T"}],"Default":"P"},"P":{"Type":"Pass","End":true},
 "T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"flaky"},"OutputPath":"$.Payload","End":true}}`

func TestChildrenOfAMapRunAreExecutions(t *testing.T) {
	w := virtual(t)
	unhandled := "Unhandled"
	w.invoke = func(string, map[string]any) (any, *string) { return map[string]any{"errorType": "Flaky"}, &unhandled }
	m := w.create("m", distributed("STANDARD", `"ToleratedFailureCount":1,`, fail2))
	e := w.start(m, "e", `[1,2,3]`)
	w.sched.RunFor(time.Second)
	// A child that failed and is tolerated keeps its place.
	if d := w.describe(e); d["output"] != `[1,{"Status":"FAILED","Error":"Flaky","Cause":"{\"errorType\":\"Flaky\"}"},3]` {
		t.Fatalf("%v", d)
	}
	run := w.mapRun(e)
	if !strings.HasPrefix(run, "arn:aws:states:us-east-1:111111111111:mapRun:m/run:") {
		t.Fatal(run)
	}
	all := w.children(run, nil)
	if len(all) != 3 || len(w.children(run, map[string]any{"statusFilter": "FAILED"})) != 1 ||
		len(w.children(run, map[string]any{"maxResults": 2})) != 2 {
		t.Fatalf("%v", all)
	}
	if listed := w.call("ListExecutions", map[string]any{"stateMachineArn": m})["executions"].([]any); len(
		listed) != 1 {
		t.Fatalf("children among the executions of the state machine: %v", listed)
	}
	for _, c := range all {
		arn := c["executionArn"].(string)
		if !strings.HasPrefix(arn, "arn:aws:states:us-east-1:111111111111:execution:m/run:") ||
			c["mapRunArn"] != run || c["itemCount"] != 1.0 || c["stateMachineArn"] != m+"/run" {
			t.Fatalf("%v", c)
		}
		d := w.describe(arn)
		if d["mapRunArn"] != run || d["status"] != c["status"] || !strings.HasSuffix(arn, ":"+d["name"].(string)) ||
			d["stateMachineArn"] != m+"/run" {
			t.Fatalf("%v", d)
		}
		if want := map[any]any{"SUCCEEDED": "NOT_REDRIVABLE",
			"FAILED": "REDRIVABLE_BY_MAP_RUN"}[d["status"]]; d["redriveStatus"] != want {
			t.Fatalf("%v", d)
		}
		var types []string
		for _, ev := range w.call("GetExecutionHistory", map[string]any{"executionArn": arn})["events"].([]any) {
			types = append(types, ev.(map[string]any)["type"].(string))
		}
		want := "ExecutionStarted ChoiceStateEntered ChoiceStateExited PassStateEntered PassStateExited " +
			"ExecutionSucceeded"
		if d["status"] == "FAILED" {
			want = "ExecutionStarted ChoiceStateEntered ChoiceStateExited TaskStateEntered TaskScheduled " +
				"TaskStarted TaskFailed ExecutionFailed"
		}
		if got := strings.Join(types, " "); got != want {
			t.Fatalf("%s", got)
		}
		of := w.call("DescribeStateMachineForExecution", map[string]any{"executionArn": arn})
		if of["label"] != "run" || of["mapRunArn"] != run || of["stateMachineArn"] != m+"/run" {
			t.Fatalf("%v", of)
		}
	}
	if _, err := w.try("ListExecutions", map[string]any{"mapRunArn": run, "stateMachineArn": m}); awsapi.Code(err) !=
		"ValidationException" {
		t.Fatal(err)
	}
	if _, err := w.try("ListExecutions", map[string]any{"stateMachineArn": m,
		"statusFilter": "PENDING_REDRIVE"}); awsapi.Code(err) != "ValidationException" {
		t.Fatal(err)
	}
	w.call("DeleteStateMachine", map[string]any{"stateMachineArn": m})
	if _, err := w.try("DescribeMapRun", map[string]any{"mapRunArn": run}); awsapi.Code(err) != "ResourceNotFound" {
		t.Fatal(err)
	}
}

func TestExpressChildrenAreDescribedButHaveNoHistory(t *testing.T) {
	w := virtual(t)
	e := w.start(w.create("m", distributed("EXPRESS", `"ItemBatcher":{"MaxItemsPerBatch":2},`, `"StartAt":"P","States":{"P":{"Type":"Pass","Parameters":{"n.$":"States.ArrayLength($.Items)"},"End":true}}`)), "e", `[1,2,3]`)
	w.sched.RunFor(time.Second)
	if d := w.describe(e); d["output"] != `[{"n":2},{"n":1}]` {
		t.Fatalf("%v", d)
	}
	run := w.mapRun(e)
	items := 0.0
	for _, c := range w.children(run, nil) {
		arn := c["executionArn"].(string)
		items += c["itemCount"].(float64)
		if !strings.HasPrefix(arn, "arn:aws:states:us-east-1:111111111111:express:m/run:") ||
			w.describe(arn)["status"] != "SUCCEEDED" {
			t.Fatalf("%v", c)
		}
		if _, err := w.try("GetExecutionHistory", map[string]any{"executionArn": arn}); awsapi.Code(err) !=
			"InvalidArn" {
			t.Fatal(err)
		}
	}
	d := w.call("DescribeMapRun", map[string]any{"mapRunArn": run})
	if n := d["itemCounts"].(map[string]any); items != 3 || n["total"] != 3.0 || n["succeeded"] != 3.0 ||
		d["executionCounts"].(map[string]any)["total"] != 2.0 {
		t.Fatalf("%v of %v items", d, items)
	}
}

func TestFailedMapRunStopsItsChildrenAndIsRedriven(t *testing.T) {
	w := virtual(t)
	unhandled := "Unhandled"
	broken := true
	w.invoke = func(string, map[string]any) (any, *string) {
		if broken {
			return map[string]any{"errorType": "Flaky"}, &unhandled
		}
		return "mended", nil
	}
	m := w.create("m", distributed("STANDARD", `"MaxConcurrency":2,`, `"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":2,"Next":"T"}],"Default":"W"},
	 "W":{"Type":"Wait","Seconds":30,"End":true},"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"flaky"},"OutputPath":"$.Payload","End":true}}`))
	e := w.start(m, "e", `[1,2,3]`)
	w.sched.RunFor(time.Second)
	if d := w.describe(e); d["status"] != "FAILED" || d["error"] != "States.ExceedToleratedFailureThreshold" {
		t.Fatalf("%v", d)
	}
	run := w.mapRun(e)
	n := w.call("DescribeMapRun", map[string]any{"mapRunArn": run})["executionCounts"].(map[string]any)
	if n["failed"] != 1.0 || n["aborted"] != 1.0 || n["pending"] != 1.0 || n["total"] != 3.0 {
		t.Fatalf("%v", n)
	}
	aborted := w.children(run, map[string]any{"statusFilter": "ABORTED"})
	if len(aborted) != 1 || len(w.children(run, nil)) != 2 {
		t.Fatalf("%v", aborted)
	}
	if _, err := w.try("RedriveExecution", map[string]any{"executionArn": aborted[0]["executionArn"]}); awsapi.Code(
		err) != "ExecutionNotRedrivable" {
		t.Fatal(err)
	}
	broken = false
	w.restart()
	first := w.call("RedriveExecution", map[string]any{"executionArn": e, "clientToken": "t"})
	if again := w.call("RedriveExecution", map[string]any{"executionArn": e,
		"clientToken": "t"}); again["redriveDate"] != first["redriveDate"] {
		t.Fatalf("%v, then %v", first, again)
	}
	w.restart()
	w.sched.RunFor(2 * time.Minute)
	if d := w.describe(e); d["output"] != `[1,"mended",3]` || d["redriveCount"] != 1.0 {
		t.Fatalf("%v", d)
	}
	d := w.call("DescribeMapRun", map[string]any{"mapRunArn": run})
	if n := d["executionCounts"].(map[string]any); d["status"] != "SUCCEEDED" || d["redriveCount"] != 1.0 ||
		n["succeeded"] != 3.0 || n["failed"] != 0.0 {
		t.Fatalf("%v", d)
	}
	if redriven := w.children(run, map[string]any{"redriveFilter": "REDRIVEN"}); len(redriven) != 2 ||
		len(w.children(run, nil)) != 3 {
		t.Fatalf("%v", redriven)
	}
	var types []string
	for _, ev := range w.call("GetExecutionHistory", map[string]any{"executionArn": e})["events"].([]any) {
		types = append(types, ev.(map[string]any)["type"].(string))
	}
	if got := strings.Join(types, " "); got !=
		"ExecutionStarted MapStateEntered MapStateStarted MapRunStarted MapRunFailed MapStateFailed "+
			"ExecutionFailed ExecutionRedriven MapRunRedriven MapRunSucceeded MapStateSucceeded MapStateExited "+
			"ExecutionSucceeded" {
		t.Fatal(got)
	}
	if r := w.svc.Residue(context.Background()); len(r) != 0 {
		t.Fatal(r)
	}
}

func TestStoppingAnExecutionStopsTheChildren(t *testing.T) {
	w := virtual(t)
	e := w.start(w.create("m", distributed("STANDARD", ``, `"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":30,"End":true}}`)), "e", `[1,2]`)
	w.sched.RunFor(time.Second)
	run := w.mapRun(e)
	w.call("StopExecution", map[string]any{"executionArn": e})
	w.sched.RunFor(time.Second)
	d := w.call("DescribeMapRun", map[string]any{"mapRunArn": run})
	if d["status"] != "ABORTED" || d["executionCounts"].(map[string]any)["aborted"] != 2.0 ||
		len(w.children(run, map[string]any{"statusFilter": "ABORTED"})) != 2 {
		t.Fatalf("%v", d)
	}
	if r := w.svc.Residue(context.Background()); len(r) != 0 {
		t.Fatal(r)
	}
}

// TestChildrenSurviveARestart: a child that was started is not started again,
// whatever moment the process ends at, and its token still counts.
func TestChildrenSurviveARestart(t *testing.T) {
	w := virtual(t)
	var tokens []string
	w.invoke = func(_ string, p map[string]any) (any, *string) {
		tokens = append(tokens, p["token"].(string))
		return nil, nil
	}
	e := w.start(w.create("m", distributed("STANDARD", ``, `"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",
	 "Parameters":{"FunctionName":"f","Payload":{"token.$":"$$.Task.Token","me.$":"$$.Execution.Id"}},"End":true}}`)), "e", `[1,2,3]`)
	for range 3 {
		w.restart()
		w.sched.RunFor(time.Second)
	}
	if len(tokens) != 3 {
		t.Fatalf("%d tokens", len(tokens))
	}
	for i, token := range tokens {
		w.restart()
		w.call("SendTaskSuccess", map[string]any{"taskToken": token, "output": string(rune('1' + i))})
	}
	w.sched.RunFor(time.Second)
	if d := w.describe(e); d["status"] != "SUCCEEDED" {
		t.Fatalf("%v", d)
	}
	if n := len(w.children(w.mapRun(e), nil)); n != 3 {
		t.Fatalf("%d children", n)
	}
}

func TestResultsAreTransformed(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{`"Transformation":"COMPACT","OutputType":"JSON"`, `[[1,1],[3,3]]`},
		{`"Transformation":"FLATTEN","OutputType":"JSON"`, `[1,1,3,3]`},
		{`"Transformation":"FLATTEN","OutputType":"JSONL"`, `"1\n1\n3\n3\n"`},
		{`"Transformation":"NONE","OutputType":"JSON"`, `"Output":"[1,1]"`},
	} {
		w := virtual(t)
		e := w.start(w.create("m", distributed("STANDARD", `"ResultWriter":{"WriterConfig":{`+c.config+`}},`,
			`"StartAt":"P","States":{"P":{"Type":"Pass","Parameters":{"x.$":"States.Array($, $)"},"OutputPath":"$.x","End":true}}`)), "e", `[1,3]`)
		w.sched.RunFor(time.Second)
		d := w.describe(e)
		if out, _ := d["output"].(string); d["status"] != "SUCCEEDED" || out != c.want && !strings.Contains(out, c.want) && !strings.Contains(strings.ReplaceAll(out, `\"`, `"`), c.want) {
			t.Errorf("%s: %v", c.config, d)
		}
	}
}

// TestTolerance: how many failures a Map Run tolerates, as github.com/iwamot/sfnx, tests/test_asl.py has seen it on
// AWS (2026).
func TestTolerance(t *testing.T) {
	for _, c := range []struct {
		failed, items, count, share int
		exceeded                    bool
	}{
		{1, 3, 0, 0, true}, {1, 3, 1, 100, false}, {3, 3, 1, 100, true}, {3, 3, 3, 100, false}, {1, 3, 0, 100, false},
		{1, 3, 100_000, 34, false}, {1, 3, 100_000, 33, true}, {1, 4, 100_000, 25, false}, {1, 4, 100_000, 24, true},
		{1, 3, 0, 50, false}, {3, 3, 0, 50, true}, {1, 3, 5, 0, false}, {3, 3, 5, 0, false}, {2, 3, 1, 90, true},
		{2, 3, 5, 50, true}, {2, 5, 1, 100, true}, {2, 5, 2, 100, false}, {2, 5, 100_000, 34, true},
		{2, 5, 100_000, 39, true}, {2, 5, 100_000, 40, false},
	} {
		w := virtual(t)
		e := w.start(w.create("m", distributed("STANDARD", fmt.Sprintf(
			`"ToleratedFailureCount":%d,"ToleratedFailurePercentage":%d,`, c.count, c.share),
			`"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericLessThan":`+
				fmt.Sprint(c.failed)+`,"Next":"F"}],"Default":"S"},"F":{"Type":"Fail","Error":"E","Cause":"c"},"S":{"Type":"Succeed"}}`)),
			"e", "["+"0,1,2,3,4"[:2*c.items-1]+"]")
		w.sched.RunFor(time.Minute)
		d := w.describe(e)
		got := d["error"] == "States.ExceedToleratedFailureThreshold"
		if got != c.exceeded || !got && d["status"] != "SUCCEEDED" {
			t.Errorf("%+v: %v", c, d)
		}
	}
}

// TestItemsOfAnObject: a distributed Map takes the members of an object, as pairs; an inline one does not.
func TestItemsOfAnObject(t *testing.T) {
	const pass = `"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}`
	w := virtual(t)
	for i, c := range []struct{ definition, want string }{
		{distributed("STANDARD", `"ItemsPath":"$.o",`, pass), `[{"Key":"a","Value":1},{"Key":"b","Value":{"x":2}}]`},
		{distributed("STANDARD", `"InputPath":"$.o",`, pass), `[{"Key":"a","Value":1},{"Key":"b","Value":{"x":2}}]`},
		{distributed("STANDARD", `"ItemsPath":"$.o","ItemSelector":{"i.$":"$$.Map.Item"},`, pass), `[{"i":{"Index":0,"Value":1,"Key":"a","Source":"STATE_DATA"}},` +
			`{"i":{"Index":1,"Value":{"x":2},"Key":"b","Source":"STATE_DATA"}}]`},
		{distributed("STANDARD", `"QueryLanguage":"JSONata","Items":"{% $states.input.o %}","ItemSelector":"{% $states.context.Map.Item.Key %}",`, pass), `["a","b"]`},
		{distributed("STANDARD", `"ItemsPath":"$.o","ItemBatcher":{"MaxItemsPerBatch":2},"ItemSelector":{"k.$":"$$.Map.Item.Key"},`, pass),
			`[{"Items":[{"k":"a"},{"k":"b"}]}]`},
		{`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemsPath":"$.o","ItemProcessor":{` + pass + `}}}}`,
			`An error occurred while executing the state 'M' (entered at the event id #2). Reference path "$.o" must point to array.`},
	} {
		e := w.start(w.create(fmt.Sprint("m", i), c.definition), "e", `{"o":{"a":1,"b":{"x":2}}}`)
		w.sched.RunFor(time.Minute)
		d := w.describe(e)
		if d["output"] != c.want && d["cause"] != c.want {
			t.Errorf("%s: %v", c.definition, d)
		}
	}
}
