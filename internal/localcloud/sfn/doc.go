// Package sfn is AWS Step Functions: state machines, their versions and aliases,
// executions, activities, task tokens, TestState.
//
// The language is in sfn/asl and the packages it uses; this package keeps
// executions in the store, makes the calls of their tasks and speaks the API
// (api*.go, protocol AWS JSON 1.0, target AWSStepFunctions). From the bottom up:
// records and their keys (state.go, record.go), compiled revisions (plan.go), one
// move of an execution as one transaction (move.go, with its events in
// recorder.go), the calls of tasks (integration.go, item_reader.go,
// result_writer.go, jobs.go; tasks.go tells them apart), what follows a move
// (follow.go, child.go), the operations, and the start after a stop (start.go). A
// file names only files below it; internal/archtest has the order.
//
// What needs no store is in packages of its own: names and ARNs (names), events
// and log lines (history), where a Resource leads and how its answer is shown
// (integration), items and results of a distributed Map (distributedmap), what
// may be asked of a single state (teststate).
//
// One move of an execution is one transaction: its new events, its new state and
// the answer to whoever moved it. Calls of tasks begin when the transaction is
// durable. After a restart (Start) calls without an answer are made again, as
// AWS makes them at least once; tokens, timers, heartbeats and jobs go on with
// the time that has passed. A waiting execution is in memory only as a timer;
// one that has ended not at all. Executions move independently of each other,
// the steps of one are in order.
//
// Keys are arranged so that listing and describing do not depend on how many
// executions there have been. Limits are those of asl. Errors are AWS's codes;
// see errors.go. Sources: Step Functions API reference and developer guide.
package sfn
