package cloudformation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Template is a parsed template. Its values are those of encoding/json with numbers as json.Number.
type Template struct {
	Description string
	Parameters  map[string]Parameter
	Mappings    map[string]map[string]map[string]any
	Conditions  map[string]any
	Rules       map[string]Rule
	Resources   map[string]TemplateResource
	Outputs     map[string]Output
	Transforms  []string

	body []byte // in the form that is kept: JSON without spaces, as the store gives it back
}

// Parameter is a parameter's declaration.
type Parameter struct {
	Type                  string
	Default               any
	AllowedValues         []any
	AllowedPattern        string
	MinLength, MaxLength  json.Number
	MinValue, MaxValue    json.Number
	ConstraintDescription string
	Description           string
	NoEcho                any
}

// TemplateResource is a resource's declaration.
type TemplateResource struct {
	Type                string
	Metadata            any
	Properties          map[string]any
	Condition           string
	DependsOn           []string
	DeletionPolicy      string // Delete, Retain, RetainExceptOnCreate; "" is Delete
	UpdateReplacePolicy string
}

// Output is an output's declaration.
type Output struct {
	Description string
	Value       any
	Export      any // the name under which other stacks import it; nil for none
	Condition   string
}

var logicalID = regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)

// Limits of CloudFormation. Source: AWS CloudFormation User Guide, "Understand CloudFormation quotas" (2026-11).
const (
	maxResources      = 500
	maxParameters     = 200
	maxOutputs        = 200
	maxMappings       = 200
	maxInlineTemplate = 51_200    // bytes of TemplateBody
	maxTemplate       = 1_000_000 // bytes of what TemplateURL names
)

// Parse reads a template in JSON or YAML and checks all that can be checked without parameters and
// providers. The error is a *TemplateError.
func Parse(body []byte) (*Template, error) {
	p := &parser{t: &Template{
		Parameters: map[string]Parameter{}, Mappings: map[string]map[string]map[string]any{},
		Conditions: map[string]any{}, Rules: map[string]Rule{}, Resources: map[string]TemplateResource{},
		Outputs: map[string]Output{},
	}}
	top, err := document(body)
	if err != nil {
		p.add("$", "%v", err)
		return nil, p.err()
	}
	if p.t.body, err = json.Marshal(top); err != nil {
		p.add("$", "%v", err)
		return nil, p.err()
	}
	p.sections(top)
	p.references()
	if len(p.problems) == 0 {
		p.cycles()
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return p.t, nil
}

// document reads JSON or YAML: what begins with a brace is JSON.
func document(body []byte) (map[string]any, error) {
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] != '{' {
		v, err := fromYAML(body)
		if err != nil {
			return nil, fmt.Errorf("not YAML: %w", err)
		}
		top, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("must be an object, not %s", kindOf(v))
		}
		return top, nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var top map[string]any
	if err := dec.Decode(&top); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("text after the end of the JSON object")
	}
	return top, nil
}

type parser struct {
	problems
	t *Template
}

