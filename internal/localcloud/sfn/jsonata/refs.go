package jsonata

import "slices"

// Reference is a variable that an expression reads and does not itself bind,
// with the names that directly follow it: $states.input.id is {states, [input
// id]}. Functions of the library are not references.
type Reference struct {
	Name     string
	Path     []string
	Position int // UTF-16 units from the start
}

// References lists the variables an expression needs from outside, in the
// order of the text. The root, $$, is not among them.
func (e *Expression) References() []Reference { return e.refs }

// Variables lists the names of the variables an expression needs from
// outside, each once, in the order of the text.
func (e *Expression) Variables() []string {
	var out []string
	for _, r := range e.refs {
		if !slices.Contains(out, r.Name) {
			out = append(out, r.Name)
		}
	}
	return out
}

// references walks the parser's tree in the order of the text.
func references(tree *node, lib *library) []Reference {
	w := refWalker{lib: lib}
	w.walk(tree)
	return w.refs
}

type refWalker struct {
	lib   *library
	bound []string
	refs  []Reference
	depth int
}

// scope runs f and forgets what it has bound.
func (w *refWalker) scope(f func()) {
	n := len(w.bound)
	f()
	w.bound = w.bound[:n]
}

func (w *refWalker) walkAll(list []*node) {
	for _, n := range list {
		w.walk(n)
	}
}

func (w *refWalker) walkPairs(pairs [][2]*node) {
	for _, p := range pairs {
		w.walk(p[0])
		w.walk(p[1])
	}
}

func (w *refWalker) read(n *node, path []string) {
	if n.text == "" || n.text == "$" || slices.Contains(w.bound, n.text) {
		return
	}
	if _, ok := w.lib.functions[n.text]; ok {
		return
	}
	w.refs = append(w.refs, Reference{Name: n.text, Path: path, Position: n.pos})
}

func (w *refWalker) walk(n *node) {
	if n == nil {
		return
	}
	if w.depth++; w.depth > maxTreeDepth {
		throw((&Error{Code: "U1001", Message: "Stack overflow error: the expression is nested too deep"}).at(n.pos))
	}
	defer func() { w.depth-- }()
	switch n.op {
	case opVariable:
		w.read(n, nil)
	case opStep:
		// The names of a chain of steps, back to a variable.
		var path []string
		base := n
		for base.op == opStep && base.b.op == opName {
			path = append(path, base.b.text)
			base = base.a
		}
		if base.op == opVariable {
			slices.Reverse(path)
			w.read(base, path)
			return
		}
		w.walk(n.a)
		w.walk(n.b)
	case opLambda:
		w.scope(func() {
			w.bound = append(w.bound, n.lambda.params...)
			w.walk(n.lambda.body)
		})
	case opBlock:
		w.scope(func() { w.walkAll(n.list) })
	case opBind:
		if n.b.op == opLambda {
			w.bound = append(w.bound, n.a.text) // it may call itself
			w.walk(n.b)
			return
		}
		w.walk(n.b)
		w.bound = append(w.bound, n.a.text)
	case opFocus, opIndexBy:
		w.walk(n.a)
		w.bound = append(w.bound, n.b.text)
	case opCall, opPartial:
		w.walk(n.a)
		w.walkAll(n.list)
	default:
		w.walk(n.a)
		w.walk(n.b)
		w.walk(n.c)
		w.walkAll(n.list)
		w.walkPairs(n.pairs)
		for _, t := range n.terms {
			w.walk(t.expr)
		}
	}
}
