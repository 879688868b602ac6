package sfn

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// TestRequestsAreChecked: requests that are refused, and how.
func TestRequestsAreChecked(t *testing.T) {
	w := virtual(t)
	m := w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}`)
	version := w.call("PublishStateMachineVersion", map[string]any{"stateMachineArn": m})["stateMachineVersionArn"]
	route := func(weights ...int) []map[string]any {
		var out []map[string]any
		for _, n := range weights {
			out = append(out, map[string]any{"stateMachineVersionArn": version, "weight": n})
		}
		return out
	}
	e := w.start(m, "e", `{}`)
	long := strings.Repeat("x", 81)
	pass, wait := `{"Type":"Pass","End":true}`, `{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync:2","End":true}`
	for _, c := range []struct {
		name, op string
		in       map[string]any
		want     string
	}{
		{"an alias that is a number", "CreateStateMachineAlias", map[string]any{"name": "12",
			"routingConfiguration": route(100)},
			`ValidationException: 1 validation error detected: Value '12' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`},
		{"an alias with a blank", "CreateStateMachineAlias", map[string]any{"name": "a b",
			"routingConfiguration": route(100)},
			`ValidationException: 1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`},
		{"weights", "CreateStateMachineAlias", map[string]any{"name": "a", "routingConfiguration": route(50)},
			"ValidationException: Sum of routing configuration weights must equal 100. Received: [50]"},
		{"one version twice", "CreateStateMachineAlias", map[string]any{"name": "a",
			"routingConfiguration": route(50, 50)},
			"ValidationException: Routing configuration must contain distinct state machine version ARNs. " +
				"Received: [" + version.(string) + ", " + version.(string) + "]"},
		{"a route to no version", "CreateStateMachineAlias", map[string]any{"name": "a", "routingConfiguration": []any{
			map[string]any{"stateMachineVersionArn": m, "weight": 50},
			map[string]any{"stateMachineVersionArn": version, "weight": 50}}},
			"ValidationException: Routing configuration must contain state machine version ARNs. " +
				"Received: [" + m + ", " + version.(string) + "]"},
		{"a status in small letters", "ListExecutions", map[string]any{"stateMachineArn": m, "statusFilter": "failed"},
			"ValidationException: 1 validation error detected: Value 'failed' at 'statusFilter' failed to satisfy " +
				"constraint: Member must satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, " +
				"FAILED, RUNNING]"},
		{"neither token nor JSON", "SendTaskSuccess", map[string]any{"taskToken": "t", "output": "o"},
			"InvalidToken: Invalid Token: 'Invalid token'"},
		{"the ARN of a Map state", "StartExecution", map[string]any{"stateMachineArn": m + "/label"},
			"ValidationException: The operation does not support the ARN of a Map state: '" + m + "/label'"},
		{"a description of nothing", "UpdateStateMachine", map[string]any{"stateMachineArn": m, "roleArn": role,
			"versionDescription": "x"},
			"ValidationException: Version description can only be set when publish is true"},
		{"a key without its name", "UpdateStateMachine", map[string]any{"stateMachineArn": m,
			"encryptionConfiguration": map[string]any{"type": "CUSTOMER_MANAGED_KMS_KEY"}},
			"InvalidEncryptionConfiguration: Invalid Encryption Configuration: kmsKeyId must be set with the type " +
				"CUSTOMER_MANAGED_KMS_KEY."},
		{"a long error", "StopExecution", map[string]any{"executionArn": e, "error": strings.Repeat("x", 257)},
			"ValidationException: 1 validation error detected: Value at 'error' failed to satisfy constraint: " +
				"Member must have length less than or equal to 256"},
		{"a name that Unicode has not", "CreateActivity", map[string]any{"name": "a\uffff"},
			"InvalidName: Invalid Name: 'a\uffff'"},
		{"nothing to list", "ListExecutions", map[string]any{},
			"ValidationException: Must provide a StateMachine ARN or MapRun ARN"},
		{"two things to list", "ListExecutions", map[string]any{"stateMachineArn": m, "mapRunArn": m},
			"ValidationException: Must provide a StateMachine ARN or MapRun ARN"},
		{"a long name", "StartExecution", map[string]any{"stateMachineArn": m, "name": long},
			"ValidationException: 1 validation error detected: Value '" + long + "' at 'name' failed to satisfy " +
				"constraint: Member must have length less than or equal to 80"},
		{"three mistakes", "CreateStateMachine", map[string]any{"definition": passMachine, "roleArn": role,
			"type":                    "FAST",
			"encryptionConfiguration": map[string]any{"type": "NONE"}},
			"ValidationException: 3 validation errors detected: Value '' at 'name' failed to satisfy constraint: " +
				"Member " +
				"must have length greater than or equal to 1; Value 'FAST' at 'type' failed to satisfy " +
				"constraint: Member " +
				"must satisfy enum value set: [STANDARD, EXPRESS]; Value 'NONE' at 'encryptionConfiguration.type' " +
				"failed " +
				"to satisfy constraint: Member must satisfy enum value set: [AWS_OWNED_KEY, " +
				"CUSTOMER_MANAGED_KMS_KEY]"},
		{"three routes", "CreateStateMachineAlias", map[string]any{"name": "a", "routingConfiguration": route(30,
			30, 40)},
			"ValidationException: 1 validation error detected: Value " +
				"'[RoutingConfigurationListItem(stateMachineVersionArn=" + version.(string) +
				", weight=30), RoutingConfigurationListItem(stateMachineVersionArn=" + version.(string) + ", " +
				"weight=30), " +
				"RoutingConfigurationListItem(stateMachineVersionArn=" + version.(string) + ", weight=40)]' at " +
				"'routingConfiguration' failed to " +
				"satisfy constraint: Member must have length less than or equal to 2"},
		{"no routes", "CreateStateMachineAlias", map[string]any{"name": "a"},
			"ValidationException: 1 validation error detected: Value null at 'routingConfiguration' failed to " +
				"satisfy " +
				"constraint: Member must not be null"},
		{"a negative weight", "CreateStateMachineAlias", map[string]any{"name": "a",
			"routingConfiguration": route(-1)},
			"ValidationException: 1 validation error detected: Value '-1' at " +
				"'routingConfiguration.1.member.weight' failed " +
				"to satisfy constraint: Member must have value greater than or equal to 0"},
		{"a level that there is not", "CreateStateMachine", map[string]any{"name": "l", "definition": passMachine,
			"roleArn": role, "loggingConfiguration": map[string]any{"level": "SOME"}},
			"ValidationException: 1 validation error detected: Value 'SOME' at 'loggingConfiguration.level' " +
				"failed to " +
				"satisfy constraint: Member must satisfy enum value set: [ALL, ERROR, FATAL, OFF]"},
		{"a tag without a key", "TagResource", map[string]any{"resourceArn": m,
			"tags": []any{map[string]any{"value": "v"}}},
			"ValidationException: 1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy " +
				"constraint: Member must have length greater than or equal to 1"},
		{"no token", "SendTaskSuccess", map[string]any{},
			"ValidationException: 2 validation errors detected: Value '' at 'taskToken' failed to satisfy " +
				"constraint: Member " +
				"must have length greater than or equal to 1; Value null at 'output' failed to satisfy " +
				"constraint: Member " +
				"must not be null"},
		{"a way to check mocks that there is not", "TestState", map[string]any{"definition": wait,
			"mock": map[string]any{
				"result": "{}", "fieldValidationMode": "LAX"}},
			"ValidationException: 1 validation error detected: Value 'LAX' at 'mock.fieldValidationMode' failed " +
				"to satisfy " +
				"constraint: Member must satisfy enum value set: [STRICT, PRESENT, NONE]"},
		{"a filter that there is not", "ListExecutions", map[string]any{"stateMachineArn": m, "redriveFilter": "X"},
			"ValidationException: 1 validation error detected: Value 'X' at 'redriveFilter' failed to satisfy " +
				"constraint: Member must satisfy enum value set: [REDRIVEN, NOT_REDRIVEN]"},
		{"a context without a mock", "TestState", map[string]any{"definition": pass, "context": "{}"},
			"ValidationException: TestState does not support Context when a mock is not specified."},
		{"retries without a mock", "TestState", map[string]any{"definition": pass,
			"stateConfiguration": map[string]any{"retrierRetryCount": 1}},
			"ValidationException: TestState does not support RetrierRetryCount when a mock is not specified."},
		{"two mocks", "TestState", map[string]any{"definition": wait, "mock": map[string]any{"result": "{}",
			"errorOutput": map[string]any{"error": "E"}}},
			"ValidationException: A test mock should have only one of the following fields: [result, errorOutput]."},
		{"the end of a job that says too little", "TestState", map[string]any{"definition": wait, "mock": map[string]any{"result": `{"ExecutionArn":"a"}`}},
			"ValidationException: Mock result schema validation error: Required field 'StateMachineArn' is missing"},
		{"a job's output that is not text", "TestState", map[string]any{"definition": wait, "mock": map[string]any{"result": `{"Output":{}}`, "fieldValidationMode": "PRESENT"}},
			"ValidationException: Mock result schema validation error: Field 'Output' must be a string"},
		{"a context with text for a number", "TestState", map[string]any{"definition": wait, "context": `{"State":{"RetryCount":"1"}}`, "mock": map[string]any{"errorOutput": map[string]any{"error": "E"}}},
			"ValidationException: Invalid Context object provided: State.RetryCount must be a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.try(c.op, c.in)
			if err == nil {
				t.Fatal("not refused")
			}
			if e := awsapi.AsError(err); e.Code+": "+e.Message != c.want {
				t.Errorf("got  %s: %s\nwant %s", e.Code, e.Message, c.want)
			}
		})
	}
}

