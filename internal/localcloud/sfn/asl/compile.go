package asl

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// Limits of a definition.
const (
	MaxDefinition = 1 << 20
	MaxName       = 80
	maxSeconds    = 99999999
	maxNesting    = 60
)

const (
	schemaFailed      = "SCHEMA_VALIDATION_FAILED"
	missingTransition = "MISSING_TRANSITION_TARGET"
	duplicateName     = "DUPLICATE_STATE_NAME"
	invalidName       = "INVALID_STATE_NAME"
	duplicateLabel    = "DUPLICATE_LABEL_NAME"
	invalidLabel      = "INVALID_LABEL_NAME"
	tooDeep           = "TOO_DEEPLY_NESTED"
	invalidJSON       = "INVALID_JSON_DESCRIPTION"
	missingEnd        = "MISSING_END_STATE"
	invalidJSONata    = "INVALID_JSONATA_EXPRESSION"
	unsupportedPart   = "UNSUPPORTED_JSONATA_EXPRESSION"
)

// Compile checks a definition and plans it. The machine is nil if the
// diagnostics hold an error.
func Compile(definition string, express bool) (*Machine, Diagnostics) {
	c := &compiler{names: map[string]bool{}, states: always}
	v, ds := parseDefinition(definition)
	if ds != nil {
		return nil, ds
	}
	o, ok := v.(*document.Object)
	if !ok {
		return nil, Diagnostics{{"ERROR", schemaFailed, "Definition must be a valid JSON object", ""}}
	}
	m := &Machine{Express: express}
	c.machine = m
	c.jsonata = c.language(o, "/", false)
	m.Flow = c.flow(o, "", true)
	if c.diagnostics.Failed() {
		return nil, c.diagnostics
	}
	return m, c.diagnostics
}

// CompileState checks and plans a definition that is a single state, as
// TestState takes it.
func CompileState(definition string) (*Machine, Diagnostics) {
	v, ds := parseDefinition(definition)
	if ds != nil {
		return nil, ds
	}
	o, ok := v.(*document.Object)
	if !ok {
		return nil, Diagnostics{{"ERROR", schemaFailed, "Definition must be a valid JSON object", ""}}
	}
	c := &compiler{names: map[string]bool{}, states: always, single: true}
	m := &Machine{Flow: &Flow{StartAt: "StateName", States: map[string]*State{}}}
	c.machine = m
	c.jsonata = c.language(o, "/", false)
	m.States["StateName"] = c.state("StateName", o, "")
	if c.diagnostics.Failed() {
		return nil, c.diagnostics
	}
	return m, c.diagnostics
}

func parseDefinition(definition string) (any, Diagnostics) {
	if strings.TrimSpace(definition) == "" {
		return nil, Diagnostics{{"ERROR", schemaFailed, "Definition must be a valid JSON object", ""}}
	}
	v, err := document.ParseString(definition)
	if err == nil {
		return v, nil
	}
	return nil, Diagnostics{jsonDiagnostic(definition, err)}
}

// JSONProblem words the error of a text that is not JSON as AWS's parser does.
func JSONProblem(text string, err error) string {
	message, _ := jsonProblem(text, err)
	return message
}

var word = regexp.MustCompile(`^[A-Za-z0-9_$]+`)

// jsonProblem also says where parsing has stopped.
func jsonProblem(text string, err error) (message string, offset int) {
	var e *document.SyntaxError
	if errors.As(err, &e) {
		offset = min(e.Offset, len(text))
	} else {
		e = &document.SyntaxError{}
	}
	if offset >= len(text) {
		return jsonEnd(text), offset
	}
	at, size := utf8.DecodeRuneInString(text[offset:])
	unexpected := fmt.Sprintf("Unexpected character ('%c' (code %d))", at, at)
	const values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	token := word.FindString(text[offset:])
	switch e.Message {
	case "expected a member name":
		return unexpected + ": was expecting double-quote to start field name", offset + size
	case "expected ':'":
		return unexpected + ": was expecting a colon to separate field name and value", offset + size
	case "expected ',' or '}'":
		return unexpected + ": was expecting comma to separate Object entries", offset + size
	case "expected ',' or ']'":
		return unexpected + ": was expecting comma to separate Array entries", offset + size
	case "control character in a string":
		return fmt.Sprintf("Illegal unquoted character ((CTRL-CHAR, code %d)): has to be escaped using backslash to be included in string value", at), offset + size
	case "bad escape":
		return fmt.Sprintf("Unrecognized character escape '%c' (code %d)", at, at), offset + size
	case "nested too deep":
		return fmt.Sprintf("Document nesting depth (%d) exceeds the maximum allowed (%d, from `StreamReadConstraints.getMaxNestingDepth()`)", document.MaxDepth+1, document.MaxDepth), offset
	}
	if token != "" && e.Message != "expected a digit" {
		return fmt.Sprintf("Unrecognized token '%s': was expecting %s", token, values), offset + len(token)
	}
	return unexpected + ": expected a valid value " + values, offset
}

