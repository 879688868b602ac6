package jsonata

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
)

// stringify is the string form of any value but Undefined.
func (m *machine) stringify(v any, pretty bool) (string, *Error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case function:
		return "", nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return "", &Error{Code: "D3001", Value: x}
		}
		if m.lib.java {
			return string(java.AppendText(nil, x)), nil
		}
		return formatNumber(to15Digits(x)), nil
	case *array:
		if x.is(flagOuter) && len(x.items) > 0 {
			v = x.items[0]
		}
	}
	w := jsonWriter{round: true, java: m.lib.java, limit: int(min(m.maxMemory-m.memory, 1<<30))}
	if pretty {
		w.indent = "  "
	}
	out, err := w.write(nil, v, 0)
	if err != nil {
		e, ok := err.(*Error)
		if !ok {
			e = &Error{Code: "D3137", Message: err.Error()}
		}
		return "", e
	}
	m.alloc(len(out))
	m.work(len(out) / 16)
	return string(out), nil
}

func fnString(m *machine, args []any, _ *callSite) any {
	if args[0] == Undefined {
		return Undefined
	}
	pretty, _ := args[1].(bool)
	s, err := m.stringify(args[0], pretty)
	if err != nil {
		m.fail(err)
	}
	return s
}

// clampInt turns a number into an index, however large it is.
func clampInt(f float64) int {
	switch {
	case math.IsNaN(f):
		return 0
	case f > math.MaxInt32:
		return math.MaxInt32
	case f < math.MinInt32:
		return math.MinInt32
	}
	return int(f) // towards zero, as JavaScript's slice
}

func fnSubstring(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.work(len(str) / 16)
	start, hasStart := args[1].(float64)
	length := runeCount(str)
	if float64(length)+start < 0 {
		start = 0
	}
	end := math.Inf(1)
	if n, ok := args[2].(float64); ok {
		if n <= 0 || !hasStart {
			return ""
		}
		end = start + n
		if start < 0 {
			end += float64(length)
		}
	}
	from, to := clampInt(start), clampInt(end)
	if from < 0 {
		from = max(0, from+length)
	}
	if to < 0 {
		to = max(0, to+length)
	}
	if from >= to {
		return ""
	}
	at := byteOffset(str, from)
	return str[at : at+byteOffset(str[at:], to-from)]
}

func fnSubstringBefore(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.work(len(str) / 16)
	if sep, ok := args[1].(string); ok {
		before, _, _ := strings.Cut(str, sep)
		return before
	}
	return str
}

func fnSubstringAfter(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.work(len(str) / 16)
	if sep, ok := args[1].(string); ok {
		if _, after, found := strings.Cut(str, sep); found {
			return after
		}
	}
	return str
}

// Upper case forms of more than one character; Go maps rune to rune only.
var upperSpecial = strings.NewReplacer(
	"ß", "SS", "ŉ", "ʼN", "ǰ", "J̌", "ΐ", "Ϊ́", "ΰ", "Ϋ́", "և", "ԵՒ", "ẖ", "H̱", "ẗ", "T̈",
	"ẘ", "W̊", "ẙ", "Y̊", "ẚ", "Aʾ", "ﬀ", "FF", "ﬁ", "FI", "ﬂ", "FL", "ﬃ", "FFI", "ﬄ", "FFL", "ﬅ", "ST", "ﬆ", "ST",
)

// mapRunes changes the letters and leaves lone surrogates alone.
func mapRunes(s string, f func(rune) rune) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, size := nextRune(s[i:])
		if r >= 0xD800 && r <= 0xDFFF {
			out = append(out, s[i:i+size]...)
		} else {
			out = utf8.AppendRune(out, f(r))
		}
		i += size
	}
	return string(out)
}

func fnUppercase(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(len(str))
	m.work(len(str) / 16)
	return mapRunes(upperSpecial.Replace(str), unicode.ToUpper)
}

func fnLowercase(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(len(str))
	m.work(len(str) / 16)
	if strings.ContainsAny(str, "Σİ") {
		str = strings.ReplaceAll(str, "İ", "i̇")
		runes := []rune(str)
		for i, r := range runes {
			// A sigma that ends a word has a form of its own.
			if r == 'Σ' && i > 0 && unicode.IsLetter(runes[i-1]) &&
				(i+1 == len(runes) || !unicode.IsLetter(runes[i+1])) {
				runes[i] = 'ς'
			}
		}
		str = string(runes)
	}
	return mapRunes(str, unicode.ToLower)
}

func fnLength(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.work(len(str) / 16)
	return boxInt(runeCount(str))
}

func fnTrim(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(len(str))
	m.work(len(str) / 16)
	return strings.Join(strings.FieldsFunc(str, func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\n' || r == '\r'
	}), " ")
}

