package trial

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/simulator"
	"github.com/fleetstep/fleetstep/internal/usp"
)

// Config says what to run, and on what.
type Config struct {
	Env     *cli.Env
	AWS     aws.Config
	Broker  string         // mqtts://host:port
	RootCAs *x509.CertPool // of the broker; nil: the machine's
	// Inspect is the address below which a local cloud tells what is no AWS API; "" if it is none.
	Inspect string

	Stack   string
	Devices int
	Event   string // file with create-job's payload
	// Operation is what the job does where it is set, instead of Event.
	Operation Operation
	Faults    string // as simulator.ParseFaults reads them
	// Onboard has the devices be new to the registry, and waits until those who can be
	// are onboarded.
	Onboard bool
	Seed    uint64
	Image   int           // bytes of the firmware image
	Timeout time.Duration // for the job

	// World is where the job is played; nil is over the network, by Broker,
	// RootCAs and Inspect.
	World World
	// Every is how often the job is looked at; 0 is four times a second.
	Every time.Duration
	// Patience is how long work may go on after the job's end; 0 is what the retries
	// of an asynchronous invocation take.
	Patience time.Duration
	// Summarize makes the document of the last line; nil leaves the Summary as
	// it is.
	Summarize func(context.Context, Summary) (any, error)
}

// World is where a job is played other than over the network.
type World interface {
	// Fleet makes AWS IoT know the things of a plan and returns their agents,
	// switched off, and how they connect, in a word or two.
	Fleet(ctx context.Context, p Plan) (fleet *simulator.Fleet, by string, err error)
	// Residue lists what the cloud has under way.
	Residue(ctx context.Context) ([]string, error)
	// Transitions is the average number of state transitions of the executions
	// of a state machine that were upgrades (see Transitions).
	Transitions(ctx context.Context, stateMachineARN string) (float64, error)
	// Calls lists what roles have called until now; nothing where nobody counts.
	Calls(ctx context.Context) ([]Calls, error)
}

// Plan describes the devices of a job.
type Plan struct {
	Things        []string
	Policy, Group string
	Controller    usp.EndpointID
	Faults        simulator.Faults
	Seed          uint64
	New           bool // the registry does not know yet what they run
}

// Endpoint is the endpoint id that a thing's device will have.
func (p Plan) Endpoint(thing string) event.EndpointID {
	return event.EndpointID(simulator.EndpointIDOf(simulator.OUI, thing))
}

// Attributes are what the registry says of a thing.
func (p Plan) Attributes(thing string) map[string]string {
	all := p.runs()
	all[event.ThingEndpointAttribute] = p.Endpoint(thing).Attribute()
	return all
}

// runs is what the registry knows of what the devices run.
func (p Plan) runs() map[string]string {
	if p.New {
		return map[string]string{}
	}
	return runs(simulator.FactoryVersion)
}

// runs is the attribute by which a dynamic thing group finds devices of a version.
// It is Finalize that keeps it (package upgrade); a device that was never upgraded
// has it from whoever provisioned it.
func runs(version string) map[string]string { return map[string]string{"firmwareVersion": version} }

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
}

// run is a trial on its way.
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
	faults    []*simulator.Fault // by device, nil for the healthy ones
	things    []string
	start     time.Time
	before    []Calls // until then
}

