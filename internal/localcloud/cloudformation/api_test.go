package cloudformation

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// settle lets the tasks of the service run.
func (w world) settle(t *testing.T) {
	t.Helper()
	if err := w.config.Scheduler.Sleep(context.Background(), time.Second); err != nil {
		t.Fatal(err)
	}
}

// status of the stack "fleetstep", "" if there is none.
func (w world) status(t *testing.T) string {
	t.Helper()
	out, err := w.describeStacks(context.Background(), nil, &describeStacksIn{StackName: "fleetstep"})
	if err != nil {
		return ""
	}
	return out.Stacks[0].StackStatus
}

var caller = &awsapi.Call{Identity: root, Account: "123456789012", Region: "us-east-1"}

func TestCreateStackGoesOnBehindTheAnswer(t *testing.T) {
	w := newWorld(t, store.Memory())
	body := fmt.Sprintf(twoResources, 7, "1.zip", "")
	out, err := w.createStack(context.Background(), caller, &stackIn{StackName: "fleetstep", TemplateBody: body})
	if err != nil || !strings.HasPrefix(out.StackID,
		"arn:aws:cloudformation:us-east-1:123456789012:stack/fleetstep/") {
		t.Fatalf("got %+v, %v", out, err)
	}
	if got := w.status(t); got != "CREATE_IN_PROGRESS" || len(w.cloud.calls) != 0 {
		t.Errorf("at the answer: %s, called %v", got, w.cloud.names())
	}
	w.settle(t)
	if got := w.status(t); got != "CREATE_COMPLETE" {
		t.Errorf("later: %s", got)
	}
	if _, err := w.createStack(context.Background(), caller, &stackIn{StackName: "fleetstep",
		TemplateBody: body}); awsapi.Code(err) != "AlreadyExistsException" {
		t.Errorf("again: %v", err)
	}
	if _, err := w.updateStack(context.Background(), caller, &stackIn{StackName: "fleetstep", TemplateBody: body,
		DisableRollback: true}); awsapi.Code(err) != "ValidationError" {
		t.Errorf("no change: %v", err)
	}
	body = fmt.Sprintf(twoResources, 9, "1.zip", "")
	if _, err := w.updateStack(context.Background(), caller, &stackIn{StackName: out.StackID, TemplateBody: body,
		DisableRollback: true}); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	if got := w.status(t); got != "UPDATE_COMPLETE" {
		t.Errorf("after the update: %s", got)
	}
	if _, err := w.deleteStack(context.Background(), caller, &deleteStackIn{StackName: "fleetstep"}); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	if got := w.status(t); got != "" || len(w.cloud.exists) != 0 {
		t.Errorf("after deletion: %s, left %v", got, w.cloud.exists)
	}
}

func TestCreateStackThatFails(t *testing.T) {
	for onFailure, want := range map[string]string{"": "ROLLBACK_COMPLETE", "DO_NOTHING": "CREATE_FAILED",
		"DELETE": ""} {
		w := newWorld(t, store.Memory())
		w.cloud.fail["lambda:CreateFunction"] = awsapi.Errorf("InvalidParameterValueException", "no such role")
		in := &stackIn{StackName: "fleetstep", TemplateBody: fmt.Sprintf(twoResources, 7, "1.zip", ""),
			OnFailure: onFailure}
		if _, err := w.createStack(context.Background(), caller, in); err != nil {
			t.Fatal(err)
		}
		w.settle(t)
		if got := w.status(t); got != want {
			t.Errorf("%q: %q, want %q", onFailure, got, want)
		}
		if left := len(w.cloud.exists) != 0; left != (onFailure == "DO_NOTHING") {
			t.Errorf("%q: left %v", onFailure, w.cloud.exists)
		}
	}
}

func TestRolesNeedAcknowledgement(t *testing.T) {
	const plain = `{"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}%s}}}}`
	for _, c := range []struct{ body, given, want string }{
		{fmt.Sprintf(plain, ""), "", "CAPABILITY_IAM"},
		{fmt.Sprintf(plain, ""), "CAPABILITY_IAM", ""},
		{fmt.Sprintf(plain, `, "RoleName": "x"`), "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"},
		{fmt.Sprintf(plain, `, "RoleName": "x"`), "CAPABILITY_NAMED_IAM", ""},
	} {
		in := &stackIn{StackName: "s", TemplateBody: c.body, Capabilities: []string{c.given}}
		_, err := newWorld(t, store.Memory()).createStack(context.Background(), caller, in)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "["+c.want+"]") {
			t.Errorf("%s with %q: %v", c.body, c.given, err)
		}
	}
}

