package cloudformation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// A stack policy says which resources an update may touch, and how. Without one, everything may be updated; with one,
// only what it allows. It holds for updates alone, for whoever makes them.
//
// Source: AWS CloudFormation User Guide, "Prevent updates to stack resources" (2026-11).

type stackPolicy struct{ Statement []policyStatement }

type policyStatement struct {
	Effect                string
	Principal             any
	Action, NotAction     stringOrList
	Resource, NotResource stringOrList
	Condition             map[string]map[string]stringOrList
}

type stringOrList []string

func (l *stringOrList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringOrList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

func parseStackPolicy(body string) (p stackPolicy, err error) {
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return p, fmt.Errorf("not a stack policy: %w", err)
	}
	for i, st := range p.Statement {
		switch {
		case st.Effect != "Allow" && st.Effect != "Deny":
			return p, fmt.Errorf("Statement[%d].Effect: must be Allow or Deny", i)
		case len(st.Action) == 0 && len(st.NotAction) == 0:
			return p, fmt.Errorf("Statement[%d].Action: required", i)
		case len(st.Resource) == 0 && len(st.NotResource) == 0:
			return p, fmt.Errorf("Statement[%d].Resource: required", i)
		}
		for operator, keys := range st.Condition {
			for key := range keys {
				if operator != "StringEquals" && operator != "StringLike" || key != "ResourceType" {
					return p, fmt.Errorf("Statement[%d].Condition: only StringEquals and StringLike of "+
						"ResourceType are allowed", i)
				}
			}
		}
	}
	if len(p.Statement) == 0 {
		return p, errors.New("Statement: required")
	}
	return p, nil
}

func anyLike(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(strings.ReplaceAll(p, "/", "\x00"), strings.ReplaceAll(text, "/", "\x00"))
		return err == nil && ok
	})
}

func (s policyStatement) matches(action, resource, resourceType string) bool {
	if len(s.Action) > 0 && !anyLike(s.Action, action) || len(s.NotAction) > 0 && anyLike(s.NotAction, action) {
		return false
	}
	if len(s.Resource) > 0 && !anyLike(s.Resource, resource) || len(s.NotResource) > 0 &&
		anyLike(s.NotResource, resource) {
		return false
	}
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		if types := s.Condition[operator]["ResourceType"]; !anyLike(types, resourceType) {
			return false
		}
	}
	return true
}

// may answers nil if the policy allows an action on a resource.
func (p stackPolicy) may(action, id, resourceType string) error {
	allowed := false
	for i, st := range p.Statement {
		if !st.matches(action, "LogicalResourceId/"+id, resourceType) {
			continue
		}
		if st.Effect == "Deny" {
			return awsapi.Errorf("ValidationError",
				"Action denied by stack policy: Statement [#%d] denies [%s] for resource [%s]", i+1, action, id)
		}
		allowed = true
	}
	if !allowed {
		return awsapi.Errorf("ValidationError",
			"Action not allowed by stack policy: no statement allows [%s] for resource [%s]", action, id)
	}
	return nil
}

// keepStackPolicy refuses an update that the stack's policy does not allow, before anything is touched.
func (w *work) keepStackPolicy() error {
	if !w.updating || w.stack.Policy == "" {
		return nil
	}
	p, err := parseStackPolicy(w.stack.Policy)
	if err != nil {
		return err
	}
	changes, err := w.changes()
	if err != nil {
		return err
	}
	for _, c := range changes {
		action := map[string]string{"Modify": "Update:Modify", "Remove": "Update:Delete"}[c.Action]
		if c.Replacement == "True" {
			action = "Update:Replace"
		}
		if action == "" {
			continue // what is new is nobody's
		}
		if err := p.may(action, c.LogicalID, c.Type); err != nil {
			declared := w.t.Resources[c.LogicalID]
			return w.recordFailure(w.records[c.LogicalID], declared, "update", err)
		}
	}
	return nil
}

// equalJSON tells whether two encoded values are the same.
func equalJSON(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
