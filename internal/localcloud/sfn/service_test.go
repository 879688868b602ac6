package sfn

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// world is a service with a lambda service beside it, in virtual time.
type world struct {
	t     testing.TB
	sched *scheduler.Scheduler
	db    *store.DB
	svc   *Service
	door  *awsapi.Door
	// invoke is what functions do.
	invoke func(name string, payload map[string]any) (any, *string)
	calls  []string
}

func newWorld(t testing.TB, sched *scheduler.Scheduler, db *store.DB) *world {
	w := &world{t: t, sched: sched, db: db}
	w.door = awsapi.New(awsapi.Config{Scheduler: sched, Account: "111111111111", Region: "us-east-1"})
	w.door.Add(awsapi.Service{ID: "lambda", Prefix: "lambda", Operations: []awsapi.Operation{
		awsapi.Op("Invoke", func(_ context.Context, _ *awsapi.Call, in *invokeInput) (*invokeOutput, error) {
			var payload map[string]any
			_ = json.Unmarshal(in.Payload, &payload)
			w.calls = append(w.calls, in.FunctionName)
			if in.FunctionName == "missing" {
				return nil, awsapi.Errorf("ResourceNotFoundException", "Function not found: missing").WithStatus(404)
			}
			if in.FunctionName == "denied" {
				return nil, awsapi.Errorf("AccessDeniedException", "not authorized to perform: lambda:InvokeFunction").
					WithStatus(403)
			}
			v, failure := w.invoke(in.FunctionName, payload)
			b, err := json.Marshal(v)
			version := "$LATEST"
			return &invokeOutput{StatusCode: 200, Payload: b, FunctionError: failure, ExecutedVersion: &version}, err
		}),
	}})
	w.restart()
	return w
}

// restart makes a new service on the same store, as after a kill.
func (w *world) restart() {
	w.svc = New(Config{Platform: platform.Platform{Scheduler: w.sched, Store: w.db, Account: "111111111111",
		Region: "us-east-1", Caller: w.door}})
	w.door.Add(w.svc.API())
	if err := w.svc.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) call(op string, in map[string]any) map[string]any {
	w.t.Helper()
	out, err := w.try(op, in)
	if err != nil {
		w.t.Fatalf("%s: %v", op, err)
	}
	return out
}

func (w *world) try(op string, in map[string]any) (map[string]any, error) {
	v, err := w.door.Call(context.Background(), awsapi.RootOf("111111111111"), "sfn", op, in)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(b, &out)
}

func (w *world) create(name, definition string) string {
	w.t.Helper()
	return w.call("CreateStateMachine", map[string]any{"name": name, "definition": definition,
		"roleArn": role})["stateMachineArn"].(string)
}

func (w *world) start(machine, name, input string) string {
	w.t.Helper()
	return w.call("StartExecution", map[string]any{"stateMachineArn": machine, "name": name,
		"input": input})["executionArn"].(string)
}

func (w *world) describe(execution string) map[string]any {
	w.t.Helper()
	return w.call("DescribeExecution", map[string]any{"executionArn": execution})
}

func virtual(t testing.TB) *world {
	w := newWorld(t, scheduler.NewVirtual(7, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)), store.Memory())
	w.invoke = func(string, map[string]any) (any, *string) { return "done", nil }
	return w
}

const callbackMachine = `{"QueryLanguage":"JSONata","StartAt":"Ask","States":{"Ask":{"Type":"Task",
 "Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","TimeoutSeconds":600,"HeartbeatSeconds":60,
 "Arguments":{"FunctionName":"ask","Payload":{"token":"{% $states.context.Task.Token %}","n":"{% $states.context.State.RetryCount %}"}},
 "Retry":[{"ErrorEquals":["Again"],"IntervalSeconds":5,"MaxAttempts":2}],
 "Catch":[{"ErrorEquals":["States.HeartbeatTimeout"],"Output":"silent","Next":"End"}],
 "Output":"{% {'got': $states.result} %}","Next":"End"},"End":{"Type":"Succeed"}}}`

