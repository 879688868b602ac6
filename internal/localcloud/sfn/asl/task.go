package asl

import (
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// open finds the branch that waits for the result of an attempt.
func (r *Run) open(id string, attempt int) (*Branch, error) {
	if r.Status != Running {
		return nil, ErrClosed
	}
	b := r.find(id)
	if b == nil || b.Attempt != attempt || attempt == 0 {
		return nil, ErrClosed
	}
	switch b.Phase {
	case Calling, Submitted, Scheduled, Started, Reading, Writing, Apart:
		return b, nil
	}
	return nil, ErrClosed
}

// Waiter returns the branch that waits for an attempt's token.
func (r *Run) Waiter(id string, attempt int) (*Branch, error) { return r.open(id, attempt) }

// Submit records that the call of a task that waits has answered. Job names what
// is waited for.
func (r *Run) Submit(id string, attempt int, res Result, job string) error {
	b, err := r.open(id, attempt)
	if err != nil {
		return err
	}
	if b.Phase != Calling {
		return ErrClosed
	}
	s := b.state()
	if res.Failed {
		return r.Complete(id, attempt, res)
	}
	r.emit(b, Event{Type: "TaskSubmitted", Resource: s.resource.EventResource(), ResourceType: s.resource.EventType(),
		Output: res.Output})
	b.Phase, b.Job = Submitted, job
	b.Arguments = nil
	r.startHeartbeat(b)
	return nil
}

func (r *Run) startHeartbeat(b *Branch) {
	if b.HeartbeatEach > 0 {
		b.HeartbeatAt = r.host.Now().Add(time.Duration(b.HeartbeatEach) * time.Second)
	}
}

// Work hands an activity's task to a worker.
func (r *Run) Work(id string, attempt int, worker string) (*Branch, error) {
	b, err := r.open(id, attempt)
	if err != nil || b.Phase != Scheduled {
		return nil, ErrClosed
	}
	r.emit(b, Event{Type: "ActivityStarted", Worker: worker})
	b.Phase = Started
	if b.TimeoutEach > 0 { // the count begins anew
		b.TimeoutAt = r.host.Now().Add(time.Duration(b.TimeoutEach) * time.Second)
	}
	r.startHeartbeat(b)
	return b, nil
}

// Heartbeat restarts the heartbeat clock of a task.
func (r *Run) Heartbeat(id string, attempt int) error {
	b, err := r.open(id, attempt)
	if err != nil {
		return err
	}
	if !b.HeartbeatAt.IsZero() {
		r.startHeartbeat(b)
	}
	return nil
}

// Complete ends a task.
func (r *Run) Complete(id string, attempt int, res Result) error {
	b, err := r.open(id, attempt)
	if err != nil {
		return err
	}
	if b.Phase == Apart {
		r.childEnded(b, res)
		r.advance()
		return nil
	}
	phase := b.Phase
	s := r.scope(b)
	r.clearWait(b)
	if phase == Writing {
		r.mapWritten(b, res)
		r.advance()
		return nil
	}
	if phase == Reading {
		r.mapRead(b, s, res)
		r.advance()
		return nil
	}
	kind := s.state.resource.Kind
	e := Event{}
	prefix := map[ResourceKind]string{Integration: "Task", Function: "LambdaFunction", Activity: "Activity"}[kind]
	if kind == Integration {
		e.Resource, e.ResourceType = s.state.resource.EventResource(), s.state.resource.EventType()
	}
	if res.Failed {
		e.Type, e.Error, e.Cause = prefix+"Failed", res.Error, res.Cause
		if phase == Calling && s.state.resource.Pattern != Request && kind == Integration {
			e.Type = "TaskSubmitFailed"
		}
		if res.EventType != "" {
			e.Type = res.EventType
		}
		r.emit(b, e)
		b.before = b.Cursor
		r.fail(b, &Failure{Error: res.Error, Cause: res.Cause})
		r.advance()
		return nil
	}
	e.Type, e.Output = prefix+"Succeeded", res.Output
	if len(res.Output.Text()) > MaxData {
		f := &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.resultName() +
			"' returned a result with a size exceeding the maximum number of bytes service limit.")}
		r.emit(b, Event{Type: prefix + "Failed", Error: f.Error, Cause: f.Cause, Resource: e.Resource,
			ResourceType: e.ResourceType})
		b.before = b.Cursor
		r.fail(b, f)
		r.advance()
		return nil
	}
	r.emit(b, e)
	b.before = b.Cursor
	r.succeed(b, res.Output)
	r.advance()
	return nil
}

func (s *scope) resultName() string {
	if s.state.resource.Kind == Integration {
		return s.state.resource.Service
	}
	return s.state.Resource
}

// Pattern is how the branch's task waits.
func (r *Run) Pattern(b *Branch) Pattern { return b.state().resource.Pattern }

// Resource is the resource of the branch's task.
func (r *Run) Resource(b *Branch) Resource { return b.state().resource }

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
		return &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.resultName() +
			"' has parameters with a size exceeding the maximum number of bytes service limit.")}
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
		r.emit(b, Event{Type: "LambdaFunctionScheduled", Input: args, Resource: st.Resource, Timeout: timeout,
			Credentials: role})
		r.emit(b, Event{Type: "LambdaFunctionStarted"})
	case Activity:
		r.emit(b, Event{Type: "ActivityScheduled", Input: args, Resource: st.Resource, Timeout: timeout,
			Heartbeat: heartbeat})
		b.Phase, b.TimeoutEach = Scheduled, timeout
	default:
		r.emit(b, Event{Type: "TaskScheduled", Parameters: args, Region: r.Info.Region,
			Resource:     st.resource.EventResource(),
			ResourceType: st.resource.EventType(), Timeout: timeout, Heartbeat: heartbeat, Credentials: role})
		r.emit(b, Event{Type: "TaskStarted", Resource: st.resource.EventResource(),
			ResourceType: st.resource.EventType()})
	}
	r.Calls = append(r.Calls, r.callOf(b))
	return nil
}

// limited refuses an input of branches or iterations that is too large.
func (s *scope) limited(d *Data) *Failure {
	if len(d.Text()) <= MaxData {
		return nil
	}
	return &Failure{Error: ptr(errDataLimit), Cause: ptr("The state/task '" + s.state.Name +
		"' has parameters with a size exceeding the maximum number of bytes service limit.")}
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
		c.Manifest, c.Flatten, c.Format = st.reader.manifest, st.reader.flatten, st.reader.inputType
	case Writing:
		c.Resource, c.Writer = st.writer.resource, true
	case Apart:
		p := b.parent
		c.State, c.Resource, c.Child = p.State, Resource{}, &Child{MapRun: p.MapRun, Items: p.size(b.Index),
			Express: p.state().childExpress}
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
