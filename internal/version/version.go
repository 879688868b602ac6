// Package version compares versions of firmware, and reads ranges of them. It is a leaf: a campaign asks it when it
// plans, and the upgrade when a device shows what it runs by then.
package version

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Compare orders versions by their parts, which are between . - + and _: numbers as
// numbers, all else as text. A version that goes on with the name of something that is
// not released yet, such as rc or beta2, comes before the same without it; one that goes
// on otherwise comes after it, with a number before with a text. The names and their
// order are those of Maven (maven.apache.org/pom.html, "Version Order Specification")
// and of Python's dev and pre (PEP 440).
func Compare(a, b string) int {
	one, two := partsOf(a), partsOf(b)
	for i := range max(len(one), len(two)) {
		if c := comparePart(partAt(one, i), partAt(two, i)); c != 0 {
			return c
		}
	}
	return 0
}

func partsOf(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(".-+_", r) })
}

// partAt is a part of a version; "" is none.
func partAt(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return ""
}

// unreleased are the names of what precedes a release, in their order.
var unreleased = map[string]int{"dev": 1, "alpha": 2, "beta": 3, "milestone": 4, "pre": 5, "preview": 5, "rc": 5,
	"cr": 5, "snapshot": 6}

// Kinds of parts, in their order.
const (
	before = iota // of something unreleased
	none          // the version has ended
	numeral
	text
)

// rank is where a part goes: its kind, the place of an unreleased one's name, and its
// number (of an unreleased part the one at its end).
func rank(part string) (kind, name int, number uint64) {
	if part == "" {
		return none, 0, 0
	}
	if n, err := strconv.ParseUint(part, 10, 64); err == nil {
		return numeral, 0, n
	}
	word := strings.TrimRight(strings.ToLower(part), "0123456789")
	if at, ok := unreleased[word]; ok {
		n, err := strconv.ParseUint(part[len(word):], 10, 64)
		if err == nil || len(word) == len(part) {
			return before, at, n
		}
	}
	return text, 0, 0
}

func comparePart(a, b string) int {
	kindA, nameA, numberA := rank(a)
	kindB, nameB, numberB := rank(b)
	if c := cmp.Or(cmp.Compare(kindA, kindB), cmp.Compare(nameA, nameB), cmp.Compare(numberA, numberB)); c != 0 ||
		kindA != text {
		return c
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

// Has reports whether a version is in the range; one that is not known is in none.
func (r Range) Has(version string) bool {
	if version == "" {
		return false
	}
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
