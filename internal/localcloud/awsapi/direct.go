package awsapi

import (
	"context"
	"fmt"
	"reflect"
)

// AssignFrom is implemented by pointers to types of members that can take over
// values of foreign types, such as an SDK's. AssignFrom returns false for a type
// that it does not know; the value is then handed over as JSON.
type AssignFrom interface{ AssignFrom(value any) bool }

// AssignTo is the other direction: to is a pointer to the foreign type.
type AssignTo interface{ AssignTo(to any) bool }

// Direct calls an operation with an input of another type with the same members,
// and fills out, a pointer to a struct with those of the output. Nothing is
// encoded on the way. It reports false, and has not called anything, if the input
// cannot be handed over like this: then the call must take the wire.
func (d *Door) Direct(ctx context.Context, id Identity, service, operation string, input, out any) (called bool, err error) {
	s := d.services[service]
	if s == nil {
		return false, nil
	}
	o, ok := s.Operation(operation)
	if !ok {
		return false, nil
	}
	in := reflect.New(o.in)
	if !assign(in.Elem(), reflect.ValueOf(input)) {
		return false, nil
	}
	v, err := d.run(ctx, d.newCall(s, o, id), o, in.Interface())
	if err != nil {
		return true, err
	}
	if !assign(reflect.ValueOf(out).Elem(), reflect.ValueOf(v)) {
		return true, fmt.Errorf("awsapi: the output %T of %s:%s cannot be handed over as %T", v, service, operation, out)
	}
	return true, nil
}

type failureKey struct{}

// WithFailure makes the door answer the next request under ctx with an error that
// Direct has returned, in place of making its call again: a client that knows
// errors only from the wire reads it there. A request after that, such as a
// retry, is an ordinary one.
func WithFailure(ctx context.Context, err error) context.Context {
	return context.WithValue(ctx, failureKey{}, &err)
}

// takeFailure returns what WithFailure left, once.
func takeFailure(ctx context.Context) error {
	left, _ := ctx.Value(failureKey{}).(*error)
	if left == nil {
		return nil
	}
	err := *left
	*left = nil
	return err
}
