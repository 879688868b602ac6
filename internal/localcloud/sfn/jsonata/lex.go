package jsonata

import (
	"math"
	"strconv"
	"strings"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokName
	tokVariable
	tokOperator
	tokString
	tokNumber
	tokConstant // true, false, null
	tokRegex
)

// token is a lexeme. text is the operator, name or string; for numbers the
// digits; for a regular expression its flags.
type token struct {
	kind tokenKind
	text string
	val  any
	pos  int
}

// is tells whether the token is this operator.
func (t *token) is(op string) bool { return t.kind == tokOperator && t.text == op }

// written is the token as messages show it.
func (t *token) written() string {
	if t.kind == tokEnd {
		return "(end)"
	}
	return t.text
}

// fault completes an error that the token is the cause of.
func (t *token) fault(e *Error) *Error {
	e.bareToken = t.kind == tokNumber || t.kind == tokConstant
	e.Token, e.hasToken = t.written(), true
	if f, ok := t.val.(float64); ok {
		e.Token = formatNumber(f)
	}
	return e.at(t.pos)
}

type lexer struct {
	src string
	pos int
}

// Characters that are operators, or begin one, and so end a name.
const operatorChars = ".[]{}(),@#;:?+-*/%|=<>^&!~"

const whitespace = " \t\n\r\v"

var pairOperators = []string{"..", ":=", "!=", ">=", "<=", "**", "~>"}

// next reads a token. Where an operand has just ended a slash divides;
// elsewhere it opens a regular expression.
func (l *lexer) next(afterOperand bool) token {
	l.skip()
	if l.pos >= len(l.src) {
		return token{kind: tokEnd, pos: len(l.src)}
	}
	start := l.pos
	rest := l.src[start:]
	c := rest[0]
	if c == '/' && !afterOperand {
		l.pos++
		return l.regex(start)
	}
	for _, op := range pairOperators {
		if strings.HasPrefix(rest, op) {
			l.pos += 2
			return token{kind: tokOperator, text: op, pos: start}
		}
	}
	if strings.IndexByte(operatorChars, c) >= 0 {
		l.pos++
		return token{kind: tokOperator, text: rest[:1], pos: start}
	}
	switch {
	case c == '"' || c == '\'':
		return l.str(c, start)
	case c >= '0' && c <= '9':
		return l.number(start)
	case c == '`':
		end := strings.IndexByte(rest[1:], '`')
		if end < 0 {
			throwCode("S0105", len(l.src))
		}
		l.pos += end + 2
		return token{kind: tokName, text: rest[1 : end+1], pos: start}
	}
	return l.name(start)
}

func (l *lexer) skip() {
	for l.pos < len(l.src) {
		switch {
		case strings.IndexByte(whitespace, l.src[l.pos]) >= 0:
			l.pos++
		case strings.HasPrefix(l.src[l.pos:], "/*"):
			end := strings.Index(l.src[l.pos+2:], "*/")
			if end < 0 {
				throwCode("S0106", l.pos)
			}
			l.pos += end + 4
		default:
			return
		}
	}
}

func (l *lexer) name(start int) token {
	i := start
	for i < len(l.src) && strings.IndexByte(operatorChars, l.src[i]) < 0 &&
		strings.IndexByte(whitespace, l.src[i]) < 0 {
		i++
	}
	word := l.src[start:i]
	l.pos = i
	if word[0] == '$' {
		return token{kind: tokVariable, text: word[1:], pos: start}
	}
	switch word {
	case "and", "or", "in":
		return token{kind: tokOperator, text: word, pos: start}
	case "true":
		return token{kind: tokConstant, text: word, val: true, pos: start}
	case "false":
		return token{kind: tokConstant, text: word, val: false, pos: start}
	case "null":
		return token{kind: tokConstant, text: word, pos: start}
	}
	return token{kind: tokName, text: word, pos: start}
}

func (l *lexer) number(start int) token {
	s := l.src
	i := start
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if s[i] == '0' {
		i++ // a leading zero stands alone
	} else {
		digits()
	}
	if whole := i; i < len(s) && s[i] == '.' {
		if i++; !digits() {
			i = whole
		}
	}
	if mantissa := i; i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			i = mantissa
		}
	}
	l.pos = i
	f, err := strconv.ParseFloat(s[start:i], 64)
	if err != nil && math.IsInf(f, 0) {
		throw((&Error{Code: "S0102"}).at(start).token(s[start:i]))
	}
	return token{kind: tokNumber, text: s[start:i], val: f, pos: start}
}

func (l *lexer) str(quote byte, start int) token {
	var buf []byte
	i := start + 1
	s := l.src
	for i < len(s) {
		c := s[i]
		if c == quote {
			l.pos = i + 1
			return token{kind: tokString, text: string(buf), pos: start}
		}
		if c != '\\' {
			buf = append(buf, c)
			i++
			continue
		}
		i++
		if i == len(s) {
			throw((&Error{Code: "S0103", hasToken: true}).at(i))
		}
		switch c := s[i]; c {
		case '"', '\\', '/':
			buf = append(buf, c)
		case 'b':
			buf = append(buf, '\b')
		case 'f':
			buf = append(buf, '\f')
		case 'n':
			buf = append(buf, '\n')
		case 'r':
			buf = append(buf, '\r')
		case 't':
			buf = append(buf, '\t')
		case 'u':
			hex := s[i+1 : min(i+5, len(s))]
			n, err := strconv.ParseUint(hex, 16, 16)
			if err != nil || hex[0] == '+' {
				throwCode("S0104", i)
			}
			buf = appendUnit(buf, uint16(n))
			i += len(hex)
		default:
			_, size := nextRune(s[i:])
			throw((&Error{Code: "S0103"}).at(i).token(s[i : i+size]))
		}
		i++
	}
	throwCode("S0101", len(s))
	return token{}
}

// regex reads to the closing slash. One inside brackets of any kind, or
// behind a backslash, does not close.
func (l *lexer) regex(start int) token {
	s := l.src
	depth := 0
	for i := l.pos; i < len(s); i++ {
		escaped := s[i-1] == '\\' && i > l.pos
		switch s[i] {
		case '/':
			backslashes := 0
			for j := i - 1; j >= l.pos && s[j] == '\\'; j-- {
				backslashes++
			}
			if depth != 0 || backslashes%2 != 0 {
				continue
			}
			pattern := s[l.pos:i]
			if pattern == "" {
				throwCode("S0301", i)
			}
			end := i + 1
			for end < len(s) && (s[end] == 'i' || s[end] == 'm') {
				end++
			}
			l.pos = end
			return token{kind: tokRegex, text: s[i+1 : end], val: pattern, pos: start}
		case '(', '[', '{':
			if !escaped {
				depth++
			}
		case ')', ']', '}':
			if !escaped {
				depth--
			}
		}
	}
	throwCode("S0302", len(s))
	return token{}
}
