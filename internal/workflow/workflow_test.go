package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/workflow"
	"github.com/fleetstep/fleetstep/internal/workflow/workflowtest"
)

// rig is a workflow whose ports write down what is asked of them.
type rig struct {
	*workflow.Starter
	*workflow.Steps
	*workflow.Ender
	*workflow.Inbox
	t     *testing.T
	store *workflowtest.Store
	now   time.Time
	log   []string
	name  string // of whoever calls

	running map[string]bool           // executions by name: runs, or is over
	began   map[string]time.Time      // of those that run
	over    map[int64]bool            // job executions by number
	dead    map[event.TaskToken]bool  // tasks that are over
	fail    map[string]error          // by the name of a port's method
	begin   event.Move                // what conversations begin with
	zone    string                    // of things, as the registry has it
	next    *workflow.Offer           // what is next for the device, as its owner has it
	open    []workflow.Open           // what is open
	window  *event.Window             // of attempts: they begin in it only
	told    []event.DomainEvent       // to other systems
	unheld  bool                      // what has begun goes on through a pause
	wanted  bool                      // devices that appear are to have unasked done to them
	noted   map[string]string         // of a device that appears
	says    map[event.Kind]event.Move // what they say to an event
	heard   map[event.Kind]event.Overheard
	quirks  []string                  // that the last conversation began with
	aborted map[string]*event.Failure // executions that were stopped from outside, and what was told
	stops   []workflow.Stop           // what is listed of them
}

func newRig(t *testing.T) *rig {
	r := &rig{
		t: t, store: &workflowtest.Store{}, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		running: map[string]bool{}, began: map[string]time.Time{},
		over: map[int64]bool{}, dead: map[event.TaskToken]bool{}, fail: map[string]error{},
		says: map[event.Kind]event.Move{}, aborted: map[string]*event.Failure{},
	}
	flows, err := event.NewFlows(r.flow(), r.unasked())
	r.must(err)
	now := func() time.Time { return r.now }
	r.Starter, err = workflow.NewStarter(workflow.StarterPorts{Store: r.store, Controls: r.store, Machine: r,
		Orders: orders{r}, Reports: r, Registry: r, Announce: r, Flows: flows, Now: now, Who: r.who})
	r.must(err)
	r.Steps, err = workflow.NewSteps(workflow.StepsPorts{Store: r.store, Controls: r.store, Callback: r, Sender: r,
		Announce: r, Models: r, Flows: flows, Now: now})
	r.must(err)
	r.Ender, err = workflow.NewEnder(workflow.EnderPorts{Store: r.store, Machine: r, Orders: orders{r}, Reports: r,
		Now: now, Who: r.who})
	r.must(err)
	r.Inbox, err = workflow.NewInbox(workflow.InboxPorts{
		Store: r.store, Controls: r.store, Callback: r, Registry: r, Sender: r, Announce: r, Starter: r.Starter,
		Flows: flows, Now: now,
		Parallel: oneByOne, Arrivals: true,
	})
	r.must(err)
	return r
}

// The operation of these tests, and its steps.
const (
	operation event.Operation = "blink"

	first  event.Step = "FIRST"
	second event.Step = "SECOND"
	third  event.Step = "THIRD"
)

func oneByOne(n int, do func(i int)) {
	for i := range n {
		do(i)
	}
}

// flow is an operation that says what the rig says.
func (r *rig) flow() event.Flow {
	return event.Flow{
		Hold: func(t event.Turn) (event.Park, bool, error) {
			return event.Park{Resume: json.RawMessage(`{"at":"` + string(t.Step) + `"}`)}, !r.unheld, r.fail["hold"]
		},
		Operation: operation, Commands: []event.Step{second}, Gates: []event.Step{second}, Played: "Blink.Duplicate",
		Unfit:     "Blink.Unfit",
		Succeeded: "BLINK_SUCCESS", Failed: "BLINK_FAIL",
		Plan: func(document json.RawMessage) (event.Plan, error) {
			if !strings.Contains(string(document), "colour") {
				return event.Plan{}, errors.New("it has no colour")
			}
			return event.Plan{Document: document, Timeouts: json.RawMessage(`{}`), Lasts: 24 * time.Hour, Window: r.window, WindowStarts: true}, nil
		},
		Models: first,
		Begin: func(_ context.Context, t event.Turn, _ event.StepInput) (event.Move, error) {
			r.quirks = t.Quirks
			return r.begin, r.fail["talk"]
		},
		Continue: func(_ event.Turn, ev event.DeviceEvent) (event.Move, error) {
			m, ok := r.says[ev.Kind]
			if !ok {
				m = event.Move{Ignore: true}
			}
			return m, r.fail["continue"]
		},
		Judge: func(event.FinalizeInput, event.DeviceState) (event.Conclusion, error) {
			return event.Conclusion{Status: event.StatusSucceeded}, nil
		},
		Overhear: func(_ event.DeviceState, ev event.DeviceEvent) event.Overheard { return r.heard[ev.Kind] },
	}
}

// welcome is the operation that nobody asks for.
const welcome event.Operation = "welcome"

