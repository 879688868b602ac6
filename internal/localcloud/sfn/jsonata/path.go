package jsonata

import "math"

// plainPath follows names from object to object. It gives up (ok is false)
// at the first array, where the general way has to be gone.
func (m *machine) plainPath(n *node, input any, env *frame) (v any, ok bool) {
	steps := n.list
	cur := input
	if steps[0].op == opVariable {
		cur = m.variable(steps[0], input, env)
		steps = steps[1:]
		if len(steps) == 0 {
			return nil, false
		}
	}
	for i, s := range steps {
		o, isObj := cur.(*Object)
		if !isObj {
			if isArray(cur) {
				return nil, false
			}
			return Undefined, true
		}
		cur = o.lookup(s.text)
		if cur == Undefined {
			return Undefined, true
		}
		if i == len(steps)-1 {
			if a, isArr := cur.(*array); isArr && a.flags != 0 {
				return nil, false
			}
		}
	}
	return cur, true
}

// tuple is an item of a path that binds variables: the context, and what
// the steps so far have bound.
type tuple struct {
	context any
	vars    []binding
}

func (t *tuple) frame(env *frame) *frame {
	return &frame{parent: env, vars: t.vars[:len(t.vars):len(t.vars)]}
}

// with gives a tuple with one more variable. Tuples share what they can.
func (t *tuple) with(name string, v any) *tuple {
	for i := range t.vars {
		if t.vars[i].name == name {
			vars := append([]binding(nil), t.vars...)
			vars[i].value = v
			return &tuple{t.context, vars}
		}
	}
	vars := make([]binding, len(t.vars), len(t.vars)+1)
	copy(vars, t.vars)
	return &tuple{t.context, append(vars, binding{name, v})}
}

// path is a location path: each step runs over the items of the one before.
func (m *machine) path(n *node, input any, env *frame) any {
	current := input
	if !isArray(input) || n.list[0].op == opVariable {
		current = newSequence(input)
	}
	var tuples *array
	isTuple := false
	for i, step := range n.list {
		isTuple = isTuple || step.tuple
		in, _ := itemsOf(current)
		var result any
		switch {
		case i == 0 && step.consArray:
			result = m.eval(step, current, env)
		case isTuple:
			tuples = m.tupleStep(step, current, in, tuples, env)
			continue
		default:
			result = m.step(step, current, in, env, i == len(n.list)-1)
		}
		current = result
		if out, ok := itemsOf(current); !ok && current != Undefined && i < len(n.list)-1 {
			return Undefined // a step over something without items
		} else if len(out) == 0 {
			break
		}
	}
	if isTuple {
		if tuples == nil {
			tuples = &array{flags: flagSequence | flagTuples}
		}
		if n.tuple {
			current = tuples
		} else {
			out := &array{flags: flagSequence, items: make([]any, 0, len(tuples.items))}
			for _, t := range tuples.items {
				out.items = append(out.items, t.(*tuple).context)
			}
			current = out
		}
	}
	if n.keepSingleton {
		switch a := current.(type) {
		case *array:
			if a.is(flagCons) && !a.is(flagSequence) {
				current = &array{items: []any{a}, flags: flagSequence | flagKeep}
			} else if a.is(flagSequence) {
				a.flags |= flagKeep
			}
		}
	}
	if n.group != nil {
		if isTuple {
			current = tuples
		}
		return m.groupBy(n.group.pairs, n.group.pos, current, env)
	}
	return current
}

// step runs one step for every item and joins the results.
func (m *machine) step(n *node, current any, items []any, env *frame, last bool) any {
	if n.op == opSort {
		return m.stages(n.stages, m.sort(n, current, env), env)
	}
	var first any // the only result so far
	count := 0
	out := &array{flags: flagSequence}
	join := func(v any) {
		if sub, ok := itemsOf(v); ok && !isCons(v) {
			m.pushAll(out, sub)
		} else {
			m.push(out, v)
		}
	}
	for _, item := range items {
		v := m.eval(n, item, env)
		for _, s := range n.stages {
			v = m.filter(s.expr, v, env)
		}
		if v == Undefined {
			continue
		}
		switch count {
		case 0:
			first = v
		case 1:
			join(first)
			join(v)
		default:
			join(v)
		}
		count++
	}
	if count == 1 {
		if last && isArray(first) && !isSequence(first) {
			return first
		}
		join(first)
	}
	return out
}

