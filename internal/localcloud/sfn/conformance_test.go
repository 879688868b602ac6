package sfn

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/asl"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/integration"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/recordings"
)

// conformanceCase is a recorded case; see the README beside the cases.
type conformanceCase struct {
	ID             string            `json:"id"`
	Kind           string            `json:"kind"`
	Category       string            `json:"category"`
	Definition     json.RawMessage   `json:"definition"`
	DefinitionText *string           `json:"definitionText"`
	Type           string            `json:"stateMachineType"`
	Sync           bool              `json:"sync"`
	Input          json.RawMessage   `json:"input"`
	Mocks          map[string][]mock `json:"mocks"`
	Unmocked       []string          `json:"unmocked"`
	Resources      struct {
		S3            map[string]string          `json:"s3"`
		StateMachines map[string]json.RawMessage `json:"stateMachines"`
	} `json:"resources"`
	Logging  map[string]any    `json:"logging"`
	Request  map[string]any    `json:"request"`
	Expected map[string]any    `json:"expected"`
	Steps    []conformanceStep `json:"steps"`
	Source   map[string]any    `json:"source"`
}

type conformanceStep struct {
	Op          string         `json:"op"`
	Request     map[string]any `json:"request"`
	Expect      any            `json:"expect"`
	ExpectError map[string]any `json:"expectError"`
	Await       string         `json:"await"`
	Until       string         `json:"until"`
}

type mock struct {
	Return *json.RawMessage `json:"return"`
	Throw  *struct {
		Error *string `json:"error"`
		Cause *string `json:"cause"`
	} `json:"throw"`
	Phase     string           `json:"phase"`
	Hang      bool             `json:"hang"`
	Submitted *json.RawMessage `json:"submitted"`
	Iteration []int            `json:"iteration"`
}

// mocks answers tasks as the case says.
type mocks struct {
	byState map[string][]mock
	used    map[string][]bool
	s3      map[string]string
	next    Tasks
}

func (m *mocks) Call(ctx context.Context, t Task) Answer {
	if t.Reader {
		return m.read(t)
	}
	list := m.byState[t.State]
	if m.used[t.State] == nil {
		m.used[t.State] = make([]bool, len(list))
	}
	for i, e := range list {
		if m.used[t.State][i] || e.Iteration != nil && !reflect.DeepEqual(e.Iteration, t.Iteration) {
			continue
		}
		m.used[t.State][i] = true
		return e.answer()
	}
	if len(list) == 0 && m.next != nil {
		return m.next.Call(ctx, t)
	}
	return Answer{Result: asl.Failing("Test.NoMock", t.State)}
}

func (e mock) answer() Answer {
	var final *asl.Result
	switch {
	case e.Return != nil:
		d, _ := asl.ParseData(string(*e.Return))
		final = &asl.Result{Output: d}
	case e.Throw != nil:
		final = &asl.Result{Failed: true, Error: e.Throw.Error, Cause: e.Throw.Cause, EventType: e.Phase}
	}
	if e.Submitted != nil {
		d, _ := asl.ParseData(string(*e.Submitted))
		return Answer{Result: asl.Result{Output: d}, Later: final}
	}
	if final == nil {
		return Answer{Silent: true}
	}
	return Answer{Result: *final}
}

