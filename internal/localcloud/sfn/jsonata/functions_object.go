package jsonata

func fnKeys(m *machine, args []any, _ *callSite) any {
	out := &array{flags: flagSequence}
	m.keys(out, map[string]bool{}, args[0], 0)
	return out
}

func (m *machine) keys(out *array, seen map[string]bool, v any, depth int) {
	if depth > maxNesting {
		throw(errNesting())
	}
	if o, ok := v.(*Object); ok {
		m.work(o.Len())
		for _, k := range o.keys {
			if !seen[k] {
				seen[k] = true
				m.push(out, k)
			}
		}
		return
	}
	items, _ := itemsOf(v)
	for _, item := range items {
		m.work(1)
		m.keys(out, seen, item, depth+1)
	}
}

func fnLookup(m *machine, args []any, _ *callSite) any {
	key, ok := args[1].(string)
	if !ok {
		key = "undefined"
	}
	return m.field(args[0], key)
}

func fnExists(_ *machine, args []any, _ *callSite) any { return args[0] != Undefined }

func fnSpread(m *machine, args []any, _ *callSite) any { return m.spread(args[0], 0) }

func (m *machine) spread(v any, depth int) any {
	if depth > maxNesting {
		throw(errNesting())
	}
	if o, ok := v.(*Object); ok {
		out := &array{flags: flagSequence}
		for k, item := range o.All() {
			m.alloc(96)
			single := NewObject(1)
			single.Set(k, item)
			m.push(out, single)
		}
		return out
	}
	items, ok := itemsOf(v)
	if !ok {
		return v
	}
	out := &array{flags: flagSequence}
	for _, item := range items {
		m.work(1)
		part := m.spread(item, depth+1)
		if part == Undefined {
			continue
		}
		out.flags = 0 // as after an append
		if sub, ok := itemsOf(part); ok {
			m.pushAll(out, sub)
		} else {
			m.push(out, part)
		}
	}
	return out
}

func fnMerge(m *machine, args []any, _ *callSite) any {
	items, ok := itemsOf(args[0])
	if !ok {
		return Undefined
	}
	size := 0
	for _, item := range items {
		if o, ok := item.(*Object); ok {
			m.alloc(48 * o.Len())
			m.work(o.Len())
			size += o.Len()
		}
	}
	out := NewObject(size)
	for _, item := range items {
		o, ok := item.(*Object)
		if !ok {
			continue
		}
		for k, v := range o.All() {
			out.Set(k, v)
		}
	}
	return out
}

func fnError(m *machine, args []any, _ *callSite) any {
	message, _ := args[0].(string)
	if message == "" {
		message = "$error() function evaluated"
	}
	m.fail(&Error{Code: "D3137", Message: message})
	return nil
}

func fnAssert(m *machine, args []any, _ *callSite) any {
	if ok, _ := args[0].(bool); !ok {
		message, _ := args[1].(string)
		if message == "" {
			message = "$assert() statement failed"
		}
		m.fail(&Error{Code: "D3141", Message: message})
	}
	return Undefined
}

func fnType(_ *machine, args []any, _ *callSite) any {
	if args[0] == Undefined {
		return Undefined
	}
	if f, ok := args[0].(float64); ok {
		number(f)
	}
	return TypeOf(args[0])
}

func fnBoolean(m *machine, args []any, _ *callSite) any {
	if b, ok := m.truth(args[0], 0); ok {
		return b
	}
	return Undefined
}

func fnNot(m *machine, args []any, _ *callSite) any {
	if b, ok := m.truth(args[0], 0); ok {
		return !b
	}
	return Undefined
}

func fnClone(m *machine, args []any, _ *callSite) any {
	if args[0] == Undefined {
		return Undefined
	}
	return m.clone(args[0])
}

// fnEval compiles and evaluates an expression where it was called.
func fnEval(m *machine, args []any, site *callSite) any {
	src, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	input := site.input
	if args[1] != Undefined {
		input = args[1]
		if isArray(input) && !isSequence(input) {
			input = &array{items: []any{input}, flags: flagSequence | flagOuter}
		}
	}
	at := m.fault
	m.alloc(64 * len(src))
	m.work(len(src))
	inner := &Expression{src: src, lib: m.lib}
	if err := inner.compile(); err != nil {
		m.wrapEval("D3120", err)
	}
	depth, nested := m.depth, m.nested
	v, err := m.evalInside(inner, input, site.env)
	m.depth, m.nested, m.fault = depth, nested, at
	if err != nil {
		m.wrapEval("D3121", err)
	}
	return v
}

func (m *machine) wrapEval(code string, err error) {
	e, ok := err.(*Error)
	if !ok || e.Code == "U1001" || e.Code == codeInternal {
		panic(err) // a limit is a limit
	}
	m.fail(&Error{Code: code, Value: e.Message})
}

func (m *machine) evalInside(e *Expression, input any, env *frame) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, caught(r, e.src, nil)
		}
	}()
	return m.eval(e.root, input, env), nil
}
