package operation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/payload"
)

// Placeholders of a state machine document, which the template fills in.
const (
	taskFunction     = "${UspTaskArn}"
	finalizeFunction = "${FinalizeArn}"
	resultsBucket    = "${ResultsBucket}"
)

// machine is a state machine as far as it is looked at here.
type machine struct {
	Comment, QueryLanguage, StartAt string
	States                          map[string]state
}

// state is a state of it. Members of both query languages stand side by side.
type state struct {
	Comment, Type, QueryLanguage, Resource, Next, Default string
	End                                                   bool
	Arguments, Parameters                                 any
	TimeoutSeconds, Seconds                               any
	TimeoutSecondsPath, SecondsPath                       string
	HeartbeatSeconds                                      any
	Timestamp, TimestampPath                              string
	Choices                                               []struct{ Next string }
	Retry                                                 []retrier
	Catch                                                 []catcher
	Branches                                              []machine
	ItemProcessor, Iterator                               *machine
}

type catcher struct {
	ErrorEquals []string
	Next        string
}

// retrier is a member of Retry. What is not given is as the States Language says
// ("Retrying after error").
type retrier struct {
	ErrorEquals                                   []string
	IntervalSeconds, MaxAttempts, MaxDelaySeconds *int
	BackoffRate                                   *float64
}

func (r retrier) attempts() int { return orElse(r.MaxAttempts, 3) }

// tooMany is the name of the error of a function that Lambda does not run because its concurrency, or the
// account's, is used up.
const tooMany = "Lambda.TooManyRequestsException"

// throttled reports whether a retrier is for functions that Lambda throttles, and nothing else.
func (r retrier) throttled() bool { return slices.Equal(r.ErrorEquals, []string{tooMany}) }

func orElse[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// mostDefinition is how many bytes a state machine's definition may have (CreateStateMachine, "definition"). Blanks
// between its members do not count: the template has it without.
const mostDefinition = 1 << 20

// newMachine reads a document. What is of another type than it should is told, and does not hide the rest.
func newMachine(document []byte) (m machine, problems event.Problems) {
	tree, problems := payload.Decode(document)
	if problems != nil {
		return machine{}, problems
	}
	if _, ok := tree.(map[string]any); !ok {
		return machine{}, event.Problems{{Path: "$", Value: tree, Allowed: "an object, which is a state machine"}}
	}
	err := json.Unmarshal(document, &m)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		problems = append(problems, event.Problem{Path: "$", Value: payload.Line(document, int(wrong.Offset)-1),
			Allowed: fmt.Sprintf("%s: no %s as %s", payload.Place(document, int(wrong.Offset)-1), wrong.Value,
				wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:])})
	} else if err != nil {
		return machine{}, event.Problems{{Path: "$", Allowed: "a state machine in JSON: " + err.Error()}}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, document); err == nil && compact.Len() > mostDefinition {
		problems = append(problems, event.Problem{Path: "$", Value: compact.Len(),
			Allowed: fmt.Sprintf("at most %d bytes, Step Functions' longest definition", mostDefinition)})
	}
	if len(m.States) == 0 {
		problems = append(problems, event.Problem{Path: "$.States", Allowed: "required: the states, by name"})
	}
	return m, problems
}

// begins reports whether the state is there with which it begins.
func (m machine) begins() bool {
	_, ok := m.States[m.StartAt]
	return ok
}

// noBeginning is the mistake of one that does not.
func (m machine) noBeginning() event.Problem {
	return event.Problem{Path: "$.StartAt", Value: m.StartAt, Allowed: "the name of a state"}
}

// way is a step from a state to another.
type way struct {
	to    string
	error []string // caught; nil of a plain way
}

// ways are where a state may lead to, in their order.
func (s state) ways() []way {
	var all []way
	add := func(to string, caught []string) {
		if to != "" {
			all = append(all, way{to, caught})
		}
	}
	for _, c := range s.Choices {
		add(c.Next, nil)
	}
	add(s.Default, nil)
	add(s.Next, nil)
	for _, c := range s.Catch {
		add(c.Next, c.ErrorEquals)
	}
	return all
}

// ends tells whether an execution may end in the state as it should.
func (s state) ends() bool { return s.End || s.Type == "Succeed" || s.Type == "Fail" }

