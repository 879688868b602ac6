// Package cloudwatch is the local cloud's Amazon CloudWatch: metrics with
// statistics and metric math, alarms, dashboards, and metrics taken out of log
// events in the embedded metric format.
//
// # Metrics
//
// Data is held per metric, unit and minute (or second, for StorageResolution
// 1) as count, sum, minimum, maximum and a histogram of values, so that a
// metric costs the same at any rate. A histogram keeps up to 400 values as
// they are; beyond that values are rounded to within 1 %, and percentiles with
// them. Seconds become minutes after 3 hours, minutes become 5 minutes after
// 15 days, those become hours after 63 days, and hours go after 455 days.
//
// PutMetricData is durable when it answers. What comes from inside (Add,
// Count, PutEMF) is not acknowledged data: it is gathered in memory and
// written within a second, before any read, and by Close.
//
// GetMetricData without a unit takes the data of all units together;
// GetMetricStatistics gives a datapoint for each unit.
//
// # Alarms
//
// An alarm is evaluated each minute (each 10 seconds for periods below a
// minute) over sliding periods that end then, but only while data lies in its
// range or a change may be pending, so that virtual time can end. The range is
// two periods longer than EvaluationPeriods. Where AWS's rules leave it open
// (all points are breaching, yet too few and too recent), the state stays.
// Actions run on a change of state: SNS topics and Lambda functions; other
// actions are refused.
//
// Composite alarms, anomaly detection, Metrics Insights, contributor insights,
// metric streams and alarm mute rules are not built and say so.
//
// Errors are AWS's, with the codes of both the CBOR and the Query model.
// Methods are safe for concurrent use.
//
// Source: CloudWatch API reference 2010-08-01; user guide, "Using Amazon
// CloudWatch alarms", "Embedded metric format specification"; "Dashboard body
// structure and syntax".
package cloudwatch
