package metricmath

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// Point is a value at a time in seconds since the epoch.
type Point struct {
	Time  int64
	Value float64
}

// Series is a time series, sorted by time without two points at one time.
type Series struct {
	ID     string // of the query it answers, "" if it came from a function
	Label  string
	Period int64 // seconds
	Points []Point
}

func (s Series) at(t int64) (float64, bool) {
	i, ok := slices.BinarySearchFunc(s.Points, t, func(p Point, t int64) int {
		return int(min(max(p.Time-t, -1), 1))
	})
	if !ok {
		return 0, false
	}
	return s.Points[i].Value, true
}

// points computes every value anew.
func (s Series) points(f func(Point) float64) Series {
	out := Series{ID: s.ID, Label: s.Label, Period: s.Period}
	for _, p := range s.Points {
		out.Points = append(out.Points, Point{p.Time, f(p)})
	}
	return out.clean()
}

// clean sorts and drops what is no number.
func (s Series) clean() Series {
	s.Points = slices.DeleteFunc(s.Points, func(p Point) bool { return math.IsNaN(p.Value) || math.IsInf(p.Value, 0) })
	sort.SliceStable(s.Points, func(i, j int) bool { return s.Points[i].Time < s.Points[j].Time })
	return s
}

// Kind says what a Value is.
type Kind int

// The kinds of values. Text and Word stand only as arguments.
const (
	Scalar Kind = iota
	One         // one series
	List        // list of series
	Text        // string
	Word        // REPEAT, DESC ...
)

// Value is what an expression or a part of it is worth.
type Value struct {
	Kind   Kind
	Scalar float64
	Series []Series // exactly one for One
	Text   string
}

// Number is a scalar value.
func Number(v float64) Value { return Value{Kind: Scalar, Scalar: v} }

func single(s Series) Value { return Value{Kind: One, Series: []Series{s}} }

// Env is what an expression is computed over.
type Env struct {
	// Lookup finds what a query of that id is worth; ok is false if there
	// is none.
	Lookup func(id string) (v Value, ok bool, err error)
	// Metrics are the series for METRICS, in the order of the request.
	Metrics []Series
	// Search finds series for SEARCH; nil refuses it.
	Search func(query, stat string, period int64) ([]Series, error)
	// Period in seconds is that of the request, for TIME_SERIES and SEARCH.
	Period int64
	// Start and End bound the range [Start, End) that FILL fills.
	Start, End int64
}

// maxSeries bounds a list: lists of lists of other queries grow fast.
const maxSeries = 10_000

// maxGrid bounds what FILL and TIME_SERIES make.
const maxGrid = 100_800

// grid lists the beginnings of the periods in the range.
func (e *Env) grid(period int64) []int64 {
	if period <= 0 || e.End <= e.Start {
		return nil
	}
	first := e.Start / period * period
	var out []int64
	for t := first; t < e.End && len(out) < maxGrid; t += period {
		out = append(out, t)
	}
	return out
}

// Eval computes the expression. The error is an *Error or one of Env.
func (e *Expr) Eval(env Env) (Value, error) {
	v, err := eval(&env, e.root)
	if err == nil && (v.Kind == Text || v.Kind == Word) {
		err = fault(e.root.offset, "the expression is neither a number nor a time series")
	}
	return v, err
}

func eval(env *Env, n *node) (Value, error) {
	switch n.op {
	case "num":
		return Number(n.value), nil
	case "str":
		return Value{Kind: Text, Text: n.name}, nil
	case "key":
		return Value{Kind: Word, Text: n.name}, nil
	case "id":
		v, ok, err := env.Lookup(n.name)
		if err == nil && !ok {
			err = fault(n.offset, "there is no metric or expression with the id %q", n.name)
		}
		return v, err
	}
	args := make([]Value, len(n.args))
	for i, a := range n.args {
		v, err := eval(env, a)
		if err != nil {
			return Value{}, err
		}
		args[i] = v
	}
	switch n.op {
	case "call":
		return functions[n.name].run(&call{env, n, args, n.offset})
	case "list":
		out := Value{Kind: List, Series: []Series{}}
		for i, a := range args {
			if a.Kind != One && a.Kind != List {
				return Value{}, fault(n.args[i].offset, "a list holds time series only")
			}
			if len(out.Series)+len(a.Series) > maxSeries {
				return Value{}, fault(n.offset, "the list has more than %d time series", maxSeries)
			}
			out.Series = append(out.Series, a.Series...)
		}
		return out, nil
	case "neg":
		return combine(n, Number(-1), args[0], func(a, b float64) float64 { return a * b })
	}
	return combine(n, args[0], args[1], operators[n.op])
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var operators = map[string]func(a, b float64) float64{
	"+":  func(a, b float64) float64 { return a + b },
	"-":  func(a, b float64) float64 { return a - b },
	"*":  func(a, b float64) float64 { return a * b },
	"/":  func(a, b float64) float64 { return a / b },
	"^":  math.Pow,
	"==": func(a, b float64) float64 { return truth(a == b) },
	"!=": func(a, b float64) float64 { return truth(a != b) },
	"<":  func(a, b float64) float64 { return truth(a < b) },
	"<=": func(a, b float64) float64 { return truth(a <= b) },
	">":  func(a, b float64) float64 { return truth(a > b) },
	">=": func(a, b float64) float64 { return truth(a >= b) },
	"&&": func(a, b float64) float64 { return truth(a != 0 && b != 0) },
	"||": func(a, b float64) float64 { return truth(a != 0 || b != 0) },
}

// combine applies an operator to two values of any kinds but two lists.
func combine(n *node, a, b Value, f func(a, b float64) float64) (Value, error) {
	if a.Kind > List || b.Kind > List {
		return Value{}, fault(n.offset, "the operator needs numbers or time series")
	}
	if a.Kind == List && b.Kind == List {
		return Value{}, fault(n.offset, "the operator cannot join two lists of time series")
	}
	if a.Kind == Scalar && b.Kind == Scalar {
		return Number(f(a.Scalar, b.Scalar)), nil
	}
	pair := func(a, b Value) Series {
		switch {
		case a.Kind == Scalar:
			return b.Series[0].points(func(p Point) float64 { return f(a.Scalar, p.Value) })
		case b.Kind == Scalar:
			return a.Series[0].points(func(p Point) float64 { return f(p.Value, b.Scalar) })
		}
		out := Series{ID: a.Series[0].ID, Label: a.Series[0].Label, Period: max(a.Series[0].Period,
			b.Series[0].Period)}
		for _, p := range a.Series[0].Points {
			if v, ok := b.Series[0].at(p.Time); ok {
				out.Points = append(out.Points, Point{p.Time, f(p.Value, v)})
			}
		}
		return out.clean()
	}
	switch {
	case a.Kind == List:
		out := Value{Kind: List, Series: []Series{}}
		for _, s := range a.Series {
			out.Series = append(out.Series, pair(single(s), b))
		}
		return out, nil
	case b.Kind == List:
		out := Value{Kind: List, Series: []Series{}}
		for _, s := range b.Series {
			out.Series = append(out.Series, pair(a, single(s)))
		}
		return out, nil
	}
	return single(pair(a, b)), nil
}

func contains(id, part string) bool { return strings.Contains(id, part) }
