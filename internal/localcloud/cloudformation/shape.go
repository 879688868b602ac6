package cloudformation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// shape is the form of a property, and how it becomes a member of an API input. CloudFormation takes "true" for true
// and 5 for "5"; the services do not.
type shape struct {
	kind    kindOfShape
	element *shape            // list, mapping
	members map[string]member // object
}

type kindOfShape int

const (
	isAnything kindOfShape = iota // as it is
	isText
	isNumber
	isBoolean
	isList
	isMapping // free keys
	isObject  // known members
	isJSON    // an object or a text in the template, a JSON text in the API
	isTags    // a list of Key and Value in the template, a map in the API
)

// member is a property or a member of one.
type member struct {
	shape
	// api is the name in the API, "" if it is the template's in the spelling of the service.
	api string
	// in is the operation that sets the property, "" is the one that creates the resource.
	in string
	// update is the operation that changes the property later; "" is in, and if that is "" too a change replaces the
	// resource.
	update string
	// inPlace is set where AWS changes the property of a resource that stays, and this package cannot.
	inPlace bool
	// unset is what the property is set to when the template no longer has it; dropped is the operation that takes it
	// away. Without either the resource is replaced.
	unset   any
	dropped string
	// unused is the reason why the property has no effect here; it is then checked and dropped.
	unused string
}

var (
	text     = member{shape: shape{kind: isText}}
	number   = member{shape: shape{kind: isNumber}}
	boolean  = member{shape: shape{kind: isBoolean}}
	jsonText = member{shape: shape{kind: isJSON}}
	texts    = listOf(text)
	tagMap   = member{shape: shape{kind: isTags}}
	tagList  = listOf(object(members{"Key": text, "Value": text}))
)

type members = map[string]member

func listOf(e member) member    { return member{shape: shape{kind: isList, element: &e.shape}} }
func mappingOf(e member) member { return member{shape: shape{kind: isMapping, element: &e.shape}} }
func object(m members) member   { return member{shape: shape{kind: isObject, members: m}} }
func unused(reason string) member {
	return member{unused: reason}
}

func (m member) as(api string) member         { m.api = api; return m }
func (m member) set(operation string) member  { m.in = operation; return m }
func (m member) by(operation string) member   { m.update = operation; return m }
func (m member) unbuiltInPlace() member       { m.inPlace = true; return m }
func (m member) orElse(unset any) member      { m.unset = unset; return m }
func (m member) drop(operation string) member { m.dropped = operation; return m }
func (m member) change() string {
	if m.update != "" {
		return m.update
	}
	return m.in
}

// check finds unknown members in a value whose functions are not evaluated yet.
func (s shape) check(path string, v any, p *problems) {
	if m, ok := v.(map[string]any); ok {
		if name, arg, ok := function(m); ok && name != "Condition" {
			// Both arms of an Fn::If stand where the value will stand.
			if list, ok := arg.([]any); ok && name == "Fn::If" && len(list) == 3 {
				s.check(index(path+".Fn::If", 1), list[1], p)
				s.check(index(path+".Fn::If", 2), list[2], p)
			}
			return
		}
	}
	switch s.kind {
	case isList:
		if list, ok := v.([]any); ok {
			for i, e := range list {
				s.element.check(index(path, i), e, p)
			}
		} else {
			p.add(path, "must be a list, not %s", kindOf(v))
		}
	case isMapping, isObject:
		m, ok := v.(map[string]any)
		if !ok {
			p.add(path, "must be an object, not %s", kindOf(v))
			return
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if s.kind == isMapping {
				s.element.check(path+"."+k, m[k], p)
				continue
			}
			e, ok := s.members[k]
			if !ok {
				p.add(path+"."+k, "the local cloud does not implement this property")
			} else {
				e.check(path+"."+k, m[k], p)
			}
		}
	case isText, isNumber, isBoolean:
		switch v.(type) {
		case map[string]any, []any, nil:
			p.add(path, "must be a single value, not %s", kindOf(v))
		}
	}
}

// convert makes the API's value of an evaluated one.
func (s shape) convert(path string, v any, spell func(string) string) (any, error) {
	wrong := func(err error) error { return fmt.Errorf("%s: %w", path, err) }
	switch s.kind {
	case isText:
		t, err := asText(v)
		if err != nil {
			return nil, wrong(err)
		}
		return t, nil
	case isNumber:
		n, err := asNumber(v)
		if err != nil {
			return nil, wrong(err)
		}
		return n, nil
	case isBoolean:
		t, err := asText(v)
		if err != nil {
			return nil, wrong(err)
		}
		b, err := strconv.ParseBool(t)
		if err != nil {
			return nil, wrong(fmt.Errorf("%q is not a boolean", t))
		}
		return b, nil
	case isJSON:
		if t, ok := v.(string); ok {
			return t, nil
		}
		return marshalText(v)
	case isTags:
		list, _ := v.([]any)
		tags := map[string]any{}
		for _, e := range list {
			tag, _ := e.(map[string]any)
			key, err := asText(tag["Key"])
			if err != nil {
				return nil, wrong(err)
			}
			if tags[key], err = asText(tag["Value"]); err != nil {
				return nil, wrong(err)
			}
		}
		return tags, nil
	case isList:
		list, ok := v.([]any)
		if !ok {
			return nil, wrong(fmt.Errorf("must be a list, not %s", kindOf(v)))
		}
		out := make([]any, len(list))
		for i, e := range list {
			var err error
			if out[i], err = s.element.convert(index(path, i), e, spell); err != nil {
				return nil, err
			}
		}
		return out, nil
	case isMapping, isObject:
		m, ok := v.(map[string]any)
		if !ok {
			return nil, wrong(fmt.Errorf("must be an object, not %s", kindOf(v)))
		}
		return s.convertObject(path, m, spell)
	default:
		return v, nil
	}
}

func (s shape) convertObject(path string, m map[string]any, spell func(string) string) (map[string]any, error) {
	out := map[string]any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		name, e := k, s.element
		if s.kind == isObject {
			known, ok := s.members[k]
			if !ok {
				return nil, fmt.Errorf("%s.%s: the local cloud does not implement this property", path, k)
			}
			if known.unused != "" {
				continue
			}
			if name = known.api; name == "" {
				name = spell(k)
			}
			e = &known.shape
		}
		v, err := e.convert(path+"."+k, m[k], spell)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

func marshalText(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func asSpelled(name string) string { return name }

// lowerFirst is the spelling of Step Functions, AWS IoT and CloudWatch Logs.
func lowerFirst(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}
