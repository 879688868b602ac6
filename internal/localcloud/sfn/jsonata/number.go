package jsonata

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// boxed holds the numbers that array indices and counters are made of, so
// that they need no allocation.
var boxed = func() (t [1024]any) {
	for i := range t {
		t[i] = float64(i)
	}
	return
}()

func boxInt(n int) any {
	if n >= 0 && n < len(boxed) {
		return boxed[n]
	}
	return float64(n)
}

func boxFloat(f float64) any {
	if n := int(f); n > 0 && n < len(boxed) && float64(n) == f {
		return boxed[n]
	}
	return f
}

// appendNumber writes a finite number as JavaScript does: digits without an
// exponent from 1e-6 up to 1e21.
func appendNumber(dst []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.AppendInt(dst, int64(f), 10) // -0 is written 0
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes at least two digits of exponent.
	if i := strings.LastIndexByte(string(dst[start:]), 'e') + start; len(dst) == i+4 && dst[i+2] == '0' {
		dst = append(dst[:i+2], dst[i+3])
	}
	return dst
}

func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return string(appendNumber(nil, f))
}

// to15Digits rounds to 15 significant digits, halves away from zero.
func to15Digits(f float64) float64 {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return f
	}
	shortest := strconv.FormatFloat(f, 'e', -1, 64)
	digits := strings.IndexByte(shortest, 'e')
	if f < 0 {
		digits--
	}
	if digits <= 16 { // one of them is the point
		return f
	}
	if digits == 17 && shortest[strings.IndexByte(shortest, 'e')-1] == '5' {
		exact := strconv.FormatFloat(f, 'e', 60, 64)
		mantissa, exp, _ := strings.Cut(exact, "e")
		if strings.Trim(mantissa[len(mantissa)-45:], "0") == "" {
			m, _, _ := strings.Cut(shortest, "e")
			// Halfway between two: a larger last digit is what rounds up.
			g, _ := strconv.ParseFloat(m[:len(m)-1]+"6e"+exp, 64)
			f = g
		}
	}
	out, err := strconv.ParseFloat(strconv.FormatFloat(f, 'e', 14, 64), 64)
	if err != nil {
		return f
	}
	return out
}

// roundHalfEven rounds at a decimal place by its decimal digits, so that
// 4.525 to two places is a tie although its binary value is not.
func roundHalfEven(f float64, places int) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return f
	}
	if places != 0 {
		f = shiftDecimal(f, places)
	}
	if r := math.RoundToEven(f); !math.IsInf(f, 0) {
		f = r
	}
	if places != 0 {
		f = shiftDecimal(f, -places)
	}
	if f == 0 {
		return 0 // never -0
	}
	return f
}

// fixedDecimal writes a number that is not negative with so many places, rounded half to even by its decimal digits.
func fixedDecimal(f float64, places int) string {
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	exponent, err := strconv.Atoi(exp)
	if err != nil {
		panic(err) // FormatFloat has written it
	}
	digits := strings.Replace(mantissa, ".", "", 1)
	// digits times ten to the power of low.
	low := exponent + 1 - len(digits)
	if cut := -low - places; cut > 0 {
		whole, rest := "0", digits
		if cut <= len(digits) {
			whole, rest = "0"+digits[:len(digits)-cut], digits[len(digits)-cut:]
			odd := (whole[len(whole)-1]-'0')%2 == 1
			if rest[0] > '5' || rest[0] == '5' && (odd || strings.Trim(rest[1:], "0") != "") {
				n, _ := new(big.Int).SetString(whole, 10)
				whole = n.Add(n, big.NewInt(1)).String()
			}
		}
		digits, low = whole, -places
	}
	digits += strings.Repeat("0", max(0, low+places))
	if missing := places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	return digits[:len(digits)-places] + "." + digits[len(digits)-places:]
}

func shiftDecimal(f float64, places int) float64 {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exp, _ := strings.Cut(s, "e")
	e, _ := strconv.Atoi(exp)
	out, _ := strconv.ParseFloat(mantissa+"e"+strconv.Itoa(e+places), 64)
	return out
}
