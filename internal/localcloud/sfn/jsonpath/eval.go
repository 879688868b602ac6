package jsonpath

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// NotFoundError says that a definite path names nothing. Its text is that of
// AWS's messages: "No results for path: $['a']".
type NotFoundError struct {
	Detail string
	// PastEnd says that the path ends with an index of an array that is there
	// but has no such element.
	PastEnd bool
}

func (e *NotFoundError) Error() string { return e.Detail }

// Definite reports whether the path can name only one value.
func (p *Path) Definite() bool {
	if p.function != "" {
		return true
	}
	for _, s := range p.steps {
		switch s.kind {
		case child:
			if len(s.names) > 1 {
				return false
			}
		case index:
			if len(s.indices) > 1 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// Whole reports whether the path is just its root: $, $$ or $name.
func (p *Path) Whole() bool { return len(p.steps) == 0 && p.function == "" }

// Reference reports whether the path is a reference path: one that can be
// written to.
func (p *Path) Reference() bool {
	if p.function != "" || !p.Definite() {
		return false
	}
	for _, s := range p.steps {
		if s.kind == index && s.indices[0] < 0 {
			return false
		}
	}
	return true
}

// maxWork is how many values one evaluation may look at.
const maxWork = 2_000_000

// work is what an evaluation may still do. One that has done all finds no more,
// and fails in the end.
type work struct{ left int }

func (w *work) done() bool {
	w.left--
	return w.left < 0
}

// Eval evaluates the path on the value of its root. The error is a
// *NotFoundError.
func (p *Path) Eval(root any) (any, error) {
	w := &work{maxWork}
	v, err := p.eval(root, w)
	if w.left < 0 {
		return nil, &NotFoundError{Detail: "The path " + p.Source + " leads to too many values"}
	}
	return v, err
}

func (p *Path) eval(root any, w *work) (any, error) {
	if p.Definite() && p.function == "" {
		v := root
		for i := range p.steps {
			var err error
			if v, err = p.one(v, i); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	found := walk(root, root, p.steps, nil, w)
	if p.function != "" {
		prefix := &Path{steps: p.steps}
		if prefix.Definite() {
			v, err := prefix.eval(root, w)
			if err != nil {
				return nil, err
			}
			return call(p.function, v)
		}
		return call(p.function, found)
	}
	if found == nil {
		found = []any{}
	}
	return found, nil
}

// one does a definite step.
func (p *Path) one(v any, i int) (any, error) {
	s := p.steps[i]
	if s.kind == child {
		o, ok := v.(*document.Object)
		if !ok {
			return nil, &NotFoundError{Detail: fmt.Sprintf(
				"Expected to find an object with property ['%s'] in path %s but found '%s'. This is not a json "+
					"object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'.",
				s.names[0], p.prefix(i), javaType(v))}
		}
		if w, ok := o.Get(s.names[0]); ok {
			return w, nil
		}
	} else {
		a, ok := v.([]any)
		if !ok {
			return nil, &NotFoundError{Detail: fmt.Sprintf(
				"Filter: [%d] can only be applied to arrays. Current context is: %s", s.indices[0], document.Text(v))}
		}
		n := s.indices[0]
		if n < 0 {
			n += len(a)
		}
		if n >= 0 && n < len(a) {
			return a[n], nil
		}
	}
	if i == len(p.steps)-1 {
		return nil, &NotFoundError{Detail: "No results for path: " + p.prefix(i+1), PastEnd: s.kind == index}
	}
	return nil, &NotFoundError{Detail: "Missing property in path " + p.prefix(i+1)}
}

func javaType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "java.lang.String"
	case bool:
		return "java.lang.Boolean"
	case []any:
		return "java.util.ArrayList"
	default:
		if _, ok := document.Integer(v); ok {
			return "java.lang.Integer"
		}
		return "java.lang.Double"
	}
}

// prefix spells the first n steps as AWS does.
func (p *Path) prefix(n int) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range p.steps[:n] {
		if s.kind == child {
			b.WriteString("['" + s.names[0] + "']")
		} else {
			b.WriteString("[" + strconv.Itoa(s.indices[0]) + "]")
		}
	}
	return b.String()
}

// walk collects what the steps lead to.
func walk(root, v any, steps []step, found []any, work *work) []any {
	if work.done() {
		return found
	}
	if len(steps) == 0 {
		return append(found, v)
	}
	s, rest := steps[0], steps[1:]
	switch s.kind {
	case child:
		o, ok := v.(*document.Object)
		if !ok {
			return found
		}
		if len(s.names) > 1 && len(rest) == 0 {
			picked := &document.Object{}
			for _, n := range s.names {
				if w, ok := o.Get(n); ok {
					picked.Set(n, w)
				}
			}
			return append(found, picked)
		}
		for _, n := range s.names {
			if w, ok := o.Get(n); ok {
				found = walk(root, w, rest, found, work)
			}
		}
	case index:
		a, _ := v.([]any)
		for _, n := range s.indices {
			if n < 0 {
				n += len(a)
			}
			if n >= 0 && n < len(a) {
				found = walk(root, a[n], rest, found, work)
			}
		}
	case slice:
		a, _ := v.([]any)
		from, to, by := 0, len(a), 1
		bound := func(n *int, or int) int {
			if n == nil {
				return or
			}
			if *n < 0 {
				return max(0, *n+len(a))
			}
			return min(*n, len(a))
		}
		from, to = bound(s.from, from), bound(s.to, to)
		if s.by != nil {
			by = *s.by
		}
		for i := from; i < to && i >= 0; i += by {
			found = walk(root, a[i], rest, found, work)
		}
	case wildcard:
		for _, w := range children(v) {
			found = walk(root, w, rest, found, work)
		}
	case descendant:
		found = descend(root, v, rest, found, work)
	case filter:
		switch v := v.(type) {
		case []any:
			for _, w := range v {
				if s.condition.holds(root, w, work) {
					found = walk(root, w, rest, found, work)
				}
			}
		case *document.Object:
			if s.condition.holds(root, v, work) {
				found = walk(root, v, rest, found, work)
			}
		}
	}
	return found
}

func children(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case *document.Object:
		out := make([]any, 0, v.Len())
		for _, m := range v.Members() {
			out = append(out, m.Value)
		}
		return out
	}
	return nil
}

func descend(root, v any, rest []step, found []any, work *work) []any {
	if work.done() {
		return found
	}
	found = walk(root, v, rest, found, work)
	for _, c := range children(v) {
		found = descend(root, c, rest, found, work)
	}
	return found
}

func call(name string, v any) (any, error) {
	list := children(v)
	switch name {
	case "length", "size":
		switch v := v.(type) {
		case string:
			return document.Int(int64(len([]rune(v)))), nil
		case []any, *document.Object:
			return document.Int(int64(len(list))), nil
		}
		return nil, &NotFoundError{Detail: name + "() needs an array, an object or a string"}
	case "keys":
		o, ok := v.(*document.Object)
		if !ok {
			return nil, &NotFoundError{Detail: "keys() needs an object"}
		}
		out := []any{}
		for _, m := range o.Members() {
			out = append(out, m.Name)
		}
		return out, nil
	case "first", "last":
		if len(list) == 0 {
			return nil, &NotFoundError{Detail: name + "() of nothing"}
		}
		if name == "first" {
			return list[0], nil
		}
		return list[len(list)-1], nil
	}
	var numbers []float64
	for _, e := range list {
		if f, ok := document.Number(e); ok {
			numbers = append(numbers, f)
		}
	}
	if len(numbers) == 0 {
		return nil, &NotFoundError{Detail: "Aggregation function attempted to calculate value using empty array"}
	}
	lo, hi, sum, squares := numbers[0], numbers[0], 0.0, 0.0
	for _, f := range numbers {
		lo, hi, sum, squares = min(lo, f), max(hi, f), sum+f, squares+f*f
	}
	n := float64(len(numbers))
	switch name {
	case "min":
		return document.Float(lo), nil
	case "max":
		return document.Float(hi), nil
	case "sum":
		return document.Float(sum), nil
	case "avg":
		return document.Float(sum / n), nil
	}
	return document.Float(math.Sqrt(squares/n - sum*sum/n/n)), nil
}

func (c either) holds(root, v any, w *work) bool {
	for _, e := range c {
		if e.holds(root, v, w) {
			return true
		}
	}
	return false
}

func (c both) holds(root, v any, w *work) bool {
	for _, e := range c {
		if !e.holds(root, v, w) {
			return false
		}
	}
	return true
}

func (c not) holds(root, v any, w *work) bool { return !c.condition.holds(root, v, w) }

func (c present) holds(root, v any, w *work) bool {
	_, ok := c.value(root, v, w)
	return ok
}

func (o operand) value(root, current any, w *work) (any, bool) {
	if w.done() {
		return nil, false
	}
	if o.path == nil {
		return o.literal, true
	}
	at := root
	if o.current {
		at = current
	}
	v, err := o.path.eval(at, w)
	return v, err == nil
}

func (c compare) holds(root, v any, w *work) bool {
	l, ok := c.left.value(root, v, w)
	if c.pattern != nil {
		s, isString := l.(string)
		return ok && isString && c.pattern.MatchString(s)
	}
	r, ok2 := c.right.value(root, v, w)
	switch c.op {
	case "==", "!=", "in", "nin":
		w.left -= parts(l, w.left) // as many may be compared
	}
	switch c.op {
	case "==":
		return ok && ok2 && document.Equal(l, r)
	case "!=":
		return ok != ok2 || ok && !document.Equal(l, r)
	case "in", "nin":
		list, _ := r.([]any)
		has := false
		for _, e := range list {
			has = has || document.Equal(l, e)
		}
		return ok && has == (c.op == "in")
	}
	if !ok || !ok2 {
		return false
	}
	order := document.CompareNumbers(l, r)
	if a, isString := l.(string); isString {
		b, isString := r.(string)
		if !isString {
			return false
		}
		order = strings.Compare(a, b)
	}
	if order == document.Incomparable {
		return false
	}
	switch c.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// Put returns root with value at the place the path names; what is missing on
// the way is made. The path must be a reference path.
func (p *Path) Put(root, value any) (any, error) { return put(root, value, p.steps) }

func put(v, value any, steps []step) (any, error) {
	if len(steps) == 0 {
		return value, nil
	}
	s := steps[0]
	if s.kind == child {
		o, ok := v.(*document.Object)
		if !ok {
			if v != nil {
				return nil, &NotFoundError{Detail: "not an object"}
			}
			o = &document.Object{}
		}
		old, _ := o.Get(s.names[0])
		if len(steps) > 1 {
			switch old.(type) {
			case *document.Object, []any:
			default:
				old = nil
			}
		}
		w, err := put(old, value, steps[1:])
		if err != nil {
			return nil, err
		}
		return o.With(s.names[0], w), nil
	}
	a, ok := v.([]any)
	if !ok || s.indices[0] >= len(a) {
		return nil, &NotFoundError{Detail: "no such index"}
	}
	w, err := put(a[s.indices[0]], value, steps[1:])
	if err != nil {
		return nil, err
	}
	c := append([]any(nil), a...)
	c[s.indices[0]] = w
	return c, nil
}

// parts counts the values in a value, up to most.
func parts(v any, most int) int {
	n := 1
	for _, c := range children(v) {
		if n >= most {
			break
		}
		n += parts(c, most-n)
	}
	return n
}
