package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// Limits of Lambda.
const (
	maxSyncPayload  = 6 << 20
	maxAsyncPayload = 1 << 20
	maxEventAge     = 6 * time.Hour
	accountLimit    = 1000 // concurrent executions
)

// Roles lets a service assume a role whose trust policy names it.
type Roles interface {
	Assume(ctx context.Context, roleARN, servicePrincipal, sourceARN, sessionName string) (awsapi.Identity, error)
}

// Metrics takes data points of AWS/Lambda.
type Metrics interface {
	Add(namespace, name, unit string, value float64, dimensions map[string]string)
}

// Executor runs functions.
type Executor interface {
	// Invoke runs one invocation to its end or to ctx's. A failure of the
	// function is in the result; the error is one of the executor or
	// ctx's, or ErrTimedOut once the function's timeout has passed since it
	// was handed the invocation: waiting for an environment, or for one to
	// start, does not count.
	Invoke(ctx context.Context, f Function, inv Invocation) (Result, error)
	// Waiting is how many invocations of a function, or of all if name is "",
	// wait for an environment. They do not run, and are no part of the
	// concurrency.
	Waiting(name string) int
	// Retire lets the environments of a version end that was changed or
	// deleted: "name" for $LATEST, "name:version" for another.
	Retire(version string)
	// Close ends all environments.
	Close()
}

// ErrTimedOut is the error of an invocation that took longer than the function
// may.
var ErrTimedOut = errors.New("lambda: the function timed out")

// Invocation is one run of a function.
type Invocation struct {
	RequestID   string
	FunctionARN string // by which the function was called, with its qualifier if it had one
	Payload     []byte
	Identity    awsapi.Identity // of the function's role
	Log         func(LogLine)   // takes what the function prints; may be called after Invoke returned
}

// LogLine is a line that a function printed.
type LogLine struct {
	Stream string
	Time   time.Time
	Text   string
}

// Result is the outcome of an invocation.
type Result struct {
	Payload []byte         // the answer, or the error as JSON
	Failure *FunctionError // nil if the function succeeded
	Stream  string         // log stream of the environment
	Began   time.Time      // when the function was handed the invocation; zero if it never was
	// Init is how long the environment took to start, with the first result that it gives.
	Init        time.Duration
	Memory      int64 // the most that the environment has used, in bytes; 0 if that is not known
	OutOfMemory bool  // it was ended because it used more than the function's MemorySize
}

// Config is what the service needs.
type Config struct {
	platform.Platform

	Roles    Roles
	Executor Executor
	Metrics  Metrics // may be nil
	// Assets finds prepared code for an S3 key: a name that the executor
	// knows. ok is false for keys that name an object in S3.
	Assets func(s3Key string) (name string, ok bool)
	// CodeDir is the folder into which deployment packages are unpacked.
	CodeDir string
	// Queues tells when there is something in a queue; nil: no event source
	// mapping can be made.
	Queues Queues
}

// Service is AWS Lambda. Its methods are safe for concurrent use.
type Service struct {
	Config

	ctx   context.Context // ends with Close
	close context.CancelFunc

	mu          sync.Mutex
	running     map[string]int // invocations by function
	total       int
	free        int                        // of total, those of functions without reserved concurrency
	reserved    map[string]int             // reserved concurrency by function
	waiting     map[string]map[string]bool // events that were throttled, by function
	sources     map[string]*source         // event source mappings at work, by UUID
	streams     map[string]bool            // log streams made, "group stream"
	policyTexts map[string]revisionText    // by function
}

// New returns the service over what the store holds.
func New(c Config) *Service {
	s := &Service{
		Config: c, running: map[string]int{}, streams: map[string]bool{}, policyTexts: map[string]revisionText{},
		reserved: map[string]int{}, waiting: map[string]map[string]bool{}, sources: map[string]*source{},
	}
	s.ctx, s.close = c.Scheduler.WithCancel(context.Background())
	return s
}

// Start resumes the asynchronous invocations that were under way, and the event
// source mappings.
func (s *Service) Start(context.Context) error {
	return s.Store.View(func(tx *store.Tx) error {
		for row, err := range functions.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.reserve(row.Value)
		}
		for row, err := range mappings.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.resume(row.Value)
		}
		for row, err := range events.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			s.schedule(row.Key[0], row.Value)
		}
		return nil
	})
}

// Close ends the event source mappings' work and the execution environments.
func (s *Service) Close() {
	s.close()
	s.Executor.Close()
}

