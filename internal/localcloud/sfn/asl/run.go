package asl

import (
	"errors"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
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
	// VersionARN and AliasARN are what the execution was started by, if not by the
	// state machine itself.
	VersionARN, AliasARN string
	Started              time.Time
	Input                *Data
	RedriveCount         int
	Redriven             time.Time
	// Synchronous is an execution of StartSyncExecution, or a test of a state, whose context object has no count of
	// redrives.
	Synchronous bool
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
	Format   string // of what a Reader fetches
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

// Snapshot is a Run at rest.
type Snapshot struct {
	Next     int64     `json:"next"`
	Attempts int       `json:"attempts,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	Root     *Branch   `json:"root"`
	// Assigned is at least the size of all variables.
	Assigned int `json:"vs,omitempty"`
	// Doomed ends the execution when it goes on to another state.
	Doomed bool `json:"doomed,omitempty"`
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
	fixedContext *document.Object
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

// Snapshot is the run's state, to be stored. It shares memory with the run.
func (r *Run) Snapshot() Snapshot { return r.snapshot }

// Start begins the execution.
func (r *Run) Start() {
	r.snapshot.Next = 1
	r.deadline()
	b := &Branch{State: r.Machine.StartAt, Input: r.Info.Input, flow: r.Machine.Flow}
	r.snapshot.Root = b
	r.emit(b, Event{Type: "ExecutionStarted", Input: r.Info.Input, RoleARN: r.Info.RoleARN,
		VersionARN: r.Info.VersionARN, AliasARN: r.Info.AliasARN})
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
		r.Trace(stage, d)
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

// clearWait forgets what a branch was waiting for.
func (r *Run) clearWait(b *Branch) {
	b.Attempt, b.Token, b.Job, b.CallRole = 0, "", "", ""
	b.Arguments = nil
	b.Wake, b.TimeoutAt, b.HeartbeatAt = time.Time{}, time.Time{}, time.Time{}
	b.TimeoutEach, b.HeartbeatEach = 0, 0
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
		r.append(r.snapshot.Root, 0, Event{Type: "ExecutionTimedOut", Error: ptr(errTimeout)})
		r.end(TimedOut)
		return
	}
	var runnable []*Branch
	r.Branches(func(b *Branch) {
		if due(b.Wake) || due(b.TimeoutAt) || due(b.HeartbeatAt) {
			runnable = append(runnable, b)
		}
	})
	// Tasks that time out at one moment all say so before the first of them ends what it is in.
	late := map[*Branch]*Failure{}
	for _, b := range runnable {
		if !due(b.Wake) {
			late[b] = &Failure{Error: ptr(errTimeout), timeout: true, heartbeat: !due(b.TimeoutAt)}
			r.timedOut(b)
		}
	}
	for _, b := range runnable {
		if r.Status != Running || r.find(b.ID) != b {
			continue
		}
		switch {
		case due(b.Wake) && b.Phase == Waiting:
			r.clearWait(b)
			b.before = b.Cursor
			r.endWait(b)
		case due(b.Wake) && b.Phase == Retrying:
			r.clearWait(b)
			b.before = b.Cursor
			r.perform(b)
		case late[b] != nil:
			r.fail(b, late[b])
		}
		r.advance()
	}
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
	b.Count, b.HasCount, b.Share, b.Tolerated, b.Pairs = 0, false, 0, 0, false
}
