package asl

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/intrinsic"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
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
	members                         int // of $states, at most
}

// expression plans a JSONata expression, {% %} included.
func (c *compiler) expression(text, at, field string) node {
	source := strings.TrimSpace(text[2 : len(text)-2])
	e, err := jsonata.Compile(source, jsonata.StepFunctions())
	if err != nil {
		c.report(invalidJSONata, at, "%s", messageWithoutCode(err))
		return literalNode{}
	}
	for _, what := range e.Context() {
		if what == "$$" {
			c.report(invalidJSONata, at, "Reference to '$$' is not supported.")
			continue
		}
		c.report(unsupportedPart, at, "Reference to '%s' at the top level is not supported.", what)
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
		if !whole && !slices.Contains(c.states, ref.Path[0]) {
			c.report(unsupportedPart, at, "Field '$states.%s' does not exist.", ref.Path[0])
		}
		n.input = n.input || whole || ref.Path[0] == "input"
		n.result = n.result || whole || ref.Path[0] == "result"
		n.failure = n.failure || whole || ref.Path[0] == "errorOutput"
		n.context = n.context || whole || ref.Path[0] == "context"
	}
	for _, needed := range []bool{n.input, n.result, n.failure, n.context} {
		if needed {
			n.members++
		}
	}
	return n
}

// messageWithoutCode is an error's message without the code before it.
func messageWithoutCode(err error) string {
	var e *jsonata.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

func (n exprNode) eval(s *scope) (any, *Failure) {
	v, f := n.jsonata(s)
	if f != nil {
		return nil, f
	}
	budget := maxNodes
	out := fromJSONataWithin(v, &budget)
	if budget < 0 {
		return nil, s.evaluation(n.field,
			"The JSONata expression '%s' specified for the field '%s' threw an error during evaluation: Expression "+
				"evaluation memory limit exceeded: Check for excessive memory usage", n.source, n.field)
	}
	return out, nil
}

// data evaluates a template. What an expression yields is kept as it is.
func (s *scope) data(n node) (*Data, *Failure) {
	if e, ok := n.(nativeNode); ok {
		v, f := e.native(s)
		if f != nil {
			return nil, f
		}
		return s.run.jsonataData(v), nil
	}
	v, f := n.eval(s)
	if f != nil {
		return nil, f
	}
	return ValueData(v), nil
}

func (n exprNode) jsonata(s *scope) (jsonata.Value, *Failure) {
	v, f := n.raw(s)
	if f != nil {
		return nil, f
	}
	switch {
	case jsonata.IsUndefined(v):
		return nil, s.evaluation(n.field,
			"The JSONata expression '%s' specified for the field '%s' returned nothing (undefined).",
			n.source, n.field)
	case jsonata.TypeOf(v) == "function":
		return nil, s.evaluation(n.field,
			"The JSONata expression '%s' specified for the field '%s' returned an unsupported result type.",
			n.source, n.field)
	}
	return v, nil
}

func (n exprNode) raw(s *scope) (any, *Failure) {
	v, err := n.expr.Eval(s.run.jsonata(), jsonata.Undefined, s.bindings(n))
	if err != nil {
		// What outgrew a limit has no code, and follows a colon.
		message := ". " + err.Error()
		var e *jsonata.Error
		if errors.As(err, &e) && (e.Code == "" || e.Code == "U1001") {
			message = ": " + e.Message
		}
		return nil, s.evaluation(n.field,
			"The JSONata expression '%s' specified for the field '%s' threw an error during evaluation%s", n.source,
			n.field, message)
	}
	return v, nil
}

// wrongType words the failure of an expression that yields the wrong type.
func (n exprNode) wrongType(s *scope, want string, v any) *Failure {
	return s.evaluation(n.field,
		"The JSONata expression '%s' specified for the field '%s' returned an unexpected result type. Expected "+
			"'%s', but was '%s' for value: %s",
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
	states := jsonata.NewObject(n.members)
	if n.input {
		states.Set("input", s.branch.Input.jsonata())
	}
	if n.result && s.result != nil {
		states.Set("result", s.result.jsonata())
	}
	if n.failure && s.errorOutput != nil {
		states.Set("errorOutput", s.errorOutput.jsonata())
	}
	if n.context {
		states.Set("context", s.jsonataContext())
	}
	// No evaluation is inside another, and none keeps its variables.
	out := s.run.variables
	if out == nil {
		out = map[string]jsonata.Value{}
		s.run.variables = out
	}
	clear(out)
	out["states"] = states
	for _, name := range n.variables {
		for b := s.branch; b != nil; b = b.parent {
			if v, ok := b.Variables[name]; ok {
				out[name] = v.jsonata()
				break
			}
		}
	}
	return out
}

// jsonataContext is the context object for expressions. The execution's input,
// the largest part of it, is not converted again for each state.
func (s *scope) jsonataContext() jsonata.Value {
	if s.jsonataCtx == nil {
		input := s.run.Info.Input
		s.jsonataCtx = jsonataOf(s.context(), func(o *document.Object) (jsonata.Value, bool) {
			if input == nil || any(o) != input.Value() {
				return nil, false
			}
			return input.jsonata(), true
		})
	}
	return s.jsonataCtx
}

func toJSONata(v any) jsonata.Value { return jsonataOf(v, nil) }

// jsonataOf makes a value of package jsonata of one of package document; known
// may have some objects already.
func jsonataOf(v any, known func(o *document.Object) (jsonata.Value, bool)) jsonata.Value {
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
			out[i] = jsonataOf(e, known)
		}
		return out
	case *document.Object:
		if known != nil {
			if have, ok := known(v); ok {
				return have
			}
		}
		out := jsonata.NewObject(v.Len())
		for _, m := range v.Members() {
			out.Set(m.Name, jsonataOf(m.Value, known))
		}
		return out
	}
	return v
}

