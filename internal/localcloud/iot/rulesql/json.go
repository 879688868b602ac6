package rulesql

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
)

var errJSON = errors.New("rulesql: not JSON")

const maxJSONDepth = 256

// ParseJSON reads a JSON document with the numbers of version 2016-03-23.
func ParseJSON(b []byte) (Value, error) { return parseJSON(b, true) }

func parseJSON(b []byte, normal bool) (Value, error) {
	r := jsonReader{b: b, normal: normal}
	r.space()
	v, err := r.value(0)
	if err != nil {
		return Value{}, err
	}
	r.space()
	if r.at != len(b) {
		return Value{}, errJSON
	}
	return v, nil
}

type jsonReader struct {
	b      []byte
	at     int
	normal bool
}

func (r *jsonReader) space() {
	for r.at < len(r.b) {
		switch r.b[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

func (r *jsonReader) literal(text string) bool {
	if len(r.b)-r.at >= len(text) && string(r.b[r.at:r.at+len(text)]) == text {
		r.at += len(text)
		return true
	}
	return false
}

func (r *jsonReader) value(depth int) (Value, error) {
	if r.at >= len(r.b) || depth > maxJSONDepth {
		return Value{}, errJSON
	}
	switch c := r.b[r.at]; {
	case c == '"':
		s, err := r.text()
		return StringValue(s), err
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '-' || (c >= '0' && c <= '9'):
		return r.numberValue()
	case r.literal("true"):
		return BooleanValue(true), nil
	case r.literal("false"):
		return BooleanValue(false), nil
	case r.literal("null"):
		return NullValue, nil
	}
	return Value{}, errJSON
}

func (r *jsonReader) numberValue() (Value, error) {
	start := r.at
	if r.b[r.at] == '-' {
		r.at++
	}
	rest := string(r.b[r.at:min(len(r.b), r.at+4096)])
	n := numberLength(rest)
	if n == 0 || (rest[0] == '0' && n > 1 && rest[1] >= '0' && rest[1] <= '9') {
		return Value{}, errJSON
	}
	r.at += n
	v, ok := parseNumber(string(r.b[start:r.at]), r.normal)
	if !ok {
		return Value{}, errJSON
	}
	return v, nil
}

func (r *jsonReader) object(depth int) (Value, error) {
	o := &members{}
	r.at++
	r.space()
	if r.at < len(r.b) && r.b[r.at] == '}' {
		r.at++
		return Value{kind: Object, ref: o}, nil
	}
	for {
		r.space()
		if r.at >= len(r.b) || r.b[r.at] != '"' {
			return Value{}, errJSON
		}
		k, err := r.text()
		if err != nil {
			return Value{}, err
		}
		r.space()
		if r.at >= len(r.b) || r.b[r.at] != ':' {
			return Value{}, errJSON
		}
		r.at++
		r.space()
		v, err := r.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		o.set(k, v)
		r.space()
		if r.at >= len(r.b) {
			return Value{}, errJSON
		}
		r.at++
		switch r.b[r.at-1] {
		case ',':
		case '}':
			return Value{kind: Object, ref: o}, nil
		default:
			return Value{}, errJSON
		}
	}
}

func (r *jsonReader) array(depth int) (Value, error) {
	items := []Value{}
	r.at++
	r.space()
	if r.at < len(r.b) && r.b[r.at] == ']' {
		r.at++
		return Value{kind: Array, ref: items}, nil
	}
	for {
		r.space()
		v, err := r.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		items = append(items, v)
		r.space()
		if r.at >= len(r.b) {
			return Value{}, errJSON
		}
		r.at++
		switch r.b[r.at-1] {
		case ',':
		case ']':
			return Value{kind: Array, ref: items}, nil
		default:
			return Value{}, errJSON
		}
	}
}

// text reads a string; plain ones without a copy of each byte.
func (r *jsonReader) text() (string, error) {
	r.at++
	start := r.at
	for r.at < len(r.b) {
		switch c := r.b[r.at]; {
		case c == '"':
			s := r.b[start:r.at]
			r.at++
			if !utf8.Valid(s) {
				return "", errJSON
			}
			return string(s), nil
		case c == '\\':
			return r.escaped(start)
		case c < 0x20:
			return "", errJSON
		}
		r.at++
	}
	return "", errJSON
}

func (r *jsonReader) escaped(start int) (string, error) {
	out := append([]byte(nil), r.b[start:r.at]...)
	for r.at < len(r.b) {
		c := r.b[r.at]
		r.at++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", errJSON
			}
			return string(out), nil
		case c < 0x20:
			return "", errJSON
		case c != '\\':
			out = append(out, c)
			continue
		}
		if r.at >= len(r.b) {
			return "", errJSON
		}
		c = r.b[r.at]
		r.at++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			u, ok := r.unit()
			if !ok {
				return "", errJSON
			}
			if utf16.IsSurrogate(u) {
				back := r.at
				low := rune(-1)
				if r.literal(`\u`) {
					low, ok = r.unit()
				}
				if full := utf16.DecodeRune(u, low); ok && full != utf8.RuneError {
					u = full
				} else {
					r.at, u = back, utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, u)
		default:
			return "", errJSON
		}
	}
	return "", errJSON
}

func (r *jsonReader) unit() (rune, bool) {
	if len(r.b)-r.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.b[r.at:r.at+4]), 16, 16)
	r.at += 4
	return rune(n), err == nil
}

// JSON is the value as text for an action: a JSON document, the bytes of a
// Binary, or nothing for Undefined.
func (v Value) JSON() []byte {
	if v.kind == Binary {
		return []byte(v.s)
	}
	return v.AppendJSON(nil)
}

// AppendJSON appends the value as minified JSON; members and elements that are
// Undefined are left out.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case Null:
		return append(b, "null"...)
	case Boolean:
		return strconv.AppendBool(b, v.b)
	case Int, Decimal:
		if v.ref == nil {
			return strconv.AppendInt(b, v.i, 10)
		}
		return appendDecimal(b, v.decimal(), v.kind == Int)
	case String:
		return jsontext.AppendString(b, v.s)
	case Array:
		b = append(b, '[')
		n := 0
		for _, x := range v.items() {
			if x.kind == Undefined || x.kind == Binary {
				continue
			}
			if n > 0 {
				b = append(b, ',')
			}
			n++
			b = x.AppendJSON(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		n := 0
		o := v.object()
		for i, k := range o.keys {
			if o.values[i].kind == Undefined || o.values[i].kind == Binary {
				continue
			}
			if n > 0 {
				b = append(b, ',')
			}
			n++
			b = append(jsontext.AppendString(b, k), ':')
			b = o.values[i].AppendJSON(b)
		}
		return append(b, '}')
	}
	return b
}

func appendDecimal(b []byte, d *apd.Decimal, plain bool) []byte {
	if e := d.NumDigits() + int64(d.Exponent) - 1; plain || (e >= -7 && e < 34 && d.Exponent <= 0) {
		return append(b, d.Text('f')...)
	}
	return append(b, d.Text('E')...)
}

// MarshalJSON implements json.Marshaler; Undefined is null.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.kind == Undefined {
		return []byte("null"), nil
	}
	if v.kind == Binary {
		return json.Marshal([]byte(v.s))
	}
	return v.AppendJSON(nil), nil
}
