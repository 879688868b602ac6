package intrinsic

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// Env is what an evaluation needs from outside.
type Env struct {
	Resolve func(p *jsonpath.Path) (any, error)
	// Random returns a number from 0 up to n, n excluded.
	Random func(n int64) int64
	UUID   func() string
}

// Error is a failed call: States.IntrinsicFailure.
type Error struct {
	Call    string
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("The function '%s' had the following error: %s", e.Call, e.Message)
}

// Limits of the functions.
const (
	MaxText  = 10000   // characters for Base64 and Hash
	MaxRange = 1000    // elements of ArrayRange
	maxMade  = 1 << 22 // bytes of a text that is made, far more than a state can pass on
)

type function struct {
	name        string
	least, most int // number of arguments; most < 0: any
	run         func(env *Env, args []any) (any, string)
}

var functions = map[string]*function{}

func define(name string, least, most int, run func(env *Env, args []any) (any, string)) {
	functions[name] = &function{name, least, most, run}
}

// Eval evaluates the call.
func (c *Call) Eval(env *Env) (any, error) {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		var err error
		switch {
		case a.path != nil:
			args[i], err = env.Resolve(a.path)
		case a.call != nil:
			args[i], err = a.call.Eval(env)
		case c.function.name == "Format" && i == 0 && a.escaped != "":
			args[i] = a.escaped
		default:
			args[i] = a.literal
		}
		if err != nil {
			return nil, err
		}
	}
	v, problem := c.function.run(env, args)
	if problem != "" {
		return nil, &Error{c.Source, problem}
	}
	return v, nil
}

// round is Java's Math.round, which is how Step Functions makes integers.
func round(v any) (int64, bool) {
	if i, ok := document.Integer(v); ok {
		return i, true
	}
	f, ok := document.Number(v)
	if !ok || math.Abs(f) >= 1<<62 {
		return 0, false
	}
	return int64(math.Floor(f + 0.5)), true
}

func init() {
	define("Format", 1, -1, format)
	define("StringToJson", 1, 1, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		if !ok {
			return nil, "The argument must be a string."
		}
		if strings.TrimSpace(s) == "" {
			return nil, ""
		}
		v, err := document.ParseString(s)
		if err != nil {
			return nil, "The argument is not valid JSON: " + err.Error()
		}
		return v, ""
	})
	define("JsonToString", 1, 1, func(_ *Env, a []any) (any, string) {
		b, ok := document.AppendLimit(nil, a[0], maxMade)
		if !ok {
			return nil, "The result is too long."
		}
		return string(b), ""
	})
	define("JsonMerge", 3, 3, func(_ *Env, a []any) (any, string) {
		x, ok := a[0].(*document.Object)
		y, ok2 := a[1].(*document.Object)
		if !ok || !ok2 {
			return nil, "The first two arguments must be JSON objects."
		}
		if a[2] != false {
			return nil, "Deep merge is not supported: the third argument must be false."
		}
		out := document.NewObject(x.Members()...)
		for _, m := range y.Members() {
			out.Set(m.Name, m.Value)
		}
		return out, ""
	})
	define("Array", 0, -1, func(_ *Env, a []any) (any, string) { return a, "" })
	define("ArrayPartition", 2, 2, partition)
	define("ArrayContains", 2, 2, func(_ *Env, a []any) (any, string) {
		list, ok := a[0].([]any)
		if !ok {
			return nil, "The first argument must be an array."
		}
		for _, e := range list {
			if document.Equal(e, a[1]) {
				return true, ""
			}
		}
		return false, ""
	})
	define("ArrayRange", 3, 3, func(_ *Env, a []any) (any, string) {
		from, ok := round(a[0])
		to, ok2 := round(a[1])
		by, ok3 := round(a[2])
		if !ok || !ok2 || !ok3 {
			return nil, "The arguments must be numbers."
		}
		if by == 0 {
			return nil, "The step must not be 0."
		}
		out := []any{}
		for n := from; by > 0 && n <= to || by < 0 && n >= to; n += by {
			if len(out) == MaxRange {
				return nil, "The range has more than 1000 elements."
			}
			out = append(out, document.Int(n))
			if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
				break
			}
		}
		return out, ""
	})
	define("ArrayGetItem", 2, 2, func(_ *Env, a []any) (any, string) {
		list, ok := a[0].([]any)
		n, ok2 := document.Integer(a[1])
		if !ok || !ok2 {
			return nil, "The arguments must be an array and an integer."
		}
		if n < 0 || n >= int64(len(list)) {
			return nil, "The index is out of the array's bounds."
		}
		return list[n], ""
	})
	define("ArrayLength", 1, 1, func(_ *Env, a []any) (any, string) {
		list, ok := a[0].([]any)
		if !ok {
			return nil, "The argument must be an array."
		}
		return document.Int(int64(len(list))), ""
	})
	define("ArrayUnique", 1, 1, func(_ *Env, a []any) (any, string) {
		list, ok := a[0].([]any)
		if !ok {
			return nil, "The argument must be an array."
		}
		out := []any{}
		seen := map[string]bool{}
		for _, e := range list {
			k := string(canonical(nil, e))
			if !seen[k] {
				seen[k] = true
				out = append(out, e)
			}
		}
		return out, ""
	})
	define("Base64Encode", 1, 1, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		if !ok || len(s) > MaxText {
			return nil, "The argument must be a string of at most 10000 characters."
		}
		return base64.StdEncoding.EncodeToString([]byte(s)), ""
	})
	define("Base64Decode", 1, 1, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		if !ok || len(s) > MaxText {
			return nil, "The argument must be a string of at most 10000 characters."
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			if b, err = base64.RawStdEncoding.DecodeString(s); err != nil {
				return nil, "The argument is not valid Base64."
			}
		}
		return strings.ToValidUTF8(string(b), "\uFFFD"), ""
	})
	define("Hash", 2, 2, hash)
	define("MathRandom", 2, 3, random)
	define("MathAdd", 2, 2, func(_ *Env, a []any) (any, string) {
		x, ok := round(a[0])
		y, ok2 := round(a[1])
		if !ok || !ok2 {
			return nil, "The arguments must be numbers."
		}
		return document.Int(x + y), ""
	})
	define("StringSplit", 2, 2, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		by, ok2 := a[1].(string)
		if !ok || !ok2 {
			return nil, "The arguments must be strings."
		}
		out := []any{}
		for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(by, r) }) {
			out = append(out, part)
		}
		return out, ""
	})
	define("UUID", 0, 0, func(env *Env, _ []any) (any, string) { return env.UUID(), "" })
}

