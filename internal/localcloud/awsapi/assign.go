package awsapi

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// assign copies what src holds into dst as encoding src to JSON and decoding
// that into dst would do, without the text between. It returns false where it
// does not know how; dst is then in an undefined state. Byte slices are shared,
// not copied: whoever makes a call leaves them alone.
func (c Conversions) assign(dst, src reflect.Value) bool {
	if src.IsValid() && c.convert(dst, src) {
		return true
	}
	for src.IsValid() && (src.Kind() == reflect.Interface || src.Kind() == reflect.Pointer) {
		if src.IsNil() {
			return true // null changes nothing
		}
		if custom(src.Type()) {
			break
		}
		src = src.Elem()
	}
	if !src.IsValid() {
		return true
	}
	for dst.Kind() == reflect.Pointer && !custom(dst.Type()) {
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		dst = dst.Elem()
	}
	if custom(dst.Type()) || custom(src.Type()) {
		return false
	}
	switch dst.Kind() {
	case reflect.String:
		if src.Kind() != reflect.String {
			return false
		}
		dst.SetString(src.String())
		return true
	case reflect.Bool:
		if src.Kind() != reflect.Bool {
			return false
		}
		dst.SetBool(src.Bool())
		return true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if !src.CanInt() || dst.OverflowInt(src.Int()) {
			return false
		}
		dst.SetInt(src.Int())
		return true
	case reflect.Slice:
		return c.assignSlice(dst, src)
	case reflect.Map:
		return c.assignMap(dst, src)
	case reflect.Struct:
		switch src.Kind() {
		case reflect.Struct:
			return c.assignStruct(dst, src)
		case reflect.Map:
			return c.assignMembers(dst, src)
		}
	}
	return false
}

// Conversions copy values between types of which one has a say in its JSON, so
// that members alone do not tell how. Each is for one pair of types.
type Conversions map[[2]reflect.Type]func(dst, src reflect.Value) bool

// Convert adds a conversion, which returns false for a value that it cannot
// copy.
func Convert[To, From any](c Conversions, convert func(From) (To, bool)) {
	c[[2]reflect.Type{reflect.TypeFor[To](), reflect.TypeFor[From]()}] = func(dst, src reflect.Value) bool {
		to, ok := convert(src.Interface().(From))
		if ok {
			*dst.Addr().Interface().(*To) = to
		}
		return ok
	}
}

func (c Conversions) convert(dst, src reflect.Value) bool {
	if c == nil || !dst.CanAddr() || !custom(dst.Type()) && !custom(src.Type()) {
		return false
	}
	f := c[[2]reflect.Type{dst.Type(), src.Type()}]
	return f != nil && (src.Kind() != reflect.Interface || !src.IsNil()) && f(dst, src)
}

func (c Conversions) assignSlice(dst, src reflect.Value) bool {
	if src.Kind() != reflect.Slice {
		return false
	}
	bytes := dst.Type().Elem().Kind() == reflect.Uint8
	if bytes != (src.Type().Elem().Kind() == reflect.Uint8) {
		return false
	}
	if src.IsNil() {
		return true
	}
	if bytes {
		dst.SetBytes(src.Bytes())
		return true
	}
	list := reflect.MakeSlice(dst.Type(), src.Len(), src.Len())
	for i := range src.Len() {
		if !c.assign(list.Index(i), src.Index(i)) {
			return false
		}
	}
	dst.Set(list)
	return true
}

func (c Conversions) assignMap(dst, src reflect.Value) bool {
	if src.Kind() != reflect.Map || dst.Type().Key().Kind() != reflect.String ||
		src.Type().Key().Kind() != reflect.String {
		return false
	}
	if src.IsNil() {
		return true
	}
	m := reflect.MakeMapWithSize(dst.Type(), src.Len())
	for i := src.MapRange(); i.Next(); {
		v := reflect.New(dst.Type().Elem()).Elem()
		if !c.assign(v, i.Value()) {
			return false
		}
		m.SetMapIndex(i.Key().Convert(dst.Type().Key()), v)
	}
	dst.Set(m)
	return true
}

