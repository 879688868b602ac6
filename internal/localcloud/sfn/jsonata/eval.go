package jsonata

import (
	"time"
)

// machine is one evaluation.
type machine struct {
	lib      *library
	rt       *Runtime
	input    any
	bindings map[string]Value
	globals  frame // variables assigned outside any block

	depth, maxDepth   int
	nested            int // library functions under way
	steps, maxSteps   int64
	memory, maxMemory int64
	maxValue          int64

	fault   fault
	now     time.Time
	haveNow bool
}

// frame holds the variables of a block, a call or a tuple. The outermost
// variables are found in the machine.
type frame struct {
	parent *frame
	vars   []binding
}

type binding struct {
	name  string
	value any
}

func (f *frame) bind(name string, v any) {
	for i := range f.vars {
		if f.vars[i].name == name {
			f.vars[i].value = v
			return
		}
	}
	f.vars = append(f.vars, binding{name, v})
}

func (m *machine) bind(env *frame, name string, v any) {
	if env == nil {
		env = &m.globals
	}
	env.bind(name, v)
}

// find looks a variable up; bound is false when nobody has bound it.
func (m *machine) find(env *frame, name string) (v any, bound bool) {
	for f := env; f != nil; f = f.parent {
		for i := len(f.vars) - 1; i >= 0; i-- {
			if f.vars[i].name == name {
				return f.vars[i].value, true
			}
		}
	}
	for i := range m.globals.vars {
		if m.globals.vars[i].name == name {
			return m.globals.vars[i].value, true
		}
	}
	if name == "$" {
		return m.input, true
	}
	v, bound = m.bindings[name]
	return v, bound
}

func (m *machine) lookup(env *frame, name string) any {
	if v, ok := m.find(env, name); ok {
		return v
	}
	if f, ok := m.lib.functions[name]; ok {
		return f
	}
	return Undefined
}

func (m *machine) variable(n *node, input any, env *frame) any {
	if n.text == "" {
		if a, ok := input.(*array); ok && a.is(flagOuter) {
			return a.items[0]
		}
		return input
	}
	if v, ok := m.find(env, n.text); ok {
		return v
	}
	if n.builtin != nil {
		return n.builtin
	}
	return Undefined
}

// work counts n further steps, for functions whose effort depends on their
// arguments.
func (m *machine) work(n int) {
	if m.steps += int64(n); m.steps > m.maxSteps {
		throw(errSteps())
	}
}

// alloc counts bytes before they are taken.
func (m *machine) alloc(bytes int) {
	if m.memory += int64(bytes); m.memory > m.maxMemory {
		throw(errMemory())
	}
}

// fits refuses a value of so many bytes if it is larger than values may be.
func (m *machine) fits(bytes int64) {
	if m.maxValue > 0 && bytes > m.maxValue {
		throw(errMemory())
	}
}

const slotSize = 16 // of an array item

func (m *machine) push(a *array, v any) {
	if len(a.items) == cap(a.items) {
		m.alloc(slotSize * (len(a.items) + 1))
	}
	a.items = append(a.items, v)
}

func (m *machine) pushAll(a *array, items []any) {
	m.alloc(slotSize * len(items))
	m.work(len(items) / 8)
	a.items = append(a.items, items...)
}

// eval evaluates a node with its predicates and grouping. Of a sequence with
// one item the item remains, unless it was asked to be kept.
func (m *machine) eval(n *node, input any, env *frame) any {
	if m.steps++; m.steps > m.maxSteps {
		throw(errSteps())
	}
	if m.depth >= m.maxDepth {
		throw(errDepth())
	}
	var v any
	switch n.op {
	// The leaves come first, without the bookkeeping of depth.
	case opString, opNumber, opConstant:
		v = n.val
	case opVariable:
		v = m.variable(n, input, env)
	case opName:
		v = m.field(input, n.text)
	case opParent:
		v = m.lookup(env, n.slot.label)
	case opPlaceholder:
		v = Undefined
	default:
		m.depth++
		v = m.evalInner(n, input, env)
		m.depth--
	}
	if n.predicates != nil {
		m.depth++
		for _, p := range n.predicates {
			v = m.filter(p, v, env)
		}
		m.depth--
	}
	if n.group != nil && n.op != opPath {
		m.depth++
		v = m.groupBy(n.group.pairs, n.group.pos, v, env)
		m.depth--
	}
	if n.keepArray {
		if a, ok := v.(*array); ok && a.is(flagSequence) && !a.is(flagTuples) {
			a.flags |= flagKeep
		}
	}
	return collapse(v)
}

