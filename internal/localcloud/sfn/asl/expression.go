package asl

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/intrinsic"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonata"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// exprNode is a JSONata expression in a field.
type exprNode struct {
	source string // without {% %} and the blanks beside them
	field  string // as errors name it: "Output/result"
	expr   *jsonata.Expression
	// what it needs from outside
	variables                       []string
	input, result, failure, context bool
}

// expression plans a JSONata expression, {% %} included.
func (c *compiler) expression(text, at, field string) node {
	source := strings.TrimSpace(text[2 : len(text)-2])
	e, err := jsonata.Compile(source, jsonata.StepFunctions())
	if err != nil {
		message := err.Error()
		c.fail(at, "The JSONata expression '%s' could not be parsed. %s", source, message)
		return literalNode{}
	}
	n := exprNode{source: source, field: field, expr: e}
	for _, ref := range e.References() {
		if ref.Name != "states" {
			c.variable(ref.Name)
			if !slices.Contains(n.variables, ref.Name) {
				n.variables = append(n.variables, ref.Name)
			}
			continue
		}
		whole := len(ref.Path) == 0
		n.input = n.input || whole || ref.Path[0] == "input"
		n.result = n.result || whole || ref.Path[0] == "result"
		n.failure = n.failure || whole || ref.Path[0] == "errorOutput"
		n.context = n.context || whole || ref.Path[0] == "context"
	}
	return n
}

func (n exprNode) eval(s *scope) (any, *Failure) {
	v, f := n.raw(s)
	if f != nil {
		return nil, f
	}
	switch {
	case jsonata.IsUndefined(v):
		return nil, s.evaluation(n.field, "The JSONata expression '%s' specified for the field '%s' returned nothing (undefined).", n.source, n.field)
	case jsonata.TypeOf(v) == "function":
		return nil, s.evaluation(n.field, "The JSONata expression '%s' specified for the field '%s' returned an unsupported result type.", n.source, n.field)
	}
	return fromJSONata(v), nil
}

func (n exprNode) raw(s *scope) (any, *Failure) {
	v, err := n.expr.Eval(s.run.jsonata(), jsonata.Undefined, s.bindings(n))
	if err != nil {
		message := err.Error()
		var e *jsonata.Error
		if errors.As(err, &e) && e.Code == "" {
			message = e.Message
		}
		return nil, s.evaluation(n.field, "The JSONata expression '%s' specified for the field '%s' threw an error during evaluation. %s", n.source, n.field, message)
	}
	return v, nil
}

// wrongType words the failure of an expression that yields the wrong type.
func (n exprNode) wrongType(s *scope, want string, v any) *Failure {
	return s.evaluation(n.field, "The JSONata expression '%s' specified for the field '%s' returned an unexpected result type. Expected '%s', but was '%s' for value: %s",
		n.source, n.field, want, jsonataType(v), document.Text(v))
}

func jsonataType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case *document.Object:
		return "object"
	}
	return "number"
}

// bindings are the variables that an expression needs.
func (s *scope) bindings(n exprNode) map[string]jsonata.Value {
	states := jsonata.NewObject(4)
	if n.input {
		states.Set("input", toJSONata(s.input))
	}
	if s.hasResult && n.result {
		states.Set("result", toJSONata(s.result))
	}
	if s.hasError && n.failure {
		states.Set("errorOutput", toJSONata(s.errorOutput))
	}
	if n.context {
		states.Set("context", toJSONata(s.context()))
	}
	out := map[string]jsonata.Value{"states": states}
	for _, name := range n.variables {
		for b := s.branch; b != nil; b = b.outer() {
			if v, ok := b.Variables[name]; ok {
				out[name] = toJSONata(v.Value())
				break
			}
		}
	}
	return out
}

func toJSONata(v any) jsonata.Value {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		if math.IsInf(f, 0) {
			f = math.Copysign(math.MaxFloat64, f)
		}
		return f
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = toJSONata(e)
		}
		return out
	case *document.Object:
		out := jsonata.NewObject(v.Len())
		for _, m := range v.Members() {
			out.Set(m.Name, toJSONata(m.Value))
		}
		return out
	}
	return v
}

func fromJSONata(v jsonata.Value) any {
	switch v := v.(type) {
	case float64:
		return document.Float(v)
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if jsonata.IsUndefined(e) || jsonata.TypeOf(e) == "function" {
				e = nil
			}
			out = append(out, fromJSONata(e))
		}
		return out
	case *jsonata.Object:
		out := &document.Object{}
		for k, e := range v.All() {
			switch {
			case jsonata.IsUndefined(e):
				continue
			case jsonata.TypeOf(e) == "function":
				e = nil
			}
			out.Set(k, fromJSONata(e))
		}
		return out
	case nil, bool, string:
		return v
	}
	return nil
}

func (r *Run) jsonata() *jsonata.Runtime {
	return &jsonata.Runtime{Now: r.host.Now, UUID: r.host.UUID, Random: func() float64 {
		return float64(r.host.Random(1<<53)) / (1 << 53)
	}}
}

func (r *Run) intrinsics(s *scope) *intrinsic.Env {
	return &intrinsic.Env{Resolve: func(p *jsonpath.Path) (any, error) { return s.resolve(p) }, Random: r.host.Random, UUID: r.host.UUID}
}