func (c Conversions) assignStruct(dst, src reflect.Value) bool {
	pairs := pairsOf(dst.Type(), src.Type())
	if pairs == nil {
		return false
	}
	for _, m := range pairs.list {
		v, err := src.FieldByIndexErr(m.from.index)
		if err != nil || m.from.omitEmpty && blank(v) || m.from.omitZero && v.IsZero() {
			continue
		}
		if !c.assign(dst.FieldByIndex(m.to), v) {
			return false
		}
	}
	return true
}

// pairs are the members that two structs share.
type pairs struct {
	list []struct {
		from jsonField
		to   []int
	}
}

var pairPlans sync.Map // [2]reflect.Type to *pairs

// pairsOf returns nil where jsonFieldsOf does for one of the two.
func pairsOf(dst, src reflect.Type) *pairs {
	key := [2]reflect.Type{dst, src}
	if known, ok := pairPlans.Load(key); ok {
		return known.(*pairs)
	}
	var p *pairs
	if from, to := jsonFieldsOf(src), jsonFieldsOf(dst); from != nil && to != nil {
		p = &pairs{}
		for _, m := range from.list {
			if t, ok := to.find(m.name); ok {
				p.list = append(p.list, struct {
					from jsonField
					to   []int
				}{m, t.index})
			}
		}
	}
	pairPlans.Store(key, p)
	return p
}

// assignMembers fills a struct from a map of its members.
func (c Conversions) assignMembers(dst, src reflect.Value) bool {
	to := jsonFieldsOf(dst.Type())
	if to == nil || src.Type().Key().Kind() != reflect.String {
		return false
	}
	for i := src.MapRange(); i.Next(); {
		if t, ok := to.find(i.Key().String()); ok && !c.assign(dst.FieldByIndex(t.index), i.Value()) {
			return false
		}
	}
	return true
}

// blank is what omitempty leaves out.
func blank(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}

var customs = []reflect.Type{
	reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
	reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
}

var isCustom sync.Map // reflect.Type to bool

// custom reports whether a type has a say in its JSON.
func custom(t reflect.Type) bool {
	if known, ok := isCustom.Load(t); ok {
		return known.(bool)
	}
	found := false
	for _, c := range customs {
		found = found || t.Implements(c) || reflect.PointerTo(t).Implements(c)
	}
	isCustom.Store(t, found)
	return found
}

// jsonFields are the members of a struct, by the names that JSON gives them.
type jsonFields struct {
	list   []jsonField
	byName map[string]jsonField
	folded map[string]jsonField // by the name in lower case
}

type jsonField struct {
	name                string
	index               []int
	omitEmpty, omitZero bool
}

func (m *jsonFields) find(name string) (jsonField, bool) {
	f, ok := m.byName[name]
	if !ok {
		f, ok = m.folded[strings.ToLower(name)]
	}
	return f, ok
}

var jsonPlans sync.Map // reflect.Type to *jsonFields

// jsonFieldsOf returns nil for structs with options that are not known here.
func jsonFieldsOf(t reflect.Type) *jsonFields {
	if known, ok := jsonPlans.Load(t); ok {
		return known.(*jsonFields)
	}
	m := &jsonFields{byName: map[string]jsonField{}, folded: map[string]jsonField{}}
	sdk := false // the SDK's structs leave out every member that is zero
	for _, f := range reflect.VisibleFields(t) {
		tag, tagged := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous && name == "" && (f.Type.Kind() == reflect.Struct || !f.IsExported()) {
			sdk = sdk || f.Name == "noSmithyDocumentSerde"
			continue // its members are there by themselves
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		if !tagged || name == "" {
			name = f.Name
		}
		if strings.Contains(options, "string") || m.byName[name].index != nil || f.Anonymous {
			m = nil // quoted, hidden or embedded by pointer
			break
		}
		one := jsonField{name, f.Index, strings.Contains(options, "omitempty"), strings.Contains(options, "omitzero")}
		m.list = append(m.list, one)
		m.byName[name] = one
		m.folded[strings.ToLower(name)] = one
	}
	if m != nil && sdk {
		for i := range m.list {
			m.list[i].omitZero = true
		}
	}
	jsonPlans.Store(t, m)
	return m
}
