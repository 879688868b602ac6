package lambda

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// Credentials issues temporary credentials for an identity.
type Credentials interface {
	Issue(ctx context.Context, id awsapi.Identity, ttl time.Duration) (accessKeyID, secret, sessionToken string, err error)
}

// Life of execution environments.
const (
	credentialsFor = 12 * time.Hour
	environmentAge = 6 * time.Hour // then an environment is replaced, well before its credentials end
	// initLimit is how long a process may take to ask for its first invocation,
	// which is no part of the function's timeout. Lambda's is 10 s; here many
	// processes may begin at once on a machine that is busy.
	initLimit = time.Minute
)

// ProcessConfig is what the Process executor needs.
type ProcessConfig struct {
	Scheduler   *scheduler.Scheduler // in real mode
	Credentials Credentials
	Region      string
	// Endpoint is the value of AWS_ENDPOINT_URL that functions get.
	Endpoint string
	// AssetDir holds a folder for each Function.Asset, with its bootstrap.
	AssetDir string
	// MaxEnvironments bounds the processes of one function; 0 means 16.
	MaxEnvironments int
	// IdleFor is how long an unused environment is kept; 0 means 10 minutes.
	IdleFor time.Duration
}

// Process is an Executor that runs a function's bootstrap file as a process,
// one for each concurrent invocation, and serves it the Runtime API on a
// loopback port of its own.
type Process struct {
	c ProcessConfig

	mu     sync.Mutex
	pools  map[string]*pool // by Function.pool
	all    map[*environment]bool
	queued map[string]int // invocations that wait for an environment, by function name; "" for all
	closed bool
}

// pool holds the environments of one revision of a function.
type pool struct {
	revision string
	count    int
	idle     []*environment // the last used one last
	waiting  []*waiting
}

// waiting is an invocation that waits for an environment.
type waiting struct {
	gate *scheduler.Gate
	env  *environment // nil: start one
	gone bool
}

var errClosed = errors.New("lambda: the executor is closed")

// NewProcess returns an executor without environments.
func NewProcess(c ProcessConfig) *Process {
	if c.MaxEnvironments == 0 {
		c.MaxEnvironments = 16
	}
	if c.IdleFor == 0 {
		c.IdleFor = 10 * time.Minute
	}
	return &Process{c: c, pools: map[string]*pool{}, all: map[*environment]bool{}, queued: map[string]int{}}
}

// Invoke implements Executor.
func (p *Process) Invoke(ctx context.Context, f Function, inv Invocation) (Result, error) {
	for {
		env, err := p.acquire(ctx, f, inv)
		if err != nil {
			return Result{}, err
		}
		result, retry, err := env.run(ctx, inv)
		p.release(f, env)
		if !retry {
			return result, err
		}
	}
}

// Waiting implements Executor.
func (p *Process) Waiting(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queued[name]
}

// acquire takes an idle environment, starts one, or waits for one.
func (p *Process) acquire(ctx context.Context, f Function, inv Invocation) (*environment, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	po := p.pools[f.pool()]
	if po == nil || po.revision != f.RevisionID {
		if po != nil {
			p.retire(po)
		}
		po = &pool{revision: f.RevisionID}
		p.pools[f.pool()] = po
	}
	if n := len(po.idle); n > 0 {
		env := po.idle[n-1]
		po.idle = po.idle[:n-1]
		env.idleTimer.Stop()
		p.mu.Unlock()
		return env, nil
	}
	if po.count < p.c.MaxEnvironments {
		po.count++
		p.mu.Unlock()
		return p.start(ctx, f, po, inv.Identity)
	}
	w := &waiting{gate: p.c.Scheduler.NewGate()}
	po.waiting = append(po.waiting, w)
	p.queued[f.Name]++
	p.queued[""]++
	p.mu.Unlock()
	err := w.gate.Wait(ctx)
	p.mu.Lock()
	p.queued[f.Name]--
	p.queued[""]--
	w.gone = true
	env, opened, closed := w.env, w.gate.Opened(), p.closed
	p.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case err != nil && opened: // it came just as we left: pass it on
		if env != nil {
			p.release(f, env)
		} else {
			p.dropped(po)
		}
		return nil, err
	case err != nil:
		return nil, err
	case env != nil:
		return env, nil
	default:
		return p.start(ctx, f, po, inv.Identity)
	}
}

