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
		// The steps of a path, of which the names that follow a variable belong
		// to it.
		var steps []*node
		base := n
		for ; base.op == opStep; base = base.a {
			steps = append(steps, base.b)
		}
		slices.Reverse(steps)
		if base.op == opVariable {
			var path []string
			for len(steps) > 0 && steps[0].op == opName {
				path = append(path, steps[0].text)
				steps = steps[1:]
			}
			if len(steps) > 0 && steps[0].op == opFilter && steps[0].a.op == opName { // the path ends with a[…]
				path = append(path, steps[0].a.text)
			}
			w.read(base, path)
		} else {
			w.walk(base)
		}
		w.walkAll(steps)
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

// Context lists what an expression reads of the context item that it is
// evaluated with, each once, in the order of the text: names, "$", "*", "**",
// and "$$" wherever it stands. What is nested in a path, a predicate or a function
// body has a context of its own and does not count.
func (e *Expression) Context() []string { return e.context }

type contextWalker struct {
	found []string
	depth int
}

func (w *contextWalker) add(what string) {
	if !slices.Contains(w.found, what) {
		w.found = append(w.found, what)
	}
}

// walk visits n; top says that the context item is that of the expression.
func (w *contextWalker) walk(n *node, top bool) {
	if n == nil {
		return
	}
	if w.depth++; w.depth > maxTreeDepth {
		throw((&Error{Code: "U1001", Message: "Stack overflow error: the expression is nested too deep"}).at(n.pos))
	}
	defer func() { w.depth-- }()
	inner := top
	switch n.op {
	case opVariable:
		if n.text == "$" {
			w.add("$$")
		} else if n.text == "" && top {
			w.add("$")
		}
	case opName:
		if top {
			w.add(n.text)
		}
	case opWildcard:
		if top {
			w.add("*")
		}
	case opDescendant:
		if top {
			w.add("**")
		}
	case opStep, opFilter, opGroup, opSort, opFocus, opIndexBy:
		w.walk(n.a, top)
		w.visitOperands(n, false)
		return
	case opTransform, opLambda:
		inner = false
	}
	w.walk(n.a, inner)
	w.visitOperands(n, inner)
	if n.lambda != nil {
		w.walk(n.lambda.body, false)
	}
}

// visitOperands visits what n has beside its first operand.
func (w *contextWalker) visitOperands(n *node, top bool) {
	w.walk(n.b, top)
	w.walk(n.c, top)
	for _, e := range n.list {
		w.walk(e, top)
	}
	pairs := n.pairs
	if n.group != nil {
		pairs = n.group.pairs
	}
	for _, p := range pairs {
		w.walk(p[0], top)
		w.walk(p[1], top)
	}
	for _, t := range n.terms {
		w.walk(t.expr, top)
	}
}
