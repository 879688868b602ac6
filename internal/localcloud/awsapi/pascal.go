package awsapi

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
)

// pascal turns a value into maps and slices whose struct members begin with
// an upper-case letter.
func pascal(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if _, ok := v.Interface().(json.Marshaler); ok {
			return v.Interface()
		}
		return pascal(v.Elem())
	case reflect.Struct:
		switch v.Interface().(type) {
		case json.Marshaler, encoding.TextMarshaler:
			return v.Interface()
		}
		out := map[string]any{}
		for _, f := range reflect.VisibleFields(v.Type()) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() || f.Anonymous {
				continue
			}
			if name == "" {
				name = f.Name
			}
			m := v.FieldByIndex(f.Index)
			if strings.Contains(options, "omitempty") && empty(m) {
				continue
			}
			out[upperFirst(name)] = pascal(m)
		}
		return out
	case reflect.Map:
		if _, ok := v.Interface().(json.Marshaler); ok {
			return v.Interface()
		}
		out := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = pascal(it.Value())
		}
		return out
	case reflect.Slice, reflect.Array:
		if _, ok := v.Interface().(json.Marshaler); ok || v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Interface()
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = pascal(v.Index(i))
		}
		return out
	default:
		return v.Interface()
	}
}

// empty is encoding/json's omitempty.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Pointer, reflect.Interface:
		return v.IsNil()
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}