func TestTokenResumesAcrossRestart(t *testing.T) {
	w := virtual(t)
	var token string
	w.invoke = func(_ string, p map[string]any) (any, *string) {
		token = p["token"].(string)
		return map[string]any{"ignored": true}, nil
	}
	e := w.start(w.create("m", callbackMachine), "e", `{}`)
	w.sched.RunFor(time.Second)
	if len(w.svc.Residue(context.Background())) != 1 {
		t.Fatalf("residue %v", w.svc.Residue(context.Background()))
	}
	// Heartbeats keep the task alive beyond one interval, restarts in between.
	for range 5 {
		w.sched.RunFor(50 * time.Second)
		w.restart()
		w.call("SendTaskHeartbeat", map[string]any{"taskToken": token})
	}
	w.restart()
	if len(w.calls) != 1 {
		t.Fatalf("function called %d times", len(w.calls))
	}
	w.call("SendTaskSuccess", map[string]any{"taskToken": token, "output": `{"x":1}`})
	w.sched.RunFor(time.Second)
	d := w.describe(e)
	if d["status"] != "SUCCEEDED" || d["output"] != `{"got":{"x":1}}` {
		t.Fatalf("got %v", d)
	}
	_, err := w.try("SendTaskSuccess", map[string]any{"taskToken": token, "output": `{}`})
	if awsapi.Code(err) != "TaskTimedOut" {
		t.Fatalf("second answer: %v", err)
	}
	if _, err := w.try("SendTaskSuccess", map[string]any{"taskToken": "nonsense", "output": `{}`}); awsapi.Code(err) != "InvalidToken" {
		t.Fatalf("bad token: %v", err)
	}
	if r := w.svc.Residue(context.Background()); len(r) != 0 {
		t.Fatalf("residue %v", r)
	}
}

func TestHeartbeatGoesOnWithTheTimeThatPassed(t *testing.T) {
	w := virtual(t)
	e := w.start(w.create("m", callbackMachine), "e", `{}`)
	w.sched.RunFor(50 * time.Second)
	w.restart()
	w.sched.RunFor(9 * time.Second)
	if s := w.describe(e)["status"]; s != "RUNNING" {
		t.Fatalf("after 59 s: %v", s)
	}
	w.sched.RunFor(2 * time.Second)
	if d := w.describe(e); d["status"] != "SUCCEEDED" || d["output"] != `"silent"` {
		t.Fatalf("after 61 s: %v", d)
	}
}

func TestRetryMakesANewToken(t *testing.T) {
	w := virtual(t)
	var tokens []string
	w.invoke = func(_ string, p map[string]any) (any, *string) {
		tokens = append(tokens, p["token"].(string))
		return nil, nil
	}
	e := w.start(w.create("m", callbackMachine), "e", `{}`)
	w.sched.RunFor(time.Second)
	w.call("SendTaskFailure", map[string]any{"taskToken": tokens[0], "error": "Again"})
	w.sched.RunFor(2 * time.Second)
	w.restart() // in the delay before the retry
	w.sched.RunFor(4 * time.Second)
	if len(tokens) != 2 || tokens[0] == tokens[1] {
		t.Fatalf("tokens %v", tokens)
	}
	if _, err := w.try("SendTaskSuccess", map[string]any{"taskToken": tokens[0], "output": `1`}); awsapi.Code(err) != "TaskTimedOut" {
		t.Fatalf("old token: %v", err)
	}
	w.call("SendTaskSuccess", map[string]any{"taskToken": tokens[1], "output": `1`})
	if s := w.describe(e)["status"]; s != "SUCCEEDED" {
		t.Fatal(s)
	}
}

