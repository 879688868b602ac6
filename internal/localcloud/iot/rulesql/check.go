package rulesql

import (
	"fmt"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
)

// The versions of the language.
const (
	Version2015 = "2015-10-08"
	Version2016 = "2016-03-23"
)

// maxSize is AWS's limit of 128 KiB for variables and results of functions.
const maxSize = 128 << 10

type checker struct {
	source   string
	modern   bool // 2016-03-23
	template bool
	fallback int // inside the default of get_or_default
	counts   map[string]int
	external bool
}

func (c *checker) fail(n node, format string, args ...any) error {
	return syntax(c.source, n.pos(), format, args...)
}

func knownVersion(version string) (modern bool, err error) {
	switch version {
	case "", Version2015:
		return false, nil
	case Version2016:
		return true, nil
	}
	return false, fmt.Errorf("SQL version %q is none of %s and %s", version, Version2015, Version2016)
}

func (c *checker) statement(p *parsed) error {
	for _, x := range p.sets {
		if err := c.node(x); err != nil {
			return err
		}
	}
	if p.from {
		filter := p.topic
		if err := topic.CheckFilter(filter); err != nil {
			return c.fail(p.query, "FROM: %v", err)
		}
	}
	return c.query(p.query)
}

func (c *checker) query(q *query) error {
	if q.value && len(q.items) != 1 {
		return c.fail(q, "SELECT VALUE takes one item")
	}
	for i := range q.items {
		it := &q.items[i]
		if err := c.node(it.x); err != nil {
			return err
		}
		if q.value || it.star || it.as != nil {
			continue
		}
		switch x := it.x.(type) {
		case *name:
			it.key = x.text
		case *member:
			it.key = x.key
		case *variable:
			it.key = strings.TrimPrefix(x.text, "@")
		case *object: // its keys are merged into the result
		default:
			return c.fail(it.x, "this item needs a name: write AS and one")
		}
	}
	if q.where != nil {
		return c.node(q.where)
	}
	return nil
}

func (c *checker) node(n node) error {
	switch n := n.(type) {
	case *member:
		return c.node(n.of)
	case *array:
		if !c.modern {
			return c.fail(n, "arrays in a statement need SQL version %s", Version2016)
		}
		return c.nodes(n.items)
	case *object:
		if !c.modern {
			return c.fail(n, "objects in a statement need SQL version %s", Version2016)
		}
		return c.nodes(n.values)
	case *unary:
		return c.node(n.x)
	case *binary:
		if err := c.node(n.x); err != nil {
			return err
		}
		return c.node(n.y)
	case *cases:
		if err := c.node(n.of); err != nil {
			return err
		}
		if err := c.nodes(n.when); err != nil {
			return err
		}
		if err := c.nodes(n.then); err != nil {
			return err
		}
		if n.orElse != nil {
			return c.node(n.orElse)
		}
	case *exists:
		return c.inner(n.query)
	case *query:
		return c.inner(n)
	case *call:
		return c.call(n)
	}
	return nil
}

func (c *checker) nodes(list []node) error {
	for _, n := range list {
		if err := c.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) inner(q *query) error {
	if !c.modern {
		return c.fail(q, "nested queries need SQL version %s", Version2016)
	}
	if err := c.node(q.from); err != nil {
		return err
	}
	return c.query(q)
}

func (c *checker) call(n *call) error {
	if n.name == "machinelearning_predict" {
		return c.fail(n, "the local cloud does not implement the function machinelearning_predict")
	}
	f, ok := functions[n.name]
	if !ok {
		return c.fail(n, "there is no function %s", n.name)
	}
	if f.modern && !c.modern {
		return c.fail(n, "the function %s needs SQL version %s", n.name, Version2016)
	}
	n.fn = f
	counted, limit := n.name, f.limit
	if mode, _ := constant(n.args, 1); n.name == "decode" && strings.EqualFold(mode, "proto") {
		counted, limit = "decode(..., 'proto', ...)", 2
		c.external = true
		if c.template {
			return c.fail(n, "decode(..., 'proto', ...) cannot be used in a substitution template")
		}
		if c.fallback > 0 {
			return c.fail(n, "an external function cannot be a default")
		}
	}
	if f.external {
		c.external = true
		if c.fallback > 0 {
			return c.fail(n, "the external function %s cannot be a default", n.name)
		}
	}
	if limit > 0 {
		if c.counts == nil {
			c.counts = map[string]int{}
		}
		if c.counts[counted]++; c.counts[counted] > limit {
			return c.fail(n, "%s can be used %d times in a statement", counted, limit)
		}
	}
	if f.pattern > 0 {
		if text, ok := constant(n.args, f.pattern); ok {
			n.pattern = compilePattern(text)
		}
	}
	if n.name == "cast" {
		kind := n.args[1].(*literal).value.s
		modern, ok := castTypes[kind]
		if !ok {
			return c.fail(n.args[1], "there is no type %s", kind)
		}
		if modern.modern && !c.modern {
			return c.fail(n.args[1], "the type %s needs SQL version %s", kind, Version2016)
		}
	}
	for i, a := range n.args {
		if n.name == "get_or_default" && i == 1 {
			c.fallback++
		}
		err := c.node(a)
		if n.name == "get_or_default" && i == 1 {
			c.fallback--
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// constant is the argument, if it is a string in the source.
func constant(args []node, i int) (string, bool) {
	if i >= len(args) {
		return "", false
	}
	l, ok := args[i].(*literal)
	if !ok || l.value.kind != String {
		return "", false
	}
	return l.value.s, true
}
