package rehearsal

import (
	"fmt"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/infra"
	words "github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
)

// state is that of an alarm of the stack.
func (w *world) state(t *testing.T, alarm string) string {
	t.Helper()
	var out struct {
		MetricAlarms []struct{ StateValue, StateReason string }
	}
	if err := w.call(t.Context(), "cloudwatch", "DescribeAlarms",
		map[string]any{"AlarmNames": []string{stack + "-" + alarm}}, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.MetricAlarms) != 1 {
		t.Fatalf("there is no alarm %s", alarm)
	}
	return out.MetricAlarms[0].StateValue
}

// datum is what the functions publish; infra's TestMetricsAreOurs holds the names to theirs.
type datum struct {
	metric, dimension, value string
	count                    int
}

// TestAlarmsOfOurMetrics plays what the functions would count, every five minutes for an hour and a half.
func TestAlarmsOfOurMetrics(t *testing.T) {
	finished := func(result string, n int) datum {
		return datum{metrics.DevicesFinished, metrics.Result, result, n}
	}
	begun := datum{metrics.UpgradesStarted, "", "", 6}
	for _, c := range []struct {
		name, alarm string
		data        []datum
		want        string
	}{
		{"three of ten fail", "failure-ratio", []datum{finished(metrics.Succeeded, 70), finished(metrics.Failed, 30)},
			"ALARM"},
		{"one of ten fails", "failure-ratio", []datum{finished(metrics.Succeeded, 90), finished(metrics.Failed, 10)},
			"OK"},
		{"all fail", "failure-ratio", []datum{finished(metrics.Failed, 10)}, "ALARM"},
		{"three of ten are rejected", "rejected-ratio", []datum{finished(metrics.Succeeded, 70),
			finished(metrics.Rejected, 30)}, "ALARM"},
		{"one of ten is rejected", "rejected-ratio", []datum{finished(metrics.Succeeded, 90),
			finished(metrics.Rejected, 10)}, "OK"},
		{"both of two are rejected", "rejected-ratio", []datum{finished(metrics.Rejected, 2)}, "OK"},
		{"some begin and none ends", "rollout-stalled", []datum{begun}, "ALARM"},
		{"some begin and one fails", "rollout-stalled", []datum{begun, finished(metrics.Failed, 1)}, "OK"},
		{"nothing happens", "rollout-stalled", nil, "OK"},
		{"a report fails again and again", "stuck-upgrades", []datum{{metrics.ReportsFailing, "", "", 1}}, "ALARM"},
		{"an upgrade ends for want of a function", "controller-failed",
			[]datum{{metrics.Failures, metrics.Reason, string(words.ControllerFailed), 1}}, "ALARM"},
		{"an upgrade ends for want of its device", "controller-failed",
			[]datum{{metrics.Failures, metrics.Reason, string(words.DeviceOffline), 9}}, "OK"},
		{"functions fail, not devices", "failure-ratio", []datum{finished(metrics.Succeeded, 70),
			finished(metrics.Canceled, 30)}, "OK"},
		{"an execution is found over that had not reported", "stuck-upgrades",
			[]datum{{metrics.UpgradesUnreported, "", "", 1}}, "ALARM"},
		{"upgrades fail, and it is reported", "stuck-upgrades", []datum{finished(metrics.Failed, 10)}, "OK"},
		{"a campaign halts", "campaign-halted", []datum{{metrics.CampaignsHalted, "", "", 1}}, "ALARM"},
		{"the clock finds a campaign without its execution", "campaign-stopped",
			[]datum{{metrics.CampaignsStopped, "", "", 1}}, "ALARM"},
		{"records are refused", "refused-records", []datum{{metrics.RefusedRecords, metrics.Reason, words.RefusedOwner,
			1}}, "ALARM"},
		{"others too", "refused-records", []datum{{metrics.RefusedRecords, metrics.Reason, words.RefusedSession, 1}},
			"ALARM"},
		{"half were over", "over", []datum{begun, {metrics.UpgradesOver, "", "", 6}}, "ALARM"},
		{"none was over", "over", []datum{begun}, "OK"},
		{"downloads take an hour", "download-slow",
			[]datum{{metrics.PhaseDuration, metrics.Phase, upgrade.PhaseDownload, 3600}}, "ALARM"},
		{"downloads take a minute", "download-slow",
			[]datum{{metrics.PhaseDuration, metrics.Phase, upgrade.PhaseDownload, 60}}, "OK"},
	} {
		t.Run(c.alarm+" "+c.name, func(t *testing.T) {
			t.Parallel()
			w := newCloud(t)
			w.deploy(t, stack, infra.Template, settled)
			for range 18 {
				for _, d := range c.data {
					in := map[string]any{"MetricName": d.metric, "Value": d.count}
					if d.dimension != "" {
						in["Dimensions"] = []any{map[string]any{"Name": d.dimension, "Value": d.value}}
					}
					w.must(t, "cloudwatch", "PutMetricData", map[string]any{
						"Namespace": metrics.Namespace + "/" + stack, "MetricData": []any{in},
					})
				}
				w.pass(t, 5*time.Minute)
			}
			if got := w.state(t, c.alarm); got != c.want {
				t.Errorf("%s is %s, want %s", c.alarm, got, c.want)
			}
		})
	}
}

