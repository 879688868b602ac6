// Command app is the CDK app. It synthesizes one stack, named "fleetstep" or by the context
// value "stackName". Each bounded context has a construct (jobs.go, workflow.go, device.go),
// and so has what the operator sees (observability.go).
//
// The CDK CLI runs it without flags and reads the cloud assembly from the folder in CDK_OUTDIR
// (see infra/cdk.json). By hand:
//
//	go run ./infra/app -placeholder-assets -write infra/testdata/template.json   refresh the committed template
//	go run ./infra/app -placeholder-assets -check infra/testdata/template.json   exit 1 when it is stale
//
// The code of the functions is read from <assets>/<function>/bootstrap. The folder <assets> is
// FLEETSTEP_ASSETS, or else the CDK context value "assets", or else .build/lambda beside
// go.mod. Node.js must be installed: the CDK's engine is JavaScript.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/usp"
)

func main() {
	write := flag.String("write", "", "write the normalised template to this `file`")
	check := flag.String("check", "", "exit 1 unless this `file` is the normalised template")
	placeholders := flag.Bool("placeholder-assets", false, "synthesize without built functions")
	revision := flag.String("revision", "", "synthesize with placeholders of this `name` for another revision of the"+
		" functions, and keep the ids of their versions: to try a deployment over another")
	flag.Parse()

	if err := run(*write, *check, *placeholders, *revision); err != nil {
		fmt.Fprintln(os.Stderr, "infra:", err)
		os.Exit(1)
	}
}

func run(write, check string, placeholders bool, revision string) (err error) {
	defer jsii.Close()

	props := &awscdk.AppProps{
		AnalyticsReporting: jsii.Bool(false),
		TreeMetadata:       jsii.Bool(false),
	}
	normalise := write != "" || check != ""
	outdir := os.Getenv("CDK_OUTDIR")
	if normalise {
		if outdir, err = os.MkdirTemp("", "fleetstep-synth-"); err != nil {
			return err
		}
		defer os.RemoveAll(outdir)
		props.Outdir = &outdir
	}
	app := awscdk.NewApp(props)

	assets := assetsDir(app)
	if placeholders {
		if assets, err = placeholderAssets(revision); err != nil {
			return err
		}
		defer os.RemoveAll(assets)
	}
	if err := checkAssets(assets); err != nil {
		return err
	}
	name, err := stackName(app)
	if err != nil {
		return err
	}
	operations, err := loadOperations(app)
	if err != nil {
		return err
	}
	code, made, err := operations.withFiles(filepath.Join(assets, "create-job"))
	if made != "" {
		defer os.RemoveAll(made)
	}
	if err != nil {
		return err
	}
	if _, err := newStack(app, name, assets, code, operations); err != nil {
		return err
	}
	app.Synth(nil)

	if !normalise {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(outdir, name+".template.json"))
	if err != nil {
		return err
	}
	golden, err := normalised(raw, revision)
	if err != nil {
		return err
	}
	if write != "" {
		if err := os.WriteFile(write, golden, 0o644); err != nil {
			return err
		}
	}
	if check != "" {
		have, err := os.ReadFile(check)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if !bytes.Equal(have, golden) {
			return fmt.Errorf("%s is stale: run `make synth` and commit the result", check)
		}
	}
	return nil
}

