package asl

import (
	"strings"
	"testing"
)

// TestDiagnostics: what is refused, in AWS's words. A definition is a top-level
// body, or one state named A with its Next or End.
func TestDiagnostics(t *testing.T) {
	one := func(state string) string { return `{"StartAt":"A","States":{"A":` + state + `}}` }
	jsonata := func(state string) string {
		return `{"QueryLanguage":"JSONata","StartAt":"A","States":{"A":` + state + `}}`
	}
	lambda := `"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true`
	for _, c := range []struct {
		name, definition string
		want             []string // code, message, location
	}{
		{"a field of another type of state", one(`{"Type":"Pass","TimeoutSeconds":1,"End":true}`), []string{"SCHEMA_VALIDATION_FAILED|Field 'TimeoutSeconds' is not supported|/States/A"}},
		{"a field that is not of the language", one(`{"Type":"Pass","Output":1,"End":true}`),
			[]string{"SCHEMA_VALIDATION_FAILED|The QueryLanguage is set to 'JSONPath', but field 'Output' is only " +
				"supported for the 'JSONata' QueryLanguage|/States/A"}},
		{"a path in JSONata", jsonata(`{"Type":"Pass","InputPath":"$","End":true}`),
			[]string{"SCHEMA_VALIDATION_FAILED|The QueryLanguage is set to 'JSONata', but field 'InputPath' is " +
				"only supported for the 'JSONPath' QueryLanguage|/States/A"}},
		{"a label with a space", one(`{"Type":"Map","End":true,"Label":"a b","ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"B","States":{"B":{"Type":"Succeed"}}}}`),
			[]string{"INVALID_LABEL_NAME|Label is empty or has characters that are not allowed|/States/A/Label"}},
		{"a language of a processor", one(`{"Type":"Map","End":true,"ItemProcessor":{"QueryLanguage":"JSONata","StartAt":"B","States":{"B":{"Type":"Succeed"}}}}`),
			[]string{"SCHEMA_VALIDATION_FAILED|Field 'QueryLanguage' is not supported|/States/A/ItemProcessor"}},
		{"the language of a Map state is not that of its processor", one(`{"Type":"Map","QueryLanguage":"JSONata","End":true,"ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Pass","Output":1,"End":true}}}}`),
			[]string{"SCHEMA_VALIDATION_FAILED|The QueryLanguage is set to 'JSONPath', but field 'Output' is only " +
				"supported for the 'JSONata' QueryLanguage|/States/A/ItemProcessor/States/B"}},
		{"no end", `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"},"C":{"Type":"Pass","Next":"A"}}}`,
			[]string{"MISSING_END_STATE|Workflow has no terminal state|"}},
		{"an end that is not reached", `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"},"C":{"Type":"Pass","End":true}}}`,
			[]string{`MISSING_TRANSITION_TARGET|State "C" is not reachable.|/States/C`}},
		{"a target that is not there", one(`{"Type":"Pass","Next":"NOPE"}`),
			[]string{"MISSING_TRANSITION_TARGET|Missing 'Next' target: NOPE|/States/A/Next",
				"MISSING_END_STATE|Workflow has no terminal state|"}},
		{"a start without a name", `{"StartAt":"","States":{"A":{"Type":"Pass","End":true}}}`, []string{"MISSING_TRANSITION_TARGET|Missing 'Next' target: |/StartAt"}},
		{"a target without a name", one(`{"Type":"Pass","Next":""}`), []string{"MISSING_TRANSITION_TARGET|Missing 'Next' target: |/States/A/Next"}},
		{"a choice and a catcher that lead to nothing", `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$.x","IsNull":true,"Next":""}],"Default":"B"},
		 "B":{` + lambda + `,"Catch":[{"ErrorEquals":["E"],"Next":""}]}}}`,
			[]string{"MISSING_TRANSITION_TARGET|Missing 'Next' target: |/States/A/Choices[0]/Next",
				"MISSING_TRANSITION_TARGET|Missing 'Next' target: |/States/B/Catch[0]/Next"}},
		{"targets of a choice and a catcher", `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Variable":"$.x","IsNull":true,"Next":"X"}],"Default":"B"},
		 "B":{` + lambda + `,"Catch":[{"ErrorEquals":["E"],"Next":"Y"}]}}}`,
			[]string{"MISSING_TRANSITION_TARGET|Missing 'Next' target: X|/States/A/Choices[0]/Next",
				"MISSING_TRANSITION_TARGET|Missing 'Next' target: Y|/States/B/Catch[0]/Next"}},
		{"JSONata that is none", jsonata(`{"Type":"Pass","Output":"{% 1 + %}","End":true}`), []string{"INVALID_JSONATA_EXPRESSION|Unexpected end of expression|/States/A/Output"}},
		{"JSONata with the wrong bracket", jsonata(`{"Type":"Pass","Output":{"r":"{% $a[1,2) %}"},"End":true}`), []string{`INVALID_JSONATA_EXPRESSION|Expected "]", got ","|/States/A/Output/r`}},
		{"a name without a context", jsonata(`{"Type":"Pass","Output":{"v":"{% phone.number %}"},"End":true}`),
			[]string{"UNSUPPORTED_JSONATA_EXPRESSION|Reference to 'phone' at the top level is not " +
				"supported.|/States/A/Output/v"}},
		{"names inside", jsonata(`{"Type":"Pass","Output":"{% $states.input.items[price > 3 and $.x].{'a': name}^(a) ~> |$|{'b': c}| %}","End":true}`), nil},
		{"names in functions", jsonata(`{"Type":"Pass","Output":"{% $map($states.input, function($v, $i){ $v.x + $i }) ~> $sum %}","End":true}`), nil},
		{"the error where there is none", jsonata(`{"Type":"Pass","Output":"{% $states.errorOutput %}","End":true}`),
			[]string{"UNSUPPORTED_JSONATA_EXPRESSION|Field '$states.errorOutput' does not exist.|/States/A/Output"}},
		{"the result before it is there", jsonata(`{` + lambda + `,"Arguments":{"FunctionName":"f","Payload":"{% $states.result %}"},"Output":"{% $states.result %}"}`),
			[]string{"UNSUPPORTED_JSONATA_EXPRESSION|Field '$states.result' does not exist.|" +
				"/States/A/Arguments/Payload"}},
		{"the error of a catcher", `{"QueryLanguage":"JSONata","StartAt":"A","States":{"A":{` + lambda + `,
		 "Catch":[{"ErrorEquals":["States.ALL"],"Next":"B","Assign":{"e":"{% $states.errorOutput.Error %}"},"Output":"{% $states.errorOutput %}"}]},"B":{"Type":"Succeed"}}}`, nil},
		// AWS's words as of a task's Credentials, recorded 2025; the members are the
		// API models'.
		{"a member that the operation must have", one(`{"Type":"Task","End":true,"Resource":"arn:aws:states:::sqs:sendMessage","Parameters":{"QueueUrl.$":"$.q"}}`),
			[]string{"SCHEMA_VALIDATION_FAILED|The field 'MessageBody' is required but was " +
				"missing|/States/A/Parameters"}},
		{"members that an SDK integration must have", jsonata(`{"Type":"Task","End":true,"Resource":"arn:aws:states:::aws-sdk:s3:putObject","Arguments":{"Body":"x"}}`),
			[]string{"SCHEMA_VALIDATION_FAILED|The field 'Bucket' is required but was missing|/States/A/Arguments",
				"SCHEMA_VALIDATION_FAILED|The field 'Key' is required but was missing|/States/A/Arguments"}},
		{"an SDK integration without arguments", jsonata(`{"Type":"Task","End":true,"Resource":"arn:aws:states:::aws-sdk:sts:getCallerIdentity"}`),
			[]string{"SCHEMA_VALIDATION_FAILED|The field 'Arguments' is required but was missing|/States/A"}},
		{"half an expression", jsonata(`{"Type":"Pass","Output":["{% 1"," {% 2 %}","{ % 3 }"],"End":true}`),
			[]string{"INVALID_JSONATA_EXPRESSION|The expression does not begin with '{%' and end with '%}'|" +
				"/States/A/Output[0]",
				"INVALID_JSONATA_EXPRESSION|The expression does not begin with '{%' and end with '%}'|" +
					"/States/A/Output[1]"}},
		{"ways to a field that is not there", jsonata("{\"Type\":\"Pass\",\"Output\":[" +
			"\"{% $states.result[0].a %}\",\"{% $states.`result` %}\"," +
			"\"{% ($states).result %}\",\"{% $states['result'] %}\"],\"End\":true}"),
			[]string{"UNSUPPORTED_JSONATA_EXPRESSION|Field '$states.result' does not exist.|/States/A/Output[0]",
				"UNSUPPORTED_JSONATA_EXPRESSION|Field '$states.result' does not exist.|/States/A/Output[1]"}},
		{"names of variables", jsonata(`{"Type":"Pass","Assign":{"_a":1,"1a":1,"a_1":1,"café":1,"Ⅳ":1},"End":true}`),
			[]string{"SCHEMA_VALIDATION_FAILED|Variable name is not valid|/States/A/Assign/_a",
				"SCHEMA_VALIDATION_FAILED|Variable name is not valid|/States/A/Assign/1a"}},
		{"a variable of a distributed Map that was there before", `{"QueryLanguage":"JSONata","StartAt":"A","States":{"A":{"Type":"Pass","Assign":{"v":1},"Next":"B"},` +
			`"B":{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"P",` +
			`"States":{"P":{"Type":"Pass","Assign":{"v":1},"End":true}}}}}}`,
			[]string{"DUPLICATE_VARIABLE_NAME|The variable name 'v' was already defined in a parent scope.|" +
				"/States/B/ItemProcessor/States/P/Assign/v"}},
		{"members known only when the task runs", jsonata(`{"Type":"Task","End":true,"Resource":"arn:aws:states:::sqs:sendMessage","Arguments":"{% $states.input %}"}`), nil},
		{"a member that the SDK fills in", one(`{"Type":"Task","End":true,"Resource":"arn:aws:states:::states:startExecution","Parameters":{"StateMachineArn":"a"}}`), nil},
		{"a member of $states that is not there", jsonata(`{"Type":"Succeed","Output":"{% $states.foo %}"}`),
			[]string{"UNSUPPORTED_JSONATA_EXPRESSION|Field '$states.foo' does not exist.|/States/A/Output"}},
		{"a variable that nobody assigns", jsonata(`{"Type":"Succeed","Output":"{% $nobody %}"}`), nil},
		{"a rule in the other language", jsonata(`{"Type":"Choice","Choices":[{"Variable":"$.x","Condition":"{% true %}","Next":"A"}],"Default":"A"}`),
			[]string{"SCHEMA_VALIDATION_FAILED|The QueryLanguage is set to 'JSONata', but field 'Variable' is only " +
				"supported for the 'JSONPath' QueryLanguage|/States/A/Choices[0]",
				"MISSING_END_STATE|Workflow has no terminal state|"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ds := Compile(c.definition, false)
			var got []string
			for _, d := range ds {
				got = append(got, d.Code+"|"+d.Message+"|"+d.Location)
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestJSONProblems: texts that are not JSON, in the words of AWS's parser.
// TestExpressWaitsForNothing: AWS's words differ by a blank (recorded by LocalStack, test_sfn_api_express, 3 July
// 2024).
func TestExpressWaitsForNothing(t *testing.T) {
	for pattern, want := range map[string]string{
		".sync":             "does not support '.sync' service integration at /States/A/Resource'",
		".waitForTaskToken": "does not support '.waitForTaskToken' service integration  at /States/A/Resource'",
	} {
		_, ds := Compile(`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution`+
			pattern+`","Parameters":{"StateMachineArn":"m"},"End":true}}}`, true)
		if got := ds.Error(); !strings.HasSuffix(got, "Express state machine "+want) {
			t.Errorf("%s: %s", pattern, got)
		}
	}
}

func TestJSONProblems(t *testing.T) {
	const values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	for _, c := range []struct{ text, want string }{
		{`{"a":1 "b":2}`, `Unexpected character ('"' (code 34)): was expecting comma to separate Object entries`},
		{`[1 2]`, `Unexpected character ('2' (code 50)): was expecting comma to separate Array entries`},
		{`{"a" 1}`, `Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value`},
		{`{"a":1,}`, `Unexpected character ('}' (code 125)): was expecting double-quote to start field name`},
		{`[1,]`, `Unexpected character (']' (code 93)): expected a valid value ` + values},
		{`{"a":tru}`, `Unrecognized token 'tru': was expecting ` + values},
		{`{"a":[1`, `Unexpected end-of-input: expected close marker for Array (start marker at [Source: (String)"{"a":[1"; line: 1, column: 6])`},
		{`{"a":"x`, `Unexpected end-of-input: was expecting closing quote for a string value`},
		{"\"a\nb\"", `Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in string value`},
		{`"\x"`, `Unrecognized character escape 'x' (code 120)`},
	} {
		_, err := ParseData(c.text)
		if err == nil {
			t.Errorf("%s parsed", c.text)
			continue
		}
		if got := JSONProblem(c.text, err); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.text, got, c.want)
		}
	}
}

// TestRuntimeWording: how a state fails, and what AWS makes of values that JSON
// cannot hold.
func TestRuntimeWording(t *testing.T) {
	task := func(timeout string) string {
		return `{"Type":"Task","QueryLanguage":"JSONata","Arguments":{},"Resource":"arn:aws:states:::aws-sdk:sts:getCallerIdentity",` +
			`"TimeoutSeconds":"` + timeout + `","Next":"End"}`
	}
	for _, c := range []struct{ name, state, want string }{
		{"no rule holds", `{"Type":"Choice","Choices":[{"Variable":"$.x","IsPresent":true,"Next":"End"}]}`,
			"States.Runtime|An error occurred while executing the state 'A' (entered at the event id #2). Failed " +
				"to transition out of the state. The state does not point to a next state."},
		{"past an array's end", `{"Type":"Pass","Parameters":{"x.$":"$.a[3]"},"Next":"End"}`, `{"x":null}`},
		{"past an array's end, in a choice", `{"Type":"Choice","Choices":[{"Variable":"$.a[3]","IsPresent":false,"Next":"End"}]}`, `{"a":[1]}`},
		{"not finite", `{"Type":"Pass","QueryLanguage":"JSONata","Output":"{% [1/0, -1/0] %}","Next":"End"}`, `["Infinity","-Infinity"]`},
		{"the longest range", `{"Type":"Pass","QueryLanguage":"JSONata","Output":"{% $count([1..873782]) %}","Next":"End"}`, `873782`},
		{"a longer range", `{"Type":"Pass","QueryLanguage":"JSONata","Output":{"r":"{% $count([1..873783]) %}"},"Next":"End"}`,
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). The JSONata expression '$count([1..873783])' specified for the field 'Output/r' threw an " +
				"error during evaluation: Expression evaluation memory limit exceeded: Check for excessive memory " +
				"usage"},
		{"a coded error", `{"Type":"Pass","QueryLanguage":"JSONata","Output":"{% $sum(['a']) %}","Next":"End"}`,
			`States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id #2). The JSONata expression '$sum(['a'])' specified for the field 'Output' threw an error during evaluation. T0412: Argument 1 of function "sum" must be an array of "numbers"`},
		{"a sum of a hundred", `{"Type":"Pass","QueryLanguage":"JSONata","Output":"{% ` + strings.Repeat("1+", 99) + `1 %}","Next":"End"}`, `100`},
		{"a sum of more", `{"Type":"Pass","QueryLanguage":"JSONata","Output":"{% ` + strings.Repeat("1+", 100) + `1 %}","Next":"End"}`,
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). The JSONata expression '" + strings.Repeat("1+", 100) +
				"1' specified for the field 'Output' threw an error during evaluation: Stack overflow error: Check " +
				"for non-terminating recursive function.  Consider rewriting as tail-recursive."},
		// What follows was seen on AWS: github.com/gabrielmoreira/tiny-asl-machine, tests/conformance/cases (2026).
		{"a call with the wrong arguments", `{"Type":"Pass","Parameters":{"v.$":"States.MathAdd(1)"},"Next":"End"}`,
			"States.Runtime|An error occurred while executing the state 'A' (entered at the event id #2). There " +
				"was an error " +
				"while evaluating the intrinsic function: States.MathAdd(1). Invalid arguments in States.MathAdd"},
		{"a call without an argument", `{"Type":"Pass","Parameters":{"v.$":"States.Base64Decode($.no)"},"Next":"End"}`,
			"States.Runtime|An error occurred while executing the state 'A' (entered at the event id #2). The " +
				"function " +
				"'States.Base64Decode($.no)' had the following error: The JsonPath argument for the field '$.no' " +
				"could not be " +
				`found in the input '{"a":[1]}'`},
		{"seconds that are text", `{"Type":"Wait","SecondsPath":"$.s","Next":"End"}`, `{"a":[1],"s":"0","o":{"raw":"3"},"t":1735689600000}`},
		{"seconds that are none", `{"Type":"Wait","SecondsPath":"$.o","Next":"End"}`,
			"States.Runtime|An error occurred while executing the state 'A' (entered at the event id #2). The " +
				"SecondsPath " +
				`parameter cannot be parsed as a long value: $.o == {"raw":"3"}`},
		{"a timestamp in small letters, without seconds", `{"Type":"Wait","QueryLanguage":"JSONata","Timestamp":"{% '0001-01-01t00:00z' %}","Next":"End"}`,
			`{"a":[1],"s":"0","o":{"raw":"3"},"t":1735689600000}`},
		{"a timestamp without an offset", `{"Type":"Wait","QueryLanguage":"JSONata","Timestamp":"{% '2025-01-01T00:00:00' %}","Next":"End"}`,
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: " +
				"2025-01-01T00:00:00"},
		{"a timestamp that is a number", `{"Type":"Wait","TimestampPath":"$.t","Next":"End"}`,
			"States.Runtime|An error occurred while executing the state 'A' (entered at the event id #2). The " +
				"TimestampPath " +
				"parameter does not reference a valid ISO-8601 extended offset date-time format string: $.t == " +
				"1735689600000"},
		{"less than no timeout", task(`{% -1 %}`),
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). " +
				"TimeoutSeconds must be between 0 and 99999999 but was: -1"},
		{"a timeout with a fraction", task(`{% 1.6 %}`),
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). " +
				"The TimeoutSeconds field cannot be parsed as an integer: 1.6"},
		{"a timeout that is a text", task(`{% '3' %}`),
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). The " +
				"JSONata expression ''3'' specified for the field 'TimeoutSeconds' returned an unexpected result " +
				"type. Expected " +
				`'number', but was 'string' for value: "3"`},
		{"where an item of an inline Map is from", `{"Type":"Map","QueryLanguage":"JSONata","Items":[1],"ItemSelector":{"s":` +
			`"{% $states.context.Map.Item.Source %}"},"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Succeed"}}},"Next":"End"}`,
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). The " +
				"JSONata expression '$states.context.Map.Item.Source' specified for the field 'ItemSelector/s' " +
				"returned nothing " +
				"(undefined)."},
		{"a variable of a rule that is nothing", `{"Type":"Choice","QueryLanguage":"JSONata","Choices":[{"Condition":true,"Assign":{"x":"{% $states.input.none %}"},"Next":"End"}]}`,
			"States.QueryEvaluationError|An error occurred while executing the state 'A' (entered at the event id " +
				"#2). The JSONata expression '$states.input.none' specified for the field 'Choices[0]/Assign/x' " +
				"returned nothing (undefined)."},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := compileOrFail(t, `{"StartAt":"A","States":{"A":`+c.state+`,"End":{"Type":"Succeed"}}}`)
			input := `{"a":[1]}`
			if strings.Contains(c.state, `"Wait"`) {
				input = `{"a":[1],"s":"0","o":{"raw":"3"},"t":1735689600000}`
			}
			r := New(m, &clock{}, Info{Input: TextData(input)})
			r.Start()
			got := ""
			switch r.Status {
			case Succeeded:
				got = r.Output.Text()
			case Failed:
				got = *r.Error + "|" + *r.Cause
			}
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestResources: which integrations there are.
func TestResources(t *testing.T) {
	for arn, want := range map[string]bool{
		"arn:aws:states:::aws-sdk:dynamodb:getItem":                      true,
		"arn:aws:states:::aws-sdk:ec2:describeInstances":                 true,
		"arn:aws:states:::aws-sdk:iotjobsdataplane:describeJobExecution": true,
		"arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken":      true,
		"arn:aws:states:::aws-sdk:sqs:sendMessage.sync":                  false,
		"arn:aws:states:::aws-sdk:dynamodb:GetItem":                      false,
		"arn:aws:states:::aws-sdk:dynamodb:getThing":                     false,
		"arn:aws:states:::aws-sdk:nosuchservice:getItem":                 false,
		"arn:aws:states:::aws-sdk:iotdataplane:publish":                  false,
		"arn:aws:states:::aws-sdk:dynamodb":                              false,
		"arn:aws:states:::lambda:invoke.waitForTaskToken":                true,
		"arn:aws:states:::lambda:invoke.sync":                            false,
		"arn:aws:states:::lambda:call":                                   false,
		"arn:aws:states:::states:startExecution.sync:2":                  true,
		"arn:aws:states:::glue:startJobRun.sync":                         true,
		"arn:aws:states:::ecs:runTask.waitForTaskToken":                  true,
		"arn:aws:states:::nosuch:call":                                   false,
	} {
		definition := `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + arn + `","End":true}}}`
		_, ds := Compile(definition, false)
		refused := Diagnostics{{"ERROR", "SCHEMA_VALIDATION_FAILED", "The resource provided " + arn +
			" is not recognized. The value is not a valid resource ARN, or the resource is not available in this " +
			"region.", "/States/A/Resource"}}
		if want && ds.Failed() || !want && (len(ds) != 1 || ds[0] != refused[0]) {
			t.Errorf("%s: %v", arn, ds)
		}
	}
}

