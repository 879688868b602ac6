package asl

import "fmt"

// maxScopeSteps bounds what is spent on the scopes of a definition; a variable that is not looked at is not reported.
const maxScopeSteps = 1_000_000

// assigner is what assigns variables on the way to the next state: a state, a rule of it or a catcher.
type assigner struct {
	names    []string
	next, at string
}

func (s *State) assigners(at string) []assigner {
	to := s.Next
	if s.Type == "Choice" {
		to = s.fallback
	}
	out := []assigner{{s.assignNames, to, at}}
	for i, ch := range s.choices {
		out = append(out, assigner{ch.assignNames, ch.next, fmt.Sprintf("%s/Choices[%d]", at, i)})
	}
	for i, ct := range s.catch {
		out = append(out, assigner{ct.assignNames, ct.Next, fmt.Sprintf("%s/Catch[%d]", at, i)})
	}
	return out
}

// scopes reports what a flow assigns although it may be assigned around the flow when that begins: outer.
//
// Source: github.com/gabrielmoreira/tiny-asl-machine, tests/conformance/cases/.snapshots/aws, and
// github.com/iwamot/sfnx, docs/design.md, seen on AWS (2026), the latter for a distributed Map too; a recording has a
// Parallel whose catcher assigns what a branch does.
func (c *compiler) scopes(f *Flow, at string, outer map[string]bool) {
	type edge struct {
		from  string
		names []string
	}
	into := map[string][]edge{}
	for _, name := range f.names {
		for _, a := range f.States[name].assigners(below(at+"/States", name)) {
			for _, v := range a.names {
				if outer[v] {
					c.report(duplicateVariable, below(a.at+"/Assign", v), "The variable name '%s' was already "+
						"defined in a parent scope.", v)
				}
			}
			into[a.next] = append(into[a.next], edge{name, a.names})
		}
	}
	for _, name := range f.names {
		s, where := f.States[name], below(at+"/States", name)
		if len(s.branches) == 0 && s.processor == nil {
			continue
		}
		assigned := map[string]bool{}
		for v := range outer {
			assigned[v] = true
		}
		seen := map[string]bool{name: true}
		for queue := []string{name}; len(queue) > 0 && c.scopeSteps < maxScopeSteps; queue = queue[1:] {
			for _, e := range into[queue[0]] {
				c.scopeSteps += 1 + len(e.names)
				for _, v := range e.names {
					assigned[v] = true
				}
				if !seen[e.from] {
					seen[e.from] = true
					queue = append(queue, e.from)
				}
			}
		}
		for i, b := range s.branches {
			c.scopes(b, fmt.Sprintf("%s/Branches[%d]", where, i), assigned)
		}
		if s.processor != nil {
			c.scopes(s.processor, where+"/"+s.processorField, assigned)
		}
	}
}
