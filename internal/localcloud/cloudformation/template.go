package cloudformation

import (
	"bytes"
	"encoding/json"
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
	Resources   map[string]TemplateResource
	Outputs     map[string]Output

	body []byte
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
	Condition   string
}

var logicalID = regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)

// Parse reads a template and checks all that can be checked without parameters and providers. The error is a
// *TemplateError.
func Parse(body []byte) (*Template, error) {
	p := &parser{t: &Template{
		Parameters: map[string]Parameter{}, Mappings: map[string]map[string]map[string]any{},
		Conditions: map[string]any{}, Resources: map[string]TemplateResource{}, Outputs: map[string]Output{},
		body: bytes.Clone(body),
	}}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var top map[string]any
	if err := dec.Decode(&top); err != nil {
		p.add("$", "not a JSON object: %v", err)
		return nil, p.err()
	}
	if _, err := dec.Token(); err != io.EOF {
		p.add("$", "text after the end of the JSON object")
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
		case "Transform", "Rules", "Hooks":
			p.add(name, "the local cloud does not implement this section")
		default:
			p.add("$", "%q is not a section of a template", name)
		}
	}
	if len(p.t.Resources) == 0 && len(p.problems) == 0 {
		p.add("Resources", "at least one resource must be defined")
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
	case strings.HasPrefix(d.Type, "AWS::SSM::Parameter::"):
		p.add(path+".Type", "the local cloud does not implement parameters from the SSM parameter store (%s)", d.Type)
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
			p.add(at, "the local cloud does not implement exports")
		default:
			p.add(at, "not a member of an output")
		}
	}
	if o.Value == nil {
		p.add(path, "Value is required")
	}
	p.t.Outputs[id] = o
}