func TestWarnings(t *testing.T) {
	d := `{"StartAt":"A","States":{
	 "A":{"Type":"Pass","Result":{"x":"$.a","y.$":"$"},"Next":"B"},
	 "B":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f","Payload":{"a":"$.x","b.$":"$.x","c":["States.UUID()",{"d":"$$.Task"}]}},"Assign":{"v":"$5 each"},"Next":"C"},
	 "C":{"Type":"Choice","Comment":"$.x","Choices":[{"And":[{"Variable":"$.x","StringEquals":"$.y"}],"Next":"D"}],"Default":"E"},
	 "D":{"Type":"Fail","Error":"$.error","CausePath":"$.cause"},
	 "E":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"F","States":{"F":{"Type":"Pass","QueryLanguage":"JSONata","Output":"$.x","End":true}}}}}}`
	m, ds := Compile(d, false)
	if m == nil || len(ds) != 0 {
		t.Fatalf("%v", ds)
	}
	var got []string
	for _, w := range Warnings(d) {
		got = append(got, w.Severity+" "+w.Code+" "+w.Location)
	}
	want := []string{
		"WARNING PASS_RESULT_IS_STATIC /States/A/Result/x", "WARNING PASS_RESULT_IS_STATIC /States/A/Result/y.$",
		"WARNING NO_DOLLAR /States/B/Parameters/Payload/a", "WARNING NO_DOLLAR /States/B/Parameters/Payload/c[0]",
		"WARNING NO_DOLLAR /States/B/Parameters/Payload/c[1]/d",
		"WARNING NO_PATH /States/C/Choices[0]/And[0]/StringEquals", "WARNING NO_PATH /States/D/Error",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}
