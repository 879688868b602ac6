// Package localcloud is the part of AWS that a serverless IoT application needs, in one
// process: small and faithful implementations of the services behind one HTTP port with their
// own protocols, and an MQTT broker. It knows nothing of the application, which comes as a
// CloudFormation template and as Lambda functions.
//
// A Cloud is made by New, continued by Start, and gets a template by Deploy. It is reached
// over the network by Serve (real time) or by calls from inside the process (virtual time).
// Everything acknowledged is in Config.Store. A Cloud with the same store continues where the
// last one was, however that one ended.
//
// This file builds the services and gives each the ports that it needs; adapters.go has what
// connects two of them. The package comment of each service has its differences from AWS.
package localcloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/cloudformation"
	"github.com/fleetstep/fleetstep/internal/localcloud/cloudwatch"
	"github.com/fleetstep/fleetstep/internal/localcloud/cloudwatchlogs"
	"github.com/fleetstep/fleetstep/internal/localcloud/dynamodb"
	"github.com/fleetstep/fleetstep/internal/localcloud/entrance"
	"github.com/fleetstep/fleetstep/internal/localcloud/eventbridgescheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/iam"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/topicrule"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotdataplane/broker"
	"github.com/fleetstep/fleetstep/internal/localcloud/iotjobsdataplane"
	"github.com/fleetstep/fleetstep/internal/localcloud/kms"
	"github.com/fleetstep/fleetstep/internal/localcloud/lambda"
	"github.com/fleetstep/fleetstep/internal/localcloud/platform"
	"github.com/fleetstep/fleetstep/internal/localcloud/quotas"
	"github.com/fleetstep/fleetstep/internal/localcloud/s3"
	"github.com/fleetstep/fleetstep/internal/localcloud/scheduler"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn"
	"github.com/fleetstep/fleetstep/internal/localcloud/sns"
	"github.com/fleetstep/fleetstep/internal/localcloud/sqs"
	"github.com/fleetstep/fleetstep/internal/localcloud/ssm"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
	"github.com/fleetstep/fleetstep/internal/localcloud/sts"
	"github.com/fleetstep/fleetstep/internal/localcloud/weather"
)

// Config is what a Cloud is made from.
type Config struct {
	Scheduler *scheduler.Scheduler
	Store     *store.DB
	// DataDir is the folder for what is not in the store: S3 bodies and
	// unpacked Lambda packages. "" keeps bodies in the store and refuses
	// packages.
	DataDir string
	Account string // twelve digits
	Region  string
	Log     *slog.Logger // nil: nothing is logged
	// Endpoint is the URL of the door, as functions and clients reach it.
	Endpoint string
	// MQTTEndpoint is what iot:DescribeEndpoint answers: host, or host:port
	// where the port is not AWS's.
	MQTTEndpoint string
	// AssetDir holds a folder for each function, with its bootstrap; code
	// whose S3 key is "<folder>.zip" comes from there. "" for none.
	AssetDir string
	// InProcess, if set, makes the handlers of functions in this process, in
	// place of running their bootstraps.
	InProcess func(ctx context.Context, c *Cloud, f lambda.Function, id awsapi.Identity) (lambda.Handler, error)
	// DiscardLogs keeps no log events: they are authorised and counted, and
	// their metrics are taken from them.
	DiscardLogs bool
	// MinFree is how many bytes of the disk are kept free: below it work from
	// outside is refused as by a service that throttles, below a quarter of it
	// also what roles ask for. 0 refuses nothing.
	MinFree uint64
	// Free measures the free bytes; nil asks the store's disk.
	Free func() (uint64, error)
	// MaxEnvironments bounds the processes of one function; 0 means 16.
	MaxEnvironments int
	// Connections bounds what may be open at a time; its zero value is what
	// the process can afford.
	Connections entrance.Limits
	// Limits bound each MQTT client; nil is AWS's.
	Limits *iotdataplane.Limits
	// Fault, if set, makes calls fail as AWS's do; see awsapi.Config.
	Fault awsapi.Fault
	// Weather is what AWS does on bad days, from BeginWeather on; the zero value is
	// fair. Quotas are those that the account is held to, from BeginWeather on, too;
	// "" is none.
	Weather Weather
	Quotas  quotas.Account
}

