package jsonata

import (
	"math"
	"strconv"
	"strings"
)

// Integers in words, letters, Roman and decimal digits, after the picture
// strings of XPath's fn:format-integer (XPath and XQuery Functions and
// Operators 3.1, section 4.6).

type integerKind uint8

const (
	inDigits integerKind = iota
	inLetters
	inRoman
	inWords
	inSequence // numberings we do not have
)

type letterCase uint8

const (
	lowerCase letterCase = iota
	upperCase
	titleCase
)

type separator struct {
	position int // digits to its right
	char     string
}

type integerFormat struct {
	kind       integerKind
	letters    letterCase
	ordinal    bool
	token      string
	zero       rune
	mandatory  int
	optional   int
	separators []separator // rightmost first
	regular    int         // distance of evenly spaced equal separators, or 0
	width      int         // digits to read, or -1
}

var digitZeros = []rune{
	0x30, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
	0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50,
	0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
}

// digitZero gives the zero of the digits that r belongs to.
func digitZero(r rune) (rune, bool) {
	for _, z := range digitZeros {
		if r >= z && r <= z+9 {
			return z, true
		}
	}
	return 0, false
}

func (m *machine) integerPicture(picture string) *integerFormat {
	f := &integerFormat{width: -1}
	primary := picture
	if i := strings.LastIndexByte(picture, ';'); i >= 0 {
		primary = picture[:i]
		f.ordinal = strings.HasPrefix(picture[i+1:], "o")
	}
	switch primary {
	case "A", "a":
		f.kind = inLetters
	case "I", "i":
		f.kind = inRoman
	case "W", "w":
		f.kind = inWords
	case "Ww":
		f.kind, f.letters = inWords, titleCase
		return f
	default:
		m.digitPattern(f, primary)
		return f
	}
	if primary[0] < 'a' {
		f.letters = upperCase
	}
	return f
}

func (m *machine) digitPattern(f *integerFormat, pattern string) {
	runes := []rune(pattern)
	places := 0
	for i := len(runes) - 1; i >= 0; i-- {
		r := runes[i]
		if zero, ok := digitZero(r); ok {
			if f.mandatory > 0 && f.zero != zero {
				m.fail(&Error{Code: "D3131"})
			}
			f.zero = zero
			f.mandatory++
			places++
		} else if r == '#' {
			f.optional++
			places++
		} else {
			f.separators = append(f.separators, separator{places, string(r)})
		}
	}
	if f.mandatory == 0 {
		f.kind, f.token = inSequence, pattern
		return
	}
	positions := make([]int, len(f.separators))
	for i, s := range f.separators {
		if s.char != f.separators[0].char {
			return
		}
		positions[i] = s.position
	}
	f.regular = evenSpacing(positions)
}

// evenSpacing gives the distance d when the positions are d, 2d, 3d and so
// on, else 0.
func evenSpacing(positions []int) int {
	if len(positions) == 0 {
		return 0
	}
	d := positions[0]
	for _, p := range positions[1:] {
		for p != 0 {
			d, p = p, d%p
		}
	}
	has := make(map[int]bool, len(positions))
	for _, p := range positions {
		has[p] = true
	}
	for i := range positions {
		if !has[(i+1)*d] {
			return 0
		}
	}
	return d
}

func (m *machine) formatInteger(value float64, f *integerFormat) string {
	negative := value < 0
	value = math.Abs(value)
	if math.IsNaN(value) || math.IsInf(value, 0) {
		m.fail(&Error{Code: "D3001", Value: value})
	}
	var out string
	switch f.kind {
	case inLetters:
		first := byte('a')
		if f.letters == upperCase {
			first = 'A'
		}
		out = toLetters(value, first)
	case inRoman:
		m.alloc(int(min(value/1000, math.MaxInt32)))
		m.work(int(min(value/8000, math.MaxInt32)))
		out = toRoman(value)
		if f.letters == upperCase {
			out = strings.ToUpper(out)
		}
	case inWords:
		out = toWords(value, f.ordinal, "")
		switch f.letters {
		case upperCase:
			out = strings.ToUpper(out)
		case lowerCase:
			out = strings.ToLower(out)
		}
	case inSequence:
		m.fail(&Error{Code: "D3130", Value: f.token})
	default:
		out = m.toDigits(value, f)
	}
	if negative {
		return "-" + out
	}
	return out
}

