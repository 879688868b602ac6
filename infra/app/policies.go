package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// ARNs that policies name. They are built from names, not from the resources: a role must exist before what it may
// use, and the state machine needs the functions whose roles name the state machine.
const (
	anyThing      = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:thing/*"
	anyGroup      = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:thinggroup/*"
	anyJob        = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:job/*"
	jobTemplate   = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:jobtemplate/" + jobTemplatePrefix + "*"
	stateMachines = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-"
	stateMachine  = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:" +
		"${AWS::StackName}-firmware-upgrade"
	executions = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:" +
		"${AWS::StackName}-firmware-upgrade:*"
)

// statement is one Allow of an identity policy.
type statement struct {
	sid       string
	actions   []string
	resources []any // strings, or values of the CDK
	// noResource is the reason why resources is "*": AWS defines no resource for these actions.
	noResource string
}

func allow(sid string, actions []string, resources ...any) statement {
	return statement{sid: sid, actions: actions, resources: resources}
}

// allowWithoutResource is for actions for which AWS has no resource-level permission. infra/template_test.go holds the
// list of those that may be used so.
func allowWithoutResource(sid, reason string, actions ...string) statement {
	return statement{sid: sid, actions: actions, resources: []any{"*"}, noResource: reason}
}

func document(statements ...statement) map[string]any {
	var list []any
	for _, s := range statements {
		if len(s.resources) == 1 && s.resources[0] == "*" && s.noResource == "" {
			panic("statement " + s.sid + " allows every resource and does not say why")
		}
		list = append(list, map[string]any{
			"Sid": s.sid, "Effect": "Allow", "Action": s.actions, "Resource": s.resources,
		})
	}
	return map[string]any{"Version": "2012-10-17", "Statement": list}
}

// role is a role for one service with exactly these statements.
func role(scope constructs.Construct, id, service, description string, statements ...statement) awsiam.CfnRole {
	trust := map[string]any{
		"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"Service": service},
	}
	if service != "lambda.amazonaws.com" {
		// Rules and state machines of other accounts cannot borrow the role (the confused deputy). Lambda sends no
		// such key; it takes only roles that the creator of the function may pass.
		trust["Condition"] = map[string]any{"StringEquals": map[string]any{
			"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID(),
		}}
	}
	return named(id, awsiam.NewCfnRole(scope, &id, &awsiam.CfnRoleProps{
		Description:              &description,
		AssumeRolePolicyDocument: map[string]any{"Version": "2012-10-17", "Statement": []any{trust}},
		Policies: []any{&awsiam.CfnRole_PolicyProperty{
			PolicyName:     jsii.String("permissions"),
			PolicyDocument: document(statements...),
		}},
	}))
}

// tracing is what X-Ray needs of every function.
func tracing() statement {
	return allowWithoutResource("Tracing", "X-Ray has no resources for segments",
		"xray:PutTraceSegments", "xray:PutTelemetryRecords")
}