// service is what all services have in common.
type service interface {
	API() awsapi.Service
	Start(ctx context.Context) error
	Residue(ctx context.Context) []string
}

// Cloud is the AWS of one account and region. Its methods are safe for
// concurrent use.
type Cloud struct {
	config    Config
	door      *awsapi.Door
	iam       *iam.Service
	sts       *sts.Service
	lambda    *lambda.Service
	iot       *iot.Service
	rules     *topicrule.Service
	data      *iotdataplane.Service
	stacks    *cloudformation.Service
	metrics   *cloudwatch.Service
	services  []service
	responses *responses
	server    *http.Server
	broker    *broker.Broker
	entrance  *entrance.Entrance
	started   *scheduler.Gate
	closed    *atomic.Bool
	failures  failures
	calls     *calls
	weather   *weather.Weather
	quotas    *quotas.Quotas
}

// New builds the services over what the store holds; it starts nothing.
func New(c Config) (*Cloud, error) {
	if c.Free == nil {
		c.Free = c.Store.Free
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	closed := new(atomic.Bool)
	c.Log = slog.New(closableLog{c.Log.Handler(), closed})
	cl := &Cloud{config: c, closed: closed, started: c.Scheduler.NewGate(), calls: newCalls(),
		responses: newResponses(c.Scheduler, c.Endpoint)}
	c.Scheduler.OnFailure(cl.failed)
	cl.entrance = entrance.New(c.Scheduler, c.Connections)
	given := platform.Platform{Scheduler: c.Scheduler, Store: c.Store, Account: c.Account, Region: c.Region,
		Log: c.Log, Weather: cl.newWeather(), Quotas: quotas.New(c.Scheduler, c.Quotas)}
	cl.weather, cl.quotas = given.Weather, given.Quotas
	cl.iam = iam.New(iam.Config{Platform: given})
	cl.sts = sts.New(sts.Config{Platform: given, Keys: cl.iam, Roles: cl.iam})
	cl.door = awsapi.New(awsapi.Config{Scheduler: c.Scheduler, Account: c.Account, Region: c.Region,
		Authorizer: cl.iam, Authenticator: cl.sts, Fault: cl.calls.counted(c.Fault), Around: cl.around(),
		Full: cl.full})
	given.Caller = cl.door
	cl.metrics = cloudwatch.New(cloudwatch.Config{Platform: given})
	logs := cloudwatchlogs.New(cloudwatchlogs.Config{Platform: given, Metrics: cl.metrics, Discard: c.DiscardLogs})
	blobs, code := "", ""
	if c.DataDir != "" {
		blobs, code = filepath.Join(c.DataDir, "s3"), filepath.Join(c.DataDir, "lambda")
	}
	objects, err := s3.New(s3.Config{Platform: given, BlobDir: blobs})
	if err != nil {
		return nil, fmt.Errorf("localcloud: %w", err)
	}
	queues := sqs.New(sqs.Config{Platform: given, Endpoint: c.Endpoint, Metrics: cl.metrics})
	cl.lambda = lambda.New(lambda.Config{
		Platform: given,
		Roles:    cl.iam, Executor: runs{cl.executor(), cl.calls}, Metrics: cl.metrics, Assets: cl.asset,
		CodeDir: code,
		Queues:  queues,
	})
	machines := sfn.New(sfn.Config{
		Platform: given,
		Roles:    cl.iam, Metrics: cl.metrics.StateMachines(), Logs: machineLogs{cl},
	})
	if err := cl.buildIoT(given); err != nil {
		return nil, fmt.Errorf("localcloud: %w", err)
	}
	jobsData := iotjobsdataplane.New(iotjobsdataplane.Config{Platform: given, Executions: cl.iot.Jobs()})
	cl.data.Reserved = reserved{jobsData}
	cl.stacks = cloudformation.New(cloudformation.Config{
		Platform:     given,
		ResponseURLs: cl.responses, Roles: cl.iam, Hosts: []string{host(c.Endpoint)},
	})
	keys := kms.New(kms.Config{Platform: given})
	cl.door.UseKeys(keys)
	cl.services = []service{
		cl.iam, cl.sts, logs, cl.metrics, objects,
		dynamodb.New(dynamodb.Config{Platform: given}),
		queues,
		sns.New(sns.Config{Platform: given, Endpoint: c.Endpoint}),
		keys,
		ssm.New(ssm.Config{Platform: given}),
		cl.lambda, machines,
		eventbridgescheduler.New(eventbridgescheduler.Config{
			Platform: given,
			Roles:    cl.iam, Metrics: cl.metrics, Built: cl.built,
		}),
		cl.iot, jobsData, cl.data, cl.stacks,
	}
	for _, s := range cl.services {
		cl.door.Add(s.API())
	}
	return cl, nil
}

// built says whether a service has an operation.
func (c *Cloud) built(service, operation string) bool {
	s := c.door.Lookup(service)
	if s == nil {
		return false
	}
	_, ok := s.Operation(operation)
	return ok
}

// buildIoT builds the three packages of AWS IoT, which know each other.
func (c *Cloud) buildIoT(given platform.Platform) (err error) {
	c.rules, err = topicrule.New(topicrule.Config{
		Platform: given,
		Roles:    c.iam, Objects: ruleObjects{c.door}, Metrics: c.metrics,
	})
	if err != nil {
		return err
	}
	c.iot, err = iot.New(iot.Config{
		Platform:  given,
		Endpoints: iot.Endpoints{Data: c.config.MQTTEndpoint}, Publisher: publisher{c}, Presigner: presigner{c},
		Rules: c.rules, Metrics: jobMetrics{c.metrics},
	})
	if err != nil {
		return err
	}
	limits := iotdataplane.AWSLimits
	if c.config.Limits != nil {
		limits = *c.config.Limits
	}
	c.data, err = iotdataplane.New(iotdataplane.Config{
		Platform: given,
		Devices:  devices{c.iot}, Rules: rules{c.rules}, Changed: c.presence, Metrics: brokerMetrics{c.metrics},
		Limits: limits,
	})
	return err
}

// Door is where calls enter, over HTTP or from inside.
func (c *Cloud) Door() *awsapi.Door { return c.door }

// Devices is where in-process MQTT clients connect.
func (c *Cloud) Devices() *iotdataplane.Service { return c.data }

// CA is the certificate, in PEM form, that signs the broker's.
func (c *Cloud) CA() ([]byte, error) { return c.iot.CA() }

// Start resumes what the store says was under way. Nothing resumed runs, and no
// request is taken, before every service knows what it has to resume: else a
// service could find in its store what another one, or a client, had just begun,
// and begin it once more. For the same reason the rules come first: the broker
// publishes when it starts.
func (c *Cloud) Start(ctx context.Context) error {
	c.config.Scheduler.Hold()
	defer c.started.Open()
	defer c.config.Scheduler.Release()
	if err := c.rules.Start(ctx); err != nil {
		return fmt.Errorf("localcloud: start topic rules: %w", err)
	}
	for _, s := range c.services {
		if err := s.Start(ctx); err != nil {
			return fmt.Errorf("localcloud: start %s: %w", s.API().ID, err)
		}
	}
	return nil
}

// Deploy creates or updates a stack from a template, as the account's root, and
// returns its outputs.
func (c *Cloud) Deploy(ctx context.Context, stack string, template []byte, parameters map[string]string) (
	map[string]string, error) {
	return c.stacks.Deploy(ctx, awsapi.RootOf(c.config.Account), cloudformation.Deployment{Name: stack,
		Template: template, Parameters: parameters})
}

// Listeners are where a cloud is reached; each may be nil.
type Listeners struct {
	HTTP  net.Listener
	MQTT  net.Listener // plain
	MQTTS net.Listener // mutual TLS
	Hosts []string     // names for the TLS certificate beside localhost and 127.0.0.1
}

// Handler is all that answers behind Config.Endpoint: the door, the addresses
// to which custom resources answer, and what inspect serves. Requests wait until
// Start is done.
func (c *Cloud) Handler() http.Handler {
	mux := http.NewServeMux()
	c.inspect(mux)
	mux.Handle(responsePath, c.responses)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.started.Wait(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/_localcloud/") {
			mux.ServeHTTP(w, r)
			return
		}
		c.door.ServeHTTP(w, r) // not by the mux, which takes keys of S3 for paths
	})
}

