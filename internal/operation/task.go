package operation

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	schemas "github.com/fleetstep/fleetstep/events/schema"
	"github.com/fleetstep/fleetstep/internal/device"
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
	c.names(at, given)
	invalid, ok := known.Validate(given).(*jsonschema.ValidationError)
	if !ok {
		return
	}
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if _, is := e.ErrorKind.(*kind.OneOf); is && len(e.InstanceLocation) == 0 {
			return // what AWAIT waits for: see names
		}
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

// names checks the paths that a task names, as usp-task does when it takes one.
func (c *checker) names(at string, given map[string]any) {
	list := func(v any) []any { all, _ := v.([]any); return all }
	switch given["task"] {
	case "GET":
		for i, p := range list(given["paths"]) {
			c.path(fmt.Sprintf("%s.paths[%d]", at, i), p, false, device.PathObject, device.PathParameter)
		}
	case "SET":
		parameters, _ := given["parameters"].(map[string]any)
		for _, p := range slices.Sorted(maps.Keys(parameters)) {
			c.path(fmt.Sprintf("%s.parameters[%q]", at, p), p, false, device.PathParameter)
		}
	case "ADD", "DELETE":
		for i, o := range list(given["objects"]) {
			at := fmt.Sprintf("%s.objects[%d]", at, i)
			if o, ok := o.(map[string]any); ok {
				_, byKeys := o["keys"]
				c.path(at+".path", o["path"], given["task"] == "ADD" || byKeys, device.PathObject)
				c.keys(at+".keys", o, list(o["keys"]))
			}
		}
	case "OPERATE":
		c.path(at+".command", given["command"], true, device.PathCommand)
	case "AWAIT":
		c.path(at+".event", given["event"], true, device.PathEvent)
		c.path(at+".valueChange", given["valueChange"], true, device.PathParameter)
		var there []string
		for _, name := range []string{"event", "valueChange", "presence"} {
			if _, ok := given[name]; ok {
				there = append(there, name)
			}
		}
		if len(there) != 1 {
			c.add(at, there, "one of event, valueChange, presence")
		}
	}
}

// path checks one path of the data model. What is no text, or an expression, or no path at all, is told by the schema
// or not known.
func (c *checker) path(at string, v any, one bool, kinds ...string) {
	path, ok := v.(string)
	if !ok || path == expression || !strings.HasPrefix(path, "Device.") {
		return
	}
	switch form, err := device.FormOfPath(path); {
	case err != nil || !slices.Contains(kinds, form.Kind):
		c.add(at, path, "the path of %s: %s", strings.Join(kinds, " or "), endsOf(kinds))
	case one && !form.Concrete:
		c.add(at, path, "the path of one %s, without wildcard or search", kinds[0])
	}
}

// endsOf says how paths of some kinds end.
func endsOf(kinds []string) string {
	var ends []string
	for _, k := range kinds {
		ends = append(ends, map[string]string{
			device.PathObject: "an object's ends with a dot", device.PathParameter: "a parameter's ends with a name",
			device.PathCommand: "a command's ends with ()", device.PathEvent: "an event's ends with !",
		}[k])
	}
	return strings.Join(ends, ", ")
}

// keys checks that what is added has values for its keys.
func (c *checker) keys(at string, o map[string]any, names []any) {
	parameters, ok := o["parameters"].(map[string]any)
	if o["parameters"] != nil && !ok {
		return // an expression
	}
	for i, k := range names {
		name, ok := k.(string)
		if _, there := parameters[name]; ok && name != expression && !there {
			c.add(fmt.Sprintf("%s[%d]", at, i), name, "the name of one of the object's parameters")
		}
	}
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
