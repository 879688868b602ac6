package awsapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Authenticator finds out who sent a request; internal/localcloud/sts is it.
type Authenticator interface {
	// Authenticate checks the request's signature (header or presigned
	// query) over the given body. A nil body has not been read: then the hash
	// that the request states is taken. The error is an *Error with one of the
	// Code constants of authentication below; the door spells it as the
	// protocol does.
	Authenticate(r *http.Request, body []byte) (Signed, error)
}

// Signed is what the signature of a request says.
type Signed struct {
	Identity Identity // the caller
	Service  string   // of the credential scope
	Chunks   Chunks   // nil unless each chunk of the body is signed
}

// Chunks checks the signatures of a body that comes in chunks (S3). Each covers the one before it, hence they
// are asked in the order of the body.
type Chunks interface {
	// Chunk says whether a chunk whose data has this SHA-256 is signed so.
	Chunk(sum []byte, signature string) bool
	// Trailer says so of the headers after the last chunk.
	Trailer(sum []byte, signature string) bool
}

// Codes of an Authenticator's errors, as Query services spell them.
const (
	CodeMissingToken      = "MissingAuthenticationToken"
	CodeInvalidToken      = "InvalidClientTokenId"
	CodeSignatureMismatch = "SignatureDoesNotMatch"
	CodeExpiredToken      = "ExpiredToken"
	CodeIncomplete        = "IncompleteSignature"
	// CodeRequestExpired is for a presigned URL after its time.
	CodeRequestExpired = "RequestExpired"
	// CodeInvalidArgument and CodeInvalidRequest are for a payload hash that is none, or missing (S3).
	CodeInvalidArgument = "InvalidArgument"
	CodeInvalidRequest  = "InvalidRequest"
)

// MaxBody is the size in bytes above which a request is refused, unless
// Config.MaxBody says otherwise. Services that read bodies themselves (S3) are
// not bound by it.
const MaxBody = 16 << 20

// request is an HTTP request on its way to an operation.
type request struct {
	w        http.ResponseWriter
	r        *http.Request
	door     *Door
	service  *Service
	protocol Protocol
	name     string // operation, except for REST
	query    url.Values
	form     url.Values
	body     []byte
	call     *Call
}

// ServeHTTP implements http.Handler: one request of any service in any
// protocol.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{w: w, r: r, door: d}
	q.call = d.newCall(nil, nil, Identity{})
	q.call.Host = r.Host
	q.call.SourceIP = r.RemoteAddr
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		q.call.SourceIP = host
	}
	if err := q.dispatch(); err != nil {
		q.fail(err)
		return
	}
	if err := q.serve(); err != nil {
		q.fail(err)
	}
}

// dispatch finds the service, the protocol and, except for REST, the name of
// the operation.
func (q *request) dispatch() error {
	r := q.r
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	contentType = strings.TrimSpace(strings.ToLower(contentType))
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		q.protocol = JSON10
		if contentType == string(JSON11) {
			q.protocol = JSON11
		}
		prefix, name, ok := strings.Cut(target, ".")
		q.service, q.name = q.door.byTarget[prefix], name
		if !ok || q.service == nil {
			return Errorf("UnknownOperationException", "no service answers to the target %s", target)
		}
		return q.readBody()
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/service/"); ok && strings.EqualFold(r.Header.Get("Smithy-Protocol"),
		string(CBOR)) {
		q.protocol = CBOR
		target, name, ok := strings.Cut(rest, "/operation/")
		q.service, q.name = q.door.byTarget[target], name
		if !ok || q.service == nil {
			return Errorf("UnknownOperationException", "no service answers to %s", r.URL.Path)
		}
		return q.readBody()
	}
	if r.URL.RawQuery != "" {
		q.query = r.URL.Query()
	}
	signing := credentialScope(r, q.query)
	candidates := q.door.signing[signing]
	queryOnly := signing == "" || slices.ContainsFunc(candidates, func(s *Service) bool {
		return slices.Contains(s.Protocols, Query)
	})
	if queryOnly && (contentType == "application/x-www-form-urlencoded" && r.Method == http.MethodPost ||
		q.query.Has("Action")) {
		if err := q.readBody(); err != nil {
			return err
		}
		q.form = q.query
		if r.Method == http.MethodPost {
			form, err := url.ParseQuery(string(q.body))
			if err != nil {
				q.protocol = Query
				return Errorf("MalformedQueryString", "%v", err)
			}
			if form.Has("Action") {
				q.form = form
			}
		}
		if q.form.Has("Action") {
			q.protocol, q.name = Query, q.form.Get("Action")
			return q.queryService(candidates)
		}
		if len(candidates) > 0 && !slices.ContainsFunc(candidates, func(s *Service) bool {
			return !slices.Equal(s.Protocols, []Protocol{Query})
		}) {
			q.protocol, q.service = Query, candidates[0]
			return Errorf("MissingAction", "Missing Action parameter").WithStatus(http.StatusBadRequest)
		}
	}
	return q.restService(signing, candidates)
}

