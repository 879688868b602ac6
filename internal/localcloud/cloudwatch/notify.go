package cloudwatch

import (
	"encoding/json"
	"strings"
	"time"
)

// regionNames are the display names that notifications carry.
var regionNames = map[string]string{
	"us-east-1": "US East (N. Virginia)", "us-east-2": "US East (Ohio)", "us-west-1": "US West (N. California)",
	"us-west-2":    "US West (Oregon)",
	"ca-central-1": "Canada (Central)", "eu-central-1": "EU (Frankfurt)", "eu-west-1": "EU (Ireland)",
	"eu-west-2": "EU (London)",
	"eu-west-3": "EU (Paris)", "eu-north-1": "EU (Stockholm)", "eu-south-1": "EU (Milan)",
	"ap-south-1":     "Asia Pacific (Mumbai)",
	"ap-southeast-1": "Asia Pacific (Singapore)", "ap-southeast-2": "Asia Pacific (Sydney)",
	"ap-northeast-1": "Asia Pacific (Tokyo)",
	"ap-northeast-2": "Asia Pacific (Seoul)", "ap-northeast-3": "Asia Pacific (Osaka)",
	"sa-east-1": "South America (Sao Paulo)",
}

func regionName(code string) string {
	if n, ok := regionNames[code]; ok {
		return n
	}
	return code
}

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// snsMessage is the message of a notification.
func (s *Service) snsMessage(a, before alarm) (string, error) {
	c := a.Config
	trigger := map[string]any{
		"Period": c.period(), "EvaluationPeriods": c.EvaluationPeriods, "DatapointsToAlarm": c.needed(),
		"ComparisonOperator": c.ComparisonOperator,
		"Threshold":          *c.Threshold, "TreatMissingData": c.TreatMissingData,
		"EvaluateLowSampleCountPercentile": c.LowSample,
	}
	dimensions := func(d []Dimension) []map[string]string {
		out := []map[string]string{}
		for _, x := range d {
			out = append(out, map[string]string{"value": x.Value, "name": x.Name})
		}
		return out
	}
	if len(c.Metrics) > 0 {
		var all []map[string]any
		for _, q := range c.Metrics {
			m := map[string]any{"Id": q.ID, "ReturnData": q.returned()}
			if q.Label != "" {
				m["Label"] = q.Label
			}
			if q.Expression != "" {
				m["Expression"] = q.Expression
			}
			if x := q.MetricStat; x != nil {
				m["MetricStat"] = map[string]any{"Metric": map[string]any{"Dimensions": dimensions(
					x.Metric.Dimensions), "MetricName": x.Metric.MetricName, "Namespace": x.Metric.Namespace},
					"Period": x.Period, "Stat": x.Stat}
			}
			all = append(all, m)
		}
		trigger["Metrics"] = all
		delete(trigger, "Period")
	} else {
		trigger["MetricName"], trigger["Namespace"] = c.MetricName, c.Namespace
		trigger["Dimensions"] = dimensions(c.Dimensions)
		trigger["Unit"] = nil
		if c.Unit != "" {
			trigger["Unit"] = c.Unit
		}
		if c.Statistic != "" {
			trigger["StatisticType"], trigger["Statistic"] = "Statistic", strings.ToUpper(c.Statistic)
			if c.Statistic == "SampleCount" {
				trigger["Statistic"] = "SAMPLE_COUNT"
			}
		} else {
			trigger["StatisticType"], trigger["ExtendedStatistic"] = "ExtendedStatistic", c.ExtendedStatistic
		}
	}
	b, err := json.Marshal(map[string]any{
		"AlarmName": c.AlarmName, "AlarmDescription": c.AlarmDescription, "AWSAccountId": s.Account,
		"AlarmArn":                           s.alarmARN(c.AlarmName),
		"AlarmConfigurationUpdatedTimestamp": stamp(a.Updated), "StateChangeTime": stamp(a.Transitioned),
		"NewStateValue": a.State, "OldStateValue": before.State, "NewStateReason": a.Reason,
		"Region":    regionName(s.Region),
		"OKActions": list(c.OKActions), "AlarmActions": list(c.AlarmActions), "InsufficientDataActions": list(
			c.InsufficientDataActions),
		"Trigger": trigger,
	})
	return string(b), err
}

// stamp writes a time in ms as 2024-07-09T12:01:37.700+0000.
func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(awsTime) }

// lambdaEvent is what a function gets.
func (s *Service) lambdaEvent(a, before alarm) (string, error) {
	state := func(a alarm) map[string]any {
		m := map[string]any{"value": a.State, "reason": a.Reason, "timestamp": stamp(a.Transitioned)}
		if a.ReasonData != "" {
			m["reasonData"] = a.ReasonData
		}
		return m
	}
	var all []map[string]any
	for _, q := range a.Config.queries() {
		m := map[string]any{"id": q.ID, "returnData": q.returned()}
		if q.Expression != "" {
			m["expression"] = q.Expression
		}
		if x := q.MetricStat; x != nil {
			dims := map[string]string{}
			for _, d := range x.Metric.Dimensions {
				dims[d.Name] = d.Value
			}
			m["metricStat"] = map[string]any{"metric": map[string]any{"namespace": x.Metric.Namespace,
				"name": x.Metric.MetricName, "dimensions": dims}, "period": x.Period, "stat": x.Stat}
		}
		all = append(all, m)
	}
	configuration := map[string]any{"metrics": all}
	if d := a.Config.AlarmDescription; d != nil {
		configuration["description"] = *d
	}
	b, err := json.Marshal(map[string]any{
		"source": "aws.cloudwatch", "alarmArn": s.alarmARN(a.Config.AlarmName), "accountId": s.Account,
		"region": s.Region, "time": stamp(a.Transitioned),
		"alarmData": map[string]any{"alarmName": a.Config.AlarmName, "state": state(a), "previousState": state(before),
			"configuration": configuration},
	})
	return string(b), err
}
