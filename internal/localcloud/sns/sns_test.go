package sns

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sqs"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	account  = "123456789012"
	topicARN = "arn:aws:sns:us-east-1:123456789012:t"
	function = "arn:aws:lambda:us-east-1:123456789012:function:f"
)

type m = map[string]any

type invocation struct {
	FunctionName   string `json:"FunctionName"`
	InvocationType string `json:"InvocationType"`
	Payload        []byte `json:"Payload"`
}

type rig struct {
	t       testing.TB
	seed    uint64 // another one after each start, as IDs follow from it
	sched   *scheduler.Scheduler
	db      *store.DB
	sns     *Service
	door    *awsapi.Door
	invoked []invocation
	// failures are what the function answers before it succeeds.
	failures []*awsapi.Error
	dropped  []string
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, sched: scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), db: store.Memory()}
	r.restart()
	r.must("CreateTopic", m{"Name": "t"})
	return r
}

// restart begins anew on the same store, as after a crash.
func (r *rig) restart() {
	r.seed++
	r.sched = scheduler.NewVirtual(r.seed, r.sched.Now())
	access := iam.New(iam.Config{Platform: platform.Platform{Scheduler: r.sched, Store: r.db, Account: account,
		Region: "us-east-1"}})
	r.door = awsapi.New(awsapi.Config{Scheduler: r.sched, Account: account, Region: "us-east-1", Authorizer: access})
	r.sns = New(Config{
		Platform: platform.Platform{Scheduler: r.sched, Store: r.db, Account: account, Region: "us-east-1",
			Caller: r.door},
		Dropped: func(arn, id string, err error) { r.dropped = append(r.dropped, awsapi.Code(err)) },
	})
	queues := sqs.New(sqs.Config{Platform: platform.Platform{Scheduler: r.sched, Store: r.db, Account: account,
		Region: "us-east-1"}})
	r.door.Add(r.sns.API())
	r.door.Add(queues.API())
	r.door.Add(awsapi.Service{
		ID: "lambda", Prefix: "lambda", Protocols: []awsapi.Protocol{awsapi.RESTJSON},
		ResourcePolicy: func(string) (string, error) {
			return `{"Statement":{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + function +
				`","Condition":{"ArnLike":{"aws:SourceArn":"` + topicARN + `"}}}}`, nil
		},
		Operations: []awsapi.Operation{
			awsapi.Op("Invoke", func(_ context.Context, _ *awsapi.Call, in *invocation) (*none, error) {
				if len(r.failures) > 0 {
					err := r.failures[0]
					r.failures = r.failures[1:]
					return nil, err
				}
				r.invoked = append(r.invoked, *in)
				return nil, nil
			}, awsapi.Action("lambda:InvokeFunction"), awsapi.On(func(_ *awsapi.Call, in *invocation) []string {
				return []string{in.FunctionName}
			})),
		},
	})
	if err := r.sns.Start(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) callOn(service, operation string, in m) (out map[string]any, err error) {
	r.t.Helper()
	err = awsapi.CallInto(context.Background(), r.door, awsapi.RootOf(account), service, operation, in, &out)
	return out, err
}

func (r *rig) must(operation string, in m) map[string]any {
	r.t.Helper()
	out, err := r.callOn("sns", operation, in)
	if err != nil {
		r.t.Fatalf("%s: %v", operation, err)
	}
	return out
}

// queue makes a queue that lets the topic send.
func (r *rig) queue(name string) (arn string) {
	r.t.Helper()
	arn = "arn:aws:sqs:us-east-1:123456789012:" + name
	if _, err := r.callOn("sqs", "CreateQueue", m{"QueueName": name, "Attributes": m{"Policy": `{"Statement":{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},` +
		`"Action":"sqs:SendMessage","Resource":"` + arn + `","Condition":{"ArnEquals":{"aws:SourceArn":"` + topicARN + `"}}}}`}}); err != nil {
		r.t.Fatal(err)
	}
	return arn
}

func (r *rig) subscribe(protocol, endpoint string, attributes m) string {
	r.t.Helper()
	return r.must("Subscribe", m{"TopicArn": topicARN, "Protocol": protocol, "Endpoint": endpoint,
		"Attributes": attributes, "ReturnSubscriptionArn": true})["SubscriptionArn"].(string)
}

// receive takes all messages of a queue.
func (r *rig) receive(name string) (out []map[string]any) {
	r.t.Helper()
	got, err := r.callOn("sqs", "ReceiveMessage", m{"QueueUrl": name, "MaxNumberOfMessages": 10,
		"MessageAttributeNames": []string{"All"}})
	if err != nil {
		r.t.Fatal(err)
	}
	list, _ := got["Messages"].([]any)
	for _, x := range list {
		out = append(out, x.(map[string]any))
	}
	return out
}

func parse(t testing.TB, b string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(b), &v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

func TestPublishReachesQueuesAndFunctions(t *testing.T) {
	r := newRig(t)
	r.subscribe("sqs", r.queue("plain"), nil)
	r.subscribe("sqs", r.queue("raw"), m{"RawMessageDelivery": "true"})
	sub := r.subscribe("lambda", function, nil)
	r.subscribe("email", "ops@example.com", nil)
	id := r.must("Publish", m{"TopicArn": topicARN, "Message": "hello <b>", "Subject": "s",
		"MessageAttributes": m{"k": m{"DataType": "String", "StringValue": "v"}}})["MessageId"]
	r.sched.Run(nil)

	plain := r.receive("plain")
	if len(plain) != 1 || plain[0]["MessageAttributes"] != nil {
		t.Fatalf("got %v", plain)
	}
	e := parse(t, plain[0]["Body"].(string))
	for name, want := range map[string]any{
		"Type": "Notification", "MessageId": id, "TopicArn": topicARN, "Subject": "s", "Message": "hello <b>",
		"Timestamp":         "2026-01-01T00:00:00.000Z",
		"MessageAttributes": m{"k": m{"Type": "String", "Value": "v"}},
	} {
		if fmt.Sprint(e[name]) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", name, e[name], want)
		}
	}
	raw := r.receive("raw")
	if len(raw) != 1 || raw[0]["Body"] != "hello <b>" ||
		fmt.Sprint(raw[0]["MessageAttributes"]) != "map[k:map[DataType:String StringValue:v]]" {
		t.Fatalf("got %v", raw)
	}
	if len(r.invoked) != 1 || r.invoked[0].InvocationType != "Event" {
		t.Fatalf("got %v", r.invoked)
	}
	record := parse(t, string(r.invoked[0].Payload))["Records"].([]any)[0].(map[string]any)
	if record["EventSubscriptionArn"] != sub || record["Sns"].(map[string]any)["Message"] != "hello <b>" {
		t.Fatalf("got %v", record)
	}
	if left := r.sns.Residue(t.Context()); len(left) != 0 {
		t.Fatal(left)
	}
}

func TestMessagesByProtocol(t *testing.T) {
	r := newRig(t)
	r.subscribe("sqs", r.queue("q"), m{"RawMessageDelivery": "true"})
	r.subscribe("lambda", function, nil)
	r.must("Publish", m{"TopicArn": topicARN, "MessageStructure": "json", "Message": `{"default":"d","sqs":"for the queue"}`})
	r.sched.Run(nil)
	if got := r.receive("q"); len(got) != 1 || got[0]["Body"] != "for the queue" {
		t.Fatalf("got %v", got)
	}
	if !strings.Contains(string(r.invoked[0].Payload), `"Message":"d"`) {
		t.Fatalf("got %s", r.invoked[0].Payload)
	}
}

func TestFilterPolicies(t *testing.T) {
	r := newRig(t)
	r.subscribe("sqs", r.queue("attributes"), m{"RawMessageDelivery": "true", "FilterPolicy": `{"result":["FAIL"]}`})
	r.subscribe("sqs", r.queue("body"), m{"RawMessageDelivery": "true", "FilterPolicy": `{"device":{"name":["rg-2"]}}`, "FilterPolicyScope": "MessageBody"})
	for i, result := range []string{"SUCCESS", "FAIL"} {
		r.must("Publish", m{"TopicArn": topicARN, "Message": fmt.Sprintf(`{"device":{"name":"rg-%d"}}`, i+1), "MessageAttributes": m{"result": m{"DataType": "String", "StringValue": result}}})
	}
	r.must("Publish", m{"TopicArn": topicARN, "Message": "no attributes, no JSON"})
	r.sched.Run(nil)
	for _, name := range []string{"attributes", "body"} {
		if got := r.receive(name); len(got) != 1 || got[0]["Body"] != `{"device":{"name":"rg-2"}}` {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestFailedDeliveriesAreRetriedAlsoAfterARestart(t *testing.T) {
	r := newRig(t)
	r.subscribe("lambda", function, nil)
	throttled := (&awsapi.Error{Code: "TooManyRequestsException"}).WithStatus(429)
	r.failures = slices.Repeat([]*awsapi.Error{throttled}, 8)
	r.must("Publish", m{"TopicArn": topicARN, "Message": "a"})
	r.sched.RunFor(time.Millisecond)
	if len(r.failures) != 4 {
		t.Fatalf("%d failures left, want 4 after the attempts without delay", len(r.failures))
	}
	if left := r.sns.Residue(t.Context()); len(left) != 1 || !strings.Contains(left[0], "after 4 attempts") {
		t.Fatal(left)
	}
	r.restart()
	start := r.sched.Now()
	r.sched.Run(nil)
	if len(r.invoked) != 1 {
		t.Fatalf("invoked %d times", len(r.invoked))
	}
	// 1 + 1 + 1 + 1.4 + 1.96
	if took := r.sched.Now().Sub(start).Round(10 * time.Millisecond); took != 6360*time.Millisecond {
		t.Fatalf("took %s", took)
	}
}

// TestAThrottledReceiverIsTriedAgain: SQS and KMS say so with status 400.
func TestAThrottledReceiverIsTriedAgain(t *testing.T) {
	for _, code := range []string{"RequestThrottled", "ThrottlingException", "KMS.ThrottlingException"} {
		r := newRig(t)
		r.subscribe("lambda", function, nil)
		r.failures = slices.Repeat([]*awsapi.Error{(&awsapi.Error{Code: code}).WithStatus(400)}, 5)
		r.must("Publish", m{"TopicArn": topicARN, "Message": "a"})
		r.sched.Run(nil)
		if len(r.invoked) != 1 || len(r.dropped) > 0 {
			t.Errorf("%s: invoked %d times, dropped %v", code, len(r.invoked), r.dropped)
		}
	}
}

func TestUndeliverableMessagesGoToTheDeadLetterQueue(t *testing.T) {
	r := newRig(t)
	r.queue("dead")
	redrive := m{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead"}`}
	r.subscribe("lambda", function, redrive)
	r.subscribe("sqs", "arn:aws:sqs:us-east-1:123456789012:missing", redrive)
	if _, err := r.callOn("sqs", "CreateQueue", m{"QueueName": "closed"}); err != nil {
		t.Fatal(err)
	}
	r.subscribe("sqs", "arn:aws:sqs:us-east-1:123456789012:closed", nil)
	r.failures = []*awsapi.Error{{Code: "InvalidParameterValueException"}}
	r.must("Publish", m{"TopicArn": topicARN, "Message": "a"})
	r.sched.Run(nil)
	var codes []string
	for _, x := range r.receive("dead") {
		code := x["MessageAttributes"].(map[string]any)["ErrorCode"].(map[string]any)
		codes = append(codes, code["StringValue"].(string))
	}
	slices.Sort(codes)
	// A queue that is not there has no policy that would let the topic send.
	if fmt.Sprint(codes) != "[AccessDenied InvalidParameterValueException]" ||
		fmt.Sprint(r.dropped) != "[AccessDenied]" {
		t.Fatalf("dead: %v, dropped: %v", codes, r.dropped)
	}
}

func TestHTTPSubscribersConfirmAndReceive(t *testing.T) {
	r := newRig(t)
	var got []*http.Request
	var bodies []string
	status := 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		got, bodies = append(got, q), append(bodies, string(b))
		w.WriteHeader(status)
	}))
	defer server.Close()
	out := r.must("Subscribe", m{"TopicArn": topicARN, "Protocol": "http", "Endpoint": server.URL + "/x"})
	if out["SubscriptionArn"] != "pending confirmation" {
		t.Fatalf("got %v", out)
	}
	r.must("Publish", m{"TopicArn": topicARN, "Message": "too early"})
	r.sched.Run(nil)
	if len(got) != 1 || got[0].Header.Get("X-Amz-Sns-Message-Type") != "SubscriptionConfirmation" {
		t.Fatalf("got %v", bodies)
	}
	if _, err := r.callOn("sns", "ConfirmSubscription", m{"TopicArn": topicARN, "Token": "wrong"}); awsapi.Code(err) !=
		"InvalidParameter" {
		t.Fatalf("got %v", err)
	}
	r.must("ConfirmSubscription", m{"TopicArn": topicARN, "Token": parse(t, bodies[0])["Token"]})
	status = 503
	r.must("Publish", m{"TopicArn": topicARN, "Message": "a"})
	start := r.sched.Now()
	r.sched.Run(nil)
	if len(got) != 5 || r.sched.Now().Sub(start) != time.Minute || fmt.Sprint(r.dropped) != "[EndpointFailed]" {
		t.Fatalf("%d requests, %s, dropped %v", len(got), r.sched.Now().Sub(start), r.dropped)
	}
}

func TestErrors(t *testing.T) {
	r := newRig(t)
	sub := r.subscribe("sqs", r.queue("q"), nil)
	for _, c := range []struct {
		operation string
		in        m
		want      string
	}{
		{"CreateTopic", m{"Name": "t"}, ""},
		{"CreateTopic", m{"Name": "t", "Attributes": m{"DisplayName": "x"}},
			"InvalidParameter: Invalid parameter: Attributes Reason: Topic already exists with different attributes"},
		{"CreateTopic", m{"Name": "a b"}, "InvalidParameter: Invalid parameter: Topic Name"},
		{"CreateTopic", m{"Name": "x.fifo"}, "NotImplemented: the local cloud does not implement FIFO topics"},
		{"Publish", m{"TopicArn": topicARN + "2", "Message": "a"}, "NotFound: Topic does not exist"},
		{"Publish", m{"TopicArn": topicARN}, "InvalidParameter: Invalid parameter: Empty message"},
		{"Publish", m{"TopicArn": topicARN, "Message": strings.Repeat("x", maxMessage+1)},
			"InvalidParameter: Invalid parameter: Message too long"},
		{"Publish", m{"TopicArn": topicARN, "Message": "{}", "MessageStructure": "json"},
			"InvalidParameter: Invalid parameter: Message Structure - No default entry in JSON message body"},
		{"Publish", m{"PhoneNumber": "+100", "Message": "a"},
			"NotImplemented: the local cloud does not implement SMS (sns:Publish to a PhoneNumber)"},
		{"Subscribe", m{"TopicArn": topicARN, "Protocol": "pigeon", "Endpoint": "x"},
			"InvalidParameter: Invalid parameter: Amazon SNS does not support this protocol string: pigeon"},
		{"Subscribe", m{"TopicArn": topicARN, "Protocol": "http", "Endpoint": "http://example.com/"},
			"NotImplemented: the local cloud does not implement SNS subscriptions of HTTP endpoints that are not " +
				"on this machine"},
		{"Subscribe", m{"TopicArn": topicARN, "Protocol": "sqs", "Endpoint": "arn:aws:sqs:us-east-1:123456789012:q",
			"Attributes": m{"RawMessageDelivery": "true"}},
			"InvalidParameter: Invalid parameter: Attributes Reason: Subscription already exists with different " +
				"attributes"},
		{"SetSubscriptionAttributes", m{"SubscriptionArn": sub, "AttributeName": "FilterPolicy", "AttributeValue": `{"a":"b"}`}, `InvalidParameter: Invalid parameter: FilterPolicy: "a" must be an object or an array`},
		{"GetSubscriptionAttributes", m{"SubscriptionArn": topicARN + ":x"}, "NotFound: Subscription does not exist"},
		{"PublishBatch", m{"TopicArn": topicARN}, "EmptyBatchRequest: The batch request doesn't contain any entries."},
		{"SetSMSAttributes", nil, "NotImplemented: the local cloud does not implement sns:SetSMSAttributes"},
		{"Unsubscribe", m{"SubscriptionArn": sub}, ""},
		{"DeleteTopic", m{"TopicArn": topicARN}, ""},
		{"DeleteTopic", m{"TopicArn": topicARN}, ""},
	} {
		_, err := r.callOn("sns", c.operation, c.in)
		if got := fmt.Sprint(err); err != nil && got != c.want || err == nil && c.want != "" {
			t.Errorf("%s %.90v: got %v, want %s", c.operation, c.in, err, c.want)
		}
	}
}

func TestAlarmsPublishUnderTheDefaultPolicy(t *testing.T) {
	r := newRig(t)
	publish := func(accountID string) error {
		_, err := r.door.Call(t.Context(), awsapi.ServiceOf("cloudwatch.amazonaws.com", accountID,
			"arn:aws:cloudwatch:us-east-1:"+accountID+":alarm:a"), "sns", "Publish",
			m{"TopicArn": topicARN, "Message": "a"})
		return err
	}
	if err := publish(account); err != nil {
		t.Fatal(err)
	}
	if err := publish("999999999999"); awsapi.Code(err) != "AuthorizationError" {
		t.Fatalf("got %v", err)
	}
}

func TestSDK(t *testing.T) {
	r := newRig(t)
	queue := r.queue("q")
	server := httptest.NewServer(r.door)
	defer server.Close()
	client := sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	ctx := t.Context()
	sub, err := client.Subscribe(ctx, &sdk.SubscribeInput{TopicArn: aws.String(topicARN), Protocol: aws.String("sqs"),
		Endpoint: &queue, Attributes: map[string]string{"RawMessageDelivery": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.PublishBatch(ctx, &sdk.PublishBatchInput{TopicArn: aws.String(topicARN),
		PublishBatchRequestEntries: []types.PublishBatchRequestEntry{
			{Id: aws.String("1"), Message: aws.String("a"), MessageAttributes: map[string]types.MessageAttributeValue{
				"k": {DataType: aws.String("Number"), StringValue: aws.String("7")},
			}},
			{Id: aws.String("2"), Message: aws.String("b"), Subject: aws.String("two\nlines")},
		}})
	if err != nil || len(out.Successful) != 1 || len(out.Failed) != 1 || *out.Failed[0].Code != "InvalidParameter" {
		t.Fatalf("%+v, %v", out, err)
	}
	r.sched.Run(nil)
	if got := r.receive("q"); len(got) != 1 || got[0]["Body"] != "a" {
		t.Fatalf("got %v", got)
	}
	attributes, err := client.GetSubscriptionAttributes(ctx, &sdk.GetSubscriptionAttributesInput{
		SubscriptionArn: sub.SubscriptionArn,
	})
	if err != nil || attributes.Attributes["RawMessageDelivery"] != "true" ||
		attributes.Attributes["PendingConfirmation"] != "false" {
		t.Fatalf("%+v, %v", attributes, err)
	}
	topic, err := client.GetTopicAttributes(ctx, &sdk.GetTopicAttributesInput{TopicArn: aws.String(topicARN)})
	if err != nil || topic.Attributes["SubscriptionsConfirmed"] != "1" {
		t.Fatalf("%+v, %v", topic, err)
	}
	list, err := client.ListSubscriptionsByTopic(ctx, &sdk.ListSubscriptionsByTopicInput{
		TopicArn: aws.String(topicARN),
	})
	if err != nil || len(list.Subscriptions) != 1 || *list.Subscriptions[0].Endpoint != queue {
		t.Fatalf("%+v, %v", list, err)
	}
}

func TestListsComeInPages(t *testing.T) {
	r := newRig(t)
	for i := range 250 {
		r.must("CreateTopic", m{"Name": fmt.Sprintf("t%03d", i)})
		r.subscribe("email", fmt.Sprintf("a%d@example.com", i), nil)
	}
	for _, c := range []struct {
		operation, member string
		in                m
		want              int
	}{
		{"ListTopics", "Topics", m{}, 251}, {"ListSubscriptions", "Subscriptions", m{}, 250},
		{"ListSubscriptionsByTopic", "Subscriptions", m{"TopicArn": topicARN}, 250},
	} {
		seen := map[string]bool{}
		for {
			out := r.must(c.operation, c.in)
			for _, x := range out[c.member].([]any) {
				seen[fmt.Sprint(x)] = true
			}
			next, ok := out["NextToken"]
			if !ok {
				break
			}
			c.in["NextToken"] = next
		}
		if len(seen) != c.want {
			t.Errorf("%s: got %d, want %d", c.operation, len(seen), c.want)
		}
	}
}

// TestEveryPublishedMessageArrivesOnce publishes at random, with restarts and
// failures of the function between, and compares what arrived.
func TestEveryPublishedMessageArrivesOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.subscribe("lambda", function, nil)
		var sent, got []string
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "do") {
			case 0, 1:
				text := fmt.Sprint("m", i)
				r.must("Publish", m{"TopicArn": topicARN, "Message": text})
				sent = append(sent, text)
			case 2:
				r.failures = append(r.failures, (&awsapi.Error{Code: "ServiceException"}).WithStatus(500))
			case 3:
				r.restart()
			}
		}
		r.sched.Run(nil)
		for _, x := range r.invoked {
			record := parse(t, string(x.Payload))["Records"].([]any)[0].(map[string]any)
			got = append(got, record["Sns"].(map[string]any)["Message"].(string))
		}
		slices.Sort(sent)
		slices.Sort(got)
		if !slices.Equal(sent, got) {
			rt.Fatalf("sent %v, got %v", sent, got)
		}
	})
}

func BenchmarkPublishToQueue(b *testing.B) {
	r := newRig(b)
	r.subscribe("sqs", r.queue("q"), nil)
	b.ReportAllocs()
	for b.Loop() {
		r.must("Publish", m{"TopicArn": topicARN, "Message": "hello"})
		r.sched.Run(nil)
	}
}
