package cloudformation

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// scope is what the functions of a template are evaluated in.
type scope struct {
	t          *Template
	pseudo     map[string]any
	parameters map[string]any // strings, or lists of strings
	conditions map[string]bool
	zones      []string
	// resource returns what Ref gives for a resource, attribute what GetAtt does.
	resource  func(id string) (any, error)
	attribute func(id, name string) (any, error)
	// imported returns what another stack exports under a name.
	imported func(name string) (string, error)
}

// noValue is what {"Ref": "AWS::NoValue"} evaluates to: the member or element that has it is left out.
type noValue struct{}

// fn is an intrinsic function. Its argument has been evaluated unless raw is set.
type fn struct {
	arguments   int  // length of the argument list; 0 for any argument
	conditional bool // allowed in Conditions and Rules only
	rule        bool // allowed in Rules only
	raw         bool
	eval        func(s *scope, path string, arg any) (any, error)
}

var functions map[string]fn

func init() {
	functions = map[string]fn{
		"Ref":             {raw: true, eval: (*scope).ref},
		"Fn::GetAtt":      {raw: true, eval: (*scope).getAtt},
		"Fn::Sub":         {raw: true, eval: (*scope).sub},
		"Fn::If":          {arguments: 3, raw: true, eval: (*scope).ifFn},
		"Fn::Join":        {arguments: 2, eval: (*scope).join},
		"Fn::Select":      {arguments: 2, eval: (*scope).selectFn},
		"Fn::Split":       {arguments: 2, eval: (*scope).split},
		"Fn::FindInMap":   {arguments: 3, eval: (*scope).findInMap},
		"Fn::Base64":      {eval: (*scope).base64},
		"Fn::GetAZs":      {eval: (*scope).getAZs},
		"Fn::ImportValue": {eval: (*scope).importFn},

		"Fn::Contains":         {arguments: 2, rule: true, eval: (*scope).contains},
		"Fn::EachMemberEquals": {arguments: 2, rule: true, eval: (*scope).eachMemberEquals},
		"Fn::EachMemberIn":     {arguments: 2, rule: true, eval: (*scope).eachMemberIn},

		"Fn::Equals": {arguments: 2, conditional: true, eval: (*scope).equals},
		"Fn::And":    {conditional: true, eval: (*scope).and},
		"Fn::Or":     {conditional: true, eval: (*scope).or},
		"Fn::Not":    {arguments: 1, conditional: true, eval: (*scope).not},
		"Condition":  {conditional: true, raw: true, eval: (*scope).conditionRef},
	}
}

// function tells whether an object is a call of an intrinsic function.
func function(m map[string]any) (name string, arg any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for k, v := range m {
		if k == "Ref" || k == "Condition" || strings.HasPrefix(k, "Fn::") {
			return k, v, true
		}
	}
	return "", nil, false
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// value evaluates all functions in v. Members and elements that are AWS::NoValue disappear.
func (s *scope) value(path string, v any) (any, error) {
	switch v := v.(type) {
	case []any:
		list := make([]any, 0, len(v))
		for i, e := range v {
			e, err := s.value(index(path, i), e)
			if err != nil {
				return nil, err
			}
			if e != (noValue{}) {
				list = append(list, e)
			}
		}
		return list, nil
	case map[string]any:
		if name, arg, ok := function(v); ok {
			if f, known := functions[name]; known && (name != "Condition" || s.isCondition(path)) {
				return s.call(path+"."+name, f, arg)
			}
		}
		m := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			e, err := s.value(path+"."+k, v[k])
			if err != nil {
				return nil, err
			}
			if e != (noValue{}) {
				m[k] = e
			}
		}
		return m, nil
	default:
		return v, nil
	}
}

func (s *scope) isCondition(path string) bool { return strings.HasPrefix(path, "Conditions.") }

func (s *scope) call(path string, f fn, arg any) (any, error) {
	if !f.raw {
		var err error
		if arg, err = s.value(path, arg); err != nil {
			return nil, err
		}
		if list, ok := arg.([]any); f.arguments > 0 && (!ok || len(list) != f.arguments) {
			return nil, fmt.Errorf("%s: must be a list of %d arguments", path, f.arguments)
		}
	}
	v, err := f.eval(s, path, arg)
	if err != nil {
		var located *locatedError
		if errors.As(err, &located) {
			return nil, err
		}
		return nil, &locatedError{path, err}
	}
	return v, nil
}

