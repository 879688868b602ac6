package jsonata

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Dates and times after the picture strings of XPath's fn:format-dateTime
// (XPath and XQuery Functions and Operators 3.1, section 9.8), with X and x
// for the year and month that a week belongs to.

const isoPicture = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]"

// datePart is a piece of a picture: a literal, or a component.
type datePart struct {
	literal   string
	component byte
	first     string // first presentation modifier
	second    byte   // second presentation modifier
	named     bool
	letters   letterCase
	minWidth  int
	maxWidth  int // 0: none
	hasMax    bool
	integer   *integerFormat
}

var defaultPresentation = map[byte]string{
	'Y': "1", 'M': "1", 'D': "1", 'd': "1", 'F': "n", 'W': "1", 'w': "1", 'X': "1", 'x': "1", 'H': "1", 'h': "1",
	'P': "n", 'm': "01", 's': "01", 'f': "1", 'Z': "01:01", 'z': "01:01", 'C': "n", 'E': "n",
}

const numericComponents = "YMDdFWwXxHhmsf"

func (m *machine) datePicture(picture string) []datePart {
	m.work(len(picture))
	var parts []datePart
	literal := func(s string) {
		if s != "" {
			parts = append(parts, datePart{literal: strings.ReplaceAll(s, "]]", "]")})
		}
	}
	for {
		i := strings.IndexByte(picture, '[')
		if i < 0 {
			literal(picture)
			return parts
		}
		literal(picture[:i])
		if strings.HasPrefix(picture[i:], "[[") {
			literal("[")
			picture = picture[i+2:]
			continue
		}
		end := strings.IndexByte(picture[i:], ']')
		if end < 0 {
			m.fail(&Error{Code: "D3135"})
		}
		parts = append(parts, m.dateMarker(picture[i+1:i+end]))
		picture = picture[i+end+1:]
	}
}

func (m *machine) dateMarker(text string) datePart {
	text = strings.Join(strings.FieldsFunc(text, unicode.IsSpace), "")
	var p datePart
	if text != "" {
		p.component = text[0]
	}
	standard, known := defaultPresentation[p.component]
	if !known {
		_, size := utf8First(text)
		m.fail(&Error{Code: "D3132", Value: text[:size]})
	}
	text = text[1:]
	if comma := strings.LastIndexByte(text, ','); comma >= 0 {
		low, high, _ := strings.Cut(text[comma+1:], "-")
		p.minWidth, _ = widthOf(low)
		p.maxWidth, p.hasMax = widthOf(high)
		text = text[:comma]
	}
	p.first = text
	if n := len(text); n == 0 {
		p.first = standard
	} else if runeCount(text) > 1 && strings.IndexByte("atco", text[n-1]) >= 0 {
		p.first, p.second = text[:n-1], text[n-1]
	}
	switch {
	case p.first[0] == 'n':
		p.named = true
	case p.first[0] == 'N':
		p.named, p.letters = true, upperCase
		if strings.HasPrefix(p.first, "Nn") {
			p.letters = titleCase
		}
	case strings.IndexByte(numericComponents, p.component) >= 0:
		pattern := p.first
		if p.second != 0 {
			pattern += ";" + string(p.second)
		}
		f := m.integerPicture(pattern)
		if f.kind == inDigits {
			f.mandatory = max(f.mandatory, p.minWidth)
			if strings.IndexByte("YMD", p.component) >= 0 {
				if p.hasMax {
					f.width = p.maxWidth
					f.mandatory = p.maxWidth
				} else if w := f.mandatory + f.optional; w >= 2 {
					f.width = w
				}
			}
		}
		p.integer = f
	}
	if p.component == 'Z' || p.component == 'z' {
		p.integer = m.integerPicture(p.first)
	}
	return p
}

func utf8First(s string) (rune, int) {
	if s == "" {
		return 0, 0
	}
	return nextRune(s)
}

// widthOf reads a width; widths beyond reason are cut.
func widthOf(s string) (int, bool) {
	n, size := leadingInt(s, 4)
	return n, size > 0
}

