package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// StepsPorts are what Steps needs.
type StepsPorts struct {
	Store    Store
	Controls Controls
	Callback Callback
	Sender   Sender
	Announce Announcer
	Models   Models
	Flows    event.Flows
	Now      func() time.Time
}

// Steps takes the steps of executions.
type Steps struct{ StepsPorts }

// NewSteps checks that nothing is missing.
func NewSteps(p StepsPorts) (*Steps, error) {
	if err := complete("workflow.Steps", p); err != nil {
		return nil, err
	}
	return &Steps{p}, nil
}

// Taken is what became of a step's task when it was registered.
type Taken int

// The ends of a registration.
const (
	TakenNot       Taken = iota // not at all: there was an error
	TakenSent                   // a request is under way
	TakenWaiting                // it waits for news, and asks nothing
	TakenCollected              // news that came before ended it
	TakenFinished               // there was nothing to wait for
	TakenOvertaken              // other news ended it before its function got to it
	TakenRepeated               // it was taken before: the invocation is a copy
)

var takens = [...]string{"", "sent", "waiting", "collected", "finished", "overtaken", "repeated"}

// String is for logs.
func (t Taken) String() string { return takens[t] }

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
func (w *Steps) Await(ctx context.Context, in event.StepInput) (taken Taken, err error) {
	const attempts = 4
	for range attempts {
		taken, err = w.await(ctx, in)
		if !errors.Is(err, ErrChanged) {
			break
		}
	}
	if err != nil {
		return TakenNot, fmt.Errorf("workflow.Await: thing %s, %s, step %s: %w", in.Input.ThingName, in.Input.Owner,
			in.Step, err)
	}
	return taken, nil
}

func (w *Steps) await(ctx context.Context, in event.StepInput) (Taken, error) {
	x := in.Input
	d, err := w.Store.Load(ctx, x.ThingName)
	if err != nil {
		return TakenNot, err
	}
	if d.Claim == nil || d.Claim.Execution != x.Execution {
		return TakenNot, ErrGone
	}
	claim := *d.Claim
	if strings.Contains(claim.Seen[in.Step], digest(in.TaskToken)) {
		return TakenRepeated, nil
	}
	if in.Attempt < claim.Attempt {
		// Its function was late: the execution has gone on without it, and what it would
		// ask of the device nobody waits for.
		return TakenOvertaken, nil
	}
	flow, ok := w.Flows.Find(claim.Operation)
	if !ok {
		return TakenNot, fmt.Errorf("no flow is called %q", claim.Operation)
	}
	now := w.Now()
	claim.Attempt = in.Attempt
	claim.Tries, claim.Seen = copyMap(claim.Tries), copyMap(claim.Seen)
	claim.Tries[in.Step]++
	claim.Seen[in.Step] += digest(in.TaskToken)
	turn := event.Turn{
		Thing: x.ThingName, Device: d.State, Step: in.Step, Tries: claim.Tries, Now: now,
		Execution: x.Execution,
		Messages:  event.MessagePrefix(x.Execution, in.Step, claim.Tries[in.Step]),
	}
	last := ""
	for _, old := range d.Awaits {
		if old.Execution == x.Execution && old.Attempt >= last {
			turn.Last, last = old.State, old.Attempt
		}
		entry := event.EntryOf(in.Attempt)
		if old.Execution == x.Execution && old.Step == in.Step && event.EntryOf(old.Attempt) == entry {
			turn.Before, turn.Asked = old.State, old.Messages
		}
	}
	if model := d.State.Facts[event.FactModel]; model != "" && in.Step == flow.Models {
		if turn.Quirks, err = w.Models.Quirks(ctx, model); err != nil {
			return TakenNot, err
		}
	}
	move, err := flow.Begin(ctx, turn, in)
	if err != nil {
		return TakenNot, err
	}
	if move.Messages != "" {
		turn.Messages = move.Messages
	}
	turn.Before, turn.Asked, turn.Last, turn.Quirks = nil, "", nil, nil
	a := Await{
		Step: in.Step, Token: in.TaskToken, Owner: x.Owner, Execution: x.Execution,
		Messages: turn.Messages, Commands: move.Commands, State: move.State, Attempt: in.Attempt,
		Rev: 1, Since: now, ExpiresAt: claim.Deadline.Add(linger),
	}
	reg := Registration{Claim: claim, Await: a, Learnt: fresh(d.State.Facts, move.Learnt)}
	for _, p := range d.Pending {
		reg.Started = reg.Started || p.Owner == x.Owner && p.ExecutionNumber <= x.ExecutionNumber
	}
	for _, old := range d.Awaits {
		if old.Step != in.Step {
			reg.Dismiss = append(reg.Dismiss, old.Step)
		}
	}
	if move.Danger {
		reg.Shift = d.endangered(x.Owner, x.ExecutionNumber)
	}
	err = w.Store.Register(ctx, x.ThingName, reg)
	if errors.Is(err, ErrFull) {
		reg.Shift = nil // it is parked before its command
		err = w.Store.Register(ctx, x.ThingName, reg)
	}
	if err != nil {
		return TakenNot, err
	}
	move.Learnt = nil // it is noted
	announce(ctx, w.Announce, move, now, x.Owner, x.ThingName, x.ExecutionNumber, claim.Operation)
	if move.Ends() {
		return TakenFinished, w.finish(ctx, x.ThingName, a, move)
	}
	return w.collect(ctx, flow, turn, d, a, move)
}

