package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/quirk"
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
	forRemoval   = "delete" // of Subscriptions that cannot be set right
	forSubscribe = "add"
	forRepair    = "set"
	forBank      = "bank" // BootFirmwareImage is set, where Activate() is blocked
	forNothing   = ""     // an answer to a look from before the last command
)

// mostTries is how often a step is entered in one execution because of its device.
const mostTries = 4

// mostDownloads is how often a download is asked for in one execution: also where whoever has the image could not
// serve it. The pauses of Backoff between eight of them outlive a trouble of a quarter of an hour.
const mostDownloads = 8

// mostFaults is how often one try of a step gives its command again after the device
// has told that it failed and a look shows that it may be well next time.
const mostFaults = 3

// faultInterrupted in the text of a failure tells that a restart ended the command.
// The text is the vendor's; without it, a look tells.
const faultInterrupted = "reboot"

// mostSends is how often a command is sent in one try of a step. What really
// limits it is the step's deadline: whatever is sent is lost while a connection
// comes and goes, and no device is at fault for that.
const mostSends = 16

// memoryForm is the form in which this program writes memory. It reads those up to it:
// one that waits may have begun under an earlier version.
const memoryForm = 1

// memory is what a conversation keeps between its turns.
type memory struct {
	Form       int             `json:"v"`
	Document   Document        `json:"document"`
	Active     Image           `json:"active,omitzero"` // before the upgrade
	Target     Image           `json:"target,omitzero"` // as Inspect saw it
	Previous   string          `json:"previous,omitempty"`
	Sent       *time.Time      `json:"sent,omitempty"` // the command, last time
	Sends      int             `json:"sends,omitempty"`
	Download   string          `json:"download,omitempty"` // command key that Download ended with before
	Activate   string          `json:"activate,omitempty"`
	Since      time.Time       `json:"since,omitzero"` // older restarts are no news
	Arrived    *time.Time      `json:"arrived,omitempty"`
	Fault      *event.Fault    `json:"fault,omitempty"`
	FaultAt    time.Time       `json:"faultAt,omitzero"`
	FaultID    string          `json:"faultId,omitempty"`   // of the news that told it
	Faults     int             `json:"faults,omitempty"`    // how many in this try of the step
	Restarted  bool            `json:"restarted,omitempty"` // and no look since then
	Cut        bool            `json:"cut,omitempty"`       // it restarted in this try, not by our command
	Blocked    *event.Fault    `json:"blocked,omitempty"`   // how it refuses every command that takes time
	BlockedAt  int             `json:"blockedAt,omitempty"` // Sends of the command that it refused so
	Passes     int             `json:"passes,omitempty"`    // of Download or Activate before
	Refused    int             `json:"refused,omitempty"`   // those of Download that were not served the image
	Backs      bool            `json:"backs,omitempty"`     // its execution has a state Backoff; earlier ones do not
	Inspection *Inspection     `json:"inspection,omitempty"`
	Add        []device.Object `json:"add,omitempty"`    // Subscriptions, after others are removed
	Repair     []device.Object `json:"repair,omitempty"` // after that
	Soaked     bool            `json:"soaked,omitempty"`
	Soaking    *results        `json:"soaking,omitempty"` // of the steps before, where it is parked to soak
	Overdue    bool            `json:"overdue,omitempty"`
	Renewed    bool            `json:"renewed,omitempty"` // it was given a second address
	Window     *event.Window   `json:"window,omitempty"`  // in the device's time
	Resumed    resumption      `json:"resumed,omitzero"`  // what the lap before told
	Quirks     quirk.List      `json:"quirks,omitempty"`  // of its model
	Plain      bool            `json:"plain,omitempty"`   // it takes no window in Activate()
}

// readMemory reads what save wrote, this version's or an earlier one's.
func readMemory(t event.Turn) (m memory, err error) {
	if err := json.Unmarshal(t.State, &m); err != nil {
		return memory{}, fmt.Errorf("step %s: memory: %w", t.Step, err)
	}
	return m, event.CheckForm("memory of step "+string(t.Step), m.Form, memoryForm)
}

func (m memory) save() json.RawMessage {
	m.Form = memoryForm
	b, err := json.Marshal(m)
	if err != nil {
		return json.RawMessage("{}") // unreachable: plain values only
	}
	return b
}

func (m memory) version() string { return m.Document.Firmware.Version }