func format(_ *Env, a []any) (any, string) {
	template, ok := a[0].(string)
	if !ok {
		return nil, "The first argument must be a string."
	}
	var b strings.Builder
	args := a[1:]
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c == '\\' && i+1 < len(template) && strings.IndexByte(`'{}\`, template[i+1]) >= 0:
			i++
			b.WriteByte(template[i])
		case c == '{' && i+1 < len(template) && template[i+1] == '}':
			i++
			if len(args) == 0 {
				return nil, "There are more placeholders than arguments."
			}
			text := shown(nil, args[0])
			if len(text)+b.Len() > maxMade {
				return nil, "The result is too long."
			}
			b.Write(text)
			args = args[1:]
		default:
			b.WriteByte(c)
		}
	}
	if len(args) > 0 {
		return nil, "There are more arguments than placeholders."
	}
	return b.String(), ""
}

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

func partition(_ *Env, a []any) (any, string) {
	list, ok := a[0].([]any)
	n, ok2 := round(a[1])
	if !ok || !ok2 || n <= 0 {
		return nil, "The arguments must be an array and a positive integer."
	}
	out := []any{}
	for len(list) > 0 {
		k := min(n, int64(len(list)))
		out = append(out, list[:k:k])
		list = list[k:]
	}
	return out, ""
}

func hash(_ *Env, a []any) (any, string) {
	text, ok := a[0].(string)
	if !ok {
		made, _ := document.AppendLimit(nil, a[0], MaxText)
		text = string(made)
	}
	if len(text) > MaxText {
		return nil, "The data has more than 10000 characters."
	}
	b := []byte(text)
	switch a[1] {
	case "MD5":
		h := md5.Sum(b)
		return hex.EncodeToString(h[:]), ""
	case "SHA-1":
		h := sha1.Sum(b)
		return hex.EncodeToString(h[:]), ""
	case "SHA-256":
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:]), ""
	case "SHA-384":
		h := sha512.Sum384(b)
		return hex.EncodeToString(h[:]), ""
	case "SHA-512":
		h := sha512.Sum512(b)
		return hex.EncodeToString(h[:]), ""
	}
	return nil, "The algorithm must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512."
}

func random(env *Env, a []any) (any, string) {
	from, ok := round(a[0])
	to, ok2 := round(a[1])
	if !ok || !ok2 {
		return nil, "The arguments must be numbers."
	}
	width := to - from
	if width <= 0 {
		return nil, "The end must be greater than the start."
	}
	if len(a) == 2 {
		return document.Int(from + env.Random(width)), ""
	}
	seed, ok := round(a[2])
	if !ok {
		return nil, "The seed must be a number."
	}
	// The linear congruential generator of java.util.Random, one draw of 62 bits.
	state := (uint64(seed) ^ 0x5DEECE66D) & (1<<48 - 1)
	next := func() uint64 {
		state = (state*0x5DEECE66D + 0xB) & (1<<48 - 1)
		return state >> 17
	}
	return document.Int(from + int64((next()<<31|next())%uint64(width))), ""
}

// canonical writes a value such that equal values are written alike.
func canonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case []any:
		b = append(b, '[')
		for _, e := range v {
			b = append(canonical(b, e), ',')
		}
		return append(b, ']')
	case *document.Object:
		members := slices.Clone(v.Members())
		slices.SortFunc(members, func(x, y document.Member) int { return strings.Compare(x.Name, y.Name) })
		b = append(b, '{')
		for _, m := range members {
			b = append(jsontext.AppendString(b, m.Name), ':')
			b = append(canonical(b, m.Value), ',')
		}
		return append(b, '}')
	case json.Number:
		if i, ok := document.Integer(v); ok {
			return strconv.AppendInt(b, i, 10)
		}
		if f, ok := document.Number(v); ok {
			return strconv.AppendFloat(b, f, 'g', -1, 64)
		}
	}
	return document.Append(b, v)
}
