package awsapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
)

// Protocol is one of AWS's wire protocols.
type Protocol string

// The protocols that AWS services speak.
const (
	JSON10   Protocol = "application/x-amz-json-1.0"
	JSON11   Protocol = "application/x-amz-json-1.1"
	RESTJSON Protocol = "rest-json"
	RESTXML  Protocol = "rest-xml"
	Query    Protocol = "query"
	CBOR     Protocol = "rpc-v2-cbor"
)

// Service is one AWS service with the operations that the local cloud has.
type Service struct {
	// ID is the SDK's name in lower case without blanks, as Step Functions
	// spells it in aws-sdk ARNs: "dynamodb", "sfn", "iotdataplane".
	ID string
	// Signing is the name in the credential scope: "states", "iotdata".
	Signing string
	// Prefix is the service's prefix in IAM actions: "states", "iot".
	Prefix string
	// Protocols are those the service answers, the preferred one first.
	Protocols []Protocol
	// Target is the X-Amz-Target prefix of the JSON protocols, which is the
	// service name of the CBOR protocol too: "AWSStepFunctions".
	Target string
	// Namespace and Version are those of Query answers:
	// "http://sns.amazonaws.com/doc/2010-03-31/", "2010-03-31".
	Namespace, Version string
	// DeniedCode is the code of a refused call; "" is AccessDeniedException.
	DeniedCode string
	// Fault is how the service answers when the failure is its own: what is
	// stored cannot be read, for one. Without it: InternalFailure, 500.
	Fault Word
	// Throttled is how the service answers when it has no room for more work.
	// Without it: ThrottlingException, 400.
	Throttled Word
	// Invalid is the code of a call whose input breaks a constraint of its members (package constraint); "" is
	// ValidationException.
	Invalid string
	// Discreet says that what is told of such a breach does not show the value.
	Discreet bool
	// OneList says that a token is good only with the other members of the call that returned it.
	OneList bool
	// DenialTerms gives an action and a resource as the service's denials spell them,
	// where that is not as policies do; the resource "" is left out.
	DenialTerms func(action, resource string) (string, string)
	// Operations are those that are built. Names listed in Unbuilt answer
	// NotBuilt; any other name is unknown.
	Operations []Operation
	Unbuilt    []string
	// ResourcePolicy returns the policy document attached to a resource, ""
	// if it has none. Nil for services without resource policies.
	// An error fails the call: a policy that cannot be read may deny it.
	ResourcePolicy func(resourceARN string) (string, error)
	// Encryption is how the service uses customers' KMS keys; nil where it uses none.
	Encryption *Encryption
	// HTTP, if set, answers requests that no Operation's route matches: for
	// a protocol served by a library (S3). It finds the *Call of the request,
	// which is authenticated but not authorised, with CallFrom.
	HTTP http.Handler
}

// Word is the code and the HTTP status by which a service says something.
type Word struct {
	Code   string
	Status int
}

