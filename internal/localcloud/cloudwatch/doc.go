// Package cloudwatch is the local cloud's Amazon CloudWatch: metrics with
// statistics and metric math, alarms, dashboards, and metrics taken out of log
// events in the embedded metric format.
//
// # Metrics
//
// Data is kept per metric, unit and minute (or second, for StorageResolution 1) as count, sum,
// minimum, maximum and a histogram of values, so that a metric costs the same at any rate. A
// histogram keeps up to 400 values exactly. Further values, and percentiles with them, are
// rounded to within 1 %. Seconds become minutes after 3 hours, minutes become 5 minutes after
// 15 days, those become hours after 63 days, and hours are deleted after 455 days.
//
// PutMetricData is durable when it answers. Data from inside the local cloud (Add, Count,
// PutEMF) is not acknowledged: it is gathered in memory and written within a second, before
// any read, and by Close.
//
// GetMetricData without a unit aggregates the data of all units; GetMetricStatistics returns a
// datapoint for each unit.
//
// # Alarms
//
// An alarm is evaluated each minute (each 10 seconds for periods below a minute) over sliding
// periods that end at that time. It is evaluated only while there is data in its range or its
// state may change, so that virtual time can end. The range is two periods longer than
// EvaluationPeriods. If AWS's rules do not decide (all points are breaching, but too few and
// too recent), the state stays. A change of state runs actions: SNS topics and Lambda
// functions. Other actions are refused.
//
// Composite alarms, anomaly detection, Metrics Insights, contributor insights, metric streams
// and alarm mute rules are not built and are refused by name.
//
// Errors are AWS's, with the codes of both the CBOR and the Query model.
// Methods are safe for concurrent use.
//
// Source: CloudWatch API reference 2010-08-01; user guide, "Using Amazon
// CloudWatch alarms", "Embedded metric format specification"; "Dashboard body
// structure and syntax".
package cloudwatch
