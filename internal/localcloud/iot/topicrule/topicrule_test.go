package topicrule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/topicrule"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	account = "123456789012"
	role    = "arn:aws:iam::123456789012:role/r"
)

var ctx = context.Background()

// bench is an engine in virtual time whose calls of other services are
// recorded, and answered by fail.
type bench struct {
	t       testing.TB
	sched   *scheduler.Scheduler
	db      *store.DB
	svc     *topicrule.Service
	door    *awsapi.Door
	calls   []string
	fail    func(service, operation string, n int) error
	count   map[string]int
	metrics map[string]float64
	puts    map[string]string
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, sched: scheduler.NewVirtual(1, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)),
		db:    store.Memory(),
		count: map[string]int{}, metrics: map[string]float64{}, puts: map[string]string{}}
	b.restart()
	return b
}

func (b *bench) restart() {
	svc, err := topicrule.New(topicrule.Config{
		Platform: platform.Platform{Scheduler: b.sched, Store: b.db, Account: account, Region: "us-east-1", Caller: b},
		Roles:    b, Objects: b, Metrics: b,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.svc = svc
	b.door = awsapi.New(awsapi.Config{Scheduler: b.sched, Account: account, Region: "us-east-1"})
	b.door.Add(awsapi.Service{ID: "iot", Invalid: "InvalidRequestException", Operations: svc.Operations()})
	if err := svc.Start(ctx); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) Call(_ context.Context, id awsapi.Identity, service, operation string, input any) (any, error) {
	key := service + ":" + operation
	b.count[key]++
	if b.fail != nil {
		if err := b.fail(service, operation, b.count[key]); err != nil {
			return nil, err
		}
	}
	in, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	who := id.RoleARN
	if id.Service != "" {
		who = id.Service + " for " + id.SourceARN
	}
	if operation == "Invoke" {
		var p struct {
			FunctionName, InvocationType string
			Payload                      []byte
		}
		if err := json.Unmarshal(in, &p); err != nil {
			return nil, err
		}
		in = fmt.Append(nil, p.FunctionName, " ", p.InvocationType, " ", string(p.Payload))
		if p.InvocationType == "RequestResponse" {
			return &struct{ Payload []byte }{[]byte(`{"v":1}`)}, nil
		}
	}
	b.calls = append(b.calls, fmt.Sprintf("%s as %s %s", key, who, in))
	return &struct{}{}, nil
}

func (b *bench) Assume(_ context.Context, roleARN, principal, source, _ string) (awsapi.Identity, error) {
	if principal != "iot.amazonaws.com" || !strings.HasPrefix(source, "arn:aws:iot:") {
		return awsapi.Identity{}, errors.New("wrong principal or source")
	}
	return awsapi.Identity{RoleARN: roleARN}, nil
}

func (b *bench) PutObject(_ context.Context, _ awsapi.Identity, bucket, key string, body []byte, _ string) error {
	b.puts[bucket+"/"+key] = string(body)
	return nil
}

func (b *bench) GetObject(context.Context, awsapi.Identity, string, string) ([]byte, error) {
	return nil, errors.New("no such object")
}

func (b *bench) Count(_ context.Context, namespace, metric string, d map[string]string, n float64) {
	b.metrics[strings.TrimSpace(metric+" "+d["RuleName"]+" "+d["ActionType"])] += n
}

func (b *bench) try(operation, input string) (any, error) {
	return b.door.Call(ctx, awsapi.RootOf(account), "iot", operation, json.RawMessage(input))
}

func (b *bench) rule(name, sql, actions, errorAction string) {
	b.t.Helper()
	if errorAction == "" {
		errorAction = "null"
	}
	q, _ := json.Marshal(sql)
	if _, err := b.try("CreateTopicRule", fmt.Sprintf(`{"ruleName":%q,"topicRulePayload":{"sql":%s,"awsIotSqlVersion":"2016-03-23","actions":%s,"errorAction":%s}}`, name, q, actions, errorAction)); err != nil {
		b.t.Fatal(err)
	}
}

// send does what the broker does with an accepted message of QoS 1.
func (b *bench) send(topic, payload string) {
	b.t.Helper()
	e := b.accept(topic, payload)
	if e != nil {
		e.Start()
	}
	b.sched.RunFor(time.Minute)
}

func (b *bench) accept(topic, payload string) *topicrule.Execution {
	b.t.Helper()
	e := b.svc.Prepare(topicrule.Message{Topic: topic, Payload: []byte(payload), QoS: 1, ClientID: "cpe-1",
		TraceID: "trace", ReceivedAt: b.sched.Now()})
	if e == nil {
		return nil
	}
	if err := b.db.Update(e.Save); err != nil {
		b.t.Fatal(err)
	}
	return e
}

func (b *bench) expect(want ...string) {
	b.t.Helper()
	if got := strings.Join(b.calls, "\n"); got != strings.Join(want, "\n") {
		b.t.Errorf("calls:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	b.calls = nil
	if left := b.svc.Residue(ctx); len(left) > 0 {
		b.t.Errorf("left over: %q", left)
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct{ action, sql, payload, want string }{
		{`{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`lambda:Invoke as iot.amazonaws.com for arn:aws:iot:us-east-1:123456789012:rule/r arn:aws:lambda:us-east-1:123456789012:function:f Event {"a":1}`},
		{`{"sqs":{"queueUrl":"http://q/${topic(2)}","roleArn":"ROLE"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`sqs:SendMessage as ROLE {"MessageBody":"{\"a\":1}","QueueUrl":"http://q/x"}`},
		{`{"sqs":{"queueUrl":"http://sqs/123456789012/q","roleArn":"ROLE","useBase64":true}}`, `SELECT * FROM 't/#'`, "\xff",
			`sqs:SendMessage as ROLE {"MessageBody":"/w==","QueueUrl":"http://sqs/123456789012/q"}`},
		{`{"sns":{"targetArn":"arn:aws:sns:us-east-1:123456789012:t","roleArn":"ROLE","messageFormat":"JSON"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`sns:Publish as ROLE {"Message":"{\"a\":1}","MessageStructure":"json","TargetArn":"arn:aws:sns:us-east-1:123456789012:t"}`},
		{`{"stepFunctions":{"stateMachineName":"m","roleArn":"ROLE"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`sfn:StartExecution as ROLE {"input":"{\"a\":1}","stateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:m"}`},
		{`{"republish":{"topic":"$$aws/things/${clientid()}/shadow/update","roleArn":"ROLE","qos":1,"headers":{"contentType":"x/${a}","userProperties":[{"key":"k","value":"${a}"}]}}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`iotdataplane:Publish as ROLE {"contentType":"x/1","payload":"eyJhIjoxfQ==","qos":1,"topic":"$aws/things/cpe-1/shadow/update","userProperties":"W3siayI6IjEifV0="}`},
		{`{"cloudwatchMetric":{"metricName":"m-${a}","metricNamespace":"n","metricValue":"${a}","metricUnit":"Count","metricTimestamp":"7","roleArn":"ROLE"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`cloudwatch:PutMetricData as ROLE {"MetricData":[{"MetricName":"m-1","Timestamp":7,"Unit":"Count","Value":1}],"Namespace":"n"}`},
		{`{"cloudwatchLogs":{"logGroupName":"g","roleArn":"ROLE"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			"cloudwatchlogs:CreateLogStream as ROLE {\"logGroupName\":\"g\",\"logStreamName\":\"r\"}\n" +
				`cloudwatchlogs:PutLogEvents as ROLE {"logEvents":[{"timestamp":1795348800000,"message":"{\"a\":1}"}],"logGroupName":"g","logStreamName":"r"}`},
		{`{"dynamoDBv2":{"putItem":{"tableName":"tab"},"roleArn":"ROLE"}}`, `SELECT a, b, c FROM 't/#'`, `{"a":"k","b":[1.5,null,true],"c":{"d":"x"}}`,
			`dynamodb:PutItem as ROLE {"Item":{"a":{"S":"k"},"b":{"L":[{"N":"1.5"},{"NULL":true},{"BOOL":true}]},"c":{"M":{"d":{"S":"x"}}}},"TableName":"tab"}`},
		{`{"dynamoDB":{"tableName":"tab","hashKeyField":"h","hashKeyValue":"${topic(2)}","rangeKeyField":"r","rangeKeyValue":"${a}","rangeKeyType":"NUMBER","roleArn":"ROLE"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`dynamodb:PutItem as ROLE {"Item":{"h":{"S":"x"},"payload":{"M":{"a":{"N":"1"}}},"r":{"N":"1"}},"TableName":"tab"}`},
		{`{"dynamoDB":{"tableName":"tab","operation":"DELETE","hashKeyField":"h","hashKeyValue":"v","roleArn":"ROLE"}}`, `SELECT a FROM 't/#'`, `{"a":1}`,
			`dynamodb:DeleteItem as ROLE {"Key":{"h":{"S":"v"}},"TableName":"tab"}`},
	} {
		b := newBench(t)
		b.rule("r", c.sql, "["+strings.ReplaceAll(c.action, "ROLE", role)+"]", "")
		b.send("t/x", c.payload)
		b.expect(strings.Split(strings.ReplaceAll(c.want, "ROLE", role), "\n")...)
		b.restart() // the rule compiles from the store too
	}
	b := newBench(t)
	b.rule("r", `SELECT * FROM 't/#'`, `[{"s3":{"bucketName":"b","key":"k/${topic(2)}","roleArn":"`+role+`"}}]`, "")
	b.send("t/x", "\xff\x00")
	if b.puts["b/k/x"] != "\xff\x00" {
		t.Errorf("objects %q", b.puts)
	}
}

func TestWhereAndMetrics(t *testing.T) {
	b := newBench(t)
	b.rule("r", `SELECT a FROM 't/#' WHERE a > 1`, `[{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}}]`, "")
	b.send("t/x", `{"a":1}`)
	b.send("t", `{"a":2}`)
	b.expect()
	b.send("t/x", `{"a":2}`)
	if len(b.calls) != 1 {
		t.Errorf("calls %q", b.calls)
	}
	if b.metrics["TopicMatch r"] != 2 || b.metrics["Success r Lambda"] != 1 {
		t.Errorf("metrics %v", b.metrics)
	}
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	for _, code := range []string{"TooManyRequestsException", "ThrottlingException", "RequestThrottled", "Throttled"} {
		b := newBench(t)
		b.rule("r", `SELECT a FROM 't'`, `[{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}},{"sns":{"targetArn":"arn:aws:sns:us-east-1:123456789012:t","roleArn":"`+role+`"}}]`, "")
		b.fail = func(service, _ string, n int) error {
			if service == "lambda" && n < 3 {
				return awsapi.Errorf(code, "slow down")
			}
			return nil
		}
		b.send("t", `{}`)
		if b.count["lambda:Invoke"] != 3 || b.count["sns:Publish"] != 1 || b.metrics["Success r Lambda"] != 1 {
			t.Errorf("%s: counts %v, metrics %v", code, b.count, b.metrics)
		}
	}
}

func TestErrorActionGetsAllFailures(t *testing.T) {
	b := newBench(t)
	b.rule("r", `SELECT a FROM 't/#'`, `[{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}},{"sns":{"targetArn":"arn:aws:sns:us-east-1:123456789012:t","roleArn":"`+role+`"}}]`,
		`{"sqs":{"queueUrl":"http://sqs/123456789012/dlq","roleArn":"`+role+`"}}`)
	b.fail = func(service, operation string, _ int) error {
		if service == "sqs" {
			return nil
		}
		return awsapi.Errorf("AccessDeniedException", "not for %s", operation).WithStatus(403)
	}
	b.send("t/x", `{"a":1}`)
	if len(b.calls) != 1 || !strings.HasPrefix(b.calls[0], "sqs:SendMessage") {
		t.Fatalf("calls %q", b.calls)
	}
	var in struct{ MessageBody string }
	if err := json.Unmarshal([]byte(b.calls[0][strings.Index(b.calls[0], "{"):]), &in); err != nil {
		t.Fatal(err)
	}
	want := `{"ruleName":"r","topic":"t/x","cloudwatchTraceId":"trace","clientId":"cpe-1","base64OriginalPayload":"eyJhIjoxfQ==","failures":[` +
		`{"failedAction":"LambdaAction","failedResource":"arn:aws:lambda:us-east-1:123456789012:function:f","errorMessage":"AccessDeniedException: not for Invoke"},` +
		`{"failedAction":"SnsAction","failedResource":"arn:aws:sns:us-east-1:123456789012:t","errorMessage":"AccessDeniedException: not for Publish"}]}`
	if in.MessageBody != want {
		t.Errorf("error action got\n%s\nwant\n%s", in.MessageBody, want)
	}
	if b.metrics["ErrorActionSuccess r"] != 1 || b.metrics["Failure r Sns"] != 1 {
		t.Errorf("metrics %v", b.metrics)
	}
	if left := b.svc.Residue(ctx); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestFailingStatementRunsNothing(t *testing.T) {
	b := newBench(t)
	b.rule("r", `SELECT aws_lambda("arn:aws:lambda:us-east-1:123456789012:function:f", a) AS x FROM 't'`, `[{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:g"}}]`, `{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:h"}}`)
	b.fail = func(string, string, int) error {
		return awsapi.Errorf("AccessDeniedException", "no").WithStatus(403)
	}
	b.send("t", `{"a":1}`)
	b.expect()
	if b.metrics["ParseError r"] != 1 {
		t.Errorf("metrics %v", b.metrics)
	}
	b.fail = nil
	b.send("t", `{"a":1}`)
	b.expect(`lambda:Invoke as iot.amazonaws.com for arn:aws:iot:us-east-1:123456789012:rule/r arn:aws:lambda:us-east-1:123456789012:function:g Event {"x":{"v":1}}`)
}

func TestBasicIngest(t *testing.T) {
	b := newBench(t)
	b.rule("r", `SELECT topic() AS t, topic(1) AS f FROM 'elsewhere'`, `[{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}}]`, "")
	b.send("$aws/rules/r/a/b", `{}`)
	b.expect(`lambda:Invoke as iot.amazonaws.com for arn:aws:iot:us-east-1:123456789012:rule/r arn:aws:lambda:us-east-1:123456789012:function:f Event {"t":"a/b","f":"a"}`)
	b.send("$aws/rules/nosuch/a", `{}`)
	if _, err := b.try("DisableTopicRule", `{"ruleName":"r"}`); err != nil {
		t.Fatal(err)
	}
	b.send("$aws/rules/r/a/b", `{}`)
	b.expect()
	if b.metrics["RuleNotFound r"] != 1 || b.metrics["RuleNotFound nosuch"] != 1 {
		t.Errorf("metrics %v", b.metrics)
	}
}

// TestNothingIsLost kills the process at any moment between acceptance and the
// end of the actions.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.rule("r", `SELECT n FROM 't'`, `[{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}}]`, "")
		sent := 0
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				b.restart()
			case 1:
				b.sched.RunFor(time.Second)
			default:
				e := b.accept("t", fmt.Sprintf(`{"n":%d}`, sent))
				sent++
				if rapid.Bool().Draw(rt, "dies before it starts") {
					b.restart()
				} else {
					e.Start()
				}
			}
		}
		b.sched.RunFor(time.Minute)
		b.restart()
		b.sched.RunFor(time.Minute)
		for i := range sent {
			if !strings.Contains(strings.Join(b.calls, "\n")+"\n", fmt.Sprintf(`{"n":%d}`+"\n", i)) {
				rt.Fatalf("message %d was lost", i)
			}
		}
		if left := b.svc.Residue(ctx); len(left) > 0 {
			rt.Fatalf("left over: %q", left)
		}
	})
}

func TestOperations(t *testing.T) {
	b := newBench(t)
	const good = `"sql":"SELECT * FROM 'a/+'","actions":[]`
	for _, c := range []struct{ operation, input, want string }{
		{"CreateTopicRule", `{"ruleName":"a-b","topicRulePayload":{` + good + `}}`, "InvalidRequestException"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{"actions":[]}}`, "InvalidRequestException"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{"sql":"SELECT * FROM 'a'"}}`, "InvalidRequestException"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{"sql":"SELEKT","actions":[]}}`, "SqlParseException"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{"sql":"SELECT * FROM 'a'","actions":[{"kinesis":{}}]}}`, "NotImplemented"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{"sql":"SELECT * FROM 'a'","actions":[{"lambda":{}}]}}`, "InvalidRequestException"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{"sql":"SELECT * FROM 'a'","actions":[{"sqs":{"queueUrl":"q"}}]}}`, "InvalidRequestException"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{"sql":"SELECT * FROM 'a'","actions":[{"lambda":{"functionArn":"${"}}]}}`, "InvalidRequestException"},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{` + good + `,"errorAction":{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f","x":1}}}}`, "InvalidRequestException"},
		{"GetTopicRule", `{"ruleName":"r"}`, "UnauthorizedException"},
		{"EnableTopicRule", `{"ruleName":"r"}`, "UnauthorizedException"},
		{"ReplaceTopicRule", `{"ruleName":"r","topicRulePayload":{` + good + `}}`, "UnauthorizedException"},
		{"DeleteTopicRule", `{"ruleName":"r"}`, ""},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{` + good + `,"description":"d"}}`, ""},
		{"CreateTopicRule", `{"ruleName":"r","topicRulePayload":{` + good + `}}`, "ResourceAlreadyExistsException"},
		{"CreateTopicRule", `{"ruleName":"q","topicRulePayload":{` + good + `,"ruleDisabled":true}}`, ""},
		{"DisableTopicRule", `{"ruleName":"r"}`, ""},
		{"EnableTopicRule", `{"ruleName":"r"}`, ""},
	} {
		if _, err := b.try(c.operation, c.input); awsapi.Code(err) != c.want {
			t.Errorf("%s %s: %v, want %s", c.operation, c.input, err, c.want)
		}
	}
	b.restart()
	token := "" // of the last page, an opaque string
	for _, c := range []struct{ operation, input, want string }{
		{"GetTopicRule", `{"ruleName":"r"}`, `{"ruleArn":"arn:aws:iot:us-east-1:123456789012:rule/r","rule":{"ruleName":"r","sql":"SELECT * FROM 'a/+'","description":"d","createdAt":1795348800,"actions":[],"ruleDisabled":false,"awsIotSqlVersion":"2015-10-08"}}`},
		{"ListTopicRules", `{"maxResults":1}`, `{"rules":[{"ruleArn":"arn:aws:iot:us-east-1:123456789012:rule/q","ruleName":"q","topicPattern":"a/+","createdAt":1795348800,"ruleDisabled":true}],"nextToken":"$token"}`},
		{"ListTopicRules", `{"nextToken":"$token"}`, `{"rules":[{"ruleArn":"arn:aws:iot:us-east-1:123456789012:rule/r","ruleName":"r","topicPattern":"a/+","createdAt":1795348800,"ruleDisabled":false}]}`},
		{"ListTopicRules", `{"topic":"b"}`, `{"rules":[]}`},
	} {
		out, err := b.try(c.operation, strings.ReplaceAll(c.input, "$token", token))
		got, _ := json.Marshal(out)
		var page struct{ NextToken string }
		if _ = json.Unmarshal(got, &page); page.NextToken != "" {
			token = page.NextToken
			got = []byte(strings.ReplaceAll(string(got), token, "$token"))
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%s %s:\n got %s, %v\nwant %s", c.operation, c.input, got, err, c.want)
		}
	}
}
