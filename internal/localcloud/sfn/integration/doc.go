// Package integration is the tables of Step Functions' service integrations: which operation the Resource of a task
// leads to, how its parameters are read, how the answer is shown, and under which names errors are told. Package sfn
// makes the calls; here is no I/O.
//
//	target.go       TargetOf: service and operation; the optimized integrations
//	failure.go      Failure: the error of a call as a task's error and cause
//	parameters.go   Parameters and Blobs: what becomes text or base64 on the way out
//	answer.go       Shown, AddMetadata, Payload: the answer as a task's result
//	execution.go    Execution: an execution as a task's result, for .sync and Map Runs
//
// Values are those of package document, with members that begin with a capital letter. Source: Step Functions
// developer guide, "Integrating services with Step Functions", "Integrating optimized services"; recorded histories.
package integration
