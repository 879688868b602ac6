package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/fleetstep/fleetstep/internal/device"
	"github.com/fleetstep/fleetstep/internal/device/cloudfront"
	devicebroker "github.com/fleetstep/fleetstep/internal/device/iotdataplane"
	devices3 "github.com/fleetstep/fleetstep/internal/device/s3"
	devicesqs "github.com/fleetstep/fleetstep/internal/device/sqs"
	devicessm "github.com/fleetstep/fleetstep/internal/device/ssm"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/flow/script"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	upgrades3 "github.com/fleetstep/fleetstep/internal/flow/upgrade/s3"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/jobs"
	"github.com/fleetstep/fleetstep/internal/jobs/iotjobs"
	jobssns "github.com/fleetstep/fleetstep/internal/jobs/sns"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
	workflowiot "github.com/fleetstep/fleetstep/internal/workflow/iot"
	workflowsqs "github.com/fleetstep/fleetstep/internal/workflow/sqs"
	workflowsfn "github.com/fleetstep/fleetstep/internal/workflow/stepfunctions"
)

// Env is a function's surroundings.
type Env struct {
	Get    func(name string) string // environment variables
	Stdout io.Writer                // log lines and metrics; nil is os.Stdout
	// Files are those beside the function's program; nil is none.
	Files fs.FS
	// Parallel calls do with 0 to n-1, n being 1 or more, at the same time where it can, and returns
	// when all have returned; nil is with goroutines.
	Parallel func(n int, do func(i int))
}

// OS is the environment of this process.
func OS() Env {
	env := Env{Get: os.Getenv, Stdout: os.Stdout}
	// AWS Lambda Developer Guide, "Using Lambda environment variables": the path to the function's code.
	if root := os.Getenv("LAMBDA_TASK_ROOT"); root != "" {
		env.Files = os.DirFS(root)
	}
	return env
}

// Vars is an environment given as a map.
func Vars(vars map[string]string, stdout io.Writer) Env {
	return Env{Get: func(name string) string { return vars[name] }, Stdout: stdout}
}

