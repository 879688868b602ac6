package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const account = "123456789012"

type m = map[string]any

type rig struct {
	t     testing.TB
	sched *scheduler.Scheduler
	db    *store.DB
	sqs   *Service
	door  *awsapi.Door
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, sched: scheduler.NewVirtual(1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), db: store.Memory()}
	r.restart()
	return r
}

func (r *rig) restart() {
	r.sqs = New(Config{Platform: platform.Platform{Scheduler: r.sched, Store: r.db, Account: account,
		Region: "us-east-1"}})
	access := iam.New(iam.Config{Platform: platform.Platform{Scheduler: r.sched, Store: r.db, Account: account,
		Region: "us-east-1"}})
	r.door = awsapi.New(awsapi.Config{Scheduler: r.sched, Account: account, Region: "us-east-1", Authorizer: access})
	r.door.Add(r.sqs.API())
}

func (r *rig) call(operation string, in m) (out map[string]any, err error) {
	r.t.Helper()
	err = awsapi.CallInto(context.Background(), r.door, awsapi.RootOf(account), "sqs", operation, in, &out)
	return out, err
}

func (r *rig) must(operation string, in m) map[string]any {
	r.t.Helper()
	out, err := r.call(operation, in)
	if err != nil {
		r.t.Fatalf("%s: %v", operation, err)
	}
	return out
}

func (r *rig) create(name string, attributes m) string {
	r.t.Helper()
	return r.must("CreateQueue", m{"QueueName": name, "Attributes": attributes})["QueueUrl"].(string)
}

// receive returns the bodies and the handles of what it gets.
func (r *rig) receive(url string, in m) (bodies, handles []string) {
	r.t.Helper()
	in["QueueUrl"] = url
	list, _ := r.must("ReceiveMessage", in)["Messages"].([]any)
	for _, x := range list {
		bodies = append(bodies, x.(map[string]any)["Body"].(string))
		handles = append(handles, x.(map[string]any)["ReceiptHandle"].(string))
	}
	return bodies, handles
}

func (r *rig) counts(url string) string {
	r.t.Helper()
	a := r.must("GetQueueAttributes",
		m{"QueueUrl": url, "AttributeNames": []string{"All"}})["Attributes"].(map[string]any)
	return fmt.Sprint(a["ApproximateNumberOfMessages"], " ", a["ApproximateNumberOfMessagesNotVisible"], " ",
		a["ApproximateNumberOfMessagesDelayed"])
}

func (r *rig) want(url, counts string) {
	r.t.Helper()
	if got := r.counts(url); got != counts {
		r.t.Fatalf("visible, in flight, delayed: got %s, want %s", got, counts)
	}
}

func TestAMessageIsHiddenUntilItsTimeoutAndGoneWhenDeleted(t *testing.T) {
	r := newRig(t)
	q := r.create("q", m{"VisibilityTimeout": "10"})
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "a"})
	r.want(q, "1 0 0")
	bodies, first := r.receive(q, m{})
	if fmt.Sprint(bodies) != "[a]" {
		t.Fatalf("got %v", bodies)
	}
	r.want(q, "0 1 0")
	r.restart()
	if bodies, _ := r.receive(q, m{}); bodies != nil {
		t.Fatalf("got %v", bodies)
	}
	r.sched.RunFor(10 * time.Second)
	_, second := r.receive(q, m{})
	r.must("DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": first[0]}) // no longer good, no error
	r.want(q, "0 1 0")
	r.must("ChangeMessageVisibility", m{"QueueUrl": q, "ReceiptHandle": second[0], "VisibilityTimeout": 0})
	r.want(q, "1 0 0")
	_, third := r.receive(q, m{})
	r.must("DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": third[0]})
	r.must("DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": third[0]})
	r.want(q, "0 0 0")
	if left := r.sqs.Residue(t.Context()); len(left) != 0 {
		t.Fatal(left)
	}
}

func TestLongPollingEndsWithAMessage(t *testing.T) {
	for _, c := range []struct {
		name    string
		arrange func(r *rig, q string)
		after   time.Duration
		want    string
	}{
		{"nothing comes", func(r *rig, q string) {}, 20 * time.Second, "[]"},
		{"one is sent", func(r *rig, q string) {
			r.sched.After(7*time.Second, "send", func() {
				r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "a"})
			})
		}, 7 * time.Second, "[a]"},
		{"a delayed one becomes visible", func(r *rig, q string) {
			r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "a", "DelaySeconds": 5})
		}, 5 * time.Second, "[a]"},
		{"one in flight comes back", func(r *rig, q string) {
			r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "a"})
			r.receive(q, m{"VisibilityTimeout": 3})
		}, 3 * time.Second, "[a]"},
		{"one is given back", func(r *rig, q string) {
			r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "a"})
			_, h := r.receive(q, m{})
			r.sched.After(2*time.Second, "give back", func() {
				r.must("ChangeMessageVisibility", m{"QueueUrl": q, "ReceiptHandle": h[0], "VisibilityTimeout": 0})
			})
		}, 2 * time.Second, "[a]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			q := r.create("q", nil)
			c.arrange(r, q)
			start := r.sched.Now()
			bodies, _ := r.receive(q, m{"WaitTimeSeconds": 20})
			if took := r.sched.Now().Sub(start); took != c.after || fmt.Sprint(bodies) != c.want {
				t.Fatalf("got %v after %s, want %s after %s", bodies, took, c.want, c.after)
			}
		})
	}
}

