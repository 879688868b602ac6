package cloudformation

import (
	"context"
	"maps"
	"slices"
)

// tagging is how a service changes the tags of a resource that exists: two operations, one that sets and one that
// removes.
type tagging struct {
	set, unset string
	key        string // the member that names the resource
	value      func(e environment, made Resource) string
	// more are further members of both operations; finish changes the input of set at last.
	more   map[string]any
	finish func(in map[string]any)
	tags   string // the member that holds the tags; "" if it is called as in the operation that creates
}

func ofAttribute(name string) func(environment, Resource) string {
	return func(_ environment, made Resource) string {
		v, _ := made.Attributes[name].(string)
		return v
	}
}

func ofPhysical(_ environment, made Resource) string { return made.PhysicalID }

// retag brings the tags of a resource from what they were to what they shall be.
func (k bound) retag(ctx context.Context, r Request, made Resource) error {
	name := k.tagging.value(k.s.environment, made)
	after := tagKeys(r.Properties["Tags"])
	var gone []any
	for _, key := range tagKeys(r.Old["Tags"]) {
		if !slices.Contains(after, key) {
			gone = append(gone, key)
		}
	}
	if gone != nil {
		in := map[string]any{k.tagging.key: name, k.spelling()("TagKeys"): gone}
		maps.Copy(in, k.tagging.more)
		if _, err := k.s.call(ctx, k.service, k.tagging.unset, in); err != nil {
			return err
		}
	}
	if len(after) == 0 {
		return nil
	}
	in, err := object(k.properties).convertObject("Properties", map[string]any{"Tags": r.Properties["Tags"]},
		k.spelling())
	if err != nil {
		return err
	}
	if k.tagging.tags != "" {
		in = map[string]any{k.tagging.tags: in[k.properties["Tags"].api]}
	}
	in[k.tagging.key] = name
	maps.Copy(in, k.tagging.more)
	if k.tagging.finish != nil {
		k.tagging.finish(in)
	}
	_, err = k.s.call(ctx, k.service, k.tagging.set, in)
	return err
}

// tagKeys are the keys of tags as templates have them: a list of Key and Value, or an object.
func tagKeys(v any) []string {
	if m, ok := v.(map[string]any); ok {
		return slices.Sorted(maps.Keys(m))
	}
	var keys []string
	list, _ := v.([]any)
	for _, e := range list {
		tag, _ := e.(map[string]any)
		if key, err := asText(tag["Key"]); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}