// collect gives a task that was just registered the news that came before it, and
// sends what is to be sent then. d is the device as it was before: its news is all
// that came before the task, since each piece raises the claim's revision and the
// task would not have been registered then. Other news may move the conversation on
// meanwhile, or end it; what must not be sent twice is sent after another look.
func (w *Steps) collect(ctx context.Context, flow event.Flow, turn event.Turn, d Device, a Await, move event.Move) (
	Taken, error) {
	const attempts = 4
	for try := range attempts {
		if try > 0 || move.Once || move.Away {
			var err error
			if d, err = w.Store.Load(ctx, turn.Thing); err != nil {
				return TakenNot, err
			}
			now, ok := d.task(a)
			if !ok {
				return TakenOvertaken, nil
			}
			if move.Once && now.Rev != a.Rev {
				move.Send = nil // whoever raised the revision says what there is to say
			}
			a = now
		}
		if turn.Device = d.State; move.Away && d.State.Reachable() {
			// The same rule between AWAIT and STATE: it came back while nobody waited.
			d.News = append(d.News, event.DeviceEvent{Kind: event.KindConnected, Thing: d.Thing, At: turn.Now})
		}
		over, err := w.read(ctx, flow, d, turn, &a, &move)
		switch {
		case errors.Is(err, ErrChanged):
			continue
		case over:
			return TakenCollected, err
		case err != nil:
			return TakenNot, err
		case move.Send == nil:
			return TakenWaiting, nil
		}
		turn.State, move.State = a.State, nil
		if move, err = w.gate().pass(ctx, flow, turn, a.Owner, d, move); err != nil {
			return TakenNot, err
		}
		if move.Ends() {
			return TakenFinished, w.finish(ctx, turn.Thing, a, move)
		}
		return TakenSent, w.Sender.Send(ctx, turn.Thing, d.State, move.Send)
	}
	// Not ErrChanged: registering again would find the token known.
	return TakenNot, fmt.Errorf("overtaken %d times while it read its news", attempts)
}

// read takes the news that d holds. It keeps a and move up to date, and reports
// whether the task is over.
func (w *Steps) read(ctx context.Context, flow event.Flow, d Device, turn event.Turn, a *Await, move *event.Move) (
	over bool, err error) {
	news := d.News
	sort.SliceStable(news, func(i, j int) bool { return news[i].At.Before(news[j].At) })
	for _, ev := range news {
		if !a.Matches(ev) {
			continue
		}
		turn.State = a.State
		m, err := flow.Continue(turn, ev)
		if err != nil {
			return false, err
		}
		if d.Claim != nil {
			announce(ctx, w.Announce, m, ev.At, a.Owner, d.Thing, d.Claim.ExecutionNumber, d.Claim.Operation)
		}
		if m.Ends() {
			ok, err := take(ctx, w.Store, d, *a, m.Takes)
			if err != nil {
				return false, err
			}
			if !ok {
				continue
			}
			return true, w.finish(ctx, d.Thing, *a, m)
		}
		if m.Ignore {
			continue
		}
		if m.State != nil {
			a.State = m.State
			if err := w.Store.Advance(ctx, d.Thing, *a); err != nil {
				return false, err
			}
			a.Rev++
		}
		if m.Send != nil {
			// the later request replaces the first: it knows more
			move.Send, move.Once, move.Gate, move.Danger = m.Send, m.Once, m.Gate, m.Danger
		}
	}
	return false, nil
}

// finish resumes a task from within its own function.
func (w *Steps) finish(ctx context.Context, thing event.ThingName, a Await, m event.Move) error {
	if err := resume(ctx, w.Callback, a, m); err != nil && !errors.Is(err, ErrDeadToken) {
		return err
	}
	return learn(ctx, w.Store, thing, a, m.Learnt)
}

// learn notes what a step that is over has found out, and removes its task. Where it
// has found out nothing new, the next step's registration removes the task, or the
// release of the device: until then it is over, as who tries to resume it is told.
func learn(ctx context.Context, store Store, thing event.ThingName, a Await, learnt map[string]string) error {
	if len(learnt) == 0 {
		return nil
	}
	return store.Finish(ctx, thing, a, learnt)
}

// take notes that a task takes news that no other may; nothing is news that all may take.
// ok is false if another has it.
func take(ctx context.Context, store Store, d Device, a Await, news string) (ok bool, err error) {
	const attempts = 4
	for range attempts {
		if news == "" {
			return true, nil
		}
		if d.Claim == nil || d.Claim.Execution != a.Execution {
			return false, nil
		}
		if by, taken := d.Claim.takenBy(news); taken {
			return by == a.taker(), nil
		}
		c := *d.Claim
		c.Taken = append(slices.Clone(c.Taken[max(0, len(c.Taken)+1-mostTaken):]), Taking{News: news, By: a.taker()})
		if err = store.Take(ctx, d.Thing, c); !errors.Is(err, ErrChanged) {
			return err == nil, err
		}
		if d, err = store.Load(ctx, d.Thing); err != nil {
			return false, err
		}
	}
	// Not ErrChanged, which is for what can be registered again.
	return false, fmt.Errorf("overtaken %d times while it took its news", attempts)
}

func resume(ctx context.Context, c Callback, a Await, m event.Move) error {
	if m.Park != nil {
		f, err := m.Park.Failure()
		if err != nil {
			return err
		}
		return c.Fail(ctx, a.Token, f)
	}
	if m.Failed != nil {
		return c.Fail(ctx, a.Token, *m.Failed)
	}
	return c.Succeed(ctx, a.Token, m.Done)
}

func copyMap[V any](m map[event.Step]V) map[event.Step]V {
	out := make(map[event.Step]V, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	return out
}
