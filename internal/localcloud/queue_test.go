package localcloud_test

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// What lies between SQS and Lambda: event source mappings.

const (
	letters     = "arn:aws:sqs:us-east-1:123456789012:letters"
	deadLetters = "arn:aws:sqs:us-east-1:123456789012:dead"
)

// sqsEvent is what a function gets.
type sqsEvent struct {
	Records []struct {
		MessageID     string `json:"messageId"`
		ReceiptHandle string `json:"receiptHandle"`
		Body          string
		Attributes    map[string]string
	}
}

// post makes the queues letters (30 s of visibility) and dead, and the function f
// (10 s).
func (l *lives) post(maxReceives int) (queue, dead string) {
	l.t.Helper()
	var made struct{ QueueUrl string }
	l.call("sqs", "CreateQueue", map[string]any{"QueueName": "dead"}, &made)
	dead = made.QueueUrl
	l.call("sqs", "CreateQueue", map[string]any{"QueueName": "letters", "Attributes": map[string]string{
		"VisibilityTimeout": "30", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, deadLetters, maxReceives),
	}}, &made)
	l.call("lambda", "CreateFunction", map[string]any{
		"FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": l.role(), "Timeout": 10,
		"Code": map[string]string{"S3Bucket": "assets", "S3Key": "f.zip"},
	}, nil)
	return made.QueueUrl, dead
}

// feed maps the queue to the function and returns the mapping's UUID.
func (l *lives) feed(settings map[string]any) string {
	l.t.Helper()
	in := map[string]any{"EventSourceArn": letters, "FunctionName": "f"}
	maps.Copy(in, settings)
	var made struct{ UUID, State string }
	l.call("lambda", "CreateEventSourceMapping", in, &made)
	if made.State != "Creating" {
		l.t.Fatalf("a new mapping is %s", made.State)
	}
	l.sched.RunFor(time.Millisecond)
	return made.UUID
}

func (l *lives) send(queue string, bodies ...string) {
	l.t.Helper()
	for _, b := range bodies {
		l.call("sqs", "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": b}, nil)
	}
}

// holds is how many messages a queue has: visible, in flight, delayed.
func (l *lives) holds(queue string) string {
	l.t.Helper()
	var out struct{ Attributes map[string]string }
	l.call("sqs", "GetQueueAttributes", map[string]any{"QueueUrl": queue, "AttributeNames": []string{"All"}}, &out)
	a := out.Attributes
	return a["ApproximateNumberOfMessages"] + " " + a["ApproximateNumberOfMessagesNotVisible"] + " " +
		a["ApproximateNumberOfMessagesDelayed"]
}

func (l *lives) wantHolds(queue, want string) {
	l.t.Helper()
	if got := l.holds(queue); got != want {
		l.t.Fatalf("%s holds %s (visible, in flight, delayed), want %s", queue, got, want)
	}
}

func TestAFunctionGetsWhatIsSentToItsQueue(t *testing.T) {
	l := newLives(t)
	queue, _ := l.post(3)
	var got []byte
	l.run = func(_ string, payload []byte) ([]byte, error) {
		got = append([]byte(nil), payload...)
		return nil, nil
	}
	l.feed(nil)
	l.call("sqs", "SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": `{"a":"<1>"}`, "MessageAttributes": map[string]any{
		"k": map[string]any{"DataType": "String", "StringValue": "v"}, "b": map[string]any{"DataType": "Binary",
			"BinaryValue": []byte{1}},
	}}, nil)
	l.sched.RunFor(time.Second)
	var event struct{ Records []map[string]any }
	if err := json.Unmarshal(got, &event); err != nil || len(event.Records) != 1 {
		t.Fatalf("got %s: %v", got, err)
	}
	r := event.Records[0]
	for member, want := range map[string]any{
		"body": `{"a":"<1>"}`, "eventSource": "aws:sqs", "eventSourceARN": letters, "awsRegion": "us-east-1",
		"md5OfBody": fmt.Sprintf("%x", md5.Sum([]byte(`{"a":"<1>"}`))),
	} {
		if r[member] != want {
			t.Errorf("%s is %v, want %v", member, r[member], want)
		}
	}
	want := `map[b:map[binaryListValues:[] binaryValue:AQ== dataType:Binary stringListValues:[]] k:map[binaryListValues:[] dataType:String stringListValues:[] stringValue:v]]`
	if text := fmt.Sprint(r["messageAttributes"]); text != want {
		t.Errorf("messageAttributes are %s", text)
	}
	attributes, _ := r["attributes"].(map[string]any)
	if names := slices.Sorted(maps.Keys(attributes)); fmt.Sprint(names) !=
		"[ApproximateFirstReceiveTimestamp ApproximateReceiveCount SenderId SentTimestamp]" ||
		attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("attributes are %v", attributes)
	}
	l.wantHolds(queue, "0 0 0")
	if left := l.cloud.Residue(t.Context()); len(left) != 0 {
		t.Error(left)
	}
	if p := l.sched.Pending(); slices.ContainsFunc(p, func(s string) bool { return strings.Contains(s, "poller") }) {
		t.Errorf("a mapping without messages still does something: %v", p)
	}
}

