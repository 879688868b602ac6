package cloudformation

import "strings"

// Logs, alarms and dashboards.

var logGroup = kind{
	service: "cloudwatchlogs", create: "CreateLogGroup", key: "logGroupName",
	name:  naming{property: "LogGroupName", max: 512},
	spell: lowerFirst,
	properties: members{
		"LogGroupName":    text,
		"RetentionInDays": number.set("PutRetentionPolicy").drop("DeleteRetentionPolicy"),
		"LogGroupClass":   text.unbuiltInPlace(),
		"KmsKeyId":        unused(unusedEncryption),
		"Tags":            tagMap.as("tags"),
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		// With :* at the end, unlike what the API's logGroupArn says.
		"Arn": func(e environment, name string, _ map[string]any) any { return e.arn("logs", "log-group:"+name+":*") },
	},
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "resourceArn", value: func(_ environment,
		made Resource) string {
		arn, _ := made.Attributes["Arn"].(string)
		return strings.TrimSuffix(arn, ":*")
	}},
	remove: "DeleteLogGroup", exists: []string{"ResourceAlreadyExistsException"},
	notFound: []string{"ResourceNotFoundException"},
}

const putAlarm = "PutMetricAlarm"

var dimensions = listOf(object(members{"Name": text, "Value": text}))

var alarm = kind{
	service: "cloudwatch", create: putAlarm, key: "AlarmNames", name: naming{property: "AlarmName", max: 255},
	required: []string{"ComparisonOperator", "EvaluationPeriods"},
	properties: members{
		"AlarmName":                        text,
		"AlarmDescription":                 text.by(putAlarm),
		"ActionsEnabled":                   boolean.by(putAlarm),
		"AlarmActions":                     texts.by(putAlarm),
		"OKActions":                        texts.by(putAlarm),
		"InsufficientDataActions":          texts.by(putAlarm),
		"ComparisonOperator":               text.by(putAlarm),
		"DatapointsToAlarm":                number.by(putAlarm),
		"EvaluationPeriods":                number.by(putAlarm),
		"EvaluateLowSampleCountPercentile": text.by(putAlarm),
		"Threshold":                        number.by(putAlarm),
		"ThresholdMetricId":                text.by(putAlarm),
		"TreatMissingData":                 text.by(putAlarm),
		"Namespace":                        text.by(putAlarm),
		"MetricName":                       text.by(putAlarm),
		"Dimensions":                       dimensions.by(putAlarm),
		"Period":                           number.by(putAlarm),
		"Statistic":                        text.by(putAlarm),
		"ExtendedStatistic":                text.by(putAlarm),
		"Unit":                             text.by(putAlarm),
		"Metrics": listOf(object(members{
			"Id": text, "Expression": text, "Label": text, "Period": number, "ReturnData": boolean, "AccountId": text,
			"MetricStat": object(members{
				"Metric": object(members{"Namespace": text, "MetricName": text, "Dimensions": dimensions}),
				"Period": number, "Stat": text, "Unit": text,
			}),
		})).by(putAlarm),
		"Tags": tagList,
	},
	build: map[string]func(Request, map[string]any) error{
		// PutMetricAlarm replaces the whole alarm, so an update must carry everything but names it under another key.
		putAlarm: func(r Request, in map[string]any) error {
			if names, ok := in["AlarmNames"]; ok {
				delete(in, "AlarmNames")
				in["AlarmName"] = names
			}
			return nil
		},
		"DeleteAlarms": listed("AlarmNames"),
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any { return e.arn("cloudwatch", "alarm:"+name) },
	},
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "ResourceARN", value: ofAttribute("Arn")},
	remove:  "DeleteAlarms", notFound: []string{"ResourceNotFound"},
}

var dashboard = kind{
	service: "cloudwatch", create: "PutDashboard", key: "DashboardName",
	name:       naming{property: "DashboardName", max: 255},
	required:   []string{"DashboardBody"},
	properties: members{"DashboardName": text, "DashboardBody": jsonText.by("PutDashboard")},
	build: map[string]func(Request, map[string]any) error{
		"DeleteDashboards": func(_ Request, in map[string]any) error {
			in["DashboardNames"] = []any{in["DashboardName"]}
			delete(in, "DashboardName")
			return nil
		},
	},
	remove: "DeleteDashboards", notFound: []string{"ResourceNotFound"},
}

// listed makes the one name in a member a list of one.
func listed(member string) func(Request, map[string]any) error {
	return func(_ Request, in map[string]any) error {
		in[member] = []any{in[member]}
		return nil
	}
}
