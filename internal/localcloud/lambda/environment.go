package lambda

import (
	"context"
	"errors"
	"fmt"
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

// environment is one process and its Runtime API.
type environment struct {
	p         *Process
	f         Function
	pool      *pool
	stream    string
	accessKey string
	started   time.Time
	cmd       *exec.Cmd
	server    *http.Server
	output    *pipe
	idleTimer *scheduler.Timer

	mu       sync.Mutex
	isDead   bool
	work     *work           // assigned invocation
	last     *work           // the one before; what is printed late is its own
	next     *scheduler.Gate // opened when work is assigned; nil if nobody asks
	asked    bool            // the runtime has asked for its first invocation
	began    func()          // the process has begun, or never will
	startup  time.Duration   // until it asked; told once
	held     []LogLine       // printed before the first invocation
	heldSize int
	most     int64 // bytes of memory that were seen
	initFail *FunctionError
}

// runtimeAPI is the variable that tells a runtime the address of its Runtime API.
const runtimeAPI = "AWS_LAMBDA_RUNTIME_API"

// maxHeld is how much is kept of what a process prints before its first invocation.
const maxHeld = 1 << 20

// work is the invocation that an environment has.
type work struct {
	inv    Invocation
	handed *scheduler.Gate // to the runtime, or over without that
	done   *scheduler.Gate
	began  time.Time // when it was handed to the runtime
	result Result
	taken  bool // handed to the runtime
	ended  bool
	memory *scheduler.Timer // looks at the memory of the process
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
	// environment can reach it. Here each has a port of its own, and a path that
	// nobody else knows.
	began, err := p.awaitTurn(ctx)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		began()
		return nil, fmt.Errorf("lambda: listen for the Runtime API: %w", err)
	}
	env := &environment{
		p: p, f: f, pool: po, started: s.Now(), accessKey: key, began: began,
		stream: s.Now().Format("2006/01/02") + "/[" + f.version() + "]" + strings.ReplaceAll(s.UUID(), "-", ""),
	}
	// bootstrap is started by its absolute path, in the folder of the code.
	path, err := filepath.Abs(filepath.Join(dir, "bootstrap"))
	if err != nil {
		began()
		return nil, errors.Join(err, listener.Close())
	}
	own := "/" + strings.ReplaceAll(s.UUID(), "-", "")
	api := listener.Addr().String() + own
	env.cmd = exec.Command(path)
	env.cmd.Dir = filepath.Dir(path)
	env.cmd.SysProcAttr = processAttributes()
	env.cmd.Env = []string{
		"AWS_ACCESS_KEY_ID=" + key, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_SESSION_TOKEN=" + token,
		"AWS_REGION=" + p.c.Region, "AWS_DEFAULT_REGION=" + p.c.Region, "AWS_ENDPOINT_URL=" + p.c.Endpoint,
		runtimeAPI + "=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name, "AWS_LAMBDA_FUNCTION_VERSION=" + f.version(),
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.MemoryMB), "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=" + f.LogGroup, "AWS_LAMBDA_LOG_STREAM_NAME=" + env.stream,
		"AWS_LAMBDA_LOG_FORMAT=" + f.LogFormat,
		"_HANDLER=" + f.Handler, "LAMBDA_TASK_ROOT=" + env.cmd.Dir, "LAMBDA_RUNTIME_DIR=/var/runtime",
		"AWS_EXECUTION_ENV=AWS_Lambda_" + f.Runtime, "TZ=:UTC", "LANG=en_US.UTF-8",
		"PATH=/usr/local/bin:/usr/bin:/bin",
	}
	for _, k := range slices.Sorted(maps.Keys(f.Env)) {
		v := f.Env[k]
		env.cmd.Env = append(env.cmd.Env, k+"="+v)
	}
	out, w, err := os.Pipe()
	if err != nil {
		began()
		return nil, errors.Join(err, listener.Close())
	}
	env.cmd.Stdout, env.cmd.Stderr = w, w
	if err := env.cmd.Start(); err != nil {
		_ = w.Close()
		_ = out.Close()
		_ = listener.Close()
		began()
		env.isDead = true
		env.initFail = &FunctionError{Type: "Runtime.InvalidEntrypoint",
			Message: fmt.Sprintf("RequestId: %s Error: Couldn't find valid bootstrap(s): %v", s.UUID(), err)}
		return env, nil
	}
	_ = w.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", env.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", env.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", env.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", env.serveInitError)
	env.server = &http.Server{Handler: onlyFor(listener.Addr().String(), own, mux)}
	s.Go("lambda runtime API of "+f.Name, func() {
		if err := env.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.Failed("lambda runtime API of "+f.Name, err)
		}
	})
	env.output = &pipe{file: out, cut: lines{line: env.print}}
	s.Go("lambda output of "+f.Name, env.output.follow)
	s.Go("lambda process of "+f.Name, func() {
		err := env.cmd.Wait()
		s.Failed("lambda process of "+f.Name, killAll(env.cmd)) // what it has left behind
		began()
		_ = env.server.Close()
		env.ended(err)
		p.removeEnvironment(env)
		p.endStrays(api)
	})
	return env, nil
}

func (e *environment) dead() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.isDead
}

func (e *environment) atWork() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.work != nil && e.work.taken
}

