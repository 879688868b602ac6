package upgrade

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/quirk"
)

// StepTimeouts are what the state machine puts into TimeoutSeconds.
type StepTimeouts struct {
	AnswerSeconds   int `json:"answerSeconds"`   // Inspect, Download, Activate, Verify
	RollbackSeconds int `json:"rollbackSeconds"` // the whole of Rollback
	FinalizeSeconds int `json:"finalizeSeconds"`
	SoakSeconds     int `json:"soakSeconds"`
}

// Plan reads a job document as a device would see it, and fills in its defaults.
// An error names all that is wrong with it.
func (*Flow) Plan(raw json.RawMessage) (event.Plan, error) {
	doc, err := ParseDocument(raw)
	if err != nil {
		return event.Plan{}, err
	}
	t := doc.Timeouts
	p := event.Plan{
		Lasts:  time.Duration(t.JobMinutes) * time.Minute,
		Window: doc.Activation.Window, WindowStarts: doc.Activation.Mode == ActivateAuto,
	}
	if p.Needs, err = longest(doc); err != nil {
		return event.Plan{}, err
	}
	if p.Document, err = json.Marshal(doc); err != nil {
		return event.Plan{}, err
	}
	p.Timeouts, err = json.Marshal(stepTimeouts(doc))
	return p, err
}

func stepTimeouts(doc Document) StepTimeouts {
	t := doc.Timeouts
	return StepTimeouts{
		AnswerSeconds:   t.AnswerSeconds,
		RollbackSeconds: t.AnswerSeconds + t.RebootSeconds,
		FinalizeSeconds: 60,
		SoakSeconds:     max(1, doc.Activation.SoakSeconds),
	}
}

// stepInput is what the states of an upgrade hand to a step: the results of the
// steps before.
type stepInput struct {
	Inspect  *Inspection `json:"inspect,omitempty"`
	Download *Accepted   `json:"download,omitempty"`
	Activate *Accepted   `json:"activate,omitempty"`
	Report   *Report     `json:"report,omitempty"`
	Soaked   bool        `json:"soaked,omitempty"`  // Verify after Soak
	Overdue  bool        `json:"overdue,omitempty"` // Verify because no report came in time
	Renewed  bool        `json:"renewed,omitempty"` // Download with a new address, the one before was refused
	Refused  int         `json:"refused,omitempty"` // how often the image could not be served

	document Document
}

// overdue reports whether the last report that was waited for did not come: one that was
// late before a later command says nothing of what came of that. By their keys, since the
// news that tells of a restart may be the first to tell that its command was taken.
func (in stepInput) overdue() bool {
	switch {
	case !in.Overdue || in.Report == nil:
		return in.Overdue
	case in.Report.Command == "":
		return in.Activate == nil || !in.Report.At.After(in.Activate.At)
	case in.Activate != nil:
		return in.Report.Command != in.Activate.CommandKey
	}
	return in.Download == nil || in.Report.Command != in.Download.CommandKey
}

func readStep(step event.StepInput) (in stepInput, err error) {
	if len(step.Results) > 0 {
		if err := json.Unmarshal(step.Results, &in); err != nil {
			return in, fmt.Errorf("upgrade: step %s: results of the steps before: %w", step.Step, err)
		}
	}
	if err := json.Unmarshal(step.Input.Document, &in.document); err != nil {
		return in, fmt.Errorf("upgrade: step %s: document: %w", step.Step, err)
	}
	return in, nil
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
	SoftwareVersion string `json:"softwareVersion"`
	Active          Image  `json:"active"`         // what runs, and what a rollback goes back to
	Target          Image  `json:"target"`         // where the new image goes
	Zone            string `json:"zone,omitempty"` // the device's, as it reports it
	// Quirks are those of its model, as the agent doctor has found them.
	Quirks quirk.List `json:"quirks,omitempty"`
	At     time.Time  `json:"at"`
}

// Accepted is the result of Download and of Activate: the device took the command.
type Accepted struct {
	CommandKey    string    `json:"commandKey"`        // that its news will carry
	Pass          int       `json:"pass,omitempty"`    // how often the step has come to this end
	Running       bool      `json:"running,omitempty"` // it runs the wanted version by now
	ReportSeconds int       `json:"reportSeconds"`     // how long its report may take
	At            time.Time `json:"at"`
}

// Report is the result of AwaitReport: the device came back from its restart.
type Report struct {
	// Command is the key of the command that it is of; "" in executions of earlier versions.
	Command       string     `json:"command,omitempty"`
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
