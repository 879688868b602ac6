package jsonata

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
)

// Value is a JSON value as expressions see it: nil (JSON null), bool, float64,
// string, []any, *Object, Undefined, or a function. Values handed to Eval are
// never changed by it, so one document may serve any number of evaluations at
// once; the same holds for the caller while an evaluation runs.
type Value = any

type undefined struct{ _ byte }

// Undefined is what an expression yields that selects nothing. It is not null.
var Undefined Value = &undefined{}

// IsUndefined tells nothing from null.
func IsUndefined(v Value) bool { return v == Undefined }

// Object is a JSON object that keeps its keys in the order of insertion.
// The zero value is an empty object.
type Object struct {
	keys  []string
	vals  []any
	index map[string]int // only for objects with more than indexFrom keys

	// internal says that a value below this object is one of the engine's own
	// arrays or functions, so that export has to look inside.
	internal bool
}

// Scanning a few short keys beats hashing.
const indexFrom = 12

// NewObject makes an empty object with room for n keys.
func NewObject(n int) *Object {
	switch {
	case n <= 0:
		return &Object{}
	case n <= 2: // small ones in one piece of memory
		o := &struct {
			Object
			k [2]string
			v [2]any
		}{}
		o.keys, o.vals = o.k[:0], o.v[:0]
		return &o.Object
	case n <= 4:
		o := &struct {
			Object
			k [4]string
			v [4]any
		}{}
		o.keys, o.vals = o.k[:0], o.v[:0]
		return &o.Object
	}
	return &Object{keys: make([]string, 0, n), vals: make([]any, 0, n)}
}

// Len is the number of keys.
func (o *Object) Len() int { return len(o.keys) }

// Keys lists the keys in order. The slice belongs to the object.
func (o *Object) Keys() []string { return o.keys }

// At gives the i-th key and its value.
func (o *Object) At(i int) (string, Value) { return o.keys[i], o.vals[i] }

// All ranges over the keys in order.
func (o *Object) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for i, k := range o.keys {
			if !yield(k, o.vals[i]) {
				return
			}
		}
	}
}

func (o *Object) find(key string) int {
	if o.index != nil {
		if i, ok := o.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range o.keys {
		if o.keys[i] == key {
			return i
		}
	}
	return -1
}

// Get gives the value of a key, and whether the key is there.
func (o *Object) Get(key string) (Value, bool) {
	if i := o.find(key); i >= 0 {
		return o.vals[i], true
	}
	return Undefined, false
}

// lookup is Get with Undefined for a missing key.
func (o *Object) lookup(key string) any {
	if i := o.find(key); i >= 0 {
		return o.vals[i]
	}
	return Undefined
}

// Set gives a key a value; a key that is there keeps its place.
func (o *Object) Set(key string, v Value) {
	if !o.internal {
		switch v := v.(type) {
		case *array, function:
			o.internal = true
		case *Object:
			o.internal = v.internal
		}
	}
	if i := o.find(key); i >= 0 {
		o.vals[i] = v
		return
	}
	o.keys = append(o.keys, key)
	o.vals = append(o.vals, v)
	if o.index != nil {
		o.index[key] = len(o.keys) - 1
	} else if len(o.keys) > indexFrom {
		o.reindex()
	}
}

// Delete removes a key, if it is there.
func (o *Object) Delete(key string) {
	i := o.find(key)
	if i < 0 {
		return
	}
	o.keys = slices.Delete(slices.Clone(o.keys), i, i+1)
	o.vals = slices.Delete(slices.Clone(o.vals), i, i+1)
	o.index = nil
	if len(o.keys) > indexFrom {
		o.reindex()
	}
}

func (o *Object) reindex() {
	o.index = make(map[string]int, 2*len(o.keys))
	for i, k := range o.keys {
		o.index[k] = i
	}
}

// MarshalJSON is EncodeJSON, so that encoding/json writes objects in order.
func (o *Object) MarshalJSON() ([]byte, error) { return EncodeJSON(o) }

// array is an array that the engine made. Arrays of documents are []any and
// have no flags.
type array struct {
	items []any
	flags arrayFlags
}

type arrayFlags uint8

const (
	// flagSequence marks the result of a selection: one item stands for
	// itself, none for Undefined.
	flagSequence arrayFlags = 1 << iota
	// flagKeep keeps a sequence of one item an array.
	flagKeep
	// flagCons marks an array constructor in a path, which is not flattened.
	flagCons
	// flagOuter marks the wrapping of an input document that is an array.
	flagOuter
	// flagTuples marks a sequence whose items are *tuple.
	flagTuples
)

func newSequence(items ...any) *array { return &array{items: items, flags: flagSequence} }

func (a *array) is(f arrayFlags) bool { return a.flags&f != 0 }

// itemsOf gives the items of either kind of array.
func itemsOf(v any) ([]any, bool) {
	switch a := v.(type) {
	case []any:
		return a, true
	case *array:
		return a.items, true
	}
	return nil, false
}

func isArray(v any) bool {
	_, ok := itemsOf(v)
	return ok
}

func isSequence(v any) bool {
	a, ok := v.(*array)
	return ok && a.is(flagSequence)
}

func isCons(v any) bool {
	a, ok := v.(*array)
	return ok && a.is(flagCons)
}

// sameIdentity is the === of JavaScript.
func sameIdentity(a, b any) bool {
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		return ok && len(x) == len(y) && len(x) > 0 && &x[0] == &y[0]
	case float64:
		y, ok := b.(float64)
		return ok && x == y
	case string:
		y, ok := b.(string)
		return ok && x == y
	}
	if _, ok := b.([]any); ok {
		return false
	}
	return a == b
}

