package policy

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition is one key under one operator.
type condition struct {
	operator string // for messages
	key      string
	want     []operand
	test     func(o operand, got string, v values) bool
	// negated operators hold when no operand matches.
	negated  bool
	ifExists bool
	set      setOperator
	null     bool
}

type setOperator uint8

const (
	single setOperator = iota
	forAllValues
	forAnyValue
)

// operand is a value of a condition, in the form its operator needs.
type operand struct {
	text   pattern
	arn    arnPattern
	number float64
	time   time.Time
	prefix netip.Prefix
	truth  bool
}

func parseConditions(raw json.RawMessage, variables bool) ([]condition, error) {
	if raw == nil {
		return nil, nil
	}
	operators, err := object(raw)
	if err != nil {
		return nil, malformed("Syntax errors in policy.")
	}
	var out []condition
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		raw := operators[name]
		keys, err := object(raw)
		if err != nil {
			return nil, malformed("Syntax errors in policy.")
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			raw := keys[key]
			list, err := oneOrMore(raw)
			if err != nil {
				return nil, err
			}
			c, err := newCondition(name, key, list, variables)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	// The order of a map must not show in which operand is looked at first.
	slices.SortFunc(out, func(a, b condition) int {
		if n := strings.Compare(a.operator, b.operator); n != 0 {
			return n
		}
		return strings.Compare(a.key, b.key)
	})
	return out, nil
}

func newCondition(name, key string, list []string, variables bool) (condition, error) {
	c := condition{operator: name, key: key}
	operator := name
	if rest, ok := strings.CutPrefix(operator, "ForAllValues:"); ok {
		c.set, operator = forAllValues, rest
	} else if rest, ok := strings.CutPrefix(operator, "ForAnyValue:"); ok {
		c.set, operator = forAnyValue, rest
	}
	if rest, ok := strings.CutSuffix(operator, "IfExists"); ok {
		c.ifExists, operator = true, rest
	}
	var read func(s string) (operand, error)
	switch operator {
	case "StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		c.negated = strings.Contains(operator, "Not")
		read = func(s string) (o operand, err error) {
			o.text, err = compile(s, false, variables)
			return o, err
		}
		if strings.HasSuffix(operator, "IgnoreCase") {
			c.test = func(o operand, got string, _ values) bool { return strings.EqualFold(o.text.plain(), got) }
		} else {
			c.test = func(o operand, got string, _ values) bool { return o.text.plain() == got }
		}
	case "StringLike", "StringNotLike":
		c.negated = operator == "StringNotLike"
		read = func(s string) (o operand, err error) {
			o.text, err = compile(s, true, variables)
			return o, err
		}
		c.test = func(o operand, got string, _ values) bool { return o.text.match(got) }
	case "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike":
		c.negated = strings.HasPrefix(operator, "ArnNot")
		read = func(s string) (o operand, err error) {
			o.arn, err = compileARN(s, variables)
			return o, err
		}
		c.test = func(o operand, got string, v values) bool {
			matched, _ := o.arn.match(got, func() map[string][]string { return v })
			return matched
		}
	case "NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan",
		"NumericGreaterThanEquals":
		c.negated = operator == "NumericNotEquals"
		read = func(s string) (o operand, err error) {
			if o.number, err = strconv.ParseFloat(s, 64); err != nil {
				err = malformed("Invalid number in condition %s: %s", name, s)
			}
			return o, err
		}
		c.test = func(o operand, got string, _ values) bool {
			n, err := strconv.ParseFloat(got, 64)
			return err == nil && compares(strings.TrimPrefix(operator, "Numeric"), n-o.number)
		}
	case "DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan",
		"DateGreaterThanEquals":
		c.negated = operator == "DateNotEquals"
		read = func(s string) (o operand, err error) {
			var ok bool
			if o.time, ok = parseDate(s); !ok {
				return o, malformed("Invalid date in condition %s: %s", name, s)
			}
			return o, nil
		}
		c.test = func(o operand, got string, _ values) bool {
			t, ok := parseDate(got)
			return ok && compares(strings.TrimPrefix(operator, "Date"), float64(t.Compare(o.time)))
		}
	case "Bool", "Null":
		c.null = operator == "Null"
		if c.null && (c.ifExists || c.set != single) {
			return c, malformed("Invalid Condition type : %s", name)
		}
		read = func(s string) (o operand, err error) {
			switch strings.ToLower(s) {
			case "true":
				o.truth = true
			case "false":
			default:
				return o, malformed("Invalid boolean in condition %s: %s", name, s)
			}
			return o, nil
		}
		c.test = func(o operand, got string, _ values) bool {
			return strings.EqualFold(strconv.FormatBool(o.truth), got)
		}
	case "IpAddress", "NotIpAddress":
		c.negated = operator == "NotIpAddress"
		read = func(s string) (o operand, err error) {
			if o.prefix, err = netip.ParsePrefix(s); err != nil {
				var a netip.Addr
				if a, err = netip.ParseAddr(s); err != nil {
					return o, malformed("Invalid IP range in condition %s: %s", name, s)
				}
				o.prefix = netip.PrefixFrom(a, a.BitLen())
			}
			return o, nil
		}
		c.test = func(o operand, got string, _ values) bool {
			a, err := netip.ParseAddr(got)
			return err == nil && o.prefix.Contains(a.Unmap())
		}
	case "BinaryEquals":
		read = func(s string) (o operand, err error) {
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return o, malformed("Invalid base64 in condition %s: %s", name, s)
			}
			o.text, err = compile(string(b), false, false)
			return o, err
		}
		c.test = func(o operand, got string, _ values) bool { return o.text.plain() == got }
	default:
		return c, malformed("Invalid Condition type : %s", name)
	}
	for _, s := range list {
		o, err := read(s)
		if err != nil {
			return c, err
		}
		c.want = append(c.want, o)
	}
	return c, nil
}

