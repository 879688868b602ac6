package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/agentdoctor"
	"github.com/fleetstep/fleetstep/internal/agentdoctor/line"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/device"
	devices3 "github.com/fleetstep/fleetstep/internal/device/s3"
	"github.com/fleetstep/fleetstep/internal/event"
	upgrades3 "github.com/fleetstep/fleetstep/internal/flow/upgrade/s3"
	"github.com/fleetstep/fleetstep/internal/simulator/mqtt"
	"github.com/fleetstep/fleetstep/internal/usp"
	"github.com/fleetstep/fleetstep/internal/workflow"
	workflowdb "github.com/fleetstep/fleetstep/internal/workflow/dynamodb"
)

// agentDoctor are the flags of "fleetstep agent doctor".
type agentDoctor struct {
	stack, thing, image, broker, ca string
	disruptive, save, asJSON        bool
	quiet, restart                  time.Duration
}

func agentCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "agent", Short: "Examine a device"}
	cli.Group(c)
	c.AddCommand(agentDoctorCommand(env))
	return c
}

func agentDoctorCommand(env *cli.Env) *cobra.Command {
	var f agentDoctor
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Try one real device before its model joins a fleet",
		Long: `Examines one device: does it answer, which firmware images does it show, does it
accept Subscriptions? With --image it also downloads an image, which overwrites the
image that is not running. It checks which news the device sends and in which order,
and whether Cancel() stops a download. With --disruptive it restarts the device
several times. It checks whether the device activates an image when it is told to,
with how many time windows, and what a restart does to a download. At the end a
device with two images runs its old version, and a device with one image runs the
new one.

A quirk is a difference from what the data model promises. --save stores the quirks
for the device's model; upgrades take account of no-time-window and
no-auto-activate. fleetstep simulate --profiles simulates quirks, joined by +.

No operation may be at work on the device. Exit code 1 if the device cannot be
upgraded.`,
		Example: `  fleetstep agent doctor --thing gw-0001
  fleetstep agent doctor --thing gw-0001 --image 2.0.0 --disruptive --save`,
		Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case f.thing == "":
				return cli.UsageError{Err: errors.New("--thing: name the device's thing")}
			case f.disruptive && f.image == "":
				return cli.UsageError{Err: errors.New("--disruptive needs --image, the image to restart into")}
			case f.quiet <= 0, f.restart <= 0:
				return cli.UsageError{Err: fmt.Errorf("--quiet %s, --restart %s: want more than 0", f.quiet,
					f.restart)}
			}
			// What was made is removed after Ctrl-C, too.
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT)
			defer stop()
			return f.run(ctx, env)
		},
	}
	c.Flags().StringVar(&f.stack, "stack", "fleetstep", "name of the deployed stack")
	c.Flags().StringVar(&f.thing, "thing", "", "name of the device's thing")
	c.Flags().StringVar(&f.image, "image", "",
		"version of an image in the stack's firmware bucket to test with; another than the device runs")
	c.Flags().BoolVar(&f.disruptive, "disruptive", false, "the device may be restarted")
	c.Flags().BoolVar(&f.save, "save", false, "store the quirks for the device's model")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print the report as JSON")
	c.Flags().DurationVar(&f.quiet, "quiet", 15*time.Second, "how long to listen for news that may not come")
	c.Flags().DurationVar(&f.restart, "restart", 5*time.Minute, "how long a restart may take")
	c.Flags().StringVar(&f.broker, "broker", "", "mqtts://host:port (default: the account's endpoint, port 8883)")
	c.Flags().StringVar(&f.ca, "ca", "", "file of the CA that signs the broker's certificate (default: the machine's)")
	return c
}

// ward is the device, as the registry, the table and the stack know it.
type ward struct {
	outputs   map[string]string
	store     *workflowdb.Store
	endpoint  usp.EndpointID
	model     string // by the registry
	topic, to string
	legacy    bool
	known     []agentdoctor.Finding
}

