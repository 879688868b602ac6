// Package history is the execution history of Step Functions in the form of the API: it writes
// events as JSON and reads them, collects the events of one move for the store, and makes
// their log lines. There is no I/O; package sfn has the store and the log group.
//
//	event.go      Event: an event as GetExecutionHistory shows it
//	append.go     Append: an asl.Event in that form
//	recorder.go   Recorder: the events of a move, in parts of about 64 KiB
//	log.go        which events a log level lets through, and their lines
//
// Times are in seconds with up to three decimals. Histories are never cut short: truncated is always false. Source:
// Step Functions API reference, HistoryEvent; developer guide, "Using CloudWatch Logs to log execution history".
package history