func (r *rig) unasked() event.Flow {
	f := r.flow()
	f.Operation, f.Commands, f.Gates, f.Hold, f.Overhear = welcome, nil, nil, nil, nil
	f.Plan = func(json.RawMessage) (event.Plan, error) {
		return event.Plan{Document: json.RawMessage(`{}`), Timeouts: json.RawMessage(`{}`), Lasts: time.Hour},
			r.fail["plan"]
	}
	f.Wants = func(_ event.DeviceState, ev event.DeviceEvent) (map[string]string, bool) {
		if ev.Reset {
			return r.noted, true
		}
		return nil, r.wanted
	}
	return f
}

func (r *rig) record(words ...string) error {
	r.log = append(r.log, strings.Join(words, " "))
	return r.fail[words[0]]
}

func (r *rig) resume(token event.TaskToken, words ...string) error {
	if r.dead[token] {
		return workflow.ErrDeadToken
	}
	if err := r.record(words...); err != nil {
		return err
	}
	r.dead[token] = true
	return nil
}

func (r *rig) Succeed(_ context.Context, token event.TaskToken, _ any) error {
	return r.resume(token, "succeed", string(token))
}

func (r *rig) Fail(_ context.Context, token event.TaskToken, f event.Failure) error {
	return r.resume(token, "fail", string(token), string(f.Name))
}

func (r *rig) Alive(_ context.Context, token event.TaskToken) error {
	if r.dead[token] {
		return workflow.ErrDeadToken
	}
	return r.fail["alive"]
}

func (r *rig) Start(_ context.Context, in event.ExecutionInput) (time.Time, error) {
	name := in.Execution
	if runs, there := r.running[name]; there && !runs {
		return time.Time{}, workflow.ErrPlayed
	} else if !there {
		r.began[name] = r.now
	}
	r.running[name] = true
	return r.began[name], r.record("start")
}

func (r *rig) Look(_ context.Context, _ event.Operation, name string) (workflow.ExecutionStatus, error) {
	runs, there := r.running[name]
	return workflow.ExecutionStatus{Known: there, Running: runs, Stopped: r.aborted[name]}, r.fail["look"]
}

// StoppedSince implements workflow.Stops.
func (r *rig) StoppedSince(_ context.Context, since time.Time) ([]workflow.Stop, error) {
	if !since.Before(r.now) {
		r.t.Errorf("asked for stops since %s, at %s", since, r.now)
	}
	return r.stops, r.fail["stops"]
}

func (r *rig) Stop(_ context.Context, _ event.Operation, name string, f event.Failure) error {
	r.running[name] = false
	return r.record("stop", string(f.Name))
}

// Open is a Backlog in pages of two.
func (r *rig) Open(_ context.Context, cursor string, most int) ([]workflow.Open, string, error) {
	at, err := strconv.Atoi("0" + cursor)
	r.must(err)
	end := min(at+2, len(r.open))
	next := strconv.Itoa(end)
	if end == len(r.open) {
		next = ""
	}
	if most != workflow.SweepPerMinute {
		r.t.Errorf("a page of %d", most)
	}
	return r.open[at:end], next, r.fail["backlog"]
}

type orders struct{ *rig }

func (j orders) Next(context.Context, event.ThingName) (*workflow.Offer, error) {
	return j.next, j.fail["next"]
}

func (j orders) Begin(_ context.Context, _ event.ThingName, _ event.Owner, n int64) error {
	if j.over[n] {
		return workflow.ErrOver
	}
	return j.record("begin")
}

func (j orders) Over(_ context.Context, _ event.ThingName, _ event.Owner, n int64) (*event.Failure, error) {
	if j.over[n] {
		return event.Failf(event.JobTimedOut, "over"), j.fail["over"]
	}
	return nil, j.fail["over"]
}

func (j orders) Cancel(_ context.Context, _ event.ThingName, _ event.Owner, n int64, f event.Failure) error {
	if j.over[n] {
		return workflow.ErrOver
	}
	return j.record("cancel", string(f.Name))
}

func (j orders) Reject(_ context.Context, _ event.ThingName, _ event.Owner, _ int64, f event.Failure) error {
	return j.record("reject", string(f.Name))
}

// Report implements workflow.Reports.
func (r *rig) Report(_ context.Context, e workflow.End) error {
	words := []string{"report", e.Owner.Key(), string(e.Status), string(e.Why.Name)}
	if e.Unreported {
		words = append(words, "unreported")
	}
	return r.record(words...)
}

func (r *rig) who(context.Context) string { return r.name }

// Thing says of things what the rig says, and that one is os::9.
func (r *rig) Thing(_ context.Context, thing event.ThingName) (workflow.Entry, error) {
	if thing == "rg-9" {
		return workflow.Entry{Endpoint: "os::9"}, r.fail["registry"]
	}
	return workflow.Entry{Zone: r.zone}, r.fail["registry"]
}

// Quirks are those of the one model that is known.
func (r *rig) Quirks(_ context.Context, model string) ([]string, error) {
	if model != "GW-1" {
		return nil, r.fail["models"]
	}
	return []string{"slow"}, r.record("models", model)
}

func (r *rig) SetAttribute(_ context.Context, thing event.ThingName, name, value string) error {
	return r.record("attribute", string(thing), name, value)
}

func (r *rig) Send(_ context.Context, thing event.ThingName, to event.DeviceState, m event.Outgoing) error {
	return r.record("send", string(thing), m.(string))
}

