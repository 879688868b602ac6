package asl

import (
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// narrow applies InputPath.
func (s *scope) narrow() *Failure {
	p := s.state.inputPath
	if s.state.JSONata || p == nil {
		s.run.traceData("afterInputPath", s.branch.Input)
		return nil
	}
	if p.null {
		s.input = &document.Object{}
	} else {
		v, f := s.pathValue(p.path)
		if f != nil {
			return f
		}
		s.input = v
	}
	s.run.trace("afterInputPath", s.input)
	return nil
}

// pathValue evaluates a path of a field such as InputPath.
func (s *scope) pathValue(p *jsonpath.Path) (any, *Failure) {
	v, err := s.resolve(p)
	if err != nil {
		return nil, s.runtime("Invalid path '%s' : %s", p.Source, err.Error())
	}
	return v, nil
}

// place puts a result where ResultPath says.
func (s *scope) place(p *pathField, whole any, result *Data) (*Data, *Failure) {
	switch {
	case p == nil || !p.null && p.path.Whole():
		s.run.traceData("afterResultPath", result)
		return result, nil
	case p.null:
		s.run.trace("afterResultPath", whole)
		return s.branch.Input, nil
	}
	v, err := p.path.Put(whole, result.Value())
	if err != nil {
		f := s.runtime("Unable to apply ReferencePath %s to input %s", p.path.Source, document.Text(whole))
		f.Error = ptr("States.ResultPathMatchFailure")
		return nil, f
	}
	s.run.trace("afterResultPath", v)
	return ValueData(v), nil
}

// exit ends a state: output and variables are computed from the same old state.
// assignFrom is $ of a JSONPath Assign; nil means the narrowed input.
func (r *Run) exit(s *scope, out *Data, assignFrom *Data) *Failure {
	st := s.state
	if st.JSONata {
		if st.output != nil {
			var f *Failure
			if out, f = s.data(st.output); f != nil {
				return f
			}
		}
	} else if p := st.outputPath; p != nil {
		if p.null {
			out = ValueData(&document.Object{})
		} else if !(p.path.Whole() && p.path.Root == jsonpath.Input) {
			o := *s
			o.input = out.Value()
			v, f := o.pathValue(p.path)
			if f != nil {
				return f
			}
			out = ValueData(v)
		}
	}
	if assignFrom != nil && !st.JSONata {
		a := *s
		a.input = assignFrom.Value()
		return r.leaveState(&a, st.assign, out, st.Next)
	}
	return r.leaveState(s, st.assign, out, st.Next)
}

// leaveState emits the exit, assigns variables and goes on.
func (r *Run) leaveState(s *scope, assign node, out *Data, next string) *Failure {
	if len(out.Text()) > MaxData {
		return &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.state.Name +
			"' returned a result with a size exceeding the maximum number of bytes service limit.")}
	}
	b := s.branch
	e := Event{Type: s.state.exited, Name: s.state.Name, Output: out}
	if assign != nil {
		names, values, f := s.assigned(assign)
		if f != nil {
			return f
		}
		if b.Variables == nil {
			b.Variables = map[string]*Data{}
		}
		size := 0
		if len(names) > 0 {
			e.Assigned = make(map[string]string, len(names))
		}
		for i, name := range names {
			d := values[i]
			e.Assigned[name] = d.Text()
			if size += len(d.Text()); size > MaxData {
				return &Failure{Error: ptr(errDataLimit),
					Cause: ptr(s.where() + "The variables that are assigned together exceed the maximum number of " +
						"bytes service limit.")}
			}
			b.Variables[name] = d
		}
		if f := r.stored(s, size); f != nil {
			return f
		}
	}
	r.emit(b, e)
	r.clearWait(b)
	if r.single != nil {
		r.single.result.Output, r.single.result.Next = out, next
		r.end(Succeeded)
		return nil
	}
	if next != "" {
		b.State, b.Input = next, out
		r.queue = append(r.queue, b)
		return nil
	}
	r.finish(b, out)
	return nil
}

// stored counts what is kept in variables, of which size bytes are new. All
// variables are added up only when what has ever been assigned would not fit.
func (r *Run) stored(s *scope, size int) *Failure {
	if r.snapshot.Assigned += size; r.snapshot.Assigned <= MaxVariables {
		return nil
	}
	r.snapshot.Assigned = 0
	r.Branches(func(b *Branch) {
		for _, d := range b.Variables {
			r.snapshot.Assigned += len(d.Text())
		}
	})
	if r.snapshot.Assigned <= MaxVariables {
		return nil
	}
	return &Failure{Error: ptr(errDataLimit),
		Cause: ptr(s.where() + "The variables of the execution exceed the maximum number of bytes service limit.")}
}

// assigned evaluates Assign: names and their values.
func (s *scope) assigned(assign node) (names []string, values []*Data, f *Failure) {
	if n, ok := assign.(nativeObject); ok {
		values = make([]*Data, len(n.names))
		for i, m := range n.members {
			v, f := m.native(s)
			if f != nil {
				return nil, nil, f
			}
			values[i] = s.run.jsonataData(v)
		}
		return n.names, values, nil
	}
	v, f := assign.eval(s)
	if f != nil {
		return nil, nil, f
	}
	o, ok := v.(*document.Object)
	if !ok {
		return nil, nil, s.runtime("Assign must be an object")
	}
	for _, m := range o.Members() {
		names = append(names, m.Name)
		values = append(values, ValueData(m.Value))
	}
	return names, values, nil
}
