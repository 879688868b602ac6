package jsonata

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

// DecodeJSON reads one JSON document. Keys keep their order; of a key that
// comes twice the last value counts. Numbers are doubles, as in JavaScript.
// Half a surrogate pair is kept, in the three bytes UTF-8 would give it.
func DecodeJSON(data []byte) (Value, error) {
	return (&decoder{data: data}).document()
}

func (d *decoder) document() (Value, error) {
	v, err := d.value(0)
	if err == nil {
		d.space()
		if d.pos != len(d.data) {
			err = d.fail("nothing after the document")
		}
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

type decoder struct {
	data []byte
	pos  int
	java bool // texts may be in single quotes, and no key may come twice
}

func (d *decoder) fail(want string) error {
	if d.pos >= len(d.data) {
		return fmt.Errorf("jsonata.DecodeJSON: unexpected end, want %s", want)
	}
	return fmt.Errorf("jsonata.DecodeJSON: byte %d: found %q, want %s", d.pos, d.data[d.pos], want)
}

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *decoder) peek() byte {
	if d.pos < len(d.data) {
		return d.data[d.pos]
	}
	return 0
}

func (d *decoder) word(w string, v any) (any, error) {
	if len(d.data)-d.pos < len(w) || string(d.data[d.pos:d.pos+len(w)]) != w {
		return nil, d.fail("a value")
	}
	d.pos += len(w)
	return v, nil
}

func (d *decoder) value(depth int) (any, error) {
	if depth > maxNesting {
		return nil, errors.New("jsonata.DecodeJSON: nested too deep")
	}
	d.space()
	switch c := d.peek(); c {
	case '{':
		d.pos++
		o := &Object{}
		for d.space(); d.peek() != '}'; d.space() {
			if o.Len() > 0 {
				if d.peek() != ',' {
					return nil, d.fail("',' or '}'")
				}
				d.pos++
				d.space()
			}
			if !d.quote() {
				return nil, d.fail("a key")
			}
			key, err := d.text()
			if err != nil {
				return nil, err
			}
			if d.space(); d.peek() != ':' {
				return nil, d.fail("':'")
			}
			d.pos++
			v, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			before := o.Len()
			if o.Set(key, v); d.java && o.Len() == before {
				return nil, d.fail("a key that has not come before")
			}
		}
		d.pos++
		return o, nil
	case '[':
		d.pos++
		items := []any{}
		for d.space(); d.peek() != ']'; d.space() {
			if len(items) > 0 {
				if d.peek() != ',' {
					return nil, d.fail("',' or ']'")
				}
				d.pos++
			}
			v, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			items = append(items, v)
		}
		d.pos++
		return items, nil
	case '"', '\'':
		if !d.quote() {
			return nil, d.fail("a value")
		}
		return d.text()
	case 't':
		return d.word("true", true)
	case 'f':
		return d.word("false", false)
	case 'n':
		return d.word("null", nil)
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return d.number()
		}
		return nil, d.fail("a value")
	}
}

func (d *decoder) digits() bool {
	start := d.pos
	for c := d.peek(); c >= '0' && c <= '9'; c = d.peek() {
		d.pos++
	}
	return d.pos > start
}

