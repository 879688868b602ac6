package jsonpath

import (
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

const store = `{"store":{"book":[{"t":"A","p":8.95,"c":"ref"},{"t":"B","p":12.99,"c":"fic"},{"t":"C","p":22.99,"c":"fic","isbn":"x"}],"bike":{"p":19.95}},"max":10,"a-b":1,"sp ace":2}`

func TestEval(t *testing.T) {
	doc, err := document.ParseString(store)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{`$.max`, `10`},
		{`$.a-b`, `1`},
		{`$['sp ace']`, `2`},
		{`$.store.book[0].t`, `"A"`},
		{`$.store.book[-1].t`, `"C"`},
		{`$.store.book[*].t`, `["A","B","C"]`},
		{`$.store.book[0,2].t`, `["A","C"]`},
		{`$.store.book[1:].t`, `["B","C"]`},
		{`$.store.book[:1].t`, `["A"]`},
		{`$.store.book[::2].t`, `["A","C"]`},
		{`$..p`, `[8.95,12.99,22.99,19.95]`},
		{`$.store.*.p`, `[19.95]`},
		{`$.store.book[?(@.p < 10)].t`, `["A"]`},
		{`$.store.book[?(@.p < $.max)].t`, `["A"]`},
		{`$.store.book[?(@.isbn)].t`, `["C"]`},
		{`$.store.book[?(!@.isbn && @.c == 'fic')].t`, `["B"]`},
		{`$.store.book[?(@.c =~ /FI.*/i || @.t == "A")].t`, `["A","B","C"]`},
		{`$.store.book[?(@.t in ['A','C'])].p`, `[8.95,22.99]`},
		{`$.store.book.length()`, `3`},
		{`$.store.book[*].p.max()`, `22.99`},
		{`$.store.book[0]['t','p']`, `[{"t":"A","p":8.95}]`},
		{`$.none[*].x`, `[]`},
	} {
		p, err := Parse(c.path)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		v, err := p.Eval(doc)
		if err != nil || document.Text(v) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.path, document.Text(v), err, c.want)
		}
	}
}

func TestEscapes(t *testing.T) {
	const named = `{"a.b":1,"it's":2,"say \"hi\"":3,"back\\slash":4,"tab\there":5,"é😀":6,"a":{"[x]":7,"?y":8},"@z":9,` +
		`"raw\\\"q\"":10,"raw\\\\two":11,"raw\\u00e9":12}`
	doc, err := document.ParseString(named)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{`$.a\.b`, `1`},
		{`$.\a\.\b`, `1`},
		{`$.a.\[x\]`, `7`},
		{`$.a.\?y`, `8`},
		{`$.\@z`, `9`},
		{`$.['a.b']`, `1`},
		{`$['a.b']`, `1`},
		{`$['it\'s']`, `2`},
		{`$["it's"]`, `2`},
		{`$['say "hi"']`, `3`},
		{`$["say \"hi\""]`, `3`},
		{`$['back\slash']`, `4`},
		{`$.back\\slash`, `4`},
		{`$['é😀']`, `6`},
		{`$['raw\"q"']`, `10`},
		{`$['raw\\two']`, `11`},
		{`$['raw\u00e9']`, `12`},
		{`$['a'][?(@ == 'q\u0037')]`, `[]`},
	} {
		p, err := Parse(c.path)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if v, err := p.Eval(doc); err != nil || document.Text(v) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.path, document.Text(v), err, c.want)
		}
	}
	for _, path := range []string{`$.a\`, `$.a[?(@.b == '\u12')]`, `$.a[?(@.b == '\ud83d\uzzzz')]`,
		`$['a\']`, `$.`, `$.a b`} {
		if _, err := Parse(path); err == nil {
			t.Errorf("%s is no error", path)
		}
	}
}

func TestMissing(t *testing.T) {
	doc, _ := document.ParseString(`{"a":{"b":1}}`)
	for _, c := range []struct{ path, want string }{
		{`$.x`, "No results for path: $['x']"},
		{`$.x.y`, "Missing property in path $['x']"},
		{`$.a.c`, "No results for path: $['a']['c']"},
	} {
		p, _ := Parse(c.path)
		if _, err := p.Eval(doc); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}

func TestPut(t *testing.T) {
	for _, c := range []struct{ doc, path, want string }{
		{`{"a":1}`, `$.b.c`, `{"a":1,"b":{"c":"new"}}`},
		{`{"a":1}`, `$.a`, `{"a":"new"}`},
		{`{"a":[1,2]}`, `$.a[1]`, `{"a":[1,"new"]}`},
		{`{"a":1}`, `$`, `"new"`},
	} {
		doc, _ := document.ParseString(c.doc)
		p, err := Parse(c.path)
		if err != nil || !p.Reference() {
			t.Fatal(c.path, err)
		}
		v, err := p.Put(doc, "new")
		if err != nil || document.Text(v) != c.want || document.Text(doc) != c.doc {
			t.Errorf("%s in %s: %s, %v (document now %s)", c.path, c.doc, document.Text(v), err, document.Text(doc))
		}
	}
	doc, _ := document.ParseString(`[1]`)
	p, _ := Parse(`$.a`)
	if _, err := p.Put(doc, 1); err == nil {
		t.Error("put a member into an array")
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{`$.a[?(@.b == 'x' && !(@.c))]..d[1:2]`, `$$.Execution.Id`, `$name['x',"y"]`, `$..[*].length()`, `$[?(@.a =~ /x/i)]`} {
		f.Add(s)
	}
	doc, _ := document.ParseString(store)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			if _, ok := err.(*SyntaxError); !ok || p != nil {
				t.Fatalf("%q: %T", s, err)
			}
			return
		}
		v, err := p.Eval(doc)
		if err != nil {
			if _, ok := err.(*NotFoundError); !ok {
				t.Fatalf("%q: %T", s, err)
			}
			return
		}
		if _, err := document.ParseString(document.Text(v)); err != nil {
			t.Fatalf("%q gives no JSON: %v", s, err)
		}
		if p.Reference() {
			if w, err := p.Put(doc, "x"); err == nil {
				if got, err := p.Eval(w); err != nil || got != "x" {
					t.Fatalf("%q: put and not found: %v %v", s, got, err)
				}
			}
		}
		if document.Text(doc) != store {
			t.Fatalf("%q changed the document", s)
		}
	})
}
