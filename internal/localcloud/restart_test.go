package localcloud_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/lambda"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// lives is one cloud after another over the same store, in virtual time.
type lives struct {
	t     testing.TB
	sched *scheduler.Scheduler
	db    *store.DB
	cloud *localcloud.Cloud
	left  *store.DB // what a crash left, until the next life
	run   func(function string, payload []byte) ([]byte, error)
	// change, if set, changes what clouds are made from.
	change func(*localcloud.Config)
}

func newLives(t testing.TB) *lives { return newLivesWith(t, nil) }

// newLivesWith are lives whose clouds are changed before they are made.
func newLivesWith(t testing.TB, change func(*localcloud.Config)) *lives {
	l := &lives{t: t, sched: scheduler.NewVirtual(1, start), db: store.Memory(), change: change}
	l.begin()
	return l
}

type handler func([]byte) ([]byte, error)

func (h handler) Invoke(_ context.Context, payload []byte) ([]byte, error) { return h(payload) }

// begin begins a life.
func (l *lives) begin() {
	l.t.Helper()
	var err error
	config := localcloud.Config{
		Scheduler: l.sched, Store: l.db, Account: account, Region: "us-east-1", Endpoint: "http://cloud",
		MQTTEndpoint: "cloud",
		InProcess: func(_ context.Context, _ *localcloud.Cloud, f lambda.Function, _ awsapi.Identity) (
			lambda.Handler, error) {
			return handler(func(payload []byte) ([]byte, error) { return l.run(f.Name, payload) }), nil
		},
	}
	if l.change != nil {
		l.change(&config)
	}
	if l.cloud, err = localcloud.New(config); err == nil {
		err = l.cloud.Start(context.Background())
	}
	if err != nil && l.left == nil {
		l.t.Fatal(err)
	}
}

// crash has the cloud die at the n-th write from now, just after or before it.
func (l *lives) crash(n int, lost bool) {
	l.db.CrashAt(n, lost, func(left *store.DB) { l.left = left })
}

// next begins the next life if the last is over.
func (l *lives) next() {
	l.t.Helper()
	for l.left != nil {
		l.db, l.left = l.left, nil
		l.begin()
	}
}

// restart ends the cloud as a kill does, and begins the next life.
func (l *lives) restart() {
	l.t.Helper()
	l.left = l.db.Copy()
	if err := l.db.Close(); err != nil {
		l.t.Fatal(err)
	}
	l.next()
}

func (l *lives) try(service, operation string, in map[string]any, out any) error {
	v, err := l.cloud.Door().Call(context.Background(), awsapi.RootOf(account), service, operation, in)
	if err != nil || out == nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, out)
}

func (l *lives) call(service, operation string, in map[string]any, out any) {
	l.t.Helper()
	if err := l.try(service, operation, in, out); err != nil {
		l.t.Fatalf("%s:%s: %v", service, operation, err)
	}
}

