package trial

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Config says what to run, and on which cloud.
type Config struct {
	Env     *cli.Env
	AWS     aws.Config
	Broker  string         // mqtts://host:port
	RootCAs *x509.CertPool // of the broker; nil: the machine's
	// Inspect is the address of a local cloud's answers that are no AWS API; "" on AWS.
	Inspect string

	Stack   string
	Devices int
	Event   string // file with create-job's payload
	// Operation is what the job does where it is set, instead of Event.
	Operation Operation
	Faults    string // as simulator.ParseFaults reads them
	Profiles  string // as simulator.ParseProfiles reads them
	// Onboard makes devices that the registry knows nothing of, and has Run wait until
	// the healthy ones are onboarded.
	Onboard bool
	Seed    uint64
	Image   int           // bytes of the firmware image
	Timeout time.Duration // for the job

	// World is where the job is played; nil is over the network, by Broker,
	// RootCAs and Inspect.
	World World
	// Every is the time between two looks at the job; 0 is 250 ms.
	Every time.Duration
	// Patience is how long work may go on after the job's end; 0 is residueWait.
	Patience time.Duration
	// Disturbed is set where the cloud loses messages: a device's absence, say, which
	// gives its failure another name.
	Disturbed bool
	// Summarize makes the document of the last line; nil leaves the Summary as
	// it is.
	Summarize func(context.Context, Summary) (any, error)
	// Campaign plays a campaign instead of a job, where its File is set.
	Campaign Campaign
	// Operator is who is proved to ask for what is done to a campaign; nil is whoever AWS is.
	Operator *aws.Config
	// SummarizeCampaign is Summarize for a campaign.
	SummarizeCampaign func(context.Context, CampaignSummary) (any, error)
}

// World is where a job is played other than over the network.
type World interface {
	// Fleet makes AWS IoT know the things of a plan and returns their agents,
	// switched off, and a name for their transport.
	Fleet(ctx context.Context, p Plan) (fleet *simulator.Fleet, by string, err error)
	// Residue lists the cloud's unfinished work.
	Residue(ctx context.Context) ([]string, error)
	// Transitions are those of the executions of a state machine that succeeded.
	Transitions(ctx context.Context, stateMachineARN string) (Transitions, error)
	// Calls counts the calls of roles until now; empty where the cloud does not count.
	Calls(ctx context.Context) ([]Calls, error)
}

// Plan describes the devices of a job.
type Plan struct {
	Things        []string
	Policy, Group string
	Controller    usp.EndpointID
	// Topics are the stack's; the zero value is the default layout.
	Topics   usp.Layout
	Faults   simulator.Faults
	Profiles simulator.Profiles
	Seed     uint64
	New      bool // the registry does not know what they run
	// Model is that of a thing, as the registry has it; nil is of none.
	Model func(thing string) string
}

// Topics is the layout of a stack, by its outputs.
func Topics(outputs map[string]string) usp.Layout {
	return usp.Layout{Agent: usp.TopicTemplate(outputs["AgentTopic"]),
		Controller: usp.TopicTemplate(outputs["ControllerTopic"])}
}

// Endpoint is the endpoint id that a thing's device will have.
func (p Plan) Endpoint(thing string) event.EndpointID {
	return event.EndpointID(simulator.EndpointIDOf(simulator.OUI, thing))
}

// Attributes are what the registry says of a thing.
func (p Plan) Attributes(thing string) map[string]string {
	all := p.registered()
	all[event.ThingEndpointAttribute] = p.Endpoint(thing).Attribute()
	if p.Model != nil {
		all["model"] = p.Model(thing)
	}
	return all
}

// registered are the attributes that say what the devices run, if the registry knows it.
func (p Plan) registered() map[string]string {
	if p.New {
		return map[string]string{}
	}
	return firmwareAttribute(simulator.FactoryVersion)
}

// firmwareAttribute is the thing attribute by which a dynamic thing group finds devices
// of a version. A device has it from its provisioning; after that, Finalize keeps it up
// to date (package upgrade).
func firmwareAttribute(version string) map[string]string {
	return map[string]string{"firmwareVersion": version}
}

// Summary is the last line's document.
type Summary struct {
	JobID      string     `json:"jobId"`
	Devices    int        `json:"devices"`
	Succeeded  int        `json:"succeeded"`
	Failed     int        `json:"failed"`
	Rejected   int        `json:"rejected"`
	TimedOut   int        `json:"timedOut"`
	Canceled   int        `json:"canceled"`
	Seconds    float64    `json:"seconds"`
	PerUpgrade PerUpgrade `json:"perUpgrade"`
	// Models counts, where models or faults were asked for, how their devices ended: by
	// profile, "reference" for the recorded device, and fault, "healthy" for none, then by reason,
	// "success" for none. A device that the job did not reach counts under "no job execution".
	Models map[string]map[string]map[string]int `json:"models,omitempty"`
}

