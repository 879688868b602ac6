package cloudformation

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// kind is a Provider driven by a table: most types of resources are one operation that creates, some that set single
// properties, and one that deletes.
type kind struct {
	service    string // awsapi.Service.ID
	properties members
	required   []string
	name       naming
	spell      func(string) string // nil is asSpelled

	create string
	// key is the member that names the resource in all operations; its value is the physical name, or what keyOf says.
	key   string
	keyOf func(e environment, physical string, attributes map[string]any) string
	// build changes the input of an operation after properties have been converted; r.Properties are the template's.
	build map[string]func(r Request, in map[string]any) error
	// awaitUsable waits until the created resource can be used.
	awaitUsable func(ctx context.Context, s *Service, name string) error
	// physical is what Ref gives; nil is the physical name. Out is the answer to create, nil if the
	// resource was there.
	physical   func(e environment, name string, out map[string]any) string
	attributes map[string]func(e environment, name string, out map[string]any) any

	remove string   // "" if there is nothing to delete
	exists []string // codes of create when the resource is there already
	// describe reads a resource that was there already; its answer takes the place of that of create.
	describe string
	// already is what an operation that sets properties says when they are set, by operation.
	already  map[string]string
	tagging  *tagging // how tags of a made resource are changed
	notFound []string // codes of remove when it is not
}

// bound is a kind in a service.
type bound struct {
	kind
	s *Service
}

func (k bound) spelling() func(string) string {
	if k.spell == nil {
		return asSpelled
	}
	return k.spell
}

// Check implements Provider.
func (k bound) Check(path string, properties map[string]any) []Problem {
	var p problems
	object(k.properties).check(path, properties, &p)
	for _, name := range k.required {
		if _, ok := properties[name]; !ok {
			p.add(path+"."+name, "required")
		}
	}
	return p
}

// Attributes implements Provider.
func (k bound) Attributes() []string {
	names := slices.Sorted(maps.Keys(k.attributes))
	if names == nil {
		return []string{}
	}
	return names
}

// Create implements Provider.
func (k bound) Create(ctx context.Context, r Request) (Resource, error) {
	e := k.s.environment
	name := k.name.physicalName(e, r)
	in, err := k.input(r, k.create, func(m member) string { return m.in })
	if err != nil {
		return Resource{}, err
	}
	nameMember := k.key
	if k.name.property != "" {
		nameMember = k.properties[k.name.property].api
		if nameMember == "" {
			nameMember = k.spelling()(k.name.property)
		}
	}
	in[nameMember] = name
	if err := k.finish(r, k.create, in); err != nil {
		return Resource{}, err
	}
	out, err := k.s.call(ctx, k.service, k.create, in)
	adopted := err != nil && r.Resume && slices.Contains(k.exists, awsapi.Code(err))
	if err != nil && !adopted {
		return Resource{}, err
	}
	if adopted && k.describe != "" {
		if out, err = k.s.call(ctx, k.service, k.describe, map[string]any{nameMember: name}); err != nil {
			return Resource{}, err
		}
	}
	made := Resource{PhysicalID: name, Attributes: map[string]any{}}
	if k.physical != nil {
		made.PhysicalID = k.physical(e, name, out)
	}
	for attribute, of := range k.attributes {
		made.Attributes[attribute] = of(e, name, out)
	}
	if k.awaitUsable != nil {
		if err := k.awaitUsable(ctx, k.s, name); err != nil {
			return made, err
		}
	}
	if adopted {
		// It may have been made from an earlier version of the template.
		return made, k.setAll(ctx, r, made, func(m member) bool { return m.change() != "" }, member.change)
	}
	return made, k.setAll(ctx, r, made, func(m member) bool {
		return m.in != ""
	}, func(m member) string { return m.in })
}

