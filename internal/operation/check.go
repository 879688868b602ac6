package operation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/event"
)

// What an execution may take at the most: AWS IoT's longest in-progress timer, and state
// transitions, which are what Step Functions is paid for.
const (
	mostTime        = 7 * 24 * time.Hour
	mostTransitions = 200
)

// primitives are the tasks of usp-task; FINALIZE goes to finalize.
var primitives = []string{"GET", "SET", "ADD", "DELETE", "OPERATE", "AWAIT"}

const finalizeTask = "FINALIZE"

const (
	waitForToken = "arn:aws:states:::lambda:invoke.waitForTaskToken"
	invoke       = "arn:aws:states:::lambda:invoke"
	putObject    = "arn:aws:states:::aws-sdk:s3:putObject"
)

// checker collects what is wrong with a state machine.
type checker struct {
	machine
	schema   *schema // nil where it has mistakes
	problems event.Problems
}

func (c *checker) add(path string, value any, allowed string, args ...any) {
	if len(args) > 0 {
		allowed = fmt.Sprintf(allowed, args...)
	}
	c.problems = append(c.problems, event.Problem{Path: path, Value: value, Allowed: allowed})
}

// check finds all that an operation's state machine does not keep to. The rules of the
// States Language itself are the service's to check.
func check(m machine, s *schema) event.Problems {
	c := &checker{machine: m, schema: s}
	for _, name := range c.order() {
		c.state(name)
	}
	if m.begins() {
		c.behindFinalize()
		c.bounds()
	} else {
		c.problems = append(c.problems, m.noBeginning())
	}
	return c.problems.Sorted()
}

// leastThrottled is how often a function that Lambda throttles is tried again at least. A new account runs ten
// functions at a time: with 2,000 devices a minute six tries were too few for 54 of them.
const leastThrottled = 10

// warn finds what is allowed, but makes devices fail for what is no fault of theirs.
func warn(m machine) event.Problems {
	c := &checker{machine: m}
	for _, name := range c.order() {
		if s := c.States[name]; s.isDevice() || s.isFinalize() {
			c.tried(c.place(name)+".Retry", s)
			c.given(c.place(name)+".Retry", s)
		}
	}
	return c.problems
}

// tried looks for the retrier that takes a throttled function: the first that names it.
func (c *checker) tried(at string, s state) {
	for _, r := range s.Retry {
		if !slices.ContainsFunc(r.ErrorEquals, func(name string) bool {
			return slices.Contains([]string{tooMany, "States.TaskFailed", "States.ALL"}, name)
		}) {
			continue
		}
		if n := r.attempts(); n < leastThrottled {
			c.add(at, n, "MaxAttempts of %d or more for %s, which may pass only after minutes", leastThrottled,
				tooMany)
		}
		return
	}
	c.add(at, nil, "a retrier of %s with MaxAttempts of %d or more: the account may be busy for minutes", tooMany,
		leastThrottled)
}

