package expr

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Names are the placeholders of a request and note which of them are used.
type Names struct {
	Attributes map[string]string // #n -> attribute name
	Values     map[string]Value  // :v -> value
	used       map[string]bool
}

// Unused returns the error for a placeholder that no expression parsed with n
// has used, or for placeholders that are given and are none; else nil.
func (n *Names) Unused() error {
	switch {
	case n.Values != nil && len(n.Values) == 0:
		return errorf("ExpressionAttributeValues must not be empty")
	case n.Attributes != nil && len(n.Attributes) == 0:
		return errorf("ExpressionAttributeNames must not be empty")
	}
	for _, k := range slices.Sorted(maps.Keys(n.Values)) {
		if !n.used[k] {
			return errorf("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(n.Attributes)) {
		if !n.used[k] {
			return errorf("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", k)
		}
	}
	return nil
}

func (n *Names) use(k string) {
	if n.used == nil {
		n.used = map[string]bool{}
	}
	n.used[k] = true
}

// maxExpression is the greatest length of an expression in bytes.
const maxExpression = 4096

// maxParens bounds the nesting of parentheses.
const maxParens = 300

type parser struct {
	what   string // "ConditionExpression", for messages
	src    string
	tokens []token
	at     int
	names  *Names
	depth  int
}

func newParser(what, src string, names *Names) (*parser, error) {
	if src == "" {
		return nil, errorf("Invalid %s: The expression can not be empty;", what)
	}
	if len(src) > maxExpression {
		return nil, errorf("Invalid %s: Expression size has exceeded the maximum allowed size; expression size: %d",
			what, len(src))
	}
	tokens, err := tokensOf(src)
	if err != nil {
		return nil, errorf("Invalid %s: %s", what, err)
	}
	if names == nil {
		names = &Names{}
	}
	return &parser{what: what, src: src, tokens: tokens, names: names}, nil
}

func (p *parser) errorf(format string, args ...any) *Error {
	return errorf("Invalid "+p.what+": "+format, args...)
}

func (p *parser) syntax() *Error {
	t := p.peek()
	return p.errorf("Syntax error; token: %q, near: %q", t.text, near(p.src, p.tokens, p.at))
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (p *parser) symbol(s string) bool {
	if t := p.peek(); t.kind == tokenSymbol && t.text == s {
		p.at++
		return true
	}
	return false
}

func (p *parser) word(w string) bool {
	if t := p.peek(); t.kind == tokenWord && strings.EqualFold(t.text, w) {
		p.at++
		return true
	}
	return false
}

func (p *parser) end() error {
	if p.peek().kind != tokenEnd {
		return p.syntax()
	}
	return nil
}

// Path is a document path; its first step is the name of an attribute.
type Path []step

type step struct {
	name  string
	index int // of a list, if name is ""
}

func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// Root is the attribute in which the path begins.
func (p Path) Root() string { return p[0].name }

func (p *parser) path() (Path, error) {
	first, err := p.attribute()
	if err != nil {
		return nil, err
	}
	path := Path{step{name: first}}
	for {
		switch {
		case p.symbol("."):
			name, err := p.attribute()
			if err != nil {
				return nil, err
			}
			path = append(path, step{name: name})
		case p.symbol("["):
			t := p.next()
			n, err := strconv.Atoi(t.text)
			if t.kind != tokenNumber || err != nil || !p.symbol("]") {
				p.at = max(0, p.at-1)
				return nil, p.syntax()
			}
			path = append(path, step{index: n})
		default:
			if len(path) > maxDepth {
				return nil, p.errorf("The document path has too many nesting elements; nesting elements: %d",
					len(path))
			}
			return path, nil
		}
	}
}

func (p *parser) attribute() (string, error) {
	t := p.peek()
	switch t.kind {
	case tokenName:
		p.next()
		name, ok := p.names.Attributes[t.text]
		if !ok {
			return "", p.errorf("An expression attribute name used in the document path is not defined; attribute "+
				"name: %s", t.text)
		}
		p.names.use(t.text)
		return name, nil
	case tokenWord:
		if reservedWords[strings.ToUpper(t.text)] {
			return "", p.errorf("Attribute name is a reserved keyword; reserved keyword: %s", t.text)
		}
		p.next()
		return t.text, nil
	}
	return "", p.syntax()
}

func (p *parser) value() (Value, error) {
	t := p.next()
	v, ok := p.names.Values[t.text]
	if !ok {
		return Value{}, p.errorf(
			"An expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	p.names.use(t.text)
	return v, nil
}

// operand is a path, a value, or size(path).
type operand struct {
	path  Path
	value Value
	size  bool
}

func (p *parser) operand() (operand, error) {
	t := p.peek()
	switch {
	case t.kind == tokenValue:
		v, err := p.value()
		return operand{value: v}, err
	case t.kind == tokenWord && t.text == "size" && p.tokens[p.at+1].text == "(":
		p.at += 2
		inner, err := p.operand()
		if err != nil {
			return operand{}, err
		}
		if inner.size || !p.symbol(")") {
			return operand{}, p.syntax()
		}
		inner.size = true
		return inner, nil
	default:
		path, err := p.path()
		return operand{path: path}, err
	}
}

// Condition is a parsed condition, filter or key condition expression.
type Condition struct {
	op       string // AND OR NOT, a comparator, BETWEEN, IN, or a function
	args     []*Condition
	operands []operand
}

// ParseCondition parses a condition; what names it in messages:
// "ConditionExpression", "FilterExpression".
func ParseCondition(what, src string, names *Names) (*Condition, error) {
	p, err := newParser(what, src, names)
	if err != nil {
		return nil, err
	}
	c, err := p.or()
	if err != nil {
		return nil, err
	}
	return c, p.end()
}

func (p *parser) or() (*Condition, error) {
	left, err := p.and()
	for err == nil && p.word("OR") {
		var right *Condition
		right, err = p.and()
		left = &Condition{op: "OR", args: []*Condition{left, right}}
	}
	return left, err
}

func (p *parser) and() (*Condition, error) {
	left, err := p.not()
	for err == nil && p.word("AND") {
		var right *Condition
		right, err = p.not()
		left = &Condition{op: "AND", args: []*Condition{left, right}}
	}
	return left, err
}

func (p *parser) not() (*Condition, error) {
	if p.depth++; p.depth > maxParens {
		return nil, p.errorf("The expression has too many levels of nesting")
	}
	defer func() { p.depth-- }()
	if p.word("NOT") {
		inner, err := p.not()
		return &Condition{op: "NOT", args: []*Condition{inner}}, err
	}
	if p.symbol("(") {
		inner, err := p.or()
		if err == nil && !p.symbol(")") {
			err = p.syntax()
		}
		return inner, err
	}
	return p.comparison()
}

// functions with the number of their operands.
var conditionFunctions = map[string]int{
	"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2,
}

func (p *parser) comparison() (*Condition, error) {
	t := p.peek()
	if t.kind == tokenWord && p.tokens[p.at+1].text == "(" && t.text != "size" {
		return p.function()
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	switch {
	case p.word("BETWEEN"):
		low, err := p.operand()
		if err != nil {
			return nil, err
		}
		if !p.word("AND") {
			return nil, p.syntax()
		}
		high, err := p.operand()
		if err != nil {
			return nil, err
		}
		if order, ok := low.value.compare(high.value); ok && order > 0 {
			return nil, p.errorf("The BETWEEN operator requires upper bound to be greater than or equal to lower "+
				"bound; lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s",
				spell(low.value), spell(high.value))
		}
		return &Condition{op: "BETWEEN", operands: []operand{left, low, high}}, nil
	case p.word("IN"):
		c := &Condition{op: "IN", operands: []operand{left}}
		if !p.symbol("(") {
			return nil, p.syntax()
		}
		for {
			o, err := p.operand()
			if err != nil {
				return nil, err
			}
			c.operands = append(c.operands, o)
			if p.symbol(")") {
				break
			}
			if !p.symbol(",") {
				return nil, p.syntax()
			}
		}
		if len(c.operands) > 101 {
			return nil, p.errorf("The IN operator is provided with too many operands; number of operands: %d",
				len(c.operands)-1)
		}
		return c, nil
	}
	op := p.peek()
	switch op.text {
	case "=", "<>", "<", "<=", ">", ">=":
		p.next()
	default:
		return nil, p.syntax()
	}
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	if op.text != "=" && op.text != "<>" {
		for _, o := range []operand{left, right} {
			if o.path == nil && !o.size {
				if _, ok := o.value.compare(o.value); !ok {
					return nil, p.errorf("Incorrect operand type for operator or function; operator: %s, operand "+
						"type: %s", op.text, o.value.Kind)
				}
			}
		}
	}
	return &Condition{op: op.text, operands: []operand{left, right}}, nil
}

func spell(v Value) string {
	b, err := v.MarshalJSON()
	if err != nil {
		return "?"
	}
	return string(b)
}

func (p *parser) function() (*Condition, error) {
	name := p.next().text
	n, ok := conditionFunctions[name]
	if !ok {
		return nil, p.errorf("Invalid function name; function: %s", name)
	}
	p.next() // (
	c := &Condition{op: name}
	for {
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		c.operands = append(c.operands, o)
		if p.symbol(")") {
			break
		}
		if !p.symbol(",") {
			return nil, p.syntax()
		}
	}
	if len(c.operands) != n {
		return nil, p.errorf("Incorrect number of operands for operator or function; operator or function: %s, "+
			"number of operands: %d", name, len(c.operands))
	}
	if name == "contains" {
		return c, nil
	}
	if first := c.operands[0]; name != "begins_with" && first.path == nil {
		return nil, p.errorf("Operator or function requires a document path; operator or function: %s", name)
	}
	if n == 2 {
		if v := c.operands[1]; v.path == nil && v.value.Kind != S && (name == "attribute_type" || v.value.Kind != B) {
			return nil, p.errorf("Incorrect operand type for operator or function; operator or function: %s, "+
				"operand type: %s", name, v.value.Kind)
		}
	}
	if name == "attribute_type" {
		switch Kind(c.operands[1].value.Str) {
		case S, N, B, SS, NS, BS, M, L, BOOL, NULL:
		default:
			return nil, p.errorf("Invalid attribute type name found; type: %s, valid types: "+
				"{B,NULL,SS,BOOL,L,BS,N,NS,S,M}", c.operands[1].value.Str)
		}
	}
	return c, nil
}

// ParseProjection parses a projection expression.
func ParseProjection(src string, names *Names) ([]Path, error) {
	p, err := newParser("ProjectionExpression", src, names)
	if err != nil {
		return nil, err
	}
	var paths []Path
	for {
		path, err := p.path()
		if err != nil {
			return nil, err
		}
		for _, other := range paths {
			if overlap(path, other) {
				return nil, p.errorf("Two document paths overlap with each other; must remove or rewrite one of "+
					"these paths; path one: [%s], path two: [%s]", other, path)
			}
		}
		paths = append(paths, path)
		if !p.symbol(",") {
			return paths, p.end()
		}
	}
}

// overlap reports whether one path leads through or to the other.
func overlap(a, b Path) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
