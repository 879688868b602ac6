package main

import (
	"encoding/json"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	resources "github.com/fleetstep/fleetstep/infra/operation"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/onboard"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
)

// newObservability makes the dashboard and the alarms of design.md section 7.
func newObservability(stack awscdk.Stack, notify *notifications, operations *operations,
	p *parameters) awscloudwatch.CfnDashboard {
	scope := constructs.NewConstruct(stack, jsii.String("Observability"))
	newAlarms(scope, notify, p)
	return named("Dashboard", awscloudwatch.NewCfnDashboard(scope, jsii.String("Dashboard"),
		&awscloudwatch.CfnDashboardProps{
			DashboardName: sub("${AWS::StackName}-firmware-upgrades"),
			DashboardBody: sub(dashboardBody(operations.names())),
		}))
}

// row is one line of a chart: namespace, metric, dimensions and options, as the dashboard body has it.
type row []any

// dashboardBody is the dashboard in CloudWatch's JSON, with ${...} for what Fn::Sub fills in.
func dashboardBody(operations []string) string {
	d := &dashboard{}
	ours := func(metric, dimension string, values []string, options map[string]any) []row {
		var rows []row
		for _, value := range values {
			options := merged(options, map[string]any{"label": value})
			rows = append(rows, row{metricsNamespace, metric, dimension, value, options})
		}
		return rows
	}

	d.text("# Firmware upgrades of ${AWS::StackName}\nDevices by result and phase, then what slows them down, then " +
		"the machinery. What to do: docs/operations.md.")
	d.charts(
		chart{title: "Devices finished, by result", stacked: true, stat: "Sum", rows: ours(metrics.DevicesFinished,
			metrics.Result, metrics.Results, nil)},
		chart{title: "Devices that reached a phase", stat: "Sum", rows: ours(metrics.PhaseReached, metrics.Phase,
			upgrade.Phases(), nil)},
		chart{title: "Failure reasons", stacked: true, stat: "Sum", rows: ours(metrics.Failures, metrics.Reason,
			upgrade.Reasons(), nil)},
	)
	var durations []row
	for _, stat := range []string{"p50", "p90", "p99"} {
		for _, phase := range upgrade.Phases() {
			durations = append(durations, row{metricsNamespace, metrics.PhaseDuration, metrics.Phase, phase,
				map[string]any{"stat": stat, "label": phase + " " + stat}})
		}
	}
	d.charts(
		chart{title: "Duration per phase, seconds", rows: durations},
		chart{title: "Rollout: devices started, per minute", stat: "Sum", period: 60, rows: []row{
			{metricsNamespace, metrics.UpgradesStarted, map[string]any{"label": "started"}},
			{metricsNamespace, metrics.UpgradesOver, map[string]any{"label": "over before they began"}},
			{metricsNamespace, metrics.UpgradesFound, map[string]any{"label": "lost, and found by the clock"}},
		}},
		chart{title: "Backlog: devices that wait", stat: "Sum", rows: []row{
			{metricsNamespace, metrics.UpgradesPending, map[string]any{"label": "to appear"}},
			{metricsNamespace, metrics.UpgradesParked, map[string]any{"label": "for their window, or paused at work"}},
		}},
	)
	d.charts(
		chart{title: "Duration of successful upgrades, seconds", rows: []row{
			{metricsNamespace, metrics.UpgradeDuration, map[string]any{"stat": "p50", "label": "p50"}},
			{metricsNamespace, metrics.UpgradeDuration, map[string]any{"stat": "p90", "label": "p90"}},
			{metricsNamespace, metrics.UpgradeDuration, map[string]any{"stat": "p99", "label": "p99"}},
		}},
		chart{title: "Job executions that ended, by status", stacked: true, stat: "Sum",
			rows: ours(metrics.JobExecutions, metrics.Status, append(slices.Clone(metrics.Results),
				string(event.StatusRemoved)), nil)},
		chart{title: "Records refused, by reason", stacked: true, stat: "Sum", rows: ours(metrics.RefusedRecords,
			metrics.Reason, refusals, nil)},
	)
	d.charts(
		chart{title: "Ends that could not be told whole", stat: "Sum", rows: []row{
			{metricsNamespace, metrics.ReportsFailing, map[string]any{"label": "reports that fail again and again"}},
			{metricsNamespace, metrics.UpgradesUnreported, map[string]any{"label": "found over without a report"}},
			{metricsNamespace, metrics.DetailsRefused, map[string]any{"label": "details that AWS IoT refused"}},
			{metricsNamespace, metrics.ThingsNotUpdated, map[string]any{"label": "things that could not be updated"}},
			{metricsNamespace, metrics.EventsUntold, map[string]any{"label": "domain events that were not told"}},
		}},
		others("Other operations: executions", operations),
		others("Other operations: executions failed", operations),
	)
	onboarding := "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-" +
		string(onboard.Operation)
	d.charts(
		chart{title: "Devices onboarded, by result", stacked: true, stat: "Sum", rows: ours(metrics.DevicesOnboarded,
			metrics.Result, metrics.Results, nil)},
		chart{title: "Onboarding: executions", stat: "Sum", rows: perItem("AWS/States", []string{"ExecutionsStarted",
			"ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsAborted"}, "StateMachineArn", []string{onboarding})},
	)
	d.charts(
		chart{title: "Workflows", stat: "Sum", rows: perItem("AWS/States", []string{"ExecutionsStarted",
			"ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted",
			"ExecutionThrottled"}, "StateMachineArn", []string{stateMachine})},
		chart{title: "Workflow duration, milliseconds", rows: []row{
			{"AWS/States", "ExecutionTime", "StateMachineArn", stateMachine, map[string]any{"stat": "p50",
				"label": "p50"}},
			{"AWS/States", "ExecutionTime", "StateMachineArn", stateMachine, map[string]any{"stat": "p99",
				"label": "p99"}},
		}},
		chart{title: "Dead letters", stat: "Maximum",
			rows: perItem("AWS/SQS", []string{"ApproximateNumberOfMessagesVisible"}, "QueueName",
				[]string{"${DeadLetterQueue.QueueName}", "${MessageDeadLetterQueue.QueueName}"})},
	)
	messages := func(metric, stat string) row {
		return row{"AWS/SQS", metric, "QueueName", "${MessageQueue.QueueName}", map[string]any{"stat": stat}}
	}
	d.charts(
		chart{title: "Messages of devices: came, taken, waiting", rows: []row{
			messages("NumberOfMessagesSent", "Sum"), messages("NumberOfMessagesDeleted", "Sum"),
			messages("ApproximateNumberOfMessagesVisible", "Maximum"),
		}},
		chart{title: "Age of the oldest message, seconds", rows: []row{messages("ApproximateAgeOfOldestMessage",
			"Maximum")}},
		chart{title: "News dropped: devices that say too much at once", stat: "Sum",
			rows: []row{{metricsNamespace, metrics.DroppedNews}}},
	)
	var functions, rules []string
	for _, spec := range functionSpecs {
		functions = append(functions, "${AWS::StackName}-"+spec.name)
	}
	var invokedByRules []string
	for _, name := range asyncNames() {
		invokedByRules = append(invokedByRules, "${AWS::StackName}-"+name)
	}
	for _, id := range ruleIDs {
		rules = append(rules, "${"+id+"Rule}")
	}
	d.charts(
		chart{title: "Function errors and throttles", stat: "Sum", rows: perItem("AWS/Lambda",
			[]string{"Errors", "Throttles", "AsyncEventsDropped"}, "FunctionName", functions)},
		chart{title: "Function duration p99, milliseconds", stat: "p99", rows: perItem("AWS/Lambda",
			[]string{"Duration"}, "FunctionName", functions)},
		chart{title: "Rules: messages, parse errors, throttled", stat: "Sum",
			rows: perItem("AWS/IoT", []string{"TopicMatch", "ParseError", "RuleMessageThrottled"}, "RuleName", rules)},
	)
	d.charts(
		chart{title: "Table: throttled reads and writes", stat: "Sum",
			rows: perItem("AWS/DynamoDB", []string{"ReadThrottleEvents", "WriteThrottleEvents"}, "TableName",
				[]string{"${DeviceTable}"})},
		chart{title: "Age of events when a function gets them, milliseconds", stat: "Maximum",
			rows: perItem("AWS/Lambda", []string{"AsyncEventAge"}, "FunctionName", invokedByRules)},
		chart{title: "Clients refused: connections, publishes, subscriptions", stacked: true, stat: "Sum",
			rows: perItem("AWS/IoT", []string{"Connect.AuthError", "PublishIn.AuthError", "Subscribe.AuthError"},
				"Protocol", []string{"MQTT"})},
	)

	body, err := json.Marshal(map[string]any{"start": "-PT6H", "widgets": d.widgets})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// others is a chart of the operations that are only ASL, as package operation has it.
func others(title string, names []string) chart {
	c := chart{title: title, stat: "Sum"}
	for _, r := range resources.Rows(resources.Charts[title], names) {
		c.rows = append(c.rows, r.([]any))
	}
	return c
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
		d.widgets = append(d.widgets, map[string]any{"type": "metric", "x": 8 * i, "y": d.y, "width": 8, "height": 7,
			"properties": properties})
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
