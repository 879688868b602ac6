package intrinsic

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// MaxNesting is how deep calls may be nested.
const MaxNesting = 10

// Call is a parsed call.
type Call struct {
	Source   string
	function *function
	args     []argument
}

// argument is a literal, a path or a call.
type argument struct {
	literal any
	escaped string // a string literal with its \{ and \}
	path    *jsonpath.Path
	call    *Call
}

// SyntaxError says where a call is malformed.
type SyntaxError struct {
	Source  string
	Offset  int
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("intrinsic: %q: offset %d: %s", e.Source, e.Offset, e.Message)
}

type parser struct {
	s string
	i int
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{p.s, p.i, fmt.Sprintf(format, args...)}
}

// Parse reads a call; the error is a *SyntaxError.
func Parse(s string) (*Call, error) {
	p := &parser{s: s}
	p.space()
	c, err := p.call(1)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i < len(s) {
		return nil, p.fail("unexpected text")
	}
	return c, nil
}

// Paths returns the paths in the arguments, nested ones too.
func (c *Call) Paths() []*jsonpath.Path {
	var out []*jsonpath.Path
	for _, a := range c.args {
		if a.path != nil {
			out = append(out, a.path)
		}
		if a.call != nil {
			out = append(out, a.call.Paths()...)
		}
	}
	return out
}

func (p *parser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) at(c byte) bool { return p.i < len(p.s) && p.s[p.i] == c }

func (p *parser) call(depth int) (*Call, error) {
	if depth > MaxNesting {
		return nil, p.fail("calls nested deeper than %d", MaxNesting)
	}
	start := p.i
	if !strings.HasPrefix(p.s[p.i:], "States.") {
		return nil, p.fail("a function begins with States.")
	}
	p.i += len("States.")
	from := p.i
	for p.i < len(p.s) && (p.s[p.i] >= 'a' && p.s[p.i] <= 'z' || p.s[p.i] >= 'A' && p.s[p.i] <= 'Z' ||
		p.s[p.i] >= '0' && p.s[p.i] <= '9') {
		p.i++
	}
	f := functions[p.s[from:p.i]]
	if f == nil {
		return nil, p.fail("no function States.%s", p.s[from:p.i])
	}
	p.space()
	if !p.at('(') {
		return nil, p.fail("expected '('")
	}
	p.i++
	c := &Call{function: f}
	for p.space(); !p.at(')'); p.space() {
		if len(c.args) > 0 {
			if !p.at(',') {
				return nil, p.fail("expected ',' or ')'")
			}
			p.i++
			p.space()
		}
		a, err := p.argument(depth)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, a)
	}
	p.i++
	c.Source = p.s[start:p.i]
	return c, nil
}

func (p *parser) argument(depth int) (argument, error) {
	if p.i >= len(p.s) {
		return argument{}, p.fail("unexpected end")
	}
	switch c := p.s[p.i]; {
	case c == '\'':
		return p.text()
	case c == '$':
		// A path ends at a comma or parenthesis outside brackets.
		start, depth := p.i, 0
		var quote byte
		for p.i < len(p.s) {
			b := p.s[p.i]
			if quote != 0 {
				if b == '\\' {
					p.i++
				} else if b == quote {
					quote = 0
				}
			} else if b == '\'' || b == '"' {
				quote = b
			} else if b == '[' || b == '(' {
				depth++
			} else if depth > 0 && (b == ']' || b == ')') {
				depth--
			} else if depth == 0 && (b == ',' || b == ')' || b == ' ') {
				break
			}
			p.i++
		}
		p.i = min(p.i, len(p.s))
		path, err := jsonpath.Parse(p.s[start:p.i])
		if err != nil {
			return argument{}, p.fail("%v", err)
		}
		return argument{path: path}, nil
	case strings.HasPrefix(p.s[p.i:], "States."):
		call, err := p.call(depth + 1)
		return argument{call: call}, err
	}
	start := p.i
	for p.i < len(p.s) && strings.IndexByte(",) \t\r\n", p.s[p.i]) < 0 {
		p.i++
	}
	v, err := document.ParseString(p.s[start:p.i])
	switch v.(type) {
	case nil, bool, json.Number:
		if err == nil {
			return argument{literal: v}, nil
		}
	}
	p.i = start
	return argument{}, p.fail("expected an argument")
}

func (p *parser) text() (argument, error) {
	p.i++
	var plain, escaped strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch c {
		case '\'':
			return argument{literal: plain.String(), escaped: escaped.String()}, nil
		case '\\':
			if p.i >= len(p.s) {
				return argument{}, p.fail("unexpected end")
			}
			c = p.s[p.i]
			if strings.IndexByte(`'{}\`, c) < 0 {
				return argument{}, p.fail("bad escape")
			}
			p.i++
			plain.WriteByte(c)
			if c != '\'' {
				escaped.WriteByte('\\')
			}
			escaped.WriteByte(c)
		default:
			plain.WriteByte(c)
			escaped.WriteByte(c)
		}
	}
	return argument{}, p.fail("unterminated text")
}