func TestCallWithoutAnswerIsMadeAgain(t *testing.T) {
	w := virtual(t)
	m := w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},"End":true}}}`)
	e := w.start(m, "e", `{}`)
	// The process dies before the call has run.
	w.sched = scheduler.NewVirtual(8, w.sched.Now())
	next := newWorld(t, w.sched, w.db)
	next.invoke = w.invoke
	next.sched.RunFor(time.Second)
	if d := next.describe(e); d["status"] != "SUCCEEDED" || len(next.calls) != 1 {
		t.Fatalf("%v, calls %v", d, next.calls)
	}
}

func TestFunctionErrorsAreNamedAsOnAWS(t *testing.T) {
	for _, c := range []struct{ function, err, cause string }{
		{"fails", "Device.Busy", `"errorMessage":"busy"`},
		{"missing", "Lambda.ResourceNotFoundException", "Function not found"},
		{"denied", "Lambda.AWSLambdaException", "not authorized"},
	} {
		w := virtual(t)
		unhandled := "Unhandled"
		w.invoke = func(string, map[string]any) (any, *string) {
			return map[string]any{"errorMessage": "busy", "errorType": "Device.Busy"}, &unhandled
		}
		m := w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"`+c.function+`"},"End":true}}}`)
		e := w.start(m, "e", `{}`)
		w.sched.RunFor(time.Second)
		d := w.describe(e)
		if d["error"] != c.err || !strings.Contains(d["cause"].(string), c.cause) {
			t.Errorf("%s: %v: %v", c.function, d["error"], d["cause"])
		}
	}
}