func fnPad(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	width, _ := args[1].(float64)
	with, _ := args[2].(string)
	if with == "" {
		with = " "
	}
	missing := clampInt(math.Abs(width)) - runeCount(str)
	if missing <= 0 {
		return str
	}
	unit := runeCount(with)
	m.fits(int64(len(str)) + int64(missing)*int64(len(with)/unit+1))
	m.alloc(missing * (len(with)/unit + 1))
	m.work(missing / 16)
	padding := strings.Repeat(with, missing/unit) + with[:byteOffset(with, missing%unit)]
	if width > 0 {
		return str + padding
	}
	return padding + str
}

func fnContains(m *machine, args []any, site *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.work(len(str) / 16)
	switch token := args[1].(type) {
	case string:
		return strings.Contains(str, token)
	case function:
		_, found := m.firstMatch(token, str, site)
		return found
	}
	return false
}

// limitArg reads an optional count; one below zero is the error given.
func (m *machine) limitArg(v any, code string, index int) float64 {
	f, ok := v.(float64)
	if !ok {
		return math.Inf(1)
	}
	if f < 0 {
		m.fail(&Error{Code: code, Value: f, Index: index})
	}
	return f
}

func fnMatch(m *machine, args []any, site *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	limit := m.limitArg(args[2], "D3040", 3)
	out := &array{flags: flagSequence}
	fn, ok := args[1].(function)
	if !ok || limit <= 0 {
		return out
	}
	found, ok := m.firstMatch(fn, str, site)
	for n := 0.0; ok && n < limit; n++ {
		o := NewObject(3)
		o.Set("match", found.text)
		o.Set("index", found.start)
		o.Set("groups", found.groups)
		m.alloc(256)
		m.push(out, o)
		found, ok = found.next()
	}
	return out
}

func fnReplace(m *machine, args []any, site *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	if args[1] == "" {
		m.fail(&Error{Code: "D3010", Value: "", Index: 2})
	}
	limit := m.limitArg(args[3], "D3011", 4)
	if m.lib.java {
		limit = math.Trunc(limit)
	}
	if limit <= 0 {
		return str
	}
	if pattern, ok := args[1].(string); ok {
		with, ok := args[2].(string)
		count := strings.Count(str, pattern)
		if !ok && count > 0 {
			m.fail(&Error{Code: "D3012", Value: args[2]})
		}
		if float64(count) > limit {
			count = int(math.Ceil(limit))
		}
		m.alloc(len(str) + count*max(0, len(with)-len(pattern)))
		m.work(len(str) / 16)
		return strings.Replace(str, pattern, with, count)
	}
	fn, ok := args[1].(function)
	if !ok {
		return str
	}
	found, ok := m.firstMatch(fn, str, site)
	if !ok {
		return str
	}
	units := toUnits(str)
	cut := func(from, to float64) string {
		a := min(max(clampInt(from), 0), len(units))
		b := min(max(clampInt(to), 0), len(units))
		return fromUnits(units[min(a, b):max(a, b)])
	}
	var out strings.Builder
	position := 0.0
	for n := 0.0; ok && n < limit; n++ {
		start, _ := found.start.(float64)
		out.WriteString(cut(position, start))
		var with any
		switch r := args[2].(type) {
		case string:
			with = found.expand(r)
		case function:
			with = m.callback(r, []any{found.object()}, site)
		}
		s, isString := with.(string)
		if !isString {
			m.fail(&Error{Code: "D3012", Value: with})
		}
		m.alloc(len(s) + 32)
		out.WriteString(s)
		text, _ := found.text.(string)
		position = start + float64(unitCount(text))
		found, ok = found.next()
	}
	out.WriteString(cut(position, float64(len(units))))
	m.alloc(out.Len())
	return out.String()
}

func fnSplit(m *machine, args []any, site *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	limit := m.limitArg(args[2], "D3020", 3)
	out := &array{}
	if limit <= 0 {
		return out
	}
	if sep, ok := args[1].(string); ok {
		limit = math.Floor(limit) // as JavaScript's split
		m.work(len(str) / 16)
		if sep == "" {
			units := toUnits(str)
			for i := 0; i < len(units) && float64(i) < limit; i++ {
				m.alloc(slotSize)
				m.push(out, fromUnits(units[i:i+1]))
			}
			return out
		}
		for float64(len(out.items)) < limit {
			before, after, found := strings.Cut(str, sep)
			m.alloc(slotSize)
			m.push(out, before)
			if !found {
				break
			}
			str = after
		}
		return out
	}
	fn, ok := args[1].(function)
	if !ok {
		m.push(out, str)
		return out
	}
	units := toUnits(str)
	at := func(v any) int {
		f, _ := v.(float64)
		return min(max(clampInt(f), 0), len(units))
	}
	start := 0
	n := 0.0
	found, ok := m.firstMatch(fn, str, site)
	for ; ok && n < limit; n++ {
		end := at(found.start)
		m.alloc(slotSize)
		m.push(out, fromUnits(units[min(start, end):max(start, end)]))
		start = at(found.end)
		found, ok = found.next()
	}
	if n < limit {
		m.push(out, fromUnits(units[start:]))
	}
	return out
}

