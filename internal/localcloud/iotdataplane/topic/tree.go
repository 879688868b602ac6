package topic

import "strings"

// Tree holds values under topic filters and finds those whose filter matches a
// name, in time that depends on the name and not on the number of filters. The
// zero Tree is empty. It is not safe for concurrent use.
type Tree[V comparable] struct {
	root  node[V]
	count int
}

type node[V comparable] struct {
	levels map[string]*node[V]
	values []V
}

// Len is the number of values in the tree.
func (t *Tree[V]) Len() int { return t.count }

// Add puts v under filter, once.
func (t *Tree[V]) Add(filter string, v V) {
	n := &t.root
	for level, rest, more := "", filter, true; more; {
		level, rest, more = strings.Cut(rest, "/")
		next := n.levels[level]
		if next == nil {
			next = &node[V]{}
			if n.levels == nil {
				n.levels = map[string]*node[V]{}
			}
			n.levels[level] = next
		}
		n = next
	}
	for _, have := range n.values {
		if have == v {
			return
		}
	}
	n.values = append(n.values, v)
	t.count++
}

// Remove takes v away from filter, and levels that are left empty.
func (t *Tree[V]) Remove(filter string, v V) {
	if t.root.remove(filter, true, v) {
		t.count--
	}
}

func (n *node[V]) remove(filter string, more bool, v V) bool {
	if !more {
		for i, have := range n.values {
			if have == v {
				n.values = append(n.values[:i:i], n.values[i+1:]...)
				return true
			}
		}
		return false
	}
	level, rest, more := strings.Cut(filter, "/")
	next := n.levels[level]
	if next == nil || !next.remove(rest, more, v) {
		return false
	}
	if len(next.values) == 0 && len(next.levels) == 0 {
		delete(n.levels, level)
	}
	return true
}

// Match calls found for each value whose filter matches name; a value under
// several matching filters is found once for each.
func (t *Tree[V]) Match(name string, found func(V)) {
	if name == "" {
		return
	}
	t.root.match(name, true, name[0] == '$', found)
}

func (n *node[V]) match(name string, more, reserved bool, found func(V)) {
	if !more {
		for _, v := range n.values {
			found(v)
		}
		return
	}
	if n.levels == nil {
		return
	}
	level, rest, more := strings.Cut(name, "/")
	if next := n.levels[level]; next != nil {
		next.match(rest, more, false, found)
	}
	if reserved {
		return
	}
	if next := n.levels["+"]; next != nil {
		next.match(rest, more, false, found)
	}
	if next := n.levels["#"]; next != nil {
		for _, v := range next.values {
			found(v)
		}
	}
}