func (f *agentDoctor) run(ctx context.Context, env *cli.Env) error {
	cfg, err := env.Load(ctx)
	if err != nil {
		return err
	}
	w, err := f.ward(ctx, cfg)
	if err != nil {
		return err
	}
	random := make([]byte, 2)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	name := agentdoctor.NewName(env.Now(), binary.BigEndian.Uint16(random))
	c := agentdoctor.Config{
		Name: name, Controller: usp.EndpointID(w.outputs["ControllerEndpointId"]), Endpoint: w.endpoint,
		Disruptive: f.disruptive, Quiet: f.quiet, Restart: f.restart, Now: env.Now, Known: w.known,
		Tell: func(found agentdoctor.Finding) {
			if !f.asJSON {
				fmt.Fprintf(env.Out, "%-8s %-22s %s\n", found.Level, found.Check, found.Seen)
			}
		},
	}
	if f.image != "" {
		if c.Image, err = f.find(ctx, cfg, w); err != nil {
			return err
		}
	}
	api := iot.NewFromConfig(cfg)
	roots, err := rootCAs(f.ca)
	if err != nil {
		return err
	}
	broker := f.broker
	data := iotdataplane.NewFromConfig(cfg)
	if cfg.BaseEndpoint == nil || broker == "" {
		out, err := api.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{EndpointType: aws.String("iot:Data-ATS")})
		if err != nil {
			return err
		}
		if broker == "" {
			broker = brokerURL(aws.ToString(out.EndpointAddress))
		}
		if cfg.BaseEndpoint == nil {
			data = iotdataplane.NewFromConfig(cfg, func(o *iotdataplane.Options) {
				o.BaseEndpoint = aws.String("https://" + aws.ToString(out.EndpointAddress))
			})
		}
	}
	l, err := line.Open(ctx, line.Config{
		IoT: api, Data: data, Name: name, Thing: f.thing, AgentTopic: w.topic, ControllerTopic: w.to, Legacy: w.legacy,
		MQTT: mqtt.Config{Broker: broker, RootCAs: roots},
	})
	if err != nil {
		return err
	}
	c.Line, c.AtWork = l, l.AtWork
	report, err := agentdoctor.Run(ctx, c)
	if err := errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	disturbed, err := w.disturbed(ctx, f.thing, &report)
	if err != nil {
		return err
	}
	if disturbed != nil {
		c.Tell(*disturbed)
	}
	return f.conclude(ctx, env, w, report, disturbed != nil)
}

// ward finds out whom to examine, and that nothing else is at work on it.
func (f *agentDoctor) ward(ctx context.Context, cfg aws.Config) (*ward, error) {
	stack, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{
		StackName: &f.stack})
	if err != nil {
		return nil, err
	}
	w := &ward{outputs: map[string]string{}}
	for _, o := range stack.Stacks[0].Outputs {
		w.outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	thing, err := iot.NewFromConfig(cfg).DescribeThing(ctx, &iot.DescribeThingInput{ThingName: &f.thing})
	if err != nil {
		return nil, err
	}
	w.model = thing.Attributes[event.FactModel]
	if w.model == "" {
		w.model = aws.ToString(thing.ThingTypeName)
	}
	w.store = workflowdb.New(dynamodb.NewFromConfig(cfg), w.outputs["TableName"])
	d, err := w.store.Load(ctx, event.ThingName(f.thing))
	if err != nil {
		return nil, err
	}
	if d.Claim != nil {
		return nil, fmt.Errorf("%s of %s is at work on thing %s (execution %s): try again when it is over",
			d.Claim.Operation, d.Claim.Owner, f.thing, d.Claim.Execution)
	}
	w.endpoint = usp.EndpointID(d.State.Endpoint)
	if w.endpoint == "" {
		w.endpoint = usp.EndpointID(event.EndpointOfAttribute(thing.Attributes[event.ThingEndpointAttribute]))
	}
	if w.endpoint == "" {
		return nil, fmt.Errorf("the endpoint id of thing %s is not known: its device has sent no message yet, and "+
			"the thing has no attribute %s", f.thing, event.ThingEndpointAttribute)
	}
	w.topic, w.to = topics(w.outputs, f.thing)
	if d.State.AgentTopic != "" {
		w.topic = d.State.AgentTopic
	}
	w.legacy = d.State.Legacy
	w.known = known(d)
	return w, nil
}

// known is what the table has of a device that its examination may meet.
func known(d workflow.Device) (list []agentdoctor.Finding) {
	note := func(check, format string, args ...any) {
		list = append(list, agentdoctor.Finding{Check: check, Level: agentdoctor.Note,
			Seen: fmt.Sprintf(format, args...)})
	}
	if d.Known && !d.State.Connected {
		note("presence", "it is not connected, as far as the broker has told")
	}
	for _, p := range d.Pending {
		note("pending", "%s of %s waits for it, and may begin in the middle: pause that first", p.Operation, p.Owner)
	}
	return list
}

