package fleetindex

import (
	"strconv"
	"strings"
	"unicode"
)

// Term is a field that has a value.
type Term struct{ Field, Text string }

// Required are terms of which every document has all that the query holds for. Where there are any, it need not be
// asked about all documents.
func (q *Query) Required() []Term { return required(q.root, nil) }

func required(n node, all []Term) []Term {
	switch n := n.(type) {
	case both:
		return required(n.right, required(n.left, all))
	case exact:
		if n.field != "" {
			return append(all, Term{n.field, n.text})
		}
	}
	return all
}

// Key is the same for all values that an exact term takes for one: those that differ in case alone, and numbers that
// are written otherwise.
func Key(value string) string {
	if f, ok := parseNumber(value); ok {
		return "#" + strconv.FormatFloat(f, 'g', -1, 64)
	}
	return "=" + strings.Map(func(r rune) rune {
		least := r
		for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
			least = min(least, x)
		}
		return least
	}, value)
}
