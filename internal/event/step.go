package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Step names a wait of a workflow: the task of one state. Its names are its
// flow's.
type Step string

// Owner is on whose behalf an operation is done to a device: a job or a campaign; or,
// where it is an Arrival, the stack itself, which does it to a device that appears.
// Owners are compared by ==.
type Owner struct {
	Job      JobID      `json:"jobId,omitempty"`
	Campaign CampaignID `json:"campaignId,omitempty"`
	Arrival  bool       `json:"arrival,omitempty"`
}

// JobOwner is the owner that a job is.
func JobOwner(id JobID) Owner { return Owner{Job: id} }

// ArrivalOwner is the owner of what the stack does to devices that appear.
func ArrivalOwner() Owner { return Owner{Arrival: true} }

// arrivalKey is no job id: those have no colon.
const arrivalKey = "arrival:"

// Key tells owners apart, in keys of items and in names of executions.
func (o Owner) Key() string {
	switch {
	case o.Arrival:
		return arrivalKey
	case o.Campaign != "":
		return campaignKey + string(o.Campaign)
	}
	return string(o.Job)
}

// OwnerOf is the owner with this key.
func OwnerOf(key string) Owner {
	if key == arrivalKey {
		return ArrivalOwner()
	}
	if id, ok := strings.CutPrefix(key, campaignKey); ok {
		return CampaignOwner(CampaignID(id))
	}
	return Owner{Job: JobID(key)}
}

// String is for logs and errors.
func (o Owner) String() string {
	switch {
	case o.Arrival:
		return "its arrival"
	case o.Campaign != "":
		return "campaign " + string(o.Campaign)
	}
	return "job " + string(o.Job)
}

// Held is the error under which a device ends whose owner was stopped for good.
func (o Owner) Held() ErrorName {
	if o.Campaign != "" {
		return CampaignHeld
	}
	return JobHeld
}

// ExecutionInput is the input of an execution, written when it is started. It is
// a function of the attempt alone, so that starting twice is starting once.
type ExecutionInput struct {
	// Form is inputForm, or that of an earlier version; 0 is of before they had numbers.
	Form int `json:"v,omitempty"`
	Owner
	ThingName       ThingName       `json:"thingName"`
	ExecutionNumber int64           `json:"executionNumber"`
	Execution       string          `json:"execution"` // the execution's own name
	Operation       Operation       `json:"operation"`
	Document        json.RawMessage `json:"document"` // the flow's
	Timeouts        json.RawMessage `json:"timeouts"` // the flow's
	// Lap is how many executions of this attempt came before; Resume is what the flow
	// told itself at the end of the last one.
	Lap    int             `json:"lap,omitempty"`
	Resume json.RawMessage `json:"resume,omitempty"`
	// Window is the attempt's, in the device's zone.
	Window *Window `json:"window,omitempty"`
}

// inputForm is the form in which this program writes the inputs of executions. It reads
// those up to it: an execution may have been started by an earlier version.
const inputForm = 1

// UnmarshalJSON refuses the input of a later version with a FormError.
func (in *ExecutionInput) UnmarshalJSON(b []byte) error {
	type plain ExecutionInput
	var read plain
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	if err := CheckForm("input of execution "+read.Execution, read.Form, inputForm); err != nil {
		return err
	}
	*in = ExecutionInput(read)
	return nil
}

// NewExecutionInput builds the input of the first lap of one attempt on one device.
func NewExecutionInput(o Owner, thing ThingName, number int64, operation Operation, p Plan) ExecutionInput {
	return ExecutionInput{
		Form: inputForm, Owner: o, ThingName: thing, ExecutionNumber: number,
		Execution: ExecutionName(o, thing, number, 0),
		Operation: operation, Document: p.Document, Timeouts: p.Timeouts, Window: p.Window,
	}
}

// InLap is the same input for another lap.
func (in ExecutionInput) InLap(lap int, resume json.RawMessage) ExecutionInput {
	in.Execution = ExecutionName(in.Owner, in.ThingName, in.ExecutionNumber, lap)
	in.Lap, in.Resume = lap, resume
	return in
}