func TestResourcesOfAStack(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.deploy(t, committed(t))
	ctx := context.Background()
	parsed, err := Parse([]byte(committed(t)))
	if err != nil {
		t.Fatal(err)
	}
	unconditional := 0
	for _, r := range parsed.Resources {
		if r.Condition == "" {
			unconditional++
		}
	}
	list, err := w.listStackResources(ctx, caller, &describeStacksIn{StackName: "fleetstep"})
	if err != nil || len(list.StackResourceSummaries) != unconditional {
		t.Errorf("%d resources, %v", len(list.StackResourceSummaries), err)
	}
	for _, r := range list.StackResourceSummaries {
		if r.ResourceStatus != "CREATE_COMPLETE" || r.PhysicalResourceID == "" {
			t.Errorf("%+v", r)
		}
	}
	one, err := w.describeStackResource(ctx, caller, &stackResourceIn{StackName: "fleetstep",
		LogicalResourceID: "StateMachine"})
	if err != nil || one.StackResourceDetail.PhysicalResourceID !=
		"arn:aws:states:us-east-1:123456789012:stateMachine:fleetstep-firmware-upgrade" {
		t.Errorf("%+v, %v", one, err)
	}
	some, err := w.describeStackResources(ctx, caller, &stackResourceIn{StackName: "fleetstep",
		LogicalResourceID: "DeviceTable"})
	if err != nil || len(some.StackResources) != 1 || some.StackResources[0].Timestamp == nil {
		t.Errorf("%+v, %v", some, err)
	}
	body, err := w.getTemplate(ctx, caller, &getTemplateIn{StackName: "fleetstep"})
	if err != nil || !strings.HasPrefix(body.TemplateBody, `{"Conditions"`) {
		t.Errorf("%.50s, %v", body.TemplateBody, err)
	}
	w.cloud.objects["templates/t.json"] = committed(t)
	valid, err := w.validateTemplate(ctx, caller,
		&validateTemplateIn{TemplateURL: "https://templates.s3.us-east-1.amazonaws.com/t.json"})
	if err != nil || len(valid.Parameters) != len(parsed.Parameters) ||
		!slices.Equal(valid.Capabilities, []string{"CAPABILITY_IAM"}) {
		t.Errorf("%+v, %v", valid, err)
	}
}

// TestOverTheWire asks as the AWS CLI does.
func TestOverTheWire(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.deploy(t, fmt.Sprintf(twoResources, 7, "1.zip", ""))
	door := awsapi.New(awsapi.Config{Scheduler: w.config.Scheduler, Account: "123456789012", Region: "us-east-1"})
	door.Add(w.API())
	ask := func(values url.Values) (int, string) {
		r := httptest.NewRequest("POST", "http://localhost:4566/", strings.NewReader(values.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization",
			"AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-east-1/cloudformation/aws4_request, SignedHeaders=host, "+
				"Signature=x")
		rec := httptest.NewRecorder()
		door.ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	for action, want := range map[string]struct {
		status int
		text   string
	}{
		"DescribeStacks":     {200, "<member><StackId>arn:aws:cloudformation"},
		"ListStackResources": {200, "<PhysicalResourceId>f</PhysicalResourceId>"},
		"CreateStackSet":     {501, "CreateStackSet"},
	} {
		status, body := ask(url.Values{"Action": {action}, "Version": {"2010-05-15"}, "StackName": {"fleetstep"}})
		if status != want.status || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d %s", action, status, body)
		}
	}
	if status, body := ask(url.Values{"Action": {"DescribeStacks"}, "Version": {"2010-05-15"},
		"StackName": {"none"}}); status != 400 ||
		!strings.Contains(body, "Stack with id none does not exist") {
		t.Errorf("%d %s", status, body)
	}
}