var (
	dayNames   = []string{"", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	monthNames = []string{"", "January", "February", "March", "April", "May", "June", "July", "August", "September",
		"October", "November", "December"}
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// firstWeek gives the Monday of the first week of a year or month: the one
// that holds its first Thursday.
func firstWeek(year int, month time.Month) time.Time {
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	weekday := isoWeekday(first)
	if weekday > 4 {
		return first.AddDate(0, 0, 8-weekday)
	}
	return first.AddDate(0, 0, 1-weekday)
}

func isoWeekday(t time.Time) int {
	if w := int(t.Weekday()); w != 0 {
		return w
	}
	return 7
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// weekOfMonth gives the week and the month it belongs to.
func weekOfMonth(t time.Time) (number int, of time.Month) {
	today := midnight(t)
	start := firstWeek(t.Year(), t.Month())
	next := time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	if !today.Before(firstWeek(next.Year(), next.Month())) {
		return 1, next.Month()
	}
	month := t.Month()
	if today.Before(start) {
		before := time.Date(t.Year(), t.Month()-1, 1, 0, 0, 0, 0, time.UTC)
		start, month = firstWeek(before.Year(), before.Month()), before.Month()
	}
	return int(today.Sub(start)/week) + 1, month
}

// component is the number that a component stands for.
func dateComponent(t time.Time, c byte) int {
	switch c {
	case 'Y':
		return t.Year()
	case 'M':
		return int(t.Month())
	case 'D':
		return t.Day()
	case 'd':
		return t.YearDay()
	case 'F':
		return isoWeekday(t)
	case 'W':
		_, w := t.ISOWeek()
		return w
	case 'w':
		w, _ := weekOfMonth(t)
		return w
	case 'X':
		y, _ := t.ISOWeek()
		return y
	case 'x':
		_, month := weekOfMonth(t)
		return int(month)
	case 'H':
		return t.Hour()
	case 'h':
		return (t.Hour()+11)%12 + 1
	case 'm':
		return t.Minute()
	case 's':
		return t.Second()
	case 'f':
		return t.Nanosecond() / int(time.Millisecond)
	}
	return 0
}

func inCase(s string, c letterCase) string {
	switch c {
	case upperCase:
		return strings.ToUpper(s)
	case lowerCase:
		return strings.ToLower(s)
	}
	return s
}

// maxMillis is how far JavaScript's dates reach in either direction.
const maxMillis = 8.64e15

func (m *machine) formatMillis(millis float64, picture, zone any) any {
	hours, minutes := 0, 0
	if z, ok := zone.(string); ok && !(m.lib.java && z == "utc") {
		offset, ok := leadingSigned(z)
		if !ok {
			m.fail(&Error{Code: "D3137", Message: "The timezone " + strconv.Quote(z) +
				" does not have the form +hhmm"})
		}
		hours, minutes = offset/100, offset%100
	}
	if math.IsNaN(millis) || math.Abs(millis) > maxMillis {
		m.fail(&Error{Code: "D1001", Value: millis})
	}
	text, ok := picture.(string)
	if !ok {
		text = isoPicture
	}
	t := time.UnixMilli(int64(millis)).UTC().Add(time.Duration(60*hours+minutes) * time.Minute)
	var out strings.Builder
	for _, p := range m.datePicture(text) {
		if p.component == 0 {
			out.WriteString(p.literal)
		} else {
			out.WriteString(m.formatComponent(t, &p, hours, minutes))
		}
	}
	m.alloc(out.Len())
	return out.String()
}

func leadingSigned(s string) (int, bool) {
	s = strings.TrimSpace(s)
	sign := 1
	if t := strings.TrimPrefix(s, "-"); t != s {
		s, sign = t, -1
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	n, size := leadingInt(s, 6)
	return sign * n, size > 0
}

func (m *machine) formatComponent(t time.Time, p *datePart, hours, minutes int) string {
	switch p.component {
	case 'Z', 'z':
		return m.formatZone(p, hours, minutes)
	case 'P':
		half := "am"
		if t.Hour() >= 12 {
			half = "pm"
		}
		if p.letters == upperCase {
			half = "PM"
			if t.Hour() < 12 {
				half = "AM"
			}
		}
		return half
	case 'C', 'E':
		return "ISO"
	}
	n := dateComponent(t, p.component)
	if !p.named {
		if p.component == 'Y' && p.integer.width >= 0 && p.integer.width < 9 {
			n %= int(math.Pow10(p.integer.width))
		}
		return m.formatInteger(float64(n), p.integer)
	}
	var name string
	switch p.component {
	case 'M', 'x':
		name = monthNames[n]
	case 'F':
		name = dayNames[n]
	default:
		m.fail(&Error{Code: "D3133", Value: string(p.component)})
	}
	if p.hasMax && len(name) > p.maxWidth {
		name = name[:p.maxWidth]
	}
	return inCase(name, p.letters)
}

func (m *machine) formatZone(p *datePart, hours, minutes int) string {
	f := p.integer
	offset := hours*100 + minutes
	var out string
	switch digits := f.mandatory; {
	case f.regular > 0, f.kind == inDigits && (digits == 3 || digits == 4):
		out = m.formatInteger(float64(offset), f)
	case f.kind == inDigits && digits <= 2:
		out = m.formatInteger(float64(hours), f)
		if minutes != 0 {
			if hours == 0 && minutes < 0 {
				out = "-" + out
			}
			out += ":" + strconv.Itoa(abs(minutes)/10) + strconv.Itoa(abs(minutes)%10)
		}
	default:
		m.fail(&Error{Code: "D3134", Value: float64(digits)})
	}
	if offset >= 0 {
		out = "+" + out
	}
	if p.component == 'z' {
		out = "GMT" + out
	}
	if offset == 0 && p.second == 't' {
		return "Z"
	}
	return out
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
