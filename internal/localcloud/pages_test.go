package localcloud_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// pageSize is the member of an operation that does.
func pageSize(op awsapi.Operation) (name string, field reflect.StructField) {
	if op.Input().Kind() != reflect.Struct {
		return "", field
	}
	for _, f := range reflect.VisibleFields(op.Input()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if slices.Contains(awsapi.PageSizes, strings.ToLower(name)) {
			return name, f
		}
	}
	return "", field
}

// ownSizes are limits that are not of a page's length, and checked by the service itself.
var ownSizes = map[string]bool{"dynamodb:Query": true, "dynamodb:Scan": true}

// TestPageSizesAreThoseOfTheModels: a page may be as long as AWS's models say, and what is not is refused as a value
// out of its range is.
func TestPageSizesAreThoseOfTheModels(t *testing.T) {
	models := readModels[map[string][2]*float64](t, "ranges.json.gz")
	r := newRig(t)
	checked := 0
	for _, service := range slices.Sorted(maps.Keys(models)) {
		s := r.cloud.Door().Lookup(service)
		for _, op := range s.Operations {
			name, field := pageSize(op)
			id := service + ":" + op.Name
			if name == "" || ownSizes[id] {
				continue
			}
			limits, ok := models[service][op.Name][name]
			if !ok {
				continue // its input is that of a list, too
			}
			least, most := math.Inf(-1), math.Inf(1)
			if limits[0] != nil {
				least = *limits[0]
			}
			if limits[1] != nil {
				most = *limits[1]
			}
			checked++
			for _, value := range []float64{-1, 0, 1, most, most + 1} {
				if math.IsInf(value, 1) {
					continue
				}
				_, err := r.cloud.Door().Call(t.Context(), awsapi.RootOf(account), service, op.Name,
					map[string]any{name: int64(value)})
				says := fmt.Sprintf("Value '%d' at '%s' failed to satisfy constraint: Member must have value ",
					int64(value), strings.ToLower(name[:1])+name[1:])
				if s.Discreet {
					says = strings.Replace(says, fmt.Sprintf(" '%d'", int64(value)), "", 1)
				}
				if value < least {
					says += fmt.Sprintf("greater than or equal to %d", int64(least))
				} else if value > most {
					says += fmt.Sprintf("less than or equal to %d", int64(most))
				}
				refused := err != nil && strings.Contains(err.Error(), says)
				if want := value < least || value > most; refused != want {
					t.Errorf("%s: %s is %v (%s): %v, refused should be %t", id, name, value, field.Type, err, want)
				}
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d page sizes were checked", checked)
	}
}

// list is a call that lists, with what it needs to list at least two things.
type list struct {
	service, operation string
	in                 map[string]any
	size               string // member
	token, next        string // member, and that of the answer
}

// TestATokenOutlivesAnotherName: the CDK's CLI goes on by the ARN of a change set that it began to describe by name.
func TestATokenOutlivesAnotherName(t *testing.T) {
	r := newRig(t)
	resources := map[string]any{}
	for i := range 101 {
		resources[fmt.Sprintf("Q%d", i)] = map[string]any{"Type": "AWS::SQS::Queue"}
	}
	template, err := json.Marshal(map[string]any{"Resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	made := r.must("cloudformation", "CreateChangeSet", map[string]any{"StackName": "s", "ChangeSetName": "c",
		"ChangeSetType": "CREATE", "TemplateBody": string(template)})
	r.sched.RunFor(60e9)
	first := r.must("cloudformation", "DescribeChangeSet", map[string]any{"StackName": "s", "ChangeSetName": "c"})
	second := r.must("cloudformation", "DescribeChangeSet", map[string]any{"StackName": made["StackId"],
		"ChangeSetName": made["Id"], "NextToken": first["NextToken"]})
	if n := len(first["Changes"].([]any)) + len(second["Changes"].([]any)); n != 101 || first["NextToken"] == nil {
		t.Errorf("%d changes on two pages", n)
	}
}

// TestATokenIsOfOneList: where a list goes on is told to the operation that returned the token and to no other, with
// Step Functions also for the same list, and what is no token is refused.
func TestATokenIsOfOneList(t *testing.T) {
	r := newRig(t)
	m := func(pairs ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i].(string)] = pairs[i+1]
		}
		return out
	}
	const anything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	role := r.role("machine", anything)
	sender := r.must("iam", "CreateRole", m("RoleName", "sender", "AssumeRolePolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"},`+
			`"Action":"sts:AssumeRole"}]}`))
	var machines []string
	for _, n := range []string{"a", "b"} {
		r.must("iot", "CreateThing", m("thingName", n))
		r.must("iot", "CreateThingType", m("thingTypeName", n))
		for _, g := range []string{"1", "2"} {
			r.must("iot", "CreateThingGroup", m("thingGroupName", n+g))
			r.must("iot", "AddThingToThingGroup", m("thingGroupName", n+g, "thingName", "a"))
		}
		r.must("iot", "CreatePolicy", m("policyName", n, "policyDocument", anything))
		r.must("iam", "CreateUser", m("UserName", n))
		r.must("iam", "CreateRole", m("RoleName", n, "AssumeRolePolicyDocument",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},`+
				`"Action":"sts:AssumeRole"}]}`))
		r.must("kms", "CreateKey", m())
		r.must("sns", "CreateTopic", m("Name", n))
		r.must("sqs", "CreateQueue", m("QueueName", n))
		for _, k := range []string{"1", "2"} {
			r.must("ssm", "PutParameter", m("Name", "/"+n+"/"+k, "Value", "v", "Type", "String"))
			r.must("scheduler", "CreateSchedule", m("Name", n+k, "ScheduleExpression", "rate(1 day)",
				"FlexibleTimeWindow", m("Mode", "OFF"), "Target", m("Arn",
					"arn:aws:sqs:us-east-1:"+account+":a", "RoleArn",
					sender["Role"].(map[string]any)["Arn"])))
		}
		r.must("scheduler", "CreateScheduleGroup", m("Name", n))
		r.must("cloudwatchlogs", "CreateLogGroup", m("logGroupName", "g"+n))
		for _, k := range []string{"1", "2"} {
			r.must("cloudwatchlogs", "CreateLogStream", m("logGroupName", "g"+n, "logStreamName", k))
		}
		arn := r.must("sfn", "CreateStateMachine", m("name", n, "roleArn", role, "definition",
			`{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`))["stateMachineArn"].(string)
		machines = append(machines, arn)
		for _, k := range []string{"1", "2"} {
			r.must("sfn", "StartExecution", m("stateMachineArn", arn, "name", k))
		}
		r.must("sfn", "CreateActivity", m("name", n))
		r.must("dynamodb", "CreateTable", m("TableName", "tab"+n, "BillingMode", "PAY_PER_REQUEST",
			"AttributeDefinitions", []any{m("AttributeName", "k", "AttributeType", "S")},
			"KeySchema", []any{m("AttributeName", "k", "KeyType", "HASH")}))
	}
	for _, n := range []string{"a", "b"} {
		for _, j := range []string{"1", "2"} {
			r.must("iot", "CreateJob", m("jobId", n+j, "targets", []any{
				"arn:aws:iot:us-east-1:" + account + ":thing/a",
				"arn:aws:iot:us-east-1:" + account + ":thing/b"}, "document", "{}"))
		}
	}
	r.sched.RunFor(60e9)
	exec := func(i int, n string) string {
		return strings.Replace(machines[i], ":stateMachine:", ":execution:", 1) + ":" + n
	}
	const nextToken, bigToken = "nextToken", "NextToken"
	lists := []list{
		{"iot", "ListThings", m(), "maxResults", nextToken, nextToken},
		{"iot", "ListThingTypes", m(), "maxResults", nextToken, nextToken},
		{"iot", "ListThingGroups", m(), "maxResults", nextToken, nextToken},
		{"iot", "ListThingGroupsForThing", m("thingName", "a"), "maxResults", nextToken, nextToken},
		{"iot", "ListPolicies", m(), "pageSize", "marker", "nextMarker"},
		{"iot", "ListJobs", m(), "maxResults", nextToken, nextToken},
		{"iot", "ListJobExecutionsForThing", m("thingName", "a"), "maxResults", nextToken, nextToken},
		{"iot", "ListJobExecutionsForJob", m("jobId", "a1"), "maxResults", nextToken, nextToken},
		{"iam", "ListUsers", m(), "MaxItems", "Marker", "Marker"},
		{"iam", "ListRoles", m(), "MaxItems", "Marker", "Marker"},
		{"kms", "ListKeys", m(), "Limit", "Marker", "NextMarker"},
		{"sqs", "ListQueues", m(), "MaxResults", bigToken, bigToken},
		{"ssm", "DescribeParameters", m(), "MaxResults", bigToken, bigToken},
		{"ssm", "GetParametersByPath", m("Path", "/a"), "MaxResults", bigToken, bigToken},
		{"ssm", "GetParametersByPath", m("Path", "/b"), "MaxResults", bigToken, bigToken},
		{"scheduler", "ListSchedules", m(), "MaxResults", bigToken, bigToken},
		{"scheduler", "ListScheduleGroups", m(), "MaxResults", bigToken, bigToken},
		{"cloudwatchlogs", "DescribeLogGroups", m(), "limit", nextToken, nextToken},
		{"cloudwatchlogs", "DescribeLogStreams", m("logGroupName", "ga"), "limit", nextToken, nextToken},
		{"cloudwatchlogs", "DescribeLogStreams", m("logGroupName", "gb"), "limit", nextToken, nextToken},
		{"sfn", "ListStateMachines", m(), "maxResults", nextToken, nextToken},
		{"sfn", "ListActivities", m(), "maxResults", nextToken, nextToken},
		{"sfn", "ListExecutions", m("stateMachineArn", machines[0]), "maxResults", nextToken, nextToken},
		{"sfn", "ListExecutions", m("stateMachineArn", machines[1]), "maxResults", nextToken, nextToken},
		{"sfn", "GetExecutionHistory", m("executionArn", exec(0, "1")), "maxResults", nextToken, nextToken},
		{"sfn", "GetExecutionHistory", m("executionArn", exec(0, "1"), "reverseOrder", true), "maxResults", nextToken,
			nextToken},
		{"sfn", "GetExecutionHistory", m("executionArn", exec(0, "2")), "maxResults", nextToken, nextToken},
	}
	name := func(l list) string { return fmt.Sprint(l.service, ":", l.operation, l.in) }
	call := func(l list, size int, token string) (any, error) {
		in := maps.Clone(l.in)
		in[l.size] = size
		if token != "" {
			in[l.token] = token
		}
		var out map[string]any
		err := awsapi.CallInto(t.Context(), r.cloud.Door(), awsapi.RootOf(account), l.service, l.operation, in, &out)
		for k, v := range out {
			if strings.EqualFold(k, l.next) {
				return v, err
			}
		}
		return nil, err
	}
	tokens := map[string]string{}
	for _, l := range lists {
		next, err := call(l, 1, "")
		if err != nil || next == nil || next == "" {
			t.Errorf("%s: no token: %v", name(l), err)
			continue
		}
		tokens[name(l)] = next.(string)
		if _, err := call(l, 1, next.(string)); err != nil {
			t.Errorf("%s: its own token: %v", name(l), err)
		}
		for _, garbage := range []string{"x", "garbage", "AAAA", "!!", next.(string) + "A", next.(string)[1:],
			base64.StdEncoding.EncodeToString([]byte(`{"a":1}`)), strings.Repeat("A", 200)} {
			if _, err := call(l, 1, garbage); err == nil || awsapi.AsError(err).HTTPStatus() != 400 {
				t.Errorf("%s: garbage %q: %v", name(l), garbage, err)
			}
		}
	}
	for _, l := range lists {
		for from, token := range tokens {
			if from == name(l) || !strings.HasPrefix(from, l.service) ||
				l.service != "sfn" && strings.HasPrefix(from, l.service+":"+l.operation+"map[") {
				continue
			}
			if _, err := call(l, 1, token); err == nil || awsapi.AsError(err).HTTPStatus() != 400 {
				t.Errorf("%s takes the token of %s: %v", name(l), from, err)
			}
		}
	}
}
