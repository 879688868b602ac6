package jsonata

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

func (m *machine) numbers(v any) []any {
	items, _ := itemsOf(v)
	m.work(len(items) / 4)
	return items
}

func sum(items []any) float64 {
	total := 0.0
	for _, v := range items {
		f, _ := v.(float64)
		total += f
	}
	return total
}

func fnSum(m *machine, args []any, _ *callSite) any {
	if args[0] == Undefined {
		return Undefined
	}
	return boxFloat(sum(m.numbers(args[0])))
}

func fnAverage(m *machine, args []any, _ *callSite) any {
	items := m.numbers(args[0])
	if len(items) == 0 {
		return Undefined
	}
	return boxFloat(sum(items) / float64(len(items)))
}

func fnMax(m *machine, args []any, _ *callSite) any {
	return extreme(m.numbers(args[0]), math.Max)
}

func fnMin(m *machine, args []any, _ *callSite) any {
	return extreme(m.numbers(args[0]), math.Min)
}

func extreme(items []any, of func(x, y float64) float64) any {
	if len(items) == 0 {
		return Undefined
	}
	out, _ := items[0].(float64)
	for _, v := range items[1:] {
		f, _ := v.(float64)
		out = of(out, f)
	}
	return boxFloat(out)
}

func fnNumber(m *machine, args []any, _ *callSite) any {
	switch v := args[0].(type) {
	case *undefined, float64:
		return v
	case bool:
		if v {
			return boxInt(1)
		}
		return boxInt(0)
	case string:
		if f, ok := parseNumber(v); ok {
			return f
		}
	}
	m.fail(&Error{Code: "D3030", Value: args[0], Index: 1})
	return nil
}

// parseNumber reads a decimal number, or an integer with 0x, 0o or 0b.
func parseNumber(s string) (float64, bool) {
	if len(s) > 2 && s[0] == '0' {
		base := 0
		switch s[1] {
		case 'x', 'X':
			base = 16
		case 'o', 'O':
			base = 8
		case 'b', 'B':
			base = 2
		}
		if base != 0 && s[2] != '+' && s[2] != '-' && strings.IndexByte(s, '_') < 0 {
			n, ok := new(big.Int).SetString(s[2:], base)
			if !ok {
				return 0, false
			}
			f, _ := new(big.Float).SetInt(n).Float64()
			return f, !math.IsInf(f, 0)
		}
	}
	i := 0
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if !digits() {
		return 0, false
	}
	if i < len(s) && s[i] == '.' {
		if i++; !digits() {
			return 0, false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return 0, false
		}
	}
	if i != len(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil || !math.IsInf(f, 0)
}

// overNumber lifts a function of one number.
func overNumber(v any, f func(float64) float64) any {
	if x, ok := v.(float64); ok {
		return boxFloat(f(x))
	}
	return Undefined
}

func fnFloor(_ *machine, args []any, _ *callSite) any { return overNumber(args[0], math.Floor) }
func fnCeil(_ *machine, args []any, _ *callSite) any  { return overNumber(args[0], math.Ceil) }
func fnAbs(_ *machine, args []any, _ *callSite) any   { return overNumber(args[0], math.Abs) }

func fnRound(_ *machine, args []any, _ *callSite) any {
	places, _ := args[1].(float64)
	return overNumber(args[0], func(f float64) float64 { return roundHalfEven(f, clampInt(places)) })
}

func fnSqrt(m *machine, args []any, _ *callSite) any {
	if f, ok := args[0].(float64); ok && f < 0 {
		m.fail(&Error{Code: "D3060", Value: f, Index: 1})
	}
	return overNumber(args[0], math.Sqrt)
}

func fnPower(m *machine, args []any, _ *callSite) any {
	m.work(100)
	return overNumber(args[0], func(f float64) float64 {
		exp, ok := args[1].(float64)
		if !ok {
			exp = math.NaN()
		}
		out := power(f, exp)
		if math.IsNaN(out) || math.IsInf(out, 0) || (math.Abs(f) == 1 && math.IsInf(exp, 0)) {
			m.fail(&Error{Code: "D3061", Value: f, Value2: args[1], Index: 1})
		}
		return out
	})
}

// power is right to the last digit, which math.Pow is not. The whole part of
// the exponent goes by squaring, the fraction by square roots, bit by bit.
func power(x, y float64) float64 {
	rough := math.Pow(x, y)
	whole, fraction := math.Modf(math.Abs(y))
	switch size := math.Abs(rough); {
	case math.IsNaN(rough) || math.IsInf(rough, 0) || size < 1e-300 || size == 1 || whole > 4096 || x < 0 &&
		fraction != 0:
		return rough
	}
	const bits = 160
	number := func(f float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(f) }
	out := number(1)
	square := number(x)
	for n := int(whole); n > 0; n >>= 1 {
		if n&1 == 1 {
			out.Mul(out, square)
		}
		square.Mul(square, square)
	}
	for root := number(x); fraction > 0; {
		root.Sqrt(root)
		if fraction *= 2; fraction >= 1 {
			out.Mul(out, root)
			fraction--
		}
	}
	if y < 0 {
		out.Quo(number(1), out)
	}
	f, _ := out.Float64()
	return f
}

func fnFormatBase(m *machine, args []any, _ *callSite) any {
	f, ok := args[0].(float64)
	if !ok {
		return Undefined
	}
	f = roundHalfEven(f, 0)
	radix := 10.0
	if r, ok := args[1].(float64); ok {
		radix = roundHalfEven(r, 0)
	}
	if !(radix >= 2 && radix <= 36) {
		m.fail(&Error{Code: "D3100", Value: radix})
	}
	if math.IsNaN(f) || math.IsInf(f, 0) || radix == 10 {
		return formatNumber(f)
	}
	n, _ := new(big.Float).SetFloat64(f).Int(nil)
	return n.Text(int(radix))
}
