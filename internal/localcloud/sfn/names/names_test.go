package names

import (
	"errors"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "fw-2.1_rg.17", "Größe", strings.Repeat("ü", 80)} {
		if !Valid(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{
		"", strings.Repeat("a", 81), "a b", "a:b", "a/b", "a*", "a\n", "a\u0085", "a\ufffd", "a\uffff", "a\xff",
	} {
		if Valid(name) {
			t.Errorf("%q is taken", name)
		}
	}
}

// TestARNs: what each of the functions takes an ARN for; want "" is a refusal.
func TestARNs(t *testing.T) {
	join := func(parts ...string) string { return strings.Join(parts, " ") }
	machine := func(arn string) (string, error) { n, q, err := MachineOf(arn); return join(n, q), err }
	execution := func(arn string) (string, error) { m, n, err := ExecutionOf(arn); return join(m, n), err }
	standard := func(arn string) (string, error) { m, n, err := StandardOf(arn); return join(m, n), err }
	mapRun := func(arn string) (string, error) { return LabelOf(arn), CheckMapRun(arn) }
	const prefix = "arn:aws:states:eu-west-1:123456789012:"
	for _, tt := range []struct {
		name string
		of   func(string) (string, error)
		arn  string
		want string
	}{
		{"machine", machine, prefix + "stateMachine:up", "up "},
		{"machine", machine, prefix + "stateMachine:up:3", "up 3"},
		{"machine", machine, prefix + "stateMachine:up/map:live", "up/map live"},
		{"machine", machine, prefix + "activity:up", ""},
		{"machine", machine, "arn:aws:sqs:eu-west-1:123456789012:stateMachine:up", ""},
		{"machine", machine, "up", ""},
		{"execution", execution, prefix + "execution:up:one", "up one"},
		{"execution", execution, prefix + "execution:up/map:one", "up map/one"},
		{"execution", execution, prefix + "express:up/map:one", "up map/one"},
		{"execution", execution, prefix + "express:up:one:two", ""},
		{"execution", execution, prefix + "execution:up", ""},
		{"standard", standard, prefix + "execution:up/map:one", "up map/one"},
		{"standard", standard, prefix + "express:up/map:one", ""},
		{"activity", ActivityOf, prefix + "activity:work", "work"},
		{"activity", ActivityOf, prefix + "execution:work:one", ""},
		{"map run", mapRun, prefix + "mapRun:up/label:0a1b", "label"},
		{"map run", mapRun, prefix + "execution:up/label:0a1b", ""},
	} {
		got, err := tt.of(tt.arn)
		var refused *Error
		if tt.want == "" && !errors.As(err, &refused) || tt.want != "" && (err != nil || got != tt.want) {
			t.Errorf("%s of %s: got %q, %v; want %q", tt.name, tt.arn, got, err, tt.want)
		}
	}
}

func TestExecutionsHaveTheARNsThatNameThem(t *testing.T) {
	a := Account{"eu-west-1", "123456789012"}
	for _, name := range []string{"one", "map/one"} {
		arn := a.Execution("up", name)
		if m, n, err := ExecutionOf(arn); err != nil || m != "up" || n != name {
			t.Errorf("%s names %s of %s, %v", arn, n, m, err)
		}
	}
}
