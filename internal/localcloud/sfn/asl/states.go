package asl

import (
	"strconv"
)

// enter begins the branch's next state.
func (r *Run) enter(b *Branch) {
	if r.snapshot.Doomed {
		r.Abort(nil, nil)
		return
	}
	s := b.state()
	b.before = b.Cursor
	b.Tries, b.Retries = nil, 0
	b.EnteredAt = r.host.Now()
	b.Entered = r.emit(b, Event{Type: s.entered, Name: s.Name, Input: b.Input})
	if r.Status == Running {
		r.perform(b)
	}
}

// perform does the work of the branch's state, at first or again.
func (r *Run) perform(b *Branch) {
	st := b.state()
	s := r.scope(b)
	var f *Failure
	switch st.Type {
	case "Pass":
		f = r.pass(s)
	case "Succeed":
		if f = s.narrow(); f == nil {
			out := b.Input
			if !st.JSONata {
				out = ValueData(s.input)
			}
			f = r.exit(s, out, nil)
		}
	case "Fail":
		r.failState(s)
		return
	case "Choice":
		f = r.choose(s)
	case "Wait":
		f = r.wait(s)
	case "Task":
		f = r.task(s)
	case "Parallel":
		f = r.parallel(s)
	case "Map":
		f = r.mapBegin(s)
	}
	if f != nil {
		r.fail(b, f)
	}
}

func (r *Run) pass(s *scope) *Failure {
	st := s.state
	if st.JSONata {
		return r.exit(s, s.branch.Input, nil)
	}
	whole := s.input
	narrow := s.narrow
	if st.result != nil {
		narrow = s.narrowUntraced // a test of the state shows the result instead
	}
	if f := narrow(); f != nil {
		return f
	}
	var result *Data
	switch {
	case st.result != nil:
		result = st.result
		r.traceData("result", result)
	case st.parameters != nil:
		v, f := st.parameters.eval(s)
		if f != nil {
			return f
		}
		result = ValueData(v)
	case st.inputPath == nil:
		result = s.branch.Input
	default:
		result = ValueData(s.input)
	}
	if st.result == nil {
		r.traceData("afterParameters", result)
	}
	r.traceData("afterResultSelector", result)
	out, f := s.place(st.resultPath, whole, result)
	if f != nil {
		return f
	}
	return r.exit(s, out, result)
}

func (r *Run) parallel(s *scope) *Failure {
	st, b := s.state, s.branch
	if f := s.narrow(); f != nil {
		return f
	}
	input := b.Input
	if st.inputPath != nil {
		input = ValueData(s.input)
	}
	template, stage := st.parameters, "afterParameters"
	if st.JSONata {
		template, stage = st.arguments, "afterArguments"
	}
	if template != nil {
		var f *Failure
		if input, f = s.data(template); f != nil {
			return f
		}
		r.traceData(stage, input)
	}
	if f := s.limited(input); f != nil {
		return f
	}
	r.emit(b, Event{Type: "ParallelStateStarted"})
	b.Phase = Inside
	b.Results = make([]*Data, len(st.branches))
	b.Kids = nil
	b.Done = 0
	for i, f := range st.branches {
		k := &Branch{ID: b.ID + "/" + strconv.Itoa(i), Index: i, State: f.StartAt, Input: input, Cursor: b.Cursor,
			parent: b, flow: f}
		b.Kids = append(b.Kids, k)
		r.queue = append(r.queue, k)
	}
	return nil
}
