package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Errors of the ports, and of this package, grouped by the moment they can occur.
var (
	// ErrNotFound: there is none of this id.
	ErrNotFound = errors.New("there is none")
	// ErrExists: there is one of this id.
	ErrExists = errors.New("there is one already")
	// ErrChanged: somebody else wrote first; load again.
	ErrChanged = errors.New("changed since it was read")
	// ErrConflict: the id is another campaign's.
	ErrConflict = errors.New("the id is taken by another campaign")
	// ErrEmpty: no device of the targets takes part, and nothing else is wrong.
	ErrEmpty = errors.New("no device is eligible")
	// ErrOver: the campaign is over.
	ErrOver = errors.New("the campaign is over, or was halted or aborted")
	// ErrNothingToDo: the verb is for another moment.
	ErrNothingToDo = errors.New("this is not the moment for it")
	// ErrFourEyes: who approves is who created.
	ErrFourEyes = errors.New("whoever created a campaign does not approve it (approval.fourEyes)")
	// ErrUnproved: a verb that is recorded needs a proof of who asks.
	ErrUnproved = errors.New("it is not proved who asks")
	// ErrNotRedrivable: the execution runs, or ended too long ago.
	ErrNotRedrivable = errors.New("the execution cannot be redriven")
	// ErrNoIndex: AWS IoT's fleet indexing is not switched on, or not for what is asked.
	ErrNoIndex = errors.New("fleet indexing does not index what this needs")
)

// NoCampaign is ErrNotFound of a campaign.
type NoCampaign struct{ ID event.CampaignID }

func (e NoCampaign) Error() string { return "there is no campaign " + string(e.ID) }

// Is reports whether it is what was asked for.
func (e NoCampaign) Is(target error) bool { return target == ErrNotFound }

// Store keeps records. Reads are strongly consistent.
type Store interface {
	// Create stores a campaign that is not there; ErrExists.
	Create(ctx context.Context, c Campaign) error
	// Load reads one; NoCampaign.
	Load(ctx context.Context, id event.CampaignID) (Campaign, error)
	// Save replaces one that is at c.Rev, which it raises, and appends to its log what
	// was done; ErrChanged.
	Save(ctx context.Context, c Campaign, done ...Entry) error
	// Open lists the ids of those that are not over.
	Open(ctx context.Context) ([]event.CampaignID, error)
	// List lists all, the newest first.
	List(ctx context.Context) ([]Summary, error)
	// Log reads what was done, in order.
	Log(ctx context.Context, id event.CampaignID) ([]Entry, error)
}

// Manifest keeps what was planned, and what is too large for a record.
type Manifest interface {
	// PutPart writes devices of one class of one wave; writing again replaces.
	PutPart(ctx context.Context, at Part, devices []Member) error
	// Part reads them; ErrNotFound.
	Part(ctx context.Context, at Part) ([]Member, error)
	// PutDocument and Document are for plan and report, by name. One of FoundDocuments need not stay for
	// longer than a day.
	PutDocument(ctx context.Context, id event.CampaignID, name string, document []byte) error
	Document(ctx context.Context, id event.CampaignID, name string) ([]byte, error)
}

// Fleet finds devices.
type Fleet interface {
	// Find gives what the targets name, in pages, from a place of before on: each device once in
	// one call. After so many pages it ends, and next is where it goes on; nil is the end. problems
	// are the targets' own, as a group that is not there. ErrNoIndex.
	Find(ctx context.Context, t Targets, from Place, pages int, page func([]Device) error) (next *Place,
		problems event.Problems, err error)
}

// Place is where a search for targets goes on.
type Place struct {
	Step  int    `json:"step"`            // which of the targets: things, then each group, the query, the file
	Token string `json:"token,omitempty"` // of the next page
}

// Counts are of devices where they stand.
type Counts interface {
	// ListStandings reads up to so many devices by where they stand, from a cursor of before on, or "".
	// next is where the following ones begin, "" behind the last: a page may be short, or
	// empty, and not be the last. It reads an index, which shows a change a moment after it.
	ListStandings(ctx context.Context, id event.CampaignID, shards int, where event.Where, after string, most int) (
		found []event.Stood, next string, err error)
	// Counts reads a campaign's, of so many shards.
	Counts(ctx context.Context, id event.CampaignID, shards int) (event.Counts, error)
	// InDanger reads how many of its devices are in danger, of so many shares of its budget.
	InDanger(ctx context.Context, id event.CampaignID, shares int) (int, error)
	// Standings reads where devices stand; one that stands nowhere is not there.
	Standings(ctx context.Context, id event.CampaignID, things []event.ThingName) (
		map[event.ThingName]event.Standing, error)
}

