package asl

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostileStates: whatever a state computes, it ends within bounds of time and
// memory, in an error that the execution reports.
func TestHostileStates(t *testing.T) {
	deep := func(open, close string, n int) string {
		return strings.Repeat(open, n) + "1" + strings.Repeat(close, n)
	}
	shared := "($x0 := {'v':1}; "
	for i := 1; i <= 60; i++ {
		shared += fmt.Sprintf("$x%d := {'a':$x%d,'b':$x%d}; ", i, i-1, i-1)
	}
	pass := func(expression string) string {
		return fmt.Sprintf(`{"Type":"Pass","QueryLanguage":"JSONata","Output":%q,"End":true}`, "{% "+expression+" %}")
	}
	template := func(field string) string { return `{"Type":"Pass","Parameters":` + field + `,"End":true}` }
	nested, wide := deep("[", "]", 900), `{"s":"`+strings.Repeat("x", 200000)+`"}`
	for _, c := range []struct{ name, state, input string }{
		{"a value that shares its parts", pass(shared + "$x60)"), `{}`},
		{"a list of the whole input", pass("[1..100000].{'a':$states.input}"), wide},
		{"a function that calls what it is given", pass("($y := function($f){ $f($f) }; $y($y))"), `{}`},
		{"a long path", pass("$states.input" + strings.Repeat(".a", 100000)), `{}`},
		{"many parentheses", pass(deep("(", ")", 100000)), `{}`},
		{"a long sum", pass(strings.Repeat("1+", 100000) + "1"), `{}`},
		{"a slow pattern", pass("$match($pad('a', 100000, 'a') & '!', /^(a+)+$/)"), `{}`},
		{"padding", pass("$pad('x', 1000000000)"), `{}`},
		{"doubling", pass("($p := function($s, $n) { $n = 0 ? $s : $p($s & $s, $n - 1) }; $p('x', 60))"), `{}`},
		{"ranges in ranges", pass("$map([1..800000], function($x){ [1..800000] })"), `{}`},
		{"many descendants", template(`{"x.$":"$..*..*..*..*"}`), nested},
		{"filters of descendants", template(`{"x.$":"$..[?(@..[?(@..* == $)])]"}`), nested},
		{"many copies", template("{" + strings.Repeat(`"a.$":"$",`, 20000) + `"b":[` + strings.Repeat(`{"c.$":"$"},`, 20000) + `0]}`), wide},
		{"a long text", template(`{"x.$":"States.Format('` + strings.Repeat("{}", 20000) + `'` + strings.Repeat(",$", 20000) + `)"}`), wide},
		{"text of a long array", template(`{"x.$":"States.JsonToString(States.Array($` + strings.Repeat(",$", 20000) + `))"}`), wide},
		{"a hash of a long array", template(`{"x.$":"States.Hash(States.Array($` + strings.Repeat(",$", 20000) + `),'MD5')"}`), wide},
		{"a range", template(`{"x.$":"States.ArrayRange(0,9223372036854775807,1)"}`), `{}`},
		{"deep text", template(`{"x.$":"States.StringToJson($.s)"}`), `{"s":"` + deep("[", "]", 50000) + `"}`},
		{"branches with copies", `{"Type":"Parallel","Parameters":[` + strings.Repeat(`{"c.$":"$"},`, 20000) + `0],"End":true,"Branches":[{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}]}`, wide},
		{"iterations with copies", `{"Type":"Map","ItemsPath":"$.l","ItemSelector":[` + strings.Repeat(`{"c.$":"$"},`, 20000) + `0],"End":true,"ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}}`, `{"l":[1],` + wide[1:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := cpu(t)
			m, ds := Compile(`{"StartAt":"A","States":{"A":`+c.state+`}}`, false)
			if m != nil {
				r := New(m, &clock{}, Info{Input: TextData(c.input)})
				r.Start()
				if r.Status != Failed {
					t.Errorf("%s", r.Status)
				}
				mustMarshal(t, r.Snapshot())
			} else if !ds.Failed() {
				t.Error("no machine and no reason")
			}
			if d := cpu(t) - start; d > 20*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestFindingsAreBounded: what is said of a definition does not outgrow it.
func TestFindingsAreBounded(t *testing.T) {
	for _, state := range []string{`"QueryLanguage":"JSONata","Output"`, `"Parameters"`} {
		var members strings.Builder
		for i := range 25000 {
			fmt.Fprintf(&members, `"x%d.$":"{%% ( %%}","y%d":"$.a",`, i, i)
		}
		d := `{"StartAt":"A","States":{"A":{"Type":"Pass",` + state + `:{"` + strings.Repeat("n", 200000) + `":{` + members.String() + `"z":0}},"End":true}}}`
		_, ds := Compile(d, false)
		size := 0
		for _, d := range append(ds, Warnings(d)...) {
			size += len(d.Message) + len(d.Location)
		}
		if !ds.Failed() || size > 1<<20 {
			t.Errorf("%d findings of %d bytes", len(ds), size)
		}
	}
}

// TestVariablesAreBoundedInAll: an execution keeps 10 MiB of variables, however
// often it assigns them.
func TestVariablesAreBoundedInAll(t *testing.T) {
	run := func(names int) *Run {
		states := ""
		for i := range 60 {
			states += fmt.Sprintf(`"S%d":{"Type":"Pass","Assign":{"v%d":"{%% $pad('x',200000) %%}"},"Next":"S%d"},`, i, i%names, i+1)
		}
		m := compileOrFail(t, `{"QueryLanguage":"JSONata","StartAt":"S0","States":{`+states+`"S60":{"Type":"Succeed"}}}`)
		r := New(m, &clock{}, Info{Input: TextData(`{}`)})
		r.Start()
		return r
	}
	if r := run(20); r.Status != Succeeded {
		t.Errorf("4 MB: %s", r.Status)
	}
	if r := run(60); r.Status != Failed || *r.Error != errDataLimit || r.Snapshot().Root.State != "S52" {
		t.Errorf("12 MB: %s", r.Status)
	}
}

// TestNestingIsBounded: what grows deeper in a loop ends before it could not be
// read again.
func TestNestingIsBounded(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"x.$":"$"},"Next":"B"},
	 "B":{"Type":"Choice","Choices":[{"Variable":"$.end","IsPresent":true,"Next":"End"}],"Default":"A"},"End":{"Type":"Succeed"}}}`)
	r := New(m, &clock{}, Info{Input: TextData(`{}`)})
	r.Start()
	if r.Status != Failed || *r.Error != "States.DataLimitExceeded" {
		t.Fatal(r.Status, r.Error)
	}
}