// TestOnlyFailedMessagesComeBack holds the rows of AWS's table on partial batch
// responses.
func TestOnlyFailedMessagesComeBack(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(ids []string) (string, error)
		left   string
	}{
		"nothing returned": {func([]string) (string, error) { return "", nil }, "0 0 0"},
		"null":             {func([]string) (string, error) { return "null", nil }, "0 0 0"},
		"an empty list":    {func([]string) (string, error) { return `{"batchItemFailures":[]}`, nil }, "0 0 0"},
		"a null list":      {func([]string) (string, error) { return `{"batchItemFailures":null}`, nil }, "0 0 0"},
		"one failed": {func(ids []string) (string, error) {
			return `{"batchItemFailures":[{"itemIdentifier":"` + ids[1] + `"}]}`, nil
		}, "0 1 0"},
		"an unknown id":          {func([]string) (string, error) { return `{"batchItemFailures":[{"itemIdentifier":"x"}]}`, nil }, "0 3 0"},
		"an empty id":            {func([]string) (string, error) { return `{"batchItemFailures":[{"itemIdentifier":""}]}`, nil }, "0 3 0"},
		"a null id":              {func([]string) (string, error) { return `{"batchItemFailures":[{"itemIdentifier":null}]}`, nil }, "0 3 0"},
		"another member's name":  {func(ids []string) (string, error) { return `{"batchItemFailures":[{"id":"` + ids[0] + `"}]}`, nil }, "0 3 0"},
		"an answer of no object": {func([]string) (string, error) { return `"done"`, nil }, "0 3 0"},
		"an error":               {func([]string) (string, error) { return "", errors.New("broken") }, "0 3 0"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLives(t)
			queue, _ := l.post(3)
			l.run = func(_ string, payload []byte) ([]byte, error) {
				var e sqsEvent
				if err := json.Unmarshal(payload, &e); err != nil {
					t.Error(err)
				}
				var ids []string
				for _, r := range e.Records {
					ids = append(ids, r.MessageID)
				}
				if len(ids) != 3 {
					t.Errorf("a batch of %d", len(ids))
					return nil, nil
				}
				answer, err := c.answer(ids)
				return []byte(answer), err
			}
			l.send(queue, "a", "b", "c")
			l.feed(map[string]any{"FunctionResponseTypes": []string{"ReportBatchItemFailures"}})
			l.sched.RunFor(time.Second)
			l.wantHolds(queue, c.left)
		})
	}
}

func TestAMessageThatAlwaysFailsEndsAsADeadLetter(t *testing.T) {
	l := newLives(t)
	queue, dead := l.post(3)
	var at []time.Duration
	begun := l.sched.Now()
	l.run = func(_ string, _ []byte) ([]byte, error) {
		at = append(at, l.sched.Now().Sub(begun).Round(time.Second))
		return nil, errors.New("broken")
	}
	l.feed(nil)
	l.send(queue, "poison")
	l.sched.RunFor(5 * time.Minute)
	if fmt.Sprint(at) != "[0s 30s 1m0s]" {
		t.Fatalf("tried at %v", at)
	}
	l.wantHolds(queue, "0 0 0")
	l.wantHolds(dead, "1 0 0")
}

