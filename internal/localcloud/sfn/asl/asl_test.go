package asl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/recordings"
)

// clock is a host whose time a test moves.
type clock struct {
	now time.Time
	n   int
}

func (c *clock) Now() time.Time                 { return c.now }
func (c *clock) Random(n int64) int64           { return n / 2 }
func (c *clock) UUID() string                   { c.n++; return strings.Repeat("0", 8) }
func (c *clock) Token(b string, a int) string   { return b + "#" + string(rune('0'+a)) }
func (c *clock) ActivityExists(arn string) bool { return true }

func compileOrFail(t testing.TB, definition string) *Machine {
	t.Helper()
	m, ds := Compile(definition, false)
	if m == nil {
		t.Fatal(ds.Error())
	}
	return m
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, ds := Compile(`{"StartAt":"A","TimeoutSeconds":0,"States":{
	 "A":{"Type":"Task","Next":"X","Retry":[{"MaxAttempts":-1}]},
	 "B":{"Type":"Wait","End":true},
	 "C":{"Type":"Choice","Choices":[{"Variable":"$.x","NumericEquals":"1","Next":"A"}]},
	 "D":{"Type":"Pass","Parameters":{"x.$":"nope"},"ResultPath":"$..x","End":true,"Wrong":1}}}`, false)
	want := map[string]bool{
		"/TimeoutSeconds": true, "/States/A": true, "/States/A/Next": true, "/States/A/Retry[0]": true,
		"/States/A/Retry[0]/MaxAttempts": true,
		"/States/B":                      true, "/States/C": true, "/States/C/Choices[0]/NumericEquals": true,
		"/States/D": true, "/States/D/Parameters": true, "/States/D/ResultPath": true,
	}
	got := map[string]bool{}
	for _, d := range ds {
		got[d.Location] = true
	}
	for l := range want {
		if !got[l] {
			t.Errorf("nothing at %s in %v", l, ds)
		}
	}
}

func TestRetryDelays(t *testing.T) {
	r := &Retrier{Interval: 2, Backoff: 3, MaxDelay: 15}
	for i, want := range []float64{2, 6, 15, 15} {
		if got := r.delay(i + 1); got != want {
			t.Errorf("attempt %d: %v, want %v", i+1, got, want)
		}
	}
}

