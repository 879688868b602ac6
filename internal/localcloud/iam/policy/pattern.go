package policy

import (
	"strings"
	"unicode/utf8"
)

// element is a piece of a pattern: text, a wildcard or a variable.
type element struct {
	kind elementKind
	text string // text; name of the variable
	// fallback is the variable's default, if hasFallback.
	fallback    string
	hasFallback bool
}

type elementKind uint8

const (
	text elementKind = iota
	one              // ?
	many             // *
	variable
)

// pattern is a compiled pattern. One of plain text has a single element.
type pattern struct {
	elements  []element
	variables bool // there are some
}

// compile reads a pattern. Wildcards and variables are plain text unless asked
// for.
func compile(s string, wildcards, variables bool) (pattern, error) {
	var p pattern
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			p.elements = append(p.elements, element{kind: text, text: b.String()})
			b.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case wildcards && s[i] == '*':
			flush()
			if n := len(p.elements); n == 0 || p.elements[n-1].kind != many {
				p.elements = append(p.elements, element{kind: many})
			}
		case wildcards && s[i] == '?':
			flush()
			p.elements = append(p.elements, element{kind: one})
		case variables && strings.HasPrefix(s[i:], "${"):
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return p, malformed("Policy variable not closed: %s", s[i:])
			}
			name := s[i+2 : i+end]
			i += end
			switch name {
			case "*", "?", "$":
				b.WriteString(name)
				continue
			}
			e := element{kind: variable}
			name, fallback, ok := strings.Cut(name, ",")
			e.text = strings.TrimSpace(name)
			if e.text == "" {
				return p, malformed("Policy variable without a name: %s", s)
			}
			if ok {
				fallback = strings.TrimSpace(fallback)
				if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
					return p, malformed("The default of a policy variable must be in single quotes: %s", s)
				}
				e.fallback, e.hasFallback = fallback[1:len(fallback)-1], true
			}
			flush()
			p.elements = append(p.elements, e)
			p.variables = true
		default:
			b.WriteByte(s[i])
		}
	}
	flush()
	return p, nil
}

// resolve replaces variables by their values; ok is false if one has none.
func (p pattern) resolve(v values) (_ pattern, ok bool) {
	if !p.variables {
		return p, true
	}
	out := pattern{elements: make([]element, len(p.elements))}
	for i, e := range p.elements {
		if e.kind == variable {
			value, ok := v.variable(e)
			if !ok {
				return pattern{}, false
			}
			e = element{kind: text, text: value}
		}
		out.elements[i] = e
	}
	return out, true
}

// plain is the text of a resolved pattern without wildcards.
func (p pattern) plain() string {
	if len(p.elements) == 1 {
		return p.elements[0].text
	}
	var b strings.Builder
	for _, e := range p.elements {
		b.WriteString(e.text)
	}
	return b.String()
}

// match compares a resolved pattern.
func (p pattern) match(s string) bool {
	es := p.elements
	i, at := 0, 0
	star, starAt := -1, 0
	for {
		switch {
		case i == len(es):
			if at == len(s) {
				return true
			}
		case es[i].kind == many:
			if i == len(es)-1 {
				return true
			}
			star, starAt = i, at
			i++
			continue
		case es[i].kind == one:
			if at < len(s) {
				_, n := utf8.DecodeRuneInString(s[at:])
				at += n
				i++
				continue
			}
		case strings.HasPrefix(s[at:], es[i].text):
			at += len(es[i].text)
			i++
			continue
		}
		// Let the last * take one character more.
		if star < 0 || starAt >= len(s) {
			return false
		}
		_, n := utf8.DecodeRuneInString(s[starAt:])
		starAt += n
		i, at = star+1, starAt
	}
}

// arnPattern is a pattern cut at the first five colons.
type arnPattern struct{ parts []pattern }

func compileARN(s string, variables bool) (arnPattern, error) {
	whole, err := compile(s, true, variables)
	if err != nil {
		return arnPattern{}, err
	}
	a := arnPattern{parts: []pattern{{}}}
	add := func(e element) {
		p := &a.parts[len(a.parts)-1]
		p.elements = append(p.elements, e)
		p.variables = p.variables || e.kind == variable
	}
	for _, e := range whole.elements {
		if e.kind != text {
			add(e)
			continue
		}
		rest := e.text
		for len(a.parts) < 6 {
			before, after, ok := strings.Cut(rest, ":")
			if !ok {
				break
			}
			if before != "" {
				add(element{kind: text, text: before})
			}
			a.parts = append(a.parts, pattern{})
			rest = after
		}
		if rest != "" {
			add(element{kind: text, text: rest})
		}
	}
	return a, nil
}

// match compares with an ARN. ok is false if a variable that the comparison
// needs has no value; then matched is false.
func (a arnPattern) match(s string, known func() map[string][]string) (matched, ok bool) {
	matched = true
	for i, p := range a.parts {
		part := s
		last := i == len(a.parts)-1
		if !last {
			var found bool
			if part, s, found = strings.Cut(s, ":"); !found {
				matched = false
			}
		}
		r := p
		if p.variables {
			var set bool
			if r, set = p.resolve(known()); !set {
				return false, false
			}
		}
		matched = matched && r.match(part)
	}
	return matched, true
}