func (d *decoder) number() (any, error) {
	start := d.pos
	if d.peek() == '-' {
		d.pos++
	}
	if d.peek() == '0' {
		d.pos++
	} else if !d.digits() {
		return nil, d.fail("a digit")
	}
	if d.peek() == '.' {
		if d.pos++; !d.digits() {
			return nil, d.fail("a digit")
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		d.pos++
		if c := d.peek(); c == '+' || c == '-' {
			d.pos++
		}
		if !d.digits() {
			return nil, d.fail("a digit")
		}
	}
	text := d.data[start:d.pos]
	if len(text) < 10 && text[0] != '-' {
		n := 0
		for _, c := range text {
			if c < '0' || c > '9' {
				n = -1
				break
			}
			n = n*10 + int(c-'0')
		}
		if n >= 0 {
			return boxInt(n), nil
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && math.IsInf(f, 0) {
		return nil, fmt.Errorf("jsonata.DecodeJSON: byte %d: number out of range", start)
	}
	return f, nil
}

func (d *decoder) quote() bool { return d.peek() == '"' || d.java && d.peek() == '\'' }

func (d *decoder) text() (string, error) {
	quote := d.data[d.pos]
	d.pos++
	start := d.pos
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		if c == quote {
			s := string(d.data[start:d.pos])
			d.pos++
			return s, nil
		}
		if c == '\\' || c < ' ' || c == surrogateByte {
			break
		}
		d.pos++
	}
	buf := append([]byte(nil), d.data[start:d.pos]...)
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		switch {
		case c == quote:
			d.pos++
			return string(buf), nil
		case c < ' ':
			return "", d.fail("no control character in a string")
		case c == surrogateByte:
			if u, ok := loneSurrogate(string(d.data[d.pos:min(d.pos+3, len(d.data))])); ok {
				buf = appendUnit(buf, u) // which may join the one before
				d.pos += 3
				continue
			}
			fallthrough
		case c != '\\':
			buf = append(buf, c)
			d.pos++
			continue
		}
		d.pos++
		switch c := d.peek(); c {
		case '"', '\\', '/':
			buf = append(buf, c)
		case 'b':
			buf = append(buf, '\b')
		case 'f':
			buf = append(buf, '\f')
		case 'n':
			buf = append(buf, '\n')
		case 'r':
			buf = append(buf, '\r')
		case 't':
			buf = append(buf, '\t')
		case 'u':
			if d.pos+5 > len(d.data) {
				return "", d.fail("four hex digits")
			}
			n, err := strconv.ParseUint(string(d.data[d.pos+1:d.pos+5]), 16, 16)
			if err != nil {
				return "", d.fail("four hex digits")
			}
			buf = appendUnit(buf, uint16(n))
			d.pos += 4
		default:
			return "", d.fail("an escape")
		}
		d.pos++
	}
	return "", d.fail("'\"'")
}

// EncodeJSON writes a value as JavaScript's JSON.stringify does, with keys in
// their order. Undefined, functions and numbers that JSON cannot hold are
// errors at the top and below.
func EncodeJSON(v Value) ([]byte, error) { return AppendJSON(nil, v) }

// AppendJSON is EncodeJSON onto a buffer.
func AppendJSON(dst []byte, v Value) ([]byte, error) {
	w := jsonWriter{strict: true}
	return w.write(dst, v, 0)
}

type jsonWriter struct {
	strict bool   // what JSON cannot hold is an error
	round  bool   // numbers to 15 significant digits, as $string does
	java   bool   // and as AWS does it: control characters stay as they are
	indent string // per level
	limit  int    // bytes; 0: none
}

var errNotJSON = errors.New("jsonata.EncodeJSON: the value is not JSON")

func (w *jsonWriter) newline(dst []byte, depth int) []byte {
	if w.indent == "" {
		return dst
	}
	dst = append(dst, '\n')
	for range depth {
		dst = append(dst, w.indent...)
	}
	return dst
}

func (w *jsonWriter) write(dst []byte, v any, depth int) ([]byte, error) {
	if depth > maxNesting {
		return nil, errNesting()
	}
	if w.limit > 0 && len(dst) > w.limit {
		return nil, errMemory()
	}
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, x), nil
	case string:
		return w.text(dst, x), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			if w.strict {
				return nil, fmt.Errorf("%w: number %v", errNotJSON, x)
			}
			if math.IsInf(x, 0) {
				return nil, &Error{Code: "D1001", Value: x}
			}
			return append(dst, "null"...), nil
		}
		if w.java {
			return java.AppendText(dst, x), nil
		}
		if w.round {
			x = to15Digits(x)
		}
		return appendNumber(dst, x), nil
	case *Object:
		dst = append(dst, '{')
		first := true
		for i, k := range x.keys {
			val := x.vals[i]
			if val == Undefined {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = w.newline(dst, depth+1)
			dst = append(w.text(dst, k), ':')
			if w.indent != "" {
				dst = append(dst, ' ')
			}
			var err error
			if dst, err = w.write(dst, val, depth+1); err != nil {
				return nil, err
			}
		}
		if !first {
			dst = w.newline(dst, depth)
		}
		return append(dst, '}'), nil
	case *tuple:
		return w.write(dst, x.context, depth+1)
	case function:
		if w.strict {
			return nil, fmt.Errorf("%w: function", errNotJSON)
		}
		return append(dst, '"', '"'), nil
	case *undefined:
		if w.strict {
			return nil, fmt.Errorf("%w: undefined", errNotJSON)
		}
		return append(dst, "null"...), nil
	}
	items, ok := itemsOf(v)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errNotJSON, v)
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = w.newline(dst, depth+1)
		var err error
		if dst, err = w.write(dst, item, depth+1); err != nil {
			return nil, err
		}
	}
	if len(items) > 0 {
		dst = w.newline(dst, depth)
	}
	return append(dst, ']'), nil
}

