package document

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestTextKeepsOrderAndSpelling(t *testing.T) {
	for _, s := range []string{`{"b":1,"a":[1.0,2e5,-0,12345678901234567890],"c":"<&>\u0001é"}`, `[]`, `{}`, `null`, `"\"\\/"`} {
		v, err := ParseString(s)
		if err != nil {
			t.Fatal(s, err)
		}
		w, err := ParseString(Text(v))
		if err != nil || !Equal(v, w) {
			t.Errorf("%s became %s", s, Text(v))
		}
	}
	v, _ := ParseString(`{"b":1,"a":1.0,"b":2}`)
	if Text(v) != `{"b":2,"a":1.0}` {
		t.Errorf("got %s", Text(v))
	}
}

func TestParseAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.RuneFrom([]rune(`{}[]",:0123.eE+-truefalsn\u "`)), 0, 20, -1).Draw(t, "text")
		_, err := ParseString(s)
		if (err == nil) != json.Valid([]byte(s)) {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

func TestLargeObjectsFindTheirMembers(t *testing.T) {
	o := &Object{}
	for i := range 100 {
		o.Set(string(rune('A'+i)), Int(int64(i)))
	}
	o = o.With("A", "x").Without("B")
	if v, _ := o.Get("A"); v != "x" {
		t.Error(v)
	}
	if _, ok := o.Get("B"); ok || o.Len() != 99 {
		t.Error(o.Len())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"\ud83d\ude00"]}`, `[[[[`, `"\u12`, "\xff", `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b)
		if err != nil {
			if v != nil {
				t.Fatal("a value beside an error")
			}
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		text := Append(nil, v)
		w, err := Parse(text)
		if err != nil || !Equal(v, w) || !bytes.Equal(text, Append(nil, w)) {
			t.Fatalf("%q became %q: %v", b, text, err)
		}
	})
}
