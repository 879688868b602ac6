package cloudformation

import (
	"context"
	"encoding/json"
)

// Parameters of Systems Manager, KMS keys, and types that have no effect here.

const putParameter = "PutParameter"

var ssmParameter = kind{
	service: "ssm", create: putParameter, key: "Name", name: naming{property: "Name", max: 1011},
	required: []string{"Type", "Value"},
	properties: members{
		"Name":           text,
		"Type":           text.by(putParameter),
		"Value":          text.by(putParameter),
		"Description":    text.by(putParameter),
		"AllowedPattern": text.by(putParameter),
		"Tier":           text.by(putParameter),
		"DataType":       text,
		"Tags":           mappingOf(text),
	},
	build: map[string]func(Request, map[string]any) error{
		// The one operation both makes and changes.
		putParameter: func(r Request, in map[string]any) error {
			tagsAsList(in)
			if r.PhysicalID != "" || r.Resume {
				in["Overwrite"] = true
				delete(in, "Tags")
			}
			return nil
		},
	},
	tagging: &tagging{
		set: "AddTagsToResource", unset: "RemoveTagsFromResource", key: "ResourceId", value: ofPhysical,
		more: map[string]any{"ResourceType": "Parameter"}, finish: tagsAsList,
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Type":  func(environment, string, map[string]any) any { return nil },
		"Value": func(environment, string, map[string]any) any { return nil },
	},
	remove: "DeleteParameter", exists: []string{"ParameterAlreadyExists"}, notFound: []string{"ParameterNotFound"},
}

// parameterProvider is the Provider of AWS::SSM::Parameter: one operation makes and changes a
// parameter, and says which of both it is to do.
type parameterProvider struct{ bound }

// tagsAsList makes the API's tags of the template's, which are an object.
func tagsAsList(in map[string]any) {
	tags, ok := in["Tags"].(map[string]any)
	if !ok {
		return
	}
	delete(in, "Tags")
	var list []any
	for _, key := range tagKeys(tags) {
		list = append(list, map[string]any{"Key": key, "Value": tags[key]})
	}
	in["Tags"] = list
}

// Create implements Provider.
func (p parameterProvider) Create(ctx context.Context, r Request) (Resource, error) {
	made, err := p.bound.Create(ctx, r)
	made.Attributes = map[string]any{"Type": r.Properties["Type"], "Value": r.Properties["Value"]}
	return made, err
}

// Update implements Provider.
func (p parameterProvider) Update(ctx context.Context, r Request) (Resource, error) {
	made, err := p.bound.Update(ctx, r)
	made.Attributes = map[string]any{"Type": r.Properties["Type"], "Value": r.Properties["Value"]}
	return made, err
}

var kmsKey = kind{
	service: "kms", create: "CreateKey", key: "KeyId",
	properties: members{
		"KeyPolicy":                      jsonText.as("Policy").by("PutKeyPolicy"),
		"Description":                    text.by("UpdateKeyDescription").orElse(""),
		"KeySpec":                        text,
		"KeyUsage":                       text,
		"MultiRegion":                    boolean,
		"Origin":                         text,
		"Enabled":                        boolean.set(byKey),
		"EnableKeyRotation":              boolean.set(byKey),
		"RotationPeriodInDays":           number.set(byKey),
		"PendingWindowInDays":            number.set(byKey),
		"BypassPolicyLockoutSafetyCheck": boolean,
		"Tags": listOf(
			object(members{"Key": text.as("TagKey"), "Value": text.as("TagValue")})),
	},
	build: map[string]func(Request, map[string]any) error{
		"CreateKey": func(_ Request, in map[string]any) error { delete(in, "KeyId"); delete(in, ""); return nil },
		"ScheduleKeyDeletion": func(r Request, in map[string]any) error {
			if days, ok := r.Properties["PendingWindowInDays"]; ok {
				n, err := asNumber(days)
				if err != nil {
					return err
				}
				in["PendingWindowInDays"] = n
			}
			return nil
		},
	},
	physical: func(_ environment, _ string, out map[string]any) string {
		made, _ := out["KeyMetadata"].(map[string]any)
		id, _ := made["KeyId"].(string)
		return id
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(_ environment, _ string, out map[string]any) any {
			made, _ := out["KeyMetadata"].(map[string]any)
			return made["Arn"]
		},
		"KeyId": func(_ environment, _ string, out map[string]any) any {
			made, _ := out["KeyMetadata"].(map[string]any)
			return made["KeyId"]
		},
	},
	remove: "ScheduleKeyDeletion", notFound: []string{"NotFoundException", "KMSInvalidStateException"},
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "KeyId", value: ofPhysical},
}

const byKey = "(key)"

// keyProvider is the Provider of AWS::KMS::Key. Whether a key is enabled and rotates are operations of their own.
type keyProvider struct{ bound }

func withoutKeyState(properties map[string]any) map[string]any {
	rest := map[string]any{}
	for _, name := range tagKeys(properties) {
		if m, ok := kmsKey.properties[name]; !ok || m.in != byKey {
			rest[name] = properties[name]
		}
	}
	return rest
}

