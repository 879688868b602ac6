package asl

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonata"
)

// Limits of an execution.
const (
	MaxData      = 262144   // bytes of a payload
	MaxVariables = 10 << 20 // bytes of all variables
	MaxEvents    = 25000
)

// Host is what a Run needs from outside.
type Host interface {
	Now() time.Time
	// Random returns a number from 0 up to n, n excluded.
	Random(n int64) int64
	UUID() string
	// Token makes the task token of an attempt.
	Token(branch string, attempt int) string
	ActivityExists(arn string) bool
}

// Info is what an execution is called.
type Info struct {
	ExecutionARN, ExecutionName string
	MachineARN, MachineName     string
	RoleARN, Region, Account    string
	Started                     time.Time
	Input                       *Data
	RedriveCount                int
	Redriven                    time.Time
	// Around are the iterations that a child execution of a Map Run is in.
	Around []int
}

// Call is a task that is to be started. Its result comes back by Complete, or
// by Submit and then Complete for tasks that wait.
type Call struct {
	Branch   string
	Attempt  int
	State    string
	Resource Resource
	Input    *Data
	Token    string // of a callback or an activity
	RoleARN  string // of Credentials, "" for the machine's role
	// Iteration are the indices of the Map iterations around, outermost first.
	Iteration []int
	// Reader says that the call fetches the items of a Map state, Writer
	// that it exports the results of one.
	Reader, Writer bool
	// Manifest and Flatten say, of a Reader's call, that what is fetched names
	// the objects that have the items: ATHENA_DATA, S3_INVENTORY, a listing.
	Manifest string
	Flatten  bool
	// Child is set for an execution that a Map Run is to start.
	Child *Child
}

// Child is an execution that a Map Run starts, or takes up again after a redrive.
type Child struct {
	MapRun  string
	Items   int
	Express bool
	// Redrive is the number of the redrive that takes the child up again; 0
	// means that it is new.
	Redrive int
}

// Result is what a call or a task came to.
type Result struct {
	Output       *Data
	Failed       bool
	Error, Cause *string
	// EventType replaces the type of the failure's event.
	EventType string
	Worker    string
	// Status is that of a child execution that did not succeed.
	Status string
}

// Failing is a failed result; cause may be empty.
func Failing(name, cause string) Result {
	r := Result{Failed: true, Error: &name}
	if cause != "" {
		r.Cause = &cause
	}
	return r
}

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

