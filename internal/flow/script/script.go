// Package script runs the operations that are only a state machine. Their author writes
// statemachines/<operation>.asl.json and the schema of its input, and no Go. The states hand
// tasks to the function usp-task. This package decides what a task sends to a device and what
// follows from the answers.
//
//	names.go         the tasks, their error names, the names of outcomes
//	payload.go       the payload of a task, and its result
//	conversation.go  what all conversations have in common; a file per task beside it:
//	get.go set.go add.go delete.go operate.go await.go
//	judge.go         FINALIZE: how an execution ended, and what is reported
//
// A conversation is a function of its memory and one event, and never waits: an answer that comes too
// early is left to the queue, which brings it again. It has one
// request at a time, and only its answer counts: each request has an id of its own, which is
// written to the memory before the request is sent. That a request or an answer may have been
// lost is noticed by an event: the device came back or restarted after the request, or the
// answer to an earlier one comes again. Then GET asks again, and takes the answer to any of its
// requests, those of the try before included. SET reads, and sets what differs. ADD and DELETE
// look for the object by its unique keys. OPERATE looks for a trace of its command, and sends it
// only once in a task. While the device is away nothing is sent; the conversation waits for it
// until the state's timeout.
//
// Errors in a conversation are event.Failures. All of it is safe for concurrent use.
// Sources: TR-369 1.4 and TR-181. Numbers such as 07a in comments are those of captures
// of the reference agent (docs/usp.md).
package script

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// flow is one operation.
type flow struct{ controller event.EndpointID }

// New is the operation of this name as the controller of this endpoint id plays it.
func New(operation event.Operation, controller event.EndpointID) event.Flow {
	f := &flow{controller: controller}
	outcome := strings.ToUpper(strings.ReplaceAll(string(operation), "-", "_"))
	return event.Flow{
		Operation: operation,
		News: []event.Kind{
			event.KindEvent, event.KindValueChanged, event.KindTransferComplete, event.KindCommandComplete,
		},
		Played: OperationDuplicate, Unfit: OperationNotEligible,
		Succeeded: outcome + "_SUCCESS", Failed: outcome + "_FAIL",
		Plan: f.plan, Begin: f.begin, Continue: f.next, Hold: f.hold, Judge: f.judge,
	}
}

// defaultJob is how long a job execution may take where its document does not say.
const defaultJob = 24 * time.Hour

// document is the part of a job document that is not the operation's own.
type document struct {
	Operation event.Operation `json:"operation"`
	Timeouts  struct {
		JobMinutes int `json:"jobMinutes"`
	} `json:"timeouts"`
}

// plan reads a job document. The operation's input was checked when the job was made.
func (*flow) plan(raw json.RawMessage) (event.Plan, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return event.Plan{}, fmt.Errorf("job document: %w", err)
	}
	if d.Timeouts.JobMinutes < 0 {
		return event.Plan{}, fmt.Errorf("job document: timeouts.jobMinutes is %d", d.Timeouts.JobMinutes)
	}
	lasts := time.Duration(d.Timeouts.JobMinutes) * time.Minute
	if lasts == 0 {
		lasts = defaultJob
	}
	return event.Plan{Document: raw, Timeouts: json.RawMessage(`{}`), Lasts: lasts}, nil
}