// queryService chooses among the services that may be meant by the version of
// the API.
func (q *request) queryService(candidates []*Service) error {
	version := q.form.Get("Version")
	if len(candidates) == 0 {
		candidates = slices.Clone(q.door.order)
	}
	for _, s := range candidates {
		if slices.Contains(s.Protocols, Query) && (s.Version == version || version == "" && len(candidates) == 1) {
			q.service = s
			return nil
		}
	}
	return (&Error{Code: "InvalidAction", Message: "Could not find operation " + q.name + " for version " + version}).
		WithStatus(400)
}

// restService chooses the service of a REST request: that of the signature, or
// the first with a route for an unsigned request, or the one that speaks HTTP
// itself.
func (q *request) restService(signing string, candidates []*Service) error {
	q.protocol = RESTJSON
	if signing == "" {
		for _, s := range q.door.order {
			if rt, _ := q.door.routes[s].find(q.r, q.query); rt != nil {
				q.service = s
				break
			}
			if s.HTTP != nil && q.service == nil {
				q.service = s
			}
		}
	}
	for _, s := range candidates {
		if q.service == nil {
			q.service = s
		}
		if rt, _ := q.door.routes[s].find(q.r, q.query); rt != nil {
			q.service = s
			break
		}
	}
	if q.service == nil {
		if signing != "" {
			return NotBuilt("the service " + signing)
		}
		return Errorf("UnknownOperationException", "nothing answers to %s %s", q.r.Method, q.r.URL.Path).
			WithStatus(404)
	}
	if slices.Contains(q.service.Protocols, RESTXML) {
		q.protocol = RESTXML
	}
	if q.service.HTTP == nil {
		return q.readBody()
	}
	return nil
}

// credentialScope is the service that a request is signed for, unchecked; ""
// for an unsigned one.
func credentialScope(r *http.Request, query url.Values) string {
	credential := query.Get("X-Amz-Credential")
	if h := r.Header.Get("Authorization"); h != "" {
		_, after, _ := strings.Cut(h, "Credential=")
		credential, _, _ = strings.Cut(after, ",")
	}
	parts := strings.Split(strings.TrimSpace(credential), "/")
	if len(parts) < 5 {
		if query.Has("AWSAccessKeyId") && query.Has("Signature") {
			return "s3" // Signature Version 2 in a URL, which only S3 has
		}
		return ""
	}
	return parts[len(parts)-2]
}

// signedBy is the id of the access key in a request's Authorization header.
func signedBy(r *http.Request) string {
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(after, "/")
	return key
}

// readBody reads the body up to the limit. The signature covers it as it was
// sent, so it is unpacked later.
func (q *request) readBody() error {
	limit := q.door.config.MaxBody
	if limit == 0 {
		limit = MaxBody
	}
	if q.r.ContentLength > limit {
		return tooLarge()
	}
	if q.r.Body == nil || q.r.Body == http.NoBody {
		q.body = []byte{}
		return nil
	}
	var b bytes.Buffer
	if n := q.r.ContentLength; n > 0 {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(q.r.Body, limit+1))
	if err != nil {
		return Errorf("RequestTimeout", "the body could not be read: %v", err)
	}
	if n > limit {
		return tooLarge()
	}
	q.body = b.Bytes()
	if q.body == nil {
		q.body = []byte{}
	}
	return nil
}

func tooLarge() *Error {
	return Errorf("RequestEntityTooLargeException", "Request size limit exceeded").WithStatus(
		http.StatusRequestEntityTooLarge)
}

