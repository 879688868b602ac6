package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
)

// account is what belongs to the account and has no resource in CloudFormation: AWS IoT's event
// configurations, and the endpoints of its data planes.
type account struct {
	data, jobs *string // URLs
}

// newAccount makes the custom resource. AWS IoT publishes no job events by default, and a cancelled job would never
// reach a running workflow. When the stack goes the setting stays: what the account had before cannot be known.
func newAccount(stack awscdk.Stack, lambdas *functions, p *parameters) *account {
	scope := constructs.NewConstruct(stack, jsii.String("Account"))
	prepare := lambdas.add("prepare-account", nil,
		allowWithoutResource("SwitchEvents",
			"event configurations belong to the account; AWS has no resource for them",
			"iot:UpdateEventConfigurations"),
		allowWithoutResource("FindEndpoint", "the endpoint belongs to the account; AWS has no resource for it",
			"iot:DescribeEndpoint"),
		allow("ProbeEndpoint", []string{"iotjobsdata:GetPendingJobExecutions"}, *sub(probeThing)))
	made := named("Account", awscdk.NewCfnResource(scope, jsii.String("Resource"), &awscdk.CfnResourceProps{
		Type: jsii.String("Custom::IoTAccount"),
		Properties: &map[string]any{
			"ServiceToken":                  prepare.AttrArn(),
			"ServiceTimeout":                jsii.Number(120),
			environment.AccountJobsEndpoint: p.jobsEndpoint.ValueAsString(),
		},
	}))
	attribute := func(name string) *string {
		return awscdk.Token_AsString(made.GetAtt(&name, awscdk.ResolutionTypeHint_STRING), nil)
	}
	return &account{data: attribute(environment.AccountDataEndpoint), jobs: attribute(environment.AccountJobsEndpoint)}
}

// probeThing is the thing that prepare-account asks the jobs data plane about.
const probeThing = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:thing/" + event.ProbeThing