func (m *mocks) read(t Task) Answer {
	o, _ := t.Input.Value().(*document.Object)
	get := func(n string) string { v, _ := o.Get(n); s, _ := v.(string); return s }
	if strings.HasPrefix(strings.ToLower(t.Resource.Action), "list") {
		var keys []string
		for k := range m.s3 {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		list := []any{}
		for _, k := range keys {
			bucket, key, _ := strings.Cut(k, "/")
			if bucket == get("Bucket") && strings.HasPrefix(key, get("Prefix")) {
				list = append(list, document.NewObject(
					document.Member{Name: "Etag", Value: `"d41d8cd98f00b204e9800998ecf8427e"`},
					document.Member{Name: "Key", Value: key},
					document.Member{Name: "LastModified", Value: document.Int(1)},
					document.Member{Name: "Size", Value: document.Int(int64(len(m.s3[k])))},
					document.Member{Name: "StorageClass", Value: "STANDARD"}))
			}
		}
		return Answer{Result: asl.Result{Output: asl.ValueData(document.NewObject(document.Member{Name: "Contents",
			Value: list}))}}
	}
	body, ok := m.s3[get("Bucket")+"/"+get("Key")]
	if !ok {
		return Answer{Result: asl.Failing("States.ItemReaderFailed", "The specified key does not exist.")}
	}
	return Answer{Result: asl.Result{Output: asl.ValueData(
		document.NewObject(document.Member{Name: "Body", Value: body}))}}
}

// memoryLogs keeps log lines.
type memoryLogs struct {
	lines []string
	none  bool // there is no log group
}

func (l *memoryLogs) Append(_ context.Context, _, _ string, events []LogEvent) error {
	for _, e := range events {
		l.lines = append(l.lines, e.Message)
	}
	return nil
}

func (l *memoryLogs) HasGroup(_ context.Context, group string) bool {
	return group != "" && !l.none
}

// lambda is a function that answers what the case expects of it.
func (c *conformanceCase) lambda() awsapi.Service {
	payload := c.Expected["output"]
	if o, ok := payload.(map[string]any); ok {
		payload = o["Payload"]
	}
	version := "$LATEST"
	return awsapi.Service{ID: "lambda", Prefix: "lambda", Operations: []awsapi.Operation{
		awsapi.Op("Invoke", func(context.Context, *awsapi.Call, *invokeInput) (*invokeOutput, error) {
			b, err := json.Marshal(payload)
			return &invokeOutput{StatusCode: 200, Payload: b, ExecutedVersion: &version}, err
		}),
	}}
}

// unmocked is a function for tasks whose results were not recorded: it fails as
// the execution's output tells, or returns what the history shows, or else what
// it was given.
func (c *conformanceCase) unmocked() awsapi.Service {
	version, unhandled := "$LATEST", "Unhandled"
	var shown []any
	events, _ := c.Expected["history"].([]any)
	for _, e := range events {
		m, _ := e.(map[string]any)
		o, _ := m["output"].(map[string]any)
		if v, ok := o["Payload"]; ok && m["type"] == "TaskSucceeded" {
			shown = append(shown, v)
		}
	}
	return awsapi.Service{ID: "lambda", Prefix: "lambda", Operations: []awsapi.Operation{
		awsapi.Op("Invoke", func(_ context.Context, _ *awsapi.Call, in *invokeInput) (*invokeOutput, error) {
			if o, ok := c.Expected["output"].(map[string]any); ok {
				if cause, ok := o["Cause"].(string); ok {
					return &invokeOutput{StatusCode: 200, Payload: []byte(token.ReplaceAllString(cause, "x")),
						FunctionError: &unhandled}, nil
				}
			}
			payload := in.Payload
			if len(shown) > 0 {
				payload, _ = json.Marshal(shown[0])
				shown = shown[1:]
			}
			return &invokeOutput{StatusCode: 200, Payload: payload, ExecutedVersion: &version}, nil
		}),
	}}
}

// onlySelf makes calls to Step Functions; others never answer.
type onlySelf struct{ next Tasks }

func (o onlySelf) Call(ctx context.Context, t Task) Answer {
	if integration.TargetOf(t.Resource).Service == "sfn" {
		return o.next.Call(ctx, t)
	}
	return Answer{Silent: true}
}

// bench is a service with everything it needs, in virtual time.
type bench struct {
	sched *scheduler.Scheduler
	svc   *Service
	door  *awsapi.Door
	mocks *mocks
	logs  *memoryLogs
}

func newBench(c *conformanceCase) *bench {
	b := &bench{sched: scheduler.NewVirtual(1, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), logs: &memoryLogs{}}
	b.logs.none = strings.Contains(c.ID, "deleted_log_group")
	b.mocks = &mocks{byState: c.Mocks, used: map[string][]bool{}, s3: c.Resources.S3}
	b.door = awsapi.New(awsapi.Config{Scheduler: b.sched, Account: "111111111111", Region: "us-east-1"})
	config := Config{Platform: platform.Platform{Scheduler: b.sched, Store: store.Memory(), Account: "111111111111",
		Region: "us-east-1", Caller: b.door}, Logs: b.logs, Tasks: b.mocks}
	b.svc = New(config)
	if len(c.Unmocked) > 0 {
		b.mocks.next = &integrations{b.svc}
		b.door.Add(c.unmocked())
	}
	if c.Kind == "api" || c.Kind == "test-state" {
		b.svc.Tasks = onlySelf{&integrations{b.svc}}
		if c.Kind == "test-state" {
			b.svc.Tasks = &integrations{b.svc}
			b.door.Add(c.lambda())
		}
	}
	b.door.Add(b.svc.API())
	return b
}

func (b *bench) call(op string, input any) (map[string]any, error) {
	out, err := b.door.Call(context.Background(), awsapi.RootOf("111111111111"), "sfn", op, input)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	err = json.Unmarshal(text, &m)
	return m, err
}

var token = regexp.MustCompile(`\{\{any:[^}]*\}\}`)

func match(path string, want, got any) string {
	switch w := want.(type) {
	case string:
		if t := token.FindString(w); t != "" {
			if t == w {
				return ""
			}
			g, ok := got.(string)
			if !ok {
				return fmt.Sprintf("%s: want %q, got %v", path, w, short(got))
			}
			var re strings.Builder
			re.WriteString("(?s)^")
			rest := w
			for {
				loc := token.FindStringIndex(rest)
				if loc == nil {
					break
				}
				re.WriteString(regexp.QuoteMeta(rest[:loc[0]]) + ".*")
				rest = rest[loc[1]:]
			}
			re.WriteString(regexp.QuoteMeta(rest) + "$")
			if !regexp.MustCompile(re.String()).MatchString(g) {
				return fmt.Sprintf("%s: want %q, got %q", path, w, g)
			}
			return ""
		}
		if g, ok := got.(string); !ok || g != w {
			return fmt.Sprintf("%s: want %q, got %v", path, w, short(got))
		}
		return ""
	case map[string]any:
		if s, ok := got.(string); ok {
			if json.Unmarshal([]byte(s), &got) != nil {
				return fmt.Sprintf("%s: want an object, got text %q", path, s)
			}
		}
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: want an object %s, got %v", path, short(want), short(got))
		}
		for k, v := range w {
			key := k
			if _, ok := g[k]; !ok && token.MatchString(k) {
				for candidate := range g {
					if match("", k, candidate) == "" {
						key = candidate
					}
				}
			}
			if _, ok := g[key]; !ok {
				return fmt.Sprintf("%s: member %s is missing in %s", path, k, short(got))
			}
			if p := match(path+"."+k, v, g[key]); p != "" {
				return p
			}
		}
		if len(g) != len(w) {
			for k := range g {
				if _, ok := w[k]; !ok {
					return fmt.Sprintf("%s: member %s is too many: %s", path, k, short(g[k]))
				}
			}
		}
		return ""
	case []any:
		if s, ok := got.(string); ok {
			if json.Unmarshal([]byte(s), &got) != nil {
				return fmt.Sprintf("%s: want an array, got text %q", path, s)
			}
		}
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: want %s, got %s", path, short(want), short(got))
		}
		for i := range w {
			if p := match(fmt.Sprintf("%s[%d]", path, i), w[i], g[i]); p != "" {
				return p
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: want %s, got %s", path, short(want), short(got))
	}
	return ""
}

func short(v any) string {
	b, _ := json.Marshal(v)
	if len(b) > 600 {
		return string(b[:600]) + "..."
	}
	return string(b)
}

// flatten makes events as the cases have them.
func flatten(events []any) []any {
	out := []any{}
	for _, e := range events {
		flat := map[string]any{}
		var merge func(m map[string]any)
		merge = func(m map[string]any) {
			for k, v := range m {
				inner, isObject := v.(map[string]any)
				switch {
				case k == "timestamp":
				case isObject && strings.HasSuffix(k, "EventDetails"):
					merge(inner)
				case isObject && strings.HasSuffix(k, "Details") && onlyFlags(inner):
				case k == "input" || k == "output" || k == "parameters":
					var parsed any
					_ = json.Unmarshal([]byte(v.(string)), &parsed)
					flat[k] = parsed
				case k == "assignedVariables":
					vars := map[string]any{}
					for name, text := range inner {
						var parsed any
						_ = json.Unmarshal([]byte(text.(string)), &parsed)
						vars[name] = parsed
					}
					flat[k] = vars
				default:
					flat[k] = v
				}
			}
		}
		merge(e.(map[string]any))
		out = append(out, flat)
	}
	return out
}

func onlyFlags(m map[string]any) bool {
	for k := range m {
		if k != "truncated" && k != "included" {
			return false
		}
	}
	return true
}

func matchHistory(order string, want, got []any) string {
	switch order {
	case "concurrent":
		return matchConcurrent(want, got)
	case "partial":
		used := make([]bool, len(got))
		at := -1
	next:
		for _, w := range want {
			wm := w.(map[string]any)
			_, numbered := wm["id"]
			for i, g := range got {
				if used[i] || numbered && i < at {
					continue
				}
				gm := map[string]any{}
				for k, v := range g.(map[string]any) {
					gm[k] = v
				}
				if !numbered {
					delete(gm, "id")
					delete(gm, "previousEventId")
				}
				if match("", w, gm) == "" {
					used[i] = true
					if numbered {
						at = i
					}
					continue next
				}
			}
			return "no event matches " + short(w) + " in " + eventTypes(got)
		}
		return ""
	}
	for i := range want {
		if i >= len(got) {
			return fmt.Sprintf("history: event %d is missing: %s; have %s", i+1, short(want[i]), eventTypes(got))
		}
		if p := match(fmt.Sprintf("event %d", i+1), want[i], got[i]); p != "" {
			return p + " in " + eventTypes(got)
		}
	}
	if len(got) > len(want) {
		return "history: too many events: " + eventTypes(got)
	}
	return ""
}

func matchConcurrent(want, got []any) string {
	chain := func(list []any) [][]map[string]any {
		byID := map[float64]map[string]any{}
		for _, e := range list {
			m := e.(map[string]any)
			byID[m["id"].(float64)] = m
		}
		bare := func(m map[string]any) map[string]any {
			c := map[string]any{}
			for k, v := range m {
				if k != "id" && k != "previousEventId" {
					c[k] = v
				}
			}
			return c
		}
		var out [][]map[string]any
		for _, e := range list {
			m := e.(map[string]any)
			pair := []map[string]any{bare(m)}
			if p := byID[m["previousEventId"].(float64)]; p != nil {
				pair = append(pair, bare(p))
			}
			out = append(out, pair)
		}
		return out
	}
	w, g := chain(want), chain(got)
	used := make([]bool, len(g))
	optional := func(m map[string]any) bool { return strings.HasSuffix(m["type"].(string), "Aborted") }
next:
	for _, e := range w {
		for i, f := range g {
			if used[i] || len(e) != len(f) {
				continue
			}
			ok := true
			for j := range e {
				ok = ok && match("", toAny(e[j]), toAny(f[j])) == ""
			}
			if ok {
				used[i] = true
				continue next
			}
		}
		if !optional(e[0]) {
			return "no event like " + short(e) + " in " + eventTypes(got)
		}
	}
	for i := range g {
		if !used[i] && !optional(g[i][0]) {
			return "an event too many: " + short(g[i])
		}
	}
	return match("last event", w2(want[len(want)-1]), w2(got[len(got)-1]))
}

func toAny(m map[string]any) any { return map[string]any(m) }

func w2(v any) any {
	c := map[string]any{}
	for k, e := range v.(map[string]any) {
		if k != "id" && k != "previousEventId" {
			c[k] = e
		}
	}
	return c
}

func eventTypes(list []any) string {
	var b strings.Builder
	for _, e := range list {
		m := e.(map[string]any)
		fmt.Fprintf(&b, "%v<%v %v, ", m["id"], m["previousEventId"], m["type"])
	}
	return b.String()
}

func (c *conformanceCase) text() string {
	if c.DefinitionText != nil {
		return *c.DefinitionText
	}
	return string(c.Definition)
}

// run runs a case; it returns what does not match, "" if all does.
func (c *conformanceCase) run() (problem string) {
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Sprintf("panic: %v", r)
			if os.Getenv("FLEETSTEP_PANIC") != "" {
				panic(r)
			}
		}
	}()
	b := newBench(c)
	switch c.Kind {
	case "execution":
		return c.execution(b)
	case "create-error":
		_, err := b.call("CreateStateMachine", map[string]any{"name": "machine", "definition": c.text(),
			"roleArn": role, "type": c.typ()})
		return matchError(c.Expected, err)
	case "validate":
		got, err := b.call("ValidateStateMachineDefinition", map[string]any{"definition": c.text(), "type": c.typ()})
		if err != nil {
			return err.Error()
		}
		return match("", c.Expected, any(got))
	case "test-state":
		return c.testState(b)
	case "api":
		return c.api(b)
	}
	return "unknown kind " + c.Kind
}

