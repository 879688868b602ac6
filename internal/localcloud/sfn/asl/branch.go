package asl

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Phase is what a branch waits for.
type Phase string

// The phases.
const (
	Entering  Phase = ""          // its next state
	Waiting   Phase = "wait"      // a Wait state's time
	Retrying  Phase = "retry"     // the delay before another attempt
	Calling   Phase = "call"      // the answer of a call
	Submitted Phase = "submitted" // a callback or the end of a job
	Scheduled Phase = "scheduled" // a worker of the activity
	Started   Phase = "started"   // the result of the activity
	Reading   Phase = "reading"   // the items of a Map state
	Writing   Phase = "writing"   // the export of its results
	Inside    Phase = "inside"    // its branches or iterations
	Apart     Phase = "apart"     // an execution of its own, of a Map Run
)

// Branch is a line of states: the execution itself, a branch of a Parallel
// state, an iteration of a Map state.
type Branch struct {
	ID        string           `json:"i,omitempty"`
	State     string           `json:"s"`
	Phase     Phase            `json:"p,omitempty"`
	Input     *Data            `json:"in"`
	Cursor    int64            `json:"c"`           // last event
	Entered   int64            `json:"e,omitempty"` // event of the state's entry
	EnteredAt time.Time        `json:"at"`
	Variables map[string]*Data `json:"v,omitempty"`
	Tries     []int            `json:"t,omitempty"` // of each retrier
	Retries   int              `json:"r,omitempty"`

	Wake          time.Time `json:"w,omitzero"`
	Attempt       int       `json:"a,omitempty"`
	Token         string    `json:"k,omitempty"`
	Arguments     *Data     `json:"g,omitempty"` // of the call or the activity
	CallRole      string    `json:"cr,omitempty"`
	TimeoutAt     time.Time `json:"to,omitzero"`
	HeartbeatAt   time.Time `json:"hb,omitzero"`
	HeartbeatEach int64     `json:"he,omitempty"` // seconds
	TimeoutEach   int64     `json:"te,omitempty"` // seconds, of an activity's task
	Job           string    `json:"j,omitempty"`  // what a .sync task waits for

	Kids    []*Branch `json:"b,omitempty"`
	Results []*Data   `json:"rs,omitempty"`
	Done    int       `json:"d,omitempty"`

	// Of a Map state.
	Items     *Data   `json:"it,omitempty"`
	NextItem  int     `json:"ni,omitempty"`
	Limit     int     `json:"l,omitempty"`
	Tolerated float64 `json:"tc,omitempty"` // items that may fail
	Length    int     `json:"ln,omitempty"`
	Index     int     `json:"x,omitempty"`
	Item      *Data   `json:"m,omitempty"`
	Pairs     bool    `json:"pr,omitempty"` // the items are members of an object

	// Of a Map Run.
	MapRun    string       `json:"mr,omitempty"`
	Lost      []LostItem   `json:"li,omitempty"` // children that did not succeed
	Again     []LostItem   `json:"ag,omitempty"` // those that a redrive takes up
	Sizes     []int        `json:"sz,omitempty"` // items of each child, if it has a batch
	ItemsDone int          `json:"id,omitempty"` // of children that succeeded
	ItemsLost int          `json:"il,omitempty"` // of those that did not
	Count     int          `json:"tn,omitempty"` // ToleratedFailureCount
	HasCount  bool         `json:"tb,omitempty"`
	Share     float64      `json:"tp,omitempty"` // ToleratedFailurePercentage
	Redrives  int          `json:"rr,omitempty"`
	Sources   []ItemSource `json:"sr,omitempty"`
	Redo      bool         `json:"rd,omitempty"` // of a child: it had failed before

	parent *Branch
	flow   *Flow
	before int64 // the event before the current decision
}

func (b *Branch) state() *State { return b.flow.States[b.State] }

func (r *Run) around(b *Branch) []int {
	out := slices.Clone(r.Info.Around)
	at := len(out)
	for ; b != nil; b = b.parent {
		if b.Item != nil || b.Phase == Apart {
			out = slices.Insert(out, at, b.Index)
		}
	}
	return out
}

func link(b, parent *Branch, flow *Flow) {
	b.parent, b.flow = parent, flow
	b.before = b.Cursor
	for _, k := range b.Kids {
		if k == nil {
			continue
		}
		inner := b.state().processor
		if inner == nil {
			inner = b.state().branches[k.Index]
		}
		link(k, b, inner)
	}
}

func (r *Run) walk(b *Branch, visit func(*Branch)) {
	if b == nil {
		return
	}
	visit(b)
	for _, k := range b.Kids {
		r.walk(k, visit)
	}
}

// Branches calls visit with every branch.
func (r *Run) Branches(visit func(b *Branch)) { r.walk(r.snapshot.Root, visit) }

// find returns a branch by its id.
func (r *Run) find(id string) *Branch {
	var found *Branch
	b := r.snapshot.Root
	if id == "" {
		return b
	}
	for _, part := range strings.Split(id[1:], "/") {
		n, err := strconv.Atoi(part)
		found = nil
		for _, k := range b.Kids {
			if err == nil && k != nil && k.Index == n {
				found = k
			}
		}
		if found == nil {
			return nil
		}
		b = found
	}
	return found
}
