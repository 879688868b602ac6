package rulesql

import (
	"slices"
	"strings"
)

const (
	maxDepth     = 100
	maxVariables = 10
)

type parser struct {
	lexer
	tok   token
	depth int
	vars  []string
}

type parsed struct {
	vars  []string
	sets  []node
	query *query
	topic string
	from  bool
}

func parse(source string) (*parsed, error) {
	p := &parser{lexer: lexer{source: source}}
	if err := isUnicode(source); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	out := &parsed{}
	if p.tok.is("SET") {
		if err := p.sets(out); err != nil {
			return nil, err
		}
	}
	q, err := p.selectItems()
	if err != nil {
		return nil, err
	}
	out.query = q
	if p.tok.is("FROM") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokenString {
			return nil, p.unexpected("a topic filter in quotes")
		}
		out.topic, out.from = p.tok.text, true
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if err := p.whereClause(q); err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.unexpected("the end of the statement")
	}
	out.vars = p.vars
	return out, nil
}

// sets reads SET @a = x, @b = y. The last assignment ends where SELECT begins.
func (p *parser) sets(out *parsed) error {
	if err := p.advance(); err != nil {
		return err
	}
	for {
		if p.tok.kind != tokenVariable {
			return p.unexpected("a variable such as @name")
		}
		v := p.tok
		if len(v.text) > 65 {
			return p.fail(v, "the name of a variable has at most 64 characters")
		}
		if slices.Contains(p.vars, v.text) {
			return p.fail(v, "%s is set twice, and variables cannot be changed", v.text)
		}
		if len(p.vars) == maxVariables {
			return p.fail(v, "a statement has at most %d variables", maxVariables)
		}
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.expect("="); err != nil {
			return err
		}
		x, err := p.sum() // "=" inside would be a comparison: parentheses, then
		if err != nil {
			return err
		}
		p.vars = append(p.vars, v.text)
		out.sets = append(out.sets, x)
		if !p.tok.is(",") {
			return nil
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
}

func (p *parser) fail(t token, format string, args ...any) error {
	return syntax(p.source, t.offset, format, args...)
}

func (p *parser) unexpected(wanted string) error {
	found := "the end"
	if p.tok.kind != tokenEnd {
		found = p.source[p.tok.offset:p.tok.end]
	}
	return p.fail(p.tok, "found %s, expected %s", found, wanted)
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *parser) expect(text string) error {
	if !p.tok.is(text) {
		return p.unexpected(text)
	}
	return p.advance()
}

// peek looks at the token after the present one.
func (p *parser) peek() token {
	l := p.lexer
	t, _ := l.next()
	return t
}

func (p *parser) selectItems() (*query, error) {
	q := &query{at: at(p.tok.offset)}
	if err := p.expect("SELECT"); err != nil {
		return nil, err
	}
	if p.tok.is("VALUE") {
		after := p.peek()
		ends := after.kind == tokenEnd
		for _, s := range []string{"FROM", "AS", "WHERE", ",", ".", ")", "=", "<>", "<", ">", "<=", ">=", "+",
			"-", "/", "%", "IN", "AND", "OR"} {
			ends = ends || after.is(s)
		}
		if !ends {
			q.value = true
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	}
	for {
		it := item{}
		if p.tok.is("*") {
			it.star, it.x = true, &star{at(p.tok.offset)}
			if err := p.advance(); err != nil {
				return nil, err
			}
		} else {
			x, err := p.expression()
			if err != nil {
				return nil, err
			}
			it.x = x
		}
		if p.tok.is("AS") {
			as, err := p.alias()
			if err != nil {
				return nil, err
			}
			it.as, it.star = as, false
		}
		q.items = append(q.items, it)
		if !p.tok.is(",") {
			return q, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) alias() ([]string, error) {
	var as []string
	for {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokenName && p.tok.kind != tokenString {
			return nil, p.unexpected("a name")
		}
		as = append(as, p.tok.text)
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.tok.is(".") {
			return as, nil
		}
	}
}

func (p *parser) whereClause(q *query) (err error) {
	if !p.tok.is("WHERE") {
		return nil
	}
	if err := p.advance(); err != nil {
		return err
	}
	q.where, err = p.expression()
	return err
}

// nested reads SELECT ... FROM path [AS alias] [WHERE ...].
func (p *parser) nested() (*query, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.tok, "the statement is nested too deeply")
	}
	defer func() { p.depth-- }()
	q, err := p.selectItems()
	if err != nil {
		return nil, err
	}
	if err := p.expect("FROM"); err != nil {
		return nil, err
	}
	if q.from, err = p.postfix(); err != nil {
		return nil, err
	}
	if p.tok.is("AS") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokenName {
			return nil, p.unexpected("a name")
		}
		q.alias = p.tok.text
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return q, p.whereClause(q)
}

func (p *parser) expression() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.tok, "the statement is nested too deeply")
	}
	defer func() { p.depth-- }()
	return p.chain(p.conjunction, "OR")
}

