package constraint

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
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

// sets are the lists of values by the names that tags use.
var sets = struct {
	sync.Mutex
	values map[string][]string
}{values: map[string][]string{}}

// Set names a list of values, which have blanks between them, for tags (set=NAME): one that several members have, or a
// long one. Packages give theirs to variables of their own, which are made before any check is. The name is unique in
// the program.
func Set(name, values string) []string {
	sets.Lock()
	defer sets.Unlock()
	if sets.values[name] != nil {
		panic("constraint: two sets are called " + name)
	}
	sets.values[name] = strings.Fields(values)
	return sets.values[name]
}

// Named are the values of a Set; nil if there is none of that name.
func Named(name string) []string {
	sets.Lock()
	defer sets.Unlock()
	return slices.Clone(sets.values[name])
}

// none is a limit that there is not.
const none = -1

// member is a member with its constraints.
type member struct {
	index    int // of the field
	name     string
	embedded bool // its members are those of the struct around it
	required bool
	hidden   bool
	bytes    bool
	min, max float64
	pattern  string
	values   []string
	limits   []limit  // of a text
	each     *member  // of the texts in a list, or the values in a map
	inside   []member // of a struct, or of the structs in a list or a map
}

// Check returns what is wrong with a struct of the type that it was made for, "" if nothing.
type Check func(v reflect.Value) string

// For makes the check of inputs of a struct type; nil if nothing in it has constraints.
func For(t reflect.Type) Check {
	members := membersOf(t, nil)
	if members == nil {
		return nil
	}
	return func(v reflect.Value) string {
		var c check
		c.all(v, members, "")
		return c.message()
	}
}

// membersOf reads the tags of a struct; nil if nothing in it has any. What is below a type within itself has none.
func membersOf(t reflect.Type, around []reflect.Type) []member {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(around, t) {
		return nil
	}
	around = append(around[:len(around):len(around)], t)
	var out []member
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		m := member{index: i, name: nameOf(f), embedded: f.Anonymous, min: none, max: none,
			inside: membersOf(f.Type, around)}
		tag := f.Tag.Get("api")
		if tag == "" && m.inside == nil {
			continue
		}
		for _, word := range strings.Split(tag, ",") {
			m.read(t, word)
		}
		m.limit()
		if m.each != nil {
			m.each.limit()
		}
		out = append(out, m)
	}
	return out
}

// nameOf is a member as messages name it: with its first letter in lower case, in every service.
func nameOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" || name == "-" {
		name = f.Name
	}
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

