package asl

import (
	"errors"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/intrinsic"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// node is a part of a planned payload template.
type node interface {
	eval(s *scope) (any, *Failure)
}

type (
	literalNode struct{ value any }
	objectNode  struct {
		names []string
		nodes []node
		order []int // of the members in the value, where it is not theirs
	}
	arrayNode []node
	// pathNode is a "name.$": "$.path" member.
	pathNode struct {
		path  *jsonpath.Path
		field string
	}
	callNode struct {
		call *intrinsic.Call
	}
)

func (n literalNode) eval(*scope) (any, *Failure) { return n.value, nil }

func (n objectNode) eval(s *scope) (any, *Failure) {
	o := &document.Object{}
	if n.order == nil {
		for i, name := range n.names {
			v, f := n.nodes[i].eval(s)
			if f != nil {
				return nil, f
			}
			o.Set(name, v)
		}
		return o, nil
	}
	values := make([]any, len(n.nodes))
	for i, e := range n.nodes {
		var f *Failure
		if values[i], f = e.eval(s); f != nil {
			return nil, f
		}
	}
	for _, i := range n.order {
		o.Set(n.names[i], values[i])
	}
	return o, nil
}

func (n arrayNode) eval(s *scope) (any, *Failure) {
	a := make([]any, len(n))
	for i, e := range n {
		v, f := e.eval(s)
		if f != nil {
			return nil, f
		}
		a[i] = v
	}
	return a, nil
}

func (n pathNode) eval(s *scope) (any, *Failure) {
	v, err := s.resolve(n.path)
	var missing *jsonpath.NotFoundError
	if errors.As(err, &missing) && missing.PastEnd {
		return nil, nil // a template shows what is past an array's end as null
	}
	if err != nil {
		return nil, s.runtime("The JSONPath '%s' specified for the field '%s' could not be found in the input '%s'",
			n.path.Source, n.field, document.Text(s.input))
	}
	return v, nil
}

func (n callNode) eval(s *scope) (any, *Failure) {
	v, err := n.call.Eval(s.run.intrinsics(s))
	if err != nil {
		var missing *intrinsic.MissingError
		if errors.As(err, &missing) {
			return nil, s.runtime("The function '%s' had the following error: The JsonPath argument for the field "+
				"'%s' "+
				"could not be found in the input '%s'", n.call.Source, missing.Path, document.Text(s.input))
		}
		return nil, s.runtime("%s", err.Error())
	}
	return v, nil
}

func ptr(s string) *string { return &s }

// constant returns the node's value if it does not depend on anything.
func constant(n node) (any, bool) {
	l, ok := n.(literalNode)
	return l.value, ok
}

// pathTemplate plans a payload template in JSONPath.
func (c *compiler) pathTemplate(v any, at string) node {
	switch v := v.(type) {
	case *document.Object:
		out := objectNode{}
		fixed := true
		for _, m := range v.Members() {
			var n node
			name := m.Name
			if stripped, ok := strings.CutSuffix(name, ".$"); ok {
				n = c.dynamic(m.Name, m.Value, at)
				name = stripped
			} else {
				n = c.pathTemplate(m.Value, below(at, m.Name))
			}
			if _, ok := constant(n); !ok {
				fixed = false
			}
			out.names = append(out.names, name)
			out.nodes = append(out.nodes, n)
		}
		out.order = shownOrder(v.Members())
		if fixed {
			v, _ := out.eval(nil)
			return literalNode{v}
		}
		return out
	case []any:
		out := make(arrayNode, len(v))
		fixed := true
		for i, e := range v {
			out[i] = c.pathTemplate(e, element(at, i))
			if _, ok := constant(out[i]); !ok {
				fixed = false
			}
		}
		if fixed {
			return literalNode{v}
		}
		return out
	}
	return literalNode{v}
}

// shownOrder is that in which the members of a payload template are in what is made of it: those with paths and calls
// come last, in the order of a Java HashMap; nil if that is the order in which they are written.
func shownOrder(members []document.Member) []int {
	var fixed, dynamic []int
	for i, m := range members {
		if strings.HasSuffix(m.Name, ".$") {
			dynamic = append(dynamic, i)
		} else {
			fixed = append(fixed, i)
		}
	}
	buckets := java.Grown(len(dynamic))
	slices.SortStableFunc(dynamic, func(i, j int) int {
		at := func(i int) int {
			return java.Bucket(java.String(strings.TrimSuffix(members[i].Name, ".$")), buckets)
		}
		return at(i) - at(j)
	})
	order := append(fixed, dynamic...)
	if slices.IsSorted(order) {
		return nil
	}
	return order
}

// dynamic plans the value of a member whose name ends in ".$".
func (c *compiler) dynamic(name string, v any, at string) node {
	text, ok := v.(string)
	if !ok {
		c.fail(at, "The value for the field '%s' must be a STRING that contains a JSONPath or an intrinsic "+
			"function call", name)
		return literalNode{}
	}
	if n := c.pathOrCall(text, name); n != nil {
		return n
	}
	c.fail(at, "The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call", name)
	return literalNode{}
}

// pathOrCall plans a path or an intrinsic call, nil if text is neither.
func (c *compiler) pathOrCall(text, field string) node {
	if strings.HasPrefix(text, "$") {
		if p, err := jsonpath.Parse(text); err == nil {
			c.uses(p)
			return pathNode{p, field}
		}
		return nil
	}
	if call, err := intrinsic.Parse(text); err == nil {
		c.uses(call.Paths()...)
		return callNode{call}
	}
	return nil
}

// jsonataTemplate plans a value in which strings may be expressions. Where is
// the field as errors name it: "Output/result".
func (c *compiler) jsonataTemplate(v any, at, where string) node {
	switch v := v.(type) {
	case string:
		if !isExpression(v) {
			if strings.HasPrefix(v, "{%") || strings.HasSuffix(v, "%}") {
				c.report(invalidJSONata, at, "The expression does not begin with '{%%' and end with '%%}'")
			}
			return literalNode{v}
		}
		return c.expression(v, at, where)
	case *document.Object:
		out := objectNode{}
		fixed := true
		for _, m := range v.Members() {
			n := c.jsonataTemplate(m.Value, below(at, m.Name), below(where, m.Name))
			if _, ok := constant(n); !ok {
				fixed = false
			}
			out.names = append(out.names, m.Name)
			out.nodes = append(out.nodes, n)
		}
		if fixed {
			return literalNode{v}
		}
		if n, ok := asNative(out); ok {
			return n
		}
		return out
	case []any:
		out := make(arrayNode, len(v))
		fixed := true
		for i, e := range v {
			out[i] = c.jsonataTemplate(e, element(at, i), element(where, i))
			if _, ok := constant(out[i]); !ok {
				fixed = false
			}
		}
		if fixed {
			return literalNode{v}
		}
		if n, ok := asNative(out); ok {
			return n
		}
		return out
	}
	return literalNode{v}
}

// isExpression reports whether a string is a JSONata expression: {% ... %}.
func isExpression(s string) bool {
	return len(s) >= 4 && strings.HasPrefix(s, "{%") && strings.HasSuffix(s, "%}")
}
