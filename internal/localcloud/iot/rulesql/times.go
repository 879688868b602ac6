package rulesql

import (
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones by name, wherever the program runs
)

// parseTime is parse_time(pattern, ms[, zone]): despite its name it formats.
func parseTime(_ *frame, a []Value) Value {
	if (len(a) != 2 && len(a) != 3) || a[0].kind != String {
		return Value{}
	}
	ms, ok := a[1].toInt64()
	if !ok || ms > 1<<53 || ms < -(1<<53) {
		return Value{}
	}
	zone := time.UTC
	if len(a) == 3 {
		if zone, ok = findZone(a[2]); !ok {
			return Value{}
		}
	}
	out, ok := formatTime(a[0].s, time.UnixMilli(ms).In(zone))
	if !ok {
		return Value{}
	}
	return StringValue(out)
}

func findZone(v Value) (*time.Location, bool) {
	if v.kind != String || v.s == "" || v.s == "Local" {
		return nil, false
	}
	if seconds, rest, ok := readOffset(v.s, false); ok && rest == "" {
		return time.FixedZone(v.s, seconds), true
	}
	z, err := time.LoadLocation(v.s)
	return z, err == nil
}

// letters cuts the next run off a pattern: the same letter repeated, or
// literal text. bad is set for a quote that is not closed.
func letters(p string) (letter byte, n int, literal, rest string, bad bool) {
	c := p[0]
	switch {
	case c == '\'':
		if strings.HasPrefix(p, "''") {
			return 0, 0, "'", p[2:], false
		}
		var b strings.Builder
		for i := 1; i < len(p); i++ {
			if p[i] != '\'' {
				b.WriteByte(p[i])
				continue
			}
			if i+1 < len(p) && p[i+1] == '\'' {
				b.WriteByte('\'')
				i++
				continue
			}
			return 0, 0, b.String(), p[i+1:], false
		}
		return 0, 0, "", "", true
	case (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'):
		for n < len(p) && p[n] == c {
			n++
		}
		return c, n, "", p[n:], false
	}
	return 0, 0, p[:1], p[1:], false
}

func zeros(v, width int) string {
	s := strconv.Itoa(max(v, -v))
	if len(s) < width {
		s = strings.Repeat("0", width-len(s)) + s
	}
	if v < 0 {
		s = "-" + s
	}
	return s
}

// formatTime writes t by a Joda-Time pattern. ok is false for a letter that it
// does not have.
func formatTime(p string, t time.Time) (string, bool) {
	if len(p) > 1024 {
		return "", false
	}
	var b strings.Builder
	for p != "" {
		letter, n, literal, rest, bad := letters(p)
		p = rest
		if bad || n > 64 {
			return "", false
		}
		if letter == 0 {
			b.WriteString(literal)
			continue
		}
		isoYear, week := t.ISOWeek()
		weekday := (int(t.Weekday()) + 6) % 7 // Monday is 0
		switch letter {
		case 'G':
			b.WriteString("AD")
		case 'C':
			b.WriteString(zeros(t.Year()/100, n))
		case 'y', 'Y':
			b.WriteString(yearText(t.Year(), n))
		case 'x':
			b.WriteString(yearText(isoYear, n))
		case 'w':
			b.WriteString(zeros(week, n))
		case 'e':
			b.WriteString(zeros(weekday+1, n))
		case 'E':
			name := t.Weekday().String()
			if n < 4 {
				name = name[:3]
			}
			b.WriteString(name)
		case 'D':
			b.WriteString(zeros(t.YearDay(), n))
		case 'M':
			switch {
			case n >= 4:
				b.WriteString(t.Month().String())
			case n == 3:
				b.WriteString(t.Month().String()[:3])
			default:
				b.WriteString(zeros(int(t.Month()), n))
			}
		case 'd':
			b.WriteString(zeros(t.Day(), n))
		case 'a':
			b.WriteString(t.Format("PM"))
		case 'K':
			b.WriteString(zeros(t.Hour()%12, n))
		case 'h':
			b.WriteString(zeros((t.Hour()+11)%12+1, n))
		case 'H':
			b.WriteString(zeros(t.Hour(), n))
		case 'k':
			b.WriteString(zeros((t.Hour()+23)%24+1, n))
		case 'm':
			b.WriteString(zeros(t.Minute(), n))
		case 's':
			b.WriteString(zeros(t.Second(), n))
		case 'S':
			nano := zeros(t.Nanosecond(), 9)
			b.WriteString((nano + strings.Repeat("0", 64))[:n])
		case 'z':
			name, _ := t.Zone()
			b.WriteString(name)
		case 'Z':
			switch {
			case n >= 3:
				b.WriteString(t.Location().String())
			case n == 2:
				b.WriteString(t.Format("-07:00"))
			default:
				b.WriteString(t.Format("-0700"))
			}
		default:
			return "", false
		}
	}
	return b.String(), true
}

func yearText(y, n int) string {
	if n == 2 {
		return zeros(y%100, 2)
	}
	return zeros(y, n)
}

// timeToEpoch is time_to_epoch(text, pattern), with a pattern of Java's
// DateTimeFormatter.
func timeToEpoch(_ *frame, a []Value) Value {
	if len(a) != 2 || a[0].kind != String || a[1].kind != String {
		return Value{}
	}
	ms, ok := readTime(a[0].s, a[1].s)
	if !ok {
		return Value{}
	}
	return IntValue(ms)
}

// readTime reads text by a pattern.
func readTime(text, p string) (ms int64, ok bool) {
	year, month, day, hour, minute, second, nano := 1970, 1, 1, 0, 0, 0, 0
	half, halfSet := 0, false
	yearDay := 0
	zone := time.UTC
	number := func(least, most int) (int, bool) {
		n := digits(text)
		n = min(n, most)
		if n < least {
			return 0, false
		}
		v, err := strconv.Atoi(text[:n])
		text = text[n:]
		return v, err == nil
	}
	word := func(names []string) (int, bool) {
		for i, name := range names {
			if len(text) >= len(name) && strings.EqualFold(text[:len(name)], name) {
				text = text[len(name):]
				return i, true
			}
		}
		return 0, false
	}
	for p != "" {
		letter, n, literal, rest, bad := letters(p)
		p = rest
		if bad {
			return 0, false
		}
		if letter == 0 {
			if literal == "[" || literal == "]" {
				continue // optional sections are read as present
			}
			if text, ok = strings.CutPrefix(text, literal); !ok {
				return 0, false
			}
			continue
		}
		wide := n // a number of two or more letters has exactly so many digits
		if n == 1 {
			wide = 19
		}
		switch letter {
		case 'y', 'u':
			if n == 2 {
				year, ok = number(2, 2)
				year += 2000
				break
			}
			year, ok = number(n, max(wide, 4))
		case 'M', 'L':
			switch {
			case n >= 4:
				month, ok = word(monthNames(0))
				month++
			case n == 3:
				month, ok = word(monthNames(3))
				month++
			default:
				month, ok = number(n, wide)
			}
		case 'd':
			day, ok = number(n, wide)
		case 'D':
			yearDay, ok = number(n, wide)
		case 'H':
			hour, ok = number(n, wide)
		case 'k':
			hour, ok = number(n, wide)
			hour %= 24
		case 'h', 'K':
			hour, ok = number(n, wide)
			hour %= 12
		case 'm':
			minute, ok = number(n, wide)
		case 's':
			second, ok = number(n, wide)
		case 'S':
			if n > 9 {
				return 0, false
			}
			nano, ok = number(n, n)
			for range 9 - n {
				nano *= 10
			}
		case 'n':
			nano, ok = number(1, 9)
		case 'a':
			half, ok = word([]string{"AM", "PM"})
			halfSet = true
		case 'E':
			if n >= 4 {
				_, ok = word(dayNames(0))
			} else {
				_, ok = word(dayNames(3))
			}
		case 'G':
			_, ok = word([]string{"AD"})
		case 'X', 'x', 'Z', 'O':
			var seconds int
			if seconds, text, ok = readOffset(text, letter == 'X' || n == 5); ok {
				zone = time.FixedZone("", seconds)
			}
		case 'V', 'z', 'v':
			i := 0
			for i < len(text) && (text[i] == '/' || text[i] == '_' || text[i] == '+' || text[i] == '-' ||
				text[i] >= 'A' && text[i] <= 'z' || text[i] >= '0' && text[i] <= '9') {
				i++
			}
			zone, ok = findZone(StringValue(text[:i]))
			text = text[i:]
		default:
			return 0, false
		}
		if !ok {
			return 0, false
		}
	}
	if halfSet && half == 1 {
		hour += 12
	}
	if text != "" || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 || year > 9999 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, zone)
	if t.Day() != day {
		return 0, false // 31 June
	}
	if yearDay > 0 {
		t = t.AddDate(0, 0, yearDay-1)
	}
	return t.UnixMilli(), true
}

