package filterpolicy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Attribute is a message attribute.
type Attribute struct {
	Type  string // "String", "Number", "String.Array", "Binary"
	Value string // of types other than Binary
}

// Scope is what the policy looks at.
func (p *Policy) Scope() Scope { return p.scope }

// MatchAttributes says whether a message with these attributes is wanted.
func (p *Policy) MatchAttributes(attributes map[string]Attribute) bool {
	values := map[string]any{}
	for name, a := range attributes {
		kind, _, _ := strings.Cut(a.Type, ".")
		switch {
		case a.Type == "String.Array":
			if v, ok := decode([]byte(a.Value)); ok {
				values[name] = v
			}
		case kind == "Number":
			if f, err := float(json.Number(a.Value)); err == nil {
				values[name] = f
			}
		case kind == "String":
			values[name] = a.Value
		}
	}
	return p.root.match(values)
}

// MatchBody says whether a message with this body is wanted.
func (p *Policy) MatchBody(body []byte) bool {
	v, ok := decode(body)
	if !ok {
		return false
	}
	o, ok := v.(map[string]any)
	return ok && p.root.match(o)
}

// decode reads JSON with its numbers as the policy compares them; ok is false
// if it is none.
func decode(b []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil, false
	}
	return numbers(v), true
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := float(v)
		if err != nil {
			return nil
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

func (n *node) match(values map[string]any) bool {
	for _, k := range n.keys {
		if !k.match(values) {
			return false
		}
	}
	for _, or := range n.ors {
		if !slices.ContainsFunc(or, func(n *node) bool { return n.match(values) }) {
			return false
		}
	}
	return true
}

func (k *key) match(values map[string]any) bool {
	v, present := values[k.name]
	if k.nested != nil {
		if list, ok := v.([]any); ok {
			return slices.ContainsFunc(list, func(e any) bool {
				o, ok := e.(map[string]any)
				return ok && k.nested.match(o)
			})
		}
		o, ok := v.(map[string]any)
		if !ok && present {
			return false
		}
		return k.nested.match(o) // an absent object has no keys
	}
	for _, c := range k.conditions {
		if c.absent {
			if !present {
				return true
			}
			continue
		}
		if present && anyOf(v, c.match) {
			return true
		}
	}
	return false
}

// anyOf applies a condition to a value or to the elements of a list.
func anyOf(v any, match func(any) bool) bool {
	if list, ok := v.([]any); ok {
		return slices.ContainsFunc(list, func(e any) bool { return anyOf(e, match) })
	}
	return match(v)
}
