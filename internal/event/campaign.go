package event

import "time"

// CampaignID names a campaign: [a-zA-Z0-9_-]{1,64}.
type CampaignID string

// campaignKey begins the key of an owner that is a campaign. No job id has a colon.
const campaignKey = "campaign:"

// CampaignOwner is the owner that a campaign is.
func CampaignOwner(id CampaignID) Owner { return Owner{Campaign: id} }

// StandState is where a device stands with a campaign. A device of the manifest that
// has none is planned.
type StandState string

// The states of a device in a campaign. Each device is in exactly one.
const (
	StandAdmitted  StandState = "ADMITTED"  // it may begin, and has not
	StandWaiting   StandState = "WAITING"   // it has begun, and waits outside of executions: paused, or for its time
	StandRunning   StandState = "RUNNING"   // an execution works on it
	StandSucceeded StandState = "SUCCEEDED" // it runs what it was to
	StandFailed    StandState = "FAILED"    // it does not, and its Error says why
	StandHeld      StandState = "HELD"      // its campaign was stopped before it got further
	StandWithdrawn StandState = "WITHDRAWN" // an operator, or the end of the campaign, took it out
)

// StandStates are all of them, in the order of a device's way.
func StandStates() []StandState {
	return []StandState{StandAdmitted, StandWaiting, StandRunning, StandSucceeded, StandFailed, StandHeld,
		StandWithdrawn}
}

// Over reports whether a device in this state goes on only if it is asked to try again.
func (s StandState) Over() bool {
	switch s {
	case StandSucceeded, StandFailed, StandHeld, StandWithdrawn:
		return true
	}
	return false
}

// Standing is where one device stands with one campaign. The campaign counts its
// devices by it: whoever writes a Standing changes the count in the same transaction.
type Standing struct {
	Campaign CampaignID
	Attempt  int64
	State    StandState
	Error    ErrorName // of StandFailed
	Wave     int       // counted from 0
	Model    string    // "" where nobody knows it
	Shard    int       // of the counts
	Rev      int64     // of the item; 0: there is none
	At       time.Time // of the last change
}

// In is the same device in another state.
func (s Standing) In(state StandState, name ErrorName, now time.Time) Standing {
	s.State, s.Error, s.At = state, name, now
	if state != StandFailed {
		s.Error = ""
	}
	return s
}

// Shift is a device's change from one state to another; From is nil where it is
// admitted.
type Shift struct {
	From *Standing
	To   Standing
}

// Tally says how many devices stand where.
type Tally map[Place]int

// Place is what devices are counted by.
type Place struct {
	Wave  int
	State StandState
	Error ErrorName
}

// Place is where a device is counted.
func (s Standing) Place() Place { return Place{Wave: s.Wave, State: s.State, Error: s.Error} }

// Sum is how many stand where a test says.
func (t Tally) Sum(of func(Place) bool) (n int) {
	for p, count := range t {
		if of(p) {
			n += count
		}
	}
	return n
}

// Counts are those of one campaign.
type Counts struct {
	Tally   Tally
	Running map[string]int // devices at work, by model
}