// twoDigits is the number that two digits are.
func twoDigits(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

// readOffset reads +01, +0100, +01:00, and Z if that is allowed.
func readOffset(s string, zulu bool) (seconds int, rest string, ok bool) {
	if zulu && strings.HasPrefix(s, "Z") {
		return 0, s[1:], true
	}
	if len(s) < 3 || (s[0] != '+' && s[0] != '-') || digits(s[1:3]) != 2 {
		return 0, s, false
	}
	sign := 1
	if s[0] == '-' {
		sign = -1
	}
	h := twoDigits(s[1:3])
	rest = s[3:]
	m := 0
	after := strings.TrimPrefix(rest, ":")
	if len(after) >= 2 && digits(after[:2]) == 2 {
		m = twoDigits(after[:2])
		rest = after[2:]
	}
	return sign * (h*3600 + m*60), rest, h <= 18 && m < 60
}

func monthNames(n int) []string {
	var out []string
	for m := time.January; m <= time.December; m++ {
		out = append(out, cut(m.String(), n))
	}
	return out
}

func dayNames(n int) []string {
	var out []string
	for d := time.Sunday; d <= time.Saturday; d++ {
		out = append(out, cut(d.String(), n))
	}
	return out
}

func cut(s string, n int) string {
	if n == 0 {
		return s
	}
	return s[:n]
}