func TestSyncWaitsForTheChild(t *testing.T) {
	w := virtual(t)
	w.create("child", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":30,"Next":"P"},"P":{"Type":"Pass","Result":{"a":1},"End":true}}}`)
	m := w.create("parent", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync:2",
	 "Parameters":{"StateMachineArn":"arn:aws:states:us-east-1:111111111111:stateMachine:child","Name":"kid","Input":{"x":1}},"OutputPath":"$.Output","End":true}}}`)
	e := w.start(m, "e", `{}`)
	w.sched.RunFor(10 * time.Second)
	w.restart()
	w.sched.RunFor(21 * time.Second)
	if d := w.describe(e); d["output"] != `{"a":1}` {
		t.Fatalf("%v", d)
	}
}

// TestSyncTellsOfRedrives: results of .sync and .sync:2 have how often the execution was redriven, and whether it can
// be. Recorded by LocalStack on AWS (credentials, 4 December 2024; local_mocking, 28 October 2025).
func TestSyncTellsOfRedrives(t *testing.T) {
	for pattern, result := range map[string]string{"sync": `"Result":1`, "sync:2": `"Result":1`, "sync:2 failing": ""} {
		w := virtual(t)
		child := `{"Type":"Fail"}`
		want := `"RedriveCount":0,"RedriveStatus":"REDRIVABLE","StartDate"`
		if result != "" {
			child = `{"Type":"Pass",` + result + `,"End":true}`
			want = `"RedriveCount":0,"RedriveStatus":"NOT_REDRIVABLE","RedriveStatusReason":` +
				`"Execution is SUCCEEDED and cannot be redriven","StartDate"`
		}
		w.create("child", `{"StartAt":"A","States":{"A":`+child+`}}`)
		e := w.start(w.create("parent", `{"StartAt":"A","States":{"A":{"Type":"Task",
		 "Resource":"arn:aws:states:::states:startExecution.`+strings.Fields(pattern)[0]+`","Parameters":{
		 "StateMachineArn":"arn:aws:states:us-east-1:111111111111:stateMachine:child"},"End":true}}}`), "e", `{}`)
		w.sched.RunFor(time.Second)
		d := w.describe(e)
		if got := fmt.Sprint(d["output"], d["cause"]); !strings.Contains(got, want) {
			t.Errorf("%s: %s", pattern, got)
		}
	}
}

// TestContextOfExpressExecutions: only those that are started to be waited for are not told of redrives.
// Recorded by LocalStack on AWS (express/test_express_sync, test_express_async, 15 July 2024).
func TestContextOfExpressExecutions(t *testing.T) {
	w := virtual(t)
	var asked []string
	w.invoke = func(_ string, p map[string]any) (any, *string) {
		_, counted := p["RedriveCount"]
		asked = append(asked, fmt.Sprint(p["Name"], counted))
		return nil, nil
	}
	m := w.call("CreateStateMachine", map[string]any{"name": "m", "roleArn": role, "type": "EXPRESS", "definition": `{
	 "StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke",
	 "Parameters":{"FunctionName":"f","Payload.$":"$$.Execution"},"End":true}}}`})["stateMachineArn"].(string)
	w.start(m, "async", `{}`)
	w.sched.RunFor(time.Second)
	w.sched.Go("caller", func() { w.call("StartSyncExecution", map[string]any{"stateMachineArn": m, "name": "sync"}) })
	w.sched.RunFor(time.Second)
	if got := strings.Join(asked, " "); got != "asynctrue syncfalse" {
		t.Error(got)
	}
}

// TestContextOfATestWithoutARole: TestState without a role. Recorded by LocalStack on AWS
// (test_state/test_test_state_scenarios, 24 February 2026).
func TestContextOfATestWithoutARole(t *testing.T) {
	w := virtual(t)
	out := w.call("TestState", map[string]any{"definition": `{"Type":"Pass","QueryLanguage":"JSONata","End":true,
	 "Output":"{% $states.context.Execution ~> |$|{},['Id','Name','StartTime']| %}"}`, "input": `{"a":1}`})
	if got := out["output"]; got != `{"Input":{"a":1},"RoleArn":null}` {
		t.Error(got)
	}
}

func TestJobsThatNothingWaitsForAreStopped(t *testing.T) {
	task := `{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync","Parameters":{"StateMachineArn":"arn:aws:states:us-east-1:111111111111:stateMachine:child","Name":"kid"},"End":true}`
	for name, c := range map[string]struct {
		machine string
		stop    bool
	}{
		"the execution is stopped": {`{"StartAt":"A","States":{"A":` + task + `}}`, true},
		"the execution times out":  {`{"StartAt":"A","TimeoutSeconds":5,"States":{"A":` + task + `}}`, false},
		"a branch beside fails": {`{"StartAt":"P","States":{"P":{"Type":"Parallel","Catch":[{"ErrorEquals":["States.ALL"],"Next":"W"}],"End":true,"Branches":[{"StartAt":"A","States":{"A":` + task + `}},
		 {"StartAt":"B","States":{"B":{"Type":"Wait","Seconds":3,"Next":"F"},"F":{"Type":"Fail"}}}]},"W":{"Type":"Wait","Seconds":60,"End":true}}}`, false},
	} {
		w := virtual(t)
		w.create("child", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":30,"End":true}}}`)
		e := w.start(w.create("parent", c.machine), "e", `{}`)
		w.sched.RunFor(2 * time.Second)
		if c.stop {
			w.call("StopExecution", map[string]any{"executionArn": e})
		}
		w.sched.RunFor(8 * time.Second)
		if d := w.describe("arn:aws:states:us-east-1:111111111111:execution:child:kid"); d["status"] != "ABORTED" {
			t.Errorf("%s: the child is %v", name, d["status"])
		}
	}
}

func TestServiceThatIsNotThereFailsByName(t *testing.T) {
	w := virtual(t)
	m := w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:iot:describeThing","Parameters":{"ThingName":"x"},"End":true}}}`)
	e := w.start(m, "e", `{}`)
	w.sched.RunFor(time.Second)
	d := w.describe(e)
	if d["status"] != "FAILED" || !strings.Contains(d["cause"].(string), "iot") ||
		!strings.HasPrefix(d["error"].(string), "Iot.") {
		t.Fatalf("%v: %v", d["error"], d["cause"])
	}
}

func TestStoppedExecutionForgetsItsToken(t *testing.T) {
	w := virtual(t)
	var token string
	w.invoke = func(_ string, p map[string]any) (any, *string) { token = p["token"].(string); return nil, nil }
	e := w.start(w.create("m", callbackMachine), "e", `{}`)
	w.sched.RunFor(time.Second)
	w.call("StopExecution", map[string]any{"executionArn": e, "error": "Job.Canceled", "cause": "operator"})
	if d := w.describe(e); d["status"] != "ABORTED" || d["error"] != "Job.Canceled" {
		t.Fatalf("%v", d)
	}
	if _, err := w.try("SendTaskHeartbeat", map[string]any{"taskToken": token}); awsapi.Code(err) != "TaskTimedOut" {
		t.Fatal(err)
	}
	if p := w.sched.Pending(); len(p) != 0 {
		t.Fatalf("pending %v", p)
	}
}

func TestListingPagesNewestFirst(t *testing.T) {
	w := virtual(t)
	m := w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$.f","IsPresent":true,"Next":"F"}],"Default":"P"},"P":{"Type":"Pass","End":true},"F":{"Type":"Fail"}}}`)
	for i := range 25 {
		input := `{}`
		if i%5 == 0 {
			input = `{"f":1}`
		}
		w.start(m, "e"+string(rune('a'+i)), input)
	}
	var names []string
	token := ""
	for {
		page := w.call("ListExecutions", map[string]any{"stateMachineArn": m, "maxResults": 10, "nextToken": token})
		for _, e := range page["executions"].([]any) {
			names = append(names, e.(map[string]any)["name"].(string))
		}
		next, ok := page["nextToken"].(string)
		if !ok {
			break
		}
		token = next
	}
	if len(names) != 25 || names[0] != "ey" || names[24] != "ea" {
		t.Fatalf("%v", names)
	}
	failed := w.call("ListExecutions",
		map[string]any{"stateMachineArn": m, "statusFilter": "FAILED"})["executions"].([]any)
	if len(failed) != 5 {
		t.Fatalf("%d failed", len(failed))
	}
}

func TestEndlessLoopEndsAtTheHistoryLimit(t *testing.T) {
	w := virtual(t)
	e := w.start(w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$.end","IsPresent":true,"Next":"End"}],"Default":"A"},"End":{"Type":"Succeed"}}}`), "e", `{}`)
	d := w.describe(e)
	if d["status"] != "FAILED" || !strings.Contains(d["cause"].(string), "25000") {
		t.Fatalf("%v", d)
	}
	last := w.call("GetExecutionHistory", map[string]any{"executionArn": e, "reverseOrder": true,
		"maxResults": 1})["events"].([]any)[0].(map[string]any)
	if last["id"] != 25000.0 || last["type"] != "ExecutionFailed" {
		t.Fatalf("%v", last)
	}
}

func TestHistoryPagesInBothOrders(t *testing.T) {
	w := virtual(t)
	e := w.start(w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":1,"Next":"B"},"B":{"Type":"Wait","Seconds":1,"Next":"C"},"C":{"Type":"Pass","End":true}}}`), "e", `{}`)
	w.sched.RunFor(time.Minute)
	for _, reverse := range []bool{false, true} {
		var ids []float64
		token := ""
		for {
			page := w.call("GetExecutionHistory", map[string]any{"executionArn": e, "reverseOrder": reverse,
				"maxResults": 3, "nextToken": token})
			for _, ev := range page["events"].([]any) {
				ids = append(ids, ev.(map[string]any)["id"].(float64))
			}
			next, ok := page["nextToken"].(string)
			if !ok {
				break
			}
			token = next
		}
		if len(ids) != 8 {
			t.Fatalf("reverse %v: %v", reverse, ids)
		}
		for i, id := range ids {
			want := float64(i + 1)
			if reverse {
				want = float64(8 - i)
			}
			if id != want {
				t.Fatalf("reverse %v: %v", reverse, ids)
			}
		}
	}
}

func TestRedriveGoesOnWhereItFailed(t *testing.T) {
	w := virtual(t)
	unhandled := "Unhandled"
	broken := true
	w.invoke = func(name string, _ map[string]any) (any, *string) {
		if broken && name == "flaky" {
			return map[string]any{"errorType": "Flaky"}, &unhandled
		}
		return name, nil
	}
	m := w.create("m", `{"StartAt":"First","States":{"First":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"first"},"ResultPath":null,"Next":"P"},
	 "P":{"Type":"Parallel","End":true,"Branches":[
	  {"StartAt":"Good","States":{"Good":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"good"},"OutputPath":"$.Payload","End":true}}},
	  {"StartAt":"Wait","States":{"Wait":{"Type":"Wait","Seconds":5,"Next":"Flaky"},"Flaky":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"flaky"},"OutputPath":"$.Payload","End":true}}}]}}}`)
	e := w.start(m, "e", `{}`)
	w.sched.RunFor(time.Minute)
	if d := w.describe(e); d["status"] != "FAILED" || d["redriveStatus"] != "REDRIVABLE" {
		t.Fatalf("%v", d)
	}
	broken = false
	w.restart()
	w.call("RedriveExecution", map[string]any{"executionArn": e})
	w.sched.RunFor(time.Minute)
	d := w.describe(e)
	if d["status"] != "SUCCEEDED" || d["output"] != `["good","flaky"]` || d["redriveCount"] != 1.0 {
		t.Fatalf("%v", d)
	}
	if got := strings.Join(w.calls, " "); got != "first good flaky flaky" {
		t.Fatalf("calls %s", got)
	}
	if _, err := w.try("RedriveExecution", map[string]any{"executionArn": e}); awsapi.Code(err) !=
		"ExecutionNotRedrivable" {
		t.Fatal(err)
	}
	listed := w.call("ListExecutions",
		map[string]any{"stateMachineArn": m, "statusFilter": "FAILED"})["executions"].([]any)
	if len(listed) != 0 {
		t.Fatalf("%v", listed)
	}
}

// TestARedrivenStateKnowsOfIt: it was entered when it was, and how often its execution was redriven is in the context
// object, from 0 on.
func TestARedrivenStateKnowsOfIt(t *testing.T) {
	w := virtual(t)
	unhandled := "Unhandled"
	var got []string
	w.invoke = func(_ string, in map[string]any) (any, *string) {
		got = append(got, fmt.Sprintf("redrive %v retry %v entered %v", in["redrive"], in["retry"], in["entered"]))
		if len(got) < 3 {
			return map[string]any{"errorType": "Flaky"}, &unhandled
		}
		return "", nil
	}
	m := w.create("m", `{"QueryLanguage":"JSONata","StartAt":"T","States":{"T":{"Type":"Task","End":true,
		"Resource":"arn:aws:states:::lambda:invoke","Retry":[{"ErrorEquals":["Flaky"],"MaxAttempts":1}],
		"Arguments":{"FunctionName":"f","Payload":"{% {'redrive': $states.context.Execution.RedriveCount, 'retry': $states.context.State.RetryCount, 'entered': $states.context.State.EnteredTime} %}"}}}}`)
	e := w.start(m, "e", `{}`)
	w.sched.RunFor(time.Minute)
	w.call("RedriveExecution", map[string]any{"executionArn": e})
	w.sched.RunFor(time.Minute)
	if len(got) != 3 {
		t.Fatalf("%q", got)
	}
	_, entered, _ := strings.Cut(got[0], "entered ")
	for i, want := range []string{"redrive 0 retry 0", "redrive 0 retry 1", "redrive 1 retry 0"} {
		if got[i] != want+" entered "+entered {
			t.Errorf("%q, want %s", got, want)
		}
	}
}

func TestMapRunsAreDescribed(t *testing.T) {
	w := virtual(t)
	m := w.create("m", `{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"MaxConcurrency":2,"ToleratedFailureCount":1,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},
	 "StartAt":"W","States":{"W":{"Type":"Wait","Seconds":10,"Next":"C"},"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":2,"Next":"F"}],"Default":"P"},"P":{"Type":"Pass","End":true},"F":{"Type":"Fail","Error":"No"}}}}}}`)
	e := w.start(m, "e", `[1,2,3,4,5]`)
	w.sched.RunFor(15 * time.Second)
	runs := w.call("ListMapRuns", map[string]any{"executionArn": e})["mapRuns"].([]any)
	if len(runs) != 1 {
		t.Fatalf("%v", runs)
	}
	arn := runs[0].(map[string]any)["mapRunArn"]
	label, _, _ := strings.Cut(strings.SplitN(arn.(string), "/", 2)[1], ":")
	if of := runs[0].(map[string]any)["stateMachineArn"]; of != m+"/"+label {
		t.Errorf("a Map Run of %v", of)
	}
	d := w.call("DescribeMapRun", map[string]any{"mapRunArn": arn})
	counts := d["executionCounts"].(map[string]any)
	if d["status"] != "RUNNING" || counts["running"] != 2.0 || counts["failed"] != 1.0 || counts["succeeded"] != 1.0 ||
		counts["pending"] != 1.0 {
		t.Fatalf("%v", d)
	}
	w.restart()
	w.call("UpdateMapRun", map[string]any{"mapRunArn": arn, "maxConcurrency": 5})
	w.sched.RunFor(12 * time.Second)
	if d := w.describe(e); d["output"] != `[1,{"Status":"FAILED","Error":"No"},3,4,5]` {
		t.Fatalf("%v", d)
	}
	// Results count as written without a ResultWriter, too: recorded by LocalStack on AWS (test_sfn_api_map_run,
	// 21 September 2023).
	d = w.call("DescribeMapRun", map[string]any{"mapRunArn": arn})
	if d["status"] != "SUCCEEDED" || d["maxConcurrency"] != 5.0 ||
		d["itemCounts"].(map[string]any)["resultsWritten"] != 5.0 ||
		d["executionCounts"].(map[string]any)["resultsWritten"] != 5.0 {
		t.Fatalf("%v", d)
	}
}

func TestActivityTaskSurvivesARestart(t *testing.T) {
	w := virtual(t)
	activity := w.call("CreateActivity", map[string]any{"name": "work"})["activityArn"].(string)
	e := w.start(w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+activity+`","HeartbeatSeconds":30,"TimeoutSeconds":100,"End":true}}}`), "e", `{"x":1}`)
	w.sched.RunFor(50 * time.Second) // no heartbeat before a worker has it
	w.restart()
	task := w.call("GetActivityTask", map[string]any{"activityArn": activity, "workerName": "w"})
	if task["input"] != `{"x":1}` {
		t.Fatalf("%v", task)
	}
	w.restart()
	w.call("SendTaskSuccess", map[string]any{"taskToken": task["taskToken"], "output": `2`})
	if d := w.describe(e); d["output"] != `2` {
		t.Fatalf("%v", d)
	}
	before := w.sched.Now()
	if task := w.call("GetActivityTask", map[string]any{"activityArn": activity}); len(task) != 0 ||
		w.sched.Now().Sub(before) != time.Minute {
		t.Fatalf("%v after %v", task, w.sched.Now().Sub(before))
	}
}

// object is a service with a blob in and a blob out.
type objectIO struct {
	Bucket string `json:"Bucket,omitempty"`
	Key    string `json:"Key,omitempty"`
	Body   []byte `json:"Body,omitempty"`
}

// TestNullIsNoPayload: a function that is given null is called with an empty object (recorded by LocalStack on AWS,
// test_state, 14 November 2025).
func TestNullIsNoPayload(t *testing.T) {
	w := virtual(t)
	w.invoke = func(_ string, p map[string]any) (any, *string) { return p, nil }
	e := w.start(w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke",
	 "Parameters":{"FunctionName":"f","Payload.$":"$.p"},"OutputPath":"$.Payload","End":true}}}`), "e", `{"p":null}`)
	w.sched.RunFor(time.Second)
	if d := w.describe(e); d["output"] != `{}` {
		t.Errorf("%v", d)
	}
}

func TestBlobsAreText(t *testing.T) {
	for _, c := range []struct{ body, want string }{{`"plain"`, `"\"plain\""`}, {`{"a":1}`, `"{\"a\":1}"`}, {`1`, `"1"`}} {
		w := virtual(t)
		w.door.Add(awsapi.Service{ID: "s3", Prefix: "s3", Operations: []awsapi.Operation{
			awsapi.Op("PutObject", func(_ context.Context, _ *awsapi.Call, in *objectIO) (*objectIO, error) {
				return in, nil
			}),
		}})
		m := w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:s3:putObject","Parameters":{"Bucket":"b","Key":"k","Body.$":"$"},"OutputPath":"$.Body","End":true}}}`)
		e := w.start(m, "e", c.body)
		w.sched.RunFor(time.Second)
		if d := w.describe(e); d["output"] != c.want {
			t.Errorf("%s: %v", c.body, d)
		}
	}
}