func (w *jsonWriter) text(dst []byte, s string) []byte {
	if w.java {
		return java.AppendQuoted(dst, s)
	}
	return jsontext.AppendString(dst, s)
}

// The rest of the file is about strings: JavaScript counts in UTF-16 units,
// Go in bytes. Strings here are UTF-8, with halves of surrogate pairs written
// as the three bytes their number would have.

// surrogateByte begins each of them, and some other letters.
const surrogateByte = 0xED

func loneSurrogate(s string) (uint16, bool) {
	if len(s) >= 3 && s[0] == surrogateByte && s[1] >= 0xA0 && s[1] <= 0xBF && s[2] >= 0x80 && s[2] <= 0xBF {
		return 0xD000 | uint16(s[1]&0x3F)<<6 | uint16(s[2]&0x3F), true
	}
	return 0, false
}

// appendUnit adds one UTF-16 unit; a second half joins the first.
func appendUnit(dst []byte, u uint16) []byte {
	switch {
	case u >= 0xDC00 && u <= 0xDFFF && len(dst) >= 3:
		if hi, ok := loneSurrogate(string(dst[len(dst)-3:])); ok && hi < 0xDC00 {
			r := (rune(hi)-0xD800)<<10 | (rune(u) - 0xDC00) + 0x10000
			return utf8.AppendRune(dst[:len(dst)-3], r)
		}
		fallthrough
	case u >= 0xD800 && u <= 0xDFFF:
		return append(dst, 0xED, 0x80|byte(u>>6&0x3F), 0x80|byte(u&0x3F))
	}
	return utf8.AppendRune(dst, rune(u))
}

// nextRune decodes one code point; a lone surrogate is one.
func nextRune(s string) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	if u, ok := loneSurrogate(s); ok {
		return rune(u), 3
	}
	return utf8.DecodeRuneInString(s)
}

// runeCount counts code points.
func runeCount(s string) int {
	n := 0
	for i := 0; i < len(s); n++ {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		_, size := nextRune(s[i:])
		i += size
	}
	return n
}

// byteOffset is where the n-th code point starts, or len(s).
func byteOffset(s string, n int) int {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		_, size := nextRune(s[i:])
		i += size
	}
	return i
}

func toUnits(s string) []uint16 {
	out := make([]uint16, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			out = append(out, uint16(s[i]))
			i++
			continue
		}
		r, size := nextRune(s[i:])
		i += size
		if r >= 0x10000 {
			r -= 0x10000
			out = append(out, uint16(0xD800+r>>10), uint16(0xDC00+r&0x3FF))
		} else {
			out = append(out, uint16(r))
		}
	}
	return out
}

func fromUnits(units []uint16) string {
	ascii := true
	for _, u := range units {
		if u >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	out := make([]byte, 0, len(units))
	if ascii {
		for _, u := range units {
			out = append(out, byte(u))
		}
		return string(out)
	}
	for _, u := range units {
		out = appendUnit(out, u)
	}
	return string(out)
}

// unitCount is the length that JavaScript would give.
func unitCount(s string) int {
	n := 0
	for i := 0; i < len(s); n++ {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := nextRune(s[i:])
		if r >= 0x10000 {
			n++
		}
		i += size
	}
	return n
}

// concat joins two strings, and the halves of a pair where they meet.
func concat(a, b string) string {
	if len(a) >= 3 && len(b) >= 3 && b[0] == 0xED {
		if lo, ok := loneSurrogate(b); ok && lo >= 0xDC00 {
			if hi, ok := loneSurrogate(a[len(a)-3:]); ok && hi < 0xDC00 {
				return string(append(appendUnit([]byte(a), lo), b[3:]...))
			}
		}
	}
	return a + b
}

// lessString orders strings by UTF-16 units, as JavaScript does: code points
// beyond the basic plane come before U+E000.
func lessString(a, b string) bool {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
			return x > y
		}
		return x < y
	}
	return len(a) < len(b)
}