const role = "arn:aws:iam::111111111111:role/machine"

func (c *conformanceCase) typ() string {
	if c.Type == "" {
		return "STANDARD"
	}
	return c.Type
}

func matchError(want map[string]any, err error) string {
	if err == nil {
		return "no error, want " + short(want)
	}
	e := awsapi.AsError(err)
	got := map[string]any{"error": e.Code, "message": e.Message, "httpStatus": float64(e.HTTPStatus())}
	for k, v := range e.Fields {
		got[k] = v
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			delete(got, k)
		}
	}
	return match("error", any(want), any(got))
}

func (c *conformanceCase) execution(b *bench) string {
	for arn, definition := range c.Resources.StateMachines {
		name := arn[strings.LastIndexByte(arn, ':')+1:]
		if _, err := b.call("CreateStateMachine", map[string]any{"name": name, "definition": string(definition),
			"roleArn": role}); err != nil {
			return "resource: " + err.Error()
		}
	}
	for _, f := range []string{"activity-c0de0001", "activity-c0de0002"} {
		if !strings.HasSuffix(c.ID, "activity_task_on_deleted") {
			if _, err := b.call("CreateActivity", map[string]any{"name": f}); err != nil {
				return err.Error()
			}
		}
	}
	create := map[string]any{"name": "machine", "definition": c.text(), "roleArn": role, "type": c.typ()}
	if c.Logging != nil {
		l := map[string]any{"destinations": []any{map[string]any{"cloudWatchLogsLogGroup": map[string]any{
			"logGroupArn": "arn:aws:logs:us-east-1:111111111111:log-group:group:*",
		}}}}
		for k, v := range c.Logging {
			l[k] = v
		}
		create["loggingConfiguration"] = l
	}
	created, err := b.call("CreateStateMachine", create)
	if err != nil {
		return "create: " + err.Error()
	}
	start := map[string]any{"stateMachineArn": created["stateMachineArn"], "input": string(c.Input)}
	var got map[string]any
	if c.Sync {
		if got, err = b.call("StartSyncExecution", start); err != nil {
			return "start: " + err.Error()
		}
	} else if c.typ() == express {
		e := &endWaiter{gate: b.sched.NewGate()}
		started, err := b.call("StartExecution", start)
		if err != nil {
			return "start: " + err.Error()
		}
		_ = e
		b.sched.Run(nil)
		got = map[string]any{}
		_ = started
		for _, line := range b.logs.lines {
			var l map[string]any
			_ = json.Unmarshal([]byte(line), &l)
			d, _ := l["details"].(map[string]any)
			switch l["type"] {
			case "ExecutionSucceeded":
				got["status"], got["output"] = "SUCCEEDED", d["output"]
			case "ExecutionFailed":
				got["status"] = "FAILED"
				for _, k := range []string{"error", "cause"} {
					if v, ok := d[k]; ok {
						got[k] = v
					}
				}
			}
		}
		if c.Logging == nil {
			return "express without logs"
		}
	} else {
		started, err := b.call("StartExecution", start)
		if err != nil {
			return "start: " + err.Error()
		}
		arn := started["executionArn"]
		done := func() bool {
			k, _ := executionKey(arn.(string))
			_, o, _, _ := b.svc.load(k)
			return o == nil
		}
		if !done() && strings.HasPrefix(c.Category, "activit") {
			b.work(c, arn.(string))
		}
		b.sched.Run(done)
		if got, err = b.call("DescribeExecution", map[string]any{"executionArn": arn}); err != nil {
			return "describe: " + err.Error()
		}
		if h, ok := c.Expected["history"].([]any); ok {
			events := []any{}
			token := ""
			for {
				page, err := b.call("GetExecutionHistory", map[string]any{"executionArn": arn, "maxResults": 1000,
					"nextToken": token})
				if err != nil {
					return "history: " + err.Error()
				}
				events = append(events, page["events"].([]any)...)
				next, ok := page["nextToken"].(string)
				if !ok {
					break
				}
				token = next
			}
			got2 := flatten(events)
			c.asRecorded(got2)
			if p := matchHistory(fmt.Sprint(c.Expected["historyOrder"]), h, got2); p != "" {
				return p + c.failureOf(got)
			}
		}
	}
	for _, k := range []string{"status", "output", "error", "cause"} {
		want, ok := c.Expected[k]
		v, has := got[k]
		if k == "output" && has {
			var parsed any
			_ = json.Unmarshal([]byte(v.(string)), &parsed)
			c.asRecorded(parsed)
			text, _ := json.Marshal(parsed)
			v = string(text)
		}
		if ok != has {
			return fmt.Sprintf("%s: want %s, got %s%s", k, short(want), short(v), c.failureOf(got))
		}
		if !ok {
			continue
		}
		if k == "output" {
			var parsed any
			_ = json.Unmarshal([]byte(v.(string)), &parsed)
			v = parsed
		}
		if p := match(k, want, v); p != "" {
			return p + c.failureOf(got)
		}
	}
	if want, ok := c.Expected["logEvents"].([]any); ok {
		b.sched.RunFor(time.Second)
		var lines []any
		for _, line := range b.logs.lines {
			var l map[string]any
			_ = json.Unmarshal([]byte(line), &l)
			d := l["details"].(map[string]any)
			for _, k := range []string{"input", "output", "parameters"} {
				if s, ok := d[k].(string); ok {
					var v any
					_ = json.Unmarshal([]byte(s), &v)
					d[k] = v
				}
			}
			lines = append(lines, map[string]any{"id": l["id"], "previous_event_id": l["previous_event_id"],
				"type": l["type"], "details": l["details"]})
		}
		if lines == nil {
			lines = []any{}
		}
		if p := match("logEvents", any(want), any(lines)); p != "" {
			return p
		}
	}
	return ""
}

