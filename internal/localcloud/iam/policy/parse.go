package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Document is a compiled policy document.
type Document struct {
	// Version is "2012-10-17" or "2008-10-17"; the latter if the document
	// names none.
	Version    string
	ID         string
	Statements []Statement
}

// Statement is one statement of a document.
type Statement struct {
	SID string
	// Deny is set for Effect Deny, otherwise the effect is Allow.
	Deny bool

	actions, notActions     []pattern
	resources, notResources []arnPattern
	principal, notPrincipal *principals
	conditions              []condition
}

// principals is a Principal element.
type principals struct {
	any       bool
	aws       []string
	service   []string
	federated []string
}

func malformed(format string, args ...any) *awsapi.Error {
	return awsapi.Errorf("MalformedPolicyDocument", format, args...)
}

var statementFields = []string{
	"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}

// Parse reads and compiles a policy document.
func Parse(doc []byte) (*Document, error) {
	top, err := object(doc)
	if err != nil {
		return nil, malformed("Syntax errors in policy.")
	}
	d := &Document{Version: "2008-10-17"}
	for _, name := range slices.Sorted(maps.Keys(top)) {
		raw := top[name]
		switch name {
		case "Version":
			if json.Unmarshal(raw, &d.Version) != nil || d.Version != "2012-10-17" && d.Version != "2008-10-17" {
				return nil, malformed("The policy must contain a valid version string")
			}
		case "Id":
			if json.Unmarshal(raw, &d.ID) != nil {
				return nil, malformed("Syntax errors in policy.")
			}
		case "Statement":
		default:
			return nil, malformed("Unknown field %s", name)
		}
	}
	raw, ok := top["Statement"]
	if !ok {
		return nil, malformed("Missing required field Statement")
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	if len(list) == 0 {
		return nil, malformed("Missing required field Statement cannot be empty!")
	}
	variables := d.Version == "2012-10-17"
	sids := map[string]bool{}
	for _, raw := range list {
		s, err := parseStatement(raw, variables)
		if err != nil {
			return nil, err
		}
		if s.SID != "" && sids[s.SID] {
			return nil, malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[s.SID] = true
		d.Statements = append(d.Statements, s)
	}
	return d, nil
}

// object reads a JSON object and refuses anything after it and double members.
func object(doc []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("no object")
	}
	out := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string) // members of an object begin with a string, or Token fails
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("member %q twice", name)
		}
		out[name] = raw
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, fmt.Errorf("something follows the object")
	}
	if _, err := dec.Token(); err == nil {
		return nil, fmt.Errorf("something follows the object")
	}
	return out, nil
}

// oneOrMore reads a string or a list of strings; numbers and booleans count as
// their text.
func oneOrMore(raw json.RawMessage) ([]string, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, malformed("Syntax errors in policy.")
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		switch e := e.(type) {
		case string:
			out = append(out, e)
		case json.Number:
			out = append(out, e.String())
		case bool:
			out = append(out, fmt.Sprint(e))
		default:
			return nil, malformed("Syntax errors in policy.")
		}
	}
	return out, nil
}

func parseStatement(raw json.RawMessage, variables bool) (s Statement, err error) {
	members, err := object(raw)
	if err != nil {
		return s, malformed("Syntax errors in policy.")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(statementFields, name) {
			return s, malformed("Unknown field %s", name)
		}
	}
	for _, pair := range [][2]string{{"Action", "NotAction"}, {"Resource", "NotResource"},
		{"Principal", "NotPrincipal"}} {
		if members[pair[0]] != nil && members[pair[1]] != nil {
			return s, malformed("Statement/policy already has instance of %s", pair[0])
		}
	}
	if raw, ok := members["Sid"]; ok && json.Unmarshal(raw, &s.SID) != nil {
		return s, malformed("Syntax errors in policy.")
	}
	var effect string
	raw, ok := members["Effect"]
	if !ok {
		return s, malformed("Missing required field Effect")
	}
	if json.Unmarshal(raw, &effect) != nil || effect != "Allow" && effect != "Deny" {
		return s, malformed("Invalid effect: %s", effect)
	}
	s.Deny = effect == "Deny"

	if s.actions, err = parseActions(members["Action"]); err != nil {
		return s, err
	}
	if s.notActions, err = parseActions(members["NotAction"]); err != nil {
		return s, err
	}
	if s.actions == nil && s.notActions == nil {
		return s, malformed("Policy statement must contain actions.")
	}
	if s.resources, err = parseResources(members["Resource"], variables); err != nil {
		return s, err
	}
	if s.notResources, err = parseResources(members["NotResource"], variables); err != nil {
		return s, err
	}
	if s.principal, err = parsePrincipals(members["Principal"]); err != nil {
		return s, err
	}
	if s.notPrincipal, err = parsePrincipals(members["NotPrincipal"]); err != nil {
		return s, err
	}
	s.conditions, err = parseConditions(members["Condition"], variables)
	return s, err
}

