package script

import "github.com/fleetstep/fleetstep/internal/event"

// Task says what a state wants of a device.
type Task string

// The tasks.
const (
	Get      Task = "GET"      // read parameters
	Set      Task = "SET"      // write parameters, all or none
	Add      Task = "ADD"      // make objects
	Delete   Task = "DELETE"   // remove objects
	Operate  Task = "OPERATE"  // give a command, and wait for its end
	Await    Task = "AWAIT"    // wait for news that the device sends by itself, or for the device
	Finalize Task = "FINALIZE" // report the end and give the device back; the function finalize takes it
)

// The errors of these operations beside those that any operation has.
const (
	OperationDuplicate   event.ErrorName = "Operation.Duplicate"   // this attempt was played before
	OperationNotEligible event.ErrorName = "Operation.NotEligible" // its document cannot be followed
	CommandFailed        event.ErrorName = "Command.Failed"        // the device took the command, and could not do it
	TaskInvalid          event.ErrorName = "Task.Invalid"          // what the state handed over is no such task
	TaskTooLarge         event.ErrorName = "Task.TooLarge"         // the answer is larger than a state may hold
)

// ErrorNames lists every error with which such an operation may end, beside those that
// its own state machine names.
func ErrorNames() []event.ErrorName {
	return []event.ErrorName{
		event.DeviceOffline, event.DeviceBusy, event.DeviceRefused, event.DeviceNoReport, CommandFailed,
		OperationDuplicate, OperationNotEligible, TaskInvalid, TaskTooLarge,
		event.ControllerFailed, event.JobCanceled, event.JobTimedOut, event.JobHeld, event.CampaignHeld,
	}
}

// Values of endsWith, beside none: a synchronous command ends by its response, an
// asynchronous one by OperationComplete.
const (
	endsWithBoot     = "Boot!"    // the device restarted
	endsWithResponse = "Response" // it took the command
)

// presenceConnected is the presence that AWAIT waits for.
const presenceConnected = "connected"
