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
	// ReaderItems are the items that an ItemReader has read.
	ReaderItems *Data
}

// SingleResult is what a test came to.
type SingleResult struct {
	Status       string // SUCCEEDED, FAILED, RETRIABLE, CAUGHT_ERROR
	Output       *Data
	Error, Cause *string
	Next         string
	Inspection   *document.Object // values, by the API's names
	RetryIndex   *int
	CatchIndex   *int
	Backoff      *float64 // seconds
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

// Writes reports whether a Map state has a ResultWriter.
func (s *State) Writes() bool { return s.writer != nil }

// Test runs one state. If a task is to be called, call is asked for its result.
func Test(m *Machine, host Host, info Info, t Single, call func(Call) Result) SingleResult {
	machine := *m
	machine.Express = true
	r := New(&machine, host, info)
	r.single = &single{Single: t}
	if t.Context != nil {
		r.fixedContext = t.Context
	}
	st, flow := m.Find(t.State)
	out := &r.single.result
	out.Inspection = document.NewObject(document.Member{Name: "input", Value: info.Input.Value()})
	r.Trace = func(stage string, v any) {
		if stage == r.single.quiet || st.JSONata && stage == "afterInputPath" {
			return
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

// mocked runs a Map or Parallel state with what its inside is said to come to.
func (r *Run) mocked(b *Branch, st *State) {
	s := r.scope(b)
	f := r.mockedInside(s)
	if f == nil && r.single.Mock.Failed {
		f = &Failure{Error: r.single.Mock.Error, Cause: r.single.Mock.Cause}
	}
	if f != nil {
		r.fail(b, f)
		return
	}
	r.single.quiet = "result"
	r.succeed(b, r.single.Mock.Output)
}

func (r *Run) mockedInside(s *scope) *Failure {
	st := s.state
	if st.Type == "Parallel" {
		trace := r.Trace
		r.Trace = nil
		defer func() { r.Trace = trace }()
		if f := s.narrow(); f != nil {
			return f
		}
		if n := st.parameters; n != nil {
			if _, f := n.eval(s); f != nil {
				return f
			}
		}
		if n := st.arguments; n != nil {
			if _, f := n.eval(s); f != nil {
				return f
			}
		}
		return nil
	}
	trace := r.Trace
	if st.reader != nil {
		r.Trace = nil
	}
	f := s.narrow()
	r.Trace = trace
	if f != nil {
		return f
	}
	length := 0
	if st.reader != nil {
		if r.single.ReaderItems != nil {
			list, _ := r.single.ReaderItems.Value().([]any)
			length = len(list)
		}
	} else {
		items, f := r.items(s)
		if f != nil {
			return f
		}
		length = len(items)
	}
	limit, f := s.integer(st.maxConcurrency)
	if f != nil {
		return f
	}
	r.trace("maxConcurrency", document.Int(int64(limit)))
	tolerated, set := 0.0, false
	if st.toleratedShare.set {
		p, f := s.share(st.toleratedShare)
		if f != nil {
			return f
		}
		r.trace("toleratedFailurePercentage", document.Float(p))
		tolerated, set = p/100*float64(length), true
	}
	if st.toleratedCount.set {
		n, f := s.integer(st.toleratedCount)
		if f != nil {
			return f
		}
		r.trace("toleratedFailureCount", document.Int(int64(n)))
		if !set || float64(n) < tolerated {
			tolerated = float64(n)
		}
		set = true
	}
	if set && float64(r.single.FailedIterations) > tolerated && !r.single.Mock.Failed {
		return &Failure{Error: ptr(errTolerance), Cause: ptr("The specified tolerated failure threshold was exceeded")}
	}
	return nil
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

// pathSource is how messages about items spell a path.
func pathSource(source string) string {
	if len(source) > 1 && source[:2] == "$$" {
		return source[1:]
	}
	return source
}
