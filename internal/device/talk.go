package device

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Talk holds the conversations of all steps.
type Talk struct {
	Controller usp.EndpointID
	// ImageURL gives the address that the device fetches the image from, valid
	// from now on for as long as a download may take to begin. Only Download
	// needs it.
	ImageURL func(ctx context.Context, f event.Firmware, t event.Timeouts) (string, error)
}

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
	Upgrade    event.ExecutionInput `json:"upgrade"`
	Active     event.Image          `json:"active,omitzero"` // before the upgrade
	Target     event.Image          `json:"target,omitzero"` // as Inspect saw it
	Previous   string               `json:"previous,omitempty"`
	URL        string               `json:"url,omitempty"`
	Sent       *time.Time           `json:"sent,omitempty"` // the command, last time
	Sends      int                  `json:"sends,omitempty"`
	Download   string               `json:"download,omitempty"` // command key that Download ended with before
	Activate   string               `json:"activate,omitempty"`
	Since      time.Time            `json:"since,omitzero"` // older restarts are no news
	Arrived    *time.Time           `json:"arrived,omitempty"`
	Fault      *event.Fault         `json:"fault,omitempty"`
	FaultAt    time.Time            `json:"faultAt,omitzero"`
	Restarted  bool                 `json:"restarted,omitempty"` // and no look since then
	Inspection *event.Inspection    `json:"inspection,omitempty"`
	Repair     []usp.Object         `json:"repair,omitempty"`
	Soaked     bool                 `json:"soaked,omitempty"`
	Overdue    bool                 `json:"overdue,omitempty"`
}

func (m memory) save() json.RawMessage {
	b, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage("{}") // unreachable: plain values only
	}
	return b
}

func (m memory) version() string { return m.Upgrade.Document.Firmware.Version }
func (m memory) separate() bool {
	return m.Upgrade.Document.Activation.Mode == event.ActivateSeparate
}
func (m memory) single() bool { return m.Target.Path == m.Active.Path }

// Begin opens the conversation of a step.
func (k *Talk) Begin(ctx context.Context, t event.Turn, in event.StepInput) (event.Move, error) {
	m := memory{Upgrade: in.Upgrade, Since: t.Now, Soaked: in.Soaked, Overdue: in.Overdue}
	if in.Step != event.StepInspect {
		if in.Inspect == nil {
			return event.Move{}, fmt.Errorf("device.Begin: step %s without the result of Inspect", in.Step)
		}
		if in.Download != nil {
			m.Download = in.Download.CommandKey
		}
		if in.Activate != nil {
			m.Activate = in.Activate.CommandKey
		}
		m.Active, m.Target, m.Previous = in.Inspect.Active, in.Inspect.Target, in.Inspect.SoftwareVersion
	}
	switch in.Step {
	case event.StepInspect:
		return k.beginInspect(t, m)
	case event.StepDownload:
		return k.beginDownload(ctx, t, m)
	case event.StepActivate:
		return k.beginActivate(t, m)
	case event.StepReport:
		return k.beginReport(t, m, in)
	case event.StepVerify:
		return k.beginVerify(t, m)
	case event.StepRollback:
		return k.beginRollback(t, m)
	}
	return event.Move{}, fmt.Errorf("device.Begin: unknown step %q", in.Step)
}

// Continue takes the next event.
func (k *Talk) Continue(t event.Turn, ev event.DeviceEvent) (event.Move, error) {
	var m memory
	if err := json.Unmarshal(t.State, &m); err != nil {
		return event.Move{}, fmt.Errorf("device.Continue: step %s: memory: %w", t.Step, err)
	}
	s := say{k, t, m}
	switch t.Step {
	case event.StepInspect:
		return s.inspect(ev), nil
	case event.StepDownload:
		return s.download(ev), nil
	case event.StepActivate:
		return s.activate(ev), nil
	case event.StepReport:
		return s.report(ev), nil
	case event.StepVerify:
		return s.verify(ev), nil
	case event.StepRollback:
		return s.rollback(ev), nil
	}
	return event.Move{}, fmt.Errorf("device.Continue: unknown step %q", t.Step)
}

// say is one turn of a conversation.
type say struct {
	k *Talk
	t event.Turn
	m memory
}

var ignore = event.Move{Ignore: true}

// purpose of the request that an answer belongs to. What a look showed before the
// last command was given is no reason to give another: events come twice, the
// second time perhaps much later.
func (s say) purpose(a *event.Answer) string {
	why, round, isLook := strings.Cut(strings.TrimPrefix(a.MessageID, s.t.Messages), roundMark)
	if isLook && round != strconv.Itoa(s.m.Sends) {
		return forNothing
	}
	return why
}

// roundMark stands in the message id of a look, before the number of commands
// given until then.
const roundMark = "@"

func (s say) look(why string) event.Move {
	return event.Move{Send: &Request{usp.NewGet(s.t.Messages+why+roundMark+strconv.Itoa(s.m.Sends), 0, lookPaths...)}}
}

// returned reports whether an event shows that the agent was away after what we
// sent: an event from before says nothing.
func (s say) returned(ev event.DeviceEvent) bool {
	since := s.m.Since
	if s.m.Sent != nil {
		since = *s.m.Sent
	}
	return ev.At.After(since)
}

func (s say) fail(name event.ErrorName, format string, args ...any) event.Move {
	return event.Move{Failed: event.Failf(name, format, args...)}
}

func (s say) failWith(v view, name event.ErrorName, format string, args ...any) event.Move {
	m := s.fail(name, format, args...)
	m.Learnt = v.learnt()
	return m
}

func refusal(f event.Fault) event.Move {
	return event.Move{Failed: event.Refusal(f.Code, f.Text)}
}

// command gives a command, and remembers that it did. It is sent by one handler
// only, whichever wrote the memory.
func (s say) command(path, key string, args map[string]string) event.Move {
	now := s.t.Now
	s.m.Sent = &now
	s.m.Sends++
	return event.Move{
		Send:  &Request{usp.NewOperate(s.t.Messages+forCommand, path, key, true, args)},
		Once:  true,
		State: s.m.save(),
	}
}

// key of the command of this try of this step.
func (s say) key() string { return event.StepKey(s.t.Execution, s.t.Step, s.t.Tries[s.t.Step]) }

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

// answered sums up the answer to a command: accepted, or the worst fault of all
// its results. No result at all is a fault too: nothing matched the path.
func answered(a *event.Answer) (accepted bool, f event.Fault) {
	if a.Fault != nil {
		return false, *a.Fault
	}
	for _, r := range a.Results {
		if r.Fault == nil {
			return true, event.Fault{}
		}
		f = *r.Fault
	}
	if f.Code == 0 {
		f = event.Fault{Code: int(usp.ObjectDoesNotExist), Text: "the command matched nothing on the device"}
	}
	return false, f
}

const busyCode = int(usp.ResourcesExceeded)
