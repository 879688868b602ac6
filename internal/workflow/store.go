package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Errors of a Store, grouped by the moment they can occur.
var (
	// ErrClaimed: the device belongs to another execution.
	ErrClaimed = errors.New("the device is claimed by another execution")
	// ErrChanged: somebody else wrote first; load again.
	ErrChanged = errors.New("changed since it was read")
	// ErrStale: the news of presence is older than what is known.
	ErrStale = errors.New("older than what is known")
	// ErrForeign: the endpoint is another thing's, or the thing has another endpoint.
	ErrForeign = errors.New("endpoint and thing do not belong together")
)

// ErrGone: the execution does not own the device any more.
var ErrGone = errors.New("the execution does not own the device any more")

// Pending is a job execution that waits for its device to appear.
type Pending struct {
	Job             event.JobID
	ExecutionNumber int64
	Document        event.Document
	At              time.Time
	ExpiresAt       time.Time
}

// Claim says which execution owns a device.
type Claim struct {
	Job             event.JobID
	ExecutionNumber int64
	Execution       string // name
	ClaimedAt       time.Time
	Deadline        time.Time // of the job execution; AWS IoT ends it then
	ExpiresAt       time.Time
	Rev             int
	Tries           map[event.Step]int    // registrations of each step
	Seen            map[event.Step]string // digests of all tokens of each step: a late copy is known
}

// Owns reports whether a command key is one of this execution's.
func (c Claim) Owns(key string) bool {
	if key == "" {
		return false
	}
	for _, step := range commands {
		for try := 1; try <= c.Tries[step]; try++ {
			if key == event.StepKey(c.Execution, step, try) {
				return true
			}
		}
	}
	return false
}

// commands are the steps that give the device a command.
var commands = []event.Step{event.StepDownload, event.StepActivate, event.StepRollback}

// Await is a task that waits for a device.
type Await struct {
	Step      event.Step
	Token     event.TaskToken
	Job       event.JobID
	Execution string
	Messages  string            // prefix of the ids of its requests
	Commands  map[string]string // command key to command path, "" for any
	State     json.RawMessage   // the conversation's own
	Rev       int
	Since     time.Time
	ExpiresAt time.Time
}

// Matches reports whether an event may concern this task. The thing is given by
// where the Await was found.
func (a Await) Matches(ev event.DeviceEvent) bool {
	switch ev.Kind {
	case event.KindAnswer:
		return ev.Answer != nil && a.Messages != "" && strings.HasPrefix(ev.Answer.MessageID, a.Messages)
	case event.KindTransferComplete, event.KindCommandComplete:
		path, ok := a.Commands[ev.CommandKey]
		return ok && (path == "" || ev.CommandPath == path || ev.CommandPath == "" && ev.Kind == event.KindTransferComplete)
	case event.KindBooted, event.KindConnected:
		return true
	}
	return false
}

// Device is one partition: all that is known of a device.
type Device struct {
	Thing   event.ThingName
	State   event.DeviceState
	Known   bool // there is a STATE item
	Claim   *Claim
	Pending []Pending
	Awaits  []Await
	News    []event.DeviceEvent
}

// await finds the task that an event may concern.
func (d Device) await(ev event.DeviceEvent) (Await, bool) {
	for _, a := range d.Awaits {
		if d.Claim != nil && a.Execution == d.Claim.Execution && a.Matches(ev) {
			return a, true
		}
	}
	return Await{}, false
}

// task finds a task by its token, as it is now.
func (d Device) task(a Await) (Await, bool) {
	for _, now := range d.Awaits {
		if now.Step == a.Step && now.Token == a.Token {
			return now, true
		}
	}
	return Await{}, false
}

// Registration is everything that a step writes when it begins to wait, in one
// transaction: the claim moves on, the task of the step before goes, its own comes.
type Registration struct {
	Claim   Claim // new values; Rev is the one read
	Await   Await
	Dismiss []event.Step // tasks of the same execution that are over
	Started bool         // the PENDING item of the job has served
}

