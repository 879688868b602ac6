// Package sfn is AWS Step Functions: state machines, their versions and aliases,
// executions, activities, task tokens, TestState.
//
// The language is in sfn/asl and the packages it uses. This package keeps executions in the
// store, makes the calls of their tasks and answers the API (api*.go, protocol AWS JSON 1.0,
// target AWSStepFunctions).
//
// The files from the bottom up (internal/archtest has the exact order, in floors_test.go):
//
//	state.go record.go   records and their keys
//	plan.go              compiled revisions of state machines
//	move.go recorder.go  one move of an execution as one transaction, and its events
//	tasks.go             chooses how a task is called: integration.go, item_reader.go,
//	                     result_writer.go, jobs.go
//	follow.go child.go   what follows a move
//	api*.go              the operations
//	start.go             the start after a stop
//
// Code without a store is in packages of its own: names and ARNs (names), events and log lines
// (history), the tables of integrations (integration), items and results of a distributed Map
// (distributedmap), the checks of TestState (teststate).
//
// One move of an execution is one transaction: its new events, its new state and the answer to
// its caller. Calls of tasks begin when the transaction is durable. After a restart, Start
// makes calls without an answer again, as AWS makes them at least once. Tokens, timers,
// heartbeats and jobs continue with the time that has passed. A waiting execution is in memory
// only as a timer, and a finished one not at all. Executions move independently of each other;
// the steps of one are in order.
//
// Keys are arranged so that the cost of list and describe does not depend on the number of
// past executions. Limits are those of asl. Errors are AWS's codes; see errors.go. Sources:
// Step Functions API reference and developer guide.
package sfn
