package event

import (
	"context"
	"encoding/json"
	"time"
)

// Form is how a payload of create-job asks for an operation: what the operation's flow
// says of it to package jobs, and all that package jobs knows of the operation. A job's
// own members (targets, rollout, abort, timeouts, retry) are package jobs' business. Its
// functions are safe for concurrent use.
type Form struct {
	Operation Operation
	// Members are those of a payload that has the operation's own beside the job's
	// without naming the operation: both, in the order in which they are told and
	// written. Without any there is no such payload, and the operation's own are in the
	// member "input".
	Members []string
	// Short is a payload of a few words, if there is one.
	Short ShortForm
	// Timeouts are the operation's own waits, beside jobMinutes.
	Timeouts []Timeout
	// Errors are the names with which the operation fails; none are any.
	Errors []ErrorName
	// One and Beside are for messages about a job's time: "an upgrade", and what takes
	// time beside those waits, as " and all retries".
	One, Beside string

	// Read checks the operation's own members, which are at a path of the payload. All
	// mistakes are told at once.
	Read func(at string, members map[string]any) (Input, Problems)
	// Staged completes members, before they are read, so that the operation can be held
	// between bringing a device what it needs and using it; problems are members that
	// forbid it. Nil: it cannot be held there.
	Staged func(at string, members map[string]any) (map[string]any, Problems)
	// Complete finds out what the payload leaves open and only the account knows. It is
	// called once for each payload.
	Complete func(ctx context.Context, in Input) (Input, Problems, error)
	// Needs is the longest that an execution for a job document may take; 0 if nothing
	// can be said.
	Needs func(document json.RawMessage) (time.Duration, error)
}

// ShortForm is a payload with words of an operation beside targetArn, targetSelection
// and allowEmpty.
type ShortForm struct {
	Words []string
	// Read checks them, and returns the operation's members that they stand for.
	Read func(at string, words map[string]any) (members map[string]any, problems Problems)
}

// Timeout is a wait that a payload may set: a whole number.
type Timeout struct {
	Name               string
	Low, High, Default int
}

// Input is what a payload asks of an operation.
type Input struct {
	At      string                     // where in the payload it is, for problems
	Members map[string]json.RawMessage // the operation's, of the job document
	Title   string                     // begins the job's description, as "Firmware 2.0.0"
	Prefix  string                     // begins a job id that is derived, as "fw-2.0.0"
	Details map[string]string          // the answer tells them beside the job
	// Size is how many bytes each device fetches, once Complete has found out; 0 is none, or not known.
	Size int64 `json:"-"`
}
