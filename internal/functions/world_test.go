package functions

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
	"github.com/fleetstep/fleetstep/proto/uspmsg"
	"github.com/fleetstep/fleetstep/proto/usprecord"
	"github.com/fleetstep/fleetstep/statemachines"
)

// world plays the committed state machine, the handlers and scripted agents in
// virtual time, one thing at a time, in an order that the seed decides.
type world struct {
	t       testing.TB
	now     time.Time
	rand    *rand.Rand
	ready   []func()
	timers  []timer
	store   *workflowtest.Store
	machine map[string]aslState
	execs   map[string]*execution
	tokens  map[event.TaskToken]*execution
	status  map[string]event.JobStatus // job executions: thing/job/number
	outcome map[event.ThingName]event.Outcome
	// documents are those of job executions that are offered; the name of one that is
	// lost never comes.
	documents map[string]json.RawMessage
	lost      bool
	found     int // how often an attempt was asked for, and was there
	agents    map[event.ThingName]*agent
	devices   *deviceMessages
	steps     *workflow.Steps
	offers    *workflow.Starter
	ender     *workflow.Ender
	finish    *jobs.Finisher
	topics    device.Topics
	refused   int
	things    map[event.ThingName]event.EndpointID // what the registry says

	doubled   bool // messages and invocations may happen twice
	mixed     bool // handlers take turns at every request that they make
	crashes   int  // so many requests fail, before or after they did their work
	current   *turn
	worst     int // requests to the store of one device message, but those for flags
	flags     int // reads of flags so far: one for each attempt or command that begins
	queue     []event.DeviceMessage
	published []event.Outcome
	told      []event.DomainEvent

	invocations int
	releaser    *workflow.Releaser
	parker      *workflow.Parker
	ticker      *workflow.Ticker
	ticking     bool
}

// Announce implements workflow.Announcer.
func (w *world) Announce(_ context.Context, e event.DomainEvent) { w.told = append(w.told, e) }

// turn is a handler that runs until its next request.
type turn struct {
	resume chan struct{}
	paused chan bool // true when it is over
}

// handler has a function of ours run, mixed with others if the world is.
func (w *world) handler(f func()) {
	if !w.mixed {
		w.soon(f)
		return
	}
	c := &turn{make(chan struct{}), make(chan bool)}
	go func() {
		<-c.resume
		f()
		c.paused <- true
	}()
	var step func()
	step = func() {
		w.current = c
		c.resume <- struct{}{}
		over := <-c.paused
		w.current = nil
		if !over {
			w.soon(step)
		}
	}
	w.soon(step)
}

// pause lets others go first.
func (w *world) pause() {
	if c := w.current; c != nil {
		c.paused <- false
		<-c.resume
	}
}

// crash fails a request now and then.
func (w *world) crash() error {
	if w.crashes > 0 && w.rand.IntN(12) == 0 {
		w.crashes--
		return workflowtest.ErrCrash
	}
	return nil
}

type timer struct {
	at time.Time
	n  int
	f  func()
}

type aslState struct {
	Type, Next, Resource string
	Arguments            json.RawMessage
	Output               any
	Retry                []struct {
		ErrorEquals []string
		MaxAttempts int
	}
	Catch []struct {
		ErrorEquals []string
		Next        string
	}
}

type execution struct {
	name     string
	input    event.ExecutionInput
	timeouts upgrade.StepTimeouts
	started  time.Time
	state    string
	data     map[string]any
	token    event.TaskToken
	tries    map[string]int
	visits   []string
	over     string // "" while it runs
	serial   int
}

