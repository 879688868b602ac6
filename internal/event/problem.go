package event

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"
)

// Problem is one mistake in a payload.
type Problem struct {
	Path    string `json:"path"`    // JSON path, such as $.rollout.maximumPerMinute
	Value   any    `json:"value"`   // as given; null when missing
	Allowed string `json:"allowed"` // what would have been right
}

func (p Problem) String() string {
	v := "missing"
	if p.Value != nil {
		b, err := json.Marshal(p.Value)
		if err != nil {
			b = []byte("?")
		}
		v = string(b)
		if len(v) > 80 {
			v = v[:77] + "..."
		}
	}
	return fmt.Sprintf("%s: %s: %s", p.Path, v, p.Allowed)
}

// Problems are all mistakes of a payload, in the order of their paths.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps))
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	count := "1 mistake"
	if len(ps) != 1 {
		count = fmt.Sprintf("%d mistakes", len(ps))
	}
	return count + " in the payload:\n" + strings.Join(lines, "\n")
}

// checker walks decoded JSON and collects problems instead of stopping.
type checker struct{ problems Problems }

func (c *checker) add(path string, value any, allowed string, args ...any) {
	if len(args) > 0 {
		allowed = fmt.Sprintf(allowed, args...)
	}
	c.problems = append(c.problems, Problem{Path: path, Value: value, Allowed: allowed})
}

func (c *checker) err() error {
	if len(c.problems) == 0 {
		return nil
	}
	return c.problems.Sorted()
}

// Sorted puts mistakes in the order of their paths.
func (ps Problems) Sorted() Problems {
	sort.SliceStable(ps, func(i, j int) bool { return ps[i].Path < ps[j].Path })
	return ps
}

// object returns v as an object and complains about members that are not in allowed.
func (c *checker) object(path string, v any, allowed ...string) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		c.add(path, v, "an object with %s", strings.Join(allowed, ", "))
		return nil, false
	}
	known := map[string]bool{}
	for _, a := range allowed {
		known[a] = true
	}
	for k := range m {
		if !known[k] {
			c.add(path+"."+k, m[k], "no such member; %s are known", strings.Join(allowed, ", "))
		}
	}
	return m, true
}

func (c *checker) require(path string, m map[string]any, key, allowed string) bool {
	if _, ok := m[key]; ok {
		return true
	}
	c.add(path+"."+key, nil, "required: %s", allowed)
	return false
}

// text checks an optional string member.
func (c *checker) text(path string, m map[string]any, key string, re *regexp.Regexp, allowed string) (string, bool) {
	v, ok := m[key]
	if !ok {
		return "", false
	}
	s, isText := v.(string)
	if !isText || !re.MatchString(s) {
		c.add(path+"."+key, v, "%s", allowed)
		return "", false
	}
	return s, true
}

// short checks an optional string member of 1 to most characters.
func (c *checker) short(path string, m map[string]any, key string, re *regexp.Regexp, most int, allowed string) {
	if s, ok := c.text(path, m, key, re, allowed); ok && (s == "" || utf8.RuneCountInString(s) > most) {
		c.add(path+"."+key, s, "%s", allowed)
	}
}

// choice checks an optional member that is one of a few words.
func (c *checker) choice(path string, m map[string]any, key string, words ...string) (string, bool) {
	v, ok := m[key]
	if !ok {
		return "", false
	}
	for _, w := range words {
		if v == w {
			return w, true
		}
	}
	c.add(path+"."+key, v, "one of %s", strings.Join(words, ", "))
	return "", false
}

func (c *checker) flag(path string, m map[string]any, key string) bool {
	v, ok := m[key]
	is, isFlag := v.(bool)
	if ok && !isFlag {
		c.add(path+"."+key, v, "true or false")
	}
	return is
}

// number checks an optional number; a whole one when step is 1, else a multiple of step.
func (c *checker) number(path string, m map[string]any, key string, low, high, step float64) (float64, bool) {
	v, ok := m[key]
	if !ok {
		return 0, false
	}
	n, isNumber := asNumber(v)
	scaled := n / step
	if !isNumber || n < low || n > high || math.Abs(scaled-math.Round(scaled)) > 1e-9 {
		kind := "a whole number"
		if step != 1 {
			kind = fmt.Sprintf("a multiple of %v", step)
		}
		c.add(path+"."+key, v, "%s from %s to %s", kind, plain(low), plain(high))
		return 0, false
	}
	return n, true
}

// list returns an optional array with its bounds checked.
func (c *checker) list(path string, m map[string]any, key string, low, high int, of string) ([]any, bool) {
	v, ok := m[key]
	if !ok {
		return nil, false
	}
	l, isList := v.([]any)
	if !isList || len(l) < low || len(l) > high {
		c.add(path+"."+key, v, "an array of %d to %d %s", low, high, of)
		return nil, false
	}
	return l, true
}

func asNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case float64:
		return n, true
	}
	return 0, false
}

func plain(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.2f", f), ".00") }