// work is a worker that does the activity tasks of a case.
func (b *bench) work(c *conformanceCase, execution string) {
	b.sched.Go("worker", func() {
		for state, list := range c.Mocks {
			for _, m := range list {
				worker := ""
				for _, e := range c.Expected["history"].([]any) {
					if w, ok := e.(map[string]any)["workerName"].(string); ok {
						worker = w
					}
				}
				_ = state
				task, err := b.call("GetActivityTask",
					map[string]any{"activityArn": "arn:aws:states:us-east-1:111111111111:activity:activity-c0de0001",
						"workerName": worker})
				if err != nil {
					return
				}
				switch {
				case m.Return != nil:
					_, _ = b.call("SendTaskSuccess", map[string]any{"taskToken": task["taskToken"],
						"output": string(*m.Return)})
				case m.Throw != nil:
					_, _ = b.call("SendTaskFailure", map[string]any{"taskToken": task["taskToken"],
						"error": m.Throw.Error, "cause": m.Throw.Cause})
				}
			}
		}
	})
}

func (c *conformanceCase) failureOf(got map[string]any) string {
	if got["error"] == nil && got["cause"] == nil {
		return ""
	}
	return fmt.Sprintf(" [%v: %v]", got["error"], got["cause"])
}

var nested = map[string]bool{"output": true, "input": true, "afterArguments": true, "afterInputPath": true,
	"afterParameters": true, "result": true,
	"afterResultSelector": true, "afterResultPath": true, "afterItemsPath": true, "afterItemSelector": true,
	"afterItemBatcher":  true,
	"afterItemsPointer": true, "variables": true}