func timeoutsOf(t testing.TB, in event.ExecutionInput) (out upgrade.StepTimeouts) {
	if err := json.Unmarshal(in.Timeouts, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

const controllerID = usp.EndpointID("self::fleetstep")

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{
		t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), rand: rand.New(rand.NewPCG(seed, 1)),
		store: &workflowtest.Store{}, execs: map[string]*execution{}, tokens: map[event.TaskToken]*execution{},
		status: map[string]event.JobStatus{}, outcome: map[event.ThingName]event.Outcome{},
		agents: map[event.ThingName]*agent{},
		things: map[event.ThingName]event.EndpointID{}, documents: map[string]json.RawMessage{},
		topics: device.Topics{Agent: "usp/v1/agent/{thing}",
			Controller: "usp/v1/controller/{controller}/from/{thing}"},
	}
	var m struct{ States map[string]aslState }
	if err := json.Unmarshal([]byte(statemachines.FirmwareUpgrade), &m); err != nil {
		t.Fatal(err)
	}
	w.machine = m.States
	w.store.Before = func(op string) error {
		if op == "Flags" {
			w.flags++
		}
		w.pause()
		return w.crash()
	}
	w.store.After = func(op string) error {
		switch op {
		case "Park", "Postpone", "SetFlag":
			w.clock()
		}
		return w.crash()
	}
	now := func() time.Time { return w.now }
	env := Vars(map[string]string{}, io.Discard)
	p := &parts{env: env, now: now}
	q := newParts(context.Background(), env, p.cfg, now)
	q.emf.w = writer(func(b []byte) {
		if strings.Contains(string(b), metrics.RefusedRecords) {
			w.refused++
		}
	})
	flows, err := event.NewFlows(upgrade.New(event.EndpointID(controllerID)))
	q.failed(err)
	w.steps, err = workflow.NewSteps(workflow.StepsPorts{Store: w.store, Controls: w.store, Callback: w, Sender: w,
		Announce: w, Models: w, Flows: flows, Now: now})
	q.failed(err)
	w.offers, err = workflow.NewStarter(workflow.StarterPorts{Store: w.store, Controls: w.store, Machine: w,
		Orders: orders{w, slog.New(slog.DiscardHandler)}, Reports: reports{q, w, flows}, Registry: w, Announce: w,
		Flows: flows, Now: now, Who: w.who})
	q.failed(err)
	w.ender, err = workflow.NewEnder(workflow.EnderPorts{Store: w.store, Machine: w,
		Orders: orders{w, slog.New(slog.DiscardHandler)}, Reports: reports{q, w, flows}, Now: now, Who: w.who})
	q.failed(err)
	inbox, err := workflow.NewInbox(workflow.InboxPorts{
		Store: w.store, Controls: w.store, Callback: w, Registry: w, Sender: w, Announce: w, Starter: w.offers,
		Flows: flows, Now: now,
		Parallel: func(n int, do func(i int)) {
			for i := range n {
				do(i)
			}
		},
	})
	q.failed(err)
	if err := q.err("world"); err != nil {
		t.Fatal(err)
	}
	w.releaser = &workflow.Releaser{Store: w.store, Flows: flows, Now: now}
	w.parker = &workflow.Parker{Store: w.store, Now: now}
	w.ticker, err = workflow.NewTicker(workflow.TickerPorts{Ticks: w.store, Controls: w.store, Waker: w,
		Store:   w.store,
		Backlog: w, Stops: w, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	w.finish = &jobs.Finisher{Executions: w, Registry: w, Outcomes: w, Flows: flows, Now: now}
	w.devices = &deviceMessages{parts: q, controller: controllerID, topics: w.topics, inbox: inbox}
	return w
}

// Address is where every image is.
func (w *world) Address(context.Context, device.File) (string, error) {
	return "https://example.com/image?signature=secret", nil
}

type writer func([]byte)

func (f writer) Write(b []byte) (int, error) { f(b); return len(b), nil }

func (w *world) soon(f func()) { w.ready = append(w.ready, f) }

func (w *world) after(d time.Duration, f func()) {
	w.timers = append(w.timers, timer{w.now.Add(d), len(w.timers), f})
}

// run plays until nothing is left to do.
func (w *world) run() {
	for step := 0; step < 20000; step++ {
		w.now = w.now.Add(time.Millisecond)
		if len(w.ready) > 0 {
			i := w.rand.IntN(len(w.ready))
			f := w.ready[i]
			w.ready = slices.Delete(w.ready, i, i+1)
			f()
			continue
		}
		if len(w.timers) == 0 {
			return
		}
		sort.SliceStable(w.timers, func(i, j int) bool { return w.timers[i].at.Before(w.timers[j].at) })
		next := w.timers[0]
		w.timers = w.timers[1:]
		if next.at.After(w.now) {
			w.now = next.at
		}
		next.f()
	}
	w.t.Fatal("the world does not come to rest")
}

// The state machine.

func (w *world) Start(_ context.Context, in event.ExecutionInput) (time.Time, error) {
	w.pause()
	name := in.Execution
	if x, ok := w.execs[name]; ok {
		if x.over != "" {
			return time.Time{}, workflow.ErrPlayed
		}
		return x.started, nil
	}
	x := &execution{name: name, input: in, timeouts: timeoutsOf(w.t, in), started: w.now, data: map[string]any{},
		tries: map[string]int{}}
	w.execs[name] = x
	w.soon(func() { w.enter(x, "Inspect") })
	return x.started, nil
}

func (w *world) Look(_ context.Context, _ event.Operation, name string) (workflow.ExecutionStatus, error) {
	x, ok := w.execs[name]
	s := workflow.ExecutionStatus{Known: ok, Running: ok && x.over == ""}
	if ok {
		if told, stopped := strings.CutPrefix(x.over, "ABORTED "); stopped {
			s.Stopped = event.Failf(event.ErrorName(told), "")
		}
	}
	return s, nil
}

// StoppedSince finds what the tick's sweep does not: nothing, in these stories.
func (w *world) StoppedSince(context.Context, time.Time) ([]workflow.Stop, error) { return nil, nil }

func (w *world) Stop(_ context.Context, _ event.Operation, name string, f event.Failure) error {
	if x, ok := w.execs[name]; ok && x.over == "" {
		x.over = "ABORTED " + string(f.Name)
		delete(w.tokens, x.token)
	}
	return nil
}

func (w *world) enter(x *execution, state string) {
	if x.over != "" {
		return
	}
	x.visits = append(x.visits, state)
	x.state, x.tries = state, map[string]int{}
	if len(x.visits) > 40 {
		w.t.Fatalf("%s runs in circles: %v", x.name, x.visits)
	}
	s := w.machine[state]
	switch {
	case s.Type == "Wait":
		w.after(time.Duration(x.timeouts.SoakSeconds)*time.Second, func() {
			x.data["soaked"] = true
			w.enter(x, s.Next)
		})
	case state == "Finalize", state == "FinalizeFailed":
		w.finalize(x)
	default:
		w.attempt(x)
	}
}

var stepName = regexp.MustCompile(`'step': '([A-Z]+)'`)

func (w *world) attempt(x *execution) {
	state := x.state
	s := w.machine[state]
	x.serial++
	token := event.TaskToken(fmt.Sprintf("%s/%d", x.name, x.serial))
	delete(w.tokens, x.token)
	x.token = token
	w.tokens[token] = x
	seconds := x.timeouts.AnswerSeconds
	document := map[string]any{
		"step": stepName.FindStringSubmatch(string(s.Arguments))[1], "taskToken": token, "input": x.input,
	}
	maps.Copy(document, x.data)
	in := event.StepInput{}
	w.into(document, &in)
	var results struct{ Download, Activate *upgrade.Accepted }
	w.into(x.data, &results)
	switch state {
	case "AwaitReport":
		if results.Activate != nil {
			seconds = results.Activate.ReportSeconds
		} else {
			seconds = results.Download.ReportSeconds
		}
	case "Rollback":
		seconds = x.timeouts.RollbackSeconds
	}
	w.after(time.Duration(seconds)*time.Second, func() { w.end(token, "States.Timeout", "") })
	w.twice(func() {
		if _, err := w.steps.Await(context.Background(), in); err != nil {
			var lambda messages.InvokeResponse_Error
			if !errors.As(named(err), &lambda) {
				w.t.Fatal(err)
			}
			w.end(token, lambda.Type, lambda.Message)
		}
	})
}

func (w *world) twice(f func()) {
	w.handler(f)
	if w.doubled && w.rand.IntN(2) == 0 {
		w.handler(f)
	}
}

// again runs an asynchronous invocation until it succeeds, as Lambda does.
func (w *world) again(f func(context.Context) error) {
	w.invocations++
	ctx := context.WithValue(context.Background(), invocation{}, fmt.Sprint(w.invocations))
	var try func()
	try = func() {
		err := f(ctx)
		if err == nil {
			return
		}
		passes := func(e error) bool { return strings.Contains(err.Error(), e.Error()) }
		if !passes(workflow.ErrAgain) && !passes(workflow.ErrEnding) && !passes(workflowtest.ErrCrash) {
			w.t.Fatal(err)
		}
		w.after(time.Minute, func() { w.handler(try) })
	}
	try()
}

// invocation is the key of an invocation's name in its context.
type invocation struct{}

func (w *world) who(ctx context.Context) string { return ctx.Value(invocation{}).(string) }

// end ends the task of a token by an error, with the state's Retry and Catch.
func (w *world) end(token event.TaskToken, name, cause string) bool {
	x, ok := w.tokens[token]
	if !ok || x.over != "" {
		return false
	}
	delete(w.tokens, token)
	s := w.machine[x.state]
	for _, r := range s.Retry {
		if slices.Contains(r.ErrorEquals, name) && x.tries[r.ErrorEquals[0]] < r.MaxAttempts {
			x.tries[r.ErrorEquals[0]]++
			w.after(time.Second, func() {
				if x.over == "" {
					w.attempt(x)
				}
			})
			return true
		}
	}
	for _, c := range s.Catch {
		if !slices.Contains(c.ErrorEquals, name) && c.ErrorEquals[0] != "States.ALL" {
			continue
		}
		switch {
		case name == string(event.NextPark):
			x.data["park"] = w.parse(cause)
		case x.state == "Rollback":
			x.data["failure"] = map[string]any{"state": x.state, "error": "Rollback.Failed", "cause": name +
				" " + cause}
		case c.Next == "Finalize" || c.Next == "FinalizeFailed" || c.Next == "Rollback":
			x.data["failure"] = map[string]any{"state": x.state, "error": name, "cause": cause}
		case name == string(upgrade.NextVerify):
			w.into(w.parse(cause), &x.data)
			x.data["soaked"] = true
		case c.Next == "Verify":
			x.data["overdue"] = true
		case x.state == "Inspect": // to Activate
			x.data["inspect"] = w.parse(cause)
		}
		next := c.Next
		w.soon(func() { w.enter(x, next) })
		return true
	}
	w.t.Fatalf("%s: nobody catches %s", x.state, name)
	return false
}

func (w *world) parse(text string) (v any) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		w.t.Fatalf("%q: %v", text, err)
	}
	return v
}