// Announce implements workflow.Announcer.
func (r *rig) Announce(_ context.Context, e event.DomainEvent) { r.told = append(r.told, e) }

// expect compares what was done since the last time.
func (r *rig) expect(what string, want ...string) {
	r.t.Helper()
	if !slices.Equal(r.log, want) {
		r.t.Errorf("%s: did %q, want %q", what, r.log, want)
	}
	r.log = nil
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) load() workflow.Device {
	r.t.Helper()
	d, err := r.store.Load(context.Background(), "rg-1")
	r.must(err)
	return d
}

func (r *rig) clean(what string) {
	r.t.Helper()
	if left := r.store.Residue(); len(left) > 0 {
		r.t.Errorf("%s: left %q", what, left)
	}
}

// greeted makes the device known and there.
func (r *rig) greeted() {
	r.t.Helper()
	r.must(r.store.Bind(context.Background(), "rg-1", workflow.Greeting{Endpoint: "os::1", At: r.now},
		workflow.Binding{}))
}

// owned is a rig whose device an execution owns.
func owned(t *testing.T) (*rig, event.ExecutionInput) {
	r := newRig(t)
	r.greeted()
	in := event.NewExecutionInput(fw2, "rg-1", 1, operation, event.Plan{Document: doc})
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	r.log = nil
	return r, in
}

var (
	doc = json.RawMessage(`{"operation":"blink","colour":"red"}`)
	fw2 = event.JobOwner("fw-2")
)

func step(in event.ExecutionInput, s event.Step, token event.TaskToken) event.StepInput {
	return event.StepInput{Step: s, TaskToken: token, Input: in}
}

var (
	memory   = json.RawMessage(`{"a":1}`)
	booted   = event.DeviceEvent{Kind: event.KindBooted, Thing: "rg-1"}
	complete = event.DeviceEvent{Kind: event.KindTransferComplete, Thing: "rg-1", CommandKey: "k"}
)

func nothing() error { return nil }

func TestAStepBelongsToTheOwner(t *testing.T) {
	r, in := owned(t)
	other := in
	other.Execution = "somebody-else"
	if _, err := r.Await(t.Context(), step(other, first, "tok")); !errors.Is(err, workflow.ErrGone) {
		t.Errorf("got %v", err)
	}
	unclaimed := in
	unclaimed.ThingName = "rg-2"
	if _, err := r.Await(t.Context(), step(unclaimed, first, "tok")); !errors.Is(err, workflow.ErrGone) {
		t.Errorf("got %v", err)
	}
	r.expect("nothing is sent for it")
}

func TestAwaitRegistersThenSends(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{Send: "look", State: memory, Commands: map[string]string{"k": ""}}
	did, err := r.Await(t.Context(), step(in, second, "tok"))
	if err != nil || did != workflow.TakenSent {
		t.Fatal(did, err)
	}
	r.expect("first", "send rg-1 look")
	d := r.load()
	if len(d.Awaits) != 1 || d.Awaits[0].Token != "tok" || string(d.Awaits[0].State) != string(memory) ||
		len(d.Pending) != 0 {
		t.Errorf("kept %+v", d)
	}
	// The same invocation again.
	if did, err = r.Await(t.Context(), step(in, second, "tok")); err != nil || did != workflow.TakenRepeated {
		t.Error(did, err)
	}
	r.expect("the same again")
	// A retry of the task: another token, another try.
	if did, err = r.Await(t.Context(), step(in, second, "tok2")); err != nil || did != workflow.TakenSent {
		t.Error(did, err)
	}
	r.expect("a retry", "send rg-1 look")
	if d = r.load(); d.Claim.Tries[second] != 2 || d.Awaits[0].Token != "tok2" {
		t.Errorf("after a retry: %+v", d)
	}
	if did, err = r.Await(t.Context(), step(in, second, "tok")); err != nil || did != workflow.TakenRepeated {
		t.Errorf("a late copy of the first try: %s, %v", did, err)
	}
	// The next step takes its predecessor's place.
	r.begin = event.Move{State: memory}
	if did, err = r.Await(t.Context(), step(in, third, "tok3")); err != nil || did != workflow.TakenWaiting {
		t.Error(did, err)
	}
	if d = r.load(); len(d.Awaits) != 1 || d.Awaits[0].Step != third {
		t.Errorf("after the next step: %+v", d.Awaits)
	}
}

func TestAStepMayEndAtOnce(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{Failed: event.Failf("Next.Third", "there already")}
	did, err := r.Await(t.Context(), step(in, second, "tok"))
	if err != nil || did != workflow.TakenFinished {
		t.Fatal(did, err)
	}
	r.expect("at once", "fail tok Next.Third")
	// Its item goes with the next step's.
	r.begin = event.Move{State: memory}
	if _, err := r.Await(t.Context(), step(in, third, "tok2")); err != nil {
		t.Fatal(err)
	}
	if d := r.load(); len(d.Awaits) != 1 || d.Awaits[0].Token != "tok2" {
		t.Errorf("left %+v", d.Awaits)
	}
}

