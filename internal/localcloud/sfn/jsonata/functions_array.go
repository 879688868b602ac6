package jsonata

func fnCount(_ *machine, args []any, _ *callSite) any {
	items, _ := itemsOf(args[0])
	return boxInt(len(items))
}

func fnAppend(m *machine, args []any, _ *callSite) any {
	return m.appendValues(args[0], args[1])
}

func fnReverse(m *machine, args []any, _ *callSite) any {
	items, ok := itemsOf(args[0])
	if !ok {
		return Undefined
	}
	if len(items) <= 1 {
		return args[0]
	}
	m.alloc(slotSize * len(items))
	m.work(len(items) / 8)
	out := make([]any, len(items))
	for i, v := range items {
		out[len(items)-1-i] = v
	}
	return &array{items: out}
}

func fnShuffle(m *machine, args []any, _ *callSite) any {
	items, ok := itemsOf(args[0])
	if !ok {
		return Undefined
	}
	if len(items) <= 1 {
		return args[0]
	}
	m.alloc(slotSize * len(items))
	m.work(len(items))
	out := make([]any, len(items))
	for i, v := range items {
		j := int(m.random() * float64(i+1))
		out[i] = out[j]
		out[j] = v
	}
	return &array{items: out}
}

func fnZip(m *machine, args []any, _ *callSite) any {
	out := &array{}
	lists := make([][]any, len(args))
	length := 0
	for i, a := range args {
		lists[i], _ = itemsOf(a)
		if i == 0 || len(lists[i]) < length {
			length = len(lists[i])
		}
	}
	m.work(length)
	for i := range length {
		m.alloc(slotSize * len(lists))
		row := make([]any, len(lists))
		for j, list := range lists {
			row[j] = list[i]
		}
		m.push(out, &array{items: row})
	}
	return out
}

func fnDistinct(m *machine, args []any, _ *callSite) any {
	items, ok := itemsOf(args[0])
	if !ok || len(items) <= 1 {
		return args[0]
	}
	out := &array{}
	if isSequence(args[0]) {
		out.flags = flagSequence
	}
	// Plain values are found by their value, the rest by comparing.
	seen := make(map[any]bool, len(items))
	var composite []any
scan:
	for _, v := range items {
		switch v.(type) {
		case nil, bool, string, float64, *undefined:
			if seen[v] {
				continue scan
			}
			seen[v] = true
		default:
			for _, other := range composite {
				m.work(2)
				if m.equal(v, other, 0) {
					continue scan
				}
			}
			composite = append(composite, v)
		}
		m.work(1)
		m.push(out, v)
	}
	return out
}
