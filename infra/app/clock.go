package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/functions/environment"
)

// clock is what runs by the clock, tick, and the queue by which it has attempts started.
type clock struct {
	scope      constructs.Construct
	starts     awssqs.CfnQueue
	parameters *parameters
}

// Of the queue of starts: how many messages come at once, and how often one comes before it is a dead letter.
const startBatch, startReceives = 10, 10

func newClock(stack awscdk.Stack, notify *notifications, p *parameters) *clock {
	c := &clock{scope: constructs.NewConstruct(stack, jsii.String("Clock")), parameters: p}
	c.starts = named("StartQueue", awssqs.NewCfnQueue(c.scope, jsii.String("Starts"), &awssqs.CfnQueueProps{
		// Six times the function's timeout, as AWS advises (Lambda Developer Guide, "Using Lambda with Amazon SQS").
		VisibilityTimeout:      jsii.Number(6 * specOf("start-upgrade").timeout),
		MessageRetentionPeriod: jsii.Number(14 * 24 * 3600), // seconds; SQS's maximum
		SqsManagedSseEnabled:   p.key.choose(false, true),
		KmsMasterKeyId:         p.key.orNone(),
		RedrivePolicy: map[string]any{
			"deadLetterTargetArn": notify.messageDeadLetters.AttrArn(), "maxReceiveCount": startReceives,
		},
	}))
	return c
}

// starting is what a function may do that takes messages of the queue of starts.
func (c *clock) starting() statement {
	return allow("TakeStarts", []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
		c.starts.AttrArn())
}

// start has the queue's messages come to a function.
func (c *clock) start(function awslambda.CfnFunction) {
	named("StartMapping", awslambda.NewCfnEventSourceMapping(c.scope, jsii.String("StartMapping"),
		&awslambda.CfnEventSourceMappingProps{
			FunctionName: function.Ref(), EventSourceArn: c.starts.AttrArn(), BatchSize: jsii.Number(startBatch),
			FunctionResponseTypes: jsii.Strings("ReportBatchItemFailures"),
			// Without it pollers would be throttled, and receive messages in vain until they are dead letters.
			ScalingConfig: c.parameters.startsReserved.choose(map[string]any{
				"MaximumConcurrency": c.parameters.startConcurrency.ValueAsString(),
			}, awscdk.Aws_NO_VALUE()),
		}))
}

// tick makes the function and has it called every minute.
func (c *clock) tick(lambdas *functions, w *workflow, p *parameters) {
	tick := lambdas.add("tick", map[string]*string{environment.Table: w.table.Ref(),
		environment.StartQueue: c.starts.Ref(), environment.Operations: w.names(),
		environment.StateMachines:       sub(stateMachines),
		environment.CampaignBucket:      w.results.Ref(),
		environment.OnboardingPerMinute: p.onboardingPerMinute.ValueAsString()},
		allow("TickItems", []string{
			"dynamodb:Query", "dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
			"dynamodb:BatchWriteItem",
			// of campaigns, and of devices that they admit
			"dynamodb:GetItem", "dynamodb:PutItem",
		}, w.table.AttrArn()),
		w.listDevices(), w.manifests("ReadManifest", "s3:GetObject"), answerCampaign(), watchAlarms(),
		// Executions of campaigns that somebody has stopped, and those of campaigns that are to end and have none.
		allow("ReviveCampaign", []string{"states:DescribeExecution", "states:RedriveExecution"},
			*sub(campaignExecutions)),
		allow("StartCampaign", []string{"states:StartExecution"}, *sub(campaignMachine)),
		allow("SendStarts", []string{"sqs:SendMessage"}, c.starts.AttrArn()),
		// Job executions on which nobody works.
		allowWithoutResource("ListJobs", "AWS IoT lists the jobs of the account", "iot:ListJobs"),
		allow("ListOpen", []string{"iot:ListJobExecutionsForJob"}, *sub(anyJob)),
		// Executions that somebody has stopped.
		allow("ListStopped", []string{"states:ListExecutions"}, *sub(stateMachine)),
		allow("ReadStopped", []string{"states:DescribeExecution"}, *sub(executions)))
	// A minute that could not be is over: without this Lambda would keep it for six hours, and call
	// for all of them at once.
	named("TickInvocations", awslambda.NewCfnEventInvokeConfig(c.scope, jsii.String("Invocations"),
		&awslambda.CfnEventInvokeConfigProps{
			FunctionName: tick.Ref(), Qualifier: jsii.String("$LATEST"),
			MaximumEventAgeInSeconds: jsii.Number(60), MaximumRetryAttempts: jsii.Number(0),
		}))
	named("TickSchedule", awsscheduler.NewCfnSchedule(c.scope, jsii.String("Schedule"), &awsscheduler.CfnScheduleProps{
		Name:               sub("${AWS::StackName}-tick"),
		Description:        jsii.String("The clock of the stack"),
		ScheduleExpression: jsii.String("rate(1 minute)"),
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn: tick.AttrArn(),
			// A minute that is told twice is served once.
			Input: jsii.String(`{"scheduledTime":"<aws.scheduler.scheduled-time>"}`),
			RoleArn: role(c.scope, "TickScheduleRole", "scheduler.amazonaws.com", "What the clock may do",
				allow("InvokeTick", []string{"lambda:InvokeFunction"}, tick.AttrArn())).AttrArn(),
			// The next minute comes by itself.
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{MaximumEventAgeInSeconds: jsii.Number(60),
				MaximumRetryAttempts: jsii.Number(1)},
		},
	}))
}