// A task that is over stays until the next step begins. What its conversation says
// meanwhile is not sent where it must not be sent twice, and news is kept.
func TestATaskThatIsOverSendsNoCommand(t *testing.T) {
	for name, move := range map[string]event.Move{
		"a command":             {State: memory, Send: "operate", Once: true},
		"one of a step of gate": {State: memory, Send: "operate", Once: true, KeepNews: true},
		"another end":           {Done: 2},
	} {
		r, in := owned(t)
		r.begin = event.Move{State: memory}
		_, err := r.Await(t.Context(), step(in, second, "tok"))
		r.must(err)
		r.says[event.KindBooted] = event.Move{Done: 1}
		_, err = r.Deliver(t.Context(), r.load(), booted, nothing)
		r.must(err)
		r.log = nil
		r.says[event.KindBooted] = move
		out, err := r.Deliver(t.Context(), r.load(), booted, nothing)
		if err != nil || out.Fate != workflow.FateKept {
			t.Errorf("%s: got %+v, %v", name, out, err)
		}
		r.expect(name)
		if d := r.load(); len(d.News) != 1 {
			t.Errorf("%s: %d pieces of news are kept for the next step", name, len(d.News))
		}
	}
	r, in := owned(t)
	r.begin = event.Move{State: memory}
	_, err := r.Await(t.Context(), step(in, second, "tok"))
	r.must(err)
	r.says[event.KindBooted] = event.Move{State: memory, Send: "operate", Once: true}
	r.fail["alive"] = errors.New("throttled")
	if _, err := r.Deliver(t.Context(), r.load(), booted, nothing); !errors.Is(err, r.fail["alive"]) {
		t.Errorf("nobody knows whether the task is over: %v", err)
	}
	r.expect("nobody knows")
}

// What is learnt goes with what is written anyway, and only if it is new.
func TestWhatIsLearntIsNotedOnce(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory, Learnt: map[string]string{"version": "1", "none": ""}}
	_, err := r.Await(t.Context(), step(in, second, "tok"))
	r.must(err)
	if d := r.load(); len(d.State.Facts) != 1 || d.State.Facts["version"] != "1" {
		t.Errorf("as a step begins: %v", d.State.Facts)
	}
	w := r.releaser()
	d, owned, err := w.Release(t.Context(), event.FinalizeInput{Input: in,
		Results: json.RawMessage(`{"version":"2"}`)})
	if err != nil || !owned || d.State.Facts["version"] != "2" || r.load().State.Facts["version"] != "2" {
		t.Errorf("as the device is given back: %t, %v, %v, %v", owned, d.State.Facts, r.load().State.Facts, err)
	}
	late := event.FinalizeInput{Input: in, Results: json.RawMessage(`{"version":"1"}`)}
	if _, owned, err := w.Release(t.Context(), late); err != nil || owned || r.load().State.Facts["version"] != "2" {
		t.Errorf("again: %t, %v, %v", owned, r.load().State.Facts, err)
	}
}

func TestNewsFromBeforeIsCollected(t *testing.T) {
	r, in := owned(t)
	if out, err := r.Deliver(t.Context(), r.load(), booted, nothing); err != nil || out.Fate != workflow.FateKept {
		t.Fatal(out, err)
	}
	r.begin = event.Move{State: memory, Send: "look"}
	r.says[event.KindBooted] = event.Move{Done: 1, Learnt: map[string]string{"colour": "red"}}
	did, err := r.Await(t.Context(), step(in, third, "tok"))
	if err != nil || did != workflow.TakenCollected {
		t.Fatal(did, err)
	}
	r.expect("collected", "succeed tok")
	if d := r.load(); len(d.Awaits) != 0 || d.State.Facts["colour"] != "red" {
		t.Errorf("left %+v", d)
	}
}

func TestNewsFromBeforeChangesWhatIsSaid(t *testing.T) {
	r, in := owned(t)
	_, err := r.Deliver(t.Context(), r.load(), booted, nothing)
	r.must(err)
	r.begin = event.Move{State: memory, Send: "first"}
	r.says[event.KindBooted] = event.Move{State: json.RawMessage(`{"a":2}`), Send: "second", Once: true}
	_, err = r.Await(t.Context(), step(in, third, "tok"))
	r.must(err)
	r.expect("the later request knows more", "send rg-1 second")
	if a := r.load().Awaits[0]; string(a.State) != `{"a":2}` || a.Rev != 2 {
		t.Errorf("kept %+v", a)
	}
}

// Another event moved the conversation on while the step read its news: what it
// did not read yet is read all the same.
func TestNewsIsNotLostToAnotherHandler(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory, Commands: map[string]string{"k": ""}}
	first := complete
	first.At, first.Thing = r.now, "rg-1"
	later := booted
	later.At = r.now.Add(time.Second)
	owner := r.load().Claim.Execution
	for _, ev := range []event.DeviceEvent{first, later} {
		r.must(r.store.PutNews(t.Context(), "rg-1", owner, ev, r.now.Add(time.Hour)))
	}
	r.says[event.KindTransferComplete] = event.Move{State: json.RawMessage(`{"a":2}`)}
	r.says[event.KindBooted] = event.Move{Done: 1}
	overtaken := false
	r.store.Before = func(op string) error {
		if op == "Advance" && !overtaken {
			overtaken = true
			a := r.load().Awaits[0]
			a.State = json.RawMessage(`{"a":2}`)
			r.must(r.store.Advance(context.Background(), "rg-1", a))
		}
		return nil
	}
	did, err := r.Await(t.Context(), step(in, third, "tok"))
	if err != nil || did != workflow.TakenCollected {
		t.Errorf("got %s, %v", did, err)
	}
	r.expect("the restart ends the step", "succeed tok")
}

