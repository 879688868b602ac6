package asl

import (
	"maps"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
)

// TestInspectionOfAMap: what TestState shows of a Map state on its way to the mocked result, by the names of the API.
func TestInspectionOfAMap(t *testing.T) {
	const inside = `"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"A",` +
		`"States":{"A":{"Type":"Pass","End":true}}},"End":true`
	const get = `"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":{"Bucket":"b","Key":"k"},` +
		`"ReaderConfig":{"InputType":`
	for _, tt := range []struct{ name, state, input, data, want string }{
		{"selected", `{"Type":"Map","ItemsPath":"$.v","ItemSelector":{"i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value",` +
			`"all.$":"$.n"},` + inside + `}`, `{"v":["a","b"],"n":1}`, "",
			`{"input":{"v":["a","b"],"n":1},"afterInputPath":{"v":["a","b"],"n":1},"afterItemsPath":["a","b"],` +
				`"afterItemSelector":[{"all":1,"v":"a","i":0},{"all":1,"v":"b","i":1}],"maxConcurrency":0,` +
				`"afterResultSelector":["r"],"afterResultPath":["r"]}`},
		{"selected by expressions", `{"Type":"Map","QueryLanguage":"JSONata","Items":"{% $states.input %}",` +
			`"ItemSelector":{"v":"{% $states.context.Map.Item.Value & '!' %}"},"MaxConcurrency":2,` + inside + `}`,
			`["a"]`, "", `{"input":["a"],"afterItemSelector":[{"v":"a!"}],"maxConcurrency":2}`},
		{"in batches", `{"Type":"Map","ItemBatcher":{"MaxItemsPerBatch":2,"BatchInput":{"x":1}},` + inside + `}`,
			`[1,2,3]`, "", `{"input":[1,2,3],"afterInputPath":[1,2,3],` +
				`"afterItemBatcher":[{"BatchInput":{"x":1},"Items":[1,2]},{"BatchInput":{"x":1},"Items":[3]}],` +
				`"maxConcurrency":0,"afterResultSelector":["r"],"afterResultPath":["r"]}`},
		{"CSV", `{"Type":"Map",` + get + `"CSV","CSVHeaderLocation":"FIRST_ROW","MaxItems":1}},` +
			`"ItemSelector":{"v.$":"$$.Map.Item.Value"},"ToleratedFailureCount":0,` + inside + `}`, `{}`, "A,B\n1,2\n3,4\n",
			`{"input":{},"afterItemSelector":[{"v":{"A":"1","B":"2"}}],"maxConcurrency":0,"toleratedFailureCount":0,` +
				`"afterResultSelector":["r"],"afterResultPath":["r"]}`},
		{"pointed at", `{"Type":"Map",` + get + `"JSON","ItemsPointer":"/a/b"}},` + inside + `}`, `{}`, `{"a":{"b":[7]}}`,
			`{"input":{},"afterItemsPointer":[7],"maxConcurrency":0,"afterResultSelector":["r"],"afterResultPath":["r"]}`},
		{"not there", `{"Type":"Map",` + get + `"JSON","ItemsPointer":"/a/c"}},` + inside + `}`, `{}`, `{"a":{"b":[7]}}`,
			`{"input":{}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, ds := CompileState(tt.state)
			if m == nil {
				t.Fatal(ds.Error())
			}
			single := Single{State: "StateName", Mock: &Result{Output: TextData(`["r"]`)}}
			if tt.data != "" {
				single.ReaderData = &tt.data
			}
			res := Test(m, &clock{}, Info{Input: TextData(tt.input)}, single, nil)
			if got := document.Text(res.Inspection); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if failed := tt.name == "not there"; failed != (res.Status == Failed) ||
				failed && *res.Error != "States.ItemReaderFailed" {
				t.Errorf("%s", res.Status)
			}
		})
	}
}

// TestNameOfATestedState: the context object has StateName for it, also of a state in a machine (recorded by
// LocalStack on AWS, test_state, 24 February 2026).
func TestNameOfATestedState(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"n.$":"$$.State.Name"},"End":true}}}`)
	res := Test(m, &clock{}, Info{Input: TextData(`{}`)}, Single{State: "A"}, nil)
	if got := res.Output.Text(); got != `{"n":"StateName"}` {
		t.Error(got)
	}
}

// TestInspectionOfAResult: a Pass state with a Result shows that, and nothing of its input (recorded by LocalStack on
// AWS, test_state/test_test_state_scenarios, 14 November 2025).
func TestInspectionOfAResult(t *testing.T) {
	m, ds := CompileState(`{"Type":"Pass","InputPath":"$.a","Result":{"r":1},"ResultPath":"$.x","End":true}`)
	if m == nil {
		t.Fatal(ds.Error())
	}
	res := Test(m, &clock{}, Info{Input: TextData(`{"a":{"b":2}}`)}, Single{State: "StateName"}, nil)
	want := `{"input":{"a":{"b":2}},"result":{"r":1},"afterResultSelector":{"r":1},` +
		`"afterResultPath":{"a":{"b":2},"x":{"r":1}}}`
	if got := document.Text(res.Inspection); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestInspectionKeepsWhiteSpace: of what came as text and is passed on as a whole (recorded by LocalStack on AWS,
// test_state/test_state_context_object and test_test_state_mock_scenarios, 2025-12-03 and 2026-02-24).
func TestInspectionKeepsWhiteSpace(t *testing.T) {
	m, ds := CompileState(`{"Type":"Parallel","Branches":[{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}],"End":true}`)
	if m == nil {
		t.Fatal(ds.Error())
	}
	mocked := Result{Output: TextData(`[{"b": 1}]`)}
	res := Test(m, &clock{}, Info{Input: TextData(`[1, 2]`)}, Single{State: "StateName", Mock: &mocked}, nil)
	want := map[string]string{"input": `[1, 2]`, "afterResultSelector": `[{"b": 1}]`, "afterResultPath": `[{"b": 1}]`}
	if !maps.Equal(res.Written, want) || res.Output.Text() != `[{"b": 1}]` {
		t.Errorf("%v, %s", res.Written, res.Output.Text())
	}
}

// TestInspectionShowsVariables: those that were given and those that the state has assigned.
func TestInspectionShowsVariables(t *testing.T) {
	given, err := document.ParseString(`{"y":1,"x":[2]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		state, want string
		given       any
	}{
		{`{"Type":"Pass","Assign":{"y":3,"z.$":"$.in"},"End":true}`, `{"x":[2],"y":3,"z":"v"}`, given},
		{`{"Type":"Pass","QueryLanguage":"JSONata","Assign":{"z":"{% $y + 1 %}"},"End":true}`, `{"x":[2],"y":1,"z":2}`, given},
		{`{"Type":"Pass","Assign":{"z":3},"End":true}`, `{"z":3}`, nil},
		{`{"Type":"Fail"}`, `{"x":[2],"y":1}`, given},
		{`{"Type":"Pass","End":true}`, ``, nil},
	} {
		m, ds := CompileState(tt.state)
		if m == nil {
			t.Fatal(ds.Error())
		}
		single := Single{State: "StateName"}
		single.Variables, _ = tt.given.(*document.Object)
		res := Test(m, &clock{}, Info{Input: TextData(`{"in":"v"}`)}, single, nil)
		got := ""
		if v, ok := res.Inspection.Get("variables"); ok {
			got = document.Text(v)
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.state, got, tt.want)
		}
	}
}

// TestMaxItems: how many items of an ItemReader are taken, or which events end the execution and why.
func TestMaxItems(t *testing.T) {
	for _, tt := range []struct{ limit, input, items, cause string }{
		{`"MaxItems":0`, `{}`, `3`, ""},
		{`"MaxItems":2`, `{}`, `2`, ""},
		{`"MaxItemsPath":"$.n"`, `{"n":0}`, `3`, ""},
		{`"MaxItemsPath":"$.n"`, `{"n":"2"}`, `2`, ""},
		{`"MaxItemsPath":"$.n"`, `{"n":100000001}`, `3`, ""},
		{`"MaxItemsPath":"$.n"`, `{"n":-1}`, "MapStateStarted MapRunStarted MapRunFailed MapStateFailed ExecutionFailed",
			"field MaxItems must be positive"},
		{`"MaxItemsPath":"$.n"`, `{"n":1.5}`, "ExecutionFailed",
			"The MaxItemsPath field refers to value '1.5' which is not a valid integer: $.n"},
		{`"MaxItemsPath":"$.n"`, `{"n":"x"}`, "ExecutionFailed",
			"The MaxItemsPath field refers to value 'x' which is not a valid integer: $.n"},
		{`"MaxItemsPath":"$.n"`, `{"n":null}`, "ExecutionFailed",
			"The MaxItemsPath field refers to value 'null' which is not a valid integer: $.n"},
	} {
		m := compileOrFail(t, `{"StartAt":"M","States":{"M":{"Type":"Map","ItemReader":{"Resource":"arn:aws:states:::s3:getObject",`+
			`"Parameters":{"Bucket":"b","Key":"k"},"ReaderConfig":{"InputType":"JSON",`+tt.limit+`}},"ItemProcessor":{`+
			`"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"A","States":{"A":{"Type":"Pass",`+
			`"End":true}}},"End":true}}}`)
		r := New(m, &clock{}, Info{Input: TextData(tt.input)})
		r.Start()
		if r.Status == Running {
			call := r.Calls[0]
			read := document.NewObject(document.Member{Name: "Body", Value: "[1,2,3]"})
			if err := r.Complete(call.Branch, call.Attempt, Result{Output: ValueData(read)}); err != nil {
				t.Fatal(err)
			}
		}
		if tt.cause != "" {
			var types []string
			for _, e := range r.Events[2:] {
				types = append(types, e.Type)
			}
			if r.Status != Failed || *r.Error != "States.ItemReaderFailed" || *r.Cause != tt.cause ||
				strings.Join(types, " ") != tt.items {
				t.Errorf("%s of %s: %s %v, %v", tt.limit, tt.input, r.Status, *r.Cause, types)
			}
			continue
		}
		r.Branches(func(b *Branch) {
			if b.MapRun != "" && document.Text(document.Int(int64(b.Length))) != tt.items {
				t.Errorf("%s of %s: %d items, want %s", tt.limit, tt.input, b.Length, tt.items)
			}
		})
		if r.Status != Running {
			t.Errorf("%s of %s: %s", tt.limit, tt.input, r.Status)
		}
	}
}
