package event

import (
	"encoding/json"
	"time"
)

// Turn is what a conversation with a device is told each time it is its turn. A
// conversation belongs to one try of one step; package workflow keeps it, its flow
// holds it.
type Turn struct {
	Thing     ThingName
	Execution string
	Device    DeviceState
	Step      Step
	State     json.RawMessage // the conversation's own memory; nil at the beginning
	Messages  string          // prefix for the ids of its requests
	Tries     map[Step]int    // of each step in this execution, this one included
	Now       time.Time
}

// Outgoing is a message to a device: package device's.
type Outgoing any

// Move is what a conversation does in its turn.
type Move struct {
	Ignore bool // the event says nothing to this conversation
	// Send is sent to the device. With Once it is sent by nobody who did not
	// also raise the conversation's revision: for what must not be sent twice.
	Send Outgoing
	Once bool
	// State replaces the conversation's memory, if not nil.
	State json.RawMessage
	// Commands are the command keys, with their command paths, of the news that
	// the task waits for; they are set when it begins.
	Commands map[string]string
	// KeepNews keeps the event for the next step as well, whether this one ends
	// with it or goes on.
	KeepNews bool
	// Done or Failed ends the task.
	Done   any
	Failed *Failure
	// Learnt is what was found out about the device, for its DeviceState's Facts.
	// It is noted only with a move that ends the task.
	Learnt map[string]string
}

// Ends reports whether the task is over with this move.
func (m Move) Ends() bool { return m.Done != nil || m.Failed != nil }

// StepKey is the command key of one try of a step's command.
func StepKey(execution string, step Step, try int) string {
	return CommandKey(execution, string(step)+"-"+itoa(int64(try)))
}

// MessagePrefix begins the ids of all requests of one try of a step.
func MessagePrefix(execution string, step Step, try int) string {
	return "fs-" + digest(execution, string(step), itoa(int64(try)))[:20] + "-"
}
