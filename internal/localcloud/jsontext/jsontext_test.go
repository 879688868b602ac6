package jsontext

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStringsAreEscapedOnlyWhereTheyMustBe(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", `""`},
		{`a"b\c/`, `"a\"b\\c/"`},
		{"<a href='x'>&\u2028é\x7f", "\"<a href='x'>&\u2028é\x7f\""},
		{"\b\f\n\r\t\x00\x1f", `"\b\f\n\r\t\u0000\u001f"`},
		{"퟿\ued00", "\"퟿\ued00\""},
		{"x\xed\xa0\xbdy\xed\xbf\xbf", `"x\ud83dy\udfff"`},
		{"\xed", "\"\xed\""},
		{"\xed\xa0", "\"\xed\xa0\""},
		{"\xed\xa0\"", "\"\xed\xa0\\\"\""},
		{"😀", `"😀"`},
	} {
		if got := string(AppendString(nil, c.in)); got != c.want {
			t.Errorf("%q: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestStringsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := strings.ToValidUTF8(rapid.String().Draw(t, "s"), "?")
		b := AppendString([]byte("x"), want)
		var got string
		if err := json.Unmarshal(b[1:], &got); err != nil || b[0] != 'x' || got != want {
			t.Fatalf("%q is written %s and read %q, %v", want, b, got, err)
		}
	})
}

func TestMarshalLeavesHTMLAlone(t *testing.T) {
	b, err := Marshal(map[string]any{"a": "<&>", "b": []int{1}})
	if want := `{"a":"<&>","b":[1]}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v; want %s", b, err, want)
	}
	if b, err := Marshal(func() {}); err == nil {
		t.Errorf("a function is %s", b)
	}
}
