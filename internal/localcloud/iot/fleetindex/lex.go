package fleetindex

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says where a query is wrong.
type SyntaxError struct {
	Query  string
	Offset int // in bytes
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("at %d in %q: %s", e.Offset, e.Query, e.Reason)
}

type kind uint8

const (
	end kind = iota
	word
	phrase
	colon
	openParen
	closeParen
	openRange  // [ or {
	closeRange // ] or }
	compare    // > >= < <=
	minus
)

type token struct {
	kind   kind
	text   string // word: with escapes kept as \x; phrase: unescaped
	offset int
	spaced bool // there is white space before it
}

const special = "\"()[]{}:<>="

// unsupported are characters that AWS does not take in bare terms.
const unsupported = "`@#%/';,"

func lex(query string) ([]token, error) {
	var tokens []token
	fail := func(at int, format string, args ...any) ([]token, error) {
		return nil, &SyntaxError{query, at, fmt.Sprintf(format, args...)}
	}
	if !utf8.ValidString(query) {
		return fail(0, "it is not UTF-8")
	}
	spaced := false
	for i := 0; i < len(query); {
		r, size := utf8.DecodeRuneInString(query[i:])
		start := i
		add := func(k kind, n int) {
			tokens = append(tokens, token{k, query[start : start+n], start, spaced})
			i += n
			spaced = false
		}
		switch {
		case unicode.IsSpace(r):
			i += size
			spaced = true
		case r == ':':
			add(colon, 1)
		case r == '(':
			add(openParen, 1)
		case r == ')':
			add(closeParen, 1)
		case r == '[', r == '{':
			add(openRange, 1)
		case r == ']', r == '}':
			add(closeRange, 1)
		case r == '>', r == '<':
			if strings.HasPrefix(query[i+1:], "=") {
				add(compare, 2)
			} else {
				add(compare, 1)
			}
		case r == '=':
			return fail(i, "unexpected =")
		case r == '-' && (len(tokens) == 0 || spaced || tokens[len(tokens)-1].kind == openParen) && i+1 < len(query):
			// In front of a term it negates, unless a number follows a
			// comparison or stands in a range.
			if n := len(tokens); n > 0 && (tokens[n-1].kind == compare || tokens[n-1].kind == openRange ||
				tokens[n-1].text == "TO") {
				w, n, reason := scanWord(query[i:])
				if reason != "" {
					return fail(i+n, "%s", reason)
				}
				tokens = append(tokens, token{word, w, start, spaced})
				i += n
				spaced = false
				continue
			}
			add(minus, 1)
		case r == '"':
			var b strings.Builder
			k := i + 1
			for ; k < len(query) && query[k] != '"'; k++ {
				if query[k] == '\\' && k+1 < len(query) {
					k++
				}
				b.WriteByte(query[k])
			}
			if k >= len(query) {
				return fail(i, "the phrase is not closed")
			}
			tokens = append(tokens, token{phrase, b.String(), start, spaced})
			i, spaced = k+1, false
		default:
			w, n, reason := scanWord(query[i:])
			if reason != "" {
				return fail(i+n, "%s", reason)
			}
			tokens = append(tokens, token{word, w, start, spaced})
			i += n
			spaced = false
		}
	}
	return append(tokens, token{kind: end, offset: len(query), spaced: true}), nil
}

// scanWord reads a bare word; n is where it ends, or where it goes wrong.
func scanWord(s string) (w string, n int, reason string) {
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if unicode.IsSpace(r) || strings.ContainsRune(special, r) {
			break
		}
		if r == '\\' {
			_, next := utf8.DecodeRuneInString(s[n+1:])
			if next == 0 {
				return "", n, "a backslash ends the query"
			}
			n += 1 + next
			continue
		}
		if strings.ContainsRune(unsupported, r) {
			return "", n, fmt.Sprintf("the character %q is not supported in a term without quotes", r)
		}
		n += size
	}
	return s[:n], n, ""
}
