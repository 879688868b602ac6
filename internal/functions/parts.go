package functions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

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
	"github.com/fleetstep/fleetstep/internal/flow/onboard"
	"github.com/fleetstep/fleetstep/internal/flow/script"
	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	upgrades3 "github.com/fleetstep/fleetstep/internal/flow/upgrade/s3"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
	"github.com/fleetstep/fleetstep/internal/jobs/iotjobs"
	jobssns "github.com/fleetstep/fleetstep/internal/jobs/sns"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
	workflowiot "github.com/fleetstep/fleetstep/internal/workflow/iot"
	workflowsqs "github.com/fleetstep/fleetstep/internal/workflow/sqs"
	workflowsfn "github.com/fleetstep/fleetstep/internal/workflow/stepfunctions"
)

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
	out := &lines{w: env.Stdout}
	var err error
	p.log, err = newLog(out, env.Get(environment.LogLevel), now)
	p.failed(err)
	namespace := env.Get(environment.MetricsNamespace)
	if namespace == "" {
		namespace = metrics.Namespace
	}
	p.emf = &emf{w: out, namespace: namespace, now: now}
	return p
}

// err is what a constructor of a function fails with, nil if all its parts could be made.
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

// must is an environment variable that has to be set.
func (p *parts) must(name string) string {
	v := p.env.Get(name)
	if v == "" {
		p.failed(fmt.Errorf("environment variable %s is not set", name))
	}
	return v
}

// onboardingPerMinute is how many devices that appear are onboarded in a minute.
func (p *parts) onboardingPerMinute() int {
	text := p.must(environment.OnboardingPerMinute)
	n, err := strconv.Atoi(text)
	if text != "" && (err != nil || n < 0) {
		p.failed(fmt.Errorf("environment variable %s is %q: a whole number, 0 or more, is needed",
			environment.OnboardingPerMinute, text))
	}
	return n
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
	all = append(all, onboard.New(event.EndpointID(controller), upgrade.Subscriptions()))
	for _, o := range p.scripts() {
		all = append(all, script.New(o, event.EndpointID(controller)))
	}
	flows, err := event.NewFlows(all...)
	p.failed(err)
	return flows.Of(p.env.Get(environment.StackName))
}

// machine runs executions of each operation, and resumes their tasks.
func (p *parts) machine() *workflowsfn.Client {
	prefix := p.must(environment.StateMachines)
	machine := func(o event.Operation) string { return prefix + string(o) + ":" + environment.Live }
	machines := map[event.Operation]string{
		upgrade.Operation: machine(upgrade.Operation), onboard.Operation: machine(onboard.Operation),
	}
	for _, o := range p.scripts() {
		machines[o] = machine(o)
	}
	return workflowsfn.New(sfn.NewFromConfig(p.cfg), machines)
}

// callback resumes tasks.
func (p *parts) callback() *workflowsfn.Client {
	return workflowsfn.New(sfn.NewFromConfig(p.cfg), nil)
}

// starter begins attempts: for the rule of notify-next, for devices that appear, for the queue of starts.
func (p *parts) starter(store *workflowdb.Store, flows event.Flows) *workflow.Starter {
	starter, err := workflow.NewStarter(workflow.StarterPorts{
		Store: store, Controls: store, Machine: p.machine(), Orders: p.orders(store),
		Reports: p.reports(flows), Registry: p.things(), Announce: p.announcer(), Flows: flows, Now: p.now, Who: who,
	})
	p.failed(err)
	return starter
}

// orders are the owners of attempts: jobs, and campaigns.
func (p *parts) orders(store *workflowdb.Store) workflow.Orders {
	return workflow.Counted(orders{p.executions(), p.log}, store, p.now)
}

func (p *parts) store() *workflowdb.Store {
	return workflowdb.New(dynamodb.NewFromConfig(p.cfg, workflowdb.Options), p.must(environment.Table))
}

// waker fills the queue of starts.
func (p *parts) waker() *workflowsqs.Queue {
	return workflowsqs.New(sqs.NewFromConfig(p.cfg), p.must(environment.StartQueue))
}

func (p *parts) things() *workflowiot.Things { return workflowiot.New(iot.NewFromConfig(p.cfg)) }

// executions are job executions, control the jobs themselves.
func (p *parts) executions() *iotjobs.Executions {
	return iotjobs.NewExecutions(p.cfg, p.endpoint(environment.JobsEndpoint), iot.NewFromConfig(p.cfg), p.now)
}

func (p *parts) control(template string) *iotjobs.Control {
	return iotjobs.NewControl(iot.NewFromConfig(p.cfg), template)
}

func (p *parts) images(bucket string) *upgrades3.Store { return upgrades3.NewStore(p.s3(), bucket) }

func (p *parts) outcomes() *jobssns.Topic {
	return jobssns.New(sns.NewFromConfig(p.cfg, jobssns.Options), p.must(environment.OutcomeTopic))
}

func (p *parts) s3() *s3.Client {
	return s3.NewFromConfig(p.cfg, func(o *s3.Options) {
		// Another endpoint than AWS's has no host name per bucket.
		o.UsePathStyle = p.cfg.BaseEndpoint != nil
	})
}

func (p *parts) controller() usp.EndpointID {
	id := usp.EndpointID(p.must(environment.ControllerEndpoint))
	if err := id.Validate(); id != "" && err != nil {
		p.failed(fmt.Errorf("%s: %w", environment.ControllerEndpoint, err))
	}
	if len(id) > longestController {
		p.failed(fmt.Errorf("%s: %q: at most %d characters", environment.ControllerEndpoint, id, longestController))
	}
	return id
}

// longestController is how many characters the controller's id may have, as the stack
// says: with a thing's name of 128 they make a topic of at most 256 bytes, AWS IoT's limit.
const longestController = 64

// topics are where agents and the controller are reached.
func (p *parts) topics() device.Topics {
	t := device.Topics{
		Agent:      usp.TopicTemplate(p.must(environment.AgentTopic)),
		Controller: usp.TopicTemplate(p.must(environment.ControllerTopic)),
	}
	p.checkTopic(environment.AgentTopic, t.Agent)
	p.checkTopic(environment.ControllerTopic, t.Controller)
	return t
}

func (p *parts) checkTopic(name string, template usp.TopicTemplate) {
	if err := template.Validate(); err != nil {
		p.failed(fmt.Errorf("%s: %w", name, err))
	}
	if !strings.Contains(string(template), "{thing}") {
		p.failed(fmt.Errorf("%s: %q has no {thing}", name, string(template)))
	}
}

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

// sender publishes to agents, queue is where their messages come from.
func (p *parts) sender(addresses device.Addresses) *devicebroker.Sender {
	url := p.endpoint(environment.DataEndpoint)
	api := iotdataplane.NewFromConfig(p.cfg, func(o *iotdataplane.Options) { o.BaseEndpoint = &url })
	return devicebroker.New(api, p.controller(), p.topics(), addresses)
}

func (p *parts) queue() *devicesqs.Queue {
	return devicesqs.New(sqs.NewFromConfig(p.cfg), p.must(environment.MessageQueue))
}
