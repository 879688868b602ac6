package intrinsic

import (
	"errors"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

func env(doc any) *Env {
	return &Env{
		Resolve: func(p *jsonpath.Path) (any, error) { return p.Eval(doc) },
		Random:  func(n int64) int64 { return n - 1 },
		UUID:    func() string { return "00000000-0000-4000-8000-000000000000" },
	}
}

// TestFunctions: what the functions give. Where it is not in the developer guide it was seen on AWS:
// github.com/gabrielmoreira/tiny-asl-machine, tests/conformance/cases (2026).
func TestFunctions(t *testing.T) {
	doc, _ := document.ParseString(`{"n":[1,2,3,4],"s":"a,b;c","o":{"x":1},"f":1.5,"none":[],"blank":"","ab":{"a":1,"b":2},
		"ba":{"b":2,"a":1},"texts":["true","7","[1, 2]"],"bools":[true,false,true],"lists":[[1,2],[1,2],[2,1]],"big":2147483647,
		"deep":{"a":1,"b":["x",null,{"c":true}],"d":1.50,"e":{},"f":[],"g":"é \"q\""}}`)
	for _, c := range []struct{ call, want string }{
		{`States.Format('\'{}\' \{\} {}', $.s, $.o)`, `"'a,b;c' {} {x=1}"`},
		{`States.Format('{}', $.deep)`, `"{a=1, b=[x, null, {c=true}], d=1.50, e={}, f=[], g=é \"q\"}"`},
		{`States.Format('{}|{}', $.n, null)`, `"[1, 2, 3, 4]|null"`},
		{`States.Format('{}|{}', States.StringToJson('"x"'), States.StringToJson('{"a":1}'))`, `"\"x\"|{\"a\":1}"`},
		{`States.ArrayPartition($.n, 3)`, `[[1,2,3],[4]]`},
		{`States.ArrayPartition($.n, 2.6)`, `[[1,2],[3,4]]`},
		{`States.ArrayPartition($.none, 3)`, `[]`},
		{`States.ArrayRange(1, 9, 4)`, `[1,5,9]`},
		{`States.ArrayRange(3, 1, -1)`, `[3,2,1]`},
		{`States.ArrayRange(3, 3, -1)`, `[3]`},
		{`States.ArrayRange(5, 1, 1)`, `[]`},
		{`States.ArrayRange(5.4, -0.6, -2.4)`, `[5,3,1]`},
		{`States.ArrayGetItem($.n, 2)`, `3`},
		{`States.ArrayGetItem($.n, 1.9)`, `2`},
		{`States.ArrayGetItem($.none, 999)`, `null`},
		{`States.ArrayContains($.texts, true)`, `true`},
		{`States.ArrayContains($.texts, 7)`, `true`},
		{`States.ArrayContains($.texts, States.Array(1, 2))`, `true`},
		{`States.ArrayContains(States.Array($.ab), $.ba)`, `false`},
		{`States.ArrayContains($.n, false)`, `false`},
		{`States.ArrayUnique(States.Array(1, 1, '1', $.o, $.o, null, null))`, `[null,1,"1",{"x":1}]`},
		{`States.ArrayUnique(States.Array('b', 'a', 3, 2, 2))`, `["a","b",2,3]`},
		{`States.ArrayUnique(States.Array($.ab, $.ba))`, `[{"a":1,"b":2}]`},
		{`States.ArrayUnique($.bools)`, `[false,true]`},
		{`States.ArrayUnique($.lists)`, `[[2,1],[1,2]]`},
		{`States.StringSplit($.s, ',;')`, `["a","b","c"]`},
		{`States.StringSplit(',a,,b,', ',')`, `["a","b"]`},
		{`States.StringSplit('', ',')`, `[]`},
		{`States.StringToJson($.blank)`, `null`},
		{`States.MathAdd($.f, -2)`, `0`},
		{`States.MathAdd(1.6, 2.7)`, `5`},
		{`States.MathAdd($.big, 0)`, `2147483647`},
		{`States.MathRandom(1, 10)`, `9`},
		{`States.MathRandom(1.6, 5.4)`, `4`},
		{`States.MathRandom(1, 100, 42)`, `63`},
		{`States.MathRandom(1, 1000, 1)`, `106`},
		{`States.MathRandom(1, 1000, 2)`, `806`},
		{`States.MathRandom(1, 5, 42)`, `3`},
		{`States.MathRandom(1, 10, -10)`, `1`},
		{`States.Base64Decode(States.Base64Encode('ä'))`, `"ä"`},
		{`States.Base64Decode('ab==cd')`, `"i"`},
		{`States.Base64Decode(' YWJj ZA')`, `"abcd"`},
		{`States.Hash('input data', 'SHA-1')`, `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
		{`States.Hash(123, 'MD5')`, `"202cb962ac59075b964b07152d234b70"`},
		{`States.JsonMerge($.o, States.StringToJson('{"y":2}'), false)`, `{"x":1,"y":2}`},
		{`States.JsonMerge($.o, $.o, 'true')`, `{"x":1}`},
		{`States.ArrayLength($.n)`, `4`},
		{`States.UUID()`, `"00000000-0000-4000-8000-000000000000"`},
		{`States.UUID('x', 1)`, `"00000000-0000-4000-8000-000000000000"`},
	} {
		call, err := Parse(c.call)
		if err != nil {
			t.Errorf("%s: %v", c.call, err)
			continue
		}
		v, err := call.Eval(env(doc))
		if err != nil || document.Text(v) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.call, document.Text(v), err, c.want)
		}
	}
}

// TestFailures: what is said of calls that fail, after the call. The source is that of TestFunctions.
func TestFailures(t *testing.T) {
	doc, _ := document.ParseString(`{"n":[1],"long":"` + strings.Repeat("a", MaxText+1) + `"}`)
	const invalid = "Invalid arguments in States."
	for s, want := range map[string]string{
		`States.ArrayGetItem($.n, 1)`:                     invalid + "ArrayGetItem",
		`States.ArrayGetItem($.n, -1)`:                    invalid + "ArrayGetItem",
		`States.ArrayRange(0, 5000, 1)`:                   invalid + "ArrayRange",
		`States.ArrayRange(0, 1, 0.49)`:                   invalid + "ArrayRange",
		`States.ArrayRange(1, 5)`:                         invalid + "ArrayRange",
		`States.ArrayPartition($.n, 0.6)`:                 invalid + "ArrayPartition",
		`States.ArrayPartition($.n, null)`:                invalid + "ArrayPartition",
		`States.ArrayLength('x')`:                         invalid + "ArrayLength",
		`States.ArrayContains($.n)`:                       invalid + "ArrayContains",
		`States.MathAdd(2147483647, 1)`:                   invalid + "MathAdd",
		`States.MathAdd(3000000000, 1)`:                   invalid + "MathAdd",
		`States.MathAdd(1, '1')`:                          invalid + "MathAdd",
		`States.MathAdd(1, 2, 3)`:                         invalid + "MathAdd",
		`States.MathRandom(1.4, 1.6)`:                     invalid + "MathRandom",
		`States.MathRandom(1, 10, null)`:                  invalid + "MathRandom",
		`States.JsonMerge($.n, $.n, false)`:               invalid + "JsonMerge",
		`States.StringToJson(1)`:                          invalid + "StringToJson",
		`States.StringSplit(1, ',')`:                      invalid + "StringSplit",
		`States.Hash('x', 'CRC')`:                         invalid + "Hash",
		`States.Hash($.long, 'MD5')`:                      invalid + "Hash",
		`States.Base64Encode($.long)`:                     invalid + "Base64Encode",
		`States.JsonToString()`:                           invalid + "JsonToString: only a single argument is allowed.",
		`States.Format('{} {}', 1)`:                       invalid + "Format: number of arguments do not match the occurrences of {}.",
		`States.Format('Hello {', 1)`:                     "Invalid template in States.Format: matching '}' not found for '{'.",
		`States.Format('Hello {{}}', 1)`:                  "Invalid template in States.Format: matching '}' not found for '{'.",
		`States.Format('}')`:                              "Invalid template in States.Format: matching '{' not found for '}'.",
		`States.Array(States.ArrayLength(States.UUID()))`: invalid + "ArrayLength",
	} {
		call, err := Parse(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		var failed *Error
		if _, err := call.Eval(env(doc)); !errors.As(err, &failed) || failed.Message != want || failed.Call != s {
			t.Errorf("%s: %v", s, err)
		}
	}
	var missing *MissingError
	if call, err := Parse(`States.JsonToString($.no)`); err != nil {
		t.Error(err)
	} else if _, err := call.Eval(env(doc)); !errors.As(err, &missing) || missing.Path != "$.no" {
		t.Error(err)
	}
	for _, s := range []string{`States.Nope()`, `States.UUID(`, `States.UUID(,)`, `States.Format('a`, `States.Format('\x')`, `States.Array(1,)`, `x`, ``} {
		if _, err := Parse(s); err == nil {
			t.Errorf("%q parsed", s)
		}
	}
}

func FuzzCall(f *testing.F) {
	for _, s := range []string{`States.Format('{} \{', $.a['x,)'], States.UUID())`, `States.MathRandom(0, 5, 1)`, `States.ArrayRange(1,9223372036854775807,9)`} {
		f.Add(s)
	}
	doc, _ := document.ParseString(`{"a":{"x":1},"n":[1,"2",null]}`)
	f.Fuzz(func(t *testing.T, s string) {
		call, err := Parse(s)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || call != nil {
				t.Fatalf("%q: %T", s, err)
			}
			return
		}
		v, err := call.Eval(env(doc))
		if err != nil {
			return
		}
		if _, err := document.ParseString(document.Text(v)); err != nil {
			t.Fatalf("%q gives no JSON: %v", s, err)
		}
	})
}
