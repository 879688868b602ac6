package rulesql_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/rulesql"
	"pgregory.net/rapid"
)

type fixed struct{}

func (fixed) UUID() string     { return "123e4567-e89b-12d3-a456-426614174000" }
func (fixed) Float64() float64 { return 0.25 }

func message(payload string) rulesql.Message {
	return rulesql.Message{
		Payload: []byte(payload), Topic: "usp/v1/controller/self::fleetstep/from/cpe-1/reply-to=x", ClientID: "cpe-1",
		Principal: "aabb", SourceIP: "192.0.2.1", AccountID: "123456789012", TraceID: "trace",
		Time:        time.UnixMilli(1730000000123),
		ContentType: "usp.msg", ResponseTopic: "usp/v1/agent/cpe-1", CorrelationData: []byte("abc"),
		UserProperties: [][2]string{{"k1", "v1"}, {"k2", "v2"}, {"k1", "v3"}},
	}
}

func run(t testing.TB, source, version string, m rulesql.Message, x rulesql.External) (string, error) {
	t.Helper()
	s, err := rulesql.Compile(source, version)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	r, err := s.Eval(context.Background(), rulesql.NewInput(m, fixed{}, x))
	if err != nil {
		return "", err
	}
	if r == nil {
		return "(no match)", nil
	}
	return string(r.Bytes()), nil
}

// TestProductStatements are the statements of the deployed rules.
func TestProductStatements(t *testing.T) {
	for _, c := range []struct{ name, sql, topic, payload, want string }{
		{
			"usp message",
			`SELECT encode(*, 'base64') AS record, topic() AS topic, topic(6) AS thingName, clientid() AS clientId, principal() AS principal, timestamp() AS receivedAt, get_mqtt_property('content_type') AS contentType, get_mqtt_property('response_topic') AS responseTopic FROM 'usp/v1/controller/self::fleetstep/from/#'`,
			"usp/v1/controller/self::fleetstep/from/cpe-1", "\x0a\x031.3\xff",
			`{"record":"CgMxLjP/","topic":"usp/v1/controller/self::fleetstep/from/cpe-1","thingName":"cpe-1","clientId":"cpe-1","principal":"aabb","receivedAt":1730000000123,"contentType":"usp.msg","responseTopic":"usp/v1/agent/cpe-1"}`,
		},
		{
			"presence",
			`SELECT clientId AS clientId, thingName AS thingName, eventType AS presence, timestamp AS receivedAt, versionNumber AS versionNumber, disconnectReason AS disconnectReason, topic() AS topic FROM '$aws/events/presence/+/+'`,
			"$aws/events/presence/connected/cpe-1",
			`{"clientId":"cpe-1","timestamp":1730000000000,"eventType":"connected","versionNumber":0,"thingName":"cpe-1"}`,
			`{"clientId":"cpe-1","thingName":"cpe-1","presence":"connected","receivedAt":1730000000000,"versionNumber":0,"topic":"$aws/events/presence/connected/cpe-1"}`,
		},
		{
			"notify-next",
			`SELECT topic(3) AS thingName, execution AS execution, timestamp() AS receivedAt FROM '$aws/things/+/jobs/notify-next' WHERE isUndefined(execution) = false`,
			"$aws/things/cpe-1/jobs/notify-next", `{"timestamp":1,"execution":{"jobId":"j","executionNumber":1}}`,
			`{"thingName":"cpe-1","execution":{"jobId":"j","executionNumber":1},"receivedAt":1730000000123}`,
		},
		{
			"notify-next without execution",
			`SELECT topic(3) AS thingName, execution AS execution, timestamp() AS receivedAt FROM '$aws/things/+/jobs/notify-next' WHERE isUndefined(execution) = false`,
			"$aws/things/cpe-1/jobs/notify-next", `{"timestamp":1}`, "(no match)",
		},
		{"job event", `SELECT * FROM '$aws/events/job/#'`, "$aws/events/job/j/completed", `{"a": 1.0}`, `{"a": 1.0}`},
		{"job execution event", `SELECT * FROM '$aws/events/jobExecution/#'`, "$aws/events/jobExecution/j/failed", `{"jobId":"j"}`, `{"jobId":"j"}`},
	} {
		m := message(c.payload)
		m.Topic = c.topic
		got, err := run(t, c.sql, rulesql.Version2016, m, nil)
		if err != nil || got != c.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", c.name, got, err, c.want)
		}
	}
}

