package jsonata

// function is a value that can be invoked.
type function interface {
	// params is how many arguments it declares, by which $map and its kin
	// decide how many to pass.
	params() int
}

// native is a function of the library.
type native struct {
	name  string
	sig   *signature
	arity int
	call  func(m *machine, args []any, site *callSite) any
}

// callSite is where a library function was invoked from.
type callSite struct {
	input any
	env   *frame
}

// lambda is a function defined by an expression, or what partial application
// left of one.
type lambda struct {
	def    *lambdaDef
	input  any
	env    *frame
	names  []string // parameters still open; nil: those of the definition
	noSign bool     // partial application drops the signature
}

// thunk is a tail call that its caller is to make.
type thunk struct {
	call  *node
	input any
	env   *frame
}

// partialNative is a library function with some arguments given.
type partialNative struct {
	fn   *native
	args []any
	open []int // places in args
}

// chained is f ~> g: it applies f, then g.
type chained struct{ f, g function }

// detached is a function passed as an argument: wherever it is invoked, the
// context there does not stand in for its own arguments. Unlike other
// functions it does not count as true.
type detached struct{ function }

// matcher is a regular expression as a function.
type matcher struct{ re *regex }

// matchNext finds the match after one that the matcher has returned.
type matchNext struct {
	re   *regex
	subj *subject
	from int
}

// transform is the update function written between bars.
type transform struct {
	node *node
	env  *frame
}

func (f *native) params() int        { return f.arity }
func (f *partialNative) params() int { return len(f.open) }
func (f *chained) params() int       { return 1 }
func (f *matcher) params() int       { return 2 }
func (f *matchNext) params() int     { return 0 }
func (f *transform) params() int     { return 1 }
func (f *thunk) params() int         { return 0 }
func (f *lambda) params() int        { return len(f.open()) }

func (f *lambda) open() []string {
	if f.names != nil {
		return f.names
	}
	return f.def.params
}

// call evaluates a function call; applied is the left side of ~>, which
// becomes the first argument.
func (m *machine) call(n *node, input any, env *frame, applied *any) any {
	fn, name := m.procedure(n, input, env, "T1005")
	args := make([]any, 0, len(n.list)+1)
	if applied != nil {
		args = append(args, *applied)
	}
	for _, a := range n.list {
		v := m.eval(a, input, env)
		if f, ok := v.(function); ok {
			v = detach(f)
		}
		args = append(args, v)
	}
	return m.invokeAt(n, fn, name, args, input, env)
}

// detach wraps a function that becomes an argument.
func detach(f function) function {
	switch f.(type) {
	case detached, *matcher, *matchNext:
		return f
	}
	return detached{f}
}

// procedure evaluates what is to be called. A name that would be a function
// with a $ before it is an error of its own.
func (m *machine) procedure(n *node, input any, env *frame, code string) (fn any, name string) {
	fn = m.eval(n.a, input, env)
	switch n.a.op {
	case opVariable:
		name = n.a.text
	case opPath:
		name = n.a.list[0].text
		if fn == Undefined {
			if v := m.lookup(env, name); v != Undefined && v != nil {
				throw((&Error{Code: code}).at(n.pos).token(name))
			}
		}
	}
	return fn, name
}

func (m *machine) invokeAt(n *node, fn any, name string, args []any, input any, env *frame) any {
	f, ok := fn.(function)
	if !ok {
		throw((&Error{Code: "T1006", Value: fn}).at(n.pos).token(name))
	}
	return m.invoke(f, args, input, env, n.pos, name)
}

// invoke applies a function and every tail call it ends in.
func (m *machine) invoke(f function, args []any, input any, env *frame, pos int, name string) any {
	for {
		from := input
		for {
			// Not by a call of its own: a tail call must not grow the stack.
			d, ok := f.(detached)
			if !ok {
				break
			}
			f, from = d.function, nil
		}
		v := m.invokeOnce(f, args, from, env, pos, name)
		t, ok := v.(*thunk)
		if !ok {
			return v
		}
		m.work(1)
		var fn any
		fn, name = m.procedure(t.call, t.input, t.env, "T1005")
		pos = t.call.pos
		args = make([]any, 0, len(t.call.list))
		for _, a := range t.call.list {
			args = append(args, m.eval(a, t.input, t.env))
		}
		if f, ok = fn.(function); !ok {
			throw((&Error{Code: "T1006", Value: fn}).at(pos).token(name))
		}
	}
}

