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

// TestReplacementTakesWhatHangsOnItAlong: a permission names its function and is given again with it.
func TestReplacementTakesWhatHangsOnItAlong(t *testing.T) {
	const body = `{"Resources": {
		"F": {"Type": "AWS::Lambda::Function", "Properties": {"PackageType": "Zip", "Role": "r", "Code": {}}},
		"P": {"Type": "AWS::Lambda::Permission", "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "F"}, "Principal": "iot.amazonaws.com"}}
	}}`
	w := newWorld(t, store.Memory())
	w.deploy(t, body)
	w.deploy(t, strings.Replace(body, "Zip", "Image", 1))
	want := []string{"lambda:CreateFunction", "lambda:AddPermission", "lambda:RemovePermission",
		"lambda:DeleteFunction"}
	if got := w.cloud.names(); !slices.Equal(got, want) {
		t.Errorf("called %v, want %v", got, want)
	}
	if old, new := w.cloud.of("lambda:DeleteFunction")[0],
		w.cloud.of("lambda:CreateFunction")[0]; old.Input["FunctionName"] == new.Input["FunctionName"] {
		t.Errorf("the new function has the name of the old one: %v", new.Input["FunctionName"])
	}
}

// TestNamedResourceIsNotReplaced: a new one cannot have the name while the old one has it.
func TestNamedResourceIsNotReplaced(t *testing.T) {
	const body = `{"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "PackageType": "Zip", "Role": "r", "Code": {}}}}}`
	w := newWorld(t, store.Memory())
	w.deploy(t, body)
	_, err := w.tryDeploy(strings.Replace(body, "Zip", "Image", 1))
	const want = "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename f " +
		"and update the stack again."
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if len(w.cloud.calls) != 0 {
		t.Errorf("called %v", w.cloud.names())
	}
}

// TestCustomNamedResourceIsNotReplaced: AWS makes the new resource before it deletes the old one,
// and both cannot have the name that the template gives.
func TestCustomNamedResourceIsNotReplaced(t *testing.T) {
	for _, c := range []struct{ name, resource, from, to string }{
		{"job template", `"Type": "AWS::IoT::JobTemplate", "Properties": {"JobTemplateId": "n", "Description": "first"}`, "first", "second"},
		{"job template's nested property", `"Type": "AWS::IoT::JobTemplate", "Properties": {"JobTemplateId": "n", "Description": "d",
			"TimeoutConfig": {"InProgressTimeoutInMinutes": 1440}}`, "1440", "720"},
		{"function", `"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "n", "PackageType": "Zip", "Role": "r", "Code": {}}`, "Zip", "Image"},
		{"state machine", `"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineName": "n", "StateMachineType": "STANDARD",
			"RoleArn": "r", "DefinitionString": "{}"}`, "STANDARD", "EXPRESS"},
		{"table", `"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "n", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}]}`, `"a"`, `"b"`},
		{"role", `"Type": "AWS::IAM::Role", "Properties": {"RoleName": "n", "Path": "/a/", "AssumeRolePolicyDocument": {}}`, "/a/", "/b/"},
	} {
		w := newWorld(t, store.Memory())
		body := `{"Resources": {"R": {` + c.resource + `}}}`
		w.deploy(t, body)
		_, err := w.tryDeploy(strings.Replace(body, c.from, c.to, 1))
		const want = "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename " +
			"n and update the stack again."
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if len(w.cloud.calls) != 0 {
			t.Errorf("%s: called %v", c.name, w.cloud.names())
		}
		w.deploy(t, strings.NewReplacer(c.from, c.to, `"n"`, `"m"`).Replace(body))
	}
}

// createOnly are the properties whose change replaces a resource, as the schemas of
// CloudFormation's resource types have them (createOnlyProperties and KeySchema's conditional one;
// those of us-east-1 in cfn-lint 1.51.0, 2026-11), as far as this package has the property.
// Subscriptions are left out: what AWS changes in place is made anew here.
var createOnly = map[string]string{
	"AWS::CloudWatch::Alarm":     "AlarmName",
	"AWS::CloudWatch::Dashboard": "DashboardName",
	"AWS::DynamoDB::Table":       "KeySchema LocalSecondaryIndexes TableName",
	"AWS::IAM::Role":             "Path RoleName",
	"AWS::IoT::JobTemplate": "AbortConfig Description Document DocumentSource JobArn " +
		"JobExecutionsRetryConfig JobExecutionsRolloutConfig JobTemplateId MaintenanceWindows PresignedUrlConfig " +
		"TimeoutConfig",
	"AWS::IoT::Policy":               "PolicyName",
	"AWS::IoT::TopicRule":            "RuleName",
	"AWS::Lambda::EventInvokeConfig": "FunctionName Qualifier",
	"AWS::Lambda::Function":          "FunctionName PackageType",
	"AWS::Lambda::Permission": "Action EventSourceToken FunctionName Principal PrincipalOrgID " +
		"SourceAccount SourceArn",
	"AWS::Logs::LogGroup":              "LogGroupName",
	"AWS::S3::Bucket":                  "BucketName",
	"AWS::S3::BucketPolicy":            "Bucket",
	"AWS::SNS::Topic":                  "TopicName",
	"AWS::SQS::Queue":                  "QueueName",
	"AWS::StepFunctions::StateMachine": "StateMachineName StateMachineType",

	"AWS::Scheduler::Schedule":                "GroupName Name",
	"AWS::Scheduler::ScheduleGroup":           "Name",
	"AWS::Lambda::Version":                    "CodeSha256 Description FunctionName",
	"AWS::StepFunctions::StateMachineAlias":   "Name",
	"AWS::StepFunctions::StateMachineVersion": "Description StateMachineArn StateMachineRevisionId",
}