// separate reports whether the image is activated by a command of its own: as was asked
// for, or since the model knows no other way.
func (m memory) separate() bool {
	return m.Document.Activation.Mode == ActivateSeparate || m.Quirks.Has(quirk.NoAutoActivate) && !m.single()
}

// interruptible reports whether a download that its device has interrupted may be asked for again, and servable
// one that was not served.
func (m memory) interruptible() bool { return m.servable() && max(m.Passes, 1)-m.Refused < mostTries }

func (m memory) servable() bool {
	most := mostDownloads
	if !m.Backs {
		most = mostTries
	}
	return max(m.Passes, 1) < most
}

// later is the signpost to another download of an image that was not served.
func (m memory) later() event.ErrorName {
	if !m.Backs {
		return NextDownload
	}
	return NextBackoff
}

func (m memory) single() bool { return m.Target.Path == m.Active.Path }

// dangerous reports whether the device may restart into another image after a move. A download
// that activates itself is as an activation.
func (m memory) dangerous(step event.Step, move event.Move) bool {
	return move.Send != nil && (step == Activate || step == Download && !m.separate())
}

// staged reports whether the image to download into showed the wanted version before
// anything was done: then its showing it proves nothing.
func (m memory) staged() bool {
	return m.Target.Version == m.version() && (m.Target.Status == statusAvailable || m.Target.Status == statusActive)
}

// Begin opens the conversation of a step.
func (f *Flow) Begin(_ context.Context, t event.Turn, step event.StepInput) (event.Move, error) {
	in, err := readStep(step)
	if err != nil {
		return event.Move{}, err
	}
	m := memory{
		Document: in.document, Since: t.Now, Soaked: in.Soaked, Overdue: in.overdue(), Renewed: in.Renewed,
		Refused: in.Refused, Backs: true, Window: step.Input.Window,
	}
	if m.Resumed, err = readResumption(step.Input); err != nil {
		return event.Move{}, err
	}
	m.Refused += m.Resumed.Refused
	for _, q := range t.Quirks { // those that are not known are a later program's
		m.Quirks = append(m.Quirks, quirk.Quirk(q))
	}
	m.Quirks = quirk.Of(m.Quirks...)
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
		switch {
		case (step.Step == Download || step.Step == Verify) && in.Download != nil:
			m.Passes = in.Download.Pass
		case step.Step == Download:
			m.Passes = m.Resumed.Downloads
		case step.Step == Activate && in.Activate != nil:
			m.Passes = in.Activate.Pass
		case step.Step == Activate:
			m.Passes = m.Resumed.Passes
		}
		if step.Step == Verify && m.Document.soaks() && !m.Soaked {
			m.Soaking = &results{Inspect: in.Inspect, Download: in.Download, Activate: in.Activate, Report: in.Report}
		}
		m.Quirks = in.Inspect.Quirks
		m.Active, m.Target, m.Previous = in.Inspect.Active, in.Inspect.Target, in.Inspect.SoftwareVersion
	}
	move, err := f.begin(step.Step, t, m, in)
	if err == nil && onlyRead(t.Before, move) {
		asked := t.Asked
		t.Messages = asked
		move, err = f.begin(step.Step, t, m, in)
		move.Messages = asked
	}
	move.Tells, move.Danger = tells(step.Step, m, event.DeviceEvent{}, move), m.dangerous(step.Step, move)
	return move, err
}

// onlyRead reports whether the try before has asked the device for nothing but looks, as a move that begins
// a step does: it has kept nothing in mind since its own beginning. An answer to one of its looks then says
// to this try what its own answer would say.
func onlyRead(before json.RawMessage, begins event.Move) bool {
	if _, looks := begins.Send.(*device.Get); !looks || begins.Once || begins.Ends() {
		return false
	}
	var was, is memory
	if json.Unmarshal(before, &was) != nil || json.Unmarshal(begins.State, &is) != nil || was.Form != memoryForm {
		return false
	}
	was.Since, is.Since = time.Time{}, time.Time{}
	return bytes.Equal(was.save(), is.save())
}