func (p *Process) start(ctx context.Context, f Function, po *pool, id awsapi.Identity) (*environment, error) {
	env, err := p.newEnvironment(ctx, f, po, id)
	if err != nil {
		p.dropped(po)
		return nil, err
	}
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.all[env] = true
	}
	p.mu.Unlock()
	if closed {
		env.kill()
		return nil, errClosed
	}
	return env, nil
}

// dropped notes that a pool has one environment less, and lets one that waits
// start another.
func (p *Process) dropped(po *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(po.waiting) > 0 && !p.closed {
		w := po.waiting[0]
		po.waiting = po.waiting[1:]
		if !w.gone {
			w.gate.Open()
			return
		}
	}
	po.count--
}

// release gives an environment back.
func (p *Process) release(f Function, env *environment) {
	po := env.pool
	p.mu.Lock()
	current := p.pools[f.pool()] == po && !p.closed
	if env.dead() || !current || p.c.Scheduler.Now().Sub(env.started) > environmentAge {
		p.mu.Unlock()
		env.kill()
		p.dropped(po)
		return
	}
	for len(po.waiting) > 0 {
		w := po.waiting[0]
		po.waiting = po.waiting[1:]
		if !w.gone {
			w.env = env
			w.gate.Open()
			p.mu.Unlock()
			return
		}
	}
	po.idle = append(po.idle, env)
	env.idleTimer = p.c.Scheduler.After(p.c.IdleFor, "idle lambda environment of "+f.Name, func() { p.reap(po, env) })
	p.mu.Unlock()
}

// reap ends an environment that was idle for too long.
func (p *Process) reap(po *pool, env *environment) {
	p.mu.Lock()
	for i, e := range po.idle {
		if e == env {
			po.idle = append(po.idle[:i], po.idle[i+1:]...)
			po.count--
			p.mu.Unlock()
			env.kill()
			return
		}
	}
	p.mu.Unlock()
}

// Retire implements Executor.
func (p *Process) Retire(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if po := p.pools[version]; po != nil {
		p.retire(po)
		delete(p.pools, version)
	}
}

// retire ends a pool's idle environments; p.mu is held. Those at work end when
// they are released.
func (p *Process) retire(po *pool) {
	for _, env := range po.idle {
		env.idleTimer.Stop()
		env.kill()
	}
	po.count -= len(po.idle)
	po.idle = nil
	for _, w := range po.waiting {
		if !w.gone {
			po.count++
			w.gate.Open() // starts an environment of the old revision, as on AWS while an update spreads
		}
	}
	po.waiting = nil
}

// Close implements Executor. Invocations that wait for an environment never get
// one: whoever asked for them asks again after a restart.
func (p *Process) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, po := range p.pools {
		p.retire(po)
	}
	for env := range p.all { // those at work: their invocations end with the process
		env.kill()
	}
	clear(p.all)
}

// environment is one process and its Runtime API.
type environment struct {
	p         *Process
	f         Function
	pool      *pool
	stream    string
	started   time.Time
	cmd       *exec.Cmd
	server    *http.Server
	idleTimer *scheduler.Timer

	mu       sync.Mutex
	isDead   bool
	work     *work           // assigned invocation
	last     *work           // the one before; what is printed late is its own
	next     *scheduler.Gate // opened when work is assigned; nil if nobody asks
	asked    bool            // the runtime has asked for its first invocation
	held     []LogLine       // printed before the first invocation
	initFail *FunctionError
}

// work is the invocation that an environment has.
type work struct {
	inv    Invocation
	handed *scheduler.Gate // to the runtime, or over without that
	done   *scheduler.Gate
	began  time.Time // when it was handed to the runtime
	result Result
	taken  bool // handed to the runtime
	ended  bool
}

