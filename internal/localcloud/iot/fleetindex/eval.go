package fleetindex

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Document is what a query is asked about: the values of its fields, such as
// "thingName" or "attributes.model". A field may have several values.
type Document map[string][]string

// Match reports whether the query holds for the document.
func (q *Query) Match(d Document) bool { return q.root.match(d) }

type node interface {
	match(d Document) bool
	String() string
}

type (
	both     struct{ left, right node }
	either   struct{ left, right node }
	negation struct{ of node }
	// everything is a lone *.
	everything struct{}
	// present is a field with any value.
	present struct{ field string }
	exact   struct{ field, text string }
	like    struct {
		field string
		parts []part
	}
	interval struct {
		field     string
		low, high *bound // nil: open
	}
)

type part struct {
	text     string
	wildcard byte // '*', '?', or 0 for text
}

type bound struct {
	text      string
	inclusive bool
}

func (n both) match(d Document) bool       { return n.left.match(d) && n.right.match(d) }
func (n either) match(d Document) bool     { return n.left.match(d) || n.right.match(d) }
func (n negation) match(d Document) bool   { return !n.of.match(d) }
func (n everything) match(d Document) bool { return true }

func (n present) match(d Document) bool {
	if len(d[n.field]) > 0 {
		return true
	}
	// The field may be an object with fields of its own.
	for name, values := range d {
		if len(values) > 0 && strings.HasPrefix(name, n.field) && strings.HasPrefix(name[len(n.field):], ".") {
			return true
		}
	}
	return false
}

// any reports whether a value of the field is as wanted; of all fields if the
// field is "".
func (d Document) any(field string, wanted func(v string) bool) bool {
	if field != "" {
		for _, v := range d[field] {
			if wanted(v) {
				return true
			}
		}
		return false
	}
	for _, values := range d {
		for _, v := range values {
			if wanted(v) {
				return true
			}
		}
	}
	return false
}

func (n exact) match(d Document) bool {
	number, isNumber := parseNumber(n.text)
	return d.any(n.field, func(v string) bool {
		if strings.EqualFold(v, n.text) {
			return true
		}
		if !isNumber {
			return false
		}
		other, ok := parseNumber(v)
		return ok && other == number
	})
}

func (n like) match(d Document) bool {
	return d.any(n.field, func(v string) bool { return matchParts(n.parts, v) })
}

// matchParts has at most two * to try, so it cannot take long.
func matchParts(parts []part, s string) bool {
	if len(parts) == 0 {
		return s == ""
	}
	switch p := parts[0]; p.wildcard {
	case '*':
		for i := 0; ; {
			if matchParts(parts[1:], s[i:]) {
				return true
			}
			if i == len(s) {
				return false
			}
			_, size := utf8.DecodeRuneInString(s[i:])
			i += size
		}
	case '?':
		_, size := utf8.DecodeRuneInString(s)
		return size > 0 && matchParts(parts[1:], s[size:])
	default:
		rest, ok := cutFold(s, p.text)
		return ok && matchParts(parts[1:], rest)
	}
}

// cutFold cuts a prefix without regard to case.
func cutFold(s, prefix string) (rest string, ok bool) {
	for _, want := range prefix {
		got, size := utf8.DecodeRuneInString(s)
		if size == 0 || !equalFold(got, want) {
			return "", false
		}
		s = s[size:]
	}
	return s, true
}

func equalFold(a, b rune) bool {
	if a == b {
		return true
	}
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return false
}

func (n interval) match(d Document) bool {
	return d.any(n.field, func(v string) bool {
		if b := n.low; b != nil {
			if c := order(v, b.text); c < 0 || c == 0 && !b.inclusive {
				return false
			}
		}
		if b := n.high; b != nil {
			if c := order(v, b.text); c > 0 || c == 0 && !b.inclusive {
				return false
			}
		}
		return true
	})
}

// order compares as numbers if both are numbers, otherwise as text.
func order(a, b string) int {
	x, okX := parseNumber(a)
	y, okY := parseNumber(b)
	switch {
	case !okX || !okY:
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// parseNumber takes decimal numbers, not the words and bases that Go takes.
func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "0123456789+-.eE") != "" || s == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func (n both) String() string       { return "(" + n.left.String() + " AND " + n.right.String() + ")" }
func (n either) String() string     { return "(" + n.left.String() + " OR " + n.right.String() + ")" }
func (n negation) String() string   { return "NOT " + n.of.String() }
func (n everything) String() string { return "*" }
func (n present) String() string    { return quoteField(n.field) + "*" }
func (n exact) String() string      { return quoteField(n.field) + quote(n.text) }

func (n like) String() string {
	var b strings.Builder
	b.WriteString(quoteField(n.field))
	for _, p := range n.parts {
		if p.wildcard != 0 {
			b.WriteByte(p.wildcard)
		} else {
			b.WriteString(escape(p.text))
		}
	}
	return b.String()
}

func (n interval) String() string {
	open, low, high, closing := "[", "*", "*", "]"
	if n.low != nil {
		low = quote(n.low.text)
		if !n.low.inclusive {
			open = "{"
		}
	}
	if n.high != nil {
		high = quote(n.high.text)
		if !n.high.inclusive {
			closing = "}"
		}
	}
	return quoteField(n.field) + open + low + " TO " + high + closing
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func quoteField(s string) string {
	if s == "" {
		return ""
	}
	return escape(s) + ":"
}

// escape writes text as part of a bare word.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '_' ||
			unicode.IsSpace(r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