func TestABatchIsGatheredUntilItsWindowPassesOrItIsFull(t *testing.T) {
	l := newLives(t)
	queue, _ := l.post(3)
	begun := l.sched.Now()
	var batches []string
	l.run = func(_ string, payload []byte) ([]byte, error) {
		var e sqsEvent
		err := json.Unmarshal(payload, &e)
		batches = append(batches, fmt.Sprint(len(e.Records), " at ", l.sched.Now().Sub(begun).Round(time.Second)))
		return nil, err
	}
	for i := range 95 {
		l.send(queue, fmt.Sprint(i))
	}
	l.feed(map[string]any{"BatchSize": 40, "MaximumBatchingWindowInSeconds": 5})
	l.sched.RunFor(time.Second)
	full := 0
	for _, b := range batches {
		if b == "40 at 0s" {
			full++
		}
	}
	if full != len(batches) {
		t.Fatalf("before the window has passed only full batches are handed over, not %q", batches)
	}
	l.sched.RunFor(10 * time.Second)
	sum := 0
	for _, b := range batches[full:] {
		var n int
		if _, err := fmt.Sscanf(b, "%d at 5s", &n); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		sum += n
	}
	if sum+40*full != 95 {
		t.Fatalf("got %q", batches)
	}
	l.wantHolds(queue, "0 0 0")
}

func TestPollersBecomeMoreWhileMessagesAreLeft(t *testing.T) {
	for _, c := range []struct {
		settings map[string]any
		want     string
	}{
		{nil, "[5 10 15 20]"},
		{map[string]any{"ScalingConfig": map[string]any{"MaximumConcurrency": 7}}, "[5 7 7 7]"},
		{map[string]any{"ScalingConfig": map[string]any{"MaximumConcurrency": 2}}, "[2 2 2 2]"},
	} {
		l := newLives(t)
		queue, _ := l.post(9)
		running := 0
		l.run = func(string, []byte) ([]byte, error) {
			running++
			defer func() { running-- }()
			return nil, l.sched.Sleep(t.Context(), 8*time.Second)
		}
		for i := range 900 {
			l.send(queue, fmt.Sprint(i))
		}
		l.feed(c.settings)
		var got []int
		for range 4 {
			l.sched.RunFor(100 * time.Millisecond)
			got = append(got, running)
			l.sched.RunFor(900 * time.Millisecond)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v: %v invocations at the same time, want %s", c.settings, got, c.want)
		}
		l.sched.RunFor(20 * time.Minute)
		l.wantHolds(queue, "0 0 0")
	}
}

func TestAThrottledBatchIsTriedUntilTheQueueShowsItAgain(t *testing.T) {
	l := newLives(t)
	queue, dead := l.post(2)
	ran := 0
	l.run = func(string, []byte) ([]byte, error) { ran++; return nil, nil }
	l.call("lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 0},
		nil)
	l.feed(nil)
	l.send(queue, "a")
	l.sched.RunFor(20 * time.Second)
	l.wantHolds(queue, "0 1 0")
	l.call("lambda", "DeleteFunctionConcurrency", map[string]any{"FunctionName": "f"}, nil)
	l.sched.RunFor(20 * time.Second)
	if l.wantHolds(queue, "0 0 0"); ran != 1 {
		t.Fatalf("ran %d times", ran)
	}
	l.call("lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": "f", "ReservedConcurrentExecutions": 0},
		nil)
	l.send(queue, "b")
	l.sched.RunFor(5 * time.Minute)
	if l.wantHolds(dead, "1 0 0"); ran != 1 {
		t.Fatalf("ran %d times", ran)
	}
}

func TestOnlyMessagesThatAFilterWantsReachTheFunction(t *testing.T) {
	l := newLives(t)
	queue, _ := l.post(3)
	var got []string
	l.run = func(_ string, payload []byte) ([]byte, error) {
		var e sqsEvent
		err := json.Unmarshal(payload, &e)
		for _, r := range e.Records {
			got = append(got, r.Body)
		}
		return nil, err
	}
	l.feed(map[string]any{"FilterCriteria": map[string]any{"Filters": []any{
		map[string]any{"Pattern": `{"body":{"kind":["boot"],"n":[{"numeric":[">",1]}]}}`}, map[string]any{"Pattern": `{"body":["plain"]}`},
	}}})
	l.send(queue, `{"kind":"boot","n":2}`, `{"kind":"boot","n":1}`, `{"kind":"event","n":2}`, "plain", "other", `"plain"`)
	l.sched.RunFor(time.Second)
	slices.Sort(got)
	if fmt.Sprint(got) != `[plain {"kind":"boot","n":2}]` {
		t.Fatalf("got %q", got)
	}
	l.wantHolds(queue, "0 0 0")
}

