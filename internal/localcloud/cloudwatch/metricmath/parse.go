package metricmath

import (
	"slices"
	"strings"
)

// Limits of an expression.
const (
	MaxLength = 2048 // bytes
	maxDepth  = 64
)

// node is a part of the tree. Which fields are set follows from op:
// "num" value; "str" name; "id" name; "list" args; "call" name, args; an
// operator args.
type node struct {
	op     string
	name   string
	value  float64
	args   []*node
	offset int
}

// Expr is a parsed expression.
type Expr struct {
	root *node
	ids  []string
	all  bool
}

// IDs lists the series that the expression names, sorted.
func (e *Expr) IDs() []string { return e.ids }

// UsesMetrics reports whether METRICS stands in the expression, so that it
// depends on every metric of its request.
func (e *Expr) UsesMetrics() bool { return e.all }

// Searches reports whether SEARCH stands in the expression.
func (e *Expr) Searches() bool { return calls(e.root, "SEARCH") }

func calls(n *node, name string) bool {
	return n.op == "call" && n.name == name || slices.ContainsFunc(n.args, func(a *node) bool {
		return calls(a, name)
	})
}

// Parse reads an expression. The error is an *Error.
func Parse(src string) (*Expr, error) {
	if len(src) > MaxLength {
		return nil, fault(MaxLength, "the expression is longer than %d characters", MaxLength)
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, e: &Expr{}}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		return nil, fault(t.offset, "unexpected %q", t.text)
	}
	p.e.root = root
	slices.Sort(p.e.ids)
	p.e.ids = slices.Compact(p.e.ids)
	return p.e, nil
}

type parser struct {
	tokens []token
	pos    int
	depth  int
	e      *Expr
}

func (p *parser) peek() token { return p.tokens[p.pos] }

// take consumes the next token if it is one of the given symbols or words.
func (p *parser) take(texts ...string) (token, bool) {
	t := p.peek()
	if (t.kind == symbol || t.kind == word) && slices.Contains(texts, t.text) {
		p.pos++
		return t, true
	}
	return t, false
}

func (p *parser) binary(next func() (*node, error), texts ...string) (*node, error) {
	left, err := next()
	if err != nil {
		return nil, err
	}
	// A long chain makes as deep a tree as nesting does; the length of the
	// source bounds it.
	for {
		t, ok := p.take(texts...)
		if !ok {
			return left, nil
		}
		right, err := next()
		if err != nil {
			return nil, err
		}
		op := t.text
		switch op {
		case "AND":
			op = "&&"
		case "OR":
			op = "||"
		}
		left = &node{op: op, args: []*node{left, right}, offset: t.offset}
	}
}

func (p *parser) or() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fault(p.peek().offset, "the expression is nested too deeply")
	}
	defer func() { p.depth-- }()
	return p.binary(p.and, "OR", "||")
}
func (p *parser) and() (*node, error) { return p.binary(p.compare, "AND", "&&") }
func (p *parser) compare() (*node, error) {
	return p.binary(p.sum, "==", "!=", "<", "<=", ">", ">=")
}
func (p *parser) sum() (*node, error)     { return p.binary(p.product, "+", "-") }
func (p *parser) product() (*node, error) { return p.binary(p.unary, "*", "/") }

func (p *parser) unary() (*node, error) {
	if t, ok := p.take("-", "+"); ok {
		if p.depth++; p.depth > maxDepth {
			return nil, fault(t.offset, "the expression is nested too deeply")
		}
		defer func() { p.depth-- }()
		n, err := p.unary()
		if err != nil || t.text == "+" {
			return n, err
		}
		return &node{op: "neg", args: []*node{n}, offset: t.offset}, nil
	}
	return p.power()
}

func (p *parser) power() (*node, error) {
	base, err := p.primary()
	if err != nil {
		return nil, err
	}
	if t, ok := p.take("^"); ok {
		exp, err := p.unary()
		if err != nil {
			return nil, err
		}
		return &node{op: "^", args: []*node{base, exp}, offset: t.offset}, nil
	}
	return base, nil
}

func (p *parser) list(closing string) ([]*node, error) {
	var args []*node
	if _, ok := p.take(closing); ok {
		return nil, nil
	}
	for {
		a, err := p.or()
		if err != nil {
			return nil, err
		}
		args = append(args, a)
		if _, ok := p.take(closing); ok {
			return args, nil
		}
		if t, ok := p.take(","); !ok {
			return nil, fault(t.offset, "expected \",\" or %q, found %q", closing, t.text)
		}
	}
}

func (p *parser) primary() (*node, error) {
	t := p.peek()
	p.pos++
	switch t.kind {
	case number:
		return &node{op: "num", value: t.value, offset: t.offset}, nil
	case text:
		return &node{op: "str", name: t.text, offset: t.offset}, nil
	case word:
		if _, ok := p.take("("); ok {
			if err := checkFunction(t); err != nil {
				return nil, err
			}
			args, err := p.list(")")
			if err != nil {
				return nil, err
			}
			f := functions[t.text]
			if len(args) < f.least || len(args) > f.most {
				return nil, fault(t.offset, "%s takes %s, not %d", t.text, arity(f), len(args))
			}
			p.e.all = p.e.all || t.text == "METRICS"
			return &node{op: "call", name: t.text, args: args, offset: t.offset}, nil
		}
		if strings.ToUpper(t.text[:1]) == t.text[:1] {
			if !slices.Contains(keywords, t.text) {
				return nil, fault(t.offset, "unknown name %q: the id of a metric begins with a lower-case letter",
					t.text)
			}
			return &node{op: "key", name: t.text, offset: t.offset}, nil
		}
		p.e.ids = append(p.e.ids, t.text)
		return &node{op: "id", name: t.text, offset: t.offset}, nil
	case symbol:
		switch t.text {
		case "(":
			n, err := p.or()
			if err != nil {
				return nil, err
			}
			if c, ok := p.take(")"); !ok {
				return nil, fault(c.offset, "expected \")\", found %q", c.text)
			}
			return n, nil
		case "[":
			args, err := p.list("]")
			if err != nil {
				return nil, err
			}
			return &node{op: "list", args: args, offset: t.offset}, nil
		}
	}
	p.pos--
	return nil, fault(t.offset, "unexpected %q", t.text)
}
