package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
)

// alarm is what the alarms of this stack differ in. All but the clock's are quiet without data:
// nothing is being upgraded. What to do about each is in docs/operations.md, under its name.
type alarm struct {
	id, name, description string
	metrics               []any // awscloudwatch.CfnAlarm_MetricDataQueryProperty; the first returns the data
	comparison            string
	threshold             *float64
	missing               string // TreatMissingData, if not notBreaching
	periods               float64
}

const minute = 60 // seconds

const minutes5, minutes15, minutes30 = 300, 900, 1800 // seconds

// ruleIDs are the topic rules, by their logical ids without "Rule".
var ruleIDs = []string{"UspMessage", "Presence", "NotifyNext", "JobEvent", "JobExecutionEvent", "JobEnd"}

// actionTypes are the actions of the rules that do not invoke a function.
var actionTypes = map[string]string{"JobEnd": "Sns", "UspMessage": "Sqs", "Presence": "Sqs"}

// refusals are the reasons for which a record is refused.
var refusals = []string{
	event.RefusedTopic, event.RefusedClient, event.RefusedSender, event.RefusedOwner, event.RefusedRecipient,
	event.RefusedUnreadable, event.RefusedSession,
}

func newAlarms(scope constructs.Construct, notify *notifications, p *parameters) {
	all := upgradeAlarms(p)
	all = append(all, deviceAlarms()...)
	all = append(all, machineryAlarms()...)
	for _, a := range all {
		newAlarm(scope, notify, a)
	}
}

func newAlarm(scope constructs.Construct, notify *notifications, a alarm) awscloudwatch.CfnAlarm {
	return named(a.id, awscloudwatch.NewCfnAlarm(scope, &a.id, &awscloudwatch.CfnAlarmProps{
		AlarmName:          sub("${AWS::StackName}-" + a.name),
		AlarmDescription:   &a.description,
		Metrics:            a.metrics,
		ComparisonOperator: &a.comparison,
		Threshold:          a.threshold,
		EvaluationPeriods:  &a.periods,
		DatapointsToAlarm:  &a.periods,
		TreatMissingData:   jsii.String(cmp.Or(a.missing, "notBreaching")),
		AlarmActions:       &[]any{notify.alarms.Ref()},
		OkActions:          &[]any{notify.alarms.Ref()},
	}))
}