// jsonEnd words the error of a text that ends too early.
func jsonEnd(text string) string {
	type open struct {
		kind byte
		at   int
	}
	var stack []open
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{', '[':
			stack = append(stack, open{c, i})
		case '}', ']':
			stack = stack[:max(0, len(stack)-1)]
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) {
				return "Unexpected end-of-input: was expecting closing quote for a string value"
			}
		}
	}
	if len(stack) == 0 {
		return "No content to map due to end-of-input"
	}
	last := stack[len(stack)-1]
	kind := "Object"
	if last.kind == '[' {
		kind = "Array"
	}
	return fmt.Sprintf("Unexpected end-of-input: expected close marker for %s (start marker at %s)", kind, jsonSource(text, last.at))
}

// jsonSource shows a place of a text as AWS's parser does.
func jsonSource(text string, offset int) string {
	line := 1 + strings.Count(text[:offset], "\n")
	column := offset - strings.LastIndex(text[:offset], "\n")
	source := text
	if len(source) > 500 {
		source = source[:500] + fmt.Sprintf("\"[truncated %d chars]", len(text)-500)
	}
	return fmt.Sprintf("[Source: (String)\"%s\"; line: %d, column: %d]", source, line, column)
}

func jsonDiagnostic(text string, err error) Diagnostic {
	message, offset := jsonProblem(text, err)
	at := jsonSource(text, offset)
	return Diagnostic{"ERROR", invalidJSON, message + "\n at " + at, at}
}

type compiler struct {
	machine     *Machine
	diagnostics Diagnostics
	names       map[string]bool
	labels      map[string]bool
	jsonata     bool // language of the whole machine
	single      bool
	depth       int
	current     string   // state whose fields are read
	states      []string // what $states has in the field that is read
}

// always is what $states has everywhere; its result is there for the output and
// the variables of a state that has one, its error output for those of a catcher.
var always = []string{"input", "context"}

// having reads a field in which $states has one member more.
func (c *compiler) having(member string, read func()) {
	before := c.states
	c.states = append(slices.Clip(always), member)
	read()
	c.states = before
}

func (c *compiler) report(code, at, format string, args ...any) {
	if at == "" {
		at = "/"
	}
	if len(c.diagnostics) >= maxDiagnostics {
		return
	}
	c.diagnostics = append(c.diagnostics, Diagnostic{"ERROR", code, fmt.Sprintf(format, args...), at})
}

func (c *compiler) fail(at, format string, args ...any) {
	c.report(schemaFailed, at, format, args...)
}

// unsupported reports a field that what is at the location cannot have.
func (c *compiler) unsupported(at, name string) { c.fail(at, "Field '%s' is not supported", name) }

// otherLanguage reports a field of the other query language.
func (c *compiler) otherLanguage(at, name string, jsonata bool) {
	is, other := "JSONPath", "JSONata"
	if jsonata {
		is, other = other, is
	}
	c.fail(at, "The QueryLanguage is set to '%s', but field '%s' is only supported for the '%s' QueryLanguage", is, name, other)
}

// language reads QueryLanguage; whole says that the machine is JSONata.
func (c *compiler) language(o *document.Object, at string, whole bool) bool {
	v, ok := o.Get("QueryLanguage")
	if !ok {
		return whole
	}
	switch v {
	case "JSONata":
		return true
	case "JSONPath":
		if whole {
			c.fail(at, "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine")
		}
		return false
	}
	c.fail(join(at, "QueryLanguage"), "Value is not valid: should be one of [JSONPath, JSONata]")
	return true
}

func join(at, name string) string { return strings.TrimSuffix(at, "/") + "/" + name }

var flowFields = []string{"Comment", "StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"}

