package cloudwatch

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

type nothing struct{}

// API describes the service's operations.
func (s *Service) API() awsapi.Service {
	alarmsOf := func(_ *awsapi.Call, in *alarmNames) []string {
		out := []string{}
		for _, n := range in.AlarmNames {
			out = append(out, s.alarmARN(n))
		}
		return out
	}
	return awsapi.Service{
		Fault:     awsapi.Word{Code: "InternalServiceError", Status: 500},
		Throttled: awsapi.Word{Code: "Throttling", Status: 400},
		ID:        "cloudwatch", Signing: "monitoring", Prefix: "cloudwatch", Target: "GraniteServiceVersion20100801",
		Protocols: []awsapi.Protocol{awsapi.CBOR, awsapi.JSON10, awsapi.Query},
		Namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/", Version: "2010-08-01",
		DeniedCode: "AccessDenied", Invalid: "ValidationError",
		DenialTerms: func(action, resource string) (string, string) {
			if resource == "*" {
				return action, ""
			}
			return action, resource
		},
		Operations: []awsapi.Operation{
			awsapi.Op("PutMetricData", s.putMetricData,
				awsapi.Conditions(func(_ *awsapi.Call, in *putMetricDataIn) map[string][]string {
					return map[string][]string{"cloudwatch:namespace": {in.Namespace}}
				})),
			awsapi.Op("GetMetricStatistics", s.getMetricStatistics),
			awsapi.Op("GetMetricData", s.getMetricData),
			awsapi.Op("ListMetrics", s.listMetrics),
			awsapi.Op("PutMetricAlarm", s.putMetricAlarm, awsapi.On(func(_ *awsapi.Call, in *putAlarmIn) []string {
				return []string{s.alarmARN(in.AlarmName)}
			})),
			// All of them, whichever are asked for.
			awsapi.Op("DescribeAlarms", s.describeAlarms, awsapi.On(func(*awsapi.Call, *describeAlarmsIn) []string {
				return []string{s.alarmARN("*")}
			})),
			awsapi.Op("DescribeAlarmsForMetric", s.describeAlarmsForMetric),
			awsapi.Op("DeleteAlarms", s.deleteAlarms, awsapi.On(alarmsOf)),
			awsapi.Op("EnableAlarmActions", s.enableActions, awsapi.On(alarmsOf)),
			awsapi.Op("DisableAlarmActions", s.disableActions, awsapi.On(alarmsOf)),
			awsapi.Op("SetAlarmState", s.setAlarmState, awsapi.On(func(_ *awsapi.Call, in *setStateIn) []string {
				return []string{s.alarmARN(in.AlarmName)}
			})),
			awsapi.Op("DescribeAlarmHistory", s.describeHistory),
			awsapi.Op("PutDashboard", s.putDashboard, awsapi.On(func(_ *awsapi.Call, in *putDashboardIn) []string {
				return []string{s.dashboardARN(in.DashboardName)}
			})),
			awsapi.Op("GetDashboard", s.getDashboard, awsapi.On(func(_ *awsapi.Call, in *dashboardRef) []string {
				return []string{s.dashboardARN(in.DashboardName)}
			})),
			awsapi.Op("ListDashboards", s.listDashboards),
			awsapi.Op("DeleteDashboards", s.deleteDashboards,
				awsapi.On(func(_ *awsapi.Call, in *deleteDashboardsIn) []string {
					out := []string{}
					for _, n := range in.DashboardNames {
						out = append(out, s.dashboardARN(n))
					}
					return out
				}), awsapi.EmptyResult()),
			awsapi.Op("TagResource", s.tagResource, awsapi.On(func(_ *awsapi.Call, in *tagIn) []string {
				return []string{in.ResourceARN}
			}), awsapi.EmptyResult()),
			awsapi.Op("UntagResource", s.untagResource, awsapi.On(func(_ *awsapi.Call, in *untagIn) []string {
				return []string{in.ResourceARN}
			}), awsapi.EmptyResult()),
			awsapi.Op("ListTagsForResource", s.listTags, awsapi.On(func(_ *awsapi.Call, in *resourceRef) []string {
				return []string{in.ResourceARN}
			})),
		},
		Unbuilt: strings.Fields(`DeleteAlarmMuteRule DeleteAnomalyDetector DeleteInsightRules DeleteMetricStream DescribeAlarmContributors
			DescribeAnomalyDetectors DescribeInsightRules DisableInsightRules EnableInsightRules GetAlarmMuteRule GetInsightRuleReport
			GetMetricStream GetMetricWidgetImage GetOTelEnrichment ListAlarmMuteRules ListManagedInsightRules ListMetricStreams
			PutAlarmMuteRule PutAnomalyDetector PutCompositeAlarm PutInsightRule PutManagedInsightRules PutMetricStream
			StartMetricStreams StartOTelEnrichment StopMetricStreams StopOTelEnrichment`),
	}
}

// fromToken is the key after which a list goes on; it has the given number of
// parts.
func fromToken(token string, parts int) ([]string, error) {
	key, ok := awsapi.PageAfter(token, parts)
	if !ok {
		return nil, errToken()
	}
	return key, nil
}

// Values that members take, for their tags.
var (
	_ = constraint.Set("alarm states", "ALARM INSUFFICIENT_DATA OK")
	_ = constraint.Set("comparison operators",
		"GreaterThanOrEqualToThreshold GreaterThanThreshold GreaterThanUpperThreshold "+
			"LessThanLowerOrGreaterThanUpperThreshold LessThanLowerThreshold LessThanOrEqualToThreshold "+
			"LessThanThreshold")
	_ = constraint.Set("metric units",
		"Bits Bits/Second Bytes Bytes/Second Count Count/Second Gigabits Gigabits/Second Gigabytes "+
			"Gigabytes/Second Kilobits Kilobits/Second Kilobytes Kilobytes/Second Megabits "+
			"Megabits/Second Megabytes Megabytes/Second Microseconds Milliseconds None Percent Seconds "+
			"Terabits Terabits/Second Terabytes Terabytes/Second")
	_ = constraint.Set("statistics", "Average Maximum Minimum SampleCount Sum")
)