// clock ticks every minute for as long as there is something to wait for.
func (w *world) clock() {
	if w.ticking {
		return
	}
	w.ticking = true
	w.after(time.Minute, func() {
		w.ticking = false
		w.handler(func() {
			_, err := w.ticker.Tick(context.Background(), "tick", time.Time{})
			if err != nil && !errors.Is(err, workflow.ErrLeased) && !errors.Is(err, workflowtest.ErrCrash) {
				w.t.Fatal(err)
			}
		})
		if w.store.Waiting() {
			w.clock()
		}
	})
}

// control sets the flag of the job, as a function that is called again when it crashes.
func (w *world) control(state event.ControlState) {
	c := workflow.Controller{Controls: w.store, Now: func() time.Time { return w.now }}
	for {
		if _, _, err := c.Set(w.t.Context(), event.JobOwner("job"), state, "me", "a test"); err == nil {
			return
		}
	}
}

// Wake is the queue of starts.
func (w *world) Wake(_ context.Context, wakes []workflow.Wake) error {
	w.pause()
	for _, k := range wakes {
		w.after(k.After, func() {
			w.twice(func() {
				w.again(func(ctx context.Context) error {
					_, err := w.offers.Wake(ctx, k.Thing, k.Owner)
					return err
				})
			})
		})
	}
	return nil
}

