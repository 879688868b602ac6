package asl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

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

var word = regexp.MustCompile(`^[A-Za-z0-9_$]+`)

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
