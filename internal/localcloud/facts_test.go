package localcloud_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
)

// row is a line of a table in docs/aws-facts.
type row struct{ file, id, fact, source, date, sure, ours, test string }

// known reads docs/aws-facts.
func known(t *testing.T) (rows []row) {
	t.Helper()
	files, err := filepath.Glob("../../docs/aws-facts/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Base(file) == "README.md" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| id ") || strings.HasPrefix(line, "| ---") {
				continue
			}
			cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
			for i := range cells {
				cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "\x00", "|")
			}
			if len(cells) != 7 {
				t.Fatalf("%s: a row has %d cells, want 7: %s", file, len(cells), line)
			}
			rows = append(rows, row{file, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]})
		}
	}
	return rows
}

// TestKnownFacts holds the local cloud to what is known of AWS: every row of
// docs/aws-facts has a check here under its id, or names a test of another package
// (its folder below internal, and the test).
func TestKnownFacts(t *testing.T) {
	rows := known(t)
	if len(rows) < 80 {
		t.Errorf("%d rows, of which there were at least 80", len(rows))
	}
	seen, used := map[string]bool{}, map[string]bool{}
	date := regexp.MustCompile(`^20\d\d(-\d\d){0,2}$`)
	elsewhere := regexp.MustCompile("^`([a-z0-9/]+) (Test\\w+)`$")
	for _, r := range rows {
		if seen[r.id] {
			t.Errorf("%s: two rows are called %s", r.file, r.id)
		}
		seen[r.id] = true
		if r.fact == "" || r.source == "" || r.ours == "" || !date.MatchString(r.date) ||
			!slices.Contains([]string{"seen", "documented", "reported", "disputed"}, r.sure) {
			t.Errorf("%s: row %s is not complete, or its date or how sure it is has another form", r.file, r.id)
		}
		if m := elsewhere.FindStringSubmatch(r.test); m != nil {
			if !hasTest(t, filepath.Join("..", m[1]), m[2]) {
				t.Errorf("%s: row %s names %s of %s, which there is not", r.file, r.id, m[2], m[1])
			}
			continue
		}
		check := checks[r.id]
		if r.test != "`TestKnownFacts`" || check == nil {
			t.Errorf("%s: row %s has no check", r.file, r.id)
			continue
		}
		used[r.id] = true
		t.Run(r.id, func(t *testing.T) { check(newLives(t)) })
	}
	for id := range checks {
		if !used[id] {
			t.Errorf("no row has the check %s", id)
		}
	}
}

// hasTest reports whether a folder's tests have a function.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// refused wants a call to be refused with a code, and words in its message.
func (l *lives) refused(service, operation string, in map[string]any, code string, words ...string) {
	l.t.Helper()
	err := l.try(service, operation, in, nil)
	if awsapi.Code(err) != code {
		l.t.Errorf("%s:%s is answered with %v, want %s", service, operation, err, code)
		return
	}
	for _, w := range words {
		if message := awsapi.AsError(err).Message; !strings.Contains(message, w) {
			l.t.Errorf("%s:%s is refused with %q, want %q in it", service, operation, message, w)
		}
	}
}

// status is the HTTP status with which a call is refused.
func (l *lives) status(service, operation string, in map[string]any) int {
	l.t.Helper()
	return awsapi.AsError(l.try(service, operation, in, nil)).HTTPStatus()
}

// machine makes a state machine.
func (l *lives) machine(definition string) (arn string) {
	l.t.Helper()
	var made struct{ StateMachineArn string }
	l.call("sfn", "CreateStateMachine", map[string]any{"name": "m", "definition": definition, "roleArn": l.role()},
		&made)
	return made.StateMachineArn
}

func (l *lives) start(machine, name, input string) (arn string, err error) {
	var made struct{ ExecutionArn string }
	err = l.try("sfn", "StartExecution", map[string]any{"stateMachineArn": machine, "name": name, "input": input},
		&made)
	return made.ExecutionArn, err
}

// end is what an execution came to.
type end struct{ Status, Output, Error, Cause string }

func (l *lives) play(definition, input string) (e end) {
	l.t.Helper()
	arn, err := l.start(l.machine(definition), "x", input)
	if err != nil {
		l.t.Fatal(err)
	}
	l.sched.RunFor(time.Hour)
	l.call("sfn", "DescribeExecution", map[string]any{"executionArn": arn}, &e)
	return e
}

// jsonata is a state machine that evaluates an expression.
func jsonata(expression string) string {
	b, err := json.Marshal("{% " + expression + " %}")
	if err != nil {
		panic(err)
	}
	return `{"QueryLanguage":"JSONata","StartAt":"E","States":{"E":{"Type":"Pass","Output":{"r":` + string(b) + `},"End":true}}}`
}

// evaluates wants an expression to give a value, and fails one to fail as told.
func evaluates(expression, want string) func(*lives) {
	return func(l *lives) {
		if e := l.play(jsonata(expression), "{}"); e.Output != `{"r":`+want+`}` {
			l.t.Errorf("%s: %+v, want %s", expression, e, want)
		}
	}
}

func fails(expression string, words ...string) func(*lives) {
	return func(l *lives) {
		e := l.play(jsonata(expression), "{}")
		if e.Status != "FAILED" || e.Error != "States.QueryEvaluationError" {
			l.t.Errorf("%s: %+v, want it to fail", expression, e)
		}
		for _, w := range words {
			if !strings.Contains(e.Cause, w) {
				l.t.Errorf("%s fails because %q, want %q in it", expression, e.Cause, w)
			}
		}
	}
}

const (
	waits  = `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}}`
	passes = `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`
)

// table makes a table with keys PK and SK.
func (l *lives) table() {
	l.t.Helper()
	l.call("dynamodb", "CreateTable", map[string]any{
		"TableName": "things", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{
			map[string]any{"AttributeName": "PK", "AttributeType": "S"}, map[string]any{"AttributeName": "SK",
				"AttributeType": "S"},
		},
		"KeySchema": []any{
			map[string]any{"AttributeName": "PK", "KeyType": "HASH"}, map[string]any{"AttributeName": "SK",
				"KeyType": "RANGE"},
		},
	}, nil)
}

func text(s string) map[string]any { return map[string]any{"S": s} }

func key(n int) map[string]any {
	return map[string]any{"PK": text(fmt.Sprint("p", n)), "SK": text("s")}
}

func put(n int) map[string]any { return map[string]any{"TableName": "things", "Item": key(n)} }

// job makes a thing, or things, and a job for them.
func (l *lives) job(id string, more map[string]any, things ...string) map[string]any {
	l.t.Helper()
	var targets []string
	for _, name := range things {
		var made struct{ ThingArn string }
		l.call("iot", "CreateThing", map[string]any{"thingName": name}, &made)
		targets = append(targets, made.ThingArn)
	}
	in := map[string]any{"jobId": id, "targets": targets, "document": `{"a":1}`}
	for k, v := range more {
		in[k] = v
	}
	return in
}

// begun makes a job for things and lets it roll out.
func (l *lives) begun(things ...string) {
	l.t.Helper()
	l.call("iot", "CreateJob", l.job("j", nil, things...), nil)
	l.sched.RunFor(time.Minute)
}

func (l *lives) update(thing, job, status string, more ...any) error {
	in := map[string]any{"thingName": thing, "jobId": job, "status": status}
	for i := 0; i+1 < len(more); i += 2 {
		in[fmt.Sprint(more[i])] = more[i+1]
	}
	return l.try("iotjobsdataplane", "UpdateJobExecution", in, nil)
}