// Credentials are temporary credentials of an identity, for handlers in this
// process.
func (c *Cloud) Credentials(ctx context.Context, id awsapi.Identity, ttl time.Duration) (accessKeyID, secret,
	sessionToken string, err error) {
	return c.sts.Issue(ctx, id, ttl)
}

// ServeHTTP begins to serve the door on l.
func (c *Cloud) ServeHTTP(l net.Listener) {
	c.server = &http.Server{
		Handler: c.entrance.Handler(c.Handler()), ConnContext: entrance.ConnContext,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 3 * time.Minute,
		ErrorLog: slog.NewLogLogger(c.config.Log.Handler(), slog.LevelDebug),
	}
	c.config.Scheduler.Go("http server", func() {
		if err := c.server.Serve(c.entrance.Listener("http", l, 0)); err != nil &&
			!errors.Is(err, http.ErrServerClosed) {
			c.config.Log.Error("the HTTP server ended", "error", err)
		}
	})
}

// ServeMQTT begins to serve the broker.
func (c *Cloud) ServeMQTT(l Listeners) error {
	b, err := broker.New(broker.Config{Core: c.data, Scheduler: c.config.Scheduler, Log: c.config.Log,
		Entrance: c.entrance})
	if err != nil {
		return fmt.Errorf("localcloud: broker: %w", err)
	}
	if l.MQTT != nil {
		if err := b.Listen(l.MQTT); err != nil {
			return fmt.Errorf("localcloud: broker: %w", err)
		}
	}
	if l.MQTTS != nil {
		certificate, err := c.iot.ServerCertificate(l.Hosts...)
		if err != nil {
			return fmt.Errorf("localcloud: broker: %w", err)
		}
		if err := b.ListenTLS(l.MQTTS, &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAnyClientCert, VerifyPeerCertificate: c.iot.VerifyClient,
		}); err != nil {
			return fmt.Errorf("localcloud: broker: %w", err)
		}
	}
	c.broker = b
	return b.Serve()
}

// grace is how long tasks may take to notice that the store is closed.
const grace = time.Second

// Close stops serving, closes the store and ends what runs. A stop is a crash
// that was announced: once the store is closed, nothing that is cut off can be
// taken for a failure, and the next Start resumes it.
func (c *Cloud) Close(ctx context.Context) error {
	var errs []error
	if c.broker != nil {
		errs = append(errs, c.data.Close(ctx), c.broker.Close())
	}
	if c.server != nil {
		errs = append(errs, c.server.Close())
	}
	errs = append(errs, c.metrics.Close(ctx))
	c.closed.Store(true)
	errs = append(errs, c.config.Store.Close())
	c.lambda.Close()
	ctx, cancel := c.config.Scheduler.WithTimeout(ctx, grace)
	defer cancel()
	if err := c.config.Scheduler.Close(ctx); err != nil {
		c.config.Log.Debug("cut off", "what", err)
	}
	return errors.Join(errs...)
}
