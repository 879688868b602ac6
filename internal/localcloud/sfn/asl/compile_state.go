package asl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

var common = []string{"Type", "Comment", "QueryLanguage"}

// fields lists what each type may have besides the common fields: in both
// languages, in JSONPath, in JSONata.
var fields = map[string][3][]string{
	"Pass": {{"Next", "End", "Assign"}, {"InputPath", "OutputPath", "Parameters", "Result", "ResultPath"}, {"Output"}},
	"Task": {{"Next", "End", "Assign", "Resource", "TimeoutSeconds", "HeartbeatSeconds", "Retry", "Catch",
		"Credentials"},
		{"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "TimeoutSecondsPath",
			"HeartbeatSecondsPath"}, {"Arguments", "Output"}},
	"Choice": {{"Choices", "Default", "Assign"}, {"InputPath", "OutputPath"}, {"Output"}},
	"Wait": {{"Next", "End", "Assign", "Seconds", "Timestamp"}, {"InputPath", "OutputPath", "SecondsPath",
		"TimestampPath"}, {"Output"}},
	"Succeed": {{}, {"InputPath", "OutputPath"}, {"Output"}},
	"Fail":    {{"Error", "Cause"}, {"ErrorPath", "CausePath"}, {}},
	"Parallel": {{"Next", "End", "Assign", "Branches", "Retry", "Catch"},
		{"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath"}, {"Arguments", "Output"}},
	"Map": {{"Next", "End", "Assign", "Retry", "Catch", "Iterator", "ItemProcessor", "MaxConcurrency", "ItemSelector",
		"ItemReader", "ItemBatcher",
		"ResultWriter", "ToleratedFailureCount", "ToleratedFailurePercentage", "Label"},
		{"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "ItemsPath", "MaxConcurrencyPath",
			"ToleratedFailureCountPath", "ToleratedFailurePercentagePath"},
		{"Items", "Output"}},
}

func (c *compiler) state(name string, o *document.Object, at string) *State {
	s := &State{Name: name}
	defer func(outer string) { c.current = outer }(c.current)
	c.current = name
	typ, ok := o.Get("Type")
	if !ok {
		c.fail(at, "The field 'Type' is required")
		return s
	}
	s.Type, _ = typ.(string)
	s.entered, s.exited = s.Type+"StateEntered", s.Type+"StateExited"
	allowed, ok := fields[s.Type]
	if !ok {
		c.fail(at+"/Type", "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, "+
			"Choice, Parallel, Map]")
		return s
	}
	s.JSONata = c.jsonata
	reportLanguage := c.language(o, at, &s.JSONata)
	// A machine in JSONata cannot have a state in JSONPath; of its fields nothing more is said.
	reverted := c.jsonata && !s.JSONata
	if reverted {
		c.fail(at, "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine")
	}
	if v, ok := o.Get("Comment"); ok {
		c.text(v, at+"/Comment")
	}
	c.members(o, at, allowed, s.JSONata, reverted, common...)
	reportLanguage()
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
				c.wrongType(at+"/ResultSelector", "OBJECT")
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
		c.withStatesMember("result", outcome)
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
		if !ok {
			c.fail(at, "These fields are required: [Branches]")
			break
		}
		list := c.elements(v, at+"/Branches")
		for i, b := range list {
			where := fmt.Sprintf("%s/Branches[%d]", at, i)
			if body, ok := b.(*document.Object); ok {
				s.branches = append(s.branches, c.flow(body, where, false))
			} else {
				c.wrongType(where, "OBJECT")
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

// members reports those that an object cannot have, of those that are allowed in both languages, in JSONPath and in
// JSONata. Unless quiet, it reports those of the other language too.
func (c *compiler) members(o *document.Object, at string, allowed [3][]string, jsonata, quiet bool, more ...string) {
	own, other := allowed[1], allowed[2]
	if jsonata {
		own, other = other, own
	}
	for _, m := range o.Members() {
		switch {
		case slices.Contains(more, m.Name), slices.Contains(allowed[0], m.Name), slices.Contains(own, m.Name):
		case !slices.Contains(other, m.Name):
			c.unsupported(at, m.Name)
		case !quiet:
			c.otherLanguage(at, m.Name, jsonata)
		}
	}
}

func (c *compiler) next(s *State, o *document.Object, at string) {
	next, hasNext := o.Get("Next")
	end, hasEnd := o.Get("End")
	if s.Type == "Succeed" || s.Type == "Fail" || s.Type == "Choice" {
		s.Next, _ = next.(string) // counts for what is reached, though it cannot be there
		return
	}
	switch {
	case hasNext && hasEnd, !hasNext && !hasEnd && !c.single:
		c.exactlyOne(o, at, "Next", "End")
		s.stuck = !hasEnd
	case hasNext:
		s.Next = c.target(next, at+"/Next")
	case hasEnd && end != true:
		c.fail(at+"/End", "Value must be true")
	}
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
		c.wrongType(at+"/"+name, "STRING")
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
		c.wrongType(at, "OBJECT")
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
			c.tooMany(at, f.name, f.name+"Path")
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

var offsetDateTime = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d)(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)$`)

// parseOffsetDateTime reads a timestamp as a Wait takes it of an expression or a path. That is wider: seen by
// github.com/iwamot/sfnx, docs/design.md (2026).
func parseOffsetDateTime(s string) (time.Time, bool) {
	m := offsetDateTime.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, false
	}
	if m[3] == "" {
		m[3] = ":00"
	}
	return parseTimestamp(m[1] + "T" + m[2] + m[3] + strings.ToUpper(m[5]))
}

func (c *compiler) wait(s *State, o *document.Object, at string) {
	var have []string
	for _, n := range []string{"Seconds", "Timestamp", "SecondsPath", "TimestampPath"} {
		if _, ok := o.Get(n); ok {
			have = append(have, n)
		}
	}
	if len(have) != 1 {
		if s.JSONata {
			c.exactlyOne(o, at, "Seconds", "Timestamp")
		} else {
			c.exactlyOne(o, at, "SecondsPath", "Seconds", "TimestampPath", "Timestamp")
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
		c.within(v, where, true, 0, maxSeconds)
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
		c.tooMany(at, name, name+"Path")
	}
	if okPath {
		if p := c.path(o, name+"Path", at, false); p != nil {
			if p.path != nil && (!p.path.Definite() || s.Type == "Map" && p.path.Root == jsonpath.Context) {
				c.fail(at+"/"+name+"Path", "Value is not a Reference Path")
			}
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
	c.within(v, where, whole, low, high)
	return numberField{set: true, name: name, node: literalNode{v}}
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
