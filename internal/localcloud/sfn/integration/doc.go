// Package integration has the tables of Step Functions' service integrations: the operation
// that a task's Resource calls, how its parameters are read, how its answer is shown, and the
// names of its errors. Package sfn makes the calls; this package does no I/O.
//
//	target.go       TargetOf: service and operation; the optimized integrations
//	failure.go      Failure: the error of a call as a task's error and cause
//	parameters.go   Parameters and Blobs: which members become text or base64 in a call
//	attributes.go   attribute values of DynamoDB, which SDK integrations spell in their own way
//	answer.go       Shown, AddMetadata, Payload: the answer as a task's result
//	execution.go    Execution: an execution as a task's result, for .sync and Map Runs
//
// Values are those of package document, with members that begin with a capital letter. Source: Step Functions
// developer guide, "Integrating services with Step Functions", "Integrating optimized services"; recorded histories.
package integration
