package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// create creates the stack "fleetstep" as a client does and waits for its end.
func (w world) create(t *testing.T, in stackIn) {
	t.Helper()
	in.StackName = "fleetstep"
	if in.Capabilities == nil {
		in.Capabilities = []string{"CAPABILITY_NAMED_IAM"}
	}
	if _, err := w.createStack(context.Background(), caller, &in); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
}

// update updates it.
func (w world) update(t *testing.T, in stackIn) {
	t.Helper()
	in.StackName, in.Capabilities = "fleetstep", []string{"CAPABILITY_NAMED_IAM"}
	if _, err := w.updateStack(context.Background(), caller, &in); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
}

// history are the events of the stack, oldest first, as "logical id status" and the reason where there is one.
func (w world) history(t *testing.T) []string {
	t.Helper()
	var lines []string
	token := ""
	for {
		out, err := w.describeStackEvents(context.Background(), caller, &describeStacksIn{StackName: "fleetstep",
			NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.StackEvents {
			line := e.LogicalResourceID + " " + e.ResourceStatus
			if e.ResourceStatusReason != "" {
				line += ": " + e.ResourceStatusReason
			}
			lines = append(lines, line)
		}
		if token = out.NextToken; token == "" {
			break
		}
	}
	slices.Reverse(lines)
	return lines
}

// things are what creating and deleting operations leave behind: each creating call adds one, its counterpart takes it
// away. It is a model of the services, by the names in the calls.
func things(calls []call) []string {
	left := map[string]bool{}
	text := func(c call, members ...string) string {
		var parts []string
		for _, m := range members {
			switch v := c.Input[m].(type) {
			case string:
				parts = append(parts, v[strings.LastIndexAny(v, ":/")+1:])
			case []any:
				parts = append(parts, fmt.Sprint(v...))
			}
		}
		return strings.Join(parts, " ")
	}
	for _, c := range calls {
		if c.failed {
			continue
		}
		what := func(kind string, members ...string) string { return kind + " " + text(c, members...) }
		switch c.name() {
		case "iam:CreateRole":
			left[what("role", "RoleName")] = true
		case "iam:DeleteRole":
			delete(left, what("role", "RoleName"))
		case "iam:PutRolePolicy":
			left[what("policy", "RoleName", "PolicyName")] = true
		case "iam:DeleteRolePolicy":
			delete(left, what("policy", "RoleName", "PolicyName"))
		case "iam:AttachRolePolicy":
			left[what("attachment", "RoleName", "PolicyArn")] = true
		case "iam:DetachRolePolicy":
			delete(left, what("attachment", "RoleName", "PolicyArn"))
		case "lambda:CreateFunction":
			left[what("function", "FunctionName")] = true
		case "lambda:DeleteFunction":
			delete(left, what("function", "FunctionName"))
		case "lambda:AddPermission":
			left[what("permission", "FunctionName", "StatementId")] = true
		case "lambda:RemovePermission":
			delete(left, what("permission", "FunctionName", "StatementId"))
		case "lambda:PutFunctionEventInvokeConfig":
			left[what("invoke config", "FunctionName")] = true
		case "lambda:DeleteFunctionEventInvokeConfig":
			delete(left, what("invoke config", "FunctionName"))
		case "cloudwatchlogs:CreateLogGroup":
			left[what("group", "logGroupName")] = true
		case "cloudwatchlogs:DeleteLogGroup":
			delete(left, what("group", "logGroupName"))
		case "cloudwatch:PutMetricAlarm":
			left[what("alarm", "AlarmName")] = true
		case "cloudwatch:DeleteAlarms":
			delete(left, what("alarm", "AlarmNames"))
		case "cloudwatch:PutDashboard":
			left[what("dashboard", "DashboardName")] = true
		case "cloudwatch:DeleteDashboards":
			delete(left, what("dashboard", "DashboardNames"))
		case "iot:CreateTopicRule":
			left[what("rule", "ruleName")] = true
		case "iot:DeleteTopicRule":
			delete(left, what("rule", "ruleName"))
		case "iot:CreatePolicy":
			left[what("iot policy", "policyName")] = true
		case "iot:DeletePolicy":
			delete(left, what("iot policy", "policyName"))
		case "iot:CreateJobTemplate":
			left[what("job template", "jobTemplateId")] = true
		case "iot:DeleteJobTemplate":
			delete(left, what("job template", "jobTemplateId"))
		case "dynamodb:CreateTable":
			left[what("table", "TableName")] = true
		case "dynamodb:DeleteTable":
			delete(left, what("table", "TableName"))
		case "s3:CreateBucket":
			left[what("bucket", "Bucket")] = true
		case "s3:DeleteBucket":
			delete(left, what("bucket", "Bucket"))
		case "s3:PutBucketPolicy":
			left[what("bucket policy", "Bucket")] = true
		case "s3:DeleteBucketPolicy":
			delete(left, what("bucket policy", "Bucket"))
		case "sqs:CreateQueue":
			left[what("queue", "QueueName")] = true
		case "sqs:DeleteQueue":
			delete(left, what("queue", "QueueUrl"))
		case "sns:CreateTopic":
			left[what("topic", "Name")] = true
		case "sns:DeleteTopic":
			delete(left, what("topic", "TopicArn"))
		case "sfn:CreateStateMachine":
			left[what("machine", "name")] = true
		case "sfn:DeleteStateMachine":
			delete(left, what("machine", "stateMachineArn"))
		case "lambda:Invoke":
			var event customEvent
			b, _ := json.Marshal(c.Input["Payload"])
			var payload []byte
			if json.Unmarshal(b, &payload) == nil && json.Unmarshal(payload, &event) == nil {
				switch event.RequestType {
				case "Create":
					left["custom "+event.LogicalResourceID] = true
				case "Delete":
					delete(left, "custom "+event.LogicalResourceID)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(left))
}

// failing fails one call, by number, and hands on all others.
type failing struct {
	*recorder
	at, n int
	fell  string
}

func (f *failing) Call(ctx context.Context, id awsapi.Identity, service, operation string, input any) (any, error) {
	if f.n++; f.n-1 == f.at {
		f.fell = service + ":" + operation
		return nil, awsapi.Errorf("LimitExceededException", "no more of these")
	}
	return f.recorder.Call(ctx, id, service, operation, input)
}

// deletable is the committed template without what it retains.
func deletable(t *testing.T) string {
	return strings.ReplaceAll(committed(t), `"Retain"`, `"Delete"`)
}

// TestFailedCreationLeavesNothing fails the creation of the committed stack at some calls, at every call in turn with
// FLEETSTEP_CRASHES=all. What was made goes,
// also the half of a resource: a role whose policy could not be attached.
func TestFailedCreationLeavesNothing(t *testing.T) {
	whole := newWorld(t, store.Memory())
	whole.deploy(t, deletable(t))
	n := len(whole.cloud.calls)
	if got := things(whole.cloud.calls); len(got) < 60 {
		t.Fatalf("the model knows %d things only: %v", len(got), got)
	}
	step := 7
	if os.Getenv("FLEETSTEP_CRASHES") == "all" {
		step = 1
	}
	for i := 0; i < n; i += step {
		w := newWorld(t, store.Memory())
		w.cloud.objects["b/t.json"] = deletable(t)
		caller := &failing{recorder: w.cloud, at: i + 1} // the first call reads the template
		w.Service.config.Caller = caller
		w.create(t, stackIn{TemplateURL: "https://b.s3.amazonaws.com/t.json"})
		if got := w.status(t); got != "ROLLBACK_COMPLETE" {
			t.Fatalf("call %d, %s: %s: %s", i, caller.fell, got, strings.Join(w.history(t), "\n"))
		}
		if left := things(w.cloud.calls); len(left) > 0 {
			t.Fatalf("call %d, %s: left %v", i, caller.fell, left)
		}
		records, err := w.stackResources("fleetstep")
		if err != nil || len(records) != 0 {
			t.Fatalf("call %d, %s: the stack still lists %v, %v", i, caller.fell, slices.Sorted(maps.Keys(records)),
				err)
		}
	}
}

// TestFailedUpdateIsUndone fails an update that changes, replaces, adds and removes at every call
// in turn: the stack is then what it was, and so is what there is.
func TestFailedUpdateIsUndone(t *testing.T) {
	const before = `{"Resources": {
		"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 7}},
		"Gone": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "gone"}},
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "ManagedPolicyArns": ["a"]}},
		"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "Timeout": 5, "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Code": {"S3Bucket": "b", "S3Key": "1"}}},
		"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}]}}
	}, "Outputs": {"Table": {"Value": {"Ref": "Table"}}}}`
	const after = `{"Resources": {
		"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
		"New": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "new"}},
		"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "ManagedPolicyArns": ["b"], "Path": "/x/"}},
		"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Code": {"S3Bucket": "b", "S3Key": "2"}}},
		"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": [{"AttributeName": "b", "KeyType": "HASH"}]}}
	}, "Outputs": {"Table": {"Value": {"Ref": "Table"}}}}`
	whole := newWorld(t, store.Memory())
	whole.create(t, stackIn{TemplateBody: before})
	made := len(whole.cloud.calls)
	whole.update(t, stackIn{TemplateBody: after})
	if got := whole.status(t); got != "UPDATE_COMPLETE" {
		t.Fatalf("%s:\n%s", got, strings.Join(whole.history(t), "\n"))
	}
	if got := things(whole.cloud.calls); len(got) != 6 || slices.Contains(got, "group gone") {
		t.Errorf("after the update: %v", got)
	}
	for i := 0; i < len(whole.cloud.calls)-made; i++ {
		w := newWorld(t, store.Memory())
		w.create(t, stackIn{TemplateBody: before})
		was, wasOut := things(w.cloud.calls), fmt.Sprint(w.outputsOf(t))
		records, err := w.stackResources("fleetstep")
		if err != nil {
			t.Fatal(err)
		}
		caller := &failing{recorder: w.cloud, at: i}
		w.Service.config.Caller = caller
		w.update(t, stackIn{TemplateBody: after})
		status := w.status(t)
		if status == "UPDATE_COMPLETE" && (strings.Contains(caller.fell, "Delete") ||
			strings.Contains(caller.fell, "Detach")) {
			continue // what could not be cleaned up does not undo an update
		}
		if status != "UPDATE_ROLLBACK_COMPLETE" {
			t.Fatalf("call %d, %s: %s:\n%s", i, caller.fell, status, strings.Join(w.history(t), "\n"))
		}
		if is := things(w.cloud.calls); !slices.Equal(is, was) || fmt.Sprint(w.outputsOf(t)) != wasOut {
			t.Fatalf("call %d, %s: there is\n%v, there was\n%v", i, caller.fell, is, was)
		}
		now, err := w.stackResources("fleetstep")
		if err != nil {
			t.Fatal(err)
		}
		for id, r := range records {
			if n := now[id]; n.PhysicalID != r.PhysicalID || string(n.Properties) != string(r.Properties) ||
				n.Before != nil || n.Stale != nil {
				t.Errorf("call %d, %s: %s is %+v, was %+v", i, caller.fell, id, n, r)
			}
		}
		// And the same update goes through afterwards.
		w.Service.config.Caller = w.cloud
		w.update(t, stackIn{TemplateBody: after})
		if got := w.status(t); got != "UPDATE_COMPLETE" {
			t.Fatalf("call %d, %s: again: %s:\n%s", i, caller.fell, got, strings.Join(w.history(t), "\n"))
		}
	}
}

func (w world) outputsOf(t *testing.T) []outputShape {
	t.Helper()
	out, err := w.describeStacks(context.Background(), nil, &describeStacksIn{StackName: "fleetstep"})
	if err != nil {
		t.Fatal(err)
	}
	return out.Stacks[0].Outputs
}

func TestEventsOfARollback(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.cloud.fail["iam:AttachRolePolicy"] = awsapi.Errorf("NoSuchEntity",
		"Policy a does not exist or is not attachable.").WithStatus(404)
	w.create(t, stackIn{TemplateBody: `{"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r",
		"AssumeRolePolicyDocument": {}, "ManagedPolicyArns": ["a"]}}, "G": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "RetainExceptOnCreate"}}}`})
	got := w.history(t)
	for i, want := range []string{
		"fleetstep CREATE_IN_PROGRESS: User Initiated", "CREATE_IN_PROGRESS", "", "", "",
		"fleetstep ROLLBACK_IN_PROGRESS: The following resource(s) failed to create: [R]. Rollback requested by user.",
		"R DELETE_IN_PROGRESS", "R DELETE_COMPLETE", "G DELETE_IN_PROGRESS", "G DELETE_COMPLETE",
		"fleetstep ROLLBACK_COMPLETE",
	} {
		if i >= len(got) || !strings.Contains(got[i], want) {
			t.Fatalf("event %d: want %s in\n%s", i, want, strings.Join(got, "\n"))
		}
	}
	if text := strings.Join(got, "\n"); !strings.Contains(text, `R CREATE_FAILED: Resource handler returned message: "Policy a does not exist or `+
		`is not attachable. (Service: Iam, Status Code: 404, Request ID: `) || !strings.Contains(text, "HandlerErrorCode: NotFound)") {
		t.Errorf("got\n%s", text)
	}
	_, err := w.updateStack(context.Background(), caller, &stackIn{StackName: "fleetstep", TemplateBody: "{}"})
	if err == nil || !strings.HasSuffix(err.Error(), "is in ROLLBACK_COMPLETE state and can not be updated.") {
		t.Errorf("an update afterwards: %v", err)
	}
}

// TestRollbackIsTakenUp ends the process at every write of a rollback in turn.
func TestRollbackIsTakenUp(t *testing.T) {
	body := fmt.Sprintf(twoResources, 7, "1.zip", "")
	for at := 1; ; at++ {
		db := store.Memory()
		w := newWorld(t, db)
		w.cloud.fail["lambda:CreateFunction"] = awsapi.Errorf("InvalidParameterValueException", "no such role")
		var left *store.DB
		db.CrashAt(at, false, func(l *store.DB) { left = l })
		_, err := w.createStack(context.Background(), caller, &stackIn{StackName: "fleetstep", TemplateBody: body})
		if err == nil {
			w.settle(t)
		}
		if left == nil {
			if at < 5 {
				t.Fatalf("only %d writes", at)
			}
			return
		}
		next := newWorld(t, left)
		next.cloud.exists, next.cloud.calls, next.cloud.fail = w.cloud.exists, w.cloud.calls, w.cloud.fail
		if err := next.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		next.settle(t)
		if got := next.status(t); got != "ROLLBACK_COMPLETE" && err == nil {
			t.Fatalf("write %d: %s", at, got)
		}
		if left := things(next.cloud.calls); len(left) > 0 {
			t.Fatalf("write %d: left %v", at, left)
		}
	}
}