var outputKey = regexp.MustCompile(`'([a-z]+)': \$states\.result`)

func (w *world) Succeed(_ context.Context, token event.TaskToken, output any) error {
	w.pause()
	x, ok := w.tokens[token]
	if !ok || x.over != "" {
		return workflow.ErrDeadToken
	}
	delete(w.tokens, token)
	s := w.machine[x.state]
	if k := outputKey.FindStringSubmatch(fmt.Sprint(s.Output)); k != nil {
		var v any
		w.into(output, &v)
		x.data[k[1]] = v
	}
	w.soon(func() { w.enter(x, s.Next) })
	return nil
}

func (w *world) Fail(_ context.Context, token event.TaskToken, f event.Failure) error {
	w.pause()
	if !w.end(token, string(f.Name), f.Detail) {
		return workflow.ErrDeadToken
	}
	return nil
}

func (w *world) Alive(_ context.Context, token event.TaskToken) error {
	if w.tokens[token] == nil {
		return workflow.ErrDeadToken
	}
	return nil
}

func (w *world) into(from, to any) {
	b, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) finalize(x *execution) {
	document := map[string]any{"input": x.input, "startedAt": x.started.Format(time.RFC3339Nano)}
	maps.Copy(document, x.data)
	in := event.FinalizeInput{}
	w.into(document, &in)
	w.twice(func() { // finalize is at least once, too
		tries := -1
		w.again(func(ctx context.Context) error {
			tries++
			if tries > 0 && strings.HasPrefix(x.over, "ABORTED") {
				return nil // the state is not tried again
			}
			if in.Park != nil {
				if _, _, err := w.parker.Park(ctx, x.input, *in.Park); err != nil {
					return err
				}
				x.over = "SUCCEEDED"
				return nil
			}
			d, owned, err := w.releaser.Release(ctx, in)
			if err != nil {
				return err
			}
			done, err := w.finish.Finish(ctx, in, d.State, owned || tries > 0)
			if err != nil {
				return err
			}
			if !done.Elsewhere {
				w.outcome[x.input.ThingName] = done.Outcome
			}
			if x.over == "" {
				x.over = "SUCCEEDED"
				if x.state == "FinalizeFailed" {
					x.over = "FAILED"
				}
			}
			return nil
		})
	})
}

// Job executions, registry, outcomes.

func executionKey(thing event.ThingName, job event.JobID, n int64) string {
	return fmt.Sprintf("%s/%s/%d", thing, job, n)
}

func (w *world) Cancel(_ context.Context, thing event.ThingName, job event.JobID, n int64, _ map[string]string) error {
	w.pause()
	k := executionKey(thing, job, n)
	if old, ok := w.status[k]; !ok || old.Terminal() {
		return jobs.ErrOver
	}
	w.status[k] = event.StatusCanceled
	return nil
}

func (w *world) Update(_ context.Context, thing event.ThingName, job event.JobID, n int64, status event.JobStatus,
	details map[string]string) error {
	w.pause()
	k := executionKey(thing, job, n)
	if old, ok := w.status[k]; !ok || old.Terminal() {
		return jobs.ErrOver
	}
	for name, v := range details {
		if len([]rune(v)) > 1024 || len(details) > 10 || strings.Contains(v, "signature=") {
			w.t.Errorf("detail %s: %q", name, v)
		}
	}
	w.status[k] = status
	return nil
}

func (w *world) Status(_ context.Context, thing event.ThingName, job event.JobID, n int64) (event.JobStatus, error) {
	s, ok := w.status[executionKey(thing, job, n)]
	if !ok {
		return "", jobs.ErrOver
	}
	return s, nil
}

