package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiot"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/flow/upgrade"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
)

// jobs is the way in (create-job, the job template), the way from a job execution to its workflow, and back.
type jobs struct {
	createJob awslambda.CfnFunction
}

func newJobs(stack awscdk.Stack, lambdas *functions, account *account, device *device, w *workflow, clock *clock,
	notify *notifications, p *parameters) *jobs {
	scope := constructs.NewConstruct(stack, jsii.String("Jobs"))
	template := newJobTemplate(scope)
	notify.jobEnds(scope)
	j := &jobs{}

	j.createJob = lambdas.add("create-job",
		map[string]*string{
			environment.FirmwareBucket: device.bucket.Ref(), environment.JobTemplate: template.Ref(),
			environment.SourceHosts:      p.sourceHosts.ValueAsString(),
			environment.SigningKeys:      p.signingKeys.ValueAsString(),
			environment.RequireSignature: p.requireSignature.ValueAsString(),
			environment.JobTags:          sub("Campaign=${Campaign},CostCenter=${CostCenter},Stack=${AWS::StackName}"),
		},
		allow("ReadTemplate", []string{"iot:DescribeJobTemplate"}, *sub(jobTemplate)),
		allow("CreateJob", []string{"iot:CreateJob"}, *sub(anyJob), *sub(anyThing), *sub(anyGroup)),
		allow("TagJob", []string{"iot:TagResource"}, *sub(anyJob)),
		allow("FindJob", []string{"iot:DescribeJob"}, *sub(anyJob)),
		allow("CheckTargets", []string{"iot:DescribeThing", "iot:DescribeThingGroup"}, *sub(anyThing), *sub(anyGroup)),
		allow("CountTargets", []string{"iot:ListThingsInThingGroup"}, *sub(anyGroup)),
		allow("FindFirmware", []string{"s3:ListBucket"}, device.bucket.AttrArn()),
		allow("ReadFirmware", []string{"s3:GetObject", "s3:GetObjectVersion"}, device.images()))

	start := lambdas.add("start-upgrade",
		map[string]*string{
			environment.Table: w.table.Ref(), environment.StateMachines: sub(stateMachines),
			environment.Operations:   w.names(),
			environment.JobsEndpoint: account.jobs,
			environment.OutcomeTopic: notify.outcomes.Ref(), environment.EventTopic: notify.eventTopic(p),
		},
		append(append(startUpgrade(), jobExecutions()...), w.items(), w.readFlags(), readZone(), clock.starting(),
			// One whose execution somebody has stopped.
			cancelJobExecution(), notify.publishOutcome())...)
	clock.start(start)
	notify.rule(scope, "NotifyNext", "notify_next", "A device's next job execution", start,
		"SELECT topic(3) AS thingName, execution AS execution, timestamp() AS receivedAt"+
			" FROM '$aws/things/+/jobs/notify-next' WHERE isUndefined(execution) = false")

	handle := lambdas.add("handle-job-event",
		map[string]*string{
			environment.Table: w.table.Ref(), environment.StateMachines: sub(stateMachines),
			environment.Operations:   w.names(),
			environment.OutcomeTopic: notify.outcomes.Ref(), environment.EventTopic: notify.eventTopic(p),
			environment.JobsEndpoint: account.jobs,
		},
		w.readFlags(),
		// To note who ends an upgrade, and that a job is over.
		w.release("dynamodb:UpdateItem", "dynamodb:PutItem"),
		// Whose it is: AWS IoT tells of the jobs of every stack in the account.
		allow("ReadDocument", []string{"iot:GetJobDocument"}, *sub(anyJob)),
		allow("LookAtJob", []string{"iotjobsdata:DescribeJobExecution"}, *sub(anyThing)), confirmOver(),
		allow("EndUpgrade", []string{"states:DescribeExecution", "states:StopExecution"}, *sub(executions)),
		notify.publishOutcome())
	notify.rule(scope, "JobEvent", "job_event", "Jobs that end", handle, "SELECT * FROM '$aws/events/job/#'")
	notify.rule(scope, "JobExecutionEvent", "job_execution_event", "Job executions that end", handle,
		"SELECT * FROM '$aws/events/jobExecution/#'")

	lambdas.add("control", map[string]*string{environment.Table: w.table.Ref()},
		allow("SetFlags", []string{"dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:PutItem"},
			w.table.AttrArn()))
	return j
}

// newJobTemplate holds the safety settings of a job whose payload does not choose its own. Every property of a job
// template is create-only (schema of AWS::IoT::JobTemplate) and CloudFormation does not replace
// what has a fixed name: so its name follows from its content, and create-job is told the name.
func newJobTemplate(scope constructs.Construct) awsiot.CfnJobTemplate {
	// Maps, not the CDK's structs: CloudFormation calls these properties JSON, and the CDK would
	// pass its own spelling.
	stopAt := func(failure string, percent float64) any {
		return map[string]any{
			"Action": "CANCEL", "FailureType": failure, "ThresholdPercentage": percent,
			// A handful of bad devices says nothing yet, but of a small target it is all there is:
			// create-job lowers this to a quarter of the target.
			"MinNumberOfExecutedThings": 50,
		}
	}
	props := &awsiot.CfnJobTemplateProps{
		Description: jsii.String(
			"Firmware upgrade of TR-369 devices. create-job fills in the document and starts jobs from this " +
				"template."),
		// create-job sends the real document; AWS wants one in every template.
		Document: jsii.String(`{"operation":"` + string(upgrade.Operation) + `"}`),
		JobExecutionsRolloutConfig: map[string]any{
			// Faster only as devices succeed: a bad image meets few devices before the abort criteria see it.
			"ExponentialRolloutRate": map[string]any{
				"BaseRatePerMinute":    20,
				"IncrementFactor":      2,
				"RateIncreaseCriteria": map[string]any{"NumberOfSucceededThings": 50},
			},
			"MaximumPerMinute": 1000,
		},
		AbortConfig: map[string]any{"CriteriaList": []any{stopAt("FAILED", 20), stopAt("REJECTED", 20),
			stopAt("TIMED_OUT", 20)}},
		// The workflow's own deadlines are shorter; this catches a workflow that was lost.
		TimeoutConfig: map[string]any{"InProgressTimeoutInMinutes": 1440},
	}
	props.JobTemplateId = sub(jobTemplatePrefix + contentHash(map[string]any{
		"Description": *props.Description, "Document": *props.Document,
		"JobExecutionsRolloutConfig": props.JobExecutionsRolloutConfig,
		"AbortConfig":                props.AbortConfig, "TimeoutConfig": props.TimeoutConfig,
	}))
	return named("JobTemplate", awsiot.NewCfnJobTemplate(scope, jsii.String("Template"), props))
}

// jobTemplatePrefix is what the name of the job template begins with; the rest is its contentHash.
const jobTemplatePrefix = "${AWS::StackName}-firmware-upgrade-"

// contentHash is eight hexadecimal digits that follow from a resource's properties. It is part of
// the name of a resource that AWS cannot change: with another content it is another resource.
func contentHash(properties map[string]any) string {
	b, err := json.Marshal(properties) // sorts the keys
	if err != nil {
		panic("the properties of a resource are not JSON: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:4])
}
