package sqs

import (
	"fmt"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const queueARN = "arn:aws:sqs:us-east-1:123456789012:"

// letters makes the queue q, its dead-letter queue dead, and n dead letters.
func (r *rig) letters(n int) (q, dead string) {
	r.t.Helper()
	dead = r.create("dead", nil)
	q = r.create("q", m{"RedrivePolicy": `{"deadLetterTargetArn":"` + queueARN + `dead","maxReceiveCount":1}`, "VisibilityTimeout": "0"})
	for i := range n {
		r.must("SendMessage", m{"QueueUrl": q, "MessageBody": fmt.Sprint(i)})
	}
	for range 2*n + 2 {
		r.receive(q, m{"MaxNumberOfMessages": 10})
	}
	r.want(dead, fmt.Sprint(n, " 0 0"))
	return q, dead
}

func (r *rig) lastMove() map[string]any {
	r.t.Helper()
	return r.must("ListMessageMoveTasks", m{"SourceArn": queueARN + "dead"})["Results"].([]any)[0].(map[string]any)
}

func TestDeadLettersMoveBackAtTheRateAskedFor(t *testing.T) {
	r := newRig(t)
	q, dead := r.letters(5)
	started := r.must("StartMessageMoveTask", m{"SourceArn": queueARN + "dead", "MaxNumberOfMessagesPerSecond": 2})
	r.sched.RunFor(time.Millisecond)
	r.want(q, "2 0 0")
	if _, err := r.call("StartMessageMoveTask", m{"SourceArn": queueARN + "dead"}); awsapi.Code(err) !=
		"UnsupportedOperation" {
		t.Fatalf("a second task: %v", err)
	}
	if got := r.lastMove(); got["Status"] != "RUNNING" || got["TaskHandle"] != started["TaskHandle"] ||
		got["ApproximateNumberOfMessagesToMove"] != 5.0 {
		t.Fatalf("got %v", got)
	}
	r.sched.RunFor(time.Second)
	r.want(q, "4 0 0")
	r.sched.RunFor(time.Second)
	r.want(q, "5 0 0")
	r.want(dead, "0 0 0")
	got := r.lastMove()
	if got["Status"] != "COMPLETED" || got["TaskHandle"] != nil || got["ApproximateNumberOfMessagesMoved"] != 5.0 {
		t.Fatalf("got %v", got)
	}
	message := r.must("ReceiveMessage",
		m{"QueueUrl": q, "MessageSystemAttributeNames": []string{"All"}})["Messages"].([]any)[0].(map[string]any)
	attributes := message["Attributes"].(map[string]any)
	if attributes["ApproximateReceiveCount"] != "1" || attributes["DeadLetterQueueSourceArn"] != nil {
		t.Fatalf("a moved message begins again: got %v", attributes)
	}
}

func TestAMoveGoesOnAfterARestart(t *testing.T) {
	r := newRig(t)
	q, dead := r.letters(3)
	r.must("StartMessageMoveTask", m{"SourceArn": queueARN + "dead", "MaxNumberOfMessagesPerSecond": 1})
	r.sched.RunFor(time.Millisecond)
	r.want(q, "1 0 0")
	r.sched = scheduler.NewVirtual(2, r.sched.Now()) // what the first process had begun is gone with it
	r.restart()
	if err := r.sqs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.sched.Run(nil)
	r.want(q, "3 0 0")
	r.want(dead, "0 0 0")
}

func TestACancelledMoveStops(t *testing.T) {
	r := newRig(t)
	q, dead := r.letters(3)
	handle := r.must("StartMessageMoveTask", m{"SourceArn": queueARN + "dead",
		"MaxNumberOfMessagesPerSecond": 1})["TaskHandle"]
	r.sched.RunFor(time.Millisecond)
	if got := r.must("CancelMessageMoveTask", m{"TaskHandle": handle}); got["ApproximateNumberOfMessagesMoved"] !=
		1.0 {
		t.Fatalf("got %v", got)
	}
	r.sched.Run(nil)
	r.want(q, "1 0 0")
	r.want(dead, "2 0 0")
	if got := r.lastMove(); got["Status"] != "CANCELLED" {
		t.Fatalf("got %v", got)
	}
	if _, err := r.call("CancelMessageMoveTask", m{"TaskHandle": handle}); awsapi.Code(err) !=
		"ResourceNotFoundException" {
		t.Fatalf("got %v", err)
	}
}

func TestAMoveOfAMessageWithoutASourceFails(t *testing.T) {
	r := newRig(t)
	_, dead := r.letters(0)
	r.must("SendMessage", m{"QueueUrl": dead, "MessageBody": "sent here"})
	r.must("StartMessageMoveTask", m{"SourceArn": queueARN + "dead"})
	r.sched.Run(nil)
	if got := r.lastMove(); got["Status"] != "FAILED" || got["FailureReason"] != "CouldNotDetermineMessageSource" {
		t.Fatalf("got %v", got)
	}
	other := r.create("other", nil)
	r.must("StartMessageMoveTask", m{"SourceArn": queueARN + "dead", "DestinationArn": queueARN + "other"})
	r.sched.Run(nil)
	r.want(other, "1 0 0")
}

// TestNoMessageIsLostOnItsWayToTheDeadLettersAndBack: whatever is received,
// left, moved and restarted, each message is in exactly one place, and was
// received there no more often than the queue allows.
func TestNoMessageIsLostOnItsWayToTheDeadLettersAndBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		dead := r.create("dead", m{"VisibilityTimeout": "0"})
		most := rapid.IntRange(1, 3).Draw(rt, "maxReceiveCount")
		q := r.create("q", m{"VisibilityTimeout": "2", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":"%sdead","maxReceiveCount":%d}`, queueARN, most)})
		count := map[string]int{} // by body, since it last came into q
		var sent []string
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "do") {
			case 0:
				if len(sent) == 10 {
					continue
				}
				sent = append(sent, fmt.Sprint("m", len(sent)))
				r.must("SendMessage", m{"QueueUrl": q, "MessageBody": sent[len(sent)-1]})
			case 1:
				bodies, _ := r.receive(q, m{"MaxNumberOfMessages": rapid.IntRange(1, 10).Draw(rt, "limit")})
				for _, b := range bodies {
					if count[b]++; count[b] > most {
						rt.Fatalf("%s was received %d times of %d", b, count[b], most)
					}
				}
			case 2:
				r.sched.RunFor(time.Duration(rapid.IntRange(1, 3).Draw(rt, "seconds")) * time.Second)
			case 3:
				buried, _ := r.receive(dead, m{"MaxNumberOfMessages": 10})
				for _, b := range buried {
					if count[b] != most {
						rt.Fatalf("%s is a dead letter after %d of %d receives", b, count[b], most)
					}
				}
				r.must("StartMessageMoveTask", m{"SourceArn": queueARN + "dead"})
				r.sched.RunFor(time.Millisecond)
				r.want(dead, "0 0 0")
				for _, b := range buried { // all of them: there are never more than ten messages
					count[b] = 0
				}
			case 4:
				r.restart()
			}
			var there []string
			for _, name := range []string{"q", "dead"} {
				there = append(there, r.bodies(name)...)
			}
			sort.Strings(there)
			want := append([]string(nil), sent...)
			sort.Strings(want)
			if fmt.Sprint(there) != fmt.Sprint(want) {
				rt.Fatalf("there are %v, sent were %v", there, want)
			}
		}
	})
}

