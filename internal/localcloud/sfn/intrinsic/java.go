package intrinsic

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

// shown writes a value into the text of States.Format: a text without its quotes, also inside others; an object as
// {name=value, name=value} and an array as [value, value], which is how Java writes its maps and lists; anything else
// as JSON.
func shown(b []byte, v any) []byte {
	if len(b) > maxMade {
		return b
	}
	switch v := v.(type) {
	case string:
		return append(b, v...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = shown(b, e)
		}
		return append(b, ']')
	case *document.Object:
		b = append(b, '{')
		for i, m := range v.Members() {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(append(b, m.Name...), '=')
			b = shown(b, m.Value)
		}
		return append(b, '}')
	}
	return document.Append(b, v)
}

// unique is what a Java HashSet made of a list iterates over: the elements without duplicates, in the order of their
// hash codes' buckets.
func unique(list []any) []any {
	buckets := make([][]any, java.Buckets(len(list)))
	n := 0
	for _, e := range list {
		at := java.Bucket(hashCode(e), len(buckets))
		if !slices.ContainsFunc(buckets[at], func(other any) bool { return same(e, other) }) {
			buckets[at] = append(buckets[at], e)
			n++
		}
	}
	out := make([]any, 0, n)
	for _, bucket := range buckets {
		out = append(out, bucket...)
	}
	return out
}

// same is Java's equals: a number with a fraction, however small, is no integer.
func same(a, b any) bool {
	x, ok := a.(json.Number)
	y, ok2 := b.(json.Number)
	if ok && ok2 && integer(x) != integer(y) {
		return false
	}
	return document.Equal(a, b)
}

func integer(n json.Number) bool {
	for i := range len(n) {
		if c := n[i]; c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}

// hashCode is Java's, of the class that a value of JSON has there.
func hashCode(v any) int32 {
	fold := func(n uint64) int32 { return int32(uint32(n) ^ uint32(n>>32)) }
	switch v := v.(type) {
	case bool:
		if v {
			return 1231
		}
		return 1237
	case string:
		return java.String(v)
	case json.Number:
		if i, ok := document.Integer(v); ok && integer(v) {
			if int64(int32(i)) == i {
				return int32(i)
			}
			return fold(uint64(i))
		}
		if f, ok := document.Number(v); ok {
			return fold(math.Float64bits(f))
		}
	case []any:
		h := int32(1)
		for _, e := range v {
			h = 31*h + hashCode(e)
		}
		return h
	case *document.Object:
		var h int32
		for _, m := range v.Members() {
			h += hashCode(m.Name) ^ hashCode(m.Value)
		}
		return h
	}
	return 0
}

// javaRandom is new java.util.Random(seed).nextInt(n).
func javaRandom(seed, n int64) int64 {
	state := (uint64(seed) ^ 0x5DEECE66D) & (1<<48 - 1)
	next := func() int64 {
		state = (state*0x5DEECE66D + 0xB) & (1<<48 - 1)
		return int64(state >> 17)
	}
	bits := next()
	if n&(n-1) == 0 {
		return n * bits >> 31
	}
	for bits-bits%n+n-1 >= 1<<31 {
		bits = next()
	}
	return bits % n
}
