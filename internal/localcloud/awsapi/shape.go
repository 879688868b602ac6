package awsapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/jsontext"
)

// binding says where in an HTTP message a member is.
type binding uint8

const (
	inBody binding = iota
	inPath
	inQuery
	inHeader
	isPayload // the body itself
	isDocument
	isStatus
)

// member is a member of a wire shape.
type member struct {
	name      string // JSON
	bind      binding
	wire      string // name of the label, parameter or header
	index     []int
	omitEmpty bool
	// Query and XML:
	xml        string // name, if not the JSON one
	flat       bool   // a list or map without <member> or <entry>
	key, value string // names of a map's parts
}

// shape is what the tags of a struct say.
type shape struct {
	members []member
	byName  map[string]*member
	// bound: some member is not in the body.
	bound   bool
	payload *member // isPayload or isDocument
}

var shapes sync.Map // reflect.Type -> *shape

// shapeOf returns the shape of a struct type.
func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{byName: map[string]*member{}}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous {
			continue
		}
		m := member{name: name, index: f.Index, omitEmpty: strings.Contains(options, "omitempty"), key: "key",
			value: "value"}
		for _, b := range []struct {
			tag  string
			bind binding
		}{{"uri", inPath}, {"query", inQuery}, {"header", inHeader}} {
			if v := f.Tag.Get(b.tag); v != "" {
				m.bind, m.wire = b.bind, v
			}
		}
		switch f.Tag.Get("payload") {
		case "raw":
			m.bind = isPayload
		case "json":
			m.bind = isDocument
		}
		if f.Tag.Get("status") != "" {
			m.bind = isStatus
		}
		if name == "-" {
			if m.bind == inBody {
				continue
			}
			m.name = ""
		} else if name == "" {
			m.name = f.Name
		}
		for i, o := range strings.Split(f.Tag.Get("xml"), ",") {
			switch n, v, _ := strings.Cut(o, "="); {
			case i == 0:
				m.xml = o
			case o == "flat":
				m.flat = true
			case n == "key":
				m.key = v
			case n == "value":
				m.value = v
			}
		}
		if m.xml == "" {
			m.xml = m.name
		}
		s.members = append(s.members, m)
	}
	for i := range s.members {
		m := &s.members[i]
		s.bound = s.bound || m.bind != inBody
		if m.bind == isPayload || m.bind == isDocument {
			s.payload = m
		}
		s.byName[m.name] = m
	}
	actual, _ := shapes.LoadOrStore(t, s)
	return actual.(*shape)
}

// field returns the member's field of v, making what it points to.
func (m *member) field(v reflect.Value) reflect.Value {
	for _, i := range m.index[:len(m.index)-1] {
		v = v.Field(i)
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
	}
	return v.Field(m.index[len(m.index)-1])
}

// lookup is field without making anything; ok is false if it is not there.
func (m *member) lookup(v reflect.Value) (_ reflect.Value, ok bool) {
	f, err := v.FieldByIndexErr(m.index)
	return f, err == nil
}

// serialization is the answer to input that does not fit.
func serialization(format string, args ...any) *Error {
	return Errorf("SerializationException", format, args...)
}

// coded is an error whose type knows AWS's code for it.
type coded interface {
	error
	AWSCode() string
}

// decodeJSON reads a JSON body into v, a pointer. No body is an empty object.
func decodeJSON(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if !utf8.Valid(body) { // which json.Unmarshal would replace
		return serialization("the body is not UTF-8")
	}
	err := json.Unmarshal(body, v)
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return e
	}
	if e, ok := errors.AsType[coded](err); ok { // a value that reads itself
		return Errorf(e.AWSCode(), "%s", e.Error())
	}
	if e, ok := err.(*json.UnmarshalTypeError); ok {
		got := map[string]string{
			"string": "STRING_VALUE", "number": "NUMBER_VALUE", "bool": "TRUE_VALUE",
			"object": "START_OBJECT", "array": "START_ARRAY",
		}[strings.Fields(e.Value)[0]]
		if got == "" {
			got = e.Value
		}
		return serialization("%s cannot be converted to %s", got, shapeName(e.Type))
	}
	return serialization("%s", strings.TrimPrefix(err.Error(), "json: "))
}

// shapeName is a Go type in AWS's (Java's) words.
func shapeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return shapeName(t.Elem())
	case reflect.Bool:
		return "Boolean"
	case reflect.Int64, reflect.Uint64:
		return "Long"
	case reflect.Int, reflect.Int32, reflect.Int16, reflect.Int8, reflect.Uint, reflect.Uint32:
		return "Integer"
	case reflect.Float32, reflect.Float64:
		return "Double"
	case reflect.Slice, reflect.Array:
		return "List"
	case reflect.Map:
		return "Map"
	case reflect.String:
		return "String"
	default:
		return t.Name()
	}
}