// locatedError is an error that knows its path.
type locatedError struct {
	path string
	err  error
}

func (e *locatedError) Error() string { return e.path + ": " + e.err.Error() }
func (e *locatedError) Unwrap() error { return e.err }

func (s *scope) ref(_ string, arg any) (any, error) {
	id, _ := arg.(string)
	if id == "AWS::NoValue" {
		return noValue{}, nil
	}
	if v, ok := s.pseudo[id]; ok {
		return v, nil
	}
	if v, ok := s.parameters[id]; ok {
		return v, nil
	}
	if _, ok := s.t.Resources[id]; ok {
		return s.resource(id)
	}
	return nil, fmt.Errorf("there is no parameter or resource %s", id)
}

func getAttArguments(arg any) (id, attribute string, err error) {
	switch arg := arg.(type) {
	case string:
		if id, attribute, ok := strings.Cut(arg, "."); ok {
			return id, attribute, nil
		}
	case []any:
		if len(arg) == 2 {
			id, ok := arg[0].(string)
			attribute, ok2 := arg[1].(string)
			if ok && ok2 {
				return id, attribute, nil
			}
		}
	}
	return "", "", errors.New("must be a logical id and the name of an attribute")
}

func (s *scope) getAtt(_ string, arg any) (any, error) {
	id, name, err := getAttArguments(arg)
	if err != nil {
		return nil, err
	}
	return s.attribute(id, name)
}

func subArguments(arg any) (text string, own map[string]any, err error) {
	switch arg := arg.(type) {
	case string:
		return arg, nil, nil
	case []any:
		if len(arg) == 2 {
			text, ok := arg[0].(string)
			own, ok2 := arg[1].(map[string]any)
			if ok && ok2 {
				return text, own, nil
			}
		}
	}
	return "", nil, errors.New("must be a text, or a list of a text and an object")
}

func (s *scope) sub(path string, arg any) (any, error) {
	text, own, err := subArguments(arg)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	rest := text
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			break
		}
		out.WriteString(rest[:i])
		name := rest[i+2 : i+end]
		rest = rest[i+end+1:]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
			continue
		}
		v, err := s.subValue(path, name, own)
		if err != nil {
			return nil, err
		}
		out.WriteString(v)
	}
	out.WriteString(rest)
	return out.String(), nil
}

func (s *scope) subValue(path, name string, own map[string]any) (string, error) {
	var v any
	var err error
	if o, ok := own[name]; ok {
		v, err = s.value(path+"[1]."+name, o)
	} else if id, attribute, ok := strings.Cut(name, "."); ok {
		v, err = s.attribute(id, attribute)
	} else {
		v, err = s.ref(path, name)
	}
	if err != nil {
		return "", err
	}
	text, err := asText(v)
	if err != nil {
		return "", fmt.Errorf("${%s}: %w", name, err)
	}
	return text, nil
}

func (s *scope) ifFn(path string, arg any) (any, error) {
	list, ok := arg.([]any)
	if !ok || len(list) != 3 {
		return nil, errors.New("must be a list of 3 arguments")
	}
	name, _ := list[0].(string)
	holds, ok := s.conditions[name]
	if !ok {
		return nil, fmt.Errorf("there is no condition %s", name)
	}
	if holds {
		return s.value(index(path, 1), list[1])
	}
	return s.value(index(path, 2), list[2])
}

func (s *scope) join(_ string, arg any) (any, error) {
	list := arg.([]any)
	delimiter, ok := list[0].(string)
	parts, ok2 := list[1].([]any)
	if !ok || !ok2 {
		return nil, errors.New("must be a delimiter and a list")
	}
	text := make([]string, len(parts))
	for i, p := range parts {
		var err error
		if text[i], err = asText(p); err != nil {
			return nil, err
		}
	}
	return strings.Join(text, delimiter), nil
}

func (s *scope) selectFn(_ string, arg any) (any, error) {
	list := arg.([]any)
	n, err := asNumber(list[0])
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(n.String())
	values, ok := list[1].([]any)
	if err != nil || !ok {
		return nil, errors.New("must be an index and a list")
	}
	if i < 0 || i >= len(values) {
		return nil, fmt.Errorf("index %d is outside the list of %d", i, len(values))
	}
	return values[i], nil
}

