package cloudformation

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Provider makes the resources of one type. Its methods may be called concurrently for different stacks.
type Provider interface {
	// Check returns what is wrong with the properties as the template has them, that is, before functions are
	// evaluated: unknown and missing properties. Path is where they stand.
	Check(path string, properties map[string]any) []Problem
	// Attributes are the names that Fn::GetAtt may use; nil if they are known only after creation.
	Attributes() []string
	// Create makes the resource. With Resume set an earlier Create may have made some or all of it. A Resource with a
	// physical id beside an error is what there is of one that could not be made whole.
	Create(ctx context.Context, r Request) (Resource, error)
	// Update changes a resource; r.Old are its properties so far. ErrReplace if that cannot be done in place.
	Update(ctx context.Context, r Request) (Resource, error)
	// Delete removes a resource; r.Properties are those it has. It is no error if it is gone already.
	Delete(ctx context.Context, r Request) error
}

// ErrReplace is returned by Provider.Update for a change that needs a new resource.
var ErrReplace = errors.New("cloudformation: the resource must be replaced")

// errCustomNamed is what AWS answers where the template itself names the resource that must be
// replaced: the new one is made before the old one is deleted, and both cannot have the name.
// (Words as in many reports, for instance cloudtools/stacker#96 and
// awsdocs/aws-cloudformation-user-guide#927.)
func errCustomNamed(name string) error {
	return awsapi.Errorf("ValidationError",
		"CloudFormation cannot update a stack when a custom-named resource requires replacing. "+
			"Rename %s and update the stack again.", name)
}

// Request is what a provider works on.
type Request struct {
	Stack, StackID string
	LogicalID      string
	Type           string
	Generation     int            // how often the resource has been replaced
	Properties     map[string]any // evaluated
	Resume         bool           // Create only

	// Update and Delete only.
	PhysicalID string
	Attributes map[string]any
	Old        map[string]any
}

// Resource is what a provider has made.
type Resource struct {
	PhysicalID string // what Ref gives
	Attributes map[string]any
}

// naming is how a physical name is made when the template gives none.
type naming struct {
	property  string // the property that names the resource
	max       int    // longest name, 0 if there is no limit
	lower     bool
	separator string // "" is "-"
	borrowed  bool   // the property names what the resource belongs to
}

// physicalName is the name in the properties, else STACK-LOGICALID-SUFFIX as CloudFormation makes
// it. The suffix follows from the stack's ARN, the resource and how often it has been replaced, so
// that a creation that was cut short finds what it had made, and no other stack has the name.
func (n naming) physicalName(e environment, r Request) string {
	if name, ok := r.Properties[n.property].(string); ok && name != "" {
		return name
	}
	of := []string{r.StackID, r.LogicalID, e.account, e.region}
	if r.Generation > 0 {
		of = append(of, strconv.Itoa(r.Generation))
	}
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	suffix := base32.StdEncoding.EncodeToString(sum[:])[:12]
	separator := n.separator
	if separator == "" {
		separator = "-"
	}
	stack, id := r.Stack, r.LogicalID
	room := n.max - len(suffix) - 2*len(separator)
	if over := len(stack) + len(id) - room; n.max > 0 && over > 0 {
		id = id[:max(1, len(id)-over)]
		stack = stack[:min(len(stack), room-len(id))]
	}
	name := stack + separator + id + separator + suffix
	if separator != "-" {
		name = strings.ReplaceAll(name, "-", separator)
	}
	if n.lower {
		name = strings.ToLower(name)
	}
	return name
}

// environment is where resources live.
type environment struct{ account, region string }

// arn is an ARN in this account and region.
func (e environment) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + e.region + ":" + e.account + ":" + resource
}

// checkTypes checks every resource of a template against its provider.
func (s *Service) checkTypes(t *Template) error {
	var p problems
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		r := t.Resources[id]
		provider := s.provider(r.Type)
		if provider == nil {
			p.add("Resources."+id+".Type", "the local cloud does not implement the resource type %s", r.Type)
			continue
		}
		p = append(p, provider.Check("Resources."+id+".Properties", r.Properties)...)
	}
	s.checkAttributes(t, &p)
	return p.err()
}

// checkAttributes finds attributes that no resource of the type has.
func (s *Service) checkAttributes(t *Template, p *problems) {
	check := func(path string, v any) {
		walkAttributes(path, v, func(path, id, name string) {
			provider := s.provider(t.Resources[id].Type)
			if provider == nil {
				return
			}
			if known := provider.Attributes(); known != nil && !slices.Contains(known, name) {
				p.add(path, "the local cloud has no attribute %s of %s (%s)", name, id, t.Resources[id].Type)
			}
		})
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		for _, name := range slices.Sorted(maps.Keys(t.Resources[id].Properties)) {
			check("Resources."+id+".Properties."+name, t.Resources[id].Properties[name])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.Outputs)) {
		check("Outputs."+id+".Value", t.Outputs[id].Value)
		check("Outputs."+id+".Export.Name", t.Outputs[id].Export)
	}
}

func walkAttributes(path string, v any, found func(path, id, name string)) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			walkAttributes(index(path, i), e, found)
		}
	case map[string]any:
		if name, arg, ok := function(v); ok {
			switch name {
			case "Fn::GetAtt":
				if id, attribute, err := getAttArguments(arg); err == nil {
					found(path, id, attribute)
				}
				return
			case "Fn::Sub":
				text, own, err := subArguments(arg)
				if err != nil {
					return
				}
				for _, name := range subNames(text) {
					if _, mine := own[name]; mine {
						continue
					}
					if id, attribute, ok := strings.Cut(name, "."); ok {
						found(path, id, attribute)
					}
				}
				walkAttributes(path, own, found)
				return
			}
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			walkAttributes(path+"."+k, v[k], found)
		}
	}
}