// role makes a role that everybody may take and that may do everything.
func (l *lives) role() string {
	l.t.Helper()
	var made struct{ Role struct{ Arn string } }
	err := l.try("iam", "CreateRole", map[string]any{"RoleName": "all", "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Service":["lambda.amazonaws.com","states.amazonaws.com","iot.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`}, &made)
	if awsapi.Code(err) == "EntityAlreadyExists" {
		return "arn:aws:iam::" + account + ":role/all"
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.call("iam", "PutRolePolicy", map[string]any{"RoleName": "all", "PolicyName": "all",
		"PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}, nil)
	return made.Role.Arn
}

func (l *lives) queue(name string) (url string) {
	l.t.Helper()
	var made struct{ QueueUrl string }
	l.call("sqs", "CreateQueue", map[string]any{"QueueName": name, "Attributes": map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}]}`,
	}}, &made)
	return made.QueueUrl
}

// received takes all messages out of a queue.
func (l *lives) received(url string) (bodies []string) {
	l.t.Helper()
	for {
		var got struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		l.call("sqs", "ReceiveMessage", map[string]any{"QueueUrl": url, "MaxNumberOfMessages": 10}, &got)
		if len(got.Messages) == 0 {
			return bodies
		}
		for _, m := range got.Messages {
			bodies = append(bodies, m.Body)
			l.call("sqs", "DeleteMessage", map[string]any{"QueueUrl": url, "ReceiptHandle": m.ReceiptHandle}, nil)
		}
	}
}

// TestStartBeginsNothingTwice: what one service begins when it starts is not
// found in the store by another, and begun once more: here the event that a
// client is gone, which the broker publishes and a rule hands on.
func TestStartBeginsNothingTwice(t *testing.T) {
	l := newLives(t)
	role, url := l.role(), l.queue("gone")
	l.call("iot", "CreateTopicRule", map[string]any{"ruleName": "gone", "topicRulePayload": map[string]any{
		"sql": "SELECT clientId FROM '$aws/events/presence/disconnected/#'", "awsIotSqlVersion": "2016-03-23",
		"actions": []any{map[string]any{"sqs": map[string]any{"queueUrl": url, "roleArn": role}}},
	}}, nil)
	data := iotdataplane.Client{Options: iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: "c",
		SourceIP: "127.0.0.1"}}}
	l.admit(&data)
	if _, err := l.cloud.Devices().Connect(context.Background(), data); err != nil {
		t.Fatal(err)
	}
	l.sched.RunFor(time.Minute)
	l.restart()
	l.sched.RunFor(time.Minute)
	if got := l.received(url); !slices.Equal(got, []string{`{"clientId":"c"}`}) {
		t.Errorf("the rule handed on %q", got)
	}
	if left := l.cloud.Residue(context.Background()); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// admit gives a client a certificate with which it may do everything.
func (l *lives) admit(c *iotdataplane.Client) {
	l.t.Helper()
	var made struct{ CertificateArn, CertificatePem string }
	l.call("iot", "CreateKeysAndCertificate", map[string]any{"setAsActive": true}, &made)
	l.call("iot", "CreatePolicy", map[string]any{"policyName": "all",
		"policyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`}, nil)
	l.call("iot", "AttachPolicy", map[string]any{"policyName": "all", "target": made.CertificateArn}, nil)
	c.Certificate = certificate(l.t, made.CertificatePem)
}

func certificate(t testing.TB, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no certificate")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fan is a state machine with everything that can be under way at a crash: waits,
// retries, a Map, branches, a worker's task, a task token, heartbeats, deadlines.
const fan = `{"StartAt":"Fan","States":{
 "Fan":{"Type":"Parallel","Next":"Tell","Branches":[
  {"StartAt":"Wait","States":{"Wait":{"Type":"Wait","Seconds":90,"Next":"Waited"},"Waited":{"Type":"Pass","Result":"waited","End":true}}},
  {"StartAt":"Each","States":{"Each":{"Type":"Map","ItemsPath":"$.items","MaxConcurrency":2,"End":true,
    "ItemProcessor":{"ProcessorConfig":{"Mode":"INLINE"},"StartAt":"Try","States":{
     "Try":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"flaky","Payload":{"n.$":"$","try.$":"$$.State.RetryCount"}},
      "ResultSelector":{"n.$":"$.Payload"},"Retry":[{"ErrorEquals":["Again"],"IntervalSeconds":10,"BackoffRate":2,"MaxAttempts":3}],"End":true}}}}}},
  {"StartAt":"Work","States":{"Work":{"Type":"Task","Resource":"ACTIVITY","HeartbeatSeconds":30,"TimeoutSeconds":300,"End":true,
    "Retry":[{"ErrorEquals":["States.HeartbeatTimeout"],"IntervalSeconds":1}]}}},
  {"StartAt":"Ask","States":{"Ask":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","HeartbeatSeconds":60,"TimeoutSeconds":600,
    "Parameters":{"FunctionName":"ask","Payload":{"token.$":"$$.Task.Token"}},"End":true}}},
  {"StartAt":"Late","States":{"Late":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","TimeoutSeconds":50,
    "Parameters":{"FunctionName":"deaf","Payload":{"token.$":"$$.Task.Token"}},"Catch":[{"ErrorEquals":["States.Timeout"],"Next":"TimedOut"}],"End":true},
    "TimedOut":{"Type":"Pass","Result":"timed out","End":true}}}]},
 "Tell":{"Type":"Task","Resource":"arn:aws:states:::sns:publish","Parameters":{"TopicArn":"TOPIC","Message":"told"},"ResultPath":null,"End":true}}}`

// TestMachineSurvivesACrashAtEachWrite: an execution ends as it would have, at
// the time it would have, with the same history, and the message that it sends
// arrives, whatever write the cloud dies at. FLEETSTEP_CRASHES=all is each write;
// else some.
func TestMachineSurvivesACrashAtEachWrite(t *testing.T) {
	usual := playFan(t, 0, false)
	t.Logf("%d writes, %s", usual.writes, usual.took)
	step := 7
	if os.Getenv("FLEETSTEP_CRASHES") == "all" {
		step = 1
	}
	for n := 1; n <= usual.writes; n += step {
		for _, lost := range []bool{false, true} {
			got := playFan(t, n, lost)
			name := fmt.Sprintf("crash at write %d, lost %v", n, lost)
			if got.output != usual.output {
				t.Errorf("%s: output %s, want %s", name, got.output, usual.output)
			}
			if got.unheard { // as on AWS, the heartbeat tells
				continue
			}
			if !slices.Equal(got.events, usual.events) {
				t.Errorf("%s: history\n%v\nwant\n%v", name, got.events, usual.events)
			}
			// The worker and the one who answers look once a second.
			if d := got.took - usual.took; d < -2*time.Second || d > 4*time.Second {
				t.Errorf("%s: took %s, want about %s", name, got.took, usual.took)
			}
		}
	}
}

type played struct {
	output  string
	events  []string // types, sorted
	took    time.Duration
	writes  int  // until the end
	unheard bool // a worker's task was given, and the worker never got it
}

// never is a write that does not come.
const never = 1 << 30

// playFan runs fan with one crash, at the n-th write after its start was asked
// for; 0 is none.
func playFan(t *testing.T, n int, lost bool) (p played) {
	t.Helper()
	l := newLives(t)
	var tokens []string
	l.run = func(function string, payload []byte) ([]byte, error) {
		var in struct {
			N, Try int
			Token  string
		}
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, err
		}
		switch function {
		case "flaky":
			if in.Try < in.N {
				return nil, Again{}
			}
			return fmt.Append(nil, in.N), nil
		case "ask":
			if !slices.Contains(tokens, in.Token) {
				tokens = append(tokens, in.Token)
			}
		}
		return []byte("null"), nil
	}
	role, url := l.role(), l.queue("told")
	for _, name := range []string{"flaky", "ask", "deaf"} {
		l.call("lambda", "CreateFunction", map[string]any{"FunctionName": name, "Runtime": "provided.al2023",
			"Handler": "bootstrap", "Role": role,
			"Code": map[string]string{"S3Bucket": "assets", "S3Key": name + ".zip"}}, nil)
	}
	var made struct{ ActivityArn, TopicArn, StateMachineArn, ExecutionArn string }
	l.call("sfn", "CreateActivity", map[string]any{"name": "work"}, &made)
	l.call("sns", "CreateTopic", map[string]any{"Name": "told"}, &made)
	l.call("sns", "Subscribe", map[string]any{"TopicArn": made.TopicArn, "Protocol": "sqs",
		"Endpoint":   "arn:aws:sqs:us-east-1:" + account + ":told",
		"Attributes": map[string]string{"RawMessageDelivery": "true"}}, nil)
	definition := strings.NewReplacer("ACTIVITY", made.ActivityArn, "TOPIC", made.TopicArn).Replace(fan)
	l.call("sfn", "CreateStateMachine", map[string]any{"name": "fan", "definition": definition, "roleArn": role},
		&made)
	l.sched.RunFor(10 * time.Second)

	began, first := l.sched.Now(), l.db
	if n == 0 {
		n = never
	}
	l.crash(n, lost)
	start := map[string]any{"stateMachineArn": made.StateMachineArn, "name": "one", "input": `{"items":[0,1,2]}`}
	for l.try("sfn", "StartExecution", start, &made) != nil { // the same name and input: the same execution
		l.next()
	}
	w := worker{l: l, activity: made.ActivityArn}
	answered := time.Time{}
	for l.sched.Now().Sub(began) < time.Hour {
		l.next()
		w.work()
		if len(tokens) > 0 {
			if answered.IsZero() {
				answered = l.sched.Now()
			}
			for _, token := range tokens {
				if l.sched.Now().Sub(answered) > 100*time.Second {
					_ = l.try("sfn", "SendTaskSuccess", map[string]any{"taskToken": token, "output": `"answered"`}, nil)
				} else {
					_ = l.try("sfn", "SendTaskHeartbeat", map[string]any{"taskToken": token}, nil)
				}
			}
		}
		var x struct {
			Status, Output string
		}
		err := l.try("sfn", "DescribeExecution", map[string]any{"executionArn": made.ExecutionArn}, &x)
		if err == nil && l.left == nil && x.Status != "RUNNING" {
			p.output, p.took = x.Status+" "+x.Output, l.sched.Now().Sub(began)
			break
		}
		if err := l.sched.Sleep(context.Background(), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	p.writes, p.unheard = never-first.UpdatesLeft(), w.unheard
	l.next()
	for range 60 { // what is under way yet
		l.sched.RunFor(time.Second)
		l.next()
	}
	l.crash(never, false)
	var h struct {
		Events []struct{ Type string }
	}
	l.call("sfn", "GetExecutionHistory", map[string]any{"executionArn": made.ExecutionArn, "maxResults": 1000}, &h)
	for _, e := range h.Events {
		p.events = append(p.events, e.Type)
	}
	slices.Sort(p.events)
	if got := l.received(url); len(got) == 0 || strings.ReplaceAll(strings.Join(got, ""), "told", "") != "" {
		t.Errorf("crash at write %d, lost %v: the queue got %q", n, lost, got)
	}
	if left := l.cloud.Residue(context.Background()); len(left) > 0 {
		t.Errorf("crash at write %d, lost %v: left %q", n, lost, left)
	}
	return p
}

// Again is an error that a machine retries.
type Again struct{}

func (Again) Error() string { return "once more" }

// worker polls an activity; what it has taken it works on for 45 s, with a
// heartbeat every other second.
type worker struct {
	l        *lives
	activity string
	token    string
	since    time.Time
	unheard  bool // a poll had no answer
}

func (w *worker) work() {
	now := w.l.sched.Now()
	switch {
	case w.token == "":
		var task struct{ TaskToken string }
		ctx, cancel := w.l.sched.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		v, err := w.l.cloud.Door().Call(ctx, awsapi.RootOf(account), "sfn", "GetActivityTask",
			map[string]any{"activityArn": w.activity})
		if err != nil || w.l.left != nil {
			w.unheard = w.unheard || w.l.left != nil
			return
		}
		b, err := json.Marshal(v)
		if err = errors.Join(err, json.Unmarshal(b, &task)); err != nil {
			w.l.t.Fatal(err)
		}
		w.token, w.since = task.TaskToken, now
	case now.Sub(w.since) > 45*time.Second:
		if w.l.try("sfn", "SendTaskSuccess", map[string]any{"taskToken": w.token, "output": `"worked"`}, nil) == nil {
			w.since = now.Add(time.Hour)
		}
	default:
		err := w.l.try("sfn", "SendTaskHeartbeat", map[string]any{"taskToken": w.token}, nil)
		if awsapi.Code(err) == "TaskTimedOut" && now.After(w.since) { // or it is done
			w.token = ""
		}
	}
}

// TestQueueSurvivesACrash: what a receiver had not deleted is there after a
// crash, and hidden for as long as it would have been.
func TestQueueSurvivesACrash(t *testing.T) {
	l := newLives(t)
	url := l.queue("q")
	l.call("sqs", "SendMessage", map[string]any{"QueueUrl": url, "MessageBody": "taken"}, nil)
	l.call("sqs", "ReceiveMessage", map[string]any{"QueueUrl": url, "VisibilityTimeout": 40}, nil)
	l.call("sqs", "SendMessage", map[string]any{"QueueUrl": url, "MessageBody": "delayed", "DelaySeconds": 20}, nil)
	l.sched.RunFor(15 * time.Second)
	l.restart()
	for _, step := range []struct {
		after time.Duration
		want  []string
	}{{0, nil}, {4 * time.Second, nil}, {2 * time.Second, []string{"delayed"}}, {18 * time.Second, nil},
		{2 * time.Second, []string{"taken"}}} {
		l.sched.RunFor(step.after)
		if got := l.received(url); !slices.Equal(got, step.want) {
			t.Errorf("%s after the start: %q, want %q", l.sched.Now().Sub(start), got, step.want)
		}
	}
}