func TestResultsOfAMapRunAreWritten(t *testing.T) {
	w := virtual(t)
	files := map[string]string{}
	type putIO struct {
		Bucket string `json:"Bucket"`
		Key    string `json:"Key"`
		Body   []byte `json:"Body"`
	}
	w.door.Add(awsapi.Service{ID: "s3", Prefix: "s3", Operations: []awsapi.Operation{
		awsapi.Op("PutObject", func(_ context.Context, _ *awsapi.Call, in *putIO) (*putIO, error) {
			files[in.Bucket+"/"+in.Key] = string(in.Body)
			return &putIO{}, nil
		}),
	}})
	m := w.create("m", `{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ToleratedFailureCount":1,"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"b","Prefix":"out"}},
	 "ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"},"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":2,"Next":"F"}],"Default":"P"},"P":{"Type":"Pass","End":true},"F":{"Type":"Fail","Error":"No"}}}}}}`)
	e := w.start(m, "e", `[1,2,3]`)
	w.restart() // the export begins again
	w.sched.RunFor(time.Second)
	d := w.describe(e)
	if d["status"] != "SUCCEEDED" || !strings.Contains(d["output"].(string), `"ResultWriterDetails":{"Bucket":"b","Key":"out/`) {
		t.Fatalf("%v", d)
	}
	var succeeded, failed, manifests int
	for name, body := range files {
		succeeded += strings.Count(body, `"Status":"SUCCEEDED"`)
		failed += strings.Count(body, `"Error":"No"`)
		if strings.HasSuffix(name, "/manifest.json") && strings.Contains(body, "SUCCEEDED_0.json") &&
			strings.Contains(body, "FAILED_0.json") {
			manifests++
		}
	}
	if succeeded != 2 || failed != 1 || manifests != 1 {
		t.Fatalf("%v", files)
	}
}

