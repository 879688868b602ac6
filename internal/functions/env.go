package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/fleetstep/fleetstep/internal/device"
	devicebroker "github.com/fleetstep/fleetstep/internal/device/iotdataplane"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/jobs/iotjobs"
	jobss3 "github.com/fleetstep/fleetstep/internal/jobs/s3"
	jobssns "github.com/fleetstep/fleetstep/internal/jobs/sns"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
	workflowiot "github.com/fleetstep/fleetstep/internal/workflow/iot"
	workflowsfn "github.com/fleetstep/fleetstep/internal/workflow/stepfunctions"
)

// Env is a function's surroundings.
type Env struct {
	Get    func(name string) string // environment variables
	Stdout io.Writer                // log lines and metrics; nil is os.Stdout
}

// OS is the environment of this process.
func OS() Env { return Env{Get: os.Getenv, Stdout: os.Stdout} }

// Vars is an environment given as a map.
func Vars(vars map[string]string, stdout io.Writer) Env {
	return Env{Get: func(name string) string { return vars[name] }, Stdout: stdout}
}

// parts is what handlers are made of, each made when first asked for. The first
// error is kept, and makes the constructor fail.
type parts struct {
	ctx  context.Context
	env  Env
	cfg  aws.Config
	now  func() time.Time
	log  *slog.Logger
	emf  *emf
	errs []error
}

func newParts(ctx context.Context, env Env, cfg aws.Config, now func() time.Time) *parts {
	if now == nil {
		now = time.Now
	}
	if env.Stdout == nil {
		env.Stdout = os.Stdout
	}
	p := &parts{ctx: ctx, env: env, cfg: cfg, now: now}
	var level slog.Level
	if v := env.Get(event.EnvLogLevel); v != "" {
		if err := level.UnmarshalText([]byte(v)); err != nil {
			p.errs = append(p.errs, fmt.Errorf("%s: %w", event.EnvLogLevel, err))
		}
	}
	out := &lines{w: env.Stdout}
	p.log = slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Time(slog.TimeKey, now().UTC())
			}
			return a
		},
	}))
	namespace := env.Get(event.EnvMetricsNamespace)
	if namespace == "" {
		namespace = event.MetricsNamespace
	}
	p.emf = &emf{w: out, namespace: namespace, now: now}
	return p
}

func (p *parts) err(function string) error {
	if len(p.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", function, errors.Join(p.errs...))
}

func (p *parts) must(name string) string {
	v := p.env.Get(name)
	if v == "" {
		p.errs = append(p.errs, fmt.Errorf("environment variable %s is not set", name))
	}
	return v
}

// endpoint is the address of a data plane of AWS IoT, which prepare-account has
// found when the stack was made. Where the SDK is told of an endpoint for all
// services, it is that.
func (p *parts) endpoint(name string) string {
	if p.cfg.BaseEndpoint != nil {
		return *p.cfg.BaseEndpoint
	}
	return p.must(name)
}

func (p *parts) store() *workflowdb.Store {
	return workflowdb.New(dynamodb.NewFromConfig(p.cfg, workflowdb.Options), p.must(event.EnvTable))
}

func (p *parts) steps(machine string) *workflowsfn.Client {
	return workflowsfn.New(sfn.NewFromConfig(p.cfg), machine)
}

func (p *parts) executions() *iotjobs.Executions {
	return iotjobs.NewExecutions(p.cfg, p.endpoint(event.EnvJobsEndpoint), iot.NewFromConfig(p.cfg), p.now)
}

func (p *parts) images(bucket string) *jobss3.Store {
	return jobss3.New(s3.NewFromConfig(p.cfg, func(o *s3.Options) {
		// Another endpoint than AWS's has no host name per bucket.
		o.UsePathStyle = p.cfg.BaseEndpoint != nil
	}), bucket)
}

func (p *parts) outcomes() *jobssns.Topic {
	return jobssns.New(sns.NewFromConfig(p.cfg, jobssns.Options), p.must(event.EnvOutcomeTopic))
}

func (p *parts) control(template string) *iotjobs.Control {
	return iotjobs.NewControl(iot.NewFromConfig(p.cfg), template)
}

func (p *parts) things() *workflowiot.Things { return workflowiot.New(iot.NewFromConfig(p.cfg)) }

func (p *parts) controller() usp.EndpointID {
	id := usp.EndpointID(p.must(event.EnvControllerEndpoint))
	if err := id.Validate(); id != "" && err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s: %w", event.EnvControllerEndpoint, err))
	}
	return id
}

func (p *parts) topics() device.Topics {
	t := device.Topics{
		Agent:      usp.TopicTemplate(p.must(event.EnvAgentTopic)),
		Controller: usp.TopicTemplate(p.must(event.EnvControllerTopic)),
	}
	for name, template := range map[string]usp.TopicTemplate{event.EnvAgentTopic: t.Agent, event.EnvControllerTopic: t.Controller} {
		if err := template.Validate(); err != nil {
			p.errs = append(p.errs, fmt.Errorf("%s: %w", name, err))
		}
		if !strings.Contains(string(template), "{thing}") {
			p.errs = append(p.errs, fmt.Errorf("%s: %q has no {thing}", name, string(template)))
		}
	}
	return t
}

func (p *parts) sender() *devicebroker.Sender {
	url := p.endpoint(event.EnvDataEndpoint)
	api := iotdataplane.NewFromConfig(p.cfg, func(o *iotdataplane.Options) { o.BaseEndpoint = &url })
	return devicebroker.New(api, p.controller(), p.topics())
}

// logger is the log of one invocation.
func (p *parts) logger(ctx context.Context, attrs ...any) *slog.Logger {
	l := p.log
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		l = l.With(event.LogRequestID, lc.AwsRequestID)
	}
	return l.With(attrs...)
}

// jobPort is job executions as workflow needs them.
type jobPort struct{ jobs.Executions }

func (j jobPort) Begin(ctx context.Context, thing event.ThingName, job event.JobID, number int64) error {
	err := j.Update(ctx, thing, job, number, event.StatusInProgress, nil)
	if errors.Is(err, jobs.ErrOver) {
		return workflow.ErrOver
	}
	return err
}

func (j jobPort) Over(ctx context.Context, thing event.ThingName, job event.JobID, number int64) (bool, error) {
	status, err := j.Status(ctx, thing, job, number)
	if errors.Is(err, jobs.ErrOver) {
		return true, nil
	}
	return status.Terminal(), err
}

func (j jobPort) Reject(ctx context.Context, thing event.ThingName, job event.JobID, number int64, f event.Failure) error {
	err := j.Update(ctx, thing, job, number, f.Name.Status(), map[string]string{"reason": string(f.Name), "detail": f.Detail})
	if errors.Is(err, jobs.ErrOver) {
		return nil
	}
	return err
}
