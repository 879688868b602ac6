package main

import (
	"encoding/json"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/event"
)

// newObservability makes the dashboard and the alarms of design.md section 7.
func newObservability(stack awscdk.Stack, notify *notifications, p *parameters) awscloudwatch.CfnDashboard {
	scope := constructs.NewConstruct(stack, jsii.String("Observability"))
	newAlarms(scope, notify, p)
	return named("Dashboard", awscloudwatch.NewCfnDashboard(scope, jsii.String("Dashboard"), &awscloudwatch.CfnDashboardProps{
		DashboardName: sub("${AWS::StackName}-firmware-upgrades"),
		DashboardBody: sub(dashboardBody()),
	}))
}

// alarm is what the alarms of this stack differ in. All of them are quiet without data: nothing is being upgraded.
type alarm struct {
	id, name, description string
	metrics               []any // awscloudwatch.CfnAlarm_MetricDataQueryProperty; the first returns the data
	comparison            string
	threshold             *float64
	periods               float64
}

func newAlarms(scope constructs.Construct, notify *notifications, p *parameters) {
	const minutes5, minutes15 = 300, 900 // seconds
	results := func(id, result string) any {
		return query(id, event.MetricsNamespace, event.MetricDevicesFinished, "Sum", minutes15, map[string]string{event.DimensionResult: result})
	}
	lambdaErrors := []any{}
	sum := ""
	for i, spec := range functionSpecs {
		id := "m" + string(rune('1'+i))
		lambdaErrors = append(lambdaErrors, query(id, "AWS/Lambda", "Errors", "Sum", minutes5, map[string]string{"FunctionName": "${AWS::StackName}-" + spec.name}))
		if i > 0 {
			sum += ", "
		}
		sum += id
	}
	download := func(stat string) []any {
		return []any{returned(query("m1", event.MetricsNamespace, event.MetricPhaseDuration, stat, minutes5, map[string]string{event.DimensionPhase: event.PhaseDownload}))}
	}

	for _, a := range []alarm{
		{
			id: "FailureRatioAlarm", name: "failure-ratio", periods: 1,
			description: "More upgrades fail than FailurePercent allows, of at least 20 that finished within 15 minutes. Look at the failure reasons; cancel the job if the image is bad.",
			// The minimum keeps one bad device of two from being an incident. SUM over a list counts what is there: a
			// campaign that only fails has no series of successes, and + would give no point.
			metrics: []any{
				math("ratio", "IF(total >= 20, 100 * failed / total, 0)", "failed, percent"),
				math("total", "SUM([m1, m2, m3])", ""), math("failed", "SUM([m2, m3])", ""),
				results("m1", event.ResultSucceeded), results("m2", event.ResultFailed), results("m3", event.ResultTimedOut),
			},
			comparison: "GreaterThanThreshold", threshold: p.failurePercent.ValueAsNumber(),
		},
		{
			id: "StuckUpgradeAlarm", name: "stuck-upgrades", periods: 1,
			description: "A workflow ran into its own deadline or was ended from outside: it reported nothing, and its device may still be claimed.",
			metrics: []any{
				math("stuck", "SUM([m1, m2])", "executions"),
				query("m1", "AWS/States", "ExecutionsTimedOut", "Sum", minutes5, map[string]string{"StateMachineArn": stateMachine}),
				query("m2", "AWS/States", "ExecutionsFailed", "Sum", minutes5, map[string]string{"StateMachineArn": stateMachine}),
			},
			comparison: "GreaterThanThreshold", threshold: jsii.Number(0),
		},
		{
			id: "OverAlarm", name: "over", periods: 1,
			description: "More than a tenth of the upgrades that were to begin, and at least 5 in 15 minutes, found their job execution over. After a cancelled job that is as it must be; else look who ends them, and at the endpoint of the jobs data plane.",
			metrics: []any{
				math("ratio", "IF(m1 >= 5, 100 * m1 / SUM([m1, m2]), 0)", "over, percent"),
				query("m1", event.MetricsNamespace, event.MetricUpgradesOver, "Sum", minutes15, nil),
				query("m2", event.MetricsNamespace, event.MetricUpgradesStarted, "Sum", minutes15, nil),
			},
			comparison: "GreaterThanThreshold", threshold: jsii.Number(10),
		},
		{
			id: "DeadLetterAlarm", name: "dead-letters", periods: 1,
			description: "Messages that no rule action or function could process wait in the dead-letter queue.",
			metrics: []any{returned(query("m1", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", minutes5,
				map[string]string{"QueueName": "${DeadLetterQueue.QueueName}"}))},
			comparison: "GreaterThanThreshold", threshold: jsii.Number(0),
		},
		{
			id: "DownloadSlowAlarm", name: "download-slow", periods: 3,
			description: "The slowest tenth of the downloads takes longer than DownloadSlowSeconds for 15 minutes.",
			metrics:     download("p90"), comparison: "GreaterThanThreshold", threshold: p.downloadSlow.ValueAsNumber(),
		},
		{
			id: "DownloadFastAlarm", name: "download-fast", periods: 3,
			description: "Half of the downloads are done in less than DownloadFastSeconds for 15 minutes: an image may be empty or not fetched at all.",
			metrics:     download("p50"), comparison: "LessThanThreshold", threshold: p.downloadFast.ValueAsNumber(),
		},
		{
			id: "FunctionErrorAlarm", name: "function-errors", periods: 2,
			description: "Functions fail. Their messages are tried three times and are then dead letters.",
			metrics:     append([]any{math("errors", "SUM(["+sum+"])", "errors")}, lambdaErrors...),
			comparison:  "GreaterThanThreshold", threshold: jsii.Number(0),
		},
	} {
		named(a.id, awscloudwatch.NewCfnAlarm(scope, &a.id, &awscloudwatch.CfnAlarmProps{
			AlarmName:          sub("${AWS::StackName}-" + a.name),
			AlarmDescription:   &a.description,
			Metrics:            a.metrics,
			ComparisonOperator: &a.comparison,
			Threshold:          a.threshold,
			EvaluationPeriods:  &a.periods,
			DatapointsToAlarm:  &a.periods,
			TreatMissingData:   jsii.String("notBreaching"),
			AlarmActions:       &[]any{notify.alarms.Ref()},
			OkActions:          &[]any{notify.alarms.Ref()},
		}))
	}
}

