package cloudformation

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Roles and their policies. A role's inline policies and managed policies are operations of their own, one each.

var inlinePolicy = object(members{"PolicyName": text, "PolicyDocument": jsonText})

var roleKind = kind{
	service: "iam", create: "CreateRole", key: "RoleName", name: naming{property: "RoleName", max: 64},
	required: []string{"AssumeRolePolicyDocument"},
	properties: members{
		"RoleName":                 text,
		"AssumeRolePolicyDocument": jsonText.by("UpdateAssumeRolePolicy"),
		"Description":              text.by("UpdateRole").orElse(""),
		"MaxSessionDuration":       number.by("UpdateRole").orElse(json.Number("3600")),
		"Path":                     text,
		"PermissionsBoundary":      text.by("PutRolePermissionsBoundary").drop("DeleteRolePermissionsBoundary"),
		"Tags":                     tagList,
		// Kept out of the operations of the table; role sets them.
		"Policies":          listOf(inlinePolicy).set(byRole),
		"ManagedPolicyArns": texts.set(byRole),
	},
	build: map[string]func(Request, map[string]any) error{
		"UpdateAssumeRolePolicy": func(_ Request, in map[string]any) error {
			in["PolicyDocument"] = in["AssumeRolePolicyDocument"]
			delete(in, "AssumeRolePolicyDocument")
			return nil
		},
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, out map[string]any) any {
			if made, ok := out["Role"].(map[string]any); ok && made["Arn"] != nil {
				return made["Arn"]
			}
			return "arn:aws:iam::" + e.account + ":role/" + name
		},
		"RoleId": func(_ environment, _ string, out map[string]any) any {
			made, _ := out["Role"].(map[string]any)
			return made["RoleId"]
		},
	},
	describe: "GetRole",
	tagging:  &tagging{set: "TagRole", unset: "UntagRole", key: "RoleName", value: ofPhysical},
	remove:   "DeleteRole", exists: []string{"EntityAlreadyExists"}, notFound: []string{"NoSuchEntity"},
}

const byRole = "(role)"

// role is the Provider of AWS::IAM::Role.
type role struct{ bound }

// Create implements Provider.
func (p role) Create(ctx context.Context, r Request) (Resource, error) {
	plain := r
	plain.Properties = withoutRolePolicies(r.Properties)
	made, err := p.bound.Create(ctx, plain)
	if err != nil {
		return made, err
	}
	return made, p.setPolicies(ctx, made.PhysicalID, nil, r.Properties)
}

// Update implements Provider.
func (p role) Update(ctx context.Context, r Request) (Resource, error) {
	plain := r
	plain.Properties, plain.Old = withoutRolePolicies(r.Properties), withoutRolePolicies(r.Old)
	made, err := p.bound.Update(ctx, plain)
	if err != nil {
		return made, err
	}
	return made, p.setPolicies(ctx, r.PhysicalID, r.Old, r.Properties)
}

// Delete implements Provider.
func (p role) Delete(ctx context.Context, r Request) error {
	if err := p.setPolicies(ctx, r.PhysicalID, r.Properties, nil); err != nil && awsapi.Code(err) != "NoSuchEntity" {
		return err
	}
	return p.bound.Delete(ctx, r)
}

func withoutRolePolicies(properties map[string]any) map[string]any {
	rest := maps.Clone(properties)
	delete(rest, "Policies")
	delete(rest, "ManagedPolicyArns")
	return rest
}

// setPolicies brings the policies of a role from what they were to what they shall be.
func (p role) setPolicies(ctx context.Context, name string, old, new map[string]any) error {
	before, after := inlinePolicies(old), inlinePolicies(new)
	for _, policy := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[policy]; !ok {
			if _, err := p.s.call(ctx, "iam", "DeleteRolePolicy", map[string]any{"RoleName": name,
				"PolicyName": policy}); err != nil {
				return err
			}
		}
	}
	for _, policy := range slices.Sorted(maps.Keys(after)) {
		if reflect.DeepEqual(before[policy], after[policy]) {
			continue
		}
		document, err := jsonText.convert("Properties.Policies", after[policy], asSpelled)
		if err != nil {
			return err
		}
		in := map[string]any{"RoleName": name, "PolicyName": policy, "PolicyDocument": document}
		if _, err := p.s.call(ctx, "iam", "PutRolePolicy", in); err != nil {
			return err
		}
	}
	was, is := textList(old["ManagedPolicyArns"]), textList(new["ManagedPolicyArns"])
	for _, arn := range was {
		if !slices.Contains(is, arn) {
			if _, err := p.s.call(ctx, "iam", "DetachRolePolicy", map[string]any{"RoleName": name,
				"PolicyArn": arn}); err != nil {
				return err
			}
		}
	}
	for _, arn := range is {
		if !slices.Contains(was, arn) {
			if _, err := p.s.call(ctx, "iam", "AttachRolePolicy", map[string]any{"RoleName": name,
				"PolicyArn": arn}); err != nil {
				return err
			}
		}
	}
	return nil
}