// setAll runs the operations that set the properties which are chosen, each once with all its properties.
func (k bound) setAll(ctx context.Context, r Request, made Resource, chosen func(member) bool,
	operation func(member) string) error {
	var operations []string
	for _, name := range slices.Sorted(maps.Keys(r.Properties)) {
		m := k.properties[name]
		if o := operation(m); m.unused == "" && chosen(m) && !slices.Contains(operations, o) {
			operations = append(operations, o)
		}
	}
	for _, o := range operations {
		in, err := k.input(r, o, operation)
		if err != nil {
			return err
		}
		in[k.key] = k.keyValue(made)
		if err := k.finish(r, o, in); err != nil {
			return err
		}
		_, err = k.s.call(ctx, k.service, o, in)
		if is := k.already[o]; err != nil && r.Resume && is != "" && awsapi.AsError(err).Message == is {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k bound) keyValue(made Resource) string {
	if k.keyOf != nil {
		return k.keyOf(k.s.environment, made.PhysicalID, made.Attributes)
	}
	return made.PhysicalID
}

// input converts the properties that belong to an operation.
func (k bound) input(r Request, operation string, of func(member) string) (map[string]any, error) {
	mine := map[string]any{}
	for name, v := range r.Properties {
		if o := of(k.properties[name]); o == operation || o == "" && operation == k.create {
			mine[name] = v
		}
	}
	return object(k.properties).convertObject("Properties", mine, k.spelling())
}

func (k bound) finish(r Request, operation string, in map[string]any) error {
	if build := k.build[operation]; build != nil {
		return build(r, in)
	}
	return nil
}

// Update implements Provider.
func (k bound) Update(ctx context.Context, r Request) (Resource, error) {
	changed, retag := map[string]bool{}, false
	var drops []string
	for _, name := range slices.Sorted(maps.Keys(k.properties)) {
		before, had := r.Old[name]
		after, has := r.Properties[name]
		if had == has && reflect.DeepEqual(before, after) {
			continue
		}
		m := k.properties[name]
		switch {
		case m.unused != "":
		case name == "Tags" && k.tagging != nil:
			retag = true
		case m.inPlace:
			return Resource{}, awsapi.NotBuilt("a change of " + name + " of a resource of type " + r.Type)
		case m.change() == "" || !has && !k.canUnset(m):
			if old := k.customName(r.Old); old != "" && old == k.customName(r.Properties) {
				return Resource{}, errCustomNamed(old)
			}
			return Resource{}, ErrReplace
		case has || m.change() == k.create:
			changed[m.change()] = true
		case m.dropped != "":
			drops = append(drops, m.dropped)
		default:
			r.Properties = maps.Clone(r.Properties)
			r.Properties[name] = m.unset
			changed[m.change()] = true
		}
	}
	made := Resource{PhysicalID: r.PhysicalID, Attributes: r.Attributes}
	if retag {
		if err := k.retag(ctx, r, made); err != nil {
			return made, err
		}
	}
	if err := k.setAll(ctx, r, made, func(m member) bool { return changed[m.change()] }, member.change); err != nil {
		return made, err
	}
	for _, operation := range drops {
		if _, err := k.s.call(ctx, k.service, operation, map[string]any{k.key: k.keyValue(made)}); err != nil {
			return made, err
		}
	}
	return made, nil
}

// canUnset tells whether a property can be taken away without a new resource: the operation that
// sets it sets all of the resource, or its default is known, or there is an operation that takes it
// away.
func (k bound) canUnset(m member) bool {
	return m.change() != "" && (m.change() == k.create || m.unset != nil || m.dropped != "")
}

// Delete implements Provider.
func (k bound) Delete(ctx context.Context, r Request) error {
	if k.remove == "" {
		return nil
	}
	in := map[string]any{k.key: k.keyValue(Resource{PhysicalID: r.PhysicalID, Attributes: r.Attributes})}
	if err := k.finish(r, k.remove, in); err != nil {
		return err
	}
	_, err := k.s.call(ctx, k.service, k.remove, in)
	if err != nil && slices.Contains(k.notFound, awsapi.Code(err)) {
		return nil
	}
	return err
}

// customName implements named.
func (k bound) customName(properties map[string]any) string {
	if k.name.borrowed {
		return ""
	}
	name, _ := properties[k.name.property].(string)
	return name
}

// addTags implements tagged: a tag that the resource has of its own stays.
func (k bound) addTags(properties map[string]any, tags map[string]string) {
	m, ok := k.properties["Tags"]
	if !ok || m.unused != "" {
		return
	}
	switch m.kind {
	case isMapping:
		own, _ := properties["Tags"].(map[string]any)
		all := map[string]any{}
		for key, value := range tags {
			all[key] = value
		}
		maps.Copy(all, own)
		properties["Tags"] = all
	default:
		own, _ := properties["Tags"].([]any)
		has := map[string]bool{}
		for _, e := range own {
			tag, _ := e.(map[string]any)
			key, _ := tag["Key"].(string)
			has[key] = true
		}
		all := slices.Clone(own)
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			if !has[key] {
				all = append(all, map[string]any{"Key": key, "Value": tags[key]})
			}
		}
		properties["Tags"] = all
	}
}