// What must be sent once is not sent by who was overtaken.
func TestACommandIsNotSentByWhoWasOvertaken(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory, Send: "operate", Once: true}
	registered := false
	r.store.After = func(op string) error {
		if op == "Register" && !registered {
			registered = true
			r.must(r.store.Advance(context.Background(), "rg-1", r.load().Awaits[0]))
		}
		return nil
	}
	_, err := r.Await(t.Context(), step(in, second, "tok"))
	r.must(err)
	r.expect("overtaken")
	// Nor for a task that is over before its function got to it.
	r.store.After = func(op string) error {
		if op == "Register" {
			r.store.After = nil
			r.must(r.store.Finish(context.Background(), "rg-1", r.load().Awaits[0], nil))
		}
		return nil
	}
	_, err = r.Await(t.Context(), step(in, second, "tok2"))
	r.must(err)
	r.expect("over already")
}

func TestARegistrationThatLostARaceIsMadeAgain(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory, Send: "look"}
	n := 0
	r.store.Before = func(op string) error {
		if op == "Register" {
			if n++; n == 1 {
				r.must(r.store.PutNews(context.Background(), "rg-1", in.Execution, booted, r.now.Add(time.Hour)))
			}
		}
		return nil
	}
	did, err := r.Await(t.Context(), step(in, first, "tok"))
	if err != nil || did != workflow.TakenSent || n != 2 {
		t.Fatalf("%s, %v after %d registrations", did, err, n)
	}
	if d := r.load(); d.Claim.Tries[first] != 1 {
		t.Errorf("counted %v", d.Claim.Tries)
	}
	r.store.Before = func(op string) error {
		if op == "Register" {
			return workflow.ErrChanged
		}
		return nil
	}
	if _, err = r.Await(t.Context(), step(in, first, "tok2")); !errors.Is(err, workflow.ErrChanged) {
		t.Errorf("it does not try for ever: %v", err)
	}
}

func TestDeliverResumesWhoWaits(t *testing.T) {
	for name, c := range map[string]struct {
		ev      event.DeviceEvent
		says    event.Move
		fate    workflow.Fate
		log     []string
		awaits  int
		news    int
		failure bool
	}{
		"success": {booted, event.Move{Done: 1}, workflow.FateResumed, []string{"succeed tok"}, 1, 0, false},
		"success that teaches": {booted, event.Move{Done: 1, Learnt: map[string]string{"a": "b"}},
			workflow.FateResumed, []string{"succeed tok"}, 0, 0, false},
		"failure": {booted, event.Move{Failed: event.Failf("Blink.Failed", "x")}, workflow.FateResumed,
			[]string{"fail tok Blink.Failed"}, 1, 0, true},
		"kept as well": {complete, event.Move{Done: 1, KeepNews: true}, workflow.FateResumed,
			[]string{"succeed tok"}, 1, 1, false},
		"noted": {booted, event.Move{State: json.RawMessage(`{}`)}, workflow.FateNoted, nil, 1, 0, false},
		"answered": {booted, event.Move{Send: "look"}, workflow.FateAnswered, []string{"send rg-1 look"},
			1, 0, false},
		"no use": {booted, event.Move{Ignore: true}, workflow.FateKept, nil, 1, 1, false},
		"no news": {event.DeviceEvent{Kind: event.KindConnected}, event.Move{Ignore: true},
			workflow.FateIgnored, nil, 1, 0, false},
		"foreign key": {event.DeviceEvent{Kind: event.KindTransferComplete, CommandKey: "other"},
			event.Move{Done: 1}, workflow.FateIgnored, nil, 1, 0, false},
		"foreign answer": {event.DeviceEvent{Kind: event.KindAnswer, Answer: &event.Answer{MessageID: "x"}},
			event.Move{Done: 1}, workflow.FateIgnored, nil, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, in := owned(t)
			r.begin = event.Move{State: memory, Commands: map[string]string{"k": ""}}
			_, err := r.Await(t.Context(), step(in, third, "tok"))
			r.must(err)
			r.says[c.ev.Kind] = c.says
			acked := 0
			out, err := r.Deliver(t.Context(), r.load(), c.ev, func() error {
				acked++
				if len(r.log) > 0 && strings.HasPrefix(r.log[0], "send") {
					t.Error("the device is told before the event is safe")
				}
				return nil
			})
			if err != nil || out.Fate != c.fate || (out.Failure != nil) != c.failure || acked != 1 {
				t.Errorf("got %+v, %v, acknowledged %d times", out, err, acked)
			}
			r.expect(name, c.log...)
			if d := r.load(); len(d.Awaits) != c.awaits || len(d.News) != c.news {
				t.Errorf("left %d tasks and %d news", len(d.Awaits), len(d.News))
			}
		})
	}
}

func TestDeliverToNobody(t *testing.T) {
	r := newRig(t)
	acked := false
	out, err := r.Deliver(t.Context(), r.load(), booted, func() error { acked = true; return nil })
	if err != nil || out.Fate != workflow.FateUnclaimed || !acked {
		t.Errorf("got %+v, %v", out, err)
	}
	r.clean("news of nobody's device")
}

