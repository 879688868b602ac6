package fleetindex

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxQuery         = 1000
	maxTerms         = 12
	maxStars         = 2
	maxQuestions     = 5
	maxLeadingString = 100
	maxDepth         = 50
)

// Query is a parsed query.
type Query struct {
	root  node
	terms int
}

// Terms counts the query's terms; dynamic groups are limited by it.
func (q *Query) Terms() int { return q.terms }

// String writes the query with every group in parentheses.
func (q *Query) String() string { return q.root.String() }

// Parse reads a query.
func Parse(query string) (*Query, error) {
	if n := utf8.RuneCountInString(query); n > maxQuery {
		return nil, &SyntaxError{query[:20] + "...", 0, fmt.Sprintf("it has %d characters; at most %d are allowed",
			n, maxQuery)}
	}
	tokens, err := lex(query)
	if err != nil {
		return nil, err
	}
	p := &parser{query: query, tokens: tokens}
	if p.peek().kind == end {
		return nil, p.fail("it is empty")
	}
	root, err := p.or("", 0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		return nil, p.fail("unexpected %q", t.text)
	}
	if p.terms > maxTerms {
		return nil, &SyntaxError{query, 0, fmt.Sprintf("it has %d terms; at most %d are allowed", p.terms, maxTerms)}
	}
	if p.leading && (p.terms > 1 || utf8.RuneCountInString(query) > maxLeadingString) {
		return nil, &SyntaxError{query, 0,
			"a wildcard may begin a term only in a query of a single term up to 100 characters"}
	}
	return &Query{root, p.terms}, nil
}

type parser struct {
	query   string
	tokens  []token
	at      int
	terms   int
	leading bool // a term begins with a wildcard
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{p.query, p.peek().offset, fmt.Sprintf(format, args...)}
}

func (t token) is(keyword string) bool { return t.kind == word && t.text == keyword }

// or reads terms joined by OR. The field is that of the group, "" for none.
func (p *parser) or(field string, depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.fail("parentheses are nested too deeply")
	}
	left, err := p.and(field, depth)
	if err != nil {
		return nil, err
	}
	for p.peek().is("OR") {
		p.take()
		right, err := p.and(field, depth)
		if err != nil {
			return nil, err
		}
		left = either{left, right}
	}
	return left, nil
}

// and reads terms joined by AND or by nothing.
func (p *parser) and(field string, depth int) (node, error) {
	left, err := p.not(field, depth)
	if err != nil {
		return nil, err
	}
	for {
		switch t := p.peek(); {
		case t.is("AND"):
			p.take()
		case t.kind == end, t.kind == closeParen, t.is("OR"):
			return left, nil
		}
		right, err := p.not(field, depth)
		if err != nil {
			return nil, err
		}
		left = both{left, right}
	}
}

func (p *parser) not(field string, depth int) (node, error) {
	if t := p.peek(); t.kind == minus || t.is("NOT") {
		p.take()
		if depth > maxDepth {
			return nil, p.fail("NOT is nested too deeply")
		}
		n, err := p.not(field, depth+1)
		if err != nil {
			return nil, err
		}
		return negation{n}, nil
	}
	return p.term(field, depth)
}

func (p *parser) term(field string, depth int) (node, error) {
	switch t := p.peek(); t.kind {
	case openParen:
		p.take()
		n, err := p.or(field, depth+1)
		if err != nil {
			return nil, err
		}
		if p.peek().kind != closeParen {
			return nil, p.fail("expected )")
		}
		p.take()
		return n, nil
	case word:
		if t.text == "AND" || t.text == "OR" || t.text == "TO" {
			return nil, p.fail("unexpected %s", t.text)
		}
		next := p.tokens[p.at+1]
		if field == "" && next.kind == colon && !next.spaced {
			if wild(t.text) {
				return nil, p.fail("a field name cannot have wildcards")
			}
			p.take()
			p.take()
			if p.peek().kind == openParen {
				return p.term(unescape(t.text), depth)
			}
			return p.value(unescape(t.text))
		}
		if field == "" && next.kind == compare {
			if wild(t.text) {
				return nil, p.fail("a field name cannot have wildcards")
			}
			p.take()
			return p.value(unescape(t.text))
		}
		return p.value(field)
	case phrase, openRange, compare:
		if field == "" && t.kind != phrase {
			return nil, p.fail("a range or comparison needs a field")
		}
		return p.value(field)
	case end:
		return nil, p.fail("a term is missing")
	default:
		return nil, p.fail("unexpected %q", t.text)
	}
}