func (m *machine) invokeOnce(f function, args []any, input any, env *frame, pos int, name string) any {
	switch f := f.(type) {
	case *native:
		return m.callNative(f, args, &callSite{input, env}, pos, name)
	case *lambda:
		if f.def.sig != nil && !f.noSign {
			args = m.checked(f.def.sig, args, input, pos, name)
		}
		names := f.open()
		vars := make([]binding, len(names), len(names)+1)
		for i, p := range names {
			vars[i] = binding{p, Undefined}
			if i < len(args) {
				vars[i].value = args[i]
			}
		}
		return m.eval(f.def.body, f.input, &frame{parent: f.env, vars: vars})
	case *partialNative:
		full := append([]any(nil), f.args...)
		for i, at := range f.open {
			full[at] = Undefined
			if i < len(args) {
				full[at] = args[i]
			}
		}
		return m.callNative(f.fn, full, &callSite{nil, env}, pos, f.fn.name)
	case *chained:
		m.nest()
		v := m.invoke(f.f, args[:min(len(args), 1)], nil, env, pos, name)
		v = m.invoke(f.g, []any{collapse(v)}, nil, env, pos, name)
		m.nested--
		return v
	case *matcher:
		from := 0
		if len(args) > 1 {
			if f, ok := args[1].(float64); ok {
				from = int(f)
			}
		}
		str, ok := "", len(args) > 0
		if ok {
			str, ok = args[0].(string)
		}
		if !ok {
			throw((&Error{Code: "T0410", Index: 1}).at(pos).token(name))
		}
		return m.matchObject(f.re, m.subject(str), from)
	case *matchNext:
		return m.nextMatchObject(f)
	case *transform:
		return m.runTransform(f, args, pos, name)
	}
	panic("jsonata: no such function")
}

func (m *machine) callNative(f *native, args []any, site *callSite, pos int, name string) any {
	if name == "" {
		name = f.name
	}
	if f.sig != nil {
		args = m.checked(f.sig, args, site.input, pos, name)
	}
	m.fault = fault{pos, name}
	m.nest()
	v := f.call(m, args, site)
	m.nested--
	return v
}

// nest bounds what functions invoke without an expression in between.
func (m *machine) nest() {
	if m.nested++; m.nested > m.maxDepth {
		throw(errDepth())
	}
}

// fault is the call of a library function that is under way, for its errors.
type fault struct {
	pos  int
	name string
}

// fail raises an error of the library function that is running.
func (m *machine) fail(e *Error) {
	throw(e.at(m.fault.pos).token(m.fault.name))
}

func (m *machine) checked(s *signature, args []any, input any, pos int, name string) []any {
	m.fault = fault{pos, name}
	for _, a := range args {
		if items, ok := itemsOf(a); ok {
			m.work(len(items) / 16) // their types may be looked at
		}
	}
	out, err := s.apply(args, input)
	if err != nil {
		m.fail(err)
	}
	return out
}

// callback invokes a function given as an argument to a library function,
// and remembers which that was.
func (m *machine) callback(f function, args []any, site *callSite) any {
	at := m.fault
	v := m.invoke(f, args, nil, site.env, at.pos, at.name)
	m.fault = at
	return v
}

// partial evaluates a call with places left open.
func (m *machine) partial(n *node, input any, env *frame) any {
	args := make([]any, len(n.list))
	for i, a := range n.list {
		if a.op == opPlaceholder {
			args[i] = placeholder
		} else {
			args[i] = m.eval(a, input, env)
		}
	}
	fn, name := m.procedure(n, input, env, "T1007")
	if d, ok := fn.(detached); ok {
		fn = d.function
	}
	switch f := fn.(type) {
	case *lambda:
		out := &lambda{def: f.def, input: f.input, names: []string{}, noSign: true}
		bound := &frame{parent: f.env}
		for i, p := range f.open() {
			var v any = Undefined
			if i < len(args) {
				v = args[i]
			}
			if v == placeholder {
				out.names = append(out.names, p)
			} else {
				bound.vars = append(bound.vars, binding{p, v})
			}
		}
		out.env = bound
		return out
	case *native:
		out := &partialNative{fn: f, args: make([]any, max(f.arity, len(args)))}
		if f.sig != nil && !f.sig.hasPlus {
			out.args = out.args[:min(len(out.args), len(f.sig.params))]
		}
		for i := range out.args {
			out.args[i] = Undefined
			if i < len(args) {
				if out.args[i] = args[i]; args[i] == placeholder {
					out.open = append(out.open, i)
				}
			}
		}
		return out
	case *partialNative:
		out := &partialNative{fn: f.fn, args: append([]any(nil), f.args...)}
		for i, at := range f.open {
			out.args[at] = Undefined
			if i < len(args) {
				if out.args[at] = args[i]; args[i] == placeholder {
					out.open = append(out.open, at)
				}
			}
		}
		return out
	case function:
		// A function without declared parameters: what is given comes first.
		return f
	}
	throw((&Error{Code: "T1008", Value: fn}).at(n.pos).token(name))
	return nil
}