// StepInput is what the state machine hands to the function of a step.
type StepInput struct {
	Step      Step           `json:"step"`
	TaskToken TaskToken      `json:"taskToken"`
	Input     ExecutionInput `json:"input"` // the execution's
	// Attempt orders the tasks of an execution, of which one is open at a time: a later
	// one is greater. "" where the state machine does not tell.
	Attempt string `json:"-"`
	// Results is the whole document, which holds the results of the steps before
	// under their flow's names.
	Results json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the document as Results. Where the state hands over its context,
// what the step needs to know is from there.
func (in *StepInput) UnmarshalJSON(b []byte) error {
	type plain StepInput
	of := struct {
		*plain
		Context *TaskContext `json:"context"`
	}{plain: (*plain)(in)}
	if err := json.Unmarshal(b, &of); err != nil {
		return err
	}
	if c := of.Context; c != nil {
		in.Step, in.TaskToken, in.Input, in.Attempt = Step(c.State.Name), c.Task.Token, c.Execution.Input, c.attempt()
	}
	in.Results = append(json.RawMessage(nil), b...)
	return nil
}

// TaskContext is the part of a state machine's context object that a task hands on as a
// whole: Step Functions Developer Guide, "Accessing execution data from the Context
// object", read 2026-11.
type TaskContext struct {
	Execution struct {
		Input        ExecutionInput
		StartTime    string
		RedriveCount int
	}
	State struct {
		Name        string
		EnteredTime time.Time
		RetryCount  int
	}
	Task struct{ Token TaskToken }
}

// attempt is a StepInput's Attempt: the state's entry, and how often it was tried before.
func (c TaskContext) attempt() string {
	return fmt.Sprintf("%04d %s%s%05d", c.Execution.RedriveCount,
		c.State.EnteredTime.UTC().Format("2006-01-02T15:04:05.000000Z"), attemptMark, c.State.RetryCount)
}

// attemptMark stands in an attempt between the entry of its state and its number.
const attemptMark = "+"

// EntryOf is the part of an attempt that all tries of one entry into its state share.
func EntryOf(attempt string) string {
	entry, _, _ := strings.Cut(attempt, attemptMark)
	return entry
}

// Caught is an error as Catch hands it on.
type Caught struct {
	State string `json:"state"` // where it was caught
	Error string `json:"error"`
	Cause string `json:"cause,omitempty"`
}

// Reason names what was caught, with a detail. names are the errors of the operation. A
// state that ran out of time ended for want of the device, or of its word. All else is
// a function's, its permissions' or the state machine's own: nothing that the device
// did, and the detail says which.
func (c Caught) Reason(names []ErrorName, known DeviceState) (ErrorName, string) {
	detail := strings.TrimSpace(c.Cause)
	if len(detail) > 1000 {
		detail = strings.ToValidUTF8(detail[:1000], "")
	}
	if name := ErrorName(c.Error); slices.Contains(names, name) {
		return name, detail
	}
	where := "in state " + c.State
	switch {
	case !strings.HasPrefix(c.Error, "States.") || !strings.Contains(c.Error, "Timeout"):
		return ControllerFailed, strings.TrimSpace(c.Error + " " + where + " " + detail)
	case !known.Connected:
		return DeviceOffline, "away, and not back in time " + where
	}
	return DeviceNoReport, "connected, and no answer in time " + where
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
	Park      *Park          `json:"park,omitempty"` // the attempt is not over
	// Results is the whole document, as StepInput's.
	Results json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the document as Results, and reads a context as StepInput's does.
func (in *FinalizeInput) UnmarshalJSON(b []byte) error {
	type plain FinalizeInput
	of := struct {
		*plain
		Context *TaskContext `json:"context"`
	}{plain: (*plain)(in)}
	if err := json.Unmarshal(b, &of); err != nil {
		return err
	}
	if c := of.Context; c != nil {
		in.Input, in.StartedAt = c.Execution.Input, c.Execution.StartTime
		in.Tries, in.Redrives = c.State.RetryCount, c.Execution.RedriveCount
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
