package script

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// What a request is for: the end of its message id, before its number.
const (
	forGet       = "get"
	forSet       = "set"
	forAdd       = "add"
	forDelete    = "delete"
	forOperate   = "operate"
	forLook      = "look"      // what is there, before a change or after a lost answer
	forTrace     = "trace"     // of a command whose answer may be lost
	forNews      = "news"      // which Subscriptions there are
	forRemoval   = "unsub"     // of Subscriptions that cannot be set right
	forSubscribe = "subscribe" // of those that lack
	forRepair    = "repair"    // of those that are wrong
)

// mostRequests is how many requests one task makes. What really limits it is the
// timeout of its state.
const mostRequests = 100

// repeatAfter is how long after a request the answer to the one before it, if it comes
// again, means that the function that was to send the request had died: its message
// comes again after two seconds or more. A device that says everything twice does so at
// once.
//
// That function may die, too: then it is the answer to one before the last that comes again.
const repeatAfter = 1500 * time.Millisecond

// clocks is how far the broker's clock may be behind ours: what it had shortly before we
// sent something may be what we sent it into the void for. To ask once too often harms
// nothing.
const clocks = time.Second

// mostAnswer is how many bytes the result of a task may have: Step Functions takes
// 256 KiB as the output of a state, and an author wants to keep some beside it.
const mostAnswer = 240 << 10

// memoryForm is the form in which this program writes memory. It reads those up to it:
// one that waits may have begun under an earlier version.
const memoryForm = 1

// memory is what a conversation keeps between its turns.
type memory struct {
	Form    int       `json:"v"`
	Task    task      `json:"task"`
	Asked   int       `json:"asked,omitempty"` // number of the request that is outstanding
	For     string    `json:"for,omitempty"`   // what it is for; "" if none is
	SentAt  time.Time `json:"sentAt,omitzero"`
	After   int       `json:"after,omitempty"`   // number of the request that was answered last
	Back    time.Time `json:"back,omitzero"`     // when the device came back that was asked again for it
	Changed bool      `json:"changed,omitempty"` // a request to change the device was sent
	First   int       `json:"first,omitempty"`   // number of the first such request
	Begun   bool      `json:"begun,omitempty"`   // a task before made one, or may have

	// ADD: what was found or made, by number; DELETE: what is gone.
	Made      map[int]Object `json:"made,omitempty"`
	Adding    []int          `json:"adding,omitempty"`    // numbers of what was asked to be added last
	Duplicate bool           `json:"duplicate,omitempty"` // the device said once that it is there

	// OPERATE.
	Key      string            `json:"key,omitempty"`      // of the command
	GivenAt  time.Time         `json:"givenAt,omitzero"`   // when the command was sent
	Accepted bool              `json:"accepted,omitempty"` // the device has taken it
	Busy     bool              `json:"busy,omitempty"`     // it said 7005
	Booted   bool              `json:"booted,omitempty"`   // it restarted after the command, by something else
	Lost     int               `json:"lost,omitempty"`     // looks that showed no trace of it
	Output   map[string]string `json:"output,omitempty"`   // of the command, before the restart that is its end
	By       *Boot             `json:"by,omitempty"`       // it restarted by the command, whose answer is lost
	Earlier  *given            `json:"earlier,omitempty"`  // what a try before gave, and saw no trace of

	// Subscriptions that lack, and that are wrong.
	Add    []device.Object `json:"add,omitempty"`
	Repair []device.Object `json:"repair,omitempty"`
}

// given is a command that was sent.
type given struct {
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
	Booted bool      `json:"booted,omitempty"` // a restart by something else was told after it
}

// readMemory reads what save wrote, this version's or an earlier one's.
func readMemory(step event.Step, raw json.RawMessage) (m memory, err error) {
	if err := json.Unmarshal(raw, &m); err != nil {
		return memory{}, fmt.Errorf("step %s: memory: %w", step, err)
	}
	return m, event.CheckForm("memory of step "+string(step), m.Form, memoryForm)
}

func (m memory) save() json.RawMessage {
	m.Form = memoryForm
	b, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage("{}") // unreachable: plain values only
	}
	return b
}

// turn is one turn of a conversation.
type turn struct {
	f *flow
	t event.Turn
	m memory
}

// Each task is one of these.
type talk interface {
	// open makes the first request, to a device that can be reached.
	open() event.Move
	// lost is for a request that may have been lost, with its answer or without.
	lost() event.Move
	// answer takes the answer to the outstanding request.
	answer(ev event.DeviceEvent) event.Move
	// news takes everything else.
	news(ev event.DeviceEvent) event.Move
}

