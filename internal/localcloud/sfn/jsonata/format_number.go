package jsonata

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Numbers after the picture strings of XPath's fn:format-number (XPath and
// XQuery Functions and Operators 3.1, section 4.7).

// decimalFormat is the set of characters that have a meaning in a picture.
type decimalFormat struct {
	decimal, grouping, exponent, digit, pattern rune
	zero                                        rune
	minus, percent, perMille                    string
}

func (d *decimalFormat) isDigit(r rune) bool { return r >= d.zero && r < d.zero+10 }

func (d *decimalFormat) isActive(r rune) bool {
	return d.isDigit(r) || r == d.decimal || r == d.exponent || r == d.grouping || r == d.digit || r == d.pattern
}

func (d *decimalFormat) option(name, value string) {
	first := rune(-1)
	for _, r := range value {
		first = r
		break
	}
	switch name {
	case "decimal-separator":
		d.decimal = first
	case "grouping-separator":
		d.grouping = first
	case "exponent-separator":
		d.exponent = first
	case "digit":
		d.digit = first
	case "pattern-separator":
		d.pattern = first
	case "zero-digit":
		d.zero = first
	case "minus-sign":
		d.minus = value
	case "percent":
		d.percent = value
	case "per-mille":
		d.perMille = value
	}
}

// subPicture is one half of a picture, taken apart.
type subPicture struct {
	text                        string
	prefix, suffix              string
	active                      []rune
	integer, fraction, exponent []rune
	hasExponent                 bool

	groups          []int // separators in the integer part, by digits to their right
	regular         int
	fractionGroups  []int // by digits to their left
	minInteger      int
	scale           int
	minFraction     int
	maxFraction     int
	minExponent     int
	percent, permil bool
}

func (m *machine) subPicture(text string, d *decimalFormat) *subPicture {
	runes := []rune(text)
	edge := func(r rune) bool { return d.isActive(r) && r != d.exponent }
	start := slices.IndexFunc(runes, edge)
	switch {
	case start < 0 && len(runes) > 0: // all of it is taken for active, and nothing in it is
		m.fail(&Error{Code: "D3086"})
	case start < 0:
		m.fail(&Error{Code: "D3085"})
	}
	end := len(runes)
	for !edge(runes[end-1]) {
		end--
	}
	p := &subPicture{text: text, prefix: string(runes[:start]), suffix: string(runes[end:]), active: runes[start:end]}
	mantissa := p.active
	if i := slices.Index(p.active, d.exponent); i >= 0 {
		mantissa, p.exponent, p.hasExponent = p.active[:i], p.active[i+1:], true
	}
	p.integer = mantissa
	if i := slices.Index(mantissa, d.decimal); i >= 0 {
		p.integer, p.fraction = mantissa[:i], mantissa[i+1:]
	}
	p.percent = d.percent != "" && strings.Contains(text, d.percent)
	p.permil = d.perMille != "" && strings.Contains(text, d.perMille)
	if code := p.fault(runes, mantissa, d); code != "" {
		m.fail(&Error{Code: code})
	}
	p.measure(d)
	return p
}

// fault names the rule of section 4.7.3 that the picture breaks, the last if
// there are several.
func (p *subPicture) fault(all, mantissa []rune, d *decimalFormat) (code string) {
	count := func(in []rune, what func(rune) bool) int { return countFunc(in, what) }
	is := func(want rune) func(rune) bool { return func(r rune) bool { return r == want } }
	if count(all, is(d.decimal)) > 1 {
		code = "D3081"
	}
	if d.percent != "" && strings.Count(p.text, d.percent) > 1 {
		code = "D3082"
	}
	if d.perMille != "" && strings.Count(p.text, d.perMille) > 1 {
		code = "D3083"
	}
	if p.percent && p.permil {
		code = "D3084"
	}
	if count(mantissa, func(r rune) bool { return d.isDigit(r) || r == d.digit }) == 0 {
		code = "D3085"
	}
	if count(p.active, func(r rune) bool { return !d.isActive(r) }) > 0 {
		code = "D3086"
	}
	if at := slices.Index(all, d.decimal); at >= 0 {
		if at > 0 && all[at-1] == d.grouping || at+1 < len(all) && all[at+1] == d.grouping {
			code = "D3087"
		}
	} else if n := len(p.integer); n > 0 && p.integer[n-1] == d.grouping {
		code = "D3088"
	}
	for i := 1; i < len(all); i++ {
		if all[i] == d.grouping && all[i-1] == d.grouping {
			code = "D3089"
		}
	}
	if i := slices.Index(p.integer, d.digit); i >= 0 && count(p.integer[:i], d.isDigit) > 0 {
		code = "D3090"
	}
	for i := len(p.fraction) - 1; i >= 0; i-- {
		if p.fraction[i] == d.digit {
			if count(p.fraction[i:], d.isDigit) > 0 {
				code = "D3091"
			}
			break
		}
	}
	if len(p.exponent) > 0 && (p.percent || p.permil) {
		code = "D3092"
	}
	if p.hasExponent && (len(p.exponent) == 0 || count(p.exponent, d.isDigit) < len(p.exponent)) {
		code = "D3093"
	}
	return code
}

