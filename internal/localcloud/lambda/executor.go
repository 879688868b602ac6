package lambda

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// Credentials issues temporary credentials for an identity.
type Credentials interface {
	Issue(ctx context.Context, id awsapi.Identity, ttl time.Duration) (accessKeyID, secret,
		sessionToken string, err error)
}

// Life of execution environments.
const (
	credentialsFor = 12 * time.Hour
	environmentAge = 6 * time.Hour // then an environment is replaced, well before its credentials end
	// initLimit is how long a process may take to ask for its first invocation,
	// which is no part of the function's timeout. One that takes longer is ended,
	// and another started within that timeout (developer guide, "Lambda execution
	// environment", 2026-11). At most maxStarting processes begin at once, so that
	// a busy machine keeps to the limit.
	initLimit = 10 * time.Second
	// memoryPause is how often the memory of a process is looked at.
	memoryPause = 200 * time.Millisecond
)

// maxStarting is how many processes begin at once.
var maxStarting = max(4, 2*runtime.NumCPU())

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

	initLimit time.Duration
	starting  int // processes that have not asked for an invocation yet
	turns     []*turn
	strays    []string // Runtime APIs of ended environments that may have left processes behind
	sweeps    bool     // somebody looks for these
}

// turn is a process that waits for its turn to begin.
type turn struct {
	gate *scheduler.Gate
	gone bool
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
	return &Process{c: c, pools: map[string]*pool{}, all: map[*environment]bool{}, queued: map[string]int{},
		initLimit: initLimit}
}

// Invoke implements Executor.
func (p *Process) Invoke(ctx context.Context, f Function, inv Invocation) (Result, error) {
	late := false // a process has not started in time: the next one starts within the function's timeout
	for {
		env, err := p.acquire(ctx, f, inv)
		if err != nil {
			return Result{}, err
		}
		result, retry, err := env.run(ctx, inv, late)
		p.release(f, env)
		late = late || errors.Is(err, errSlowStart)
		if !retry {
			return result, err
		}
	}
}

// errSlowStart is the error of an environment that did not start in time.
var errSlowStart = errors.New("lambda: the environment took too long to start")

// awaitTurn waits until a process may begin; done is called once it has.
func (p *Process) awaitTurn(ctx context.Context) (done func(), err error) {
	var once sync.Once
	done = func() { once.Do(p.nextTurn) }
	p.mu.Lock()
	if p.starting < maxStarting {
		p.starting++
		p.mu.Unlock()
		return done, nil
	}
	t := &turn{gate: p.c.Scheduler.NewGate()}
	p.turns = append(p.turns, t)
	p.mu.Unlock()
	err = t.gate.Wait(ctx)
	p.mu.Lock()
	t.gone = true
	opened, closed := t.gate.Opened(), p.closed
	p.mu.Unlock()
	if err == nil && closed {
		err = errClosed
	}
	if err != nil && opened {
		done()
	}
	return done, err
}

// nextTurn lets the next process begin.
func (p *Process) nextTurn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.turns) > 0 {
		t := p.turns[0]
		p.turns = p.turns[1:]
		if !t.gone {
			t.gate.Open()
			return
		}
	}
	p.starting--
}

// endStrays ends the processes that an ended environment has left behind outside its group. Those of many environments
// that end together are looked for together.
func (p *Process) endStrays(api string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strays = append(p.strays, api)
	if p.sweeps {
		return
	}
	p.sweeps = true
	for len(p.strays) > 0 {
		apis := p.strays
		p.strays = nil
		p.mu.Unlock()
		p.c.Scheduler.Failed("lambda: end what environments have left behind", killStrays(apis))
		p.mu.Lock()
	}
	p.sweeps = false
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
	env.idleTimer = p.c.Scheduler.After(p.c.IdleFor, "idle lambda environment of "+f.Name, func() {
		p.endIdle(po, env)
	})
	p.mu.Unlock()
}

// endIdle ends an environment that was idle for too long.
func (p *Process) endIdle(po *pool, env *environment) {
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

// End ends the environment that was given an access key, as when its machine
// fails. It reports whether there is one, and at work.
func (p *Process) End(accessKey string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for env := range p.all {
		if env.accessKey == accessKey && env.atWork() {
			env.kill()
			return true
		}
	}
	return false
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
	for _, t := range p.turns {
		t.gate.Open()
	}
	p.turns = nil
	for env := range p.all { // those at work: their invocations end with the process
		env.kill()
	}
	clear(p.all)
}
