package asl

import (
	"strconv"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// enter begins the branch's next state.
func (r *Run) enter(b *Branch) {
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

// narrow applies InputPath.
func (s *scope) narrow() *Failure {
	p := s.state.inputPath
	if s.state.JSONata {
		s.run.traceData("afterInputPath", s.branch.Input)
		return nil
	}
	if p == nil {
		s.run.trace("afterInputPath", s.input)
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

func (r *Run) pass(s *scope) *Failure {
	st := s.state
	if st.JSONata {
		return r.exit(s, s.branch.Input, nil)
	}
	whole := s.input
	if f := s.narrow(); f != nil {
		return f
	}
	var result *Data
	switch {
	case st.result != nil:
		result = st.result
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
	r.traceData("afterParameters", result)
	r.traceData("afterResultSelector", result)
	out, f := s.place(st.resultPath, whole, result)
	if f != nil {
		return f
	}
	return r.exit(s, out, result)
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
		return &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.state.Name + "' returned a result with a size exceeding the maximum number of bytes service limit.")}
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
		e.Assigned = make(map[string]string, len(names))
		for i, name := range names {
			d := values[i]
			e.Assigned[name] = d.Text()
			if size += len(d.Text()); size > MaxData {
				return &Failure{Error: ptr(errDataLimit), Cause: ptr(s.where() + "The variables that are assigned together exceed the maximum number of bytes service limit.")}
			}
			b.Variables[name] = d
		}
		if f := r.stored(s, size); f != nil {
			return f
		}
	}
	r.emit(b, e)
	r.settle(b)
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
	return &Failure{Error: ptr(errDataLimit), Cause: ptr(s.where() + "The variables of the execution exceed the maximum number of bytes service limit.")}
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
	r.leave(p)
	p.Phase = Entering
	r.succeed(p, ValueData(list))
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

// caught goes on at a catcher.
func (r *Run) caught(b *Branch, ct *Catcher, f *Failure) {
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
			b.Cursor = r.append(b, b.before, Event{Type: "EvaluationFailed", State: st.Name, Location: fail.location, Error: fail.Error, Cause: fail.Cause})
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

func (r *Run) choose(s *scope) *Failure {
	st := s.state
	if f := s.narrow(); f != nil {
		return f
	}
	for _, ch := range st.choices {
		if st.JSONata {
			v, f := ch.condition.eval(s)
			if f != nil {
				return f
			}
			yes, ok := v.(bool)
			if !ok {
				return ch.condition.(exprNode).wrongType(s, "boolean", v)
			}
			if !yes {
				continue
			}
		} else {
			yes, f := ch.rule.holds(s)
			if f != nil {
				return f
			}
			if !yes {
				continue
			}
		}
		return r.chosen(s, ch.output, ch.assign, ch.next)
	}
	if st.fallback == "" {
		return s.runtime("Failed to transition out of the state. The state does not point to a next state.")
	}
	return r.chosen(s, st.output, st.assign, st.fallback)
}

func (r *Run) chosen(s *scope, output, assign node, next string) *Failure {
	st := s.state
	out := s.branch.Input
	if st.JSONata {
		if output != nil {
			var f *Failure
			if out, f = s.data(output); f != nil {
				return f
			}
		}
		return r.leaveState(s, assign, out, next)
	}
	if st.inputPath != nil {
		out = ValueData(s.input)
	}
	if p := st.outputPath; p != nil {
		if p.null {
			out = ValueData(&document.Object{})
		} else {
			v, f := s.pathValue(p.path)
			if f != nil {
				return f
			}
			out = ValueData(v)
		}
	}
	return r.leaveState(s, assign, out, next)
}

func (r *Run) wait(s *scope) *Failure {
	st, b := s.state, s.branch
	if f := s.narrow(); f != nil {
		return f
	}
	until := r.host.Now()
	switch {
	case st.seconds != nil:
		v, f := st.seconds.eval(s)
		if f != nil {
			return f
		}
		n, ok := document.Integer(v)
		if e, isExpression := st.seconds.(exprNode); isExpression && (!ok || n < 0 || n > maxSeconds) {
			if _, isNumber := document.Number(v); !isNumber {
				return e.wrongType(s, "number", v)
			}
			b.before = b.Cursor
			return s.evaluation("Seconds", "The Seconds field must be an integer between 0 and %d: %s", maxSeconds, document.Text(v))
		}
		until = until.Add(time.Duration(n) * time.Second)
	case st.timestamp != nil:
		v, f := st.timestamp.eval(s)
		if f != nil {
			return f
		}
		text, ok := v.(string)
		t, valid := parseTimestamp(text)
		if e, isExpression := st.timestamp.(exprNode); isExpression && !ok {
			return e.wrongType(s, "string", v)
		}
		if !valid {
			b.before = b.Cursor
			return s.evaluation("Timestamp", "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: %s", text)
		}
		until = t
	case st.secondsPath != nil:
		p := st.secondsPath.path
		v, err := s.resolve(p)
		if err != nil {
			return s.runtime("The SecondsPath parameter does not reference an input value: %s", p.Source)
		}
		n, ok := document.Integer(v)
		if !ok {
			return s.runtime("The SecondsPath parameter cannot be parsed as a long value: %s == %s", p.Source, plain(v))
		}
		if n < 0 || n > maxSeconds {
			if n < 0 {
				return s.runtime("The SecondsPath parameter references a negative value: %s == %d", p.Source, n)
			}
			return s.runtime("The SecondsPath parameter cannot be parsed as a long value: %s == %d", p.Source, n)
		}
		until = until.Add(time.Duration(n) * time.Second)
	case st.timestampPath != nil:
		p := st.timestampPath.path
		v, err := s.resolve(p)
		if err != nil {
			return s.runtime("The TimestampPath parameter does not reference an input value: %s", p.Source)
		}
		text, _ := v.(string)
		t, valid := parseTimestamp(text)
		if !valid {
			return s.runtime("The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: %s == %s", p.Source, plain(v))
		}
		until = t
	}
	b.Phase, b.Wake = Waiting, until
	if !until.After(r.host.Now()) {
		r.settle(b)
		r.waited(b)
	}
	return nil
}

// plain spells a value as messages do: strings without quotes.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return document.Text(v)
}

// waited ends a Wait state.
func (r *Run) waited(b *Branch) {
	s := r.scope(b)
	f := s.narrow()
	if f == nil {
		out := b.Input
		if s.state.inputPath != nil {
			out = ValueData(s.input)
		}
		f = r.exit(s, out, nil)
	}
	if f != nil {
		r.fail(b, f)
	}
}

// seconds evaluates a field such as TimeoutSeconds; 0 if it is not there.
func (n numberField) seconds(s *scope) (int64, *Failure) {
	if !n.set {
		return 0, nil
	}
	v, f := n.value(s)
	if f != nil {
		return 0, f
	}
	i, ok := document.Integer(v)
	if !ok || i < 1 || i > maxSeconds {
		if e, isExpression := n.node.(exprNode); isExpression {
			return 0, s.evaluation(n.name, "The %s field must be a positive integer: %s", n.name, plain(v)).orType(e, s, v)
		}
		return 0, s.runtime("The %sPath parameter cannot be parsed as a long value: %s == %s", n.name, n.path.Source, plain(v))
	}
	return i, nil
}

// orType prefers the message about a wrong type.
func (f *Failure) orType(e exprNode, s *scope, v any) *Failure {
	if _, ok := document.Number(v); !ok {
		return e.wrongType(s, "number", v)
	}
	return f
}

func (n numberField) value(s *scope) (any, *Failure) {
	if n.path != nil {
		return s.pathValue(n.path)
	}
	return n.node.eval(s)
}

func (r *Run) task(s *scope) *Failure {
	st, b := s.state, s.branch
	r.snapshot.Attempts++
	attempt := r.snapshot.Attempts
	if st.resource.Pattern != Request || st.resource.Kind == Activity {
		b.Token = r.host.Token(b.ID, attempt)
	}
	if f := s.narrow(); f != nil {
		return f
	}
	timeout, f := st.timeout.seconds(s)
	if f != nil {
		return f
	}
	heartbeat, f := st.heartbeat.seconds(s)
	if f != nil {
		return f
	}
	var role string
	if st.credentials != nil {
		v, f := st.credentials.eval(s)
		if f != nil {
			return f
		}
		if o, ok := v.(*document.Object); ok {
			arn, _ := o.Get("RoleArn")
			role, _ = arn.(string)
		}
	}
	args := b.Input
	if st.inputPath != nil {
		args = ValueData(s.input)
	}
	template, stage := st.parameters, "afterParameters"
	if st.JSONata {
		template, stage = st.arguments, "afterArguments"
	}
	if template != nil {
		var f *Failure
		if args, f = s.data(template); f != nil {
			return f
		}
	}
	r.traceData(stage, args)
	if len(args.Text()) > MaxData {
		return &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.resultName() + "' has parameters with a size exceeding the maximum number of bytes service limit.")}
	}
	if st.resource.Kind == Activity && !r.host.ActivityExists(st.Resource) {
		return s.runtime("The activity %s does not exist.", st.Resource)
	}
	now := r.host.Now()
	b.Attempt = attempt
	b.HeartbeatEach = heartbeat
	if timeout > 0 {
		b.TimeoutAt = now.Add(time.Duration(timeout) * time.Second)
	}
	b.Phase = Calling
	b.Arguments, b.CallRole = args, role
	switch st.resource.Kind {
	case Function:
		r.emit(b, Event{Type: "LambdaFunctionScheduled", Input: args, Resource: st.Resource, Timeout: timeout, Credentials: role})
		r.emit(b, Event{Type: "LambdaFunctionStarted"})
	case Activity:
		r.emit(b, Event{Type: "ActivityScheduled", Input: args, Resource: st.Resource, Timeout: timeout, Heartbeat: heartbeat})
		b.Phase = Scheduled
	default:
		r.emit(b, Event{Type: "TaskScheduled", Parameters: args, Region: r.Info.Region, Resource: st.resource.EventResource(),
			ResourceType: st.resource.EventType(), Timeout: timeout, Heartbeat: heartbeat, Credentials: role})
		r.emit(b, Event{Type: "TaskStarted", Resource: st.resource.EventResource(), ResourceType: st.resource.EventType()})
	}
	r.Calls = append(r.Calls, r.callOf(b))
	return nil
}

// limited refuses an input of branches or iterations that is too large.
func (s *scope) limited(d *Data) *Failure {
	if len(d.Text()) <= MaxData {
		return nil
	}
	return &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.state.Name + "' has parameters with a size exceeding the maximum number of bytes service limit.")}
}