// bodies lists what the store has of a queue.
func (r *rig) bodies(name string) (bodies []string) {
	r.t.Helper()
	err := r.db.View(func(tx *store.Tx) error {
		q, err := getQueue(tx, name)
		if err != nil {
			return err
		}
		for row, err := range messageTable.Scan(tx, store.Query{Prefix: []string{q.ID}}) {
			if err != nil {
				return err
			}
			bodies = append(bodies, row.Value.Body)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return bodies
}

func TestAWatcherIsWokenByWhatMayBeReceived(t *testing.T) {
	r := newRig(t)
	q, dead := r.letters(0)
	woken := map[string]int{}
	for _, name := range []string{"q", "dead"} {
		t.Cleanup(r.sqs.Watch(queueARN+name, func() { woken[name]++ }))
	}
	want := func(what string, n, letters int) {
		t.Helper()
		if woken["q"] != n || woken["dead"] != letters {
			t.Fatalf("%s: woken %v, want %d and %d", what, woken, n, letters)
		}
	}
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "a", "DelaySeconds": 5})
	want("sent with a delay", 1, 0)
	if at, ok, err := r.sqs.NextVisible(queueARN + "q"); err != nil || !ok || at.Sub(r.sched.Now()) != 5*time.Second {
		t.Fatalf("next visible at %s, %t, %v", at, ok, err)
	}
	r.sched.RunFor(5 * time.Second)
	_, handles := r.receive(q, m{"VisibilityTimeout": 30})
	want("received", 1, 0)
	r.must("ChangeMessageVisibility", m{"QueueUrl": q, "ReceiptHandle": handles[0], "VisibilityTimeout": 0})
	want("given back", 2, 0)
	r.receive(q, m{})
	want("buried", 2, 1)
	if _, ok, err := r.sqs.NextVisible(queueARN + "q"); ok || err != nil {
		t.Fatalf("an empty queue has a next message: %v", err)
	}
	r.must("DeleteQueue", m{"QueueUrl": dead})
	want("deleted", 2, 2)
}

// figures keeps the last value and the sum of metrics.
type figures struct{ last, sum map[string]float64 }

func (f figures) Add(namespace, name, _ string, value float64, dimensions map[string]string) {
	key := namespace + " " + dimensions["QueueName"] + " " + name
	f.last[key] = value
	f.sum[key] += value
}

func TestMetricsTellWhatAQueueHoldsUntilItIsEmpty(t *testing.T) {
	r := newRig(t)
	f := figures{map[string]float64{}, map[string]float64{}}
	r.sqs = New(Config{Platform: platform.Platform{Scheduler: r.sched, Store: r.db, Account: account,
		Region: "us-east-1"}, Metrics: f})
	r.door = awsapi.New(awsapi.Config{Scheduler: r.sched, Account: account, Region: "us-east-1"})
	r.door.Add(r.sqs.API())
	q := r.create("q", nil)
	for _, delay := range []int{0, 0, 0, 900} {
		r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "abc", "DelaySeconds": delay})
	}
	_, handles := r.receive(q, m{"VisibilityTimeout": 600, "MaxNumberOfMessages": 2})
	r.sched.RunFor(3 * time.Minute)
	for metric, want := range map[string]float64{
		"ApproximateNumberOfMessagesVisible": 1, "ApproximateNumberOfMessagesNotVisible": 2,
		"ApproximateNumberOfMessagesDelayed": 1, "ApproximateAgeOfOldestMessage": 180,
	} {
		if got := f.last["AWS/SQS q "+metric]; got != want {
			t.Errorf("%s is %g, want %g", metric, got, want)
		}
	}
	for metric, want := range map[string]float64{"NumberOfMessagesSent": 4, "SentMessageSize": 12,
		"NumberOfMessagesReceived": 2, "NumberOfMessagesDeleted": 0} {
		if got := f.sum["AWS/SQS q "+metric]; got != want {
			t.Errorf("%s is %g, want %g", metric, got, want)
		}
	}
	for _, h := range handles {
		r.must("DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": h})
	}
	r.sched.RunFor(15 * time.Minute)
	for range 2 {
		_, handles = r.receive(q, m{})
		r.must("DeleteMessage", m{"QueueUrl": q, "ReceiptHandle": handles[0]})
	}
	r.sched.Run(nil) // comes to rest
	if got := f.last["AWS/SQS q ApproximateNumberOfMessagesVisible"]; got != 0 {
		t.Errorf("an empty queue has %g messages", got)
	}
	if got := f.sum["AWS/SQS q NumberOfMessagesDeleted"]; got != 4 {
		t.Errorf("deleted %g, want 4", got)
	}
}

func TestANoisyGroupDoesNotDelayAQuietOne(t *testing.T) {
	r := newRig(t)
	q := r.create("q", nil)
	for i := range 30 {
		r.must("SendMessage", m{"QueueUrl": q, "MessageBody": fmt.Sprint("noisy ", i), "MessageGroupId": "noisy"})
	}
	r.receive(q, m{"MaxNumberOfMessages": 10})
	r.must("SendMessage", m{"QueueUrl": q, "MessageBody": "quiet", "MessageGroupId": "quiet"})
	bodies, _ := r.receive(q, m{"MaxNumberOfMessages": 2})
	if fmt.Sprint(bodies) != "[quiet noisy 10]" {
		t.Fatalf("got %q", bodies)
	}
	got := r.must("ReceiveMessage",
		m{"QueueUrl": q, "MessageSystemAttributeNames": []string{"All"}})["Messages"].([]any)[0].(map[string]any)
	if got["Attributes"].(map[string]any)["MessageGroupId"] != "noisy" {
		t.Fatalf("got %v", got)
	}
}