func (c *conformanceCase) testState(b *bench) string {
	request := map[string]any{"definition": c.text()}
	for k, v := range c.Request {
		request[k] = v
	}
	got, err := b.call("TestState", request)
	if _, ok := c.Expected["status"]; !ok {
		return matchError(c.Expected, err)
	}
	if err != nil {
		return err.Error()
	}
	parseNested(got)
	return match("", any(c.Expected), any(got))
}

func parseNested(m map[string]any) {
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok {
			parseNested(inner)
		}
		if s, ok := v.(string); ok && nested[k] {
			var parsed any
			if json.Unmarshal([]byte(s), &parsed) == nil {
				m[k] = parsed
			}
		}
	}
}

var ref = regexp.MustCompile(`\{\{ref:(\d+)\.([^}]*)\}\}`)

func (c *conformanceCase) api(b *bench) string {
	var answers []map[string]any
	var resolve func(v any) any
	resolve = func(v any) any {
		switch v := v.(type) {
		case string:
			return ref.ReplaceAllStringFunc(v, func(t string) string {
				m := ref.FindStringSubmatch(t)
				n, _ := strconv.Atoi(m[1])
				var at any = answers[n-1]
				for _, part := range strings.Split(m[2], ".") {
					switch x := at.(type) {
					case map[string]any:
						at = x[part]
					case []any:
						i, _ := strconv.Atoi(part)
						at = x[i]
					}
				}
				return fmt.Sprint(at)
			})
		case map[string]any:
			if j, ok := v["$json"]; ok && len(v) == 1 {
				text, _ := json.Marshal(resolve(j))
				return string(text)
			}
			out := map[string]any{}
			for k, e := range v {
				out[k] = resolve(e)
			}
			return out
		case []any:
			out := []any{}
			for _, e := range v {
				out = append(out, resolve(e))
			}
			return out
		}
		return v
	}
	for i, step := range c.Steps {
		where := fmt.Sprintf("step %d %s", i+1, step.Op)
		if step.Await != "" {
			arn := resolve(step.Await).(string)
			answers = append(answers, map[string]any{})
			if step.Until == "ended" {
				k, _ := executionKey(arn)
				b.sched.Run(func() bool {
					_, o, _, _ := b.svc.load(k)
					return o == nil
				})
			}
			continue
		}
		if client, ok := step.Expect.(string); ok && strings.HasPrefix(client, "Parameter validation failed") ||
			step.Op == "GetPaginator" {
			// The client refused the call, or it is the client's own.
			answers = append(answers, map[string]any{})
			continue
		}
		got, err := b.call(step.Op, resolve(step.Request))
		b.sched.RunFor(time.Millisecond)
		answers = append(answers, got)
		switch {
		case step.ExpectError != nil:
			if p := matchError(step.ExpectError, err); p != "" {
				return where + ": " + p
			}
		case err != nil:
			return where + ": " + err.Error()
		case step.Expect != nil:
			expect, _ := step.Expect.(map[string]any)
			if events, ok := got["events"].([]any); ok && expect["history"] != nil {
				delete(got, "events")
				got["history"] = flatten(events)
			}
			c.asRecorded(got)
			if p := match(where, step.Expect, any(got)); p != "" {
				return p
			}
		}
	}
	return ""
}

