package asl

import (
	"strings"
	"testing"
)

// TestDefinitionsThatAWSRefuses: what is said of a definition, as "message at location", in order. Unless a row says
// otherwise, AWS's answers are known from github.com/floci-io/floci/issues/2735 and 2968, whose author asked
// ValidateStateMachineDefinition (2026-08 and 09).
func TestDefinitionsThatAWSRefuses(t *testing.T) {
	const (
		pass    = `{"Type":"Pass","End":true}`
		enum    = "Value should be one of the following: [JSONPath, JSONata]"
		reverts = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine at /States/X"
		inputs  = "The QueryLanguage is set to 'JSONata', but field 'InputPath' is only supported for the " +
			"'JSONPath' " +
			"QueryLanguage at /States/X"
	)
	other := func(field, where string) string {
		return "The QueryLanguage is set to 'JSONPath', but field '" + field + "' is only supported for the " +
			"'JSONata' " +
			"QueryLanguage at " + where
	}
	one := func(state string) string { return `{"StartAt":"X","States":{"X":` + state + `}}` }
	in := func(language, state string) string {
		return `{"QueryLanguage":` + language + `,"StartAt":"X","States":{"X":` + state + `}}`
	}
	inside := func(processor, more string) string {
		return one(`{"Type":"Map","ItemProcessor":` + processor + more + `,"End":true}`)
	}
	distributed := func(more string) string {
		return inside(`{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"P","States":{"P":`+
			pass+`}}`, more)
	}
	task := func(resource, parameters string) string {
		return one(`{"Type":"Task","Resource":"arn:aws:states:::` + resource + `","Parameters":` + parameters + `,"End":true}`)
	}
	long := strings.Repeat("n", 81)
	for _, tt := range []struct {
		name, definition string
		want             []string
	}{
		{"a loop", `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"},"C":` +
			`{"Type":"Pass","Next":"A"}}}`, []string{"Workflow has no terminal state at null"}},
		{"a target that is not there, and no end", one(`{"Type":"Pass","Next":"NOPE"}`),
			[]string{"Missing 'Next' target: NOPE at /States/X/Next", "Workflow has no terminal state at null"}},
		{"a loop in an iteration", inside(`{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass",`+
			`"Next":"A"}}}`, ""), nil},
		{"a state of an iteration that nothing leads to", inside(`{"StartAt":"A","States":{"A":`+pass+`,"G":`+pass+`}}`, ""),
			[]string{`State "G" is not reachable. at /States/X/ItemProcessor/States/G`}},
		{"a start that is not there", `{"StartAt":"N","States":{"A":` + pass + `}}`,
			[]string{"Missing 'Next' target: N at /StartAt", `State "A" is not reachable. at /States/A`}},
		{"no parameters for an integration", one(`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}`), nil},
		{"the other language's parameters", one(`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke",` +
			`"Arguments":{"payload":1},"End":true}`), []string{other("Arguments", "/States/X")}},
		{"a Map in JSONata has states in JSONPath", in(`"JSONPath"`, `{"Type":"Map","QueryLanguage":"JSONata",`+
			`"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","Output":1,"End":true}}},"End":true}`),
			[]string{other("Output", "/States/X/ItemProcessor/States/P")}},
		{"a language of a processor", inside(`{"QueryLanguage":"JSONata","StartAt":"P","States":{"P":`+pass+`}}`, ""),
			[]string{"Field 'QueryLanguage' is not supported at /States/X/ItemProcessor"}},
		{"a state that reverts to JSONPath", in(`"JSONata"`, `{"Type":"Pass","QueryLanguage":"JSONPath","Output":1,"End":true}`),
			[]string{reverts}},
		{"a Map that reverts and is wrong", in(`"JSONata"`, `{"Type":"Map","QueryLanguage":"JSONPath","MaxConcurrency":-1,`+
			`"ItemProcessor":{"StartAt":"P","States":{"P":`+pass+`}},"End":true}`),
			[]string{reverts, "Minimum value is 0 at /States/X/MaxConcurrency"}},
		{"a language in small letters", one(`{"Type":"Pass","QueryLanguage":"jsonata","Output":{"v":"{% 1 %}"},"InputPath":"$.a",` +
			`"End":true}`), []string{inputs, enum + " at /States/X/QueryLanguage"}},
		{"JSONPath in small letters does not revert", in(`"JSONata"`, `{"Type":"Pass","QueryLanguage":"jsonpath","End":true}`),
			[]string{enum + " at /States/X/QueryLanguage"}},
		{"a number for a language", one(`{"Type":"Pass","QueryLanguage":5,"InputPath":"$.a","End":true}`),
			[]string{inputs, "Expected value of type [STRING] at /States/X/QueryLanguage"}},
		{"a number for the language", in(`5`, pass), []string{"Expected value of type [STRING] at /QueryLanguage"}},
		{"the language in small letters", in(`"jsonpath"`, `{"Type":"Pass","InputPath":"$.a","End":true}`),
			[]string{enum + " at /QueryLanguage", inputs}},
		{"as many at once as there are", inside(`{"StartAt":"P","States":{"P":`+pass+`}}`, `,"MaxConcurrency":9223372036854775807`),
			nil},
		{"a path to many", inside(`{"StartAt":"P","States":{"P":`+pass+`}}`, `,"MaxConcurrencyPath":"$.n[*]"`),
			[]string{"Value is not a valid Reference Path at /States/X/MaxConcurrencyPath"}},
		// ChristopheBougere/asl-validator#69 (2021-02-22).
		{"a long name", `{"StartAt":"` + long + `","States":{"` + long + `":` + pass + `}}`,
			[]string{"Invalid State name: State '" + long + "' exceeds the 80-character limit allowed by the " +
				"service at " +
				"/States/" + long}},
		// The wording is known from a recording (credentials), which members must be there from the developer guide.
		{"a function without a name", task("lambda:invoke", `{"Payload":1}`),
			[]string{"The field 'FunctionName' is required but was missing at /States/X/Parameters"}},
		{"a function with the path of a name", task("lambda:invoke", `{"FunctionName.$":"$.f"}`), nil},
		{"an SDK's operation", task("aws-sdk:dynamodb:putItem", `{"TableName":"t"}`),
			[]string{"The field 'Item' is required but was missing at /States/X/Parameters"}},
		{"an API without a method", task("apigateway:invoke", `{"ApiEndpoint":"x"}`),
			[]string{"The field 'Method' is required but was missing at /States/X/Parameters"}},
		{"a cluster", task("eks:call", `{"ClusterName":"c","CertificateAuthority":"a","Endpoint":"e","Method":"GET"}`),
			[]string{"The field 'Path' is required but was missing at /States/X/Parameters"}},
		{"a reader without a key", distributed(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":` +
			`{"Bucket":"b"},"ReaderConfig":{"InputType":"JSON"}}`),
			[]string{"The field 'Key' is required but was missing at /States/X/ItemReader/Parameters"}},
		{"a reader of a listing", distributed(`,"ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2","Parameters":` +
			`{"Bucket":"b"}}`), nil},
		{"a writer without a bucket", distributed(`,"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject",` +
			`"Parameters":{"Prefix":"p"}}`),
			[]string{"The field 'Bucket' is required but was missing at /States/X/ResultWriter/Parameters"}},
		{"a writer in the other language", distributed(`,"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject",` +
			`"Parameters":{"Bucket":"b"},"Arguments":{"Bucket":"b"}}`), []string{other("Arguments", "/States/X/ResultWriter")}},
		{"fields that there are not", distributed(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":` +
			`{"Bucket":"b","Key":"k"},"ReaderConfg":{}}`), []string{"Field 'ReaderConfg' is not supported at /States/X/ItemReader"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, ds := Compile(tt.definition, false)
			var got []string
			for _, d := range ds {
				where := d.Location
				if where == "" {
					where = "null"
				}
				got = append(got, d.Message+" at "+where)
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestRuntimeErrorsEndTheExecution: States.Runtime in a branch is no failure of the branch but of the execution.
//
// Source: github.com/floci-io/floci/issues/2868, seen in us-east-1 (2026-09-01).
func TestRuntimeErrorsEndTheExecution(t *testing.T) {
	for _, tt := range []struct{ name, state, want string }{
		{"Parallel", `{"Type":"Parallel","Branches":[{"StartAt":"B","States":{"B":{"Type":"Pass","Parameters":{"m.$":"$.no"},` +
			`"End":true}}},{"StartAt":"C","States":{"C":{"Type":"Wait","Seconds":9,"End":true}}}],"Catch":[{"ErrorEquals":` +
			`["States.ALL"],"Next":"Z"}],"End":true}`,
			"ExecutionStarted<0 ParallelStateEntered<0 ParallelStateStarted<2 PassStateEntered<3 ExecutionFailed<4"},
		{"Map", `{"Type":"Map","ItemsPath":"$.v","ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Pass","InputPath":"$.no",` +
			`"End":true}}},"Retry":[{"ErrorEquals":["States.ALL"]}],"Next":"Z"}`,
			"ExecutionStarted<0 MapStateEntered<0 MapStateStarted<2 MapIterationStarted<3 MapIterationStarted<3 " +
				"PassStateEntered<4 ExecutionFailed<6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			definition := `{"StartAt":"A","States":{"A":` + tt.state + `,"Z":{"Type":"Pass","End":true}}}`
			if tt.name == "Parallel" {
				definition = strings.Replace(definition, `"End":true},"Z"`, `"Next":"Z"},"Z"`, 1)
			}
			r := New(compileOrFail(t, definition), &clock{}, Info{Input: TextData(`{"v":[1,2]}`)})
			r.Start()
			var got []string
			for _, e := range r.Events {
				got = append(got, e.Type+"<"+string(rune('0'+e.Previous)))
			}
			if strings.Join(got, " ") != tt.want || r.Status != Failed || *r.Error != "States.Runtime" {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), tt.want)
			}
			if _, ok := r.Redrivable(); !ok {
				t.Error("cannot be redriven")
			}
		})
	}
}
