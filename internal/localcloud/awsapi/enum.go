package awsapi

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// enum is a member of an input that takes certain values only. Its tag names them: `enum:"NONE,TOTAL,INDEXES"`.
type enum struct {
	member
	values []string
}

var enums sync.Map // reflect.Type -> []enum

// enumsOf are the members of an input with such a tag; members of members have none.
func enumsOf(t reflect.Type) []enum {
	if known, ok := enums.Load(t); ok {
		return known.([]enum)
	}
	var list []enum
	for _, m := range shapeOf(t).members {
		if values := t.FieldByIndex(m.index).Tag.Get("enum"); values != "" {
			list = append(list, enum{m, strings.Split(values, ",")})
		}
	}
	known, _ := enums.LoadOrStore(t, list)
	return known.([]enum)
}

// check refuses a value that a member of an input does not take. A member that is "" is not there.
func (s *Service) check(in any) error {
	v := reflect.ValueOf(in).Elem()
	for _, e := range enumsOf(v.Type()) {
		f, ok := e.lookup(v)
		if !ok {
			continue
		}
		code := s.Invalid
		if code == "" {
			code = "ValidationException"
		}
		if list, ok := f.Interface().([]string); ok {
			err := CheckList(code, e.name, list, e.values)
			if err != nil {
				return err
			}
			continue
		}
		if value := f.String(); value != "" && !slices.Contains(e.values, value) {
			return Errorf(code, "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s",
				value, lowerFirst(e.name), valueSet(e.values))
		}
	}
	return nil
}

// CheckList refuses a list with a value that its member does not take, in the words of AWS's frameworks.
func CheckList(code, member string, list, values []string) error {
	if !slices.ContainsFunc(list, func(v string) bool { return !slices.Contains(values, v) }) {
		return nil
	}
	return Errorf(code, "1 validation error detected: Value '[%s]' at '%s' failed to satisfy constraint: "+
		"Member must satisfy constraint: [%s]", strings.Join(list, ", "), lowerFirst(member), valueSet(values))
}

func valueSet(values []string) string {
	return "Member must satisfy enum value set: [" + strings.Join(values, ", ") + "]"
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}
