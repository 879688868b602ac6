package registry_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/fleetstep/fleetstep/internal/localcloud/iot/registry"
)

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"rg-1": true, "os::012345-a_B": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a/b": false, "ä": false, "a\n": false,
	} {
		if err := registry.CheckName("thingName", name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestChangedAttributes(t *testing.T) {
	have := map[string]string{"model": "X1", "site": "lab"}
	for _, row := range []struct {
		name    string
		request map[string]string
		merge   bool
		want    map[string]string
		err     string
	}{
		{"in their place", map[string]string{"a": "1"}, false, map[string]string{"a": "1"}, ""},
		{"merged in", map[string]string{"a": "1"}, true, map[string]string{"model": "X1", "site": "lab", "a": "1"},
			""},
		{"taken away", map[string]string{"site": ""}, true, map[string]string{"model": "X1"}, ""},
		{"every character", map[string]string{"aZ0_.,@/:#-": "aZ0_.,@/:#=[]-"}, false,
			map[string]string{"aZ0_.,@/:#-": "aZ0_.,@/:#=[]-"}, ""},
		{"the longest", map[string]string{strings.Repeat("k", 128): strings.Repeat("v", 800)}, false,
			map[string]string{strings.Repeat("k", 128): strings.Repeat("v", 800)}, ""},
		{"a name too long", map[string]string{strings.Repeat("k", 129): "v"}, false, nil,
			"an attribute name has 129 characters; at most 128 are allowed"},
		{"a value too long", map[string]string{"k": strings.Repeat("v", 801)}, false, nil,
			"the value of attribute k has 801 characters; at most 800 are allowed"},
		{"no name", map[string]string{"": "v"}, false, nil, `the attribute name "" must match [a-zA-Z0-9_.,@/:#-]+`},
		{"everything that is wrong, in order", map[string]string{"b": "2 GB", "a=": "1", "c": "+1"}, true, nil,
			`the attribute name "a=" must match [a-zA-Z0-9_.,@/:#-]+; the value "2 GB" of attribute b must match [a-zA-Z0-9_.,@/:#=\[\]-]*; ` +
				`the value "+1" of attribute c must match [a-zA-Z0-9_.,@/:#=\[\]-]*`},
	} {
		got, err := registry.Changed(have, row.request, row.merge)
		if text := fmt.Sprint(err); row.err == "" && err != nil || row.err != "" && text != row.err ||
			!maps.Equal(got, row.want) {
			t.Errorf("%s: got %v, %v; want %v, %s", row.name, got, err, row.want, row.err)
		}
	}
}

func TestNumberOfAttributes(t *testing.T) {
	many := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("k", i)] = "v"
		}
		return m
	}
	for _, row := range []struct {
		kind string
		n    int
		ok   bool
	}{{"", 3, true}, {"", 4, false}, {"gw", 50, true}, {"gw", 51, false}} {
		if err := registry.CheckThing(row.kind, many(row.n)); (err == nil) != row.ok {
			t.Errorf("type %q, %d attributes: %v", row.kind, row.n, err)
		}
	}
	if registry.CheckGroup(many(50)) != nil || registry.CheckGroup(many(51)) == nil {
		t.Error("a group has 50 attributes at most")
	}
	if registry.CheckSearchable([]string{"a", "b", "c"}) != nil ||
		registry.CheckSearchable([]string{"a", "b", "c", "d"}) == nil ||
		registry.CheckSearchable([]string{"a b"}) == nil {
		t.Error("a type has 3 searchable attributes at most, with names of attributes")
	}
}

func TestDescriptions(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "all of the lab, ~100 devices": true, strings.Repeat("x", 2028): true,
		strings.Repeat("x", 2029): false, "two\nlines": false, "Zürich": false,
	} {
		if err := registry.CheckDescription("description", text); (err == nil) != ok {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}
