package event

import "time"

// Step names a wait of the workflow: the task of one state.
type Step string

// The steps.
const (
	StepInspect  Step = "INSPECT"  // look, subscribe
	StepDownload Step = "DOWNLOAD" // ask for the image
	StepActivate Step = "ACTIVATE" // ask for the restart
	StepReport   Step = "REPORT"   // wait for the device's own news
	StepVerify   Step = "VERIFY"   // look again, compare
	StepRollback Step = "ROLLBACK" // back to the previous image, and see it run
)

// Phase is the operator's name of a step, "" for those that are part of another.
func (s Step) Phase() string {
	switch s {
	case StepInspect:
		return PhaseInspect
	case StepDownload:
		return PhaseDownload
	case StepActivate:
		return PhaseActivate
	case StepVerify:
		return PhaseVerify
	}
	return ""
}

// ExecutionInput is the input of an execution, written by start-upgrade. It is
// a function of the job execution alone, so that starting twice is starting once.
type ExecutionInput struct {
	JobID           JobID        `json:"jobId"`
	ThingName       ThingName    `json:"thingName"`
	ExecutionNumber int64        `json:"executionNumber"`
	Execution       string       `json:"execution"` // the execution's own name
	Document        Document     `json:"document"`
	Timeouts        StepTimeouts `json:"timeouts"`
}

// StepTimeouts are what the state machine puts into TimeoutSeconds.
type StepTimeouts struct {
	AnswerSeconds   int `json:"answerSeconds"`   // Inspect, Download, Activate, Verify
	RollbackSeconds int `json:"rollbackSeconds"` // the whole of Rollback
	FinalizeSeconds int `json:"finalizeSeconds"`
	SoakSeconds     int `json:"soakSeconds"`
}

// NewExecutionInput builds the input for one attempt of a job on one device.
func NewExecutionInput(job JobID, thing ThingName, number int64, doc Document) ExecutionInput {
	doc.Timeouts = doc.Timeouts.WithDefaults()
	return ExecutionInput{
		JobID: job, ThingName: thing, ExecutionNumber: number,
		Execution: ExecutionName(job, thing, number),
		Document:  doc,
		Timeouts: StepTimeouts{
			AnswerSeconds:   doc.Timeouts.AnswerSeconds,
			RollbackSeconds: doc.Timeouts.AnswerSeconds + doc.Timeouts.RebootSeconds,
			FinalizeSeconds: 60,
			SoakSeconds:     max(1, doc.Activation.SoakSeconds),
		},
	}
}

// StepInput is what the state machine hands to the function of a step, with the
// results of the steps before.
type StepInput struct {
	Step      Step           `json:"step"`
	TaskToken TaskToken      `json:"taskToken"`
	Upgrade   ExecutionInput `json:"upgrade"`
	Inspect   *Inspection    `json:"inspect,omitempty"`
	Download  *Accepted      `json:"download,omitempty"`
	Activate  *Accepted      `json:"activate,omitempty"`
	Report    *Report        `json:"report,omitempty"`
	Soaked    bool           `json:"soaked,omitempty"`  // Verify after Soak
	Overdue   bool           `json:"overdue,omitempty"` // Verify because no report came in time
}

// Image is one firmware image of a device.
type Image struct {
	Path    string `json:"path"` // with the trailing dot
	Version string `json:"version,omitempty"`
	Status  string `json:"status,omitempty"`
	BootLog string `json:"bootLog,omitempty"`
}

// Inspection is the result of Inspect.
type Inspection struct {
	SoftwareVersion string    `json:"softwareVersion"`
	Active          Image     `json:"active"` // what runs, and what a rollback goes back to
	Target          Image     `json:"target"` // where the new image goes
	At              time.Time `json:"at"`
}

// Accepted is the result of Download and of Activate: the device took the command.
type Accepted struct {
	CommandKey    string    `json:"commandKey"`        // that its news will carry
	Running       bool      `json:"running,omitempty"` // it runs the wanted version by now
	ReportSeconds int       `json:"reportSeconds"`     // how long its report may take
	At            time.Time `json:"at"`
}

// Report is the result of AwaitReport: the device came back from its restart.
type Report struct {
	TransferredAt *time.Time `json:"transferredAt,omitempty"`
	At            time.Time  `json:"at"`
}

// Verification is the result of Verify.
type Verification struct {
	SoftwareVersion string    `json:"softwareVersion"`
	Active          Image     `json:"active"`
	PreviousVersion string    `json:"previousVersion"`
	At              time.Time `json:"at"`
}

// Caught is an error as Catch hands it on.
type Caught struct {
	State string `json:"state"` // where it was caught
	Error string `json:"error"`
	Cause string `json:"cause,omitempty"`
}

// FinalizeInput is what the state machine hands to finalize.
type FinalizeInput struct {
	Upgrade   ExecutionInput `json:"upgrade"`
	StartedAt string         `json:"startedAt"` // of the execution
	Failure   *Caught        `json:"failure,omitempty"`
	Inspect   *Inspection    `json:"inspect,omitempty"`
	Download  *Accepted      `json:"download,omitempty"`
	Activate  *Accepted      `json:"activate,omitempty"`
	Report    *Report        `json:"report,omitempty"`
	Verify    *Verification  `json:"verify,omitempty"`
}

// Outcome is how an upgrade ended: finalize's answer, the execution's output and
// the message on the outcome topic.
type Outcome struct {
	Event           string    `json:"event"` // OutcomeSuccess or OutcomeFail
	JobID           JobID     `json:"jobId"`
	ThingName       ThingName `json:"thingName"`
	ExecutionNumber int64     `json:"executionNumber"`
	Status          JobStatus `json:"status"`
	Reason          ErrorName `json:"reason,omitempty"`
	Detail          string    `json:"detail,omitempty"`
	FirmwareVersion string    `json:"firmwareVersion,omitempty"` // wanted
	SoftwareVersion string    `json:"softwareVersion,omitempty"` // last proved to run
	Seconds         float64   `json:"seconds,omitempty"`         // since the execution's start
}

// StepTaken is the answer of a step's function to its invocation. The state
// machine does not look at it: the task ends by its token.
type StepTaken struct {
	Step Step   `json:"step"`
	Did  string `json:"did"` // "sent", "looked", "finished"
}