// read adds a word of a tag.
func (m *member) read(t reflect.Type, word string) {
	if rest, ok := strings.CutPrefix(word, "each."); ok {
		if m.each == nil {
			m.each = &member{min: none, max: none}
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
	case "set":
		if m.values = Named(value); m.values == nil {
			err = fmt.Errorf("no such set")
		}
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
		at := under + m.name
		if m.embedded {
			at = strings.TrimSuffix(under, ".")
		}
		c.one(v.Field(m.index), m, at)
	}
}

func (c *check) one(v reflect.Value, m *member, at string) {
	given, absent := false, false
	for v.Kind() == reflect.Pointer {
		given = true
		if absent = v.IsNil(); absent {
			break
		}
		v = v.Elem()
	}
	switch {
	case absent || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil():
		if m.required {
			c.problems = append(c.problems, "Value null at '"+at+"' failed to satisfy constraint: Member must not "+
				"be null")
		}
		return
	case v.Kind() == reflect.String:
		c.text(v.String(), m, at)
	case v.Kind() == reflect.Slice:
		c.list(v, m, at)
	case v.Kind() == reflect.Map:
		c.entries(v, m, at)
	case v.Kind() == reflect.Struct:
		if at != "" {
			at += "."
		}
		c.all(v, m.inside, at)
	case v.CanInt():
		c.number(float64(v.Int()), given, m, at)
	case v.CanFloat():
		c.number(v.Float(), given, m, at)
	}
}

// fail notes what a value must.
func (c *check) fail(value string, m *member, at, format string, args ...any) {
	c.problem(value, m, at, "Member must "+format, args...)
}

// problem notes a problem of a value, which is shown in quotes unless it is hidden.
func (c *check) problem(value string, m *member, at, format string, args ...any) {
	shown := "Value '" + value + "'"
	if m.hidden {
		shown = "Value"
	}
	c.problems = append(c.problems, shown+" at '"+at+"' failed to satisfy constraint: "+fmt.Sprintf(format, args...))
}

func (c *check) text(s string, m *member, at string) {
	if s == "" && !m.required {
		return
	}
	for _, limit := range m.broken(s) {
		c.fail(s, m, at, "%s", limit)
	}
}

// limit is a constraint of a text, in the words of messages.
type limit struct {
	words string
	keeps func(s string) bool
}

// limit reads the limits of a member's texts from what its tag says.
func (m *member) limit() {
	length := utf8.RuneCountInString
	if m.bytes {
		length = func(s string) int { return len(s) }
	}
	add := func(keeps func(s string) bool, format string, args ...any) {
		m.limits = append(m.limits, limit{fmt.Sprintf(format, args...), keeps})
	}
	least, most, values := m.min, m.max, m.values
	if most != none {
		add(func(s string) bool { return float64(length(s)) <= most }, "have length less than or equal to %s",
			shown(most))
	}
	if least != none {
		add(func(s string) bool { return float64(length(s)) >= least }, "have length greater than or equal to %s",
			shown(least))
	}
	if p := m.pattern; p != "" {
		add(Patterns[p].Matches, "satisfy regular expression pattern: %s", Patterns[p].Text)
	}
	if values != nil {
		add(func(s string) bool { return slices.Contains(values, s) }, "satisfy enum value set: [%s]",
			strings.Join(values, ", "))
	}
}

// broken are the limits that a text does not keep.
func (m *member) broken(s string) (list []string) {
	for _, l := range m.limits {
		if !l.keeps(s) {
			list = append(list, l.words)
		}
	}
	return list
}

// together are all limits of the texts in a list or a map, of which one does not keep them.
func (m *member) together() string {
	var words []string
	for _, l := range m.limits {
		words = append(words, "Member must "+l.words)
	}
	return strings.Join(words, ", ")
}

func (c *check) number(n float64, given bool, m *member, at string) {
	if given || n != 0 || m.min <= 0 {
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
		if m.each != nil && m.each.broken(v.Index(i).String()) != nil {
			c.fail(written(v), m, at, "satisfy constraint: [%s]", m.each.together())
			return
		}
		if m.inside != nil {
			e := v.Index(i)
			for e.Kind() == reflect.Pointer && !e.IsNil() {
				e = e.Elem()
			}
			if e.Kind() == reflect.Struct {
				c.all(e, m.inside, at+"."+strconv.Itoa(i+1)+".member.")
			}
		}
	}
}

// entries checks the values of a map, in the order of its keys.
func (c *check) entries(v reflect.Value, m *member, at string) {
	c.bounds(float64(v.Len()), "length", written(v), m, at)
	for _, k := range sortedKeys(v) {
		e := v.MapIndex(k)
		if m.each != nil && m.each.broken(e.String()) != nil {
			c.problem(written(v), m, at, "Map value must satisfy constraint: [%s]", m.each.together())
			return
		}
		if m.inside != nil {
			c.one(e, &member{min: none, max: none, inside: m.inside}, at+"."+k.String()+".member")
		}
	}
}

// sortedKeys are the keys of a map of texts.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
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
	case reflect.Map:
		for _, k := range sortedKeys(v) {
			parts = append(parts, k.String()+"="+written(v.MapIndex(k)))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return written(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			parts = append(parts, name+"="+written(v.Field(i)))
		}
		return v.Type().Name() + "(" + strings.Join(parts, ", ") + ")"
	}
	return fmt.Sprint(v)
}
