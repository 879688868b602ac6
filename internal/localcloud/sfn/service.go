package sfn

import (
	"context"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Roles lets the service act under a state machine's role.
type Roles interface {
	// Assume checks the role's trust policy and returns the identity; the
	// error is AWS's.
	Assume(ctx context.Context, roleARN, servicePrincipal, sourceARN, sessionName string) (awsapi.Identity, error)
}

// Metrics takes the metrics of AWS/States.
type Metrics interface {
	// Count adds to a metric of a state machine, such as ExecutionsStarted.
	Count(metric, stateMachineARN string, value float64)
}

// LogEvent is a line for a log stream.
type LogEvent struct {
	Time    time.Time
	Message string
}

// Logs takes the log lines of executions.
type Logs interface {
	Append(ctx context.Context, group, stream string, events []LogEvent) error
}

// Answer is what a task's call comes to.
type Answer struct {
	// Result is the task's result, or the answer to the request of a task
	// that waits (callback, job).
	Result asl.Result
	// Job is the ARN of the execution that a .sync task waits for.
	Job string
	// Later, if set, is the result that comes after the request.
	Later *asl.Result
	// Silent says that no answer ever comes.
	Silent bool
}

// Task is a call of a task with what it belongs to.
type Task struct {
	asl.Call
	ExecutionARN string
	MachineARN   string
	Role         string
}

// Tasks makes the calls of tasks.
type Tasks interface {
	Call(ctx context.Context, t Task) Answer
}

// Config is what the service needs.
type Config struct {
	platform.Platform

	// Roles may be nil in tests: tasks then call as the account's root.
	Roles Roles
	// Metrics and Logs may be nil.
	Metrics Metrics
	Logs    Logs
	// Tasks replaces the service integrations, in tests.
	Tasks Tasks
}

// Service is the service.
type Service struct {
	Config
	sched *scheduler.Scheduler
	db    *store.DB

	mu         sync.Mutex
	live       map[key]*live
	plans      map[string]*plan    // compiled revisions, by machine/revision
	current    map[string]*current // state machines as they are now
	changes    int                 // of state machines
	pollers    map[string][]*scheduler.Gate
	endWaiters map[key][]*endWaiter
	awaited    map[key]bool // executions for which .sync tasks may wait
	// lastStart is the latest start of an execution.
	lastStart time.Time

	// follow does what follows a stored move (follow.go). Moving an execution
	// knows nothing of it.
	follow func(rec *executionRecord, rev *revisionRecord, run *asl.Run, events []asl.Event, calls []asl.Call)
}

// plan is a revision, ready to run.
type plan struct {
	machine  *asl.Machine
	revision *revisionRecord
}

// current is a state machine with its newest revision.
type current struct {
	machine  machineRecord
	revision *revisionRecord
}

// endWaiter waits for the end of an execution.
type endWaiter struct {
	gate *scheduler.Gate
	rec  *executionRecord
}

// live is what memory holds of an open execution.
type live struct {
	mu    sync.Mutex
	timer *scheduler.Timer
	at    time.Time
	users int
}

// New makes the service.
func New(config Config) *Service {
	s := &Service{Config: config, sched: config.Scheduler, db: config.Store, live: map[key]*live{},
		plans: map[string]*plan{}, current: map[string]*current{}, pollers: map[string][]*scheduler.Gate{},
		endWaiters: map[key][]*endWaiter{}, awaited: map[key]bool{}}
	s.follow = s.followMove
	if s.Tasks == nil {
		s.Tasks = &integrations{s}
	}
	return s
}