// value reads what a field is compared with.
func (p *parser) value(field string) (node, error) {
	p.terms++
	switch t := p.take(); t.kind {
	case word:
		return p.wordTerm(field, t)
	case phrase:
		return exact{field, t.text}, nil
	case compare:
		v := p.take()
		if v.kind != word && v.kind != phrase {
			p.at--
			return nil, p.fail("a value is missing after %s", t.text)
		}
		r := interval{field: field}
		b := &bound{text: plain(v), inclusive: strings.HasSuffix(t.text, "=")}
		if t.text[0] == '>' {
			r.low = b
		} else {
			r.high = b
		}
		return r, nil
	case openRange:
		return p.interval(field, t)
	default:
		if t.kind != end {
			p.at--
		}
		return nil, p.fail("a value is missing")
	}
}

func plain(t token) string {
	if t.kind == word {
		return unescape(t.text)
	}
	return t.text
}

func (p *parser) interval(field string, open token) (node, error) {
	r := interval{field: field}
	read := func() (*bound, error) {
		t := p.take()
		switch {
		case t.is("*"):
			return nil, nil
		case t.kind == phrase, t.kind == word && t.text != "TO" && t.text != "AND" && t.text != "OR":
			return &bound{text: plain(t)}, nil
		}
		if t.kind != end {
			p.at--
		}
		return nil, p.fail("a bound of the range is missing")
	}
	var err error
	if r.low, err = read(); err != nil {
		return nil, err
	}
	if !p.peek().is("TO") {
		return nil, p.fail("expected TO")
	}
	p.take()
	if r.high, err = read(); err != nil {
		return nil, err
	}
	if p.peek().kind != closeRange {
		return nil, p.fail("expected ] or }")
	}
	closing := p.take()
	if r.low != nil {
		r.low.inclusive = open.text == "["
	}
	if r.high != nil {
		r.high.inclusive = closing.text == "]"
	}
	return r, nil
}

// wordTerm makes a term of a bare word, with its wildcards.
func (p *parser) wordTerm(field string, t token) (node, error) {
	var parts []part
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			parts = append(parts, part{text: b.String()})
			b.Reset()
		}
	}
	stars, questions := 0, 0
	for i := 0; i < len(t.text); {
		r, size := utf8.DecodeRuneInString(t.text[i:])
		switch r {
		case '\\':
			_, next := utf8.DecodeRuneInString(t.text[i+1:])
			b.WriteString(t.text[i+1 : i+1+next])
			size += next
		case '*':
			flush()
			parts = append(parts, part{wildcard: '*'})
			stars++
		case '?':
			flush()
			parts = append(parts, part{wildcard: '?'})
			questions++
		default:
			b.WriteRune(r)
		}
		i += size
	}
	flush()
	if stars > maxStars || questions > maxQuestions {
		p.at--
		return nil, p.fail("a term has at most %d * and %d ?", maxStars, maxQuestions)
	}
	if stars+questions == 0 {
		text := ""
		if len(parts) == 1 {
			text = parts[0].text
		}
		return exact{field, text}, nil
	}
	if len(parts) == 1 && parts[0].wildcard == '*' {
		if field == "" {
			return everything{}, nil
		}
		return present{field}, nil
	}
	if parts[0].wildcard != 0 {
		p.leading = true
	}
	return like{field, parts}, nil
}

// wild reports whether a bare word has a wildcard that is not escaped.
func wild(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '*', '?':
			return true
		}
	}
	return false
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