// query is a metric of an alarm. Dimension values may use Fn::Sub.
func query(id, namespace, name, stat string, period float64, dimensions map[string]string) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
	list := []any{}
	for dimension, value := range dimensions { // one, everywhere in this file
		v := &value
		if hasSubstitution(value) {
			v = sub(value)
		}
		list = append(list, &awscloudwatch.CfnAlarm_DimensionProperty{Name: &dimension, Value: v})
	}
	return &awscloudwatch.CfnAlarm_MetricDataQueryProperty{
		Id:         &id,
		ReturnData: jsii.Bool(false),
		MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
			Stat: &stat, Period: &period,
			Metric: &awscloudwatch.CfnAlarm_MetricProperty{Namespace: &namespace, MetricName: &name, Dimensions: list},
		},
	}
}

func returned(q *awscloudwatch.CfnAlarm_MetricDataQueryProperty) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
	q.ReturnData = jsii.Bool(true)
	return q
}

// math is an expression over the queries. The one with a label is what the alarm watches.
func math(id, expression, label string) *awscloudwatch.CfnAlarm_MetricDataQueryProperty {
	q := &awscloudwatch.CfnAlarm_MetricDataQueryProperty{Id: &id, Expression: &expression, ReturnData: jsii.Bool(label != "")}
	if label != "" {
		q.Label = &label
	}
	return q
}

// row is one line of a chart: namespace, metric, dimensions and options, as the dashboard body has it.
type row []any

