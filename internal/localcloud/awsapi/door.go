package awsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"unicode"
	"unicode/utf8"

	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
)

// Caller makes calls from inside the local cloud. The Door is it; services
// hold it as this interface.
type Caller interface {
	// Call runs an operation of a service as identity. Input is a pointer to
	// the operation's input struct, or anything that encodes to JSON with
	// the same members (their case does not matter). Output is a pointer to
	// the operation's output struct. Errors are *Error.
	Call(ctx context.Context, id Identity, service, operation string, input any) (output any, err error)
}

// CallInto is Call with the output copied into out by way of JSON.
func CallInto(ctx context.Context, caller Caller, id Identity, service, operation string, input, out any) error {
	v, err := caller.Call(ctx, id, service, operation, input)
	if err != nil || out == nil {
		return err
	}
	if to := reflect.ValueOf(out); to.Kind() == reflect.Pointer && !to.IsNil() && to.Elem().IsZero() {
		if Conversions(nil).assign(to.Elem(), reflect.ValueOf(v)) {
			return nil
		}
		to.Elem().SetZero()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("awsapi: encode output of %s:%s: %w", service, operation, err)
	}
	return json.Unmarshal(b, out)
}

// Door is where every call enters, from the wire or from inside. Add services
// before the first call.
type Door struct {
	config   Config
	services map[string]*Service
	byTarget map[string]*Service
	signing  map[string][]*Service
	routes   map[*Service]*router
	order    []*Service // as added
	keys     Keys
}

// Config is what a Door needs.
type Config struct {
	Scheduler *scheduler.Scheduler
	Account   string
	Region    string
	// Authorizer may be nil in tests: then everything is allowed.
	Authorizer Authorizer
	// Authenticator may be nil in tests: then every request is the root's.
	Authenticator Authenticator
	// Fault, if set, is asked before each authorised call is run, with the
	// operation's own input; an error that it returns is the answer, and the call
	// does nothing. Tests make AWS fail by it. It may be called at the same time
	// from several calls.
	Fault Fault
	// Around, if set, gets each authorised call and runs it, or answers in its
	// place: it is what the weather and the account's quotas are. in is nil for a
	// request that the service answers itself (Service.HTTP), of which nothing but
	// an error can be said. It may be called at the same time from several calls.
	Around Around
	// Full may be nil. Else it says, for a request that adds bytes of work from
	// outside, why there is no room for it; nil means that there is. A session
	// of a role is most often work that has begun.
	Full func(bytes int64, session bool) error
	// MaxBody is the largest request body in bytes; 0 stands for MaxBody.
	MaxBody int64
}

// Fault decides whether a call fails, and how.
type Fault func(ctx context.Context, c *Call, in any) error

// Around stands around a call: run does it.
type Around func(ctx context.Context, c *Call, in any, run func() (any, error)) (any, error)

// New returns a door without services.
func New(config Config) *Door {
	return &Door{
		config:   config,
		services: map[string]*Service{},
		byTarget: map[string]*Service{},
		signing:  map[string][]*Service{},
		routes:   map[*Service]*router{},
	}
}

// Add makes a service known.
func (d *Door) Add(s Service) {
	sort.SliceStable(s.Operations, func(i, j int) bool { return s.Operations[i].Name < s.Operations[j].Name })
	d.services[s.ID] = &s
	d.signing[s.Signing] = append(d.signing[s.Signing], &s)
	if s.Target != "" {
		d.byTarget[s.Target] = &s
	}
	d.routes[&s] = newRouter(&s)
	d.order = append(d.order, &s)
}

// Lookup returns a service by its ID, nil if there is none.
func (d *Door) Lookup(id string) *Service { return d.services[id] }

// Operation returns the operation of that name; ok is false if the service
// does not have it.
func (s *Service) Operation(name string) (o *Operation, ok bool) {
	i := sort.Search(len(s.Operations), func(i int) bool { return s.Operations[i].Name >= name })
	if i < len(s.Operations) && s.Operations[i].Name == name {
		return &s.Operations[i], true
	}
	return nil, false
}

// Call implements Caller.
func (d *Door) Call(ctx context.Context, id Identity, service, operation string, input any) (any, error) {
	s := d.services[service]
	if s == nil {
		return nil, NotBuilt("the service " + service)
	}
	o, ok := s.Operation(operation)
	if !ok {
		return nil, NotBuilt(service + ":" + operation)
	}
	in, err := o.decodeInput(input)
	if err != nil {
		return nil, err
	}
	return d.run(ctx, d.newCall(s, o, id), o, in)
}

func (d *Door) newCall(s *Service, o *Operation, id Identity) *Call {
	c := &Call{
		Service: s, Identity: id,
		Region: d.config.Region, Account: d.config.Account,
		RequestID:  d.config.Scheduler.UUID(),
		authorizer: d.config.Authorizer, keys: d.keys,
	}
	if o != nil {
		c.Operation = o.Name
	}
	return c
}

// run checks and authorises a call, and runs it.
func (d *Door) run(ctx context.Context, c *Call, o *Operation, in any) (any, error) {
	if err := c.Service.check(in); err != nil {
		return nil, err
	}
	if o.Action != "-" {
		action := o.Action
		if action == "" {
			action = c.Service.Prefix + ":" + o.Name
		}
		resources := []string{"*"}
		if o.resources != nil {
			resources = o.resources(c, in)
		}
		var conditions map[string][]string
		if o.context != nil {
			conditions = o.context(c, in)
		}
		for _, r := range resources {
			if err := c.Authorize(ctx, action, r, conditions); err != nil {
				return nil, c.Service.fault(err)
			}
		}
	}
	if d.config.Fault != nil {
		if err := d.config.Fault(ctx, c, in); err != nil {
			return nil, AsError(err)
		}
	}
	if d.config.Around == nil {
		return o.answer(ctx, c, in)
	}
	out, err := d.config.Around(ctx, c, in, func() (any, error) { return o.answer(ctx, c, in) })
	if err != nil {
		return nil, AsError(err)
	}
	return out, nil
}

// answer does what a call asks.
func (o *Operation) answer(ctx context.Context, c *Call, in any) (any, error) {
	asked := in
	if o.tokens != nil {
		in = o.tokens.open(c.Service, o.Name, in)
	}
	out, err := o.handle(ctx, c, in)
	if err != nil {
		return nil, c.Service.fault(err)
	}
	if o.tokens != nil {
		o.tokens.close(c.Service, o.Name, asked, out)
	}
	return out, nil
}

// decodeInput makes the operation's input struct from a call's input.
func (o *Operation) decodeInput(input any) (any, error) {
	if reflect.TypeOf(input) == reflect.PointerTo(o.in) {
		return input, nil
	}
	in := reflect.New(o.in).Interface()
	if input == nil {
		return in, nil
	}
	b, ok := input.(json.RawMessage)
	if !ok {
		to := reflect.ValueOf(in).Elem()
		if Conversions(nil).assign(to, reflect.ValueOf(input)) {
			return in, nil
		}
		to.SetZero()
		var err error
		if b, err = json.Marshal(input); err != nil {
			return nil, Errorf("SerializationException", "%v", err)
		}
	}
	if err := decodeJSON(b, in); err != nil {
		return nil, err
	}
	return in, nil
}

// PascalJSON encodes an output with every member's first letter in upper case,
// as Step Functions shows the results of SDK integrations. Keys of maps keep
// their spelling.
func PascalJSON(output any) (json.RawMessage, error) {
	return json.Marshal(pascal(reflect.ValueOf(output)))
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