func (s *turn) talk() talk {
	switch s.m.Task.Task {
	case Set:
		return setting{s}
	case Add:
		return adding{s}
	case Delete:
		return deleting{s}
	case Operate:
		return operating{s}
	case Await:
		return awaiting{s}
	}
	return getting{s}
}

var ignore = event.Move{Ignore: true}

// begin opens the conversation of a task.
func (f *flow) begin(_ context.Context, t event.Turn, in event.StepInput) (event.Move, error) {
	work, failure := readTask(in.Results)
	if failure != nil {
		return event.Move{Failed: failure, State: memory{}.save()}, nil
	}
	s := &turn{f, t, memory{Task: work}}
	if len(t.Last) > 0 {
		was, err := readMemory(t.Step, t.Last)
		if err != nil {
			return event.Move{}, fmt.Errorf("script: the task before: %w", err)
		}
		s.m.Begun = was.Begun || was.Changed
	}
	if work.Task == Operate {
		s.m.Key = event.StepKey(t.Execution, t.Step, t.Tries[t.Step])
		if err := (operating{s}).adopt(); err != nil {
			return event.Move{}, fmt.Errorf("script: %w", err)
		}
	}
	messages := ""
	if s.readsAgain(t.Before) {
		s.t.Messages, messages = t.Asked, t.Asked
	}
	var move event.Move
	if !t.Device.Reachable() {
		// What was sent to a device that is away is lost (09b): it is asked when it is
		// back, or its state ends by its timeout.
		move = event.Move{Away: true}
	} else {
		move = s.talk().open()
	}
	if move.State == nil {
		move.State = s.m.save()
	}
	move.Messages = messages
	if work.Task == Operate {
		move.Commands = map[string]string{s.m.Key: work.Command}
		if s.m.Earlier != nil {
			move.Commands[s.m.Earlier.Key] = work.Command
		}
	}
	return move, nil
}

// readsAgain reports whether the try before read what this one is to read. The device's answer to that does
// for this try, too.
func (s *turn) readsAgain(before json.RawMessage) bool {
	if s.m.Task.Task != Get {
		return false
	}
	was, err := readMemory(s.t.Step, before)
	return err == nil && was.Task.Task == Get && was.Task.AllowPartial == s.m.Task.AllowPartial &&
		slices.Equal(was.Task.Paths, s.m.Task.Paths)
}

// hold parks an execution that a pause keeps from its first change of the device: it
// begins anew, as if nothing had happened. One that has changed the device goes on to its
// end, as nobody but its author knows what half of it is.
func (f *flow) hold(t event.Turn) (park event.Park, ok bool, err error) {
	m, err := readMemory(t.Step, t.State)
	if err != nil {
		return event.Park{}, false, fmt.Errorf("script: %w", err)
	}
	return event.Park{}, !m.Begun && m.First == m.Asked, nil
}

// next takes the next event.
func (f *flow) next(t event.Turn, ev event.DeviceEvent) (event.Move, error) {
	m, err := readMemory(t.Step, t.State)
	if err != nil {
		return event.Move{}, fmt.Errorf("script: %w", err)
	}
	s := &turn{f, t, m}
	switch ev.Kind {
	case event.KindConnected, event.KindBooted:
		move := s.talk().news(ev)
		if move.Ignore {
			move = s.returned(ev)
		}
		// A task that only minds a restart, and does not take it, leaves it to others.
		move.KeepNews = ev.Kind == event.KindBooted && !move.Ignore && move.Takes == ""
		return move, nil
	case event.KindAnswer:
		return s.answered(ev), nil
	}
	return s.talk().news(ev), nil
}

// returned is for an event that shows that the device was away after the last request,
// or when there was none: what was sent then is lost. If the event comes again, the function had
// died that was to ask for it.
func (s *turn) returned(ev event.DeviceEvent) event.Move {
	again := ev.At.Equal(s.m.Back) && s.t.Now.Sub(s.m.SentAt) > repeatAfter
	switch {
	case s.m.Asked > 0 && (s.m.For == "" || !again && !ev.At.After(s.m.SentAt.Add(-clocks))):
		return ignore
	case s.m.Asked == 0:
		s.m.Back = ev.At
		return s.talk().open()
	}
	s.m.Back = ev.At
	return s.talk().lost()
}