// Store keeps the items of devices. Loads are strongly consistent. Each method is
// one request to the table.
type Store interface {
	// Load gives a device's whole partition; a device never seen has nothing set.
	Load(ctx context.Context, thing event.ThingName) (Device, error)
	// PutPending replaces the job's PENDING item.
	PutPending(ctx context.Context, thing event.ThingName, p Pending) error
	// DropPending removes it if its execution number is at most this.
	DropPending(ctx context.Context, thing event.ThingName, job event.JobID, number int64) error
	// Claim takes a free device, or one whose claim is the very one given as
	// dead, or one that this execution has already; else ErrClaimed.
	Claim(ctx context.Context, thing event.ThingName, c Claim, dead *Claim) error
	// Register writes a step's wait; ErrChanged unless the claim is this
	// execution's and at this revision.
	Register(ctx context.Context, thing event.ThingName, r Registration) error
	// Advance replaces the conversation of a waiting task and raises its
	// revision; ErrChanged if it is not at this revision or not there.
	Advance(ctx context.Context, thing event.ThingName, a Await) error
	// Finish removes a task that was resumed and notes what was learnt of the
	// device. A task that is not there any more is no error.
	Finish(ctx context.Context, thing event.ThingName, a Await, learnt *event.Learnt) error
	// PutNews keeps news for a task of this execution to come; ErrGone if the
	// execution does not own the device any more. It raises the claim's revision,
	// so that nobody registers or releases without having seen it.
	PutNews(ctx context.Context, thing event.ThingName, execution string, ev event.DeviceEvent, expires time.Time) error
	// Presence notes what the broker says of a device that has greeted before;
	// ErrStale if more recent is known, or nothing at all.
	Presence(ctx context.Context, thing event.ThingName, p Presence) error
	// Greet notes that a thing's endpoint is there; ErrForeign unless it is known
	// as that thing's, ErrStale if a later absence is known.
	Greet(ctx context.Context, thing event.ThingName, g Greeting) error
	// Bind makes an endpoint a thing's and notes that it is there; *OwnedError if
	// it is another's than b says, ErrForeign if the thing has another than b
	// says, ErrStale if a later absence is known.
	Bind(ctx context.Context, thing event.ThingName, g Greeting, b Binding) error
	// Release removes the execution's claim, tasks and news, and the job's
	// PENDING item up to this execution number. What is not there is no error;
	// what belongs to another execution stays.
	Release(ctx context.Context, d Device, execution string, job event.JobID, number int64) error
}

// Presence is the broker's word.
type Presence struct {
	Connected bool
	Version   int64
	At        time.Time
}

// Greeting is a record that shows that an endpoint is there.
type Greeting struct {
	Endpoint   event.EndpointID
	Legacy     bool
	AgentTopic string
	At         time.Time
}

// Binding is what a new pair of thing and endpoint replaces.
type Binding struct {
	Before event.EndpointID // that the thing was; "" for none
	From   event.ThingName  // whose the endpoint was; "" for nobody's
}

// OwnedError is an ErrForeign of an endpoint that is another thing's.
type OwnedError struct{ By event.ThingName }

func (e *OwnedError) Error() string { return "the endpoint is thing " + string(e.By) + "'s" }

// Is makes it an ErrForeign.
func (e *OwnedError) Is(target error) bool { return target == ErrForeign }

// Registry says which endpoint a thing is.
type Registry interface {
	// Endpoint is "" for a thing of which the registry does not say.
	Endpoint(ctx context.Context, thing event.ThingName) (event.EndpointID, error)
}

// Callback resumes tasks.
type Callback interface {
	// Succeed and Fail end a task. ErrDeadToken if it is over already.
	Succeed(ctx context.Context, token event.TaskToken, output any) error
	Fail(ctx context.Context, token event.TaskToken, f event.Failure) error
}

// ErrDeadToken: the task of this token is over.
var ErrDeadToken = errors.New("the task is over")

// Machine runs executions by name.
type Machine interface {
	// Start starts an execution. ErrPlayed if one of this name is over,
	// nil if it runs already.
	Start(ctx context.Context, name string, input event.ExecutionInput) error
	// Running reports whether it runs; known is false if there is none of this name.
	Running(ctx context.Context, name string) (running, known bool, err error)
	// Stop ends it; one that is over or unknown is no error.
	Stop(ctx context.Context, name string, f event.Failure) error
}

// ErrPlayed: an execution of this name has come and gone.
var ErrPlayed = errors.New("an execution of this name is over")

// Job is the job execution behind an upgrade.
type Job interface {
	// Begin sets it to IN_PROGRESS; ErrOver if it is terminal or gone.
	Begin(ctx context.Context, thing event.ThingName, job event.JobID, number int64) error
	// Over reports whether it is terminal or gone.
	Over(ctx context.Context, thing event.ThingName, job event.JobID, number int64) (bool, error)
	// Reject ends it; one that is over already is no error.
	Reject(ctx context.Context, thing event.ThingName, job event.JobID, number int64, f event.Failure) error
}

// ErrOver: the job execution is terminal or gone.
var ErrOver = errors.New("the job execution is over")

// Conversation says to a device what a step needs said. It does nothing itself.
type Conversation interface {
	Begin(ctx context.Context, t event.Turn, in event.StepInput) (event.Move, error)
	Continue(t event.Turn, ev event.DeviceEvent) (event.Move, error)
}

// Sender sends a request to a device; delivery is not assured.
type Sender interface {
	Send(ctx context.Context, thing event.ThingName, to event.DeviceState, m event.Outgoing) error
}