// sections reads the parts of a template.
func (p *parser) sections(top map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(top)) {
		v := top[name]
		switch name {
		case "AWSTemplateFormatVersion":
			if v != "2010-09-09" {
				p.add(name, "must be 2010-09-09")
			}
		case "Description":
			p.t.Description = p.text(name, v)
		case "Metadata":
		case "Parameters":
			for id, v := range p.object(name, v) {
				p.parameter(name+"."+id, id, v)
			}
		case "Mappings":
			p.mappings(v)
		case "Conditions":
			p.t.Conditions = p.object(name, v)
		case "Resources":
			for id, v := range p.object(name, v) {
				p.resource(name+"."+id, id, v)
			}
		case "Outputs":
			for id, v := range p.object(name, v) {
				p.output(name+"."+id, id, v)
			}
		case "Rules":
			for id, v := range p.object(name, v) {
				p.rule(name+"."+id, id, v)
			}
		case "Transform":
			p.transforms(name, v, top)
		case "Globals":
			if top["Transform"] == nil {
				p.add("$", "%q is not a section of a template", name)
			}
		case "Hooks":
			p.add(name, "the local cloud does not implement this section")
		default:
			p.add("$", "%q is not a section of a template", name)
		}
	}
	if len(p.t.Resources) == 0 && len(p.problems) == 0 {
		p.add("Resources", "at least one resource must be defined")
	}
	for _, c := range []struct {
		what     string
		n, limit int
	}{
		{"resources", len(p.t.Resources), maxResources}, {"parameters", len(p.t.Parameters), maxParameters},
		{"outputs", len(p.t.Outputs), maxOutputs}, {"mappings", len(p.t.Mappings), maxMappings},
	} {
		if c.n > c.limit {
			p.add("", "Number of %s, %d, is greater than maximum allowed, %d", c.what, c.n, c.limit)
		}
	}
	slices.SortFunc(p.problems, func(a, b Problem) int { return strings.Compare(a.Path+a.Message, b.Path+b.Message) })
}

func (p *parser) text(path string, v any) string {
	s, ok := v.(string)
	if !ok {
		p.add(path, "must be a string")
	}
	return s
}

func (p *parser) object(path string, v any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		p.add(path, "must be an object")
	}
	return m
}

// parameterStoreType are the types whose value is the name of a parameter in Systems Manager. What AWS knows of the
// value (AWS::EC2::Image::Id) is not checked here.
var parameterStoreType = regexp.MustCompile(
	`^AWS::SSM::Parameter::(Name|Value<(String|List<String>|CommaDelimitedList|(List<)?AWS::[A-Za-z0-9]+::[A-Za-z0-9:]+>?)>)$`)

var plainParameterTypes = []string{"String", "Number", "CommaDelimitedList", "List<Number>"}

func (p *parser) parameter(path, id string, v any) {
	m := p.object(path, v)
	if m == nil {
		return
	}
	if !logicalID.MatchString(id) {
		p.add(path, "a logical id is alphanumeric")
	}
	d := Parameter{Default: m["Default"], NoEcho: m["NoEcho"]}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at, v := path+"."+name, m[name]
		switch name {
		case "Type":
			d.Type = p.text(at, v)
		case "Description":
			d.Description = p.text(at, v)
		case "AllowedPattern":
			d.AllowedPattern = p.text(at, v)
			if _, err := fullMatch(d.AllowedPattern); err != nil {
				p.add(at, "%v", err)
			}
		case "ConstraintDescription":
			d.ConstraintDescription = p.text(at, v)
		case "AllowedValues":
			list, ok := v.([]any)
			if !ok {
				p.add(at, "must be a list")
			}
			d.AllowedValues = list
		case "MinLength":
			d.MinLength = p.number(at, v)
		case "MaxLength":
			d.MaxLength = p.number(at, v)
		case "MinValue":
			d.MinValue = p.number(at, v)
		case "MaxValue":
			d.MaxValue = p.number(at, v)
		case "Default", "NoEcho":
		default:
			p.add(at, "not a member of a parameter")
		}
	}
	switch {
	case d.Type == "":
		p.add(path, "Type is required")
	case parameterStoreType.MatchString(d.Type):
	case !slices.Contains(plainParameterTypes, d.Type):
		p.add(path+".Type", "the local cloud does not implement the parameter type %s", d.Type)
	}
	switch d.Default.(type) {
	case nil, string, json.Number, bool:
	default:
		p.add(path+".Default", "must be a string or a number")
	}
	p.t.Parameters[id] = d
}

// fullMatch is a pattern that must match the whole text, as CloudFormation wants it.
func fullMatch(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("the local cloud cannot read this regular expression: %w", err)
	}
	return re, nil
}

