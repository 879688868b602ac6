package jsonata

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/fleetstep/fleetstep/internal/recordings"
)

// casesDir finds the suite: FLEETSTEP_JSONATA_CASES, or among the recordings.
func casesDir(t testing.TB) string {
	dir := os.Getenv("FLEETSTEP_JSONATA_CASES")
	if dir == "" {
		return recordings.Dir(t, "JSONata's own suite", "conformance/jsonata")
	}
	if _, err := os.Stat(filepath.Join(dir, "cases")); err != nil {
		t.Fatalf("FLEETSTEP_JSONATA_CASES: %v", err)
	}
	return dir
}

type suite struct {
	cases    []*Object
	datasets map[string]Value
}

func decodeFile(t testing.TB, path string) Value {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := DecodeJSON(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

func loadSuite(t testing.TB) *suite {
	dir := casesDir(t)
	s := &suite{datasets: map[string]Value{}}
	sets, _ := filepath.Glob(filepath.Join(dir, "datasets", "*.json"))
	for _, path := range sets {
		s.datasets[strings.TrimSuffix(filepath.Base(path), ".json")] = decodeFile(t, path)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "cases", "*.json"))
	sort.Strings(files)
	for _, path := range files {
		list, ok := decodeFile(t, path).([]any)
		if !ok {
			t.Fatalf("%s: not a list of cases", path)
		}
		for _, c := range list {
			s.cases = append(s.cases, c.(*Object))
		}
	}
	return s
}

func (s *suite) input(c *Object) (Value, error) {
	if v, ok := c.Get("data"); ok {
		return v, nil
	}
	name, _ := c.lookup("dataset").(string)
	if name == "" {
		return Undefined, nil
	}
	v, ok := s.datasets[name]
	if !ok {
		return nil, fmt.Errorf("no dataset %s", name)
	}
	return v, nil
}

func testRuntime() *Runtime {
	seed := 0
	return &Runtime{
		Now:    func() time.Time { return time.Date(2026, 11, 22, 9, 30, 15, 123e6, time.UTC) },
		Random: func() float64 { seed++; return math.Mod(float64(seed)*0.618033988749895, 1) },
		UUID:   func() string { return "6c2d1f3e-6f0e-4f0b-9d8f-0c1b2a3d4e5f" },
	}
}

// runCase evaluates a case and says what is wrong with the outcome.
func (s *suite) runCase(c *Object) error {
	for _, k := range c.Keys() {
		switch k {
		case "id", "expr", "data", "dataset", "bindings", "result", "undefinedResult", "code", "token", "error",
			"timelimit", "depth", "unordered",
			"description", "category", "comment":
		default:
			return fmt.Errorf("unknown field %q", k)
		}
	}
	input, err := s.input(c)
	if err != nil {
		return err
	}
	bindings := map[string]Value{}
	if b, ok := c.lookup("bindings").(*Object); ok {
		for k, v := range b.All() {
			bindings[k] = v
		}
	}
	rt := testRuntime()
	if d, ok := c.lookup("depth").(float64); ok {
		rt.Limits.Depth = int(d)
	}
	before, _ := AppendJSON(nil, input)
	var got Value
	e, err := Compile(c.lookup("expr").(string))
	if err == nil {
		got, err = e.Eval(rt, input, bindings)
	}
	if after, _ := AppendJSON(nil, input); string(before) != string(after) {
		return errors.New("the input was changed")
	}
	return s.judge(c, got, err)
}

func (s *suite) judge(c *Object, got Value, err error) error {
	wantError, _ := c.lookup("error").(*Object)
	code, _ := c.lookup("code").(string)
	if wantError != nil {
		code, _ = wantError.lookup("code").(string)
	}
	if code != "" {
		var e *Error
		if !errors.As(err, &e) {
			return fmt.Errorf("want error %s, got %s, %v", code, show(got), err)
		}
		if e.Code != code {
			return fmt.Errorf("want error %s, got %v", code, e)
		}
		if token, ok := c.lookup("token").(string); ok && e.Token != token {
			return fmt.Errorf("want token %q, got %q", token, e.Token)
		}
		if wantError != nil {
			if token, ok := wantError.lookup("token").(string); ok && e.Token != token {
				return fmt.Errorf("want token %q, got %q", token, e.Token)
			}
			if m, ok := wantError.lookup("message").(string); ok && e.Message != m {
				return fmt.Errorf("want message %q, got %q", m, e.Message)
			}
			if v, ok := wantError.Get("value"); ok && !deepEqual(v, e.Value) {
				return fmt.Errorf("want value %s, got %s", show(v), show(e.Value))
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	if _, ok := c.Get("undefinedResult"); ok {
		if got != Undefined {
			return fmt.Errorf("want nothing, got %s", show(got))
		}
		return nil
	}
	want, _ := c.Get("result")
	unordered, _ := c.lookup("unordered").(bool)
	if !sameResult(want, got, unordered) {
		return fmt.Errorf("want %s\n got %s", show(want), show(got))
	}
	return nil
}

func sameResult(want, got Value, unordered bool) bool {
	x, isArray := want.([]any)
	y, _ := got.([]any)
	if !unordered || !isArray {
		return deepEqual(want, got)
	}
	if len(x) != len(y) {
		return false
	}
	used := make([]bool, len(y))
outer:
	for _, a := range x {
		for i, b := range y {
			if !used[i] && deepEqual(a, b) {
				used[i] = true
				continue outer
			}
		}
		return false
	}
	return true
}

func show(v Value) string {
	if v == Undefined {
		return "undefined"
	}
	out, err := EncodeJSON(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	if len(out) > 600 {
		out = append(out[:600], "..."...)
	}
	return string(out)
}

// knownFailures reads the cases that are known to fail: a line each, the id
// and the reason.
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
		id, reason, _ := strings.Cut(line, " ")
		if reason == "" {
			t.Errorf("known_failures.txt: %s has no reason", id)
		}
		out[id] = reason
	}
	return out
}

func TestConformance(t *testing.T) {
	s := loadSuite(t)
	known := knownFailures(t)
	passed := 0
	var failed []string
	for _, c := range s.cases {
		id, _ := c.lookup("id").(string)
		err := s.runCase(c)
		reason, listed := known[id]
		switch {
		case err == nil && listed:
			t.Errorf("%s passes; take it off known_failures.txt", id)
			passed++
		case err == nil:
			passed++
		case listed:
			failed = append(failed, fmt.Sprintf("%s (known: %s)", id, reason))
		default:
			failed = append(failed, id)
			t.Errorf("%s: %s\n %v", id, c.lookup("expr"), err)
		}
	}
	for _, f := range failed {
		fmt.Println("fails:", f)
	}
	fmt.Printf("conformance: %d of %d passed\n", passed, len(s.cases))
	recordings.Count(t, "JSONata's own suite", passed, len(s.cases))
}
