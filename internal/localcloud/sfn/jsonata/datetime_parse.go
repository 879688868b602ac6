package jsonata

import (
	"math"
	"strconv"
	"strings"
	"time"
)

func fnToMillis(m *machine, args []any, _ *callSite) any {
	text, ok := args[0].(string)
	if !ok {
		return Undefined
	}
	if picture, ok := args[1].(string); ok {
		return m.parseDate(text, picture)
	}
	ms, ok := parseISO(text)
	if !ok {
		m.fail(&Error{Code: "D3110", Value: text})
	}
	return ms
}

// parseISO reads a year with as much of month, day, time and zone as there
// is. A time without a zone is taken as UTC.
func parseISO(s string) (float64, bool) {
	rest := s
	// digits reads a number of so many digits after a prefix, if it is there.
	digits := func(prefix string, n int) (int, bool) {
		if !strings.HasPrefix(rest, prefix) || len(rest) < len(prefix)+n {
			return 0, false
		}
		v, size := leadingInt(rest[len(prefix):], n)
		if size < n {
			return 0, false
		}
		rest = rest[len(prefix)+n:]
		return v, true
	}
	year, ok := digits("", 4)
	if !ok {
		return 0, false
	}
	month, date := 1, 1
	if v, ok := digits("-", 2); ok {
		month = v
		if v, ok := digits("-", 2); ok {
			date = v
		}
	}
	hour, minute, second, milli := 0, 0, 0, 0
	if strings.HasPrefix(rest, "T") {
		var okM, okS bool
		hour, ok = digits("T", 2)
		minute, okM = digits(":", 2)
		second, okS = digits(":", 2)
		if !ok || !okM || !okS {
			return 0, false
		}
		if strings.HasPrefix(rest, ".") {
			n := 1
			for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
				n++
			}
			if n == 1 {
				return 0, false
			}
			milli, _ = leadingInt((rest[1:n] + "00")[:3], 3)
			rest = rest[n:]
		}
	}
	zone := 0
	switch {
	case rest == "Z":
		rest = ""
	case strings.HasPrefix(rest, "+"), strings.HasPrefix(rest, "-"):
		sign := rest[:1]
		h, ok := digits(sign, 2)
		colon := ""
		if strings.HasPrefix(rest, ":") {
			colon = ":"
		}
		min, okM := digits(colon, 2)
		if !ok || !okM || h > 23 || min > 59 {
			return 0, false
		}
		if zone = h*60 + min; sign == "-" {
			zone = -zone
		}
	}
	endOfDay := hour == 24 && minute == 0 && second == 0 && milli == 0
	if rest != "" || month < 1 || month > 12 || date < 1 || date > 31 || hour > 23 && !endOfDay || minute > 59 ||
		second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), date, hour, minute, second, 0, time.UTC)
	return float64(t.UnixMilli() + int64(milli) - int64(zone)*60000), true
}

// dateReader is a component of a picture as a piece of a regular expression
// and the way to read what that has matched. A literal has no read.
type dateReader struct {
	component byte
	pattern   string
	read      func(s string) (float64, bool)
}

func quoteRegex(s string) string {
	var out strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`.*+?^${}()|[]\/`, r) {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}

func (m *machine) dateReader(p *datePart) dateReader {
	r := dateReader{component: p.component}
	switch {
	case p.component == 0:
		r.pattern = quoteRegex(p.literal)
	case p.component == 'Z' || p.component == 'z':
		sep := ""
		if p.integer.regular > 0 {
			sep = p.integer.separators[0].char
		}
		r.pattern = "[-+][0-9]+"
		if sep != "" {
			r.pattern += quoteRegex(sep) + "[0-9]+"
		}
		if p.component == 'z' {
			r.pattern = "GMT" + r.pattern
		}
		r.read = func(s string) (float64, bool) { return readZone(s, sep) }
	case p.integer != nil:
		r.pattern = m.integerPattern(p.integer)
		r.read = p.integer.parse
	case p.component == 'M' || p.component == 'x':
		r.pattern, r.read = "[a-zA-Z]+", nameReader(monthNames, p)
	case p.component == 'F':
		r.pattern, r.read = "[a-zA-Z]+", nameReader(dayNames, p)
	case p.component == 'P':
		r.pattern, r.read = "[a-zA-Z]+", nameReader([]string{"am", "pm"}, &datePart{})
	default:
		m.fail(&Error{Code: "D3133", Value: string(p.component)})
	}
	return r
}

func nameReader(names []string, p *datePart) func(string) (float64, bool) {
	return func(s string) (float64, bool) {
		for i, name := range names {
			if p.maxWidth > 0 && len(name) > p.maxWidth {
				name = name[:p.maxWidth]
			}
			if name != "" && strings.EqualFold(name, s) {
				return float64(i), true
			}
		}
		return 0, false
	}
}

