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
	// Says is how a service says in words of its own that a text does not match, with %s for the member; "" where it
	// says it as all do. It is said if nothing else is wrong.
	Says string
}

// Patterns are the patterns by the names that tags use.
var Patterns = map[string]Pattern{
	"name": {Text: `^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`, Matches: func(s string) bool {
		return aliasName.MatchString(s) && strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	}},
	"visible": {Text: `[!-~]+`, Matches: func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
	}},
	"ascii": {Text: `\p{ASCII}*`, Matches: func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r > '\x7f' })
	}},
}

var aliasName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// Expression names a pattern as AWS's model writes it, for tags (pattern=NAME). Packages give theirs to variables of
// their own, which are made before any check is. The name is unique in the program. A whole text must match.
func Expression(name, text string) Pattern {
	return register(name, Pattern{Text: text, Matches: matcher(regexp.MustCompile(`^(?:` + inGo(text) + `)$`))})
}

// Own is Expression for a pattern whose breach a service tells in words of its own.
func Own(name, text, says string) Pattern {
	return register(name, Pattern{text, matcher(regexp.MustCompile(`^(?:` + inGo(text) + `)$`)), says})
}

// Function is Expression for a pattern that Go's expressions cannot say.
func Function(name, text string, matches func(s string) bool) Pattern {
	return register(name, Pattern{Text: text, Matches: matches})
}

func register(name string, p Pattern) Pattern {
	sets.Lock()
	defer sets.Unlock()
	if Patterns[name].Matches != nil {
		panic("constraint: two patterns are called " + name)
	}
	Patterns[name] = p
	return p
}

// inGo writes what Java's expressions write otherwise.
func inGo(text string) string {
	return javaRune.ReplaceAllString(strings.ReplaceAll(text, `\p{Graph}`, `[:graph:]`), `\x{$1}`)
}

var javaRune = regexp.MustCompile(`\\u([0-9A-F]{4,6})`)

// matcher matches a whole text. Most patterns are of single characters, whatever stands around them: a text of ASCII
// is then compared by a table, which is many times faster.
func matcher(re *regexp.Regexp) func(s string) bool {
	if !single.MatchString(re.String()) {
		return re.MatchString
	}
	var all [utf8.RuneSelf]bool
	for i := range all {
		all[i] = re.MatchString(string(rune(i)))
	}
	return func(s string) bool {
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf || !all[s[i]] {
				return re.MatchString(s)
			}
		}
		return s != "" || re.MatchString(s)
	}
}

var single = regexp.MustCompile(`^\^\(\?:\^?\(?\[(?:[^\[\]\\]|\\[^\[\]]|\\[\[\]])*\][+*]\)?\$?\)\$$`)

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
	arn      float64 // the greatest length of an ARN, which has no other limits; 0: an ARN is as any text
	min, max float64
	pattern  string
	values   []string
	limits   []limit  // of a text
	each     *member  // of the texts in a list, or the values in a map
	key      *member  // of the keys of a map
	inside   []member // of a struct, or of the structs in a list or a map
}

// Check returns what is wrong with a struct of the type that it was made for, "" if nothing. A discreet one shows no
// value.
type Check func(v reflect.Value, discreet bool) string

