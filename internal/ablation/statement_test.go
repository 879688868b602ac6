package ablation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
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
	reaches  []any // its resources, as the template writes them
	roles    []any // of a policy that is a resource of its own
}

// cut is what is taken out of the template: a statement, or only one of its
// actions or of its resources.
type cut struct {
	statement
	action   string // "": all
	resource int    // -1: all
}

// parts are the cuts that leave something of a statement: each of its actions
// and each of its resources, where there are several.
func (s statement) parts() []cut {
	var cuts []cut
	if len(s.actions) > 1 {
		for _, a := range s.actions {
			cuts = append(cuts, cut{s, a, -1})
		}
	}
	if len(s.reaches) > 1 {
		for i := range s.reaches {
			cuts = append(cuts, cut{s, "", i})
		}
	}
	return cuts
}

func (c cut) String() string {
	switch {
	case c.action != "":
		return c.statement.String() + "-" + c.action
	case c.resource >= 0:
		return fmt.Sprintf("%v-resource-%d", c.statement, c.resource)
	}
	return c.statement.String()
}

// namedBy reports whether a denial is for want of what was cut: it names one of
// the actions, and the one who had it.
func (c cut) namedBy(denial string) bool {
	who, what, ok := strings.Cut(denial, " is not authorized to perform: ")
	if !ok {
		return false
	}
	action, resource, _ := strings.Cut(what, " on resource: ")
	if c.action != "" && action != c.action || !slices.Contains(c.actions, action) {
		return false
	}
	name := stack + "-" + c.statement.resource + "-" // and something random
	switch {
	case c.policy == "AssumeRolePolicyDocument":
		return strings.Contains(resource, ":role/"+name)
	case strings.HasPrefix(c.policy, "Policies/"):
		return strings.Contains(who, ":assumed-role/"+name)
	case len(c.roles) > 0:
		role, _ := c.roles[0].(object)["Ref"].(string)
		return strings.Contains(who, ":assumed-role/"+stack+"-"+role+"-")
	case strings.HasPrefix(action, "iot:"):
		return strings.HasPrefix(who, "MQTT client ")
	}
	return strings.Contains(who, ".amazonaws.com") // a service, by a resource's policy
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
	var tree object
	if err := json.Unmarshal(template(t), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
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
		if resource["Condition"] != nil {
			continue // no parameter asks for it: see TestTheKeyOfAddressesIsNeeded of internal/rehearsal
		}
		if ofShipped(id) {
			continue // see TestOperationsMayTheSame
		}
		if resource["Type"] == "AWS::Lambda::Permission" {
			all = append(all, statement{resource: id, effect: "Allow",
				actions: texts(resource["Properties"].(object)["Action"])})
			continue
		}
		docs := documents(resource)
		for _, where := range slices.Sorted(maps.Keys(docs)) {
			for i, s := range docs[where]["Statement"].([]any) {
				st := s.(object)
				sid, _ := st["Sid"].(string)
				reaches, _ := st["Resource"].([]any)
				roles, _ := resource["Properties"].(object)["Roles"].([]any)
				all = append(all, statement{id, where, i, sid, st["Effect"].(string), texts(st["Action"]), reaches,
					roles})
			}
		}
	}
	return all
}

// without is the template without what is cut.
func without(t *testing.T, s cut) []byte {
	t.Helper()
	template := parse(t)
	resources := resourcesOf(template)
	if id := s.statement.resource; s.policy == "" {
		delete(resources, id)
		for _, r := range resources {
			forget(r.(object), id)
		}
	} else {
		resource := resources[id].(object)
		document := documents(resource)[s.policy]
		list := document["Statement"].([]any)
		switch {
		case s.action != "":
			list[s.index].(object)["Action"] = slices.DeleteFunc(slices.Clone(s.actions),
				func(a string) bool { return a == s.action })
		case s.resource >= 0:
			list[s.index].(object)["Resource"] = slices.Delete(slices.Clone(s.reaches), s.resource, s.resource+1)
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
		"sqs": "sqs:ListDeadLetterSourceQueues", "sns": "sns:ListSubscriptionsByTopic",
		"s3": "s3:GetBucketNotification", "lambda": "lambda:GetFunction",
		"states": "states:ListActivities",
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
