package jsonata

import "strconv"

// planner turns the parser's tree into what the evaluator runs: steps
// gathered into paths, predicates attached to their steps, each % joined to
// the step whose context it means, tail calls marked.
type planner struct {
	lib    *library
	labels int
	depth  int
	// binds is set when the block or lambda at hand assigns a variable.
	binds bool
}

func (pl *planner) root(n *node) *node {
	n = pl.plan(n)
	if n.op == opParent || n.seeking != nil {
		throw((&Error{Code: "S0217"}).at(n.pos).token(n.text))
	}
	return n
}

func (pl *planner) plan(n *node) *node {
	if pl.depth++; pl.depth > maxTreeDepth {
		throw((&Error{Code: "U1001", Message: "Stack overflow error: the expression is nested too deep"}).at(n.pos))
	}
	out := pl.planNode(n)
	if n.keepArray {
		out.keepArray = true
	}
	pl.depth--
	return out
}

func (pl *planner) all(list []*node, into *node) {
	for i, item := range list {
		list[i] = pl.plan(item)
		into.inheritSeeking(list[i])
	}
}

func (pl *planner) planPairs(pairs [][2]*node, into *node) {
	for i := range pairs {
		for j := range pairs[i] {
			pairs[i][j] = pl.plan(pairs[i][j])
			if into != nil {
				into.inheritSeeking(pairs[i][j])
			}
		}
	}
}

func (pl *planner) planNode(n *node) *node {
	switch n.op {
	case opStep:
		return pl.step(n)
	case opFilter:
		return pl.filter(n)
	case opGroup:
		out := pl.plan(n.a)
		if out.group != nil {
			throwCode("S0210", n.pos)
		}
		pl.planPairs(n.pairs, nil)
		out.group = &group{pairs: n.pairs, pos: n.pos}
		out.plain = false
		return out
	case opSort:
		path := asPath(pl.plan(n.a), n.pos)
		sort := &node{op: opSort, pos: n.pos, terms: n.terms}
		for i := range sort.terms {
			sort.terms[i].expr = pl.plan(sort.terms[i].expr)
			sort.inheritSeeking(sort.terms[i].expr)
		}
		path.list = append(path.list, sort)
		path.plain = false
		resolveParents(path)
		return path
	case opFocus:
		return pl.focus(n)
	case opIndexBy:
		return pl.position(n)
	case opApply:
		n.a, n.b = pl.plan(n.a), pl.plan(n.b)
		n.keepArray = n.keepArray || n.a.keepArray || n.b.keepArray
	case opBind:
		pl.binds = true
		n.b = pl.plan(n.b)
		n.inheritSeeking(n.b)
	case opBinary:
		n.binop = binops[n.text]
		n.a, n.b = pl.plan(n.a), pl.plan(n.b)
		n.inheritSeeking(n.a)
		n.inheritSeeking(n.b)
	case opNegate:
		n.a = pl.plan(n.a)
		if n.a.op == opNumber {
			n.a.val = -n.a.val.(float64)
			return n.a
		}
		n.inheritSeeking(n.a)
	case opArray:
		pl.all(n.list, n)
	case opObject:
		pl.planPairs(n.pairs, n)
		n.keys = literalKeys(n.pairs)
	case opCall, opPartial:
		pl.all(n.list, n)
		n.a = pl.plan(n.a)
		if n.a.op == opVariable && n.a.text == "eval" {
			pl.binds = true // whatever it evaluates may assign
		}
	case opLambda:
		outer := pl.binds
		n.lambda.body = tailCalls(pl.plan(n.lambda.body))
		pl.binds = outer
	case opCondition:
		n.a, n.b = pl.plan(n.a), pl.plan(n.b)
		n.inheritSeeking(n.a)
		n.inheritSeeking(n.b)
		if n.c != nil {
			n.c = pl.plan(n.c)
			n.inheritSeeking(n.c)
		}
	case opTransform:
		n.a, n.b = pl.plan(n.a), pl.plan(n.b)
		if n.c != nil {
			n.c = pl.plan(n.c)
		}
	case opBlock:
		outer := pl.binds
		pl.binds = false
		pl.all(n.list, n)
		for _, part := range n.list {
			if part.consArray || part.op == opPath && part.list[0].consArray {
				n.consArray = true
			}
		}
		n.newFrame = pl.binds
		pl.binds = outer
	case opName, opKeyword:
		n.op = opName
		return &node{op: opPath, pos: n.pos, text: n.text, list: []*node{n}, keepSingleton: n.keepArray,
			plain: !n.keepArray}
	case opParent:
		n.slot = &slot{label: "!" + strconv.Itoa(pl.labels), level: 1}
		pl.labels++
	case opVariable:
		if f, ok := pl.lib.functions[n.text]; ok {
			n.builtin = f
		}
	case opEnd:
		throw((&Error{Code: "S0207"}).at(n.pos).token("(end)"))
	}
	return n
}

func literalKeys(pairs [][2]*node) []string {
	keys := make([]string, len(pairs))
	seen := make(map[string]bool, len(pairs))
	for i, pair := range pairs {
		k := pair[0]
		if k.op != opString || k.predicates != nil || k.group != nil || seen[k.text] {
			return nil
		}
		keys[i] = k.text
		seen[k.text] = true
	}
	return keys
}

func asPath(n *node, pos int) *node {
	if n.op == opPath {
		return n
	}
	return &node{op: opPath, pos: pos, list: []*node{n}}
}

