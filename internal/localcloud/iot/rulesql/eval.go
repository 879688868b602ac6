package rulesql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// Message is what a statement sees of a message and its publisher.
type Message struct {
	Payload   []byte
	Topic     string // without the prefix of Basic Ingest
	ClientID  string // "" if not over MQTT
	Principal string
	SourceIP  string
	AccountID string
	TraceID   string // "" if not over MQTT
	Time      time.Time

	PayloadFormat   byte
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte
	UserProperties  [][2]string
}

// Random gives the functions newuuid and rand what they return.
type Random interface {
	UUID() string
	Float64() float64
}

// Input is a message that is being evaluated, by one statement or by many at
// once.
type Input struct {
	Message
	random   Random
	external External
	parsed   [2]struct {
		once  sync.Once
		value Value
	}
}

// NewInput makes an Input. External may be nil: then external functions fail.
func NewInput(m Message, random Random, external External) *Input {
	return &Input{Message: m, random: random, external: external}
}

// root is the payload: parsed if it is JSON, else Binary.
func (in *Input) root(modern bool) Value {
	p := &in.parsed[0]
	if modern {
		p = &in.parsed[1]
	}
	p.once.Do(func() {
		v, err := parseJSON(in.Payload, modern)
		if err != nil {
			v = Value{kind: Binary, s: string(in.Payload)}
		}
		p.value = v
	})
	return p.value
}

// Statement is a compiled rule statement.
type Statement struct {
	source   string
	version  string
	modern   bool
	topic    string
	from     bool
	external bool
	vars     []string
	sets     []node
	query    *query
	whole    bool // SELECT * and nothing else
}

// Compile parses and checks a statement for an SQL version; "" is 2015-10-08. A
// mistake in the statement is a *SyntaxError.
func Compile(source, version string) (*Statement, error) {
	modern, err := knownVersion(version)
	if err != nil {
		return nil, err
	}
	p, err := parse(source)
	if err != nil {
		return nil, err
	}
	c := checker{source: source, modern: modern}
	if err := c.statement(p); err != nil {
		return nil, err
	}
	if version == "" {
		version = Version2015
	}
	return &Statement{
		source: source, version: version, modern: modern, topic: p.topic, from: p.from, external: c.external,
		vars: p.vars, sets: p.sets, query: p.query,
		whole: !p.query.value && len(p.query.items) == 1 && p.query.items[0].star,
	}, nil
}

// Topic is the filter of FROM; ok is false if there is none.
func (s *Statement) Topic() (filter string, ok bool) { return s.topic, s.from }

// External reports whether an evaluation may call other services.
func (s *Statement) External() bool { return s.external }

// Result is what a statement made of a message.
type Result struct {
	value  Value
	bytes  []byte
	values []Value // variables
	names  []string
}

// Bytes are the result as actions send it: JSON, or the payload itself for
// SELECT * alone.
func (r *Result) Bytes() []byte { return r.bytes }

// Value is the result as a value; Binary for a payload that is not JSON.
func (r *Result) Value() Value { return r.value }

// Matches evaluates the variables and WHERE alone.
func (s *Statement) Matches(ctx context.Context, in *Input) (bool, error) {
	if s.query.where == nil {
		return true, nil
	}
	f, err := s.frame(ctx, in)
	if err != nil {
		return false, err
	}
	v, err := f.eval(s.query.where)
	return v.kind == Boolean && v.b, err
}

// Eval evaluates a statement. The result is nil if WHERE is anything but true.
func (s *Statement) Eval(ctx context.Context, in *Input) (*Result, error) {
	f, err := s.frame(ctx, in)
	if err != nil {
		return nil, err
	}
	if s.query.where != nil {
		v, err := f.eval(s.query.where)
		if err != nil {
			return nil, err
		}
		if v.kind != Boolean || !v.b {
			return nil, nil
		}
	}
	r := &Result{values: f.vars, names: s.vars}
	if s.whole {
		r.bytes = in.Payload
		r.value = in.root(s.modern)
		return r, nil
	}
	if r.value, err = f.project(s.query); err != nil {
		return nil, err
	}
	r.bytes = r.value.JSON()
	return r, nil
}

func (s *Statement) frame(ctx context.Context, in *Input) (*frame, error) {
	f := &frame{ctx: ctx, in: in, modern: s.modern, version: s.version}
	total := 0
	for i, x := range s.sets {
		v, err := f.eval(x)
		if err != nil {
			return nil, err
		}
		if v.kind == Binary {
			return nil, fmt.Errorf("rulesql: %s: a payload that is not JSON cannot be put in a variable: encode it",
				s.vars[i])
		}
		if total += len(v.AppendJSON(nil)); total > maxSize {
			return nil, fmt.Errorf("%w: the variables exceed 128 KiB", ErrLimit)
		}
		f.vars = append(f.vars, v)
	}
	return f, nil
}

