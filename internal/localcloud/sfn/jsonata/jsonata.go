package jsonata

import (
	"fmt"
	"time"
)

// Expression is a compiled expression. It may be evaluated many times, also
// at once.
type Expression struct {
	src  string
	root *node
	lib  *library
	refs []Reference
	// context is what it reads of its context item
	context []string
}

// Runtime is what an evaluation may reach outside itself, and how far it may
// go. The zero value, and nil, offer no clock and no randomness, so that the
// functions which need them fail, and the default limits.
type Runtime struct {
	// Now is asked once per evaluation, by $now, $millis and $toMillis.
	Now func() time.Time
	// Random gives numbers from 0 up to but not including 1, for $random and $shuffle.
	Random func() float64
	// UUID gives a version 4 UUID, for $uuid.
	UUID func() string
	// Limits bound one evaluation.
	Limits Limits
}

// Limits bound one evaluation. A zero field means its default. They count
// work, not time, so that the same evaluation always ends the same way; one
// that goes too far fails with U1001.
type Limits struct {
	// Depth is how deeply evaluations of subexpressions may nest; 2,500.
	Depth int
	// Steps is how many subexpressions may be evaluated, with long running
	// functions counted by their work; 10,000,000, about a second.
	Steps int64
	// Memory is how many bytes may be allocated for arrays, objects and
	// strings, freed or not; 512 MiB.
	Memory int64
	// Value is how many bytes a range or a string that is made may have, at
	// eight for each number; 0 means no limit beside Memory.
	Value int64
}

const (
	defaultDepth  = 2500
	defaultSteps  = 10_000_000
	defaultMemory = 512 << 20
)

// Option changes what an expression is compiled with.
type Option func(*options)

type options struct {
	stepFunctions bool
	without       []string
	functions     map[string]*native
}

// Without takes functions out of the library. Their names are free then, as
// if they had never been there.
func Without(names ...string) Option {
	return func(o *options) { o.without = append(o.without, names...) }
}

// WithFunction adds a function to the library, or replaces one. The signature
// is the language's own, as in "<s-n?:s>"; it may be empty. A *Error that fn
// returns fails the evaluation with its code, any other error as D3137.
func WithFunction(name, sig string, fn func(args []Value) (Value, error)) Option {
	f := &native{name: name, arity: 1}
	if sig != "" {
		f.sig = mustSignature(sig)
		f.arity = len(f.sig.params)
	}
	f.call = func(m *machine, args []any, _ *callSite) any {
		in := make([]any, len(args))
		for i, a := range args {
			in[i] = m.export(a)
		}
		out, err := fn(in)
		if err != nil {
			if e, ok := err.(*Error); ok {
				throw(e)
			}
			throw(&Error{Code: "D3137", Message: err.Error()})
		}
		return out
	}
	return func(o *options) {
		if o.functions == nil {
			o.functions = map[string]*native{}
		}
		o.functions[name] = f
	}
}

// StepFunctions is the library as AWS Step Functions has it: without $eval,
// with $partition, $range, $hash, $uuid, $parse and a $random that takes a seed.
func StepFunctions() Option {
	return func(o *options) { o.stepFunctions = true }
}

// Compile parses an expression. The error is an *Error.
func Compile(src string, opts ...Option) (*Expression, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	e := &Expression{src: src, lib: o.library()}
	if err := e.compile(); err != nil {
		return nil, err
	}
	return e, nil
}

// MustCompile is Compile for expressions known to be good; it panics on an error.
func MustCompile(src string, opts ...Option) *Expression {
	e, err := Compile(src, opts...)
	if err != nil {
		panic(err)
	}
	return e
}

func (e *Expression) compile() (err error) {
	defer func() { err = caught(recover(), e.src, err) }()
	tree := parse(e.src, e.lib.java)
	e.refs = references(tree, e.lib)
	var w contextWalker
	w.walk(tree, true)
	e.context = w.found
	for i := range e.refs {
		e.refs[i].Position = unitCount(e.src[:e.refs[i].Position])
	}
	pl := planner{lib: e.lib}
	e.root = pl.root(tree)
	return nil
}

// caught turns what a panic carried into an error. Only a fault of this
// package makes it anything but an *Error, and even that does not reach
// further than the evaluation.
func caught(r any, src string, err error) error {
	switch r := r.(type) {
	case nil:
		return err
	case *Error:
		return r.complete(src)
	case error:
		return &Error{Code: codeInternal, Position: -1, Message: fmt.Sprintf("internal error: %v", r)}
	default:
		panic(r)
	}
}

// codeInternal marks a fault of this package. Tests look for it.
const codeInternal = "U1000"

// String is the source of the expression.
func (e *Expression) String() string { return e.src }

// Eval evaluates the expression against an input document with variables
// bound by their names, without the $. An input or a variable may be
// Undefined. The result is Undefined when the expression selects nothing.
// rt may be nil. The error is an *Error.
func (e *Expression) Eval(rt *Runtime, input Value, bindings map[string]Value) (result Value, err error) {
	m := machine{lib: e.lib, bindings: bindings, input: input, maxDepth: defaultDepth, maxSteps: defaultSteps,
		maxMemory: defaultMemory}
	if rt != nil {
		m.rt = rt
		if rt.Limits.Depth > 0 {
			m.maxDepth = rt.Limits.Depth
		}
		if rt.Limits.Steps > 0 {
			m.maxSteps = rt.Limits.Steps
		}
		if rt.Limits.Memory > 0 {
			m.maxMemory = rt.Limits.Memory
		}
		m.maxValue = rt.Limits.Value
	}
	defer func() {
		if r := recover(); r != nil {
			result, err = nil, caught(r, e.src, nil)
		}
	}()
	if isArray(input) {
		input = &array{items: []any{input}, flags: flagSequence | flagOuter}
	}
	return m.export(m.eval(e.root, input, nil)), nil
}