// Next is the first job execution of a thing that is open.
func (w *world) Next(_ context.Context, thing event.ThingName) (*jobs.Next, error) {
	w.pause()
	for _, k := range slices.Sorted(maps.Keys(w.documents)) {
		if t, job, n := partsOf(w.t, k); t == thing && !w.status[k].Terminal() {
			w.found++
			return &jobs.Next{Job: job, Number: n, Document: w.documents[k]}, w.crash()
		}
	}
	return nil, w.crash()
}

// Open is what is open of all things, in one page.
func (w *world) Open(context.Context, string, int) (page []workflow.Open, next string, err error) {
	w.pause()
	for _, k := range slices.Sorted(maps.Keys(w.documents)) {
		if t, job, _ := partsOf(w.t, k); !w.status[k].Terminal() {
			page = append(page, workflow.Open{Thing: t, Owner: event.JobOwner(job)})
		}
	}
	return page, "", w.crash()
}

// partsOf reads what executionKey wrote.
func partsOf(t testing.TB, key string) (event.ThingName, event.JobID, int64) {
	parts := strings.Split(key, "/")
	n, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return event.ThingName(parts[0]), event.JobID(parts[1]), n
}

func (w *world) Thing(_ context.Context, thing event.ThingName) (workflow.Entry, error) {
	w.pause()
	return workflow.Entry{Endpoint: w.things[thing]}, w.crash()
}

// Quirks says that nothing was found of any model.
func (w *world) Quirks(context.Context, string) ([]string, error) { return nil, w.crash() }

func (w *world) SetAttribute(context.Context, event.ThingName, string, string) error { return nil }

func (w *world) Publish(_ context.Context, o event.Outcome) error {
	w.pause()
	w.published = append(w.published, o)
	return nil
}

