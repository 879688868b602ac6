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
	// ErrFull: as many devices of the campaign are in danger as may be.
	ErrFull = errors.New("the campaign's budget of devices in danger is used up")
	// ErrStale: the news of presence is older than what is known.
	ErrStale = errors.New("older than what is known")
	// ErrForeign: the endpoint is another thing's, or the thing has another endpoint.
	ErrForeign = errors.New("endpoint and thing do not belong together")
)

// ErrGone: the execution does not own the device any more.
var ErrGone = errors.New("the execution does not own the device any more")

// Attempt is one lap of an attempt on a device.
type Attempt struct {
	Owner  event.Owner
	Number int64
	Lap    int // how many laps came before
}

// attemptOf is that of an execution.
func attemptOf(in event.ExecutionInput) Attempt { return Attempt{in.Owner, in.ExecutionNumber, in.Lap} }

// After reports whether a lap is a later one of the same owner.
func (a Attempt) After(b Attempt) bool {
	return a.Number > b.Number || a.Number == b.Number && a.Lap > b.Lap
}

// Pending is an attempt that waits: for its device to appear, or for its time.
type Pending struct {
	Owner           event.Owner
	ExecutionNumber int64
	Lap             int
	Operation       event.Operation
	Plan            event.Plan
	At              time.Time
	ExpiresAt       time.Time
	// Gated has it begin in its window only: between NotBefore, its own point, and
	// NotAfter, which are zero until it was looked at.
	Gated               bool
	NotBefore, NotAfter time.Time
	// Deadline and Resume are of an attempt that was parked: when its owner ends it,
	// and what its flow is told.
	Deadline time.Time
	Resume   json.RawMessage
	Looks    bool    // its next lap only looks: no flag keeps it
	Ending   *Ending // who reports its end, nil for nobody
}

// Identity says which lap it is.
func (p Pending) Identity() Attempt { return Attempt{p.Owner, p.ExecutionNumber, p.Lap} }

// Parked reports whether the attempt has begun, and waits outside of an execution.
func (p Pending) Parked() bool { return p.Lap > 0 }

// Claim says which execution owns a device.
type Claim struct {
	Owner           event.Owner
	ExecutionNumber int64
	Lap             int
	Operation       event.Operation
	Execution       string // name
	ClaimedAt       time.Time
	Deadline        time.Time // its owner ends it then
	ExpiresAt       time.Time
	Rev             int
	Ending          *Ending               // who ends its execution from outside, nil for nobody
	Tries           map[event.Step]int    // registrations of each step
	Seen            map[event.Step]string // digests of all tokens of each step: a late copy is known
	Attempt         string                // the latest StepInput.Attempt that was registered
	Taken           []Taking              // of news that one task alone may take, the latest
	// Shift is written with a claim that is made: the device is at work from then on.
	Shift *event.Shift
}

// Taking says which entry into which state took a piece of news.
type Taking struct {
	News string `json:"news"` // its ID
	By   string `json:"by"`
}

// mostTaken is how many takings a claim holds: news is told again for minutes.
const mostTaken = 32

// takenBy is who took a piece of news. One that an earlier version stored is known by the message's id alone.
func (c Claim) takenBy(news string) (by string, taken bool) {
	if news == "" {
		return "", false
	}
	for _, t := range c.Taken {
		if t.News == news || strings.HasPrefix(news, t.News+event.NewsMark) {
			return t.By, true
		}
	}
	return "", false
}

// Identity says which lap it works on.
func (c Claim) Identity() Attempt { return Attempt{c.Owner, c.ExecutionNumber, c.Lap} }

// Owns reports whether a command key is one that this execution gave in one of
// these steps.
func (c Claim) Owns(steps []event.Step, key string) bool {
	if key == "" {
		return false
	}
	for _, step := range steps {
		for try := 1; try <= c.Tries[step]; try++ {
			if event.SameTry(key, event.StepKey(c.Execution, step, try)) {
				return true
			}
		}
	}
	return false
}

// Await is a task that waits for a device.
type Await struct {
	Step      event.Step
	Token     event.TaskToken
	Owner     event.Owner
	Execution string
	Messages  string            // prefix of the ids of its requests
	Commands  map[string]string // command key to command path, "" for any; a key stands for its whole try
	State     json.RawMessage   // the conversation's own
	Attempt   string            // of its registration
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
		if len(a.Commands) == 0 {
			return ev.Kind == event.KindTransferComplete // as any event
		}
		path, ok := a.command(ev.CommandKey)
		return ok && (path == "" || ev.CommandPath == path || ev.CommandPath == "" &&
			ev.Kind == event.KindTransferComplete)
	case event.KindBooted, event.KindConnected, event.KindEvent, event.KindValueChanged:
		return true
	}
	return false
}

// taker names who takes news for this task: all tries of one entry into its state. One
// that follows another takes what that took, and could not tell of.
func (a Await) taker() string { return string(a.Step) + " " + event.EntryOf(a.Attempt) }