func countFunc(in []rune, what func(rune) bool) int {
	n := 0
	for _, r := range in {
		if what(r) {
			n++
		}
	}
	return n
}

// measure derives the variables of section 4.7.4.
func (p *subPicture) measure(d *decimalFormat) {
	place := func(r rune) bool { return d.isDigit(r) || r == d.digit }
	for i, r := range p.integer {
		if r == d.grouping {
			p.groups = append(p.groups, countFunc(p.integer[i:], place))
		}
	}
	p.regular = evenSpacing(p.groups)
	for i, r := range p.fraction {
		if r == d.grouping {
			p.fractionGroups = append(p.fractionGroups, countFunc(p.fraction[:i], place))
		}
	}
	p.minInteger = countFunc(p.integer, d.isDigit)
	p.scale = p.minInteger
	p.minFraction = countFunc(p.fraction, d.isDigit)
	p.maxFraction = countFunc(p.fraction, place)
	if p.minInteger == 0 && p.maxFraction == 0 {
		if p.hasExponent {
			p.minFraction, p.maxFraction = 1, 1
		} else {
			p.minInteger = 1
		}
	}
	if p.hasExponent && p.minInteger == 0 && slices.Contains(p.integer, d.digit) {
		p.minInteger = 1
	}
	if p.minInteger == 0 && p.minFraction == 0 {
		p.minFraction = 1
	}
	p.minExponent = len(p.exponent)
}

func fnFormatNumber(m *machine, args []any, _ *callSite) any {
	value, ok := args[0].(float64)
	if !ok {
		return Undefined
	}
	picture, _ := args[1].(string)
	d := &decimalFormat{decimal: '.', grouping: ',', exponent: 'e', digit: '#', pattern: ';', zero: '0', minus: "-",
		percent: "%", perMille: "‰"}
	if o, ok := args[2].(*Object); ok {
		for k, v := range o.All() {
			if s, ok := v.(string); ok {
				d.option(k, s)
			}
		}
	}
	m.work(len(picture))
	if math.IsNaN(value) || math.IsInf(value, 0) {
		m.fail(&Error{Code: "D3001", Value: value})
	}
	halves := strings.Split(picture, string(d.pattern))
	if len(halves) > 2 {
		m.fail(&Error{Code: "D3080"})
	}
	p := m.subPicture(halves[0], d)
	var other *subPicture
	if len(halves) == 2 {
		other = m.subPicture(halves[1], d)
	}
	if value < 0 {
		if other != nil {
			p = other
		} else {
			p.prefix = d.minus + p.prefix
		}
	}
	out := m.formatDecimal(math.Abs(value), p, d)
	m.alloc(len(out))
	return out
}

// formatDecimal writes a number that is not negative, by section 4.7.5.
func (m *machine) formatDecimal(value float64, p *subPicture, d *decimalFormat) string {
	if p.percent {
		value *= 100
	} else if p.permil {
		value *= 1000
	}
	exponent := 0
	if p.minExponent > 0 && value != 0 {
		low, high := math.Pow(10, float64(p.scale-1)), math.Pow(10, float64(p.scale))
		for value < low && exponent > -400 {
			value *= 10
			exponent--
		}
		for value > high && exponent < 400 {
			value /= 10
			exponent++
		}
	}
	m.alloc(2 * (p.maxFraction + p.minInteger))
	places := min(p.maxFraction, 1000)
	text := fixedDecimal(value, places)
	whole, fraction, _ := strings.Cut(text, ".")
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	if pad := p.minInteger - len(whole); pad > 0 {
		whole = strings.Repeat("0", pad) + whole
	}
	if pad := p.minFraction - len(fraction); pad > 0 {
		fraction += strings.Repeat("0", pad)
	}

	var out strings.Builder
	out.WriteString(p.prefix)
	digit := func(c byte) { out.WriteRune(d.zero + rune(c-'0')) }
	for i := range len(whole) {
		if right := len(whole) - i; i > 0 {
			if p.regular > 0 && right%p.regular == 0 || p.regular == 0 && slices.Contains(p.groups, right) {
				out.WriteRune(d.grouping)
			}
		}
		digit(whole[i])
	}
	if fraction != "" {
		out.WriteRune(d.decimal)
		for i := range len(fraction) {
			if i > 0 && slices.Contains(p.fractionGroups, i) {
				out.WriteRune(d.grouping)
			}
			digit(fraction[i])
		}
	}
	if p.minExponent > 0 {
		out.WriteRune(d.exponent)
		if exponent < 0 {
			out.WriteString(d.minus)
			exponent = -exponent
		}
		digits := strconv.Itoa(exponent)
		if pad := p.minExponent - len(digits); pad > 0 {
			digits = strings.Repeat("0", pad) + digits
		}
		for i := range len(digits) {
			digit(digits[i])
		}
	}
	out.WriteString(p.suffix)
	return out.String()
}
