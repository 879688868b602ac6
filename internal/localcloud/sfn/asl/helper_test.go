package asl

import (
	"encoding/json"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

func mustMarshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustUnmarshal(t testing.TB, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// definitionOf is the definition in a recorded case.
func definitionOf(v any) string {
	o, ok := v.(*document.Object)
	if !ok {
		return ""
	}
	d, _ := o.Get("definition")
	return document.Text(d)
}
