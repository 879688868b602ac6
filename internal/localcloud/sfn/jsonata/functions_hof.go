package jsonata

// callArgs gives a callback the value and as many of position and whole as it
// declares parameters for.
func callArgs(f function, value, at, whole any) []any {
	switch n := f.params(); {
	case n >= 3:
		return []any{value, at, whole}
	case n == 2:
		return []any{value, at}
	}
	return []any{value}
}

// arrayAndFunction takes the usual pair of arguments.
func (m *machine) arrayAndFunction(args []any) (items []any, f function, ok bool) {
	items, ok = itemsOf(args[0])
	if !ok {
		return nil, nil, false
	}
	f, ok = args[1].(function)
	return items, f, ok
}

func fnMap(m *machine, args []any, site *callSite) any {
	items, f, ok := m.arrayAndFunction(args)
	if !ok {
		return Undefined
	}
	out := &array{flags: flagSequence}
	for i, v := range items {
		if r := m.callback(f, callArgs(f, v, boxInt(i), args[0]), site); r != Undefined {
			m.push(out, r)
		}
	}
	return out
}

func fnFilter(m *machine, args []any, site *callSite) any {
	items, f, ok := m.arrayAndFunction(args)
	if !ok {
		return Undefined
	}
	out := &array{flags: flagSequence}
	for i, v := range items {
		if m.isTrue(m.callback(f, callArgs(f, v, boxInt(i), args[0]), site)) {
			m.push(out, v)
		}
	}
	return out
}

func fnSingle(m *machine, args []any, site *callSite) any {
	items, ok := itemsOf(args[0])
	if !ok {
		return Undefined
	}
	f, _ := args[1].(function)
	var found any
	count := 0
	for i, v := range items {
		if f != nil && !m.isTrue(m.callback(f, callArgs(f, v, boxInt(i), args[0]), site)) {
			continue
		}
		if count++; count > 1 {
			m.fail(&Error{Code: "D3138", Index: i})
		}
		found = v
	}
	if count == 0 {
		m.fail(&Error{Code: "D3139"})
	}
	return found
}

func fnReduce(m *machine, args []any, site *callSite) any {
	items, f, ok := m.arrayAndFunction(args)
	if !ok {
		return Undefined
	}
	arity := f.params()
	if arity < 2 {
		m.fail(&Error{Code: "D3050", Index: 1})
	}
	result, from := args[2], 0
	if result == Undefined && len(items) > 0 {
		result, from = items[0], 1
	}
	for i := from; i < len(items); i++ {
		in := []any{result, items[i]}
		if arity >= 3 {
			in = append(in, boxInt(i))
		}
		if arity >= 4 {
			in = append(in, args[0])
		}
		result = m.callback(f, in, site)
	}
	return result
}

func fnSift(m *machine, args []any, site *callSite) any {
	o, ok := args[0].(*Object)
	if !ok {
		return Undefined
	}
	f, _ := args[1].(function)
	out := &Object{}
	for k, v := range o.All() {
		if f == nil {
			m.fail(&Error{Code: "T1006"})
		}
		if m.isTrue(m.callback(f, callArgs(f, v, k, o), site)) {
			m.alloc(48)
			out.Set(k, v)
		}
	}
	if out.Len() == 0 {
		return Undefined
	}
	return out
}

func fnEach(m *machine, args []any, site *callSite) any {
	out := &array{flags: flagSequence}
	o, ok := args[0].(*Object)
	f, isFn := args[1].(function)
	if !ok || !isFn {
		return out
	}
	for k, v := range o.All() {
		if r := m.callback(f, callArgs(f, v, k, o), site); r != Undefined {
			m.push(out, r)
		}
	}
	return out
}

func fnSort(m *machine, args []any, site *callSite) any {
	items, ok := itemsOf(args[0])
	if !ok {
		return Undefined
	}
	if len(items) <= 1 {
		return args[0]
	}
	m.alloc(2 * slotSize * len(items))
	var after func(a, b any) bool
	if f, ok := args[1].(function); ok {
		after = func(a, b any) bool { return jsTruthy(m.callback(f, []any{a, b}, site)) }
	} else if allNumbers(items) {
		after = func(a, b any) bool { m.work(1); return a.(float64) > b.(float64) }
	} else if allStrings(items) {
		after = func(a, b any) bool { m.work(1); return lessString(b.(string), a.(string)) }
	} else {
		m.fail(&Error{Code: "D3070", Index: 1})
	}
	return &array{items: mergeSort(items, after)}
}

// jsTruthy is what JavaScript takes for true: arrays and objects always.
func jsTruthy(v any) bool {
	switch x := v.(type) {
	case nil, *undefined:
		return false
	case bool:
		return x
	case float64:
		return x != 0 && x == x
	case string:
		return x != ""
	}
	return true
}
