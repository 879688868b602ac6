package constraint

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Pattern is a pattern of the model, which may use what Go's expressions have not.
type Pattern struct {
	Text    string // as messages show it
	Matches func(s string) bool
}

// Patterns are the patterns by the names that tags use.
var Patterns = map[string]Pattern{
	"name": {`^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`, func(s string) bool {
		return aliasName.MatchString(s) && strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	}},
	"visible": {`[!-~]+`, func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
	}},
	"ascii": {`\p{ASCII}*`, func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r > '\x7f' })
	}},
}

var aliasName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// none is a limit that there is not.
const none = -1

// member is a member with its constraints.
type member struct {
	index    int // of the field
	name     string
	required bool
	hidden   bool
	bytes    bool
	min, max float64
	pattern  string
	values   []string
	each     *member  // of the texts in a list
	inside   []member // of a struct, or of the structs in a list
}

// Of makes the check of a request: it returns what is wrong with it, "" if nothing.
func Of[In any]() func(in *In) string {
	members := membersOf(reflect.TypeFor[In]())
	if members == nil {
		return func(*In) string { return "" }
	}
	return func(in *In) string {
		var c check
		c.all(reflect.ValueOf(in).Elem(), members, "")
		return c.message()
	}
}

// membersOf reads the tags of a struct; nil if nothing in it has any.
func membersOf(t reflect.Type) []member {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var out []member
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		m := member{index: i, min: none, max: none, inside: membersOf(f.Type)}
		m.name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
		tag := f.Tag.Get("api")
		if tag == "" && m.inside == nil {
			continue
		}
		for _, word := range strings.Split(tag, ",") {
			m.read(t, word)
		}
		out = append(out, m)
	}
	return out
}

// read adds a word of a tag.
func (m *member) read(t reflect.Type, word string) {
	if rest, ok := strings.CutPrefix(word, "each."); ok {
		if m.each == nil {
			m.each = &member{min: none, max: none, required: true}
		}
		m.each.read(t, rest)
		return
	}
	word, value, _ := strings.Cut(word, "=")
	var err error
	switch word {
	case "":
	case "required":
		m.required = true
	case "hidden":
		m.hidden = true
	case "bytes":
		m.bytes = true
	case "min":
		m.min, err = strconv.ParseFloat(value, 64)
	case "max":
		m.max, err = strconv.ParseFloat(value, 64)
	case "values":
		m.values = strings.Split(value, "|")
	case "pattern":
		if m.pattern = value; Patterns[value].Matches == nil {
			err = fmt.Errorf("no such pattern")
		}
	default:
		err = fmt.Errorf("no such word")
	}
	if err != nil {
		panic(fmt.Sprintf("constraint: %v: tag of %s: %s=%s: %v", t, m.name, word, value, err))
	}
}

// check is the check of one request.
type check struct{ problems []string }

func (c *check) message() string {
	switch n := len(c.problems); n {
	case 0:
		return ""
	case 1:
		return "1 validation error detected: " + c.problems[0]
	default:
		return fmt.Sprintf("%d validation errors detected: %s", n, strings.Join(c.problems, "; "))
	}
}

func (c *check) all(v reflect.Value, members []member, under string) {
	for i := range members {
		m := &members[i]
		c.one(v.Field(m.index), m, under+m.name)
	}
}

func (c *check) one(v reflect.Value, m *member, at string) {
	absent := false
	for v.Kind() == reflect.Pointer {
		if absent = v.IsNil(); absent {
			break
		}
		v = v.Elem()
	}
	switch {
	case absent || v.Kind() == reflect.Slice && v.IsNil():
		if m.required {
			c.problems = append(c.problems, "Value null at '"+at+"' failed to satisfy constraint: Member must not "+
				"be null")
		}
		return
	case v.Kind() == reflect.String:
		c.text(v.String(), m, at)
	case v.Kind() == reflect.Slice:
		c.list(v, m, at)
	case v.Kind() == reflect.Struct:
		c.all(v, m.inside, at+".")
	case v.CanInt():
		c.number(float64(v.Int()), m, at)
	case v.CanFloat():
		c.number(v.Float(), m, at)
	}
}

// fail notes a problem of a value, which is shown in quotes unless it is hidden.
func (c *check) fail(value string, m *member, at, format string, args ...any) {
	shown := "Value '" + value + "'"
	if m.hidden {
		shown = "Value"
	}
	c.problems = append(c.problems, shown+" at '"+at+"' failed to satisfy constraint: Member must "+
		fmt.Sprintf(format, args...))
}

func (c *check) text(s string, m *member, at string) {
	if s == "" && !m.required {
		return
	}
	n := utf8.RuneCountInString(s)
	if m.bytes {
		n = len(s)
	}
	c.bounds(float64(n), "length", s, m, at)
	if p := m.pattern; p != "" && !Patterns[p].Matches(s) {
		c.fail(s, m, at, "satisfy regular expression pattern: %s", Patterns[p].Text)
	}
	if m.values != nil && !slices.Contains(m.values, s) {
		c.fail(s, m, at, "satisfy enum value set: [%s]", strings.Join(m.values, ", "))
	}
}

func (c *check) number(n float64, m *member, at string) {
	if n != 0 || m.min <= 0 {
		c.bounds(n, "value", shown(n), m, at)
	}
}

func (c *check) bounds(n float64, what, value string, m *member, at string) {
	if m.min != none && n < m.min {
		c.fail(value, m, at, "have %s greater than or equal to %s", what, shown(m.min))
	}
	if m.max != none && n > m.max {
		c.fail(value, m, at, "have %s less than or equal to %s", what, shown(m.max))
	}
}

func shown(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (c *check) list(v reflect.Value, m *member, at string) {
	c.bounds(float64(v.Len()), "length", written(v), m, at)
	for i := range v.Len() {
		under := at + "." + strconv.Itoa(i+1) + ".member"
		if m.each != nil {
			c.one(v.Index(i), m.each, under)
		} else if m.inside != nil {
			c.all(v.Index(i), m.inside, under+".")
		}
	}
}

// written is a value as messages show it: a list as [a, b], a struct as Type(member=value, member=value).
func written(v reflect.Value) string {
	var parts []string
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			parts = append(parts, written(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			parts = append(parts, name+"="+written(v.Field(i)))
		}
		return v.Type().Name() + "(" + strings.Join(parts, ", ") + ")"
	}
	return fmt.Sprint(v)
}
