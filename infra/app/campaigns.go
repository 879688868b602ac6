package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/statemachines"
)

// campaigns is what leads a fleet over days: a state machine, the function of its steps, and a function for each class
// of an operator's verbs, since permissions are granted by function.
type campaigns struct {
	stateMachine awsstepfunctions.CfnStateMachine
}

// The state machine by its name, for roles that are made before it.
const campaignMachine = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:" +
	"${AWS::StackName}-" + statemachines.Campaign

// campaignExecutions are its executions.
const campaignExecutions = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:" +
	"${AWS::StackName}-" + statemachines.Campaign + ":*"

// campaignSteps is the function of a campaign's steps.
const campaignSteps = "run-campaign"

// searchedIndex is the index of things.
const searchedIndex = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:index/AWS_Things"

func newCampaigns(stack constructs.Construct, lambdas *functions, device *device, w *workflow, clock *clock,
	notify *notifications, p *parameters) *campaigns {
	scope := constructs.NewConstruct(stack, jsii.String("Campaigns"))
	items := func(more ...string) statement {
		return allow("Records", append([]string{"dynamodb:GetItem"}, more...), w.table.AttrArn())
	}
	// A record is written with its log and its places in lists; one that is over leaves a list.
	write := []string{"dynamodb:PutItem"}

	lambdas.add("create-campaign", map[string]*string{
		environment.Table: w.table.Ref(), environment.StateMachines: sub(stateMachines),
		environment.FirmwareBucket: device.bucket.Ref(), environment.CampaignBucket: w.results.Ref(),
		environment.SourceHosts:      p.sourceHosts.ValueAsString(),
		environment.SigningKeys:      p.signingKeys.ValueAsString(),
		environment.RequireSignature: p.requireSignature.ValueAsString(),
	},
		items(write...),
		// What one call has found of a large fleet the next ones read.
		w.manifests("WriteManifest", "s3:GetObject", "s3:PutObject"),
		allow("StartCampaign", []string{"states:StartExecution"}, *sub(campaignMachine)),
		allow("FindDevices", []string{"iot:DescribeThing", "iot:DescribeThingGroup", "iot:ListThingsInThingGroup"},
			*sub(anyThing), *sub(anyGroup)),
		allow("SearchDevices", []string{"iot:SearchIndex"}, *sub(searchedIndex)),
		watchAlarms(),
		allowWithoutResource("IsIndexed", "fleet indexing is the account's", "iot:GetIndexingConfiguration"),
		allow("FindFirmware", []string{"s3:ListBucket"}, device.bucket.AttrArn()),
		// Lists of devices may lie beside the images.
		allow("ReadFirmware", []string{"s3:GetObject", "s3:GetObjectVersion"}, device.images()))

	lambdas.add("approve-campaign", map[string]*string{environment.Table: w.table.Ref()},
		items(write...), answerCampaign())
	lambdas.add("control-campaign", map[string]*string{
		environment.Table: w.table.Ref(), environment.CampaignBucket: w.results.Ref(),
		environment.StartQueue: clock.starts.Ref(), environment.Operations: w.names(),
	},
		items("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query",
			"dynamodb:BatchGetItem"),
		w.listDevices(), w.manifests("ReadManifest", "s3:GetObject"), answerCampaign(),
		allow("SendStarts", []string{"sqs:SendMessage"}, clock.starts.AttrArn()))
	lambdas.add("abort-campaign", map[string]*string{environment.Table: w.table.Ref()},
		items("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchGetItem"), answerCampaign())
	lambdas.add("describe-campaign", map[string]*string{
		environment.Table: w.table.Ref(), environment.CampaignBucket: w.results.Ref(),
	},
		items("dynamodb:Query", "dynamodb:BatchGetItem"), w.listDevices(),
		w.manifests("ReadManifest", "s3:GetObject"))

	run := lambdas.add(campaignSteps, map[string]*string{
		environment.Table: w.table.Ref(), environment.CampaignBucket: w.results.Ref(),
		environment.CampaignTopic: notify.campaigns.Ref(),
	},
		items("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchGetItem"),
		w.listDevices(), w.manifests("KeepReports", "s3:GetObject", "s3:PutObject"), answerCampaign(),
		watchAlarms(),
		allow("Announce", []string{"sns:Publish"}, notify.campaigns.Ref()))

	c := &campaigns{}
	c.stateMachine = newStateMachine(scope, machineSpec{
		id: "CampaignStateMachine", name: statemachines.Campaign, document: statemachines.FirmwareCampaign,
		may: "What a campaign may do",
	}, []step{{"RunCampaignArn", campaignSteps, lambdas.publish(campaignSteps, run, p.key.arn)}}, p)
	publishMachine(scope, "CampaignStateMachine", c.stateMachine)
	return c
}

// manifests is the use of what is kept of campaigns beside the table.
func (w *workflow) manifests(sid string, actions ...string) statement {
	return allow(sid, actions, *w.results.AttrArn()+"/campaigns/*")
}

// searches expires what searches for a campaign's devices have found: a search takes minutes. One rule is enough for
// objects, their versions and the markers that are left of them.
func searches() any {
	return &awss3.CfnBucket_RuleProperty{
		Id: jsii.String("searches"), Status: jsii.String("Enabled"), Prefix: jsii.String("campaigns/.found/"),
		ExpirationInDays: jsii.Number(1),
		NoncurrentVersionExpiration: &awss3.CfnBucket_NoncurrentVersionExpirationProperty{
			NoncurrentDays: jsii.Number(1),
		},
	}
}

// watchAlarms reads the alarms that gates name.
func watchAlarms() statement {
	return allowWithoutResource("WatchAlarms", "with a narrower scope no composite alarm is told",
		"cloudwatch:DescribeAlarms")
}

// answerCampaign ends the task that a campaign waits in.
func answerCampaign() statement {
	return allow("AnswerCampaign", []string{"states:SendTaskSuccess"}, *sub(campaignMachine))
}
