package rulesql

import (
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// pattern is a regular expression as Java writes them: the linear-time library
// takes those it understands, the backtracking one the rest (look-around, back
// references).
type pattern struct {
	fast *regexp.Regexp
	slow *regexp2.Regexp
}

// patternTime bounds a match of the backtracking library.
const patternTime = 250 * time.Millisecond

// compilePattern returns an empty pattern, which never matches, for text that
// is no regular expression.
func compilePattern(text string) *pattern {
	if len(text) > 4096 {
		return &pattern{}
	}
	if re, err := regexp.Compile(text); err == nil {
		return &pattern{fast: re}
	}
	if re, err := regexp2.Compile(text, regexp2.None); err == nil {
		re.MatchTimeout = patternTime
		return &pattern{slow: re}
	}
	return &pattern{}
}

// patternArguments are the texts of a call of a regexp function and its
// pattern; ok is false if one of them is missing or invalid.
func patternArguments(a []Value, n int) (texts []string, p *pattern, ok bool) {
	if len(a) == n+1 {
		p, _ = a[n].ref.(*pattern)
		a = a[:n]
	}
	if len(a) != n {
		return nil, nil, false
	}
	for _, v := range a {
		s, ok := v.toText()
		if !ok {
			return nil, nil, false
		}
		texts = append(texts, s)
	}
	if p == nil {
		p = compilePattern(texts[1])
	}
	return texts, p, p.fast != nil || p.slow != nil
}

func regexpMatches(_ *frame, a []Value) Value {
	s, p, ok := patternArguments(a, 2)
	if !ok {
		return Value{}
	}
	if p.fast != nil {
		return BooleanValue(p.fast.MatchString(s[0]))
	}
	m, err := p.slow.MatchString(s[0])
	if err != nil {
		return Value{}
	}
	return BooleanValue(m)
}

func regexpSubstr(_ *frame, a []Value) Value {
	s, p, ok := patternArguments(a, 2)
	if !ok {
		return Value{}
	}
	if p.fast != nil {
		at := p.fast.FindStringIndex(s[0])
		if at == nil {
			return Value{}
		}
		return StringValue(s[0][at[0]:at[1]])
	}
	m, err := p.slow.FindStringMatch(s[0])
	if err != nil || m == nil {
		return Value{}
	}
	return StringValue(m.String())
}

func regexpReplace(_ *frame, a []Value) Value {
	s, p, ok := patternArguments(a, 3)
	if !ok || len(s[0])*max(1, len(s[2])) > 64*maxSize {
		return Value{}
	}
	if p.fast != nil {
		return StringValue(p.fast.ReplaceAllString(s[0], javaReplacement(s[2])))
	}
	out, err := p.slow.Replace(s[0], s[2], -1, -1)
	if err != nil {
		return Value{}
	}
	return StringValue(out)
}

// javaReplacement writes $1 as ${1}, since Go would read $1x as a name, and \c as
// c.
func javaReplacement(s string) string {
	if !strings.ContainsAny(s, `$\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			if s[i] == '$' {
				b.WriteByte('$')
			}
			b.WriteByte(s[i])
		case c == '$' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			b.WriteString("${" + s[i+1:i+2] + "}")
			i++
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