func (m *machine) toDigits(value float64, f *integerFormat) string {
	s := formatNumber(value)
	if pad := f.mandatory - len(s); pad > 0 {
		m.alloc(pad)
		s = strings.Repeat("0", pad) + s
	}
	last, teen := s[len(s)-1], len(s) > 1 && s[len(s)-2] == '1'
	digits := []rune(s)
	if f.zero != '0' && f.zero != 0 {
		for i, r := range digits {
			digits[i] = r + f.zero - '0'
		}
	}
	var out strings.Builder
	for i, r := range digits {
		if right := len(digits) - i; i > 0 || f.regular == 0 {
			if f.regular > 0 {
				if right%f.regular == 0 {
					out.WriteString(f.separators[0].char)
				}
			} else {
				for j := len(f.separators) - 1; j >= 0; j-- {
					if f.separators[j].position == right {
						out.WriteString(f.separators[j].char)
					}
				}
			}
		}
		out.WriteRune(r)
	}
	if f.regular == 0 {
		for j := len(f.separators) - 1; j >= 0; j-- {
			if f.separators[j].position == 0 {
				out.WriteString(f.separators[j].char)
			}
		}
	}
	if f.ordinal {
		suffix := "th"
		if !teen {
			switch last {
			case '1':
				suffix = "st"
			case '2':
				suffix = "nd"
			case '3':
				suffix = "rd"
			}
		}
		out.WriteString(suffix)
	}
	return out.String()
}

func toLetters(value float64, first byte) string {
	var out []byte
	for value > 0 {
		out = append(out, first+byte(math.Mod(value-1, 26)))
		value = math.Floor((value - 1) / 26)
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out)
}

var romanNumerals = []struct {
	value  float64
	letter string
}{
	{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"}, {40, "xl"},
	{10, "x"}, {9, "ix"}, {5, "v"}, {4, "iv"}, {1, "i"},
}

func toRoman(value float64) string {
	var out strings.Builder
	for _, n := range romanNumerals {
		for ; value >= n.value; value -= n.value {
			out.WriteString(n.letter)
		}
	}
	return out.String()
}

var (
	smallWords = strings.Fields("Zero One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve Thirteen" +
		" Fourteen Fifteen Sixteen Seventeen Eighteen Nineteen")
	smallOrdinals = strings.Fields("Zeroth First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth Eleventh" +
		" Twelfth Thirteenth Fourteenth Fifteenth Sixteenth Seventeenth Eighteenth Nineteenth")
	tensWords  = strings.Fields("Twenty Thirty Forty Fifty Sixty Seventy Eighty Ninety")
	magnitudes = strings.Fields("Thousand Million Billion Trillion")
)

// toWords writes a number in British English. Before a remainder below a
// hundred comes "and", before a greater one a comma; sep is empty at the start.
func toWords(n float64, ordinal bool, sep string) string {
	and, comma := "", ""
	if sep != "" {
		and, comma = " and ", ", "
	}
	// rest writes what is left after the larger part, or the ordinal ending.
	rest := func(r float64) string {
		if r > 0 {
			return toWords(r, ordinal, "and")
		}
		if ordinal {
			return "th"
		}
		return ""
	}
	switch {
	case n < 20:
		if ordinal {
			return and + smallOrdinals[int(n)]
		}
		return and + smallWords[int(n)]
	case n < 100:
		tens := tensWords[int(n)/10-2]
		if r := math.Mod(n, 10); r > 0 {
			return and + tens + "-" + toWords(r, ordinal, "")
		}
		if ordinal {
			return and + tens[:len(tens)-1] + "ieth"
		}
		return and + tens
	case n < 1000:
		return comma + smallWords[int(n)/100] + " Hundred" + rest(math.Mod(n, 100))
	}
	mag, factor := 1, 1e3
	for mag < len(magnitudes) && n >= factor*1000 {
		mag++
		factor *= 1000
	}
	count := math.Floor(n / factor)
	return comma + toWords(count, false, "") + " " + magnitudes[mag-1] + rest(n-count*factor)
}

// wordValues says what each word counts for; wordPattern matches them.
var wordValues, wordPattern = func() (map[string]float64, string) {
	values := map[string]float64{}
	var order []string
	add := func(word string, v float64) {
		word = strings.ToLower(word)
		values[word] = v
		order = append(order, word)
	}
	for i := range smallWords {
		add(smallWords[i], float64(i))
		add(smallOrdinals[i], float64(i))
	}
	for i, w := range tensWords {
		add(w, float64(i+2)*10)
		add(w[:len(w)-1]+"ieth", float64(i+2)*10)
	}
	add("hundred", 100)
	add("hundredth", 100)
	for i, w := range magnitudes {
		add(w, math.Pow(1000, float64(i+1)))
		add(w+"th", math.Pow(1000, float64(i+1)))
	}
	return values, `(?:` + strings.Join(order, "|") + `|and|[\-, ])+`
}()

func fromWords(text string) (float64, bool) {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r == ',' || r == '-' || r == '\\' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
	})
	parts := []float64{0}
	for _, w := range words {
		if w == "and" {
			continue
		}
		v, ok := wordValues[w]
		if !ok {
			return 0, false
		}
		top := &parts[len(parts)-1]
		switch {
		case v >= 100:
			*top *= v
		case *top >= 1000:
			parts = append(parts, v)
		default:
			*top += v
		}
	}
	total := 0.0
	for _, p := range parts {
		total += p
	}
	return total, len(words) > 0
}

