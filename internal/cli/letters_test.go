package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestLettersSayWhatTheyAre(t *testing.T) {
	const queue = "arn:aws:sqs:us-east-1:123456789012:fleetstep-MessageQueue-X"
	failed := func(rule, topic, payload string) string {
		return fmt.Sprintf(`{"ruleName":"my_stack_%s","topic":%q,"clientId":"c","base64OriginalPayload":%q,
			"failures":[{"failedAction":"LambdaAction","failedResource":"arn","errorMessage":"denied"}]}`,
			rule, topic, base64.StdEncoding.EncodeToString([]byte(payload)))
	}
	const next = `{"timestamp":1,"execution":{"jobId":"j","executionNumber":2,"jobDocument":{"operation":"o"}}}`
	const ended = `{"eventType":"JOB_EXECUTION","operation":"canceled","jobId":"j",` +
		`"thingArn":"arn:aws:iot:us-east-1:1:thing/rg-1"}`
	for _, c := range []struct {
		name, body, source   string
		attributes           map[string]string
		from, thing, why     string
		function, eventHolds string
	}{
		{"a record received too often", `{"record":"AA==","thingName":"rg-1"}`, queue, nil,
			"handle-device-message", "rg-1", "received too often", "", ""},
		{"presence received too often", `{"presence":"connected","thingName":"rg-1"}`, queue, nil,
			"handle-device-message", "rg-1", "received too often", "", ""},
		{"a start received too often", `{"thingName":"rg-1","jobId":"j"}`, queue, nil,
			"start-upgrade", "rg-1", "received too often", "", ""},
		{"an event that a function failed at", ended, "", map[string]string{"ErrorMessage": "boom",
			"ErrorCode": "200"},
			"handle-job-event", "rg-1", "boom", "handle-job-event", `"canceled"`},
		{"the same of a start", `{"thingName":"rg-1","execution":{"jobId":"j"}}`, "", nil,
			"start-upgrade", "rg-1", "", "start-upgrade", `"jobId":"j"`},
		{"a rule that could not start", failed("notify_next", "$aws/things/rg-1/jobs/notify-next", next), "", nil,
			"rule my_stack_notify_next", "rg-1", "LambdaAction: denied", "start-upgrade", `"thingName":"rg-1"`},
		{"a rule that could not tell of an end", failed("job_execution_event",
			"$aws/events/jobExecution/j/canceled", ended), "", nil,
			"rule my_stack_job_execution_event", "rg-1", "LambdaAction: denied", "handle-job-event", `"canceled"`},
		{"a record that no queue took", failed("usp_message", "usp/v1/controller/self::c/from/rg-1/reply-to=x",
			"x"), "", nil,
			"rule my_stack_usp_message", "rg-1", "LambdaAction: denied", "", ""},
		{"presence that no queue took", failed("presence", "$aws/events/presence/connected/rg-1", `{}`), "", nil,
			"rule my_stack_presence", "rg-1", "LambdaAction: denied", "", ""},
		{"a notice without an execution", failed("notify_next", "$aws/things/rg-1/jobs/notify-next", `{}`), "", nil,
			"rule my_stack_notify_next", "", "LambdaAction: denied", "", ""},
		{"another rule", failed("other", "x", `{}`), "", nil, "rule my_stack_other", "", "LambdaAction: denied",
			"", ""},
		{"anything", `{"a":1}`, "", nil, "unknown", "", "", "", ""},
		{"no JSON", `hello`, "", nil, "unknown", "", "it is not a message of this stack", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := types.Message{MessageId: aws.String("id"), Body: &c.body,
				Attributes: map[string]string{"SentTimestamp": "1000"}}
			if c.source != "" {
				m.Attributes["DeadLetterQueueSourceArn"] = c.source
			}
			m.MessageAttributes = map[string]types.MessageAttributeValue{}
			for name, value := range c.attributes {
				m.MessageAttributes[name] = types.MessageAttributeValue{StringValue: aws.String(value)}
			}
			l := (&post{stack: "my-stack"}).read("q", m)
			if l.From != c.from || l.Thing != c.thing || l.Why != c.why || l.function != c.function {
				t.Errorf("from %q, thing %q, why %q, function %q", l.From, l.Thing, l.Why, l.function)
			}
			if l.function != "" && (!json.Valid(l.event) || !strings.Contains(string(l.event), c.eventHolds)) {
				t.Errorf("event %s", l.event)
			}
			if c.source != "" && l.source != "fleetstep-MessageQueue-X" {
				t.Errorf("source %q", l.source)
			}
		})
	}
}

func TestALetterIsFoundByTheBeginningOfItsID(t *testing.T) {
	list := []letter{{ID: "ab1"}, {ID: "ab2"}, {ID: "c"}}
	for id, want := range map[string]string{"ab1": "ab1", "c": "c", "ab": "2 dead letters begin with ab",
		"x": "no dead letter x"} {
		l, err := find(list, id)
		if got := l.ID; err == nil && got != want || err != nil && err.Error() != want {
			t.Errorf("%s: %s, %v", id, got, err)
		}
	}
}
