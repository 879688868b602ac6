package asl

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

var flowFields = []string{"Comment", "StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"}

func (c *compiler) flow(o *document.Object, at string, top bool) *Flow {
	f := &Flow{States: map[string]*State{}}
	if c.depth++; c.depth > maxNesting {
		c.report(tooDeep, at, "States are nested too deep")
		return f
	}
	defer func() { c.depth-- }()
	c.missing(o, at, "States", "StartAt")
	for _, m := range o.Members() {
		known := slices.Contains(flowFields, m.Name)
		if !top {
			known = m.Name == "Comment" || m.Name == "StartAt" || m.Name == "States" || m.Name == "ProcessorConfig"
		}
		if !known {
			c.unsupported(at, m.Name)
		}
	}
	if v, ok := o.Get("Comment"); ok {
		c.text(v, at+"/Comment")
	}
	if top {
		if v, ok := o.Get("Version"); ok && v != "1.0" {
			c.notOneOf(at+"/Version", "1.0")
		}
		if v, ok := o.Get("TimeoutSeconds"); ok {
			n, _ := document.Integer(v)
			c.within(v, at+"/TimeoutSeconds", true, 1, maxSeconds)
			c.machine.Timeout = time.Duration(n) * time.Second
		}
	}
	if v, ok := o.Get("StartAt"); ok {
		f.StartAt = c.target(v, at+"/StartAt")
	}
	v, ok := o.Get("States")
	if !ok {
		return f
	}
	states, ok := v.(*document.Object)
	if !ok {
		c.wrongType(at+"/States", "OBJECT")
		return f
	}
	if states.Len() == 0 {
		c.fail(at+"/States", "Value cannot be empty")
	}
	for _, m := range states.Members() {
		where := below(at+"/States", m.Name)
		if len([]rune(m.Name)) > MaxName {
			c.report(invalidName, where, "Invalid State name: State '%s' exceeds the %d-character limit allowed "+
				"by the "+
				"service", m.Name, MaxName)
		}
		if c.names[m.Name] {
			c.report(duplicateName, where, "Duplicate State name: %s", m.Name)
		}
		c.names[m.Name] = true
		body, ok := m.Value.(*document.Object)
		if !ok {
			c.wrongType(where, "OBJECT")
			continue
		}
		f.States[m.Name] = c.state(m.Name, body, where)
		f.names = append(f.names, m.Name)
	}
	c.transitions(f, at, top)
	return f
}

// transitions checks where states lead: that each target is there, that the
// machine can end, and that each state can be reached. A machine that cannot end is
// not asked which of its states are reached; a branch or an iteration need not end.
//
// Source: github.com/floci-io/floci/issues/2735, measured on AWS (2026-08-29).
func (c *compiler) transitions(f *Flow, at string, top bool) {
	reached := map[string]bool{}
	var queue []string
	visit := func(to, where string) {
		switch {
		case to == "":
		case f.States[to] == nil:
			c.report(missingTransition, where, "Missing 'Next' target: %s", to)
		case !reached[to]:
			reached[to] = true
			queue = append(queue, to)
		}
	}
	if f.StartAt != "" {
		visit(f.StartAt, at+"/StartAt")
	}
	end := false
	targets := map[string][]string{}
	for _, name := range f.names {
		s := f.States[name]
		end = end || s.terminal()
		where := below(at+"/States", name)
		check := func(to, field string) {
			if to != "" && f.States[to] == nil {
				c.report(missingTransition, where+field, "Missing 'Next' target: %s", to)
				return
			}
			targets[name] = append(targets[name], to)
		}
		check(s.Next, "/Next")
		for i, ch := range s.choices {
			check(ch.next, fmt.Sprintf("/Choices[%d]/Next", i))
		}
		check(s.fallback, "/Default")
		for i, ct := range s.catch {
			check(ct.Next, fmt.Sprintf("/Catch[%d]/Next", i))
		}
	}
	if top && !end {
		c.diagnostics = append(c.diagnostics, Diagnostic{"ERROR", missingEnd, "Workflow has no terminal state", ""})
		return
	}
	if f.StartAt == "" {
		return
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, to := range targets[name] {
			visit(to, "")
		}
	}
	for _, name := range f.names {
		if !reached[name] {
			c.report(missingTransition, below(at+"/States", name), "State \"%s\" is not reachable.", name)
		}
	}
}

// terminal reports whether a flow can end with the state: not with one without a type, nor with one that says
// neither how it goes on nor that it ends.
func (s *State) terminal() bool {
	switch s.Type {
	case "Succeed", "Fail":
		return true
	case "Choice", "":
		return false
	}
	return s.Next == "" && !s.stuck
}

func (c *compiler) text(v any, at string) string {
	s, ok := v.(string)
	if !ok {
		c.wrongType(at, "STRING")
	}
	return s
}

// target reads the name of a state to go to. Where there are no such states is
// told later; only "", which is none, is told here.
func (c *compiler) target(v any, at string) string {
	if v == "" {
		c.report(missingTransition, at, "Missing 'Next' target: ")
	}
	return c.text(v, at)
}