// Residue lists invocations that have not ended.
func (s *Service) Residue(context.Context) []string {
	left := s.busySources()
	err := s.Store.View(func(tx *store.Tx) error {
		for row, err := range events.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			left = append(left, fmt.Sprintf("lambda: asynchronous invocation %s of %s, %d failed attempts", row.Key[0],
				row.Value.Function, row.Value.Attempts))
		}
		return nil
	})
	if err != nil {
		left = append(left, "lambda: "+err.Error())
	}
	return left
}

func (s *Service) arn(name string) string {
	return "arn:aws:lambda:" + s.Region + ":" + s.Account + ":function:" + name
}

// name cuts the function's name out of a name, a partial or a full ARN, and
// the qualifier behind it.
func (s *Service) name(ref string) (name, qualifier string) {
	parts := strings.Split(ref, ":")
	switch {
	case strings.HasPrefix(ref, "arn:") && len(parts) >= 7:
		parts = parts[6:]
	case len(parts) >= 3 && parts[1] == "function":
		parts = parts[2:]
	}
	if len(parts) > 1 {
		qualifier = parts[1]
	}
	return parts[0], qualifier
}

// run runs a function once and returns its result and its log.
func (s *Service) run(ctx context.Context, f Function, requestID string, payload []byte) (Result,
	*invocationLog, error) {
	if err := s.admit(f); err != nil {
		s.count(f, "Throttles", 1)
		return Result{}, nil, err
	}
	defer s.release(f)
	id, err := s.Roles.Assume(ctx, f.RoleARN, "lambda.amazonaws.com", f.ARN, f.Name)
	if awsapi.IsFault(err) {
		return Result{}, nil, err
	}
	if err != nil {
		return Result{}, nil, awsapi.Errorf("AccessDeniedException",
			"The role defined for the function cannot be assumed by Lambda: %v", awsapi.AsError(err).Message).
			WithStatus(502)
	}
	log := s.newLog(f, id)
	log.system("START RequestId: " + requestID + " Version: " + f.version())
	result, err := s.Executor.Invoke(ctx, f, Invocation{RequestID: requestID, FunctionARN: f.named(), Payload: payload,
		Identity: id, Log: log.add})
	now := s.Scheduler.Now()
	took := time.Duration(0)
	if !result.Began.IsZero() {
		took = now.Sub(result.Began)
	}
	timedOut := errors.Is(err, ErrTimedOut)
	if timedOut {
		failure := &FunctionError{
			Type: "Sandbox.Timedout",
			Message: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", requestID,
				f.Timeout.Seconds()),
		}
		// What it took to start, and the memory that it used, stay.
		result.Payload, result.Failure, err = failed(failure, "").Payload, failure, nil
		log.system(fmt.Sprintf("%s %s Task timed out after %.2f seconds", now.Format("2006-01-02T15:04:05.000Z"),
			requestID, f.Timeout.Seconds()))
	}
	ms := milliseconds(took)
	log.setStream(result.Stream)
	log.dropped()
	log.system("END RequestId: " + requestID)
	log.system(report(f, requestID, took, result, timedOut))
	log.finish(context.WithoutCancel(ctx))
	s.count(f, "Invocations", 1)
	s.count(f, "Duration", ms)
	errs := 0.0
	if err != nil || result.Failure != nil {
		errs = 1
	}
	s.count(f, "Errors", errs)
	return result, log, err
}

func failed(failure *FunctionError, stream string) Result {
	b, err := json.Marshal(failure)
	if err != nil {
		b = []byte(`{}`)
	}
	return Result{Payload: b, Failure: failure, Stream: stream}
}

func (s *Service) count(f Function, name string, value float64) {
	if s.Metrics == nil {
		return
	}
	unit := "Count"
	if name == "Duration" || name == "AsyncEventAge" {
		unit = "Milliseconds"
	}
	s.Metrics.Add("AWS/Lambda", name, unit, value, map[string]string{"FunctionName": f.Name})
	if f.Qualifier == "" {
		return
	}
	resource := f.Name + ":" + f.Qualifier
	s.Metrics.Add("AWS/Lambda", name, unit, value, map[string]string{"FunctionName": f.Name, "Resource": resource})
	if isAlias(f.Qualifier) {
		s.Metrics.Add("AWS/Lambda", name, unit, value, map[string]string{"FunctionName": f.Name, "Resource": resource,
			"ExecutedVersion": f.version()})
	}
}
