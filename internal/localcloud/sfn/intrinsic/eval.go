package intrinsic

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"unicode/utf16"

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

// Error is a failed call: States.Runtime. Call is the outermost one.
type Error struct {
	Call    string
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("There was an error while evaluating the intrinsic function: %s. %s", e.Call, e.Message)
}

// MissingError says that there is nothing at a path of an argument.
type MissingError struct {
	Path string
	err  error
}

func (e *MissingError) Error() string { return "nothing at " + e.Path + ": " + e.err.Error() }

func (e *MissingError) Unwrap() error { return e.err }

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
	v, err := c.eval(env)
	if failed, ok := err.(*Error); ok {
		failed.Call = c.Source
	}
	return v, err
}

func (c *Call) eval(env *Env) (any, error) {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		var err error
		switch {
		case a.path != nil:
			if args[i], err = env.Resolve(a.path); err != nil {
				err = &MissingError{a.path.Source, err}
			}
		case a.call != nil:
			args[i], err = a.call.eval(env)
			if c.function.name == "Format" && i > 0 && a.call.function.name == "StringToJson" {
				args[i] = document.Text(args[i]) // is a tree of JSON there, which prints as JSON
			}
		case c.function.name == "Format" && i == 0 && a.escaped != "":
			args[i] = a.escaped
		default:
			args[i] = a.literal
		}
		if err != nil {
			return nil, err
		}
	}
	f := c.function
	v, problem := any(nil), wrong
	if len(args) >= f.least && (f.most < 0 || len(args) <= f.most) {
		v, problem = f.run(env, args)
	}
	switch {
	case problem == wrong && f.name == "JsonToString":
		problem = "Invalid arguments in States.JsonToString: only a single argument is allowed."
	case problem == wrong:
		problem = "Invalid arguments in States." + f.name
	}
	if problem != "" {
		return nil, &Error{c.Source, problem}
	}
	return v, nil
}

// wrong is what a function says of arguments that it does not take.
const wrong = "wrong"

// whole is a number without its fraction, which is how most functions take integers.
func whole(v any) (int64, bool) { return integral(v, math.Trunc) }

// round is Java's Math.round, which is how MathAdd takes integers.
func round(v any) (int64, bool) {
	return integral(v, func(f float64) float64 { return math.Floor(f + 0.5) })
}

// integral is a number as an integer; to takes its fraction away.
func integral(v any, to func(float64) float64) (int64, bool) {
	if i, ok := document.Integer(v); ok {
		return i, true
	}
	f, ok := document.Number(v)
	if !ok || math.Abs(f) >= 1<<62 {
		return 0, false
	}
	return int64(to(f)), true
}

