package rulesql

import (
	"context"
	"fmt"
	"strings"
)

// Template is a text with substitutions, ${expression}, as fields of actions
// have them. It is evaluated against the message, not against the statement's
// result; the statement's variables are visible.
type Template struct {
	source  string
	modern  bool
	version string
	texts   []string // one more than nodes
	nodes   []node
	names   []string // the variables of its statement
}

// CompileTemplate parses and checks a template for the fields of a rule with
// this statement.
func (s *Statement) CompileTemplate(source string) (*Template, error) {
	t := &Template{source: source, modern: s.modern, version: s.version, names: s.vars}
	c := checker{source: source, modern: s.modern, template: true}
	if err := isUnicode(source); err != nil {
		return nil, err
	}
	rest := 0
	for {
		i := strings.Index(source[rest:], "${")
		if i < 0 {
			t.texts = append(t.texts, source[rest:])
			return t, nil
		}
		t.texts = append(t.texts, source[rest:rest+i])
		p := &parser{lexer: lexer{source: source, at: rest + i + 2}, vars: s.vars}
		if err := p.advance(); err != nil {
			return nil, err
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		if !p.tok.is("}") {
			return nil, p.unexpected("}")
		}
		rest = p.tok.end
		if err := c.node(x); err != nil {
			return nil, err
		}
		t.nodes = append(t.nodes, x)
	}
}

// Plain is the text of a template without substitutions.
func (t *Template) Plain() (string, bool) { return t.texts[0], len(t.nodes) == 0 }

// Texts are the parts between the substitutions.
func (t *Template) Texts() []string { return t.texts }

// Source is the template as written.
func (t *Template) Source() string { return t.source }

// Eval fills in the substitutions; r gives the variables and may be nil if the
// statement has none. A substitution that is Undefined becomes nothing.
func (t *Template) Eval(ctx context.Context, in *Input, r *Result) (string, error) {
	if len(t.nodes) == 0 {
		return t.texts[0], nil
	}
	f := &frame{ctx: ctx, in: in, modern: t.modern, version: t.version}
	f.vars = make([]Value, len(t.names))
	if r != nil {
		copy(f.vars, r.values)
	}
	var b strings.Builder
	for i, n := range t.nodes {
		b.WriteString(t.texts[i])
		v, err := f.eval(n)
		if err != nil {
			return "", fmt.Errorf("template %s: %w", t.source, err)
		}
		switch v.kind {
		case Binary:
			return "", fmt.Errorf("template %s: a payload that is not JSON has no text", t.source)
		case Null:
			b.WriteString("null")
		default:
			s, _ := v.toText()
			b.WriteString(s)
		}
	}
	b.WriteString(t.texts[len(t.nodes)])
	return b.String(), nil
}