// dashboardBody is the dashboard in CloudWatch's JSON, with ${...} for what Fn::Sub fills in.
func dashboardBody() string {
	d := &dashboard{}
	ours := func(metric, dimension string, values []string, options map[string]any) []row {
		var rows []row
		for _, value := range values {
			options := merged(options, map[string]any{"label": value})
			rows = append(rows, row{event.MetricsNamespace, metric, dimension, value, options})
		}
		return rows
	}

	d.text("# Firmware upgrades of ${AWS::StackName}\nDevices by result and phase, then what slows them down, then the machinery. What to do: docs/deploy.md.")
	d.charts(
		chart{title: "Devices finished, by result", stacked: true, stat: "Sum", rows: ours(event.MetricDevicesFinished, event.DimensionResult, event.Results, nil)},
		chart{title: "Devices that reached a phase", stat: "Sum", rows: ours(event.MetricPhaseReached, event.DimensionPhase, event.Phases, nil)},
		chart{title: "Failure reasons", stacked: true, stat: "Sum", rows: ours(event.MetricFailures, event.DimensionReason, event.Reasons, nil)},
	)
	var durations []row
	for _, stat := range []string{"p50", "p90", "p99"} {
		for _, phase := range event.Phases {
			durations = append(durations, row{event.MetricsNamespace, event.MetricPhaseDuration, event.DimensionPhase, phase,
				map[string]any{"stat": stat, "label": phase + " " + stat}})
		}
	}
	d.charts(
		chart{title: "Duration per phase, seconds", rows: durations},
		chart{title: "Rollout: devices started, per minute", stat: "Sum", period: 60, rows: []row{
			{event.MetricsNamespace, event.MetricUpgradesStarted, map[string]any{"label": "started"}},
			{event.MetricsNamespace, event.MetricUpgradesOver, map[string]any{"label": "over before they began"}},
		}},
		chart{title: "Backlog: devices that wait to appear", stat: "Sum", rows: []row{{event.MetricsNamespace, event.MetricUpgradesPending}}},
	)
	d.charts(
		chart{title: "Duration of successful upgrades, seconds", rows: []row{
			{event.MetricsNamespace, event.MetricUpgradeDuration, map[string]any{"stat": "p50", "label": "p50"}},
			{event.MetricsNamespace, event.MetricUpgradeDuration, map[string]any{"stat": "p90", "label": "p90"}},
			{event.MetricsNamespace, event.MetricUpgradeDuration, map[string]any{"stat": "p99", "label": "p99"}},
		}},
		chart{title: "Job executions that ended, by status", stacked: true, stat: "Sum", rows: ours(event.MetricJobExecutions, event.DimensionStatus, append(slices.Clone(event.Results), string(event.StatusRemoved)), nil)},
		chart{title: "Records refused, by reason", stacked: true, stat: "Sum", rows: ours(event.MetricRefusedRecords, event.DimensionReason, []string{
			event.RefusedTopic, event.RefusedClient, event.RefusedSender, event.RefusedOwner, event.RefusedRecipient,
			event.RefusedUnreadable, event.RefusedSession,
		}, nil)},
	)
	d.charts(
		chart{title: "Workflows", stat: "Sum", rows: perItem("AWS/States", []string{"ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "ExecutionThrottled"}, "StateMachineArn", []string{stateMachine})},
		chart{title: "Workflow duration, milliseconds", rows: []row{
			{"AWS/States", "ExecutionTime", "StateMachineArn", stateMachine, map[string]any{"stat": "p50", "label": "p50"}},
			{"AWS/States", "ExecutionTime", "StateMachineArn", stateMachine, map[string]any{"stat": "p99", "label": "p99"}},
		}},
		chart{title: "Dead letters", stat: "Maximum", rows: []row{{"AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${DeadLetterQueue.QueueName}"}}},
	)
	var functions, rules []string
	for _, spec := range functionSpecs {
		functions = append(functions, "${AWS::StackName}-"+spec.name)
	}
	for _, id := range []string{"UspMessage", "Presence", "NotifyNext", "JobEvent", "JobExecutionEvent"} {
		rules = append(rules, "${"+id+"Rule}")
	}
	d.charts(
		chart{title: "Function errors and throttles", stat: "Sum", rows: perItem("AWS/Lambda", []string{"Errors", "Throttles"}, "FunctionName", functions)},
		chart{title: "Function duration p99, milliseconds", stat: "p99", rows: perItem("AWS/Lambda", []string{"Duration"}, "FunctionName", functions)},
		chart{title: "Rules: messages, parse errors, throttled", stat: "Sum", rows: perItem("AWS/IoT", []string{"TopicMatch", "ParseError", "RuleMessageThrottled"}, "RuleName", rules)},
	)
	d.charts(
		chart{title: "Clients refused: connections, publishes, subscriptions", stacked: true, stat: "Sum",
			rows: perItem("AWS/IoT", []string{"Connect.AuthError", "PublishIn.AuthError", "Subscribe.AuthError"}, "Protocol", []string{"MQTT"})},
	)

	body, err := json.Marshal(map[string]any{"start": "-PT6H", "widgets": d.widgets})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func perItem(namespace string, metrics []string, dimension string, items []string) []row {
	var rows []row
	for _, item := range items {
		for _, metric := range metrics {
			rows = append(rows, row{namespace, metric, dimension, item})
		}
	}
	return rows
}

type chart struct {
	title   string
	stat    string
	period  int // seconds; 0 is 300
	stacked bool
	rows    []row
}

type dashboard struct {
	widgets []any
	y       int
}

func (d *dashboard) text(markdown string) {
	d.widgets = append(d.widgets, map[string]any{"type": "text", "x": 0, "y": d.y, "width": 24, "height": 2,
		"properties": map[string]any{"markdown": markdown}})
	d.y += 2
}

// charts puts three charts side by side.
func (d *dashboard) charts(charts ...chart) {
	for i, c := range charts {
		properties := map[string]any{
			"title": c.title, "view": "timeSeries", "stacked": c.stacked, "region": "${AWS::Region}",
			"period": 300, "metrics": c.rows,
		}
		if c.period != 0 {
			properties["period"] = c.period
		}
		if c.stat != "" {
			properties["stat"] = c.stat
		}
		d.widgets = append(d.widgets, map[string]any{"type": "metric", "x": 8 * i, "y": d.y, "width": 8, "height": 7, "properties": properties})
	}
	d.y += 7
}

func merged(sets ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, set := range sets {
		for k, v := range set {
			all[k] = v
		}
	}
	return all
}