func TestASecondCopyHasNoSecondEffect(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory}
	_, err := r.Await(t.Context(), step(in, third, "tok"))
	r.must(err)
	r.says[event.KindBooted] = event.Move{Done: 1}
	before := r.load() // both copies have read the same
	for i, want := range []workflow.Fate{workflow.FateResumed, workflow.FateKept} {
		if out, err := r.Deliver(t.Context(), before, booted, nothing); err != nil || out.Fate != want {
			t.Errorf("copy %d: got %+v, %v", i+1, out, err)
		}
	}
	r.expect("one effect", "succeed tok")

	r, in = owned(t)
	r.begin = event.Move{State: memory}
	_, err = r.Await(t.Context(), step(in, second, "tok"))
	r.must(err)
	r.says[event.KindBooted] = event.Move{State: json.RawMessage(`{"a":2}`), Once: true, Send: "operate"}
	before = r.load()
	for i, want := range []workflow.Fate{workflow.FateAnswered, workflow.FateOvertaken} {
		if out, err := r.Deliver(t.Context(), before, booted, nothing); err != nil || out.Fate != want {
			t.Errorf("copy %d: got %+v, %v", i+1, out, err)
		}
	}
	r.expect("one command", "send rg-1 operate")
}

func TestAnEventIsNotAcknowledgedBeforeItIsSafe(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory}
	_, err := r.Await(t.Context(), step(in, third, "tok"))
	r.must(err)
	r.says[event.KindBooted] = event.Move{Done: 1}
	r.fail["succeed"] = errors.New("throttled")
	_, err = r.Deliver(t.Context(), r.load(), booted, func() error { t.Error("acknowledged"); return nil })
	if !errors.Is(err, r.fail["succeed"]) || !strings.Contains(err.Error(), "rg-1") {
		t.Errorf("got %v", err)
	}
	if d := r.load(); len(d.Awaits) != 1 {
		t.Error("a task that was not resumed is gone")
	}
	r.store.Before = func(op string) error {
		if op == "PutNews" {
			return workflowtest.ErrCrash
		}
		return nil
	}
	r.says = nil
	if _, err = r.Deliver(t.Context(), r.load(), booted, func() error {
		t.Error("acknowledged")
		return nil
	}); !errors.Is(err, workflowtest.ErrCrash) {
		t.Errorf("got %v", err)
	}
}

func TestOfferToAnAbsentDevice(t *testing.T) {
	r := newRig(t)
	for range 2 {
		if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartPending {
			t.Fatal(s, err)
		}
	}
	r.expect("nothing starts")
	if got := r.store.Residue(); !slices.Equal(got, []string{"rg-1 PENDING#fw-2"}) {
		t.Errorf("left %q", got)
	}
	if s, err := r.Appear(t.Context(), r.load()); err != nil || len(s) != 0 {
		t.Errorf("absent, and yet %+v, %v", s, err)
	}
	r.greeted()
	s, err := r.Appear(t.Context(), r.load())
	if err != nil || len(s) != 1 || s[0].Did != workflow.StartBegun {
		t.Fatal(s, err)
	}
	r.expect("the job first, then the execution", "begin", "start")
	if s, err = r.Appear(t.Context(), r.load()); err != nil || len(s) != 0 {
		t.Errorf("a second appearance: %+v, %v", s, err)
	}
	r.expect("nothing again")
}

func TestACanceledOfferLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.over[1] = true
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartOver {
		t.Fatal(s, err)
	}
	r.clean("an absent device's")
	r.greeted()
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartOver {
		t.Fatal(s, err)
	}
	r.clean("a present device's")
	r.expect("nothing starts")
}

func TestAPlayedAttemptIsRejected(t *testing.T) {
	r := newRig(t)
	r.greeted()
	r.running[event.ExecutionName(event.JobOwner("fw-2"), "rg-1", 1, 0)] = false
	if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartPlayed {
		t.Fatal(s, err)
	}
	r.expect("rejected", "begin", "reject Blink.Duplicate", "report fw-2 REJECTED Blink.Duplicate")
	r.clean("a played attempt")
}

