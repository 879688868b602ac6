package operation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/operation"
	"github.com/fleetstep/fleetstep/internal/payload"
	"github.com/fleetstep/fleetstep/statemachines"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blink is an operation with all that one may have; changed by pairs of old and new text.
func blink(t *testing.T, changes ...string) (operation.Operation, event.Problems) {
	t.Helper()
	asl, schema := read(t, "blink.asl.json"), read(t, "blink.schema.json")
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(asl+schema, changes[i]) {
			t.Fatalf("there is no %s", changes[i])
		}
		asl = strings.ReplaceAll(asl, changes[i], changes[i+1])
		schema = strings.ReplaceAll(schema, changes[i], changes[i+1])
	}
	return operation.New("blink", []byte(asl), []byte(schema))
}

// paths are where something is wrong.
func paths(problems event.Problems) string {
	var all []string
	for _, p := range problems {
		all = append(all, strings.TrimPrefix(p.Path, "blink"))
	}
	return strings.Join(all, "; ")
}

func TestShippedOperationsAreWhole(t *testing.T) {
	all, err := operation.Load(statemachines.Files(), "firmware-upgrade", "device-onboarding", statemachines.Campaign)
	if err != nil || len(all) < 3 {
		t.Fatalf("%d operations, %v", len(all), err)
	}
	for _, o := range all {
		if !strings.Contains(o.Bounds(), "over within") {
			t.Errorf("%s: %s", o.Name, o.Bounds())
		}
		if warnings := o.Warnings(); warnings != nil {
			t.Errorf("%s: %v", o.Name, warnings)
		}
	}
}

// TestAFunctionThatIsThrottledIsTriedForMinutes: who tries one for a minute only is warned.
func TestAFunctionThatIsThrottledIsTriedForMinutes(t *testing.T) {
	const transient = `{"ErrorEquals": ["Transient"], "IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 2, ` +
		`"MaxDelaySeconds": 3}`
	const states = ".asl.json: $.States"
	const own = `{"ErrorEquals": ["Lambda.TooManyRequestsException"], "MaxAttempts": 20, "MaxDelaySeconds": 30}`
	const others = states + `["Give up"].Retry; ` + states + ".Blink.Retry; " + states + ".Done.Retry"
	for name, c := range map[string]struct{ old, new, want string }{
		"none":    {transient, transient, states + ".Look.Retry; " + others},
		"its own": {transient, transient + `, ` + own, others},
		"as often as others": {transient, strings.Replace(transient, `"Transient"`,
			`"Transient", "Lambda.TooManyRequestsException"`, 1), states + ".Look.Retry; " + others},
		"hidden behind another": {transient, `{"ErrorEquals": ["States.TaskFailed"]}, ` + own, states + ".Look.Retry; " + others},
		"all errors": {`"States.ALL"], "MaxAttempts": 2`, `"States.ALL"], "MaxAttempts": 10`, states +
			".Look.Retry; " + states + ".Blink.Retry"},
	} {
		o, problems := blink(t, c.old, c.new)
		if problems != nil {
			t.Fatalf("%s: %v", name, problems)
		}
		if got := paths(o.Warnings()); got != c.want {
			t.Errorf("%s: got %s\nwant %s", name, got, c.want)
		}
	}
}

// TestAWrongBeginningHidesNothing: the other mistakes are told with it.
func TestAWrongBeginningHidesNothing(t *testing.T) {
	_, problems := blink(t, `"StartAt": "Look"`, `"StartAt": "Nowhere"`, `"task": "OPERATE"`, `"task": "WRITE"`,
		`"type": "object"`, `"type": "objekt"`)
	want := ".schema.json: $.type; .asl.json: $.StartAt; .asl.json: $.States.Blink.Parameters.Payload.task"
	if got := paths(problems); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestACommandThatIsLostIsGivenAgain, or its workflow says that it must not be.
func TestACommandThatIsLostIsGivenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		retry string
		warns bool
	}{
		"no retrier":      {`{"ErrorEquals": ["States.Timeout"]}`, true},
		"its own":         {`{"ErrorEquals": ["States.Timeout", "Device.NoReport"]}`, false},
		"all errors":      {`{"ErrorEquals": ["States.ALL"]}`, false},
		"only once, said": {`{"ErrorEquals": ["Device.NoReport"], "MaxAttempts": 0}`, false},
	} {
		o, problems := blink(t, `{"ErrorEquals": ["Device.NoReport"], "MaxAttempts": 0}`, c.retry)
		if problems != nil {
			t.Fatalf("%s: %v", name, problems)
		}
		if got := strings.Contains(fmt.Sprint(o.Warnings()), "a retrier of Device.NoReport"); got != c.warns {
			t.Errorf("%s: warned %v: %v", name, got, o.Warnings())
		}
	}
}