func readZone(s, sep string) (float64, bool) {
	s = strings.TrimPrefix(strings.ToUpper(s), "GMT")
	sign := 1.0
	if s[0] == '-' {
		sign = -1
	}
	s = s[1:]
	hours, minutes := s, ""
	if sep != "" {
		hours, minutes, _ = strings.Cut(s, sep)
	} else if len(s) > 2 {
		hours, minutes = s[:2], s[2:]
	}
	h, _ := leadingInt(hours, 4)
	min, _ := leadingInt(minutes, 4)
	return sign * float64(h*60+min), true
}

func (m *machine) integerPattern(f *integerFormat) string {
	switch f.kind {
	case inLetters:
		if f.letters == upperCase {
			return "[A-Z]+"
		}
		return "[a-z]+"
	case inRoman:
		return "[mdclxviMDCLXVI]+"
	case inWords:
		return wordPattern
	case inSequence:
		m.fail(&Error{Code: "D3130", Value: f.token})
	}
	out := "[0-9]+"
	if f.zero != '0' {
		out = "[" + string(f.zero) + "-" + string(f.zero+9) + "]+"
	}
	if f.width > 0 {
		out = strings.TrimSuffix(out, "+") + "{" + strconv.Itoa(max(0, f.width-f.optional)) + "," +
			strconv.Itoa(f.width) + "}"
	}
	if f.ordinal {
		out += "(?:th|st|nd|rd)"
	}
	return out
}

// parseDate reads a timestamp by its picture. What the picture leaves out to
// the left of what it names is taken from the clock, to the right it is zero;
// in between nothing may be missing.
func (m *machine) parseDate(text, picture string) any {
	parts := m.datePicture(picture)
	readers := make([]dateReader, len(parts))
	var pattern strings.Builder
	pattern.WriteByte('^')
	for i := range parts {
		readers[i] = m.dateReader(&parts[i])
		pattern.WriteString("(" + readers[i].pattern + ")")
	}
	pattern.WriteByte('$')
	re, err := compileRegex(pattern.String(), "i", false)
	if err != nil {
		m.fail(&Error{Code: "D3136"})
	}
	// Words as pieces of the pattern have no groups, so groups are parts.
	units := toUnits(text)
	caps := re.exec(m, units, 0)
	if caps == nil {
		return Undefined
	}
	values := map[byte]float64{}
	named := false
	for i, r := range readers {
		if r.read == nil {
			continue
		}
		named = true
		if v, ok := r.read(fromUnits(units[caps[2*i+2]:caps[2*i+3]])); ok {
			values[r.component] = v
		}
	}
	if !named {
		return Undefined
	}
	return m.assembleDate(values)
}

func (m *machine) assembleDate(v map[byte]float64) any {
	// only tells whether of all these components just the ones given have a
	// value, and at least one.
	only := func(of, these string) bool {
		some := false
		for i := range len(of) {
			if v[of[i]] != 0 {
				if strings.IndexByte(these, of[i]) < 0 {
					return false
				}
				some = true
			}
		}
		return some
	}
	const dates, times = "YXMxWwdD", "PHhmsf"
	byDate := only(dates, "YMD")
	byDay := !byDate && only(dates, "Yd")
	byMonthWeek := only(dates, "Xxw")
	byWeek := !byMonthWeek && only(dates, "XW")
	halfDays := !only(times, "Hmsf") && only(times, "Phmsf")

	order := "YMD"
	switch {
	case byDay:
		order = "YD"
	case byMonthWeek:
		order = "XxwF"
	case byWeek:
		order = "XWF"
	}
	if halfDays {
		order += "Phmsf"
	} else {
		order += "Hmsf"
	}
	started, ended := false, false
	for i := range len(order) {
		c := order[i]
		if _, ok := v[c]; ok {
			started = true
			if ended {
				m.fail(&Error{Code: "D3136"})
			}
			continue
		}
		switch {
		case !started:
			v[c] = float64(dateComponent(m.clock().UTC(), c))
		case c == 'M' || c == 'D':
			v[c], ended = 1, true
		default:
			v[c], ended = 0, true
		}
	}
	if byMonthWeek || byWeek {
		m.fail(&Error{Code: "D3136"}) // dates by week cannot be read
	}
	year, month, date := clampInt(v['Y']), clampInt(v['M']), clampInt(v['D'])
	if year >= 0 && year <= 99 {
		year += 1900 // as JavaScript's Date.UTC
	}
	if byDay {
		month, date = 1, clampInt(v['d'])
	}
	if month < 1 {
		month = 1
	}
	hour := v['H']
	if halfDays {
		if hour = v['h']; hour == 12 {
			hour = 0
		}
		if v['P'] == 1 {
			hour += 12
		}
	}
	if math.Abs(float64(year)) > 400_000 || month > 1_000_000 || math.Abs(float64(date)) > 1e8 {
		m.fail(&Error{Code: "D1001", Value: v['Y']})
	}
	ms := float64(time.Date(year, time.Month(month), date, 0, 0, 0, 0, time.UTC).UnixMilli())
	ms += ((hour*60+v['m'])*60+v['s'])*1000 + v['f']
	zone := v['Z']
	if zone == 0 {
		zone = v['z']
	}
	ms -= zone * 60000
	if math.Abs(ms) > maxMillis {
		m.fail(&Error{Code: "D1001", Value: ms})
	}
	return ms
}
