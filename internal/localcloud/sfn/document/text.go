package document

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"sort"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
)

// MaxDepth is how deep values may be nested in text.
const MaxDepth = 1000

// SyntaxError says where a text is not JSON.
type SyntaxError struct {
	Offset  int // in bytes
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at offset %d: %s", e.Offset, e.Message)
}

// Parse reads one JSON value with nothing behind it. The error is a *SyntaxError.
func Parse(b []byte) (any, error) { return ParseString(string(b)) }

// ParseString is Parse for a string, parts of which the value shares.
func ParseString(s string) (any, error) {
	p := parser{s: s}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i < len(s) {
		return nil, p.fail("unexpected text after the value")
	}
	return v, nil
}

type parser struct {
	s string
	i int
}

func (p *parser) fail(message string) error { return &SyntaxError{p.i, message} }

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (any, error) {
	if p.i >= len(p.s) {
		return nil, p.fail("unexpected end")
	}
	if depth > MaxDepth {
		return nil, p.fail("nested too deep")
	}
	switch c := p.s[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.str()
	case c == 't' && p.word("true"):
		return true, nil
	case c == 'f' && p.word("false"):
		return false, nil
	case c == 'n' && p.word("null"):
		return nil, nil
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	return nil, p.fail("unexpected character")
}

func (p *parser) word(w string) bool {
	if len(p.s)-p.i >= len(w) && p.s[p.i:p.i+len(w)] == w {
		p.i += len(w)
		return true
	}
	return false
}

func (p *parser) object(depth int) (any, error) {
	o := &Object{}
	p.i++
	p.space()
	if p.i < len(p.s) && p.s[p.i] == '}' {
		p.i++
		return o, nil
	}
	for {
		p.space()
		if p.i >= len(p.s) || p.s[p.i] != '"' {
			return nil, p.fail("expected a member name")
		}
		name, err := p.str()
		if err != nil {
			return nil, err
		}
		p.space()
		if p.i >= len(p.s) || p.s[p.i] != ':' {
			return nil, p.fail("expected ':'")
		}
		p.i++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.Set(name, v)
		p.space()
		if p.i >= len(p.s) {
			return nil, p.fail("unexpected end")
		}
		switch p.s[p.i] {
		case ',':
			p.i++
		case '}':
			p.i++
			return o, nil
		default:
			return nil, p.fail("expected ',' or '}'")
		}
	}
}

func (p *parser) array(depth int) (any, error) {
	a := []any{}
	p.i++
	p.space()
	if p.i < len(p.s) && p.s[p.i] == ']' {
		p.i++
		return a, nil
	}
	for {
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
		p.space()
		if p.i >= len(p.s) {
			return nil, p.fail("unexpected end")
		}
		switch p.s[p.i] {
		case ',':
			p.i++
		case ']':
			p.i++
			return a, nil
		default:
			return nil, p.fail("expected ',' or ']'")
		}
	}
}

func (p *parser) number() (any, error) {
	start := p.i
	digits := func() bool {
		from := p.i
		for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
			p.i++
		}
		return p.i > from
	}
	if p.s[p.i] == '-' {
		p.i++
	}
	if p.i < len(p.s) && p.s[p.i] == '0' {
		p.i++
	} else if !digits() {
		return nil, p.fail("expected a digit")
	}
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		if !digits() {
			return nil, p.fail("expected a digit")
		}
	}
	if p.i < len(p.s) && (p.s[p.i] == 'e' || p.s[p.i] == 'E') {
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if !digits() {
			return nil, p.fail("expected a digit")
		}
	}
	return json.Number(p.s[start:p.i]), nil
}

func (p *parser) str() (string, error) {
	p.i++
	start := p.i
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			s := p.s[start:p.i]
			p.i++
			if !utf8.ValidString(s) {
				return string([]rune(s)), nil
			}
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fail("control character in a string")
		default:
			p.i++
		}
	}
	return "", p.fail("unexpected end")
}

func (p *parser) escaped(start int) (string, error) {
	b := append(make([]byte, 0, p.i-start+32), p.s[start:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			if !utf8.Valid(b) {
				return string([]rune(string(b))), nil
			}
			return string(b), nil
		case c < 0x20:
			return "", p.fail("control character in a string")
		case c != '\\':
			b = append(b, c)
			p.i++
			continue
		}
		p.i++
		if p.i >= len(p.s) {
			break
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := p.hex()
			if !ok {
				return "", p.fail("bad \\u escape")
			}
			if utf16.IsSurrogate(r) && p.i+1 < len(p.s) && p.s[p.i] == '\\' && p.s[p.i+1] == 'u' {
				mark := p.i
				p.i += 2
				if low, ok := p.hex(); ok {
					if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
						b = utf8.AppendRune(b, pair)
						continue
					}
				}
				p.i = mark
			}
			b = utf8.AppendRune(b, r)
		default:
			p.i--
			return "", p.fail("bad escape")
		}
	}
	return "", p.fail("unexpected end")
}