// collapse takes a sequence for what it stands for.
func collapse(v any) any {
	if a, ok := v.(*array); ok && a.is(flagSequence) && !a.is(flagTuples) {
		switch {
		case len(a.items) == 0:
			return Undefined
		case len(a.items) == 1 && !a.is(flagKeep):
			return a.items[0]
		}
	}
	return v
}

func (m *machine) evalInner(n *node, input any, env *frame) any {
	switch n.op {
	case opPath:
		if n.plain {
			if v, ok := m.plainPath(n, input, env); ok {
				return v
			}
		}
		return m.path(n, input, env)
	case opBinary:
		return m.binary(n, input, env)
	case opNegate:
		v := m.eval(n.a, input, env)
		if v == Undefined {
			return v
		}
		f, ok := number(v)
		if !ok {
			throw((&Error{Code: "D1002", Value: v}).at(n.pos).token("-"))
		}
		return -f
	case opArray:
		return m.construct(n, input, env)
	case opObject:
		return m.object(n, input, env)
	case opWildcard:
		return m.wildcard(input)
	case opDescendant:
		return m.descendants(input)
	case opCondition:
		if m.isTrue(m.eval(n.a, input, env)) {
			return m.eval(n.b, input, env)
		}
		if n.c != nil {
			return m.eval(n.c, input, env)
		}
		return Undefined
	case opBlock:
		if n.newFrame {
			env = &frame{parent: env}
		}
		var v any = Undefined
		for _, part := range n.list {
			v = m.eval(part, input, env)
		}
		return v
	case opBind:
		v := m.eval(n.b, input, env)
		m.bind(env, n.a.text, v)
		return v
	case opRegex:
		return &matcher{re: n.regex}
	case opCall:
		return m.call(n, input, env, nil)
	case opPartial:
		return m.partial(n, input, env)
	case opLambda:
		return &lambda{def: n.lambda, input: input, env: env}
	case opThunk:
		return &thunk{call: n.a, input: input, env: env}
	case opApply:
		return m.apply(n, input, env)
	case opTransform:
		return m.transformer(n, env)
	case opSort:
		return m.sort(n, input, env)
	}
	panic("jsonata: no such node")
}

func (m *machine) construct(n *node, input any, env *frame) any {
	var out any = &array{}
	fresh := true // out is ours alone
	for _, item := range n.list {
		v := m.eval(item, input, env)
		if v == Undefined {
			continue
		}
		if item.op == opArray {
			v = &array{items: []any{v}}
		}
		out = m.extend(out.(*array), v, fresh)
	}
	if n.consArray {
		out.(*array).flags |= flagCons
	}
	return out
}

// extend appends a value, or the items of an array, in place when it may.
func (m *machine) extend(a *array, v any, fresh bool) *array {
	if !fresh {
		a = &array{items: append(make([]any, 0, len(a.items)+1), a.items...)}
		m.alloc(slotSize * len(a.items))
	}
	if items, ok := itemsOf(v); ok {
		if len(a.items) == 0 {
			// Nobody appends to an array in place but its maker: share.
			a.items = items[:len(items):len(items)]
			m.work(1)
			return a
		}
		m.pushAll(a, items)
	} else {
		m.push(a, v)
	}
	return a
}

// appendValues is the function $append.
func (m *machine) appendValues(a, b any) any {
	if a == Undefined {
		return b
	}
	if b == Undefined {
		return a
	}
	x, ok := itemsOf(a)
	if !ok {
		x = []any{a}
	}
	y, ok := itemsOf(b)
	if !ok {
		y = []any{b}
	}
	m.alloc(slotSize * (len(x) + len(y)))
	m.work((len(x) + len(y)) / 8)
	out := make([]any, 0, len(x)+len(y))
	return &array{items: append(append(out, x...), y...)}
}