// frame is one evaluation.
type frame struct {
	ctx     context.Context
	in      *Input
	modern  bool
	version string
	vars    []Value
	scopes  []scope
	steps   int
}

// scope is the element that a nested query looks at.
type scope struct {
	alias string
	value Value
}

func (f *frame) project(q *query) (Value, error) {
	if q.value {
		return f.eval(q.items[0].x)
	}
	out := &members{}
	for i := range q.items {
		it := &q.items[i]
		v, err := f.eval(it.x)
		if err != nil {
			return Value{}, err
		}
		switch {
		case it.star:
			if v.kind == Binary && v.s != "" {
				return Value{}, errors.New(`rulesql: "*" among other items needs a JSON payload: use encode(*, 'base64')`)
			}
			if v.kind == Object {
				v.Each(out.set)
			} else if v.kind != Binary && len(q.items) == 1 && len(f.scopes) > 0 {
				return v, nil // SELECT * over elements that are no objects
			}
		case it.as != nil:
			setPath(out, it.as, v)
		case it.key != "":
			out.set(it.key, v)
		default:
			v.Each(out.set)
		}
	}
	return Value{kind: Object, ref: out}, nil
}

// setPath sets a dotted alias.
func setPath(o *members, path []string, v Value) {
	if v.kind == Binary || v.kind == Undefined {
		return
	}
	for len(path) > 1 {
		inner := &members{}
		if have := o.get(path[0]); have.kind == Object {
			for i, k := range have.object().keys {
				inner.set(k, have.object().values[i])
			}
		}
		o.set(path[0], Value{kind: Object, ref: inner})
		o, path = inner, path[1:]
	}
	o.set(path[0], v)
}

const maxSteps = 1_000_000

func (f *frame) eval(n node) (Value, error) {
	if f.steps++; f.steps > maxSteps {
		return Value{}, fmt.Errorf("%w: the statement does too much work", ErrLimit)
	}
	switch n := n.(type) {
	case *literal:
		return n.value, nil
	case *name:
		return f.lookup(n.text), nil
	case *variable:
		return f.vars[n.index], nil
	case *star:
		if len(f.scopes) > 0 {
			return f.scopes[len(f.scopes)-1].value, nil
		}
		return f.in.root(f.modern), nil
	case *member:
		of, err := f.eval(n.of)
		return of.Member(n.key), err
	case *array:
		items, err := f.evalAll(n.items)
		return ArrayValue(items...), err
	case *object:
		o := &members{}
		for i, x := range n.values {
			v, err := f.eval(x)
			if err != nil {
				return Value{}, err
			}
			o.set(n.keys[i], v)
		}
		return Value{kind: Object, ref: o}, nil
	case *unary:
		x, err := f.eval(n.x)
		if err != nil {
			return Value{}, err
		}
		if n.op == "NOT" {
			b, ok := x.toBoolean()
			if !ok {
				return Value{}, nil
			}
			return BooleanValue(!b), nil
		}
		if v, ok := x.toNumber(); ok {
			return negate(v), nil
		}
		return Value{}, nil
	case *binary:
		x, err := f.eval(n.x)
		if err != nil {
			return Value{}, err
		}
		y, err := f.eval(n.y)
		if err != nil {
			return Value{}, err
		}
		return operate(n.op, x, y)
	case *cases:
		return f.cases(n)
	case *exists:
		items, err := f.each(n.query, true)
		return BooleanValue(len(items) > 0), err
	case *query:
		items, err := f.each(n, false)
		return ArrayValue(items...), err
	case *call:
		return f.call(n)
	}
	return Value{}, fmt.Errorf("rulesql: unknown node %T", n)
}

