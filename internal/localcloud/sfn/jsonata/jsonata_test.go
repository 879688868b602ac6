package jsonata

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustDecode(t testing.TB, s string) Value {
	t.Helper()
	v, err := DecodeJSON([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// evaluate gives the result as JSON, "undefined", or the error.
func evaluate(src string, input Value, opts ...Option) string {
	e, err := Compile(src, opts...)
	if err != nil {
		return err.Error()
	}
	v, err := e.Eval(testRuntime(), input, nil)
	if err != nil {
		return err.Error()
	}
	return show(v)
}

func TestResults(t *testing.T) {
	const doc = `{"a":{"b":[1,{"c":"x"}]},"n":null,"z":1,"y":2,"10":3,"list":[{"k":"p","v":1},{"k":"q","v":2},{"k":"p","v":3}]}`
	for _, c := range []struct{ expr, want string }{
		{`n`, `null`},
		{`missing`, `undefined`},
		{`$keys($)`, `["a","n","z","y","10","list"]`},
		{`{"z":1,"a":2,"missing":missing}`, `{"z":1,"a":2}`},
		{`$string({"b":1,"a":[1,null]})`, `"{\"b\":1,\"a\":[1,null]}"`},
		{`list{k: $sum(v)}`, `{"p":4,"q":2}`},
		{`list[v>1].k`, `["q","p"]`},
		{`list[v=2].k`, `"q"`},
		{`list[v=2].k[]`, `["q"]`},
		{`list^(>v)[0].v`, `3`},
		{`list#$i[$i=1].v`, `2`},
		{`list@$l.{"k":$l.k,"z":%.z}[0]`, `{"k":"p","z":1}`},
		{`list.v.{"v":$,"k":%.k}[1]`, `{"v":2,"k":"q"}`},
		{`$ ~> |list|{"v":v*10},"k"|`, `{"a":{"b":[1,{"c":"x"}]},"n":null,"z":1,"y":2,"10":3,"list":[{"v":10},{"v":20},{"v":30}]}`},
		{`$map(list, function($l, $i) { $l.k & $i })`, `["p0","q1","p2"]`},
		{`(list.v ~> $sum) + 1`, `7`},
		{`($f := $substring(?, 0, ?); $g := $f(?, 2); $g("hello"))`, `"he"`},
		{`($up := $trim ~> $uppercase; $up("  a  b "))`, `"A B"`},
		{`0.1 + 0.2`, `0.30000000000000004`},
		{`$string(0.1 + 0.2)`, `"0.3"`},
		{`1e21 & ""`, `"1e+21"`},
		{`$formatNumber(1234.5, "#,##0.00")`, `"1,234.50"`},
		{`$fromMillis(1510067557121, "[D1o] [MNn] [Y] [H01]:[m01][Z]", "+0100")`, `"7th November 2017 16:12+01:00"`},
		{`$toMillis("2017-11-07T15:12:37.121Z")`, `1510067557121`},
		{`$now()`, `"2026-11-22T09:30:15.123Z"`},
		{`$replace("John Smith", /(\w+)\s(\w+)/, "$2, $1")`, `"Smith, John"`},
		{`$match("a1b22", /[0-9]+/).match`, `["1","22"]`},
		{`$length("a😀")`, `2`},
		{`"\ud83d" & "\ude00"`, `"😀"`},
		{`$eval("1+2")`, `3`},
		{`1 + "x"`, `T2002: The right side of the "+" operator must evaluate to a number`},
		{`$sum("x")`, `T0412: Argument 1 of function "sum" must be an array of "numbers"`},
		{`$length()`, `T0411: Context value is not a compatible type with argument 1 of function "length"`},
		{`$nope()`, `T1006: Attempted to invoke a non-function`},
		{`sum(1)`, `T1005: Attempted to invoke a non-function. Did you mean $sum?`},
		{`$error("no \"good\"")`, `D3137: no "good"`},
		{`[1..20000000]`, `D2014: The size of the sequence allocated by the range operator (..) must not exceed 1e6.  Attempted to allocate 20000000.`},
		{`1 +`, `S0207: Unexpected end of expression`},
		{`"open`, `S0101: String literal must be terminated by a matching quote`},
		{`(1`, `S0203: Expected ")" before end of expression`},
		{`/(/`, `S0302: No terminating / in regular expression`},
		{`/[b-a]/`, `S0303: Invalid regular expression: range out of order in character class`},
		{`1 2.50`, `S0201: Syntax error: 2.5`},
		{`[1 "x"]`, `S0202: Expected "]", got "x"`},
		{`function($x)<n>{$x}("a")`, `T0410: Argument 1 of function undefined does not match function signature`},
		{`$count($filter([0, 1, $sum], $boolean))`, `2`},
		{`$boolean($sum)`, `false`},
		{`$substring("hello", missing, 2)`, `""`},
		{`($f := $map(?, function($v) { missing }) ~> $count; $f([1,2]))`, `0`},
		{`$x := `, `S0207: Unexpected end of expression`},
	} {
		if got := evaluate(c.expr, mustDecode(t, doc)); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.expr, got, c.want)
		}
	}
}

func TestErrorsTellPlaceAndCode(t *testing.T) {
	_, err := Compile(`"é😀" & $$$ +* 2 ]`)
	var e *Error
	if !errors.As(err, &e) || e.Code != "S0201" || e.Position != 15 {
		t.Errorf("got %#v", err)
	}
	_, err = MustCompile(`"😀" & (1 + $number("x"))`).Eval(nil, Undefined, nil)
	if !errors.As(err, &e) || e.Position != 19 || e.Token != "number" || e.Value != "x" {
		t.Errorf("got %+v", e)
	}
	if !errors.Is(err, &Error{Code: "D3030"}) || errors.Is(err, &Error{Code: "D3031"}) {
		t.Error("errors.Is goes by the code")
	}
}

func TestBindings(t *testing.T) {
	e := MustCompile(`$states.input.a + $n`)
	states, _ := FromGo(map[string]any{"input": map[string]any{"a": 40}})
	v, err := e.Eval(nil, Undefined, map[string]Value{"states": states, "n": 2.0})
	if err != nil || v != 42.0 {
		t.Errorf("got %v, %v", v, err)
	}
	// A variable that an evaluation assigns is gone after it.
	e = MustCompile(`($exists($x) ? "leaked" : ($x := 1); $x)`)
	for range 2 {
		if v, err := e.Eval(nil, Undefined, nil); err != nil || v != Undefined && v != 1.0 {
			t.Errorf("got %v, %v", v, err)
		}
	}
	// What is bound goes before what the library has.
	v, err = MustCompile(`$sum`).Eval(nil, Undefined, map[string]Value{"sum": "mine"})
	if err != nil || v != "mine" {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestReferences(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`$states.input.a[$n > 1]`, "states n"},
		{`($x := $y; $x + $z)`, "y z"},
		{`($x; $x := 1; $x)`, "x"},
		{`$map($list, function($v, $i) { $v + $i + $k })`, "list k"},
		{`($f := function($n) { $n = 0 ? 1 : $f($n - 1) }; $f($m))`, "m"},
		{`Account@$a.Order#$i.{"a": $a, "i": $i, "q": $q}`, "q"},
		{`$$.a & $.b`, ""},
		{`$a ~> |$b|{"c": $c}, $d|`, "a b c d"},
		{`{"k": $v}{$g: $h}^($o)`, "v g h o"},
	} {
		if got := strings.Join(MustCompile(c.expr).Variables(), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.expr, got, c.want)
		}
	}
	refs := MustCompile(`"é" & $states.input.a.b`).References()
	if len(refs) != 1 || strings.Join(refs[0].Path, ".") != "input.a.b" || refs[0].Position != 6 {
		t.Errorf("got %+v", refs)
	}
}