// TestRetriersCountSeparately is the example of the guide: errors A, B, C, B
// with one retrier for A and B (at most 2) and one for C.
func TestRetriersCountSeparately(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"FunctionName":"f"},
	 "Retry":[{"ErrorEquals":["A","B"],"MaxAttempts":2},{"ErrorEquals":["C"]}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"End"}],"Next":"End"},"End":{"Type":"Succeed"}}}`)
	c := &clock{now: time.Unix(0, 0)}
	r := New(m, c, Info{Input: TextData(`{}`)})
	r.Start()
	for i, name := range []string{"A", "B", "C", "B"} {
		if len(r.Calls) != i+1 {
			t.Fatalf("before %s: %d calls", name, len(r.Calls))
		}
		call := r.Calls[i]
		if err := r.Complete(call.Branch, call.Attempt, Failing(name, "")); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(time.Hour)
		r.Tick()
	}
	if r.Status != Succeeded || r.Output.Text() != `{"Error":"B","Cause":null}` {
		t.Fatal(r.Status, r.Output)
	}
}

func TestErrorMatching(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		want          bool
	}{
		{"X", "States.ALL", true}, {"X", "States.TaskFailed", true}, {"States.Timeout", "States.TaskFailed", false},
		{"States.QueryEvaluationError", "States.TaskFailed", false},
		{"States.QueryEvaluationError", "States.ALL", true},
		{"States.DataLimitExceeded", "States.TaskFailed", true}, {"States.DataLimitExceeded", "States.ALL", true},
		{"States.Timeout", "States.ALL", true}, {"States.Runtime", "States.ALL", false},
		{"States.Runtime", "States.Runtime", false}, {"X", "x", false},
	} {
		f := &Failure{Error: ptr(c.name)}
		if got := f.matches([]string{c.pattern}); got != c.want {
			t.Errorf("%s by %s: %v", c.name, c.pattern, got)
		}
	}
	missed := &Failure{Error: ptr("States.Timeout"), heartbeat: true}
	if !missed.matches([]string{"States.HeartbeatTimeout"}) || !missed.matches([]string{"States.Timeout"}) {
		t.Error("a missed heartbeat matches both names")
	}
}

func TestStringMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"foo*.log", "foo23.log", true}, {"*.log", "zebra.log", true}, {"foo*.*", "foobar.zebra", true}, {`a\*b`, "a*b", true}, {`a\*b`, "axb", false},
		{"*", "", true}, {"a*a", "a", false}, {"a*b*c", "abc", true}, {"a*b*c", "acb", false},
	} {
		if got := matches(c.pattern, c.s); got != c.want {
			t.Errorf("%q of %q: %v", c.pattern, c.s, got)
		}
	}
}

// TestEverySnapshotResumes stops and resumes a run with branches, iterations,
// retries and tokens at every step.
func TestEverySnapshotResumes(t *testing.T) {
	m := compileOrFail(t, `{"StartAt":"P","States":{"P":{"Type":"Parallel","Next":"M","ResultPath":"$.p","Branches":[
	 {"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":5,"Next":"T"},"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f","Payload":{"t.$":"$$.Task.Token"}},"End":true}}},
	 {"StartAt":"V","States":{"V":{"Type":"Pass","Assign":{"v":1},"End":true}}}]},
	 "M":{"Type":"Map","ItemsPath":"$.items","MaxConcurrency":2,"ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:111111111111:function:f",
	 "Retry":[{"ErrorEquals":["E"]}],"Next":"J"},"J":{"Type":"Pass","Parameters":{"i.$":"$$.Map.Item.Index","r.$":"$"},"End":true}}},"End":true}}}`)
	c := &clock{now: time.Unix(0, 0)}
	info := Info{Input: TextData(`{"items":["a","b","c"]}`)}
	r := New(m, c, info)
	r.Start()
	failed := false
	var events []Event
	for step := 0; r.Status == Running && step < 100; step++ {
		events = append(events, r.Events...)
		calls, waiting := r.Outstanding()
		s := r.Snapshot()
		text := mustMarshal(t, s)
		var back Snapshot
		mustUnmarshal(t, text, &back)
		r = Resume(m, c, info, back)
		switch {
		case len(calls) > 0:
			call := calls[0]
			switch {
			case call.Resource.Pattern == Callback:
				_ = r.Submit(call.Branch, call.Attempt, Result{Output: TextData(`{}`)}, "")
			case !failed:
				failed = true
				_ = r.Complete(call.Branch, call.Attempt, Failing("E", ""))
			default:
				_ = r.Complete(call.Branch, call.Attempt, Result{Output: call.Input})
			}
		case len(waiting) > 0:
			_ = r.Complete(waiting[0].ID, waiting[0].Attempt, Result{Output: TextData(`"answer"`)})
		default:
			c.now = r.NextWake()
			r.Tick()
		}
	}
	events = append(events, r.Events...)
	if r.Status != Succeeded || r.Output.Text() != `[{"r":"a","i":0},{"r":"b","i":1},{"r":"c","i":2}]` {
		t.Fatal(r.Status, r.Output)
	}
	for i, e := range events {
		if e.ID != int64(i+1) || e.Previous >= e.ID {
			t.Fatalf("event %d has id %d after %d", i, e.ID, e.Previous)
		}
	}
}

func FuzzCompile(f *testing.F) {
	var files []string
	if dir := recordings.Find("conformance/asl/cases"); dir != "" {
		files, _ = filepath.Glob(filepath.Join(dir, "*", "*.json"))
	}
	for i, name := range files {
		if i%10 == 0 {
			if b, err := os.ReadFile(name); err == nil {
				if m, _ := parseDefinition(string(b)); m != nil {
					f.Add(definitionOf(m), "{}")
				}
			}
		}
	}
	f.Add(`{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}`, `{"x":[1]}`)
	// One run is to take milliseconds, whatever it computes.
	limits := expressionLimits
	expressionLimits.Steps = 20_000
	f.Cleanup(func() { expressionLimits = limits })
	f.Fuzz(func(t *testing.T, definition, input string) {
		m, ds := Compile(definition, false)
		if (m == nil) != ds.Failed() {
			t.Fatal("a machine beside errors, or neither")
		}
		if m == nil {
			return
		}
		data, err := ParseData(input)
		if err != nil {
			return
		}
		c := &clock{now: time.Unix(0, 0)}
		r := New(m, c, Info{Input: data})
		var events []Event
		r.Record = func(e *Event) {
			if events = append(events, *e); len(events) == 500 {
				r.Status = Aborted
			}
		}
		r.Start()
		for step := 0; r.Status == Running && step < 50; step++ {
			calls, waiting := r.Outstanding()
			switch {
			case len(calls) > 0:
				_ = r.Complete(calls[0].Branch, calls[0].Attempt, Result{Output: calls[0].Input})
			case len(waiting) > 0:
				_ = r.Complete(waiting[0].ID, waiting[0].Attempt, Failing("E", "c"))
			case r.NextWake().IsZero():
				t.Fatal("a run that waits for nothing")
			default:
				c.now = r.NextWake()
				r.Tick()
			}
			text := mustMarshal(t, r.Snapshot())
			var back Snapshot
			mustUnmarshal(t, text, &back)
		}
		for i, e := range events {
			if e.ID != int64(i+1) || e.Previous >= e.ID {
				t.Fatalf("event %d has id %d after %d", i, e.ID, e.Previous)
			}
		}
	})
}
