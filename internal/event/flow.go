package event

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Operation names what is done to a device, as job documents and claims name it:
// "firmware-upgrade". It is also the name of its state machine's document.
type Operation string

// Flow is one operation: what its room under internal/flow says of it, and all
// that package workflow and package jobs know of it. Its functions are safe for
// concurrent use and do nothing themselves: they say what is to be done.
type Flow struct {
	Operation Operation
	// Commands are the steps that give the device a command; news of these
	// commands is kept for the step that follows.
	Commands []Step
	// Gates are the steps whose command changes the device: before it is sent, the
	// flag of the owner is read (package workflow's Controls).
	Gates []Step
	// News are the kinds of news, beside restarts and the ends of Commands, that are kept
	// for a step to come.
	News []Kind
	// Hold is a Park for an attempt whose owner is paused before the command of a gate,
	// which is in the memory of t already; ok is false where it cannot be begun anew any
	// more, and goes on. Without it a pause holds only what has not begun.
	Hold func(t Turn) (park Park, ok bool, err error)
	// Models is the step that is told of the quirks of its device's model; "" for none.
	Models Step
	// Phases are an operator's names of steps; a step without one is part of
	// another.
	Phases map[Step]string
	// Played is how an attempt ends that was played before, Unfit one whose
	// document Plan refuses.
	Played, Unfit ErrorName
	// Succeeded and Failed are the names of its outcomes.
	Succeeded, Failed string

	// Plan reads a document that names the operation.
	Plan func(document json.RawMessage) (Plan, error)
	// Begin opens the conversation of a step, Continue takes the next event.
	Begin    func(ctx context.Context, t Turn, in StepInput) (Move, error)
	Continue func(t Turn, ev DeviceEvent) (Move, error)
	// Judge says how an execution ended, and what is to be reported of it.
	Judge func(in FinalizeInput, known DeviceState) (Conclusion, error)
	// Wants reports whether the operation is to be done to a device without anybody's
	// asking: ev is what shows that it is there, or only the moment at which it may begin.
	// learnt is noted of the device when it is. Nil: only who asks for it gets it.
	Wants func(known DeviceState, ev DeviceEvent) (learnt map[string]string, wanted bool)
	// Learn is what the results of an execution say of its device, for its facts; nil
	// if nothing. It is noted as the device is given back; known is the device until then.
	Learn func(in FinalizeInput, known DeviceState) map[string]string
	// Overhear is what an event says of a device on which this operation is not at work;
	// nil if that is nothing to the operation.
	Overhear func(known DeviceState, ev DeviceEvent) Overheard
}

// Overheard is what an event says of a device on which an operation is not at work. It
// may be done twice.
type Overheard struct {
	// Attributes are merged into the thing's; if the registry takes them, Facts are noted.
	Attributes, Facts map[string]string
	// Ask is sent to the device, if not nil. Its answer is overheard, too.
	Ask Outgoing
}

// Outcome is the name of the outcome with which an execution ended so.
func (f Flow) Outcome(s JobStatus) string {
	if s == StatusSucceeded {
		return f.Succeeded
	}
	return f.Failed
}

// Plan is what a flow makes of a document.
type Plan struct {
	Document json.RawMessage // with its defaults filled in
	Timeouts json.RawMessage // what the state machine puts into TimeoutSeconds
	Lasts    time.Duration   // after this long the execution is over, one way or the other
	// Window is when the device may be disturbed, nil is always. With WindowStarts
	// nothing begins outside of it; else the flow itself parks the attempt.
	Window       *Window
	WindowStarts bool
	// the longest that its states and their retries may take; within Lasts, or they are cut short
	Needs time.Duration
}

// Conclusion is a flow's judgement of an execution.
type Conclusion struct {
	Reason ErrorName // "" for a plain success
	Status JobStatus
	Detail string
	// Details go into the outcome and the job execution beside reason and detail;
	// Filters names those that filter policies may use.
	Details map[string]string
	Filters []string
	// Attributes are merged into the thing's, values as they may be there.
	Attributes map[string]string
	// Phases are the seconds that phases took, by an operator's name.
	Phases map[string]float64
	// Final says that what owns the attempt does not try again by itself.
	Final bool
	// Tells are the names of domain events that the end is for other systems.
	Tells []string
}

// Flows are the operations that a program knows.
type Flows struct {
	flows   map[Operation]Flow
	stack   string
	unasked Operation // that of the one with Wants; "" for none
}

// NewFlows is a set of flows. A flow that lacks something, or two of one name, are
// an error.
func NewFlows(flows ...Flow) (Flows, error) {
	all := Flows{flows: make(map[Operation]Flow, len(flows))}
	for _, f := range flows {
		_, twice := all.flows[f.Operation]
		switch {
		case f.Operation == "":
			return Flows{}, fmt.Errorf("a flow has no operation")
		case twice:
			return Flows{}, fmt.Errorf("two flows are called %s", f.Operation)
		case f.Plan == nil, f.Begin == nil, f.Continue == nil, f.Judge == nil:
			return Flows{}, fmt.Errorf("flow %s needs Plan, Begin, Continue and Judge", f.Operation)
		case f.Wants != nil && all.unasked != "":
			return Flows{}, fmt.Errorf("flows %s and %s both want devices that appear", all.unasked, f.Operation)
		case f.Played == "", f.Unfit == "", f.Succeeded == "", f.Failed == "":
			return Flows{}, fmt.Errorf("flow %s needs the names Played, Unfit, Succeeded and Failed", f.Operation)
		}
		all.flows[f.Operation] = f
		if f.Wants != nil {
			all.unasked = f.Operation
		}
	}
	return all, nil
}

// Find is the flow of an operation.
func (fs Flows) Find(o Operation) (Flow, bool) {
	f, ok := fs.flows[o]
	return f, ok
}

// All are the flows, in order of their operations.
func (fs Flows) All() []Flow {
	all := make([]Flow, 0, len(fs.flows))
	for _, o := range slices.Sorted(maps.Keys(fs.flows)) {
		all = append(all, fs.flows[o])
	}
	return all
}

// Unasked is the flow that is done to devices that appear.
func (fs Flows) Unasked() (Flow, bool) { return fs.Find(fs.unasked) }

// Len is how many there are.
func (fs Flows) Len() int { return len(fs.flows) }

// Of is the same flows for the documents of one stack.
func (fs Flows) Of(stack string) Flows {
	fs.stack = stack
	return fs
}

// OfDocument is the flow that a document names; ok is false for documents of
// anybody else. A document that names no owner was made by hand, and is everybody's.
func (fs Flows) OfDocument(document json.RawMessage) (f Flow, ok bool) {
	var head struct {
		Operation Operation `json:"operation"`
		Owner     string    `json:"owner"`
	}
	if json.Unmarshal(document, &head) != nil || head.Owner != "" && fs.stack != "" && head.Owner != fs.stack {
		return Flow{}, false
	}
	return fs.Find(head.Operation)
}