// clients are the services that a trial talks to.
type clients struct {
	cloudformation *cloudformation.Client
	dynamodb       *dynamodb.Client
	iot            *iot.Client
	lambda         *lambda.Client
	s3             *s3.Client
	sfn            *sfn.Client
}

func newClients(cfg aws.Config) clients {
	return clients{
		cloudformation: cloudformation.NewFromConfig(cfg),
		dynamodb:       dynamodb.NewFromConfig(cfg),
		iot:            iot.NewFromConfig(cfg),
		lambda:         lambda.NewFromConfig(cfg),
		s3:             s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil }),
		sfn:            sfn.NewFromConfig(cfg),
	}
}

// run is a trial that is running.
type run struct {
	Config
	clients
	outputs   map[string]string
	payload   []byte
	operation string // the payload's
	machine   string // ARN of the operation's state machine
	version   string // of an upgrade
	group     string
	plan      simulator.Faults
	models    simulator.Profiles
	faults    []*simulator.Fault   // by device, nil for the healthy ones
	profiles  []*simulator.Profile // by device, nil for the recorded one
	things    []string
	start     time.Time
	// callsBefore are the counts when the job was created.
	callsBefore []Calls
}

// Run plays a trial. It returns cli.ErrFailed if a device did not end
// as it should, or something was left behind.
func Run(ctx context.Context, c Config) error {
	r := &run{Config: c, clients: newClients(c.AWS)}
	if c.Campaign.File != "" {
		return r.campaign(ctx)
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.printf("%d simulated agents; provisioning things and certificates", c.Devices)
	fleet, by, err := r.world().Fleet(ctx, Plan{
		Things: r.things, Policy: r.outputs["DevicePolicyName"], Group: r.group,
		Controller: usp.EndpointID(r.outputs["ControllerEndpointId"]), Topics: Topics(r.outputs), Faults: r.plan,
		Profiles: r.models, Seed: r.Seed,
		New: r.Onboard,
	})
	if err != nil {
		return err
	}
	fleet.Start()
	defer fleet.Stop()
	if err := r.awaitAgents(ctx, fleet, by); err != nil {
		return err
	}
	if err := r.awaitOnboarding(ctx); err != nil {
		return err
	}
	if r.callsBefore, err = r.world().Calls(ctx); err != nil {
		return err
	}
	r.start = r.Env.Now()
	created, err := cli.CreateJob(ctx, r.lambda, c.Stack, r.payload)
	if err != nil {
		return err
	}
	r.printf("job %s: %s", created.JobID, r.subject())
	state, err := r.watch(ctx, created.JobID)
	if err != nil {
		return err
	}
	return r.conclude(ctx, state, fleet)
}

func (r *run) printf(format string, args ...any) { fmt.Fprintf(r.Env.Out, format+"\n", args...) }

// prepare reads the payload and the stack, and uploads the firmware.
func (r *run) prepare(ctx context.Context) error {
	var err error
	if r.plan, err = simulator.ParseFaults(r.Faults); err != nil {
		return cli.UsageError{Err: err}
	}
	if r.faults, err = r.plan.Assign(r.Devices, r.Seed); err != nil {
		return cli.UsageError{Err: err}
	}
	if r.models, err = simulator.ParseProfiles(r.Profiles); err != nil {
		return cli.UsageError{Err: err}
	}
	if r.profiles, err = r.models.Assign(r.faults, r.Seed); err != nil {
		return cli.UsageError{Err: err}
	}
	for i := range r.Devices {
		r.things = append(r.things, simulator.ThingName(i+1))
	}
	stack, err := r.cloudformation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &r.Stack})
	if err != nil {
		return err
	}
	r.outputs = map[string]string{}
	for _, o := range stack.Stacks[0].Outputs {
		r.outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	if err := r.readPayload(r.outputs["StateMachineArn"]); err != nil {
		return err
	}
	if r.version == "" {
		return nil // create-job will say what is missing
	}
	image := simulator.MakeImage(r.version, r.Image, r.Seed)
	key := r.version + "/gateway.bin"
	_, err = r.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(r.outputs["FirmwareBucketName"]), Key: &key,
		Body: bytes.NewReader(image)})
	if err == nil {
		r.printf("firmware %s: %d bytes at s3://%s/%s", r.version, len(image), r.outputs["FirmwareBucketName"], key)
	}
	return err
}