func (p *Process) newEnvironment(ctx context.Context, f Function, po *pool, id awsapi.Identity) (*environment, error) {
	s := p.c.Scheduler
	dir := f.CodeDir
	if f.Asset != "" {
		dir = filepath.Join(p.c.AssetDir, f.Asset)
	}
	key, secret, token, err := p.c.Credentials.Issue(ctx, id, credentialsFor)
	if err != nil {
		return nil, err
	}
	// The Runtime API has no other authentication than that only the
	// environment can reach it; a port of its own for each is the nearest.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lambda: listen for the Runtime API: %w", err)
	}
	env := &environment{
		p: p, f: f, pool: po, started: s.Now(),
		stream: s.Now().Format("2006/01/02") + "/[" + f.version() + "]" + strings.ReplaceAll(s.UUID(), "-", ""),
	}
	// bootstrap is started by its absolute path, in the folder of the code.
	path, err := filepath.Abs(filepath.Join(dir, "bootstrap"))
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	env.cmd = exec.Command(path)
	env.cmd.Dir = filepath.Dir(path)
	env.cmd.SysProcAttr = processAttributes()
	env.cmd.Env = []string{
		"AWS_ACCESS_KEY_ID=" + key, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_SESSION_TOKEN=" + token,
		"AWS_REGION=" + p.c.Region, "AWS_DEFAULT_REGION=" + p.c.Region, "AWS_ENDPOINT_URL=" + p.c.Endpoint,
		"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(),
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name, "AWS_LAMBDA_FUNCTION_VERSION=" + f.version(),
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.MemoryMB), "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=" + f.LogGroup, "AWS_LAMBDA_LOG_STREAM_NAME=" + env.stream, "AWS_LAMBDA_LOG_FORMAT=" + f.LogFormat,
		"_HANDLER=" + f.Handler, "LAMBDA_TASK_ROOT=" + env.cmd.Dir, "LAMBDA_RUNTIME_DIR=/var/runtime",
		"AWS_EXECUTION_ENV=AWS_Lambda_" + f.Runtime, "TZ=:UTC", "LANG=en_US.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin",
	}
	for _, k := range slices.Sorted(maps.Keys(f.Env)) {
		v := f.Env[k]
		env.cmd.Env = append(env.cmd.Env, k+"="+v)
	}
	out, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	env.cmd.Stdout, env.cmd.Stderr = w, w
	if err := env.cmd.Start(); err != nil {
		_ = w.Close()
		_ = out.Close()
		_ = listener.Close()
		env.isDead = true
		env.initFail = &FunctionError{Type: "Runtime.InvalidEntrypoint", Message: fmt.Sprintf("RequestId: %s Error: Couldn't find valid bootstrap(s): %v", s.UUID(), err)}
		return env, nil
	}
	_ = w.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", env.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", env.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", env.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", env.serveInitError)
	env.server = &http.Server{Handler: mux}
	s.Go("lambda runtime API of "+f.Name, func() {
		if err := env.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.Failed("lambda runtime API of "+f.Name, err)
		}
	})
	s.Go("lambda output of "+f.Name, func() { env.readOutput(out) })
	s.Go("lambda process of "+f.Name, func() {
		err := env.cmd.Wait()
		_ = env.server.Close()
		env.ended(err)
		p.forget(env)
	})
	return env, nil
}

func (e *environment) dead() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.isDead
}

func (e *environment) kill() {
	e.mu.Lock()
	was := e.isDead
	e.isDead = true
	e.mu.Unlock()
	if !was && e.cmd.Process != nil {
		_ = e.cmd.Process.Kill()
	}
}

// forget drops a dead environment from what Close has to end.
func (p *Process) forget(e *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, e)
}