func parseActions(raw json.RawMessage) ([]pattern, error) {
	if raw == nil {
		return nil, nil
	}
	list, err := oneOrMore(raw)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, malformed("Policy statement must contain actions.")
	}
	out := make([]pattern, 0, len(list))
	for _, a := range list {
		vendor, name, ok := strings.Cut(a, ":")
		if a != "*" && (!ok || vendor == "" || name == "") {
			return nil, malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
		p, err := compile(strings.ToLower(a), true, false)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func parseResources(raw json.RawMessage, variables bool) ([]arnPattern, error) {
	if raw == nil {
		return nil, nil
	}
	list, err := oneOrMore(raw)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, malformed("Policy statement must contain resources.")
	}
	out := make([]arnPattern, 0, len(list))
	for _, r := range list {
		if !strings.HasPrefix(r, "arn:") && strings.Trim(r, "*") != "" && !strings.HasPrefix(r, "*") &&
			!strings.HasPrefix(r, "arn*") {
			return nil, malformed(`Resource %s must be in ARN format or "*".`, r)
		}
		p, err := compileARN(r, variables)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func parsePrincipals(raw json.RawMessage) (*principals, error) {
	if raw == nil {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if one != "*" {
			return nil, malformed("Invalid principal in policy")
		}
		return &principals{any: true}, nil
	}
	kinds, err := object(raw)
	if err != nil || len(kinds) == 0 {
		return nil, malformed("Invalid principal in policy")
	}
	p := &principals{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		raw := kinds[kind]
		list, err := oneOrMore(raw)
		if err != nil || len(list) == 0 {
			return nil, malformed("Invalid principal in policy")
		}
		switch kind {
		case "AWS":
			for _, a := range list {
				if a == "*" {
					p.any = true
					continue
				}
				if isAccount(a) {
					a = "arn:aws:iam::" + a + ":root"
				}
				if !strings.HasPrefix(a, "arn:") && !strings.HasPrefix(a, "AIDA") && !strings.HasPrefix(a, "AROA") ||
					strings.ContainsAny(a, "*?") {
					return nil, malformed("Invalid principal in policy: \"AWS\":\"%s\"", a)
				}
				p.aws = append(p.aws, a)
			}
		case "Service":
			for _, s := range list {
				if s == "*" {
					p.any = true
					continue
				}
				if !strings.Contains(s, ".") {
					return nil, malformed("Invalid principal in policy: \"SERVICE\":\"%s\"", s)
				}
				p.service = append(p.service, s)
			}
		case "Federated", "CanonicalUser":
			p.federated = append(p.federated, list...)
		default:
			return nil, malformed("Invalid principal in policy")
		}
	}
	return p, nil
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// CheckIdentity says whether the document can be attached to a role or user.
func (d *Document) CheckIdentity() error {
	for i := range d.Statements {
		s := &d.Statements[i]
		if s.principal != nil || s.notPrincipal != nil {
			return malformed("Policy document should not specify a principal.")
		}
		if s.resources == nil && s.notResources == nil {
			return malformed("Policy statement must contain resources.")
		}
	}
	return nil
}

// CheckTrust says whether the document can be the trust policy of a role.
func (d *Document) CheckTrust() error {
	for i := range d.Statements {
		s := &d.Statements[i]
		if s.resources != nil || s.notResources != nil {
			return malformed("Has prohibited field Resource")
		}
		if s.principal == nil && s.notPrincipal == nil {
			return malformed("Missing required field Principal")
		}
	}
	return nil
}

// CheckResource says whether the document can be attached to a resource.
func (d *Document) CheckResource() error {
	for i := range d.Statements {
		s := &d.Statements[i]
		if s.principal == nil && s.notPrincipal == nil {
			return malformed("Missing required field Principal")
		}
		if s.resources == nil && s.notResources == nil {
			return malformed("Policy statement must contain resources.")
		}
	}
	return nil
}
