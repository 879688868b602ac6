package expr

import (
	"math/big"
	"strconv"
	"strings"
)

// decimal is sign * 0.digits * 10^exp; digits without leading or trailing
// zeros, "" for zero.
type decimal struct {
	negative bool
	digits   string
	exp      int
}

const (
	maxDigits = 38
	maxExp    = 126  // 0.999...E126 = 9.99...E125
	minExp    = -129 // 0.1E-129 = 1E-130
)

// parseDecimal reads a number in DynamoDB's spelling.
func parseDecimal(s string) (decimal, bool) {
	var d decimal
	rest := s
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		d.negative = rest[0] == '-'
		rest = rest[1:]
	}
	exp := 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		e, err := strconv.Atoi(rest[i+1:])
		if err != nil || e > 10000 || e < -10000 {
			return d, false
		}
		exp, rest = e, rest[:i]
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return d, false
	}
	exp += len(whole)
	trimmed := strings.TrimLeft(digits, "0")
	exp -= len(digits) - len(trimmed)
	d.digits = strings.TrimRight(trimmed, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	d.exp = exp
	return d, true
}

// String is the canonical spelling: plain digits where they are short,
// otherwise with an exponent.
func (d decimal) String() string {
	if d.digits == "" {
		return "0"
	}
	sign := ""
	if d.negative {
		sign = "-"
	}
	n := len(d.digits)
	switch {
	case d.exp >= n && d.exp <= maxDigits:
		return sign + d.digits + strings.Repeat("0", d.exp-n)
	case d.exp > 0 && d.exp < n:
		return sign + d.digits[:d.exp] + "." + d.digits[d.exp:]
	case d.exp <= 0 && n-d.exp <= maxDigits:
		return sign + "0." + strings.Repeat("0", -d.exp) + d.digits
	}
	mantissa := d.digits[:1]
	if n > 1 {
		mantissa += "." + d.digits[1:]
	}
	return sign + mantissa + "E" + strconv.Itoa(d.exp-1)
}

// ParseNumber checks a number and returns its canonical spelling.
func ParseNumber(s string) (string, error) {
	d, ok := parseDecimal(s)
	switch {
	case !ok:
		return "", errorf("The parameter cannot be converted to a numeric value: %s", s)
	case len(d.digits) > maxDigits:
		return "", errorf("Attempting to store more than 38 significant digits in a Number")
	case d.digits != "" && d.exp > maxExp:
		return "", errorf("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case d.digits != "" && d.exp < minExp:
		return "", errorf("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return d.String(), nil
}

func mustDecimal(s string) decimal {
	d, _ := parseDecimal(s)
	return d
}

func compareNumbers(a, b string) int {
	return strings.Compare(OrderedNumber(a), OrderedNumber(b))
}

// OrderedNumber encodes a canonical number as a string that sorts by value.
func OrderedNumber(s string) string {
	d := mustDecimal(s)
	if d.digits == "" {
		return "\x80"
	}
	// A positive number sorts by exponent, then by digits; a negative one by
	// the complement of both, closed by a byte above all digits.
	exp := d.exp + 0x4000
	if !d.negative {
		return "\xc0" + string([]byte{byte(exp >> 8), byte(exp)}) + d.digits
	}
	exp = 0x8000 - exp
	out := []byte{0x40, byte(exp >> 8), byte(exp)}
	for i := range len(d.digits) {
		out = append(out, '0'+'9'-d.digits[i])
	}
	return string(append(out, 0xff))
}

// numberSize is about one byte for each two significant digits, plus one.
func numberSize(s string) int {
	d := mustDecimal(s)
	n := (len(d.digits)+1)/2 + 1
	if d.negative {
		n++
	}
	return n
}

// addNumbers returns a+b, or a-b.
func addNumbers(a, b string, minus bool) (string, error) {
	x, y := mustDecimal(a), mustDecimal(b)
	low := min(x.exp-len(x.digits), y.exp-len(y.digits))
	if max(x.exp, y.exp)-low > 400 {
		return "", errorf("Number overflow. Attempting to store a number with magnitude larger than supported range")
	}
	i, j := x.scaled(low), y.scaled(low)
	if minus {
		j.Neg(j)
	}
	return ParseNumber(i.Add(i, j).String() + "E" + strconv.Itoa(low))
}

// scaled is d / 10^low as an integer.
func (d decimal) scaled(low int) *big.Int {
	if d.digits == "" {
		return new(big.Int)
	}
	i, _ := new(big.Int).SetString(d.digits+strings.Repeat("0", d.exp-len(d.digits)-low), 10)
	if d.negative {
		i.Neg(i)
	}
	return i
}