func (p *parser) conjunction() (node, error) { return p.chain(p.negation, "AND") }

func (p *parser) sum() (node, error) { return p.chain(p.product, "+", "-") }

func (p *parser) product() (node, error) { return p.chain(p.sign, "*", "/", "%") }

// chain reads operands joined by operators of one rank, from the left.
func (p *parser) chain(operand func() (node, error), ops ...string) (node, error) {
	x, err := operand()
	if err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		i := slices.IndexFunc(ops, p.tok.is)
		if i < 0 {
			return x, nil
		}
		if n > 1000 {
			return nil, p.fail(p.tok, "too many operators")
		}
		position := at(p.tok.offset)
		if err := p.advance(); err != nil {
			return nil, err
		}
		y, err := operand()
		if err != nil {
			return nil, err
		}
		x = &binary{position, ops[i], x, y}
	}
}

func (p *parser) negation() (node, error) {
	if !p.tok.is("NOT") {
		return p.comparison()
	}
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.tok, "the statement is nested too deeply")
	}
	defer func() { p.depth-- }()
	position := at(p.tok.offset)
	if err := p.advance(); err != nil {
		return nil, err
	}
	x, err := p.negation()
	return &unary{position, "NOT", x}, err
}

func (p *parser) comparison() (node, error) {
	x, err := p.sum()
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"=", "<>", "<=", ">=", "<", ">", "IN"} {
		if !p.tok.is(op) {
			continue
		}
		position := at(p.tok.offset)
		if err := p.advance(); err != nil {
			return nil, err
		}
		y, err := p.sum()
		return &binary{position, op, x, y}, err
	}
	return x, nil
}

func (p *parser) sign() (node, error) {
	if !p.tok.is("-") && !p.tok.is("+") {
		return p.postfix()
	}
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.tok, "the statement is nested too deeply")
	}
	defer func() { p.depth-- }()
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	x, err := p.sign()
	if err != nil || t.text == "+" {
		return x, err
	}
	if l, ok := x.(*literal); ok && l.value.number() {
		return &literal{at(t.offset), negate(l.value)}, nil
	}
	return &unary{at(t.offset), "-", x}, nil
}

