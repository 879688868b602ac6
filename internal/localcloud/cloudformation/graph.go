package cloudformation

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

var pseudoParameters = []string{
	"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region", "AWS::StackId",
	"AWS::StackName", "AWS::URLSuffix",
}

// references checks that every name that is used is declared, and every function is one that Fn evaluates.
func (p *parser) references() {
	t := p.t
	for _, id := range slices.Sorted(maps.Keys(t.Conditions)) {
		p.check("Conditions."+id, t.Conditions[id], usesInCondition)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Rules)) {
		p.check("Rules."+id+".RuleCondition", t.Rules[id].Condition, usesInRule)
		for i, a := range t.Rules[id].Assertions {
			p.check(index("Rules."+id+".Assertions", i)+".Assert", a.Assert, usesInRule)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		r, path := t.Resources[id], "Resources."+id
		for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
			p.check(path+".Properties."+name, r.Properties[name], usesInResource)
		}
		p.condition(path+".Condition", r.Condition)
		for _, d := range r.DependsOn {
			if _, ok := t.Resources[d]; !ok {
				p.add(path+".DependsOn", "there is no resource %s", d)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Outputs)) {
		p.check("Outputs."+id+".Value", t.Outputs[id].Value, usesInResource)
		p.check("Outputs."+id+".Export.Name", t.Outputs[id].Export, usesInResource)
		p.condition("Outputs."+id+".Condition", t.Outputs[id].Condition)
	}
}

func (p *parser) condition(path, name string) {
	if _, ok := p.t.Conditions[name]; name != "" && !ok {
		p.add(path, "there is no condition %s", name)
	}
}

type place int

const (
	usesInResource  place = iota // Ref and GetAtt of resources are allowed
	usesInCondition              // conditions are evaluated before any resource
	usesInRule                   // as in a condition, and the functions of rules
)

// check walks a value.
func (p *parser) check(path string, v any, where place) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			p.check(index(path, i), e, where)
		}
	case string:
		p.dynamicReferences(path, v)
	case map[string]any:
		name, arg, ok := function(v)
		if !ok {
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if strings.HasPrefix(k, "Fn::") || k == "Ref" {
					p.add(path, "%s must be the only member of its object", k)
				}
				p.check(path+"."+k, v[k], where)
			}
			return
		}
		p.checkFunction(path+"."+name, name, arg, where)
	}
}

func (p *parser) checkFunction(path, name string, arg any, where place) {
	f, ok := functions[name]
	switch {
	case name == "Ref":
		id, ok := arg.(string)
		if !ok {
			p.add(path, "must be a logical id")
			return
		}
		p.checkName(path, id, where)
	case name == "Condition":
		// {"Condition": "Name"} is a reference among conditions and a plain member (of a policy) elsewhere.
		if where == usesInCondition {
			p.condition(path, p.text(path, arg))
		} else {
			p.check(path, arg, where)
		}
	case name == "Fn::GetAtt":
		id, _, err := getAttArguments(arg)
		if err != nil {
			p.add(path, "%v", err)
			return
		}
		if _, ok := p.t.Resources[id]; !ok || where != usesInResource {
			p.add(path, "there is no resource %s that could be used here", id)
		}
	case name == "Fn::Sub":
		p.checkSub(path, arg, where)
	case !ok:
		p.add(path, "the local cloud does not implement %s", name)
	default:
		if f.conditional && where == usesInResource {
			p.add(path, "%s can be used in Conditions only", name)
		}
		if f.rule && where != usesInRule {
			p.add(path, "%s can be used in Rules only", name)
		}
		if name == "Fn::If" {
			if list, ok := arg.([]any); ok && len(list) == 3 {
				condition, _ := list[0].(string)
				if condition == "" {
					p.add(path, "the first argument must be the name of a condition")
				}
				p.condition(path+"[0]", condition)
			}
		}
		if name == "Fn::FindInMap" {
			if list, ok := arg.([]any); ok && len(list) > 0 {
				if id, ok := list[0].(string); ok && p.t.Mappings[id] == nil {
					p.add(path+"[0]", "there is no mapping %s", id)
				}
			}
		}
		if n := f.arguments; n > 0 {
			if list, ok := arg.([]any); !ok || len(list) != n {
				p.add(path, "must be a list of %d arguments", n)
				return
			}
		}
		p.check(path, arg, where)
	}
}

func (p *parser) checkName(path, id string, where place) {
	if _, ok := p.t.Parameters[id]; ok || slices.Contains(pseudoParameters, id) {
		return
	}
	if _, ok := p.t.Resources[id]; !ok || where != usesInResource {
		p.add(path, "there is no parameter or resource %s that could be used here", id)
	}
}