// since are the days from which AWS answers as it does now. A recording from
// before is compared with the answer as it was then.
var since = map[string]string{
	"redriveCount":            "2023-11-15", // redrive: members of executions and of the context object
	"encryptionConfiguration": "2024-07-25", // customer managed keys: member of descriptions
	"mapRunLink":              "2024-11-01", // MapStateExited points before the end of its Map Run
}

// before reports whether the case was recorded before a change of AWS.
func (c *conformanceCase) before(change string) bool {
	day, _ := c.Source["recorded"].(string)
	if v, ok := c.Source["validated"].(string); ok && v > day {
		day = v
	}
	return day[:10] < since[change]
}

// asRecorded changes an answer into what AWS answered on the day of the
// recording.
func (c *conformanceCase) asRecorded(got any) {
	switch g := got.(type) {
	case []any:
		if c.before("mapRunLink") {
			var run any
			for _, e := range g {
				m, ok := e.(map[string]any)
				if !ok {
					continue
				}
				switch m["type"] {
				case "MapRunSucceeded":
					run = m["id"]
				case "MapStateExited":
					if run != nil {
						m["previousEventId"] = run
					}
					run = nil
				}
			}
		}
		for _, e := range g {
			c.asRecorded(e)
		}
	case map[string]any:
		for k, v := range g {
			if (k == "redriveCount" || k == "RedriveCount") && c.before("redriveCount") ||
				k == "encryptionConfiguration" && c.before(k) {
				delete(g, k)
				continue
			}
			if k == "logGroupArn" {
				// The recorder wrote this for the name of every log group.
				g[k] = "arn:aws:logs:us-east-1:111111111111:log-group:log_group_name:*"
			}
			c.asRecorded(v)
		}
	}
}

