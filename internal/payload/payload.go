// Package payload checks an operator's JSON and lists all its mistakes at once. A Checker is
// given values as encoding/json decodes them with UseNumber. For each mistake it collects an
// event.Problem: its path, the value, and what is allowed. Package jobs and the flows check
// create-job's payloads with it. A test of package functions (payload_test.go) compares the
// checks with the JSON Schema in events/schema.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/event"
)

// Decode reads one JSON document, numbers as they are written. A member that is there twice is a mistake: which of the
// two was meant, nobody knows.
func Decode(payload []byte) (any, event.Problems) {
	var problems event.Problems
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, event.Problems{noJSON(payload, err)}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, event.Problems{{Path: "$", Allowed: "one JSON object and nothing after it"}}
	}
	d = json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := twice(d, "$", &problems); err != nil {
		return nil, event.Problems{{Path: "$", Allowed: "a JSON object: " + err.Error()}}
	}
	if problems != nil {
		return nil, problems
	}
	return tree, nil
}

// noJSON is the mistake of a document that is none, with its line.
func noJSON(document []byte, err error) event.Problem {
	p := event.Problem{Path: "$", Allowed: "a JSON object: " + err.Error()}
	wrong, ok := errors.AsType[*json.SyntaxError](err)
	if !ok || len(document) == 0 {
		return p // it has no place: it ends too early
	}
	offset := int(wrong.Offset) - 1
	p.Value, p.Allowed = Line(document, offset), "a JSON object: "+Place(document, offset)+": "+err.Error()
	switch rest := document[min(max(offset, 0), len(document)-1):]; {
	case bytes.HasPrefix(rest, []byte("\ufeff")):
		p.Value, p.Allowed = nil, p.Allowed+": without a byte order mark"
	case bytes.HasPrefix(rest, []byte("/")), bytes.HasPrefix(rest, []byte("#")):
		p.Allowed += ": JSON has no comments"
	}
	return p
}

// Place is where in a document a byte is, as an editor shows it.
func Place(document []byte, offset int) string {
	before := document[:min(max(offset, 0), len(document))]
	return fmt.Sprintf("line %d, column %d", 1+bytes.Count(before, []byte("\n")),
		1+utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]))
}

// Line is the line of a document that a byte is in, without space around it.
func Line(document []byte, offset int) string {
	offset = min(max(offset, 0), len(document))
	line := document[bytes.LastIndexByte(document[:offset], '\n')+1:]
	line, _, _ = bytes.Cut(line, []byte("\n"))
	return strings.TrimSpace(strings.ToValidUTF8(string(line), "?"))
}

// twice adds the members that the next value of a document has twice. That the document is one, Decode has seen.
func twice(d *json.Decoder, at string, problems *event.Problems) error {
	begin, err := d.Token()
	if err != nil || begin != json.Delim('{') && begin != json.Delim('[') {
		return err
	}
	seen := map[any]bool{}
	for i := 0; d.More(); i++ {
		within := fmt.Sprintf("%s[%d]", at, i)
		if begin == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if within = fmt.Sprintf("%s.%v", at, name); seen[name] {
				*problems = append(*problems, event.Problem{Path: within, Value: name, Allowed: "each member once"})
			}
			seen[name] = true
		}
		if err := twice(d, within, problems); err != nil {
			return err
		}
	}
	_, err = d.Token() // its end
	return err
}

