package awsapi

import (
	"reflect"
	"sync"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi/constraint"
)

var checks sync.Map // reflect.Type -> constraint.Check, nil for a type without constraints

// check holds an input to the constraints of its members, which are tags of its type.
func (s *Service) check(in any) error {
	v := reflect.ValueOf(in).Elem()
	known, ok := checks.Load(v.Type())
	if !ok {
		known, _ = checks.LoadOrStore(v.Type(), constraint.For(v.Type()))
	}
	check := known.(constraint.Check)
	if check == nil {
		return nil
	}
	problem := check(v, s.Discreet)
	if problem == "" {
		return nil
	}
	code := s.Invalid
	if code == "" {
		code = "ValidationException"
	}
	return Errorf(code, "%s", problem)
}