// For makes the check of inputs of a struct type; nil if nothing in it has constraints.
func For(t reflect.Type) Check {
	members := membersOf(t, nil)
	if members == nil {
		return nil
	}
	return func(v reflect.Value, discreet bool) string {
		c := check{discreet: discreet}
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
		for _, part := range []*member{m.each, m.key} {
			if part != nil {
				part.limit()
			}
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
	for prefix, part := range map[string]**member{"each.": &m.each, "key.": &m.key} {
		if rest, ok := strings.CutPrefix(word, prefix); ok {
			if *part == nil {
				*part = &member{min: none, max: none}
			}
			(*part).read(t, rest)
			return
		}
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
	case "arn":
		m.arn, err = strconv.ParseFloat(value, 64)
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
type check struct {
	problems []string
	own      string // a problem in words of the service's own
	discreet bool
}

func (c *check) message() string {
	switch n := len(c.problems); n {
	case 0:
		return c.own
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
			null := "Value null"
			if c.discreet {
				null = "Value"
			}
			c.problems = append(c.problems, null+" at '"+at+"' failed to satisfy constraint: Member must not be null")
		}
		return
	case v.Kind() == reflect.String:
		c.text(v.String(), given, m, at)
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
		c.number(v, float64(v.Int()), given, m, at)
	case v.CanFloat():
		c.number(v, v.Float(), given, m, at)
	}
}

// fail notes what a value must.
func (c *check) fail(value string, m *member, at, format string, args ...any) {
	c.problem(value, m, at, "Member must "+format, args...)
}

// problem notes a problem of a value, which is shown in quotes unless it is hidden.
func (c *check) problem(value string, m *member, at, format string, args ...any) {
	shown := "Value '" + value + "'"
	if m.hidden || c.discreet {
		shown = "Value"
	}
	c.problems = append(c.problems, shown+" at '"+at+"' failed to satisfy constraint: "+fmt.Sprintf(format, args...))
}

func (c *check) text(s string, given bool, m *member, at string) {
	if s == "" && !given && !m.required {
		return
	}
	if m.arn > 0 && strings.HasPrefix(s, "arn:") {
		if float64(utf8.RuneCountInString(s)) > m.arn {
			c.fail(s, m, at, "have length less than or equal to %s", shown(m.arn))
		}
		return
	}
	for _, limit := range m.broken(s) {
		c.fail(s, m, at, "%s", limit)
	}
	if p := Patterns[m.pattern]; p.Says != "" && c.own == "" && !p.Matches(s) {
		c.own = strings.ReplaceAll(p.Says, "%s", at[strings.LastIndexByte(at, '.')+1:])
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
	if p := m.pattern; p != "" && Patterns[p].Says == "" {
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

// breaks says whether a text or a number in a list or a map, or a key of a map, breaks a limit.
func (m *member) breaks(v reflect.Value) bool {
	switch {
	case m == nil:
		return false
	case v.CanInt():
		return m.outside(float64(v.Int()))
	case v.CanFloat():
		return m.outside(v.Float())
	case v.Kind() == reflect.Slice:
		return m.outside(float64(v.Len()))
	}
	return m.broken(v.String()) != nil
}

func (m *member) outside(n float64) bool {
	return m.min != none && n < m.min || m.max != none && n > m.max
}

// together are all limits of the parts of a list or a map, of which one does not keep them.
func (m *member) together(part reflect.Value) string {
	var words []string
	if part.CanInt() || part.CanFloat() {
		if m.max != none {
			words = append(words, "Member must have value less than or equal to "+numeral(m.max, part))
		}
		if m.min != none {
			words = append(words, "Member must have value greater than or equal to "+numeral(m.min, part))
		}
	}
	for _, l := range m.limits {
		if part.Kind() == reflect.String || part.Kind() == reflect.Slice {
			words = append(words, "Member must "+l.words)
		}
	}
	if m.required {
		words = append(words, "Member must not be null")
	}
	return strings.Join(words, ", ")
}

func (c *check) number(v reflect.Value, n float64, given bool, m *member, at string) {
	if !given && n == 0 && m.min > 0 {
		return
	}
	if m.min != none && n < m.min {
		c.fail(numeral(n, v), m, at, "have value greater than or equal to %s", numeral(m.min, v))
	}
	if m.max != none && n > m.max {
		c.fail(numeral(n, v), m, at, "have value less than or equal to %s", numeral(m.max, v))
	}
}

// length checks how many a list or a map holds.
func (c *check) length(v reflect.Value, m *member, at string) {
	if n := float64(v.Len()); m.min != none && n < m.min {
		c.fail(written(v), m, at, "have length greater than or equal to %s", shown(m.min))
	} else if m.max != none && n > m.max {
		c.fail(written(v), m, at, "have length less than or equal to %s", shown(m.max))
	}
}

func shown(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// numeral is a number as it is written of a member's type: a fraction has a point.
func numeral(n float64, of reflect.Value) string {
	text := shown(n)
	if of.CanFloat() && !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func (c *check) list(v reflect.Value, m *member, at string) {
	c.length(v, m, at)
	if v.Type().Elem().Kind() == reflect.Uint8 || m.each == nil && m.inside == nil {
		return
	}
	for i := range v.Len() {
		if e := v.Index(i); m.each.breaks(e) {
			c.fail(written(v), m, at, "satisfy constraint: [%s]", m.each.together(e))
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
	c.length(v, m, at)
	if m.each == nil && m.key == nil && m.inside == nil {
		return
	}
	for _, k := range sortedKeys(v) {
		e := v.MapIndex(k)
		if m.key.breaks(k) {
			c.problem(written(v), m, at, "Map keys must satisfy constraint: [%s]", m.key.together(k))
			return
		}
		if m.each.breaks(e) {
			c.problem(written(v), m, at, "Map value must satisfy constraint: [%s]", m.each.together(e))
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

// typeName is a type's name as it would be public.
func typeName(t reflect.Type) string {
	if t.Name() == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(t.Name())
	return string(unicode.ToUpper(r)) + t.Name()[n:]
}

// written is a value as messages show it: a list as [a, b], a struct as Type(member=value, member=value).
func written(v reflect.Value) string {
	var parts []string
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		return fmt.Sprintf("java.nio.HeapByteBuffer[pos=0 lim=%d cap=%[1]d]", v.Len())
	}
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
			parts = append(parts, nameOf(v.Type().Field(i))+"="+written(v.Field(i)))
		}
		return typeName(v.Type()) + "(" + strings.Join(parts, ", ") + ")"
	}
	return fmt.Sprint(v)
}