// TestRetriesOfThrottledFunctionsAreNoTransitions: an operation of ten tasks may try each for minutes.
func TestRetriesOfThrottledFunctionsAreNoTransitions(t *testing.T) {
	o, problems := blink(t, `"Retry": [{"ErrorEquals": ["Transient"]`,
		`"Retry": [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 2, "MaxAttempts": 200, `+
			`"MaxDelaySeconds": 2}, {"ErrorEquals": ["Transient"]`)
	if got := o.Bounds(); problems != nil || got != "8 states, at most 11 transitions, over within 11m48s" {
		t.Errorf("%v, %s", problems, got)
	}
}

// TestOperationsToLearnFromAreWhole: the example of the documentation, and what a new one begins with.
func TestOperationsToLearnFromAreWhole(t *testing.T) {
	all, err := operation.Load(os.DirFS("../../examples/workflows"))
	if err != nil || len(all) == 0 {
		t.Errorf("%d operations, %v", len(all), err)
	}
	for _, o := range all {
		if warnings := o.Warnings(); warnings != nil {
			t.Errorf("%s: %v", o.Name, warnings)
		}
	}
	machine, schema := operation.Skeleton("blink")
	o, problems := operation.New("blink", machine, schema)
	if problems != nil || strings.Contains(string(machine), "NAME") || o.Warnings() != nil {
		t.Errorf("%v, %v", problems, o.Warnings())
	}
}

func TestAWholeOperation(t *testing.T) {
	o, problems := blink(t)
	if problems != nil {
		t.Fatal(problems)
	}
	if got := o.Bounds(); got != "8 states, at most 11 transitions, over within 5m8s" {
		t.Errorf("got %s", got)
	}
	required, optional := o.Members()
	if fmt.Sprint(required, optional) != "[colour] [again restSeconds times]" {
		t.Errorf("%v, %v", required, optional)
	}
}