// answered takes an answer, if it is that to the outstanding request.
func (s *turn) answered(ev event.DeviceEvent) event.Move {
	why, round, _ := strings.Cut(strings.TrimPrefix(ev.Answer.MessageID, s.t.Messages), "@")
	n, err := strconv.Atoi(round)
	switch {
	case why == forOperate && err == nil:
		return operating{s}.operated(ev)
	case err == nil && why == forGet: // each of its requests is for the same
		return s.talk().answer(ev)
	case err != nil || s.m.For == "":
		return ignore
	case n == s.m.Asked:
		s.m.After = n
		return s.talk().answer(ev)
	case (n == s.m.Asked-1 || n == s.m.After) && s.t.Now.Sub(s.m.SentAt) > repeatAfter:
		return s.talk().lost()
	}
	return ignore
}

// id is the message id of the next request.
func (s *turn) id(why string) string {
	return s.t.Messages + why + "@" + strconv.Itoa(s.m.Asked+1)
}

// ask makes the next request: it is in the memory before it is sent, and sent by the one
// who wrote that.
func (s *turn) ask(why string, request event.Outgoing) event.Move {
	if s.m.Asked >= mostRequests {
		return s.fail(event.DeviceNoReport, "%d requests, and no end", s.m.Asked)
	}
	s.m.Asked++
	s.m.For, s.m.SentAt = why, s.t.Now
	return event.Move{Send: request, Once: true, State: s.m.save()}
}

// change is ask for a request that changes the device.
func (s *turn) change(why string, request event.Outgoing) event.Move {
	if !s.m.Changed {
		s.m.Changed, s.m.First = true, s.m.Asked+1
	}
	move := s.ask(why, request)
	move.Gate = !s.m.Task.Undoes && !move.Ends()
	move.Danger = move.Gate
	return move
}

// wait goes on without a request.
func (s *turn) wait() event.Move {
	s.m.For = ""
	return event.Move{State: s.m.save()}
}

func (s *turn) get(why string, paths ...string) event.Move {
	return s.ask(why, &device.Get{ID: s.id(why), Paths: paths})
}

func (s *turn) fail(name event.ErrorName, format string, args ...any) event.Move {
	return event.Move{Failed: event.Failf(name, format, args...)}
}

// done ends the task with a result.
func (s *turn) done(result any) event.Move {
	b, err := json.Marshal(result)
	if err != nil {
		return s.fail(TaskInvalid, "the result: %s", err)
	}
	if len(b) > mostAnswer {
		return s.fail(TaskTooLarge, "%d bytes; a state may hold %d: ask for less at a time", len(b), mostAnswer)
	}
	return event.Move{Done: json.RawMessage(b)}
}

// refusal is a fault of the device: busy, or no.
func refusal(f event.Fault) event.Move {
	if f.Code == device.CodeBusy {
		return event.Move{Failed: &event.Failure{
			Name: event.DeviceBusy, Code: f.Code, Detail: fmt.Sprintf("%d %s", f.Code, f.Text),
		}}
	}
	return event.Move{Failed: event.Refusal(f.Code, f.Text)}
}

// subscribe looks which Subscriptions there are.
func (s *turn) subscribe() event.Move { return s.get(forNews, device.Subscriptions, device.Requests) }

// subscribing takes the answers on the way to the Subscriptions that the task needs. It
// removes what is wrong and cannot be set right, then adds, since an ID cannot be twice,
// then sets right. ready means that there is nothing left to do.
func (s *turn) subscribing(a *event.Answer, needed ...device.Subscription) (move event.Move, ready bool) {
	after := s.m.For
	switch after {
	case forNews:
		if a.Fault != nil {
			return refusal(*a.Fault), false
		}
		missing := device.CompareSubscriptions(s.f.controller, a, needed)
		s.m.Add, s.m.Repair = missing.Add, missing.Repair
		if len(missing.Remove) > 0 {
			return s.ask(forRemoval, &device.Delete{ID: s.id(forRemoval), Paths: missing.Remove}), false
		}
	case forRemoval, forSubscribe, forRepair:
		if f := device.Written(a); f != nil {
			return refusal(*f), false
		}
	default:
		return event.Move{}, true
	}
	switch {
	case (after == forNews || after == forRemoval) && len(s.m.Add) > 0:
		return s.ask(forSubscribe, &device.Add{ID: s.id(forSubscribe), Objects: s.m.Add}), false
	case after != forRepair && len(s.m.Repair) > 0:
		return s.ask(forRepair, &device.Set{ID: s.id(forRepair), Objects: s.m.Repair}), false
	}
	return event.Move{}, true
}
