package jsonata

import (
	"math"
	"strconv"
	"strings"
)

// found is a match, by a regular expression or by a function that acts as
// one: it returns an object with match, start, end, groups and next.
type found struct {
	text, start, end any
	groups           any
	next             func() (*found, bool)
	self             func() any
}

// object is the match as a replacement function sees it.
func (f *found) object() any { return f.self() }

func (m *machine) firstMatch(fn function, str string, site *callSite) (*found, bool) {
	if re, ok := fn.(*matcher); ok {
		return m.regexMatch(re.re, m.subject(str), 0, false)
	}
	return m.customMatch(m.callback(fn, []any{str}, site), site)
}

func (m *machine) customMatch(v any, site *callSite) (*found, bool) {
	if v == Undefined {
		return nil, false
	}
	o, ok := v.(*Object)
	if !ok {
		if jsTruthy(v) {
			m.fail(&Error{Code: "T1010"})
		}
		return nil, false
	}
	_, hasStart := o.lookup("start").(float64)
	_, hasEnd := o.lookup("end").(float64)
	next, hasNext := o.lookup("next").(function)
	if !hasStart && !hasEnd && !hasNext && !isArray(o.lookup("groups")) {
		m.fail(&Error{Code: "T1010"})
	}
	f := &found{
		text: o.lookup("match"), start: o.lookup("start"), end: o.lookup("end"), groups: o.lookup("groups"),
		self: func() any { return o },
	}
	f.next = func() (*found, bool) {
		if !hasNext {
			m.fail(&Error{Code: "T1010"})
		}
		return m.customMatch(m.callback(next, nil, site), site)
	}
	return f, true
}

// regexMatch searches from a position. A later match of nothing would never
// end, so it is an error.
func (m *machine) regexMatch(re *regex, subj *subject, from int, again bool) (*found, bool) {
	caps := re.exec(m, subj.units, from)
	if caps == nil {
		return nil, false
	}
	if again && caps[0] == caps[1] {
		m.fail(&Error{Code: "D1004", Value: re.source})
	}
	text := fromUnits(subj.units[caps[0]:caps[1]])
	m.alloc(len(text) + 32*len(caps))
	groups := make([]any, len(caps)/2-1)
	for i := range groups {
		groups[i] = Undefined
		if from, to := caps[2*i+2], caps[2*i+3]; from >= 0 && to >= 0 {
			groups[i] = fromUnits(subj.units[from:to])
		}
	}
	f := &found{text: text, start: boxInt(caps[0]), end: boxInt(caps[1]), groups: &array{items: groups}}
	end := caps[1]
	f.next = func() (*found, bool) {
		if end >= len(subj.units) {
			return nil, false
		}
		return m.regexMatch(re, subj, end, true)
	}
	f.self = func() any {
		o := NewObject(5)
		o.Set("match", f.text)
		o.Set("start", f.start)
		o.Set("end", f.end)
		o.Set("groups", f.groups)
		o.Set("next", &matchNext{re: re, subj: subj, from: end})
		return o
	}
	return f, true
}

func (m *machine) matchObject(re *regex, subj *subject, from int) any {
	if f, ok := m.regexMatch(re, subj, from, false); ok {
		return f.object()
	}
	return Undefined
}

func (m *machine) nextMatchObject(n *matchNext) any {
	if n.from < len(n.subj.units) {
		if f, ok := m.regexMatch(n.re, n.subj, n.from, true); ok {
			return f.object()
		}
	}
	return Undefined
}

// expand writes a replacement text: $0 is the match, $1 and so on its groups,
// with as many digits as the number of groups has; $$ is a $.
func (f *found) expand(text string) string {
	if strings.IndexByte(text, '$') < 0 {
		return text
	}
	groups, _ := itemsOf(f.groups)
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "$")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			text = rest[1:]
			continue
		case strings.HasPrefix(rest, "0"):
			s, _ := f.text.(string)
			out.WriteString(s)
			text = rest[1:]
			continue
		}
		digits := 1
		if len(groups) > 0 {
			digits = int(math.Floor(math.Log10(float64(len(groups))))) + 1
		}
		n, size := leadingInt(rest, digits)
		if size == 0 {
			out.WriteByte('$')
			text = rest
			continue
		}
		if digits > 1 && n > len(groups) {
			n, size = leadingInt(rest, digits-1)
		}
		if n >= 1 && n <= len(groups) {
			s, _ := groups[n-1].(string)
			out.WriteString(s)
		}
		text = rest[size:]
	}
}

// leadingInt reads at most so many digits.
func leadingInt(s string, most int) (n, size int) {
	for size < len(s) && size < most && s[size] >= '0' && s[size] <= '9' {
		size++
	}
	n, _ = strconv.Atoi(s[:size])
	return n, size
}
