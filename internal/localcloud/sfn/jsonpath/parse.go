package jsonpath

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Root says what a path begins at.
type Root int

// The roots: $ the state's input, $$ the context object, $name a variable.
const (
	Input Root = iota
	Context
	Variable
)

// Path is a parsed path.
type Path struct {
	Source   string
	Root     Root
	Variable string // name of the variable, without $
	steps    []step
	function string
}

type kind int

const (
	child      kind = iota // names
	index                  // indices
	slice                  // from, to, by
	wildcard               //
	descendant             // the following step applies to every descendant
	filter                 // condition
)

type step struct {
	kind         kind
	names        []string
	indices      []int
	from, to, by *int
	condition    condition
}

// SyntaxError says where a path is malformed.
type SyntaxError struct {
	Path    string
	Offset  int
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("jsonpath: %q: offset %d: %s", e.Path, e.Offset, e.Message)
}

const maxDepth = 100

type parser struct {
	s     string
	i     int
	depth int
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{p.s, p.i, fmt.Sprintf(format, args...)}
}

// Parse reads a path; the error is a *SyntaxError.
func Parse(s string) (*Path, error) {
	p := &parser{s: s}
	if !strings.HasPrefix(s, "$") {
		return nil, p.fail("a path begins with $")
	}
	out := &Path{Source: s}
	p.i = 1
	if strings.HasPrefix(s, "$$") {
		p.i = 2
		out.Root = Context
	} else if name := Identifier(s[1:]); name != "" {
		p.i = 1 + len(name)
		out.Root, out.Variable = Variable, name
	}
	var err error
	if out.steps, out.function, err = p.steps(); err != nil {
		return nil, err
	}
	if p.i < len(s) {
		return nil, p.fail("unexpected text")
	}
	return out, nil
}

// Identifier returns the variable name at the beginning of s, "" if there is
// none.
func Identifier(s string) string {
	for i, r := range s {
		if !unicode.In(r, unicode.L, unicode.Nl) && (i == 0 || !unicode.In(r, unicode.Nd, unicode.M, unicode.Pc)) {
			return s[:i]
		}
	}
	return s
}

func (p *parser) space() {
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
}

func (p *parser) at(c byte) bool { return p.i < len(p.s) && p.s[p.i] == c }

// steps reads steps as far as they go.
func (p *parser) steps() (steps []step, function string, err error) {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case '.':
			p.i++
			if p.at('.') {
				p.i++
				steps = append(steps, step{kind: descendant})
				if p.at('[') {
					continue
				}
			}
			if p.at('*') {
				p.i++
				steps = append(steps, step{kind: wildcard})
				continue
			}
			if p.at('[') { // $.[0] is $[0]
				continue
			}
			name := p.name()
			if name == "" {
				return nil, "", p.fail("expected a name")
			}
			if p.at('(') {
				if !strings.HasPrefix(p.s[p.i:], "()") || !functions[name] {
					return nil, "", p.fail("no function %s()", name)
				}
				p.i += 2
				return steps, name, nil
			}
			steps = append(steps, step{kind: child, names: []string{name}})
		case '[':
			s, err := p.bracket()
			if err != nil {
				return nil, "", err
			}
			steps = append(steps, s)
		default:
			if n := len(steps); n > 0 && steps[n-1].kind == descendant {
				return nil, "", p.fail("expected a name")
			}
			return steps, "", nil
		}
	}
	if n := len(steps); n > 0 && steps[n-1].kind == descendant {
		return nil, "", p.fail("expected a name")
	}
	return steps, "", nil
}

var functions = map[string]bool{"length": true, "size": true, "min": true, "max": true, "avg": true,
	"sum": true, "stddev": true, "keys": true, "first": true, "last": true}

// name reads a name behind a dot. A backslash takes from the character behind it any other meaning: $.foo\.bar.
func (p *parser) name() string {
	var b strings.Builder
	for p.i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		if r == '\\' {
			if r, n = utf8.DecodeRuneInString(p.s[p.i+1:]); r == utf8.RuneError && n <= 1 {
				break
			}
			p.i++
		} else if strings.ContainsRune(".[]()*, \t\n'\"=<>!&|@?:$", r) || r == utf8.RuneError && n == 1 {
			break
		}
		b.WriteString(p.s[p.i : p.i+n])
		p.i += n
	}
	return b.String()
}