func TestMetadataOnly(t *testing.T) {
	w := virtual(t)
	m := w.create("m", `{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}`)
	e := w.start(m, "e", `{"x":1}`)
	w.sched.RunFor(time.Second)
	d := w.call("DescribeExecution", map[string]any{"executionArn": e, "includedData": "METADATA_ONLY"})
	if d["input"] != nil || d["output"] != nil || d["outputDetails"].(map[string]any)["included"] != false ||
		d["status"] != "SUCCEEDED" {
		t.Errorf("%v", d)
	}
	if d := w.call("DescribeStateMachine", map[string]any{"stateMachineArn": m,
		"includedData": "METADATA_ONLY"}); d["definition"] != "{}" {
		t.Errorf("%v", d)
	}
}

// TestMachineIsMadeOnce: the same request again is answered again, however its definition is written; another role and
// other tags are left aside.
//
// Source: Step Functions API reference, CreateStateMachine (read 2026-12).
func TestMachineIsMadeOnce(t *testing.T) {
	const (
		plain = `{"StartAt":"A","States":{"A":{"Type":"Pass","Result":{"x":1,"y":[1,2]},"End":true}}}`
		wide  = `{ "StartAt" : "A",
			"States": {"A": {"Type": "Pass", "Result": {"x": 1, "y": [1, 2]}, "End": true}}}`
		other = `{"States":{"A":{"End":true,"Result":{"y":[1,2],"x":1.0},"Type":"P\u0061ss"}},"StartAt":"A"}`
		turns = `{"StartAt":"A","States":{"A":{"Type":"Pass","Result":{"x":1,"y":[2,1]},"End":true}}}`
	)
	w := virtual(t)
	first := w.call("CreateStateMachine", map[string]any{"name": "m", "definition": plain, "roleArn": role})
	w.sched.RunFor(time.Second)
	for _, c := range []struct {
		name string
		in   map[string]any
		code string
	}{
		{"as it was", map[string]any{"definition": plain}, ""},
		{"with blanks", map[string]any{"definition": wide}, "StateMachineAlreadyExists"},
		{"in another order", map[string]any{"definition": other}, "StateMachineAlreadyExists"},
		{"with another role and tags", map[string]any{"definition": plain, "roleArn": role + "2",
			"tags": []any{map[string]any{"key": "k", "value": "v"}}}, ""},
		{"of the same type", map[string]any{"definition": plain, "type": "STANDARD"}, ""},
		{"with another definition", map[string]any{"definition": turns}, "StateMachineAlreadyExists"},
		{"of another type", map[string]any{"definition": plain, "type": "EXPRESS"}, "StateMachineAlreadyExists"},
		{"with tracing", map[string]any{"definition": plain, "tracingConfiguration": map[string]any{"enabled": true}},
			"StateMachineAlreadyExists"},
	} {
		in := map[string]any{"name": "m", "roleArn": role}
		for k, v := range c.in {
			in[k] = v
		}
		again, err := w.try("CreateStateMachine", in)
		if awsapi.Code(err) != c.code || c.code == "" && mustJSON(again) != mustJSON(first) {
			t.Errorf("%s: %v, %v", c.name, again, err)
		}
	}
	d := w.call("DescribeStateMachine", map[string]any{"stateMachineArn": first["stateMachineArn"]})
	if d["definition"] != plain || d["roleArn"] != role {
		t.Errorf("%v", d)
	}
}