func TestReplacementsAreAWSs(t *testing.T) {
	w := newWorld(t, store.Memory())
	for name, want := range createOnly {
		var k bound
		switch p := w.provider(name).(type) {
		case bound:
			k = p
		case role:
			k = p.bound
		case policyWithVersions:
			k = p.bound
		case machine:
			k = p.bound
		case tableProvider:
			k = p.bound
		default:
			t.Fatalf("%s is made by a %T", name, p)
		}
		var got []string
		for property, m := range k.properties {
			if m.change() == "" && !m.inPlace && m.unused == "" && (property != "Tags" || k.tagging == nil) {
				got = append(got, property)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s is replaced for %v, want %s", name, got, want)
		}
	}
}

func TestTagsChangeInPlace(t *testing.T) {
	for _, c := range []struct{ resource, want string }{
		{`"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "Role": "r", "Code": {}, "Tags": TAGS}`,
			`lambda:UntagResource {"Resource":"arn:aws:lambda:us-east-1:123456789012:function:f","TagKeys":["Old"]} ` +
				`lambda:TagResource {"Resource":"arn:aws:lambda:us-east-1:123456789012:function:f","Tags":{"Stack":"two"}}`},
		{`"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineName": "m", "RoleArn": "r", "DefinitionString": "{}", "Tags": TAGS}`,
			`sfn:UntagResource {"resourceArn":"arn:aws:states:us-east-1:123456789012:stateMachine:m","tagKeys":["Old"]} ` +
				`sfn:TagResource {"resourceArn":"arn:aws:states:us-east-1:123456789012:stateMachine:m","tags":[{"key":"Stack","value":"two"}]}`},
		{`"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q", "Tags": TAGS}`,
			`sqs:UntagQueue {"QueueUrl":"http://localhost:4566/123456789012/q","TagKeys":["Old"]} ` +
				`sqs:TagQueue {"QueueUrl":"http://localhost:4566/123456789012/q","Tags":{"Stack":"two"}}`},
		{`"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "g", "Tags": TAGS}`,
			`cloudwatchlogs:UntagResource {"resourceArn":"arn:aws:logs:us-east-1:123456789012:log-group:g","tagKeys":["Old"]} ` +
				`cloudwatchlogs:TagResource {"resourceArn":"arn:aws:logs:us-east-1:123456789012:log-group:g","tags":{"Stack":"two"}}`},
		{`"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": {}, "Tags": TAGS}`,
			`iam:UntagRole {"RoleName":"r","TagKeys":["Old"]} iam:TagRole {"RoleName":"r","Tags":[{"Key":"Stack","Value":"two"}]}`},
	} {
		w := newWorld(t, store.Memory())
		body := func(tags string) string {
			return `{"Resources": {"R": {` + strings.Replace(c.resource, "TAGS", tags, 1) + `}}}`
		}
		w.deploy(t, body(`[{"Key": "Stack", "Value": "one"}, {"Key": "Old", "Value": "x"}]`))
		w.deploy(t, body(`[{"Key": "Stack", "Value": "two"}]`))
		var got []string
		for _, call := range w.cloud.calls {
			in, err := json.Marshal(call.Input)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, call.name()+" "+string(in))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("called\n%s, want\n%s", strings.Join(got, " "), c.want)
		}
	}
}

func TestChangeThatIsNotBuiltIsSaid(t *testing.T) {
	const body = `{"Resources": {"R": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": [], "StreamSpecification": {"StreamViewType": "NEW_IMAGE"}}}}}`
	w := newWorld(t, store.Memory())
	w.deploy(t, body)
	if _, err := w.tryDeploy(strings.Replace(body, "NEW_IMAGE", "KEYS_ONLY", 1)); err == nil ||
		!strings.Contains(err.Error(), "a change of StreamSpecification of a resource of type AWS::DynamoDB::Table") {
		t.Errorf("got %v", err)
	}
	if len(w.cloud.calls) != 0 {
		t.Errorf("called %v", w.cloud.names())
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