func (p *parser) hex() (rune, bool) {
	if p.i+4 > len(p.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 32)
	if err != nil {
		return 0, false
	}
	p.i += 4
	return rune(n), true
}

// Text is the value as compact JSON.
func Text(v any) string { return string(Append(nil, v)) }

// Append writes the value as compact JSON.
func Append(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return jsontext.AppendString(b, v)
	case json.Number:
		return append(b, v...)
	case float64:
		return append(b, Float(v)...)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = Append(b, e)
		}
		return append(b, ']')
	case *Object:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsontext.AppendString(b, m.Name)
			b = append(b, ':')
			b = Append(b, m.Value)
		}
		return append(b, '}')
	default:
		return Append(b, From(v))
	}
}

// AppendLimit is Append for a value that may be large: it is false, and the rest is
// left out, for what would be longer than limit or is nested deeper than MaxDepth.
func AppendLimit(b []byte, v any, limit int) ([]byte, bool) {
	return appendLimit(b, v, len(b)+limit, 0)
}

func appendLimit(b []byte, v any, limit, depth int) ([]byte, bool) {
	if depth > MaxDepth || len(b) > limit {
		return b, false
	}
	switch v := v.(type) {
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = appendLimit(b, e, limit, depth+1); !ok {
				return b, false
			}
		}
		b = append(b, ']')
	case *Object:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(jsontext.AppendString(b, m.Name), ':')
			var ok bool
			if b, ok = appendLimit(b, m.Value, limit, depth+1); !ok {
				return b, false
			}
		}
		b = append(b, '}')
	default:
		b = Append(b, v)
	}
	return b, len(b) <= limit
}

// Int is an integer as a value.
func Int(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// Float is a number as a value, whole numbers without a fraction. What is not
// finite becomes 0, as JSON has no word for it.
func Float(f float64) json.Number {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "0"
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e21 {
		return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}

// Number returns a numeric value as a float.
func Number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := strconv.ParseFloat(string(v), 64)
		return f, err == nil
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}

// Integer returns a numeric value that is a whole number.
func Integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		f, ok := Number(v)
		if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, false
		}
		return int64(f), true
	}
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<62 {
		return 0, false
	}
	return int64(f), true
}

// From makes a value of what encoding/json or other code gives: maps (in the
// order of their keys), slices, numbers. Anything else goes through its own
// MarshalJSON.
func From(v any) any {
	switch v := v.(type) {
	case nil, bool, string, json.Number, *Object:
		return v
	case float64:
		return Float(v)
	case int:
		return Int(int64(v))
	case int64:
		return Int(v)
	case []any:
		a := make([]any, len(v))
		for i, e := range v {
			a[i] = From(e)
		}
		return a
	case map[string]any:
		names := make([]string, 0, len(v))
		for k := range v {
			names = append(names, k)
		}
		sort.Strings(names)
		o := &Object{}
		for _, k := range names {
			o.Set(k, From(v[k]))
		}
		return o
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	d, err := Parse(b)
	if err != nil {
		return nil
	}
	return d
}

// Plain makes maps and float64 of a value, for code that wants them.
func Plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := strconv.ParseFloat(string(v), 64)
		return f
	case []any:
		a := make([]any, len(v))
		for i, e := range v {
			a[i] = Plain(e)
		}
		return a
	case *Object:
		m := make(map[string]any, len(v.members))
		for _, e := range v.members {
			m[e.Name] = Plain(e.Value)
		}
		return m
	}
	return v
}

// Equal compares values: numbers by value, objects whatever their order.
func Equal(a, b any) bool {
	switch x := a.(type) {
	case json.Number, float64, int, int64:
		if a == b {
			return true
		}
		return CompareNumbers(a, b) == 0
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case *Object:
		y, ok := b.(*Object)
		if !ok || len(x.members) != len(y.members) {
			return false
		}
		for _, m := range x.members {
			w, ok := y.Get(m.Name)
			if !ok || !Equal(m.Value, w) {
				return false
			}
		}
		return true
	}
	return a == b
}

// Incomparable is what CompareNumbers returns if one value is no number.
const Incomparable = 2

// CompareNumbers returns -1, 0, 1 or Incomparable. Large integers are compared
// exactly.
func CompareNumbers(a, b any) int {
	if x, ok := Integer(a); ok {
		if y, ok := Integer(b); ok {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
	}
	x, ok := Number(a)
	y, ok2 := Number(b)
	if !ok || !ok2 {
		return Incomparable
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case math.Abs(x) >= 1<<53:
		if p, ok := new(big.Rat).SetString(string(number(a))); ok {
			if q, ok := new(big.Rat).SetString(string(number(b))); ok {
				return p.Cmp(q)
			}
		}
	}
	return 0
}

func number(v any) json.Number {
	if n, ok := v.(json.Number); ok && len(n) < 400 {
		return n
	}
	f, _ := Number(v)
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}