func (pl *planner) step(n *node) *node {
	left := pl.plan(n.a)
	path := asPath(left, n.pos)
	if left.op == opParent {
		path.seeking = []*slot{left.slot}
	}
	rest := pl.plan(n.b)
	if rest.op == opPath {
		path.list = append(path.list, rest.list...)
	} else {
		for _, p := range rest.predicates {
			rest.stages = append(rest.stages, stage{expr: p})
		}
		rest.predicates = nil
		path.list = append(path.list, rest)
	}
	for _, s := range path.list {
		switch s.op {
		case opNumber, opConstant:
			throw((&Error{Code: "S0213", Value: s.val}).at(s.pos))
		case opString:
			s.op = opName
		}
		if s.keepArray {
			path.keepSingleton = true
		}
	}
	first, last := path.list[0], path.list[len(path.list)-1]
	if first.op == opArray {
		first.consArray = true
	}
	if last.op == opArray {
		last.consArray = true
	}
	resolveParents(path)
	path.plain = isPlain(path)
	return path
}

// isPlain finds the paths that need no sequences as long as no array comes by.
func isPlain(path *node) bool {
	if path.keepSingleton || path.group != nil || path.tuple {
		return false
	}
	for i, s := range path.list {
		ok := s.op == opName || i == 0 && s.op == opVariable
		if !ok || s.stages != nil || s.predicates != nil || s.group != nil || s.tuple || s.keepArray {
			return false
		}
	}
	return true
}

func (pl *planner) filter(n *node) *node {
	out := pl.plan(n.a)
	step := out
	if out.op == opPath {
		step = out.list[len(out.list)-1]
	}
	if step.group != nil {
		throwCode("S0209", n.pos)
	}
	predicate := pl.plan(n.b)
	if predicate.seeking != nil {
		for _, s := range predicate.seeking {
			if s.level == 1 {
				seekParent(step, s)
			} else {
				s.level--
			}
		}
		step.inheritSeeking(predicate)
	}
	if out.op == opPath {
		step.stages = append(step.stages, stage{expr: predicate})
		out.plain = false
	} else {
		step.predicates = append(step.predicates, predicate)
	}
	return out
}

func (pl *planner) focus(n *node) *node {
	out := pl.plan(n.a)
	step := out
	if out.op == opPath {
		step = out.list[len(out.list)-1]
	}
	if step.stages != nil || step.predicates != nil {
		throwCode("S0215", n.pos)
	}
	if step.op == opSort {
		throwCode("S0216", n.pos)
	}
	if n.keepArray {
		step.keepArray = true
	}
	step.focus = n.b.text
	step.tuple = true
	out.plain = false
	return out
}

func (pl *planner) position(n *node) *node {
	out := pl.plan(n.a)
	var step *node
	if out.op == opPath {
		step = out.list[len(out.list)-1]
	} else {
		step = out
		for _, p := range step.predicates {
			step.stages = append(step.stages, stage{expr: p})
		}
		step.predicates = nil
		out = asPath(out, n.pos)
	}
	if step.stages == nil {
		step.index = n.b.text
	} else {
		step.stages = append(step.stages, stage{index: n.b.text})
	}
	step.tuple = true
	out.plain = false
	return out
}

// tailCalls marks the calls whose result is the result of the whole body.
func tailCalls(n *node) *node {
	if n.predicates != nil || n.group != nil {
		return n
	}
	switch n.op {
	case opCall:
		return &node{op: opThunk, pos: n.pos, a: n}
	case opCondition:
		n.b = tailCalls(n.b)
		if n.c != nil {
			n.c = tailCalls(n.c)
		}
	case opBlock:
		if last := len(n.list) - 1; last >= 0 {
			n.list[last] = tailCalls(n.list[last])
		}
	}
	return n
}

// inheritSeeking hands unresolved % of a part to the whole.
func (n *node) inheritSeeking(part *node) {
	n.seeking = append(n.seeking, part.seeking...)
	if part.op == opParent {
		n.seeking = append(n.seeking, part.slot)
	}
}

// seekParent tells the step that % goes back to, to keep its context.
func seekParent(n *node, s *slot) {
	switch n.op {
	case opName, opWildcard:
		if s.level--; s.level == 0 {
			if n.ancestor != nil {
				s.label = n.ancestor.label
			}
			n.ancestor = s
			n.tuple = true
		}
	case opParent:
		s.level++
	case opBlock:
		if len(n.list) > 0 {
			n.tuple = true
			seekParent(n.list[len(n.list)-1], s)
		}
	case opPath:
		n.tuple, n.plain = true, false
		seekParent(n.list[len(n.list)-1], s)
		for i := len(n.list) - 2; s.level > 0 && i >= 0; i-- {
			seekParent(n.list[i], s)
		}
	default:
		throw((&Error{Code: "S0217"}).at(n.pos).token(n.text))
	}
}

// resolveParents joins the % of a path's last step to earlier steps, or
// leaves them to whatever the path is part of.
func resolveParents(path *node) {
	last := path.list[len(path.list)-1]
	slots := last.seeking
	if last.op == opParent {
		slots = append(slots[:len(slots):len(slots)], last.slot)
	}
	for _, s := range slots {
		i := len(path.list) - 2
		for s.level > 0 {
			if i < 0 {
				path.seeking = append(path.seeking, s)
				break
			}
			step := path.list[i]
			i--
			// Steps that only bind a variable do not move the context.
			for i >= 0 && step.focus != "" && path.list[i].focus != "" {
				step = path.list[i]
				i--
			}
			seekParent(step, s)
		}
	}
}