// callPlace is where what a task calls stands: JSONPath has another member for it.
func (s state) callPlace() string {
	if s.Parameters != nil {
		return ".Parameters"
	}
	return ".Arguments"
}

// call is what a Task asks of a function.
func (s state) call() map[string]any {
	m, _ := s.Arguments.(map[string]any)
	if m == nil {
		m, _ = s.Parameters.(map[string]any)
	}
	return m
}

// payloadOf is what a Task hands to its function.
func (s state) payloadOf() map[string]any {
	m, _ := s.call()["Payload"].(map[string]any)
	return m
}

// isDevice and isFinalize are the two kinds of Task that an operation has, beside writing results.
func (s state) isDevice() bool { return s.Type == "Task" && s.call()["FunctionName"] == taskFunction }
func (s state) isFinalize() bool {
	return s.Type == "Task" && s.call()["FunctionName"] == finalizeFunction
}

// inner are the state machines within a state.
func (s state) inner() []machine {
	all := slices.Clone(s.Branches)
	for _, m := range []*machine{s.ItemProcessor, s.Iterator} {
		if m != nil {
			all = append(all, *m)
		}
	}
	return all
}

// talks tells whether a state machine has a task that concerns the device.
func (m machine) talks() bool {
	for _, name := range slices.Sorted(maps.Keys(m.States)) {
		s := m.States[name]
		if s.isDevice() || s.isFinalize() || slices.ContainsFunc(s.inner(), machine.talks) {
			return true
		}
	}
	return false
}

// order are the states as an execution would meet them: by the number of steps from the
// beginning, then by name. Those that are never met come last.
func (m machine) order() []string {
	rank, queue := map[string]int{}, []string{}
	if m.begins() {
		rank[m.StartAt], queue = 1, []string{m.StartAt}
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, w := range m.States[name].ways() {
			if _, ok := m.States[w.to]; ok && rank[w.to] == 0 {
				rank[w.to] = rank[name] + 1
				queue = append(queue, w.to)
			}
		}
	}
	names := slices.Sorted(maps.Keys(m.States))
	for _, name := range names {
		if rank[name] == 0 {
			rank[name] = len(m.States) + 1
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(rank[a], rank[b]) })
	return names
}

// loop is a way from a state back to it, nil if the machine has none.
func (m machine) loop() []string {
	const open, done = 1, 2
	seen := map[string]int{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		seen[name] = open
		path = append(path, name)
		for _, w := range m.States[name].ways() {
			switch seen[w.to] {
			case open:
				return append(slices.Clone(path[slices.Index(path, w.to):]), w.to)
			case 0:
				if found := visit(w.to); found != nil {
					return found
				}
			}
		}
		path = path[:len(path)-1]
		seen[name] = done
		return nil
	}
	return visit(m.StartAt)
}

// place is a state's path in the document.
func (m machine) place(name string) string { return member("$.States", name) }

// at is where in the execution's input a value is taken from; ok is false if v is no such
// expression. Both query languages have one form.
func inputPath(v any) (path []string, ok bool) {
	text, _ := v.(string)
	for _, form := range inputForms {
		if found := form.FindStringSubmatch(text); found != nil {
			return strings.Split(found[1], "."), true
		}
	}
	return nil, false
}

var inputForms = []*regexp.Regexp{
	regexp.MustCompile(`^\{%\s*\$states\.context\.Execution\.Input\.([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\s*%\}$`),
	regexp.MustCompile(`^\$\$\.Execution\.Input\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)$`),
}

// seconds is a number that a state gives as such or takes from the execution's input.
func seconds(v any, path string, input map[string]any) (float64, error) {
	if path != "" {
		v = path
	}
	if n, ok := v.(float64); ok {
		return n, nil
	}
	parts, ok := inputPath(v)
	if !ok {
		return 0, fmt.Errorf("%v is no number and is not taken from the execution's input", v)
	}
	var at any = input
	for _, part := range parts {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	switch n := at.(type) {
	case float64:
		return n, nil
	case int:
		return float64(n), nil
	case json.Number:
		return n.Float64()
	}
	return 0, fmt.Errorf("the execution's input has no number %s", strings.Join(parts, "."))
}
