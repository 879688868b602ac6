package jsonata

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"math"
)

// The functions that AWS Step Functions adds to the language (developer
// guide, "Transforming data with JSONata in Step Functions"). Their codes
// are D3137, the language's own for what a program reports. What they do with
// other arguments was seen on AWS:
// github.com/gabrielmoreira/tiny-asl-machine, tests/conformance/cases/.snapshots/aws (2026).

func (m *machine) reject(message string) {
	m.fail(&Error{Code: "D3137", Message: message})
}

// fnPartition makes one part of all without a size, and none of size 0.
func fnPartition(m *machine, args []any, _ *callSite) any {
	if args[0] == Undefined {
		return Undefined
	}
	items, ok := itemsOf(args[0])
	if !ok {
		m.fail(&Error{Code: "T0412", Value: args[0], Index: 1})
	}
	n := max(1, len(items))
	if size, given := args[1].(float64); given {
		switch n = clampInt(math.Trunc(size)); {
		case n == 0:
			return Undefined
		case n < 0:
			m.reject("Second argument must be zero or greater")
		}
	}
	out := &array{}
	for start := 0; start < len(items); start += n {
		m.alloc(48)
		end := min(start+n, len(items))
		m.push(out, &array{items: items[start:end:end]})
	}
	return out
}

func fnRange(m *machine, args []any, _ *callSite) any {
	var v [3]float64
	for i := range v {
		f, ok := args[i].(float64)
		if !ok {
			return Undefined
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			m.reject("The arguments of the range function must be numbers")
		}
		v[i] = math.Trunc(f)
	}
	first, last, step := v[0], v[1], v[2]
	if step == 0 {
		return Undefined
	}
	count := math.Floor((last-first)/step) + 1
	if count <= 0 {
		return &array{items: []any{}}
	}
	if count > maxRange {
		m.fail(&Error{Code: "D2014", Value: count})
	}
	m.fits(int64(count) * 20)
	m.alloc((slotSize + 8) * int(count))
	m.work(int(count) / 8)
	out := &array{items: make([]any, int(count))}
	for i := range out.items {
		out.items[i] = boxFloat(first + float64(i)*step)
	}
	return out
}

func fnHash(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.work(len(str) / 4)
	algorithm, _ := args[1].(string)
	data := []byte(str)
	switch algorithm {
	case "MD5":
		s := md5.Sum(data)
		return hex.EncodeToString(s[:])
	case "SHA-1":
		s := sha1.Sum(data)
		return hex.EncodeToString(s[:])
	case "SHA-256":
		s := sha256.Sum256(data)
		return hex.EncodeToString(s[:])
	case "SHA-384":
		s := sha512.Sum384(data)
		return hex.EncodeToString(s[:])
	case "SHA-512":
		s := sha512.Sum512(data)
		return hex.EncodeToString(s[:])
	}
	m.reject("Hash algorithm '" + algorithm + "' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5")
	return nil
}

// fnRandom takes a seed in Step Functions, and gives the first double of a java.util.Random with it.
func fnRandom(m *machine, args []any, _ *callSite) any {
	if len(args) > 0 {
		if seed, ok := args[0].(float64); ok {
			if seed != math.Trunc(seed) || math.Abs(seed) > 1<<53 {
				m.reject("The argument of the random function must be an integer")
			}
			return seededRandom(int64(seed))
		}
	}
	return m.random()
}

func seededRandom(seed int64) float64 {
	const multiplier, mask = 0x5DEECE66D, 1<<48 - 1
	state := (seed ^ multiplier) & mask
	next := func(bits uint) int64 {
		state = (state*multiplier + 0xB) & mask
		return state >> (48 - bits)
	}
	high := next(26) << 27
	return float64(high+next(27)) / (1 << 53)
}

func fnUUID(m *machine, _ []any, _ *callSite) any {
	if m.rt == nil || m.rt.UUID == nil {
		m.reject("this evaluation has no source of UUIDs")
	}
	return m.rt.UUID()
}

func fnParse(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(8 * len(str))
	m.work(len(str) / 8)
	v, err := DecodeJSON([]byte(str))
	if err != nil {
		m.reject("Invalid JSON")
	}
	return v
}