// TestExpressions reads testdata/expressions.txt: lines "expression => JSON",
// sections "-- version", "-- payload" with what follows on the line.
func TestExpressions(t *testing.T) {
	b, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	version, payload := rulesql.Version2016, "{}"
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "-- version "):
			version = strings.TrimPrefix(line, "-- version ")
			continue
		case strings.HasPrefix(line, "-- payload "):
			payload = strings.TrimPrefix(line, "-- payload ")
			continue
		}
		expression, want, ok := strings.Cut(line, " => ")
		if !ok {
			t.Fatalf("line %d: no =>", i+1)
		}
		want = strings.TrimSpace(want)
		if want == "undefined" {
			want = ""
		}
		s, err := rulesql.Compile("SELECT VALUE ("+expression+") FROM 't'", version)
		if err != nil {
			t.Errorf("line %d: %v", i+1, err)
			continue
		}
		r, err := s.Eval(context.Background(), rulesql.NewInput(message(payload), fixed{}, nil))
		if err != nil {
			t.Errorf("line %d: %s: %v", i+1, expression, err)
		} else if got := string(r.Bytes()); got != want {
			t.Errorf("line %d: %s = %s, want %s", i+1, expression, got, want)
		}
	}
}

func TestStatements(t *testing.T) {
	const e = `{"foo":{"bar":"x","baz":2},"e":[{"n":"a","v":1},{"n":"b","v":2}],"color":"red","temp":10.0,"list":[1,2,3]}`
	for _, c := range []struct{ sql, payload, want string }{
		{`SELECT foo.bar AS bar.baz FROM 't'`, e, `{"bar":{"baz":"x"}}`},
		{`SELECT foo.bar FROM 't'`, e, `{"bar":"x"}`},
		{`SELECT foo.bar AS a.x, foo.baz AS a.y FROM 't'`, e, `{"a":{"x":"x","y":2}}`},
		{`SELECT {"key-1": color} FROM 't'`, e, `{"key-1":"red"}`},
		{`SELECT *, topic(1) AS t FROM 't'`, `{"a":1}`, `{"a":1,"t":"usp"}`},
		{`SELECT *, topic(1) AS t FROM 't'`, ``, `{"t":"usp"}`},
		{`SELECT VALUE color FROM 't'`, e, `"red"`},
		{`SELECT VALUE list FROM 't'`, e, `[1,2,3]`},
		{`SELECT value FROM 't'`, `{"value":7}`, `{"value":7}`},
		{`select Value value from 't'`, `{"value":7}`, `7`},
		{`SELECT (SELECT VALUE n FROM e) AS names FROM 't'`, e, `{"names":["a","b"]}`},
		{`SELECT (SELECT v FROM e WHERE n = 'b') AS x FROM 't'`, e, `{"x":[{"v":2}]}`},
		{`SELECT get((SELECT v FROM e WHERE n = 'b'),0).v AS x FROM 't'`, e, `{"x":2}`},
		{`SELECT (SELECT VALUE a FROM list AS a WHERE a > 1) AS x FROM 't'`, e, `{"x":[2,3]}`},
		{`SELECT (SELECT * FROM e AS q WHERE q.n = 'a') AS x FROM 't'`, e, `{"x":[{"n":"a","v":1}]}`},
		{`SELECT color FROM 't' WHERE EXISTS (SELECT * FROM e WHERE v = 2)`, e, `{"color":"red"}`},
		{`SELECT color FROM 't' WHERE EXISTS (SELECT * FROM e WHERE v = 3)`, e, `(no match)`},
		{`SELECT color FROM 't' WHERE color IN ['red', 'blue']`, e, `{"color":"red"}`},
		{`SELECT color FROM 't' WHERE missing = 1`, e, `(no match)`},
		{`SELECT color FROM 't' WHERE NOT missing = 1`, e, `(no match)`},
		{`SELECT color FROM 't' WHERE 'true'`, e, `(no match)`},
		{`SELECT missing AS m, color FROM 't'`, e, `{"color":"red"}`},
		{`SET @f = foo, @n = @f.baz + 1 SELECT @n AS n, @f.bar AS bar FROM 't' WHERE @n = 3`, e, `{"n":3,"bar":"x"}`},
		{`SELECT CASE color WHEN 'blue' THEN 1 WHEN 'red' THEN 2 ELSE 3 END AS c FROM 't'`, e, `{"c":2}`},
		{`SELECT CASE color WHEN 'blue' THEN 1 END AS c FROM 't'`, e, `{}`},
		{`SELECT * FROM 't'`, "\x00\xff", "\x00\xff"},
		{`SELECT temp FROM 't'`, e, `{"temp":10}`},
		{`SELECT transform("enrichArray", {"k": color}, e) AS x FROM 't'`, e, `{"x":[{"n":"a","v":1,"k":"red"},{"n":"b","v":2,"k":"red"}]}`},
		{`SELECT decode(encode(*,'base64'),'base64') AS text FROM 't'`, `plain`, `{"text":"plain"}`},
		{`SELECT a FROM 't' WHERE timestamp() > 0`, "\xff", `{}`},
	} {
		got, err := run(t, c.sql, rulesql.Version2016, message(c.payload), nil)
		if err != nil || got != c.want {
			t.Errorf("%s\n got %s, %v\nwant %s", c.sql, got, err, c.want)
		}
	}
	if _, err := run(t, `SELECT *, topic() AS t FROM 't'`, rulesql.Version2016, message("\xff"), nil); err == nil {
		t.Error("* of a binary payload beside other items was guessed")
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ sql, version, want string }{
		{`SELECT`, "2016-03-23", "column 7"},
		{`SELECT a FROM 'x/#/y'`, "2016-03-23", "# stands before other levels"},
		{`SELECT a FROM 't' WHERE`, "2016-03-23", "column 24"},
		{`SELECT foo(1) AS x FROM 't'`, "2016-03-23", "there is no function foo"},
		{`SELECT machinelearning_predict('m','r',a) AS x FROM 't'`, "2016-03-23", "does not implement the function machinelearning_predict"},
		{`SELECT [1] AS x FROM 't'`, "2015-10-08", "need SQL version 2016-03-23"},
		{`SELECT isUndefined(a) AS x FROM 't'`, "2015-10-08", "needs SQL version 2016-03-23"},
		{`SELECT 1 + 1 FROM 't'`, "2016-03-23", "needs a name"},
		{`SELECT 'x FROM t`, "2016-03-23", "not closed"},
		{`SELECT @a AS a FROM 't'`, "2016-03-23", "@a is not set"},
		{`SET @a = 1, @a = 2 SELECT @a FROM 't'`, "2016-03-23", "set twice"},
		{`SELECT a FROM 't' -- comment`, "2016-03-23", "found -"},
		{`SELECT get_dynamodb('a','b',c,'r') AS x, get_dynamodb('a','b',c,'r') AS y FROM 't'`, "2016-03-23", "1 times"},
		{`SELECT get_or_default(a, aws_lambda('f', a)) AS x FROM 't'`, "2016-03-23", "cannot be a default"},
		{"SELECT a,\n  b c FROM 't'", "2016-03-23", "line 2, column 5"},
		{"SELECT VALUE {\"\xff\": 1} FROM 't'", "2016-03-23", "not UTF-8 at line 1, column 16"},
	} {
		_, err := rulesql.Compile(c.sql, c.version)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.sql, err, c.want)
		}
	}
	_, err := rulesql.Compile("SELECT a,\n  b c FROM 't'", "2016-03-23")
	want := "found c, expected the end of the statement at line 2, column 5\n    b c FROM 't'\n      ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := rulesql.Compile("SELECT * FROM 't'", "beta"); err == nil {
		t.Error("version beta was accepted")
	}
	whole, err := rulesql.Compile("SELECT * FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := whole.CompileTemplate("a\xff${topic()}"); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("a template that is not UTF-8: %v", err)
	}
}

