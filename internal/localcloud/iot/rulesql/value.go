package rulesql

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// Kind is the type of a Value.
type Kind uint8

// The types of the language, and Binary for a payload that is not JSON.
const (
	Undefined Kind = iota
	Null
	Boolean
	Int
	Decimal
	String
	Array
	Object
	Binary
)

// Value is a value of the language; the zero Value is Undefined. Values are
// immutable.
type Value struct {
	kind Kind
	b    bool
	i    int64  // Int, if ref is nil
	s    string // String, Binary
	ref  any    // *apd.Decimal of an Int or Decimal, []Value, *members
}

// members is an object: keys in their order, each once.
type members struct {
	keys   []string
	values []Value
	index  map[string]int // for large objects
}

// NullValue is NULL.
var NullValue = Value{kind: Null}

// StringValue makes a String.
func StringValue(s string) Value { return Value{kind: String, s: s} }

// IntValue makes an Int.
func IntValue(i int64) Value { return Value{kind: Int, i: i} }

// BooleanValue makes a Boolean.
func BooleanValue(b bool) Value { return Value{kind: Boolean, b: b} }

// ArrayValue makes an Array.
func ArrayValue(items ...Value) Value { return Value{kind: Array, ref: items} }

// Kind is the value's type.
func (v Value) Kind() Kind { return v.kind }

func (v Value) undefined() bool { return v.kind == Undefined }
func (v Value) number() bool    { return v.kind == Int || v.kind == Decimal }
func (v Value) items() []Value  { a, _ := v.ref.([]Value); return a }
func (v Value) object() *members {
	o, _ := v.ref.(*members)
	return o
}

// Items are the elements of an Array, nil for anything else.
func (v Value) Items() []Value { return v.items() }

// Each calls f for the members of an Object in their order.
func (v Value) Each(f func(key string, v Value)) {
	if o := v.object(); o != nil {
		for i, k := range o.keys {
			f(k, o.values[i])
		}
	}
}

// Member is the member of an Object; Undefined if there is none.
func (v Value) Member(key string) Value { return v.object().get(key) }

