package sfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// TestActivityTasks: what a worker does with its task, and what the history tells of it. An event is shown with its
// details; {1} is the id of the event before.
func TestActivityTasks(t *testing.T) {
	const limits = `,"TimeoutSeconds":100,"HeartbeatSeconds":10`
	for _, tt := range []struct {
		name, fields string
		work         func(w *world, activity string) // in virtual time
		want         []string
	}{
		{"done", "", func(w *world, activity string) {
			w.call("SendTaskSuccess", map[string]any{"taskToken": w.task(activity, "w")["taskToken"], "output": `{"y":2}`})
		}, []string{`ActivityScheduled input={"x":1} resource=A`, `ActivityStarted workerName=w`,
			`ActivitySucceeded output={"y":2}`, `TaskStateExited name=S output={"y":2}`, `ExecutionSucceeded output={"y":2}`}},
		{"failed", "", func(w *world, activity string) {
			token := w.task(activity, "")["taskToken"]
			w.call("SendTaskFailure", map[string]any{"taskToken": token, "error": "E", "cause": "C"})
		}, []string{`ActivityScheduled input={"x":1} resource=A`, `ActivityStarted`, `ActivityFailed cause=C error=E`,
			`ExecutionFailed cause=C error=E`}},
		{"failed without a word", "", func(w *world, activity string) {
			w.call("SendTaskFailure", map[string]any{"taskToken": w.task(activity, "")["taskToken"]})
		}, []string{`ActivityScheduled input={"x":1} resource=A`, `ActivityStarted`, `ActivityFailed`, `ExecutionFailed`}},
		{"kept alive", limits, func(w *world, activity string) {
			token := w.task(activity, "w")["taskToken"]
			for range 5 {
				w.sched.RunFor(9 * time.Second)
				w.call("SendTaskHeartbeat", map[string]any{"taskToken": token})
			}
			w.call("SendTaskSuccess", map[string]any{"taskToken": token, "output": `1`})
		}, []string{`ActivityScheduled heartbeatInSeconds=10 input={"x":1} resource=A timeoutInSeconds=100`,
			`ActivityStarted workerName=w`, `ActivitySucceeded output=1`, `TaskStateExited name=S output=1`,
			`ExecutionSucceeded output=1`}},
		{"silent", limits, func(w *world, activity string) {
			w.task(activity, "w")
			w.sched.RunFor(11 * time.Second)
		}, []string{`ActivityScheduled heartbeatInSeconds=10 input={"x":1} resource=A timeoutInSeconds=100`,
			`ActivityStarted workerName=w`, `ActivityTimedOut error=States.Timeout`, `ExecutionFailed error=States.Timeout`}},
		{"too slow", limits, func(w *world, activity string) {
			token := w.task(activity, "w")["taskToken"]
			for range 12 {
				w.sched.RunFor(9 * time.Second)
				if _, err := w.try("SendTaskHeartbeat", map[string]any{"taskToken": token}); err != nil {
					break
				}
			}
		}, []string{`ActivityScheduled heartbeatInSeconds=10 input={"x":1} resource=A timeoutInSeconds=100`,
			`ActivityStarted workerName=w`, `ActivityTimedOut error=States.Timeout`, `ExecutionFailed error=States.Timeout`}},
		{"taken late", `,"TimeoutSeconds":100`, func(w *world, activity string) {
			w.sched.RunFor(60 * time.Second)
			token := w.task(activity, "w")["taskToken"]
			w.sched.RunFor(99 * time.Second) // the count began anew
			w.call("SendTaskHeartbeat", map[string]any{"taskToken": token})
			w.sched.RunFor(2 * time.Second)
		}, []string{`ActivityScheduled input={"x":1} resource=A timeoutInSeconds=100`, `ActivityStarted workerName=w`,
			`ActivityTimedOut error=States.Timeout`, `ExecutionFailed error=States.Timeout`}},
		{"never taken", limits, func(w *world, activity string) {
			w.sched.RunFor(101 * time.Second)
		}, []string{`ActivityScheduled heartbeatInSeconds=10 input={"x":1} resource=A timeoutInSeconds=100`,
			`ActivityTimedOut error=States.Timeout`, `ExecutionFailed error=States.Timeout`}},
		{"tried again", `,"TimeoutSeconds":5,"Retry":[{"ErrorEquals":["States.Timeout"],"MaxAttempts":1}]`,
			func(w *world, activity string) {
				first := w.task(activity, "w")["taskToken"]
				w.sched.RunFor(7 * time.Second)
				second := w.task(activity, "v")["taskToken"]
				if _, err := w.try("SendTaskSuccess", map[string]any{"taskToken": first, "output": `1`}); awsapi.Code(err) !=
					"TaskTimedOut" {
					w.t.Errorf("the first token: %v", err)
				}
				w.call("SendTaskSuccess", map[string]any{"taskToken": second, "output": `2`})
			}, []string{`ActivityScheduled input={"x":1} resource=A timeoutInSeconds=5`, `ActivityStarted workerName=w`,
				`ActivityTimedOut error=States.Timeout`, `ActivityScheduled input={"x":1} resource=A timeoutInSeconds=5`,
				`ActivityStarted workerName=v`, `ActivitySucceeded output=2`, `TaskStateExited name=S output=2`,
				`ExecutionSucceeded output=2`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := virtual(t)
			activity := w.call("CreateActivity", map[string]any{"name": "a"})["activityArn"].(string)
			e := w.start(w.create("m", `{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"`+activity+`"`+tt.fields+
				`,"End":true}}}`), "e", `{"x":1}`)
			tt.work(w, activity)
			w.sched.RunFor(time.Millisecond)
			var got []string
			history := w.call("GetExecutionHistory", map[string]any{"executionArn": e})
			for i, one := range flatten(history["events"].([]any)) {
				m := one.(map[string]any)
				if previous := m["previousEventId"].(float64); i > 1 && previous != float64(i) {
					t.Errorf("event %d follows %v", i+1, previous)
				}
				if i > 1 {
					got = append(got, strings.ReplaceAll(line(m), activity, "A"))
				}
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// task polls an activity.
func (w *world) task(activity, worker string) map[string]any {
	return w.call("GetActivityTask", map[string]any{"activityArn": activity, "workerName": worker})
}

// line is an event with its details on a line.
func line(event map[string]any) string {
	out := fmt.Sprint(event["type"])
	for _, k := range slices.Sorted(maps.Keys(event)) {
		if k != "type" && k != "id" && k != "previousEventId" {
			text, isText := event[k].(string)
			if !isText {
				text = mustJSON(event[k])
			}
			out += " " + k + "=" + text
		}
	}
	return out
}

// TestActivityIsMadeOnce: the same request again is answered again; tags do not matter, encryption does.
//
// Source: Step Functions API reference, CreateActivity (read 2026-12).
func TestActivityIsMadeOnce(t *testing.T) {
	w := virtual(t)
	owned := map[string]any{"type": "AWS_OWNED_KEY"}
	custom := map[string]any{"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}
	first := w.call("CreateActivity", map[string]any{"name": "a"})
	w.sched.RunFor(time.Second)
	for _, in := range []map[string]any{
		{"name": "a"}, {"name": "a", "tags": []any{map[string]any{"key": "k", "value": "v"}}},
		{"name": "a", "encryptionConfiguration": owned},
	} {
		if again := w.call("CreateActivity", in); mustJSON(again) != mustJSON(first) {
			t.Errorf("%v: %v, want %v", in, again, first)
		}
	}
	_, err := w.try("CreateActivity", map[string]any{"name": "a", "encryptionConfiguration": custom})
	if awsapi.Code(err) != "ActivityAlreadyExists" {
		t.Errorf("another encryption: %v", err)
	}
	arn := w.call("CreateActivity", map[string]any{"name": "b", "encryptionConfiguration": custom})["activityArn"]
	if d := w.call("DescribeActivity", map[string]any{"activityArn": arn}); mustJSON(d["encryptionConfiguration"]) !=
		`{"kmsKeyId":"k","type":"CUSTOMER_MANAGED_KMS_KEY"}` {
		t.Errorf("%v", d)
	}
}