// upgradeAlarms tell of upgrades that go wrong, or do not go.
func upgradeAlarms(p *parameters) []alarm {
	finished := func(period float64) []any {
		var list []any
		for i, result := range metrics.Results {
			list = append(list, query(fmt.Sprintf("r%d", i), metricsNamespace, metrics.DevicesFinished, "Sum", period,
				map[string]string{metrics.Result: result}))
		}
		return list
	}
	id := func(result string) string { return fmt.Sprintf("r%d", slices.Index(metrics.Results, result)) }
	var ids []string
	for _, result := range metrics.Results {
		ids = append(ids, id(result))
	}
	everyone := "SUM([" + strings.Join(ids, ", ") + "])"
	download := func(stat string) []any {
		return []any{returned(query("m1", metricsNamespace, metrics.PhaseDuration, stat, minutes5,
			map[string]string{metrics.Phase: upgrade.PhaseDownload}))}
	}
	return []alarm{
		{
			id: "FailureRatioAlarm", name: "failure-ratio", periods: 1,
			description: "More upgrades fail than FailurePercent allows, of at least 20 that finished within 15 " +
				"minutes. Look at the failure reasons; cancel the job if the image is bad.",
			// The minimum keeps one bad device of two from being an incident. SUM over a list
			// counts what is there: a job that only fails has no series of successes, and + would
			// give no point.
			metrics: append([]any{
				math("ratio", "IF(total >= 20, 100 * failed / total, 0)", "failed, percent"),
				math("total", "SUM(["+id(metrics.Succeeded)+", "+id(metrics.Failed)+", "+id(metrics.TimedOut)+"])",
					""),
				math("failed", "SUM(["+id(metrics.Failed)+", "+id(metrics.TimedOut)+"])", ""),
			}, finished(minutes15)...),
			comparison: "GreaterThanThreshold", threshold: p.failurePercent.ValueAsNumber(),
		},
		{
			id: "RejectedRatioAlarm", name: "rejected-ratio", periods: 1,
			description: "More upgrades are rejected than RejectedPercent allows, of at least 20 that finished " +
				"within 15 minutes: the job or the image is meant for other devices.",
			metrics: append([]any{
				math("ratio", "IF(total >= 20, 100 * "+id(metrics.Rejected)+" / total, 0)", "rejected, percent"),
				math("total", everyone, ""),
			}, finished(minutes15)...),
			comparison: "GreaterThanThreshold", threshold: p.rejectedPercent.ValueAsNumber(),
		},
		{
			id: "RolloutStalledAlarm", name: "rollout-stalled", periods: 2,
			description: "At least five upgrades began in each of two half hours, and none has ended.",
			// Where no upgrade ends there is no series of ends, and a formula that reads it has no
			// point: SUM over a list counts what is there, and one end makes the sum negative.
			metrics: append([]any{
				math("stalled", "SUM([begun, ended])", "upgrades begun while none ends"),
				math("ended", "-1000000 * "+everyone, ""),
				query("begun", metricsNamespace, metrics.UpgradesStarted, "Sum", minutes30, nil),
			}, finished(minutes30)...),
			comparison: "GreaterThanOrEqualToThreshold", threshold: jsii.Number(5),
		},
		{
			id: "OverAlarm", name: "over", periods: 1,
			description: "More than a tenth of the upgrades that were to begin, and at least 5 in 15 minutes, " +
				"found their job execution over. After a cancelled job this is normal. Otherwise find out who " +
				"ends them, and check the endpoint of the jobs data plane.",
			metrics: []any{
				math("ratio", "IF(m1 >= 5, 100 * m1 / SUM([m1, m2]), 0)", "over, percent"),
				query("m1", metricsNamespace, metrics.UpgradesOver, "Sum", minutes15, nil),
				query("m2", metricsNamespace, metrics.UpgradesStarted, "Sum", minutes15, nil),
			},
			comparison: "GreaterThanThreshold", threshold: jsii.Number(10),
		},
		{
			id: "ControllerFailedAlarm", name: "controller-failed", periods: 1,
			description: "Upgrades end as Controller.Failed. The cause is a function, its permissions or a " +
				"service that it needs, and not the devices. No abort criterion counts them.",
			metrics: []any{returned(query("m1", metricsNamespace, metrics.Failures, "Sum", minutes5,
				map[string]string{metrics.Reason: string(event.ControllerFailed)}))},
			comparison: "GreaterThanThreshold", threshold: jsii.Number(0),
		},
		{
			id: "StuckUpgradeAlarm", name: "stuck-upgrades", periods: 1,
			description: "The ends of upgrades could not be reported in several tries, or an execution timed " +
				"out or ended without a report.",
			// An execution that failed says nothing: so does every one whose upgrade failed and was reported.
			metrics: total("stuck", "executions", []any{
				query("m1", "AWS/States", "ExecutionsTimedOut", "Sum", minutes5,
					map[string]string{"StateMachineArn": stateMachine}),
				query("m2", metricsNamespace, metrics.ReportsFailing, "Sum", minutes5, nil),
				query("m3", metricsNamespace, metrics.UpgradesUnreported, "Sum", minutes5, nil),
			}),
			comparison: "GreaterThanThreshold", threshold: jsii.Number(0),
		},
		{
			id: "CampaignHaltedAlarm", name: "campaign-halted", periods: 1,
			description: "A campaign has halted. Devices in danger may still be at work: fleetstep campaign describe" +
				" says why, and which devices failed first.",
			metrics:    []any{returned(query("m1", metricsNamespace, metrics.CampaignsHalted, "Sum", minutes5, nil))},
			comparison: "GreaterThanThreshold", threshold: jsii.Number(0),
		},
		{
			id: "CampaignStoppedAlarm", name: "campaign-stopped", periods: 1,
			description: "The execution of a campaign was stopped, failed or ran into its deadline before the " +
				"campaign was over: fleetstep campaign resume or abort.",
			// One that failed says nothing: so does every campaign that was halted or aborted. The clock knows.
			metrics: total("stopped", "executions", []any{
				query("m1", "AWS/States", "ExecutionsAborted", "Sum", minutes5,
					map[string]string{"StateMachineArn": campaignMachine}),
				query("m2", "AWS/States", "ExecutionsTimedOut", "Sum", minutes5,
					map[string]string{"StateMachineArn": campaignMachine}),
				query("m3", metricsNamespace, metrics.CampaignsStopped, "Sum", minutes5, nil),
			}),
			comparison: "GreaterThanThreshold", threshold: jsii.Number(0),
		},
		{
			id: "DownloadSlowAlarm", name: "download-slow", periods: 3,
			description: "The slowest tenth of the downloads takes longer than DownloadSlowSeconds for 15 minutes.",
			metrics:     download("p90"), comparison: "GreaterThanThreshold",
			threshold: p.downloadSlow.ValueAsNumber(),
		},
		{
			id: "DownloadFastAlarm", name: "download-fast", periods: 3,
			description: "Half of the downloads are done in less than DownloadFastSeconds for 15 minutes: an image " +
				"may be empty or not fetched at all.",
			metrics: download("p50"), comparison: "LessThanThreshold", threshold: p.downloadFast.ValueAsNumber(),
		},
	}
}

