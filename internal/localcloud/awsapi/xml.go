package awsapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// xmlMember writes a value as an element.
func xmlMember(b *bytes.Buffer, name string, v reflect.Value, m *member) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			xmlMember(b, name, v.Elem(), m)
		}
		return
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			break
		}
		if m.flat {
			for i := range v.Len() {
				xmlMember(b, name, v.Index(i), m)
			}
			return
		}
		element(b, name, func() {
			for i := range v.Len() {
				xmlMember(b, "member", v.Index(i), m)
			}
		})
		return
	case reflect.Map:
		entries := func(entry string) {
			for _, k := range sortedKeys(v) {
				element(b, entry, func() {
					xmlMember(b, m.key, k, m)
					xmlMember(b, m.value, v.MapIndex(k), m)
				})
			}
		}
		if m.flat {
			entries(name)
			return
		}
		element(b, name, func() { entries("entry") })
		return
	case reflect.Struct:
		if v.Type() == timeType {
			break
		}
		element(b, name, func() { xmlMembers(b, v) })
		return
	}
	element(b, name, func() { _ = xml.EscapeText(b, []byte(xmlText(v))) })
}

// xmlMembers writes the members of a struct that are in the body.
func xmlMembers(b *bytes.Buffer, v reflect.Value) {
	s := shapeOf(v.Type())
	for i := range s.members {
		m := &s.members[i]
		f, ok := m.lookup(v)
		if m.bind != inBody || !ok || m.omitEmpty && empty(f) {
			continue
		}
		xmlMember(b, m.xml, f, m)
	}
}

func xmlText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	switch x := v.Interface().(type) {
	case Time:
		return x.ISO()
	case json.RawMessage:
		return string(x)
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	}
	return ""
}

func element(b *bytes.Buffer, name string, content func()) {
	b.WriteByte('<')
	b.WriteString(name)
	b.WriteByte('>')
	content()
	b.WriteString("</")
	b.WriteString(name)
	b.WriteByte('>')
}

// decodeXML reads an XML document into v by turning it into the tree that
// forms are.
func decodeXML(body []byte, v reflect.Value) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	malformed := Errorf("MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema")
	type open struct {
		node *formNode
		text strings.Builder
	}
	root := &formNode{}
	stack := []*open{{node: root}}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(stack) > maxFormDepth {
			return malformed
		}
		top := stack[len(stack)-1]
		switch t := t.(type) {
		case xml.StartElement:
			if top.node.children == nil {
				top.node.children = map[string]*formNode{}
			}
			c := &formNode{set: true}
			// Repeated elements become 1, 2, ...; the first stays where it
			// is too, as it may be the only one.
			name := t.Name.Local
			first := top.node.children[name]
			if first == nil {
				top.node.children[name] = c
			}
			stack = append(stack, &open{node: c})
			if first != nil {
				list := first.children
				if list == nil || list["1"] == nil {
					first = &formNode{children: map[string]*formNode{"1": first}}
					top.node.children[name] = first
				}
				first.children[strconv.Itoa(len(first.children)+1)] = c
			}
		case xml.EndElement:
			top.node.value = top.text.String()
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text.Write(t)
		}
	}
	if len(root.children) != 1 {
		return malformed
	}
	for _, n := range root.children { // the document's element
		return decodeXMLMember(n, v)
	}
	return malformed
}

// decodeXMLMember is decodeForm, except that a list of one is not numbered.
func decodeXMLMember(n *formNode, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeXMLMember(n, v.Elem())
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		s := shapeOf(v.Type())
		for i := range s.members {
			m := &s.members[i]
			c := n.children[m.xml]
			if c == nil || m.name == "" {
				continue
			}
			f := m.field(v)
			if f.Kind() != reflect.Slice || f.Type().Elem().Kind() == reflect.Uint8 {
				if err := decodeXMLMember(c, f); err != nil {
					return err
				}
				continue
			}
			if !m.flat {
				for _, only := range c.children {
					c = only
				}
			}
			items := []*formNode{c}
			if c.children["1"] != nil {
				items = c.items()
			}
			for _, item := range items {
				e := reflect.New(f.Type().Elem()).Elem()
				if err := decodeXMLMember(item, e); err != nil {
					return err
				}
				f.Set(reflect.Append(f, e))
			}
		}
		return nil
	default:
		return setText(v, []string{n.value})
	}
}
