package awsapi

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// formNode is a form of the Query protocol as a tree: A.member.1.B=x is the
// value x at A, member, 1, B.
type formNode struct {
	value    string
	set      bool
	children map[string]*formNode
}

// maxFormDepth keeps hostile names from making deep trees.
const maxFormDepth = 32

func parseForm(values url.Values) (*formNode, error) {
	root := &formNode{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		parts := strings.Split(name, ".")
		if len(parts) > maxFormDepth {
			return nil, Errorf("MalformedInput", "parameter %.64s is nested too deep", name)
		}
		n := root
		for _, p := range parts {
			if n.children == nil {
				n.children = map[string]*formNode{}
			}
			c := n.children[p]
			if c == nil {
				c = &formNode{}
				n.children[p] = c
			}
			n = c
		}
		n.value, n.set = v[0], true
	}
	return root, nil
}

// items are the children numbered 1, 2, ... in order, below a word such as
// "member" or "entry" or directly.
func (n *formNode) items() []*formNode {
	if len(n.children) == 1 {
		for name, c := range n.children {
			if _, err := strconv.Atoi(name); err != nil {
				n = c
			}
		}
	}
	type item struct {
		number int
		node   *formNode
	}
	var list []item
	for name, c := range n.children {
		if number, err := strconv.Atoi(name); err == nil {
			list = append(list, item{number, c})
		}
	}
	slices.SortFunc(list, func(a, b item) int { return a.number - b.number })
	out := make([]*formNode, len(list))
	for i := range list {
		out[i] = list[i].node
	}
	return out
}

// decodeForm reads a form into v.
func decodeForm(n *formNode, v reflect.Value) error {
	return decodeFormMember(n, v, &member{key: "key", value: "value"})
}

func decodeFormMember(n *formNode, v reflect.Value, m *member) error {
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeFormMember(n, v.Elem(), m)
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		s := shapeOf(v.Type())
		for i := range s.members {
			m := &s.members[i]
			c := n.children[m.xml]
			if c == nil {
				c = n.children[m.name]
			}
			if c == nil || m.name == "" {
				continue
			}
			if err := decodeFormMember(c, m.field(v), m); err != nil {
				return err
			}
		}
		return nil
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		items := n.items()
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
		for i, c := range items {
			if err := decodeFormMember(c, v.Index(i), m); err != nil {
				return err
			}
		}
		return nil
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, c := range n.items() {
			key, value := c.children[m.key], c.children[m.value]
			if key == nil {
				key, value = c.children["key"], c.children["value"]
			}
			if key == nil {
				key, value = c.children["Name"], c.children["Value"]
			}
			if key == nil || v.Type().Key().Kind() != reflect.String {
				return Errorf("MalformedInput", "a map entry has no key")
			}
			e := reflect.New(v.Type().Elem()).Elem()
			if value != nil {
				if err := decodeFormMember(value, e, m); err != nil {
					return err
				}
			}
			v.SetMapIndex(reflect.ValueOf(key.value).Convert(v.Type().Key()), e)
		}
		return nil
	case v.Kind() == reflect.Interface:
		v.Set(reflect.ValueOf(n.value))
		return nil
	case !n.set:
		return Errorf("MalformedInput", "a structure was given where a value is expected")
	default:
		err := setText(v, []string{n.value})
		if e, ok := err.(*Error); ok {
			e.Code = "MalformedInput"
		}
		return err
	}
}
