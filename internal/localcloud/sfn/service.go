package sfn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
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
	Scheduler       *scheduler.Scheduler
	Store           *store.DB
	Account, Region string
	// Caller reaches the services that tasks call.
	Caller awsapi.Caller
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

	mu      sync.Mutex
	live    map[key]*live
	plans   map[string]*plan    // compiled revisions, by machine/revision
	current map[string]*current // state machines as they are now
	changes int                 // of state machines
	pollers map[string][]*scheduler.Gate
	enders  map[key][]*ender
	awaited map[key]bool // executions for which .sync tasks may wait
	// lastStart is the latest start of an execution.
	lastStart time.Time
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

// ender waits for the end of an execution.
type ender struct {
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
		plans: map[string]*plan{}, current: map[string]*current{}, pollers: map[string][]*scheduler.Gate{}, enders: map[key][]*ender{}, awaited: map[key]bool{}}
	if s.Tasks == nil {
		s.Tasks = &integrations{s}
	}
	return s
}

// Start resumes the open executions.
func (s *Service) Start(ctx context.Context) error {
	var keys []key
	var deleting []string
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range machines.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if row.Value.Deleting {
				deleting = append(deleting, row.Value.Name)
			}
		}
		for row, err := range open.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			keys = append(keys, key{row.Key[0], row.Key[1]})
		}
		for row, err := range waiters.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.await(key{row.Key[0], row.Key[1]})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sfn.Start: %w", err)
	}
	// Tasks that wait for a worker are queued again: the queue may have lost one
	// that a worker was about to take.
	if err := s.db.Update(func(tx *store.Tx) error { return activityTasks.DeleteAll(tx) }); err != nil {
		return fmt.Errorf("sfn.Start: %w", err)
	}
	for _, k := range keys {
		if err := s.resume(k); err != nil {
			return fmt.Errorf("sfn.Start: execution %s of %s: %w", k.Name, k.Machine, err)
		}
	}
	for _, name := range deleting {
		s.drain(name)
	}
	return nil
}

// resume takes an open execution up again after a restart.
func (s *Service) resume(k key) error {
	rec, o, rev, err := s.load(k)
	if err != nil {
		return err
	}
	if o == nil {
		return nil
	}
	run, err := s.run(rec, rev, o.Snapshot)
	if err != nil {
		return err
	}
	calls, waiting := run.Outstanding()
	s.after(rec, run, calls)
	if rec.Child != nil {
		s.sched.Go("sfn.map-run", func() { s.stopMapRun(rec.Child.MapRun) })
	}
	for _, b := range waiting {
		if b.Phase == asl.Scheduled {
			name, _ := s.activityName(run.Resource(b).ARN)
			err := s.db.Update(func(tx *store.Tx) error { return s.queue(tx, name, activityTask{k, b.ID, b.Attempt}) })
			if err != nil {
				return err
			}
		}
		if b.Job != "" {
			s.sched.Go("sfn.job", func() { s.checkJob(k, b.ID, b.Attempt, b.Job) })
		}
	}
	return nil
}

// Residue lists the open executions and what they wait for.
func (s *Service) Residue(ctx context.Context) []string {
	var out []string
	err := s.db.View(func(tx *store.Tx) error {
		for row, err := range open.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			var visit func(b *asl.Branch)
			visit = func(b *asl.Branch) {
				if b == nil {
					return
				}
				if b.Phase != asl.Inside {
					line := fmt.Sprintf("execution %s of %s: state %s: %s", row.Key[1], row.Key[0], b.State, phaseName(b))
					out = append(out, line)
				}
				for _, kid := range b.Kids {
					visit(kid)
				}
			}
			visit(row.Value.Snapshot.Root)
		}
		for row, err := range activityTasks.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			out = append(out, "activity "+row.Key[0]+": a task that no worker has taken")
		}
		return nil
	})
	if err != nil {
		out = append(out, "sfn: "+err.Error())
	}
	return out
}

func phaseName(b *asl.Branch) string {
	switch b.Phase {
	case asl.Waiting:
		return "waits until " + b.Wake.Format(time.RFC3339)
	case asl.Retrying:
		return "retries at " + b.Wake.Format(time.RFC3339)
	case asl.Calling, asl.Reading:
		return "its task has not answered"
	case asl.Submitted:
		if b.Job != "" {
			return "waits for " + b.Job
		}
		return "waits for its task token"
	case asl.Scheduled:
		return "waits for a worker"
	case asl.Started:
		return "waits for the worker's result"
	case asl.Apart:
		return "waits for its child execution"
	}
	return "about to run"
}

func (s *Service) arn(kind, rest string) string {
	return "arn:aws:states:" + s.Region + ":" + s.Account + ":" + kind + ":" + rest
}