// compares says whether a difference is what the comparison's name asks for.
// NotEquals is the negation of Equals, see condition.negated.
func compares(name string, difference float64) bool {
	switch name {
	case "LessThan":
		return difference < 0
	case "LessThanEquals":
		return difference <= 0
	case "GreaterThan":
		return difference > 0
	case "GreaterThanEquals":
		return difference >= 0
	default:
		return difference == 0
	}
}

func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if len(layout) == 4 && len(s) != 4 {
			break // a number of seconds
		}
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1e11 && f < 1e11 {
		return time.UnixMilli(int64(f * 1000)).UTC(), true
	}
	return time.Time{}, false
}

// holds evaluates a condition.
func (c *condition) holds(v values) bool {
	got := v.key(c.key)
	if c.null {
		return slices.ContainsFunc(c.want, func(o operand) bool { return o.truth == (len(got) == 0) })
	}
	want := c.want
	for i, o := range want {
		if o.text.variables {
			if &want[0] == &c.want[0] {
				want = slices.Clone(c.want)
			}
			r, ok := o.text.resolve(v)
			if !ok {
				return false
			}
			want[i].text = r
		}
		if !o.arn.resolvable(v) {
			return false
		}
	}
	if len(got) == 0 {
		return c.ifExists || c.set == forAllValues || c.set == single && c.negated
	}
	matches := func(s string) bool {
		return slices.ContainsFunc(want, func(o operand) bool { return c.test(o, s, v) })
	}
	switch {
	case c.set == forAllValues:
		for _, s := range got {
			if matches(s) == c.negated {
				return false
			}
		}
		return true
	case c.set == forAnyValue:
		for _, s := range got {
			if matches(s) != c.negated {
				return true
			}
		}
		return false
	case c.negated:
		return !slices.ContainsFunc(got, matches)
	default:
		return slices.ContainsFunc(got, matches)
	}
}

func (a arnPattern) resolvable(v values) bool {
	for _, p := range a.parts {
		for _, e := range p.elements {
			if e.kind != variable {
				continue
			}
			if _, ok := v.variable(e); !ok {
				return false
			}
		}
	}
	return true
}