// maxNodes is how many parts the result of an expression may have.
const maxNodes = 4 << 20

func fromJSONata(v jsonata.Value) any {
	budget := maxNodes
	return fromJSONataWithin(v, &budget)
}

// fromJSONataWithin makes at most budget values; the budget is negative if there
// would have been more.
func fromJSONataWithin(v jsonata.Value, budget *int) any {
	if *budget--; *budget < 0 {
		return nil
	}
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		}
		return json.Number(appendNumber(nil, v))
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if jsonata.IsUndefined(e) || jsonata.TypeOf(e) == "function" {
				e = nil
			}
			if *budget < 0 {
				return nil
			}
			out = append(out, fromJSONataWithin(e, budget))
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
			if *budget < 0 {
				return nil
			}
			out.Set(k, fromJSONataWithin(e, budget))
		}
		return out
	case nil, bool, string:
		return v
	}
	return nil
}

// appendNumber writes a result as Java does: without a fraction what is a long, anything else as a double.
func appendNumber(b []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return strconv.AppendInt(b, int64(f), 10)
	}
	return java.AppendDouble(b, f)
}

// appendJSONata writes a value of package jsonata as package document writes the
// same value. It is false for what holds a function, nothing (undefined) or a
// number that is not finite, for which JSON has no word.
func appendJSONata(b []byte, v jsonata.Value) ([]byte, bool) {
	if len(b) > maxText {
		return b, false
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), true
	case bool:
		return strconv.AppendBool(b, v), true
	case string:
		return jsontext.AppendString(b, v), true
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return b, false
		}
		return appendNumber(b, v), true
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendJSONata(b, e); !ok {
				return b, false
			}
		}
		return append(b, ']'), true
	case *jsonata.Object:
		b = append(b, '{')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			name, e := v.At(i)
			b = append(jsontext.AppendString(b, name), ':')
			var ok bool
			if b, ok = appendJSONata(b, e); !ok {
				return b, false
			}
		}
		return append(b, '}'), true
	}
	return b, false
}

func (r *Run) jsonata() *jsonata.Runtime {
	if r.runtime == nil {
		r.runtime = r.newRuntime()
	}
	return r.runtime
}

// expressionLimits are those of Step Functions as far as they have been observed:
// the range [1..873782] and a string of 4 Mi characters can be made, one more and
// one of 8 Mi cannot; a sum of a hundred terms is the longest.
var expressionLimits = jsonata.Limits{Depth: 100, Steps: 4_000_000, Value: 8 * 873782}

func (r *Run) newRuntime() *jsonata.Runtime {
	return &jsonata.Runtime{Limits: expressionLimits, Now: r.host.Now, UUID: r.host.UUID, Random: func() float64 {
		return float64(r.host.Random(1<<53)) / (1 << 53)
	}}
}

func (r *Run) intrinsics(s *scope) *intrinsic.Env {
	return &intrinsic.Env{Resolve: func(p *jsonpath.Path) (any, error) {
		return s.resolve(p)
	}, Random: r.host.Random, UUID: r.host.UUID}
}

// nativeNode is a template whose value can be had in the form of package
// jsonata without a change: its numbers are results or spelled as results are.
type nativeNode interface {
	node
	native(s *scope) (jsonata.Value, *Failure)
}

type (
	nativeLiteral struct {
		literalNode
		form jsonata.Value
	}
	nativeObject struct {
		objectNode
		members []nativeNode
	}
	nativeArray struct {
		arrayNode
		items []nativeNode
	}
)

func (n exprNode) native(s *scope) (jsonata.Value, *Failure) { return n.jsonata(s) }

func (n nativeLiteral) native(*scope) (jsonata.Value, *Failure) { return n.form, nil }

func (n nativeObject) native(s *scope) (jsonata.Value, *Failure) {
	o := jsonata.NewObject(len(n.members))
	for i, name := range n.names {
		v, f := n.members[i].native(s)
		if f != nil {
			return nil, f
		}
		o.Set(name, v)
	}
	return o, nil
}

func (n nativeArray) native(s *scope) (jsonata.Value, *Failure) {
	a := make([]any, len(n.items))
	for i, item := range n.items {
		v, f := item.native(s)
		if f != nil {
			return nil, f
		}
		a[i] = v
	}
	return a, nil
}

// asNative plans a template again as a nativeNode, if it can be one.
func asNative(n node) (nativeNode, bool) {
	all := func(nodes []node) ([]nativeNode, bool) {
		out := make([]nativeNode, len(nodes))
		for i, n := range nodes {
			var ok bool
			if out[i], ok = asNative(n); !ok {
				return nil, false
			}
		}
		return out, true
	}
	switch n := n.(type) {
	case nativeNode:
		return n, true
	case literalNode:
		form := toJSONata(n.value)
		text, ok := appendJSONata(nil, form)
		return nativeLiteral{n, form}, ok && string(text) == document.Text(n.value)
	case objectNode:
		members, ok := all(n.nodes)
		return nativeObject{n, members}, ok
	case arrayNode:
		items, ok := all(n)
		return nativeArray{n, items}, ok
	}
	return nil, false
}