func (o *members) find(key string) int {
	if o == nil {
		return -1
	}
	if o.index != nil {
		if i, ok := o.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range o.keys {
		if k == key {
			return i
		}
	}
	return -1
}

func (o *members) get(key string) Value {
	if i := o.find(key); i >= 0 {
		return o.values[i]
	}
	return Value{}
}

// set is for objects under construction.
func (o *members) set(key string, v Value) {
	if i := o.find(key); i >= 0 {
		o.values[i] = v
		return
	}
	o.keys, o.values = append(o.keys, key), append(o.values, v)
	if o.index != nil {
		o.index[key] = len(o.keys) - 1
	} else if len(o.keys) > 16 {
		o.index = make(map[string]int, 2*len(o.keys))
		for i, k := range o.keys {
			o.index[k] = i
		}
	}
}

// arithmetic has the precision of the language; it is only read.
var arithmetic = &apd.Context{Precision: 34, MaxExponent: 999 + 34, MinExponent: -999 - 34,
	Rounding: apd.RoundHalfEven}

// decimal is a number as an apd.Decimal, which must not be changed.
func (v Value) decimal() *apd.Decimal {
	if d, ok := v.ref.(*apd.Decimal); ok {
		return d
	}
	return apd.New(v.i, 0)
}

// decimalValue makes a Decimal, Undefined if it is out of range.
func decimalValue(d *apd.Decimal) Value {
	if d.Form != apd.Finite {
		return Value{}
	}
	if d.IsZero() && d.Negative {
		d = new(apd.Decimal).Abs(d)
	}
	if !d.IsZero() {
		if e := d.NumDigits() + int64(d.Exponent) - 1; e > 999 || e < -999 {
			return Value{}
		}
	}
	return Value{kind: Decimal, ref: d}
}

// integerValue makes an Int of a number without fraction; a Decimal if it has more
// than 34 digits.
func integerValue(d *apd.Decimal) Value {
	if d.Form != apd.Finite {
		return Value{}
	}
	if i, err := d.Int64(); err == nil {
		return IntValue(i)
	}
	if d.NumDigits()+int64(d.Exponent) > 34 {
		return decimalValue(d)
	}
	whole := new(apd.Decimal)
	if _, err := integers.Quantize(whole, d, 0); err != nil {
		return Value{}
	}
	return Value{kind: Int, ref: whole}
}

var integers = &apd.Context{Precision: 2200, MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent,
	Rounding: apd.RoundHalfUp}

// floatValue makes a Decimal of a float64; what is not a number is Undefined.
func floatValue(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	d, _, err := apd.NewFromString(text)
	if err != nil {
		return Value{}
	}
	return decimalValue(d)
}

// parseNumber reads a JSON number. With normal, a number without fractional
// part is an Int however it is written (2016-03-23).
func parseNumber(text string, normal bool) (Value, bool) {
	if len(text) <= 18 && strings.IndexByte(text, '.') < 0 && !strings.ContainsAny(text, "eE") {
		i, err := strconv.ParseInt(text, 10, 64)
		return IntValue(i), err == nil
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 8 {
		return Value{}, false
	}
	d, _, err := apd.NewFromString(text)
	if err != nil || d.Form != apd.Finite || d.Exponent > 2000 || d.Exponent < -2000 {
		return Value{}, false
	}
	if d.NumDigits() > 34 {
		if _, err := arithmetic.Round(d, d); err != nil {
			return Value{}, false
		}
	}
	plain := !strings.ContainsAny(text, ".eE")
	if plain || (normal && whole(d)) {
		v := integerValue(d)
		return v, !v.undefined()
	}
	v := decimalValue(d)
	return v, !v.undefined()
}

// whole reports whether d has no fractional part.
func whole(d *apd.Decimal) bool {
	if d.Exponent >= 0 || d.IsZero() {
		return true
	}
	if -int64(d.Exponent) >= d.NumDigits() {
		return false
	}
	r := new(apd.Decimal)
	_, err := integers.Quantize(r, d, 0)
	return err == nil && r.Cmp(d) == 0
}

func negate(v Value) Value {
	if v.ref == nil && v.i != math.MinInt64 {
		return IntValue(-v.i)
	}
	d := new(apd.Decimal).Neg(v.decimal())
	if v.kind == Int {
		return integerValue(d)
	}
	return decimalValue(d)
}

// numeric reports whether a String converts to a number:
// ^-?\d+(\.\d+)?([eE]-?\d+)?$
func numeric(s string) bool {
	s = strings.TrimPrefix(s, "-")
	n := digits(s)
	if n == 0 {
		return false
	}
	s = s[n:]
	if strings.HasPrefix(s, ".") {
		if n = digits(s[1:]); n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = strings.TrimPrefix(s[1:], "-")
	return s != "" && digits(s) == len(s)
}

// toNumber converts implicitly to Int or Decimal: numbers are themselves,
// Strings are read. ok is false otherwise.
func (v Value) toNumber() (Value, bool) {
	switch v.kind {
	case Int, Decimal:
		return v, true
	case String:
		if numeric(v.s) {
			return parseNumber(v.s, true)
		}
	}
	return Value{}, false
}

// rounding is how a number becomes an Int.
type rounding uint8

const (
	nearest  rounding = iota // implicit, of a Decimal
	downward                 // cast, and arguments of functions
	toZero                   // implicit, of a String
)

func round(v Value, how rounding) Value {
	if v.kind == Int {
		return v
	}
	d, r := v.decimal(), new(apd.Decimal)
	if d.Exponent >= 0 {
		return integerValue(d)
	}
	c := *integers
	switch how {
	case downward:
		c.Rounding = apd.RoundFloor
	case toZero:
		c.Rounding = apd.RoundDown
	}
	if _, err := c.Quantize(r, d, 0); err != nil {
		return Value{}
	}
	return integerValue(r)
}

// toIndex converts an argument of a function to an int, rounded down and
// clamped to the range of int32.
func (v Value) toIndex() (int, bool) {
	n, ok := v.toNumber()
	if !ok {
		return 0, false
	}
	n = round(n, downward)
	if n.kind != Int || n.ref != nil {
		if n.number() && n.decimal().Negative {
			return math.MinInt32, true
		}
		return math.MaxInt32, n.number()
	}
	return int(max(math.MinInt32, min(math.MaxInt32, n.i))), true
}

func (v Value) toFloat() (float64, bool) {
	n, ok := v.toNumber()
	if !ok {
		return 0, false
	}
	if n.ref == nil {
		return float64(n.i), true
	}
	f, err := n.decimal().Float64()
	return f, err == nil || !math.IsNaN(f)
}

// toBoolean converts implicitly: a Boolean, or "true" and "false" in any case.
func (v Value) toBoolean() (b, ok bool) {
	switch v.kind {
	case Boolean:
		return v.b, true
	case String:
		return strings.EqualFold(v.s, "true"), strings.EqualFold(v.s, "true") || strings.EqualFold(v.s, "false")
	}
	return false, false
}

// toText converts implicitly to String; Null and Undefined do not convert.
func (v Value) toText() (string, bool) {
	switch v.kind {
	case String:
		return v.s, true
	case Binary, Undefined, Null:
		return "", false
	}
	return string(v.AppendJSON(nil)), true
}

// equal is the operator "=" between values that are not Undefined.
func equal(x, y Value) bool {
	if x.number() && y.number() {
		return compare(x, y) == 0
	}
	if x.kind != y.kind {
		return false
	}
	switch x.kind {
	case Boolean:
		return x.b == y.b
	case String, Binary:
		return x.s == y.s
	case Array:
		a, b := x.items(), y.items()
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case Object:
		a, b := x.object(), y.object()
		if len(a.keys) != len(b.keys) {
			return false
		}
		for i, k := range a.keys {
			j := b.find(k)
			if j < 0 || !equal(a.values[i], b.values[j]) {
				return false
			}
		}
	}
	return true
}

func compare(x, y Value) int {
	if x.ref == nil && y.ref == nil {
		switch {
		case x.i < y.i:
			return -1
		case x.i > y.i:
			return 1
		}
		return 0
	}
	return x.decimal().Cmp(y.decimal())
}