func TestAMappingIsRefusedWhereItCouldNotWork(t *testing.T) {
	l := newLives(t)
	l.post(3)
	made := func(name string, grants string) string {
		var role struct{ Role struct{ Arn string } }
		l.call("iam", "CreateRole", map[string]any{"RoleName": name, "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
			"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}, &role)
		l.call("iam", "PutRolePolicy", map[string]any{"RoleName": name, "PolicyName": "p",
			"PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + grants + `],"Resource":"*"}]}`}, nil)
		l.call("lambda", "CreateFunction", map[string]any{"FunctionName": name, "Runtime": "provided.al2023",
			"Handler": "bootstrap", "Role": role.Role.Arn,
			"Timeout": 60, "Code": map[string]string{"S3Bucket": "assets", "S3Key": "f.zip"}}, nil)
		return name
	}
	noReceive := made("no-receive", `"sqs:DeleteMessage","sqs:GetQueueAttributes"`)
	noDelete := made("no-delete", `"sqs:ReceiveMessage","sqs:GetQueueAttributes"`)
	noLook := made("no-look", `"sqs:ReceiveMessage","sqs:DeleteMessage"`)
	slow := made("slow", `"sqs:*"`)
	l.feed(nil)
	for _, c := range []struct {
		in         map[string]any
		code, text string
	}{
		{map[string]any{"FunctionName": slow}, "InvalidParameterValueException",
			"Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"},
		{map[string]any{"FunctionName": noReceive}, "InvalidParameterValueException",
			"The provided execution role does not have permissions to call ReceiveMessage on SQS"},
		{map[string]any{"FunctionName": noDelete}, "InvalidParameterValueException",
			"The provided execution role does not have permissions to call DeleteMessage on SQS"},
		{map[string]any{"FunctionName": noLook}, "InvalidParameterValueException",
			"The provided execution role does not have permissions to call GetQueueAttributes on SQS"},
		{map[string]any{"FunctionName": "f"}, "ResourceConflictException",
			"already exists. Please update or delete the existing mapping with UUID"},
		{map[string]any{"FunctionName": "f", "EventSourceArn": letters + "2"}, "InvalidParameterValueException",
			"AWS.SimpleQueueService.NonExistentQueue"},
		{map[string]any{"FunctionName": "nobody"}, "ResourceNotFoundException",
			"Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody"},
		{map[string]any{"FunctionName": "f", "BatchSize": 11}, "InvalidParameterValueException",
			"Maximum batch window in seconds must be greater than 0"},
		{map[string]any{"FunctionName": "f", "BatchSize": 0}, "ValidationException", "batchSize"},
		{map[string]any{"FunctionName": "f", "MaximumBatchingWindowInSeconds": 301}, "ValidationException",
			"maximumBatchingWindowInSeconds"},
		{map[string]any{"FunctionName": "f", "ScalingConfig": map[string]any{"MaximumConcurrency": 1}},
			"ValidationException", "greater than or equal to 2"},
		{map[string]any{"FunctionName": "f", "FunctionResponseTypes": []string{"x"}}, "ValidationException",
			"functionResponseTypes"},
		{map[string]any{"FunctionName": "f",
			"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": "{"}}}},
			"InvalidParameterValueException", "Invalid filter pattern definition"},
		{map[string]any{"FunctionName": "f", "ParallelizationFactor": 2}, "InvalidParameterValueException",
			"ParallelizationFactor"},
		{map[string]any{"FunctionName": "f", "EventSourceArn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"},
			"NotImplemented", "kinesis"},
	} {
		in := map[string]any{"EventSourceArn": letters}
		maps.Copy(in, c.in)
		err := l.try("lambda", "CreateEventSourceMapping", in, nil)
		if awsapi.Code(err) != c.code || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%v: got %v, want %s: %s", c.in, err, c.code, c.text)
		}
	}
}