func fnJoin(m *machine, args []any, _ *callSite) any {
	items, ok := itemsOf(args[0])
	if !ok {
		return Undefined
	}
	sep, _ := args[1].(string)
	size := 0
	parts := make([]string, len(items))
	for i, v := range items {
		parts[i], _ = v.(string)
		size += len(parts[i]) + len(sep)
	}
	m.fits(int64(size))
	m.alloc(size + slotSize*len(items))
	m.work(len(items) + size/16)
	return strings.Join(parts, sep)
}

func fnBase64Encode(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(2 * len(str))
	units := toUnits(str)
	raw := make([]byte, len(units))
	for i, u := range units {
		raw[i] = byte(u) // each character is one byte, whatever it was
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func fnBase64Decode(m *machine, args []any, _ *callSite) any {
	str, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	m.alloc(2 * len(str))
	// What is no base64 character is passed over, an = ends it.
	clean := make([]byte, 0, len(str))
scan:
	for i := range len(str) {
		switch c := str[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			clean = append(clean, c)
		case c == '-':
			clean = append(clean, '+')
		case c == '_':
			clean = append(clean, '/')
		case c == '=':
			break scan
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	raw, err := base64.RawStdEncoding.DecodeString(string(clean))
	if err != nil {
		return ""
	}
	out := make([]byte, 0, len(raw))
	for _, b := range raw {
		out = utf8.AppendRune(out, rune(b))
	}
	return string(out)
}

const (
	urlUnreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()"
	urlReserved   = ";/?:@&=+$,#"
)

func (m *machine) encodeURL(v any, keep, name string) any {
	str, ok := v.(string)
	if !ok {
		return Undefined
	}
	m.alloc(3 * len(str))
	var out strings.Builder
	for i := 0; i < len(str); {
		if c := str[i]; c < utf8.RuneSelf {
			if strings.IndexByte(keep, c) >= 0 {
				out.WriteByte(c)
			} else {
				escapeByte(&out, c)
			}
			i++
			continue
		}
		if _, lone := loneSurrogate(str[i:]); lone {
			m.badURL(str, name)
		}
		_, size := nextRune(str[i:])
		for ; size > 0; size-- {
			escapeByte(&out, str[i])
			i++
		}
	}
	return out.String()
}

func escapeByte(out *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	out.WriteByte('%')
	out.WriteByte(digits[c>>4])
	out.WriteByte(digits[c&15])
}

func (m *machine) badURL(value, name string) {
	m.fail(&Error{Code: "D3140", Value: value, inserts: map[string]string{"functionName": name}})
}

func (m *machine) decodeURL(v any, keep, name string) any {
	str, ok := v.(string)
	if !ok {
		return Undefined
	}
	m.alloc(len(str))
	escaped := func(i int) byte {
		if i+2 >= len(str) || str[i] != '%' {
			m.badURL(str, name)
		}
		n, err := strconv.ParseUint(str[i+1:i+3], 16, 8)
		if err != nil {
			m.badURL(str, name)
		}
		return byte(n)
	}
	out := make([]byte, 0, len(str))
	for i := 0; i < len(str); {
		if str[i] != '%' {
			out = append(out, str[i])
			i++
			continue
		}
		first := escaped(i)
		if first < utf8.RuneSelf {
			if strings.IndexByte(keep, first) >= 0 {
				out = append(out, str[i:i+3]...)
			} else {
				out = append(out, first)
			}
			i += 3
			continue
		}
		size := 0
		switch {
		case first&0xE0 == 0xC0:
			size = 2
		case first&0xF0 == 0xE0:
			size = 3
		case first&0xF8 == 0xF0:
			size = 4
		default:
			m.badURL(str, name)
		}
		var char []byte
		for range size {
			char = append(char, escaped(i))
			i += 3
		}
		if !utf8.Valid(char) {
			m.badURL(str, name)
		}
		out = append(out, char...)
	}
	return string(out)
}

func fnEncodeURLComponent(m *machine, args []any, _ *callSite) any {
	return m.encodeURL(args[0], urlUnreserved, "encodeUrlComponent")
}

func fnEncodeURL(m *machine, args []any, _ *callSite) any {
	return m.encodeURL(args[0], urlUnreserved+urlReserved, "encodeUrl")
}

func fnDecodeURLComponent(m *machine, args []any, _ *callSite) any {
	return m.decodeURL(args[0], "", "decodeUrlComponent")
}

func fnDecodeURL(m *machine, args []any, _ *callSite) any {
	return m.decodeURL(args[0], urlReserved, "decodeUrl")
}
