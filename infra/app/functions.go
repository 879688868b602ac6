package main

import (
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/internal/functions/metrics"
)

// retentionDays is how long logs are kept.
const retentionDays = 30

// functionSpec is what a function has apart from its permissions and environment, which its context states.
type functionSpec struct {
	name        string // folder under lambdas/, and the last part of the function's name
	id          string // logical ids are made of it
	description string
	timeout     float64 // seconds
	memory      float64 // MiB
	async       bool    // invoked by a rule: what fails three times goes to the dead-letter queue
	verb        bool    // invoked by an operator or a deployment, who is told of its errors
}

// functionSpecs are all functions, in the order of design.md section 2.
var functionSpecs = []functionSpec{
	// create-job reads a whole image for its SHA-256: up to 4 GiB, which takes 14 MiB a second.
	{"create-job", "CreateJob", "Validates a request and creates its AWS IoT job", 300, 1024, false, true},
	{"start-upgrade", "StartUpgrade", "Starts the workflow of a device whose job execution is next", 30, 256,
		true, false},
	{"send-usp-operate", "SendUspOperate", "Sends the USP request of a step and leaves the task token for the answer",
		30, 256, false, false},
	{"await-firmware-report", "AwaitFirmwareReport", "Leaves the task token for news that the device sends by itself",
		30, 256, false, false},
	{"verify-version", "VerifyVersion", "Asks the device for its version and images", 30, 256, false, false},
	{"usp-task", "UspTask", "Takes the tasks of operations that are only a state machine", 30, 256, false, false},
	{"finalize", "Finalize", "Reports the result of an upgrade to the job and releases the device", 30, 256,
		false, false},
	// What its queue hands over comes again within seconds: see Brisk in internal/functions.
	{"handle-device-message", "HandleDeviceMessage", "Turns USP messages and presence into device events", 10, 256,
		false, false},
	{"handle-job-event", "HandleJobEvent",
		"Ends the workflow of a job execution that was cancelled, deleted or timed out", 30, 256, true, false},
	{"control", "Control", "Pauses and resumes a job, or everything", 30, 256, false, true},
	// It reads what create-job reads, and a page of the index is 100 devices of up to a million, 15 pages a second.
	{"create-campaign", "CreateCampaign", "Plans a campaign, and creates it", 900, 3008, false, true},
	{"approve-campaign", "ApproveCampaign", "Says whether a wave of a campaign may begin", 30, 256, false, true},
	{"control-campaign", "ControlCampaign",
		"Pauses and resumes a campaign, skips a bake, takes devices out, has them try again", 300, 512, false, true},
	{"abort-campaign", "AbortCampaign", "Ends a campaign for good", 30, 256, false, true},
	{"describe-campaign", "DescribeCampaign", "Tells how campaigns stand", 60, 512, false, true},
	{"run-campaign", "RunCampaign", "Takes the steps of a campaign's state machine", 300, 512, false, false},
	{"tick", "Tick", "Does what is done by the clock, once a minute", 45, 256, false, false},
	{"prepare-account", "PrepareAccount",
		"Custom resource: switches on AWS IoT's job events and finds the endpoints of its data planes", 60, 128,
		false, true},
}

// functions makes functions. The contexts call add for theirs.
type functions struct {
	scope  constructs.Construct
	assets string
	// createJob is the folder of create-job's code, which may hold more than its program.
	createJob string
	notify    *notifications
	key       encryption
	reserved  map[string]any
	made      map[string]*awslambda.CfnFunctionProps // by name
}

func newFunctions(stack awscdk.Stack, assets, createJob string, notify *notifications, p *parameters) *functions {
	return &functions{scope: constructs.NewConstruct(stack, jsii.String("Functions")), assets: assets,
		createJob: createJob, notify: notify, key: p.key,
		reserved: p.reserved, made: map[string]*awslambda.CfnFunctionProps{}}
}

// add makes the function with its role and log group.
func (f *functions) add(name string, environment map[string]*string, statements ...statement) awslambda.CfnFunction {
	spec := specOf(name)
	functionName := sub("${AWS::StackName}-" + name)

	group := named(spec.id+"LogGroup", awslogs.NewCfnLogGroup(f.scope, jsii.String(name+"-logs"),
		&awslogs.CfnLogGroupProps{
			LogGroupName:    sub("/aws/lambda/${AWS::StackName}-" + name),
			RetentionInDays: jsii.Number(retentionDays),
			KmsKeyId:        f.key.orNone(),
		}))
	statements = append(statements,
		// the ARN ends in :*, its streams
		allow("Logs", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, group.AttrArn()),
		tracing())
	props := &awslambda.CfnFunctionProps{
		FunctionName:  functionName,
		Description:   jsii.String(spec.description),
		Runtime:       jsii.String("provided.al2023"),
		Architectures: jsii.Strings("arm64"),
		Handler:       jsii.String("bootstrap"),
		Timeout:       jsii.Number(spec.timeout),
		MemorySize:    jsii.Number(spec.memory),
		Code:          f.code(name),
		TracingConfig: &awslambda.CfnFunction_TracingConfigProperty{Mode: jsii.String("Active")},
		LoggingConfig: &awslambda.CfnFunction_LoggingConfigProperty{LogGroup: group.Ref()},
		Environment:   &awslambda.CfnFunction_EnvironmentProperty{Variables: variables(environment)},
		KmsKeyArn:     f.key.orNone(),
	}
	if reserved := f.reserved[name]; reserved != nil {
		props.ReservedConcurrentExecutions = awscdk.Token_AsNumber(reserved)
	}
	if spec.async {
		statements = append(statements, allow("DeadLetters", []string{"sqs:SendMessage"},
			f.notify.deadLetters.AttrArn()))
		props.DeadLetterConfig = &awslambda.CfnFunction_DeadLetterConfigProperty{
			TargetArn: f.notify.deadLetters.AttrArn(),
		}
	}
	props.Role = f.role(spec, statements).AttrArn()
	f.made[name] = props
	return named(spec.id+"Function", awslambda.NewCfnFunction(f.scope, jsii.String(name), props))
}

func (f *functions) role(spec functionSpec, statements []statement) awsiam.CfnRole {
	return role(f.scope, spec.id+"Role", "lambda.amazonaws.com", "What "+spec.name+" may do", statements...)
}

func (f *functions) code(name string) *awslambda.CfnFunction_CodeProperty {
	folder := filepath.Join(f.assets, name)
	if name == "create-job" {
		folder = f.createJob
	}
	asset := awss3assets.NewAsset(f.scope, jsii.String(name+"-code"), &awss3assets.AssetProps{Path: &folder})
	return &awslambda.CfnFunction_CodeProperty{S3Bucket: asset.S3BucketName(), S3Key: asset.S3ObjectKey()}
}

// metricsNamespace is the namespace of this stack's metrics.
const metricsNamespace = metrics.Namespace + "/${AWS::StackName}"

func variables(of map[string]*string) map[string]*string {
	all := map[string]*string{
		environment.LogLevel:         jsii.String("info"),
		environment.MetricsNamespace: sub(metricsNamespace),
		environment.StackName:        awscdk.Aws_STACK_NAME(),
	}
	for name, value := range of {
		all[name] = value
	}
	return all
}

func specOf(name string) functionSpec {
	for _, spec := range functionSpecs {
		if spec.name == name {
			return spec
		}
	}
	panic("no function " + name)
}