func (m *machine) stages(stages []stage, v any, env *frame) any {
	for _, s := range stages {
		if s.expr != nil {
			v = m.filter(s.expr, v, env)
			continue
		}
		a, ok := v.(*array)
		if !ok || !a.is(flagTuples) {
			continue
		}
		bound := &array{flags: a.flags, items: make([]any, len(a.items))}
		for i, t := range a.items {
			bound.items[i] = t.(*tuple).with(s.index, boxInt(i))
		}
		v = bound
	}
	return v
}

// tupleStep is step for paths that bind variables.
func (m *machine) tupleStep(n *node, current any, items []any, tuples *array, env *frame) *array {
	out := &array{flags: flagSequence | flagTuples}
	if n.op == opSort {
		if tuples != nil {
			sorted, _ := itemsOf(m.sort(n, tuples, env))
			out.items = sorted
		} else {
			sorted, _ := itemsOf(m.sort(n, current, env))
			for i, item := range sorted {
				t := &tuple{context: item}
				if n.index != "" {
					t = t.with(n.index, boxInt(i))
				}
				m.push(out, t)
			}
		}
		return m.tupleStages(n, out, env)
	}
	if tuples == nil {
		tuples = &array{items: make([]any, len(items))}
		for i, item := range items {
			tuples.items[i] = &tuple{context: item}
		}
	}
	for _, item := range tuples.items {
		t := item.(*tuple)
		v := m.eval(n, t.context, t.frame(env))
		if v == Undefined {
			continue
		}
		results, ok := itemsOf(v)
		if !ok {
			results = []any{v}
		}
		a, _ := v.(*array)
		stream := a != nil && a.is(flagTuples)
		m.work(len(results))
		for i, r := range results {
			m.alloc(64 + 32*len(t.vars))
			next := &tuple{context: r, vars: t.vars}
			if stream {
				inner := r.(*tuple)
				next = &tuple{context: inner.context, vars: t.vars}
				for _, b := range inner.vars {
					next = next.with(b.name, b.value)
				}
				m.push(out, next)
				continue
			}
			if n.focus != "" {
				next.context = t.context
				next = next.with(n.focus, r)
			}
			if n.index != "" {
				next = next.with(n.index, boxInt(i))
			}
			if n.ancestor != nil {
				next = next.with(n.ancestor.label, t.context)
			}
			m.push(out, next)
		}
	}
	return m.tupleStages(n, out, env)
}

func (m *machine) tupleStages(n *node, out *array, env *frame) *array {
	a, ok := m.stages(n.stages, out, env).(*array)
	if !ok {
		return &array{flags: flagSequence | flagTuples}
	}
	return a
}

// filter keeps the items for which the predicate holds: a number is a
// position, from the end when negative, anything else counts as true or not.
func (m *machine) filter(predicate *node, input any, env *frame) any {
	items, ok := itemsOf(input)
	if !ok {
		items = []any{input}
	}
	a, _ := input.(*array)
	tuples := a != nil && a.is(flagTuples)
	out := &array{flags: flagSequence}
	if tuples {
		out.flags |= flagTuples
	}
	if predicate.op == opNumber {
		i, ok := indexOf(predicate.val.(float64), len(items))
		if !ok || items[i] == Undefined {
			return out
		}
		if isArray(items[i]) {
			return items[i]
		}
		m.push(out, items[i])
		return out
	}
	for i, item := range items {
		context, itemEnv := item, env
		if tuples {
			t := item.(*tuple)
			context, itemEnv = t.context, t.frame(env)
		}
		v := m.eval(predicate, context, itemEnv)
		if b, ok := v.(bool); ok {
			if b {
				m.push(out, item)
			}
			continue
		}
		if f, ok := number(v); ok {
			if at, ok := indexOf(f, len(items)); ok && at == i {
				m.push(out, item)
			}
			continue
		}
		list, ok := itemsOf(v)
		m.work(len(list))
		if ok && allNumbers(list) {
			for _, f := range list {
				if at, ok := indexOf(f.(float64), len(items)); ok && at == i {
					m.push(out, item)
				}
			}
			continue
		}
		if m.isTrue(v) {
			m.push(out, item)
		}
	}
	return out
}