func TestStepFunctionsProfile(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`$eval("1")`, `T1006: Attempted to invoke a non-function`},
		{`$partition([1,2,3,4,5], 2)`, `[[1,2],[3,4],[5]]`},
		{`$partition([1], 3)`, `[[1]]`},
		{`$partition([1,2,3,4,5], 2.6)`, `[[1,2],[3,4],[5]]`},
		{`$partition([1,2,3])`, `[[1,2,3]]`},
		{`$partition([1], 0)`, `undefined`},
		{`$partition([1], -1)`, `D3137: Second argument must be zero or greater`},
		{`$partition("not-array", 2)`, `T0412: Argument 1 of function "partition" must be an array of undefined`},
		{`$partition([1], "2")`, `T0410: Argument 2 of function "partition" does not match function signature`},
		{`$partition([1], null)`, `T0410: Argument 2 of function "partition" does not match function signature`},
		{`$partition([1], 2, 99)`, `T0410: Argument 3 of function "partition" does not match function signature`},
		{`$range(0, 10, 3)`, `[0,3,6,9]`},
		{`$range(5, 1, -2)`, `[5,3,1]`},
		{`$range(1.4, 5.6, 2.2)`, `[1,3,5]`},
		{`$range(1, 10, 0.49)`, `undefined`},
		{`$range(1, 5)`, `undefined`},
		{`$range(1, 5, null)`, `T0410: Argument 3 of function "range" does not match function signature`},
		{`$range("a", 5, 1)`, `T0410: Argument 1 of function "range" does not match function signature`},
		{`$range(0, 1e9, 1)`, `D2014: The size of the sequence allocated by the range operator (..) must not exceed 1e6.  Attempted to allocate 1000000001.`},
		{`$hash("input data", "SHA-1")`, `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
		{`$hash("x", "CRC")`, `D3137: Hash algorithm 'CRC' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5`},
		{`$uuid()`, `"6c2d1f3e-6f0e-4f0b-9d8f-0c1b2a3d4e5f"`},
		{`$parse('{"b":[1,null],"a":{}}')`, `{"b":[1,null],"a":{}}`},
		{`$parse("-0")`, `0`},
		{`$random(7) = $random(7) and $random(7) != $random(8)`, `true`},
		{`$random() < 1`, `true`},
		{`$random(77)`, `0.7240700207191966`},
		{`$parse("{")`, `D3137: Invalid JSON`},
	} {
		if got := evaluate(c.expr, Undefined, StepFunctions()); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.expr, got, c.want)
		}
	}
}

// TestSeenOnAWS: where Step Functions differs from JavaScript's JSONata, as github.com/iwamot/sfnx, docs/design.md
// (2026-09) has seen it.
func TestSeenOnAWS(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`$partition([])`, `[[]]`},
		{`$partition([], 2)`, `undefined`},
		{`$partition()`, `undefined`},
		{`$partition([1,2], $none)`, `[[1,2]]`},
		{`$range()`, `undefined`},
		{`$range(1, 9, 9)`, `1`},
		{`[$range(1, 9, 9)]`, `[1]`},
		{`$range(2, 1, 1)`, `undefined`},
		{`$range(-1.5, 2.5, 1)`, `[-1,0,1,2]`},
		{`$hash("a")`, `undefined`},
		{`$hash($none, "MD5")`, `undefined`},
		{`$hash()`, `T0410: Argument 1 of function "hash" does not match function signature`},
		{`$hash(1, "MD5")`, `T0410: Argument 1 of function "hash" does not match function signature`},
		{`$hash("a", 1)`, `T0410: Argument 2 of function "hash" does not match function signature`},
		{`$hash("a", "MD5", 1)`, `T0410: Argument 3 of function "hash" does not match function signature`},
		{`$hash("a", $none)`, `D3137: Hash algorithm 'null' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5`},
		{`$hash("a", "sha-256")`, `D3137: Hash algorithm 'sha-256' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5`},
		{`$parse("{'a': 'b'}")`, `{"a":"b"}`},
		{`$parse('{"a":1,"a":2}')`, `D3137: Invalid JSON`},
		{`$parse("NaN")`, `D3137: Invalid JSON`},
		{`$parse("1e400")`, `D3137: Invalid JSON`},
		{`$fromMillis(0, "[H01]:[m01]", "utc")`, `"00:00"`},
		{`$fromMillis(1.6)`, `"1970-01-01T00:00:00.001Z"`},
		{`$fromMillis(-1.5)`, `"1969-12-31T23:59:59.999Z"`},
		{`$base64encode("日本 a")`, `"5pel5pysIGE="`},
		{`$base64decode("5pel5pysIGE=")`, `"日本 a"`},
		{`$base64decode("YWJ")`, `"ab"`},
		{`$decodeUrlComponent("a+b%2Bc%20d")`, `"a b+c d"`},
		{`$decodeUrlComponent("%E6%97%A5")`, `"日"`},
		{`$decodeUrlComponent("%E6")`, `"�"`},
		{`$decodeUrlComponent("%zz")`, `D3140: Malformed URL passed to $decodeUrlComponent(): "%zz"`},
		{`$decodeUrlComponent("a%2")`, `D3140: Malformed URL passed to $decodeUrlComponent(): "a%2"`},
		{`$decodeUrlComponent("abc")`, `"abc"`},
		{`$replace("abcbb", "b", "x", 2.5)`, `"axcxb"`},
		{`$length($replace("\u00a0a\u3000", /^\s+|\s+$/, ""))`, `3`},
		{`$length($replace("\u00a0a\u3000", /\S/, "", 1))`, `2`},
		{`$string(0.6666666666666666)`, `"0.666666666666666"`},
		{`$string(-0.6666666666666666)`, `"-0.666666666666667"`},
		{`$string(1234567890123456.7)`, `"1.23456789012345e+15"`},
		{`"" & [0.6666666666666666, 1.5e21]`, `"[0.666666666666666,1.5e+21]"`},
		{`$string({"a": "\u0001\n"})`, `"{\"a\":\"\u0001\\n\"}"`},
		{`$formatNumber(0.125, "0.00")`, `"0.12"`},
		{`$formatNumber(2.675, "0.00")`, `"2.68"`},
		{`$formatNumber(-12, "00000;-0000")`, `"-0012"`},
		{`$length($formatNumber(1e308, "0.00"))`, `312`},
		{`$substring("a😀b", 1, 1)`, `"\ud83d"`},
		{`$substring("héllo😀", -1, 1)`, `"\ude00"`},
		{`$substring("a😀b", 2, 1)`, `"b"`},
		{`$substring("a😀b", 3, 1)`, `""`},
		{`$substring("a😀b", 1, 0)`, `""`},
		{`$substring("a😀b", 0) ? 1 : 2`, `: The argument of function "substring" has characters that take two units`},
		{`$substring("hello", -10, 2)`, `"he"`},
	} {
		if got := evaluate(c.expr, Undefined, StepFunctions()); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.expr, got, c.want)
		}
	}
}

func TestLibraryCanBeChanged(t *testing.T) {
	double := WithFunction("double", "<n-:n>", func(args []Value) (Value, error) { return 2 * args[0].(float64), nil })
	fail := WithFunction("fail", "", func([]Value) (Value, error) { return nil, errors.New("told to") })
	for _, c := range []struct{ expr, want string }{
		{`$double(21)`, `42`},
		{`5.$double()`, `S0213: The literal value 5 cannot be used as a step within a path expression`},
		{`[1,2].($double())`, `[2,4]`},
		{`$double("x")`, `T0410: Argument 1 of function "double" does not match function signature`},
		{`$fail()`, `D3137: told to`},
		{`$now()`, `T1006: Attempted to invoke a non-function`},
	} {
		if got := evaluate(c.expr, Undefined, double, fail, Without("now")); got != c.want {
			t.Errorf("%s: got %s, want %s", c.expr, got, c.want)
		}
	}
}

func TestWithoutSourcesTheirFunctionsFail(t *testing.T) {
	for _, src := range []string{`$now()`, `$millis()`, `$random()`, `$uuid()`, `$shuffle([1,2])`} {
		if _, err := MustCompile(src, StepFunctions()).Eval(nil, Undefined, nil); !errors.Is(err,
			&Error{Code: "D3137"}) {
			t.Errorf("%s: got %v", src, err)
		}
	}
}

func TestLimitsStopEverything(t *testing.T) {
	deep := strings.Repeat("[", 900) + strings.Repeat("]", 900)
	for name, src := range map[string]string{
		"tail recursion":   `($f := function() { $f() }; $f())`,
		"recursion":        `($f := function($n) { 1 + $f($n) }; $f(0))`,
		"mutual recursion": `($f := function() { $g() + 0 }; $g := function() { $f() + 0 }; $f())`,
		"doubled string":   `$reduce([1..60], function($s) { $s & $s }, "x", 1)`,
		"doubling string":  `($f := function($s) { $f($s & $s) }; $f("x"))`,
		"doubling array":   `($f := function($a) { $f($append($a, $a)) }; $f([1]))`,
		"nesting array":    `($f := function($a) { $f([$a]) }; $f([1]))`,
		"nesting object":   `($f := function($a, $n) { $n = 0 ? $a : $f({"a": $a}, $n - 1) }; $string($f(1, 100000)))`,
		"product":          `[1..10000].([1..10000])`,
		"ranges":           `[1..1000].[1..1e6]`,
		"padding":          `$pad("", 2e9)`,
		"roman":            `$length($formatInteger(1e300, "I"))`,
		"regex":            `$contains("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /^(a+)+$/)`,
		"regex choices":    `$contains($pad("", 5000000, "a"), /^(a|a)*b/)`,
		"chain":            `($f := function($a, $n) { $n = 0 ? $a : $f($a ~> $uppercase, $n - 1) }; $g := $f($uppercase, 100000); $g("a"))`,
		"eval":             `($e := "$eval($e)"; $eval($e))`,
		"sort":             `$sort([1..1e6], function($a, $b) { $a > $b })`,
		"clone":            `($f := function($a) { $f([$a, $a] ~> |$|{}|) }; $f({}))`,
		"deep source":      strings.Repeat("(", 100000),
		"long source":      "1" + strings.Repeat("+1", 100000),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			e, err := Compile(src)
			if err == nil {
				rt := testRuntime()
				rt.Limits = Limits{Steps: 3_000_000, Memory: 128 << 20}
				_, err = e.Eval(rt, Undefined, nil)
			}
			if !errors.Is(err, &Error{Code: "U1001"}) && name != "doubled string" && name != "deep source" {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, &Error{Code: codeInternal}) || err == nil {
				t.Errorf("got %v", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	if got := evaluate(`$count(`+deep+`)`, Undefined); got != "1" {
		t.Errorf("900 brackets: %s", got)
	}
}

func TestLimitsAreDeterministic(t *testing.T) {
	e := MustCompile(`($f := function($n) { $n = 0 ? "done" : $f($n - 1) }; $f(1000))`)
	fits := func(steps int64) bool {
		_, err := e.Eval(&Runtime{Limits: Limits{Steps: steps}}, Undefined, nil)
		return err == nil
	}
	low, high := int64(1), int64(1_000_000)
	for low < high {
		if mid := (low + high) / 2; fits(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	for range 3 {
		if fits(low-1) || !fits(low) {
			t.Fatalf("the limit of %d steps does not hold still", low)
		}
	}
}

func TestExpressionsRunAtOnce(t *testing.T) {
	input := mustDecode(t, benchInput)
	e := MustCompile(`$ ~> |items|{"price": price * 2}, "tags"| ~> $string`)
	want, err := e.Eval(nil, input, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				if got, err := e.Eval(nil, input, nil); err != nil || got != want {
					t.Errorf("got %v, %v", got, err)
				}
			}
		}()
	}
	wg.Wait()
}

func TestNumbersAreWrittenAsJavaScriptDoes(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 1: "1", -1.5: "-1.5", 1e20: "100000000000000000000", 1e21: "1e+21",
		1e-6: "0.000001", 1e-7: "1e-7", 1.5e-10: "1.5e-10", 123456789012345680: "123456789012345680",
		5e-324: "5e-324", math.MaxFloat64: "1.7976931348623157e+308",
	} {
		if got := formatNumber(f); got != want {
			t.Errorf("%g: got %s, want %s", f, got, want)
		}
	}
	for f, want := range map[float64]float64{0.1 + 0.2: 0.3, 100000000000000.5: 100000000000001,
		1.0 / 3: 0.333333333333333, -2.0 / 3: -0.666666666666667} {
		if got := to15Digits(f); got != want {
			t.Errorf("%v to 15 digits: got %v, want %v", f, got, want)
		}
	}
}

func TestJSONKeepsOrderAndSurrogates(t *testing.T) {
	for _, s := range []string{
		`{"b":1,"a":{"z":[],"y":{}},"10":null,"9":true}`, `"\ud800"`, `"a😀é\n\u0001\"\\"`, `[1.5,-0.001,1e+30,1e-9]`, `"\udc00\ud800"`,
	} {
		v := mustDecode(t, s)
		if got := show(v); got != s {
			t.Errorf("got %s, want %s", got, s)
		}
	}
	if got := show(mustDecode(t, `{"a":1,"b":2,"a":3}`)); got != `{"a":3,"b":2}` {
		t.Errorf("double keys: %s", got)
	}
	for _, bad := range []string{``, `{`, `[1,]`, `{"a"}`, `01`, `1.`, `"\x"`, "\"\n\"", `tru`, `1 2`, `[1 2]`, `{,}`, `-`, `1e`, `1e999`, `"\u12"`} {
		if v, err := DecodeJSON([]byte(bad)); err == nil {
			t.Errorf("%s: got %s", bad, show(v))
		}
	}
	for _, v := range []Value{Undefined, math.NaN(), math.Inf(1), []any{Undefined}} {
		if out, err := EncodeJSON(v); err == nil {
			t.Errorf("%v: got %s", v, out)
		}
	}
}

func TestObjectAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, model := &Object{}, map[string]float64{}
		key := rapid.StringMatching(`[a-z]{1,2}`)
		for range rapid.IntRange(0, 80).Draw(t, "operations") {
			k := key.Draw(t, "key")
			if rapid.Bool().Draw(t, "delete") {
				o.Delete(k)
				delete(model, k)
			} else {
				v := rapid.Float64Range(-9, 9).Draw(t, "value")
				o.Set(k, v)
				model[k] = v
			}
		}
		if o.Len() != len(model) || len(o.Keys()) != len(model) {
			t.Fatalf("%d keys, want %d", o.Len(), len(model))
		}
		for k, want := range model {
			if got, ok := o.Get(k); !ok || got != want {
				t.Fatalf("%s: got %v, want %v", k, got, want)
			}
		}
	})
}

// TestJSONAgreesWithEncodingJSON reads what encoding/json writes, and the
// other way round.
func TestJSONAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Just[any](nil), rapid.Map(rapid.Float64(), func(f float64) any { return f + 0 }), // never -0
			rapid.Map(rapid.String(), func(s string) any {
				return s
			}), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		)).Draw(t, "doc")
		data, err := json.Marshal(doc)
		if err != nil {
			t.Skip()
		}
		v, err := DecodeJSON(data)
		if err != nil {
			t.Fatal(err)
		}
		out, err := EncodeJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		var again map[string]any
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		back, _ := json.Marshal(again)
		if !bytes.Equal(back, data) {
			t.Fatalf("got %s, want %s", back, data)
		}
	})
}
