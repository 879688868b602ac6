package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Workflow ties the ports together. A function fills in those it needs.
type Workflow struct {
	Store    Store
	Callback Callback
	Machine  Machine
	Job      Job
	Registry Registry
	Talk     Conversation
	Sender   Sender
	Now      func() time.Time
	Log      *slog.Logger
}

// Items outlive their use by this much before DynamoDB removes them.
const linger = 24 * time.Hour

// digest of a token, so that a repeated invocation is recognised and the token
// itself is kept in one place only.
func digest(t event.TaskToken) string {
	sum := sha256.Sum256([]byte(t))
	return hex.EncodeToString(sum[:8])
}

// Await registers a step's task and begins its conversation with the device. It
// returns ErrGone if the execution does not own the device any more. Repeating it
// with the same token does nothing; with a new token (a retry of the task) the
// conversation begins again, knowing how often it was tried.
func (w *Workflow) Await(ctx context.Context, in event.StepInput) (did string, err error) {
	up := in.Upgrade
	const attempts = 4
	for i := 0; i < attempts; i++ {
		did, err = w.await(ctx, in)
		if !errors.Is(err, ErrChanged) {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("workflow.Await: thing %s, job %s, step %s: %w", up.ThingName, up.JobID, in.Step, err)
	}
	return did, nil
}

func (w *Workflow) await(ctx context.Context, in event.StepInput) (string, error) {
	up := in.Upgrade
	d, err := w.Store.Load(ctx, up.ThingName)
	if err != nil {
		return "", err
	}
	if d.Claim == nil || d.Claim.Execution != up.Execution {
		return "", ErrGone
	}
	claim := *d.Claim
	if strings.Contains(claim.Seen[in.Step], digest(in.TaskToken)) {
		return "repeated", nil
	}
	now := w.Now()
	claim.Tries, claim.Seen = copyMap(claim.Tries), copyMap(claim.Seen)
	claim.Tries[in.Step]++
	claim.Seen[in.Step] += digest(in.TaskToken)
	turn := event.Turn{
		Thing: up.ThingName, Device: d.State, Step: in.Step, Tries: claim.Tries, Now: now,
		Execution: up.Execution,
		Messages:  event.MessagePrefix(up.Execution, in.Step, claim.Tries[in.Step]),
	}
	move, err := w.Talk.Begin(ctx, turn, in)
	if err != nil {
		return "", err
	}
	a := Await{
		Step: in.Step, Token: in.TaskToken, Job: up.JobID, Execution: up.Execution,
		Messages: turn.Messages, Commands: move.Commands, State: move.State,
		Rev: 1, Since: now, ExpiresAt: claim.Deadline.Add(linger),
	}
	reg := Registration{Claim: claim, Await: a}
	for _, p := range d.Pending {
		reg.Started = reg.Started || p.Job == up.JobID && p.ExecutionNumber <= up.ExecutionNumber
	}
	for _, old := range d.Awaits {
		if old.Step != in.Step {
			reg.Dismiss = append(reg.Dismiss, old.Step)
		}
	}
	if err := w.Store.Register(ctx, up.ThingName, reg); err != nil {
		return "", err
	}
	if move.Ends() {
		return "finished", w.finish(ctx, up.ThingName, a, move, true)
	}
	return w.collect(ctx, turn, a, move)
}

// collect gives a task that was just registered the news that came before it, and
// sends what is to be sent then. Other news may move the conversation on
// meanwhile, or end it.
func (w *Workflow) collect(ctx context.Context, turn event.Turn, a Await, move event.Move) (string, error) {
	const attempts = 4
	for i := 0; i < attempts; i++ {
		// Rule 1: AWAIT is written, now look what came before it.
		d, err := w.Store.Load(ctx, turn.Thing)
		if err != nil {
			return "", err
		}
		now, ok := d.task(a)
		if !ok {
			return "overtaken", nil
		}
		if move.Once && now.Rev != a.Rev {
			move.Send = nil // whoever raised the revision says what there is to say
		}
		a = now
		did, err := w.read(ctx, d, turn, &a, &move)
		switch {
		case errors.Is(err, ErrChanged):
			continue
		case err != nil || did != "":
			return did, err
		case move.Send == nil:
			return "waiting", nil
		}
		return "sent", w.Sender.Send(ctx, turn.Thing, d.State, move.Send)
	}
	// Not ErrChanged: registering again would find the token known.
	return "", fmt.Errorf("overtaken %d times while it read its news", attempts)
}

// read takes the news that d holds. It keeps a and move up to date; did is not ""
// if the task is over.
func (w *Workflow) read(ctx context.Context, d Device, turn event.Turn, a *Await, move *event.Move) (did string, err error) {
	news := d.News
	sort.SliceStable(news, func(i, j int) bool { return news[i].At.Before(news[j].At) })
	for _, ev := range news {
		if !a.Matches(ev) {
			continue
		}
		turn.State = a.State
		m, err := w.Talk.Continue(turn, ev)
		if err != nil {
			return "", err
		}
		if m.Ends() {
			return "collected", w.finish(ctx, d.Thing, *a, m, true)
		}
		if m.Ignore {
			continue
		}
		if m.State != nil {
			a.State = m.State
			if err := w.Store.Advance(ctx, d.Thing, *a); err != nil {
				return "", err
			}
			a.Rev++
		}
		if m.Send != nil {
			move.Send, move.Once = m.Send, m.Once // the later request replaces the first: it knows more
		}
	}
	return "", nil
}

// Delivery says what became of a device event.
type Delivery struct {
	Did     string // "resumed", "answered", "noted", "kept", "unclaimed", "ignored"
	Step    event.Step
	Job     event.JobID
	Failure *event.Failure // with "resumed", unless the step succeeded

	kept bool // the event is in NEWS
}

// Deliver hands an event to the task that waits for it, or keeps it for one that
// will. d is the device as just loaded; persisted is called once the event cannot
// be lost any more, before the device is told anything else.
func (w *Workflow) Deliver(ctx context.Context, d Device, ev event.DeviceEvent, persisted func() error) (Delivery, error) {
	out, err := w.deliver(ctx, d, ev, persisted)
	if err != nil {
		return out, fmt.Errorf("workflow.Deliver: thing %s, %s: %w", d.Thing, ev.Kind, err)
	}
	return out, nil
}

func (w *Workflow) deliver(ctx context.Context, d Device, ev event.DeviceEvent, persisted func() error) (Delivery, error) {
	if d.Claim == nil {
		return Delivery{Did: "unclaimed"}, persisted()
	}
	out := Delivery{Did: "ignored", Job: d.Claim.Job}
	acked := false
	ack := func() error {
		if acked {
			return nil
		}
		acked = true
		return persisted()
	}
	first, waits := d.await(ev)
	if waits {
		delivered, again, err := w.turn(ctx, d, first, ev, ack, true)
		if err != nil || !again {
			return delivered, err
		}
		out = delivered
	}
	if !newsworthy(*d.Claim, ev) {
		return out, ack()
	}
	// Rule 1: NEWS is written, now look whether somebody waits by now.
	var err error
	if !out.kept {
		err = w.Store.PutNews(ctx, d.Thing, d.Claim.Execution, ev, d.Claim.Deadline.Add(linger))
	}
	if errors.Is(err, ErrGone) {
		return Delivery{Did: "unclaimed"}, ack()
	}
	if err != nil {
		return out, err
	}
	if err := ack(); err != nil {
		return out, err
	}
	if d, err = w.Store.Load(ctx, d.Thing); err != nil {
		return out, err
	}
	if a, ok := d.await(ev); ok && d.Claim != nil {
		if out.kept && out.Did != "late" && a.Token == first.Token {
			return out, nil // it has taken the event, and its successor will
		}
		delivered, again, err := w.turn(ctx, d, a, ev, ack, false)
		if err != nil {
			return delivered, err
		}
		if !again {
			return delivered, nil
		}
	}
	return Delivery{Did: "kept", Job: out.Job}, nil
}

// turn lets the conversation of a task take an event. again is true if somebody
// else may need the event: the conversation has no use for it, or keeps it for its
// successor, or the task is over and its successor may wait already. mark is whether a resumed task is removed at once;
// its successor removes it in any case.
func (w *Workflow) turn(ctx context.Context, d Device, a Await, ev event.DeviceEvent, ack func() error, mark bool) (out Delivery, again bool, err error) {
	out = Delivery{Did: "ignored", Step: a.Step, Job: a.Job}
	m, err := w.Talk.Continue(event.Turn{
		Thing: d.Thing, Execution: a.Execution, Device: d.State, Step: a.Step, State: a.State, Messages: a.Messages,
		Tries: d.Claim.Tries, Now: w.Now(),
	}, ev)
	if err != nil {
		return out, false, err
	}
	if m.Ignore {
		return out, true, nil
	}
	if m.KeepNews {
		err := w.Store.PutNews(ctx, d.Thing, d.Claim.Execution, ev, d.Claim.Deadline.Add(linger))
		if errors.Is(err, ErrGone) {
			return out, false, ack()
		}
		if err != nil {
			return out, false, err
		}
		out.kept = true
	}
	if m.Ends() {
		out.Did, out.Failure = "resumed", m.Failed
		if err := w.resume(ctx, a, m); errors.Is(err, ErrDeadToken) {
			// Its successor may wait by now, and may have looked before the news
			// was kept.
			out.Did = "late"
			return out, true, nil
		} else if err != nil {
			return out, false, err
		}
		if mark {
			if err := w.Store.Finish(ctx, d.Thing, a, m.Learnt); err != nil {
				return out, false, err
			}
		}
		return out, false, ack()
	}
	if m.State != nil || m.Once {
		if m.State != nil {
			a.State = m.State
		}
		err := w.Store.Advance(ctx, d.Thing, a)
		switch {
		case errors.Is(err, ErrChanged) && (m.Once || m.Send == nil):
			// Another copy of this event, or other news, was quicker, and has
			// sent what there is to send.
			out.Did = "overtaken"
			return out, false, ack()
		case errors.Is(err, ErrChanged): // what was noted is lost, what is asked can be asked by both
		case err != nil:
			return out, false, err
		}
	}
	if err := ack(); err != nil {
		return out, false, err
	}
	out.Did = "noted"
	if m.Send != nil {
		out.Did = "answered"
		err = w.Sender.Send(ctx, d.Thing, d.State, m.Send)
	}
	return out, m.KeepNews, err
}

func (w *Workflow) resume(ctx context.Context, a Await, m event.Move) error {
	if m.Failed != nil {
		return w.Callback.Fail(ctx, a.Token, *m.Failed)
	}
	return w.Callback.Succeed(ctx, a.Token, m.Done)
}

// finish resumes a task from within its own function.
func (w *Workflow) finish(ctx context.Context, thing event.ThingName, a Await, m event.Move, mark bool) error {
	if err := w.resume(ctx, a, m); err != nil && !errors.Is(err, ErrDeadToken) {
		return err
	}
	if !mark {
		return nil
	}
	return w.Store.Finish(ctx, thing, a, m.Learnt)
}

// newsworthy reports whether an event may matter to a step that has not begun.
func newsworthy(c Claim, ev event.DeviceEvent) bool {
	switch ev.Kind {
	case event.KindTransferComplete, event.KindCommandComplete:
		return c.Owns(ev.CommandKey)
	case event.KindBooted:
		return true
	}
	return false
}

func copyMap[V any](m map[event.Step]V) map[event.Step]V {
	out := make(map[event.Step]V, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	return out
}
