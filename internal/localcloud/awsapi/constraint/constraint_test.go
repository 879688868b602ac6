package constraint

import (
	"reflect"
	"strings"
	"testing"
)

type part struct {
	ARN    string `json:"arn" api:"required,min=1,max=5"`
	Weight int    `json:"weight" api:"min=0,max=100"`
}

type common struct {
	Kind string `json:"Kind" api:"set=test kinds"`
}

// tree has trees in it, whose constraints are not read.
type tree struct {
	Kind  string `json:"kind" api:"set=test kinds"`
	Below []tree `json:"below"`
}

type request struct {
	Level  string   `json:"level" api:"values=ALL|OFF"`
	Name   string   `json:"name" api:"required,min=1,max=4,pattern=name"`
	Secret string   `json:"secret" api:"max=2,bytes,hidden"`
	Output *string  `json:"output" api:"required"`
	Size   int      `json:"size" api:"min=0,max=10"`
	Period int      `json:"period" api:"min=60"`
	Share  *float64 `json:"share" api:"min=0,max=100"`
	Parts  []part   `json:"parts" api:"min=1,max=2"`
	Keys   []string `json:"keys" api:"each.min=1,each.max=3"`
	Inner  *struct {
		Token string `json:"token" api:"pattern=visible"`
		Note  string `json:"note" api:"pattern=ascii"`
	} `json:"inner"`
	Kinds  []string          `json:"Kinds" api:"each.set=test kinds"`
	Marks  map[string]string `json:"marks" api:"each.set=test kinds"`
	ByName map[string]*part  `json:"byName"`
	common
	Tree *tree  `json:"tree"`
	Free string `json:"free"`
}

var _ = Set("test kinds", "A B")

// TestWords: what is wrong with a request, in AWS's words.
func TestWords(t *testing.T) {
	text, half, much := "", 0.5, 100.5
	good := func(change func(r *request)) *request {
		r := &request{Name: "a", Output: &text}
		change(r)
		return r
	}
	inner := func(token, note string) func(r *request) {
		return func(r *request) {
			r.Inner = &struct {
				Token string `json:"token" api:"pattern=visible"`
				Note  string `json:"note" api:"pattern=ascii"`
			}{token, note}
		}
	}
	const pattern = `^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`
	for _, tt := range []struct {
		in   *request
		want string // without what all have in common
	}{
		{good(func(*request) {}), ""},
		{good(func(r *request) { r.Size, r.Share, r.Keys = 10, &half, []string{"k"} }), ""},
		{good(func(r *request) { r.Name = "" }),
			"2: Value '' at 'name' have length greater than or equal to 1; Value '' at 'name' satisfy regular " +
				"expression " +
				"pattern: " + pattern},
		{good(func(r *request) { r.Name = "ééééé" }), "2: Value 'ééééé' at 'name' have length less than or equal " +
			"to 4; " +
			"Value 'ééééé' at 'name' satisfy regular expression pattern: " + pattern},
		{good(func(r *request) { r.Name = "12" }),
			"1: Value '12' at 'name' satisfy regular expression pattern: " + pattern},
		{good(func(r *request) { r.Secret = "é" }), ""},
		{good(func(r *request) { r.Secret = "éa" }), "1: Value at 'secret' have length less than or equal to 2"},
		{good(func(r *request) { r.Output = nil }), "1: Value null at 'output' not be null"},
		{good(func(r *request) { r.Level, r.Size = "LOUD", 11 }),
			"2: Value 'LOUD' at 'level' satisfy enum value set: [ALL, OFF]; Value '11' at 'size' have value less " +
				"than or " +
				"equal to 10"},
		{good(func(r *request) { r.Size = -1 }), "1: Value '-1' at 'size' have value greater than or equal to 0"},
		{good(func(r *request) { r.Period = 59 }), "1: Value '59' at 'period' have value greater than or equal to 60"},
		{good(func(r *request) { r.Share = &much }), "1: Value '100.5' at 'share' have value less than or equal " +
			"to 100.0"},
		{good(func(r *request) { r.Parts = []part{} }), "1: Value '[]' at 'parts' have length greater than or " +
			"equal to 1"},
		{good(func(r *request) { r.Parts = []part{{"a", 1}, {"b", 2}, {"c", 3}} }),
			"1: Value '[Part(arn=a, weight=1), Part(arn=b, weight=2), Part(arn=c, weight=3)]' at 'parts' have " +
				"length less " +
				"than or equal to 2"},
		{good(func(r *request) { r.Parts = []part{{"a", 101}, {"", -1}} }),
			"3: Value '101' at 'parts.1.member.weight' have value less than or equal to 100; Value '' at " +
				"'parts.2.member.arn' have length greater than or equal to 1; Value '-1' at " +
				"'parts.2.member.weight' have value " +
				"greater than or equal to 0"},
		{good(func(r *request) { r.Keys = []string{"k", "", "long"} }),
			"1: Value '[k, , long]' at 'keys' satisfy constraint: [Member must have length less than or equal to 3, " +
				"Member must have length greater than or equal to 1]"},
		{good(func(r *request) { r.Kinds = []string{"A", "C"} }),
			"1: Value '[A, C]' at 'kinds' satisfy constraint: [Member must satisfy enum value set: [A, B]]"},
		{good(func(r *request) { r.Marks = map[string]string{"x": "A", "w": "D"} }),
			"1: Value '{w=D, x=A}' at 'marks' failed to satisfy constraint: Map value must satisfy constraint: " +
				"[Member must satisfy enum value set: [A, B]]"},
		{good(func(r *request) { r.ByName = map[string]*part{"t": {"a", 101}} }),
			"1: Value '101' at 'byName.t.member.weight' have value less than or equal to 100"},
		{good(func(r *request) { r.Kind = "C" }),
			"1: Value 'C' at 'kind' satisfy enum value set: [A, B]"},
		{good(func(r *request) { r.Tree = &tree{Kind: "C", Below: []tree{{Kind: "D"}}} }),
			"1: Value 'C' at 'tree.kind' satisfy enum value set: [A, B]"},
		{good(inner("a~", "plain")), ""},
		{good(inner("a b", "é")), "2: Value 'a b' at 'inner.token' satisfy regular expression pattern: [!-~]+; " +
			"Value 'é' " +
			`at 'inner.note' satisfy regular expression pattern: \p{ASCII}*`},
	} {
		got := For(reflect.TypeFor[request]())(reflect.ValueOf(tt.in).Elem(), false)
		got = strings.ReplaceAll(got, "failed to satisfy constraint: Member must ", "")
		got = strings.Replace(strings.Replace(got, " validation error detected", "", 1), " validation errors "+
			"detected", "", 1)
		if got != tt.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", tt.in, got, tt.want)
		}
	}
	if For(reflect.TypeFor[struct{ A string }]()) != nil {
		t.Error("what has no constraints is checked")
	}
}

func TestTagsAreRead(t *testing.T) {
	refused := func(what string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s is taken", what)
			}
		}()
		f()
	}
	refused("a word that there is not", func() {
		For(reflect.TypeFor[struct {
			A string `json:"a" api:"atleast=1"`
		}]())
	})
	refused("a set that there is not", func() {
		For(reflect.TypeFor[struct {
			A string `json:"a" api:"set=nobody's"`
		}]())
	})
	refused("a second set of a name", func() { Set("test kinds", "C") })
}