// caseFolder is where the cases are: FLEETSTEP_ASL_CASES, or among the recordings.
func caseFolder(tb testing.TB) string {
	if dir := os.Getenv("FLEETSTEP_ASL_CASES"); dir != "" {
		return dir
	}
	return recordings.Dir(tb, "histories and answers of AWS Step Functions", "conformance/asl")
}

func loadCases(tb testing.TB) []*conformanceCase {
	dir := caseFolder(tb)
	var files []string
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".json") && filepath.Base(path) != "schema.json" {
			files = append(files, path)
		}
		return nil
	})
	if len(files) == 0 {
		tb.Fatalf("no cases under %s", dir)
	}
	sort.Strings(files)
	var out []*conformanceCase
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		c := &conformanceCase{}
		if err := json.Unmarshal(b, c); err != nil {
			tb.Fatalf("%s: %v", f, err)
		}
		out = append(out, c)
	}
	return out
}

// knownFailures reads the cases that are allowed to fail: id, tab, reason.
func knownFailures(t *testing.T) map[string]string {
	f, err := os.Open("testdata/known_failures.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, reason, ok := strings.Cut(line, "\t")
		if !ok || strings.TrimSpace(reason) == "" {
			t.Fatalf("testdata/known_failures.txt: %q has no reason", line)
		}
		out[id] = strings.TrimSpace(reason)
	}
	return out
}

// TestConformance runs every recorded case. A case that fails must be in
// testdata/known_failures.txt, and one that is there must fail.
func TestConformance(t *testing.T) {
	cases := loadCases(t)
	known := knownFailures(t)
	only := os.Getenv("FLEETSTEP_ASL_ONLY")
	passed, run := 0, 0
	for _, c := range cases {
		if only != "" && !strings.Contains(c.ID, only) {
			continue
		}
		run++
		problem := c.run()
		reason, listed := known[c.ID]
		switch {
		case problem == "":
			passed++
			if listed {
				t.Errorf("%s passes; take it out of testdata/known_failures.txt", c.ID)
			}
		case listed:
			t.Logf("known failure %s (%s): %s", c.ID, reason, problem)
		default:
			t.Errorf("FAIL %s: %s", c.ID, problem)
		}
	}
	conformance = fmt.Sprintf("conformance: %d of %d passed", passed, run)
	recordings.Count(t, "histories and answers of AWS Step Functions", passed, run)
}

// conformance is the last line of a run.
var conformance string

func TestMain(m *testing.M) {
	code := m.Run()
	if conformance != "" {
		fmt.Println(conformance)
	}
	os.Exit(code)
}