// services answers external functions; a nil answer is a failure.
type services struct {
	rulesql.External
	answer string
	set    []byte
}

func (s services) Lambda(_ context.Context, arn string, payload []byte) ([]byte, error) {
	if s.answer == "" {
		return nil, errors.New("timed out")
	}
	return fmt.Appendf(nil, `{"arn":%q,"got":%s,"answer":%s}`, arn, payload, s.answer), nil
}

func (s services) Descriptor(context.Context, string, string) ([]byte, error) { return s.set, nil }

func TestExternalFunctions(t *testing.T) {
	const sql = `SELECT aws_lambda("f", {"a": a}).answer AS x FROM 't'`
	got, err := run(t, sql, rulesql.Version2016, message(`{"a":1}`), services{answer: "5"})
	if err != nil || got != `{"x":5}` {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := run(t, sql, rulesql.Version2016, message(`{"a":1}`), services{}); err == nil {
		t.Error("a failing external function did not fail the evaluation")
	}
	got, err = run(t, `SELECT get_or_default(aws_lambda("f", a), 'none') AS x FROM 't'`, rulesql.Version2016, message(`{"a":1}`), services{})
	if err != nil || got != `{"x":"none"}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestTemplates(t *testing.T) {
	s, err := rulesql.Compile(`SET @v = a.b SELECT 1 AS x FROM 't'`, rulesql.Version2016)
	if err != nil {
		t.Fatal(err)
	}
	in := rulesql.NewInput(message(`{"a":{"b":"two"},"n":1.50}`), fixed{}, nil)
	r, err := s.Eval(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"plain":                            "plain",
		"${a.b}":                           "two",
		"x/${topic(1)}/${n}/y":             "x/usp/1.50/y",
		"${@v}-${missing}.":                "two-.",
		`${get({"k": "}"}, "k")}`:          "}",
		"$$aws/things/${clientid()}/x":     "$$aws/things/cpe-1/x",
		"${CASE n WHEN 1.5 THEN 'ok' END}": "ok",
	} {
		tpl, err := s.CompileTemplate(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := tpl.Eval(context.Background(), in, r); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", source, got, err, want)
		}
	}
	for _, bad := range []string{"${", "${a", "${a b}", "${x}", "${decode(a,'proto','b','k','f','m')}"} {
		if _, err := s.CompileTemplate(bad); bad != "${x}" && err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// TestIntegersAgree holds Int arithmetic, over the border of 64 bits, to
// what a plain formula says.
func TestIntegersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		s, err := rulesql.Compile(
			"SELECT VALUE (a + b) - b = a AND (a - b) + b = a AND (a * b) / b = a AND (a / b) * b + a % b = a "+
				"FROM 't'", rulesql.Version2016)
		if err != nil {
			t.Fatal(err)
		}
		if b == 0 {
			return
		}
		r, err := s.Eval(context.Background(), rulesql.NewInput(message(fmt.Sprintf(`{"a":%d,"b":%d}`, a, b)), fixed{}, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.Bytes()); got != "true" && a/b*b < 1e17 {
			t.Fatalf("a %d b %d: %s", a, b, got)
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`SELECT * FROM 'a/#' WHERE x = 1`, `SET @a = 1 SELECT VALUE [@a, {"k": topic(2)}] FROM 't'`,
		`SELECT CASE a WHEN 1 THEN 2 ELSE 3 END AS x FROM 't' WHERE EXISTS (SELECT * FROM e AS q WHERE q = 1)`,
		`SELECT cast(a AS int) AS b, regexp_replace(c, '(a)', '$1') AS d, parse_time("yyyy-MM-dd'T'HH:mm:ss.SSSZZ", 1, 'Europe/Paris') AS t FROM 't'`,
		`SELECT trunc(a, 3) AS b, power(a, b) AS c, get_or_default(x.y, -1e5) AS d, time_to_epoch('2020-04-03 09:45:18 UTC+01:00', 'yyyy-MM-dd HH:mm:ss VV') AS e FROM 't'`,
	} {
		f.Add(s, `{"a":1.5,"b":"x","e":[1,{"n":null}]}`)
	}
	f.Fuzz(func(t *testing.T, sql, payload string) {
		s, err := rulesql.Compile(sql, rulesql.Version2016)
		if err != nil {
			return
		}
		in := rulesql.NewInput(message(payload), fixed{}, services{answer: "1"})
		if r, err := s.Eval(context.Background(), in); err == nil && r != nil {
			if v, err := rulesql.ParseJSON([]byte(payload)); err == nil && v.Kind() == rulesql.Object &&
				len(r.Bytes()) > 0 && r.Value().Kind() != rulesql.Binary {
				if _, err := rulesql.ParseJSON(r.Bytes()); err != nil {
					t.Fatalf("%s over %s gave %s, which is not JSON", sql, payload, r.Bytes())
				}
			}
		}
		_, _ = s.CompileTemplate("${" + sql + "}")
	})
}

func BenchmarkUSPMessage(b *testing.B) {
	s, err := rulesql.Compile(`SELECT encode(*, 'base64') AS record, topic() AS topic, topic(6) AS thingName, clientid() AS clientId, principal() AS principal, timestamp() AS receivedAt, get_mqtt_property('content_type') AS contentType, get_mqtt_property('response_topic') AS responseTopic FROM 'usp/v1/controller/self::fleetstep/from/#'`, rulesql.Version2016)
	if err != nil {
		b.Fatal(err)
	}
	m := message(strings.Repeat("\xff", 300))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Eval(context.Background(), rulesql.NewInput(m, fixed{}, nil)); err != nil {
			b.Fatal(err)
		}
	}
}