func inlinePolicies(properties map[string]any) map[string]any {
	policies := map[string]any{}
	list, _ := properties["Policies"].([]any)
	for _, e := range list {
		policy, _ := e.(map[string]any)
		if name, ok := policy["PolicyName"].(string); ok {
			policies[name] = policy["PolicyDocument"]
		}
	}
	return policies
}

func textList(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, e := range list {
		if t, err := asText(e); err == nil {
			out = append(out, t)
		}
	}
	return out
}

// inlineRolePolicy is the Provider of AWS::IAM::Policy: one inline policy of a list of roles.
type inlineRolePolicy struct{ s *Service }

var inlineRolePolicyKind = kind{
	required:   []string{"PolicyName", "PolicyDocument"},
	properties: members{"PolicyName": text, "PolicyDocument": jsonText, "Roles": texts},
}

func (p inlineRolePolicy) Check(path string, properties map[string]any) []Problem {
	return bound{inlineRolePolicyKind, p.s}.Check(path, properties)
}

func (p inlineRolePolicy) Attributes() []string { return []string{"Id"} }

func (p inlineRolePolicy) Create(ctx context.Context, r Request) (Resource, error) {
	document, err := jsonText.convert("Properties.PolicyDocument", r.Properties["PolicyDocument"], asSpelled)
	if err != nil {
		return Resource{}, err
	}
	name := naming{property: "PolicyName"}.physicalName(p.s.environment, r)
	nameless := r
	nameless.Properties = nil
	id := naming{}.physicalName(p.s.environment, nameless)
	made := Resource{PhysicalID: id, Attributes: map[string]any{"Id": id}}
	for i, role := range textList(r.Properties["Roles"]) {
		in := map[string]any{"RoleName": role, "PolicyName": name, "PolicyDocument": document}
		if _, err := p.s.call(ctx, "iam", "PutRolePolicy", in); err != nil {
			if i == 0 {
				return Resource{}, err
			}
			return made, err
		}
	}
	return made, nil
}

// Update implements Provider: the policy is put where it shall be, then taken from where it was
// under another name or in other roles.
func (p inlineRolePolicy) Update(ctx context.Context, r Request) (Resource, error) {
	_, err := p.Create(ctx, r)
	made := Resource{PhysicalID: r.PhysicalID, Attributes: r.Attributes}
	if err != nil {
		return made, err
	}
	stays := textList(r.Properties["Roles"])
	old := r
	old.Properties = maps.Clone(r.Old)
	if r.Old["PolicyName"] == r.Properties["PolicyName"] {
		old.Properties["Roles"] = anyList(slices.DeleteFunc(textList(r.Old["Roles"]), func(role string) bool {
			return slices.Contains(stays, role)
		}))
	}
	return made, p.Delete(ctx, old)
}

func (p inlineRolePolicy) Delete(ctx context.Context, r Request) error {
	for _, role := range textList(r.Properties["Roles"]) {
		in := map[string]any{"RoleName": role, "PolicyName": r.Properties["PolicyName"]}
		if _, err := p.s.call(ctx, "iam", "DeleteRolePolicy", in); err != nil && awsapi.Code(err) != "NoSuchEntity" {
			return err
		}
	}
	return nil
}

// managedPolicy is the Provider of AWS::IAM::ManagedPolicy: a policy of its own, attached to a list of roles. Every
// change replaces it.
type managedPolicy struct{ s *Service }

var managedPolicyKind = kind{
	service: "iam", create: "CreatePolicy", key: "PolicyArn", name: naming{property: "ManagedPolicyName", max: 128},
	required: []string{"PolicyDocument"},
	properties: members{
		"ManagedPolicyName": text.as("PolicyName"), "PolicyDocument": jsonText, "Description": text, "Path": text,
		"Roles": texts.set(byRole),
	},
	physical: func(e environment, name string, out map[string]any) string {
		policy, _ := out["Policy"].(map[string]any)
		if arn, ok := policy["Arn"].(string); ok {
			return arn
		}
		return "arn:aws:iam::" + e.account + ":policy/" + name
	},
	remove: "DeletePolicy", exists: []string{"EntityAlreadyExists"}, notFound: []string{"NoSuchEntity"},
}

