package integration

import "github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"

// javaAttributes are the types of attribute values of DynamoDB as SDK integrations show them, where that differs from
// DynamoDB's own spelling, which optimized integrations keep.
//
// Source: github.com/aws/aws-sdk-js/issues/4294 (BOOL), github.com/aws/aws-sdk-js-v3/issues/4948 (NULL); the SDK for
// Java names the others in the same way.
var javaAttributes = map[string]string{"BOOL": "Bool", "NULL": "Nul", "SS": "Ss", "NS": "Ns", "BS": "Bs"}

// ownAttributes are the same types the other way round.
var ownAttributes = map[string]string{"Bool": "BOOL", "Nul": "NULL", "Ss": "SS", "Ns": "NS", "Bs": "BS"}

// attributes gives the attribute values in a document's parameters or answer the other spelling of their types. A
// member of another meaning is never mistaken for one: only attribute values have such a name and a value that is a
// Boolean or an array.
func attributes(v any, names map[string]string) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = attributes(e, names)
		}
		return out
	case *document.Object:
		out := &document.Object{}
		for _, m := range v.Members() {
			name := m.Name
			_, truth := m.Value.(bool)
			_, set := m.Value.([]any)
			if other, ok := names[name]; ok && len(v.Members()) == 1 && (truth || set) {
				name = other
			}
			out.Set(name, attributes(m.Value, names))
		}
		return out
	}
	return v
}