// deviceAlarms tell of devices that are not heard.
func deviceAlarms() []alarm {
	var records []any
	for i, reason := range refusals {
		records = append(records, query(fmt.Sprintf("m%d", i), metricsNamespace, metrics.RefusedRecords,
			"Sum", minutes5,
			map[string]string{metrics.Reason: reason}))
	}
	return []alarm{{
		id: "RefusedRecordAlarm", name: "refused-records", periods: 3,
		description: "Records of devices were refused during 15 minutes without a pause: a device is " +
			"provisioned wrongly, or pretends to be another. The log of handle-device-message says which and " +
			"why.",
		metrics: total("refused", "records", records), comparison: "GreaterThanThreshold", threshold: jsii.Number(0),
	}, {
		id: "FloodAlarm", name: "flooding-devices", periods: 1,
		description: "Devices send too much: within five minutes AWS IoT or handle-device-message dropped more " +
			"than 100 messages. The log of handle-device-message names the devices.",
		// AWS IoT counts what a client publishes beyond 100 messages a second, of all clients of the account.
		metrics: total("dropped", "messages", []any{
			query("m1", metricsNamespace, metrics.DroppedNews, "Sum", minutes5, nil),
			query("m2", "AWS/IoT", "PublishIn.Throttle", "Sum", minutes5, map[string]string{"Protocol": "MQTT"}),
		}),
		comparison: "GreaterThanThreshold", threshold: jsii.Number(100),
	}}
}