func (p managedPolicy) Check(path string, properties map[string]any) []Problem {
	return bound{managedPolicyKind, p.s}.Check(path, properties)
}

func (p managedPolicy) Attributes() []string { return []string{"PolicyArn"} }

func (p managedPolicy) customName(properties map[string]any) string {
	return bound{managedPolicyKind, p.s}.customName(properties)
}

func (p managedPolicy) Create(ctx context.Context, r Request) (Resource, error) {
	plain := r
	plain.Properties = maps.Clone(r.Properties)
	delete(plain.Properties, "Roles")
	made, err := bound{managedPolicyKind, p.s}.Create(ctx, plain)
	if err != nil {
		return made, err
	}
	made.Attributes["PolicyArn"] = made.PhysicalID
	for _, role := range textList(r.Properties["Roles"]) {
		if _, err := p.s.call(ctx, "iam", "AttachRolePolicy", map[string]any{"RoleName": role,
			"PolicyArn": made.PhysicalID}); err != nil {
			return made, err
		}
	}
	return made, nil
}

// Update implements Provider: another document is another version, and the old ones go.
func (p managedPolicy) Update(ctx context.Context, r Request) (Resource, error) {
	made := Resource{PhysicalID: r.PhysicalID, Attributes: r.Attributes}
	for _, name := range []string{"ManagedPolicyName", "Description", "Path"} {
		if r.Old[name] != r.Properties[name] {
			return Resource{}, ErrReplace
		}
	}
	if !reflect.DeepEqual(r.Old["PolicyDocument"], r.Properties["PolicyDocument"]) {
		if err := p.dropVersions(ctx, r.PhysicalID); err != nil {
			return made, err
		}
		document, err := jsonText.convert("Properties.PolicyDocument", r.Properties["PolicyDocument"], asSpelled)
		if err != nil {
			return made, err
		}
		in := map[string]any{"PolicyArn": r.PhysicalID, "PolicyDocument": document, "SetAsDefault": true}
		if _, err := p.s.call(ctx, "iam", "CreatePolicyVersion", in); err != nil {
			return made, err
		}
		if err := p.dropVersions(ctx, r.PhysicalID); err != nil {
			return made, err
		}
	}
	was, is := textList(r.Old["Roles"]), textList(r.Properties["Roles"])
	for _, change := range []struct {
		operation string
		of, but   []string
	}{{"AttachRolePolicy", is, was}, {"DetachRolePolicy", was, is}} {
		for _, role := range change.of {
			if slices.Contains(change.but, role) {
				continue
			}
			if _, err := p.s.call(ctx, "iam", change.operation, map[string]any{"RoleName": role,
				"PolicyArn": r.PhysicalID}); err != nil {
				return made, err
			}
		}
	}
	return made, nil
}

// needsReplacement implements replacementRules.
func (p managedPolicy) needsReplacement(property string, _ bool) bool {
	return property != "PolicyDocument" && property != "Roles"
}

// dropVersions deletes the versions that are not in force.
func (p managedPolicy) dropVersions(ctx context.Context, arn string) error {
	out, err := p.s.call(ctx, "iam", "ListPolicyVersions", map[string]any{"PolicyArn": arn})
	if err != nil {
		return err
	}
	versions, _ := out["Versions"].([]any)
	for _, e := range versions {
		version, _ := e.(map[string]any)
		if version["IsDefaultVersion"] == true {
			continue
		}
		in := map[string]any{"PolicyArn": arn, "VersionId": version["VersionId"]}
		if _, err := p.s.call(ctx, "iam", "DeletePolicyVersion", in); err != nil {
			return err
		}
	}
	return nil
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}

func (p managedPolicy) Delete(ctx context.Context, r Request) error {
	for _, role := range textList(r.Properties["Roles"]) {
		in := map[string]any{"RoleName": role, "PolicyArn": r.PhysicalID}
		if _, err := p.s.call(ctx, "iam", "DetachRolePolicy", in); err != nil && awsapi.Code(err) != "NoSuchEntity" {
			return err
		}
	}
	return bound{managedPolicyKind, p.s}.Delete(ctx, r)
}
