package jsonata

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