func fromRoman(s string) (float64, bool) {
	total, highest := 0.0, 1.0
	for i := len(s) - 1; i >= 0; i-- {
		var v float64
		switch s[i] | 32 {
		case 'm':
			v = 1000
		case 'd':
			v = 500
		case 'c':
			v = 100
		case 'l':
			v = 50
		case 'x':
			v = 10
		case 'v':
			v = 5
		case 'i':
			v = 1
		default:
			return 0, false
		}
		if v < highest {
			total -= v
		} else {
			highest = v
			total += v
		}
	}
	return total, true
}

func fromLetters(s string, first byte) (float64, bool) {
	total := 0.0
	for i := range len(s) {
		total = total*26 + float64(int(s[i])-int(first)+1)
	}
	return total, true
}

// parse reads what the format would have written.
func (f *integerFormat) parse(s string) (float64, bool) {
	switch f.kind {
	case inLetters:
		if f.letters == upperCase {
			return fromLetters(s, 'A')
		}
		return fromLetters(s, 'a')
	case inRoman:
		return fromRoman(s)
	case inWords:
		return fromWords(s)
	}
	if f.ordinal {
		s = s[:max(0, len(s)-2)]
	}
	if f.regular > 0 {
		s = strings.ReplaceAll(s, ",", "")
	}
	for _, sep := range f.separators {
		s = strings.ReplaceAll(s, sep.char, "")
	}
	if f.zero != '0' {
		s = mapRunes(s, func(r rune) rune {
			if z, ok := digitZero(r); ok && z == f.zero {
				return r - f.zero + '0'
			}
			return r
		})
	}
	s = strings.TrimSpace(s)
	sign := 1.0
	if t := strings.TrimPrefix(s, "-"); t != s {
		s, sign = t, -1
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 {
		return 0, false
	}
	v, _ := strconv.ParseFloat(s[:n], 64)
	return sign * v, true
}

func fnFormatInteger(m *machine, args []any, _ *callSite) any {
	value, ok := args[0].(float64)
	if !ok {
		return Undefined
	}
	picture, _ := args[1].(string)
	s := m.formatInteger(math.Floor(value), m.integerPicture(picture))
	m.alloc(len(s))
	return s
}

func fnParseInteger(m *machine, args []any, _ *callSite) any {
	s, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	picture, _ := args[1].(string)
	f := m.integerPicture(picture)
	if f.kind == inSequence {
		m.fail(&Error{Code: "D3130", Value: f.token})
	}
	m.work(len(s) / 4)
	v, ok := f.parse(s)
	if !ok {
		m.fail(&Error{Code: "D3030", Value: s, Index: 1})
	}
	return v
}
