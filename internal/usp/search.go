package usp

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Condition is one comparison of a search expression: [Status=="Available"].
type Condition struct {
	Param string // relative to the row; may lead into its objects by names and dots
	Op    string // == != <= >= < > ~=
	Value string // without quotes
}

// In the order in which they must be tried.
var operators = []string{"==", "!=", "<=", ">=", "~=", "<", ">"}

// parseSearch reads "[A==1&&B=="x"]". A constant may stand without quotes, as
// widespread agents take it, although the grammar wants them around strings.
func parseSearch(s string) ([]Condition, error) {
	if !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") || len(s) < 2 {
		return nil, InvalidPathSyntax.Errorf("%q is not a search expression", s)
	}
	rest := s[1 : len(s)-1]
	var all []Condition
	for {
		rest = strings.TrimLeft(rest, " ")
		at := strings.IndexAny(rest, "=!<>~ ")
		if at <= 0 {
			return nil, InvalidPathSyntax.Errorf("%q lacks a comparison", s)
		}
		c := Condition{Param: rest[:at]}
		for _, part := range strings.Split(c.Param, ".") {
			if !isName(part) {
				return nil, InvalidPathSyntax.Errorf("%q in a search expression is not a parameter", c.Param)
			}
		}
		rest = strings.TrimLeft(rest[at:], " ")
		for _, op := range operators {
			if strings.HasPrefix(rest, op) {
				c.Op, rest = op, strings.TrimLeft(rest[len(op):], " ")
				break
			}
		}
		if c.Op == "" {
			return nil, InvalidPathSyntax.Errorf("%q lacks a comparison", s)
		}
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, InvalidPathSyntax.Errorf("%q has an open quote", s)
			}
			c.Value, rest = unquoteValue(rest[1:1+end]), strings.TrimLeft(rest[end+2:], " ")
			if rest != "" && !strings.HasPrefix(rest, "&&") {
				return nil, InvalidPathSyntax.Errorf("%q after a constant", rest)
			}
		} else {
			value, _, _ := strings.Cut(rest, "&&")
			rest = rest[len(value):]
			c.Value = strings.TrimRight(value, " ")
			if c.Value == "" || strings.ContainsAny(c.Value, `"[]=<>~!`) {
				return nil, InvalidPathSyntax.Errorf("%q is not a constant", c.Value)
			}
		}
		all = append(all, c)
		if rest == "" {
			return all, nil
		}
		rest = rest[len("&&"):]
	}
}

// Inside quotes '"' is written %22 and '%' %25.
func unquoteValue(s string) string {
	return strings.NewReplacer("%22", `"`, "%25", "%").Replace(s)
}

func quoteValue(s string) string {
	return strings.NewReplacer(`"`, "%22", "%", "%25").Replace(s)
}

func writeSearch(b *strings.Builder, all []Condition) {
	b.WriteByte('[')
	for i, c := range all {
		if i > 0 {
			b.WriteString("&&")
		}
		b.WriteString(c.Param + c.Op + `"` + quoteValue(c.Value) + `"`)
	}
	b.WriteByte(']')
}

// SearchHolds tells whether all conditions hold for a row; a parameter that the
// row does not have satisfies none.
func SearchHolds(all []Condition, value func(param string) (string, bool)) bool {
	for _, c := range all {
		have, ok := value(c.Param)
		if !ok || !c.holds(have) {
			return false
		}
	}
	return true
}

func (c Condition) holds(have string) bool {
	if c.Op == "~=" { // a list that contains the value
		for item := range strings.SplitSeq(have, ",") {
			if strings.TrimSpace(item) == c.Value {
				return true
			}
		}
		return false
	}
	order := compare(have, c.Value)
	switch c.Op {
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	return false
}

// compare orders two values as whole numbers, booleans or times when both are
// such, else as strings: the value's type is not at hand here. Decimals stay
// strings, since 1.1 and 1.10 are two versions.
func compare(a, b string) int {
	if x, err := strconv.ParseInt(a, 10, 64); err == nil {
		if y, err := strconv.ParseInt(b, 10, 64); err == nil {
			return cmp.Compare(x, y)
		}
	}
	if x, err := ParseBool(a); err == nil {
		if y, err := ParseBool(b); err == nil {
			switch {
			case x == y:
				return 0
			case !x:
				return -1
			}
			return 1
		}
	}
	if x, err := time.Parse(time.RFC3339, a); err == nil {
		if y, err := time.Parse(time.RFC3339, b); err == nil {
			return x.Compare(y)
		}
	}
	return strings.Compare(a, b)
}
