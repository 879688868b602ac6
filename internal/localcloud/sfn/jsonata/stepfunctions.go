package jsonata

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"math"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

// The functions that AWS Step Functions adds to the language (developer
// guide, "Transforming data with JSONata in Step Functions"). Their codes
// are D3137, the language's own for what a program reports. What they do with
// other arguments was seen on AWS:
// github.com/gabrielmoreira/tiny-asl-machine, tests/conformance/cases/.snapshots/aws, and github.com/iwamot/sfnx,
// docs/design.md (2026). The latter has also seen what is as in Java rather than as in JavaScript.

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
	size, given := args[1].(float64)
	if given {
		switch n = clampInt(math.Trunc(size)); {
		case n == 0:
			return Undefined
		case n < 0:
			m.reject("Second argument must be zero or greater")
		}
	}
	if len(items) == 0 {
		if given {
			return Undefined
		}
		return &array{items: []any{&array{items: []any{}}}}
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
		return Undefined
	}
	if count > maxRange {
		m.fail(&Error{Code: "D2014", Value: count})
	}
	m.fits(int64(count) * 20)
	m.alloc((slotSize + 8) * int(count))
	m.work(int(count) / 8)
	out := &array{items: make([]any, int(count)), flags: flagSequence}
	for i := range out.items {
		out.items[i] = boxFloat(first + float64(i)*step)
	}
	return out
}

// fnHash looks at its arguments itself: one that is missing differs from one that is undefined.
func fnHash(m *machine, args []any, _ *callSite) any {
	if len(args) == 0 || len(args) > 2 {
		m.fail(&Error{Code: "T0410", Index: min(len(args), 2) + 1})
	}
	if args[0] == Undefined {
		return Undefined
	}
	str, ok := args[0].(string)
	if !ok {
		m.fail(&Error{Code: "T0410", Value: args[0], Index: 1})
	}
	if len(args) == 1 {
		return Undefined
	}
	algorithm, ok := args[1].(string)
	switch {
	case ok:
	case args[1] == Undefined:
		algorithm = "null"
	default:
		m.fail(&Error{Code: "T0410", Value: args[1], Index: 2})
	}
	m.work(len(str) / 4)
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
	v, err := (&decoder{data: []byte(str), java: true}).document()
	if err != nil {
		m.reject("Invalid JSON")
	}
	return v
}

func fnJavaBase64Encode(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(2 * len(str))
	return base64.StdEncoding.EncodeToString(java.Bytes(str))
}

// fnJavaBase64Decode fails where JSONata's own passes over what is no base64.
func fnJavaBase64Decode(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(2 * len(str))
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(str, "="))
	if err != nil {
		m.fail(&Error{Message: "Illegal base64 character in the argument of function \"base64decode\""})
	}
	return java.Text(raw)
}

// fnJavaDecodeURL is java.net.URLDecoder.
func fnJavaDecodeURL(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(len(str))
	if !strings.ContainsAny(str, "%+") {
		return str
	}
	out, escaped := make([]byte, 0, len(str)), []byte{}
	for i := 0; i < len(str); i++ {
		if str[i] == '%' {
			if i+2 >= len(str) {
				m.badURL(str, m.fault.name)
			}
			b, err := hex.DecodeString(str[i+1 : i+3])
			if err != nil {
				m.badURL(str, m.fault.name)
			}
			escaped = append(escaped, b...)
			i += 2
			continue
		}
		out, escaped = append(out, java.Text(escaped)...), escaped[:0]
		if str[i] == '+' {
			out = append(out, ' ')
		} else {
			out = append(out, str[i])
		}
	}
	return string(append(out, java.Text(escaped)...))
}

// fnJavaSubstring mixes up characters and UTF-16 units where they are not as many: it gives halves of characters, and
// goes beyond the end if there is no length.
func fnJavaSubstring(m *machine, args []any, site *callSite) any {
	str, _ := args[0].(string)
	first, ok := args[1].(float64)
	chars, size := runeCount(str), unitCount(str)
	if !ok || chars == size {
		return fnSubstring(m, args, site)
	}
	m.work(len(str) / 4)
	start, end := clampInt(first), size
	length, given := args[2].(float64)
	switch {
	case given && clampInt(length) <= 0, start >= chars:
		return ""
	case !given:
		m.fail(&Error{Message: "The argument of function \"substring\" has characters that take two units"})
	}
	units := toUnits(str)
	offset := func(chars int) int { return unitCount(str[:byteOffset(str, chars)]) }
	switch {
	case start < 0:
		start = max(0, size+start)
	default:
		start = offset(start)
	}
	end = min(end, start+offset(clampInt(length)))
	return fromUnits(units[start:end])
}