func indexOf(f float64, length int) (int, bool) {
	f = math.Floor(f)
	if f < 0 {
		f += float64(length)
	}
	if f < 0 || f >= float64(length) {
		return 0, false
	}
	return int(f), true
}

// reduceTuples makes one tuple of a group of them, each variable holding the
// values of all.
func (m *machine) reduceTuples(v any) *tuple {
	items, ok := itemsOf(v)
	if !ok {
		return v.(*tuple)
	}
	first := items[0].(*tuple)
	out := &tuple{context: first.context, vars: append([]binding(nil), first.vars...)}
	for _, item := range items[1:] {
		t := item.(*tuple)
		out.context = m.appendValues(out.context, t.context)
		for _, b := range t.vars {
			found := false
			for i := range out.vars {
				if out.vars[i].name == b.name {
					out.vars[i].value = m.appendValues(out.vars[i].value, b.value)
					found = true
				}
			}
			if !found {
				out.vars = append(out.vars, b)
			}
		}
	}
	return out
}

// sort is the order-by clause.
func (m *machine) sort(n *node, input any, env *frame) any {
	items, ok := itemsOf(input)
	if !ok || len(items) <= 1 {
		return input
	}
	a, _ := input.(*array)
	tuples := a != nil && a.is(flagTuples)
	// The value of a term for an item is found once, when first asked for.
	cache := make([]any, len(items)*len(n.terms))
	m.alloc(2 * slotSize * len(cache))
	value := func(item, term int) any {
		slot := &cache[item*len(n.terms)+term]
		if *slot == nil {
			context, itemEnv := items[item], env
			if tuples {
				t := context.(*tuple)
				context, itemEnv = t.context, t.frame(env)
			}
			*slot = m.eval(n.terms[term].expr, context, itemEnv)
		}
		return *slot
	}
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	order = mergeSort(order, func(i, j int) bool {
		m.work(1)
		for t := range n.terms {
			x, y := value(i, t), value(j, t)
			switch {
			case x == Undefined && y == Undefined:
				continue
			case x == Undefined:
				return true
			case y == Undefined:
				return false
			}
			if !comparable(x) || !comparable(y) {
				if comparable(x) {
					x = y
				}
				throw((&Error{Code: "T2008", Value: x}).at(n.pos))
			}
			less, more := false, false
			switch x := x.(type) {
			case string:
				s, ok := y.(string)
				if !ok {
					throw((&Error{Code: "T2007", Value: x, Value2: y}).at(n.pos))
				}
				less, more = lessString(x, s), lessString(s, x)
			case float64:
				f, ok := y.(float64)
				if !ok {
					throw((&Error{Code: "T2007", Value: x, Value2: y}).at(n.pos))
				}
				less, more = x < f, x > f
			}
			if less || more {
				return more != n.terms[t].descending
			}
		}
		return false
	})
	out := &array{items: make([]any, len(items))}
	for i, at := range order {
		out.items[i] = items[at]
	}
	return out
}

// mergeSort is stable; after tells whether a belongs behind b.
func mergeSort[T any](items []T, after func(a, b T) bool) []T {
	if len(items) <= 1 {
		return items
	}
	mid := len(items) / 2
	left, right := mergeSort(items[:mid], after), mergeSort(items[mid:], after)
	out := make([]T, 0, len(items))
	for len(left) > 0 && len(right) > 0 {
		if after(left[0], right[0]) {
			out, right = append(out, right[0]), right[1:]
		} else {
			out, left = append(out, left[0]), left[1:]
		}
	}
	return append(append(out, left...), right...)
}
