package asl

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/jsonpath"
)

// choice is a planned element of Choices.
type choice struct {
	next        string
	rule        rule // JSONPath
	condition   node // JSONata
	output      node
	assign      node
	assignNames []string
}

// rule is a planned comparison or a combination of them.
type rule interface {
	holds(s *scope) (bool, *Failure)
}

type (
	andRule    []rule
	orRule     []rule
	notRule    struct{ rule }
	comparison struct {
		variable *jsonpath.Path
		operator string
		test     func(v, w any) bool
		against  any
		path     *jsonpath.Path // of the value to compare with
	}
)

func (r andRule) holds(s *scope) (bool, *Failure) {
	for _, e := range r {
		if ok, f := e.holds(s); !ok || f != nil {
			return false, f
		}
	}
	return true, nil
}

func (r orRule) holds(s *scope) (bool, *Failure) {
	for _, e := range r {
		if ok, f := e.holds(s); ok || f != nil {
			return ok, f
		}
	}
	return false, nil
}

func (r notRule) holds(s *scope) (bool, *Failure) {
	ok, f := r.rule.holds(s)
	return !ok, f
}

func (r comparison) holds(s *scope) (bool, *Failure) {
	v, err := s.resolve(r.variable)
	if r.operator == "IsPresent" {
		return (err == nil) == (r.against == true), nil
	}
	if err != nil {
		return false, s.runtime("Invalid path '%s': The choice state's condition path references an invalid value.",
			r.variable.Source)
	}
	against := r.against
	if r.path != nil {
		if against, err = s.resolve(r.path); err != nil {
			return false, s.runtime("Invalid path '%s': The choice state's condition path references an invalid "+
				"value.", r.path.Source)
		}
	}
	return r.test(v, against), nil
}

var operators = map[string]func(v, w any) bool{}

func init() {
	order := map[string]func(c int) bool{
		"Equals":            func(c int) bool { return c == 0 },
		"LessThan":          func(c int) bool { return c < 0 },
		"LessThanEquals":    func(c int) bool { return c <= 0 },
		"GreaterThan":       func(c int) bool { return c > 0 && c != document.Incomparable },
		"GreaterThanEquals": func(c int) bool { return c >= 0 && c != document.Incomparable },
	}
	compare := map[string]func(v, w any) int{
		"String": func(v, w any) int {
			a, ok := v.(string)
			b, ok2 := w.(string)
			if !ok || !ok2 {
				return document.Incomparable
			}
			return strings.Compare(a, b)
		},
		"Numeric": document.CompareNumbers,
		"Timestamp": func(v, w any) int {
			a, ok := v.(string)
			b, ok2 := w.(string)
			if !ok || !ok2 {
				return document.Incomparable
			}
			t, ok := parseTimestamp(a)
			u, ok2 := parseTimestamp(b)
			if !ok || !ok2 {
				return document.Incomparable
			}
			return t.Compare(u)
		},
	}
	for typ, cmp := range compare {
		for name, test := range order {
			operators[typ+name] = func(v, w any) bool {
				c := cmp(v, w)
				return c != document.Incomparable && test(c)
			}
		}
	}
	operators["BooleanEquals"] = func(v, w any) bool {
		a, ok := v.(bool)
		b, ok2 := w.(bool)
		return ok && ok2 && a == b
	}
	operators["StringMatches"] = func(v, w any) bool {
		a, ok := v.(string)
		b, ok2 := w.(string)
		return ok && ok2 && matches(b, a)
	}
	is := func(name string, test func(v any) bool) {
		operators[name] = func(v, w any) bool { return test(v) == (w == true) }
	}
	is("IsNull", func(v any) bool { return v == nil })
	is("IsPresent", func(any) bool { return true })
	is("IsNumeric", func(v any) bool { _, ok := document.Number(v); return ok })
	is("IsString", func(v any) bool { _, ok := v.(string); return ok })
	is("IsBoolean", func(v any) bool { _, ok := v.(bool); return ok })
	is("IsTimestamp", func(v any) bool {
		s, ok := v.(string)
		if ok {
			_, ok = parseTimestamp(s)
		}
		return ok
	})
}

// matches is StringMatches: * stands for any characters, \* for itself.
func matches(pattern, s string) bool {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern) && (pattern[i+1] == '*' || pattern[i+1] == '\\'):
			i++
			b.WriteByte(pattern[i])
		case pattern[i] == '*':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(pattern[i])
		}
	}
	parts = append(parts, b.String())
	if len(parts) == 1 {
		return s == parts[0]
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, last)
}

