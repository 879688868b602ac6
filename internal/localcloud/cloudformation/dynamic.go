package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Dynamic references: {{resolve:ssm:name}} and {{resolve:ssm:name:version}} in a property become the parameter's value
// when the resource is made or changed. Secure strings and secrets are refused by name, since they
// would be kept in the store as plain text.
//
// Source: AWS CloudFormation User Guide, "Get values stored in other services using dynamic references" (2026-11).

var dynamicReference = regexp.MustCompile(`\{\{resolve:([a-zA-Z-]+):([^{}]*)\}\}`)

var plainReference = regexp.MustCompile(`^([a-zA-Z0-9_./-]+)(?::([0-9]+))?$`)

// dynamicReferences checks those that a template spells out.
func (p *parser) dynamicReferences(path, text string) {
	if !strings.Contains(text, "{{resolve:") {
		return
	}
	for _, m := range dynamicReference.FindAllStringSubmatch(text, -1) {
		switch {
		case m[1] != "ssm":
			p.add(path, "the local cloud does not implement dynamic references to %s", m[1])
		case strings.Contains(m[2], "${"):
			// A name inside Fn::Sub; it is read once the name is known.
		case !plainReference.MatchString(m[2]):
			p.add(path, "Incorrect format is used in the following SSM reference: [%s]", m[0])
		}
	}
}

// resolve replaces the dynamic references in an evaluated value.
func (s *Service) resolve(ctx context.Context, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return s.resolveText(ctx, v)
	case []any:
		for i, e := range v {
			r, err := s.resolve(ctx, e)
			if err != nil {
				return nil, err
			}
			v[i] = r
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			r, err := s.resolve(ctx, v[k])
			if err != nil {
				return nil, err
			}
			v[k] = r
		}
	}
	return v, nil
}

func (s *Service) resolveText(ctx context.Context, text string) (string, error) {
	if !strings.Contains(text, "{{resolve:") {
		return text, nil
	}
	var failure error
	text = dynamicReference.ReplaceAllStringFunc(text, func(reference string) string {
		m := dynamicReference.FindStringSubmatch(reference)
		name := plainReference.FindStringSubmatch(m[2])
		switch {
		case m[1] != "ssm":
			failure = awsapi.NotBuilt("dynamic references to " + m[1])
		case name == nil:
			failure = awsapi.Errorf("ValidationError", "Incorrect format is used in the following SSM reference: [%s]",
				reference)
		}
		if failure != nil {
			return ""
		}
		asked := name[1]
		if name[2] != "" {
			asked += ":" + name[2]
		}
		value, kind, err := s.fetchParameter(ctx, asked)
		switch {
		case err != nil:
			failure = awsapi.Errorf("ValidationError",
				"Unable to fetch parameters [%s] from parameter store for this account.", m[2])
		case kind == "SecureString":
			failure = awsapi.Errorf("ValidationError",
				"SSM Secure reference is not supported in: [%s]: a plain reference cannot name a SecureString",
				reference)
		}
		return value
	})
	return text, failure
}

// fetchParameter reads a parameter of Systems Manager.
func (s *Service) fetchParameter(ctx context.Context, name string) (value, kind string, err error) {
	out, err := s.call(ctx, "ssm", "GetParameter", map[string]any{"Name": name})
	if err != nil {
		return "", "", err
	}
	p, _ := out["Parameter"].(map[string]any)
	value, ok := p["Value"].(string)
	kind, _ = p["Type"].(string)
	if !ok {
		return "", "", fmt.Errorf("the parameter %s has no value", name)
	}
	return value, kind, nil
}

// fetchParameters reads the values of the template's parameters whose type says that they name one in Systems Manager.
// The answer is by the name in the template; the error is AWS's, for all that are missing.
func (s *Service) fetchParameters(ctx context.Context, t *Template,
	given map[string]string) (map[string]string, error) {
	fetched := map[string]string{}
	var missing []string
	for _, id := range slices.Sorted(maps.Keys(t.Parameters)) {
		d := t.Parameters[id]
		if !parameterStoreType.MatchString(d.Type) {
			continue
		}
		name, ok := given[id]
		if !ok {
			if d.Default == nil {
				continue // values tells
			}
			name = shownText(d.Default)
		}
		value, kind, err := s.fetchParameter(ctx, name)
		switch code := awsapi.Code(err); {
		case code == "ParameterNotFound" || code == "ParameterVersionNotFound" || code == "ValidationException":
			missing = append(missing, name)
		case err != nil:
			return nil, err
		case kind == "SecureString" && d.Type != "AWS::SSM::Parameter::Name":
			return nil, awsapi.Errorf("ValidationError",
				"Parameters [%s] referenced by template have types not supported by CloudFormation.", name)
		case d.Type == "AWS::SSM::Parameter::Name":
			fetched[id] = name
		default:
			fetched[id] = value
		}
	}
	if missing != nil {
		return nil, awsapi.Errorf("ValidationError",
			"Unable to fetch parameters [%s] from parameter store for this account.",
			strings.Join(missing, ","))
	}
	return fetched, nil
}
