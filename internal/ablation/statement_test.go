package ablation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/fleetstep/fleetstep/infra"
)

// statement is one statement of a policy in the template, or one Lambda
// permission, which is a statement of its function's policy.
type statement struct {
	resource string // logical ID
	policy   string // where in the resource: "AssumeRolePolicyDocument", "Policies/0", "PolicyDocument", ""
	index    int
	sid      string
	effect   string
	actions  []string
}

func (s statement) String() string {
	name := s.sid
	if name == "" {
		name = fmt.Sprintf("%s-%d", s.policy, s.index)
	}
	if s.policy == "" {
		return s.resource
	}
	return s.resource + "-" + name
}

type object = map[string]any

func parse(t *testing.T) object {
	t.Helper()
	var template object
	if err := json.Unmarshal(infra.Template, &template); err != nil {
		t.Fatal(err)
	}
	return template
}

func resourcesOf(template object) object { return template["Resources"].(object) }

// documents are the policy documents of a resource, by where they are.
func documents(resource object) map[string]object {
	found := map[string]object{}
	properties, _ := resource["Properties"].(object)
	for _, name := range []string{"AssumeRolePolicyDocument", "PolicyDocument"} {
		if d, ok := properties[name].(object); ok {
			found[name] = d
		}
	}
	policies, _ := properties["Policies"].([]any)
	for i, p := range policies {
		found[fmt.Sprintf("Policies/%d", i)] = p.(object)["PolicyDocument"].(object)
	}
	return found
}

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, x := range v {
			list = append(list, x.(string))
		}
		return list
	}
	return nil
}

// statements lists every statement of every policy in the template.
func statements(t *testing.T) []statement {
	t.Helper()
	var all []statement
	resources := resourcesOf(parse(t))
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		resource := resources[id].(object)
		if resource["Type"] == "AWS::Lambda::Permission" {
			all = append(all, statement{resource: id, effect: "Allow", actions: texts(resource["Properties"].(object)["Action"])})
			continue
		}
		docs := documents(resource)
		for _, where := range slices.Sorted(maps.Keys(docs)) {
			for i, s := range docs[where]["Statement"].([]any) {
				st := s.(object)
				sid, _ := st["Sid"].(string)
				all = append(all, statement{id, where, i, sid, st["Effect"].(string), texts(st["Action"])})
			}
		}
	}
	return all
}

// without is the template without a statement, or, unless action is "", with the
// statement short of that action.
func without(t *testing.T, s statement, action string) []byte {
	t.Helper()
	template := parse(t)
	resources := resourcesOf(template)
	if s.policy == "" {
		delete(resources, s.resource)
		for _, r := range resources {
			forget(r.(object), s.resource)
		}
	} else {
		resource := resources[s.resource].(object)
		document := documents(resource)[s.policy]
		list := document["Statement"].([]any)
		switch {
		case action != "":
			st := list[s.index].(object)
			st["Action"] = slices.DeleteFunc(slices.Clone(texts(st["Action"])), func(a string) bool { return a == action })
		case len(list) > 1:
			document["Statement"] = slices.Delete(list, s.index, s.index+1)
		default:
			// A document needs a statement: this one grants what nothing needs.
			// It keeps the principal, without which a trust policy is none.
			st := list[s.index].(object)
			if s.policy == "AssumeRolePolicyDocument" {
				st["Principal"] = object{"Service": "ec2.amazonaws.com"}
				break
			}
			st["Action"] = placeholder(s.actions[0])
		}
	}
	b, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// placeholder is an action of the same service that nothing here calls.
func placeholder(action string) string {
	service := action[:slices.Index([]byte(action), ':')]
	return map[string]string{
		"sqs": "sqs:ListDeadLetterSourceQueues", "sns": "sns:ListSubscriptionsByTopic", "s3": "s3:GetBucketNotification",
	}[service]
}

// forget removes a resource from what another depends on.
func forget(resource object, id string) {
	switch d := resource["DependsOn"].(type) {
	case string:
		if d == id {
			delete(resource, "DependsOn")
		}
	case []any:
		resource["DependsOn"] = slices.DeleteFunc(d, func(x any) bool { return x == id })
	}
}