func (f *Flow) begin(step event.Step, t event.Turn, m memory, in stepInput) (event.Move, error) {
	switch step {
	case Inspect:
		return f.beginInspect(t, m)
	case Download:
		return f.beginDownload(t, m, *in.Inspect)
	case Activate:
		return f.beginActivate(t, m)
	case AwaitReport:
		return f.beginReport(t, m, in)
	case Verify:
		return f.beginVerify(t, m)
	case Rollback:
		return f.beginRollback(t, m)
	}
	return event.Move{}, fmt.Errorf("upgrade.Begin: unknown step %q", step)
}

// Continue takes the next event.
func (f *Flow) Continue(t event.Turn, ev event.DeviceEvent) (event.Move, error) {
	m, err := readMemory(t)
	if err != nil {
		return event.Move{}, fmt.Errorf("upgrade.Continue: %w", err)
	}
	s, move := turn{f, t, m}, event.Move{}
	switch t.Step {
	case Inspect:
		move = s.inspect(ev)
	case Download:
		move = s.download(ev)
	case Activate:
		move = s.activate(ev)
	case AwaitReport:
		move = s.report(ev)
	case Verify:
		move = s.verify(ev)
	case Rollback:
		move = s.rollback(ev)
	default:
		return event.Move{}, fmt.Errorf("upgrade.Continue: unknown step %q", t.Step)
	}
	move.Tells, move.Danger = tells(t.Step, m, ev, move), m.dangerous(t.Step, move)
	return move, nil
}

// turn is one turn of a conversation.
type turn struct {
	f *Flow
	t event.Turn
	m memory
}

var ignore = event.Move{Ignore: true}

// purpose of the request that an answer belongs to. What a look showed before the
// last command was given is no reason to give another, nor is the answer to a command
// before it one to it: events come twice, the second time perhaps much later.
func (s turn) purpose(a *event.Answer) string {
	why, round, has := strings.Cut(strings.TrimPrefix(a.MessageID, s.t.Messages), roundMark)
	if has && round != strconv.Itoa(s.m.Sends) {
		return forNothing
	}
	return why
}

// superseded takes an answer to a request from before the last command. Soon after that
// it is a copy. Later it may come again because whoever took it could not send the
// command, or was ended before it did, which a look tells.
func (s turn) superseded() event.Move {
	if s.m.Sent == nil || s.t.Now.Sub(*s.m.Sent) < sentLately {
		return ignore
	}
	return s.look(forReturn)
}

// sentLately is how long a command may be on its way from whoever wrote that it is given.
// The queue brings a message that failed again after 2 s at the earliest.
const sentLately = 1500 * time.Millisecond

// roundMark stands in a message id before the number of commands given until then.
const roundMark = "@"

// id is the message id of a request of this round.
func (s turn) id(why string) string { return s.t.Messages + why + roundMark + strconv.Itoa(s.m.Sends) }

// keepNews is a move on news that the next step may want as well.
func keepNews(m event.Move) event.Move {
	m.KeepNews = true
	return m
}

func (s turn) look(why string) event.Move {
	return event.Move{Send: &device.Get{ID: s.id(why), Paths: lookPaths}}
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
	text := f.Text
	if f.Code == device.CodeDenied {
		// The agent's own text says nothing of it ("Instance already exists", 11l).
		text += " (if it refuses every Download() and Activate() so, its table of commands is blocked: docs/errors.md)"
	}
	return event.Move{Failed: event.Refusal(f.Code, text)}
}

// command gives a command, and remembers that it did. It is sent by one handler
// only, whichever wrote the memory.
func (s turn) command(path string, args map[string]string, files map[string]device.File) event.Move {
	now := s.t.Now
	s.m.Sent = &now
	s.m.Sends++
	return event.Move{
		Send:  &device.Operate{ID: s.id(forCommand), Command: path, Key: s.key(), Args: args, Files: files},
		Once:  true,
		State: s.m.save(),
	}
}

// key of the command that this try of this step gave last.
func (s turn) key() string {
	return event.SendKey(s.t.Execution, s.t.Step, s.t.Tries[s.t.Step], s.m.Sends)
}

// last reports whether news is of the command that this try gave last. All else that
// a step is given is of commands before: its failures are old news.
func (s turn) last(ev event.DeviceEvent) bool { return s.m.Sends > 0 && ev.CommandKey == s.key() }