// decodeREST reads a request of a REST service into in.
func decodeREST(protocol Protocol, r *http.Request, query url.Values, labels map[string]string, body []byte,
	in reflect.Value) error {
	s := shapeOf(in.Type())
	switch {
	case s.payload == nil:
		if err := decodeBody(protocol, body, in); err != nil {
			return err
		}
	case s.payload.bind == isDocument:
		f := s.payload.field(in)
		if f.Kind() == reflect.Pointer && len(body) == 0 {
			break
		}
		if err := decodeBody(protocol, body, f); err != nil {
			return err
		}
	default:
		f := s.payload.field(in)
		if f.Kind() == reflect.String {
			f.SetString(string(body))
		} else if len(body) > 0 {
			f.SetBytes(body)
		}
	}
	for i := range s.members {
		m := &s.members[i]
		var values []string
		switch m.bind {
		case inPath:
			v, ok := labels[m.wire]
			if !ok {
				continue
			}
			values = []string{v}
		case inQuery:
			if m.wire == "*" {
				f := m.field(in)
				f.Set(reflect.MakeMap(f.Type()))
				for k, v := range query {
					f.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(v[0]))
				}
				continue
			}
			values = query[m.wire]
		case inHeader:
			if prefix, ok := strings.CutSuffix(m.wire, "*"); ok {
				f := m.field(in)
				for k, v := range r.Header {
					if rest, ok := cutPrefixFold(k, prefix); ok {
						if f.IsNil() {
							f.Set(reflect.MakeMap(f.Type()))
						}
						f.SetMapIndex(reflect.ValueOf(strings.ToLower(rest)), reflect.ValueOf(v[0]))
					}
				}
				continue
			}
			values = r.Header.Values(m.wire)
		default:
			continue
		}
		if len(values) == 0 {
			continue
		}
		if err := setText(m.field(in), values); err != nil {
			return err
		}
	}
	return nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

func decodeBody(protocol Protocol, body []byte, v reflect.Value) error {
	if protocol == RESTXML {
		return decodeXML(body, v)
	}
	return decodeJSON(body, v.Addr().Interface())
}

var (
	timeType = reflect.TypeFor[Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// setText sets a member from its text: labels, parameters, headers, forms.
func setText(f reflect.Value, values []string) error {
	text := values[0]
	switch f.Kind() {
	case reflect.Pointer:
		f.Set(reflect.New(f.Type().Elem()))
		return setText(f.Elem(), values)
	case reflect.String:
		f.SetString(text)
	case reflect.Bool:
		switch strings.ToLower(text) {
		case "true", "1":
			f.SetBool(true)
		case "false", "0":
			f.SetBool(false)
		default:
			return serialization("%q cannot be converted to Boolean", text)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, f.Type().Bits())
		if err != nil {
			return serialization("%q cannot be converted to %s", text, shapeName(f.Type()))
		}
		f.SetInt(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, f.Type().Bits())
		if err != nil {
			return serialization("%q cannot be converted to Double", text)
		}
		f.SetFloat(n)
	case reflect.Struct:
		if f.Type() != timeType {
			return serialization("%q cannot be converted to %s", text, f.Type().Name())
		}
		t, err := parseTime(text)
		if err != nil {
			return err
		}
		f.Set(reflect.ValueOf(t))
	case reflect.Slice:
		if f.Type().Elem().Kind() == reflect.Uint8 {
			if f.Type() == rawType {
				f.SetBytes([]byte(text))
				return nil
			}
			b, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return serialization("invalid base64: %v", err)
			}
			f.SetBytes(b)
			return nil
		}
		list := reflect.MakeSlice(f.Type(), len(values), len(values))
		for i := range values {
			if err := setText(list.Index(i), values[i:i+1]); err != nil {
				return err
			}
		}
		f.Set(list)
	default:
		return serialization("%q cannot be converted to %s", text, shapeName(f.Type()))
	}
	return nil
}

// parseTime reads a time from a header, a parameter or XML.
func parseTime(s string) (Time, error) {
	for _, layout := range []string{time.RFC3339Nano, http.TimeFormat} {
		if t, err := time.Parse(layout, s); err == nil {
			return Time{t.UTC()}, nil
		}
	}
	var t Time
	if err := t.UnmarshalJSON([]byte(s)); err != nil {
		return t, serialization("%v", err)
	}
	return t, nil
}

// textOf is the reverse of setText for a header of an answer; ok is false if
// the member is absent.
func textOf(v reflect.Value, omitEmpty bool) (_ string, ok bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "", false
		}
		return textOf(v.Elem(), false)
	case reflect.String:
		return v.String(), v.Len() > 0 // a header is never sent empty
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), v.Bool() || !omitEmpty
	case reflect.Struct:
		if t, ok := v.Interface().(Time); ok {
			return t.UTC().Format(http.TimeFormat), !t.IsZero()
		}
		return "", false
	case reflect.Slice:
		var list []string
		for i := range v.Len() {
			s, _ := textOf(v.Index(i), false)
			list = append(list, s)
		}
		return strings.Join(list, ","), len(list) > 0
	default:
		return fmt.Sprint(v.Interface()), !omitEmpty || !v.IsZero()
	}
}

// marshalBody is the JSON of those members that are in the body.
func marshalBody(v reflect.Value, s *shape) ([]byte, error) {
	out := []byte{'{'}
	for i := range s.members {
		m := &s.members[i]
		f, ok := m.lookup(v)
		if m.bind != inBody || !ok || m.omitEmpty && empty(f) {
			continue
		}
		b, err := jsontext.Marshal(f.Interface())
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(strconv.AppendQuote(out, m.name), ':')
		out = append(out, b...)
	}
	return append(out, '}'), nil
}

// sortedKeys are the keys of a map with string keys.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}