// Snapshot is a Run at rest.
type Snapshot struct {
	Next     int64     `json:"next"`
	Attempts int       `json:"attempts,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	Root     *Branch   `json:"root"`
	// Assigned is at least the size of all variables.
	Assigned int `json:"vs,omitempty"`
}

// Run is one execution.
type Run struct {
	Machine *Machine
	Info    Info
	// Status is RUNNING until the execution has ended.
	Status       string
	Output       *Data
	Error, Cause *string
	// Events and Calls gather what has happened and what is to be done; the
	// caller takes them and sets them to nil. With Record set, events go
	// there instead; the event is valid only during the call.
	Record func(e *Event)
	Events []Event
	Calls  []Call
	// MapRuns are the Map Runs that have begun, moved or ended.
	MapRuns []MapRun
	// Jobs are what tasks waited for that were cut short by the error of a
	// branch beside them.
	Jobs []Job
	// Trace, if set, is told how a state's data goes: "afterInputPath" and so on.
	Trace func(stage string, v any)

	snapshot     Snapshot
	host         Host
	queue        []*Branch
	fixedContext any
	single       *single
	scratch      Event
	kept         []byte
	text         []byte                   // for jsonataData
	variables    map[string]jsonata.Value // of the expression under way
	runtime      *jsonata.Runtime
}

// Statuses of an execution.
const (
	Running   = "RUNNING"
	Succeeded = "SUCCEEDED"
	Failed    = "FAILED"
	TimedOut  = "TIMED_OUT"
	Aborted   = "ABORTED"
)

// ErrClosed means that the task is not waiting any more.
var ErrClosed = errors.New("asl: the task is closed")

// New makes a run that has not started.
func New(m *Machine, host Host, info Info) *Run {
	return &Run{Machine: m, Info: info, Status: Running, host: host}
}

// A Job is what a .sync task waits for; RoleARN is its Credentials, if any.
type Job struct{ ARN, RoleARN string }

// Unfinished are the jobs that nothing waits for any longer: those of tasks cut
// short, and of all tasks once the execution has ended.
func (r *Run) Unfinished() []Job {
	jobs := r.Jobs
	if r.Status != Running {
		r.Branches(func(b *Branch) {
			if b.Job != "" {
				jobs = append(jobs, Job{b.Job, b.CallRole})
			}
		})
	}
	return jobs
}

// Resume makes a run from a snapshot.
func Resume(m *Machine, host Host, info Info, s Snapshot) *Run {
	r := &Run{Machine: m, Info: info, Status: Running, host: host, snapshot: s}
	link(s.Root, nil, m.Flow)
	return r
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

// Snapshot is the run's state, to be stored. It shares memory with the run.
func (r *Run) Snapshot() Snapshot { return r.snapshot }

// Start begins the execution.
func (r *Run) Start() {
	r.snapshot.Next = 1
	r.deadline()
	b := &Branch{State: r.Machine.StartAt, Input: r.Info.Input, flow: r.Machine.Flow}
	r.snapshot.Root = b
	r.emit(b, Event{Type: "ExecutionStarted", Input: r.Info.Input, RoleARN: r.Info.RoleARN})
	b.Cursor = 0
	r.queue = append(r.queue, b)
	r.advance()
}

// deadline sets the end of the execution's time.
func (r *Run) deadline() {
	now := r.host.Now()
	if r.Machine.Timeout > 0 {
		r.snapshot.Deadline = now.Add(r.Machine.Timeout)
	}
	if r.Machine.Express {
		if limit := now.Add(5 * time.Minute); r.snapshot.Deadline.IsZero() || limit.Before(r.snapshot.Deadline) {
			r.snapshot.Deadline = limit
		}
	} else if limit := now.AddDate(1, 0, 0); r.snapshot.Deadline.IsZero() || limit.Before(r.snapshot.Deadline) {
		r.snapshot.Deadline = limit
	}
}

func (r *Run) advance() {
	free := r.queue
	for len(r.queue) > 0 && r.Status == Running {
		b := r.queue[0]
		if r.queue = r.queue[1:]; len(r.queue) == 0 {
			r.queue = free[:0] // as a line of states needs no more than one
		}
		r.enter(b)
	}
	r.queue = nil
}

// emit appends an event after the branch's last one.
func (r *Run) emit(b *Branch, e Event) int64 {
	id := r.append(b, b.Cursor, e)
	if id != 0 {
		b.Cursor = id
	}
	return id
}

// append appends an event without moving the branch's cursor.
func (r *Run) append(b *Branch, previous int64, e Event) int64 {
	if r.Status != Running {
		return b.Cursor
	}
	e.ID, e.Previous, e.Time = r.snapshot.Next, previous, r.host.Now()
	if e.ID == MaxEvents && e.Type != "ExecutionSucceeded" && !r.Machine.Express {
		e = Event{ID: e.ID, Previous: previous, Time: e.Time, Type: "ExecutionFailed", Error: ptr(errRuntime),
			Cause: ptr("The execution reached the maximum number of history events (25000).")}
		r.Status, r.Error, r.Cause = Failed, e.Error, e.Cause
	}
	r.snapshot.Next++
	if r.Record != nil {
		r.scratch = e
		r.Record(&r.scratch)
	} else {
		r.Events = append(r.Events, e)
	}
	return e.ID
}

// traceData is trace for data, which has no value made for nobody.
func (r *Run) traceData(stage string, d *Data) {
	if r.Trace != nil {
		r.Trace(stage, d.Value())
	}
}

func (r *Run) trace(stage string, v any) {
	if r.Trace != nil {
		r.Trace(stage, v)
	}
}

// end ends the execution.
func (r *Run) end(status string) {
	r.Status = status
	r.queue = nil
}

// NextWake is when Tick is next due; the zero time if never.
func (r *Run) NextWake() time.Time {
	at := r.snapshot.Deadline
	r.walk(r.snapshot.Root, func(b *Branch) {
		for _, t := range []time.Time{b.Wake, b.TimeoutAt, b.HeartbeatAt} {
			if !t.IsZero() && (at.IsZero() || t.Before(at)) {
				at = t
			}
		}
	})
	return at
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

// open finds the branch that waits for the result of an attempt.
func (r *Run) open(id string, attempt int) (*Branch, error) {
	if r.Status != Running {
		return nil, ErrClosed
	}
	b := r.find(id)
	if b == nil || b.Attempt != attempt || attempt == 0 {
		return nil, ErrClosed
	}
	switch b.Phase {
	case Calling, Submitted, Scheduled, Started, Reading, Writing, Apart:
		return b, nil
	}
	return nil, ErrClosed
}

// Waiter returns the branch that waits for an attempt's token.
func (r *Run) Waiter(id string, attempt int) (*Branch, error) { return r.open(id, attempt) }

// Submit records that the call of a task that waits has answered. Job names what
// is waited for.
func (r *Run) Submit(id string, attempt int, res Result, job string) error {
	b, err := r.open(id, attempt)
	if err != nil {
		return err
	}
	if b.Phase != Calling {
		return ErrClosed
	}
	s := b.state()
	if res.Failed {
		return r.Complete(id, attempt, res)
	}
	r.emit(b, Event{Type: "TaskSubmitted", Resource: s.resource.EventResource(), ResourceType: s.resource.EventType(), Output: res.Output})
	b.Phase, b.Job = Submitted, job
	b.Arguments = nil
	r.startHeartbeat(b)
	return nil
}

func (r *Run) startHeartbeat(b *Branch) {
	if b.HeartbeatEach > 0 {
		b.HeartbeatAt = r.host.Now().Add(time.Duration(b.HeartbeatEach) * time.Second)
	}
}

// Work hands an activity's task to a worker.
func (r *Run) Work(id string, attempt int, worker string) (*Branch, error) {
	b, err := r.open(id, attempt)
	if err != nil || b.Phase != Scheduled {
		return nil, ErrClosed
	}
	r.emit(b, Event{Type: "ActivityStarted", Worker: worker})
	b.Phase = Started
	r.startHeartbeat(b)
	return b, nil
}

// Heartbeat restarts the heartbeat clock of a task.
func (r *Run) Heartbeat(id string, attempt int) error {
	b, err := r.open(id, attempt)
	if err != nil {
		return err
	}
	if !b.HeartbeatAt.IsZero() {
		r.startHeartbeat(b)
	}
	return nil
}

// Complete ends a task.
func (r *Run) Complete(id string, attempt int, res Result) error {
	b, err := r.open(id, attempt)
	if err != nil {
		return err
	}
	if b.Phase == Apart {
		r.childEnded(b, res)
		r.advance()
		return nil
	}
	phase := b.Phase
	s := r.scope(b)
	r.settle(b)
	if phase == Writing {
		r.mapWritten(b, res)
		r.advance()
		return nil
	}
	if phase == Reading {
		r.mapRead(b, s, res)
		r.advance()
		return nil
	}
	kind := s.state.resource.Kind
	e := Event{}
	prefix := map[ResourceKind]string{Integration: "Task", Function: "LambdaFunction", Activity: "Activity"}[kind]
	if kind == Integration {
		e.Resource, e.ResourceType = s.state.resource.EventResource(), s.state.resource.EventType()
	}
	if res.Failed {
		e.Type, e.Error, e.Cause = prefix+"Failed", res.Error, res.Cause
		if phase == Calling && s.state.resource.Pattern != Request && kind == Integration {
			e.Type = "TaskSubmitFailed"
		}
		if res.EventType != "" {
			e.Type = res.EventType
		}
		r.emit(b, e)
		b.before = b.Cursor
		r.fail(b, &Failure{Error: res.Error, Cause: res.Cause})
		r.advance()
		return nil
	}
	e.Type, e.Output = prefix+"Succeeded", res.Output
	if len(res.Output.Text()) > MaxData {
		f := &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.resultName() + "' returned a result with a size exceeding the maximum number of bytes service limit.")}
		r.emit(b, Event{Type: prefix + "Failed", Error: f.Error, Cause: f.Cause, Resource: e.Resource, ResourceType: e.ResourceType})
		b.before = b.Cursor
		r.fail(b, f)
		r.advance()
		return nil
	}
	r.emit(b, e)
	b.before = b.Cursor
	r.succeed(b, res.Output)
	r.advance()
	return nil
}

func (s *scope) resultName() string {
	if s.state.resource.Kind == Integration {
		return s.state.resource.Service
	}
	return s.state.Resource
}

// settle forgets what a branch was waiting for.
func (r *Run) settle(b *Branch) {
	b.Attempt, b.Token, b.Job, b.CallRole = 0, "", "", ""
	b.Arguments = nil
	b.Wake, b.TimeoutAt, b.HeartbeatAt, b.HeartbeatEach = time.Time{}, time.Time{}, time.Time{}, 0
	b.Phase = Entering
}

// Tick does what is due.
func (r *Run) Tick() {
	now := r.host.Now()
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	if r.Status != Running {
		return
	}
	if due(r.snapshot.Deadline) {
		r.append(r.snapshot.Root, 0, Event{Type: "ExecutionTimedOut"})
		r.end(TimedOut)
		return
	}
	var ready []*Branch
	r.Branches(func(b *Branch) {
		if due(b.Wake) || due(b.TimeoutAt) || due(b.HeartbeatAt) {
			ready = append(ready, b)
		}
	})
	for _, b := range ready {
		if r.Status != Running || r.find(b.ID) != b {
			continue
		}
		switch {
		case due(b.Wake) && b.Phase == Waiting:
			r.settle(b)
			b.before = b.Cursor
			r.waited(b)
		case due(b.Wake) && b.Phase == Retrying:
			r.settle(b)
			b.before = b.Cursor
			r.perform(b)
		case due(b.TimeoutAt) || due(b.HeartbeatAt):
			r.timeout(b, !due(b.TimeoutAt))
		}
		r.advance()
	}
}

// timeout ends a task that took too long.
func (r *Run) timeout(b *Branch, heartbeat bool) {
	s := b.state()
	r.settle(b)
	e := Event{Error: ptr(errTimeout)}
	switch s.resource.Kind {
	case Function:
		e.Type = "LambdaFunctionTimedOut"
	case Activity:
		e.Type = "ActivityTimedOut"
	default:
		e.Type = "TaskTimedOut"
		e.Resource, e.ResourceType = s.resource.EventResource(), s.resource.EventType()
	}
	r.emit(b, e)
	b.before = b.Cursor
	r.fail(b, &Failure{Error: ptr(errTimeout), heartbeat: heartbeat})
}

// Abort ends the execution as StopExecution does.
func (r *Run) Abort(name, cause *string) {
	if r.Status != Running {
		return
	}
	r.append(r.snapshot.Root, 0, Event{Type: "ExecutionAborted", Error: name, Cause: cause})
	r.Error, r.Cause = name, cause
	r.end(Aborted)
}

// delayOf draws the wait before a retry.
func (r *Run) delayOf(rt *Retrier, attempt int) time.Duration {
	d := rt.delay(attempt)
	if rt.Full {
		d = math.Floor(d*1000) / 1000 * float64(r.host.Random(1<<30)) / (1 << 30)
	}
	return seconds(d)
}

// fail ends the branch's current state with an error: it is retried, caught, or
// ends the branch.
func (r *Run) fail(b *Branch, f *Failure) {
	s := b.state()
	r.settle(b)
	if f.evaluation {
		id := r.append(b, b.before, Event{Type: "EvaluationFailed", State: s.Name, Location: f.location, Error: f.Error, Cause: f.Cause})
		b.Cursor = id
	}
	if r.single != nil {
		r.failedSingle(b, f)
		return
	}
	if b.MapRun != "" {
		r.mapRunEnd(b, Failed)
	}
	inside := b.Results != nil || b.Items != nil || f.evaluation
	r.leave(b)
	for i, rt := range s.retry {
		if !f.matches(rt.Errors) {
			continue
		}
		if len(b.Tries) < len(s.retry) {
			b.Tries = append(b.Tries, make([]int, len(s.retry)-len(b.Tries))...)
		}
		if b.Tries[i] >= rt.Attempts {
			break
		}
		b.Tries[i]++
		b.Retries++
		b.Phase = Retrying
		b.Wake = r.host.Now().Add(r.delayOf(rt, b.Tries[i]))
		return
	}
	if inside && (s.Type == "Map" || s.Type == "Parallel") {
		r.emit(b, Event{Type: s.Type + "StateFailed"})
	}
	for _, ct := range s.catch {
		if f.matches(ct.Errors) {
			r.caught(b, ct, f)
			return
		}
	}
	r.failBranch(b, f)
}

// leave forgets the inside of a Map or Parallel state.
func (r *Run) leave(b *Branch) {
	for _, k := range b.Kids {
		r.walk(k, func(inner *Branch) {
			r.mapRunEnd(inner, Aborted)
			if inner.Job != "" {
				r.Jobs = append(r.Jobs, Job{inner.Job, inner.CallRole})
			}
		})
	}
	b.Kids, b.Results, b.Items, b.Done, b.NextItem, b.MapRun, b.Length = nil, nil, nil, 0, 0, "", 0
	b.Lost, b.Again, b.Sizes, b.Sources, b.ItemsDone, b.ItemsLost, b.Redrives = nil, nil, nil, nil, 0, 0, 0
	b.Count, b.HasCount, b.Share, b.Tolerated = 0, false, 0, 0
}

// broken marks the branch whose error ended an execution.
const broken Phase = "broken"

// keep remembers the execution as it is, with its inside, in case the error of
// this branch ends it: that is where a redrive goes on.
func (r *Run) keep(b *Branch) { r.keepAs(b, broken) }

// keepAs remembers the execution with the branch in a phase.
func (r *Run) keepAs(b *Branch, phase Phase) {
	before := b.Phase
	b.Phase = phase
	if text, err := json.Marshal(r.snapshot.Root); err == nil {
		r.kept = text
	}
	b.Phase = before
	if phase == broken {
		b.Phase = Entering
	}
}

// Redrivable is the execution as it was before the error that ended it, for
// Redrive.
func (r *Run) Redrivable() (Snapshot, bool) {
	s := r.snapshot
	if r.kept != nil && r.Status == Failed {
		s.Root = &Branch{}
		if json.Unmarshal(r.kept, s.Root) != nil {
			return s, false
		}
	}
	return s, s.Root != nil
}

// Redrive goes on with an execution that has failed, from what Redrivable gave:
// states that were cut short are done again, what has succeeded is kept.
func Redrive(m *Machine, host Host, info Info, s Snapshot, record func(e *Event)) *Run {
	r := Resume(m, host, info, s)
	r.Record = record
	r.snapshot.Deadline = time.Time{}
	r.deadline()
	root := r.snapshot.Root
	id := r.append(root, s.Next-1, Event{Type: "ExecutionRedriven", RedriveCount: info.RedriveCount})
	var again []*Branch
	r.Branches(func(b *Branch) {
		if b.Phase != Apart && (b.Phase != Inside || b.MapRun != "") {
			again = append(again, b)
		}
	})
	for _, b := range again {
		if r.Status != Running || r.find(b.ID) != b {
			continue
		}
		if b.MapRun != "" && (b.Phase == Inside || b.Phase == Writing) {
			b.Cursor, b.before = id, id
			r.mapRedrive(b)
			continue
		}
		if b.Phase == Entering {
			r.queue = append(r.queue, b)
			continue
		}
		r.settle(b)
		b.Tries, b.Retries = nil, 0
		b.Cursor, b.before = id, id
		r.perform(b)
	}
	r.advance()
	return r
}

// failBranch ends a branch with an error that its state does not handle.
func (r *Run) failBranch(b *Branch, f *Failure) {
	p := b.parent
	if !f.kept && !r.Machine.Express {
		r.keep(b)
	}
	if p == nil {
		r.emit(b, Event{Type: "ExecutionFailed", Error: f.Error, Cause: f.Cause})
		if r.Status == Running {
			r.Error, r.Cause = f.Error, f.Cause
			r.end(Failed)
		}
		return
	}
	outer := &Failure{Error: f.Error, Cause: f.Cause, heartbeat: f.heartbeat, kept: true}
	s := p.state()
	if s.Type == "Map" {
		r.append(b, b.Cursor, Event{Type: "MapIterationFailed", Name: s.Name, Index: b.Index})
		for _, k := range p.Kids {
			if k != b && k != nil {
				r.abortInside(k)
				r.append(k, k.Cursor, Event{Type: "MapIterationAborted", Name: s.Name, Index: k.Index})
			}
		}
	} else {
		r.abortState(b)
		for _, k := range p.Kids {
			if k != b && k != nil {
				r.abortInside(k)
				r.abortState(k)
			}
		}
	}
	p.Cursor = b.Cursor
	p.before = p.Cursor
	r.drop(p)
	r.fail(p, outer)
}

// abortState says that a branch's state was cut short.
func (r *Run) abortState(b *Branch) {
	switch t := b.state().Type; t {
	case "Task", "Wait", "Map", "Parallel":
		r.append(b, b.Cursor, Event{Type: t + "StateAborted"})
	}
}

func (r *Run) abortInside(b *Branch) {
	if b.MapRun != "" {
		b.Cursor = r.append(b, b.Cursor, Event{Type: "MapRunAborted"})
		return
	}
	for _, k := range b.Kids {
		if k != nil {
			r.abortInside(k)
			if b.state().Type == "Map" {
				r.append(k, k.Cursor, Event{Type: "MapIterationAborted", Name: b.State, Index: k.Index})
			} else {
				r.abortState(k)
			}
		}
	}
}

// drop takes a branch's kids out of the queue.
func (r *Run) drop(p *Branch) {
	var rest []*Branch
	for _, b := range r.queue {
		inside := false
		for q := b; q != nil; q = q.parent {
			inside = inside || q == p && b != p
		}
		if !inside {
			rest = append(rest, b)
		}
	}
	r.queue = rest
}

// Pattern is how the branch's task waits.
func (r *Run) Pattern(b *Branch) Pattern { return b.state().resource.Pattern }

// Resource is the resource of the branch's task.
func (r *Run) Resource(b *Branch) Resource { return b.state().resource }
