package asl

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/document"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/java"
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
	duplicateVariable = "DUPLICATE_VARIABLE_NAME"
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
	c.language(o, "/", &c.jsonata)()
	m.Flow = c.flow(o, "", true)
	c.scopes(m.Flow, "", nil)
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
	const at = "/States/StateName"
	c.language(o, at, &c.jsonata)()
	m.States["StateName"] = c.state("StateName", o, at)
	if c.diagnostics.Failed() {
		return nil, c.diagnostics
	}
	return m, c.diagnostics
}

var word = regexp.MustCompile(`^[A-Za-z0-9_$]+`)

type compiler struct {
	machine     *Machine
	diagnostics Diagnostics
	names       map[string]bool
	labels      map[string]bool
	jsonata     bool // language of the whole machine
	single      bool
	depth       int
	scopeSteps  int
	current     string   // state whose fields are read
	states      []string // what $states has in the field that is read
}

// always is what $states has everywhere; its result is there for the output and
// the variables of a state that has one, its error output for those of a catcher.
var always = []string{"input", "context"}

// withStatesMember reads a field in which $states has one member more.
func (c *compiler) withStatesMember(member string, read func()) {
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

// wrongType reports a value that is not of the type that the schema wants.
func (c *compiler) wrongType(at, want string) { c.fail(at, "Expected value of type [%s]", want) }

// notOneOf reports a value that is none of those that there are.
func (c *compiler) notOneOf(at string, values ...string) {
	c.fail(at, "Value should be one of the following: [%s]", strings.Join(values, ", "))
}

// exactlyOne checks that an object has one of some fields. The list of them is AWS's, in its order.
func (c *compiler) exactlyOne(o *document.Object, at string, names ...string) {
	n := 0
	for _, name := range names {
		if _, ok := o.Get(name); ok {
			n++
		}
	}
	switch {
	case n == 0:
		c.fail(at, "This object should have only one of the following fields: [%s]", strings.Join(names, ", "))
	case n > 1:
		c.tooMany(at, names...)
	}
}

func (c *compiler) tooMany(at string, names ...string) {
	c.fail(at, "There should only be one of the following fields: [%s]", strings.Join(names, ", "))
}

// within checks the bounds of a number.
func (c *compiler) within(v any, at string, whole bool, low, high float64) {
	f, isNumber := document.Number(v)
	_, isInteger := document.Integer(v)
	switch {
	case whole && isNumber && !isInteger:
		c.fail(at, "Expected value of type Integer")
	case whole && !isNumber:
		c.wrongType(at, "INTEGER")
	case !isNumber:
		c.wrongType(at, "NUMBER")
	case f < low:
		c.fail(at, "Minimum value is %s", bound(low, whole))
	case f > high:
		c.fail(at, "Maximum value is %s", bound(high, whole))
	}
}

// bound is a bound of a number as messages show it: of one that need not be whole, as a double.
func bound(f float64, whole bool) []byte {
	if whole {
		return strconv.AppendFloat(nil, f, 'f', -1, 64)
	}
	return java.AppendDouble(nil, f)
}

// elements are those of an array that must have one.
func (c *compiler) elements(v any, at string) []any {
	list, ok := v.([]any)
	switch {
	case !ok:
		c.wrongType(at, "ARRAY")
	case len(list) == 0:
		c.fail(at, "Value cannot be empty")
	}
	return list
}

// unsupported reports a field that what is at the location cannot have.
func (c *compiler) unsupported(at, name string) { c.fail(at, "Field '%s' is not supported", name) }

// otherLanguage reports a field of the other query language.
func (c *compiler) otherLanguage(at, name string, jsonata bool) {
	is, other := "JSONPath", "JSONata"
	if jsonata {
		is, other = other, is
	}
	c.fail(at, "The QueryLanguage is set to '%s', but field '%s' is only supported for the '%s' QueryLanguage", is,
		name, other)
}

// language reads QueryLanguage of the machine or of a state, which has the machine's if it has none of its own:
// JSONPath where it is just that, and JSONata where it is anything else, also what there is not. The report of that
// comes later than those of the fields that the language has.
//
// Source: github.com/floci-io/floci/issues/2968, measured on AWS (2026-09-02).
func (c *compiler) language(o *document.Object, at string, jsonata *bool) (report func()) {
	v, ok := o.Get("QueryLanguage")
	if ok {
		*jsonata = v != "JSONPath"
	}
	return func() {
		if _, isText := v.(string); ok && !isText {
			c.wrongType(join(at, "QueryLanguage"), "STRING")
		} else if ok && v != "JSONPath" && v != "JSONata" {
			c.notOneOf(join(at, "QueryLanguage"), "JSONPath", "JSONata")
		}
	}
}

func join(at, name string) string { return strings.TrimSuffix(at, "/") + "/" + name }

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
