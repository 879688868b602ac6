package intrinsic

import (
	"errors"
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

func TestFunctions(t *testing.T) {
	doc, _ := document.ParseString(`{"n":[1,2,3,4],"s":"a,b;c","o":{"x":1},"f":1.5,
		"deep":{"a":1,"b":["x",null,{"c":true}],"d":1.50,"e":{},"f":[],"g":"é \"q\""}}`)
	for _, c := range []struct{ call, want string }{
		{`States.Format('\'{}\' \{\} {}', $.s, $.o)`, `"'a,b;c' {} {x=1}"`},
		{`States.Format('{}', $.deep)`, `"{a=1, b=[x, null, {c=true}], d=1.50, e={}, f=[], g=é \"q\"}"`},
		{`States.Format('{}|{}', $.n, null)`, `"[1, 2, 3, 4]|null"`},
		{`States.ArrayPartition($.n, 3)`, `[[1,2,3],[4]]`},
		{`States.ArrayRange(1, 9, 4)`, `[1,5,9]`},
		{`States.ArrayRange(3, 1, -1)`, `[3,2,1]`},
		{`States.ArrayGetItem($.n, 2)`, `3`},
		{`States.ArrayUnique(States.Array(1, 1.0, '1', $.o, $.o))`, `[1,"1",{"x":1}]`},
		{`States.StringSplit($.s, ',;')`, `["a","b","c"]`},
		{`States.MathAdd($.f, -2)`, `0`},
		{`States.MathRandom(1, 10)`, `9`},
		{`States.Base64Decode(States.Base64Encode('ä'))`, `"ä"`},
		{`States.Hash('input data', 'SHA-1')`, `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
		{`States.JsonMerge($.o, States.StringToJson('{"y":2}'), false)`, `{"x":1,"y":2}`},
		{`States.ArrayLength($.n)`, `4`},
		{`States.UUID()`, `"00000000-0000-4000-8000-000000000000"`},
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

func TestFailures(t *testing.T) {
	doc, _ := document.ParseString(`{"n":[1]}`)
	for _, s := range []string{`States.ArrayGetItem($.n, 1)`, `States.ArrayRange(0, 5000, 1)`, `States.ArrayRange(0, 1, 0)`, `States.Format('{} {}', 1)`,
		`States.JsonMerge($.n, $.n, false)`, `States.StringToJson('{')`, `States.Hash('x', 'CRC')`, `States.ArrayPartition($.n, 0)`} {
		call, err := Parse(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		var failed *Error
		if _, err := call.Eval(env(doc)); !errors.As(err, &failed) {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{`States.Nope()`, `States.UUID(1)`, `States.Format('a`, `States.Format('\x')`, `States.Array(1,)`, `x`, ``} {
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