func TestADeadOwnerIsReplaced(t *testing.T) {
	owner := event.ExecutionName(event.JobOwner("fw-2"), "rg-1", 1, 0)
	for name, c := range map[string]struct {
		arrange func(r *rig)
		did     workflow.Start
		log     []string
	}{
		"at work": {func(*rig) {}, workflow.StartBusy, nil},
		"execution is over": {func(r *rig) {
			r.running[owner] = false
		}, workflow.StartBegun, []string{"begin", "start"}},
		"only the job knows": {func(r *rig) {
			r.over[1] = true
		}, workflow.StartBegun, []string{"stop Job.TimedOut", "report fw-2 TIMED_OUT Job.TimedOut", "begin", "start"}},
		"nobody reported": {func(r *rig) { r.running[owner], r.over[1] = false, true }, workflow.StartBegun,
			[]string{"stop Job.TimedOut", "report fw-2 TIMED_OUT Job.TimedOut unreported", "begin", "start"}},
		"about to start": {func(r *rig) { delete(r.running, owner) }, workflow.StartBusy, nil},
		"never started": {func(r *rig) {
			delete(r.running, owner)
			r.now = r.now.Add(6 * time.Minute)
		}, workflow.StartBegun, []string{"begin", "start"}},
	} {
		r, _ := owned(t)
		c.arrange(r)
		s, err := r.Offer(t.Context(), "rg-1", event.JobOwner("other"), 7, doc)
		if err != nil || s.Did != c.did {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
		r.expect(name, c.log...)
		want := owner
		if c.did == workflow.StartBegun {
			want = event.ExecutionName(event.JobOwner("other"), "rg-1", 7, 0)
		}
		if d := r.load(); d.Claim.Execution != want {
			t.Errorf("%s: %s owns the device", name, d.Claim.Execution)
		}
	}
}

func TestAppearTakesTheFirstOffer(t *testing.T) {
	r := newRig(t)
	for _, id := range []event.JobID{"z", "a"} {
		_, err := r.Offer(t.Context(), "rg-1", event.JobOwner(id), 1, doc)
		r.must(err)
		r.now = r.now.Add(time.Minute)
	}
	r.greeted()
	s, err := r.Appear(t.Context(), r.load())
	if err != nil || len(s) != 1 || s[0].Execution != event.ExecutionName(event.JobOwner("z"), "rg-1", 1, 0) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestErrorsOfAStartAreWorthARetry(t *testing.T) {
	broken := errors.New("broken")
	for _, port := range []string{"begin", "start"} {
		r := newRig(t)
		r.greeted()
		r.fail[port] = broken
		if _, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", port, err)
		}
		delete(r.fail, port)
		if s, err := r.Offer(t.Context(), "rg-1", fw2, 1, doc); err != nil || s.Did != workflow.StartBegun {
			t.Errorf("%s, again: %+v, %v", port, s, err)
		}
	}
}

func TestReleaseLeavesNothing(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory}
	_, err := r.Await(t.Context(), step(in, third, "tok"))
	r.must(err)
	for i := range 2 {
		d, owned, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in})
		if err != nil || !d.State.Connected || owned != (i == 0) {
			t.Errorf("%+v, %t, %v", d.State, owned, err)
		}
	}
	r.clean("after the end")
	if _, err = r.Await(t.Context(), step(in, first, "tok2")); !errors.Is(err, workflow.ErrGone) {
		t.Errorf("a step after the end: %v", err)
	}
}

func (r *rig) releaser() *workflow.Releaser {
	flow := r.flow()
	flow.Learn = func(in event.FinalizeInput, _ event.DeviceState) (learnt map[string]string) {
		if len(in.Results) > 0 {
			r.must(json.Unmarshal(in.Results, &learnt))
		}
		return learnt
	}
	flows, err := event.NewFlows(flow)
	r.must(err)
	return &workflow.Releaser{Store: r.store, Flows: flows, Now: func() time.Time { return r.now }}
}

// Who wrote first into the claim that he ends the execution does it; others come back,
// or find it done. Who died of it is replaced.
func TestOneEndsAnExecution(t *testing.T) {
	why := event.Failure{Name: event.JobCanceled}
	broken := errors.New("broken")
	r, in := owned(t)
	r.over[1], r.name, r.fail["report"] = true, "event", broken
	if _, err := r.End(t.Context(), "rg-1", fw2, why); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	r.expect("as far as it came", "stop Job.Canceled", "report fw-2 CANCELED Job.Canceled")
	delete(r.fail, "report")

	r.name = "start"
	if _, err := r.Offer(t.Context(), "rg-1", event.JobOwner("other"), 7, doc); !errors.Is(err, workflow.ErrEnding) {
		t.Errorf("the next job: %v", err)
	}
	if _, _, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in}); !errors.Is(err,
		workflow.ErrEnding) {
		t.Errorf("the execution: %v", err)
	}
	r.name = "event's copy"
	if _, err := r.End(t.Context(), "rg-1", fw2, why); !errors.Is(err, workflow.ErrEnding) {
		t.Errorf("a copy of the event: %v", err)
	}
	r.expect("nobody else")

	r.name = "event"
	if ended, err := r.End(t.Context(), "rg-1", fw2, why); err != nil || !ended.Execution {
		t.Errorf("again: %+v, %v", ended, err)
	}
	r.expect("again", "stop Job.Canceled", "report fw-2 CANCELED Job.Canceled")
	r.name = "start"
	if s, err := r.Offer(t.Context(), "rg-1", event.JobOwner("other"), 7, doc); err != nil ||
		s.Did != workflow.StartBegun {
		t.Errorf("then: %+v, %v", s, err)
	}

	r, in = owned(t)
	r.over[1], r.name, r.fail["report"] = true, "event", broken
	_, err := r.End(t.Context(), "rg-1", fw2, why)
	delete(r.fail, "report")
	if r.log = nil; !errors.Is(err, broken) {
		t.Fatal(err)
	}
	r.now = r.now.Add(2 * time.Minute)
	r.name = "start"
	if s, err := r.Offer(t.Context(), "rg-1", event.JobOwner("other"), 7, doc); err != nil ||
		s.Did != workflow.StartBegun {
		t.Errorf("after two minutes: %+v, %v", s, err)
	}
	if _, owned, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in}); err != nil || owned {
		t.Errorf("the execution: %t, %v", owned, err)
	}

	r, in = owned(t)
	r.over[1], r.name, r.fail["stop"] = true, "event", broken
	if _, err := r.End(t.Context(), "rg-1", fw2, why); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	r.now = r.now.Add(2 * time.Minute)
	if _, owned, err := r.releaser().Release(t.Context(), event.FinalizeInput{Input: in}); err != nil || !owned {
		t.Errorf("an execution that nobody stopped: %t, %v", owned, err)
	}
	r.clean("after it")
}

