package localcloud_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// queueTemplate is a function with a version and an alias behind a queue, and a
// state machine with a version and an alias. Suffix names the version; the
// timeout changes the function.
func queueTemplate(suffix string, timeout, batch int, comment string) string {
	return fmt.Sprintf(`{"Resources": {
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
			"Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}, "Action": "sts:AssumeRole"}]},
			"Policies": [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:*", "logs:*"], "Resource": "*"}]}}]}},
		"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "letters", "VisibilityTimeout": 60}},
		"F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap",
			"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Timeout": %d, "Code": {"S3Bucket": "assets", "S3Key": "f.zip"}}},
		"Version%s": {"Type": "AWS::Lambda::Version", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": {"FunctionName": {"Ref": "F"}}},
		"Live": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "F"}, "Name": "live", "FunctionVersion": {"Fn::GetAtt": ["Version%s", "Version"]}}},
		"Feed": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}, "FunctionName": {"Ref": "Live"},
			"BatchSize": %d, "FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": {"MaximumConcurrency": 5}}},
		"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineName": "m", "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
			"DefinitionString": "{\"Comment\":\"%s\",\"StartAt\":\"S\",\"States\":{\"S\":{\"Type\":\"Succeed\"}}}"}},
		"MVersion%s": {"Type": "AWS::StepFunctions::StateMachineVersion", "DeletionPolicy": "Retain", "Properties": {"StateMachineArn": {"Ref": "M"},
			"StateMachineRevisionId": {"Fn::GetAtt": ["M", "StateMachineRevisionId"]}}},
		"MLive": {"Type": "AWS::StepFunctions::StateMachineAlias", "Properties": {"Name": "live", "RoutingConfiguration": [
			{"StateMachineVersionArn": {"Ref": "MVersion%s"}, "Weight": 100}]}}
	}, "Outputs": {"Alias": {"Value": {"Ref": "Live"}}, "Version": {"Value": {"Ref": "Version%s"}}, "Mapping": {"Value": {"Ref": "Feed"}},
		"MachineVersion": {"Value": {"Ref": "MVersion%s"}}, "MachineAlias": {"Value": {"Ref": "MLive"}}}}`,
		timeout, suffix, suffix, batch, comment, suffix, suffix, suffix, suffix)
}

func TestAStackMovesItsAliasesToNewVersionsAndKeepsTheOld(t *testing.T) {
	l := newLives(t)
	var ran []string
	l.run = func(_ string, payload []byte) ([]byte, error) {
		var e sqsEvent
		err := json.Unmarshal(payload, &e)
		for _, r := range e.Records {
			ran = append(ran, r.Body)
		}
		return nil, err
	}
	deploy := func(template string) map[string]string {
		t.Helper()
		out, err := l.cloud.Deploy(t.Context(), "s", []byte(template), nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const f = "arn:aws:lambda:us-east-1:123456789012:function:f"
	const m = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
	first := deploy(queueTemplate("A", 10, 10, "one"))
	if first["Alias"] != f+":live" || first["Version"] != f+":1" || first["MachineVersion"] != m+":1" ||
		first["MachineAlias"] != m+":live" {
		t.Fatalf("got %v", first)
	}
	l.send("letters", "before")
	l.sched.RunFor(time.Second)
	second := deploy(queueTemplate("B", 20, 1, "two"))
	if second["Version"] != f+":2" || second["MachineVersion"] != m+":2" || second["Mapping"] != first["Mapping"] {
		t.Fatalf("got %v, before %v", second, first)
	}
	var mapping struct {
		BatchSize          int
		FunctionArn, State string
	}
	l.call("lambda", "GetEventSourceMapping", map[string]any{"UUID": second["Mapping"]}, &mapping)
	if mapping.BatchSize != 1 || mapping.FunctionArn != f+":live" || mapping.State != "Enabled" {
		t.Fatalf("got %+v", mapping)
	}
	var c struct {
		Timeout int
		Version string
	}
	// the old version is retained
	for ref, want := range map[string]string{f + ":1": "{10 1}", f + ":live": "{20 2}"} {
		if l.call("lambda", "GetFunctionConfiguration", map[string]any{"FunctionName": ref}, &c); fmt.Sprint(
			c) != want {
			t.Errorf("%s is %v, want %s", ref, c, want)
		}
	}
	var d struct{ Definition string }
	for ref, want := range map[string]string{m + ":1": "one", m + ":live": "two"} {
		if l.call("sfn", "DescribeStateMachine", map[string]any{"stateMachineArn": ref}, &d); !strings.Contains(
			d.Definition, want) {
			t.Errorf("%s is %s, want %s", ref, d.Definition, want)
		}
	}
	l.send("letters", "after")
	l.sched.RunFor(time.Second)
	if fmt.Sprint(ran) != "[before after]" {
		t.Errorf("ran %v", ran)
	}
	deploy(`{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}`)
	if err := l.try("lambda", "GetEventSourceMapping", map[string]any{"UUID": second["Mapping"]}, nil); err == nil {
		t.Error("the mapping is left over")
	}
}
