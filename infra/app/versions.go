package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fleetstep/fleetstep/internal/functions/environment"
)

// An execution may live for days, and a deployment may come in between. What it began with it ends with: its
// definition names versions of the functions of its steps, which do not change, and it is started by the machine's
// alias, which a deployment moves to the new version. Versions outlive their place in the template: nobody knows
// when the last execution of one is over, and a version costs nothing.

// currentVersion ends the logical id of a function's version in the committed template, in place of eight digits that
// follow from its code and properties.
const currentVersion = "Current"

// publish makes a version of a function that add has made. Lambda publishes none, and CloudFormation fails, where
// nothing has changed since the last: so the logical id follows from all that a version has. settings are the
// values among them that follow from the stack's parameters, and are not known here: they are the description,
// since a version with another description is another.
func (f *functions) publish(name string, function awslambda.CfnFunction, settings ...*string) published {
	spec := specOf(name)
	id := spec.id + "Version" + f.hash(spec)
	props := &awslambda.CfnVersionProps{FunctionName: function.Ref()}
	if len(settings) > 0 {
		props.Description = awscdk.Fn_Join(jsii.String(" "), &settings)
	}
	version := named(id, awslambda.NewCfnVersion(f.scope, jsii.String(name+"-version"), props))
	version.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
	return published{id, version.Ref()}
}

// published is a version: its logical id, and its ARN.
type published struct {
	id  string
	arn *string
}

// hash is eight digits of a function's code and properties.
func (f *functions) hash(spec functionSpec) string {
	content, err := json.Marshal(awscdk.Stack_Of(f.scope).Resolve(f.made[spec.name]))
	if err != nil {
		panic("the properties of " + spec.name + " are not JSON: " + err.Error())
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:4])
}

// invokeVersions is the ARN of every version of a function, by its name: a role is there before what it may use.
func invokeVersions(name string) *string {
	return sub("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-" +
		name + ":*")
}

// publishMachine makes a version of each revision of a state machine, and moves the alias to it.
func publishMachine(scope constructs.Construct, id string, machine awsstepfunctions.CfnStateMachine) {
	version := named(id+"Version", awsstepfunctions.NewCfnStateMachineVersion(scope, jsii.String("Version"),
		&awsstepfunctions.CfnStateMachineVersionProps{
			StateMachineArn: machine.Ref(),
			// Another revision replaces the version: it is published anew.
			StateMachineRevisionId: machine.AttrStateMachineRevisionId(),
		}))
	version.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
	named(id+"Alias", awsstepfunctions.NewCfnStateMachineAlias(scope, jsii.String("Alias"),
		&awsstepfunctions.CfnStateMachineAliasProps{
			Name:        jsii.String(environment.Live),
			Description: jsii.String("Executions are started by it"),
			RoutingConfiguration: []any{&awsstepfunctions.CfnStateMachineAlias_RoutingConfigurationVersionProperty{
				StateMachineVersionArn: version.Ref(), Weight: jsii.Number(100),
			}},
		}))
}