func TestReasonsOfRefusals(t *testing.T) {
	w := virtual(t)
	m := w.create("m", passMachine)
	version := w.call("PublishStateMachineVersion", map[string]any{"stateMachineArn": m})["stateMachineVersionArn"]
	other := w.call("PublishStateMachineVersion", map[string]any{"stateMachineArn": w.create("n",
		passMachine)})["stateMachineVersionArn"]
	route := func(arn any, weight int) map[string]any {
		return map[string]any{"stateMachineVersionArn": arn, "weight": weight}
	}
	alias := w.call("CreateStateMachineAlias", map[string]any{"name": "live",
		"routingConfiguration": []any{route(version, 100)}})["stateMachineAliasArn"]
	for _, c := range []struct {
		op   string
		in   map[string]any
		want any
	}{
		{"CreateStateMachineAlias", map[string]any{"name": "a", "routingConfiguration": []any{route(version, 99)}},
			"INVALID_ROUTING_CONFIGURATION"},
		{"CreateStateMachineAlias", map[string]any{"name": "a", "routingConfiguration": []any{route(m, 100)}},
			"INVALID_ROUTING_CONFIGURATION"},
		{"CreateStateMachineAlias", map[string]any{"name": "a", "routingConfiguration": []any{route(version, 50),
			route(other, 50)}}, "INVALID_ROUTING_CONFIGURATION"},
		{"UpdateStateMachineAlias", map[string]any{"stateMachineAliasArn": alias,
			"routingConfiguration": []any{route(other, 100)}}, "INVALID_ROUTING_CONFIGURATION"},
		{"UpdateStateMachineAlias", map[string]any{"stateMachineAliasArn": alias}, "MISSING_REQUIRED_PARAMETER"},
		{"ListExecutions", map[string]any{}, "MISSING_REQUIRED_PARAMETER"},
		{"DescribeStateMachine", map[string]any{"stateMachineArn": m + "/label"}, "API_DOES_NOT_SUPPORT_LABELED_ARNS"},
		{"ListExecutions", map[string]any{"stateMachineArn": m, "maxResults": 1001}, nil},
	} {
		_, err := w.try(c.op, c.in)
		if e := awsapi.AsError(err); err == nil || e.Code != "ValidationException" || e.Fields["reason"] != c.want {
			t.Errorf("%s %v: %v, want %v", c.op, c.in, err, c.want)
		}
	}
}