func (p *parser) bracket() (step, error) {
	p.i++
	p.space()
	if p.i >= len(p.s) {
		return step{}, p.fail("unexpected end")
	}
	var s step
	switch c := p.s[p.i]; {
	case c == '*':
		p.i++
		s.kind = wildcard
	case c == '\'' || c == '"':
		s.kind = child
		for {
			p.space()
			name, err := p.quoted(nameEscape)
			if err != nil {
				return s, err
			}
			s.names = append(s.names, name)
			p.space()
			if !p.at(',') {
				break
			}
			p.i++
		}
	case c == '?':
		p.i++
		p.space()
		if !p.at('(') {
			return s, p.fail("expected '('")
		}
		p.i++
		cond, err := p.or()
		if err != nil {
			return s, err
		}
		p.space()
		if !p.at(')') {
			return s, p.fail("expected ')'")
		}
		p.i++
		s.kind, s.condition = filter, cond
	case c == ':' || c == '-' || '0' <= c && c <= '9':
		if err := p.indices(&s); err != nil {
			return s, err
		}
	default:
		return s, p.fail("unexpected character")
	}
	p.space()
	if !p.at(']') {
		return s, p.fail("expected ']'")
	}
	p.i++
	return s, nil
}

func (p *parser) indices(s *step) error {
	first, err := p.integer()
	if err != nil {
		return err
	}
	p.space()
	if p.at(':') {
		s.kind, s.from = slice, first
		p.i++
		p.space()
		if s.to, err = p.integer(); err != nil {
			return err
		}
		p.space()
		if p.at(':') {
			p.i++
			p.space()
			if s.by, err = p.integer(); err != nil {
				return err
			}
			if s.by != nil && *s.by <= 0 {
				return p.fail("the step of a slice is positive")
			}
		}
		return nil
	}
	s.kind = index
	for {
		if first == nil {
			return p.fail("expected an index")
		}
		s.indices = append(s.indices, *first)
		p.space()
		if !p.at(',') {
			return nil
		}
		p.i++
		p.space()
		if first, err = p.integer(); err != nil {
			return err
		}
	}
}

func (p *parser) integer() (*int, error) {
	start := p.i
	if p.at('-') {
		p.i++
	}
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		p.i++
	}
	if p.i == start {
		return nil, nil
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, 32)
	if err != nil {
		return nil, p.fail("bad index")
	}
	i := int(n)
	return &i, nil
}

// quoted reads what is in quotes; escape reads what follows a backslash.
func (p *parser) quoted(escape func(p *parser, b *strings.Builder, quote byte) error) (string, error) {
	if !p.at('\'') && !p.at('"') {
		return "", p.fail("expected a quoted name")
	}
	q := p.s[p.i]
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == q:
			p.i++
			return b.String(), nil
		case c == '\\' && p.i+1 < len(p.s):
			p.i++
			if err := escape(p, &b, q); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			p.i++
		}
	}
	return "", p.fail("unterminated quote")
}

// nameEscape reads what follows a backslash in the name of a member: a quote, which then does not end the name.
// Before anything else the backslash stands for itself: AWS finds `Test\""Name"` by $['Test\""Name"'] (recorded by
// LocalStack, scenarios, 2 February 2025).
func nameEscape(p *parser, b *strings.Builder, quote byte) error {
	c := p.s[p.i]
	p.i++
	if c != quote {
		b.WriteByte('\\')
	}
	b.WriteByte(c)
	return nil
}

// escape reads what follows a backslash in a text: a letter as in JSON, or any other character, which stands for
// itself.
func (p *parser) escape(b *strings.Builder, _ byte) error {
	c := p.s[p.i]
	p.i++
	if i := strings.IndexByte("bfnrt", c); i >= 0 {
		b.WriteByte("\b\f\n\r\t"[i])
		return nil
	}
	if c != 'u' {
		b.WriteByte(c)
		return nil
	}
	r, err := p.unit()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.i:], `\u`) {
		p.i += len(`\u`)
		low, err := p.unit()
		if err != nil {
			return err
		}
		r = utf16.DecodeRune(r, low)
	}
	b.WriteRune(r)
	return nil
}

// unit reads the four digits of a \u.
func (p *parser) unit() (rune, error) {
	const digits = 4
	if p.i+digits > len(p.s) {
		return 0, p.fail("expected four hexadecimal digits")
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+digits], 16, 16)
	if err != nil {
		return 0, p.fail("expected four hexadecimal digits")
	}
	p.i += digits
	return rune(n), nil
}

// condition is a filter: anything that is true or false of an element.
type condition interface {
	holds(root, current any, w *work) bool
}

