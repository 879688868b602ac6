package jsonata

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
