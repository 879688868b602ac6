package localcloud

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/cloudwatch"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/topicrule"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotjobsdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/lambda"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// closableLog is a log that falls silent once the cloud closes: what is cut off then
// finds the store closed, and is no error.
type closableLog struct {
	slog.Handler
	closed *atomic.Bool
}

func (q closableLog) Enabled(ctx context.Context, l slog.Level) bool {
	return !q.closed.Load() && q.Handler.Enabled(ctx, l)
}

func (q closableLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return closableLog{q.Handler.WithAttrs(attrs), q.closed}
}

func (q closableLog) WithGroup(name string) slog.Handler {
	return closableLog{q.Handler.WithGroup(name), q.closed}
}

// failures are those of work that nobody waits for, the first of each kind.
type failures struct {
	mu    sync.Mutex
	lines []string
}

func (f *failures) list() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.lines)
}

// failed logs what failed in the background, and keeps it for Residue. A closed
// store is no failure: what it cuts off is taken up at the next Start.
func (c *Cloud) failed(what string, err error) {
	if c.closed.Load() || errors.Is(err, store.ErrClosed) {
		return
	}
	c.config.Log.Error("work in the background failed", "what", what, "error", err)
	line := what + " failed: " + err.Error()
	c.failures.mu.Lock()
	defer c.failures.mu.Unlock()
	if len(c.failures.lines) < maxFailures && !slices.Contains(c.failures.lines, line) {
		c.failures.lines = append(c.failures.lines, line)
	}
}

// maxFailures is how many different failures are kept.
const maxFailures = 100

// executor is how functions run: as processes, or as handlers in this process.
func (c *Cloud) executor() lambda.Executor {
	if c.config.InProcess != nil {
		return &lambda.InProcess{Scheduler: c.config.Scheduler, Weather: c.weather, New: func(ctx context.Context,
			f lambda.Function,
			id awsapi.Identity, out io.Writer) (lambda.Handler, error) {
			return c.config.InProcess(withOutput(ctx, out), c, f, id)
		}}
	}
	return lambda.NewProcess(lambda.ProcessConfig{
		Scheduler: c.config.Scheduler, Credentials: c.sts, Region: c.config.Region, Endpoint: c.config.Endpoint,
		AssetDir: c.config.AssetDir, MaxEnvironments: c.config.MaxEnvironments,
	})
}

type outputKey struct{}

func withOutput(ctx context.Context, out io.Writer) context.Context {
	return context.WithValue(ctx, outputKey{}, out)
}

// Output is where a handler made by Config.InProcess prints its log.
func Output(ctx context.Context) io.Writer {
	if w, ok := ctx.Value(outputKey{}).(io.Writer); ok {
		return w
	}
	return io.Discard
}

// asset finds prepared code for the S3 key "<name>.zip".
func (c *Cloud) asset(key string) (name string, ok bool) {
	name, ok = strings.CutSuffix(key, ".zip")
	if !ok || !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) {
		return "", false
	}
	if c.config.InProcess != nil {
		return name, true
	}
	if c.config.AssetDir == "" {
		return "", false
	}
	_, err := os.Stat(filepath.Join(c.config.AssetDir, name, "bootstrap"))
	return name, err == nil
}

// devices is the registry as the broker asks it.
type devices struct{ iot *iot.Service }

func (d devices) Authenticate(ctx context.Context, h iotdataplane.Hello) (iotdataplane.Principal, error) {
	p, err := d.iot.Authenticate(ctx, iot.Hello(h))
	return iotdataplane.Principal(p), err
}

func (d devices) Authorize(ctx context.Context, p iotdataplane.Principal, action, resource string) error {
	return d.iot.Authorize(ctx, iot.Principal(p), action, resource)
}

// rules is the rules engine as the broker hands it messages.
type rules struct{ engine *topicrule.Service }

func (r rules) Prepare(m iotdataplane.Message) iotdataplane.Execution {
	if e := r.engine.Prepare(topicrule.Message(m)); e != nil {
		return e
	}
	return nil
}

// reserved is the device side of jobs as the broker hands it requests.
type reserved struct{ jobs *iotjobsdataplane.Service }

func (r reserved) Handle(ctx context.Context, _ iotdataplane.Asker, m iotdataplane.Message,
	reply func(topic string, payload []byte)) bool {
	return r.jobs.Handle(ctx, m.Topic, m.Payload, reply)
}

// presence takes a client's coming and going into the fleet index.
func (c *Cloud) presence(p iotdataplane.Presence) {
	err := c.iot.Connectivity(context.Background(), iot.Presence{
		ClientID: p.ClientID, Connected: p.Connected(), Timestamp: p.Timestamp, Reason: p.DisconnectReason,
		Version: int64(p.VersionNumber),
	})
	if err != nil {
		c.config.Log.Error("presence did not reach the fleet index", "clientId", p.ClientID, "error", err)
	}
}

// publisher sends messages of AWS IoT itself. They are QoS 1: once accepted,
// rules and persistent sessions get them whatever happens.
type publisher struct{ c *Cloud }

func (p publisher) Publish(ctx context.Context, topic string, payload []byte) error {
	return p.c.data.Publish(ctx, iotdataplane.Message{Topic: topic, Payload: payload, QoS: 1, FromService: true})
}

// presigner signs the URLs that job documents ask for.
type presigner struct{ c *Cloud }