type (
	either  []condition
	both    []condition
	not     struct{ condition }
	present struct{ operand }
	compare struct {
		op          string
		left, right operand
		pattern     *regexp.Regexp
	}
	// operand is a literal or a path at @ or $.
	operand struct {
		literal any
		path    *Path
		current bool
	}
)

func (p *parser) or() (condition, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("nested too deep")
	}
	defer func() { p.depth-- }()
	var out either
	for {
		c, err := p.and()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
		p.space()
		if !strings.HasPrefix(p.s[p.i:], "||") {
			break
		}
		p.i += 2
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

func (p *parser) and() (condition, error) {
	var out both
	for {
		c, err := p.term()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
		p.space()
		if !strings.HasPrefix(p.s[p.i:], "&&") {
			break
		}
		p.i += 2
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

func (p *parser) term() (condition, error) {
	p.space()
	switch {
	case p.at('!'):
		p.i++
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail("nested too deep")
		}
		defer func() { p.depth-- }()
		c, err := p.term()
		if err != nil {
			return nil, err
		}
		return not{c}, nil
	case p.at('('):
		p.i++
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.at(')') {
			return nil, p.fail("expected ')'")
		}
		p.i++
		return c, nil
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.space()
	for _, op := range []string{"==", "!=", "<=", ">=", "=~", "<", ">", "in ", "nin "} {
		if !strings.HasPrefix(p.s[p.i:], op) {
			continue
		}
		p.i += len(op)
		p.space()
		c := compare{op: strings.TrimSpace(op), left: left}
		if op == "=~" {
			if c.pattern, err = p.regexp(); err != nil {
				return nil, err
			}
			return c, nil
		}
		if c.right, err = p.operand(); err != nil {
			return nil, err
		}
		return c, nil
	}
	if left.path == nil {
		return nil, p.fail("expected a comparison")
	}
	return present{left}, nil
}

func (p *parser) regexp() (*regexp.Regexp, error) {
	if !p.at('/') {
		return nil, p.fail("expected '/'")
	}
	p.i++
	start := p.i
	for p.i < len(p.s) && p.s[p.i] != '/' {
		if p.s[p.i] == '\\' {
			p.i++
		}
		p.i++
	}
	if p.i >= len(p.s) {
		return nil, p.fail("unterminated pattern")
	}
	text := p.s[start:p.i]
	p.i++
	if p.at('i') {
		p.i++
		text = "(?i)" + text
	}
	re, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		return nil, p.fail("bad pattern: %v", err)
	}
	return re, nil
}

func (p *parser) operand() (operand, error) {
	p.space()
	if p.i >= len(p.s) {
		return operand{}, p.fail("unexpected end")
	}
	switch c := p.s[p.i]; {
	case c == '@' || c == '$':
		if p.depth++; p.depth > maxDepth {
			return operand{}, p.fail("nested too deep")
		}
		defer func() { p.depth-- }()
		start := p.i
		p.i++
		steps, function, err := p.steps()
		if err != nil {
			return operand{}, err
		}
		return operand{path: &Path{Source: p.s[start:p.i], steps: steps, function: function}, current: c == '@'}, nil
	case c == '\'' || c == '"':
		s, err := p.quoted((*parser).escape)
		return operand{literal: s}, err
	case c == '[':
		p.i++
		list := []any{}
		for {
			p.space()
			if p.at(']') {
				p.i++
				return operand{literal: list}, nil
			}
			if p.depth++; p.depth > maxDepth {
				return operand{}, p.fail("nested too deep")
			}
			o, err := p.operand()
			p.depth--
			if err != nil {
				return o, err
			}
			if o.path != nil {
				return o, p.fail("expected a literal")
			}
			list = append(list, o.literal)
			p.space()
			if p.at(',') {
				p.i++
			} else if !p.at(']') {
				return o, p.fail("expected ']'")
			}
		}
	case c == '-' || '0' <= c && c <= '9':
		start := p.i
		p.i++
		for p.i < len(p.s) && strings.IndexByte("0123456789.eE+-", p.s[p.i]) >= 0 {
			p.i++
		}
		if _, err := strconv.ParseFloat(p.s[start:p.i], 64); err != nil {
			return operand{}, p.fail("bad number")
		}
		return operand{literal: json.Number(p.s[start:p.i])}, nil
	}
	for _, w := range []struct {
		word  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if strings.HasPrefix(p.s[p.i:], w.word) {
			p.i += len(w.word)
			return operand{literal: w.value}, nil
		}
	}
	return operand{}, p.fail("expected a value")
}
