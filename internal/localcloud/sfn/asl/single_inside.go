package asl

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

// mocked runs a Map or Parallel state with what its inside is said to come to.
func (r *Run) mocked(b *Branch, st *State) {
	s := r.scope(b)
	inside := r.mockedBranches
	if st.Type == "Map" {
		inside = r.mockedItems
	}
	f := inside(s)
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

// mockedBranches evaluates what the branches of a Parallel state would be given, which is not shown.
func (r *Run) mockedBranches(s *scope) *Failure {
	trace := r.Trace
	r.Trace = nil
	defer func() { r.Trace = trace }()
	if f := s.narrow(); f != nil {
		return f
	}
	for _, n := range []node{s.state.parameters, s.state.arguments} {
		if n == nil {
			continue
		}
		if _, f := n.eval(s); f != nil {
			return f
		}
	}
	return nil
}

// mockedItems evaluates and shows what a Map state iterates over, and the limits under which it does.
func (r *Run) mockedItems(s *scope) *Failure {
	st := s.state
	trace := r.Trace
	if st.reader != nil {
		r.Trace = nil
	}
	f := s.narrow()
	r.Trace = trace
	if f != nil {
		return f
	}
	var items []any
	if st.reader == nil {
		items, s.branch.Pairs, f = r.items(s)
	} else if r.single.ReaderData != nil {
		items, f = r.mockedReader(s, *r.single.ReaderData)
	}
	if f == nil {
		f = r.showInputs(s, items)
	}
	if f != nil {
		return f
	}
	limit, f := s.integer(st.maxConcurrency)
	if f != nil {
		return f
	}
	r.trace("maxConcurrency", document.Int(int64(limit)))
	return r.mockedTolerance(s, len(items))
}

// mockedReader reads the items of what an ItemReader is said to have read: an object, or a listing as JSON.
func (r *Run) mockedReader(s *scope, data string) ([]any, *Failure) {
	failed := func(cause string) *Failure { return &Failure{Error: ptr(errItemReader), Cause: &cause} }
	read := document.NewObject(document.Member{Name: "Body", Value: data})
	if s.state.reader.inputType == "" && s.state.reader.manifest == "" {
		listed, err := document.ParseString(data)
		if err != nil {
			return nil, failed(JSONProblem(data, err))
		}
		read = document.NewObject(document.Member{Name: "Contents", Value: listed})
	}
	items, _, problem := readItems(s.state.reader, read)
	if problem != "" {
		return nil, failed(problem)
	}
	items, problem, f := s.firstItems(items)
	if problem != "" {
		f = failed(problem)
	}
	if f == nil && s.state.reader.pointer != "" {
		r.trace("afterItemsPointer", items)
	}
	return items, f
}

// showInputs shows what ItemSelector and ItemBatcher make of the items.
func (r *Run) showInputs(s *scope, items []any) *Failure {
	if s.state.itemSelector != nil {
		selected := make([]any, len(items))
		for i, item := range items {
			o := *s
			o.ctx, o.jsonataCtx = nil, nil
			o.item = s.branch.mapItem(i, item)
			var f *Failure
			if selected[i], f = s.state.itemSelector.eval(&o); f != nil {
				return f
			}
		}
		r.trace("afterItemSelector", selected)
	}
	if s.state.batcher != nil {
		batches, _, f := r.batches(s, items)
		if f != nil {
			return f
		}
		r.trace("afterItemBatcher", batches)
	}
	return nil
}

// mockedTolerance shows how many iterations may fail, and fails if more are said to have.
func (r *Run) mockedTolerance(s *scope, items int) *Failure {
	st := s.state
	tolerated, set := 0.0, false
	if st.toleratedShare.set {
		p, f := s.share(st.toleratedShare)
		if f != nil {
			return f
		}
		r.trace("toleratedFailurePercentage", json.Number(java.AppendDouble(nil, p)))
		tolerated, set = p/100*float64(items), true
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

// known are the branch's variables, by name.
func (b *Branch) known() *document.Object {
	o := &document.Object{}
	for _, name := range slices.Sorted(maps.Keys(b.Variables)) {
		o.Set(name, b.Variables[name].Value())
	}
	return o
}

// pathSource is how messages about items spell a path.
func pathSource(source string) string {
	if len(source) > 1 && source[:2] == "$$" {
		return source[1:]
	}
	return source
}