// TestAlarmsOfTheMachinery breaks things, and AWS's own metrics tell of it. What the local cloud
// does not count (throttles of rules, workflows and the table) and what
// nobody can provoke from outside (a rule that cannot read an event of AWS's own) is held to AWS's
// names in infra, by TestMetricsAreAWSs.
func TestAlarmsOfTheMachinery(t *testing.T) {
	for _, c := range []struct {
		name   string
		alarms []string
		each   func(t *testing.T, w *world) // every minute
		first  func(t *testing.T, w *world)
		lasts  time.Duration
	}{
		{
			name: "a function has no concurrency", alarms: []string{"function-throttles"}, lasts: 20 * time.Minute,
			first: func(t *testing.T, w *world) {
				w.concurrency(t, "handle-job-event", 0)
				w.event(t, "handle-job-event")
			},
		},
		{
			name: "a function has concurrency again after an hour", alarms: []string{"event-age"},
			lasts: 15 * time.Minute,
			first: func(t *testing.T, w *world) {
				w.concurrency(t, "handle-job-event", 0)
				for range 4 {
					w.event(t, "handle-job-event")
					w.pass(t, 15*time.Minute)
				}
				w.concurrency(t, "handle-job-event", 1)
			},
		},
		{
			name: "a function has no concurrency for long", alarms: []string{"event-drops"}, lasts: 5 * time.Minute,
			first: func(t *testing.T, w *world) {
				w.concurrency(t, "handle-job-event", 0)
				w.event(t, "handle-job-event")
				w.pass(t, 6*time.Hour)
			},
		},
		{
			name: "a function fails", alarms: []string{"function-errors"}, lasts: 15 * time.Minute,
			each: func(t *testing.T, w *world) { w.event(t, "handle-device-message") },
		},
		{
			name: "a rule may not send to its queue", alarms: []string{"rule-errors"}, lasts: 10 * time.Minute,
			first: func(t *testing.T, w *world) {
				w.must(t, "iam", "DeleteRolePolicy", map[string]any{
					"RoleName": w.resources(t, stack)["MessageRuleRole"], "PolicyName": "permissions",
				})
			},
			each: func(t *testing.T, w *world) { w.record(t) },
		},
		{
			name: "a function has failed for good", alarms: []string{"dead-letters"}, lasts: 15 * time.Minute,
			first: func(t *testing.T, w *world) { w.event(t, "handle-job-event") },
		},
		{
			name: "a message has failed twenty times", alarms: []string{"dead-letters"}, lasts: 30 * time.Minute,
			first: func(t *testing.T, w *world) {
				w.must(t, "sqs", "SendMessage", map[string]any{
					"QueueUrl": w.resources(t, stack)["MessageQueue"], "MessageBody": "no JSON",
				})
			},
		},
		{
			name: "devices are not listened to", alarms: []string{"message-age"}, lasts: 25 * time.Minute,
			first: func(t *testing.T, w *world) { w.concurrency(t, "handle-device-message", 0) },
			each:  func(t *testing.T, w *world) { w.record(t) },
		},
		{
			name: "the clock stands still", alarms: []string{"tick-missing"}, lasts: 10 * time.Minute,
			first: func(t *testing.T, w *world) { w.concurrency(t, "tick", 0) },
		},
		{
			name: "operators ask for what cannot be", alarms: []string{"verb-errors"}, lasts: 15 * time.Minute,
			each: func(t *testing.T, w *world) {
				out := w.must(t, "lambda", "Invoke", map[string]any{
					"FunctionName": stack + "-create-job", "Payload": []byte(`{}`),
				})
				if out["FunctionError"] == nil {
					t.Errorf("create-job takes an empty payload: %v", out)
				}
			},
		},
		{
			name: "operators are turned away", alarms: []string{"verb-throttles"}, lasts: 15 * time.Minute,
			first: func(t *testing.T, w *world) { w.concurrency(t, "control", 0) },
			each: func(t *testing.T, w *world) {
				err := w.call(t.Context(), "lambda", "Invoke", map[string]any{
					"FunctionName": stack + "-control", "Payload": []byte(`{}`),
				}, nil)
				if err == nil {
					t.Error("control runs without concurrency")
				}
			},
		},
		{
			name: "somebody stops a campaign", alarms: []string{"campaign-stopped"}, lasts: 10 * time.Minute,
			first: func(t *testing.T, w *world) {
				machine := "arn:aws:states:" + region + ":" + account + ":stateMachine:" + stack + "-firmware-campaign"
				started := w.must(t, "sfn", "StartExecution", map[string]any{"stateMachineArn": machine})
				w.must(t, "sfn", "StopExecution", map[string]any{"executionArn": started["executionArn"]})
			},
		},
		{
			name: "records cannot be read", alarms: []string{"refused-records"}, lasts: 25 * time.Minute,
			each: func(t *testing.T, w *world) { w.record(t) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newCloud(t)
			w.deploy(t, stack, infra.Template, settled)
			w.pass(t, 10*time.Minute)
			for _, alarm := range c.alarms {
				if got := w.state(t, alarm); got != "OK" {
					t.Errorf("before, %s is %s", alarm, got)
				}
			}
			if c.first != nil {
				c.first(t, w)
			}
			seen := map[string]bool{}
			for at := time.Duration(0); at < c.lasts; at += time.Minute {
				if c.each != nil {
					c.each(t, w)
				}
				w.pass(t, time.Minute)
				for _, alarm := range c.alarms {
					seen[alarm] = seen[alarm] || w.state(t, alarm) == "ALARM"
				}
			}
			for _, alarm := range c.alarms {
				if !seen[alarm] {
					t.Errorf("%s is %s", alarm, w.state(t, alarm))
				}
			}
		})
	}
}

func (w *world) concurrency(t *testing.T, function string, n int) {
	t.Helper()
	w.must(t, "lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": fmt.Sprintf("%s-%s", stack, function),
		"ReservedConcurrentExecutions": n})
}

// event is an asynchronous invocation, as a rule makes it, with nothing in it.
func (w *world) event(t *testing.T, function string) {
	t.Helper()
	w.must(t, "lambda", "Invoke", map[string]any{"FunctionName": stack + "-" + function, "InvocationType": "Event", "Payload": []byte(`[]`)})
}

// record is a message that is no USP record.
func (w *world) record(t *testing.T) {
	t.Helper()
	w.must(t, "iotdataplane", "Publish", map[string]any{"topic": "usp/v1/controller/self::fleetstep/from/rg-1",
		"payload": []byte("nonsense")})
}
