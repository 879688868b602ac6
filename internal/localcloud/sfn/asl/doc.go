// Package asl is the Amazon States Language: Compile checks a definition and
// plans it once; a Run interprets one execution of it.
//
// A Run is a state machine without I/O. Start, Complete, Submit, Heartbeat, Tick and Abort
// move it. Each runs until every branch waits for something, appends events to the Run's
// Events and leaves task calls in its Calls. The caller stores Snapshot and events together
// and then makes the calls. Resume turns a snapshot back into a Run. Time, randomness and the
// account come from Host. A Run keeps the branches and what they wait for, but not its
// history.
//
// By subject: checking and planning a definition (compile*.go, diagnostics.go, warnings.go);
// moving a Run (run.go, branch.go, finish.go, redrive.go); what each type of state does
// (states.go, task.go, choice.go, wait.go, map*.go); JSONata expressions, with the limits of
// one evaluation (expression.go), and JSONPath templates (template.go); TestState (single.go).
//
// Events carry the ids and previousEventIds of AWS. Event links follow the
// recordings: the entry of the first state points to 0, a Map state's exit points
// to its last iteration, an evaluation error to the event before its state.
//
// Limits: MaxData bytes of UTF-8 for every input, result and output, MaxEvents
// events. Errors of a definition are Diagnostics, all of them at once, with JSON
// pointers as locations. Errors of an execution are States.* names in events.
//
// A Machine is safe for concurrent use, a Run is not. Sources: the Amazon States
// Language specification (states-language.net), the Step Functions developer
// guide, and recorded histories.
package asl