func (p *parser) postfix() (node, error) {
	x, err := p.primary()
	if err != nil {
		return nil, err
	}
	for n := 0; p.tok.is("."); n++ {
		if n > 1000 {
			return nil, p.fail(p.tok, "the path is too long")
		}
		position := at(p.tok.offset)
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokenName {
			return nil, p.unexpected("the name of a member")
		}
		x = &member{position, x, p.tok.text}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return x, nil
}

var reservedWords = []string{"SELECT", "FROM", "WHERE", "AS", "AND", "OR", "IN", "WHEN", "THEN", "ELSE", "END", "SET"}

func (p *parser) primary() (node, error) {
	t := p.tok
	position := at(t.offset)
	switch t.kind {
	case tokenNumber:
		v, ok := parseNumber(t.text, true)
		if !ok {
			return nil, p.fail(t, "%s is out of the range of numbers", t.text)
		}
		return &literal{position, v}, p.advance()
	case tokenString:
		return &literal{position, StringValue(t.text)}, p.advance()
	case tokenVariable:
		i := slices.Index(p.vars, t.text)
		if i < 0 {
			return nil, p.fail(t, "%s is not set before it is used", t.text)
		}
		return &variable{position, t.text, i}, p.advance()
	case tokenSymbol:
		switch t.text {
		case "*":
			return &star{position}, p.advance()
		case "(":
			return p.parenthesis()
		case "[":
			return p.array()
		case "{":
			return p.object()
		}
	case tokenName:
		return p.word()
	}
	return nil, p.unexpected("an expression")
}

func (p *parser) parenthesis() (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	var x node
	var err error
	if p.tok.is("SELECT") {
		x, err = p.nested()
	} else {
		x, err = p.expression()
	}
	if err != nil {
		return nil, err
	}
	return x, p.expect(")")
}

// list reads expressions up to the closing symbol; the opening one is present.
func (p *parser) list(closing string) ([]node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	var items []node
	for !p.tok.is(closing) {
		if len(items) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		var x node
		var err error
		if p.tok.is("*") { // an argument that is the payload
			x = &star{at(p.tok.offset)}
			err = p.advance()
		} else {
			x, err = p.expression()
		}
		if err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	return items, p.advance()
}

func (p *parser) array() (node, error) {
	position := at(p.tok.offset)
	items, err := p.list("]")
	return &array{position, items}, err
}

func (p *parser) object() (node, error) {
	o := &object{at: at(p.tok.offset)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for !p.tok.is("}") {
		if len(o.keys) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		if p.tok.kind != tokenString {
			return nil, p.unexpected("a key in quotes")
		}
		o.keys = append(o.keys, p.tok.text)
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		o.values = append(o.values, x)
	}
	return o, p.advance()
}

func (p *parser) word() (node, error) {
	t := p.tok
	position := at(t.offset)
	after := p.peek()
	switch {
	case t.is("NULL"):
		return &literal{position, NullValue}, p.advance()
	case t.is("TRUE"), t.is("FALSE"):
		return &literal{position, BooleanValue(t.is("TRUE"))}, p.advance()
	case t.is("CASE") && !after.is("."):
		return p.cases()
	case t.is("EXISTS") && after.is("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		q, err := p.nested()
		if err != nil {
			return nil, err
		}
		return &exists{position, q}, p.expect(")")
	case after.is("("):
		return p.call()
	}
	if slices.ContainsFunc(reservedWords, t.is) {
		return nil, p.unexpected("an expression")
	}
	return &name{position, t.text}, p.advance()
}

func (p *parser) cases() (node, error) {
	c := &cases{at: at(p.tok.offset)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	var err error
	if c.of, err = p.expression(); err != nil {
		return nil, err
	}
	for p.tok.is("WHEN") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		w, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expect("THEN"); err != nil {
			return nil, err
		}
		t, err := p.expression()
		if err != nil {
			return nil, err
		}
		c.when, c.then = append(c.when, w), append(c.then, t)
	}
	if len(c.when) == 0 {
		return nil, p.unexpected("WHEN")
	}
	if p.tok.is("ELSE") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if c.orElse, err = p.expression(); err != nil {
			return nil, err
		}
	}
	return c, p.expect("END")
}

func (p *parser) call() (node, error) {
	c := &call{at: at(p.tok.offset), name: strings.ToLower(p.tok.text)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if c.name != "cast" {
		var err error
		c.args, err = p.list(")")
		return c, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	x, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.expect("AS"); err != nil {
		return nil, err
	}
	if p.tok.kind != tokenName {
		return nil, p.unexpected("a type")
	}
	c.args = []node{x, &literal{at(p.tok.offset), StringValue(strings.ToLower(p.tok.text))}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return c, p.expect(")")
}