// fault is err as the service answers it: what is no *Error is the service's own
// failure.
func (s *Service) fault(err error) *Error {
	e := AsError(err)
	if s == nil || s.Fault.Code == "" {
		return e
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e.Code, e.Status = s.Fault.Code, s.Fault.Status
	return e
}

// Operation is one operation of a service. Make it with Op.
type Operation struct {
	Name string
	// Method and Path are the HTTP binding of REST services:
	// "PUT", "/jobs/{jobId}". A label written {key+} matches slashes too.
	Method, Path string
	// Query names query parameters the path requires, as in S3's ?tagging.
	Query []string
	// Status is the HTTP status of success; 0 means 200.
	Status int
	// Action is the IAM action; "" means Prefix:Name, "-" means that the
	// operation needs no permission of its own.
	Action string
	// Anonymous operations are also open to unsigned requests.
	Anonymous bool
	// EmptyResult says that the answer of a Query service has a result without
	// members, which botocore misses where AWS's model has it.
	EmptyResult bool

	in        reflect.Type
	tokens    *tokens // nil if it has no pages
	resources func(c *Call, in any) []string
	context   func(c *Call, in any) map[string][]string
	handle    func(ctx context.Context, c *Call, in any) (any, error)
}

// Input is the type of the operation's input struct.
func (o Operation) Input() reflect.Type { return o.in }

// Option adds to an operation.
type Option func(*Operation)

// Op describes an operation. The handler returns its output or an *Error; any
// other error is answered as InternalFailure.
func Op[In, Out any](name string, handle func(ctx context.Context, c *Call, in *In) (*Out, error),
	options ...Option) Operation {
	o := Operation{Name: name, in: reflect.TypeFor[In]()}
	o.tokens = tokensOf(o.in, reflect.TypeFor[Out]())
	o.handle = func(ctx context.Context, c *Call, in any) (any, error) {
		out, err := handle(ctx, c, in.(*In))
		if err != nil {
			return nil, err
		}
		return out, nil
	}
	for _, set := range options {
		set(&o)
	}
	return o
}

// REST binds the operation to a method and a path with {labels}.
func REST(method, path string, query ...string) Option {
	return func(o *Operation) { o.Method, o.Path, o.Query = method, path, query }
}

// Status sets the HTTP status of success.
func Status(status int) Option { return func(o *Operation) { o.Status = status } }

// Action sets the IAM action where it is not Prefix:Name. "-" stands for an
// operation that anybody may call, or whose handler asks Call.Authorize itself.
func Action(action string) Option { return func(o *Operation) { o.Action = action } }

// AllowAnonymous opens the operation to unsigned requests, whose identity is
// Anonymous.
func AllowAnonymous() Option { return func(o *Operation) { o.Anonymous = true } }

// EmptyResult is for operations of Query services whose output has no members, and
// is in AWS's model all the same.
func EmptyResult() Option { return func(o *Operation) { o.EmptyResult = true } }

// MarkedByKey is for an operation whose marker is a key of what it lists, which a caller may name
// without a page before.
func MarkedByKey() Option { return func(o *Operation) { o.tokens = nil } }

// On says which resources the operation touches, as ARNs; each must be
// allowed. Without it the resource is "*".
func On[In any](resources func(c *Call, in *In) []string) Option {
	return func(o *Operation) {
		o.resources = func(c *Call, in any) []string { return resources(c, in.(*In)) }
	}
}

// Conditions gives values of condition keys, such as "lambda:FunctionArn".
func Conditions[In any](values func(c *Call, in *In) map[string][]string) Option {
	return func(o *Operation) {
		o.context = func(c *Call, in any) map[string][]string { return values(c, in.(*In)) }
	}
}

// Call is one call of an operation.
type Call struct {
	Service   *Service
	Operation string
	Identity  Identity
	Region    string
	Account   string
	// RequestID is the id that the answer carries.
	RequestID string
	// SourceIP is the client's address, "" for a call from inside.
	SourceIP string
	// AccessKey is the id of the key that signed the request; "" for a call from
	// inside, and for a presigned URL, which is in the hands of others.
	AccessKey string
	// Host is the address under which the client reached the local cloud.
	Host string
	// Chunks checks the chunks of the body; nil where they are not signed.
	Chunks Chunks

	authorizer Authorizer
	keys       Keys
}

// ARN makes the ARN of a resource in the call's account and region:
// arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE.
func (c *Call) ARN(service, resource string) string {
	return "arn:aws:" + service + ":" + c.Region + ":" + c.Account + ":" + resource
}

// Authorize asks whether the caller may do a further action, also with the key of the resource; the error is
// AWS's denial. Operations that touch more than one kind of resource use it.
func (c *Call) Authorize(ctx context.Context, action, resource string, conditions map[string][]string) error {
	if err := c.Permit(ctx, action, resource, conditions); err != nil {
		return err
	}
	return c.useKey(ctx, action, resource)
}

// Permit is Authorize for what needs no key: S3 tells of an object what it tells to who may read it, and
// decrypts nothing.
func (c *Call) Permit(ctx context.Context, action, resource string, conditions map[string][]string) error {
	if c.authorizer == nil {
		return nil
	}
	r := Request{Identity: c.Identity, Action: action, Resource: resource, Conditions: conditions,
		SourceIP: c.SourceIP}
	if c.Service.ResourcePolicy != nil {
		document, err := c.Service.ResourcePolicy(resource)
		if err != nil {
			return c.Service.fault(err)
		}
		r.ResourcePolicy = document
	}
	err := c.authorizer.Authorize(ctx, r)
	if e, ok := err.(*Error); ok {
		return c.Service.denial(e, action, resource)
	}
	return err
}

// denial is the Authorizer's in the service's own way.
func (s *Service) denial(e *Error, action, resource string) *Error {
	e = e.WithStatus(e.Status)
	switch {
	case s.DeniedCode != "":
		e.Code = s.DeniedCode
	case len(s.Protocols) > 0 && (s.Protocols[0] == JSON10 || s.Protocols[0] == JSON11):
		e.Status = http.StatusBadRequest
	}
	if e.Denial == nil || s.DenialTerms == nil || !strings.HasPrefix(action, s.Prefix+":") {
		return e
	}
	d := *e.Denial
	d.Action, d.Resource = s.DenialTerms(action, resource)
	return e.Reworded(d)
}

// Authorizer decides whether a call is allowed; internal/localcloud/iam is it.
type Authorizer interface {
	// Authorize returns nil, or AWS's denial: an *Error with code
	// AccessDeniedException, status 403 and AWS's wording.
	Authorize(ctx context.Context, r Request) error
}

// Request is a question to the Authorizer.
type Request struct {
	Identity       Identity
	Action         string // "dynamodb:PutItem"
	Resource       string // ARN or "*"
	ResourcePolicy string // document attached to the resource, "" if none
	Conditions     map[string][]string
	SourceIP       string
}

type callKey struct{}

// CallFrom returns the call that an HTTP request carries; see Service.HTTP.
func CallFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}
