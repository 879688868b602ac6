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
	const oneOf = "This object should have only one of the following fields: "
	const config = "/States/X/ItemReader/ReaderConfig"
	operators := "[" + strings.Join(comparisons, ", ") + "]"
	choices := func(rules string) string {
		y := ``
		if strings.Contains(rules, `"Y"`) {
			y = `,"Y":` + pass
		}
		return `{"StartAt":"X","States":{"X":{"Type":"Choice","Choices":[` + rules + `],"Default":"Z"},"Z":` + pass + y + `}}`
	}
	reader := func(config string) string {
		return distributed(`,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":{"Bucket":"b","Key":"k"},` +
			`"ReaderConfig":` + config + `}`)
	}
	for _, tt := range []struct {
		name, definition string
		want             []string
	}{
		{"a loop", `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"},"C":` +
			`{"Type":"Pass","Next":"A"}}}`, []string{"Workflow has no terminal state at null"}},
		{"nothing", `{}`, []string{"These fields are required: [States, StartAt] at /"}},
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
			[]string{"Value is not a Reference Path at /States/X/MaxConcurrencyPath"}},
		// floci-io/floci#3733 (2026-09-16).
		{"a path to the context", inside(`{"StartAt":"P","States":{"P":`+pass+`}}`,
			`,"MaxConcurrencyPath":"$$.Execution.Input.n","ItemsPath":"$$.Execution.Input.l"`),
			[]string{"Value is not a Reference Path at /States/X/MaxConcurrencyPath"}},
		{"limits that are too small", distributed(`,"ItemBatcher":{"MaxItemsPerBatch":-1,"MaxInputBytesPerBatch":-1},
		 "ToleratedFailureCount":-1,"ToleratedFailurePercentage":-1`),
			[]string{"Minimum value is 0 at /States/X/ToleratedFailureCount",
				"Minimum value is 0.0 at /States/X/ToleratedFailurePercentage",
				"Minimum value is 0 at /States/X/ItemBatcher/MaxItemsPerBatch",
				"Minimum value is 0 at /States/X/ItemBatcher/MaxInputBytesPerBatch"}},
		{"limits that are too large", distributed(`,"ToleratedFailurePercentage":100.5`),
			[]string{"Maximum value is 100.0 at /States/X/ToleratedFailurePercentage"}},
		{"limits of none", distributed(`,"ItemBatcher":{"MaxItemsPerBatch":0,"MaxInputBytesPerBatch":0}`), nil},
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
		// What the API does not have; the wording is known from github.com/aws/aws-cdk/issues/29968 (2024-04-26), and
		// that SDK integrations spell members as the SDK for Java does from
		// github.com/ministackorg/ministack/pull/235.
		{"a member that there is not", task("aws-sdk:dynamodb:putItem", `{"TableName":"t","Item":{},"Itm":{}}`),
			[]string{`The field "Itm" is not supported by Step Functions at /States/X/Parameters`}},
		{"a member inside of one", task("aws-sdk:verifiedpermissions:createPolicy", `{"PolicyStoreId":"p",`+
			`"Definition":{"static":{"Statement":"s"}}}`),
			[]string{`The field "static" is not supported by Step Functions at /States/X/Parameters`}},
		{"a member in a list", task("aws-sdk:sqs:sendMessageBatch", `{"QueueUrl":"q","Entries":[{"Id":"1","Body":"b"}]}`),
			[]string{`The field "Body" is not supported by Step Functions at /States/X/Parameters`}},
		{"paths of members", task("aws-sdk:sqs:sendMessageBatch", `{"QueueUrl.$":"$.q","Entries":[{"Id":"1",`+
			`"MessageBody.$":"$.b"}]}`), nil},
		{"keys of a map are free", task("aws-sdk:sqs:tagQueue", `{"QueueUrl":"q","Tags":{"any":"t"}}`), nil},
		{"a member as the API has it", task("aws-sdk:rds:stopDBCluster", `{"DBClusterIdentifier":"c"}`),
			[]string{"The field 'DbClusterIdentifier' is required but was missing at /States/X/Parameters",
				`The field "DBClusterIdentifier" is not supported by Step Functions at /States/X/Parameters`}},
		{"a member as Java has it", task("aws-sdk:rds:stopDBCluster", `{"DbClusterIdentifier":"c"}`), nil},
		{"an operation without members", task("aws-sdk:s3:listBuckets", `{}`), nil},
		{"types of attributes in both spellings", task("aws-sdk:dynamodb:putItem", `{"TableName":"t","Item":{`+
			`"a":{"BOOL":true},"b":{"Bool":true}}}`), nil},
		{"an optimized integration", task("sqs:sendMessage", `{"QueueUrl":"q","MessageBody":{"any":1},"Message":1}`),
			[]string{`The field "Message" is not supported by Step Functions at /States/X/Parameters`}},
		{"what an optimized integration sends", task("lambda:invoke", `{"FunctionName":"f","Payload":{"any":1}}`), nil},
		{"a call that no model has", task("http:invoke", `{"ApiEndpoint":"e","Method":"GET","Any":1}`), nil},
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
		// What follows is known, but for the locations, from github.com/gabrielmoreira/tiny-asl-machine,
		// tests/conformance/cases/.snapshots/aws (2026).
		{"no type", one(`{"End":true}`), []string{"The field 'Type' is required at /States/X", "Workflow has no terminal state at null"}},
		{"an end that goes on", `{"StartAt":"X","States":{"X":{"Type":"Succeed","Next":"Y"},"Y":` + pass + `}}`,
			[]string{"Field 'Next' is not supported at /States/X"}},
		{"neither next nor end", one(`{"Type":"Pass"}`), []string{oneOf + "[Next, End] at /States/X", "Workflow has no terminal state at null"}},
		{"no states", `{"StartAt":"X","States":{}}`, []string{"Value cannot be empty at /States", "Missing 'Next' target: X at /StartAt",
			"Workflow has no terminal state at null"}},
		{"all errors and another", one(`{"Type":"Parallel","Branches":[{"StartAt":"P","States":{"P":` + pass + `}}],"Retry":[{"ErrorEquals":` +
			`["States.ALL","E"]}],"End":true}`), []string{"States.ALL must appear alone and at end of list at /States/X/Retry[0]/ErrorEquals"}},
		{"all errors before another", one(`{"Type":"Parallel","Branches":[{"StartAt":"P","States":{"P":` + pass + `}}],"Retry":[{"ErrorEquals":` +
			`["States.ALL"]},{"ErrorEquals":["E"]}],"End":true}`),
			[]string{"States.ALL must appear alone and at end of list at /States/X/Retry[0]/ErrorEquals"}},
		{"no choices", choices(``), []string{"Value cannot be empty at /States/X/Choices"}},
		{"no alternatives", choices(`{"Not":{"Or":[]},"Next":"Y"}`), []string{"Value cannot be empty at /States/X/Choices[0]/Not/Or"}},
		{"no comparison", choices(`{"Variable":"$.v","Next":"Y"}`), []string{oneOf + operators + " at /States/X/Choices[0]"}},
		{"two comparisons", choices(`{"Variable":"$.v","StringEquals":"1","NumericGreaterThan":0,"Next":"Y"}`),
			[]string{"There should only be one of the following fields: " + operators + " at /States/X/Choices[0]"}},
		{"a variable that is no path", choices(`{"Variable":"v","StringEquals":"1","Next":"Y"}`),
			[]string{"Value is not a Reference Path: Reference path didn't start with '$' at " +
				"/States/X/Choices[0]/Variable"}},
		{"two times to wait", one(`{"Type":"Wait","Seconds":1,"Timestamp":"2025-01-01T00:00:10.000Z","End":true}`),
			[]string{"There should only be one of the following fields: [SecondsPath, Seconds, TimestampPath, " +
				"Timestamp] at /States/X"}},
		{"no time to wait", one(`{"Type":"Wait","End":true}`),
			[]string{oneOf + "[SecondsPath, Seconds, TimestampPath, Timestamp] at /States/X"}},
		{"part of a second", one(`{"Type":"Wait","Seconds":1.5,"End":true}`), []string{"Expected value of type Integer at /States/X/Seconds"}},
		{"a call that is none", one(`{"Type":"Pass","Parameters":{"v.$":"States.UUID(,)"},"End":true}`),
			[]string{"The value for the field 'v.$' must be a valid JSONPath or a valid intrinsic function call " +
				"at /States/X/Parameters"}},
		{"the result of a state that has none", in(`"JSONata"`, `{"Type":"Pass","Output":"{% $states.result %}","End":true}`),
			[]string{"Field '$states.result' does not exist. at /States/X/Output"}},
		{"a CSV file without headers", reader(`{"InputType":"CSV","ItemsPointer":"/a"}`),
			[]string{"The field 'CSVHeaderLocation' is required at " + config}},
		{"headers that are not given", reader(`{"InputType":"CSV","CSVHeaderLocation":"GIVEN"}`),
			[]string{"These fields are required: [CSVHeaders] at " + config}},
		{"headers of a file that has none", reader(`{"InputType":"JSONL","CSVHeaderLocation":"GIVEN","CSVHeaders":["id"]}`),
			[]string{"Field 'CSVHeaderLocation' is not supported at " + config, "Field 'CSVHeaders' is not " +
				"supported at " + config}},
		{"a manifest in JSON", reader(`{"InputType":"JSON","ManifestType":"ATHENA_DATA"}`),
			[]string{"Field 'ManifestType' is not supported at " + config}},
		{"a pointer that is none", reader(`{"InputType":"JSON","ItemsPointer":"data/items"}`),
			[]string{`Invalid input: JSON Pointer expression must start with '/': "data/items" at ` + config + "/ItemsPointer"}},
		{"objects of a listing, of no type", strings.Replace(reader(`{"Transformation":"LOAD_AND_FLATTEN"}`), "getObject", "listObjectsV2", 1),
			[]string{"The field 'InputType' is required at " + config}},
		{"a variable that was there before", `{"StartAt":"X","States":{"X":{"Type":"Pass","Assign":{"v":1},"Next":"Y"},"Y":{"Type":"Parallel",` +
			`"Branches":[{"StartAt":"P","States":{"P":{"Type":"Pass","Assign":{"v":1},"End":true}}}],"End":true}}}`,
			[]string{"The variable name 'v' was already defined in a parent scope. at " +
				"/States/Y/Branches[0]/States/P/Assign/v"}},
		// A recording has the same with a catcher; the rest follows from it.
		{"a variable that is there later", `{"StartAt":"Y","States":{"X":{"Type":"Pass","Assign":{"v":1},"End":true},"Y":{"Type":"Map",` +
			`"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","Assign":{"v":1},"End":true}}},"Next":"X"}}}`, nil},
		{"a variable that is there the second time", `{"StartAt":"Y","States":{"X":{"Type":"Choice","Choices":[{"Variable":"$.v","IsNull":true,` +
			`"Assign":{"v":1},"Next":"Y"}],"Default":"Z"},"Y":{"Type":"Map","ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass",` +
			`"Assign":{"v":1},"End":true}}},"Next":"X"},"Z":` + pass + `}}`,
			[]string{"The variable name 'v' was already defined in a parent scope. at " +
				"/States/Y/ItemProcessor/States/P/Assign/v"}},
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

// TestTimeoutOfAnExecution: the event says States.Timeout and follows nothing, and the execution itself has no error.
//
// Source: github.com/floci-io/floci/issues/2733, seen in us-east-1 (2026-08-29).
func TestTimeoutOfAnExecution(t *testing.T) {
	host := &clock{}
	r := New(compileOrFail(t, `{"StartAt":"W","TimeoutSeconds":3,"States":{"W":{"Type":"Wait","Seconds":25,"End":true}}}`), host,
		Info{Input: TextData(`{}`)})
	r.Start()
	host.now = r.NextWake()
	r.Tick()
	last := r.Events[len(r.Events)-1]
	if r.Status != TimedOut || r.Error != nil || r.Cause != nil || len(r.Events) != 3 ||
		last.Type != "ExecutionTimedOut" || last.Previous != 0 || last.Error == nil ||
		*last.Error != "States.Timeout" || last.Cause != nil {
		t.Errorf("%s, %v", r.Status, last)
	}
}
