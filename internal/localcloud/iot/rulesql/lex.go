package rulesql

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type kindOfToken uint8

const (
	tokenEnd kindOfToken = iota
	tokenName
	tokenVariable // @name
	tokenNumber
	tokenString
	tokenSymbol
)

type token struct {
	kind   kindOfToken
	text   string // a string's content; otherwise as written
	offset int
	end    int
}

// is reports whether the token is the keyword or symbol.
func (t token) is(text string) bool {
	switch t.kind {
	case tokenName:
		return strings.EqualFold(t.text, text)
	case tokenSymbol:
		return t.text == text
	}
	return false
}

// lexer cuts a source into tokens, one ahead of the parser.
type lexer struct {
	source string
	at     int
}

func (l *lexer) next() (token, error) {
	for l.at < len(l.source) && strings.IndexByte(" \t\r\n", l.source[l.at]) >= 0 {
		l.at++
	}
	start := l.at
	make := func(k kindOfToken, n int) (token, error) {
		l.at = start + n
		return token{k, l.source[start:l.at], start, l.at}, nil
	}
	rest := l.source[start:]
	if rest == "" {
		return token{kind: tokenEnd, offset: start, end: start}, nil
	}
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		return l.text(c)
	case c >= '0' && c <= '9':
		return make(tokenNumber, numberLength(rest))
	case c == '@':
		n := nameLength(rest[1:])
		if n == 0 {
			return token{}, syntax(l.source, start, "@ stands before the name of a variable")
		}
		return make(tokenVariable, 1+n)
	}
	for _, two := range []string{"<=", ">=", "<>"} {
		if strings.HasPrefix(rest, two) {
			return make(tokenSymbol, 2)
		}
	}
	if strings.IndexByte("+-*/%=<>(),.[]{}:", rest[0]) >= 0 {
		return make(tokenSymbol, 1)
	}
	if n := nameLength(rest); n > 0 {
		return make(tokenName, n)
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, syntax(l.source, start, "unexpected character %q", r)
}

func nameLength(s string) int {
	for i, r := range s {
		if r == '_' || r == '$' || unicode.IsLetter(r) || (i > 0 && (unicode.IsDigit(r))) {
			continue
		}
		return i
	}
	return len(s)
}

func numberLength(s string) int {
	n := digits(s)
	if n+1 < len(s) && s[n] == '.' && digits(s[n+1:]) > 0 {
		n += 1 + digits(s[n+1:])
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '-' || s[e] == '+') {
			e++
		}
		if d := digits(s[e:]); d > 0 {
			n = e + d
		}
	}
	return n
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// text reads a string. The quote itself is written twice or after a backslash;
// any other backslash stands for itself, as regular expressions need.
func (l *lexer) text(quote byte) (token, error) {
	start := l.at
	var b strings.Builder
	for i := start + 1; i < len(l.source); i++ {
		c := l.source[i]
		if c == '\\' && i+1 < len(l.source) && l.source[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		if c != quote {
			b.WriteByte(c)
			continue
		}
		if i+1 < len(l.source) && l.source[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		l.at = i + 1
		return token{tokenString, b.String(), start, l.at}, nil
	}
	return token{}, syntax(l.source, start, "the string is not closed")
}
