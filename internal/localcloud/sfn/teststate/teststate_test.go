package teststate

import (
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

const (
	pass     = `{"Type":"Pass","End":true}`
	get      = `{"Type":"Task","Resource":"arn:aws:states:::dynamodb:getItem","End":true}`
	started  = `{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync","End":true}`
	callback = `{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.waitForTaskToken",` +
		`"Parameters":{"QueueUrl":"q","MessageBody.$":"$$.Task.Token"},"End":true}`
	parallel = `{"Type":"Parallel","Branches":[{"StartAt":"A","States":{"A":` + pass + `}}],"End":true}`
	each     = `{"Type":"Map","ItemProcessor":{"StartAt":"A","States":{"A":` + pass + `}},"End":true}`
)

// TestRequests: what may be asked; a want of "" is no refusal, otherwise it begins with AWS's code.
func TestRequests(t *testing.T) {
	n, two, one := 1, 2, "1"
	mock := func(result string) *Mock { return &Mock{Result: &result} }
	failing := &Mock{ErrorOutput: &ErrorOutput{Error: &one}}
	both := *failing
	both.Result = &one
	text := func(s string) *string { return &s }
	machine := `{"StartAt":"A","States":{"A":` + pass + `}}`
	for _, tt := range []struct {
		in   Input
		want string
	}{
		{Input{Definition: pass}, ""},
		{Input{Definition: `{"Type":"Rest"}`}, "InvalidDefinition: "},
		{Input{Definition: machine, StateName: "A"}, ""},
		{Input{Definition: machine, StateName: "B"}, "ValidationException: State not found in definition"},
		{Input{Definition: `{}`, StateName: "A"}, "InvalidDefinition: "},
		{Input{Definition: pass, Input: text("{")}, "InvalidExecutionInput: Invalid State Machine Execution Input"},
		{Input{Definition: pass, Variables: text("[]")},
			"ValidationException: Invalid variables: must be a JSON object"},

		{Input{Definition: pass, Context: text("{}")}, "ValidationException: TestState does not support Context when"},
		{Input{Definition: pass, Configuration: &Configuration{RetrierRetryCount: 1}},
			"ValidationException: TestState does not support RetrierRetryCount when"},
		{Input{Definition: pass, Configuration: &Configuration{MapIterationFailureCount: &n}},
			"ValidationException: TestState does not support MapIterationFailureCount when"},
		{Input{Definition: pass, Configuration: &Configuration{ErrorCausedByState: "A"}},
			"ValidationException: TestState does not support ErrorCausedByState when"},
		{Input{Definition: pass, Configuration: &Configuration{MapItemReaderData: &one}},
			"ValidationException: TestState does not support MapItemReaderData when"},
		{Input{Definition: parallel}, "InvalidDefinition: TestState API does not support Map or Parallel"},
		{Input{Definition: get}, "ValidationException: RoleArn must be specified"},
		{Input{Definition: callback, RoleARN: "r"}, "InvalidDefinition: TestState API does not support activities"},
		{Input{Definition: get, RoleARN: "r"}, ""},

		{Input{Definition: pass, Mock: mock("{}")}, "ValidationException: State type 'Pass' is not supported"},
		{Input{Definition: get, Mock: mock("{}"), RevealSecrets: true},
			"ValidationException: TestState does not support R"},
		{Input{Definition: get, Mock: &Mock{}}, "ValidationException: A test mock should have one of"},
		{Input{Definition: get, Mock: &both}, "ValidationException: A test mock should have only one of"},
		{Input{Definition: get, Mock: failing}, ""},
		{Input{Definition: get, Mock: mock("{")}, "ValidationException: Mocked result must be valid JSON"},
		{Input{Definition: get, Mock: mock(`{"Item":1}`)}, "ValidationException: Mock result schema validation error"},
		{Input{Definition: get, Mock: &Mock{Result: text(`{"Item":1}`), FieldValidationMode: "NONE"}}, ""},
		{Input{Definition: started, Mock: mock(`{"ExecutionArn":"a"}`)}, "ValidationException: Mock result schema"},
		{Input{Definition: callback, Mock: mock(`7`)}, ""},
		{Input{Definition: parallel, Mock: mock(`{}`)}, "ValidationException: Mocked result must be an array."},
		{Input{Definition: parallel, Mock: mock(`[1,2]`)}, "ValidationException: Mocked result must contain the same"},
		{Input{Definition: parallel, Mock: mock(`[1]`)}, ""},
		{Input{Definition: each, Mock: mock(`{}`)}, "ValidationException: Mocked result must be an array."},
		{Input{Definition: each, Mock: mock(`[]`), Configuration: &Configuration{MapItemReaderData: text("{")}},
			"ValidationException: MapItemReaderData must be valid JSON."},

		{Input{Definition: get, Mock: mock("{}"), Context: text("[]")}, "ValidationException: Invalid context"},
		{Input{Definition: get, Mock: mock("{}"), Context: text(`{"State":1}`)},
			"ValidationException: Invalid Context object provided: State must be a JSON object"},
		{Input{Definition: get, Mock: mock("{}"), Context: text(`{"State":{"RetryCount":"1"}}`)},
			"ValidationException: Invalid Context object provided: State.RetryCount must be a number"},
		{Input{Definition: callback, Mock: mock("{}"), Context: text(`{"Task":{"Token":1}}`)},
			"ValidationException: Invalid Context object provided: Task.Token must be a string"},
		{Input{Definition: callback, Mock: mock("{}"), Context: text(`{"Task":{"Token":"t"},"Execution":{"Input":1}}`)},
			""},
		// Recorded by LocalStack on AWS (test_state/test_state_context_object, 3 December 2025).
		{Input{Definition: get, Mock: mock("{}"), Context: text(`{"Task":{"Token":"t"}}`)},
			"ValidationException: Invalid Context object provided: Context object contains 'Task' when state is not " +
				"a Task state with a '.sync' or '.waitForTaskToken' service integration pattern"},
		{Input{Definition: each, Mock: mock("[]"), Context: text(`{"Map":{"Item":{"Index":0}}}`)},
			"ValidationException: Invalid Context object provided: 'Map' field is not supported when mocking a " +
				"Context object"},
		{Input{Definition: get, Mock: mock("{}"), Context: text(`{"Mine":{}}`)},
			"ValidationException: Invalid Context object provided: Field 'Mine' is not allowed"},
		{Input{Definition: get, Mock: mock("{}"), Context: text(`{"StateMachine":{"Id":"i","Version":1}}`)},
			"ValidationException: Invalid Context object provided: Field 'Version' is not allowed"},
		// Likewise (test_state/test_state_mock_validation, March 2026).
		{Input{Definition: each, Mock: mock(`[1]`), Configuration: &Configuration{MapIterationFailureCount: &two}},
			"ValidationException: Map iteration failure count must be less than or equal to the number of Map " +
				"iterations"},
		{Input{Definition: each, Mock: mock(`[1]`), Configuration: &Configuration{MapIterationFailureCount: &n}}, ""},
		{Input{Definition: `{"Type":"Parallel","Branches":[],"End":true}`, Mock: mock(`[]`)},
			"InvalidDefinition: Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: Value cannot be empty " +
				"at /States/StateName/Branches'"},
	} {
		test, err := New(&tt.in)
		got := ""
		if err != nil {
			e := awsapi.AsError(err)
			got = e.Code + ": " + e.Message
		}
		if tt.want == "" && (err != nil || test.Single.State == "") || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%+v: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestOutput(t *testing.T) {
	retry, backoff := 1, 2.5
	res := &asl.SingleResult{
		Status: "RETRIABLE", Next: "B", Output: asl.TextData(`{"a":1}`), RetryIndex: &retry, Backoff: &backoff,
		Inspection: document.NewObject(
			document.Member{Name: "input", Value: document.NewObject(document.Member{Name: "x", Value: "y"})},
			document.Member{Name: "result", Value: []any{"a", "b"}},
			document.Member{Name: "maxConcurrency", Value: document.Int(3)},
		),
		Written: map[string]string{"result": `["a", "b"]`},
	}
	if out := OutputOf(res, "INFO"); *out.Output != `{"a":1}` || out.NextState != "B" || out.Inspection != nil {
		t.Errorf("got %+v", out)
	}
	got := OutputOf(res, "DEBUG").Inspection
	details, _ := got["errorDetails"].(map[string]any)
	if got["input"] != `{"x":"y"}` || got["result"] != `["a", "b"]` || got["maxConcurrency"] != document.Int(3) || details["retryIndex"] != 1 ||
		details["retryBackoffIntervalSeconds"] == nil {
		t.Errorf("got %v", got)
	}
}
