package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// State is where a campaign stands.
type State string

// The states of a campaign.
const (
	Running   State = "RUNNING"
	Held      State = "HELD"      // it asks an operator whether to go on
	Halting   State = "HALTING"   // it was halted, and what has begun comes to its end
	Aborting  State = "ABORTING"  // the same, of one that an operator has ended
	Finishing State = "FINISHING" // its last wave is over, and what has begun comes to its end
	Completed State = "COMPLETED"
	Halted    State = "HALTED"
	Aborted   State = "ABORTED"
)

// Over reports whether it changes no more.
func (s State) Over() bool { return s == Completed || s == Halted || s == Aborted }

// Phase is what a campaign's execution waits for.
type Phase string

// The phases: each is a step of the state machine with a task token.
const (
	Staging  Phase = "STAGE"    // devices download, wave for wave, and wait
	Approval Phase = "APPROVAL" // an operator's word before a wave
	Admit    Phase = "ADMIT"    // devices begin, and most come to their end
	Bake     Phase = "BAKE"     // the wave is looked at for a while longer
	Hold     Phase = "HOLD"     // an operator's word after a wave
	Close    Phase = "CLOSE"    // what has begun comes to its end, the rest is withdrawn
)

// Campaign is the record of one.
type Campaign struct {
	ID        event.CampaignID  `json:"campaignId"`
	Rev       int64             `json:"-"`
	Hash      string            `json:"hash"` // of the request
	State     State             `json:"state"`
	Request   Request           `json:"request"`
	Documents []json.RawMessage `json:"documents"` // by image
	Created   time.Time         `json:"created"`
	By        string            `json:"by"` // who created it
	Execution string            `json:"execution,omitempty"`
	Restarted time.Time         `json:"restarted,omitzero"` // when another execution took the place of the first
	Total     int               `json:"total"`
	Shards    int               `json:"shards"`
	Excluded  map[string]int    `json:"notEligible,omitempty"`
	Stage     *StageRun         `json:"stage,omitempty"`
	Waves     []WaveRun         `json:"waves"`
	Current   int               `json:"current"`
	Phase     Phase             `json:"phase,omitempty"`
	Token     string            `json:"-"`              // of the step that waits: a secret, and an attribute of its own
	Turn      *Turn             `json:"turn,omitempty"` // whose token it is
	Answered  bool              `json:"answered,omitempty"`
	Answer    *Answer           `json:"answer,omitempty"` // to the step that waits
	Skip      bool              `json:"skip,omitempty"`   // the stage is over
	// Acknowledged are failures that an operator has seen and gone on with.
	Acknowledged map[event.ErrorName]int `json:"acknowledged,omitempty"`
	Why          string                  `json:"why,omitempty"` // of its state
	HaltedIn     string                  `json:"haltedIn,omitempty"`
	Ended        time.Time               `json:"ended,omitzero"`
	Closing      time.Time               `json:"closing,omitzero"` // since when what has begun comes to its end
	Told         time.Time               `json:"told,omitzero"`    // when people were told that it has halted
	Last         map[string]int          `json:"last,omitempty"`   // admitted by the last tick, by model
	Gone         *Gone                   `json:"gone,omitempty"`   // its execution, before it was over itself
}

// StageRun is the stage on its way, of a campaign that has one.
type StageRun struct {
	PlannedStage
	Began    time.Time     `json:"began,omitzero"`
	Idle     time.Duration `json:"idle,omitempty"` // of its time, because it was paused
	Admitted int           `json:"admitted"`       // how far the manifest was gone through, all waves together
	Cursors  [][]int       `json:"cursors"`        // by wave and class
	Ended    time.Time     `json:"ended,omitzero"`
	Late     bool          `json:"late,omitempty"` // it was over by its maxHours
	Skipped  bool          `json:"skipped,omitempty"`
}