// given looks for the retrier that gives a command again that nothing tells of. Who must not give it twice says so by
// MaxAttempts 0.
func (c *checker) given(at string, s state) {
	if s.payloadOf()["task"] != "OPERATE" || slices.ContainsFunc(s.Retry, func(r retrier) bool {
		return slices.ContainsFunc(r.ErrorEquals, func(name string) bool {
			return slices.Contains([]string{string(event.DeviceNoReport), "States.TaskFailed", "States.ALL"}, name)
		})
	}) {
		return
	}
	c.add(at, nil, "a retrier of %s: a command may be lost on its way; MaxAttempts 0 if it must not be given twice",
		event.DeviceNoReport)
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

func (c *checker) state(name string) {
	at, s := c.place(name), c.States[name]
	for _, w := range s.ways() {
		if _, ok := c.States[w.to]; !ok {
			c.add(at, w.to, "the name of a state that exists")
		}
	}
	switch s.Type {
	case "Task":
		c.task(at, s)
	case "Choice":
		if s.Default == "" {
			c.add(at+".Default", nil,
				"required: without it an input that no choice matches ends the execution before FINALIZE")
		}
	case "Wait":
		if s.Timestamp != "" || s.TimestampPath != "" {
			c.add(at, s.Timestamp+s.TimestampPath, "Seconds: the length of a wait until a time of day is not known")
			return
		}
		c.seconds(at+".Seconds", s.Seconds, s.SecondsPath)
	case "Map", "Parallel":
		if slices.ContainsFunc(s.inner(), machine.talks) {
			c.add(at, s.Type,
				"no task of the device inside: a device does one thing at a time")
		}
	}
	for _, text := range placeholders(s.Arguments, s.Parameters) {
		if !slices.Contains([]string{taskFunction, finalizeFunction, resultsBucket}, text) {
			c.add(at, text, "one of %s, %s, %s: nothing else is filled in", taskFunction, finalizeFunction,
				resultsBucket)
		}
	}
}

// placeholders are those in values, in order, each once.
func placeholders(values ...any) []string {
	var found []string
	var walk func(v any)
	walk = func(v any) {
		switch t := v.(type) {
		case string:
			found = append(found, placeholder.FindAllString(t, -1)...)
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(t)) {
				walk(t[k])
			}
		case []any:
			for _, e := range t {
				walk(e)
			}
		}
	}
	for _, v := range values {
		walk(v)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// seconds checks a time that create-job must be able to add up.
func (c *checker) seconds(at string, v any, path string) bool {
	if path != "" {
		v = path
	}
	if v == nil {
		c.add(at, nil, "required: a whole number of seconds, or one of the execution's input")
		return false
	}
	n, isNumber := v.(float64)
	parts, isPath := inputPath(v)
	if isPath && c.schema != nil && (len(parts) < 3 || parts[0] != "document" || parts[1] != "input" ||
		!c.schema.gives(parts[2:])) {
		c.add(at, v, "a number of the job's input, which the schema requires or gives a default")
		return false
	}
	if !isPath && (!isNumber || n < 1 || n != float64(int64(n))) {
		c.add(at, v, "a whole number of seconds, or one of the execution's input:"+
			" {% $states.context.Execution.Input.document.input.NAME %}, in JSONPath"+
			" $$.Execution.Input.document.input.NAME")
		return false
	}
	return true
}

func (c *checker) task(at string, s state) {
	c.seconds(at+".TimeoutSeconds", s.TimeoutSeconds, s.TimeoutSecondsPath)
	task, _ := s.payloadOf()["task"].(string)
	switch {
	case s.isDevice():
		c.resource(at, s, waitForToken)
		if !slices.Contains(primitives, task) {
			c.add(at+s.callPlace()+".Payload.task", orNil(task), "one of %s", strings.Join(primitives, ", "))
		} else {
			c.handsOver(at, s)
		}
		c.context(at, s)
	case s.isFinalize():
		c.resource(at, s, invoke)
		if task != finalizeTask {
			c.add(at+s.callPlace()+".Payload.task", orNil(task), finalizeTask)
		} else {
			c.handsOver(at, s)
		}
		c.context(at, s)
		if len(s.Catch) > 0 {
			c.add(at+".Catch", s.Catch[0].ErrorEquals,
				"none: an execution whose end cannot be reported fails in FINALIZE, and is redriven")
		}
		if !caught(retried(s.Retry)) {
			c.add(at+".Retry", nil, "one of States.ALL: AWS IoT takes 200 reports a second of an account")
		}
		return
	case partition(s.Resource) == putObject:
		if bucket := s.call()["Bucket"]; bucket != resultsBucket {
			c.add(at+s.callPlace()+".Bucket", bucket, "%s: an operation may write only there", resultsBucket)
		}
	default:
		c.add(at+".Resource", s.Resource, "%s with FunctionName %s, %s with FunctionName %s, or %s:"+
			" the role of an operation allows nothing else", waitForToken, taskFunction, invoke, finalizeFunction,
			putObject)
	}
	if len(s.Catch) == 0 || !slices.Contains(s.Catch[len(s.Catch)-1].ErrorEquals, "States.ALL") {
		c.add(at+".Catch", nil, "one of States.ALL, the last, so that every error is reported by FINALIZE")
	}
}

func (c *checker) resource(at string, s state, want string) {
	if partition(s.Resource) != want {
		c.add(at+".Resource", s.Resource, want)
	}
}

// context: a task is told its execution and its token by the context object.
func (c *checker) context(at string, s state) {
	p := s.payloadOf()
	jsonata, _ := p["context"].(string)
	if strings.Join(strings.Fields(jsonata), "") != "{%$states.context%}" && p["context.$"] != "$$" {
		c.add(at+s.callPlace()+".Payload.context", p["context"],
			"{% $states.context %}, in JSONPath \"context.$\": \"$$\"")
	}
}

// partition is an ARN of an integration as in the commercial partition.
func partition(resource string) string {
	return strings.Replace(resource, "arn:${Partition}:", "arn:aws:", 1)
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func retried(all []retrier) [][]string {
	var errors [][]string
	for _, r := range all {
		errors = append(errors, r.ErrorEquals)
	}
	return errors
}

func caught(all [][]string) bool {
	return slices.ContainsFunc(all, func(errors []string) bool { return slices.Contains(errors, "States.ALL") })
}

// behindFinalize checks that every way through the states reports the end, and that no task of
// the device follows, because the device may then belong to another execution.
func (c *checker) behindFinalize() {
	after := map[string]bool{} // states behind a FINALIZE
	for name, reached := range c.reach(c.StartAt, true) {
		s := c.States[name]
		if reached && s.ends() && !s.isFinalize() {
			c.add(c.place(name), orNil(s.Type), "an end that is reached only through FINALIZE")
		}
	}
	finalizes := 0
	for _, name := range slices.Sorted(maps.Keys(c.States)) {
		if !c.States[name].isFinalize() {
			continue
		}
		finalizes++
		for _, w := range c.States[name].ways() {
			for behind := range c.reach(w.to, false) {
				after[behind] = true
			}
		}
	}
	if finalizes == 0 {
		c.add("$.States", nil, "a task FINALIZE, which reports the end")
	}
	met := c.reach(c.StartAt, false)
	for _, name := range slices.Sorted(maps.Keys(c.States)) {
		switch s := c.States[name]; {
		case !met[name]:
			c.add(c.place(name), orNil(s.Type), "a state that an execution can reach")
		case after[name] && (s.isDevice() || s.isFinalize()):
			c.add(c.place(name), orNil(s.Type), "no task of the device after FINALIZE, which releases the device")
		}
	}
}

// reach are the states that can be reached from one; with stop, without passing a FINALIZE.
func (c *checker) reach(from string, stop bool) map[string]bool {
	seen := map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		s, ok := c.States[name]
		if !ok || seen[name] {
			return
		}
		seen[name] = true
		if stop && s.isFinalize() {
			return
		}
		for _, w := range s.ways() {
			walk(w.to)
		}
	}
	walk(from)
	return seen
}

// bounds: an execution ends, in time, and does not cost too much.
func (c *checker) bounds() {
	if loop := c.loop(); loop != nil {
		c.add(c.place(loop[0]), strings.Join(loop, " > "),
			"no loop, because the number of its rounds cannot be computed; a Retry repeats a state")
		return
	}
	if n := c.transitions(); n > mostTransitions {
		c.add("$.States", n, "at most %d state transitions on the longest way, including retries, except of %s",
			mostTransitions, tooMany)
	}
	if c.problems != nil || c.schema == nil {
		return
	}
	// Times that an input may set are bounded by create-job for each job; without any
	// the defaults count, and what has no default counts as nothing.
	longest, problems := c.longest(map[string]any{"document": map[string]any{"input": c.schema.filled(nil)}})
	if problems == nil && longest > mostTime {
		c.add("$.States", longest.String(), "times that end within %s, AWS IoT's longest job", mostTime)
	}
}
