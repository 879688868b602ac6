package asl

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonata"
)

// nativeValue draws a value of package jsonata.
func nativeValue(depth int) *rapid.Generator[jsonata.Value] {
	scalars := []*rapid.Generator[jsonata.Value]{
		rapid.Just[jsonata.Value](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64().AsAny(),
		rapid.SampledFrom([]any{0.0, math.Copysign(0, -1), 1.0, -7.0, 1e20, 1e21, 1e-7, 0.00001, float64(1 << 53),
			math.MaxFloat64}),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars, rapid.Custom(func(t *rapid.T) jsonata.Value {
		return rapid.SliceOfN(nativeValue(depth-1), 0, 4).Draw(t, "items")
	}), rapid.Custom(func(t *rapid.T) jsonata.Value {
		o := jsonata.NewObject(0)
		for _, name := range rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "names") {
			o.Set(name, nativeValue(depth-1).Draw(t, "member"))
		}
		return o
	}))...)
}

// TestDataForms: the text of a result is that of the same value in the other form.
func TestDataForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := nativeValue(3).Draw(t, "value")
		d := (&Run{}).jsonataData(v)
		if want := document.Text(fromJSONata(v)); d.Text() != want {
			t.Fatalf("%s instead of %s", d.Text(), want)
		}
		if again := document.Text(d.Value()); again != d.Text() {
			t.Fatalf("%s, as a value %s", d.Text(), again)
		}
		if back, ok := appendJSONata(nil, TextData(d.Text()).jsonata()); !ok || string(back) != d.Text() {
			t.Fatalf("%s became %s", d.Text(), back)
		}
	})
}

// TestExpressionData: what one state's expression yields, the next one's sees.
func TestExpressionData(t *testing.T) {
	for _, c := range []struct{ name, input, first, second, want string }{
		{"numbers become doubles", `{"n":1.50,"big":12345678901234567890}`, `$states.input`, `$states.input.n`, `1.5`},
		{"and large ones keep their form", `{"n":10000000000000000000000001,"l":9007199254740993}`, `$states.input`,
			`[$states.input.n, $states.input.l, 1e-4, 12345678.5]`, `[1.0E25,9007199254740992,1.0E-4,1.23456785E7]`},
		{"functions become null", `{}`, `{'f':[function($x){$x}],'g':function(){1}}`, `[$type($states.input.f[0]),$type($states.input.g)]`, `["null","null"]`},
		{"nothing is left out", `{}`, `{'a':$states.input.none,'b':1}`, `$keys($states.input)`, `"b"`},
		{"all of states", `{"a":1}`, `$states.input`, `$merge([$states,{'context':0}])`, `{"input":{"a":1},"context":0}`},
		{"the first input in the context", `{"a":{"b":2}}`, `{'c':3}`, `[$states.input.c,$states.context.Execution.Input.a.b]`, `[3,2]`},
		{"an input that is an array", `[[1],[2,3]]`, `$states.input[1]`, `$sum($states.input)`, `5`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := compileOrFail(t, `{"QueryLanguage":"JSONata","StartAt":"A","States":{
			 "A":{"Type":"Pass","Output":"{% `+c.first+` %}","Next":"B"},
			 "B":{"Type":"Pass","Output":"{% `+c.second+` %}","End":true}}}`)
			r := New(m, &clock{}, Info{Input: TextData(c.input)})
			r.Start()
			if r.Status != Succeeded {
				t.Fatal(r.Status, *r.Cause)
			}
			if got := r.Output.Text(); got != c.want {
				t.Errorf("%s instead of %s", got, c.want)
			}
		})
	}
}

