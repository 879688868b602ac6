package campaign

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Compare orders versions by their parts, which are between . - + and _: numbers as
// numbers, all else as text, a number before a text. A version goes before one that has
// more parts after the same.
func Compare(a, b string) int {
	one, two := partsOf(a), partsOf(b)
	for i := range min(len(one), len(two)) {
		if c := comparePart(one[i], two[i]); c != 0 {
			return c
		}
	}
	return len(one) - len(two)
}

func partsOf(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(".-+_", r) })
}

func comparePart(a, b string) int {
	m, errA := strconv.ParseUint(a, 10, 64)
	n, errB := strconv.ParseUint(b, 10, 64)
	switch {
	case errA == nil && errB == nil && m != n:
		if m < n {
			return -1
		}
		return 1
	case errA == nil && errB == nil:
		return 0
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// Range is a set of versions: conditions that all hold, with spaces between, such as
// ">=1.2 <2.0.0"; "1.2.*" is whatever begins so; a version alone is itself.
type Range []condition

type condition struct{ op, version string }

var conditionForm = regexp.MustCompile(`^(<=|>=|<|>|=)?([A-Za-z0-9][A-Za-z0-9._+-]{0,63}?)(\.\*)?$`)

// ParseRange reads a range.
func ParseRange(text string) (Range, error) {
	var r Range
	for word := range strings.FieldsSeq(text) {
		m := conditionForm.FindStringSubmatch(word)
		if m == nil || m[3] != "" && m[1] != "" {
			return nil, fmt.Errorf("%q is no condition on a version", word)
		}
		op := m[1]
		if m[3] != "" {
			op = "*"
		}
		r = append(r, condition{op, m[2]})
	}
	if len(r) == 0 {
		return nil, fmt.Errorf("a range needs a condition")
	}
	return r, nil
}

// Has reports whether a version is in the range.
func (r Range) Has(version string) bool {
	for _, c := range r {
		order := Compare(version, c.version)
		holds := false
		switch c.op {
		case "<":
			holds = order < 0
		case "<=":
			holds = order <= 0
		case ">":
			holds = order > 0
		case ">=":
			holds = order >= 0
		case "*":
			holds = version == c.version || strings.HasPrefix(version, c.version+".")
		default:
			holds = version == c.version
		}
		if !holds {
			return false
		}
	}
	return true
}