// disturbed notes that an operation has begun on the device in the middle of its examination: what was seen may be
// its doing.
func (w *ward) disturbed(ctx context.Context, thing string, r *agentdoctor.Report) (*agentdoctor.Finding, error) {
	d, err := w.store.Load(ctx, event.ThingName(thing))
	if err != nil || d.Claim == nil {
		return nil, err
	}
	found := agentdoctor.Finding{Check: "operation", Level: agentdoctor.Note,
		Seen: fmt.Sprintf("%s of %s has begun on it meanwhile, and what was seen may be its doing: try again when "+
			"it is over", d.Claim.Operation, d.Claim.Owner)}
	r.Findings, r.Complete = append(r.Findings, found), false
	return &found, nil
}

// topics are where a thing's agent listens and where it speaks, as the stack has them: by its outputs, or as stacks
// had them that do not name them.
func topics(outputs map[string]string, thing string) (agent, controller string) {
	expand := func(output string, otherwise usp.TopicTemplate) string {
		return usp.TopicTemplate(cmp.Or(outputs[output], string(otherwise))).
			Expand(thing, usp.EndpointID(outputs["ControllerEndpointId"]))
	}
	return expand("AgentTopic", usp.Layouts[0].Agent), expand("ControllerTopic", usp.Layouts[0].Controller)
}

// find is the image to try the device with.
func (f *agentDoctor) find(ctx context.Context, cfg aws.Config, w *ward) (*agentdoctor.Image, error) {
	api := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle, o.DisableLogOutputChecksumValidationSkipped = cfg.BaseEndpoint != nil, true
	})
	images := upgrades3.NewStore(api, w.outputs["FirmwareBucketName"])
	found, err := images.ByVersion(ctx, f.image)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("--image %s: there are %d images in %s; want exactly one", f.image, len(found),
			images.Where(f.image))
	}
	image, err := images.Describe(ctx, found[0])
	if err != nil {
		return nil, err
	}
	addresses := devices3.New(api)
	return &agentdoctor.Image{Version: f.image, Size: image.Size, SHA256: image.SHA256,
		Address: func(ctx context.Context) (string, error) {
			return addresses.Address(ctx, device.File{Bucket: image.Object.Bucket, Key: image.Object.Key,
				Version: image.Object.VersionID, Lasts: time.Hour})
		}}, nil
}

// conclude prints the quirks, and stores them.
func (f *agentDoctor) conclude(
	ctx context.Context, env *cli.Env, w *ward, r agentdoctor.Report, disturbed bool,
) error {
	bad := false
	for _, found := range r.Findings {
		bad = bad || found.Level == agentdoctor.Problem
	}
	if f.asJSON {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Out, "%s\n", b)
	} else {
		quirks := r.Quirks.String()
		if quirks == "" {
			quirks = "none"
		}
		complete := ""
		if !r.Complete {
			complete = " (not every check was made)"
		}
		fmt.Fprintf(env.Out, "quirks: %s%s\n", quirks, complete)
		if len(r.Quirks) > 0 {
			fmt.Fprintf(env.Out, "to simulate them: fleetstep simulate --profiles %s\n",
				strings.ReplaceAll(quirks, ",", "+"))
		}
	}
	if f.save {
		model := r.Model // as the device reports it, which is what upgrades ask for
		if model == "" {
			model = w.model
		}
		switch {
		case disturbed:
			return errors.New("nothing is saved: an operation has begun on the device meanwhile")
		case bad:
			return errors.New("nothing is saved: the device cannot be upgraded")
		case model == "":
			return fmt.Errorf("nothing is saved: neither the device nor thing %s names the model", f.thing)
		}
		words := make([]string, len(r.Quirks))
		for i, q := range r.Quirks {
			words[i] = string(q)
		}
		if err := w.store.PutModel(ctx, model, words, f.thing, env.Now()); err != nil {
			return err
		}
		if !f.asJSON {
			fmt.Fprintf(env.Out, "saved for the model %q\n", model)
		}
	}
	if bad {
		return cli.ErrFailed
	}
	return nil
}