// Run plays a trial. It returns cli.ErrFailed if a device ended
// otherwise than it should, or something was left behind.
func Run(ctx context.Context, c Config) error {
	r := &run{Config: c, clients: newClients(c.AWS)}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.printf("%d simulated agents; provisioning things and certificates", c.Devices)
	fleet, by, err := r.world().Fleet(ctx, Plan{
		Things: r.things, Policy: r.outputs["DevicePolicyName"], Group: r.group,
		Controller: usp.EndpointID(r.outputs["ControllerEndpointId"]), Faults: r.plan, Seed: r.Seed,
		New: r.Onboard,
	})
	if err != nil {
		return err
	}
	fleet.Start()
	defer fleet.Stop()
	if err := r.connected(ctx, fleet, by); err != nil {
		return err
	}
	if err := r.onboarded(ctx); err != nil {
		return err
	}
	if r.before, err = r.world().Calls(ctx); err != nil {
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

// connected waits until the devices that should be there at the start are.
func (r *run) connected(ctx context.Context, fleet *simulator.Fleet, by string) error {
	want := r.Devices
	for _, f := range r.faults {
		if f != nil && f.Name == "offline-at-start" {
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

// onboarded waits until the registry knows the model of those who can tell it: the
// healthy ones.
func (r *run) onboarded(ctx context.Context) error {
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
	// The clock comes once a minute, and has so many begun as the stack allows.
	for deadline := r.Env.Now().Add(5*time.Minute + time.Duration(r.Devices)*100*time.Millisecond); ; {
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
		if err := r.Env.Sleep(ctx, r.every()); err != nil {
			return err
		}
	}
}

func (r *run) every() time.Duration {
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
		if err := r.Env.Sleep(ctx, r.every()); err != nil {
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
	complaints := r.judge(s, failures, fleet)
	left, err := r.residue(ctx)
	if err != nil {
		return err
	}
	complaints = append(complaints, left...)
	after, err := r.world().Calls(ctx)
	if err != nil {
		return err
	}
	took := perUpgrade(r.before, after, r.Stack, s.Counts.Total())
	if took.Transitions, err = r.world().Transitions(ctx, r.machine); err != nil {
		return err
	}
	for _, c := range complaints {
		r.printf("PROBLEM: %s", c)
	}
	summary := Summary{
		JobID: s.JobID, Devices: r.Devices, Succeeded: s.Counts.Succeeded, Failed: s.Counts.Failed,
		Rejected: s.Counts.Rejected,
		TimedOut: s.Counts.TimedOut, Canceled: s.Counts.Canceled,
		Seconds: float64(int(seconds*10+0.5)) / 10, PerUpgrade: took,
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
	if len(complaints) > 0 {
		return cli.ErrFailed
	}
	return nil
}

// judge lists the devices that ended otherwise than they should, and tells of
// each failure that was expected.
func (r *run) judge(s *cli.State, failures []cli.Failure, fleet *simulator.Fleet) []string {
	var complaints []string
	if !s.Ended() {
		complaints = append(complaints, fmt.Sprintf("the job is not over after %s: %s, %s", r.Timeout,
			s.Status, s.Counts))
	}
	if s.Counts.Total() != r.Devices {
		complaints = append(complaints, fmt.Sprintf("the job reached %d devices of %d", s.Counts.Total(), r.Devices))
	}
	failed := map[string]cli.Failure{}
	for _, f := range failures {
		failed[f.Thing] = f
	}
	facts := fleet.Facts()
	for i, thing := range r.things {
		fault := r.faults[i]
		f, bad := failed[thing]
		name := "healthy"
		if fault != nil {
			name = "fault " + fault.Name
		}
		outcome := "succeeded"
		if bad {
			outcome = strings.TrimSpace(f.Status + " " + f.Reason)
		}
		if fault != nil || bad {
			r.printf("  %s (%s): %s", thing, name, outcome)
		}
		right := !bad
		if fault != nil {
			// A failure without a reason is none that was expected.
			right = !bad && fault.Succeeds() || bad && f.Reason != "" && fault.Expects(f.Reason)
			if r.operation != upgrade { // what faults lead to is known of upgrades only
				right = !bad || f.Reason != ""
			}
		}
		switch {
		case !right && fault == nil:
			complaints = append(complaints, fmt.Sprintf("%s is healthy and ended with %s: %s", thing,
				outcome, f.Detail))
		case !right:
			complaints = append(complaints, fmt.Sprintf("%s (%s) ended with %s %s; expected %s", thing, name, outcome,
				f.Detail, expectation(fault)))
		case r.operation != upgrade:
		case fault != nil && !facts[i].Fired:
			complaints = append(complaints, fmt.Sprintf("%s (%s) never showed its fault", thing, name))
		case f.Reason == "Verify.WrongVersion" && facts[i].Version != facts[i].Factory:
			complaints = append(complaints, fmt.Sprintf("%s (%s) was to go back, and runs %s", thing, name,
				facts[i].Version))
		case !bad && facts[i].Version != r.version:
			complaints = append(complaints, fmt.Sprintf("%s is said to have succeeded and runs %s", thing,
				facts[i].Version))
		}
	}
	return complaints
}

func expectation(f *simulator.Fault) string {
	if f.Succeeds() {
		return "success"
	}
	return f.Ends
}
