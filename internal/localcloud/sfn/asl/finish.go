package asl

import "strings"

// finish ends a branch well.
func (r *Run) finish(b *Branch, out *Data) {
	p := b.parent
	if p == nil {
		r.emit(b, Event{Type: "ExecutionSucceeded", Output: out})
		if r.Status == Running {
			r.Output = out
			r.end(Succeeded)
		}
		return
	}
	s := p.state()
	p.Results[b.Index] = out
	p.Done++
	if s.Type == "Map" {
		r.iterated(p, b)
		return
	}
	for i, k := range p.Kids {
		if k == b {
			p.Kids[i] = nil
		}
	}
	if p.Done < len(s.branches) {
		return
	}
	p.Cursor = b.Cursor
	p.before = p.Cursor
	r.append(p, p.Cursor, Event{Type: "ParallelStateSucceeded"})
	r.collect(p)
}

// collect ends a Parallel or Map state whose inside is done.
func (r *Run) collect(p *Branch) {
	list := make([]any, len(p.Results))
	for i, d := range p.Results {
		if d != nil {
			list[i] = d.Value()
		}
	}
	out := ValueData(list)
	if p.state().Type == "Parallel" {
		out = joined(p.Results, list)
	}
	r.leave(p)
	p.Phase = Entering
	r.succeed(p, out)
}

// joined is what a Parallel state's branches have come to. Each output keeps the white space that it has.
func joined(results []*Data, list []any) *Data {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range results {
		if d == nil || b.Len()+len(d.Text()) > maxText {
			return ValueData(list)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.Text())
	}
	b.WriteByte(']')
	return &Data{text: b.String(), value: list, hasText: true, hasValue: true}
}

// succeed takes the result of a Task, Parallel or Map state on to its exit.
func (r *Run) succeed(b *Branch, result *Data) {
	s := r.scope(b)
	r.traceData("result", result)
	if f := r.succeeded(s, result); f != nil {
		r.fail(b, f)
	}
}

func (r *Run) succeeded(s *scope, result *Data) *Failure {
	st := s.state
	if st.JSONata {
		s.result = result
		return r.exit(s, result, nil)
	}
	if st.resultSelector != nil {
		o := *s
		o.input = result.Value()
		v, f := st.resultSelector.eval(&o)
		if f != nil {
			return f
		}
		result = ValueData(v)
	}
	r.traceData("afterResultSelector", result)
	out, f := s.place(st.resultPath, s.input, result)
	if f != nil {
		return f
	}
	return r.exit(s, out, result)
}
