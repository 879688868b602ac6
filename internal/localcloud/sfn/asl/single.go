package asl

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// Single is a test of one state, as TestState makes it.
type Single struct {
	State     string // "" for a definition that is a state
	Variables *document.Object
	// Context replaces the context object.
	Context *document.Object
	// Mock is what the state's task, branches or iterations come to; nil
	// means that a task is to be called.
	Mock *Result
	// Retries is how often the retrier that matches has retried already.
	Retries int
	// FailedIterations is how many iterations of a Map state have failed.
	FailedIterations int
	// ReaderData is what an ItemReader has read, as its source has it.
	ReaderData *string
}

// SingleResult is what a test came to.
type SingleResult struct {
	Status       string // SUCCEEDED, FAILED, RETRIABLE, CAUGHT_ERROR
	Output       *Data
	Error, Cause *string
	Next         string
	Inspection   *document.Object // values, by the API's names
	// Written are the texts of those values that came as text, with its white space.
	Written    map[string]string
	RetryIndex *int
	CatchIndex *int
	Backoff    *float64 // seconds
}

// The further statuses of a test.
const (
	Retriable   = "RETRIABLE"
	CaughtError = "CAUGHT_ERROR"
)

// single is a test under way.
type single struct {
	Single
	result SingleResult
	caught bool
	quiet  string // a stage that is not shown
}

// Find returns a state of the machine by its name, wherever it is.
func (m *Machine) Find(name string) (*State, *Flow) { return m.Flow.find(name) }

func (f *Flow) find(name string) (*State, *Flow) {
	if s := f.States[name]; s != nil {
		return s, f
	}
	for _, n := range f.names {
		s := f.States[n]
		inner := s.branches
		if s.processor != nil {
			inner = append(inner, s.processor)
		}
		for _, g := range inner {
			if found, flow := g.find(name); found != nil {
				return found, flow
			}
		}
	}
	return nil, nil
}

// Branches is the number of branches of a Parallel state.
func (s *State) Branches() int { return len(s.branches) }

// Kind is how the state's resource works.
func (s *State) Kind() Resource { return s.resource }

// ReadsJSON is false for a Map state with an ItemReader whose source is something other than JSON.
func (s *State) ReadsJSON() bool {
	return s.reader == nil || s.reader.manifest == "" && (s.reader.inputType == "" || s.reader.inputType == "JSON")
}

// Writes reports whether a Map state has a ResultWriter.
func (s *State) Writes() bool { return s.writer != nil }

// Test runs one state. If a task is to be called, call is asked for its result.
func Test(m *Machine, host Host, info Info, t Single, call func(Call) Result) SingleResult {
	machine := *m
	machine.Express = true
	info.Synchronous = true
	r := New(&machine, host, info)
	r.single = &single{Single: t}
	if t.Context != nil {
		r.fixedContext = t.Context
	}
	st, flow := m.Find(t.State)
	out := &r.single.result
	out.Inspection = document.NewObject(document.Member{Name: "input", Value: info.Input.Value()})
	out.Written = map[string]string{"input": info.Input.Text()}
	r.Trace = func(stage string, v any) {
		if stage == r.single.quiet || st.JSONata && stage == "afterInputPath" {
			return
		}
		delete(out.Written, stage)
		if d, ok := v.(*Data); ok {
			out.Written[stage], v = d.Text(), d.Value()
		}
		out.Inspection.Set(stage, v)
	}
	b := &Branch{State: st.Name, Input: info.Input, flow: flow, EnteredAt: host.Now(), Entered: 2}
	if t.Variables != nil {
		b.Variables = map[string]*Data{}
		for _, v := range t.Variables.Members() {
			b.Variables[v.Name] = ValueData(v.Value)
		}
	}
	r.snapshot = Snapshot{Next: 3, Root: b}
	switch st.Type {
	case "Wait":
		r.perform(b)
		if r.Status == Running && b.Phase == Waiting {
			r.clearWait(b)
			r.endWait(b)
		}
	case "Task":
		r.perform(b)
		if r.Status == Running && len(r.Calls) > 0 {
			var res Result
			if t.Mock != nil {
				res = *t.Mock
			} else {
				res = call(r.Calls[0])
			}
			b.Phase = Started
			_ = r.Complete(b.ID, b.Attempt, res)
		}
	case "Parallel", "Map":
		r.mocked(b, st)
	default:
		r.perform(b)
	}
	if known := b.known(); known.Len() > 0 {
		out.Inspection.Set("variables", known)
	}
	out.Status = r.Status
	if r.single.caught && r.Status == Succeeded {
		out.Status = CaughtError
	}
	if out.RetryIndex != nil && out.Backoff != nil {
		out.Status = Retriable
	}
	if out.Status == Running {
		out.Status = Failed
	}
	if r.Status == Failed {
		out.Error, out.Cause = r.Error, r.Cause
	}
	return *out
}

// failedSingle takes the failure of a state under test.
func (r *Run) failedSingle(b *Branch, f *Failure) {
	st := b.state()
	out := &r.single.result
	for i, rt := range st.retry {
		if !f.matches(rt.Errors) {
			continue
		}
		out.RetryIndex = &i
		if r.single.Retries < rt.Attempts {
			d := rt.delay(r.single.Retries + 1)
			out.Backoff, out.Error, out.Cause = &d, f.Error, f.Cause
			r.end(Retriable)
			return
		}
		break
	}
	for i, ct := range st.catch {
		if f.matches(ct.Errors) {
			out.CatchIndex, out.Error, out.Cause = &i, f.Error, f.Cause
			out.RetryIndex = nil
			r.single.caught = true
			r.goToCatcher(b, ct, f)
			return
		}
	}
	r.failBranch(b, f)
}