func (p presigner) Presign(ctx context.Context, r jobs.PresignRequest) (string, error) {
	c := p.c
	id, err := c.iam.Assume(ctx, r.RoleARN, "iot.amazonaws.com", r.SourceARN, "iot-jobs")
	if err != nil {
		return "", err
	}
	key, secret, token, err := c.sts.Issue(ctx, id, time.Hour)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(c.config.Endpoint)
	if err != nil {
		return "", err
	}
	u.Path = "/" + r.Bucket + "/" + r.Key
	query := url.Values{"X-Amz-Expires": {strconv.Itoa(int(r.Expires / time.Second))}}
	if r.ObjectVersion != "" {
		query.Set("versionId", r.ObjectVersion)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), nil)
	if err != nil {
		return "", err
	}
	signed, _, err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).PresignHTTP(ctx,
		aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: token}, req, "UNSIGNED-PAYLOAD", "s3",
		c.config.Region, c.config.Scheduler.Now())
	return signed, err
}

// ruleObjects is S3 as rule actions and proto decoding use it.
type ruleObjects struct{ caller awsapi.Caller }

func (o ruleObjects) PutObject(ctx context.Context, id awsapi.Identity, bucket, key string, body []byte,
	cannedACL string) error {
	if cannedACL != "" && cannedACL != "private" {
		return awsapi.NotBuilt("the canned ACL " + cannedACL)
	}
	_, err := o.caller.Call(ctx, id, "s3", "PutObject", map[string]any{"Bucket": bucket, "Key": key, "Body": body})
	return err
}

func (o ruleObjects) GetObject(ctx context.Context, id awsapi.Identity, bucket, key string) ([]byte, error) {
	var object struct{ Body []byte }
	err := awsapi.CallInto(ctx, o.caller, id, "s3", "GetObject", map[string]string{"Bucket": bucket, "Key": key},
		&object)
	return object.Body, err
}

// brokerMetrics are the message broker's counts.
type brokerMetrics struct{ cloudwatch *cloudwatch.Service }

func (m brokerMetrics) Count(metric string) {
	m.cloudwatch.Add("AWS/IoT", metric, "Count", 1, map[string]string{"Protocol": "MQTT"})
}

// jobMetrics are the counts of AWS IoT Jobs.
type jobMetrics struct{ cloudwatch *cloudwatch.Service }

func (m jobMetrics) Put(_ context.Context, metrics []jobs.Metric) error {
	for _, x := range metrics {
		m.cloudwatch.Add("AWS/IoT", x.Name, "Count", x.Value, map[string]string{"JobId": x.JobID})
	}
	return nil
}

// host is the host and port of a URL.
func host(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}

// machineLogs is CloudWatch Logs as state machines write to it. On AWS the
// delivery is set up by the creator of the state machine and done by the logs
// service itself, so it acts as the account.
type machineLogs struct{ c *Cloud }

func (l machineLogs) Append(ctx context.Context, group, stream string, events []sfn.LogEvent) error {
	id := awsapi.RootOf(l.c.config.Account)
	list := make([]map[string]any, len(events))
	for i, e := range events {
		list[i] = map[string]any{"timestamp": e.Time.UnixMilli(), "message": e.Message}
	}
	in := map[string]any{"logGroupName": group, "logStreamName": stream, "logEvents": list}
	_, err := l.c.door.Call(ctx, id, "cloudwatchlogs", "PutLogEvents", in)
	if awsapi.Code(err) != "ResourceNotFoundException" {
		return err
	}
	ref := map[string]any{"logGroupName": group, "logStreamName": stream}
	if _, err := l.c.door.Call(ctx, id, "cloudwatchlogs", "CreateLogStream", ref); err != nil &&
		awsapi.Code(err) != "ResourceAlreadyExistsException" {
		return err
	}
	_, err = l.c.door.Call(ctx, id, "cloudwatchlogs", "PutLogEvents", in)
	return err
}

// HasGroup reports whether there is a log group, also if it cannot be known.
func (l machineLogs) HasGroup(ctx context.Context, group string) bool {
	_, err := l.c.door.Call(ctx, awsapi.RootOf(l.c.config.Account), "cloudwatchlogs", "DescribeLogStreams",
		map[string]any{"logGroupName": group, "limit": 1})
	return awsapi.Code(err) != "ResourceNotFoundException"
}

// responsePath is where custom resources answer.
const responsePath = "/_localcloud/response/"

// responses are the one-time URLs to which custom resources PUT their answers,
// in place of presigned S3 URLs.
type responses struct {
	s    *scheduler.Scheduler
	base string

	mu   sync.Mutex
	open map[string]func([]byte) // by URL
}

func newResponses(s *scheduler.Scheduler, endpoint string) *responses {
	return &responses{s: s, base: strings.TrimSuffix(endpoint, "/") + responsePath, open: map[string]func([]byte){}}
}

// Open implements cloudformation.ResponseURLs.
func (r *responses) Open(deliver func(body []byte)) (string, error) {
	u := r.base + r.s.UUID() + r.s.UUID()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[u] = deliver
	return u, nil
}

// Close implements cloudformation.ResponseURLs.
func (r *responses) Close(u string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, u)
}

// ServeHTTP takes an answer.
func (r *responses) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	u := r.base + strings.TrimPrefix(req.URL.Path, responsePath)
	r.mu.Lock()
	deliver := r.open[u]
	r.mu.Unlock()
	if deliver == nil || req.Method != http.MethodPut {
		http.Error(w, "no custom resource waits for this", http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, 64<<10))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Close(u)
	deliver(body)
}