func init() {
	define("Format", 1, -1, format)
	define("StringToJson", 1, 1, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		if !ok {
			return nil, wrong
		}
		if strings.TrimSpace(s) == "" {
			return nil, ""
		}
		v, err := document.ParseString(s)
		if err != nil {
			return nil, "Cannot convert String to Json in States.StringToJson, caused by: " + err.Error()
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
		if !ok || !ok2 || a[2] == true { // a deep merge is not there
			return nil, wrong
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
			return nil, wrong
		}
		sought := shown(nil, a[1])
		for _, e := range list {
			if bytes.Equal(shown(nil, e), sought) {
				return true, ""
			}
		}
		return false, ""
	})
	define("ArrayRange", 3, 3, func(_ *Env, a []any) (any, string) {
		from, ok := whole(a[0])
		to, ok2 := whole(a[1])
		by, ok3 := whole(a[2])
		if !ok || !ok2 || !ok3 || by == 0 {
			return nil, wrong
		}
		out := []any{}
		for n := from; by > 0 && n <= to || by < 0 && n >= to; n += by {
			if len(out) == MaxRange {
				return nil, wrong
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
		n, ok2 := whole(a[1])
		switch {
		case ok && ok2 && len(list) == 0:
			return nil, ""
		case !ok || !ok2 || n < 0 || n >= int64(len(list)):
			return nil, wrong
		}
		return list[n], ""
	})
	define("ArrayLength", 1, 1, func(_ *Env, a []any) (any, string) {
		list, ok := a[0].([]any)
		if !ok {
			return nil, wrong
		}
		return document.Int(int64(len(list))), ""
	})
	define("ArrayUnique", 1, 1, func(_ *Env, a []any) (any, string) {
		list, ok := a[0].([]any)
		if !ok {
			return nil, wrong
		}
		return unique(list), ""
	})
	define("Base64Encode", 1, 1, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		if !ok || tooLong(s) {
			return nil, wrong
		}
		return base64.StdEncoding.EncodeToString([]byte(s)), ""
	})
	define("Base64Decode", 1, 1, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		if !ok || tooLong(s) {
			return nil, wrong
		}
		return strings.ToValidUTF8(string(decode(s)), "\uFFFD"), ""
	})
	define("Hash", 2, 2, hash)
	define("MathRandom", 2, 3, random)
	define("MathAdd", 2, 2, func(_ *Env, a []any) (any, string) {
		x, ok := round(a[0])
		y, ok2 := round(a[1])
		if !ok || !ok2 || int64(int32(x)) != x || int64(int32(y)) != y || int64(int32(x+y)) != x+y {
			return nil, wrong
		}
		return document.Int(x + y), ""
	})
	define("StringSplit", 2, 2, func(_ *Env, a []any) (any, string) {
		s, ok := a[0].(string)
		by, ok2 := a[1].(string)
		if !ok || !ok2 {
			return nil, wrong
		}
		out := []any{}
		for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(by, r) }) {
			out = append(out, part)
		}
		return out, ""
	})
	define("UUID", 0, -1, func(env *Env, _ []any) (any, string) { return env.UUID(), "" })
}

func tooLong(s string) bool { return len(s) > MaxText && len(utf16.Encode([]rune(s))) > MaxText }

// decode reads Base64 leniently: what is no character of it counts for nothing, and nothing counts after a '='.
func decode(s string) []byte {
	var out []byte
	bits, n := 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '=':
			return out
		case c == '-':
			c = '+'
		case c == '_':
			c = '/'
		}
		digit := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", c)
		if digit < 0 {
			continue
		}
		bits, n = bits<<6|digit, n+6
		if n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	return out
}

func format(_ *Env, a []any) (any, string) {
	template, ok := a[0].(string)
	if !ok {
		return nil, wrong
	}
	const wrongNumber = "Invalid arguments in States.Format: number of arguments do not match the occurrences of {}."
	var b strings.Builder
	args := a[1:]
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c == '\\' && i+1 < len(template) && strings.IndexByte(`'{}\`, template[i+1]) >= 0:
			i++
			b.WriteByte(template[i])
		case c == '{' && (i+1 == len(template) || template[i+1] != '}'):
			return nil, "Invalid template in States.Format: matching '}' not found for '{'."
		case c == '}':
			return nil, "Invalid template in States.Format: matching '{' not found for '}'."
		case c == '{':
			i++
			if len(args) == 0 {
				return nil, wrongNumber
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
		return nil, wrongNumber
	}
	return b.String(), ""
}

func partition(_ *Env, a []any) (any, string) {
	list, ok := a[0].([]any)
	n, ok2 := whole(a[1])
	if !ok || !ok2 || n <= 0 {
		return nil, wrong
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
	b := shown(nil, a[0])
	if tooLong(string(b)) {
		return nil, wrong
	}
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
	return nil, wrong
}

func random(env *Env, a []any) (any, string) {
	from, ok := whole(a[0])
	to, ok2 := whole(a[1])
	if !ok || !ok2 || to <= from || int64(int32(from)) != from || int64(int32(to)) != to {
		return nil, wrong
	}
	if len(a) == 2 {
		return document.Int(from + env.Random(to-from)), ""
	}
	seed, ok := whole(a[2])
	if !ok {
		return nil, wrong
	}
	return document.Int(from + javaRandom(seed, to-from)), ""
}