// newStack builds the whole stack. The constructs are made in the order in which they need one another.
func newStack(app awscdk.App, name, assets, createJob string, operations *operations) (awscdk.Stack, error) {
	stack := awscdk.NewStack(app, &name, &awscdk.StackProps{
		StackName: &name,
		Description: jsii.String(
			"Fleetstep: firmware upgrades for fleets of TR-369 (USP) devices, as durable workflows"),
		// Without the version rule the template has no SSM parameter of the bootstrap stack and can be used as it is.
		Synthesizer: awscdk.NewDefaultStackSynthesizer(&awscdk.DefaultStackSynthesizerProps{
			GenerateBootstrapVersionRule: jsii.Bool(false),
		}),
	})
	p := newParameters(stack)
	notify := newNotifications(stack, p)
	device := newDevice(stack, p)
	lambdas := newFunctions(stack, assets, createJob, notify, p)
	account := newAccount(stack, lambdas, p)
	workflow := newWorkflow(stack, lambdas, account, device, notify, operations, p)
	clock := newClock(stack, notify, p)
	jobs := newJobs(stack, lambdas, account, device, workflow, clock, notify, p)
	campaigns := newCampaigns(stack, lambdas, device, workflow, clock, notify, p)
	clock.tick(lambdas, workflow, p)
	device.receive(lambdas, account, workflow, notify, p)
	newNotificationRule(stack, notify, p)
	notify.tellEvents(notify.scope, p)
	dashboard := newObservability(stack, notify, operations, p)
	tag(stack, p)
	// What they make has its tags already.
	if err := operations.include(stack, workflow.tasks); err != nil {
		return nil, err
	}

	output(stack, "CreateJobFunctionName", "The function that an operator invokes to create a job",
		jobs.createJob.Ref())
	output(stack, "StateMachineArn", "The workflow that upgrades one device", workflow.stateMachine.Ref())
	output(stack, "TableName", "Claims, task tokens, news and state of every device", workflow.table.Ref())
	output(stack, "FirmwareBucketName", "Firmware images, as <version>/<file>", device.bucket.Ref())
	output(stack, "ResultsBucketName", "What operations leave of each device, as <operation>/<job>/<thing>",
		workflow.results.Ref())
	output(stack, "DevicePolicyName", "The AWS IoT policy to attach to the certificate of each device",
		device.policy.Ref())
	output(stack, "OutcomeTopicArn", "SNS topic of finished upgrades, one message for each", notify.outcomes.Ref())
	output(stack, "EventTopicArn", "SNS topic of what becomes of devices, for other systems",
		notify.events.Ref()).SetCondition(p.domainEvents)
	output(stack, "JobTopicArn", "SNS topic of jobs that ended", notify.jobs.Ref())
	output(stack, "CampaignStateMachineArn", "The workflow of a campaign", campaigns.stateMachine.Ref())
	output(stack, "CampaignTopicArn", "SNS topic of campaigns that ask, halt or end", notify.campaigns.Ref())
	output(stack, "AlarmTopicArn", "SNS topic of the alarms", notify.alarms.Ref())
	output(stack, "DeadLetterQueueUrl", "Messages that no rule action or function could process",
		notify.deadLetters.Ref())
	output(stack, "MessageQueueUrl", "What devices say, until a function has taken it", device.queue.Ref())
	output(stack, "MessageDeadLetterQueueUrl", "Messages of devices that were tried twenty times",
		notify.messageDeadLetters.Ref())
	output(stack, "DashboardName", "The CloudWatch dashboard of the fleet", dashboard.Ref())
	output(stack, "AgentTopic", "Where an agent listens, with {thing} for its thing's name",
		p.topics.fixed(func(l usp.Layout) string { return string(l.Agent) }))
	output(stack, "ControllerTopic", "Where agents publish, with {thing} and {controller}",
		p.topics.fixed(func(l usp.Layout) string { return string(l.Controller) }))
	output(stack, "ControllerEndpointId", "The USP endpoint id that the devices know this controller by",
		p.controllerEndpointID.ValueAsString())
	return stack, nil
}

func output(stack awscdk.Stack, name, description string, value *string) awscdk.CfnOutput {
	// A parameter and an output may share a name, constructs may not.
	return named(name, awscdk.NewCfnOutput(stack, jsii.String(name+"Output"),
		&awscdk.CfnOutputProps{Description: &description, Value: value}))
}

// named gives an element the logical id that it has in the template. A CDK-made id would change, and with it the
// physical resource be replaced, when a construct is moved.
func named[T awscdk.CfnElement](id string, element T) T {
	element.OverrideLogicalId(&id)
	return element
}

// sub is Fn::Sub over the pseudo parameters and the parameters.
func sub(format string) *string { return awscdk.Fn_Sub(&format, nil) }
