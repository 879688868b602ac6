package expr

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
)

// Kind is a DynamoDB type, spelled as in DynamoDB JSON.
type Kind string

// The types.
const (
	S    Kind = "S"
	N    Kind = "N"
	B    Kind = "B"
	SS   Kind = "SS"
	NS   Kind = "NS"
	BS   Kind = "BS"
	M    Kind = "M"
	L    Kind = "L"
	BOOL Kind = "BOOL"
	NULL Kind = "NULL"
)

// Value is an attribute value. The zero Value is no value.
type Value struct {
	Kind Kind
	Str  string           // S; N in canonical spelling; B as raw bytes
	Bool bool             // BOOL
	Set  []string         // SS, NS, BS: sorted, without duplicates
	Map  map[string]Value // M
	List []Value          // L
}

// Item is a set of named attributes.
type Item map[string]Value

// String makes a value of type S.
func String(s string) Value { return Value{Kind: S, Str: s} }

// UnmarshalJSON reads DynamoDB JSON.
func (v *Value) UnmarshalJSON(b []byte) error {
	// Most values are {"S":"plain text"}, {"N":"1"} or a BOOL, without blanks.
	if n := len(b); n >= 8 && (string(b[:6]) == `{"S":"` || string(b[:6]) == `{"N":"`) && string(b[n-2:]) == `"}` && plain(b[6:n-2]) {
		text := string(b[6 : n-2])
		if b[2] == 'S' {
			*v = Value{Kind: S, Str: text}
			return nil
		}
		number, err := ParseNumber(text)
		*v = Value{Kind: N, Str: number}
		return err
	}
	switch string(b) {
	case `{"BOOL":true}`:
		*v = Value{Kind: BOOL, Bool: true}
		return nil
	case `{"BOOL":false}`:
		*v = Value{Kind: BOOL}
		return nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	if len(m) != 1 {
		has := "is empty"
		if len(m) > 1 {
			has = "has more than one datatypes set"
		}
		return errorf("Supplied AttributeValue %s, must contain exactly one of the supported datatypes", has)
	}
	for k, raw := range m {
		return v.decode(Kind(k), raw)
	}
	return nil
}

func (v *Value) decode(kind Kind, raw json.RawMessage) error {
	*v = Value{Kind: kind}
	switch kind {
	case S:
		return json.Unmarshal(raw, &v.Str)
	case N:
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		n, err := ParseNumber(s)
		v.Str = n
		return err
	case B:
		return decodeBinary(raw, &v.Str)
	case SS, NS, BS:
		return v.decodeSet(raw)
	case M:
		if err := json.Unmarshal(raw, &v.Map); err != nil {
			return err
		}
		if v.Map == nil {
			v.Map = map[string]Value{}
		}
		return nil
	case L:
		if err := json.Unmarshal(raw, &v.List); err != nil {
			return err
		}
		if v.List == nil {
			v.List = []Value{}
		}
		return nil
	case BOOL:
		return json.Unmarshal(raw, &v.Bool)
	case NULL:
		var null bool
		if err := json.Unmarshal(raw, &null); err != nil {
			return err
		}
		if !null {
			return errorf("One or more parameter values were invalid: Null attribute value types must have the " +
				"value of true")
		}
		return nil
	default:
		return errorf("Supplied AttributeValue has an unknown type %q; the types are S, N, B, SS, NS, BS, M, L, "+
			"BOOL, NULL", string(kind))
	}
}

func decodeBinary(raw json.RawMessage, to *string) error {
	var b []byte
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	*to = string(b)
	return nil
}

func (v *Value) decodeSet(raw json.RawMessage) error {
	var members []json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	if len(members) == 0 {
		return errorf("One or more parameter values were invalid: %s", map[Kind]string{
			SS: "An string set  may not be empty", NS: "An number set  may not be empty",
			BS: "Binary sets should not be empty",
		}[v.Kind])
	}
	for _, m := range members {
		var one Value
		if err := one.decode(v.Kind[:1], m); err != nil {
			return err
		}
		v.Set = append(v.Set, one.Str)
	}
	given := slices.Clone(v.Set)
	sortSet(v.Kind, v.Set)
	if n := len(v.Set); len(slices.Compact(slices.Clone(v.Set))) != n {
		return errorf("One or more parameter values were invalid: Input collection %s",
			duplicates(v.Kind, given))
	}
	return nil
}

// duplicates are the members of a set as DynamoDB shows them in its error, which has no blank behind those of binary
// sets, and shows no numbers.
// Source: architect/dynalite, test/batchWriteItem.js, whose texts are held against DynamoDB; read 2026-11-30.
func duplicates(kind Kind, given []string) string {
	switch kind {
	case SS:
		return "[" + strings.Join(given, ", ") + "] contains duplicates."
	case BS:
		shown := make([]string, len(given))
		for i, b := range given {
			shown[i] = base64.StdEncoding.EncodeToString([]byte(b))
		}
		return "[" + strings.Join(shown, ", ") + "]of type BS contains duplicates."
	}
	return "contains duplicates"
}

func sortSet(kind Kind, set []string) {
	if kind == NS {
		sort.Slice(set, func(i, j int) bool { return compareNumbers(set[i], set[j]) < 0 })
		return
	}
	sort.Strings(set)
}

// MarshalJSON writes DynamoDB JSON.
func (v Value) MarshalJSON() ([]byte, error) { return v.appendJSON(nil) }

// MarshalJSON writes DynamoDB JSON, the attributes in the order of their names.
func (i Item) MarshalJSON() ([]byte, error) {
	if i == nil {
		return []byte("null"), nil
	}
	return appendMap(make([]byte, 0, 2*i.Size()+16*len(i)), i)
}

func appendMap(b []byte, m map[string]Value) ([]byte, error) {
	b = append(b, '{')
	var err error
	for n, name := range slices.Sorted(maps.Keys(m)) {
		if n > 0 {
			b = append(b, ',')
		}
		if b, err = m[name].appendJSON(append(jsontext.AppendString(b, name), ':')); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// plain reports whether JSON shows a string as it is.
func plain(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

func (v Value) appendJSON(b []byte) (_ []byte, err error) {
	b = append(append(append(b, `{"`...), v.Kind...), `":`...)
	switch v.Kind {
	case S, N:
		b = jsontext.AppendString(b, v.Str)
	case B:
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), []byte(v.Str)), '"')
	case SS, NS, BS:
		b = append(b, '[')
		for i, m := range v.Set {
			if i > 0 {
				b = append(b, ',')
			}
			if v.Kind == BS {
				m = base64.StdEncoding.EncodeToString([]byte(m))
			}
			b = jsontext.AppendString(b, m)
		}
		b = append(b, ']')
	case M:
		b, err = appendMap(b, v.Map)
	case L:
		b = append(b, '[')
		for i, m := range v.List {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = m.appendJSON(b); err != nil {
				return nil, err
			}
		}
		b = append(b, ']')
	case BOOL:
		b = strconv.AppendBool(b, v.Bool)
	case NULL:
		b = append(b, "true"...)
	default:
		return nil, fmt.Errorf("expr: value without a type")
	}
	return append(b, '}'), err
}

// Equal reports whether two values are the same in type and content.
func (v Value) Equal(o Value) bool {
	if v.Kind != o.Kind {
		return false
	}
	switch v.Kind {
	case BOOL:
		return v.Bool == o.Bool
	case SS, NS, BS:
		return slices.Equal(v.Set, o.Set)
	case M:
		return maps.EqualFunc(v.Map, o.Map, Value.Equal)
	case L:
		return slices.EqualFunc(v.List, o.List, Value.Equal)
	default:
		return v.Str == o.Str
	}
}

// compare orders two values of one of the types S, N, B; ok is false for
// others or for different types.
func (v Value) compare(o Value) (order int, ok bool) {
	if v.Kind != o.Kind {
		return 0, false
	}
	switch v.Kind {
	case S, B:
		return strings.Compare(v.Str, o.Str), true
	case N:
		return compareNumbers(v.Str, o.Str), true
	}
	return 0, false
}

// Size is the number of bytes that a value counts for in an item.
func (v Value) Size() int {
	switch v.Kind {
	case S, B:
		return len(v.Str)
	case N:
		return numberSize(v.Str)
	case SS, NS, BS:
		n := 0
		for _, m := range v.Set {
			n += Value{Kind: v.Kind[:1], Str: m}.Size()
		}
		return n
	case M:
		n := 3
		for k, m := range v.Map {
			n += len(k) + m.Size() + 1
		}
		return n
	case L:
		n := 3
		for _, m := range v.List {
			n += m.Size() + 1
		}
		return n
	default:
		return 1
	}
}

// Size is the size of an item: names and values.
func (i Item) Size() int {
	n := 0
	for k, v := range i {
		n += len(k) + v.Size()
	}
	return n
}

// Clone copies an item deeply.
func (i Item) Clone() Item {
	if i == nil {
		return nil
	}
	c := make(Item, len(i))
	for k, v := range i {
		c[k] = v.clone()
	}
	return c
}

func (v Value) clone() Value {
	v.Set = slices.Clone(v.Set)
	if v.Map != nil {
		m := make(map[string]Value, len(v.Map))
		for k, e := range v.Map {
			m[k] = e.clone()
		}
		v.Map = m
	}
	if v.List != nil {
		l := make([]Value, len(v.List))
		for i, e := range v.List {
			l[i] = e.clone()
		}
		v.List = l
	}
	return v
}

// maxDepth is how deep lists and maps may be nested.
const maxDepth = 32

// Check reports what DynamoDB refuses in a value that came from a client.
func (v Value) Check() error { return v.check(1) }

func (v Value) check(depth int) error {
	if depth > maxDepth {
		return errorf("Nesting Levels have exceeded supported limits")
	}
	var wrong error
	first := ""
	for name, e := range v.Map {
		if err := e.check(depth + 1); err != nil && (wrong == nil || name < first) {
			first, wrong = name, err
		}
	}
	if wrong != nil {
		return wrong
	}
	for _, e := range v.List {
		if err := e.check(depth + 1); err != nil {
			return err
		}
	}
	return nil
}