// parallel is an Env's Parallel where it has none.
func parallel(n int, do func(i int)) {
	if n == 1 {
		do(0)
		return
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
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
	if env.Parallel == nil {
		env.Parallel = parallel
	}
	p := &parts{ctx: ctx, env: env, cfg: cfg, now: now}
	var level slog.Level
	if v := env.Get(environment.LogLevel); v != "" {
		if err := level.UnmarshalText([]byte(v)); err != nil {
			p.errs = append(p.errs, fmt.Errorf("%s: %w", environment.LogLevel, err))
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
	namespace := env.Get(environment.MetricsNamespace)
	if namespace == "" {
		namespace = metrics.Namespace
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

// failed keeps an error for err.
func (p *parts) failed(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
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
	return workflowdb.New(dynamodb.NewFromConfig(p.cfg, workflowdb.Options), p.must(environment.Table))
}

// callback resumes tasks; machine runs executions, too.
func (p *parts) callback() *workflowsfn.Client {
	return workflowsfn.New(sfn.NewFromConfig(p.cfg), nil)
}

func (p *parts) machine() *workflowsfn.Client {
	prefix := p.must(environment.StateMachines)
	machines := map[event.Operation]string{upgrade.Operation: prefix + string(upgrade.Operation)}
	for _, o := range p.scripts() {
		machines[o] = prefix + string(o)
	}
	return workflowsfn.New(sfn.NewFromConfig(p.cfg), machines)
}

// scripts are the operations that are only a state machine.
func (p *parts) scripts() (all []event.Operation) {
	for name := range strings.SplitSeq(p.env.Get(environment.Operations), ",") {
		if name != "" {
			all = append(all, event.Operation(name))
		}
	}
	return all
}

// flows are the operations that the functions know: those with a room of their own, and
// those that are only a state machine, which the stack names. controller is for functions
// that talk to devices.
func (p *parts) flows(controller usp.EndpointID) event.Flows {
	all := []event.Flow{upgrade.New(event.EndpointID(controller))}
	for _, o := range p.scripts() {
		all = append(all, script.New(o, event.EndpointID(controller)))
	}
	flows, err := event.NewFlows(all...)
	p.failed(err)
	return flows.Of(p.env.Get(environment.StackName))
}

func (p *parts) starter(store *workflowdb.Store, flows event.Flows) *workflow.Starter {
	starter, err := workflow.NewStarter(workflow.StarterPorts{
		Store: store, Controls: store, Machine: p.machine(), Orders: orders{p.executions(), p.log},
		Reports: p.reports(flows), Registry: p.things(), Flows: flows, Now: p.now, Who: who,
	})
	p.failed(err)
	return starter
}

func (p *parts) waker() *workflowsqs.Queue {
	return workflowsqs.New(sqs.NewFromConfig(p.cfg), p.must(environment.StartQueue))
}

func (p *parts) executions() *iotjobs.Executions {
	return iotjobs.NewExecutions(p.cfg, p.endpoint(environment.JobsEndpoint), iot.NewFromConfig(p.cfg), p.now)
}

func (p *parts) s3() *s3.Client {
	return s3.NewFromConfig(p.cfg, func(o *s3.Options) {
		// Another endpoint than AWS's has no host name per bucket.
		o.UsePathStyle = p.cfg.BaseEndpoint != nil
	})
}

func (p *parts) images(bucket string) *upgrades3.Store { return upgrades3.NewStore(p.s3(), bucket) }

// addresses are where devices fetch images from. The bucket is named in the job;
// the variable says that the function may read it.
func (p *parts) addresses() device.Addresses {
	p.must(environment.FirmwareBucket)
	base := p.env.Get(environment.ImageBaseURL)
	if base == "" {
		return devices3.New(p.s3())
	}
	signer, err := cloudfront.New(cloudfront.Config{
		Base: base, Pair: p.must(environment.ImageKeyPair), Now: p.now,
		Keys: devicessm.New(ssm.NewFromConfig(p.cfg), p.must(environment.ImageKeyParameter)),
	})
	p.failed(err)
	return signer
}

func (p *parts) outcomes() *jobssns.Topic {
	return jobssns.New(sns.NewFromConfig(p.cfg, jobssns.Options), p.must(environment.OutcomeTopic))
}

func (p *parts) control(template string) *iotjobs.Control {
	return iotjobs.NewControl(iot.NewFromConfig(p.cfg), template)
}

func (p *parts) things() *workflowiot.Things { return workflowiot.New(iot.NewFromConfig(p.cfg)) }

func (p *parts) controller() usp.EndpointID {
	id := usp.EndpointID(p.must(environment.ControllerEndpoint))
	if err := id.Validate(); id != "" && err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s: %w", environment.ControllerEndpoint, err))
	}
	return id
}

func (p *parts) topics() device.Topics {
	t := device.Topics{
		Agent:      usp.TopicTemplate(p.must(environment.AgentTopic)),
		Controller: usp.TopicTemplate(p.must(environment.ControllerTopic)),
	}
	for name, template := range map[string]usp.TopicTemplate{environment.AgentTopic: t.Agent,
		environment.ControllerTopic: t.Controller} {
		if err := template.Validate(); err != nil {
			p.errs = append(p.errs, fmt.Errorf("%s: %w", name, err))
		}
		if !strings.Contains(string(template), "{thing}") {
			p.errs = append(p.errs, fmt.Errorf("%s: %q has no {thing}", name, string(template)))
		}
	}
	return t
}

func (p *parts) sender(addresses device.Addresses) *devicebroker.Sender {
	url := p.endpoint(environment.DataEndpoint)
	api := iotdataplane.NewFromConfig(p.cfg, func(o *iotdataplane.Options) { o.BaseEndpoint = &url })
	return devicebroker.New(api, p.controller(), p.topics(), addresses)
}

func (p *parts) queue() *devicesqs.Queue {
	return devicesqs.New(sqs.NewFromConfig(p.cfg), p.must(environment.MessageQueue))
}

// logger is the log of one invocation.
func (p *parts) logger(ctx context.Context, attrs ...any) *slog.Logger {
	l := p.log
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		l = l.With(logRequestID, lc.AwsRequestID)
	}
	return l.With(attrs...)
}

// orders are job executions as workflow needs them.
type orders struct {
	jobs.Executions
	log *slog.Logger
}

// Begin implements workflow.Orders.
func (j orders) Begin(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) error {
	// What AWS IoT itself ends, nobody can tell a reason any more: this one stays.
	err := j.Update(ctx, thing, owner.Job, number, event.StatusInProgress, map[string]string{"reason": jobs.Begun})
	if errors.Is(err, jobs.ErrOver) {
		return workflow.ErrOver
	}
	return err
}

// Over implements workflow.Orders.
func (j orders) Over(ctx context.Context, thing event.ThingName, owner event.Owner, number int64) (
	*event.Failure, error) {
	status, err := j.Status(ctx, thing, owner.Job, number)
	switch {
	case errors.Is(err, jobs.ErrTerminal):
		return ended("over"), nil
	case errors.Is(err, jobs.ErrOver):
		return ended("gone"), nil
	case err != nil || !status.Terminal():
		return nil, err
	}
	return ended(string(status)), nil
}

// ended is how an attempt ends that AWS IoT has ended, in AWS IoT's word for it.
func ended(word string) *event.Failure {
	word = strings.ToUpper(word)
	f := event.Failf(event.JobCanceled, "AWS IoT says the job execution is %s", word)
	if word == string(event.StatusTimedOut) {
		f.Name = event.JobTimedOut
	}
	return f
}

// Reject implements workflow.Orders.
func (j orders) Reject(ctx context.Context, thing event.ThingName, owner event.Owner, number int64,
	f event.Failure) error {
	a := jobs.Attempt{Thing: thing, Job: owner.Job, Number: number}
	unsaid, err := jobs.Report(ctx, j.Executions, a, event.StatusRejected, f.Name, f.Detail, nil)
	if unsaid != nil {
		j.log.Error("details refused", logThing, thing, logJob, owner.Job, "error", unsaid.Error())
	}
	if !errors.Is(err, jobs.ErrOver) {
		return err
	}
	status, err := j.Status(ctx, thing, owner.Job, number)
	switch {
	case status == event.StatusRejected:
		return nil // by us, who did not come to say so
	case err == nil || errors.Is(err, jobs.ErrOver):
		return workflow.ErrOver
	}
	return err
}
