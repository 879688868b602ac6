package filterpolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// Scope says what a policy looks at.
type Scope string

// The scopes.
const (
	MessageAttributes Scope = "MessageAttributes"
	MessageBody       Scope = "MessageBody"
)

const (
	maxKeys         = 5
	maxCombinations = 150
	maxBytes        = 256 << 10
	maxNumber       = 1e9
	maxDepth        = 64
)

// Error says what is wrong with a policy, in AWS's words.
type Error string

func (e Error) Error() string { return string(e) }

func fail(format string, args ...any) error { return Error(fmt.Sprintf(format, args...)) }

// Policy is a compiled filter policy.
type Policy struct {
	scope Scope
	root  *node
}

// node is a level of a policy: all keys and all alternatives must match.
type node struct {
	keys []key
	ors  [][]*node // each: one of the policies must match
}

// key is a key with its conditions, or with the policy of a nested object.
type key struct {
	name       string
	conditions []condition
	nested     *node
}

// condition decides about one value of the message.
type condition struct {
	match func(v any) bool
	// absent: the condition holds when the key is absent, and only then.
	absent bool
}

// counter keeps track of a policy's complexity.
type counter struct {
	keys         int
	combinations int
}

// Parse reads a policy.
func Parse(doc []byte, scope Scope) (*Policy, error) {
	if len(doc) > maxBytes {
		return nil, fail("Filter policy is too large")
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fail("failed to deserialize from JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fail("failed to deserialize from JSON")
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, fail("Filter policy must be an object")
	}
	c := &counter{combinations: 1}
	root, err := parseNode(o, scope, 1, c)
	if err != nil {
		return nil, err
	}
	if c.keys > maxKeys {
		return nil, fail("Filter policy can not have more than %d keys", maxKeys)
	}
	if c.combinations > maxCombinations {
		return nil, fail("Filter policy is too complex")
	}
	return &Policy{scope, root}, nil
}

func parseNode(o map[string]any, scope Scope, depth int, c *counter) (*node, error) {
	if depth > maxDepth {
		return nil, fail("Filter policy is too complex")
	}
	n := &node{}
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if list, ok := o[name].([]any); ok && name == "$or" && alternatives(list) {
			var or []*node
			for _, e := range list {
				alternative, err := parseNode(e.(map[string]any), scope, depth, c)
				if err != nil {
					return nil, err
				}
				or = append(or, alternative)
			}
			n.ors = append(n.ors, or)
			continue
		}
		k := key{name: name}
		switch v := o[name].(type) {
		case map[string]any:
			if scope != MessageBody {
				return nil, fail("Filter policy scope MessageAttributes does not support nested filter policy")
			}
			nested, err := parseNode(v, scope, depth+1, c)
			if err != nil {
				return nil, err
			}
			if len(nested.keys)+len(nested.ors) == 0 {
				return nil, fail("Empty objects are not allowed")
			}
			k.nested = nested
		case []any:
			if len(v) == 0 {
				return nil, fail("Empty arrays are not allowed")
			}
			for _, e := range v {
				cond, err := parseCondition(e)
				if err != nil {
					return nil, err
				}
				k.conditions = append(k.conditions, cond)
			}
			c.keys++
			if c.combinations <= maxCombinations {
				c.combinations *= len(v) * depth
			}
		default:
			return nil, fail("\"%s\" must be an object or an array", name)
		}
		n.keys = append(n.keys, k)
	}
	return n, nil
}

// alternatives says whether the list under "$or" is the operator and not the
// conditions of a key of that name.
func alternatives(list []any) bool {
	if len(list) < 2 {
		return false
	}
	operators := []string{"prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric",
		"cidr", "exists"}
	for _, e := range list {
		o, ok := e.(map[string]any)
		if !ok || len(o) == 0 {
			return false
		}
		for name := range o {
			if slices.Contains(operators, name) {
				return false
			}
		}
	}
	return true
}

func parseCondition(v any) (condition, error) {
	o, ok := v.(map[string]any)
	if !ok {
		match, err := equal(v)
		return condition{match: match}, err
	}
	if len(o) != 1 {
		return condition{}, fail("Only one key allowed in match expression")
	}
	for name, arg := range o {
		switch name {
		case "exists":
			b, ok := arg.(bool)
			if !ok {
				return condition{}, fail("exists match pattern must be either true or false.")
			}
			return condition{match: func(any) bool { return b }, absent: !b}, nil
		case "anything-but":
			match, err := anythingBut(arg)
			return condition{match: match}, err
		case "numeric":
			match, err := numeric(arg)
			return condition{match: match}, err
		case "cidr":
			s, _ := arg.(string)
			prefix, err := netip.ParsePrefix(s)
			if err != nil {
				return condition{}, fail("Malformed CIDR, must be an IP range")
			}
			return condition{match: func(v any) bool {
				s, ok := v.(string)
				a, err := netip.ParseAddr(s)
				return ok && err == nil && prefix.Contains(a)
			}}, nil
		default:
			match, err := textual(name, arg)
			return condition{match: match}, err
		}
	}
	return condition{}, nil // not reached: o has one member
}