func TestEndSparesWhatIsNotOver(t *testing.T) {
	why := event.Failure{Name: event.JobCanceled}
	r, in := owned(t)
	if ended, err := r.End(t.Context(), "rg-1", fw2, why); err != nil || ended != (workflow.Ended{}) {
		t.Errorf("a live attempt: %+v, %v", ended, err)
	}
	if ended, err := r.End(t.Context(), "rg-1", event.JobOwner("another"), why); err != nil ||
		ended != (workflow.Ended{}) {
		t.Errorf("another job: %+v, %v", ended, err)
	}
	r.expect("nothing is stopped")
	r.over[1] = true
	if ended, err := r.End(t.Context(), "rg-1", fw2, why); err != nil || !ended.Execution ||
		ended.Operation != operation {
		t.Errorf("%+v, %v", ended, err)
	}
	r.expect("stopped", "stop Job.Canceled", "report fw-2 CANCELED Job.Canceled")
	r.clean("after the cancellation")
	if r.running[in.Execution] {
		t.Error("it runs on")
	}

	r = newRig(t)
	_, err := r.Offer(t.Context(), "rg-1", fw2, 3, doc)
	r.must(err)
	if ended, err := r.End(t.Context(), "rg-1", fw2, why); err != nil || ended != (workflow.Ended{}) {
		t.Errorf("a waiting attempt: %+v, %v", ended, err)
	}
	r.over[3] = true
	if ended, err := r.End(t.Context(), "rg-1", fw2, why); err != nil || !ended.Pending {
		t.Errorf("%+v, %v", ended, err)
	}
	r.clean("after the cancellation of what waited")
	r.fail["over"] = errors.New("throttled")
	r.greeted()
	_, err = r.Offer(t.Context(), "rg-1", event.JobOwner("fw-3"), 1, doc)
	r.must(err)
	if _, err = r.End(t.Context(), "rg-1", event.JobOwner("fw-3"), why); !errors.Is(err, r.fail["over"]) {
		t.Errorf("got %v", err)
	}
}

func TestMatches(t *testing.T) {
	a := workflow.Await{Messages: "m-1-", Commands: map[string]string{"k": "Device.X.Blink()", "any": ""}}
	command := func(kind event.Kind, key, path string) event.DeviceEvent {
		return event.DeviceEvent{Kind: kind, CommandKey: key, CommandPath: path}
	}
	for name, c := range map[string]struct {
		ev   event.DeviceEvent
		want bool
	}{
		"answer": {event.DeviceEvent{Kind: event.KindAnswer,
			Answer: &event.Answer{MessageID: "m-1-look"}}, true},
		"another's answer": {event.DeviceEvent{Kind: event.KindAnswer,
			Answer: &event.Answer{MessageID: "m-2-look"}}, false},
		"no answer":              {event.DeviceEvent{Kind: event.KindAnswer}, false},
		"completion":             {command(event.KindCommandComplete, "k", "Device.X.Blink()"), true},
		"another path":           {command(event.KindCommandComplete, "k", "Device.Y.Blink()"), false},
		"no path":                {command(event.KindCommandComplete, "k", ""), false},
		"a transfer has no path": {command(event.KindTransferComplete, "k", ""), true},
		"any path":               {command(event.KindCommandComplete, "any", "Device.Y.Reboot()"), true},
		"another key":            {command(event.KindTransferComplete, "other", ""), false},
		"restart":                {event.DeviceEvent{Kind: event.KindBooted}, true},
		"connection":             {event.DeviceEvent{Kind: event.KindConnected}, true},
	} {
		if got := a.Matches(c.ev); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
	if (workflow.Await{}).Matches(event.DeviceEvent{Kind: event.KindAnswer, Answer: &event.Answer{MessageID: "m"}}) {
		t.Error("a task that asked nothing takes an answer")
	}
}

// A conversation begins with what is known of its device's model, where the flow asks for it.
func TestAConversationKnowsTheQuirksOfTheModel(t *testing.T) {
	r, in := owned(t)
	r.begin = event.Move{State: memory}
	for of, want := range map[event.Step]int{first: 0, second: 0} {
		_, err := r.Await(t.Context(), step(in, of, event.TaskToken(of+" without")))
		if err != nil || len(r.quirks) != want {
			t.Errorf("%s, of a device whose model is not known: %v, %v", of, r.quirks, err)
		}
	}
	r.must(r.store.Learn(t.Context(), "rg-1", map[string]string{event.FactModel: "GW-1"}))
	for of, want := range map[event.Step]int{first: 1, second: 0} {
		_, err := r.Await(t.Context(), step(in, of, event.TaskToken(of+" with")))
		if err != nil || len(r.quirks) != want {
			t.Errorf("%s: %v, %v", of, r.quirks, err)
		}
	}
	r.must(r.store.Learn(t.Context(), "rg-1", map[string]string{event.FactModel: "GW-2"}))
	broken := errors.New("broken")
	r.fail["models"] = broken
	if _, err := r.Await(t.Context(), step(in, first, "broken")); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