func TestDeadLetters(t *testing.T) {
	r := newRig(t)
	dead := r.create("dead", nil)
	policy := `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":"2"}`
	q := r.create("q", m{"RedrivePolicy": policy, "VisibilityTimeout": "1"})
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "poison"})
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "other"})
	for i := range 3 {
		bodies, handles := r.receive(q, m{"MaxNumberOfMessages": 10})
		want := []string{"[poison other]", "[poison]", "[]"}[i]
		if fmt.Sprint(bodies) != want {
			t.Fatalf("receive %d: got %v, want %s", i, bodies, want)
		}
		if i == 0 {
			r.must("DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": handles[1]})
		}
		r.sched.RunFor(2 * time.Second)
	}
	r.want(q, "0 0 0")
	got := r.must("ReceiveMessage",
		m{"QueueUrl": dead, "MessageSystemAttributeNames": []string{"All"}})["Messages"].([]any)[0].(map[string]any)
	if got["Body"] != "poison" || got["Attributes"].(map[string]any)["DeadLetterQueueSourceArn"] !=
		"arn:aws:sqs:us-east-1:123456789012:q" {
		t.Fatalf("got %v", got)
	}
	if urls := r.must("ListDeadLetterSourceQueues", m{"QueueUrl": dead})["queueUrls"].([]any); len(urls) != 1 {
		t.Fatalf("got %v", urls)
	}
	if left := r.sqs.Residue(t.Context()); fmt.Sprint(left) != "[sqs: queue dead holds 1 messages]" {
		t.Fatal(left)
	}
}

func TestMessagesExpire(t *testing.T) {
	r := newRig(t)
	q := r.create("q", m{"MessageRetentionPeriod": "60"})
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "old"})
	r.sched.RunFor(30 * time.Second)
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "new"})
	r.sched.RunFor(30 * time.Second)
	if bodies, _ := r.receive(q, m{"MaxNumberOfMessages": 10}); fmt.Sprint(bodies) != "[new]" {
		t.Fatalf("got %v", bodies)
	}
	r.sched.RunFor(time.Hour)
	r.want(q, "0 0 0")
}

