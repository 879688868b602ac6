package eventbridgescheduler

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	groupTable    = store.NewTable[group]("scheduler.group").Versions(store.JSON)       // name
	scheduleTable = store.NewTable[schedule]("scheduler.schedule").Versions(store.JSON) // group, name
	// invocationTable: execution id.
	invocationTable = store.NewTable[invocation]("scheduler.invocation").Versions(store.JSON)
)

// group is a schedule group; the group default is always there.
type group struct {
	Name              string
	Created, Modified time.Time
	Deleting          bool              `json:",omitempty"`
	Tags              map[string]string `json:",omitempty"`
	Token             string            `json:",omitempty"`
}

// settings are what a schedule is made from, as they were given.
type settings struct {
	Expression  string
	Zone        string
	Start       time.Time `json:",omitzero"`
	End         time.Time `json:",omitzero"`
	Description string    `json:",omitempty"`
	Disabled    bool      `json:",omitempty"`
	Window      int       `json:",omitempty"` // minutes; 0 is OFF
	DeleteAfter bool      `json:",omitempty"` // ActionAfterCompletion DELETE
	Target      target
}

type schedule struct {
	Group, Name       string
	Settings          settings
	Created, Modified time.Time
	Token             string    `json:",omitempty"` // ClientToken of its creation
	Origin            time.Time // from where a rate counts
	// Next is when it is due, zero if never again.
	Next time.Time `json:",omitzero"`
}

// target is a schedule's target as it was given.
type target struct {
	ARN        string
	RoleARN    string
	Input      string `json:",omitempty"`
	GroupID    string `json:",omitempty"` // of SQS messages
	DeadLetter string `json:",omitempty"` // ARN
	MaxAge     *int   `json:",omitempty"` // seconds
	MaxRetries *int   `json:",omitempty"`
}

// invocation is a call of a target that has not come to its end.
type invocation struct {
	Group, Name string
	Target      target
	Scheduled   time.Time // the time of the schedule
	Due         time.Time // when it may first be made: in a flexible window, later
	Next        time.Time // when the next attempt is
	Attempts    int       // that have failed
}
