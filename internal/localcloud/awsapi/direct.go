package awsapi

import (
	"context"
	"fmt"
	"reflect"
)

// Direct calls an operation with an input of another type with the same members,
// and fills out, a pointer to a struct with those of the output. Nothing is
// encoded on the way. It reports false, and has not called anything, if the input
// cannot be handed over like this: then the call must take the wire.
// Conversions are for members of types that have a say in their JSON.
func (d *Door) Direct(ctx context.Context, id Identity, service, operation string, input, out any,
	conversions Conversions) (called bool, err error) {
	s := d.services[service]
	if s == nil {
		return false, nil
	}
	o, ok := s.Operation(operation)
	if !ok {
		return false, nil
	}
	in := reflect.New(o.in)
	if !conversions.assign(in.Elem(), reflect.ValueOf(input)) {
		return false, nil
	}
	v, err := d.run(ctx, d.newCall(s, o, id), o, in.Interface())
	if err != nil {
		return true, err
	}
	if !conversions.assign(reflect.ValueOf(out).Elem(), reflect.ValueOf(v)) {
		return true, fmt.Errorf("awsapi: the output %T of %s:%s cannot be handed over as %T", v, service,
			operation, out)
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