func (c *compiler) choiceState(s *State, o *document.Object, at string) {
	v, ok := o.Get("Choices")
	var list []any
	if ok {
		list = c.elements(v, at+"/Choices")
	} else {
		c.fail(at, "These fields are required: [Choices]")
	}
	if v, ok := o.Get("Default"); ok {
		s.fallback = c.target(v, at+"/Default")
	}
	for i, e := range list {
		where := fmt.Sprintf("%s/Choices[%d]", at, i)
		r, ok := e.(*document.Object)
		if !ok {
			c.wrongType(where, "OBJECT")
			continue
		}
		ch := &choice{}
		if v, ok := r.Get("Next"); ok {
			ch.next = c.target(v, where+"/Next")
		} else {
			c.fail(where, "These fields are required: [Next]")
		}
		if v, ok := r.Get("Comment"); ok {
			c.text(v, where+"/Comment")
		}
		ch.assign, ch.assignNames = c.assignment(r, s.JSONata, where, fmt.Sprintf("Choices[%d]/", i))
		if s.JSONata {
			c.condition(ch, r, where, i)
		} else {
			ch.rule = c.rule(r, where, true, 0)
		}
		s.choices = append(s.choices, ch)
	}
}

func (c *compiler) condition(ch *choice, r *document.Object, at string, i int) {
	for _, m := range r.Members() {
		field := below(at, m.Name)
		switch m.Name {
		case "Condition":
			where := fmt.Sprintf("Choices[%d]/Condition", i)
			switch v := m.Value.(type) {
			case bool:
				ch.condition = literalNode{v}
			case string:
				if !isExpression(v) {
					c.fail(field, "Value is not a JSONata expression")
					continue
				}
				ch.condition = c.expression(v, field, where)
			default:
				c.fail(field, "Value is not a JSONata expression or boolean")
			}
		case "Output":
			ch.output = c.jsonataTemplate(m.Value, field, fmt.Sprintf("Choices[%d]/Output", i))
		case "Next", "Comment", "Assign":
		case "Variable", "And", "Or", "Not":
			c.otherLanguage(at, m.Name, true)
		default:
			if comparing(m.Name) {
				c.otherLanguage(at, m.Name, true)
			} else {
				c.unsupported(at, m.Name)
			}
		}
	}
	if ch.condition == nil {
		if _, ok := r.Get("Condition"); !ok {
			c.fail(at, "These fields are required: [Condition]")
		}
		ch.condition = literalNode{false}
	}
}

func (c *compiler) rule(r *document.Object, at string, top bool, depth int) rule {
	var found []string
	var out rule = andRule{}
	if depth > maxNesting {
		c.fail(at, "Rules are nested too deep")
		return out
	}
	for _, m := range r.Members() {
		field := below(at, m.Name)
		switch name := m.Name; {
		case name == "Variable" || name == "Comment" || top && (name == "Next" || name == "Assign"):
		case name == "And" || name == "Or":
			found = append(found, name)
			list := c.elements(m.Value, field)
			var rules []rule
			for i, e := range list {
				where := element(field, i)
				inner, ok := e.(*document.Object)
				if !ok {
					c.wrongType(where, "OBJECT")
					continue
				}
				rules = append(rules, c.rule(inner, where, false, depth+1))
			}
			if name == "And" {
				out = andRule(rules)
			} else {
				out = orRule(rules)
			}
		case name == "Not":
			found = append(found, name)
			inner, ok := m.Value.(*document.Object)
			if !ok {
				c.wrongType(field, "OBJECT")
				continue
			}
			out = notRule{c.rule(inner, field, false, depth+1)}
		default:
			base, isPath := strings.CutSuffix(name, "Path")
			test := operators[base]
			if !comparing(name) {
				if name == "Condition" || name == "Output" {
					c.otherLanguage(at, name, false)
				} else {
					c.unsupported(at, name)
				}
				continue
			}
			found = append(found, name)
			cmp := comparison{operator: base, test: test, against: m.Value}
			v, ok := r.Get("Variable")
			if !ok {
				c.fail(at, "These fields are required: [Variable]")
				continue
			}
			text := c.text(v, at+"/Variable")
			p, err := jsonpath.Parse(text)
			if !strings.HasPrefix(text, "$") {
				c.fail(at+"/Variable", "Value is not a Reference Path: Reference path didn't start with '$'")
				continue
			}
			if err != nil {
				c.fail(at+"/Variable", "Value is not a valid JSONPath")
				continue
			}
			cmp.variable = p
			c.uses(p)
			if isPath {
				text := c.text(m.Value, field)
				if cmp.path, err = jsonpath.Parse(text); err != nil {
					c.fail(field, "Value is not a valid JSONPath")
					continue
				}
				c.uses(cmp.path)
			} else {
				c.operand(base, m.Value, field)
			}
			out = cmp
		}
	}
	if len(found) == 0 {
		c.exactlyOne(r, at, comparisons...)
	} else if len(found) > 1 {
		c.tooMany(at, comparisons...)
	}
	return out
}

