package java

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendDouble appends a finite number as Double.toString has it.
func AppendDouble(b []byte, f float64) []byte {
	if f == 0 {
		if math.Signbit(f) {
			b = append(b, '-')
		}
		return append(b, "0.0"...)
	}
	negative, digits, exponent := decimal(f)
	if negative {
		b = append(b, '-')
	}
	if exponent >= -3 && exponent < 7 {
		return appendPlain(b, digits, exponent, true)
	}
	return strconv.AppendInt(append(appendPlain(b, digits, 0, true), 'E'), int64(exponent), 10)
}

// AppendText appends a finite number as $string of Step Functions has it: whole numbers below 1e21 in their digits,
// others rounded down to 15 digits, as BigDecimal.toString has them. Seen by github.com/iwamot/sfnx, docs/design.md.
func AppendText(b []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1e21 {
		if f == 0 {
			return append(b, '0')
		}
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	negative, digits, exponent := decimal(f)
	if len(digits) > 15 {
		rest := strings.Trim(digits[15:], "0") != ""
		digits = digits[:15]
		if negative && rest {
			if digits = next(digits); len(digits) > 15 {
				exponent++
			}
		}
	}
	if digits = strings.TrimRight(digits, "0"); digits == "" {
		digits = "0"
	}
	if negative {
		b = append(b, '-')
	}
	if exponent >= -6 && len(digits) > exponent {
		return appendPlain(b, digits, exponent, false)
	}
	b = append(appendPlain(b, digits, 0, false), 'e')
	if exponent > 0 {
		b = append(b, '+')
	}
	return strconv.AppendInt(b, int64(exponent), 10)
}

// decimal is the shortest decimal number that is read as f: d.ddd times ten to the exponent.
func decimal(f float64) (negative bool, digits string, exponent int) {
	text, power, _ := strings.Cut(strconv.FormatFloat(math.Abs(f), 'e', -1, 64), "e")
	exponent, err := strconv.Atoi(power)
	if err != nil {
		panic(err) // FormatFloat has written it
	}
	return f < 0, strings.Replace(text, ".", "", 1), exponent
}

// next is the number after one of digits.
func next(digits string) string {
	b := []byte(digits)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] <= '9' {
			return string(b)
		}
		b[i] = '0'
	}
	return "1" + string(b)
}

// appendPlain appends d.ddd times ten to the exponent without an exponent, with a fraction in any case if it must be.
func appendPlain(b []byte, digits string, exponent int, fraction bool) []byte {
	if exponent < 0 {
		return append(append(append(b, "0."...), strings.Repeat("0", -exponent-1)...), digits...)
	}
	if missing := exponent + 1 - len(digits); missing > 0 {
		digits += strings.Repeat("0", missing)
	}
	b = append(b, digits[:exponent+1]...)
	rest := digits[exponent+1:]
	if rest == "" && fraction {
		rest = "0"
	}
	if rest != "" {
		b = append(append(b, '.'), rest...)
	}
	return b
}

// AppendQuoted appends a string with no more escapes than Step Functions' $string has: not of other control
// characters.
func AppendQuoted(b []byte, s string) []byte {
	const escaped, letters = "\"\\\b\f\n\r\t", "\"\\bfnrt"
	b = append(b, '"')
	for i := range len(s) {
		if at := strings.IndexByte(escaped, s[i]); at >= 0 {
			b = append(b, '\\', letters[at])
		} else {
			b = append(b, s[i])
		}
	}
	return append(b, '"')
}

// Bytes is a text in UTF-8. Half a surrogate pair, as the three bytes of its number, is a question mark.
func Bytes(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		if size == 1 && s[i] == 0xED && len(s)-i >= 3 {
			b = append(b, '?')
			i += 3
			continue
		}
		b = append(b, s[i:i+size]...)
		i += size
	}
	return b
}

// Text reads UTF-8; what is none, as far as it could be the beginning of a character, is one U+FFFD.
func Text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b)+2)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			for size < len(b) && size < 4 && !utf8.FullRune(b[:size]) && !utf8.RuneStart(b[size]) {
				size++
			}
			if size > 1 && utf8.FullRune(b[:size]) { // the last byte has made it wrong
				size--
			}
		}
		out = utf8.AppendRune(out, r)
		b = b[size:]
	}
	return string(out)
}