// unpack undoes a Content-Encoding of gzip.
func (q *request) unpack() error {
	if !strings.EqualFold(q.r.Header.Get("Content-Encoding"), "gzip") {
		return nil
	}
	limit := q.door.config.MaxBody
	if limit == 0 {
		limit = MaxBody
	}
	z, err := gzip.NewReader(bytes.NewReader(q.body))
	if err != nil {
		return serialization("the body is not gzip: %v", err)
	}
	b, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return serialization("the body is not gzip: %v", err)
	}
	if int64(len(b)) > limit {
		return tooLarge()
	}
	q.body = b
	return nil
}

// serve authenticates the request and runs its operation.
func (q *request) serve() error {
	s := q.service
	c := q.call
	c.Service = s
	var op *Operation
	var labels map[string]string
	rest := q.protocol == RESTJSON || q.protocol == RESTXML
	if rest {
		rt, values := q.door.routes[s].find(q.r, q.query)
		switch {
		case rt == nil:
		case rt.op == nil:
			return NotBuilt(s.ID + ":" + rt.name)
		default:
			op, labels = rt.op, values
		}
	} else {
		op, _ = s.Operation(q.name)
	}
	if op != nil {
		c.Operation = op.Name
	}
	if err := q.authenticate(op); err != nil {
		return err
	}
	if err := takeFailure(q.r.Context()); err != nil {
		return err
	}
	if err := q.room(op); err != nil {
		return err
	}
	if op == nil {
		switch {
		case rest && s.HTTP != nil:
			q.virtualHost()
			q.streamHash()
			return q.pass()
		case slices.Contains(s.Unbuilt, q.name) && !rest:
			return NotBuilt(s.ID + ":" + q.name)
		case q.protocol == Query:
			return Errorf("InvalidAction", "Could not find operation %s for version %s", q.name, q.form.Get("Version"))
		case rest:
			return Errorf("UnknownOperationException", "%s %s is no operation of %s", q.r.Method, q.r.URL.Path, s.ID).
				WithStatus(404)
		default:
			return &Error{Code: "UnknownOperationException"}
		}
	}
	if q.body == nil { // a service that streams has this operation buffered
		if err := q.readBody(); err != nil {
			return err
		}
	}
	if err := q.unpack(); err != nil {
		return err
	}
	in := reflect.New(op.in)
	if err := q.decode(op, in, labels); err != nil {
		return err
	}
	out, err := q.door.run(q.r.Context(), c, op, in.Interface())
	if err != nil {
		return err
	}
	return q.answer(op, out)
}

// pass hands a request to the service's own handler.
func (q *request) pass() error {
	ctx, c := q.r.Context(), q.call
	serve := func() (any, error) {
		q.service.HTTP.ServeHTTP(q.w, q.r.WithContext(context.WithValue(ctx, callKey{}, c)))
		return nil, nil
	}
	around := q.door.config.Around
	if around == nil {
		_, err := serve()
		return err
	}
	if q.query.Has("X-Amz-Signature") { // it is not its signer who asks
		asked := *c
		asked.AccessKey = ""
		c = &asked
	}
	_, err := around(ctx, c, nil, serve)
	return err
}

type identityKey struct{}

// WithIdentity marks requests that a caller inside this process makes as id:
// they need no signature, only the credential scope, which names the service.
// Nothing that comes over a network can carry the mark.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

func (q *request) authenticate(op *Operation) error {
	c := q.call
	if id, ok := q.r.Context().Value(identityKey{}).(Identity); ok {
		c.Identity = id
		return nil
	}
	if q.door.config.Authenticator == nil {
		c.Identity = RootOf(q.door.config.Account)
		return nil
	}
	signed, err := q.door.config.Authenticator.Authenticate(q.r, q.body)
	if err != nil {
		if Code(err) == CodeMissingToken && (op != nil && op.Anonymous || op == nil && q.service.HTTP != nil) {
			c.Identity = Anonymous()
			return nil
		}
		return q.authenticationError(err)
	}
	if signed.Service != q.service.Signing {
		return q.authenticationError(Errorf(CodeSignatureMismatch,
			"Credential should be scoped to correct service: '%s'.", q.service.Signing))
	}
	c.Identity, c.AccessKey, c.Chunks = signed.Identity, signedBy(q.r), signed.Chunks
	return nil
}