func (e *environment) kill() {
	e.mu.Lock()
	was := e.isDead
	e.isDead = true
	e.mu.Unlock()
	if !was && e.cmd.Process != nil {
		e.p.c.Scheduler.Failed("lambda process of "+e.f.Name, killAll(e.cmd))
	}
}

// removeEnvironment drops a dead environment from what Close has to end.
func (p *Process) removeEnvironment(e *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, e)
}

// run gives the environment an invocation and waits for its end. retry says
// that the process had died before it took the invocation, through no fault of
// the function, or that it did not start in time (errSlowStart); late says that
// the start counts as part of the invocation.
func (e *environment) run(ctx context.Context, inv Invocation, late bool) (result Result, retry bool, err error) {
	s := e.p.c.Scheduler
	e.readRest() // is of the invocation before
	e.mu.Lock()
	if e.initFail != nil {
		defer e.mu.Unlock()
		return failed(e.initFail, e.stream), false, nil
	}
	if e.isDead {
		e.mu.Unlock()
		return Result{}, true, nil
	}
	w := &work{inv: inv, handed: s.NewGate(), done: s.NewGate()}
	e.work = w
	starts, limit := !e.asked, max(e.f.Timeout, e.p.initLimit)
	held := e.held
	e.held, e.heldSize = nil, 0
	if e.next != nil {
		e.next.Open()
		e.next = nil
	}
	e.watch(w)
	e.mu.Unlock()
	for _, line := range held {
		inv.Log(line)
	}
	if starts && late {
		w.began, limit = e.started, e.f.Timeout
	} else if starts {
		limit = e.p.initLimit
	}
	if starts {
		limit -= s.Now().Sub(e.started)
	}
	if err = e.within(ctx, limit, w.handed); err == nil {
		limit = e.f.Timeout
		if starts && late {
			limit -= s.Now().Sub(e.started)
		}
		// It runs to its end, also if its caller goes away.
		err = e.within(context.WithoutCancel(ctx), limit, w.done)
	} else if starts && errors.Is(err, ErrTimedOut) {
		e.reportStart(w, late)
		if !late {
			err, retry = errSlowStart, true
		}
	}
	over := false
	if err != nil {
		// From here on the end of the process is our doing, and not how the invocation ends.
		e.mu.Lock()
		over, w.ended = w.ended, true
		e.mu.Unlock()
	}
	if err == nil && w.result.OutOfMemory || err != nil {
		e.kill()
	}
	most := mostMemoryOf(e.pid())
	e.readRest()
	e.mu.Lock()
	defer e.mu.Unlock()
	w.memory.Stop()
	e.last = w
	if e.work == w {
		e.work = nil
	}
	e.most = max(e.most, most)
	if err != nil && !over {
		return Result{Stream: e.stream, Began: w.began, Memory: e.most}, retry, err
	}
	w.result.Began, w.result.Memory = w.began, e.most
	if !late {
		w.result.Init = e.startup
	}
	e.startup = 0
	return w.result, false, nil
}

// reportStart tells in the log that the environment did not start in time.
func (e *environment) reportStart(w *work, late bool) {
	s := e.p.c.Scheduler
	phase := "init"
	if late {
		phase = "invoke"
	}
	now := s.Now()
	w.inv.Log(LogLine{Stream: e.stream, Time: now, Text: fmt.Sprintf(
		"INIT_REPORT Init Duration: %.2f ms\tPhase: %s\tStatus: timeout", milliseconds(now.Sub(e.started)), phase)})
}

func (e *environment) pid() int {
	if e.cmd.Process == nil {
		return 0
	}
	return e.cmd.Process.Pid
}

// watch ends the environment if it uses more memory than the function has; e.mu
// is held.
func (e *environment) watch(w *work) {
	w.memory = e.p.c.Scheduler.After(memoryPause, "lambda memory of "+e.f.Name, func() {
		now := memoryOf(e.pid())
		e.mu.Lock()
		defer e.mu.Unlock()
		e.most = max(e.most, now)
		switch {
		case w.ended || e.isDead || e.work != w:
		case now > int64(e.f.MemoryMB)<<20:
			r := failed(&FunctionError{Type: "Runtime.ExitError",
				Message: "RequestId: " + w.inv.RequestID + " Error: Runtime exited with error: signal: killed"},
				e.stream)
			r.OutOfMemory = true
			e.finish(w, r)
		default:
			e.watch(w)
		}
	})
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
			failure = &FunctionError{Type: "Runtime.ExitError",
				Message: fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", w.inv.RequestID, status)}
		}
		e.finish(w, failed(failure, e.stream))
	}
	if e.next != nil {
		e.next.Open()
		e.next = nil
	}
}

// readRest reads what the process has printed by now.
func (e *environment) readRest() {
	if e.output != nil { // else there is no process
		e.output.rest()
	}
}

func (e *environment) print(text string) {
	line := LogLine{Stream: e.stream, Time: e.p.c.Scheduler.Now(), Text: text}
	e.mu.Lock()
	w := e.work
	if w == nil {
		w = e.last // it was printed after the answer
	}
	if w == nil {
		if size := len(text) + eventOverhead; e.heldSize+size <= maxHeld {
			e.held, e.heldSize = append(e.held, line), e.heldSize+size
		}
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	w.inv.Log(line)
}