// WaveRun is a wave on its way.
type WaveRun struct {
	PlannedWave
	Began    time.Time     `json:"began,omitzero"`
	Idle     time.Duration `json:"idle,omitempty"` // of its time, because it was paused
	Admitted int           `json:"admitted"`       // how far the manifest was gone through, all classes together
	Cursors  []int         `json:"cursors"`        // by class
	// Ahead are those behind the cursor of a class that began before it came to them, a bit for each: devices in
	// front of them are of a model that has no room. At most mostAhead of at most mostHolding classes.
	Ahead    map[int][]byte `json:"ahead,omitempty"`
	Baking   time.Time      `json:"baking,omitzero"`
	Still    time.Duration  `json:"still,omitempty"`   // of its bake, because it was paused
	Skipped  bool           `json:"skipped,omitempty"` // its bake
	Ended    time.Time      `json:"ended,omitzero"`
	Late     bool           `json:"late,omitempty"` // it was over by its maxHours
	Cut      string         `json:"cut,omitempty"`  // why it was over before its time
	Verdict  *Verdict       `json:"verdict,omitempty"`
	First    []Offender     `json:"first,omitempty"`
	Approved *Entry         `json:"approved,omitempty"`
}

// exhausted reports whether the whole wave was gone through.
func (w WaveRun) exhausted() bool { return w.Admitted >= w.Size }

// Answer is what a step is told.
type Answer struct {
	Next string `json:"next"` // see the constants
	Why  string `json:"why,omitempty"`
}

// What steps are told.
const (
	NextGo    = "go"
	NextHalt  = "halt"
	NextHold  = "hold"
	NextAbort = "abort"
	NextClose = "close"
)

// Entry is something that was done to a campaign, and by whom.
type Entry struct {
	At   time.Time `json:"at"`
	Verb string    `json:"verb"`
	Who  string    `json:"who"`
	Why  string    `json:"why,omitempty"`
	Wave string    `json:"wave,omitempty"`
	// Error and Model say, of a retry, of which devices it was; "" is of all.
	Error event.ErrorName `json:"error,omitempty"`
	Model string          `json:"model,omitempty"`
	N     int             `json:"devices,omitempty"` // how many it was of
}

// Summary is a campaign in a list.
type Summary struct {
	ID       event.CampaignID `json:"campaignId"`
	State    State            `json:"state"`
	Created  time.Time        `json:"created"`
	By       string           `json:"by"`
	Total    int              `json:"devices"`
	Priority int              `json:"priority"`
	Wave     string           `json:"wave,omitempty"`
	// Gone is how its execution ended, before it was over itself.
	Gone ExecutionStatus `json:"executionEnded,omitempty"`
}

// Summary is the campaign in a list.
func (c Campaign) Summary() Summary {
	s := Summary{ID: c.ID, State: c.State, Created: c.Created, By: c.By, Total: c.Total, Priority: c.Request.Priority}
	if c.Current < len(c.Waves) && !c.State.Over() {
		s.Wave = c.Waves[c.Current].Name
	}
	if c.Gone != nil {
		s.Gone = c.Gone.Status
	}
	return s
}

// wave is the current one.
func (c *Campaign) wave() *WaveRun { return &c.Waves[c.Current] }

// answer decides what the step that waits is told; the first answer is the one.
func (c *Campaign) answer(a Answer) {
	if c.Answer == nil {
		c.Answer = &a
	}
}

// shards is into how many pieces the counts of so many devices are divided: one takes
// 1,000 writes a second, and transactions that meet in one are repeated.
func shards(devices int) int { return min(max(devices/4000, 4), 256) }

// changeAttempts is how often a record that changes is looked at again.
const changeAttempts = 8

// change loads a record, changes it, and saves it; what change returns was done. An error
// of change is returned as it is, and nothing is saved.
func change(ctx context.Context, s Store, id event.CampaignID, f func(*Campaign) ([]Entry, error)) (Campaign, error) {
	for range changeAttempts {
		c, err := s.Load(ctx, id)
		if err != nil {
			return c, fmt.Errorf("campaign %s: %w", id, err)
		}
		was, err := json.Marshal(c)
		if err != nil {
			return c, err
		}
		token := c.Token
		done, err := f(&c)
		if err != nil {
			return c, err
		}
		now, err := json.Marshal(c)
		if err != nil {
			return c, err
		}
		if slices.Equal(was, now) && token == c.Token && len(done) == 0 {
			return c, nil
		}
		err = s.Save(ctx, c, done...)
		if err == nil {
			c.Rev++
			return c, nil
		}
		if !errors.Is(err, ErrChanged) {
			return c, fmt.Errorf("campaign %s: %w", id, err)
		}
	}
	return Campaign{}, fmt.Errorf("campaign %s: %w", id, ErrChanged)
}
