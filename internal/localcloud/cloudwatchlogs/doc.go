// Package cloudwatchlogs is the local cloud's Amazon CloudWatch Logs: groups,
// streams and events, with retention.
//
// An event that is a document in the embedded metric format also becomes metrics (port
// Metrics), whether it came from a Lambda function or by PutLogEvents.
//
// FilterLogEvents supports filter patterns of terms and quoted phrases (all must occur), with
// ? for alternatives and - for exclusions. Patterns for JSON ({...}) and for columns ([...])
// are refused by name. So are Logs Insights queries, subscription filters, metric filters and
// exports.
//
// Source: CloudWatch Logs API reference 2014-03-28, "Filter pattern syntax".
package cloudwatchlogs