func (s *scope) split(_ string, arg any) (any, error) {
	list := arg.([]any)
	delimiter, ok := list[0].(string)
	text, ok2 := list[1].(string)
	if !ok || !ok2 || delimiter == "" {
		return nil, errors.New("must be a delimiter and a text")
	}
	var parts []any
	for _, p := range strings.Split(text, delimiter) {
		parts = append(parts, p)
	}
	return parts, nil
}

func (s *scope) findInMap(_ string, arg any) (any, error) {
	var key [3]string
	for i, e := range arg.([]any) {
		var err error
		if key[i], err = asText(e); err != nil {
			return nil, err
		}
	}
	v, ok := s.t.Mappings[key[0]][key[1]][key[2]]
	if !ok {
		return nil, fmt.Errorf("the mapping %s has no %s.%s", key[0], key[1], key[2])
	}
	return v, nil
}

func (s *scope) base64(_ string, arg any) (any, error) {
	text, err := asText(arg)
	return base64.StdEncoding.EncodeToString([]byte(text)), err
}

func (s *scope) importFn(_ string, arg any) (any, error) {
	name, err := asText(arg)
	if err != nil {
		return nil, err
	}
	if s.imported == nil {
		return nil, errors.New("nothing can be imported here")
	}
	return s.imported(name)
}

func (s *scope) getAZs(_ string, arg any) (any, error) {
	region, err := asText(arg)
	if err != nil {
		return nil, err
	}
	if region != "" && region != s.pseudo["AWS::Region"] {
		return nil, fmt.Errorf("the local cloud does not have the region %s", region)
	}
	var zones []any
	for _, z := range s.zones {
		zones = append(zones, z)
	}
	return zones, nil
}

func (s *scope) equals(_ string, arg any) (any, error) {
	list := arg.([]any)
	a, err := asText(list[0])
	if err != nil {
		return nil, err
	}
	b, err := asText(list[1])
	return a == b, err
}

func operands(arg any) ([]bool, error) {
	list, ok := arg.([]any)
	if !ok || len(list) < 2 || len(list) > 10 {
		return nil, errors.New("must be a list of 2 to 10 conditions")
	}
	return truths(list)
}

func truths(list []any) ([]bool, error) {
	values := make([]bool, len(list))
	for i, e := range list {
		b, ok := e.(bool)
		if !ok {
			return nil, errors.New("every argument must be a condition")
		}
		values[i] = b
	}
	return values, nil
}

func (s *scope) and(_ string, arg any) (any, error) {
	values, err := operands(arg)
	return !slices.Contains(values, false), err
}

func (s *scope) or(_ string, arg any) (any, error) {
	values, err := operands(arg)
	return slices.Contains(values, true), err
}

func (s *scope) not(_ string, arg any) (any, error) {
	values, err := truths(arg.([]any))
	if err != nil {
		return nil, err
	}
	return !values[0], nil
}

func (s *scope) conditionRef(_ string, arg any) (any, error) {
	name, _ := arg.(string)
	return s.condition(name)
}

// condition evaluates a condition once. Parse has found cycles.
func (s *scope) condition(name string) (bool, error) {
	if v, ok := s.conditions[name]; ok {
		return v, nil
	}
	expression, ok := s.t.Conditions[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %s", name)
	}
	for _, other := range conditionsIn(expression) {
		if _, err := s.condition(other); err != nil {
			return false, err
		}
	}
	v, err := s.value("Conditions."+name, expression)
	if err != nil {
		return false, err
	}
	holds, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("condition function expected at Conditions.%s", name)
	}
	s.conditions[name] = holds
	return holds, nil
}

// asText is a scalar as CloudFormation writes it.
func asText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	default:
		return "", fmt.Errorf("must be a text, not %s", kindOf(v))
	}
}

// shownText is a text, "" for what is none.
func shownText(v any) string {
	text, err := asText(v)
	if err != nil {
		return ""
	}
	return text
}

// asNumber is a number, or a text that reads as one.
func asNumber(v any) (json.Number, error) {
	switch v := v.(type) {
	case json.Number:
		return v, nil
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) &&
			json.Valid([]byte(v)) {
			return json.Number(v), nil
		}
		return "", fmt.Errorf("%q is not a number", v)
	default:
		return "", fmt.Errorf("must be a number, not %s", kindOf(v))
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case json.Number:
		return "a number"
	default:
		return fmt.Sprintf("%T", v)
	}
}
