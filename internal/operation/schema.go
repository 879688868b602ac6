package operation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/payload"
)

// schema is a JSON Schema of an operation's input.
type schema struct {
	compiled *jsonschema.Schema
	tree     any
}

// nowhere loads no other document: a schema is one file.
type nowhere struct{}

func (nowhere) Load(string) (any, error) { return nil, errors.New("a schema is one file") }

func newSchema(document []byte) (*schema, event.Problems) {
	tree, problems := payload.Decode(document)
	if problems != nil {
		return nil, problems
	}
	// Mistakes are told where they are; what is told of the whole has the name of no file that there is.
	const here = "schema:///input"
	mistake := func(err error) event.Problems {
		if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
			if e, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
				var all event.Problems
				collect("$", tree, e, &all)
				return slices.Compact(all.Sorted())
			}
		}
		return event.Problems{{Path: "$", Value: tree, Allowed: "a JSON Schema: " + err.Error()}}
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(nowhere{})
	c.AssertFormat()
	if err := c.AddResource(here, tree); err != nil {
		return nil, mistake(err)
	}
	compiled, err := c.Compile(here)
	if err != nil {
		return nil, mistake(err)
	}
	s := &schema{compiled: compiled, tree: tree}
	if m, _ := tree.(map[string]any); m["type"] != "object" {
		problems = append(problems, event.Problem{Path: "$.type", Value: m["type"],
			Allowed: `"object": an input is one`})
	}
	problems = append(problems, s.unfit()...)
	if problems != nil {
		return nil, problems
	}
	return s, nil
}

// read holds an input to the schema, and fills in the defaults.
func (s *schema) read(at string, members map[string]any) (map[string]any, event.Problems) {
	input := s.filled(members)
	err := s.compiled.Validate(input)
	if err == nil {
		return input, nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return nil, event.Problems{{Path: at, Allowed: err.Error()}}
	}
	var all event.Problems
	collect(at, input, invalid, &all)
	return nil, slices.Compact(all.Sorted())
}

// unfitDefault are the mistakes of a default.
func (s *schema) unfitDefault(p *jsonschema.Schema, err error) event.Problems {
	path, value := place("$", s.tree, append(pointer(p), "default"))
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return event.Problems{{Path: path, Value: value, Allowed: err.Error()}}
	}
	var all event.Problems
	collect(path, value, invalid, &all)
	return slices.Compact(all.Sorted())
}

// collect makes problems of the leaves of a validation error.
func collect(at string, input any, e *jsonschema.ValidationError, all *event.Problems) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		var ways []string
		for _, cause := range e.Causes {
			var problems event.Problems
			collect(at, input, cause, &problems)
			for _, p := range problems {
				ways = append(ways, p.Path+": "+p.Allowed)
			}
		}
		path, value := place(at, input, e.InstanceLocation)
		allowed := "one of the schema's alternatives, and no two of them"
		if len(ways) > 0 {
			allowed = "one of the schema's alternatives: " + strings.Join(ways, "; or ")
		}
		*all = append(*all, event.Problem{Path: path, Value: value, Allowed: allowed})
		return
	}
	if k, ok := e.ErrorKind.(*kind.PropertyNames); ok && len(e.Causes) > 0 {
		path, value := place(at, input, e.InstanceLocation)
		m, _ := value.(map[string]any)
		*all = append(*all, event.Problem{
			Path: member(path, k.Property), Value: m[k.Property], Allowed: "another name, " + allowed(e.Causes[0]),
		})
		return
	}
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			collect(at, input, cause, all)
		}
		return
	}
	path, value := place(at, input, e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			*all = append(*all, event.Problem{Path: member(path, name), Allowed: "required"})
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			m, _ := value.(map[string]any)
			*all = append(*all, event.Problem{Path: member(path, name), Value: m[name], Allowed: "no such member"})
		}
	case *kind.FalseSchema:
		*all = append(*all, event.Problem{Path: path, Value: value, Allowed: "no such member"})
	default:
		*all = append(*all, event.Problem{Path: path, Value: value, Allowed: allowed(e)})
	}
}

// allowed says what would have been right.
func allowed(e *jsonschema.ValidationError) string {
	number := func(n *big.Rat) string { return strings.TrimSuffix(strings.TrimRight(n.FloatString(6), "0"), ".") }
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return "of type " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return "one of " + list(k.Want)
	case *kind.Const:
		return list([]any{k.Want})
	case *kind.Format:
		return "of format " + k.Want
	case *kind.Pattern:
		return "text that matches " + k.Want
	case *kind.MinLength:
		return fmt.Sprintf("at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("at most %d characters", k.Want)
	case *kind.Minimum:
		return "at least " + number(k.Want)
	case *kind.Maximum:
		return "at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "less than " + number(k.Want)
	case *kind.MultipleOf:
		return "a multiple of " + number(k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("at least %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("at most %d items", k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("each item once; %d and %d are the same", k.Duplicates[0], k.Duplicates[1])
	case *kind.MinProperties:
		return fmt.Sprintf("at least %d members", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("at most %d members", k.Want)
	case *kind.Not:
		return "not what the schema excludes"
	}
	return "as the schema says: " + e.Error()
}

func list(values []any) string {
	var texts []string
	for _, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			b = []byte("?")
		}
		texts = append(texts, string(bytes.Trim(b, `"`)))
	}
	return strings.Join(texts, ", ")
}

// place is where in the payload something is, and what is there.
func place(at string, input any, location []string) (string, any) {
	v := input
	for _, part := range location {
		switch t := v.(type) {
		case map[string]any:
			at, v = member(at, part), t[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(t) {
				return at, nil
			}
			at, v = at+"["+part+"]", t[i]
		default:
			return at, nil
		}
	}
	return at, v
}

// member is the path of an object's member.
func member(path, name string) string {
	plain := name != "" && strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}) < 0
	if plain {
		return path + "." + name
	}
	return path + "[" + strconv.Quote(name) + "]"
}