// run gives the environment an invocation and waits for its end. retry says
// that the process had died before it took the invocation, through no fault of
// the function.
func (e *environment) run(ctx context.Context, inv Invocation) (result Result, retry bool, err error) {
	e.mu.Lock()
	if e.initFail != nil {
		defer e.mu.Unlock()
		return failed(e.initFail, e.stream), false, nil
	}
	if e.isDead {
		e.mu.Unlock()
		return Result{}, true, nil
	}
	w := &work{inv: inv, handed: e.p.c.Scheduler.NewGate(), done: e.p.c.Scheduler.NewGate()}
	e.work = w
	for _, line := range e.held {
		inv.Log(line)
	}
	e.held = nil
	if e.next != nil {
		e.next.Open()
		e.next = nil
	}
	e.mu.Unlock()
	if err = e.within(ctx, max(e.f.Timeout, initLimit), w.handed); err == nil {
		err = e.within(ctx, e.f.Timeout, w.done)
	}
	if err != nil {
		e.kill()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = w
	if e.work == w {
		e.work = nil
	}
	if err != nil && !w.ended {
		return Result{Stream: e.stream, Began: w.began}, false, err
	}
	w.result.Began = w.began
	return w.result, false, nil
}

// within waits for a gate; ErrTimedOut once d has passed.
func (e *environment) within(ctx context.Context, d time.Duration, g *scheduler.Gate) error {
	limited, cancel := e.p.c.Scheduler.WithTimeout(ctx, d)
	defer cancel()
	err := g.Wait(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return ErrTimedOut
	}
	return err
}

// finish ends the current invocation; e.mu is held.
func (e *environment) finish(w *work, r Result) {
	if w.ended {
		return
	}
	w.ended = true
	r.Stream = e.stream
	w.result = r
	w.handed.Open()
	w.done.Open()
}

// ended notes the end of the process.
func (e *environment) ended(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isDead = true
	status := "exit status 0"
	if err != nil {
		status = err.Error()
	}
	if w := e.work; w != nil {
		failure := e.initFail
		if failure == nil {
			failure = &FunctionError{Type: "Runtime.ExitError", Message: fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", w.inv.RequestID, status)}
		}
		e.finish(w, failed(failure, e.stream))
	}
	if e.next != nil {
		e.next.Open()
		e.next = nil
	}
}

func (e *environment) readOutput(out io.ReadCloser) {
	defer func() { _ = out.Close() }()
	r := bufio.NewReaderSize(out, 64<<10)
	for {
		text, err := r.ReadString('\n')
		if text = strings.TrimRight(text, "\r\n"); text != "" {
			e.print(text)
		}
		if err != nil {
			return
		}
	}
}

func (e *environment) print(text string) {
	line := LogLine{Stream: e.stream, Time: e.p.c.Scheduler.Now(), Text: text}
	e.mu.Lock()
	w := e.work
	if w == nil {
		// The pipe is read beside the Runtime API: the end of what an
		// invocation printed may come after its answer.
		w = e.last
	}
	if w == nil {
		if len(e.held) < 1000 {
			e.held = append(e.held, line)
		}
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	w.inv.Log(line)
}

// Headers of the Runtime API.
const (
	headerRequestID = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline  = "Lambda-Runtime-Deadline-Ms"
	headerARN       = "Lambda-Runtime-Invoked-Function-Arn"
	headerTrace     = "Lambda-Runtime-Trace-Id"
)

func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.asked = true
	for e.work == nil || e.work.taken {
		if e.isDead {
			e.mu.Unlock()
			http.Error(w, "the environment is shut down", http.StatusGone)
			return
		}
		gate := e.p.c.Scheduler.NewGate()
		e.next = gate
		e.mu.Unlock()
		if err := gate.Wait(r.Context()); err != nil {
			return
		}
		e.mu.Lock()
	}
	e.work.taken, e.work.began = true, e.p.c.Scheduler.Now()
	inv, deadline := e.work.inv, e.work.began.Add(e.f.Timeout)
	e.work.handed.Open()
	e.mu.Unlock()
	h := w.Header()
	h.Set(headerRequestID, inv.RequestID)
	h.Set(headerDeadline, strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set(headerARN, inv.FunctionARN)
	h.Set(headerTrace, "Root=1-"+strconv.FormatInt(e.started.Unix(), 16)+"-"+strings.ReplaceAll(inv.RequestID, "-", "")[:24]+";Sampled=0")
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(inv.Payload)
}

// current returns the invocation of that id if it runs now.
func (e *environment) current(id string) *work {
	if e.work == nil || !e.work.taken || e.work.inv.RequestID != id {
		return nil
	}
	return e.work
}

func (e *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	e.take(w, r, func(inv Invocation, body []byte) Result {
		if len(body) > maxSyncPayload {
			return failed(&FunctionError{
				Type:    "Function.ResponseSizeTooLarge",
				Message: fmt.Sprintf("Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes).", len(body), maxSyncPayload),
			}, e.stream)
		}
		return Result{Payload: body}
	})
}

func (e *environment) serveError(w http.ResponseWriter, r *http.Request) {
	e.take(w, r, func(inv Invocation, body []byte) Result {
		failure := parseError(r, body)
		if json.Valid(body) {
			return Result{Payload: body, Failure: failure}
		}
		return failed(failure, e.stream)
	})
}

func parseError(r *http.Request, body []byte) *FunctionError {
	failure := &FunctionError{}
	if err := json.Unmarshal(body, failure); err != nil || failure.Type == "" {
		failure.Type = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	return failure
}

// take reads an answer of the runtime and ends the invocation with it.
func (e *environment) take(w http.ResponseWriter, r *http.Request, result func(Invocation, []byte) Result) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSyncPayload+1))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	work := e.current(r.PathValue("id"))
	if work == nil {
		e.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`)
		return
	}
	e.mu.Unlock()
	res := result(work.inv, body)
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
	e.mu.Lock()
	e.finish(work, res)
	e.mu.Unlock()
}

func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSyncPayload))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.initFail = parseError(r, body)
	if e.work != nil {
		e.finish(e.work, failed(e.initFail, e.stream))
	}
	e.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}