func (p *parser) checkSub(path string, arg any, where place) {
	text, own, err := subArguments(arg)
	if err != nil {
		p.add(path, "%v", err)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(own)) {
		p.check(path+"[1]."+k, own[k], where)
	}
	for _, name := range subNames(text) {
		if _, ok := own[name]; ok {
			continue
		}
		if id, _, isAttribute := strings.Cut(name, "."); isAttribute {
			if _, ok := p.t.Resources[id]; !ok || where != usesInResource {
				p.add(path, "there is no resource %s that could be used here", id)
			}
			continue
		}
		p.checkName(path, name, where)
	}
}

var subVariable = regexp.MustCompile(`\$\{([^!{}][^{}]*)\}`)

// subNames are the names between ${ and } in the text of Fn::Sub.
func subNames(text string) []string {
	var names []string
	for _, m := range subVariable.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// uses calls found for every resource that a value refers to.
func (t *Template) uses(v any, found func(id string)) {
	named := func(id string) {
		if _, ok := t.Resources[id]; ok {
			found(id)
		}
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			t.uses(e, found)
		}
	case map[string]any:
		name, arg, ok := function(v)
		if !ok {
			for _, e := range v {
				t.uses(e, found)
			}
			return
		}
		switch name {
		case "Ref":
			id, _ := arg.(string)
			named(id)
		case "Fn::GetAtt":
			if id, _, err := getAttArguments(arg); err == nil {
				named(id)
			}
		case "Fn::Sub":
			text, own, err := subArguments(arg)
			if err != nil {
				return
			}
			for _, name := range subNames(text) {
				if _, ok := own[name]; !ok {
					id, _, _ := strings.Cut(name, ".")
					named(id)
				}
			}
			for _, e := range own {
				t.uses(e, found)
			}
		default:
			t.uses(arg, found)
		}
	}
}

// needs are the resources that a resource needs, sorted.
func (t *Template) needs(id string) []string {
	r := t.Resources[id]
	set := map[string]bool{}
	for _, d := range r.DependsOn {
		set[d] = true
	}
	for _, v := range r.Properties {
		t.uses(v, func(id string) { set[id] = true })
	}
	return slices.Sorted(maps.Keys(set))
}

// Order lists the resources such that each comes after those that it needs; among equals by name.
func (t *Template) Order() []string {
	var order []string
	done := map[string]bool{}
	var visit func(id string)
	visit = func(id string) {
		if done[id] {
			return
		}
		done[id] = true
		for _, n := range t.needs(id) {
			visit(n)
		}
		order = append(order, id)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		visit(id)
	}
	return order
}

// levels groups the resources such that each needs only those of earlier groups.
func (t *Template) levels() [][]string {
	var groups [][]string
	level := map[string]int{}
	for _, id := range t.Order() {
		for _, n := range t.needs(id) {
			level[id] = max(level[id], level[n]+1)
		}
		if level[id] == len(groups) {
			groups = append(groups, nil)
		}
		groups[level[id]] = append(groups[level[id]], id)
	}
	return groups
}

// cycles reports resources that need each other, and conditions that do.
func (p *parser) cycles() {
	p.findCycle("Resources", slices.Sorted(maps.Keys(p.t.Resources)), p.t.needs)
	p.findCycle("Conditions", slices.Sorted(maps.Keys(p.t.Conditions)), func(id string) []string {
		return conditionsIn(p.t.Conditions[id])
	})
}

func (p *parser) findCycle(section string, ids []string, needs func(string) []string) {
	const open, closed = 1, 2
	state := map[string]int{}
	var trail []string
	var visit func(id string)
	visit = func(id string) {
		switch state[id] {
		case closed:
			return
		case open:
			from := slices.Index(trail, id)
			p.add(section+"."+id, "circular dependency: %s", strings.Join(append(slices.Clone(trail[from:]), id),
				" -> "))
			return
		}
		state[id] = open
		trail = append(trail, id)
		for _, n := range needs(id) {
			visit(n)
		}
		trail = trail[:len(trail)-1]
		state[id] = closed
	}
	for _, id := range ids {
		visit(id)
	}
}

// conditionsIn are the conditions that an expression refers to.
func conditionsIn(v any) []string {
	var found []string
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			found = append(found, conditionsIn(e)...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if id, ok := v[k].(string); ok && k == "Condition" {
				found = append(found, id)
			}
			if list, ok := v[k].([]any); ok && k == "Fn::If" && len(list) > 0 {
				if id, ok := list[0].(string); ok {
					found = append(found, id)
				}
			}
			found = append(found, conditionsIn(v[k])...)
		}
	}
	return found
}
