package cloudformation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// recorder is a Caller that keeps what it is asked for. It knows which names exist, and answers what providers need.
type recorder struct {
	calls   []call
	exists  map[string]bool
	fail    map[string]error  // by service:operation
	objects map[string]string // in S3, by bucket/key
	values  map[string]string // of SSM parameters
	respond func(event customEvent)
}

type call struct {
	Service, Operation string
	Input              map[string]any
	Identity           awsapi.Identity `json:"-"`
	failed             bool
}

func (c call) name() string { return c.Service + ":" + c.Operation }

// Call implements awsapi.Caller.
func (r *recorder) Call(_ context.Context, id awsapi.Identity, service, operation string, input any) (any, error) {
	c := call{Service: service, Operation: operation, Identity: id}
	if err := json.Unmarshal(input.(json.RawMessage), &c.Input); err != nil {
		return nil, err
	}
	err := r.fail[c.name()]
	c.failed = err != nil
	r.calls = append(r.calls, c)
	if err != nil {
		return nil, err
	}
	name := func(members ...string) string {
		for _, m := range members {
			if s, ok := c.Input[m].(string); ok {
				return service + "/" + s
			}
		}
		return ""
	}
	switch c.name() {
	case "lambda:CreateFunction", "iam:CreateRole", "iot:CreateTopicRule", "iot:CreatePolicy", "iot:CreateJobTemplate",
		"dynamodb:CreateTable", "s3:CreateBucket", "cloudwatchlogs:CreateLogGroup":
		n := name("FunctionName", "RoleName", "ruleName", "policyName", "jobTemplateId", "TableName", "Bucket",
			"logGroupName")
		if r.exists[n] {
			code := map[string]string{
				"lambda": "ResourceConflictException", "iam": "EntityAlreadyExists",
				"dynamodb": "ResourceInUseException",
				"s3":       "BucketAlreadyOwnedByYou",
			}[service]
			if code == "" {
				code = "ResourceAlreadyExistsException"
			}
			return nil, awsapi.Errorf(code, "%s", n)
		}
		r.exists[n] = true
	case "lambda:DeleteFunction", "iam:DeleteRole", "iot:DeleteTopicRule", "iot:DeletePolicy", "iot:DeleteJobTemplate",
		"dynamodb:DeleteTable", "s3:DeleteBucket", "cloudwatchlogs:DeleteLogGroup":
		delete(r.exists, name("FunctionName", "RoleName", "ruleName", "policyName", "jobTemplateId", "TableName",
			"Bucket", "logGroupName"))
	case "lambda:PublishVersion":
		return map[string]any{"Version": "1",
			"FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:" +
				c.Input["FunctionName"].(string) + ":1"}, nil
	case "sfn:PublishStateMachineVersion":
		return map[string]any{"stateMachineVersionArn": c.Input["stateMachineArn"].(string) + ":1"}, nil
	case "sfn:CreateStateMachineAlias":
		return map[string]any{"stateMachineAliasArn": "arn:aws:states:us-east-1:123456789012:stateMachine:m:" +
			c.Input["name"].(string)}, nil
	case "lambda:CreateEventSourceMapping":
		id := mappingOfFunction(c)
		if r.exists[id] {
			return nil, awsapi.Errorf("ResourceConflictException", "it exists")
		}
		r.exists[id] = true
		return map[string]any{"UUID": id}, nil
	case "lambda:ListEventSourceMappings":
		return map[string]any{"EventSourceMappings": []any{map[string]any{"UUID": mappingOfFunction(c)}}}, nil
	case "lambda:GetEventSourceMapping":
		if !r.exists[c.Input["UUID"].(string)] {
			return nil, awsapi.Errorf("ResourceNotFoundException", "it does not exist")
		}
		return map[string]any{"State": "Enabled"}, nil
	case "lambda:DeleteEventSourceMapping":
		delete(r.exists, c.Input["UUID"].(string))
	case "s3:GetObject":
		key := name("Bucket") + "/" + c.Input["Key"].(string)
		body, ok := r.objects[strings.TrimPrefix(key, "s3/")]
		if !ok {
			return nil, awsapi.Errorf("NoSuchKey", "The specified key does not exist.")
		}
		return map[string]any{"Body": []byte(body)}, nil
	case "ssm:GetParameter":
		value, ok := r.values[c.Input["Name"].(string)]
		if !ok {
			return nil, awsapi.Errorf("ParameterNotFound", "")
		}
		return map[string]any{"Parameter": map[string]any{"Value": value, "Type": "String"}}, nil
	case "dynamodb:DescribeTable":
		return map[string]any{"Table": map[string]any{"TableStatus": "ACTIVE"}}, nil
	case "sqs:CreateQueue":
		return map[string]any{"QueueUrl": "http://localhost:4566/123456789012/" + c.Input["QueueName"].(string)}, nil
	case "sns:Subscribe":
		return map[string]any{"SubscriptionArn": c.Input["TopicArn"].(string) + ":" + c.Input["Endpoint"].(string)},
			nil
	case "lambda:Invoke":
		if r.respond != nil {
			var in struct{ Payload []byte }
			var event customEvent
			if err := errors.Join(json.Unmarshal(input.(json.RawMessage), &in), json.Unmarshal(in.Payload,
				&event)); err != nil {
				return nil, err
			}
			r.respond(event)
		}
		return map[string]any{"StatusCode": 202}, nil
	}
	return map[string]any{}, nil
}

