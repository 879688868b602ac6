package jsonata

import (
	"errors"
	"testing"
	"time"
)

var fuzzLimits = Limits{Depth: 300, Steps: 100_000, Memory: 16 << 20}

func seed(f *testing.F, add func(c *Object)) {
	for _, c := range loadSuite(f).cases {
		add(c)
	}
}

// checkError holds every error to be one of the language.
func checkError(t *testing.T, src string, err error) {
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%q: %T %v", src, err, err)
	}
	if e.Code == codeInternal || e.Message == "" && e.Code != "D3137" {
		t.Fatalf("%q: %+v", src, e)
	}
}

// FuzzCompile: an expression compiles or fails with an error of the language
// at a place within it, and the second time like the first.
func FuzzCompile(f *testing.F) {
	seed(f, func(c *Object) { f.Add(c.lookup("expr").(string)) })
	f.Fuzz(func(t *testing.T, src string) {
		e, err := Compile(src)
		again, err2 := Compile(src, StepFunctions())
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: %v, then %v", src, err, err2)
		}
		if err != nil {
			checkError(t, src, err)
			if p := err.(*Error).Position; p < -1 || p > len(src) {
				t.Fatalf("%q: position %d", src, p)
			}
			if e != nil || again != nil {
				t.Fatal("an error and a result")
			}
		}
	})
}

// FuzzEval: an evaluation ends, the same way each time, leaves its input
// alone, and what it yields is JSON or says why not.
func FuzzEval(f *testing.F) {
	s := loadSuite(f)
	for _, c := range s.cases {
		if input, err := s.input(c); err == nil {
			data, _ := EncodeJSON(input)
			f.Add(c.lookup("expr").(string), data)
		}
	}
	f.Fuzz(func(t *testing.T, src string, data []byte) {
		if len(data) > 10_000 || len(src) > 2_000 {
			t.Skip()
		}
		e, err := Compile(src)
		if err != nil {
			return
		}
		input, err := DecodeJSON(data)
		if err != nil {
			input = Undefined
		}
		before, _ := AppendJSON(nil, input)
		start := time.Now()
		defer func() {
			if d := time.Since(start); d > 10*time.Second {
				t.Fatalf("%q on %s took %v", src, data, d)
			}
		}()
		run := func() (string, error) {
			rt := testRuntime()
			rt.Limits = fuzzLimits
			v, err := e.Eval(rt, input, nil)
			if err != nil {
				checkError(t, src, err)
				return err.Error(), nil
			}
			if v == Undefined {
				return "undefined", nil
			}
			out, err := EncodeJSON(v)
			return string(out), err
		}
		first, err1 := run()
		second, err2 := run()
		if first != second || (err1 == nil) != (err2 == nil) {
			t.Fatalf("%q: %s %v, then %s %v", src, first, err1, second, err2)
		}
		if err1 != nil && !errors.Is(err1, errNotJSON) && !errors.Is(err1, &Error{Code: "U1001"}) {
			t.Fatalf("%q: %v", src, err1)
		}
		if after, _ := AppendJSON(nil, input); string(before) != string(after) {
			t.Fatalf("%q changed its input %s to %s", src, before, after)
		}
	})
}

// FuzzJSON: what decodes encodes to a document that decodes to the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[null,true,"é\ud800"]}`, `1e-7`, `"\ud83d\ude00"`, `-0`, `[[],{}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := DecodeJSON(data)
		if err != nil {
			return
		}
		out, err := EncodeJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeJSON(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !deepEqual(v, again) {
			t.Fatalf("%s became %s", data, out)
		}
		out2, _ := EncodeJSON(again)
		if string(out) != string(out2) {
			t.Fatalf("%s, then %s", out, out2)
		}
	})
}

// FuzzPictures: pictures format or fail with an error of the language.
func FuzzPictures(f *testing.F) {
	for _, p := range []string{"#,##0.00;(#)", "0.0e0", "Ww;o", "[Y0001]-[M01]-[D01]", "[FNn,3-3] [h]:[m] [P] [z]",
		"00%", "#:000", "٠٠"} {
		f.Add(p, 1234.5)
	}
	exprs := []*Expression{
		MustCompile(`$formatNumber($n, $p)`), MustCompile(`$formatInteger($n, $p)`),
		MustCompile(`$fromMillis($n, $p)`), MustCompile(`$toMillis($fromMillis($n, $p), $p)`),
		MustCompile(`$parseInteger($formatInteger($n, $p), $p)`),
	}
	f.Fuzz(func(t *testing.T, picture string, n float64) {
		for _, e := range exprs {
			rt := testRuntime()
			rt.Limits = fuzzLimits
			if _, err := e.Eval(rt, Undefined, map[string]Value{"n": n, "p": picture}); err != nil {
				checkError(t, e.String()+" "+picture, err)
			}
		}
	})
}
