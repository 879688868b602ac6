package cloudformation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Rule is a rule that parameters must meet.
type Rule struct {
	Condition  any // when the rule holds; nil is always
	Assertions []Assertion
}

// Assertion is one thing that a rule asserts.
type Assertion struct {
	Assert      any
	Description string
}

func (p *parser) rule(path, id string, v any) {
	m := p.object(path, v)
	if m == nil {
		return
	}
	var r Rule
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at, v := path+"."+name, m[name]
		switch name {
		case "RuleCondition":
			r.Condition = v
		case "Assertions":
			list, ok := v.([]any)
			if !ok {
				p.add(at, "must be a list")
			}
			for i, e := range list {
				a := p.object(index(at, i), e)
				assertion := Assertion{Assert: a["Assert"]}
				if assertion.Assert == nil {
					p.add(index(at, i), "Assert is required")
				}
				if d, ok := a["AssertDescription"]; ok {
					assertion.Description = p.text(index(at, i)+".AssertDescription", d)
				}
				r.Assertions = append(r.Assertions, assertion)
			}
		default:
			p.add(at, "not a member of a rule")
		}
	}
	if len(r.Assertions) == 0 {
		p.add(path, "Assertions is required")
	}
	p.t.Rules[id] = r
}

// keepRules asks whether the parameters meet the rules. Every assertion that fails is told.
func (s *scope) keepRules() error {
	var p problems
	for _, name := range slices.Sorted(maps.Keys(s.t.Rules)) {
		r, path := s.t.Rules[name], "Rules."+name
		if r.Condition != nil {
			holds, err := s.truth(path+".RuleCondition", r.Condition)
			if err != nil {
				return err
			}
			if !holds {
				continue
			}
		}
		for i, a := range r.Assertions {
			at := index(path+".Assertions", i)
			holds, err := s.truth(at+".Assert", a.Assert)
			if err != nil {
				return err
			}
			if !holds {
				what := a.Description
				if what == "" {
					what = "the assertion does not hold"
				}
				p.add(at, "%s", what)
			}
		}
	}
	return p.err()
}

func (s *scope) truth(path string, v any) (bool, error) {
	got, err := s.value(path, v)
	if err != nil {
		return false, err
	}
	holds, ok := got.(bool)
	if !ok {
		return false, fmt.Errorf("%s: must be a condition function, not %s", path, kindOf(got))
	}
	return holds, nil
}

// textsOf is a list of texts.
func textsOf(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("must be a list of texts")
	}
	texts := make([]string, len(list))
	for i, e := range list {
		var err error
		if texts[i], err = asText(e); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func (s *scope) contains(_ string, arg any) (any, error) {
	list := arg.([]any)
	texts, err := textsOf(list[0])
	if err != nil {
		return nil, err
	}
	text, err := asText(list[1])
	return slices.Contains(texts, text), err
}

func (s *scope) eachMemberEquals(_ string, arg any) (any, error) {
	list := arg.([]any)
	texts, err := textsOf(list[0])
	if err != nil {
		return nil, err
	}
	text, err := asText(list[1])
	return !slices.ContainsFunc(texts, func(t string) bool { return t != text }), err
}

func (s *scope) eachMemberIn(_ string, arg any) (any, error) {
	list := arg.([]any)
	texts, err := textsOf(list[0])
	if err != nil {
		return nil, err
	}
	allowed, err := textsOf(list[1])
	return !slices.ContainsFunc(texts, func(t string) bool { return !slices.Contains(allowed, t) }), err
}