// offer is a notify-next.
func (w *world) offer(thing event.ThingName, job event.JobID, n int64, doc upgrade.Document) {
	k := executionKey(thing, job, n)
	if _, ok := w.status[k]; !ok {
		w.status[k] = event.StatusQueued
	}
	doc.Operation = upgrade.Operation
	if doc.Activation.Mode == "" {
		doc.Activation.Mode = upgrade.ActivateAuto
	}
	doc.Timeouts = doc.Timeouts.WithDefaults()
	b, err := json.Marshal(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.documents[k] = b
	if w.lost {
		return
	}
	w.twice(func() {
		w.again(func(ctx context.Context) error {
			_, err := w.offers.Offer(ctx, thing, event.JobOwner(job), n, b)
			return err
		})
	})
}

// cancel is AWS IoT ending a job execution, and its event.
func (w *world) cancel(thing event.ThingName, job event.JobID, n int64, status event.JobStatus, name event.ErrorName) {
	w.status[executionKey(thing, job, n)] = status
	w.twice(func() {
		w.again(func(ctx context.Context) error {
			_, err := w.ender.End(ctx, thing, event.JobOwner(job), event.Failure{Name: name})
			return err
		})
	})
}

// Messages.

// Send carries a request to an agent.
func (w *world) Send(_ context.Context, thing event.ThingName, to event.DeviceState, m event.Outgoing) error {
	a, ok := w.agents[thing]
	if !ok || usp.EndpointID(to.Endpoint) != a.endpoint {
		w.t.Errorf("a request to %s as %s", thing, to.Endpoint)
		return nil
	}
	m, err := device.Addressed(context.Background(), m, w)
	if err != nil {
		return err
	}
	message, err := device.Message(m)
	if err != nil {
		return err
	}
	r, err := usp.NewRecord(controllerID, a.endpoint, message).Encode()
	if err != nil {
		return err
	}
	w.soon(func() {
		if !a.online {
			return // lost
		}
		if a.lose != nil && a.lose(message) {
			return
		}
		record, err := usp.DecodeRecord(r)
		if err != nil {
			w.t.Fatal(err)
		}
		a.receive(record.Message)
	})
	return nil
}

// message puts a message into the queue, which hands it over with others that wait.
func (w *world) message(m event.DeviceMessage) {
	w.queue = append(w.queue, m)
	w.soon(func() { w.handler(w.batch) })
}

// batch takes up to ten messages of the queue, any of those that wait.
func (w *world) batch() {
	w.rand.Shuffle(len(w.queue), func(i, j int) { w.queue[i], w.queue[j] = w.queue[j], w.queue[i] })
	n := min(len(w.queue), 1+w.rand.IntN(10))
	if n == 0 {
		return // others took them
	}
	list := slices.Clone(w.queue[:n])
	w.queue = slices.Delete(w.queue, 0, n)
	if len(w.queue) > 0 {
		w.soon(func() { w.handler(w.batch) })
	}
	before, flags, found := w.store.Requests(), w.flags, w.found
	w.invocations++ // also of what comes again: the queue does not say that it is the same
	ctx := context.WithValue(context.Background(), invocation{}, fmt.Sprint(w.invocations))
	for i, out := range w.devices.take(ctx, list) {
		if out.Err == nil {
			continue
		}
		if !errors.Is(out.Err, workflow.ErrAgain) && !errors.Is(out.Err, workflow.ErrEnding) &&
			!errors.Is(out.Err, workflowtest.ErrCrash) {
			w.t.Fatal(out.Err)
		}
		w.after(time.Duration(2+w.rand.IntN(9))*time.Second, func() { w.message(list[i]) })
	}
	if !w.mixed && w.crashes == 0 {
		// A start that finds the device's claim in other hands than it was read looks once more, at the flags too.
		if flags = w.flags - flags; flags > 2*n {
			w.t.Errorf("flags were read %d times for %d device messages", flags, n)
		}
		// An offer that a message makes has three of its own.
		offers := 3 * (w.found - found)
		w.worst = max(w.worst, (w.store.Requests()-before-flags-offers+n-1)/n)
	}
}

// agent is a USP agent with two firmware images.
type agent struct {
	w        *world
	thing    event.ThingName
	endpoint usp.EndpointID
	online   bool
	deaf     bool // nobody plays it: what is asked of it is lost
	presence int64
	software string
	active   int
	images   [3]upgrade.Image // from 1
	subs     map[string][]usp.Setting
	requests map[int]running2
	boots    int
	sent     int

	downloads int

	// The script.
	wanted     string // version inside the image it gets
	fault      string // "", "404", "checksum", "boot"
	refuse     usp.Code
	duration   time.Duration
	lose       func(m *uspmsg.Msg) bool          // requests that never arrive
	mute       func(n usp.Notification) bool     // notifications that are lost
	drop       func(m *uspmsg.Msg) bool          // answers that are lost
	anonymous  bool                              // its Boot! names no command
	late       func(r *usp.Record) time.Duration // until a function sees a record
	said       []*uspmsg.Msg                     // all that it said
	parallel   bool                              // takes a second download beside the first
	onDownload func(finish func())               // instead of finishing after duration
	forge      usp.EndpointID                    // from_id of what it sends
}

type running2 struct{ command, key string }

func (w *world) agent(thing event.ThingName) *agent {
	a := &agent{
		w: w, thing: thing, endpoint: usp.EndpointID("os::012345-" + string(thing)), software: "1.0.0", active: 1,
		wanted: "2.0.0",
		subs:   map[string][]usp.Setting{}, requests: map[int]running2{}, duration: 10 * time.Second,
	}
	a.images[1] = upgrade.Image{Version: "1.0.0", Status: usp.StatusAvailable}
	a.images[2] = upgrade.Image{Status: usp.StatusNoImage}
	w.agents[thing] = a
	w.things[thing] = event.EndpointID(a.endpoint)
	return a
}

func (a *agent) publish(r *usp.Record) {
	if a.forge != "" {
		r.From = a.forge
	}
	b, err := r.Encode()
	if err != nil {
		a.w.t.Fatal(err)
	}
	m := event.DeviceMessage{
		Record: base64.StdEncoding.EncodeToString(b), Topic: a.w.topics.Controller.Expand(string(a.thing),
			controllerID),
		ThingName: string(a.thing), ClientID: string(a.thing), ReceivedAt: a.w.now.UnixMilli(),
		ContentType: usp.ContentType, ResponseTopic: a.w.topics.Agent.Expand(string(a.thing), controllerID),
	}
	late := time.Duration(0)
	if a.late != nil {
		late = a.late(r)
	}
	if late > 0 {
		a.w.after(late, func() { a.w.twice(func() { a.w.message(m) }) })
		return
	}
	a.w.twice(func() { a.w.message(m) })
}

// loseOnce loses the first look with this purpose.
func (a *agent) loseOnce(purpose string, then func()) {
	lost := false
	a.lose = func(m *uspmsg.Msg) bool {
		if lost || m.GetBody().GetRequest().GetGet() == nil || !strings.Contains(usp.ID(m), "-"+purpose+"@") {
			return false
		}
		lost = true
		then()
		return true
	}
}

func (a *agent) send(m *uspmsg.Msg) {
	a.said = append(a.said, m)
	if a.drop == nil || !a.drop(m) {
		a.publish(usp.NewRecord(a.endpoint, controllerID, m))
	}
}

func (a *agent) connect() {
	a.online = true
	a.presence++
	w, p := a.w, event.DeviceMessage{Presence: event.PresenceConnected, ThingName: string(a.thing),
		ClientID: string(a.thing), ReceivedAt: a.w.now.UnixMilli(), VersionNumber: a.presence}
	w.twice(func() { w.message(p) })
	a.publish(usp.NewMQTTConnect(a.endpoint, controllerID, usprecord.MQTTConnectRecord_V5,
		a.w.topics.Agent.Expand(string(a.thing), controllerID)))
}

func (a *agent) disconnect() {
	a.online = false
	w, p := a.w, event.DeviceMessage{Presence: event.PresenceDisconnected, ClientID: string(a.thing),
		ReceivedAt: a.w.now.UnixMilli(), VersionNumber: a.presence}
	w.twice(func() { w.message(p) })
}

func (a *agent) notify(n usp.Notification) {
	if a.mute != nil && a.mute(n) || !a.online {
		return
	}
	for _, s := range a.subs {
		v := map[string]string{}
		for _, x := range s {
			v[x.Param] = x.Value
		}
		path, err := usp.ParsePath(v["ReferenceList"])
		if err != nil {
			a.w.t.Fatal(err)
		}
		concrete, err := usp.ParsePath(n.Path)
		if err != nil {
			a.w.t.Fatal(err)
		}
		if v["Enable"] != "true" || v["Persistent"] != "true" || v["NotifRetry"] != "true" ||
			!path.Covers(concrete, nil) {
			continue
		}
		a.sent++
		n.ID, n.SubscriptionID, n.SendResp = fmt.Sprintf("Notify-%d", a.sent), v["ID"], true
		a.send(n.Message())
	}
}

func (a *agent) boot(cause, key string, updated bool) {
	if a.anonymous {
		key = ""
	}
	a.boots++
	a.requests = map[int]running2{}
	a.connect()
	a.notify(usp.Notification{Kind: usp.KindEvent, Path: usp.EventBoot, Params: usp.Boot{Cause: cause, CommandKey: key,
		FirmwareUpdated: updated}.Params()})
}

func (a *agent) receive(m *uspmsg.Msg) {
	id := usp.ID(m)
	switch {
	case m.GetBody().GetRequest().GetGet() != nil:
		a.send(usp.New(id, a.get(m.GetBody().GetRequest().GetGet().GetParamPaths())))
	case m.GetBody().GetRequest().GetAdd() != nil:
		resp := &uspmsg.AddResp{}
		for _, o := range m.GetBody().GetRequest().GetAdd().GetCreateObjs() {
			var settings []usp.Setting
			key := ""
			for _, s := range o.GetParamSettings() {
				settings = append(settings, usp.Setting{Param: s.GetParam(), Value: s.GetValue()})
				if s.GetParam() == "ID" {
					key = s.GetValue()
				}
			}
			status := &uspmsg.AddResp_CreatedObjectResult_OperationStatus{}
			if _, there := a.subs[key]; there {
				status.OperStatus = &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperFailure{
					OperFailure: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperationFailure{
						ErrCode: uint32(usp.DuplicateUniqueKey),
					},
				}
			} else {
				a.subs[key] = settings
				status.OperStatus = &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperSuccess{
					OperSuccess: &uspmsg.AddResp_CreatedObjectResult_OperationStatus_OperationSuccess{
						InstantiatedPath: usp.Subscriptions + "1.",
					},
				}
			}
			resp.CreatedObjResults = append(resp.CreatedObjResults, &uspmsg.AddResp_CreatedObjectResult{
				RequestedPath: o.GetObjPath(), OperStatus: status,
			})
		}
		a.send(usp.New(id, resp))
	case m.GetBody().GetRequest().GetOperate() != nil:
		a.operate(id, m.GetBody().GetRequest().GetOperate())
	case m.GetBody().GetResponse().GetNotifyResp() != nil:
	default:
		a.w.t.Errorf("the agent does not know %v", m)
	}
}

func (a *agent) get(paths []string) *uspmsg.GetResp {
	resp := &uspmsg.GetResp{}
	for _, p := range paths {
		r := &uspmsg.GetResp_RequestedPathResult{RequestedPath: p}
		add := func(path string, params map[string]string) {
			r.ResolvedPathResults = append(r.ResolvedPathResults, &uspmsg.GetResp_ResolvedPathResult{
				ResolvedPath: path, ResultParams: params,
			})
		}
		switch p {
		case usp.SoftwareVersion:
			add(usp.DeviceInfo, map[string]string{"SoftwareVersion": a.software})
		case usp.ActiveFirmwareImage:
			add(usp.DeviceInfo, map[string]string{"ActiveFirmwareImage": strings.TrimSuffix(
				usp.FirmwareImage(a.active), ".")})
		case usp.FirmwareImages:
			for i := 1; i <= 2; i++ {
				add(usp.FirmwareImage(i), map[string]string{"Version": a.images[i].Version,
					"Status": a.images[i].Status, "BootFailureLog": a.images[i].BootLog})
			}
		case usp.Requests:
			for i, q := range a.requests {
				add(fmt.Sprintf("%s%d.", usp.Requests, i), map[string]string{"Command": q.command, "CommandKey": q.key,
					"Status": "Active"})
			}
		case usp.Subscriptions:
			i := 0
			for _, s := range a.subs {
				i++
				params := map[string]string{}
				for _, x := range s {
					params[x.Param] = x.Value
				}
				add(fmt.Sprintf("%s%d.", usp.Subscriptions, i), params)
			}
		}
		resp.ReqPathResults = append(resp.ReqPathResults, r)
	}
	return resp
}

func (a *agent) operate(id string, o *uspmsg.Operate) {
	answer := func(r *uspmsg.OperateResp_OperationResult) {
		r.ExecutedCommand = o.GetCommand()
		a.send(usp.New(id, &uspmsg.OperateResp{OperationResults: []*uspmsg.OperateResp_OperationResult{r}}))
	}
	refuse := func(c usp.Code) {
		answer(&uspmsg.OperateResp_OperationResult{OperationResp: &uspmsg.OperateResp_OperationResult_CmdFailure{
			CmdFailure: &uspmsg.OperateResp_OperationResult_CommandFailure{ErrCode: uint32(c), ErrMsg: "no"}}})
	}
	if a.refuse != 0 {
		refuse(a.refuse)
		return
	}
	if len(a.requests) > 0 && !a.parallel {
		refuse(usp.ResourcesExceeded)
		return
	}
	a.requests[1] = running2{o.GetCommand(), o.GetCommandKey()}
	answer(&uspmsg.OperateResp_OperationResult{OperationResp: &uspmsg.OperateResp_OperationResult_ReqObjPath{
		ReqObjPath: usp.Requests + "1",
	}})
	boots, image := a.boots, 1
	if strings.HasPrefix(o.GetCommand(), usp.FirmwareImage(2)) {
		image = 2
	}
	key := o.GetCommandKey()
	if strings.HasSuffix(o.GetCommand(), usp.CommandActivate) {
		a.w.after(time.Second, func() {
			if a.boots == boots {
				a.restart(image, key, usp.CommandActivate)
			}
		})
		return
	}
	a.downloads++
	finish := func() {
		if a.boots != boots {
			return // interrupted
		}
		delete(a.requests, 1)
		done := func(f *usp.Error) {
			t := usp.TransferComplete{Command: o.GetCommand(), CommandKey: key, TransferType: "Download"}
			if f != nil {
				t.FaultCode, t.FaultString = f.Code, f.Message
			}
			a.notify(usp.Notification{Kind: usp.KindEvent, Path: usp.EventTransferComplete, Params: t.Params()})
			a.notify(usp.Notification{Kind: usp.KindOperationComplete, Path: o.GetCommand(), CommandKey: key,
				Failure: f})
		}
		switch a.fault {
		case "404":
			a.images[image] = upgrade.Image{Status: usp.StatusDownloadFailed}
			done(usp.CommandFailure.Errorf("404 not found"))
			return
		case "checksum":
			a.images[image] = upgrade.Image{Status: usp.StatusValidationFailed}
			done(usp.CommandFailure.Errorf("checksum"))
			return
		}
		a.images[image] = upgrade.Image{Version: "2.0.0", Status: usp.StatusAvailable}
		done(nil)
		if o.GetInputArgs()["AutoActivate"] == "true" {
			a.w.after(time.Second, func() {
				if a.boots == boots {
					a.restart(image, key, usp.CommandDownload)
				}
			})
		}
	}
	if a.onDownload != nil {
		a.onDownload(finish)
		return
	}
	if a.duration == 0 {
		a.w.soon(finish)
		return
	}
	a.w.after(a.duration, finish)
}

func (a *agent) restart(image int, key, command string) {
	a.disconnect()
	a.w.after(30*time.Second, func() {
		if a.fault == "boot" && image == 2 {
			a.images[2].Status, a.images[2].BootLog = usp.StatusActivationFailed, "kernel panic"
			a.boot(usp.CauseRemoteReboot, key, false)
			if command == usp.CommandActivate {
				a.notify(usp.Notification{Kind: usp.KindOperationComplete, Path: usp.FirmwareImage(2) + command,
					CommandKey: key, Failure: usp.CommandFailure.Errorf("fell back")})
			}
			return
		}
		a.active, a.software = image, "1.0.0"
		if image == 2 {
			a.software = a.wanted
			a.images[2].Version = a.wanted
		}
		a.boot(usp.CauseRemoteReboot, key, true)
		if command == usp.CommandActivate {
			a.notify(usp.Notification{Kind: usp.KindOperationComplete, Path: usp.FirmwareImage(image) + command,
				CommandKey: key})
		}
	})
}

// powerCut restarts the device in the middle of whatever it does.
func (a *agent) powerCut() {
	a.disconnect()
	interrupted := a.requests
	a.requests = map[int]running2{}
	a.boots++
	a.w.after(20*time.Second, func() {
		a.boot(usp.CauseLocalReboot, "", false)
		for _, q := range interrupted {
			a.notify(usp.Notification{Kind: usp.KindOperationComplete, Path: q.command, CommandKey: q.key,
				Failure: usp.CommandFailure.Errorf("did not complete before reboot")})
		}
	})
}
