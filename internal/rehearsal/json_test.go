package rehearsal

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/trial"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// TestNotificationsArePublishedAsJSON: who knows no USP hears what agents notify, and
// nothing else of what they say; nothing of it becomes a dead letter.
func TestNotificationsArePublishedAsJSON(t *testing.T) {
	t.Parallel()
	for _, layout := range usp.Layouts {
		w := newCloud(t)
		out := w.deploy(t, stack, infra.Template, map[string]string{"JsonNotifications": "true",
			"OnboardingPerMinute": "600", "TopicLayout": layout.Name})
		queue, _ := w.must(t, "sqs", "CreateQueue", map[string]any{"QueueName": "json"})["QueueUrl"].(string)
		role := w.queueRole(t)
		w.must(t, "iot", "CreateTopicRule", map[string]any{"ruleName": "json", "topicRulePayload": map[string]any{
			"sql": "SELECT *, topic() AS topic FROM '" + stack + "/notifications/+'",
			"actions": []any{map[string]any{"sqs": map[string]any{"queueUrl": queue, "roleArn": role,
				"useBase64": false}}},
		}})
		thing := simulator.ThingName(1)
		plan := trial.Plan{Policy: out["DevicePolicyName"], Controller: usp.EndpointID(out["ControllerEndpointId"]),
			Seed: 1, Things: []string{thing}, Topics: trial.Topics(out)}
		if err := w.register(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if err := w.build(plan); err != nil {
			t.Fatal(err)
		}
		w.fleet.Start()
		w.pass(t, 5*time.Minute) // it is subscribed to, and answers what it is asked
		w.fleet.Agent(thing).PowerCut()
		w.pass(t, 5*time.Minute)
		w.fleet.Stop()
		boots := 0
		for {
			var got struct {
				Messages []struct{ Body, ReceiptHandle string }
			}
			if err := w.call(t.Context(), "sqs", "ReceiveMessage", map[string]any{"QueueUrl": queue},
				&got); err != nil {
				t.Fatal(err)
			}
			if len(got.Messages) == 0 {
				break
			}
			for _, m := range got.Messages {
				w.must(t, "sqs", "DeleteMessage", map[string]any{"QueueUrl": queue, "ReceiptHandle": m.ReceiptHandle})
				var said struct {
					Topic, ThingName, EndpointID, MessageID string
					Notify                                  struct {
						Event struct {
							ObjPath, EventName string
							Params             map[string]string
						}
					}
				}
				if err := json.Unmarshal([]byte(m.Body), &said); err != nil {
					t.Fatal(err)
				}
				if said.Topic != stack+"/notifications/"+thing || said.ThingName != thing || said.MessageID == "" ||
					said.EndpointID != string(simulator.EndpointIDOf(simulator.OUI, thing)) {
					t.Errorf("%s", m.Body)
				}
				if e := said.Notify.Event; e.ObjPath+e.EventName == "Device.Boot!" && e.Params["Cause"] != "" {
					boots++
				}
			}
		}
		if boots != 1 {
			t.Errorf("layout %s: %d restarts were heard of, want 1", layout.Name, boots)
		}
		for _, id := range []string{"DeadLetterQueue", "MessageDeadLetterQueue"} {
			url := w.resources(t, stack)[id]
			got := w.must(t, "sqs", "GetQueueAttributes", map[string]any{"QueueUrl": url,
				"AttributeNames": []string{"ApproximateNumberOfMessages"}})
			if n := got["Attributes"].(map[string]any)["ApproximateNumberOfMessages"]; n != "0" {
				t.Errorf("%s has %v messages", id, n)
			}
		}
		if denied := w.cloud.Denied(); len(denied) > 0 {
			t.Errorf("refused: %v", denied)
		}
	}
}

// queueRole is a role for a rule that fills any queue.
func (w *world) queueRole(t *testing.T) (arn string) {
	t.Helper()
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com"},` +
		`"Action":"sts:AssumeRole"}]}`
	const may = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}`
	w.must(t, "iam", "CreateRole", map[string]any{"RoleName": "fills-queues", "AssumeRolePolicyDocument": trust})
	w.must(t, "iam", "PutRolePolicy", map[string]any{"RoleName": "fills-queues", "PolicyName": "may",
		"PolicyDocument": may})
	return "arn:aws:iam::" + account + ":role/fills-queues"
}