func TestDeletedMachineGoesWhenItsExecutionsEnd(t *testing.T) {
	w := virtual(t)
	m := w.create("m", `{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$.n","IsPresent":true,"Next":"V"}],
		"Default":"W"},"V":{"Type":"Wait","Seconds":10,"Next":"P"},"P":{"Type":"Pass","End":true},"W":{"Type":"Wait","Seconds":30,
		"End":true}}}`)
	w.start(m, "e", `{}`)
	goesOn := w.start(m, "f", `{"n":1}`)
	w.call("DeleteStateMachine", map[string]any{"stateMachineArn": m})
	if s := w.call("DescribeStateMachine", map[string]any{"stateMachineArn": m})["status"]; s != "DELETING" {
		t.Fatal(s)
	}
	if _, err := w.try("StartExecution", map[string]any{"stateMachineArn": m}); awsapi.Code(err) !=
		"StateMachineDeleting" {
		t.Fatal(err)
	}
	w.sched = scheduler.NewVirtual(9, w.sched.Now())
	next := newWorld(t, w.sched, w.db)
	next.sched.RunFor(20 * time.Second)
	// It ended at its transition, the other one will at its end.
	d := next.describe(goesOn)
	if _, reason := d["error"]; d["status"] != "ABORTED" || reason {
		t.Fatal(d)
	}
	next.sched.RunFor(time.Minute)
	if _, err := next.try("DescribeStateMachine", map[string]any{"stateMachineArn": m}); awsapi.Code(err) !=
		"StateMachineDoesNotExist" {
		t.Fatal(err)
	}
	next.create("m", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":30,"End":true}}}`)
}
