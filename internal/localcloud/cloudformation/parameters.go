package cloudformation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// values are the parameters of a deployment: what is given, else the default. Fetched are the
// values of those that name a parameter in Systems Manager.
func (t *Template) values(given, fetched map[string]string) (map[string]any, error) {
	var p problems
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := t.Parameters[name]; !ok {
			p.add("Parameters."+name, "the template has no such parameter")
		}
	}
	values := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		d, path := t.Parameters[name], "Parameters."+name
		text, ok := given[name]
		if !ok {
			if d.Default == nil {
				p.add(path, "must have a value")
				continue
			}
			text = shownText(d.Default)
		}
		if parameterStoreType.MatchString(d.Type) {
			if text, ok = fetched[name]; !ok {
				p.add(path, "the value must come from the SSM parameter store (%s)", d.Type)
			}
		}
		if message := d.check(text); message != "" {
			if d.ConstraintDescription != "" {
				message += " (" + d.ConstraintDescription + ")"
			}
			p.add(path, "%s", message)
		}
		values[name] = d.value(text)
	}
	return values, p.err()
}

// value is what Ref gives.
func (d Parameter) value(text string) any {
	if d.Type != "CommaDelimitedList" && !strings.Contains(d.Type, "List<") &&
		!strings.Contains(d.Type, "<CommaDelimitedList>") {
		return text
	}
	list := []any{}
	if text == "" {
		return list
	}
	for _, e := range strings.Split(text, ",") {
		list = append(list, strings.TrimSpace(e))
	}
	return list
}

// check returns what is wrong with a value, "" if nothing is.
func (d Parameter) check(text string) string {
	if len(d.AllowedValues) > 0 {
		ok := slices.ContainsFunc(d.AllowedValues, func(v any) bool {
			allowed, err := asText(v)
			return err == nil && allowed == text
		})
		if !ok {
			return fmt.Sprintf("%q is not one of the allowed values", text)
		}
	}
	switch d.Type {
	case "Number":
		return d.checkNumber(text)
	case "List<Number>":
		for _, e := range d.value(text).([]any) {
			if message := d.checkNumber(e.(string)); message != "" {
				return message
			}
		}
	case "String":
		n := utf8.RuneCountInString(text)
		if low, err := strconv.Atoi(d.MinLength.String()); err == nil && n < low {
			return fmt.Sprintf("must contain at least %d characters", low)
		}
		if high, err := strconv.Atoi(d.MaxLength.String()); err == nil && n > high {
			return fmt.Sprintf("must contain at most %d characters", high)
		}
	}
	if d.AllowedPattern != "" {
		re, err := fullMatch(d.AllowedPattern)
		if err != nil {
			return err.Error()
		}
		if !re.MatchString(text) {
			return fmt.Sprintf("%q must match pattern %s", text, d.AllowedPattern)
		}
	}
	return ""
}

func (d Parameter) checkNumber(text string) string {
	n, err := asNumber(text)
	if err != nil {
		return err.Error()
	}
	v, err := n.Float64()
	if err != nil {
		return err.Error()
	}
	bound := func(n json.Number) (float64, bool) {
		f, err := n.Float64()
		return f, err == nil
	}
	if low, ok := bound(d.MinValue); ok && v < low {
		return fmt.Sprintf("%s must not be less than %s", text, d.MinValue)
	}
	if high, ok := bound(d.MaxValue); ok && v > high {
		return fmt.Sprintf("%s must not be greater than %s", text, d.MaxValue)
	}
	return ""
}
