package event

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CampaignID names a campaign: [a-zA-Z0-9_-]{1,64}.
type CampaignID string

// campaignKey begins the key of an owner that is a campaign. No job id has a colon.
const campaignKey = "campaign:"

// NormalPriority is that of a campaign that says none, and of every job.
const NormalPriority = 50

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
	StandStaged    StandState = "STAGED"    // it has its image, and waits outside of executions for its wave
	StandSucceeded StandState = "SUCCEEDED" // it runs what it was to
	StandFailed    StandState = "FAILED"    // it does not, and its Error says why
	StandHeld      StandState = "HELD"      // its campaign was stopped before it got further
	StandWithdrawn StandState = "WITHDRAWN" // the end of the campaign took it out
	StandExcluded  StandState = "EXCLUDED"  // an operator took it out
)

// StandStates are all of them, in the order of a device's way.
func StandStates() []StandState {
	return []StandState{StandAdmitted, StandWaiting, StandRunning, StandStaged, StandSucceeded, StandFailed, StandHeld,
		StandWithdrawn, StandExcluded}
}

// Over reports whether a device in this state goes on only if it is asked to try again.
func (s StandState) Over() bool {
	switch s {
	case StandSucceeded, StandFailed, StandHeld, StandWithdrawn, StandExcluded:
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
	// Stage has it only download: it is parked before it is activated, until its wave lets
	// it go on.
	Stage bool
	// Danger says that it may run something else by now and has not shown what: from before the
	// command (Move.Danger) until its end.
	Danger bool
	// Budget is how many devices of its Share may be in danger at the same time; 0 is any number, and
	// nobody counts them.
	Budget, Share int
	// Document and Zone are what it begins again with: which of the campaign's documents is its own,
	// and the time zone of its windows, if they are not in the campaign's.
	Document int
	Zone     string
	// Priority is the campaign's, 0 to 100: of several that wait for one device the highest begins.
	Priority int
	// Again are failures after which it begins once more by itself.
	Again []Again
}

// Again is a failure that is tried again: how often, and how long after the first one. The
// wait doubles each time, up to a day, and each device has its own, half as long to half
// as long again.
type Again struct {
	Error   ErrorName `json:"error"`
	Times   int       `json:"times"`
	Minutes int       `json:"minutes"`
}

// Tries says whether a device that has failed begins once more, and after which time.
func (s Standing) Tries(thing ThingName, name ErrorName) (after time.Duration, again bool) {
	for _, a := range s.Again {
		if a.Error != name || s.Attempt > int64(a.Times) {
			continue
		}
		wait := time.Duration(a.Minutes) * time.Minute << min(s.Attempt-1, 10)
		wait = min(wait, 24*time.Hour)
		part, err := strconv.ParseUint(digest(string(s.Campaign), string(thing), itoa(s.Attempt))[:4], 16, 32)
		if err != nil {
			part = 0x8000 // unreachable: a digest is hexadecimal
		}
		return wait/2 + wait*time.Duration(part)/0x10000, true
	}
	return 0, false
}

// In is the same device in another state.
func (s Standing) In(state StandState, name ErrorName, now time.Time) Standing {
	s.State, s.Error, s.At = state, name, now
	s.Danger = s.Danger && state == StandRunning
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
	Running map[string]int // devices at work, by model, those that only download left out
}

// CampaignVerb is what an operator asks of a campaign.
type CampaignVerb string

// The verbs, by the function whose permission each needs.
const (
	VerbApprove CampaignVerb = "approve" // approve-campaign: the wave that waits may begin
	VerbDeny    CampaignVerb = "deny"    // it may not, and the campaign ends

	VerbPauseCampaign  CampaignVerb = "pause"   // control-campaign: nothing begins
	VerbResumeCampaign CampaignVerb = "resume"  // it goes on, also after a gate that asks
	VerbSkip           CampaignVerb = "skip"    // the bake is over
	VerbExclude        CampaignVerb = "exclude" // devices are taken out
	VerbRetry          CampaignVerb = "retry"   // devices that ended badly begin again

	VerbAbort CampaignVerb = "abort" // abort-campaign: for good
)

// CampaignRequest is the payload of the functions of those verbs.
type CampaignRequest struct {
	Verb     CampaignVerb `json:"verb"`
	Campaign CampaignID   `json:"campaignId"`
	Why      string       `json:"why,omitempty"`
	Wave     string       `json:"wave,omitempty"`        // approve, deny, retry: only this one
	Failures *int         `json:"acknowledge,omitempty"` // resume: how many failures the operator has seen
	Things   []ThingName  `json:"things,omitempty"`      // exclude
	Error    ErrorName    `json:"error,omitempty"`       // retry: devices that failed so; "" is any
	Model    string       `json:"model,omitempty"`       // retry: devices of this one; "" is any
	After    string       `json:"after,omitempty"`       // retry: where the last answer ended
	Proof    string       `json:"proof,omitempty"`       // see ControlRequest
}

// Subject is what a proof is for: this very request.
func (r CampaignRequest) Subject() string {
	things := make([]string, len(r.Things))
	for i, thing := range r.Things {
		things[i] = string(thing)
	}
	failures := ""
	if r.Failures != nil {
		failures = itoa(int64(*r.Failures))
	}
	return digest(append([]string{
		string(r.Verb), string(r.Campaign), r.Why, r.Wave, failures, string(r.Error), r.Model, r.After,
	}, things...)...)
}

// CreateCampaignRequest is the payload of create-campaign around the operator's own.
type CreateCampaignRequest struct {
	Campaign json.RawMessage `json:"campaign"`
	Plan     bool            `json:"plan,omitempty"` // only say what it would come to
	Proof    string          `json:"proof,omitempty"`
	// A large fleet is found in several calls: After is where the last one ended, Pages how many
	// pages of the fleet index one call reads, 0 as many as it has time for.
	After string `json:"after,omitempty"`
	Pages int    `json:"pages,omitempty"`
}

// Subject is what a proof is for.
func (r CreateCampaignRequest) Subject() string {
	verb := "create"
	if r.Plan {
		verb = "plan"
	}
	return digest(verb, string(r.Campaign), r.After)
}

// DescribeCampaignRequest is the payload of describe-campaign: a list without an id.
type DescribeCampaignRequest struct {
	Campaign CampaignID `json:"campaignId,omitempty"`
	Log      bool       `json:"log,omitempty"` // what was done to it
	// Devices lists devices of the campaign instead.
	Devices *ListRequest `json:"devices,omitempty"`
}

// ListRequest says which devices of a campaign are listed, by the index: a change is seen a moment
// after it.
type ListRequest struct {
	State StandState `json:"state,omitempty"`
	Error ErrorName  `json:"error,omitempty"` // of devices that have failed
	Wave  string     `json:"wave,omitempty"`  // its name
	Model string     `json:"model,omitempty"`
	Most  int        `json:"most,omitempty"`  // devices of a page, up to 1,000; 0 is 100
	After string     `json:"after,omitempty"` // the page before has it as next
	Why   bool       `json:"why,omitempty"`   // what those wait for that have not begun: of up to 100 devices
}

// Sizes of pages of a list.
const (
	mostListed   = 1000
	someListed   = 100
	mostCursor   = 2048
	mostExplored = 100
)

// Check tells all that is wrong with a request for a list, and fills in what is not said.
func (r *ListRequest) Check() error {
	var problems Problems
	add := func(path string, value any, allowed string) {
		problems = append(problems, Problem{Path: "$.devices." + path, Value: value, Allowed: allowed})
	}
	var names []string
	for _, s := range StandStates() {
		names = append(names, string(s))
	}
	if r.State != "" && !slices.Contains(names, string(r.State)) {
		add("state", string(r.State), "one of "+strings.Join(names, ", "))
	}
	switch {
	case r.Error == "":
	case r.State == "":
		r.State = StandFailed
	case r.State != StandFailed:
		add("error", string(r.Error), "nothing with state "+string(r.State)+": devices that have FAILED have an error")
	}
	most := mostListed
	if r.Why {
		most = mostExplored
	}
	if r.Most == 0 {
		r.Most = someListed
	}
	if r.Most < 1 || r.Most > most {
		add("most", r.Most, "1 to "+itoa(int64(most)))
	}
	if len(r.After) > mostCursor {
		add("after", len(r.After), "what the page before has as next")
	}
	if len(problems) > 0 {
		return problems.Sorted()
	}
	return nil
}

// mostThings is how many devices one request excludes.
const mostThings = 1000

// Check tells all that is wrong with a request to a function that takes some verbs.
func (r CampaignRequest) Check(verbs ...CampaignVerb) error {
	var problems Problems
	add := func(path string, value any, allowed string) {
		problems = append(problems, Problem{Path: path, Value: value, Allowed: allowed})
	}
	if !slices.Contains(verbs, r.Verb) {
		var names []string
		for _, v := range verbs {
			names = append(names, string(v))
		}
		add("$.verb", string(r.Verb), "one of "+strings.Join(names, ", "))
	}
	if !jobIDForm.MatchString(string(r.Campaign)) {
		add("$.campaignId", string(r.Campaign), "a campaign's id: 1 to 64 of a-z A-Z 0-9 _ -")
	}
	if r.Why == "" && (r.Verb == VerbDeny || r.Verb == VerbPauseCampaign || r.Verb == VerbAbort ||
		r.Verb == VerbExclude) || len(r.Why) > mostControlText {
		add("$.why", r.Why, "the reason for the record, up to 1024 bytes")
	}
	if len(r.Proof) > mostProof {
		add("$.proof", len(r.Proof), "up to 4096 bytes")
	}
	if (len(r.Things) > 0) != (r.Verb == VerbExclude) || len(r.Things) > mostThings {
		add("$.things", len(r.Things), "with exclude: the names of 1 to 1000 things")
	}
	if r.Failures != nil && (r.Verb != VerbResumeCampaign || *r.Failures < 0) {
		add("$.acknowledge", *r.Failures, "with resume: how many failures were seen")
	}
	if r.After != "" && r.Verb != VerbRetry || len(r.After) > mostCursor {
		add("$.after", len(r.After), "with retry: where the last answer ended")
	}
	if (r.Error != "" || r.Model != "") && r.Verb != VerbRetry {
		add("$.error", string(r.Error), "with retry: an error name, or a model")
	}
	if r.Wave != "" && r.Verb != VerbRetry && r.Verb != VerbApprove && r.Verb != VerbDeny {
		add("$.wave", r.Wave, "with approve, deny and retry: the name of a wave")
	}
	if len(problems) > 0 {
		return problems.Sorted()
	}
	return nil
}