// names are the operations called, each once, in the order of their first call.
func (r *recorder) names() []string {
	var names []string
	for _, c := range r.calls {
		if !slices.Contains(names, c.name()) {
			names = append(names, c.name())
		}
	}
	return names
}

func (r *recorder) of(name string) []call {
	var found []call
	for _, c := range r.calls {
		if c.name() == name {
			found = append(found, c)
		}
	}
	return found
}

// mappingOfFunction is the event source mapping of a function: a recorder has one for each.
func mappingOfFunction(c call) string {
	name, _ := c.Input["FunctionName"].(string)
	return "mapping of " + name
}

// postbox is a ResponseURLs.
type postbox struct {
	open  map[string]func([]byte)
	count int
}

func (p *postbox) Open(deliver func([]byte)) (string, error) {
	p.count++
	url := fmt.Sprintf("http://localhost:4566/answer/%d", p.count)
	p.open[url] = deliver
	return url, nil
}

func (p *postbox) Close(url string) { delete(p.open, url) }

type world struct {
	*Service
	cloud *recorder
	urls  *postbox
	db    *store.DB
}

var root = awsapi.RootOf("123456789012")

func newWorld(t *testing.T, db *store.DB) world {
	t.Helper()
	s := scheduler.NewVirtual(1, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	w := world{cloud: &recorder{exists: map[string]bool{}, fail: map[string]error{}, objects: map[string]string{},
		values: map[string]string{}}, urls: &postbox{open: map[string]func([]byte){}}, db: db}
	w.Service = New(Config{
		Platform: platform.Platform{Scheduler: s, Store: db, Caller: w.cloud, Account: "123456789012",
			Region: "us-east-1"},
		ResponseURLs: w.urls,
	})
	w.cloud.respond = func(event customEvent) {
		s.Go("function", func() {
			answer, err := json.Marshal(customAnswer{
				Status: "SUCCESS", PhysicalResourceID: "custom-1", StackID: event.StackID, RequestID: event.RequestID,
				LogicalResourceID: event.LogicalResourceID, Data: map[string]any{"Colour": "blue",
					"DataEndpoint": "data", "JobsEndpoint": "jobs"},
			})
			if err != nil {
				t.Error(err)
			}
			if deliver := w.urls.open[event.ResponseURL]; deliver != nil {
				deliver(answer)
			}
		})
	}
	return w
}

func (w world) deploy(t *testing.T, template string, parameters ...string) map[string]string {
	t.Helper()
	out, err := w.tryDeploy(template, parameters...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w world) tryDeploy(template string, parameters ...string) (map[string]string, error) {
	given := map[string]string{}
	for i := 0; i+1 < len(parameters); i += 2 {
		given[parameters[i]] = parameters[i+1]
	}
	w.cloud.calls = nil
	return w.Deploy(context.Background(), root, Deployment{Name: "fleetstep", Template: []byte(template),
		Parameters: given})
}

func committed(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../../infra/testdata/template.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCommittedTemplateDeploys(t *testing.T) {
	w := newWorld(t, store.Memory())
	out := w.deploy(t, committed(t))
	parsed, err := Parse([]byte(committed(t)))
	if err != nil {
		t.Fatal(err)
	}

	if got, want := out["StateMachineArn"],
		"arn:aws:states:us-east-1:123456789012:stateMachine:fleetstep-firmware-upgrade"; got != want {
		t.Errorf("StateMachineArn %s, want %s", got, want)
	}
	if got := out["FirmwareBucketName"]; !strings.HasPrefix(got, "fleetstep-firmwarebucket-") {
		t.Errorf("FirmwareBucketName %s", got)
	}
	if got := out["DeadLetterQueueUrl"]; !strings.HasPrefix(got,
		"http://localhost:4566/123456789012/fleetstep-DeadLetterQueue-") {
		t.Errorf("DeadLetterQueueUrl %s", got)
	}
	unconditional := 0
	for _, o := range parsed.Outputs {
		if o.Condition == "" {
			unconditional++
		}
	}
	if out["ControllerEndpointId"] != "self::fleetstep" || out["CreateJobFunctionName"] != "fleetstep-create-job" ||
		len(out) != unconditional {
		t.Errorf("outputs %v", out)
	}
	functions := 0
	for _, r := range parsed.Resources {
		if r.Type == "AWS::Lambda::Function" {
			functions++
		}
	}
	if n := len(w.cloud.of("lambda:CreateFunction")); n != functions {
		t.Errorf("%d functions, not %d", n, functions)
	}
	if n := len(w.cloud.of("sns:Subscribe")); n != 0 {
		t.Errorf("%d subscriptions without an address", n)
	}
	if len(w.urls.open) != 0 {
		t.Errorf("response URLs stay open: %v", w.urls.open)
	}
	for _, c := range w.cloud.calls {
		if c.Identity.ARN != root.ARN {
			t.Errorf("%s as %s", c.name(), c.Identity.ARN)
		}
	}

	machines := w.cloud.of("sfn:CreateStateMachine")
	if len(machines) == 0 {
		t.Error("no state machines")
	}
	for _, c := range machines {
		definition := c.Input["definition"].(string)
		if strings.Contains(definition, "${") ||
			!strings.Contains(definition, "arn:aws:lambda:us-east-1:123456789012:function:fleetstep-") {
			t.Errorf("definition of %s not substituted: %s", c.Input["name"], definition)
		}
	}
	for _, c := range w.cloud.of("iot:CreateTopicRule") {
		if name := c.Input["ruleName"].(string); !strings.HasPrefix(name, "fleetstep_") {
			t.Errorf("rule name %s", name)
		}
	}
	document := w.cloud.of("iot:CreatePolicy")[0].Input["policyDocument"].(string)
	if !strings.Contains(document, "topic/usp/v1/agent/${iot:Connection.Thing.ThingName}") {
		t.Errorf("policy variables are gone: %s", document)
	}
	rollout, _ := json.Marshal(w.cloud.of("iot:CreateJobTemplate")[0].Input["jobExecutionsRolloutConfig"])
	if !strings.Contains(string(rollout), `"exponentialRate":{"baseRatePerMinute":`) {
		t.Errorf("rollout %s", rollout)
	}
	for _, c := range w.cloud.of("cloudwatch:PutMetricAlarm") {
		if _, ok := c.Input["Threshold"].(float64); !ok {
			t.Errorf("threshold of %v is %v, want a number", c.Input["AlarmName"], c.Input["Threshold"])
		}
	}
	dump(t, w.cloud.calls) // for a look at what is called
}

func TestDeployAgainDoesNothing(t *testing.T) {
	db := store.Memory()
	first := newWorld(t, db).deploy(t, committed(t))
	again := newWorld(t, db) // another process on the same store
	second := again.deploy(t, committed(t))
	if len(again.cloud.calls) != 0 {
		t.Errorf("called %v", again.cloud.names())
	}
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Errorf("outputs %v, then %v", first, second)
	}
	// The committed template holds <, > and &, which the store escapes.
	w, err := again.prepare(Deployment{Name: "fleetstep", Template: []byte(committed(t)),
		Parameters: map[string]string{}})
	if err != nil || !w.unchanged {
		t.Errorf("the deployed template counts as changed (%v)", err)
	}
}

func TestParameterBringsSubscription(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.deploy(t, committed(t))
	w.deploy(t, committed(t), "AlarmEmail", "a@example.com")
	if got := w.cloud.names(); !slices.Equal(got, []string{"sns:Subscribe"}) {
		t.Errorf("called %v", got)
	}
	w.deploy(t, committed(t))
	if got := w.cloud.names(); !slices.Equal(got, []string{"sns:Unsubscribe"}) {
		t.Errorf("called %v", got)
	}
}

// TestDeploymentCutShort ends the process at every call in turn and goes on in another.
func TestDeploymentCutShort(t *testing.T) {
	whole := newWorld(t, store.Memory())
	want := whole.deploy(t, committed(t))
	n := len(whole.cloud.calls)
	for i := 0; i < n; i += 7 {
		db := store.Memory()
		w := newWorld(t, db)
		stopped := errors.New("stopped")
		caller := &stopping{recorder: w.cloud, after: i, err: stopped}
		w.Service.config.Caller = caller
		if _, err := w.tryDeploy(committed(t)); !errors.Is(err, stopped) {
			t.Fatalf("call %d: %v", i, err)
		}
		next := newWorld(t, db)
		next.cloud.exists = w.cloud.exists
		if got := next.deploy(t, committed(t)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("stopped at call %d: outputs %v, want %v", i, got, want)
		}
	}
}

type stopping struct {
	*recorder
	after int
	err   error
}

func (s *stopping) Call(ctx context.Context, id awsapi.Identity, service, operation string, input any) (any, error) {
	if s.after--; s.after < 0 {
		return nil, s.err
	}
	return s.recorder.Call(ctx, id, service, operation, input)
}

const twoResources = `{"Resources": {
	"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "g", "RetentionInDays": %d}},
	"Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "f", "Role": "r", "Code": {"S3Bucket": "b", "S3Key": %q},
		"Environment": {"Variables": {"GROUP": {"Ref": "Group"}}}}}%s
}}`

func TestUpdateChangesOnlyWhatDiffers(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.deploy(t, fmt.Sprintf(twoResources, 7, "1.zip", ""))

	w.deploy(t, fmt.Sprintf(twoResources, 30, "1.zip", ""))
	if got := w.cloud.names(); !slices.Equal(got, []string{"cloudwatchlogs:PutRetentionPolicy"}) {
		t.Errorf("retention: called %v", got)
	}
	w.deploy(t, fmt.Sprintf(twoResources, 30, "2.zip", ""))
	if got := w.cloud.of("lambda:UpdateFunctionCode"); len(w.cloud.calls) != 1 || len(got) != 1 ||
		got[0].Input["S3Key"] != "2.zip" ||
		got[0].Input["FunctionName"] != "f" {
		t.Errorf("code: called %v", w.cloud.calls)
	}
	w.deploy(t, fmt.Sprintf(twoResources, 30, "2.zip", `, "New": {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain"}`))
	if got := w.cloud.names(); !slices.Equal(got, []string{"cloudwatchlogs:CreateLogGroup"}) {
		t.Errorf("new resource: called %v", got)
	}
	w.deploy(t, fmt.Sprintf(twoResources, 30, "2.zip", ""))
	if len(w.cloud.calls) != 0 {
		t.Errorf("a retained resource: called %v", w.cloud.names())
	}
	w.deploy(t, strings.Replace(fmt.Sprintf(twoResources, 30, "2.zip", ""), `"g"`, `"other"`, 1))
	want := []string{"cloudwatchlogs:DeleteLogGroup", "cloudwatchlogs:CreateLogGroup",
		"cloudwatchlogs:PutRetentionPolicy", "lambda:UpdateFunctionConfiguration"}
	if got := w.cloud.names(); slices.Compare(sorted(got), sorted(want)) != 0 {
		t.Errorf("another name: called %v, want %v", got, want)
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func TestDeleteGoesBackwards(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.deploy(t, fmt.Sprintf(twoResources, 7, "1.zip", ""))
	w.cloud.calls = nil
	if err := w.Delete(context.Background(), root, "fleetstep"); err != nil {
		t.Fatal(err)
	}
	if got := w.cloud.names(); !slices.Equal(got, []string{"lambda:DeleteFunction", "cloudwatchlogs:DeleteLogGroup"}) {
		t.Errorf("called %v", got)
	}
	if _, err := w.describeStacks(context.Background(), nil, &describeStacksIn{StackName: "fleetstep"}); awsapi.Code(
		err) != "ValidationError" {
		t.Errorf("got %v", err)
	}
}

func TestUnknownTypesAndPropertiesAreErrors(t *testing.T) {
	_, err := newWorld(t, store.Memory()).tryDeploy(`{"Resources": {
		"A": {"Type": "AWS::EC2::Instance"},
		"B": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": true, "SqsManagedSseEnabled": true}},
		"C": {"Type": "AWS::Lambda::Function", "Properties": {"Code": {"ZipFile": "x"}, "VpcConfig": {}}},
		"D": {"Type": "AWS::IoT::TopicRule", "Properties": {"TopicRulePayload": {"Sql": "x", "Actions": [{"Kinesis": {}}, {"Fn::If": ["X", {"Kafka": {}}, {"Ref": "AWS::NoValue"}]}]}}},
		"E": {"Type": "AWS::S3::Bucket", "Properties": {"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "ExpirationDate": "2026-12-24T00:00:00Z"}]}}},
		"F": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::GetAtt": ["B", "Nothing"]}}},
		"G": {"Type": "Custom::Thing"}
	}, "Conditions": {"X": {"Fn::Equals": ["a", "b"]}}}`)
	var bad *TemplateError
	if !errors.As(err, &bad) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"Resources.A.Type: the local cloud does not implement the resource type AWS::EC2::Instance",
		"Resources.B.Properties.FifoQueue: the local cloud does not implement this property",
		"Resources.C.Properties.Code.ZipFile:", "Resources.C.Properties.VpcConfig:",
		"Resources.C.Properties.Role: required",
		"Resources.D.Properties.TopicRulePayload.Actions[0].Kinesis:", "Actions[1].Fn::If[1].Kafka:",
		"Resources.E.Properties.LifecycleConfiguration.Rules[0].ExpirationDate:",
		"Resources.F.Properties.LogGroupName: the local cloud has no attribute Nothing of B (AWS::SQS::Queue)",
		"Resources.G.Properties.ServiceToken: required",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
	if len(bad.Problems) != 10 {
		t.Errorf("%d problems, want 10:\n%v", len(bad.Problems), err)
	}
}

func TestFailureNamesTheResourceAndTheNextDeployGoesOn(t *testing.T) {
	w := newWorld(t, store.Memory())
	w.cloud.fail["lambda:CreateFunction"] = awsapi.Errorf("InvalidParameterValueException", "no such role")
	_, err := w.tryDeploy(fmt.Sprintf(twoResources, 7, "1.zip", ""))
	var failed *DeployError
	if !errors.As(err, &failed) || failed.LogicalID != "Function" ||
		awsapi.Code(err) != "InvalidParameterValueException" {
		t.Fatalf("got %v", err)
	}
	out, err := w.describeStacks(context.Background(), nil, &describeStacksIn{StackName: "fleetstep"})
	if err != nil || out.Stacks[0].StackStatus != "CREATE_FAILED" || !strings.Contains(out.Stacks[0].StackStatusReason,
		"no such role") {
		t.Fatalf("got %+v, %v", out, err)
	}
	delete(w.cloud.fail, "lambda:CreateFunction")
	w.deploy(t, fmt.Sprintf(twoResources, 7, "1.zip", ""))
	if got := w.cloud.names(); !slices.Equal(got, []string{"lambda:CreateFunction"}) {
		t.Errorf("called %v", got)
	}
}

const customTemplate = `{"Resources": {"C": {"Type": "Custom::Colour", "Properties": {
	"ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:f", "ServiceTimeout": 60, "Depth": %d, "On": true}}},
	"Outputs": {"Colour": {"Value": {"Fn::GetAtt": ["C", "Colour"]}}, "Id": {"Value": {"Ref": "C"}}}}`

func TestCustomResource(t *testing.T) {
	w := newWorld(t, store.Memory())
	var events []customEvent
	answer := w.cloud.respond
	w.cloud.respond = func(e customEvent) { events = append(events, e); answer(e) }

	if out := w.deploy(t, fmt.Sprintf(customTemplate, 1)); out["Colour"] != "blue" || out["Id"] != "custom-1" {
		t.Errorf("outputs %v", out)
	}
	w.deploy(t, fmt.Sprintf(customTemplate, 2))
	if err := w.Delete(context.Background(), root, "fleetstep"); err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, e.RequestType)
	}
	if !slices.Equal(types, []string{"Create", "Update", "Delete"}) {
		t.Fatalf("events %v", types)
	}
	sent, _ := json.Marshal(events[1])
	for _, want := range []string{
		`"ResourceProperties":{"Depth":"2","On":"true","ServiceTimeout":"60","ServiceToken":"arn:`,
		`"OldResourceProperties":{"Depth":"1"`, `"PhysicalResourceId":"custom-1"`, `"ResourceType":"Custom::Colour"`,
	} {
		if !strings.Contains(string(sent), want) {
			t.Errorf("missing %s in %s", want, sent)
		}
	}
	if n := w.cloud.of("lambda:Invoke"); len(n) == 0 || n[0].Input["InvocationType"] != "Event" {
		t.Errorf("invoked %v", n)
	}
}

func TestCustomResourceThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   string
	}{
		"says so":         {`{"Status":"FAILED","Reason":"no paint","RequestId":"%s","StackId":"%s","LogicalResourceId":"C"}`, "no paint"},
		"another request": {`{"Status":"SUCCESS","RequestId":"x%s","StackId":"%s","LogicalResourceId":"C","PhysicalResourceId":"p"}`, "another request"},
		"no id":           {`{"Status":"SUCCESS","RequestId":"%s","StackId":"%s","LogicalResourceId":"C"}`, "no PhysicalResourceId"},
		"not JSON":        {`blue %s %s`, "not JSON"},
		"says nothing":    {"", "no answer"},
	} {
		w := newWorld(t, store.Memory())
		w.cloud.respond = func(e customEvent) {
			if c.answer != "" {
				w.config.Scheduler.Go("function", func() {
					w.urls.open[e.ResponseURL]([]byte(fmt.Sprintf(c.answer, e.RequestID, e.StackID)))
				})
			}
		}
		start := w.config.Scheduler.Now()
		_, err := w.tryDeploy(fmt.Sprintf(customTemplate, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if d := w.config.Scheduler.Now().Sub(start); c.answer == "" && d != time.Minute {
			t.Errorf("%s: waited %v, want the ServiceTimeout", name, d)
		}
		if len(w.urls.open) != 0 {
			t.Errorf("%s: the URL stays open", name)
		}
	}
}

func TestStartGoesOnWithOpenDeployments(t *testing.T) {
	db := store.Memory()
	w := newWorld(t, db)
	p, err := w.prepare(Deployment{Name: "fleetstep", Template: []byte(fmt.Sprintf(twoResources, 7, "1.zip", ""))})
	if err != nil || p.begin() != nil { // and here the process ends
		t.Fatal(err)
	}
	next := newWorld(t, db)
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := next.Residue(t.Context()); len(got) != 1 {
		t.Errorf("under way: %v", got)
	}
	if err := next.config.Scheduler.Sleep(context.Background(), time.Second); err != nil {
		t.Fatal(err)
	}
	out, err := next.describeStacks(context.Background(), nil, &describeStacksIn{})
	if err != nil || len(out.Stacks) != 1 || out.Stacks[0].StackStatus != "CREATE_COMPLETE" {
		t.Errorf("got %+v, %v", out, err)
	}
	if got := next.Residue(t.Context()); len(got) != 0 {
		t.Errorf("under way: %v", got)
	}
}

// TestDeployAfterStart is a program that starts the services and then deploys, while Start goes on with the deployment
// that the process before it had begun.
func TestDeployAfterStart(t *testing.T) {
	db := store.Memory()
	w := newWorld(t, db)
	body := fmt.Sprintf(customTemplate, 1)
	p, err := w.prepare(Deployment{Name: "fleetstep", Template: []byte(body)})
	if err != nil || p.begin() != nil { // and here the process ends
		t.Fatal(err)
	}
	next := newWorld(t, db)
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := next.deploy(t, body); out["Id"] != "custom-1" {
		t.Errorf("outputs %v", out)
	}
	if err := next.config.Scheduler.Sleep(context.Background(), time.Second); err != nil {
		t.Fatal(err)
	}
	if n := len(next.cloud.of("lambda:Invoke")); n != 1 {
		t.Errorf("the custom resource was asked for %d times", n)
	}
}