// authenticationError spells an Authenticator's error as the protocol does.
func (q *request) authenticationError(err error) error {
	if _, ok := errors.AsType[*Error](err); !ok {
		return q.service.fault(err)
	}
	e := AsError(err)
	e = e.WithStatus(http.StatusForbidden)
	if q.protocol == RESTXML {
		switch e.Code {
		case CodeInvalidToken:
			e.Code, e.Message = "InvalidAccessKeyId",
				"The AWS Access Key Id you provided does not exist in our records."
		case CodeExpiredToken, CodeInvalidArgument, CodeInvalidRequest:
			e.Status = http.StatusBadRequest
		case CodeMissingToken, CodeRequestExpired:
			e.Code = "AccessDenied"
		case CodeIncomplete:
			e.Code, e.Status = "AuthorizationHeaderMalformed", http.StatusBadRequest
			if q.r.Header.Get("Authorization") == "" {
				e.Code = "AuthorizationQueryParametersError"
			}
		}
		return e
	}
	if q.protocol == Query {
		return e
	}
	if q.protocol != RESTJSON {
		e.Status = http.StatusBadRequest
	}
	switch e.Code {
	case CodeInvalidToken:
		e.Code = "UnrecognizedClientException"
	case CodeExpiredToken:
		e.Code = "ExpiredTokenException"
	case CodeMissingToken:
		e.Code = "MissingAuthenticationTokenException"
	case CodeSignatureMismatch:
		e.Code = "InvalidSignatureException"
	case CodeIncomplete:
		e.Code = "IncompleteSignatureException"
	}
	return e
}

// virtualHost turns bucket.localhost/key into localhost/bucket/key.
func (q *request) virtualHost() {
	host, _, err := net.SplitHostPort(q.r.Host)
	if err != nil {
		host = q.r.Host
	}
	bucket, ok := strings.CutSuffix(host, ".localhost")
	bucket = strings.TrimSuffix(bucket, ".s3")
	if !ok || bucket == "" || bucket == "s3" {
		return
	}
	r := q.r.Clone(q.r.Context())
	r.URL.Path = "/" + bucket + r.URL.Path
	if r.URL.RawPath != "" {
		r.URL.RawPath = "/" + bucket + r.URL.RawPath
	}
	q.r = r
}

// streamHash has a body that is not read here checked against the hash that
// the signature covers.
func (q *request) streamHash() {
	want, err := hex.DecodeString(q.r.Header.Get("X-Amz-Content-Sha256"))
	if err != nil || len(want) != sha256.Size || q.r.Body == nil {
		return
	}
	q.r.Body = &hashedBody{body: q.r.Body, want: want, hash: sha256.New()}
}

// ErrContentHash is what reading a body ends with when it is not the one that
// was signed (S3: XAmzContentSHA256Mismatch).
var ErrContentHash = errors.New("awsapi: the body does not have the hash that was signed")

type hashedBody struct {
	body io.ReadCloser
	want []byte
	hash hash.Hash
}

func (h *hashedBody) Read(p []byte) (int, error) {
	n, err := h.body.Read(p)
	_, _ = h.hash.Write(p[:n]) // a hash does not fail
	if errors.Is(err, io.EOF) && !bytes.Equal(h.hash.Sum(nil), h.want) {
		return n, ErrContentHash
	}
	return n, err
}

func (h *hashedBody) Close() error { return h.body.Close() }

// decode fills the input struct.
func (q *request) decode(op *Operation, in reflect.Value, labels map[string]string) error {
	if op.in.Kind() != reflect.Struct {
		return decodeJSON(q.body, in.Interface())
	}
	switch q.protocol {
	case CBOR:
		return decodeCBOR(q.body, in.Interface())
	case Query:
		form, err := parseForm(q.form)
		if err != nil {
			return err
		}
		return decodeForm(form, in.Elem())
	case RESTJSON, RESTXML:
		return decodeREST(q.protocol, q.r, q.query, labels, q.body, in.Elem())
	default:
		return decodeJSON(q.body, in.Interface())
	}
}