var placeholder any = &undefined{}

// apply is the operator ~>.
func (m *machine) apply(n *node, input any, env *frame) any {
	left := m.eval(n.a, input, env)
	if n.b.op == opCall {
		return m.call(n.b, input, env, &left)
	}
	right := m.eval(n.b, input, env)
	g, ok := right.(function)
	if !ok {
		throw((&Error{Code: "T2006", Value: right}).at(n.pos))
	}
	if f, ok := left.(function); ok {
		return &chained{f, g}
	}
	name := ""
	if n.b.op == opVariable {
		name = n.b.text
	}
	return m.invoke(g, []any{left}, nil, env, n.pos, name)
}

func (m *machine) transformer(n *node, env *frame) any { return &transform{n, env} }

var transformSignature = mustSignature("<(oa):o>")

func (m *machine) runTransform(f *transform, args []any, pos int, name string) any {
	args = m.checked(transformSignature, args, nil, pos, name)
	if args[0] == Undefined {
		return Undefined
	}
	var out any
	if v, bound := m.find(f.env, "clone"); bound {
		fn, ok := v.(function)
		if !ok {
			throwCode("T2013", f.node.pos)
		}
		out = m.invoke(fn, args[:1], nil, f.env, pos, "clone")
	} else {
		out = m.clone(args[0])
	}
	matches := m.eval(f.node.a, out, f.env)
	if matches == Undefined {
		return out
	}
	items, ok := itemsOf(matches)
	if !ok {
		items = []any{matches}
	}
	for _, match := range items {
		target, _ := match.(*Object)
		if update := m.eval(f.node.b, match, f.env); update != Undefined {
			from, ok := update.(*Object)
			if !ok {
				throw((&Error{Code: "T2011", Value: update}).at(f.node.b.pos))
			}
			if target != nil {
				m.alloc(48 * from.Len())
				for k, v := range from.All() {
					target.Set(k, v)
				}
			}
		}
		if f.node.c == nil {
			continue
		}
		deletions := m.eval(f.node.c, match, f.env)
		if deletions == Undefined {
			continue
		}
		keys, ok := itemsOf(deletions)
		if !ok {
			keys = []any{deletions}
		}
		if !allStrings(keys) {
			throw((&Error{Code: "T2012", Value: deletions}).at(f.node.c.pos))
		}
		if target != nil {
			for _, k := range keys {
				m.work(target.Len())
				target.Delete(k.(string))
			}
		}
	}
	return out
}

// clone copies a value as writing it to JSON and reading it back would.
func (m *machine) clone(v any) any { return m.cloneAt(v, 0) }

func (m *machine) cloneAt(v any, depth int) any {
	if depth > maxNesting {
		throw(errNesting())
	}
	m.work(1)
	switch x := v.(type) {
	case *Object:
		m.alloc(64 + 48*x.Len())
		out := NewObject(x.Len())
		for k, item := range x.All() {
			if item != Undefined {
				out.Set(k, m.cloneAt(item, depth+1))
			}
		}
		// Matches inside are going to be changed; look through it when the
		// result is handed out.
		out.internal = true
		return out
	case float64:
		if x, ok := number(x); ok {
			return to15Digits(x)
		}
		return nil
	case function:
		return ""
	case *undefined:
		return nil
	}
	items, ok := itemsOf(v)
	if !ok {
		return v
	}
	if a, isOuter := v.(*array); isOuter && a.is(flagOuter) {
		return m.cloneAt(a.items[0], depth+1)
	}
	m.alloc(slotSize * len(items))
	out := &array{items: make([]any, len(items))}
	for i, item := range items {
		out.items[i] = m.cloneAt(item, depth+1)
	}
	return out
}