// awaitAgents waits until the devices that should be there at the start are.
func (r *run) awaitAgents(ctx context.Context, fleet *simulator.Fleet, by string) error {
	want := r.Devices
	for i, f := range r.faults {
		if f != nil && f.Name == simulator.OfflineAtStart || r.profiles[i] != nil && r.profiles[i].Sleeps {
			want--
		}
	}
	for deadline := r.Env.Now().Add(30*time.Second + time.Duration(r.Devices)*20*time.Millisecond); ; {
		p := fleet.Progress()
		if n := r.Devices - p.Off - p.Offline; n >= want {
			r.printf("%d agents connected over %s, %d to appear later", n, by, r.Devices-want)
			return nil
		} else if r.Env.Now().After(deadline) {
			return fmt.Errorf("only %d of %d agents could connect over %s", n, want, by)
		}
		if err := r.Env.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// awaitOnboarding waits until the registry knows the model of each healthy device. A
// device with a fault need not be able to tell it.
func (r *run) awaitOnboarding(ctx context.Context) error {
	if !r.Onboard {
		return nil
	}
	var missing []string
	for i, thing := range r.things {
		if r.faults[i] == nil {
			missing = append(missing, thing)
		}
	}
	healthy := len(missing)
	// The clock starts a limited number of onboardings each minute. Where messages are lost, a device is asked again
	// some minutes later.
	limit := 5*time.Minute + time.Duration(r.Devices)*100*time.Millisecond
	if r.Disturbed {
		limit += 30 * time.Minute
	}
	for deadline := r.Env.Now().Add(limit); ; {
		for len(missing) > 0 {
			out, err := r.iot.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: &missing[0]})
			if err != nil {
				return err
			}
			if out.Attributes[event.ThingModelAttribute] == "" {
				break // the next look
			}
			missing = missing[1:]
		}
		if len(missing) == 0 {
			r.printf("%d devices onboarded", healthy)
			return nil
		}
		if r.Env.Now().After(deadline) {
			return fmt.Errorf("%d of %d healthy devices were not onboarded", len(missing), healthy)
		}
		if err := r.Env.Sleep(ctx, r.pollInterval()); err != nil {
			return err
		}
	}
}

func (r *run) pollInterval() time.Duration {
	if r.Every > 0 {
		return r.Every
	}
	return 250 * time.Millisecond
}

func (r *run) watch(ctx context.Context, job string) (*cli.State, error) {
	progress := cli.NewProgress(r.Env)
	defer progress.Close()
	for {
		s, err := cli.Describe(ctx, r.iot, job)
		if err != nil {
			return nil, err
		}
		progress.Show(s)
		switch {
		case s.Ended():
			return s, nil
		case r.Env.Now().Sub(r.start) > r.Timeout:
			return s, nil // the summary tells who is missing
		}
		if err := r.Env.Sleep(ctx, r.pollInterval()); err != nil {
			return nil, err
		}
	}
}

// conclude compares what happened with what should have, and prints the
// summary as the last line.
func (r *run) conclude(ctx context.Context, s *cli.State, fleet *simulator.Fleet) error {
	seconds := r.Env.Now().Sub(r.start).Seconds()
	failures, err := cli.Failures(ctx, r.iot, s.JobID, r.Devices)
	if err != nil {
		return err
	}
	ended, err := r.outcomes(ctx, s, failures)
	if err != nil {
		return err
	}
	problems := r.judge(s, ended, fleet)
	left, err := r.residue(ctx)
	if err != nil {
		return err
	}
	problems = append(problems, left...)
	after, err := r.world().Calls(ctx)
	if err != nil {
		return err
	}
	average := perUpgrade(r.callsBefore, after, r.Stack, s.Counts.Total())
	transitions, err := r.world().Transitions(ctx, r.machine)
	if err != nil {
		return err
	}
	average.Transitions = transitions.PerUpgrade()
	for _, c := range problems {
		r.printf("PROBLEM: %s", c)
	}
	summary := Summary{
		JobID: s.JobID, Devices: r.Devices, Succeeded: s.Counts.Succeeded, Failed: s.Counts.Failed,
		Rejected: s.Counts.Rejected,
		TimedOut: s.Counts.TimedOut, Canceled: s.Counts.Canceled,
		Seconds: float64(int(seconds*10+0.5)) / 10, PerUpgrade: average,
		Models: r.byModel(ended),
	}
	var document any = summary
	if r.Summarize != nil {
		if document, err = r.Summarize(ctx, summary); err != nil {
			return err
		}
	}
	line, err := json.Marshal(document)
	if err != nil {
		return err
	}
	r.printf("SUMMARY %s", line)
	if len(problems) > 0 {
		return cli.ErrFailed
	}
	return nil
}