// TestWhatAnOperationMayNotDo: each change makes mistakes at the places that are given.
func TestWhatAnOperationMayNotDo(t *testing.T) {
	const states = ".asl.json: $.States."
	for name, c := range map[string]struct{ old, new, want string }{
		"no JSON":         {`"StartAt"`, `StartAt`, ".asl.json: $"},
		"no states":       {`"States"`, `"Estates"`, ".asl.json: $.States"},
		"no beginning":    {`"StartAt": "Look"`, `"StartAt": "Nowhere"`, ".asl.json: $.StartAt"},
		"no end":          {`"Next": "Blink"`, `"Next": "Nowhere"`, ""}, // see below
		"an unbound task": {`"TimeoutSeconds": 20,`, ``, states + "Look.TimeoutSeconds"},
		"a computed time": {`"TimeoutSeconds": 20,`, `"TimeoutSeconds": "{% 4 * 5 %}",`, states +
			"Look.TimeoutSeconds"},
		"half a second": {`"TimeoutSeconds": 20,`, `"TimeoutSeconds": 0.5,`, states + "Look.TimeoutSeconds"},
		"no catch": {`"Catch": [{"ErrorEquals": ["Device.Refused"], "Next": "Rest"}, {"ErrorEquals": ["States.ALL"], "Next": "Give up"}],`, ``,
			states + "Look.Catch"},
		"a catch of some": {`, {"ErrorEquals": ["States.ALL"], "Next": "Give up"}],`, `],`, states +
			"Look.Catch"},
		"a primitive that is none": {`"task": "GET"`, `"task": "BLINK"`, states + "Look.Arguments.Payload.task"},
		"a task without one":       {`"task": "GET",`, ``, states + "Look.Arguments.Payload.task"},
		"FINALIZE for the device":  {`"task": "GET"`, `"task": "FINALIZE"`, states + "Look.Arguments.Payload.task"},
		"another end": {`"task": "FINALIZE", "outcome"`, `"task": "GET", "outcome"`, states +
			"Done.Arguments.Payload.task"},
		"no context": {`"task": "GET", "context": "{% $states.context %}"`, `"task": "GET"`, states +
			"Look.Arguments.Payload.context"},
		"without a token": {`lambda:invoke.waitForTaskToken", "Comment": "look"`,
			`lambda:invoke", "Comment": "look"`, states + "Look.Resource"},
		"FINALIZE with a token": {`lambda:invoke", "Comment": "done"`,
			`lambda:invoke.waitForTaskToken", "Comment": "done"`, states + "Done.Resource"},
		"another function": {`"FunctionName": "${UspTaskArn}", "Payload": {"task": "GET"`,
			`"FunctionName": "${OtherArn}", "Payload": {"task": "GET"`,
			states + "Look; " + states + "Look.Resource"},
		"another service": {`arn:aws:states:::aws-sdk:s3:putObject`, `arn:aws:states:::sns:publish`, states +
			"Keep.Resource"},
		"another bucket": {`"Bucket": "${ResultsBucket}"`, `"Bucket": "mine"`, states + "Keep.Arguments.Bucket"},
		"FINALIZE that catches": {`"End": true`,
			`"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Over"}], "End": true`,
			states + "Done.Catch"},
		"FINALIZE once": {`"Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}], "End": true`,
			`"End": true`, states + "Done.Retry"},
		"an end without FINALIZE": {"\n      \"Next\": \"Done\"}", "\"End\": true}",
			states + "Done; " + states + "Rest"},
		"no FINALIZE at all":       {`"FunctionName": "${FinalizeArn}"`, `"FunctionName": "${UspTaskArn}"`, ""},
		"a choice without default": {`"Default": "Rest"`, `"Comment": "none"`, states + "Choose.Default"},
		"a time of day": {`"Seconds": "{% $states.context.Execution.Input.document.input.restSeconds %}"`,
			`"Timestamp": "2027-01-01T00:00:00Z"`, states + "Rest"},
		"a wait for nothing": {`"Seconds": "{% $states.context.Execution.Input.document.input.restSeconds %}",`,
			``, states + "Rest.Seconds"},
		"a loop":               {`"Next": "Keep"`, `"Next": "Look"`, states + "Keep; " + states + "Look"},
		"too many transitions": {`"MaxAttempts": 2`, `"MaxAttempts": 200`, ".asl.json: $.States"},
		"too long":             {`"default": 30`, `"default": 700000`, ".asl.json: $.States"},
		"a device behind FINALIZE": {`"Next": "Over"`, `"Next": "Look"`, states + "Blink; " + states + "Done; " +
			states + "Look; " +
			states + "Look; " + states + "Over; .asl.json: $.States[\"Give up\"]"},
		"a schema that is none": {`"type": "object"`, `"type": "thing"`, ".schema.json: $.type"},
		"a type that is none": {`"default": 30`, `"default": 30, "format": 7`,
			".schema.json: $.properties.restSeconds.format"},
		"an input that is none":    {`"type": "object"`, `"type": "array"`, ".schema.json: $.type"},
		"a schema of two files":    {`"required": ["colour"]`, `"$ref": "other.json"`, ".schema.json: $"},
		"a schema that is no JSON": {`"required": ["colour"]`, `required`, ".schema.json: $"},
	} {
		_, problems := blink(t, c.old, c.new)
		got := paths(problems)
		if c.want == "" {
			if len(problems) == 0 {
				t.Errorf("%s: no mistake", name)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s: got %s\nwant %s\n%v", name, got, c.want, problems)
		}
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, problems := blink(t, `"TimeoutSeconds": 20,`, ``, `"Default": "Rest"`, `"Comment": "none"`, `"type": "object"`,
		`"type": "array"`)
	const want = ".schema.json: $.type; .asl.json: $.States.Choose.Default; .asl.json: $.States.Look.TimeoutSeconds"
	if got := paths(problems); got != want {
		t.Errorf("got %s", got)
	}
}

func TestNamesOfOperations(t *testing.T) {
	asl, schema := read(t, "blink.asl.json"), read(t, "blink.schema.json")
	for name, good := range map[string]bool{
		"blink": true, "blink-2": true, "Blink": false, "b": false, "-blink": false, "blink_2": false, "": false,
		strings.Repeat("b", 33): false,
	} {
		if _, problems := operation.New(name, []byte(asl), []byte(schema)); good != (problems == nil) {
			t.Errorf("%q: %v", name, problems)
		}
	}
}

func TestFoldersOfOperations(t *testing.T) {
	file := func(name string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(read(t, name))} }
	folder := fstest.MapFS{
		"blink.asl.json": file("blink.asl.json"), "blink.schema.json": file("blink.schema.json"),
		"README.md":      file("blink.asl.json"),
		"alone.asl.json": file("blink.asl.json"),
	}
	if all, err := operation.Load(folder, "alone"); err != nil || len(all) != 1 || all[0].Name != "blink" {
		t.Errorf("%v, %v", all, err)
	}
	_, err := operation.Load(folder)
	var problems event.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Path != "alone" {
		t.Errorf("one file of two: %v", err)
	}
	if _, err := operation.Load(os.DirFS("nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestAFormReadsItsInput(t *testing.T) {
	o, problems := blink(t)
	if problems != nil {
		t.Fatal(problems)
	}
	form := o.Form()
	ask := func(text string) (event.Input, event.Problems) {
		tree, problems := payload.Decode([]byte(text))
		if problems != nil {
			t.Fatal(problems)
		}
		return form.Read("$.input", tree.(map[string]any))
	}
	in, problems := ask(`{"colour":"red"}`)
	if problems != nil || string(in.Members["input"]) != `{"again":false,"colour":"red","restSeconds":30}` ||
		in.Title != "Operation blink" || in.Prefix != "blink" {
		t.Errorf("%+v, %v", in, problems)
	}
	if same, more, err := form.Complete(t.Context(), in); err != nil || more != nil || same.Title != in.Title {
		t.Errorf("%+v, %v, %v", same, more, err)
	}
	for text, want := range map[string]string{
		`{}`: "$.input.colour: missing: required",
		`{"colour":"pink","song":1,"times":[1,1,"x"],"restSeconds":0.5}`: `$.input.colour: "pink": one of red, green
$.input.restSeconds: 0.5: of type integer
$.input.song: 1: no such member
$.input.times: [1,1,"x"]: each item once; 0 and 1 are the same
$.input.times[2]: "x": of type number`,
		`{"colour":"red","times":[11,0,2.5]}`: "$.input.times[0]: 11: at most 10\n$.input.times[1]: 0: at least 1",
		`{"colour":"red","times":[]}`:         "$.input.times: []: at least 1 items",
	} {
		_, problems := ask(text)
		_, got, _ := strings.Cut(problems.Error(), ":\n")
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
}

// TestSchemasSpeakPlainly has each rule of a schema broken once.
func TestSchemasSpeakPlainly(t *testing.T) {
	asl := read(t, "blink.asl.json")
	for _, c := range []struct{ rule, value, want string }{
		{`{"const":"a"}`, `"b"`, `$.input.v: "b": a`},
		{`{"type":"string","pattern":"^a$"}`, `"b"`, `$.input.v: "b": text that matches ^a$`},
		{`{"minLength":2}`, `"b"`, `$.input.v: "b": at least 2 characters`},
		{`{"maxLength":2}`, `"bbb"`, `$.input.v: "bbb": at most 2 characters`},
		{`{"exclusiveMinimum":1.5}`, `1.5`, `$.input.v: 1.5: more than 1.5`},
		{`{"exclusiveMaximum":1}`, `1`, `$.input.v: 1: less than 1`},
		{`{"multipleOf":0.5}`, `0.7`, `$.input.v: 0.7: a multiple of 0.5`},
		{`{"maxItems":1}`, `[1,2]`, `$.input.v: [1,2]: at most 1 items`},
		{`{"minProperties":1}`, `{}`, `$.input.v: {}: at least 1 members`},
		{`{"maxProperties":1}`, `{"a":1,"b":2}`, `$.input.v: {"a":1,"b":2}: at most 1 members`},
		{`{"propertyNames":{"pattern":"^a$"}}`, `{"b":1}`, `$.input.v.b: 1: another name, text that matches ^a$`},
		{`{"format":"ipv4"}`, `"b"`, `$.input.v: "b": of format ipv4`},
		{`{"not":{"const":1}}`, `1`, `$.input.v: 1: not what the schema excludes`},
		{`{"type":["string","null"]}`, `1`, `$.input.v: 1: of type null or string`},
		{`{"anyOf":[{"type":"string"},{"minimum":2}]}`, `1`,
			`$.input.v: 1: one of the schema's alternatives: $.input.v: of type string; or $.input.v: at least 2`},
		{`{"oneOf":[{"minimum":0},{"minimum":1}]}`, `1`,
			`$.input.v: 1: one of the schema's alternatives, and no two of them`},
		{`{"additionalProperties":{"type":"string"}}`, `{"a b":1}`, `$.input.v["a b"]: 1: of type string`},
		{`{"properties":{"a":false}}`, `{"a":1}`, `$.input.v.a: 1: no such member`},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, `$.input.v: {"a":1}: as the schema says: `},
		{`{"allOf":[{"minimum":2},{"multipleOf":2}]}`, `1`, "$.input.v: 1: a multiple of 2\n$.input.v: 1: at least 2"},
	} {
		schema := `{"type":"object","properties":{"v":` + c.rule + `}}`
		o, problems := operation.New("blink", []byte(asl), []byte(schema))
		if o.Name == "" || strings.Contains(paths(problems), "schema.json") {
			t.Fatal(c.rule, problems)
		}
		tree, problems := payload.Decode([]byte(`{"v":` + c.value + `}`))
		if problems != nil {
			t.Fatal(problems)
		}
		_, problems = o.Form().Read("$.input", tree.(map[string]any))
		_, got, _ := strings.Cut(problems.Error(), ":\n")
		if got != c.want && !(strings.HasSuffix(c.want, ": ") && strings.HasPrefix(got, c.want)) &&
			got != swapped(c.want) {
			t.Errorf("%s of %s: got\n%s\nwant\n%s", c.rule, c.value, got, c.want)
		}
	}
}

// swapped are two lines the other way round: mistakes at one place have no order.
func swapped(text string) string {
	a, b, _ := strings.Cut(text, "\n")
	return b + "\n" + a
}

func TestNeedsFollowTheInput(t *testing.T) {
	o, problems := blink(t)
	if problems != nil {
		t.Fatal(problems)
	}
	need := func(document string) (time.Duration, error) { return o.Form().Needs(json.RawMessage(document)) }
	first, err := need(`{"input":{"restSeconds":30}}`)
	longer, err2 := need(`{"input":{"restSeconds":90}}`)
	if err != nil || err2 != nil || longer-first != 2*time.Minute {
		t.Errorf("%s, %v; %s, %v", first, err, longer, err2)
	}
	for _, bad := range []string{`{"input":{}}`, `{"input":{"restSeconds":"x"}}`, `{`} {
		if _, err := need(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// input is what a payload's input comes to.
func input(t *testing.T, o operation.Operation, given string) string {
	t.Helper()
	tree, problems := payload.Decode([]byte(given))
	if problems != nil {
		t.Fatal(problems)
	}
	in, problems := o.Form().Read("$.input", tree.(map[string]any))
	if problems != nil {
		return problems.Error()
	}
	return string(in.Members["input"])
}

// TestDefaultsAreFilledInWhereverTheyStand: behind a $ref, in allOf, in members of members and items of lists.
func TestDefaultsAreFilledInWhereverTheyStand(t *testing.T) {
	machine, _ := operation.Skeleton("xy")
	o, problems := operation.New("xy", machine, []byte(`{"type": "object",
		"$defs": {
			"seconds": {"type": "integer", "default": 90},
			"row": {"type": "object", "properties": {"on": {"type": "boolean", "default": true}}},
			"again": {"type": "object", "default": {}, "properties": {"next": {"$ref": "#/$defs/again"}}}
		},
		"allOf": [{"properties": {"all": {"default": 1}}}],
		"properties": {
			"answerSeconds": {"$ref": "#/$defs/seconds"},
			"own": {"$ref": "#/$defs/seconds", "default": 7},
			"nested": {"type": "object", "default": {}, "properties": {"deep": {"default": "d"}}},
			"none": {"type": "object", "properties": {"deep": {"default": "d"}}},
			"rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
			"again": {"$ref": "#/$defs/again"}
		}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	if !strings.Contains(o.Bounds(), "over within") {
		t.Errorf("a time behind a $ref is not counted: %s", o.Bounds())
	}
	for given, want := range map[string]string{
		`{}`: `{"again":{},"all":1,"answerSeconds":90,"nested":{"deep":"d"},"own":7}`,
		`{"answerSeconds": 20, "none": {}, "rows": [{}, {"on": false}], "nested": {"deep": 3}, "again": {"next": {}}}`: `` +
			`{"again":{"next":{"next":{}}},"all":1,"answerSeconds":20,"nested":{"deep":3},"none":{"deep":"d"},"own":7,` +
			`"rows":[{"on":true},{"on":false}]}`,
	} {
		for range 2 { // a default is not changed by what it is filled into
			if got := input(t, o, given); got != want {
				t.Errorf("%s\ngives %s\nwant  %s", given, got, want)
			}
		}
	}
}

// TestADefaultIsHeldToItsOwnSchema, or every payload that leaves it out would be refused.
func TestADefaultIsHeldToItsOwnSchema(t *testing.T) {
	machine, _ := operation.Skeleton("xy")
	_, problems := operation.New("xy", machine, []byte(`{"type": "object", "properties": {
		"answerSeconds": {"type": "integer", "minimum": 5, "default": 3},
		"mode": {"enum": ["a", "b"], "default": "c"}}}`))
	want := "xy.schema.json: $.properties.answerSeconds.default: 3: at least 5\n" +
		`xy.schema.json: $.properties.mode.default: "c": one of a, b`
	if got := problems.Error(); !strings.Contains(got, want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestATimeIsANumberThatEveryInputHas, since create-job adds the times up.
func TestATimeIsANumberThatEveryInputHas(t *testing.T) {
	const at = "xy.asl.json: $.States.Look.TimeoutSeconds"
	for name, c := range map[string]struct{ schema, want string }{
		"default":                          {`"properties": {"answerSeconds": {"type": "integer", "default": 90}}`, ""},
		"required":                         {`"properties": {"answerSeconds": {"type": "integer"}}, "required": ["answerSeconds"]`, ""},
		"a list of numbers to choose from": {`"properties": {"answerSeconds": {"enum": [30, 60], "default": 30}}`, ""},
		"behind references": {`"properties": {"answerSeconds": {"$ref": "#/$defs/a"}}, "required": ["answerSeconds"],
			"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "integer"}}`, ""},
		"neither":        {`"properties": {"answerSeconds": {"type": "integer"}}`, at},
		"no such member": {`"properties": {"answerSecond": {"type": "integer", "default": 90}}`, at},
		"text":           {`"properties": {"answerSeconds": {"type": "string", "default": "90"}}`, at},
		"text, behind it": {`"properties": {"answerSeconds": {"$ref": "#/$defs/a"}}, "required": ["answerSeconds"],
			"$defs": {"a": {"type": "string"}}`, at},
	} {
		machine, _ := operation.Skeleton("xy")
		_, problems := operation.New("xy", machine, []byte(`{"type": "object", `+c.schema+`}`))
		var got []string
		for _, p := range problems {
			got = append(got, p.Path)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %v", name, problems)
		}
	}
	// In a member of a member, each of them is there.
	machine, _ := operation.Skeleton("xy")
	nested := []byte(strings.ReplaceAll(string(machine), "input.answerSeconds", "input.times.answer"))
	for schema, ok := range map[string]bool{
		`"properties": {"times": {"type": "object", "default": {}, "properties": {"answer": {"type": "integer", "default": 9}}}}`: true,
		`"properties": {"times": {"type": "object", "properties": {"answer": {"type": "integer", "default": 9}}}}`:                false,
		`"properties": {"times": {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}},
			"required": ["times"]`: true,
	} {
		if _, problems := operation.New("xy", nested, []byte(`{"type": "object", `+schema+`}`)); (problems == nil) != ok {
			t.Errorf("%s: %v", schema, problems)
		}
	}
}

// TestWhatIsNoJSONIsToldAtItsLine, once, and a name that is there twice as what it is.
func TestWhatIsNoJSONIsToldAtItsLine(t *testing.T) {
	machine, schema := operation.Skeleton("xy")
	asl := string(machine)
	for name, c := range map[string]struct {
		asl  string
		want []string
	}{
		"a comment": {strings.Replace(asl, `  "StartAt"`, `  // begins
  "StartAt"`, 1), []string{"$: ", "line 4, column 3", "JSON has no comments"}},
		"a comma too many":  {strings.Replace(asl, `"End": true`, `"End": true,`, 1), []string{"line 102, column 5"}},
		"a byte order mark": {"\ufeff" + asl, []string{"line 1, column 1", "byte order mark"}},
		"YAML":              {"StartAt: Look\nStates:\n", []string{"line 1, column 1", "invalid character 'S'"}},
		"half of it":        {asl[:len(asl)/2], []string{"unexpected EOF"}},
		"two":               {asl + asl, []string{"one JSON object and nothing after it"}},
		"nothing":           {"", []string{"a JSON object"}},
		"a list":            {"[]", []string{"$: ", "an object"}},
		"a state twice": {strings.Replace(asl, `"Finalize": {`, `"Look": {"Type": "Pass", "End": true}, "Finalize": {`, 1),
			[]string{`$.States.Look: "Look": each member once`}},
		"another type": {strings.Replace(asl, `"MaxAttempts": 20`, `"MaxAttempts": "20"`, 1),
			[]string{"line 35, column ", "MaxAttempts", "string"}},
		"too much": {strings.Replace(asl, `"Comment": "`, `"Comment": "`+strings.Repeat("x", 1<<20), 1),
			[]string{"at most 1048576 bytes"}},
	} {
		_, problems := operation.New("xy", []byte(c.asl), schema)
		if len(problems) != 1 {
			t.Errorf("%s: %d mistakes: %.500v", name, len(problems), problems)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(problems[0].String(), want) {
				t.Errorf("%s: %s\nlacks %s", name, problems[0], want)
			}
		}
	}
	// A value of another type does not hide what else is wrong.
	_, problems := operation.New("xy", []byte(strings.NewReplacer(`"MaxAttempts": 20`, `"MaxAttempts": "20"`,
		`"task": "GET"`, `"task": "FETCH"`).Replace(asl)), schema)
	if len(problems) != 2 {
		t.Errorf("%v", problems)
	}
}

// TestWhatATaskHandsOverIsChecked as far as it is written out: what is wrong ends the attempt of each device.
func TestWhatATaskHandsOverIsChecked(t *testing.T) {
	const at = "xy.asl.json: $.States."
	const look, finalize = at + "Look.Arguments.Payload", at + "Finalize.Arguments.Payload"
	paths := `"paths": [
            "Device.DeviceInfo.SoftwareVersion"
          ]`
	get := `"task": "GET",
          "context": "{% $states.context %}",
          ` + paths
	task := func(members string) string { return members + `, "context": "{% $states.context %}"` }
	for name, c := range map[string]struct{ old, new, want string }{
		"an outcome that there is not": {`"outcome": "SUCCEEDED"`, `"outcome": "SUCCESS"`, finalize + ".outcome"},
		"a reason of another form":     {`"outcome": "SUCCEEDED"`, `"reason": "it failed"`, finalize + ".reason"},
		"what the thing is": {`"outcome": "SUCCEEDED"`, `"attributes": {"endpointId": "os-x"}`,
			finalize + ".attributes.endpointId"},
		"a member of another task": {paths, paths + `, "endsWith": "Boot!"`, look + ".endsWith"},
		"a member that lacks":      {paths, `"allowPartial": true`, look + ".paths"},
		"no path":                  {paths, `"paths": ["Device.A.B", "DeviceInfo.X", 7]`, look + ".paths[1]; " + look + ".paths[2]"},
		"nothing":                  {paths, `"paths": []`, look + ".paths"},
		"an expression":            {paths, `"paths": "{% $states.input.paths %}"`, ""},
		"expressions in it":        {paths, `"paths": ["{% $states.input.path %}", "Device.A."]`, ""},
		"an expression as outcome": {`"outcome": "SUCCEEDED"`, `"outcome": "{% $states.input.outcome %}"`, ""},
		"objects with expressions": {`"task": "GET"`, `"task": "DELETE", "objects": [{"path": "{% $p %}",
			"keys": {"ID": "{% $id %}"}}, {"path": "Device.A.", "keys": "{% $keys %}"}]`, look + ".paths"},
		"a table as an object": {paths, `"paths": ["Device.X.{i}.Y", "Device.Do()", "Device.a b"]`,
			look + ".paths[0]; " + look + ".paths[1]; " + look + ".paths[2]"},
		"an object to be set": {get, task(`"task": "SET", "parameters": {"Device.X.": "1", "Device.X.*.Y": 2}`),
			look + `.parameters["Device.X."]`},
		"a table without its dot": {get, task(`"task": "ADD", "objects": [{"path": "Device.X", "parameters": {"ID": "a"}},
			{"path": "Device.*.X."}, {"path": "{% $p %}"}]`), look + ".objects[0].path; " + look + ".objects[1].path"},
		"a key without a value": {get, task(`"task": "ADD", "objects": [{"path": "Device.X.", "parameters": {"ID": "a"},
			"keys": ["ID", "Alias"]}, {"path": "Device.X.", "parameters": "{% $p %}", "keys": ["ID"]}]`),
			look + ".objects[0].keys[1]"},
		"a row that is a parameter": {get, task(`"task": "DELETE", "objects": [{"path": "Device.X.1"}, {"path": "Device.X.*."},
			{"path": "Device.X.*.", "keys": {"ID": "a"}}]`), look + ".objects[0].path; " + look + ".objects[2].path"},
		"a parameter as a command":       {get, task(`"task": "OPERATE", "command": "Device.Reboot"`), look + ".command"},
		"a command of several":           {get, task(`"task": "OPERATE", "command": "Device.X.*.Do()"`), look + ".command"},
		"a parameter as an event":        {get, task(`"task": "AWAIT", "event": "Device.Boot"`), look + ".event"},
		"a value of an object":           {get, task(`"task": "AWAIT", "valueChange": "Device.X."`), look + ".valueChange"},
		"nothing to wait for":            {get, task(`"task": "AWAIT"`), look},
		"two things to wait for":         {get, task(`"task": "AWAIT", "event": "Device.Boot!", "presence": "connected"`), look},
		"two, of which one is not known": {get, task(`"task": "AWAIT", "event": "{% $e %}", "presence": "connected"`), look},
		"one that is not known":          {get, task(`"task": "AWAIT", "event": "{% $e %}"`), ""},
		"keys of another form": {`"task": "GET"`, `"task": "ADD", "objects": [{"path": "Device.A.", "keys": {"ID": "x"}}]`,
			look + ".objects[0].keys; " + look + ".paths"},
	} {
		machine, schema := operation.Skeleton("xy")
		asl := strings.Replace(string(machine), c.old, c.new, 1)
		if asl == string(machine) {
			t.Fatalf("there is no %s", c.old)
		}
		_, problems := operation.New("xy", []byte(asl), schema)
		var got []string
		for _, p := range problems {
			got = append(got, p.Path)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: got %v\nwant %s", name, problems, c.want)
		}
	}
	// JSONPath has its own way to say so.
	if _, problems := blink(t, `"command": "Device.Lamp.Blink()"`, `"command.$": "$.command"`); problems != nil {
		t.Error(problems)
	}
	if _, problems := blink(t, `"command": "Device.Lamp.Blink()"`, `"path.$": "$.command"`); len(problems) != 2 {
		t.Error(problems)
	}
}