// command finds the command path that a key belongs to.
func (a Await) command(key string) (path string, ok bool) {
	if path, ok = a.Commands[key]; ok {
		return path, true
	}
	for known, path := range a.Commands { // at most one is of the same try
		if event.SameTry(known, key) {
			return path, true
		}
	}
	return "", false
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
	// Standings are where it stands with campaigns.
	Standings []event.Standing
	// Learnt are facts for its STATE that are not there yet: Store's Release notes them.
	Learnt map[string]string
	// Shift is written with its end by Store's Release, or Park: where the device stands
	// then.
	Shift *event.Shift
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

// pending finds what an owner has waiting.
func (d Device) pending(owner event.Owner) (Pending, bool) {
	for _, p := range d.Pending {
		if p.Owner == owner {
			return p, true
		}
	}
	return Pending{}, false
}

// parked reports whether the attempt of the device's claim goes on in a later lap:
// then its execution has done what it had to.
func (d Device) parked() bool {
	p, ok := d.pending(d.Claim.Owner)
	return ok && p.ExecutionNumber == d.Claim.ExecutionNumber && p.Lap > d.Claim.Lap
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
	Started bool         // the PENDING item of its owner has served
	// Learnt are facts of the device, from the steps before.
	Learnt map[string]string
	// Shift is written with it, if not nil: the device is in danger from then on.
	Shift *event.Shift
}

// Store keeps the items of devices. Loads are strongly consistent. Each method is
// one request to the table.
type Store interface {
	// Load gives a device's whole partition; a device never seen has nothing set.
	Load(ctx context.Context, thing event.ThingName) (Device, error)
	// PutPending replaces the owner's PENDING item, unless that is of a later lap.
	PutPending(ctx context.Context, thing event.ThingName, p Pending) error
	// DropPending removes it unless it is of a later lap.
	DropPending(ctx context.Context, thing event.ThingName, a Attempt) error
	// Postpone sets when PENDING may begin, and leaves a hint for the tick; ErrChanged
	// if it is not there in this lap, or somebody reports its end.
	Postpone(ctx context.Context, thing event.ThingName, p Pending, due Due) error
	// EndPending notes in PENDING who reports its end; ErrChanged if it is not there
	// in this lap, or another reports it than p says.
	EndPending(ctx context.Context, thing event.ThingName, p Pending, e Ending) error
	// Claim takes a free device, or one whose claim is the very one given as
	// dead, or one that this execution has already; else ErrClaimed. With it goes the
	// claim's Shift: ErrChanged if the device stands otherwise.
	Claim(ctx context.Context, thing event.ThingName, c Claim, dead *Claim) error
	// Register writes a step's wait; ErrChanged unless the claim is this
	// execution's and at this revision, and the device stands as its Shift says; ErrFull if
	// that would be one too many in danger.
	Register(ctx context.Context, thing event.ThingName, r Registration) error
	// Take writes which news was taken by whom; ErrChanged unless the claim is this
	// execution's and at this revision, which it raises.
	Take(ctx context.Context, thing event.ThingName, c Claim) error
	// Advance replaces the conversation of a waiting task and raises its
	// revision; ErrChanged if it is not at this revision or not there.
	Advance(ctx context.Context, thing event.ThingName, a Await) error
	// Finish removes a task that was resumed and adds what was learnt of the
	// device to its facts. A task that is not there any more is no error.
	Finish(ctx context.Context, thing event.ThingName, a Await, learnt map[string]string) error
	// PutNews keeps news for a task of this execution to come; ErrGone if the
	// execution does not own the device any more. It raises the claim's revision,
	// so that nobody registers or releases without having seen it.
	PutNews(ctx context.Context, thing event.ThingName, execution string, ev event.DeviceEvent,
		expires time.Time) error
	// Learn adds to the facts of a device.
	Learn(ctx context.Context, thing event.ThingName, learnt map[string]string) error
	// Presence notes what the broker says of a client; ErrStale if more recent is
	// known. What it says of one that never greeted is kept for a day, so that the
	// greeting of a connection that is over already is known to be late; it is one
	// request more.
	Presence(ctx context.Context, thing event.ThingName, p Presence) error
	// Greet notes that a thing's endpoint is there; ErrForeign unless it is known
	// as that thing's, ErrStale if a later absence or a later connection is known.
	Greet(ctx context.Context, thing event.ThingName, g Greeting) error
	// Bind makes an endpoint a thing's and notes that it is there; *OwnedError if
	// it is another's than b says, ErrForeign if the thing has another than b
	// says, ErrStale if a later absence is known.
	Bind(ctx context.Context, thing event.ThingName, g Greeting, b Binding) error
	// Arrive notes that a device has appeared, and what was learnt of it with that.
	Arrive(ctx context.Context, a Arrival, learnt map[string]string) error
	// End notes in a claim who is at ending its execution from outside; ErrChanged
	// unless the claim is at this revision, which it raises.
	End(ctx context.Context, thing event.ThingName, c Claim, e Ending) error
	// Release removes the execution's claim, tasks and news, and its owner's
	// PENDING item up to this lap, and notes what d has learnt if the claim was there.
	// What is not there is no error;
	// what belongs to another execution stays. ErrChanged if somebody is at ending
	// the execution who was not when d was loaded, or if its Shift cannot be: the device
	// stands otherwise.
	Release(ctx context.Context, d Device, execution string, a Attempt) error
	// Park removes the same, puts PENDING of the next lap, and leaves a hint for the
	// tick, unless that is empty; ErrChanged unless the claim is the execution's and as d was loaded.
	Park(ctx context.Context, d Device, execution string, p Pending, due Due) error
	// Stand changes a standing and drops PENDING up to an attempt, if one is given;
	// ErrChanged unless the standing is as it was, ErrFull as Register. Hints that are void are removed; one
	// that is not there is no error.
	Stand(ctx context.Context, thing event.ThingName, s event.Shift, drop *Attempt, void ...Due) error
	// Full reports whether there is no room for a device in danger, of a standing's campaign and share.
	Full(ctx context.Context, s event.Standing) (bool, error)
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
	Forget []string         // names of facts that are not the new endpoint's
}

// OwnedError is an ErrForeign of an endpoint that is another thing's.
type OwnedError struct{ By event.ThingName }

func (e *OwnedError) Error() string { return "the endpoint is thing " + string(e.By) + "'s" }

// Is makes it an ErrForeign.
func (e *OwnedError) Is(target error) bool { return target == ErrForeign }
