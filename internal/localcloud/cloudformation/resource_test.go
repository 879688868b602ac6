package cloudformation

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// TestTypesThatOurTemplateLacks makes and deletes one resource of each further type.
func TestTypesThatOurTemplateLacks(t *testing.T) {
	for _, c := range []struct{ name, resource, create, remove string }{
		{"managed policy",
			`"Type": "AWS::IAM::ManagedPolicy", "Properties": {"ManagedPolicyName": "p", "PolicyDocument": {"Version": "2012-10-17"}, "Roles": ["r"]}`,
			`iam:CreatePolicy {"PolicyDocument":"{\"Version\":\"2012-10-17\"}","PolicyName":"p"} iam:AttachRolePolicy {"PolicyArn":"arn:aws:iam::123456789012:policy/p","RoleName":"r"}`,
			`iam:DetachRolePolicy {"PolicyArn":"arn:aws:iam::123456789012:policy/p","RoleName":"r"} iam:DeletePolicy {"PolicyArn":"arn:aws:iam::123456789012:policy/p"}`},
		{"inline policy",
			`"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17"}, "Roles": ["r", "s"]}`,
			`iam:PutRolePolicy {"PolicyDocument":"{\"Version\":\"2012-10-17\"}","PolicyName":"p","RoleName":"r"} iam:PutRolePolicy {"PolicyDocument":"{\"Version\":\"2012-10-17\"}","PolicyName":"p","RoleName":"s"}`,
			`iam:DeleteRolePolicy {"PolicyName":"p","RoleName":"r"} iam:DeleteRolePolicy {"PolicyName":"p","RoleName":"s"}`},
		{"role with a managed policy",
			`"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": {}, "MaxSessionDuration": "7200", "ManagedPolicyArns": ["a"]}`,
			`iam:CreateRole {"AssumeRolePolicyDocument":"{}","MaxSessionDuration":7200,"RoleName":"r"} iam:AttachRolePolicy {"PolicyArn":"a","RoleName":"r"}`,
			`iam:DetachRolePolicy {"PolicyArn":"a","RoleName":"r"} iam:DeleteRole {"RoleName":"r"}`},
		{"queue policy",
			`"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": ["http://q"], "PolicyDocument": {"Version": "2012-10-17"}}`,
			`sqs:SetQueueAttributes {"Attributes":{"Policy":"{\"Version\":\"2012-10-17\"}"},"QueueUrl":"http://q"}`,
			`sqs:SetQueueAttributes {"Attributes":{"Policy":""},"QueueUrl":"http://q"}`},
		{"queue",
			`"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "VisibilityTimeout": 30, "RedrivePolicy": {"maxReceiveCount": 3}, "Tags": [{"Key": "a", "Value": "b"}]}`,
			`sqs:CreateQueue {"Attributes":{"RedrivePolicy":"{\"maxReceiveCount\":3}","VisibilityTimeout":"30"},"QueueName":"q","tags":{"a":"b"}}`,
			`sqs:DeleteQueue {"QueueUrl":"http://localhost:4566/123456789012/q"}`},
		{"subscription",
			`"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": "t", "Protocol": "lambda", "Endpoint": "f", "RawMessageDelivery": "true", "FilterPolicy": {"event": ["x"]}}`,
			`sns:Subscribe {"Attributes":{"FilterPolicy":"{\"event\":[\"x\"]}","RawMessageDelivery":"true"},"Endpoint":"f","Protocol":"lambda","ReturnSubscriptionArn":true,"TopicArn":"t"}`,
			`sns:Unsubscribe {"SubscriptionArn":"t:f"}`},
		{"async settings of a function",
			`"Type": "AWS::Lambda::EventInvokeConfig", "Properties": {"FunctionName": "f", "Qualifier": "$LATEST", "MaximumRetryAttempts": 0}`,
			`lambda:PutFunctionEventInvokeConfig {"FunctionName":"f","MaximumRetryAttempts":0,"Qualifier":"$LATEST"}`,
			`lambda:DeleteFunctionEventInvokeConfig {"FunctionName":"f","Qualifier":"$LATEST"}`},
		{"function with reserved concurrency",
			`"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "Role": "r", "Code": {"S3Bucket": "b", "S3Key": "k"}, "ReservedConcurrentExecutions": 5, "Tags": [{"Key": "a", "Value": "b"}]}`,
			`lambda:CreateFunction {"Code":{"S3Bucket":"b","S3Key":"k"},"FunctionName":"f","Role":"r","Tags":{"a":"b"}} lambda:PutFunctionConcurrency {"FunctionName":"f","ReservedConcurrentExecutions":5}`,
			`lambda:DeleteFunction {"FunctionName":"f"}`},
		{"rule that republishes",
			`"Type": "AWS::IoT::TopicRule", "Properties": {"TopicRulePayload": {"Sql": "SELECT 1", "Actions": [{"Republish": {"Topic": "t", "RoleArn": "r", "Qos": "1", "Headers": {"UserProperties": [{"Key": "k", "Value": "v"}]}}}, {"DynamoDBv2": {"PutItem": {"TableName": "t"}}}]}}`,
			`iot:CreateTopicRule {"ruleName":"fleetstep_R_NAME","topicRulePayload":{"actions":[{"republish":{"headers":{"userProperties":[{"key":"k","value":"v"}]},"qos":1,"roleArn":"r","topic":"t"}},{"dynamoDBv2":{"putItem":{"tableName":"t"}}}],"sql":"SELECT 1"}}`,
			`iot:DeleteTopicRule {"ruleName":"fleetstep_R_NAME"}`},
		{"table with a stream",
			`"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "t", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "StreamSpecification": {"StreamViewType": "KEYS_ONLY"}}`,
			`dynamodb:CreateTable {"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"},"TableName":"t"} dynamodb:DescribeTable {"TableName":"t"}`,
			`dynamodb:DeleteTable {"TableName":"t"}`},
		{"state machine from an object",
			`"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineName": "m", "RoleArn": "r", "Definition": {"Comment": "${Who}"}, "DefinitionSubstitutions": {"Who": "you"}}`,
			`sfn:CreateStateMachine {"definition":"{\"Comment\":\"you\"}","name":"m","roleArn":"r"}`,
			`sfn:DeleteStateMachine {"stateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:m"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, store.Memory())
			w.deploy(t, `{"Resources": {"R": {`+c.resource+`}}}`)
			if got := w.cloud.story(); got != c.create {
				t.Errorf("made by\n%s\nwant\n%s", got, c.create)
			}
			w.cloud.calls = nil
			if err := w.Delete(context.Background(), root, "fleetstep"); err != nil {
				t.Fatal(err)
			}
			if got := w.cloud.story(); got != c.remove {
				t.Errorf("deleted by\n%s\nwant\n%s", got, c.remove)
			}
		})
	}
}

// story is what was called with what, generated suffixes left out.
func (r *recorder) story() string {
	var lines []string
	for _, c := range r.calls {
		b, _ := json.Marshal(c.Input)
		line := c.name() + " " + string(b)
		if i := strings.Index(line, "fleetstep_R_"); i >= 0 {
			line = line[:i] + "fleetstep_R_NAME" + line[i+len("fleetstep_R_")+12:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, " ")
}

// TestPolicyKeepsOneVersion changes a policy of AWS IoT that has old versions.
func TestPolicyKeepsOneVersion(t *testing.T) {
	const body = `{"Resources": {"P": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Id": "1"}}}}}`
	w := newWorld(t, store.Memory())
	w.deploy(t, body)
	w.deploy(t, strings.Replace(body, `"1"`, `"2"`, 1))
	if got := w.cloud.names(); !slices.Equal(got, []string{"iot:ListPolicyVersions", "iot:CreatePolicyVersion"}) {
		t.Errorf("called %v", got)
	}
	if in := w.cloud.of("iot:CreatePolicyVersion")[0].Input; in["setAsDefault"] != true || in["policyName"] != "p" {
		t.Errorf("input %v", in)
	}
}

// TestReplacementBringsBackWhatHungOnIt: a permission goes with its function and must be given again.
func TestReplacementBringsBackWhatHungOnIt(t *testing.T) {
	const body = `{"Resources": {
		"F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "PackageType": "Zip", "Role": "r", "Code": {}}},
		"P": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "F"}, "Principal": "iot.amazonaws.com"}}
	}}`
	w := newWorld(t, store.Memory())
	w.deploy(t, body)
	w.deploy(t, strings.Replace(body, "Zip", "Image", 1))
	if got := w.cloud.names(); !slices.Equal(got, []string{"lambda:DeleteFunction", "lambda:CreateFunction", "lambda:AddPermission"}) {
		t.Errorf("called %v", got)
	}
}

// dump writes the calls to the file that CLOUDFORMATION_CALLS names, if it does.
func dump(t *testing.T, calls []call) {
	t.Helper()
	name := os.Getenv("CLOUDFORMATION_CALLS")
	if name == "" {
		return
	}
	b, err := json.Marshal(calls)
	if err == nil {
		err = os.WriteFile(name, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
