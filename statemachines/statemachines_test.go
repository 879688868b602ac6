package statemachines_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/statemachines"
)

type catcher struct {
	ErrorEquals  []string
	Output, Next string
}

type state struct {
	Type, Resource, Next, Error, Cause string
	End                                bool
	Arguments                          json.RawMessage
	TimeoutSeconds, Seconds, Output    any
	Retry                              []struct {
		ErrorEquals                                   []string
		IntervalSeconds, MaxAttempts, MaxDelaySeconds int
		BackoffRate                                   float64
		JitterStrategy                                string
	}
	Catch []catcher
}

type machine struct {
	QueryLanguage, StartAt string
	States                 map[string]state
}

func load(t *testing.T) machine {
	t.Helper()
	var m machine
	if err := json.Unmarshal([]byte(statemachines.FirmwareUpgrade), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryTaskIsBoundedAndCaught(t *testing.T) {
	m := load(t)
	if m.QueryLanguage != "JSONata" {
		t.Errorf("query language %q", m.QueryLanguage)
	}
	for name, s := range m.States {
		if s.Type != "Task" {
			continue
		}
		if text, ok := s.TimeoutSeconds.(string); !ok || !strings.HasPrefix(text, "{% ") || !strings.Contains(text, "econds") {
			t.Errorf("%s: TimeoutSeconds %v does not come from the input", name, s.TimeoutSeconds)
		}
		if len(s.Retry) == 0 {
			t.Errorf("%s: no Retry", name)
		}
		for _, r := range s.Retry {
			if r.JitterStrategy != "FULL" || r.MaxDelaySeconds == 0 || r.MaxAttempts == 0 || r.IntervalSeconds == 0 {
				t.Errorf("%s: Retry %v has no jitter or no bounds", name, r.ErrorEquals)
			}
		}
		last := catcher{}
		if len(s.Catch) > 0 {
			last = s.Catch[len(s.Catch)-1]
		}
		want := "Finalize"
		if name == "Finalize" {
			want = "Unfinished"
		}
		if !slices.Equal(last.ErrorEquals, []string{"States.ALL"}) || last.Next != want {
			t.Errorf("%s: the last Catch is %+v, not all errors to %s", name, last, want)
		}
		for _, c := range s.Catch {
			if !strings.Contains(c.Output, "$states.input") && name != "Inspect" {
				t.Errorf("%s: a Catch of %v loses the input", name, c.ErrorEquals)
			}
		}
	}
}

func TestEveryStateLeadsSomewhere(t *testing.T) {
	m := load(t)
	reached := map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		s, ok := m.States[name]
		if !ok {
			t.Fatalf("there is no state %q", name)
		}
		if reached[name] {
			return
		}
		reached[name] = true
		if s.Next != "" {
			walk(s.Next)
		} else if !s.End && s.Type != "Fail" {
			t.Errorf("%s leads nowhere", name)
		}
		for _, c := range s.Catch {
			walk(c.Next)
		}
	}
	walk(m.StartAt)
	for name := range m.States {
		if !reached[name] {
			t.Errorf("%s is never reached", name)
		}
	}
}

// A transition is an entry of a state and the end of the execution.
func TestASuccessIsCheap(t *testing.T) {
	m := load(t)
	path := func(signposts map[string]string) []string {
		var states []string
		for name := m.StartAt; name != ""; {
			states = append(states, name)
			s := m.States[name]
			next := s.Next
			if sign, ok := signposts[name]; ok {
				delete(signposts, name)
				next = ""
				for _, c := range s.Catch {
					if slices.Contains(c.ErrorEquals, sign) {
						next = c.Next
					}
				}
				if next == "" {
					t.Fatalf("%s has no way for %s", name, sign)
				}
			}
			name = next
		}
		return states
	}
	if p := path(nil); len(p)+1 > 6 {
		t.Errorf("%d transitions: %v", len(p)+1, p)
	}
	if p := path(map[string]string{"AwaitReport": "Next.Activate"}); len(p) > 7 {
		t.Errorf("%d states with a separate Activate: %v", len(p), p)
	}
	if p := path(map[string]string{"Verify": "Next.Soak"}); !slices.Contains(p, "Soak") {
		t.Errorf("no Soak in %v", p)
	}
	if p := path(map[string]string{"Verify": "Verify.WrongVersion"}); !slices.Contains(p, "Rollback") {
		t.Errorf("no Rollback in %v", p)
	}
}

func TestOnlyARNsAreSubstituted(t *testing.T) {
	for _, s := range regexp.MustCompile(`\$\{[^}]*\}`).FindAllString(statemachines.FirmwareUpgrade, -1) {
		switch s {
		case "${SendUspOperateArn}", "${AwaitFirmwareReportArn}", "${VerifyVersionArn}", "${FinalizeArn}":
		default:
			t.Errorf("unexpected substitution %s", s)
		}
	}
}

func TestWaitingTasksPassTheirToken(t *testing.T) {
	for name, s := range load(t).States {
		waits := strings.HasSuffix(s.Resource, ".waitForTaskToken")
		if waits != strings.Contains(string(s.Arguments), "$states.context.Task.Token") {
			t.Errorf("%s: resource %s, arguments %s", name, s.Resource, s.Arguments)
		}
	}
}