func (c *compiler) flow(o *document.Object, at string, top bool) *Flow {
	f := &Flow{States: map[string]*State{}}
	if c.depth++; c.depth > maxNesting {
		c.report(tooDeep, at, "States are nested too deep")
		return f
	}
	defer func() { c.depth-- }()
	var missing []string
	for _, name := range []string{"StartAt", "States"} {
		if _, ok := o.Get(name); !ok {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		c.fail(at, "These fields are required: [%s]", strings.Join(missing, ", "))
	}
	for _, m := range o.Members() {
		known := slices.Contains(flowFields, m.Name)
		if !top {
			known = m.Name == "Comment" || m.Name == "StartAt" || m.Name == "States" || m.Name == "ProcessorConfig"
		}
		if !known {
			c.unsupported(at, m.Name)
		}
	}
	if v, ok := o.Get("Comment"); ok {
		c.text(v, at+"/Comment")
	}
	if top {
		if v, ok := o.Get("Version"); ok && v != "1.0" {
			c.fail(at+"/Version", "Value is not valid: should be one of [1.0]")
		}
		if v, ok := o.Get("TimeoutSeconds"); ok {
			n, isInt := document.Integer(v)
			if !isInt || n <= 0 || n > maxSeconds {
				c.fail(at+"/TimeoutSeconds", "Value is not an integer between 1 and %d", maxSeconds)
			}
			c.machine.Timeout = time.Duration(n) * time.Second
		}
	}
	if v, ok := o.Get("StartAt"); ok {
		f.StartAt = c.target(v, at+"/StartAt")
	}
	v, ok := o.Get("States")
	if !ok {
		return f
	}
	states, ok := v.(*document.Object)
	if !ok {
		c.fail(at+"/States", "Expected value of type Object")
		return f
	}
	if states.Len() == 0 {
		c.fail(at+"/States", "Value should not be empty")
	}
	for _, m := range states.Members() {
		where := below(at+"/States", m.Name)
		if len([]rune(m.Name)) > MaxName {
			c.report(invalidName, where, "State name is longer than %d characters", MaxName)
		}
		if c.names[m.Name] {
			c.report(duplicateName, where, "Duplicate State name: %s", m.Name)
		}
		c.names[m.Name] = true
		body, ok := m.Value.(*document.Object)
		if !ok {
			c.fail(where, "Expected value of type Object")
			continue
		}
		f.States[m.Name] = c.state(m.Name, body, where)
		f.names = append(f.names, m.Name)
	}
	c.transitions(f, at)
	return f
}

// transitions checks where states lead: that each target is there, that the
// flow can end, and that each state can be reached. A flow that cannot end is not
// asked which of its states are reached.
func (c *compiler) transitions(f *Flow, at string) {
	reached := map[string]bool{}
	var queue []string
	visit := func(to, where string) {
		switch {
		case to == "":
		case f.States[to] == nil:
			c.report(missingTransition, where, "Missing 'Next' target: %s", to)
		case !reached[to]:
			reached[to] = true
			queue = append(queue, to)
		}
	}
	if f.StartAt != "" {
		visit(f.StartAt, at+"/StartAt")
	}
	end := false
	targets := map[string][]string{}
	for _, name := range f.names {
		s := f.States[name]
		end = end || s.terminal()
		where := below(at+"/States", name)
		check := func(to, field string) {
			if to != "" && f.States[to] == nil {
				c.report(missingTransition, where+field, "Missing 'Next' target: %s", to)
				return
			}
			targets[name] = append(targets[name], to)
		}
		check(s.Next, "/Next")
		for i, ch := range s.choices {
			check(ch.next, fmt.Sprintf("/Choices[%d]/Next", i))
		}
		check(s.fallback, "/Default")
		for i, ct := range s.catch {
			check(ct.Next, fmt.Sprintf("/Catch[%d]/Next", i))
		}
	}
	if !end {
		c.diagnostics = append(c.diagnostics, Diagnostic{"ERROR", missingEnd, "Workflow has no terminal state", ""})
		return
	}
	if f.StartAt == "" {
		return
	}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, to := range targets[name] {
			visit(to, "")
		}
	}
	for _, name := range f.names {
		if !reached[name] {
			c.report(missingTransition, below(at+"/States", name), "State \"%s\" is not reachable.", name)
		}
	}
}

// terminal reports whether a flow can end with the state. One without a type, or
// one that says neither how it goes on nor that it ends, has its own diagnostic.
func (s *State) terminal() bool {
	switch s.Type {
	case "Succeed", "Fail":
		return true
	case "Choice":
		return false
	}
	return s.Next == ""
}

func (c *compiler) text(v any, at string) string {
	s, ok := v.(string)
	if !ok {
		c.fail(at, "Expected value of type String")
	}
	return s
}

