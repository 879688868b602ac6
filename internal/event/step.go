package event

import (
	"encoding/json"
)

// Step names a wait of a workflow: the task of one state. Its names are its
// flow's.
type Step string

// Owner is on whose behalf an operation is done to a device: a job. Owners are
// compared by ==.
type Owner struct {
	Job JobID `json:"jobId,omitempty"`
}

// JobOwner is the owner that a job is.
func JobOwner(id JobID) Owner { return Owner{Job: id} }

// Key tells owners apart, in keys of items and in names of executions.
func (o Owner) Key() string { return string(o.Job) }

// OwnerOf is the owner with this key.
func OwnerOf(key string) Owner { return Owner{Job: JobID(key)} }

// String is for logs and errors.
func (o Owner) String() string { return "job " + string(o.Job) }

// ExecutionInput is the input of an execution, written when it is started. It is
// a function of the attempt alone, so that starting twice is starting once.
type ExecutionInput struct {
	Owner
	ThingName       ThingName       `json:"thingName"`
	ExecutionNumber int64           `json:"executionNumber"`
	Execution       string          `json:"execution"` // the execution's own name
	Operation       Operation       `json:"operation"`
	Document        json.RawMessage `json:"document"` // the flow's
	Timeouts        json.RawMessage `json:"timeouts"` // the flow's
}

// NewExecutionInput builds the input of one attempt on one device.
func NewExecutionInput(o Owner, thing ThingName, number int64, operation Operation, p Plan) ExecutionInput {
	return ExecutionInput{
		Owner: o, ThingName: thing, ExecutionNumber: number, Execution: ExecutionName(o, thing, number),
		Operation: operation, Document: p.Document, Timeouts: p.Timeouts,
	}
}

// StepInput is what the state machine hands to the function of a step.
type StepInput struct {
	Step      Step           `json:"step"`
	TaskToken TaskToken      `json:"taskToken"`
	Input     ExecutionInput `json:"input"` // the execution's
	// Results is the whole document, which holds the results of the steps before
	// under their flow's names.
	Results json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the document as Results.
func (in *StepInput) UnmarshalJSON(b []byte) error {
	type plain StepInput
	if err := json.Unmarshal(b, (*plain)(in)); err != nil {
		return err
	}
	in.Results = append(json.RawMessage(nil), b...)
	return nil
}

// Caught is an error as Catch hands it on.
type Caught struct {
	State string `json:"state"` // where it was caught
	Error string `json:"error"`
	Cause string `json:"cause,omitempty"`
}

// FinalizeInput is what the state machine hands to finalize. Tries is the context
// object's State.RetryCount, which begins again with a redrive; Redrives is its
// Execution.RedriveCount, 0 for an execution that was never redriven (Step Functions
// Developer Guide, "Accessing execution data from the Context object", read 2026-11).
type FinalizeInput struct {
	Input     ExecutionInput `json:"input"`
	StartedAt string         `json:"startedAt"` // of the execution
	Tries     int            `json:"tries"`     // of this very report that failed before
	Redrives  int            `json:"redrives"`  // of the execution
	Failure   *Caught        `json:"failure,omitempty"`
	// Results is the whole document, as StepInput's.
	Results json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the document as Results.
func (in *FinalizeInput) UnmarshalJSON(b []byte) error {
	type plain FinalizeInput
	if err := json.Unmarshal(b, (*plain)(in)); err != nil {
		return err
	}
	in.Results = append(json.RawMessage(nil), b...)
	return nil
}

// StepTaken is the answer of a step's function to its invocation. The state
// machine does not look at it: the task ends by its token.
type StepTaken struct {
	Step Step   `json:"step"`
	Did  string `json:"did"`
}