// faulted takes news of a failure, which is no verdict: the command may have been
// ended by a restart (07b, 11a, 11c). A look tells. The same news that comes again may
// be that whoever took it was ended before it could look.
func (s turn) faulted(ev event.DeviceEvent) event.Move {
	if s.m.Fault != nil && ev.ID != "" && ev.ID == s.m.FaultID {
		return s.look(forFault)
	}
	if s.m.Fault != nil && s.t.Now.Sub(s.m.FaultAt) < lookAgain {
		return event.Move{}
	}
	s.m.Fault, s.m.FaultAt, s.m.FaultID = ev.Fault, s.t.Now, ev.ID
	s.m.Faults++
	move := s.look(forFault)
	move.State, move.Once = s.m.save(), true
	return move
}

// lookAgain is how long after the news of a failure the same news, told again,
// means that the look it led to was lost. The two pieces of news that a failed
// transfer makes come together; an agent repeats one after 5 s at the earliest.
const lookAgain = 4 * time.Second

// mayBoot reports whether a refusal is one that boot is for: of the first command that
// was refused, told once or more. Who took it before may have been ended before it could
// ask; to be asked twice for the same image changes nothing.
func (s turn) mayBoot(f event.Fault) bool {
	return f.Code == device.CodeDenied && (s.m.Blocked == nil || s.m.BlockedAt == s.m.Sends)
}

// boot has an image started by a device that refuses Activate() for good: what it
// does at once is not blocked (11l, 05f).
func (s turn) boot(path string, blocked event.Fault) event.Move {
	s.m.Blocked, s.m.BlockedAt = &blocked, s.m.Sends
	return event.Move{
		Send: &device.Set{ID: s.id(forBank), Objects: []device.Object{{Path: deviceInfo, Settings: []device.Setting{
			{Param: bootFirmwareImage, Value: strings.TrimSuffix(path, "."), Required: true},
		}}}},
		State: s.m.save(), Once: true,
	}
}

// booting takes the answer to what boot asked, and has the device restart.
func (s turn) booting(a *event.Answer) event.Move {
	if s.m.Blocked == nil {
		return ignore
	}
	if f := device.Written(a); f != nil {
		return refusal(*s.m.Blocked)
	}
	return s.command(commandReboot, nil, nil)
}

// complete reports whether the image lies there, and is the one that was asked for. A
// version string that was there before proves it only where we know what was
// downloaded.
func (s turn) complete(v view) bool {
	return !s.m.single() && v.has(s.m.Target.Path, s.m.version()) && (!s.m.staged() || s.m.Arrived != nil ||
		s.m.Activate != "" || s.proven())
}

// proven reports whether the image to download into holds the wanted one by our own
// record, or by the word of whoever asked for it.
func (s turn) proven() bool {
	f := s.m.Document.Firmware
	if f.VersionIsProof {
		return true
	}
	var b bank
	if text := s.t.Device.Facts[factBank+s.m.Target.Path]; text == "" || json.Unmarshal([]byte(text), &b) != nil {
		return false // what cannot be read proves nothing
	}
	return f.SHA256 != "" && b.Version == f.Version && b.SHA256 == f.SHA256
}

// bank is what lies in an image of a device: what was downloaded there with its
// checksum, by which execution. It is noted when the device has the image, and
// withdrawn before another is asked for.
type bank struct {
	Version string    `json:"version"`
	SHA256  string    `json:"sha256"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// proof is the fact that the image has arrived; nil where no checksum was asked for.
func (s turn) proof() map[string]string {
	f := s.m.Document.Firmware
	if f.SHA256 == "" || s.m.single() {
		return nil
	}
	text, err := json.Marshal(bank{Version: f.Version, SHA256: f.SHA256, By: s.t.Execution, At: s.t.Now.UTC()})
	if err != nil {
		return nil // unreachable: plain values only
	}
	return map[string]string{factBank + s.m.Target.Path: string(text)}
}

// with adds facts to others.
func with(facts, more map[string]string) map[string]string {
	if len(more) == 0 {
		return facts
	}
	all := maps.Clone(more)
	maps.Copy(all, facts)
	return all
}

// given reports whether a command key is of a step of this execution.
func given(t event.Turn, step event.Step, key string) bool {
	return among(keys(t, step, ""), key)
}

// gave is given, of a step of this upgrade.
func (s turn) gave(step event.Step) func(key string) bool {
	return func(key string) bool { return given(s.t, step, key) }
}

func among(keys map[string]string, key string) bool {
	for known := range keys {
		if event.SameTry(known, key) {
			return true
		}
	}
	return false
}

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
