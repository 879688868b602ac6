package event

import (
	"encoding/json"
	"strconv"
	"time"
)

// Turn is the input of a conversation with a device, each time something happens. A
// conversation belongs to one try of one step. Package workflow stores it; its flow
// decides what it says.
type Turn struct {
	Thing     ThingName
	Execution string
	Device    DeviceState
	Step      Step
	State     json.RawMessage // the conversation's own memory; nil at the beginning
	Messages  string          // prefix for the ids of its requests
	Tries     map[Step]int    // of each step in this execution, this one included
	// Before is, at the beginning, the memory of the try before of the same entry into
	// this state, if that did not come to its end. Where the state machine does not tell
	// entries, it is that of the task before, if that was of the same step.
	Before json.RawMessage
	// Asked is the prefix for the ids of the requests of the try that Before is of.
	Asked string
	// Last is, at the beginning, the memory of the task before, of whatever step.
	Last json.RawMessage
	// Quirks are, as the flow's step Models begins, those that were found of the device's
	// model.
	Quirks []string
	Now    time.Time
}

// Outgoing is a message to a device: package device's.
type Outgoing any

// Move is what a conversation does in its turn. It may have a turn after its task has
// ended, until the next step's has begun: what it asks then with Once is not sent, and
// what the next step must hear it keeps (KeepNews).
type Move struct {
	Ignore bool // the event says nothing to this conversation
	// Later is set where it is too early for the event: its message comes again some seconds later. It is
	// for answers of the device, not for news.
	Later bool
	// Send is sent to the device. With Once it is sent by nobody who did not
	// also raise the conversation's revision: for what must not be sent twice.
	Send Outgoing
	Once bool
	// Gate is set where Send changes the device: it is not sent where the flag of the
	// owner holds (see Flow.Gates), nor for a task that is over.
	Gate bool
	// Danger is set where the device may run something else after Send, or after what its step
	// sends later: one that is only staged is parked before it, and so is one for which its
	// campaign's budget has no room.
	Danger bool
	// Away is set where nothing was sent because the device is away: the conversation
	// goes on with a KindConnected.
	Away bool
	// State replaces the conversation's memory, if not nil.
	State json.RawMessage
	// Commands are the command keys, with their command paths, of the news that
	// the task waits for; they are set when it begins. A key stands for all
	// sendings of its try.
	Commands map[string]string
	// KeepNews keeps the event for the next step as well, whether this one ends
	// with it or goes on.
	KeepNews bool
	// Messages is, as the task begins, the Turn's Asked where answers to the requests of the try before
	// do for this one as well: that has done nothing but read, and this one begins by reading the same.
	Messages string
	// Takes is the ID of the news that ends the task, if no other task of the execution
	// may take it.
	Takes string
	// Done or Failed ends the task.
	Done   any
	Failed *Failure
	// Park ends the task too, and the execution: the attempt goes on later.
	Park *Park
	// Tells are the names of domain events that the move is for other systems.
	Tells []string
	// Learnt is what was found out about the device, for its DeviceState's Facts.
	// It is noted only with a move that begins the task, as part of a request that is
	// made anyway, or that ends it, which is a request more.
	Learnt map[string]string
}

// Ends reports whether the task is over with this move.
func (m Move) Ends() bool { return m.Done != nil || m.Failed != nil || m.Park != nil }

// StepKey is the command key of one try of a step's command.
func StepKey(execution string, step Step, try int) string {
	return CommandKey(execution, string(step)+"-"+itoa(int64(try)))
}

// SendKey is the command key of one sending of a try's command, counted from 1. What
// is sent again has a key of its own, so that news of what was sent before is not
// taken for news of it (captures 11f, 11f2). The first is StepKey.
func SendKey(execution string, step Step, try, send int) string {
	key := StepKey(execution, step, try)
	if send <= 1 {
		return key
	}
	return key[:len(key)-sendMark] + "." + strconv.FormatInt(int64(min(send, 35)), 36)
}

// sendMark is how many characters at the end of a StepKey tell sendings apart.
const sendMark = 2

// SameTry reports whether two command keys are of one try of a step.
func SameTry(a, b string) bool {
	return a == b || len(a) == len(b) && len(a) > sendMark && a[:len(a)-sendMark] == b[:len(b)-sendMark]
}

// MessagePrefix begins the ids of all requests of one try of a step.
func MessagePrefix(execution string, step Step, try int) string {
	return "fs-" + digest(execution, string(step), itoa(int64(try)))[:20] + "-"
}
