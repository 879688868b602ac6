package topic_test

import (
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/topic"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, name string
		want         bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/c", false},
		{"a/+", "a/b", true},
		{"a/+", "a/", true},
		{"a/+", "a", false},
		{"a/+", "a/b/c", false},
		{"+", "a", true},
		{"+/+", "/a", true},
		{"#", "a/b/c", true},
		{"#", "a", true},
		{"a/#", "a/b/c", true},
		{"sensor/#", "sensor/", true},
		{"sensor/#", "sensor", false}, // AWS; the specification says true
		{"#", "$aws/events/x", false},
		{"+/events/x", "$aws/events/x", false},
		{"$aws/#", "$aws/events/x", true},
		{"$aws/events/presence/+/+", "$aws/events/presence/connected/cpe-1", true},
		{"$aws/things/+/jobs/notify-next", "$aws/things/cpe-1/jobs/notify-next", true},
		{"", "a", false},
	} {
		if got := topic.Match(c.filter, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.name, got)
		}
	}
}

func TestCheckFilter(t *testing.T) {
	for filter, ok := range map[string]bool{
		"a": true, "a/+/b/#": true, "#": true, "/": true, "$aws/things/+/jobs/#": true,
		"": false, "a/#/b": false, "a+": false, "a/b#": false, "1/2/3/4/5/6/7/8": true,
		"1/2/3/4/5/6/7/8/9": false, strings.Repeat("x", 257): false,
	} {
		if err := topic.CheckFilter(filter); (err == nil) != ok {
			t.Errorf("CheckFilter(%q) = %v", filter, err)
		}
	}
}

func TestBasicIngestDoesNotCountItsPrefix(t *testing.T) {
	if err := topic.CheckName("$aws/rules/my_rule/1/2/3/4/5/6/7/8"); err != nil {
		t.Error(err)
	}
	if rule, rest, ok := topic.Ingest("$aws/rules/my_rule/a/b"); rule != "my_rule" || rest != "a/b" || !ok {
		t.Errorf("Ingest = %q %q %v", rule, rest, ok)
	}
}

// TestTreeAgreesWithMatch holds the tree to the plain definition.
func TestTreeAgreesWithMatch(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "", "$aws"})
	wild := rapid.SampledFrom([]string{"a", "b", "", "$aws", "+", "#"})
	rapid.Check(t, func(t *rapid.T) {
		var tree topic.Tree[string]
		in := map[string]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			f := strings.Join(rapid.SliceOfN(wild, 1, 4).Draw(t, "filter"), "/")
			if topic.CheckFilter(f) != nil {
				continue
			}
			if rapid.Bool().Draw(t, "add") {
				tree.Add(f, f)
				in[f] = true
			} else {
				tree.Remove(f, f)
				delete(in, f)
			}
		}
		if tree.Len() != len(in) {
			t.Fatalf("Len = %d, want %d", tree.Len(), len(in))
		}
		name := strings.Join(rapid.SliceOfN(level, 1, 4).Draw(t, "name"), "/")
		var got, want []string
		tree.Match(name, func(f string) { got = append(got, f) })
		for f := range in {
			if topic.Match(f, name) {
				want = append(want, f)
			}
		}
		sort.Strings(got)
		sort.Strings(want)
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Fatalf("name %q: tree %q, want %q", name, got, want)
		}
	})
}

func FuzzCheckFilter(f *testing.F) {
	f.Add("a/+/#", "a/b/c")
	f.Fuzz(func(t *testing.T, filter, name string) {
		var tree topic.Tree[int]
		tree.Add(filter, 1)
		tree.Match(name, func(int) {})
		if topic.CheckFilter(filter) == nil && topic.CheckName(name) == nil && !topic.Wild(filter) {
			if topic.Match(filter, name) != (filter == name) {
				t.Fatalf("plain filter %q against %q", filter, name)
			}
		}
		tree.Remove(filter, 1)
	})
}