// comparisons are the operators in the order in which AWS names them.
var comparisons = strings.Fields(`StringEquals IsBoolean StringLessThan IsNumeric BooleanEquals
	StringLessThanEqualsPath NumericLessThan NumericGreaterThan NumericLessThanPath StringMatches
	TimestampLessThanEqualsPath NumericEquals TimestampGreaterThan StringGreaterThanEqualsPath
	TimestampGreaterThanEqualsPath TimestampLessThanEquals NumericLessThanEqualsPath TimestampEquals BooleanEqualsPath
	IsTimestamp StringLessThanEquals NumericLessThanEquals StringLessThanPath TimestampGreaterThanPath
	StringGreaterThan StringGreaterThanPath IsString StringEqualsPath TimestampEqualsPath TimestampLessThan
	StringGreaterThanEquals NumericGreaterThanPath NumericGreaterThanEquals NumericEqualsPath TimestampLessThanPath
	IsNull IsPresent TimestampGreaterThanEquals NumericGreaterThanEqualsPath`)

// comparing reports whether a member of a rule is a comparison operator.
func comparing(name string) bool {
	base, isPath := strings.CutSuffix(name, "Path")
	return operators[base] != nil && !(isPath && (strings.HasPrefix(base, "Is") || base == "StringMatches"))
}

// operand checks the literal that an operator compares with.
func (c *compiler) operand(operator string, v any, at string) {
	switch {
	case strings.HasPrefix(operator, "String"):
		c.text(v, at)
	case strings.HasPrefix(operator, "Numeric"):
		if _, ok := document.Number(v); !ok {
			c.wrongType(at, "NUMBER")
		}
	case strings.HasPrefix(operator, "Timestamp"):
		if s, ok := v.(string); !ok {
			c.text(v, at)
		} else if _, ok := parseTimestamp(s); !ok {
			c.fail(at, "String does not match RFC3339 timestamp")
		}
	default:
		if _, ok := v.(bool); !ok {
			c.wrongType(at, "BOOLEAN")
		}
	}
}

// seconds makes a duration of seconds, within what a Duration can hold.
func seconds(f float64) time.Duration {
	return time.Duration(math.Min(f, maxSeconds) * float64(time.Second))
}

func (r *Run) choose(s *scope) *Failure {
	st := s.state
	if f := s.narrow(); f != nil {
		return f
	}
	for _, ch := range st.choices {
		if st.JSONata {
			v, f := ch.condition.eval(s)
			if f != nil {
				return f
			}
			yes, ok := v.(bool)
			if !ok {
				return ch.condition.(exprNode).wrongType(s, "boolean", v)
			}
			if !yes {
				continue
			}
		} else {
			yes, f := ch.rule.holds(s)
			if f != nil {
				return f
			}
			if !yes {
				continue
			}
		}
		return r.chosen(s, ch.output, ch.assign, ch.next)
	}
	if st.fallback == "" {
		return s.runtime("Failed to transition out of the state. The state does not point to a next state.")
	}
	return r.chosen(s, st.output, st.assign, st.fallback)
}

func (r *Run) chosen(s *scope, output, assign node, next string) *Failure {
	st := s.state
	out := s.branch.Input
	if st.JSONata {
		if output != nil {
			var f *Failure
			if out, f = s.data(output); f != nil {
				return f
			}
		}
		return r.leaveState(s, assign, out, next)
	}
	if st.inputPath != nil {
		out = ValueData(s.input)
	}
	if p := st.outputPath; p != nil {
		if p.null {
			out = ValueData(&document.Object{})
		} else {
			v, f := s.pathValue(p.path)
			if f != nil {
				return f
			}
			out = ValueData(v)
		}
	}
	return r.leaveState(s, assign, out, next)
}
