package operation

import (
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fleetstep/fleetstep/internal/event"
)

// same are the schemas that hold wherever one does: itself, what it refers to, and all of allOf. Which of anyOf, oneOf
// and if hold depends on the value.
func same(s *jsonschema.Schema) []*jsonschema.Schema {
	var all []*jsonschema.Schema
	var walk func(s *jsonschema.Schema)
	walk = func(s *jsonschema.Schema) {
		if s == nil || slices.Contains(all, s) {
			return
		}
		all = append(all, s)
		walk(s.Ref)
		for _, part := range s.AllOf {
			walk(part)
		}
	}
	walk(s)
	return all
}

// defaultOf is the first default of a value, its own before that of what it refers to.
func defaultOf(s *jsonschema.Schema) (v any, of *jsonschema.Schema) {
	for _, part := range same(s) {
		if part.Default != nil {
			return *part.Default, part
		}
	}
	return nil, nil
}

// members are the properties of an object by name, each with all schemas that it has in these.
func members(schemas []*jsonschema.Schema) map[string][]*jsonschema.Schema {
	all := map[string][]*jsonschema.Schema{}
	for _, s := range schemas {
		for name, p := range s.Properties {
			all[name] = append(all[name], p)
		}
	}
	return all
}

// filled is an input with all defaults: of members of the input, of objects and of items of lists in it.
func (s *schema) filled(input map[string]any) map[string]any {
	out, _ := fill(s.compiled, input, nil).(map[string]any)
	return out
}

// fill is a copy of a value with defaults. open are the schemas of the defaults that the value is part of: one that
// contains itself ends there.
func fill(s *jsonschema.Schema, v any, open []*jsonschema.Schema) any {
	schemas := same(s)
	switch t := v.(type) {
	case map[string]any:
		out := maps.Clone(t)
		if out == nil {
			out = map[string]any{}
		}
		known := members(schemas)
		for _, name := range slices.Sorted(maps.Keys(known)) {
			for _, p := range known[name] {
				if given, ok := out[name]; ok {
					out[name] = fill(p, given, open)
					continue
				}
				if d, of := defaultOf(p); of != nil && !slices.Contains(open, of) {
					out[name] = fill(p, d, append(slices.Clone(open), of))
				}
			}
		}
		return out
	case []any:
		out := slices.Clone(t)
		for _, part := range schemas {
			items := part.Items2020
			if items == nil {
				items, _ = part.Items.(*jsonschema.Schema) // before draft 2020-12
			}
			for i := range out {
				switch {
				case i < len(part.PrefixItems):
					out[i] = fill(part.PrefixItems[i], out[i], open)
				case items != nil:
					out[i] = fill(items, out[i], open)
				}
			}
		}
		return out
	}
	return v
}

// unfit are the defaults that do not keep to the schemas that they are in: an input without them would be refused.
func (s *schema) unfit() event.Problems {
	var all event.Problems
	seen := map[*jsonschema.Schema]bool{}
	var walk func(s *jsonschema.Schema)
	walk = func(p *jsonschema.Schema) {
		if p == nil || seen[p] {
			return
		}
		seen[p] = true
		if p.Default != nil {
			if err := p.Validate(fill(p, *p.Default, []*jsonschema.Schema{p})); err != nil {
				all = append(all, s.unfitDefault(p, err)...)
			}
		}
		for _, part := range same(p) {
			walk(part)
			for _, name := range slices.Sorted(maps.Keys(part.Properties)) {
				walk(part.Properties[name])
			}
			walk(part.Items2020)
			for _, item := range part.PrefixItems {
				walk(item)
			}
		}
	}
	walk(s.compiled)
	return all.Sorted()
}

// gives reports whether every input has a number at a path: one of a type that may be, that is required or has a
// default, as has each object on the way.
func (s *schema) gives(path []string) bool {
	at := same(s.compiled)
	for _, name := range path {
		known := members(at)[name]
		sure := slices.ContainsFunc(at, func(p *jsonschema.Schema) bool { return slices.Contains(p.Required, name) })
		at = nil
		for _, p := range known {
			if _, of := defaultOf(p); of != nil {
				sure = true
			}
			at = append(at, same(p)...)
		}
		if !sure || len(at) == 0 {
			return false
		}
	}
	return !slices.ContainsFunc(at, func(p *jsonschema.Schema) bool {
		if p.Types == nil || p.Types.IsEmpty() {
			return false
		}
		return !slices.ContainsFunc(p.Types.ToStrings(), func(kind string) bool {
			return kind == "integer" || kind == "number"
		})
	})
}

// pointer is the path of a schema within the document.
func pointer(p *jsonschema.Schema) []string {
	_, fragment, _ := strings.Cut(p.Location, "#")
	var parts []string
	for part := range strings.SplitSeq(strings.TrimPrefix(fragment, "/"), "/") {
		if part != "" {
			parts = append(parts, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
	}
	return parts
}
