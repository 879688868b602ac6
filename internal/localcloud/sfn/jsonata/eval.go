package jsonata

import (
	"math"
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
	return settle(v)
}

// settle takes a sequence for what it stands for.
func settle(v any) any {
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

// field is the lookup of a name: in an object its value, in an array what
// its items have, as one sequence.
func (m *machine) field(input any, name string) any {
	switch in := input.(type) {
	case *Object:
		return in.lookup(name)
	case []any:
		out := &array{flags: flagSequence}
		m.fields(out, in, name, 0)
		return out
	case *array:
		out := &array{flags: flagSequence}
		m.fields(out, in.items, name, 0)
		return out
	}
	return Undefined
}

func (m *machine) fields(out *array, items []any, name string, depth int) {
	if depth > maxNesting {
		throw(errNesting())
	}
	m.work(len(items))
	for _, item := range items {
		var v any = Undefined
		switch in := item.(type) {
		case *Object:
			v = in.lookup(name)
		case []any:
			m.fields(out, in, name, depth+1)
			continue
		case *array:
			m.fields(out, in.items, name, depth+1)
			continue
		}
		if v == Undefined {
			continue
		}
		if sub, ok := itemsOf(v); ok {
			m.pushAll(out, sub)
		} else {
			m.push(out, v)
		}
	}
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

func (m *machine) wildcard(input any) any {
	if a, ok := input.(*array); ok && a.is(flagOuter) && len(a.items) > 0 {
		input = a.items[0]
	}
	out := &array{flags: flagSequence}
	var vals []any
	switch in := input.(type) {
	case *Object:
		vals = in.vals
	default:
		vals, _ = itemsOf(input)
	}
	m.work(len(vals))
	for _, v := range vals {
		if isArray(v) {
			// As after an append, it is a plain array from here on.
			out.flags = 0
			m.flatten(out, v, 0)
		} else {
			m.push(out, v)
		}
	}
	return out
}

func (m *machine) flatten(out *array, v any, depth int) {
	if depth > maxNesting {
		throw(errNesting())
	}
	items, ok := itemsOf(v)
	if !ok {
		m.push(out, v)
		return
	}
	m.work(len(items))
	for _, item := range items {
		m.flatten(out, item, depth+1)
	}
}

func (m *machine) descendants(input any) any {
	if input == Undefined {
		return Undefined
	}
	out := &array{flags: flagSequence}
	m.descend(out, input, 0)
	if len(out.items) == 1 {
		return out.items[0]
	}
	return out
}

func (m *machine) descend(out *array, v any, depth int) {
	if depth > maxNesting {
		throw(errNesting())
	}
	m.work(1)
	if items, ok := itemsOf(v); ok {
		for _, item := range items {
			m.descend(out, item, depth+1)
		}
		return
	}
	m.push(out, v)
	if o, ok := v.(*Object); ok {
		for _, item := range o.vals {
			m.descend(out, item, depth+1)
		}
	}
}

func (m *machine) binary(n *node, input any, env *frame) any {
	left := m.eval(n.a, input, env)
	switch n.binop {
	case binAnd:
		return m.isTrue(left) && m.isTrue(m.eval(n.b, input, env))
	case binOr:
		return m.isTrue(left) || m.isTrue(m.eval(n.b, input, env))
	}
	right := m.eval(n.b, input, env)
	switch n.binop {
	case binEq:
		if left == Undefined || right == Undefined {
			return false
		}
		return m.equal(left, right, 0)
	case binNe:
		if left == Undefined || right == Undefined {
			return false
		}
		return !m.equal(left, right, 0)
	case binConcat:
		return m.concat(n, left, right)
	case binIn:
		if left == Undefined || right == Undefined {
			return false
		}
		items, ok := itemsOf(right)
		if !ok {
			return sameIdentity(left, right)
		}
		m.work(len(items))
		for _, item := range items {
			if sameIdentity(left, item) {
				return true
			}
		}
		return false
	case binRange:
		return m.span(n, left, right)
	case binLt, binLe, binGt, binGe:
		return m.compare(n, left, right)
	}
	x, ok := operand(n, left)
	if !ok && left != Undefined {
		throw((&Error{Code: "T2001", Value: left}).at(n.pos).token(n.text))
	}
	y, ok := operand(n, right)
	if !ok && right != Undefined {
		throw((&Error{Code: "T2002", Value: right}).at(n.pos).token(n.text))
	}
	if left == Undefined || right == Undefined {
		return Undefined
	}
	switch n.binop {
	case binAdd:
		return boxFloat(x + y)
	case binSub:
		return boxFloat(x - y)
	case binMul:
		return boxFloat(x * y)
	case binDiv:
		return boxFloat(x / y)
	default:
		return boxFloat(math.Mod(x, y))
	}
}

func operand(n *node, v any) (float64, bool) {
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) {
		return 0, false
	}
	if math.IsInf(f, 0) {
		throw((&Error{Code: "D1001", Value: f}).at(n.pos).token(n.text))
	}
	return f, true
}

func comparable(v any) bool {
	switch v.(type) {
	case string, float64, *undefined:
		return true
	}
	return false
}

func (m *machine) compare(n *node, left, right any) any {
	if !comparable(left) || !comparable(right) {
		bad := left
		if left == Undefined || comparable(left) {
			bad = right
		}
		throw((&Error{Code: "T2010", Value: bad}).at(n.pos).token(n.text))
	}
	if left == Undefined || right == Undefined {
		return Undefined
	}
	switch x := left.(type) {
	case float64:
		if y, ok := right.(float64); ok {
			switch n.binop {
			case binLt:
				return x < y
			case binLe:
				return x <= y
			case binGt:
				return x > y
			default:
				return x >= y
			}
		}
	case string:
		if y, ok := right.(string); ok {
			m.work(min(len(x), len(y)) / 256)
			switch n.binop {
			case binLt:
				return lessString(x, y)
			case binLe:
				return !lessString(y, x)
			case binGt:
				return lessString(y, x)
			default:
				return !lessString(x, y)
			}
		}
	}
	throw((&Error{Code: "T2009", Value: left, Value2: right}).at(n.pos).token(n.text))
	return nil
}

func (m *machine) concat(n *node, left, right any) any {
	str := func(v any) string {
		switch s := v.(type) {
		case string:
			return s
		case *undefined:
			return ""
		}
		out, err := m.stringify(v, false)
		if err != nil {
			throw(err.at(n.pos).token("&"))
		}
		return out
	}
	x, y := str(left), str(right)
	m.fits(int64(len(x) + len(y)))
	m.alloc(len(x) + len(y))
	return concat(x, y)
}

// maxRange is the language's own limit.
const maxRange = 1e7

// span is the range operator.
func (m *machine) span(n *node, left, right any) any {
	whole := func(v any, code string) float64 {
		f, ok := v.(float64)
		if v != Undefined && (!ok || f != math.Trunc(f) || math.IsInf(f, 0)) {
			throw((&Error{Code: code, Value: v}).at(n.pos).token(".."))
		}
		return f
	}
	from, to := whole(left, "T2003"), whole(right, "T2004")
	if left == Undefined || right == Undefined || from > to {
		return Undefined
	}
	size := to - from + 1
	if size > maxRange {
		throw((&Error{Code: "D2014", Value: size}).at(n.pos).token(".."))
	}
	count := int(size)
	m.fits(8 * int64(count))
	m.alloc((slotSize + 8) * count)
	m.work(count / 8)
	out := newSequence(make([]any, count)...)
	for i := range out.items {
		out.items[i] = boxFloat(from + float64(i))
	}
	return out
}

// object is the object constructor.
func (m *machine) object(n *node, input any, env *frame) any {
	if n.keys == nil || isArray(input) {
		return m.groupBy(n.pairs, n.pos, input, env)
	}
	m.alloc(64 + 48*len(n.keys))
	out := NewObject(len(n.keys))
	for i, pair := range n.pairs {
		if v := m.eval(pair[1], input, env); v != Undefined {
			out.Set(n.keys[i], v)
		}
	}
	return out
}

type groupEntry struct {
	data any
	pair int
}

// groupBy makes an object of the input: items are gathered by the keys they
// give, then the value expression runs over each gathering.
func (m *machine) groupBy(pairs [][2]*node, pos int, input any, env *frame) any {
	items, ok := itemsOf(input)
	if !ok {
		items = []any{input}
	}
	a, _ := input.(*array)
	tuples := a != nil && a.is(flagTuples)
	if len(items) == 0 {
		items = []any{Undefined}
		tuples = false
	}
	var order []string
	groups := map[string]*groupEntry{}
	for _, item := range items {
		context, itemEnv := item, env
		if tuples {
			t := item.(*tuple)
			context, itemEnv = t.context, t.frame(env)
		}
		for i, pair := range pairs {
			key := m.eval(pair[0], context, itemEnv)
			if key == Undefined {
				continue
			}
			k, ok := key.(string)
			if !ok {
				throw((&Error{Code: "T1003", Value: key}).at(pos))
			}
			g := groups[k]
			switch {
			case g == nil:
				m.alloc(96)
				groups[k] = &groupEntry{data: item, pair: i}
				order = append(order, k)
			case g.pair != i:
				throw((&Error{Code: "D1009", Value: k}).at(pos))
			default:
				g.gather(m, item)
			}
		}
	}
	out := NewObject(len(order))
	for _, k := range order {
		g := groups[k]
		context, groupEnv := g.data, env
		if own, ok := context.(*gathering); ok {
			context = &array{items: own.items}
		}
		if tuples {
			t := m.reduceTuples(context)
			context, groupEnv = t.context, t.frame(env)
		}
		if v := m.eval(pairs[g.pair][1], context, groupEnv); v != Undefined {
			out.Set(k, v)
		}
	}
	return out
}

// gathering is a group of more than one item while it grows.
type gathering struct{ items []any }

func (g *groupEntry) gather(m *machine, item any) {
	if item == Undefined {
		return
	}
	if g.data == Undefined {
		g.data = item
		return
	}
	own, ok := g.data.(*gathering)
	if !ok {
		own = &gathering{}
		if items, isArr := itemsOf(g.data); isArr {
			own.items = append(own.items, items...)
		} else {
			own.items = append(own.items, g.data)
		}
		g.data = own
	}
	if items, isArr := itemsOf(item); isArr {
		m.alloc(slotSize * len(items))
		own.items = append(own.items, items...)
	} else {
		m.alloc(slotSize)
		own.items = append(own.items, item)
	}
}