// described is a member of a job as it is described.
func (l *lives) described(job, member string) string {
	l.t.Helper()
	var out struct{ Job map[string]json.RawMessage }
	l.call("iot", "DescribeJob", map[string]any{"jobId": job}, &out)
	return string(out.Job[member])
}

func (l *lives) want(what, got, want string) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func (l *lives) rule(sql string) error {
	role, url := l.role(), l.queue("q")
	return l.try("iot", "CreateTopicRule", map[string]any{"ruleName": "r", "topicRulePayload": map[string]any{
		"sql": sql, "awsIotSqlVersion": "2016-03-23",
		"actions": []any{map[string]any{"sqs": map[string]any{"queueUrl": url, "roleArn": role}}},
	}}, nil)
}

func refusedRule(sql string) func(*lives) {
	return func(l *lives) {
		if code := awsapi.Code(l.rule(sql)); code != "SqlParseException" {
			l.t.Errorf("%s: %q, want SqlParseException", sql, code)
		}
	}
}

// session is a client of the broker and the topics that it has heard.
type session struct {
	topics, payloads []string
	conn             *iotdataplane.Connection
}

func (l *lives) session(thing string) *session {
	l.t.Helper()
	s := &session{}
	c := iotdataplane.Client{
		Options: iotdataplane.Options{Hello: iotdataplane.Hello{ClientID: thing, SourceIP: "127.0.0.1"}, Clean: true},
		OnMessage: func(_ *iotdataplane.Connection, m iotdataplane.Message) {
			s.topics, s.payloads = append(s.topics, m.Topic), append(s.payloads, string(m.Payload))
		},
	}
	l.admit(&c)
	var err error
	if s.conn, err = l.cloud.Devices().Connect(l.t.Context(), c); err != nil {
		l.t.Fatal(err)
	}
	if _, err := s.conn.Subscribe(l.t.Context(), iotdataplane.Subscription{Filter: "$aws/things/" + thing + "/jobs/#",
		QoS: 1}); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// says publishes, and returns what the client hears after it.
func (l *lives) says(s *session, topic, payload string) (topics, payloads []string) {
	l.t.Helper()
	l.sched.RunFor(time.Second)
	s.topics, s.payloads = nil, nil
	if topic != "" {
		if err := s.conn.Publish(l.t.Context(), iotdataplane.Message{Topic: topic, Payload: []byte(payload),
			QoS: 1}); err != nil {
			l.t.Fatal(err)
		}
	}
	l.sched.RunFor(time.Second)
	return s.topics, s.payloads
}

var checks = map[string]func(*lives){
	// Step Functions.
	"sfn-start-again": func(l *lives) {
		m := l.machine(waits)
		first, err := l.start(m, "x", "{}")
		again, err2 := l.start(m, "x", "{}")
		if err != nil || err2 != nil || first != again {
			l.t.Errorf("%s %v, then %s %v", first, err, again, err2)
		}
	},
	"sfn-start-other-input": func(l *lives) {
		m := l.machine(waits)
		_, _ = l.start(m, "x", "{}")
		_, err := l.start(m, "x", `{"a":1}`)
		l.want("another input", awsapi.Code(err), "ExecutionAlreadyExists")
	},
	"sfn-start-closed": func(l *lives) {
		m := l.machine(passes)
		_, _ = l.start(m, "x", "{}")
		l.sched.RunFor(time.Minute)
		_, err := l.start(m, "x", "{}")
		l.want("the name of a closed execution", awsapi.Code(err), "ExecutionAlreadyExists")
	},
	"sfn-name-90-days": func(l *lives) {
		m := l.machine(passes)
		_, _ = l.start(m, "x", "{}")
		l.sched.RunFor(91 * 24 * time.Hour)
		_, err := l.start(m, "x", "{}")
		l.want("the name after 91 days", awsapi.Code(err), "")
	},
	"sfn-input-size": func(l *lives) {
		m := l.machine(passes)
		_, err := l.start(m, "x", `"`+strings.Repeat("a", 262_142)+`"`)
		l.want("262,144 bytes", awsapi.Code(err), "")
		_, err = l.start(m, "y", `"`+strings.Repeat("a", 262_143)+`"`)
		l.want("262,145 bytes", awsapi.Code(err), "ValidationException")
	},
	"sfn-input-json": func(l *lives) {
		_, err := l.start(l.machine(passes), "x", `{`)
		l.want("input that is no JSON", awsapi.Code(err), "InvalidExecutionInput")
	},
	"sfn-token-malformed": func(l *lives) {
		l.refused("sfn", "SendTaskSuccess", map[string]any{"taskToken": "x", "output": "{}"}, "InvalidToken")
	},
	"sfn-name-characters": func(l *lives) {
		m := l.machine(passes)
		for _, name := range []string{"a b", "a/b", "a:b"} {
			_, err := l.start(m, name, "{}")
			l.want(name, awsapi.Code(err), "InvalidName")
		}
		_, err := l.start(m, strings.Repeat("a", 80), "{}")
		l.want("80 characters", awsapi.Code(err), "")
	},
	"sfn-log-group": func(l *lives) {
		in := map[string]any{"name": "m", "definition": passes, "roleArn": l.role(),
			"loggingConfiguration": map[string]any{"level": "ALL", "destinations": []any{map[string]any{
				"cloudWatchLogsLogGroup": map[string]any{
					"logGroupArn": "arn:aws:logs:us-east-1:" + account + ":log-group:/machines:*"}}}}}
		l.refused("sfn", "CreateStateMachine", in, "InvalidLoggingConfiguration",
			"Invalid Logging Configuration: Log Destination not found.")
		l.call("cloudwatchlogs", "CreateLogGroup", map[string]any{"logGroupName": "/machines"}, nil)
		l.call("sfn", "CreateStateMachine", in, nil)
	},
	"lambda-unknown-latest": func(l *lives) {
		const f = "arn:aws:lambda:us-east-1:" + account + ":function:nobody"
		for name, words := range map[string]string{"nobody": f + ":$LATEST", "nobody:live": f + ":live"} {
			l.refused("lambda", "Invoke", map[string]any{"FunctionName": name}, "ResourceNotFoundException",
				"Function not found: "+words)
		}
	},
	"sfn-name-length": func(l *lives) {
		m, name := l.machine(passes), strings.Repeat("a", 81)
		_, err := l.start(m, name, "{}")
		l.want("81 characters", awsapi.Code(err), "ValidationException")
		if want := "1 validation error detected: Value '" + name + "' at 'name' failed to satisfy constraint: " +
			"Member must " +
			"have length less than or equal to 80"; err == nil || awsapi.AsError(err).Message != want {
			l.t.Errorf("%v", err)
		}
	},
	"sfn-jsonata-format-number": fails(`$formatNumber(1, "x")`, "D3086"),
	"sfn-jsonata-base64":        fails(`$base64decode("!!!")`),
	"sfn-jsonata-eval":          fails(`$eval("1+1")`),
	"sfn-jsonata-range":         fails(`$sum([1..900000])`),
	"sfn-jsonata-depth":         fails("1" + strings.Repeat("+1", 199)),
	"sfn-jsonata-undefined":     fails(`$states.input.missing`, "'$states.input.missing' specified for the field 'Output/r' returned nothing (undefined)."),
	"sfn-jsonata-big-string":    evaluates(`$string(1e20)`, `"100000000000000000000"`),
	"sfn-jsonata-partition":     evaluates(`$partition([1,2,3,4], 2)`, `[[1,2],[3,4]]`),
	"sfn-jsonata-range-step":    evaluates(`$range(0, 6, 2)`, `[0,2,4,6]`),
	"sfn-jsonata-hash":          evaluates(`$hash("input", "SHA-1")`, `"140f86aae51ab9e1cda9b4254fe98a74eb54c1a1"`),
	"sfn-jsonata-random-seed":   evaluates(`$random(42)`, `0.7275636800328681`),
	"sfn-jsonata-parsed-at-creation": func(l *lives) {
		l.refused("sfn", "CreateStateMachine", map[string]any{"name": "m", "roleArn": l.role(),
			"definition": jsonata("1 +")}, "InvalidDefinition")
	},
	"sfn-base64-padding": func(l *lives) {
		e := l.play(`{"StartAt":"P","States":{"P":{"Type":"Pass","Parameters":{"r.$":"States.Base64Decode('YQ')"},"End":true}}}`, "{}")
		l.want("YQ without its padding", e.Output, `{"r":"a"}`)
	},
	"sfn-base64-length": func(l *lives) {
		e := l.play(`{"StartAt":"P","States":{"P":{"Type":"Pass","Parameters":{"r.$":"States.Base64Encode($.s)"},"End":true}}}`,
			`{"s":"`+strings.Repeat("a", 10_001)+`"}`)
		l.want("10,001 characters", e.Status, "FAILED")
	},

	// Lambda.
	"lambda-batch-window": func(l *lives) {
		l.post(3)
		in := map[string]any{"EventSourceArn": letters, "FunctionName": "f", "BatchSize": 11}
		l.refused("lambda", "CreateEventSourceMapping", in, "InvalidParameterValueException")
		in["MaximumBatchingWindowInSeconds"] = 1
		l.call("lambda", "CreateEventSourceMapping", in, nil)
	},
	"lambda-mapping-concurrency": func(l *lives) {
		l.post(3)
		for n, code := range map[int]string{1: "ValidationException", 1001: "ValidationException", 2: ""} {
			err := l.try("lambda", "CreateEventSourceMapping", map[string]any{
				"EventSourceArn": letters, "FunctionName": "f", "ScalingConfig": map[string]any{
					"MaximumConcurrency": n,
				},
			}, nil)
			l.want(fmt.Sprint("MaximumConcurrency ", n), awsapi.Code(err), code)
		}
	},
	"lambda-mapping-visibility": func(l *lives) {
		queue, _ := l.post(3)
		l.call("sqs", "SetQueueAttributes", map[string]any{"QueueUrl": queue, "Attributes": map[string]string{
			"VisibilityTimeout": "5",
		}}, nil)
		l.refused("lambda", "CreateEventSourceMapping", map[string]any{"EventSourceArn": letters, "FunctionName": "f"},
			"InvalidParameterValueException", "visibility timeout", "less than Function timeout")
	},
	"lambda-mapping-attributes": func(l *lives) {
		queue, _ := l.post(3)
		var got sqsEvent
		l.run = func(_ string, payload []byte) ([]byte, error) { return nil, json.Unmarshal(payload, &got) }
		l.feed(nil)
		l.send(queue, "x")
		l.sched.RunFor(time.Minute)
		for _, name := range []string{"ApproximateReceiveCount", "SentTimestamp", "SenderId",
			"ApproximateFirstReceiveTimestamp"} {
			if len(got.Records) != 1 || got.Records[0].Attributes[name] == "" {
				l.t.Errorf("there is no %s in %+v", name, got)
			}
		}
	},
	"lambda-unreserved": func(l *lives) {
		l.post(3)
		l.refused("lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": "f",
			"ReservedConcurrentExecutions": 901},
			"InvalidParameterValueException", "below its minimum value of [100]")
		l.call("lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": "f",
			"ReservedConcurrentExecutions": 900}, nil)
	},
	"lambda-reserved-zero": func(l *lives) {
		l.post(3)
		l.call("lambda", "PutFunctionConcurrency", map[string]any{"FunctionName": "f",
			"ReservedConcurrentExecutions": 0}, nil)
		l.refused("lambda", "Invoke", map[string]any{"FunctionName": "f"}, "TooManyRequestsException")
		l.want("status", fmt.Sprint(l.status("lambda", "Invoke", map[string]any{"FunctionName": "f"})), "429")
	},
	"lambda-payload-json": func(l *lives) {
		l.post(3)
		l.refused("lambda", "Invoke", map[string]any{"FunctionName": "f", "Payload": []byte("{")},
			"InvalidRequestContentException")
	},
	"lambda-event-size": func(l *lives) {
		l.post(3)
		in := map[string]any{"FunctionName": "f", "InvocationType": "Event", "Payload": []byte(`"` + strings.Repeat("a", 1<<20) + `"`)}
		l.refused("lambda", "Invoke", in, "RequestTooLargeException")
		l.want("status", fmt.Sprint(l.status("lambda", "Invoke", in)), "413")
	},
	"lambda-publish-unchanged": func(l *lives) {
		l.post(3)
		var first, again struct{ Version string }
		l.call("lambda", "PublishVersion", map[string]any{"FunctionName": "f"}, &first)
		l.call("lambda", "PublishVersion", map[string]any{"FunctionName": "f"}, &again)
		l.want("the version published again", again.Version, first.Version)
	},

	// DynamoDB.
	"dynamodb-transaction-size": func(l *lives) {
		l.table()
		var list []any
		for n := range 101 {
			list = append(list, map[string]any{"Put": put(n)})
		}
		l.refused("dynamodb", "TransactWriteItems", map[string]any{"TransactItems": list}, "ValidationException")
		l.call("dynamodb", "TransactWriteItems", map[string]any{"TransactItems": list[:100]}, nil)
	},
	"dynamodb-transaction-item-twice": func(l *lives) {
		l.table()
		l.refused("dynamodb", "TransactWriteItems", map[string]any{
			"TransactItems": []any{map[string]any{"Put": put(1)}, map[string]any{"Put": put(1)}},
		}, "ValidationException", "Transaction request cannot include multiple operations on one item")
	},
	"dynamodb-reason-none": func(l *lives) {
		l.table()
		failing := put(2)
		failing["ConditionExpression"] = "attribute_exists(PK)"
		err := l.try("dynamodb", "TransactWriteItems", map[string]any{
			"TransactItems": []any{map[string]any{"Put": put(1)}, map[string]any{"Put": failing}},
		}, nil)
		b, _ := json.Marshal(awsapi.AsError(err).Fields["CancellationReasons"])
		l.want("reasons", string(b), `[{"Code":"None"},{"Code":"ConditionalCheckFailed","Message":"The conditional request failed"}]`)
		l.want("message", awsapi.AsError(err).Message,
			"Transaction cancelled, please refer cancellation reasons for specific reasons [None, "+
				"ConditionalCheckFailed]")
	},
	"dynamodb-client-token": func(l *lives) {
		l.table()
		in := map[string]any{"ClientRequestToken": "a", "TransactItems": []any{map[string]any{"Put": put(1)}}}
		l.call("dynamodb", "TransactWriteItems", in, nil)
		l.call("dynamodb", "TransactWriteItems", in, nil)
		in["TransactItems"] = []any{map[string]any{"Put": put(2)}}
		l.refused("dynamodb", "TransactWriteItems", in, "IdempotentParameterMismatchException")
		l.sched.RunFor(11 * time.Minute)
		l.call("dynamodb", "TransactWriteItems", in, nil)
	},
	"dynamodb-item-size": func(l *lives) {
		l.table()
		in := put(1)
		in["Item"].(map[string]any)["a"] = text(strings.Repeat("a", 400<<10))
		l.refused("dynamodb", "PutItem", in, "ValidationException", "Item size has exceeded the maximum allowed size")
	},
	"dynamodb-empty-key": func(l *lives) {
		l.table()
		l.refused("dynamodb", "PutItem", map[string]any{"TableName": "things", "Item": map[string]any{"PK": text(""),
			"SK": text("s")}},
			"ValidationException", "cannot contain an empty string value. Key: PK")
	},
	"dynamodb-batch-get-size": func(l *lives) {
		l.table()
		var keys []any
		for n := range 101 {
			keys = append(keys, key(n))
		}
		l.refused("dynamodb", "BatchGetItem",
			map[string]any{"RequestItems": map[string]any{"things": map[string]any{"Keys": keys}}},
			"ValidationException")
	},
	"dynamodb-batch-write-size": func(l *lives) {
		l.table()
		var list []any
		for n := range 26 {
			list = append(list, map[string]any{"PutRequest": map[string]any{"Item": key(n)}})
		}
		l.refused("dynamodb", "BatchWriteItem", map[string]any{"RequestItems": map[string]any{"things": list}},
			"ValidationException")
	},
	"dynamodb-update-key": func(l *lives) {
		l.table()
		l.refused("dynamodb", "UpdateItem", map[string]any{
			"TableName": "things", "Key": key(1), "UpdateExpression": "SET PK = :a",
			"ExpressionAttributeValues": map[string]any{":a": text("b")},
		}, "ValidationException", "Cannot update attribute PK. This attribute is part of the key")
	},
	"dynamodb-reserved-word": func(l *lives) {
		l.table()
		l.refused("dynamodb", "UpdateItem", map[string]any{
			"TableName": "things", "Key": key(1), "UpdateExpression": "SET status = :a",
			"ExpressionAttributeValues": map[string]any{":a": text("b")},
		}, "ValidationException", "Attribute name is a reserved keyword; reserved keyword: status")
	},
	"dynamodb-old-ttl": func(l *lives) {
		l.table()
		l.call("dynamodb", "UpdateTimeToLive", map[string]any{
			"TableName": "things", "TimeToLiveSpecification": map[string]any{"Enabled": true, "AttributeName": "e"},
		}, nil)
		for n, at := range map[int]time.Time{1: start.AddDate(-6, 0, 0), 2: start.AddDate(-1, 0, 0)} {
			in := put(n)
			in["Item"].(map[string]any)["e"] = map[string]any{"N": fmt.Sprint(at.Unix())}
			l.call("dynamodb", "PutItem", in, nil)
		}
		l.sched.RunFor(72 * time.Hour)
		var out struct {
			Items []map[string]map[string]string
		}
		l.call("dynamodb", "Scan", map[string]any{"TableName": "things"}, &out)
		if len(out.Items) != 1 || out.Items[0]["PK"]["S"] != "p1" {
			l.t.Errorf("left: %v", out.Items)
		}
	},

	"dynamodb-index-late": func(l *lives) {
		l.indexed()
		l.call("dynamodb", "PutItem", putG(1), nil)
		count := func() (out struct{ Count int }) {
			l.call("dynamodb", "Query", byG(), &out)
			return out
		}
		l.want("at the moment of the write", fmt.Sprint(count().Count), "0")
		l.sched.RunFor(time.Second)
		l.want("a second later", fmt.Sprint(count().Count), "1")
	},
	"dynamodb-index-consistent": func(l *lives) {
		l.indexed()
		l.refused("dynamodb", "Query", byG("ConsistentRead", true), "ValidationException",
			"Consistent reads are not supported on global secondary indexes")
	},
	"dynamodb-index-permission": func(l *lives) {
		l.indexed()
		const arn = "arn:aws:dynamodb:us-east-1:" + account + ":table/things"
		role := awsapi.Identity{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/some/f",
			RoleARN: "arn:aws:iam::" + account + ":role/some"}
		l.call("iam", "CreateRole", map[string]any{"RoleName": "some", "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}, nil)
		for _, may := range []struct{ on, code string }{{arn, "AccessDeniedException"}, {arn + "/index/byG", ""},
			{arn + "/index/*", ""}} {
			l.call("iam", "PutRolePolicy", map[string]any{"RoleName": "some", "PolicyName": "p", "PolicyDocument": `{
				"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:Query","dynamodb:Scan"],
				"Resource":"` + may.on + `"}]}`}, nil)
			err := awsapi.CallInto(l.t.Context(), l.cloud.Door(), role, "dynamodb", "Query", byG(), nil)
			l.want("with a permission for "+may.on, awsapi.Code(err), may.code)
			err = awsapi.CallInto(l.t.Context(), l.cloud.Door(), role, "dynamodb", "Scan",
				map[string]any{"TableName": "things", "IndexName": "byG"}, nil)
			l.want("a scan with a permission for "+may.on, awsapi.Code(err), may.code)
		}
	},
	"dynamodb-index-one-at-a-time": func(l *lives) {
		l.indexed()
		create := func(name string) map[string]any {
			return map[string]any{"TableName": "things",
				"AttributeDefinitions": []any{map[string]any{"AttributeName": "g", "AttributeType": "S"}},
				"GlobalSecondaryIndexUpdates": []any{map[string]any{"Create": map[string]any{"IndexName": name,
					"KeySchema":  []any{map[string]any{"AttributeName": "g", "KeyType": "HASH"}},
					"Projection": map[string]any{"ProjectionType": "ALL"}}}}}
		}
		l.call("dynamodb", "UpdateTable", create("second"), nil)
		l.refused("dynamodb", "UpdateTable", create("third"), "LimitExceededException",
			"Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
		l.sched.RunFor(time.Minute)
		l.call("dynamodb", "UpdateTable", create("third"), nil)
	},
	"dynamodb-index-projection": func(l *lives) {
		l.indexed()
		l.refused("dynamodb", "Query", byG("ProjectionExpression", "PK, v"), "ValidationException",
			"One or more parameter values were invalid: Global secondary index byG does not project [v]")
		l.refused("dynamodb", "Query", byG("FilterExpression", "attribute_exists(v)"), "ValidationException",
			"Secondary index byG does not project one or more filter attributes: [v]")
	},
	"dynamodb-index-key-type": func(l *lives) {
		l.indexed()
		in := putG(1)
		in["Item"].(map[string]any)["g"] = map[string]any{"N": "1"}
		l.refused("dynamodb", "PutItem", in, "ValidationException",
			"One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N "+
				"IndexName: byG")
	},
	"dynamodb-index-empty-key": func(l *lives) {
		l.indexed()
		in := putG(1)
		in["Item"].(map[string]any)["g"] = text("")
		l.refused("dynamodb", "TransactWriteItems", map[string]any{"TransactItems": []any{map[string]any{"Put": in}}},
			"ValidationException", "A value specified for a secondary index key is not supported. The AttributeValue "+
				"for a key attribute cannot contain an empty string value. IndexName: byG, IndexKey: g")
	},
	"dynamodb-values-not-empty": func(l *lives) {
		l.table()
		l.refused("dynamodb", "UpdateItem", map[string]any{"TableName": "things", "Key": key(1),
			"UpdateExpression": "REMOVE a", "ExpressionAttributeValues": map[string]any{}}, "ValidationException",
			"ExpressionAttributeValues must not be empty")
		in := put(1)
		in["ConditionExpression"], in["ExpressionAttributeValues"] = "attribute_not_exists(PK)", map[string]any{}
		l.refused("dynamodb", "TransactWriteItems", map[string]any{"TransactItems": []any{map[string]any{"Put": in}}},
			"ValidationException", "ExpressionAttributeValues must not be empty")
	},
	"dynamodb-values-unused": func(l *lives) {
		l.table()
		l.refused("dynamodb", "UpdateItem", map[string]any{"TableName": "things", "Key": key(1),
			"UpdateExpression":          "SET x = :one",
			"ExpressionAttributeValues": map[string]any{":one": text("1"), ":else": text("2")}}, "ValidationException",
			"Value provided in ExpressionAttributeValues unused in expressions: keys: {:else}")
		l.refused("dynamodb", "UpdateItem", map[string]any{"TableName": "things", "Key": key(1),
			"UpdateExpression": "SET x = :one", "ExpressionAttributeNames": map[string]any{"#a": "a"},
			"ExpressionAttributeValues": map[string]any{":one": text("1")}}, "ValidationException",
			"Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}")
	},
	"dynamodb-section-twice": func(l *lives) {
		l.table()
		for expression, says := range map[string]string{
			"ADD x :one SET a = :one ADD y :one": `Invalid UpdateExpression: The "ADD" section can only be used once in an ` +
				"update expression;",
			"SET a = :one SET b = :one": `Invalid UpdateExpression: The "SET" section can only be used once in an update ` +
				"expression;",
			"SET a = :one,": "Invalid UpdateExpression: Syntax error",
		} {
			l.refused("dynamodb", "UpdateItem", map[string]any{"TableName": "things", "Key": key(1),
				"UpdateExpression":          expression,
				"ExpressionAttributeValues": map[string]any{":one": map[string]any{"N": "1"}}},
				"ValidationException", says)
		}
	},
	"dynamodb-reasons-all": func(l *lives) {
		l.table()
		var list []any
		for n := range 2 {
			l.call("dynamodb", "PutItem", put(n), nil)
			in := put(n)
			in["ConditionExpression"] = "attribute_not_exists(PK)"
			in["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
			list = append(list, map[string]any{"Put": in})
		}
		err := l.try("dynamodb", "TransactWriteItems", map[string]any{"TransactItems": list}, nil)
		b, _ := json.Marshal(awsapi.AsError(err).Fields["CancellationReasons"])
		l.want("items in the reasons", fmt.Sprint(strings.Count(string(b), `"Item"`)), "2")
	},
	"dynamodb-batch-whole": func(l *lives) {
		l.table()
		l.refused("dynamodb", "BatchWriteItem", map[string]any{"RequestItems": map[string]any{"things": []any{
			map[string]any{"PutRequest": map[string]any{"Item": key(1)}},
			map[string]any{"PutRequest": map[string]any{"Item": map[string]any{"PK": text(""), "SK": text("s")}}},
		}}}, "ValidationException")
		var out struct{ Count int }
		l.call("dynamodb", "Scan", map[string]any{"TableName": "things", "ConsistentRead": true}, &out)
		l.want("written of a batch with a mistake", fmt.Sprint(out.Count), "0")
	},
	"dynamodb-transaction-key-type": func(l *lives) {
		l.table()
		wrong := map[string]any{"TableName": "things", "Item": map[string]any{"PK": map[string]any{"N": "1"},
			"SK": text("s")}}
		err := l.try("dynamodb", "TransactWriteItems", map[string]any{"TransactItems": []any{
			map[string]any{"Put": put(1)}, map[string]any{"Put": wrong}}}, nil)
		l.want("a key of another type", awsapi.Code(err), "TransactionCanceledException")
		b, _ := json.Marshal(awsapi.AsError(err).Fields["CancellationReasons"])
		l.want("its reason", fmt.Sprint(strings.Contains(string(b), `{"Code":"None"},{"Code":"ValidationError"`)), "true")
		empty := map[string]any{"TableName": "things", "Item": map[string]any{"PK": text(""), "SK": text("s")}}
		l.refused("dynamodb", "TransactWriteItems", map[string]any{"TransactItems": []any{
			map[string]any{"Put": put(1)}, map[string]any{"Put": empty}}}, "ValidationException")
	},
	"dynamodb-between": func(l *lives) {
		l.table()
		l.refused("dynamodb", "Query", map[string]any{"TableName": "things",
			"KeyConditionExpression":    "PK = :p AND SK BETWEEN :b AND :a",
			"ExpressionAttributeValues": map[string]any{":p": text("p1"), ":a": text("a"), ":b": text("b")}},
			"ValidationException",
			"The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
	},
	"dynamodb-add-type": func(l *lives) {
		l.table()
		in := put(1)
		in["Item"].(map[string]any)["a"] = text("b")
		l.call("dynamodb", "PutItem", in, nil)
		l.refused("dynamodb", "UpdateItem", map[string]any{"TableName": "things", "Key": key(1),
			"UpdateExpression":          "ADD a :one",
			"ExpressionAttributeValues": map[string]any{":one": map[string]any{"N": "1"}}},
			"ValidationException", "An operand in the update expression has an incorrect data type")
		l.refused("dynamodb", "UpdateItem", map[string]any{"TableName": "things", "Key": key(1),
			"UpdateExpression": "ADD a :one", "ExpressionAttributeValues": map[string]any{":one": text("1")}},
			"ValidationException", `Incorrect operand type for operator or function; operator: ADD, operand type: STRING`)
	},

	"dynamodb-transaction-get-key": func(l *lives) {
		l.table()
		err := l.try("dynamodb", "TransactGetItems", map[string]any{"TransactItems": []any{
			map[string]any{"Get": map[string]any{"TableName": "things", "Key": key(1)}},
			map[string]any{"Get": map[string]any{"TableName": "things", "Key": map[string]any{"PK": text("p1")}}},
		}}, nil)
		l.want("a key that lacks a part", awsapi.Code(err), "TransactionCanceledException")
		b, _ := json.Marshal(awsapi.AsError(err).Fields["CancellationReasons"])
		l.want("its reason", fmt.Sprint(strings.Contains(string(b), `{"Code":"None"},{"Code":"ValidationError"`)), "true")
	},

	// SQS.
	"sqs-receive-most": func(l *lives) {
		l.refused("sqs", "ReceiveMessage", map[string]any{"QueueUrl": l.queue("q"), "MaxNumberOfMessages": 11},
			"InvalidParameterValueException")
	},
	"sqs-delay-most": func(l *lives) {
		l.refused("sqs", "SendMessage", map[string]any{"QueueUrl": l.queue("q"), "MessageBody": "a",
			"DelaySeconds": 901}, "InvalidParameterValueException")
	},
	"sqs-visibility-most": func(l *lives) {
		l.refused("sqs", "ReceiveMessage", map[string]any{"QueueUrl": l.queue("q"), "VisibilityTimeout": 43_201},
			"InvalidParameterValueException")
	},
	"sqs-message-size": func(l *lives) {
		q := l.queue("q")
		var out struct{ Attributes map[string]string }
		l.call("sqs", "GetQueueAttributes", map[string]any{"QueueUrl": q, "AttributeNames": []string{
			"MaximumMessageSize",
		}}, &out)
		l.want("MaximumMessageSize", out.Attributes["MaximumMessageSize"], "1048576")
		l.call("sqs", "SendMessage", map[string]any{"QueueUrl": q, "MessageBody": strings.Repeat("a", 1<<20)}, nil)
		l.refused("sqs", "SendMessage", map[string]any{"QueueUrl": q, "MessageBody": strings.Repeat("a", 1<<20+1)},
			"InvalidParameterValueException")
	},
	"sqs-attributes-count": func(l *lives) {
		q := l.queue("q")
		in := map[string]any{"QueueUrl": q, "MessageBody": strings.Repeat("a", 1<<20-10),
			"MessageAttributes": map[string]any{
				"name": map[string]any{"DataType": "String", "StringValue": "v"},
			}}
		l.refused("sqs", "SendMessage", in, "InvalidParameterValueException") // 4 + 6 + 1 bytes more
	},
	"sqs-batch-size": func(l *lives) {
		q := l.queue("q")
		entry := func(id string) map[string]any {
			return map[string]any{"Id": id, "MessageBody": strings.Repeat("a", 600<<10)}
		}
		l.refused("sqs", "SendMessageBatch", map[string]any{"QueueUrl": q, "Entries": []any{entry("1"), entry("2")}},
			"BatchRequestTooLong")
	},
	"sqs-create-again": func(l *lives) {
		in := map[string]any{"QueueName": "q", "Attributes": map[string]string{"VisibilityTimeout": "30"}}
		l.call("sqs", "CreateQueue", in, nil)
		l.call("sqs", "CreateQueue", in, nil)
		in["Attributes"] = map[string]string{"VisibilityTimeout": "31"}
		l.refused("sqs", "CreateQueue", in, "QueueNameExists")
		l.want("the code of Query", awsapi.AsError(l.try("sqs", "CreateQueue", in, nil)).QueryCode,
			"QueueAlreadyExists")
	},
	"sqs-move-source": func(l *lives) {
		l.queue("q")
		err := l.try("sqs", "StartMessageMoveTask",
			map[string]any{"SourceArn": "arn:aws:sqs:us-east-1:123456789012:q"}, nil)
		if err == nil {
			l.t.Error("a queue that is nobody's dead-letter queue was the source of a move")
		}
	},

	// SNS.
	"sns-filter-keys": func(l *lives) {
		var topic struct{ TopicArn string }
		l.call("sns", "CreateTopic", map[string]any{"Name": "t"}, &topic)
		l.queue("q")
		subscribe := func(policy string) error {
			return l.try("sns", "Subscribe", map[string]any{
				"TopicArn": topic.TopicArn, "Protocol": "sqs", "Endpoint": "arn:aws:sqs:us-east-1:123456789012:q",
				"Attributes": map[string]string{"FilterPolicy": policy},
			}, nil)
		}
		err := subscribe(`{"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"],"f":["1"]}`)
		if awsapi.Code(err) != "InvalidParameter" || !strings.Contains(awsapi.AsError(err).Message,
			"Filter policy can not have more than 5 keys") {
			l.t.Errorf("six keys: %v", err)
		}
		l.want("five keys", awsapi.Code(subscribe(`{"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"]}`)), "")
	},
	"sns-message-size": func(l *lives) {
		var topic struct{ TopicArn string }
		l.call("sns", "CreateTopic", map[string]any{"Name": "t"}, &topic)
		l.refused("sns", "Publish", map[string]any{"TopicArn": topic.TopicArn, "Message": strings.Repeat("a", 256<<10+
			1)}, "InvalidParameter")
	},

	// AWS IoT, the registry and rules.
	"iot-three-attributes": func(l *lives) {
		four := map[string]string{"a": "1", "b": "1", "c": "1", "d": "1"}
		l.refused("iot", "CreateThing", map[string]any{"thingName": "x", "attributePayload": map[string]any{
			"attributes": four,
		}},
			"InvalidRequestException")
		l.call("iot", "CreateThingType", map[string]any{"thingTypeName": "t"}, nil)
		l.call("iot", "CreateThing", map[string]any{
			"thingName": "x", "thingTypeName": "t", "attributePayload": map[string]any{"attributes": four},
		}, nil)
	},
	"iot-attribute-value": func(l *lives) {
		for _, value := range []string{"a b", "a+b"} {
			l.refused("iot", "CreateThing", map[string]any{
				"thingName": "x", "attributePayload": map[string]any{"attributes": map[string]string{"a": value}},
			}, "InvalidRequestException")
		}
	},
	"iot-thing-again": func(l *lives) {
		in := map[string]any{"thingName": "x", "attributePayload": map[string]any{
			"attributes": map[string]string{"a": "1"},
		}}
		l.call("iot", "CreateThing", in, nil)
		l.call("iot", "CreateThing", in, nil)
		in["attributePayload"] = map[string]any{"attributes": map[string]string{"a": "2"}}
		l.refused("iot", "CreateThing", in, "ResourceAlreadyExistsException")
		l.want("status", fmt.Sprint(l.status("iot", "CreateThing", in)), "409")
	},
	"iot-endpoint-jobs": func(l *lives) {
		l.refused("iot", "DescribeEndpoint", map[string]any{"endpointType": "iot:Jobs"}, "InvalidRequestException",
			"IoT Jobs and Commands APIs are now available through iot:Data-ATS endpoints instead of iot:Jobs "+
				"endpoints. Please use iot:Data-ATS.")
	},
	"iot-endpoint-unknown": func(l *lives) {
		l.refused("iot", "DescribeEndpoint", map[string]any{"endpointType": "iot:Nothing"}, "InvalidRequestException")
	},
	"iot-policy-versions": func(l *lives) {
		doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`
		l.call("iot", "CreatePolicy", map[string]any{"policyName": "p", "policyDocument": doc}, nil)
		for range 4 {
			l.call("iot", "CreatePolicyVersion", map[string]any{"policyName": "p", "policyDocument": doc}, nil)
		}
		l.refused("iot", "CreatePolicyVersion", map[string]any{"policyName": "p", "policyDocument": doc},
			"VersionsLimitExceededException")
	},
	"iot-sql-not-equal": refusedRule("SELECT * FROM 'a' WHERE b != 1"),
	"iot-sql-equal":     refusedRule("SELECT * FROM 'a' WHERE b == 1"),
	"iot-rule-role": func(l *lives) {
		const nobody = "arn:aws:iam::" + account + ":role/nobody"
		payload := map[string]any{"sql": "SELECT * FROM 'a'", "ruleDisabled": true, "actions": []any{
			map[string]any{"republish": map[string]any{"roleArn": nobody, "topic": "b"}}}}
		l.refused("iot", "CreateTopicRule", map[string]any{"ruleName": "r", "topicRulePayload": payload},
			"InvalidRequestException", "is unable to assume role (sts:AssumeRole) on resource: "+nobody)
		l.call("iam", "CreateRole", map[string]any{"RoleName": "nobody", "AssumeRolePolicyDocument": `{"Version":"2012-10-17",` +
			`"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`},
			nil)
		l.refused("iot", "CreateTopicRule", map[string]any{"ruleName": "r", "topicRulePayload": payload},
			"InvalidRequestException")
		l.call("iam", "UpdateAssumeRolePolicy", map[string]any{"RoleName": "nobody",
			"PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":` +
				`"iot.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}, nil)
		l.call("iot", "CreateTopicRule", map[string]any{"ruleName": "r", "topicRulePayload": payload}, nil)
	},
	"iot-sql-open": refusedRule("SELECT * FROM 'a' WHERE (state = 'on'"),
	"iot-sql-operators": func(l *lives) {
		if err := l.rule("SELECT * FROM 'a' WHERE (b <> 1 OR NOT c) AND d IN ['x', 'y'] AND e * 2 > 10 AND " +
			"isUndefined(f)"); err != nil {
			l.t.Error(err)
		}
	},

	// AWS IoT Jobs.
	"jobs-again": func(l *lives) {
		in := l.job("j", nil, "x")
		l.call("iot", "CreateJob", in, nil)
		l.refused("iot", "CreateJob", in, "ResourceAlreadyExistsException")
		l.want("status", fmt.Sprint(l.status("iot", "CreateJob", in)), "409")
	},
	"jobs-document-size": func(l *lives) {
		in := l.job("j", nil, "x")
		in["document"] = `{"a":"` + strings.Repeat("a", 32_768-8) + `"}`
		l.call("iot", "CreateJob", in, nil)
		in["jobId"], in["document"] = "k", `{"a":"`+strings.Repeat("a", 32_768-7)+`"}`
		if l.try("iot", "CreateJob", in, nil) == nil {
			l.t.Error("a document of 32,769 bytes is taken")
		}
	},
	"jobs-id": func(l *lives) {
		in := l.job("a.b", nil, "x")
		for _, id := range []string{"a.b", "a:b", strings.Repeat("a", 65)} {
			in["jobId"] = id
			l.refused("iot", "CreateJob", in, "InvalidRequestException", "jobId")
		}
		in["jobId"] = strings.Repeat("a", 64)
		l.call("iot", "CreateJob", in, nil)
	},
	"jobs-start-time": func(l *lives) {
		in := l.job("j", map[string]any{"schedulingConfig": map[string]any{"startTime": "2026-03-01T13:00:00Z"}}, "x")
		l.refused("iot", "CreateJob", in, "InvalidRequestException")
		in["schedulingConfig"] = map[string]any{"startTime": "2026-03-01 13:00"}
		l.call("iot", "CreateJob", in, nil)
	},
	"jobs-timeout": func(l *lives) {
		in := l.job("j", map[string]any{"timeoutConfig": map[string]any{"inProgressTimeoutInMinutes": 10_081}}, "x")
		l.refused("iot", "CreateJob", in, "InvalidRequestException",
			"Provide valid timeout value, inProgressTimeoutInMinutes cannot be 10081.")
	},
	"jobs-empty-timeout": func(l *lives) {
		l.begun("x")
		l.want("timeoutConfig", l.described("j", "timeoutConfig"), "{}")
	},
	"jobs-process-details": func(l *lives) {
		l.call("iot", "CreateJob", l.job("j", map[string]any{
			"jobExecutionsRetryConfig": map[string]any{"criteriaList": []any{map[string]any{"failureType": "FAILED",
				"numberOfRetries": 2}}},
		}, "x"), nil)
		for range 3 {
			l.sched.RunFor(time.Minute)
			if err := l.update("x", "j", "FAILED"); err != nil {
				l.t.Error(err)
			}
		}
		var details struct{ NumberOfFailedThings int }
		if err := json.Unmarshal([]byte(l.described("j", "jobProcessDetails")), &details); err != nil {
			l.t.Fatal(err)
		}
		l.want("numberOfFailedThings of one thing that failed three times", fmt.Sprint(details.NumberOfFailedThings),
			"1")
	},
	"jobs-service-statuses": func(l *lives) {
		l.begun("x")
		for _, status := range []string{"CANCELED", "TIMED_OUT", "REMOVED"} {
			l.want(status, awsapi.Code(l.update("x", "j", status)), "InvalidRequestException")
		}
	},
	"jobs-not-back": func(l *lives) {
		l.begun("x")
		if err := l.update("x", "j", "IN_PROGRESS"); err != nil {
			l.t.Error(err)
		}
		l.want("QUEUED after IN_PROGRESS", awsapi.Code(l.update("x", "j", "QUEUED")),
			"InvalidStateTransitionException")
	},
	"jobs-terminal": func(l *lives) {
		l.begun("x")
		if err := l.update("x", "j", "SUCCEEDED"); err != nil {
			l.t.Error(err)
		}
		err := l.update("x", "j", "SUCCEEDED")
		l.want("an update", fmt.Sprint(awsapi.Code(err), " ", awsapi.AsError(err).HTTPStatus()),
			"InvalidStateTransitionException 409")
		err = l.try("iotjobsdataplane", "DescribeJobExecution", map[string]any{"thingName": "x", "jobId": "j"}, nil)
		l.want("a look", fmt.Sprint(awsapi.Code(err), " ", awsapi.AsError(err).HTTPStatus()),
			"TerminalStateException 410")
	},
	"jobs-version-http": func(l *lives) {
		l.begun("x")
		err := l.update("x", "j", "IN_PROGRESS", "expectedVersion", 99)
		l.want("another version", awsapi.Code(err), "InvalidStateTransitionException")
	},
	"jobs-version-control": func(l *lives) {
		l.begun("x")
		l.refused("iot", "CancelJobExecution", map[string]any{"thingName": "x", "jobId": "j", "expectedVersion": 5},
			"VersionConflictException")
	},
	"jobs-cancel-in-progress": func(l *lives) {
		l.begun("x")
		if err := l.update("x", "j", "IN_PROGRESS"); err != nil {
			l.t.Error(err)
		}
		l.refused("iot", "CancelJobExecution", map[string]any{"thingName": "x", "jobId": "j"},
			"InvalidStateTransitionException")
		l.call("iot", "CancelJobExecution", map[string]any{"thingName": "x", "jobId": "j", "force": true}, nil)
	},
	"jobs-delete-open": func(l *lives) {
		l.begun("x")
		l.refused("iot", "DeleteJob", map[string]any{"jobId": "j"}, "InvalidStateTransitionException")
	},
	"jobs-targets-unknown": func(l *lives) {
		in := l.job("j", nil, "x")
		in["targets"] = []string{"arn:aws:iot:us-east-1:123456789012:thing/nobody"}
		l.refused("iot", "CreateJob", in, "ResourceNotFoundException")
	},
	"jobs-thing-deleted": func(l *lives) {
		l.begun("x", "y")
		if err := l.update("x", "j", "SUCCEEDED"); err != nil {
			l.t.Error(err)
		}
		l.call("iot", "DeleteThing", map[string]any{"thingName": "y"}, nil)
		l.sched.RunFor(time.Minute)
		l.want("the job after its last thing is gone", l.described("j", "status"), `"COMPLETED"`)
	},
	"jobs-document-forms": func(l *lives) {
		l.begun("x")
		var http struct{ Execution struct{ JobDocument any } }
		l.call("iotjobsdataplane", "DescribeJobExecution", map[string]any{"thingName": "x", "jobId": "j"}, &http)
		l.want("over HTTP", fmt.Sprintf("%T", http.Execution.JobDocument), "string")
		_, payloads := l.says(l.session("x"), "$aws/things/x/jobs/j/get", "{}")
		if !strings.Contains(strings.Join(payloads, ""), `"jobDocument":{"a":1}`) {
			l.t.Errorf("over MQTT: %q", payloads)
		}
	},
	"jobs-order-of-answers": func(l *lives) {
		l.begun("x")
		topics, payloads := l.says(l.session("x"), "$aws/things/x/jobs/j/update", `{"status":"SUCCEEDED","clientToken":"t"}`)
		l.want("topics", strings.ReplaceAll(strings.Join(topics, " "), "$aws/things/x/jobs/", ""),
			"j/update j/update/accepted notify notify-next")
		if len(payloads) == 4 {
			var accepted map[string]any
			if err := json.Unmarshal([]byte(payloads[1]), &accepted); err != nil || len(accepted) != 2 ||
				accepted["clientToken"] != "t" {
				l.t.Errorf("accepted: %s %v", payloads[1], err)
			}
			var next map[string]any
			if err := json.Unmarshal([]byte(payloads[3]), &next); err != nil || len(next) != 1 ||
				next["timestamp"] == nil {
				l.t.Errorf("notify-next: %s %v", payloads[3], err)
			}
		}
	},
	"jobs-start-is-silent": func(l *lives) {
		l.begun("x")
		topics, _ := l.says(l.session("x"), "$aws/things/x/jobs/start-next", "{}")
		l.want("topics", strings.ReplaceAll(strings.Join(topics, " "), "$aws/things/x/jobs/", ""),
			"start-next start-next/accepted")
	},
	"jobs-second-in-line": func(l *lives) {
		in := l.job("j", nil, "x")
		l.call("iot", "CreateJob", in, nil)
		s := l.session("x")
		l.says(s, "", "")
		in["jobId"] = "k"
		s.topics = nil
		l.call("iot", "CreateJob", in, nil)
		l.sched.RunFor(time.Minute)
		l.want("topics", strings.Join(s.topics, " "), "$aws/things/x/jobs/notify")
	},
	"jobs-version-mqtt": func(l *lives) {
		l.begun("x")
		topics, payloads := l.says(l.session("x"), "$aws/things/x/jobs/j/update", `{"status":"SUCCEEDED","expectedVersion":99,"clientToken":"t"}`)
		last := payloads[len(payloads)-1]
		var got struct {
			Code, Message, ClientToken string
			ExecutionState             struct {
				Status        string
				VersionNumber int
			}
		}
		if err := json.Unmarshal([]byte(last), &got); err != nil || !strings.HasSuffix(topics[len(topics)-1],
			"/rejected") {
			l.t.Fatalf("%v %s %v", topics, last, err)
		}
		l.want("rejected", fmt.Sprint(got), "{VersionMismatch Expected version 99 but found version 1 t {QUEUED 1}}")
	},
	"jobs-mqtt-json": func(l *lives) {
		l.begun("x")
		_, payloads := l.says(l.session("x"), "$aws/things/x/jobs/get", "[1, 2]")
		if last := payloads[len(payloads)-1]; !strings.Contains(last, `"InvalidJson"`) {
			l.t.Errorf("answered %s", last)
		}
	},
	"jobs-mqtt-unknown": func(l *lives) {
		l.begun("x")
		_, payloads := l.says(l.session("x"), "$aws/things/x/jobs/none/update", `{"status":"SUCCEEDED"}`)
		if last := payloads[len(payloads)-1]; !strings.Contains(last, `"ResourceNotFound"`) {
			l.t.Errorf("answered %s", last)
		}
	},
	"jobs-times": func(l *lives) {
		l.begun("x")
		_, payloads := l.says(l.session("x"), "$aws/things/x/jobs/j/get", "{}")
		var got struct {
			Timestamp int64
			Execution struct{ QueuedAt int64 }
		}
		if err := json.Unmarshal([]byte(payloads[len(payloads)-1]), &got); err != nil {
			l.t.Fatal(err)
		}
		for _, at := range []int64{got.Timestamp, got.Execution.QueuedAt} {
			if d := time.Unix(at, 0).Sub(start); d < 0 || d > time.Hour {
				l.t.Errorf("%d is not in seconds", at)
			}
		}
	},
	"jobs-update-only-open": func(l *lives) {
		l.begun("x")
		l.call("iot", "CancelJob", map[string]any{"jobId": "j"}, nil)
		l.sched.RunFor(time.Minute)
		l.refused("iot", "UpdateJob", map[string]any{"jobId": "j", "description": "late"}, "InvalidRequestException",
			"Job j in status CANCELED cannot be updated.")
	},
	"jobs-late-timeout": func(l *lives) {
		in := l.job("j", map[string]any{"timeoutConfig": map[string]any{"inProgressTimeoutInMinutes": 60}}, "x", "y")
		l.call("iot", "CreateJob", in, nil)
		left := func(thing string) int64 {
			var out struct {
				Execution struct{ ApproximateSecondsBeforeTimedOut int64 }
			}
			l.call("iotjobsdataplane", "DescribeJobExecution", map[string]any{"thingName": thing, "jobId": "j"}, &out)
			return out.Execution.ApproximateSecondsBeforeTimedOut
		}
		l.sched.RunFor(time.Minute)
		_ = l.update("x", "j", "IN_PROGRESS")
		l.call("iot", "UpdateJob", map[string]any{"jobId": "j", "timeoutConfig": map[string]any{
			"inProgressTimeoutInMinutes": 120,
		}}, nil)
		_ = l.update("y", "j", "IN_PROGRESS")
		if x, y := left("x"), left("y"); x > 3600 || x < 3500 || y > 7200 || y < 7100 {
			l.t.Errorf("seconds left: %d of the one that had begun, %d of the one that began later", x, y)
		}
	},

	// S3.
	"s3-missing-key": func(l *lives) {
		l.call("s3", "CreateBucket", map[string]any{"Bucket": "bucket"}, nil)
		l.refused("s3", "GetObject", map[string]any{"Bucket": "bucket", "Key": "k"}, "NoSuchKey")
	},

	// CloudFormation.
	"cloudformation-no-change": func(l *lives) {
		in := map[string]any{"StackName": "s", "TemplateBody": `{"Resources":{"Q":{"Type":"AWS::SQS::Queue"}}}`}
		l.call("cloudformation", "CreateStack", in, nil)
		l.sched.RunFor(time.Hour)
		l.refused("cloudformation", "UpdateStack", in, "ValidationError", "No updates are to be performed.")
	},
	"cloudformation-again": func(l *lives) {
		in := map[string]any{"StackName": "s", "TemplateBody": `{"Resources":{"Q":{"Type":"AWS::SQS::Queue"}}}`}
		l.call("cloudformation", "CreateStack", in, nil)
		l.sched.RunFor(time.Hour)
		l.refused("cloudformation", "CreateStack", in, "AlreadyExistsException")
	},

	// The broker.
	"mqtt-filters-at-once": func(l *lives) {
		s := l.session("x")
		var filters []iotdataplane.Subscription
		for n := range 9 {
			filters = append(filters, iotdataplane.Subscription{Filter: fmt.Sprint("a/", n)})
		}
		results, err := s.conn.Subscribe(l.t.Context(), filters...)
		if err != nil || results[7] != nil || results[8] == nil {
			l.t.Errorf("nine filters in one SUBSCRIBE: %v %v", results, err)
		}
	},
	"mqtt-payload-size": func(l *lives) {
		s := l.session("x")
		err := s.conn.Publish(l.t.Context(), iotdataplane.Message{Topic: "a", Payload: make([]byte, 128<<10+1),
			QoS: 1})
		if err == nil {
			l.t.Error("a payload of more than 128 KiB is taken")
		}
	},
	"kms-plaintext-size": func(l *lives) {
		var made struct{ KeyMetadata struct{ KeyId string } }
		l.call("kms", "CreateKey", map[string]any{}, &made)
		in := map[string]any{"KeyId": made.KeyMetadata.KeyId, "Plaintext": make([]byte, 4097)}
		if l.try("kms", "Encrypt", in, nil) == nil {
			l.t.Error("a plaintext of more than 4,096 bytes is encrypted")
		}
	},
}