func TestAMappingRestsWhileDisabledAndIsGoneWhenDeleted(t *testing.T) {
	l := newLives(t)
	queue, _ := l.post(3)
	ran := 0
	l.run = func(string, []byte) ([]byte, error) { ran++; return nil, nil }
	uuid := l.feed(map[string]any{"Enabled": false})
	state := func(operation string, in map[string]any) string {
		var out struct{ State string }
		in["UUID"] = uuid
		if err := l.try("lambda", operation, in, &out); err != nil {
			return awsapi.Code(err)
		}
		return out.State
	}
	l.send(queue, "a")
	l.sched.RunFor(time.Hour)
	if got := state("GetEventSourceMapping", map[string]any{}); got != "Disabled" || ran != 0 {
		t.Fatalf("%s, ran %d times", got, ran)
	}
	if got := state("UpdateEventSourceMapping", map[string]any{"Enabled": true}); got != "Enabling" {
		t.Fatal(got)
	}
	if got := state("UpdateEventSourceMapping", map[string]any{"BatchSize": 1}); got != "ResourceInUseException" {
		t.Fatal(got)
	}
	l.sched.RunFor(time.Second)
	if got := state("GetEventSourceMapping", map[string]any{}); got != "Enabled" || ran != 1 {
		t.Fatalf("%s, ran %d times", got, ran)
	}
	if got := state("UpdateEventSourceMapping", map[string]any{"BatchSize": 1}); got != "Updating" {
		t.Fatal(got)
	}
	l.sched.RunFor(time.Second)
	l.call("sqs", "SendMessageBatch", map[string]any{"QueueUrl": queue, "Entries": []any{
		map[string]any{"Id": "a", "MessageBody": "a"}, map[string]any{"Id": "b", "MessageBody": "b"},
	}}, nil)
	l.sched.RunFor(time.Second)
	if ran != 3 {
		t.Fatalf("ran %d times; a batch has one message now", ran)
	}
	if got := state("DeleteEventSourceMapping", map[string]any{}); got != "Deleting" {
		t.Fatal(got)
	}
	l.sched.RunFor(time.Second)
	if got := state("GetEventSourceMapping", map[string]any{}); got != "ResourceNotFoundException" {
		t.Fatal(got)
	}
	l.send(queue, "c")
	l.sched.RunFor(time.Hour)
	l.wantHolds(queue, "1 0 0")
}

// TestEveryMessageIsWorkedOnOrBecomesADeadLetter runs a function that fails, takes
// too long or reports failures as drawn, under restarts, beside a model that
// counts how often each message was handed over. In the end a message is gone
// because its function said so, or it is a dead letter after as many tries as
// the queue allows.
func TestEveryMessageIsWorkedOnOrBecomesADeadLetter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLives(t)
		l.sched = scheduler.NewVirtual(rapid.Uint64().Draw(rt, "seed"), start)
		l.begin()
		most := rapid.IntRange(1, 4).Draw(rt, "maxReceiveCount")
		queue, dead := l.post(most)
		fates := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 20).Draw(rt, "fates")
		tries, done, restarts := map[string]int{}, map[string]bool{}, 0
		calls := 0
		l.run = func(_ string, payload []byte) ([]byte, error) {
			var e sqsEvent
			if err := json.Unmarshal(payload, &e); err != nil {
				return nil, err
			}
			fate := fates[calls%len(fates)]
			calls++
			for _, r := range e.Records {
				if tries[r.Body]++; done[r.Body] && restarts == 0 {
					rt.Errorf("%s came again after it was done", r.Body)
				}
			}
			switch fate {
			case 0:
				return nil, errors.New("broken")
			case 1: // the function's timeout passes
				if err := l.sched.Sleep(t.Context(), 11*time.Second); err != nil {
					return nil, err
				}
				return nil, errors.New("too late to be heard")
			case 2:
				for _, r := range e.Records[1:] {
					done[r.Body] = true
				}
				return []byte(`{"batchItemFailures":[{"itemIdentifier":"` + e.Records[0].MessageID + `"}]}`), nil
			}
			for _, r := range e.Records {
				done[r.Body] = true
			}
			return []byte(`{}`), nil
		}
		l.feed(map[string]any{
			"FunctionResponseTypes": []string{"ReportBatchItemFailures"}, "BatchSize": rapid.IntRange(1, 10).Draw(
				rt, "batch"),
			"MaximumBatchingWindowInSeconds": rapid.IntRange(0, 3).Draw(rt, "window"),
		})
		sent := 0
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "do") {
			case 0, 1:
				for range rapid.IntRange(1, 15).Draw(rt, "messages") {
					l.send(queue, fmt.Sprint("m", sent))
					sent++
				}
			case 2:
				l.sched.RunFor(time.Duration(rapid.IntRange(0, 40).Draw(rt, "seconds")) * time.Second)
			case 3:
				restarts++
				l.restart()
			}
		}
		l.sched.RunFor(time.Hour)
		l.wantHolds(queue, "0 0 0")
		buried := l.received(dead)
		for _, b := range buried {
			if n := tries[b]; n > most || n < most && restarts == 0 {
				rt.Errorf("%s is a dead letter after %d tries of %d", b, n, most)
			}
		}
		for i := range sent {
			if b := fmt.Sprint("m", i); !done[b] && !slices.Contains(buried, b) {
				rt.Errorf("%s is lost", b)
			}
		}
	})
}