// machineryAlarms tell of functions, rules and services that do not do their work.
func machineryAlarms() []alarm {
	// An alarm has at most ten metrics. Functions that somebody invokes by hand tell him of their errors themselves.
	var functions, verbs []string
	for _, spec := range functionSpecs {
		switch {
		case spec.verb:
			verbs = append(verbs, spec.name)
		case spec.name == campaignSteps: // it has an alarm of its own
		default:
			functions = append(functions, spec.name)
		}
	}
	ofFunctions := func(metric, stat string, names ...string) []any {
		var list []any
		for i, name := range names {
			list = append(list, query(fmt.Sprintf("%s%d", strings.ToLower(metric), i), "AWS/Lambda", metric,
				stat, minutes5,
				map[string]string{"FunctionName": "${AWS::StackName}-" + name}))
		}
		return list
	}
	ofRules := func(metric string, more map[string]string) []any {
		var list []any
		for i, id := range ruleIDs {
			dimensions := map[string]string{"RuleName": "${" + id + "Rule}"}
			maps.Copy(dimensions, more)
			if action := actionTypes[id]; action != "" && more != nil {
				dimensions["ActionType"] = action
			}
			list = append(list, query(fmt.Sprintf("m%d", i), "AWS/IoT", metric, "Sum", minutes5, dimensions))
		}
		return list
	}
	list := []alarm{
		{
			// The dead man's: where it does not tick everything waits in silence.
			id: "TickAlarm", name: "tick-missing", periods: 5, missing: "breaching",
			description: "The clock of the stack has not ticked for five minutes: no waiting device continues.",
			metrics: []any{
				math("silent", "IF(m1 >= 1, 0, 1)", "minutes without a tick"), query("m1", metricsNamespace,
					metrics.Ticks, "Sum", minute, nil),
			},
			threshold: jsii.Number(0),
		},
		{
			id: "DeadLetterAlarm", name: "dead-letters", periods: 1,
			description: "Messages that no rule action or function could process wait in a dead-letter queue: " +
				"fleetstep deadletter list.",
			metrics: total("letters", "messages", []any{
				query("m1", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", minutes5,
					map[string]string{"QueueName": "${DeadLetterQueue.QueueName}"}),
				query("m2", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", minutes5,
					map[string]string{"QueueName": "${MessageDeadLetterQueue.QueueName}"}),
			}),
			threshold: jsii.Number(0),
		},
		{
			id: "MessageAgeAlarm", name: "message-age", periods: 2,
			description: "Messages of devices wait for more than a minute until a function has taken them.",
			metrics: []any{returned(query("m1", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", minutes5,
				map[string]string{"QueueName": "${MessageQueue.QueueName}"}))},
			threshold: jsii.Number(60),
		},
		{
			id: "FunctionErrorAlarm", name: "function-errors", periods: 2,
			description: "Functions fail. Their messages are tried three times, and then become dead letters.",
			metrics:     total("errors", "errors", ofFunctions("Errors", "Sum", functions...)),
			threshold:   jsii.Number(0),
		},
		{
			id: "FunctionThrottleAlarm", name: "function-throttles", periods: 2,
			description: "Lambda throttles functions: the account's concurrent executions are used up.",
			metrics:     total("throttles", "calls", ofFunctions("Throttles", "Sum", functions...)),
			threshold:   jsii.Number(0),
		},
		{
			id: "VerbErrorAlarm", name: "verb-errors", periods: 2,
			description: "Functions that an operator or a deployment invokes have failed for ten minutes. " +
				"Whoever invoked them got the error.",
			metrics: total("errors", "errors", ofFunctions("Errors", "Sum", verbs...)), threshold: jsii.Number(0),
		},
		{
			id: "VerbThrottleAlarm", name: "verb-throttles", periods: 2,
			description: "Lambda throttles operators' functions: the account's concurrent executions are used " +
				"up.",
			metrics:   total("throttles", "calls", ofFunctions("Throttles", "Sum", verbs...)),
			threshold: jsii.Number(0),
		},
		{
			id: "CampaignErrorAlarm", name: "campaign-errors", periods: 2,
			description: "The function of campaigns' steps fails: campaigns do not continue.",
			metrics:     total("errors", "errors", ofFunctions("Errors", "Sum", campaignSteps)),
			threshold:   jsii.Number(0),
		},
		{
			id: "CampaignThrottleAlarm", name: "campaign-throttles", periods: 2,
			description: "Lambda throttles the steps of campaigns: the account's concurrent executions are used " +
				"up.",
			metrics:   total("throttles", "calls", ofFunctions("Throttles", "Sum", campaignSteps)),
			threshold: jsii.Number(0),
		},
		{
			id: "EventAgeAlarm", name: "event-age", periods: 2,
			description: "Events of rules wait for more than a minute until their function gets them: upgrades " +
				"begin late, and cancelled ones continue.",
			metrics:   greatest("age", "milliseconds", ofFunctions("AsyncEventAge", "Maximum", asyncNames()...)),
			threshold: jsii.Number(60000),
		},
		{
			id: "EventDropAlarm", name: "event-drops", periods: 1,
			description: "Lambda gave up on events of rules, or could not put them into the dead-letter queue: " +
				"events of jobs are lost.",
			metrics: total("drops", "events", append(ofFunctions("AsyncEventsDropped", "Sum", asyncNames()...),
				ofFunctions("DeadLetterErrors", "Sum", asyncNames()...)...)),
			threshold: jsii.Number(0),
		},
		{
			id: "RuleErrorAlarm", name: "rule-errors", periods: 1,
			description: "Actions of topic rules fail: their messages are dead letters.",
			metrics:     total("errors", "actions", ofRules("Failure", map[string]string{"ActionType": "Lambda"})),
			threshold:   jsii.Number(0),
		},
		{
			id: "RuleParseErrorAlarm", name: "rule-parse-errors", periods: 1,
			description: "Statements of topic rules cannot read messages. Such a message is no dead letter: it is " +
				"lost.",
			metrics: total("errors", "messages", ofRules("ParseError", nil)), threshold: jsii.Number(0),
		},
		{
			id: "RuleThrottleAlarm", name: "rule-throttles", periods: 1,
			description: "AWS IoT throttles topic rules: messages of devices or jobs are late, or lost.",
			metrics:     total("throttled", "messages", ofRules("RuleMessageThrottled", nil)),
			threshold:   jsii.Number(0),
		},
		{
			id: "WorkflowThrottleAlarm", name: "workflow-throttles", periods: 2,
			description: "Step Functions throttles the state machine, or the account's starts of executions.",
			metrics: total("throttled", "events", []any{
				query("m1", "AWS/States", "ExecutionThrottled", "Sum", minutes5,
					map[string]string{"StateMachineArn": stateMachine}),
				query("m2", "AWS/States", "ThrottledEvents", "Sum", minutes5,
					map[string]string{"APIName": "StartExecution"}),
			}),
			threshold: jsii.Number(0),
		},
		{
			id: "TableThrottleAlarm", name: "table-throttles", periods: 2,
			description: "DynamoDB throttles the table.",
			metrics: total("throttled", "requests", []any{
				query("m1", "AWS/DynamoDB", "ReadThrottleEvents", "Sum", minutes5,
					map[string]string{"TableName": "${DeviceTable}"}),
				query("m2", "AWS/DynamoDB", "WriteThrottleEvents", "Sum", minutes5,
					map[string]string{"TableName": "${DeviceTable}"}),
			}),
			threshold: jsii.Number(0),
		},
	}
	for i := range list {
		list[i].comparison = "GreaterThanThreshold"
	}
	return list
}