// Create implements Provider.
func (p keyProvider) Create(ctx context.Context, r Request) (Resource, error) {
	plain := r
	plain.Properties = withoutKeyState(r.Properties)
	made, err := p.bound.Create(ctx, plain)
	if err != nil {
		return made, err
	}
	return made, p.setState(ctx, made.PhysicalID, map[string]any{}, r.Properties)
}

// Update implements Provider.
func (p keyProvider) Update(ctx context.Context, r Request) (Resource, error) {
	plain := r
	plain.Properties, plain.Old = withoutKeyState(r.Properties), withoutKeyState(r.Old)
	made, err := p.bound.Update(ctx, plain)
	if err != nil {
		return made, err
	}
	return made, p.setState(ctx, made.PhysicalID, r.Old, r.Properties)
}

func (p keyProvider) setState(ctx context.Context, id string, old, new map[string]any) error {
	is := func(properties map[string]any, name string, otherwise bool) bool {
		if v, ok := properties[name]; ok {
			return shownText(v) == "true"
		}
		return otherwise
	}
	if on := is(new, "EnableKeyRotation", false); on != is(old, "EnableKeyRotation", false) || on &&
		!equalJSON(old["RotationPeriodInDays"], new["RotationPeriodInDays"]) {
		in, operation := map[string]any{"KeyId": id}, "DisableKeyRotation"
		if on {
			operation = "EnableKeyRotation"
			if days, ok := new["RotationPeriodInDays"]; ok {
				in["RotationPeriodInDays"] = json.Number(shownText(days))
			}
		}
		if _, err := p.s.call(ctx, "kms", operation, in); err != nil {
			return err
		}
	}
	if on := is(new, "Enabled", true); on != is(old, "Enabled", true) {
		operation := "DisableKey"
		if on {
			operation = "EnableKey"
		}
		_, err := p.s.call(ctx, "kms", operation, map[string]any{"KeyId": id})
		return err
	}
	return nil
}

var kmsAlias = kind{
	service: "kms", create: "CreateAlias", key: "AliasName", name: naming{property: "AliasName"},
	required:   []string{"AliasName", "TargetKeyId"},
	properties: members{"AliasName": text, "TargetKeyId": text.by("UpdateAlias")},
	remove:     "DeleteAlias", exists: []string{"AlreadyExistsException"}, notFound: []string{"NotFoundException"},
}

// inert is the Provider of a type that has no effect here: it is taken as it is, and Ref and Fn::GetAtt give what they
// would.
type inert struct {
	s          *Service
	name       naming
	attributes map[string]func(e environment, name string) string
	physical   func(e environment, name string) string // nil: the name
}

// Check implements Provider. Properties are not looked at.
func (inert) Check(string, map[string]any) []Problem { return nil }

// Attributes implements Provider.
func (p inert) Attributes() []string { return tagKeys(anyMap(p.attributes)) }

func anyMap[V any](m map[string]V) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// Create implements Provider.
func (p inert) Create(_ context.Context, r Request) (Resource, error) {
	e := p.s.environment
	name := p.name.physicalName(e, r)
	made := Resource{PhysicalID: name, Attributes: map[string]any{}}
	for _, attribute := range p.Attributes() {
		made.Attributes[attribute] = p.attributes[attribute](e, name)
	}
	if p.physical != nil {
		made.PhysicalID = p.physical(e, name)
	}
	return made, nil
}

// Update implements Provider.
func (p inert) Update(_ context.Context, r Request) (Resource, error) {
	if p.customName(r.Old) != p.customName(r.Properties) {
		return Resource{}, ErrReplace
	}
	return Resource{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, nil
}

// Delete implements Provider.
func (inert) Delete(context.Context, Request) error { return nil }

func (p inert) customName(properties map[string]any) string {
	name, _ := properties[p.name.property].(string)
	return name
}

// inerts are the types without effect. There are no container images, resource groups and
// application insights here, and nothing reads what the CDK tells of itself.
func inerts(s *Service) map[string]Provider {
	arn := func(service, prefix string) func(environment, string) string {
		return func(e environment, name string) string { return e.arn(service, prefix+name) }
	}
	return map[string]Provider{
		"AWS::ECR::Repository": inert{s: s, name: naming{property: "RepositoryName", lower: true, max: 256},
			attributes: map[string]func(environment, string) string{
				"Arn": arn("ecr", "repository/"),
				"RepositoryUri": func(e environment, name string) string {
					return e.account + ".dkr.ecr." + e.region + ".amazonaws.com/" + name
				},
			}},
		"AWS::ResourceGroups::Group": inert{s: s, name: naming{property: "Name", max: 128},
			attributes: map[string]func(environment, string) string{
				"Arn": arn("resource-groups", "group/"),
			}},
		"AWS::ApplicationInsights::Application": inert{s: s, name: naming{property: "ResourceGroupName"},
			attributes: map[string]func(environment, string) string{
				"ApplicationARN": arn("applicationinsights", "application/resource-group/"),
			}, physical: arn("applicationinsights", "application/resource-group/")},
		"AWS::CDK::Metadata": inert{s: s, attributes: map[string]func(environment, string) string{}},
	}
}
