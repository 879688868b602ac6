package cloudformation

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what a template may be once its aliases are written out: an alias of aliases of
// aliases could else be as large as one likes.
const maxNodes = 200_000

// fromYAML reads a template in YAML as the JSON decoder would give it: objects, lists, texts, json.Number, booleans
// and nil. The short forms of functions (!Ref, !GetAtt a.b, !Sub) become their long forms.
//
// CloudFormation reads YAML 1.1. What a document of that version could mean otherwise than it looks (dates, octal
// numbers, 1_000) is taken as the text that stands there, since every property that CloudFormation has is a text, a
// number, a boolean, a list or an object. Merge keys (<<) are not part of what CloudFormation reads.
//
// Source: AWS CloudFormation User Guide, "CloudFormation template formats", "Intrinsic function reference".
func fromYAML(body []byte) (any, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(body, &document); err != nil {
		return nil, err
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errors.New("no YAML document")
	}
	r := &yamlReader{}
	return r.node(document.Content[0])
}

type yamlReader struct{ nodes int }

func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d, column %d: %s", n.Line, n.Column, fmt.Sprintf(format, args...))
}

func (r *yamlReader) node(n *yaml.Node) (any, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, at(n, "more than %d values", maxNodes)
	}
	if n.Kind == yaml.AliasNode {
		return r.node(n.Alias)
	}
	if tag := n.Tag; strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") && tag != "!" {
		return r.short(n, strings.TrimPrefix(tag, "!"))
	}
	return r.plain(n)
}

// short is a function in its short form.
func (r *yamlReader) short(n *yaml.Node, name string) (any, error) {
	long := "Fn::" + name
	if name == "Ref" || name == "Condition" {
		long = name
	}
	untagged := *n
	untagged.Tag = ""
	if n.Kind == yaml.ScalarNode {
		untagged.Tag = "!!str"
	}
	v, err := r.plain(&untagged)
	if err != nil {
		return nil, err
	}
	if text, ok := v.(string); ok && name == "GetAtt" {
		id, attribute, ok := strings.Cut(text, ".")
		if !ok {
			return nil, at(n, "!GetAtt must be a logical id, a dot and the name of an attribute")
		}
		v = []any{id, attribute}
	}
	return map[string]any{long: v}, nil
}

func (r *yamlReader) plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode {
				return nil, at(k, "a key must be a text")
			}
			if k.Tag == "!!merge" {
				return nil, at(k, "CloudFormation does not read merge keys")
			}
			if _, twice := m[k.Value]; twice {
				return nil, at(k, "the key %q stands here twice", k.Value)
			}
			v, err := r.node(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[k.Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, e := range n.Content {
			var err error
			if list[i], err = r.node(e); err != nil {
				return nil, err
			}
		}
		return list, nil
	default:
		return scalar(n), nil
	}
}

func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
	}
	return n.Value
}