// textual are the conditions on strings.
func textual(name string, arg any) (func(any) bool, error) {
	s, ok := arg.(string)
	on := func(match func(v string) bool) (func(any) bool, error) {
		if !ok {
			return nil, fail("%s match pattern must be a string", name)
		}
		return func(v any) bool {
			t, ok := v.(string)
			return ok && match(t)
		}, nil
	}
	switch name {
	case "prefix":
		return on(func(v string) bool { return strings.HasPrefix(v, s) })
	case "suffix":
		return on(func(v string) bool { return strings.HasSuffix(v, s) })
	case "equals-ignore-case":
		return on(func(v string) bool { return strings.EqualFold(v, s) })
	case "wildcard":
		if strings.Contains(s, "**") {
			return nil, fail("Consecutive wildcard characters")
		}
		parts := strings.Split(s, "*")
		return on(func(v string) bool { return wildcard(parts, v) })
	default:
		return nil, fail("Unrecognized match type %s", name)
	}
}

// wildcard matches a text against the parts of a pattern between its stars.
func wildcard(parts []string, v string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return v == first
	}
	if !strings.HasPrefix(v, first) {
		return false
	}
	v = v[len(first):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(v, p)
		if i < 0 {
			return false
		}
		v = v[i+len(p):]
	}
	return strings.HasSuffix(v, last)
}

func equal(v any) (func(any) bool, error) {
	if n, ok := v.(json.Number); ok {
		want, err := float(n)
		if err != nil {
			return nil, err
		}
		return func(v any) bool {
			got, ok := v.(float64)
			return ok && got == want
		}, nil
	}
	switch v.(type) {
	case string, bool, nil:
		return func(got any) bool { return got == v }, nil
	}
	return nil, fail("Match value must be String, number, true, false, or null")
}

// float reads a number; SNS compares five digits after the point.
func float(n json.Number) (float64, error) {
	f, err := n.Float64()
	if err != nil || math.Abs(f) > maxNumber {
		return 0, fail("Value must be between -%d and %d, inclusive", int(maxNumber), int(maxNumber))
	}
	return math.Round(f*1e5) / 1e5, nil
}

func anythingBut(arg any) (func(any) bool, error) {
	list, ok := arg.([]any)
	if !ok {
		list = []any{arg}
	}
	if len(list) == 0 {
		return nil, fail("Empty arrays are not allowed")
	}
	var not []func(any) bool
	for _, e := range list {
		o, isObject := e.(map[string]any)
		if !isObject {
			if _, isNull := e.(bool); isNull || e == nil {
				return nil, fail("Inside anything but list, start|null|boolean is not supported.")
			}
			match, err := equal(e)
			if err != nil {
				return nil, err
			}
			not = append(not, match)
			continue
		}
		if len(o) != 1 {
			return nil, fail("Only one key allowed in match expression")
		}
		for name, arg := range o {
			texts, ok := arg.([]any)
			if !ok {
				texts = []any{arg}
			}
			for _, t := range texts {
				match, err := textual(name, t)
				if err != nil {
					return nil, err
				}
				not = append(not, match)
			}
		}
	}
	return func(v any) bool {
		for _, match := range not {
			if match(v) {
				return false
			}
		}
		return true
	}, nil
}

func numeric(arg any) (func(any) bool, error) {
	list, ok := arg.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, fail("Value of numeric must be an array of an operator and a number, once or twice")
	}
	type bound struct {
		operator string
		number   float64
	}
	var bounds []bound
	for i := 0; i < len(list); i += 2 {
		operator, _ := list[i].(string)
		if !slices.Contains([]string{"=", "<", "<=", ">", ">="}, operator) {
			return nil, fail("Unrecognized numeric range operator: %v", list[i])
		}
		n, ok := list[i+1].(json.Number)
		if !ok {
			return nil, fail("Value of %s must be numeric", operator)
		}
		f, err := float(n)
		if err != nil {
			return nil, err
		}
		bounds = append(bounds, bound{operator, f})
	}
	if len(bounds) == 2 {
		low, high := bounds[0], bounds[1]
		if low.operator[0] != '>' || high.operator[0] != '<' {
			return nil, fail("Bad numeric range operators: want > or >=, then < or <=")
		}
		if low.number >= high.number {
			return nil, fail("Bottom must be less than top")
		}
	}
	return func(v any) bool {
		f, ok := v.(float64)
		if !ok {
			return false
		}
		for _, b := range bounds {
			holds := false
			switch b.operator {
			case "=":
				holds = f == b.number
			case "<":
				holds = f < b.number
			case "<=":
				holds = f <= b.number
			case ">":
				holds = f > b.number
			case ">=":
				holds = f >= b.number
			}
			if !holds {
				return false
			}
		}
		return true
	}, nil
}