// asyncNames are the functions that rules invoke.
func asyncNames() []string {
	var names []string
	for _, spec := range functionSpecs {
		if spec.async {
			names = append(names, spec.name)
		}
	}
	return names
}

// total is an alarm's sum over queries.
func total(id, label string, queries []any) []any { return over("SUM", id, label, queries) }

// greatest is an alarm's maximum over queries.
func greatest(id, label string, queries []any) []any { return over("MAX", id, label, queries) }

func over(function, id, label string, queries []any) []any {
	var ids []string
	for _, q := range queries {
		ids = append(ids, *q.(*awscloudwatch.CfnAlarm_MetricDataQueryProperty).Id)
	}
	return append([]any{math(id, function+"(["+strings.Join(ids, ", ")+"])", label)}, queries...)
}

// query is a metric of an alarm. Namespace and dimension values may use Fn::Sub.
func query(id, namespace, name, stat string, period float64,
	dimensions map[string]string) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
	text := func(v string) *string {
		if hasSubstitution(v) {
			return sub(v)
		}
		return &v
	}
	var list []any
	for _, dimension := range slices.Sorted(maps.Keys(dimensions)) {
		list = append(list, &awscloudwatch.CfnAlarm_DimensionProperty{Name: &dimension,
			Value: text(dimensions[dimension])})
	}
	metric := &awscloudwatch.CfnAlarm_MetricProperty{Namespace: text(namespace), MetricName: &name}
	if list != nil {
		metric.Dimensions = list
	}
	return &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
		Id:         &id,
		ReturnData: jsii.Bool(false),
		MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{Stat: &stat, Period: &period, Metric: metric},
	}
}

func returned(q *awscloudwatch.CfnAlarm_MetricDataQueryProperty) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
	q.ReturnData = jsii.Bool(true)
	return q
}

// math is an expression over the queries. The one with a label is what the alarm watches.
func math(id, expression, label string) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
	q := &awscloudwatch.CfnAlarm_MetricDataQueryProperty{Id: &id, Expression: &expression,
		ReturnData: jsii.Bool(label != "")}
	if label != "" {
		q.Label = &label
	}
	return q
}