func (f *frame) evalAll(list []node) ([]Value, error) {
	out := make([]Value, len(list))
	for i, n := range list {
		v, err := f.eval(n)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// lookup resolves a bare name: from the innermost element outwards, then in
// the payload.
func (f *frame) lookup(key string) Value {
	for i := len(f.scopes) - 1; i >= 0; i-- {
		s := &f.scopes[i]
		if s.alias == key {
			return s.value
		}
		if j := s.value.object().find(key); j >= 0 {
			return s.value.object().values[j]
		}
	}
	return f.in.root(f.modern).Member(key)
}

func (f *frame) cases(n *cases) (Value, error) {
	of, err := f.eval(n.of)
	if err != nil || of.undefined() {
		return Value{}, err
	}
	for i, w := range n.when {
		v, err := f.eval(w)
		if err != nil {
			return Value{}, err
		}
		if !v.undefined() && equal(of, v) {
			return f.eval(n.then[i])
		}
	}
	if n.orElse == nil {
		return Value{}, nil
	}
	return f.eval(n.orElse)
}

// each runs a nested query; first stops at the first element it yields.
func (f *frame) each(q *query, first bool) ([]Value, error) {
	from, err := f.eval(q.from)
	if err != nil {
		return nil, err
	}
	var elements []Value
	switch from.kind {
	case Array:
		elements = from.items()
	case Object:
		elements = []Value{from}
	}
	out := []Value{}
	depth := len(f.scopes)
	defer func() { f.scopes = f.scopes[:depth] }()
	for _, e := range elements {
		f.scopes = append(f.scopes[:depth], scope{q.alias, e})
		if q.where != nil {
			v, err := f.eval(q.where)
			if err != nil {
				return nil, err
			}
			if v.kind != Boolean || !v.b {
				continue
			}
		}
		v, err := f.project(q)
		if err != nil {
			return nil, err
		}
		if v.undefined() {
			continue
		}
		out = append(out, v)
		if first {
			break
		}
	}
	return out, nil
}

func operate(op string, x, y Value) (Value, error) {
	switch op {
	case "AND", "OR":
		a, aok := x.toBoolean()
		b, bok := y.toBoolean()
		if !aok || !bok {
			return Value{}, nil
		}
		return BooleanValue((op == "AND" && a && b) || (op == "OR" && (a || b))), nil
	case "=", "<>":
		if x.undefined() || y.undefined() {
			return Value{}, nil
		}
		return BooleanValue(equal(x, y) == (op == "=")), nil
	case "IN":
		if x.undefined() || y.kind != Array {
			return Value{}, nil
		}
		for _, e := range y.items() {
			if equal(x, e) {
				return BooleanValue(true), nil
			}
		}
		return BooleanValue(false), nil
	case "<", "<=", ">", ">=":
		return order(op, x, y), nil
	case "+":
		if x.kind == String || y.kind == String {
			a, aok := x.toText()
			b, bok := y.toText()
			if !aok || !bok {
				return Value{}, nil
			}
			if len(a)+len(b) > 8*maxSize {
				return Value{}, fmt.Errorf("%w: the text exceeds %d bytes", ErrLimit, 8*maxSize)
			}
			return StringValue(a + b), nil
		}
		if !x.number() || !y.number() {
			return Value{}, nil
		}
	}
	a, aok := x.toNumber()
	b, bok := y.toNumber()
	if !aok || !bok {
		return Value{}, nil
	}
	// Strings that convert take part as Decimals.
	return calculate(op, a, b, x.kind == Int && y.kind == Int), nil
}

func order(op string, x, y Value) Value {
	for _, v := range []Value{x, y} {
		if !v.number() && v.kind != String {
			return Value{}
		}
	}
	a, aok := x.toNumber()
	b, bok := y.toNumber()
	if !aok || !bok {
		return BooleanValue(false)
	}
	c := compare(a, b)
	switch op {
	case "<":
		return BooleanValue(c < 0)
	case "<=":
		return BooleanValue(c <= 0)
	case ">":
		return BooleanValue(c > 0)
	}
	return BooleanValue(c >= 0)
}

// calculate does + - * / %; between Ints the result is an Int.
func calculate(op string, a, b Value, ints bool) Value {
	if ints && a.ref == nil && b.ref == nil {
		if v, ok := calculateInts(op, a.i, b.i); ok {
			return v
		}
	}
	x, y, r := a.decimal(), b.decimal(), new(apd.Decimal)
	if (op == "/" || op == "%") && y.IsZero() {
		return Value{}
	}
	var err error
	c := arithmetic
	if ints {
		c = integers
	}
	switch op {
	case "+":
		_, err = c.Add(r, x, y)
	case "-":
		_, err = c.Sub(r, x, y)
	case "*":
		_, err = c.Mul(r, x, y)
	case "/":
		if ints {
			_, err = c.QuoInteger(r, x, y)
		} else if _, err = c.Quo(r, x, y); err == nil {
			r.Reduce(r)
		}
	case "%":
		_, err = integers.Rem(r, x, y)
	}
	if err != nil {
		return Value{}
	}
	if ints {
		return integerValue(r)
	}
	if r.Exponent > 0 { // 1E+2 is written 100
		if _, err := integers.Quantize(r, r, 0); err != nil || r.NumDigits() > 34 {
			if _, err := arithmetic.Round(r, r); err != nil {
				return Value{}
			}
		}
	}
	return decimalValue(r)
}

func calculateInts(op string, a, b int64) (Value, bool) {
	switch op {
	case "+":
		c := a + b
		return IntValue(c), (c > a) == (b > 0)
	case "-":
		c := a - b
		return IntValue(c), (c < a) == (b > 0)
	case "*":
		if a == 0 || b == 0 {
			return IntValue(0), true
		}
		if a == math.MinInt64 || b == math.MinInt64 {
			return Value{}, false
		}
		c := a * b
		return IntValue(c), c/b == a
	case "/":
		if b == 0 {
			return Value{}, true
		}
		if a == math.MinInt64 {
			return Value{}, false
		}
		return IntValue(a / b), true
	default:
		if b == 0 {
			return Value{}, true
		}
		if a == math.MinInt64 {
			return Value{}, false
		}
		return IntValue(a % b), true
	}
}
