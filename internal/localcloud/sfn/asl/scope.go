package asl

import (
	"fmt"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonata"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// Failure is an error of a state, a branch or an execution.
type Failure struct {
	Error, Cause *string
	// location is set for EvaluationFailed events.
	evaluation bool
	location   string
	timeout    bool // of a task that took too long
	heartbeat  bool // a missed heartbeat
	kept       bool // the execution has been remembered as it was
}

// Errors that the engine itself gives.
const (
	errRuntime    = "States.Runtime"
	errTimeout    = "States.Timeout"
	errEvaluation = "States.QueryEvaluationError"
	errDataLimit  = "States.DataLimitExceeded"
	errItemReader = "States.ItemReaderFailed"
	errTolerance  = "States.ExceedToleratedFailureThreshold"
	errHeartbeat  = "States.HeartbeatTimeout"
)

func (f *Failure) name() string {
	if f.Error == nil {
		return ""
	}
	return *f.Error
}

// output is the error output that a catcher sees. The cause of a timeout, which no event has, is empty there.
func (f *Failure) output() *document.Object {
	o := &document.Object{}
	for _, m := range []struct {
		name string
		text *string
	}{{"Error", f.Error}, {"Cause", f.Cause}} {
		switch {
		case m.text != nil:
			o.Set(m.name, *m.text)
		case f.timeout && m.name == "Cause":
			o.Set(m.name, "")
		default:
			o.Set(m.name, nil)
		}
	}
	return o
}

// matches reports whether the failure is named by ErrorEquals.
func (f *Failure) matches(names []string) bool {
	name := f.name()
	if name == errRuntime {
		return false
	}
	for _, n := range names {
		switch {
		case n == name:
			return true
		case n == "States.ALL":
			return true
		case n == "States.TaskFailed" && name != errTimeout && name != errEvaluation:
			return true
		case n == errHeartbeat && f.heartbeat:
			return true
		}
	}
	return false
}

// scope is what templates, paths and expressions of a state see.
type scope struct {
	run         *Run
	branch      *Branch
	state       *State
	input       any   // $; of a JSONata state, its branch has it
	result      *Data // $states.result, nil if there is none
	errorOutput *Data // $states.errorOutput, likewise
	ctx         *document.Object
	jsonataCtx  jsonata.Value
	item        *mapItem
}

// scope is what the branch's state sees at first.
func (r *Run) scope(b *Branch) *scope {
	s := &scope{run: r, branch: b, state: b.state()}
	if !s.state.JSONata {
		s.input = b.Input.Value()
	}
	return s
}

// mapItem is the item that an ItemSelector is evaluated for.
type mapItem struct {
	index  int
	value  any
	key    *string
	source string
}

// mapItem is an item of the branch's Map state.
func (b *Branch) mapItem(index int, item any) *mapItem {
	m := &mapItem{index: index, value: item}
	if o, ok := item.(*document.Object); ok && b.Pairs {
		key, _ := o.Get("Key")
		m.value, _ = o.Get("Value")
		if name, ok := key.(string); ok {
			m.key = &name
		}
	}
	return m
}

// shown is the item as the context object has it.
func (m *mapItem) shown() *document.Object {
	o := document.NewObject(
		document.Member{Name: "Index", Value: document.Int(int64(m.index))},
		document.Member{Name: "Value", Value: m.value},
	)
	if m.key != nil {
		o.Set("Key", *m.key)
	}
	if m.source != "" {
		o.Set("Source", m.source)
	}
	return document.NewObject(document.Member{Name: "Item", Value: o})
}

func (s *scope) where() string {
	if s.run.single != nil {
		return ""
	}
	return fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). ",
		s.state.Name, s.branch.Entered)
}

func (s *scope) runtime(format string, args ...any) *Failure {
	return &Failure{Error: ptr(errRuntime), Cause: ptr(s.where() + fmt.Sprintf(format, args...))}
}

func (s *scope) evaluation(location, format string, args ...any) *Failure {
	return &Failure{Error: ptr(errEvaluation), Cause: ptr(s.where() + fmt.Sprintf(format, args...)), evaluation: true,
		location: location}
}

func (s *scope) resolve(p *jsonpath.Path) (any, error) {
	switch p.Root {
	case jsonpath.Context:
		return p.Eval(s.context())
	case jsonpath.Variable:
		for b := s.branch; b != nil; b = b.parent {
			if v, ok := b.Variables[p.Variable]; ok {
				return p.Eval(v.Value())
			}
		}
		return nil, &jsonpath.NotFoundError{Detail: "Variable '" + p.Variable + "' is not defined"}
	}
	return p.Eval(s.input)
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// context is the context object.
func (s *scope) context() any {
	if fixed := s.run.fixedContext; fixed != nil {
		if s.item == nil {
			return fixed
		}
		return fixed.With("Map", s.item.shown())
	}
	if s.ctx != nil {
		return s.ctx
	}
	x := s.run.Info
	execution := document.NewObject(
		document.Member{Name: "Id", Value: x.ExecutionARN},
		document.Member{Name: "Input", Value: x.Input.Value()},
		document.Member{Name: "StartTime", Value: timestamp(x.Started)},
		document.Member{Name: "Name", Value: x.ExecutionName},
		document.Member{Name: "RoleArn", Value: x.RoleARN},
	)
	if x.RoleARN == "" { // of a test without one
		execution.Set("RoleArn", nil)
	}
	if !x.Synchronous {
		execution.Set("RedriveCount", document.Int(int64(x.RedriveCount)))
	}
	if x.RedriveCount > 0 {
		execution.Set("RedriveTime", timestamp(x.Redriven))
	}
	s.ctx = document.NewObject(
		document.Member{Name: "Execution", Value: execution},
		document.Member{Name: "StateMachine", Value: document.NewObject(
			document.Member{Name: "Id", Value: x.MachineARN},
			document.Member{Name: "Name", Value: x.MachineName},
		)},
	)
	if s.branch != nil {
		name := s.state.Name
		if s.run.single != nil {
			name = "StateName" // whatever it is called in the definition
		}
		state := document.NewObject(
			document.Member{Name: "Name", Value: name},
			document.Member{Name: "EnteredTime", Value: timestamp(s.branch.EnteredAt)},
		)
		if t := s.state.Type; t == "Task" || t == "Parallel" || t == "Map" {
			state.Set("RetryCount", document.Int(int64(s.branch.Retries)))
		}
		s.ctx.Set("State", state)
		if s.state.Type == "Task" && s.branch.Token != "" {
			s.ctx.Set("Task", document.NewObject(document.Member{Name: "Token", Value: s.branch.Token}))
		}
	}
	item := s.item
	for b := s.branch; item == nil && b != nil; b = b.parent {
		if b.Item != nil {
			item = &mapItem{index: b.Index, value: b.Item.Value()}
		}
	}
	if item != nil {
		s.ctx.Set("Map", item.shown())
	}
	return s.ctx
}
