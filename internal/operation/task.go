package operation

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	schemas "github.com/fleetstep/fleetstep/events/schema"
)

// tasks is the schema of what a state hands over.
var tasks = sync.OnceValues(func() (*jsonschema.Schema, error) {
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemas.UspTask))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	const here = "schema:///task"
	if err := c.AddResource(here, tree); err != nil {
		return nil, err
	}
	return c.Compile(here)
})

// handsOver checks what a task hands over as far as it is written out. What an expression makes is known only when
// the task is taken: it ends as Task.Invalid then.
func (c *checker) handsOver(at string, s state) {
	at += s.callPlace() + ".Payload"
	given, ok := plain(s.payloadOf()).(map[string]any)
	if !ok {
		return
	}
	given["context"] = expression // checked by itself
	known, err := tasks()
	if err != nil {
		c.add(at, nil, "%s", err)
		return
	}
	invalid, ok := known.Validate(given).(*jsonschema.ValidationError)
	if !ok {
		return
	}
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		_, value := place(at, given, e.InstanceLocation)
		choice := false
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.PropertyNames:
			choice = true
		}
		switch {
		case value == expression, choice && holdsExpression(value):
		case choice || len(e.Causes) == 0:
			collect(at, given, e, &c.problems)
		default:
			for _, cause := range e.Causes {
				walk(cause)
			}
		}
	}
	walk(invalid)
}

// expression stands for a value that is not known yet.
const expression = "{%%}"

// plain is a copy of a value of the document with expression in place of each expression, of either query language.
func plain(v any) any {
	switch t := v.(type) {
	case string:
		if strings.HasPrefix(t, "{%") && strings.HasSuffix(t, "%}") {
			return expression
		}
	case map[string]any:
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(t)) {
			if path, ok := strings.CutSuffix(name, ".$"); ok {
				out[path] = expression
			} else {
				out[name] = plain(t[name])
			}
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = plain(t[i])
		}
		return out
	}
	return v
}

func holdsExpression(v any) bool {
	switch t := v.(type) {
	case string:
		return t == expression
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(t)), holdsExpression)
	case []any:
		return slices.ContainsFunc(t, holdsExpression)
	}
	return false
}