func (r *Run) callOf(b *Branch) Call {
	st := b.state()
	from := b.Arguments
	if b.Phase == Apart {
		from = b.Input
	}
	input := *from // the caller may work beside the run
	c := Call{Branch: b.ID, Attempt: b.Attempt, State: st.Name, Resource: st.resource, Input: &input,
		Token: b.Token, RoleARN: b.CallRole, Iteration: r.around(b)}
	switch b.Phase {
	case Reading:
		c.Resource, c.Reader = st.reader.resource, true
		c.Manifest, c.Flatten = st.reader.manifest, st.reader.flatten
	case Writing:
		c.Resource, c.Writer = st.writer.resource, true
	case Apart:
		p := b.parent
		c.State, c.Resource, c.Child = p.State, Resource{}, &Child{MapRun: p.MapRun, Items: p.size(b.Index), Express: p.state().childExpress}
		if b.Redo {
			c.Child.Redrive = p.Redrives
		}
	}
	return c
}

// Outstanding lists the calls whose answer has not come, to be made again after
// a restart, and the jobs and activity tasks that are waited for.
func (r *Run) Outstanding() (calls []Call, waiting []*Branch) {
	r.Branches(func(b *Branch) {
		switch b.Phase {
		case Calling, Reading, Writing, Apart:
			calls = append(calls, r.callOf(b))
		case Submitted, Scheduled, Started:
			waiting = append(waiting, b)
		}
	})
	return calls, waiting
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
		k := &Branch{ID: b.ID + "/" + strconv.Itoa(i), Index: i, State: f.StartAt, Input: input, Cursor: b.Cursor, parent: b, flow: f}
		b.Kids = append(b.Kids, k)
		r.queue = append(r.queue, k)
	}
	return nil
}
