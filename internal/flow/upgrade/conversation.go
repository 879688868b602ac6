package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
)

// What a request is for; the end of its message id, so that its answer says so by
// itself and nothing needs to be kept.
const (
	forLook      = "look"   // to begin with
	forReturn    = "return" // the agent was away: what was sent before is lost
	forRestart   = "boot"   // the agent restarted
	forBusy      = "busy"   // it refused with 7005: is it ours that it is busy with?
	forFault     = "fault"  // news of a failure: of which kind?
	forCommand   = "operate"
	forSubscribe = "add"
	forRepair    = "set"
	forNothing   = "" // an answer to a look from before the last command
)

// mostTries is how often a step is entered again in one execution.
const mostTries = 4

// mostSends is how often a command is sent in one try of a step. What really
// limits it is the step's deadline: whatever is sent is lost while a connection
// comes and goes, and no device is at fault for that.
const mostSends = 16

// memory is what a conversation keeps between its turns.
type memory struct {
	Document   event.Document  `json:"document"`
	Active     Image           `json:"active,omitzero"` // before the upgrade
	Target     Image           `json:"target,omitzero"` // as Inspect saw it
	Previous   string          `json:"previous,omitempty"`
	URL        string          `json:"url,omitempty"`
	Sent       *time.Time      `json:"sent,omitempty"` // the command, last time
	Sends      int             `json:"sends,omitempty"`
	Download   string          `json:"download,omitempty"` // command key that Download ended with before
	Activate   string          `json:"activate,omitempty"`
	Since      time.Time       `json:"since,omitzero"` // older restarts are no news
	Arrived    *time.Time      `json:"arrived,omitempty"`
	Fault      *event.Fault    `json:"fault,omitempty"`
	FaultAt    time.Time       `json:"faultAt,omitzero"`
	Restarted  bool            `json:"restarted,omitempty"` // and no look since then
	Inspection *Inspection     `json:"inspection,omitempty"`
	Repair     []device.Object `json:"repair,omitempty"`
	Soaked     bool            `json:"soaked,omitempty"`
	Overdue    bool            `json:"overdue,omitempty"`
}

func (m memory) save() json.RawMessage {
	b, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage("{}") // unreachable: plain values only
	}
	return b
}

func (m memory) version() string { return m.Document.Firmware.Version }
func (m memory) separate() bool {
	return m.Document.Activation.Mode == event.ActivateSeparate
}
func (m memory) single() bool { return m.Target.Path == m.Active.Path }

// Begin opens the conversation of a step.
func (f *Flow) Begin(ctx context.Context, t event.Turn, step event.StepInput) (event.Move, error) {
	in, err := readStep(step)
	if err != nil {
		return event.Move{}, err
	}
	m := memory{Document: in.document, Since: t.Now, Soaked: in.Soaked, Overdue: in.Overdue}
	if step.Step != Inspect {
		if in.Inspect == nil {
			return event.Move{}, fmt.Errorf("upgrade.Begin: step %s without the result of Inspect", step.Step)
		}
		if in.Download != nil {
			m.Download = in.Download.CommandKey
		}
		if in.Activate != nil {
			m.Activate = in.Activate.CommandKey
		}
		m.Active, m.Target, m.Previous = in.Inspect.Active, in.Inspect.Target, in.Inspect.SoftwareVersion
	}
	switch step.Step {
	case Inspect:
		return f.beginInspect(t, m)
	case Download:
		return f.beginDownload(ctx, t, m)
	case Activate:
		return f.beginActivate(t, m)
	case AwaitReport:
		return f.beginReport(t, m, in)
	case Verify:
		return f.beginVerify(t, m)
	case Rollback:
		return f.beginRollback(t, m)
	}
	return event.Move{}, fmt.Errorf("upgrade.Begin: unknown step %q", step.Step)
}

// Continue takes the next event.
func (f *Flow) Continue(t event.Turn, ev event.DeviceEvent) (event.Move, error) {
	var m memory
	if err := json.Unmarshal(t.State, &m); err != nil {
		return event.Move{}, fmt.Errorf("upgrade.Continue: step %s: memory: %w", t.Step, err)
	}
	s := turn{f, t, m}
	switch t.Step {
	case Inspect:
		return s.inspect(ev), nil
	case Download:
		return s.download(ev), nil
	case Activate:
		return s.activate(ev), nil
	case AwaitReport:
		return s.report(ev), nil
	case Verify:
		return s.verify(ev), nil
	case Rollback:
		return s.rollback(ev), nil
	}
	return event.Move{}, fmt.Errorf("upgrade.Continue: unknown step %q", t.Step)
}

// turn is one turn of a conversation.
type turn struct {
	f *Flow
	t event.Turn
	m memory
}

var ignore = event.Move{Ignore: true}

// purpose of the request that an answer belongs to. What a look showed before the
// last command was given is no reason to give another: events come twice, the
// second time perhaps much later.
func (s turn) purpose(a *event.Answer) string {
	why, round, isLook := strings.Cut(strings.TrimPrefix(a.MessageID, s.t.Messages), roundMark)
	if isLook && round != strconv.Itoa(s.m.Sends) {
		return forNothing
	}
	return why
}

// roundMark stands in the message id of a look, before the number of commands
// given until then.
const roundMark = "@"

func (s turn) look(why string) event.Move {
	return event.Move{Send: &device.Get{ID: s.t.Messages + why + roundMark + strconv.Itoa(s.m.Sends), Paths: lookPaths}}
}

// returned reports whether an event shows that the agent was away after what we
// sent: an event from before says nothing.
func (s turn) returned(ev event.DeviceEvent) bool {
	since := s.m.Since
	if s.m.Sent != nil {
		since = *s.m.Sent
	}
	return ev.At.After(since)
}

func (s turn) fail(name event.ErrorName, format string, args ...any) event.Move {
	return event.Move{Failed: event.Failf(name, format, args...)}
}

func (s turn) failWith(v view, name event.ErrorName, format string, args ...any) event.Move {
	m := s.fail(name, format, args...)
	m.Learnt = v.learnt()
	return m
}

func refusal(f event.Fault) event.Move {
	return event.Move{Failed: event.Refusal(f.Code, f.Text)}
}

// command gives a command, and remembers that it did. It is sent by one handler
// only, whichever wrote the memory.
func (s turn) command(path, key string, args map[string]string) event.Move {
	now := s.t.Now
	s.m.Sent = &now
	s.m.Sends++
	return event.Move{
		Send:  &device.Operate{ID: s.t.Messages + forCommand, Command: path, Key: key, Args: args},
		Once:  true,
		State: s.m.save(),
	}
}

// key of the command of this try of this step.
func (s turn) key() string { return event.StepKey(s.t.Execution, s.t.Step, s.t.Tries[s.t.Step]) }

// keys are those of all tries of a step, with one command path.
func keys(t event.Turn, step event.Step, path string) map[string]string {
	out := map[string]string{}
	for try := 1; try <= t.Tries[step]; try++ {
		out[event.StepKey(t.Execution, step, try)] = path
	}
	return out
}

// pending is keys without those up to and including over: the command that an
// earlier pass through the step ended with. Its news, repeated, is old.
func pending(t event.Turn, step event.Step, path, over string) map[string]string {
	out := map[string]string{}
	for try := t.Tries[step]; try >= 1; try-- {
		key := event.StepKey(t.Execution, step, try)
		if key == over {
			break
		}
		out[key] = path
	}
	return out
}