func (p *parser) number(path string, v any) json.Number {
	n, err := asNumber(v)
	if err != nil {
		p.add(path, "%v", err)
	}
	return n
}

func (p *parser) mappings(v any) {
	for name, v := range p.object("Mappings", v) {
		p.t.Mappings[name] = map[string]map[string]any{}
		for key, v := range p.object("Mappings."+name, v) {
			p.t.Mappings[name][key] = p.object("Mappings."+name+"."+key, v)
		}
	}
}

func (p *parser) resource(path, id string, v any) {
	m := p.object(path, v)
	if m == nil {
		return
	}
	if !logicalID.MatchString(id) {
		p.add(path, "a logical id is alphanumeric")
	}
	var r TemplateResource
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at, v := path+"."+name, m[name]
		switch name {
		case "Type":
			r.Type = p.text(at, v)
		case "Properties":
			r.Properties = p.object(at, v)
		case "Condition":
			r.Condition = p.text(at, v)
		case "DependsOn":
			switch v := v.(type) {
			case string:
				r.DependsOn = []string{v}
			case []any:
				for _, e := range v {
					r.DependsOn = append(r.DependsOn, p.text(at, e))
				}
			default:
				p.add(at, "must be a logical id or a list of them")
			}
		case "DeletionPolicy":
			r.DeletionPolicy = p.policy(at, v, "Delete", "Retain", "RetainExceptOnCreate")
		case "UpdateReplacePolicy":
			r.UpdateReplacePolicy = p.policy(at, v, "Delete", "Retain")
		case "Metadata":
			r.Metadata = v
		default:
			p.add(at, "the local cloud does not implement this attribute of a resource")
		}
	}
	if r.Type == "" {
		p.add(path, "Type is required")
	}
	p.t.Resources[id] = r
}

func (p *parser) policy(path string, v any, allowed ...string) string {
	s := p.text(path, v)
	if s != "" && !slices.Contains(allowed, s) {
		p.add(path, "%s is not implemented here: one of %s", s, strings.Join(allowed, ", "))
	}
	return s
}

func (p *parser) output(path, id string, v any) {
	m := p.object(path, v)
	if m == nil {
		return
	}
	var o Output
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at, v := path+"."+name, m[name]
		switch name {
		case "Description":
			o.Description = p.text(at, v)
		case "Value":
			o.Value = v
		case "Condition":
			o.Condition = p.text(at, v)
		case "Export":
			export := p.object(at, v)
			if o.Export = export["Name"]; o.Export == nil || len(export) != 1 {
				p.add(at, "must be an object with the member Name")
			}
		default:
			p.add(at, "not a member of an output")
		}
	}
	if o.Value == nil {
		p.add(path, "Value is required")
	}
	p.t.Outputs[id] = o
}

// serverless is SAM's transform. A template without SAM's types and its section Globals leaves it as it went in, as
// that with which SAM's CLI makes a bucket for itself.
const serverless = "AWS::Serverless-2016-10-31"

// transforms reads the names of the macros that a template is to be run through. What would change it is refused.
func (p *parser) transforms(path string, v any, top map[string]any) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, e := range list {
		name, _ := e.(string)
		if m, ok := e.(map[string]any); ok {
			name, _ = m["Name"].(string)
		}
		p.t.Transforms = append(p.t.Transforms, name)
		if name != serverless {
			p.add(path, "the local cloud does not implement the transform %s", name)
		}
	}
	if !slices.Contains(p.t.Transforms, serverless) {
		return
	}
	if top["Globals"] != nil {
		p.add("Globals", "the local cloud does not implement this section of the transform %s", serverless)
	}
	resources, _ := top["Resources"].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		r, _ := resources[id].(map[string]any)
		if kind, _ := r["Type"].(string); strings.HasPrefix(kind, "AWS::Serverless::") {
			p.add("Resources."+id+".Type", "the local cloud does not implement the transform %s, which makes %s",
				serverless, kind)
		}
	}
}