// TestTemplates: numbers of a template stay as they are written, and what it
// holds is what was put in.
func TestTemplates(t *testing.T) {
	for _, c := range []struct{ output, want string }{
		{`{"a":1.0,"b":"{% $states.input.n %}"}`, `{"a":1.0,"b":1.5}`},
		{`{"a":1,"b":"{% $states.input.n %}"}`, `{"a":1,"b":1.5}`},
		{`{"a":12345678901234567890,"b":["{% $states.input %}"]}`, `{"a":12345678901234567890,"b":[{"n":1.5}]}`},
		{`[null,true,"x",{},[],"{% [] %}","{% {} %}"]`, `[null,true,"x",{},[],[],{}]`},
		{`{"f":"{% [function(){1}] %}"}`, `{"f":[null]}`},
	} {
		m := compileOrFail(t, `{"QueryLanguage":"JSONata","StartAt":"A","States":{
		 "A":{"Type":"Pass","Assign":{"v":`+c.output+`,"w":"{% $states.input %}"},"Output":`+c.output+`,"Next":"B"},
		 "B":{"Type":"Pass","Output":"{% [$v = $states.input, $w.n] %}","Assign":{"v":2},"Next":"C"},
		 "C":{"Type":"Pass","Output":"{% $append($states.input, $v) %}","End":true}}}`)
		r := New(m, &clock{}, Info{Input: TextData(`{"n":1.50}`)})
		r.Start()
		if r.Status != Succeeded {
			t.Fatal(r.Status, *r.Cause)
		}
		exited := r.Events[2]
		if got := exited.Output.Text(); got != c.want || exited.Assigned["v"] != c.want || exited.Assigned["w"] != `{"n":1.5}` {
			t.Errorf("%s: %s, %v", c.output, got, exited.Assigned)
		}
		if got := r.Output.Text(); got != `[true,1.5,2]` {
			t.Errorf("%s: %s", c.output, got)
		}
	}
}

// TestOrderOfTemplates: the order of the members that a payload template makes.
//
// Source: recordings, and github.com/gabrielmoreira/tiny-asl-machine, tests/conformance/cases/.snapshots/aws (2026).
func TestOrderOfTemplates(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{`{"Iterations.$":"$","Values.$":"$"}`, `{"Values":1,"Iterations":1}`},
		{`{"Source.$":"$","Value.$":"$"}`, `{"Value":1,"Source":1}`},
		{`{"Source.$":"$","Key.$":"$"}`, `{"Source":1,"Key":1}`},
		{`{"Bucket.$":"$","Key.$":"$","from_previous":2}`, `{"from_previous":2,"Bucket":1,"Key":1}`},
		{`{"z":{"Source.$":"$","Value.$":"$"},"a":2}`, `{"z":{"Value":1,"Source":1},"a":2}`},
	} {
		r := New(compileOrFail(t, `{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":`+c.template+`,"End":true}}}`),
			&clock{}, Info{Input: TextData(`1`)})
		r.Start()
		if r.Status != Succeeded || r.Output.Text() != c.want {
			t.Errorf("%s: %v", c.template, r.Output)
		}
	}
}

// TestBranchesKeepTheirWhiteSpace: a Parallel state's output has the outputs of its branches as they are written,
// also after a stop. Recorded by LocalStack on AWS (scenarios/test_base_scenarios, 29 March 2024).
func TestBranchesKeepTheirWhiteSpace(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
	 {"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}},
	 {"StartAt":"B","States":{"B":{"Type":"Wait","Seconds":1,"Next":"C"},
	  "C":{"Type":"Pass","Parameters":{"x.$":"$"},"End":true}}}]}}}`)
	c := &clock{now: time.Unix(0, 0)}
	r := New(m, c, Info{Input: TextData(`[[1, 2], 3]`)})
	r.Start()
	var saved Snapshot
	mustUnmarshal(t, mustMarshal(t, r.Snapshot()), &saved)
	r = Resume(m, c, Info{Input: TextData(`[[1, 2], 3]`)}, saved)
	c.now = c.now.Add(time.Second)
	r.Tick()
	if r.Status != Succeeded || r.Output.Text() != `[[[1, 2], 3],{"x":[[1,2],3]}]` {
		t.Errorf("%s %v", r.Status, r.Output.Text())
	}
}

// TestSharedResult: a Pass state's fixed result is read by many runs at once.
func TestSharedResult(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"A","States":{"A":{"Type":"Pass","Result":{"n":41},"Next":"B"},
	 "B":{"Type":"Pass","QueryLanguage":"JSONata","Output":"{% $states.input.n + 1 %}","End":true}}}`)
	done := make(chan string)
	for range 8 {
		go func() {
			r := New(m, &clock{}, Info{Input: TextData(`{}`)})
			r.Start()
			done <- r.Output.Text()
		}()
	}
	for range 8 {
		if got := <-done; got != "42" {
			t.Error(got)
		}
	}
}
