package asl

import (
	"math"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// fail ends the branch's current state with an error: it is retried, caught, or
// ends the branch.
func (r *Run) fail(b *Branch, f *Failure) {
	s := b.state()
	r.clearWait(b)
	if f.evaluation {
		id := r.append(b, b.before, Event{Type: "EvaluationFailed", State: s.Name, Location: f.location,
			Error: f.Error, Cause: f.Cause})
		b.Cursor = id
	}
	if r.single != nil {
		r.failedSingle(b, f)
		return
	}
	if b.MapRun != "" {
		r.mapRunEnd(b, Failed)
	}
	inside := b.Results != nil || b.Items != nil || f.evaluation
	r.leave(b)
	for i, rt := range s.retry {
		if !f.matches(rt.Errors) {
			continue
		}
		if len(b.Tries) < len(s.retry) {
			b.Tries = append(b.Tries, make([]int, len(s.retry)-len(b.Tries))...)
		}
		if b.Tries[i] >= rt.Attempts {
			break
		}
		b.Tries[i]++
		b.Retries++
		b.Phase = Retrying
		b.Wake = r.host.Now().Add(r.delayOf(rt, b.Tries[i]))
		return
	}
	if inside && (s.Type == "Map" || s.Type == "Parallel") {
		r.emit(b, Event{Type: s.Type + "StateFailed"})
	}
	for _, ct := range s.catch {
		if f.matches(ct.Errors) {
			r.goToCatcher(b, ct, f)
			return
		}
	}
	r.failBranch(b, f)
}

// failBranch ends a branch with an error that its state does not handle.
func (r *Run) failBranch(b *Branch, f *Failure) {
	p := b.parent
	if !f.kept && !r.Machine.Express {
		r.keepForRedrive(b)
	}
	if p == nil || f.name() == errRuntime {
		// Nothing catches States.Runtime: it ends the execution, wherever it arises.
		r.emit(b, Event{Type: "ExecutionFailed", Error: f.Error, Cause: f.Cause})
		if r.Status == Running {
			r.Error, r.Cause = f.Error, f.Cause
			r.end(Failed)
		}
		return
	}
	outer := &Failure{Error: f.Error, Cause: f.Cause, timeout: f.timeout, heartbeat: f.heartbeat, kept: true}
	// What is cut short is told after the error, of each iteration or branch in turn, and all of it points to the
	// error's event.
	if p.state().Type == "Map" {
		r.append(b, b.Cursor, Event{Type: "MapIterationFailed", Name: p.State, Index: b.Index})
	}
	r.abortState(b, b.Cursor)
	r.abortKids(p, b, b.Cursor)
	p.Cursor = b.Cursor
	p.before = p.Cursor
	r.drop(p)
	r.fail(p, outer)
}

// delayOf draws the wait before a retry.
func (r *Run) delayOf(rt *Retrier, attempt int) time.Duration {
	d := rt.delay(attempt)
	if rt.Full {
		d = math.Floor(d*1000) / 1000 * float64(r.host.Random(1<<30)) / (1 << 30)
	}
	return seconds(d)
}

// timedOut says that a task took too long. A redrive does it again, if another error ends the execution first.
func (r *Run) timedOut(b *Branch) {
	s := b.state()
	r.clearWait(b)
	b.Phase = broken
	e := Event{Error: ptr(errTimeout)}
	switch s.resource.Kind {
	case Function:
		e.Type = "LambdaFunctionTimedOut"
	case Activity:
		e.Type = "ActivityTimedOut"
	default:
		e.Type = "TaskTimedOut"
		e.Resource, e.ResourceType = s.resource.EventResource(), s.resource.EventType()
	}
	r.emit(b, e)
	b.before = b.Cursor
}

// Doom ends the execution at its next transition, as the deletion of its state machine does.
func (r *Run) Doom() { r.snapshot.Doomed = true }

// Abort ends the execution as StopExecution does.
func (r *Run) Abort(name, cause *string) {
	if r.Status != Running {
		return
	}
	r.append(r.snapshot.Root, 0, Event{Type: "ExecutionAborted", Error: name, Cause: cause})
	r.Error, r.Cause = name, cause
	r.end(Aborted)
}

// abortState says that a branch's state was cut short by the event at.
func (r *Run) abortState(b *Branch, at int64) {
	switch t := b.state().Type; t {
	case "Task", "Wait", "Map", "Parallel":
		r.append(b, at, Event{Type: t + "StateAborted"})
	}
}

// abortKids says what the event at has cut short inside a Map or Parallel state, other than the branch that failed.
func (r *Run) abortKids(p, failed *Branch, at int64) {
	if p.MapRun != "" {
		r.append(p, at, Event{Type: "MapRunAborted"})
		return
	}
	for _, k := range p.Kids {
		if k == nil || k == failed {
			continue
		}
		if p.state().Type == "Map" {
			r.append(k, at, Event{Type: "MapIterationAborted", Name: p.State, Index: k.Index})
		}
		r.abortState(k, at)
		r.abortKids(k, nil, at)
	}
}

// drop takes a branch's kids out of the queue.
func (r *Run) drop(p *Branch) {
	var rest []*Branch
	for _, b := range r.queue {
		inside := false
		for q := b; q != nil; q = q.parent {
			inside = inside || q == p && b != p
		}
		if !inside {
			rest = append(rest, b)
		}
	}
	r.queue = rest
}

// goToCatcher goes on at a catcher.
func (r *Run) goToCatcher(b *Branch, ct *Catcher, f *Failure) {
	st := b.state()
	s := r.scope(b)
	output := f.output()
	out := ValueData(output)
	var fail *Failure
	if st.JSONata {
		s.errorOutput = out
		if ct.output != nil {
			out, fail = s.data(ct.output)
		}
	} else {
		out, fail = s.place(ct.resultPath, s.input, out)
		s.input = output
	}
	if fail == nil {
		fail = r.leaveState(s, ct.assign, out, ct.Next)
	}
	if fail != nil {
		if fail.evaluation {
			b.Cursor = r.append(b, b.before, Event{Type: "EvaluationFailed", State: st.Name, Location: fail.location,
				Error: fail.Error, Cause: fail.Cause})
		}
		r.failBranch(b, fail)
	}
}

func (r *Run) failState(s *scope) {
	st := s.state
	if !st.JSONata {
		r.trace("afterInputPath", s.input)
	}
	f := &Failure{}
	for _, part := range []struct {
		node node
		into **string
		name string
	}{{st.errorNode, &f.Error, "Error"}, {st.causeNode, &f.Cause, "Cause"}} {
		if part.node == nil {
			continue
		}
		v, problem := part.node.eval(s)
		if problem != nil {
			r.fail(s.branch, problem)
			return
		}
		text, ok := v.(string)
		if !ok {
			if e, isExpression := part.node.(exprNode); isExpression {
				r.fail(s.branch, e.wrongType(s, "string", v))
				return
			}
			if v == nil {
				continue
			}
			text = document.Text(v)
		}
		*part.into = &text
	}
	r.failBranch(s.branch, f)
}