func TestErrors(t *testing.T) {
	r := newRig(t)
	q := r.create("q", m{"VisibilityTimeout": "30"})
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "a"})
	_, h := r.receive(q, m{"VisibilityTimeout": 1})
	r.sched.RunFor(time.Minute)
	entry := func(id string) m { return m{"Id": id, "MessageBody": "x"} }
	for _, c := range []struct {
		operation string
		in        m
		code      string
	}{
		{"CreateQueue", m{"QueueName": "q", "Attributes": m{"VisibilityTimeout": "30"}}, ""},
		{"CreateQueue", m{"QueueName": "q", "Attributes": m{"VisibilityTimeout": "31"}}, "QueueNameExists"},
		{"CreateQueue", m{"QueueName": "a b"}, "InvalidParameterValueException"},
		{"CreateQueue", m{"QueueName": "x.fifo"}, "NotImplemented"},
		{"CreateQueue", m{"QueueName": "x", "Attributes": m{"Colour": "red"}}, "InvalidAttributeName"},
		{"CreateQueue", m{"QueueName": "x", "Attributes": m{"DelaySeconds": "901"}}, "InvalidAttributeValue"},
		{"CreateQueue", m{"QueueName": "x", "Attributes": m{"Policy": "{}"}}, "InvalidAttributeValue"},
		{"CreateQueue", m{"QueueName": "x", "Attributes": m{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:no","maxReceiveCount":1}`}}, "InvalidParameterValueException"},
		{"GetQueueUrl", m{"QueueName": "no"}, "QueueDoesNotExist"},
		{"SendMessage", m{"QueueUrl": "http://x/999999999999/q", "MessageBody": "a"}, "QueueDoesNotExist"},
		{"SendMessage", m{"QueueUrl": q, "MessageBody": "a\x00b"}, "InvalidMessageContents"},
		{"SendMessage", m{"QueueUrl": q}, "MissingRequiredParameterException"},
		{"SendMessage", m{"QueueUrl": q, "MessageBody": strings.Repeat("x", maxBytes+1)},
			"InvalidParameterValueException"},
		{"SendMessage", m{"QueueUrl": q, "MessageBody": "a",
			"MessageAttributes": m{"n": m{"DataType": "Number", "StringValue": "x"}}},
			"InvalidParameterValueException"},
		{"SendMessageBatch", m{"QueueUrl": q}, "EmptyBatchRequest"},
		{"SendMessageBatch", m{"QueueUrl": q, "Entries": []m{entry("a"), entry("a")}}, "BatchEntryIdsNotDistinct"},
		{"SendMessageBatch", m{"QueueUrl": q, "Entries": []m{entry("a b")}}, "InvalidBatchEntryId"},
		{"DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": "x"}, "ReceiptHandleIsInvalid"},
		{"ChangeMessageVisibility", m{"QueueUrl": q, "ReceiptHandle": h[0], "VisibilityTimeout": 1},
			"MessageNotInflight"},
		{"ReceiveMessage", m{"QueueUrl": q, "MaxNumberOfMessages": 11}, "InvalidParameterValueException"},
		{"PurgeQueue", m{"QueueUrl": q}, ""},
		{"PurgeQueue", m{"QueueUrl": q}, "PurgeQueueInProgress"},
		{"AddPermission", nil, "NotImplemented"},
		{"StartMessageMoveTask", m{"SourceArn": "arn:aws:sqs:us-east-1:123456789012:no"}, "ResourceNotFoundException"},
		{"StartMessageMoveTask", m{"SourceArn": "arn:aws:sqs:us-east-1:123456789012:q"},
			"InvalidParameterValueException"},
		{"CancelMessageMoveTask", m{"TaskHandle": "x"}, "InvalidParameterValueException"},
		{"SendMessage", m{"QueueUrl": q, "MessageBody": "a", "MessageGroupId": "a b"},
			"InvalidParameterValueException"},
		{"SetQueueAttributes", m{"QueueUrl": q, "Attributes": m{"KmsMasterKeyId": "k",
			"SqsManagedSseEnabled": "true"}}, "InvalidAttributeValue"},
		{"DeleteQueue", m{"QueueUrl": q}, ""},
		{"DeleteQueue", m{"QueueUrl": q}, "QueueDoesNotExist"},
	} {
		if _, err := r.call(c.operation, c.in); awsapi.Code(err) != c.code {
			t.Errorf("%s %.80v: got %v, want %q", c.operation, c.in, err, c.code)
		}
	}
}

func TestTheQueuePolicyLetsServicesSend(t *testing.T) {
	r := newRig(t)
	const topic = "arn:aws:sns:us-east-1:123456789012:t"
	q := r.create("q", m{"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},
		"Action":"sqs:SendMessage","Resource":"arn:aws:sqs:us-east-1:123456789012:q","Condition":{"ArnEquals":{"aws:SourceArn":"` + topic + `"}}}]}`})
	send := func(source string) error {
		_, err := r.door.Call(t.Context(), awsapi.ServiceOf("sns.amazonaws.com", account, source), "sqs",
			"SendMessage", m{"QueueUrl": q, "MessageBody": "a"})
		return err
	}
	if err := send(topic); err != nil {
		t.Fatal(err)
	}
	if err := send(topic + "2"); awsapi.Code(err) != "AccessDenied" {
		t.Fatalf("got %v", err)
	}
}

func TestSDKAndQueryClients(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(r.door)
	t.Cleanup(server.Close)
	client := sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	ctx := t.Context()
	created, err := client.CreateQueue(ctx, &sdk.CreateQueueInput{QueueName: aws.String("q"),
		Tags: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := server.URL + "/123456789012/q"; *created.QueueUrl != want {
		t.Fatalf("got %s, want %s", *created.QueueUrl, want)
	}
	// The SDK checks the digests of body and attributes.
	if _, err := client.SendMessageBatch(ctx, &sdk.SendMessageBatchInput{QueueUrl: created.QueueUrl,
		Entries: []types.SendMessageBatchRequestEntry{
			{Id: aws.String("1"), MessageBody: aws.String("hé"),
				MessageAttributes: map[string]types.MessageAttributeValue{
					"s": {DataType: aws.String("String.x"), StringValue: aws.String("v")},
					"b": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1}},
				}},
			{Id: aws.String("2"), MessageBody: aws.String("b"), DelaySeconds: 1000},
		}}); err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveMessage(ctx, &sdk.ReceiveMessageInput{
		QueueUrl: created.QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"SentTimestamp"},
	})
	if err != nil || len(got.Messages) != 1 || *got.Messages[0].MessageAttributes["s"].StringValue != "v" ||
		got.Messages[0].Attributes["SentTimestamp"] != "1767225600000" {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = client.GetQueueUrl(ctx, &sdk.GetQueueUrlInput{QueueName: aws.String("no")})
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
		t.Fatalf("got %v", err)
	}

	post := func(form url.Values) string {
		form.Set("Version", "2012-11-05")
		w, err := http.PostForm(server.URL, form)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Body.Close() }()
		b := make([]byte, 4096)
		n, _ := w.Body.Read(b)
		return string(b[:n])
	}
	sent := post(url.Values{"Action": {"SendMessage"}, "QueueUrl": {*created.QueueUrl}, "MessageBody": {"query"},
		"MessageAttribute.1.Name":           {"k"},
		"MessageAttribute.1.Value.DataType": {"String"}, "MessageAttribute.1.Value.StringValue": {"v"}})
	if !strings.Contains(sent, "<MD5OfMessageBody>"+md5Of("query")+"</MD5OfMessageBody>") {
		t.Fatal(sent)
	}
	received := post(url.Values{"Action": {"ReceiveMessage"}, "QueueUrl": {*created.QueueUrl},
		"MessageAttributeName.1": {"All"}, "AttributeName.1": {"SenderId"}})
	for _, want := range []string{"<ReceiveMessageResult><Message><MessageId>", "<Body>query</Body>",
		"<Attribute><Name>SenderId</Name><Value>123456789012</Value></Attribute>",
		"<MessageAttribute><Name>k</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value></" +
			"MessageAttribute>"} {
		if !strings.Contains(received, want) {
			t.Errorf("%s\nhas no %s", received, want)
		}
	}
	missing := post(url.Values{"Action": {"GetQueueUrl"}, "QueueName": {"no"}})
	if !strings.Contains(missing, "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>") {
		t.Error(missing)
	}
}

// TestEveryMessageIsDeliveredOrKept runs random operations beside a model that
// knows which messages are to be there.
func TestEveryMessageIsDeliveredOrKept(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		q := r.create("q", m{"VisibilityTimeout": "5"})
		there := map[string]time.Time{} // body -> visible from
		held := map[string]string{}     // body -> handle
		n := 0
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			now := r.sched.Now()
			switch rapid.IntRange(0, 4).Draw(rt, "do") {
			case 0:
				n++
				body, delay := fmt.Sprint(n), rapid.IntRange(0, 3).Draw(rt, "delay")
				r.must("SendMessage", m{"QueueUrl": q, "MessageBody": body, "DelaySeconds": delay})
				there[body] = now.Add(time.Duration(delay) * time.Second)
			case 1:
				limit := rapid.IntRange(1, 10).Draw(rt, "limit")
				bodies, handles := r.receive(q, m{"MaxNumberOfMessages": limit})
				visible := 0
				for _, at := range there {
					if !at.After(now) {
						visible++
					}
				}
				if len(bodies) != min(limit, visible) {
					rt.Fatalf("got %d messages of %d visible", len(bodies), visible)
				}
				for i, b := range bodies {
					if at, ok := there[b]; !ok || at.After(now) {
						rt.Fatalf("got %s, which is visible from %s, at %s", b, at, now)
					}
					there[b], held[b] = now.Add(5*time.Second), handles[i]
				}
			case 2:
				for b, h := range held {
					r.must("DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": h})
					delete(there, b)
					delete(held, b)
					break
				}
			case 3:
				r.sched.RunFor(time.Duration(rapid.IntRange(1, 6).Draw(rt, "seconds")) * time.Second)
			case 4:
				r.restart()
			}
		}
	})
}

func FuzzReceiptHandle(f *testing.F) {
	q := &queue{ID: "id"}
	f.Add(handle("id", store.Number(7), message{Count: 2}))
	f.Fuzz(func(t *testing.T, h string) {
		number, count, err := parseHandle(q, h)
		if err == nil {
			n, c, err := parseHandle(q, handle(q.ID, number, message{Count: count}))
			if err != nil || n != number || c != count {
				t.Fatalf("%q: %v", h, err)
			}
		}
	})
}

func FuzzAttributes(f *testing.F) {
	f.Add("RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:q","maxReceiveCount":3}`)
	f.Add("Policy", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}}`)
	f.Add("VisibilityTimeout", "030")
	r := newRig(f)
	r.create("q", nil)
	f.Fuzz(func(t *testing.T, name, value string) {
		b, err := json.Marshal(m{"QueueUrl": "q", "Attributes": m{name: value}})
		if err != nil {
			t.Skip()
		}
		if _, err := r.door.Call(t.Context(), awsapi.RootOf(account), "sqs", "SetQueueAttributes",
			json.RawMessage(b)); err != nil && awsapi.AsError(err).Status == 500 {
			t.Fatal(err)
		}
	})
}