// maxNesting bounds every walk over a value, and with it the stack.
const maxNesting = 5000

func deepEqual(a, b any) bool { return (&machine{maxSteps: math.MaxInt64}).equal(a, b, 0) }

func (m *machine) equal(a, b any, depth int) bool {
	if depth > maxNesting {
		throw(errNesting())
	}
	if x, ok := itemsOf(a); ok {
		y, ok := itemsOf(b)
		if !ok || len(x) != len(y) {
			return false
		}
		m.work(len(x))
		for i := range x {
			if !m.equal(x[i], y[i], depth+1) {
				return false
			}
		}
		return true
	}
	if x, ok := a.(*Object); ok {
		y, ok := b.(*Object)
		if !ok || x.Len() != y.Len() {
			return false
		}
		if x == y {
			return true
		}
		m.work(x.Len())
		for i, k := range x.keys {
			j := y.find(k)
			if j < 0 || !m.equal(x.vals[i], y.vals[j], depth+1) {
				return false
			}
		}
		return true
	}
	if x, ok := a.(string); ok {
		m.work(len(x) / 256)
	}
	return sameIdentity(a, b)
}

// export turns the engine's arrays into []any, copying only what holds one.
func (m *machine) export(v any) any { return m.exportAt(v, 0) }

func (m *machine) exportAt(v any, depth int) any {
	if depth > maxNesting {
		throw(errNesting())
	}
	switch x := v.(type) {
	case *array:
		// What is shared is written out for each that shares it.
		m.alloc(slotSize * len(x.items))
		m.work(len(x.items) / 8)
		out := make([]any, len(x.items))
		for i, item := range x.items {
			if item == Undefined {
				item = nil
			}
			out[i] = m.exportAt(item, depth+1)
		}
		return out
	case *Object:
		if !x.internal {
			return x
		}
		m.alloc(64 + 48*x.Len())
		m.work(1 + x.Len()/8)
		out := NewObject(x.Len())
		for i, k := range x.keys {
			if x.vals[i] == Undefined {
				continue
			}
			out.Set(k, m.exportAt(x.vals[i], depth+1))
		}
		return out
	case *tuple:
		return m.exportAt(x.context, depth+1)
	}
	return v
}

// FromGo converts what encoding/json would produce or accept (maps, slices of
// any, integers, json.Number) into a Value. Keys of Go maps come out sorted.
func FromGo(v any) (Value, error) {
	switch x := v.(type) {
	case nil, bool, float64, string, *Object, *undefined, function:
		return v, nil
	case float32:
		return float64(x), nil
	case int:
		return float64(x), nil
	case int32:
		return float64(x), nil
	case int64:
		return float64(x), nil
	case uint32:
		return float64(x), nil
	case uint64:
		return float64(x), nil
	case json.Number:
		f, err := x.Float64()
		if err != nil {
			return nil, fmt.Errorf("jsonata.FromGo: %w", err)
		}
		return f, nil
	case []string:
		out := make([]any, len(x))
		for i, s := range x {
			out[i] = s
		}
		return out, nil
	case []any:
		out := make([]any, len(x))
		for i, item := range x {
			c, err := FromGo(item)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case map[string]any:
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		out := NewObject(len(keys))
		for _, k := range keys {
			c, err := FromGo(x[k])
			if err != nil {
				return nil, err
			}
			out.Set(k, c)
		}
		return out, nil
	case json.RawMessage:
		return DecodeJSON(x)
	}
	return nil, fmt.Errorf("jsonata.FromGo: no JSON value for %T", v)
}

// TypeOf names the type of a value as the function $type does: null, number,
// string, boolean, array, object, function, or undefined.
func TypeOf(v Value) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any, *array:
		return "array"
	case *Object:
		return "object"
	case *undefined:
		return "undefined"
	case function:
		return "function"
	default:
		return fmt.Sprintf("%T", x)
	}
}

// number says whether v is one; NaN is not, and an infinity is an error.
func number(v any) (float64, bool) {
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) {
		return 0, false
	}
	if math.IsInf(f, 0) {
		throw(&Error{Code: "D1001", Value: f})
	}
	return f, true
}

func allNumbers(items []any) bool {
	for _, v := range items {
		if _, ok := number(v); !ok {
			return false
		}
	}
	return true
}

func allStrings(items []any) bool {
	for _, v := range items {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return true
}

// truth is the effective boolean value. ok is false for Undefined.
func (m *machine) truth(v any, depth int) (b, ok bool) {
	if depth > maxNesting {
		throw(errNesting())
	}
	switch x := v.(type) {
	case bool:
		return x, true
	case string:
		return x != "", true
	case nil:
		return false, true
	case *undefined:
		return false, false
	case float64:
		f, ok := number(x)
		return ok && f != 0, true
	case *Object:
		return x.Len() > 0, true
	case *matcher, *matchNext, detached:
		return false, true
	case function:
		return true, true
	}
	if items, isArr := itemsOf(v); isArr {
		if len(items) == 1 {
			return m.truth(items[0], depth+1)
		}
		m.work(len(items))
		for _, item := range items {
			if b, _ := m.truth(item, depth+1); b {
				return true, true
			}
		}
	}
	return false, true
}

func (m *machine) isTrue(v any) bool {
	if b, ok := v.(bool); ok {
		return b
	}
	b, _ := m.truth(v, 0)
	return b
}