// Into writes a checked value into a Go value: whole numbers as integers, since 10.0 is
// one in JSON and Go's decoder disagrees.
func Into(v any, to any) error {
	b, err := json.Marshal(whole(v))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// whole is the same value with whole numbers as integers.
func whole(v any) any {
	switch t := v.(type) {
	case json.Number:
		if f, err := t.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
	case map[string]any:
		m := make(map[string]any, len(t))
		for k := range t {
			m[k] = whole(t[k])
		}
		return m
	case []any:
		l := make([]any, len(t))
		for i := range t {
			l[i] = whole(t[i])
		}
		return l
	}
	return v
}

// Checker walks decoded JSON and collects problems instead of stopping.
type Checker struct{ problems event.Problems }

// Add adds a problem; args are for allowed, as fmt has them.
func (c *Checker) Add(path string, value any, allowed string, args ...any) {
	if len(args) > 0 {
		allowed = fmt.Sprintf(allowed, args...)
	}
	c.problems = append(c.problems, event.Problem{Path: path, Value: value, Allowed: allowed})
}

// AddAll adds problems that somebody else found.
func (c *Checker) AddAll(problems event.Problems) { c.problems = append(c.problems, problems...) }

// Problems are all that were found, in the order of their paths.
func (c *Checker) Problems() event.Problems { return c.problems.Sorted() }

// Object returns v as an object and complains about members that are not known.
func (c *Checker) Object(path string, v any, known ...string) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		c.Add(path, v, "an object with %s", strings.Join(known, ", "))
		return nil, false
	}
	c.Known(path, m, known...)
	return m, true
}

// Known complains about members of an object that are not known.
func (c *Checker) Known(path string, m map[string]any, known ...string) {
	is := map[string]bool{}
	for _, name := range known {
		is[name] = true
	}
	for k := range m {
		if !is[k] {
			c.Add(path+"."+k, m[k], "no such member; %s are known", strings.Join(known, ", "))
		}
	}
}

// Require complains if a member is missing.
func (c *Checker) Require(path string, m map[string]any, key, allowed string) bool {
	if _, ok := m[key]; ok {
		return true
	}
	c.Add(path+"."+key, nil, "required: %s", allowed)
	return false
}

// Text checks an optional string member.
func (c *Checker) Text(path string, m map[string]any, key string, re *regexp.Regexp, allowed string) (string, bool) {
	v, ok := m[key]
	if !ok {
		return "", false
	}
	s, isText := v.(string)
	if !isText || !re.MatchString(s) {
		c.Add(path+"."+key, v, "%s", allowed)
		return "", false
	}
	return s, true
}

// Short checks an optional string member of 1 to most characters.
func (c *Checker) Short(path string, m map[string]any, key string, re *regexp.Regexp, most int, allowed string) {
	if s, ok := c.Text(path, m, key, re, allowed); ok && (s == "" || utf8.RuneCountInString(s) > most) {
		c.Add(path+"."+key, s, "%s", allowed)
	}
}

// Choice checks an optional member that is one of a few words.
func (c *Checker) Choice(path string, m map[string]any, key string, words ...string) (string, bool) {
	v, ok := m[key]
	if !ok {
		return "", false
	}
	for _, w := range words {
		if v == w {
			return w, true
		}
	}
	c.Add(path+"."+key, v, "one of %s", strings.Join(words, ", "))
	return "", false
}

// Flag checks an optional member that is true or false.
func (c *Checker) Flag(path string, m map[string]any, key string) bool {
	v, ok := m[key]
	is, isFlag := v.(bool)
	if ok && !isFlag {
		c.Add(path+"."+key, v, "true or false")
	}
	return is
}

// Number checks an optional number; a whole one when step is 1, else a multiple of step.
func (c *Checker) Number(path string, m map[string]any, key string, low, high, step float64) (float64, bool) {
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
		c.Add(path+"."+key, v, "%s from %s to %s", kind, plain(low), plain(high))
		return 0, false
	}
	return n, true
}

// List returns an optional array with its bounds checked.
func (c *Checker) List(path string, m map[string]any, key string, low, high int, of string) ([]any, bool) {
	v, ok := m[key]
	if !ok {
		return nil, false
	}
	l, isList := v.([]any)
	if !isList || len(l) < low || len(l) > high {
		c.Add(path+"."+key, v, "an array of %d to %d %s", low, high, of)
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

func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
