package expr

import (
	"slices"
	"strconv"
	"strings"
)

// Get returns what a path leads to in an item; ok is false if there is nothing.
func (i Item) Get(p Path) (v Value, ok bool) {
	v, ok = i[p[0].name]
	for _, s := range p[1:] {
		if !ok {
			return Value{}, false
		}
		v, ok = v.child(s)
	}
	return v, ok
}

func (v Value) child(s step) (Value, bool) {
	if s.name != "" {
		if v.Kind != M {
			return Value{}, false
		}
		c, ok := v.Map[s.name]
		return c, ok
	}
	if v.Kind != L || s.index >= len(v.List) {
		return Value{}, false
	}
	return v.List[s.index], true
}

func (o operand) eval(item Item) (Value, bool) {
	v, ok := o.value, true
	if o.path != nil {
		v, ok = item.Get(o.path)
	}
	if !o.size || !ok {
		return v, ok
	}
	n := 0
	switch v.Kind {
	case S, B:
		n = len(v.Str)
	case SS, NS, BS:
		n = len(v.Set)
	case M:
		n = len(v.Map)
	case L:
		n = len(v.List)
	default:
		return Value{}, false
	}
	return Value{Kind: N, Str: strconv.Itoa(n)}, true
}

// Attributes are the attributes that a condition looks at, each once, by name.
func (c *Condition) Attributes() []string {
	var names []string
	c.attributes(func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	})
	slices.Sort(names)
	return names
}

func (c *Condition) attributes(found func(name string)) {
	for _, o := range c.operands {
		if o.path != nil {
			found(o.path.Root())
		}
	}
	for _, a := range c.args {
		a.attributes(found)
	}
}

// Eval reports whether an item (nil: there is none) meets the condition.
func (c *Condition) Eval(item Item) bool {
	switch c.op {
	case "AND":
		return c.args[0].Eval(item) && c.args[1].Eval(item)
	case "OR":
		return c.args[0].Eval(item) || c.args[1].Eval(item)
	case "NOT":
		return !c.args[0].Eval(item)
	}
	first, ok := c.operands[0].eval(item)
	switch c.op {
	case "attribute_exists":
		return ok
	case "attribute_not_exists":
		return !ok
	case "IN":
		return ok && slices.ContainsFunc(c.operands[1:], func(o operand) bool {
			v, there := o.eval(item)
			return there && first.Equal(v)
		})
	case "BETWEEN":
		low, okLow := c.operands[1].eval(item)
		high, okHigh := c.operands[2].eval(item)
		if !ok || !okLow || !okHigh {
			return false
		}
		a, okLow := first.compare(low)
		b, okHigh := first.compare(high)
		return okLow && okHigh && a >= 0 && b <= 0
	}
	second, okSecond := c.operands[1].eval(item)
	if c.op == "<>" {
		return ok != okSecond || ok && !first.Equal(second)
	}
	if !ok || !okSecond {
		return false
	}
	switch c.op {
	case "=":
		return first.Equal(second)
	case "attribute_type":
		return string(first.Kind) == second.Str
	case "begins_with":
		return first.Kind == second.Kind && (first.Kind == S || first.Kind == B) &&
			strings.HasPrefix(first.Str, second.Str)
	case "contains":
		return first.contains(second)
	}
	order, comparable := first.compare(second)
	if !comparable {
		return false
	}
	switch c.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

func (v Value) contains(o Value) bool {
	switch v.Kind {
	case S, B:
		return o.Kind == v.Kind && strings.Contains(v.Str, o.Str)
	case SS, NS, BS:
		return o.Kind == v.Kind[:1] && slices.Contains(v.Set, o.Str)
	case L:
		return slices.ContainsFunc(v.List, o.Equal)
	}
	return false
}

// Project returns what the paths select of an item.
func Project(item Item, paths []Path) Item {
	if item == nil || paths == nil {
		return item
	}
	out := Item{}
	for _, p := range paths {
		if v, ok := item.Get(p); ok {
			root := Value{Kind: M, Map: out}
			root.graft(p, v)
		}
	}
	return out
}

// graft puts v at the path below a map or list that holds only selected parts;
// list elements are kept in the order of the paths.
func (v *Value) graft(p Path, leaf Value) {
	if len(p) == 0 {
		*v = leaf
		return
	}
	kind := L
	if len(p) > 1 && p[1].name != "" {
		kind = M
	}
	empty := Value{Kind: kind}
	if kind == M {
		empty.Map = map[string]Value{}
	}
	if p[0].name != "" {
		child, ok := v.Map[p[0].name]
		if !ok {
			child = empty
		}
		child.graft(p[1:], leaf)
		v.Map[p[0].name] = child
		return
	}
	empty.graft(p[1:], leaf)
	v.List = append(v.List, empty)
}
