package sfn

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// blobs turns parameters that are blobs, which are given as text or JSON, into
// base64 as the operation reads them.
func blobs(caller awsapi.Caller, service, operation string, v any) any {
	door, ok := caller.(interface {
		Lookup(id string) *awsapi.Service
	})
	if !ok {
		return v
	}
	svc := door.Lookup(service)
	if svc == nil {
		return v
	}
	op, ok := svc.Operation(operation)
	if !ok {
		return v
	}
	return blobsOf(op.Input(), v)
}

func blobsOf(t reflect.Type, v any) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && t != reflect.TypeFor[json.RawMessage]():
		text, ok := v.(string)
		if !ok {
			text = document.Text(v)
		}
		return base64.StdEncoding.EncodeToString([]byte(text))
	case t.Kind() == reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return v
		}
		out := make([]any, len(list))
		for i, e := range list {
			out[i] = blobsOf(t.Elem(), e)
		}
		return out
	case t.Kind() == reflect.Struct:
		o, ok := v.(*document.Object)
		if !ok {
			return v
		}
		out := &document.Object{}
		for _, m := range o.Members() {
			w := m.Value
			for _, f := range reflect.VisibleFields(t) {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "" {
					name = f.Name
				}
				if strings.EqualFold(name, m.Name) && !f.Anonymous {
					w = blobsOf(f.Type, w)
					break
				}
			}
			out.Set(m.Name, w)
		}
		return out
	}
	return v
}

// shown is an output as SDK integrations show it: times in ISO 8601 and, with
// blobs set, blobs that are text as text. The value d is the output's JSON.
func shown(v reflect.Value, d any, blobs bool) any {
	for (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || d == nil {
		return d
	}
	switch v.Kind() {
	case reflect.Struct:
		if at, ok := v.Interface().(awsapi.Time); ok {
			return timestamp(at.Time)
		}
		o, ok := d.(*document.Object)
		if !ok {
			return d
		}
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.Anonymous || !f.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			name = upperFirst(name)
			if w, ok := o.Get(name); ok {
				if e := shown(v.FieldByIndex(f.Index), w, blobs); !document.Equal(e, w) {
					o = o.With(name, e)
				}
			}
		}
		return o
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if text, ok := d.(string); ok && blobs && v.Type() != reflect.TypeFor[json.RawMessage]() &&
				utf8.Valid(v.Bytes()) {
				if raw, err := base64.StdEncoding.DecodeString(text); err == nil && string(raw) == string(v.Bytes()) {
					return string(raw)
				}
			}
			return d
		}
		list, ok := d.([]any)
		if !ok || len(list) != v.Len() {
			return d
		}
		out := make([]any, len(list))
		for i := range list {
			out[i] = shown(v.Index(i), list[i], blobs)
		}
		return out
	}
	return d
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
