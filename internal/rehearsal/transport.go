package rehearsal

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/fleetstep/fleetstep/internal/functions"
	"github.com/fleetstep/fleetstep/internal/localcloud"
)

// endpoint is where the cloud seems to be.
const endpoint = "http://cloud.rehearsal"

// client is an HTTP client that calls a handler. It makes requests as an
// identity, or leaves it to their signatures.
type client struct {
	handler http.Handler
	as      *localcloud.Identity
	door    door // nil: every call takes the wire
	repeats bool // calls fail and are repeated: they bear their tokens
}

// Do implements the HTTP client of the SDK and of the agents.
func (c client) Do(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if c.as != nil && !r.URL.Query().Has("X-Amz-Signature") { // what is presigned is its signer's
		ctx = localcloud.WithIdentity(ctx, *c.as)
	}
	in := r.WithContext(ctx)
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.ContentLength > 0 && in.Header.Get("Content-Length") == "" { // as a server's request has it
		in.Header.Set("Content-Length", strconv.FormatInt(in.ContentLength, 10))
	}
	w := &recorder{header: http.Header{}}
	c.handler.ServeHTTP(w, in)
	_ = in.Body.Close()
	if w.status == 0 {
		w.status = http.StatusOK
	}
	out := &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, ContentLength: int64(w.body.Len()), Body: io.NopCloser(&w.body), Request: r,
	}
	if r.Method == http.MethodHead {
		out.Body, out.ContentLength = http.NoBody, -1
	}
	return out, nil
}

// recorder is the http.ResponseWriter of one call.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *recorder) ReadFrom(r io.Reader) (int64, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.ReadFrom(r)
}

// client calls the cloud as id.
func (w *world) client(id localcloud.Identity) client {
	return client{w.handler, &id, w.door, !w.weather.Fair() || w.fault != nil}
}

func rootClient(w *world) client {
	id := w.cloud.Root()
	return w.client(id)
}

// config is what SDK clients are made from that act as a client does.
func (w *world) config(cloud *localcloud.Cloud, c client) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(endpoint), HTTPClient: c,
		Credentials: &sessionCredentials{cloud: cloud, sched: w.sched, id: *c.as},
		Retryer:     func() aws.Retryer { return patient{aws.NopRetryer{}, w.sched, functions.Patient} },
		ServiceOptions: []func(string, any){func(_ string, options any) {
			switch o := options.(type) {
			case *cloudformation.Options:
				o.HTTPSignerV4 = scope{}
			case *dynamodb.Options:
				o.HTTPSignerV4 = scope{}
				o.APIOptions = append(o.APIOptions, c.intercept("dynamodb"))
				o.IdempotencyTokenProvider = drawn{w.sched}
			case *iot.Options:
				o.HTTPSignerV4 = scope{}
				o.APIOptions = append(o.APIOptions, c.intercept("iot"))
			case *iotdataplane.Options:
				o.HTTPSignerV4 = scope{}
				o.APIOptions = append(o.APIOptions, c.intercept("iotdataplane"))
			case *lambda.Options:
				o.HTTPSignerV4 = scope{}
			case *s3.Options:
				o.HTTPSignerV4 = scope{}
			case *sfn.Options:
				o.HTTPSignerV4 = scope{}
				o.APIOptions = append(o.APIOptions, c.intercept("sfn"))
			case *sns.Options:
				o.HTTPSignerV4 = scope{}
				o.APIOptions = append(o.APIOptions, c.intercept("sns"))
			case *sqs.Options:
				o.HTTPSignerV4 = scope{}
			case *ssm.Options:
				o.HTTPSignerV4 = scope{}
			}
		}},
	}
}

// discovering is config as the functions have it on AWS: without an endpoint
// that wins everywhere, so that AWS IoT's come from the template, and with a host
// name for each bucket.
func (w *world) discovering(cloud *localcloud.Cloud, c client) aws.Config {
	cfg := w.config(cloud, c)
	cfg.BaseEndpoint = nil
	cfg.ServiceOptions = append(cfg.ServiceOptions, func(_ string, options any) {
		switch o := options.(type) {
		case *dynamodb.Options:
			o.BaseEndpoint = aws.String(endpoint)
		case *iot.Options:
			o.BaseEndpoint = aws.String(endpoint)
		case *s3.Options:
			o.BaseEndpoint = aws.String("http://s3.localhost")
		case *sfn.Options:
			o.BaseEndpoint = aws.String(endpoint)
		case *sns.Options:
			o.BaseEndpoint = aws.String(endpoint)
		case *sqs.Options:
			o.BaseEndpoint = aws.String(endpoint)
		case *ssm.Options:
			o.BaseEndpoint = aws.String(endpoint)
		}
	})
	return cfg
}

// scope takes the place of a signer: it says for which service a request is, and
// who makes it is known without a signature.
type scope struct{}

func (scope) SignHTTP(_ context.Context, _ aws.Credentials, r *http.Request, payloadHash, service, region string,
	_ time.Time, _ ...func(*v4.SignerOptions)) error {
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/x/"+region+"/"+service+"/aws4_request")
	return nil
}

// sessionCredentials are temporary credentials of an identity, renewed on the
// scheduler's clock. Only presigned URLs depend on them.
type sessionCredentials struct {
	cloud *localcloud.Cloud
	sched *localcloud.Scheduler
	id    localcloud.Identity
	have  aws.Credentials
	until time.Time
}

// session is how long they last: as long as a presigned URL may.
const session = 12 * time.Hour

// Retrieve implements aws.CredentialsProvider.
func (c *sessionCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	now := c.sched.Now()
	if now.Before(c.until) {
		return c.have, nil
	}
	key, secret, token, err := c.cloud.Credentials(ctx, c.id, session)
	if err != nil {
		return aws.Credentials{}, err
	}
	c.have = aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: token, Source: "rehearsal"}
	c.until = now.Add(session / 2)
	return c.have, nil
}

// drawn makes idempotency tokens.
type drawn struct{ sched *localcloud.Scheduler }

func (d drawn) GetIdempotencyToken() (string, error) { return d.sched.UUID(), nil }

// patient tries again as a function's process does on AWS, but waits on the scheduler's clock.
type patient struct {
	aws.NopRetryer
	sched  *localcloud.Scheduler
	limits functions.Limits
}

// retryable is what the SDK tries again by default.
var retryable = retry.IsErrorRetryables(retry.DefaultRetryables)

func (patient) IsErrorRetryable(err error) bool {
	return retryable.IsErrorRetryable(err) == aws.TrueTernary
}

func (p patient) MaxAttempts() int { return p.limits.Attempts }

func (p patient) RetryDelay(attempt int, err error) (time.Duration, error) {
	return 0, p.sched.Sleep(context.Background(), p.limits.Pause(attempt, err, p.sched.Rand().Float64()))
}

func (patient) GetRetryToken(context.Context, error) (func(error) error, error) {
	return func(error) error { return nil }, nil
}