// Alarms tell how alarms of CloudWatch stand.
type Alarms interface {
	// Alarms reads some by their names or ARNs, by what was asked; one that is not there, in this
	// account and Region, is not in the answer.
	Alarms(ctx context.Context, asked []string) (map[string]Alarm, error)
}

// Alarm is how an alarm stands.
type Alarm struct {
	State  AlarmState
	Reason string // CloudWatch's words
}

// AlarmState is CloudWatch's, or AlarmMissing.
type AlarmState string

// The states of an alarm.
const (
	AlarmOK           AlarmState = "OK"
	AlarmInAlarm      AlarmState = "ALARM"
	AlarmInsufficient AlarmState = "INSUFFICIENT_DATA"
	AlarmMissing      AlarmState = "MISSING" // there is none of this name
)

// Flags say whether devices may begin.
type Flags interface {
	// Flag is a campaign's, and whether everything is paused.
	Flag(ctx context.Context, id event.CampaignID) (own event.ControlState, everything bool, err error)
	// SetFlag sets it; ErrOver if it was stopped for good.
	SetFlag(ctx context.Context, id event.CampaignID, s event.ControlState, who, why string) error
}

// Entrant is a device that may begin.
type Entrant struct {
	Thing    event.ThingName
	Document json.RawMessage
	Window   *event.Window
	Standing event.Standing
	Staged   bool // it was probably admitted before, to be staged only
}

// Carrier brings what a campaign wants to devices.
type Carrier interface {
	// Admit lets devices begin, evenly over a time; twice is once. Those that were to be staged
	// only go on. admitted are those that begin or go on then, skipped those that stand elsewhere.
	Admit(ctx context.Context, all []Entrant, over time.Duration) (admitted, skipped int, err error)
	// Withdraw takes out a device that has not begun, or waits; changed is false if it is
	// at work, or over.
	Withdraw(ctx context.Context, thing event.ThingName, id event.CampaignID, to event.StandState) (changed bool,
		err error)
	// LookAfter has devices looked at, evenly over a time, that count as at work: one whose
	// execution is over without a report ends as failed by what is ours, and one whose campaign
	// was stopped ends as held, unless it is in danger.
	LookAfter(ctx context.Context, id event.CampaignID, things []event.ThingName, over time.Duration) error
	// Exclude keeps a device that stands nowhere from ever being admitted; changed is false
	// if it stands somewhere.
	Exclude(ctx context.Context, s event.Standing, thing event.ThingName) (changed bool, err error)
	// Again lets a device begin once more that has ended badly; changed is false if it has
	// not, or has had so many attempts.
	Again(ctx context.Context, e Entrant, most int64) (changed bool, err error)
}

// Callback answers the task of a step.
type Callback interface {
	// Succeed ends it; one that is over is no error.
	Succeed(ctx context.Context, token event.TaskToken, output any) error
}

// Executions starts the state machine.
type Executions interface {
	// Start starts the execution of a campaign and returns its ARN; twice is once.
	Start(ctx context.Context, in MachineInput) (arn string, err error)
	// Execution says how one stands, by its ARN. It may be behind for a moment.
	Execution(ctx context.Context, arn string) (Execution, error)
	// Redrive has one go on in the state in which it ended; ErrNotRedrivable.
	Redrive(ctx context.Context, arn string) error
}

// Bulletin tells people what happens.
type Bulletin interface {
	Announce(ctx context.Context, n Notice) error
}

// Notice is the message on the campaign topic.
type Notice struct {
	Event    string           `json:"event"`
	Campaign event.CampaignID `json:"campaignId"`
	Wave     string           `json:"wave,omitempty"`
	Why      string           `json:"why,omitempty"`
	Verdict  *Verdict         `json:"gate,omitempty"`
	Devices  Numbers          `json:"devices"`
	First    []Offender       `json:"first,omitempty"` // devices that failed
	At       time.Time        `json:"at"`
}

// Events of notices.
const (
	NoticeApproval  = "CAMPAIGN_APPROVAL_REQUESTED"
	NoticeHeld      = "CAMPAIGN_HELD"
	NoticeHalting   = "CAMPAIGN_HALTING" // no device begins any more; those in danger come to their end
	NoticeHalted    = "CAMPAIGN_HALTED"
	NoticeAborted   = "CAMPAIGN_ABORTED"
	NoticeCompleted = "CAMPAIGN_COMPLETED"
)

// Offender is a device that failed.
type Offender struct {
	Thing event.ThingName `json:"thingName"`
	Model string          `json:"model,omitempty"`
	Error event.ErrorName `json:"error"`
}

// Once hands devices on that were not there before.
func Once(page func([]Device) error) func([]Device) error {
	seen := map[event.ThingName]bool{}
	return func(all []Device) error {
		var fresh []Device
		for _, d := range all {
			if !seen[d.Thing] {
				seen[d.Thing] = true
				fresh = append(fresh, d)
			}
		}
		return page(fresh)
	}
}