// target reads the name of a state to go to. Where there are no such states is
// told later; only "", which is none, is told here.
func (c *compiler) target(v any, at string) string {
	if v == "" {
		c.report(missingTransition, at, "Missing 'Next' target: ")
	}
	return c.text(v, at)
}

var common = []string{"Type", "Comment", "QueryLanguage"}

// fields lists what each type may have besides the common fields: in both
// languages, in JSONPath, in JSONata.
var fields = map[string][3][]string{
	"Pass": {{"Next", "End", "Assign"}, {"InputPath", "OutputPath", "Parameters", "Result", "ResultPath"}, {"Output"}},
	"Task": {{"Next", "End", "Assign", "Resource", "TimeoutSeconds", "HeartbeatSeconds", "Retry", "Catch", "Credentials"},
		{"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "TimeoutSecondsPath", "HeartbeatSecondsPath"}, {"Arguments", "Output"}},
	"Choice":  {{"Choices", "Default", "Assign"}, {"InputPath", "OutputPath"}, {"Output"}},
	"Wait":    {{"Next", "End", "Assign", "Seconds", "Timestamp"}, {"InputPath", "OutputPath", "SecondsPath", "TimestampPath"}, {"Output"}},
	"Succeed": {{}, {"InputPath", "OutputPath"}, {"Output"}},
	"Fail":    {{"Error", "Cause"}, {"ErrorPath", "CausePath"}, {}},
	"Parallel": {{"Next", "End", "Assign", "Branches", "Retry", "Catch"},
		{"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath"}, {"Arguments", "Output"}},
	"Map": {{"Next", "End", "Assign", "Retry", "Catch", "Iterator", "ItemProcessor", "MaxConcurrency", "ItemSelector", "ItemReader", "ItemBatcher",
		"ResultWriter", "ToleratedFailureCount", "ToleratedFailurePercentage", "Label"},
		{"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "ItemsPath", "MaxConcurrencyPath", "ToleratedFailureCountPath", "ToleratedFailurePercentagePath"},
		{"Items", "Output"}},
}

func (c *compiler) state(name string, o *document.Object, at string) *State {
	s := &State{Name: name}
	defer func(outer string) { c.current = outer }(c.current)
	c.current = name
	typ, ok := o.Get("Type")
	if !ok {
		c.fail(at, "These fields are required: [Type]")
		return s
	}
	s.Type, _ = typ.(string)
	s.entered, s.exited = s.Type+"StateEntered", s.Type+"StateExited"
	allowed, ok := fields[s.Type]
	if !ok {
		c.fail(at+"/Type", "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]")
		return s
	}
	s.JSONata = c.language(o, at, c.jsonata)
	if v, ok := o.Get("Comment"); ok {
		c.text(v, at+"/Comment")
	}
	for _, m := range o.Members() {
		own, other := allowed[1], allowed[2]
		if s.JSONata {
			own, other = other, own
		}
		switch {
		case slices.Contains(common, m.Name), slices.Contains(allowed[0], m.Name), slices.Contains(own, m.Name):
		case slices.Contains(other, m.Name):
			c.otherLanguage(at, m.Name, s.JSONata)
		default:
			c.unsupported(at, m.Name)
		}
	}
	c.next(s, o, at)
	if s.JSONata {
		if v, ok := o.Get("Arguments"); ok {
			s.arguments = c.jsonataTemplate(v, at+"/Arguments", "Arguments")
		}
	} else {
		s.inputPath = c.path(o, "InputPath", at, true)
		s.outputPath = c.path(o, "OutputPath", at, true)
		s.resultPath = c.reference(o, at)
		if v, ok := o.Get("Parameters"); ok {
			s.parameters = c.pathTemplate(v, at+"/Parameters")
		}
		if v, ok := o.Get("ResultSelector"); ok {
			if _, isObject := v.(*document.Object); !isObject {
				c.fail(at+"/ResultSelector", "Expected value of type Object")
			}
			s.resultSelector = c.pathTemplate(v, at+"/ResultSelector")
		}
	}
	outcome := func() {
		if v, ok := o.Get("Output"); ok && s.JSONata {
			s.output = c.jsonataTemplate(v, at+"/Output", "Output")
		}
		s.assign, s.assignNames = c.assignment(o, s.JSONata, at, "")
	}
	if s.Type == "Task" || s.Type == "Parallel" || s.Type == "Map" {
		c.having("result", outcome)
	} else {
		outcome()
	}
	switch s.Type {
	case "Pass":
		if v, ok := o.Get("Result"); ok {
			s.result = ValueData(v)
			s.result.Text()
			s.result.jsonata()
		}
	case "Fail":
		c.failState(s, o, at)
	case "Wait":
		c.wait(s, o, at)
	case "Choice":
		c.choiceState(s, o, at)
	case "Task":
		c.task(s, o, at)
	case "Parallel":
		v, ok := o.Get("Branches")
		list, isArray := v.([]any)
		if !ok {
			c.fail(at, "These fields are required: [Branches]")
		} else if !isArray || len(list) == 0 {
			c.fail(at+"/Branches", "Expected a non-empty array")
		}
		for i, b := range list {
			where := fmt.Sprintf("%s/Branches[%d]", at, i)
			if body, ok := b.(*document.Object); ok {
				s.branches = append(s.branches, c.flow(body, where, false))
			} else {
				c.fail(where, "Expected value of type Object")
			}
		}
	case "Map":
		c.mapState(s, o, at)
	}
	if s.Type == "Task" || s.Type == "Parallel" || s.Type == "Map" {
		c.retriers(s, o, at)
		c.catchers(s, o, at)
	}
	return s
}

func (c *compiler) next(s *State, o *document.Object, at string) {
	if s.Type == "Succeed" || s.Type == "Fail" || s.Type == "Choice" {
		return
	}
	next, hasNext := o.Get("Next")
	end, hasEnd := o.Get("End")
	switch {
	case hasNext && hasEnd:
		c.fail(at, "Only one of these fields is allowed: [Next, End]")
	case hasNext:
		s.Next = c.target(next, at+"/Next")
	case hasEnd && end != true:
		c.fail(at+"/End", "Value must be true")
	case !hasEnd && !c.single:
		c.fail(at, "These fields are required: [Next] or [End]")
	}
	s.End = s.Next == ""
}

// path reads a field that holds a path.
func (c *compiler) path(o *document.Object, name, at string, null bool) *pathField {
	v, ok := o.Get(name)
	if !ok {
		return nil
	}
	if v == nil && null {
		return &pathField{null: true}
	}
	text, ok := v.(string)
	if !ok {
		c.fail(at+"/"+name, "Expected value of type String")
		return nil
	}
	p, err := jsonpath.Parse(text)
	if err != nil {
		if n := c.pathOrCall(text, name); n != nil && (name == "ErrorPath" || name == "CausePath") {
			return &pathField{node: n}
		}
		c.fail(at+"/"+name, "Value is not a valid JSONPath")
		return nil
	}
	c.uses(p)
	return &pathField{node: pathNode{p, name}, path: p}
}

// reference reads ResultPath.
func (c *compiler) reference(o *document.Object, at string) *pathField {
	p := c.path(o, "ResultPath", at, true)
	if p != nil && !p.null && (!p.path.Reference() || p.path.Root != jsonpath.Input) {
		c.fail(at+"/ResultPath", "Value is not a valid Reference Path")
		return nil
	}
	return p
}

// assignment reads Assign; within is the element that it belongs to, as errors
// name it: "Choices[0]/".
func (c *compiler) assignment(o *document.Object, jsonata bool, at, within string) (node, []string) {
	v, ok := o.Get("Assign")
	if !ok {
		return nil, nil
	}
	at += "/Assign"
	object, ok := v.(*document.Object)
	if !ok {
		c.fail(at, "Expected value of type Object")
		return nil, nil
	}
	var names []string
	for _, m := range object.Members() {
		name := m.Name
		if !jsonata {
			name = strings.TrimSuffix(name, ".$")
		}
		if name == "" || jsonpath.Identifier(name) != name || len([]rune(name)) > MaxName {
			c.fail(below(at, m.Name), "Variable name is not valid")
		}
		if name == "states" {
			c.fail(below(at, m.Name), "Variable name 'states' is reserved")
		}
		names = append(names, name)
	}
	if jsonata {
		return c.jsonataTemplate(v, at, within+"Assign"), names
	}
	return c.pathTemplate(v, at), names
}

func (c *compiler) failState(s *State, o *document.Object, at string) {
	for _, f := range []struct {
		name string
		node *node
		has  *bool
	}{{"Error", &s.errorNode, &s.hasError}, {"Cause", &s.causeNode, &s.hasCause}} {
		v, ok := o.Get(f.name)
		p, okPath := o.Get(f.name + "Path")
		if ok && okPath {
			c.fail(at, "Only one of these fields is allowed: [%s, %sPath]", f.name, f.name)
		}
		switch {
		case ok:
			text := c.text(v, at+"/"+f.name)
			*f.has = true
			if s.JSONata {
				*f.node = c.jsonataTemplate(text, at+"/"+f.name, f.name)
			} else {
				*f.node = literalNode{text}
			}
		case okPath:
			*f.has = true
			if p := c.path(o, f.name+"Path", at, false); p != nil {
				*f.node = p.node
			}
			_ = p
		}
	}
}

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

// parseTimestamp reads a timestamp as Wait takes it.
func parseTimestamp(s string) (time.Time, bool) {
	if !rfc3339.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

func (c *compiler) wait(s *State, o *document.Object, at string) {
	var have []string
	for _, n := range []string{"Seconds", "Timestamp", "SecondsPath", "TimestampPath"} {
		if _, ok := o.Get(n); ok {
			have = append(have, n)
		}
	}
	if len(have) != 1 {
		choice := "[Seconds, SecondsPath, Timestamp, TimestampPath]"
		if s.JSONata {
			choice = "[Seconds, Timestamp]"
		}
		if len(have) == 0 {
			c.fail(at, "One of these fields is required: %s", choice)
		} else {
			c.fail(at, "Only one of these fields is allowed: [%s]", strings.Join(have, ", "))
		}
		return
	}
	v, _ := o.Get(have[0])
	where := at + "/" + have[0]
	switch have[0] {
	case "Seconds":
		if text, ok := v.(string); ok && s.JSONata && isExpression(text) {
			s.seconds = c.expression(text, where, "Seconds")
			return
		}
		if n, ok := document.Integer(v); !ok || n < 0 || n > maxSeconds {
			c.fail(where, "Value is not an integer between 0 and %d", maxSeconds)
		}
		s.seconds = literalNode{v}
	case "Timestamp":
		text := c.text(v, where)
		if s.JSONata && isExpression(text) {
			s.timestamp = c.expression(text, where, "Timestamp")
			return
		}
		if _, ok := parseTimestamp(text); !ok {
			c.fail(where, "String does not match RFC3339 timestamp")
		}
		s.timestamp = literalNode{text}
	case "SecondsPath":
		s.secondsPath = c.path(o, "SecondsPath", at, false)
	case "TimestampPath":
		s.timestampPath = c.path(o, "TimestampPath", at, false)
	}
}

// number reads a field that holds a number, an expression, or has a Path
// variant beside it.
func (c *compiler) number(s *State, o *document.Object, name, at string, low, high float64, whole bool) numberField {
	v, ok := o.Get(name)
	_, okPath := o.Get(name + "Path")
	if ok && okPath {
		c.fail(at, "Only one of these fields is allowed: [%s, %sPath]", name, name)
	}
	if okPath {
		if p := c.path(o, name+"Path", at, false); p != nil {
			return numberField{set: true, name: name, node: p.node, path: p.path}
		}
		return numberField{}
	}
	if !ok {
		return numberField{}
	}
	where := at + "/" + name
	if text, isText := v.(string); isText && s.JSONata && isExpression(text) {
		return numberField{set: true, name: name, node: c.expression(text, where, name)}
	}
	f, isNumber := document.Number(v)
	if _, isInt := document.Integer(v); !isNumber || whole && !isInt {
		c.fail(where, "Expected value of type Integer")
	} else if f < low || f > high {
		c.fail(where, "Value is not between %v and %v", document.Float(low), document.Float(high))
	}
	return numberField{set: true, name: name, node: literalNode{v}}
}

func (c *compiler) task(s *State, o *document.Object, at string) {
	v, ok := o.Get("Resource")
	if !ok {
		c.fail(at, "These fields are required: [Resource]")
		return
	}
	s.Resource = c.text(v, at+"/Resource")
	s.resource = c.resource(s.Resource, at+"/Resource")
	c.required(s, o, at)
	s.timeout = c.number(s, o, "TimeoutSeconds", at, 1, maxSeconds, true)
	s.heartbeat = c.number(s, o, "HeartbeatSeconds", at, 1, maxSeconds, true)
	if t, ok := s.timeout.fixed(); ok {
		if h, ok := s.heartbeat.fixed(); ok && h >= t {
			c.fail(at, "HeartbeatSeconds must be smaller than TimeoutSeconds")
		}
	}
	if v, ok := o.Get("Credentials"); ok {
		object, isObject := v.(*document.Object)
		if !isObject {
			c.fail(at+"/Credentials", "Expected value of type Object")
			return
		}
		_, plain := object.Get("RoleArn")
		_, dynamic := object.Get("RoleArn.$")
		if !plain && !(dynamic && !s.JSONata) {
			c.fail(at+"/Credentials", "The field 'RoleArn' is required but was missing")
			return
		}
		if s.JSONata {
			s.credentials = c.jsonataTemplate(v, at+"/Credentials", "Credentials")
		} else {
			s.credentials = c.pathTemplate(v, at+"/Credentials")
		}
	}
}

// required checks that what a task sends has the members that the operation must
// have. Without Parameters or Arguments, or with an expression in their place, it
// is known only when the task runs.
func (c *compiler) required(s *State, o *document.Object, at string) {
	if s.resource.Kind != Integration {
		return
	}
	where := "Parameters"
	if s.JSONata {
		where = "Arguments"
	}
	v, _ := o.Get(where)
	sent, ok := v.(*document.Object)
	if !ok {
		return
	}
	for _, name := range s.resource.required() {
		_, plain := sent.Get(name)
		_, dynamic := sent.Get(name + ".$")
		if !plain && !(dynamic && !s.JSONata) {
			c.fail(at+"/"+where, "The field '%s' is required but was missing", name)
		}
	}
}

func (n numberField) fixed() (float64, bool) {
	if !n.set || n.node == nil {
		return 0, false
	}
	v, ok := constant(n.node)
	if !ok {
		return 0, false
	}
	return document.Number(v)
}

func (c *compiler) resource(arn, at string) Resource {
	r, problem := ParseResource(arn)
	if problem != "" {
		c.fail(at, "%s", problem)
		return r
	}
	if r.Kind == Activity {
		if c.machine.Express {
			c.fail(at, "Express state machine does not support Activity ARN")
		}
		c.machine.Activities = append(c.machine.Activities, arn)
	}
	if c.machine.Express && r.Pattern != Request {
		c.fail(at, "Express state machine does not support '%s' service integration ", r.Pattern)
	}
	return r
}

// ParseResource takes a Resource ARN apart; problem says what is wrong with it.
func ParseResource(arn string) (r Resource, problem string) {
	r.ARN = arn
	parts := strings.Split(arn, ":")
	if len(parts) < 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") {
		return r, "Value is not a valid resource ARN"
	}
	switch {
	case parts[2] == "lambda" && parts[5] == "function" && len(parts) >= 7:
		r.Kind = Function
		return r, ""
	case parts[2] == "states" && parts[5] == "activity" && len(parts) == 7:
		r.Kind = Activity
		return r, ""
	case parts[2] == "states" && parts[3] == "" && parts[4] == "" && len(parts) >= 7:
		rest := parts[5:]
		r.Service = rest[0]
		rest = rest[1:]
		if r.Service == "aws-sdk" && len(rest) >= 2 {
			r.Service += ":" + rest[0]
			rest = rest[1:]
		}
		action := strings.Join(rest, ":")
		for _, p := range []Pattern{Sync2, Sync, Callback} {
			if a, ok := strings.CutSuffix(action, string(p)); ok {
				r.Action, r.Pattern = a, p
				break
			}
		}
		if r.Pattern == Request {
			r.Action = action
		}
		if !r.known() {
			return r, "The resource provided " + arn + " is not recognized. The value is not a valid resource ARN, or the resource is not available in this region."
		}
		return r, ""
	}
	return r, "Value is not a valid resource ARN"
}

func (c *compiler) errorNames(v any, at string, last bool) []string {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		c.fail(at, "Expected a non-empty array of error names")
		return nil
	}
	var names []string
	for i, e := range list {
		name, ok := e.(string)
		if !ok {
			c.fail(fmt.Sprintf("%s[%d]", at, i), "Expected value of type String")
		}
		if name == "States.ALL" {
			if len(list) > 1 {
				c.fail(at, "States.ALL must appear alone")
			}
			if !last {
				c.fail(at, "States.ALL can only appear in the last element")
			}
		}
		names = append(names, name)
	}
	return names
}

func (c *compiler) retriers(s *State, o *document.Object, at string) {
	v, ok := o.Get("Retry")
	if !ok {
		return
	}
	list, ok := v.([]any)
	if !ok {
		c.fail(at+"/Retry", "Expected value of type Array")
		return
	}
	for i, e := range list {
		where := fmt.Sprintf("%s/Retry[%d]", at, i)
		r, ok := e.(*document.Object)
		if !ok {
			c.fail(where, "Expected value of type Object")
			continue
		}
		out := &Retrier{Interval: 1, Attempts: 3, Backoff: 2}
		for _, m := range r.Members() {
			field := where + "/" + m.Name
			f, _ := document.Number(m.Value)
			n, whole := document.Integer(m.Value)
			switch m.Name {
			case "ErrorEquals":
				out.Errors = c.errorNames(m.Value, field, i == len(list)-1)
			case "IntervalSeconds":
				if !whole || n < 1 || n > maxSeconds {
					c.fail(field, "Value is not an integer between 1 and %d", maxSeconds)
				}
				out.Interval = f
			case "MaxAttempts":
				if !whole || n < 0 || n > maxSeconds {
					c.fail(field, "Value is not an integer between 0 and %d", maxSeconds)
				}
				out.Attempts = int(n)
			case "BackoffRate":
				if f < 1 {
					c.fail(field, "Value is not a number of at least 1.0")
				}
				out.Backoff = f
			case "MaxDelaySeconds":
				if !whole || n < 1 || n > 31622400 {
					c.fail(field, "Value is not an integer between 1 and 31622400")
				}
				out.MaxDelay = f
			case "JitterStrategy":
				if m.Value != "FULL" && m.Value != "NONE" {
					c.fail(field, "Value is not valid: should be one of [FULL, NONE]")
				}
				out.Full = m.Value == "FULL"
			case "Comment":
			default:
				c.unsupported(where, m.Name)
			}
		}
		if _, ok := r.Get("ErrorEquals"); !ok {
			c.fail(where, "These fields are required: [ErrorEquals]")
		}
		if out.MaxDelay > 0 && out.MaxDelay <= out.Interval {
			if _, ok := r.Get("IntervalSeconds"); ok {
				c.fail(where, "MaxDelaySeconds must be greater than IntervalSeconds")
			}
		}
		s.retry = append(s.retry, out)
	}
}

// delay is the wait before attempt n (from 1), in seconds, before jitter.
func (r *Retrier) delay(n int) float64 {
	d := r.Interval * math.Pow(r.Backoff, float64(n-1))
	if r.MaxDelay > 0 {
		d = math.Min(d, r.MaxDelay)
	}
	return math.Min(d, maxSeconds)
}

func (c *compiler) catchers(s *State, o *document.Object, at string) {
	v, ok := o.Get("Catch")
	if !ok {
		return
	}
	list, ok := v.([]any)
	if !ok {
		c.fail(at+"/Catch", "Expected value of type Array")
		return
	}
	for i, e := range list {
		where := fmt.Sprintf("%s/Catch[%d]", at, i)
		r, ok := e.(*document.Object)
		if !ok {
			c.fail(where, "Expected value of type Object")
			continue
		}
		out := &Catcher{}
		var missing []string
		for _, n := range []string{"ErrorEquals", "Next"} {
			if _, ok := r.Get(n); !ok {
				missing = append(missing, n)
			}
		}
		if missing != nil {
			c.fail(where, "These fields are required: [%s]", strings.Join(missing, ", "))
		}
		for _, m := range r.Members() {
			field := where + "/" + m.Name
			switch {
			case m.Name == "ErrorEquals":
				out.Errors = c.errorNames(m.Value, field, i == len(list)-1)
			case m.Name == "Next":
				out.Next = c.target(m.Value, field)
			case m.Name == "ResultPath" && !s.JSONata:
				out.resultPath = c.reference(r, where)
			case m.Name == "Output" && s.JSONata:
				c.having("errorOutput", func() {
					out.output = c.jsonataTemplate(m.Value, field, "Catch["+fmt.Sprint(i)+"]/Output")
				})
			case m.Name == "Assign":
				c.having("errorOutput", func() { out.assign, out.assignNames = c.assignment(r, s.JSONata, where, fmt.Sprintf("Catch[%d]/", i)) })
			case m.Name == "Comment":
			case m.Name == "ResultPath" || m.Name == "Output":
				c.otherLanguage(where, m.Name, s.JSONata)
			default:
				c.unsupported(where, m.Name)
			}
		}
		s.catch = append(s.catch, out)
	}
}

// References lists the variables that each state uses, sorted.
func (m *Machine) References() map[string][]string { return m.references }

// uses notes the variables in paths.
func (c *compiler) uses(paths ...*jsonpath.Path) {
	for _, p := range paths {
		if p.Root == jsonpath.Variable {
			c.variable(p.Variable)
		}
	}
}

func (c *compiler) variable(name string) {
	m := c.machine
	if m.references == nil {
		m.references = map[string][]string{}
	}
	list := m.references[c.current]
	if i, found := slices.BinarySearch(list, name); !found {
		m.references[c.current] = slices.Insert(list, i, name)
	}
}
