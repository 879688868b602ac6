package metricmath

import (
	"strconv"
	"strings"
)

type kind int

const (
	end kind = iota
	number
	text
	word
	symbol
)

type token struct {
	kind   kind
	text   string
	value  float64
	offset int
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// lex cuts a source into tokens; the last is of kind end.
func lex(src string) ([]token, error) {
	var out []token
	for i := 0; i < len(src); {
		c, from := src[i], i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case digit(c) || c == '.' && i+1 < len(src) && digit(src[i+1]):
			for i < len(src) && (digit(src[i]) || src[i] == '.') {
				i++
			}
			if i < len(src) && (src[i] == 'e' || src[i] == 'E') {
				j := i + 1
				if j < len(src) && (src[j] == '+' || src[j] == '-') {
					j++
				}
				if j < len(src) && digit(src[j]) {
					for i = j; i < len(src) && digit(src[i]); {
						i++
					}
				}
			}
			v, err := strconv.ParseFloat(src[from:i], 64)
			if err != nil {
				return nil, fault(from, "%q is not a number", src[from:i])
			}
			out = append(out, token{number, src[from:i], v, from})
		case letter(c):
			for i < len(src) && (letter(src[i]) || digit(src[i])) {
				i++
			}
			out = append(out, token{word, src[from:i], 0, from})
		case c == '\'' || c == '"':
			var b strings.Builder
			for i++; i < len(src) && src[i] != c; i++ {
				if src[i] == '\\' && i+1 < len(src) && (src[i+1] == c || src[i+1] == '\\') {
					i++
				}
				b.WriteByte(src[i])
			}
			if i >= len(src) {
				return nil, fault(from, "the string is not closed")
			}
			i++
			out = append(out, token{text, b.String(), 0, from})
		default:
			s := string(c)
			if i+1 < len(src) {
				switch two := src[i : i+2]; two {
				case "==", "!=", "<=", ">=", "&&", "||":
					s = two
				}
			}
			if len(s) == 1 && !strings.Contains("+-*/^()[],<>", s) {
				return nil, fault(i, "unexpected character %q", s)
			}
			i += len(s)
			out = append(out, token{symbol, s, 0, from})
		}
	}
	return append(out, token{kind: end, text: "end of expression", offset: len(src)}), nil
}
