package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	resources "github.com/fleetstep/fleetstep/infra/operation"
	"github.com/fleetstep/fleetstep/internal/event"
	"github.com/fleetstep/fleetstep/internal/functions/environment"
	"github.com/fleetstep/fleetstep/statemachines"
)

// workflow is the table of claims and tokens, the state machine that upgrades one device, and the four functions that
// are its steps.
type workflow struct {
	table        awsdynamodb.CfnTable
	results      awss3.CfnBucket // where operations leave what is too large for an outcome
	stateMachine awsstepfunctions.CfnStateMachine
	operations   *operations
	tasks        resources.Tasks // of operations that are only ASL
}

// names is what functions are told of the operations that are only ASL.
func (w *workflow) names() *string { return w.operations.variable() }

func newWorkflow(stack awscdk.Stack, lambdas *functions, account *account, device *device, notify *notifications,
	operations *operations, p *parameters) *workflow {
	scope := constructs.NewConstruct(stack, jsii.String("Workflow"))
	w := &workflow{
		table:      newTable(scope, p),
		results:    privateBucket(scope, "ResultsBucket", "Results", "ResultsTLSOnly", p, searches()),
		operations: operations,
	}

	usp := device.environment(account, p)
	usp[environment.Table] = w.table.Ref()
	sendEnvironment := device.addresses(p)
	for name, value := range usp {
		sendEnvironment[name] = value
	}

	publish := allow("SendToAgent", []string{"iot:Publish"}, p.topics.agents())

	sendEnvironment[environment.EventTopic] = notify.eventTopic(p)
	awaitEnvironment := maps.Clone(usp)
	awaitEnvironment[environment.EventTopic] = notify.eventTopic(p)

	send := lambdas.add("send-usp-operate", sendEnvironment, w.items(), w.readFlags(), publish,
		device.readImages(), resumeTask())
	await := lambdas.add("await-firmware-report", awaitEnvironment, w.items(), publish, resumeTask())
	// Only an answer ends Verify, and answers meet the task in handle-device-message.
	verify := lambdas.add("verify-version", usp, w.items(), publish)
	// What resumes its tasks comes with their state machines: package operation.
	tasks := maps.Clone(usp)
	tasks[environment.Operations] = w.names()
	uspTask := lambdas.add("usp-task", tasks, w.items(), w.readFlags(), publish)
	finalize := lambdas.add("finalize",
		map[string]*string{
			environment.Table: w.table.Ref(), environment.OutcomeTopic: notify.outcomes.Ref(),
			environment.JobsEndpoint: account.jobs, environment.Operations: w.names(),
			environment.EventTopic: notify.eventTopic(p),
		},
		// With what it has learnt of the device, or to park.
		append(jobExecutions(), w.release("dynamodb:UpdateItem", "dynamodb:PutItem"),
			// What is ours ends as CANCELED, which no device may set.
			cancelJobExecution(),
			allow("RecordVersion", []string{"iot:DescribeThing", "iot:UpdateThing"}, *sub(anyThing)),
			notify.publishOutcome())...)

	// What of their settings is not in the template. The endpoint of AWS IoT's data plane is not either, and is an
	// account's for good.
	ofDevices := []*string{p.key.arn, p.controllerEndpointID.ValueAsString(), p.topicLayout.ValueAsString()}
	ofImages := append([]*string{p.imageBaseURL.ValueAsString(), p.imageKeyPair.ValueAsString(),
		p.imageKeyParameter.ValueAsString()}, ofDevices...)
	events := p.eventsWanted.ValueAsString()
	finalized := lambdas.publish("finalize", finalize, p.key.arn, account.jobs, events)
	w.tasks = resources.Tasks{
		UspTask: lambdas.publish("usp-task", uspTask, ofDevices...).id, Finalize: finalized.id,
	}
	steps := []step{
		{"SendUspOperateArn", "send-usp-operate", lambdas.publish("send-usp-operate", send,
			append(ofImages, events)...)},
		{"AwaitFirmwareReportArn", "await-firmware-report", lambdas.publish("await-firmware-report", await,
			append(slices.Clone(ofDevices), events)...)},
		{"VerifyVersionArn", "verify-version", lambdas.publish("verify-version", verify, ofDevices...)},
		{"FinalizeArn", "finalize", finalized},
	}
	w.stateMachine = newStateMachine(scope, machineSpec{
		id: "StateMachine", name: "firmware-upgrade", document: statemachines.FirmwareUpgrade,
		may: "What the firmware upgrade may do",
	}, steps, p)
	publishMachine(scope, "StateMachine", w.stateMachine)
	return w
}

func newTable(scope constructs.Construct, p *parameters) awsdynamodb.CfnTable {
	var definitions []any
	for _, name := range []string{"PK", "SK", event.StandingsShard, event.StandingsPlace} {
		definitions = append(definitions, &awsdynamodb.CfnTable_AttributeDefinitionProperty{
			AttributeName: jsii.String(name), AttributeType: jsii.String("S")})
	}
	keys := func(hash, sort string) []any {
		return []any{
			&awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: jsii.String(hash), KeyType: jsii.String("HASH")},
			&awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: jsii.String(sort), KeyType: jsii.String("RANGE")},
		}
	}
	table := named("DeviceTable", awsdynamodb.NewCfnTable(scope, jsii.String("Table"), &awsdynamodb.CfnTableProps{
		AttributeDefinitions: definitions,
		KeySchema:            keys("PK", "SK"),
		// Devices of a campaign by where they stand. No other items are in it.
		GlobalSecondaryIndexes: []any{&awsdynamodb.CfnTable_GlobalSecondaryIndexProperty{
			IndexName: jsii.String(event.StandingsIndex),
			KeySchema: keys(event.StandingsShard, event.StandingsPlace),
			Projection: &awsdynamodb.CfnTable_ProjectionProperty{ProjectionType: jsii.String("INCLUDE"),
				NonKeyAttributes: jsii.Strings(event.StandingsAttributes()...)},
		}},
		BillingMode: jsii.String("PAY_PER_REQUEST"),
		TimeToLiveSpecification: &awsdynamodb.CfnTable_TimeToLiveSpecificationProperty{
			AttributeName: jsii.String("expiresAt"), Enabled: jsii.Bool(true),
		},
		PointInTimeRecoverySpecification: &awsdynamodb.CfnTable_PointInTimeRecoverySpecificationProperty{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
		DeletionProtectionEnabled: p.protected.choose(true, false),
		// Without a customer's key: encrypted at rest with DynamoDB's own, as every table.
		SseSpecification: p.key.choose(map[string]any{
			"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": p.key.arn,
		}, awscdk.Aws_NO_VALUE()),
	}))
	table.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE, nil)
	return table
}

// items is the use of the table by a function: a device's partition is read as a whole, and
// TransactWriteItems needs the permissions of its parts.
func (w *workflow) items() statement {
	return allow("DeviceItems", []string{
		"dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
	}, w.table.AttrArn())
}

// release is the use of the table by a function that only ends upgrades.
func (w *workflow) release(more ...string) statement {
	return allow("ReleaseDevice", append([]string{"dynamodb:Query", "dynamodb:DeleteItem"}, more...),
		w.table.AttrArn())
}

// listDevices is the use of the index by a function that lists a campaign's devices.
func (w *workflow) listDevices() statement {
	return allow("ListDevices", []string{"dynamodb:Query"}, *w.table.AttrArn()+"/index/"+event.StandingsIndex)
}

// readFlags is for functions that begin something: whether it may.
func (w *workflow) readFlags() statement {
	return allow("ReadFlags", []string{"dynamodb:BatchGetItem"}, w.table.AttrArn())
}

// step is a function as the definition names it: by a version, which an execution keeps to its end.
type step struct {
	substitution, function string
	version                published
}

// machineSpec is what a state machine has of its own.
type machineSpec struct {
	id, name string // logical ids begin with the one; the other is the last part of its name
	document string // of package statemachines
	may      string // describes its role
}

func newStateMachine(scope constructs.Construct, spec machineSpec, steps []step, p *parameters,
) awsstepfunctions.CfnStateMachine {
	logs := named(spec.id+"LogGroup", awslogs.NewCfnLogGroup(scope, jsii.String("Logs"), &awslogs.CfnLogGroupProps{
		// States logs of all accounts share one resource policy; groups under this prefix do not count in its size.
		LogGroupName:    sub("/aws/vendedlogs/states/${AWS::StackName}-" + spec.name),
		RetentionInDays: jsii.Number(retentionDays),
		KmsKeyId:        p.key.orNone(),
	}))
	var arns []any
	substitutions := map[string]*string{}
	for _, s := range steps {
		arns = append(arns, invokeVersions(s.function))
		substitutions[s.substitution] = s.version.arn
	}
	// The integrations of Step Functions have the partition in their names, as everything has.
	definition := strings.ReplaceAll(compact([]byte(spec.document)), "arn:aws:states:::",
		"arn:${Partition}:states:::")
	substitutions["Partition"] = awscdk.Aws_PARTITION()
	role := role(scope, spec.id+"Role", "states.amazonaws.com", spec.may,
		allow("InvokeSteps", []string{"lambda:InvokeFunction"}, arns...),
		allowWithoutResource("LogDelivery",
			"log deliveries and the resource policies of CloudWatch Logs have no resources",
			"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
			"logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies",
			"logs:DescribeLogGroups"),
		allowWithoutResource("Tracing", "X-Ray has no resources for segments and sampling",
			"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"))

	machine := named(spec.id, awsstepfunctions.NewCfnStateMachine(scope, jsii.String("StateMachine"),
		&awsstepfunctions.CfnStateMachineProps{
			StateMachineName:        sub("${AWS::StackName}-" + spec.name),
			StateMachineType:        jsii.String("STANDARD"),
			RoleArn:                 role.AttrArn(),
			DefinitionString:        &definition,
			DefinitionSubstitutions: substitutions,
			LoggingConfiguration: &awsstepfunctions.CfnStateMachine_LoggingConfigurationProperty{
				Level: jsii.String("ERROR"),
				// What went in and out of a state is in the execution history already.
				IncludeExecutionData: jsii.Bool(false),
				Destinations: []any{&awsstepfunctions.CfnStateMachine_LogDestinationProperty{
					CloudWatchLogsLogGroup: &awsstepfunctions.CfnStateMachine_CloudWatchLogsLogGroupProperty{
						LogGroupArn: logs.AttrArn(),
					},
				}},
			},
			TracingConfiguration: &awsstepfunctions.CfnStateMachine_TracingConfigurationProperty{
				Enabled: jsii.Bool(true),
			},
		}))
	// cfn-lint 1.51 wants a number where a JSONata state may compute its TimeoutSeconds (States Language, "JSONata":
	// any field that takes a number takes an expression). The definition is validated by our own compiler instead.
	machine.AddMetadata(jsii.String("cfn-lint"),
		map[string]any{"config": map[string]any{"ignore_checks": []string{"E3601"}}})
	return machine
}

// resumeTask hands a device's news to the task that waits for it.
func resumeTask(more ...string) statement {
	return allow("ResumeTask", append([]string{"states:SendTaskSuccess", "states:SendTaskFailure"}, more...),
		*sub(stateMachine))
}

// startUpgrade starts the workflow of a device. It looks at the one that holds the device, and stops it if its job
// execution is over.
func startUpgrade() []statement {
	return []statement{
		allow("StartUpgrade", []string{"states:StartExecution"}, *sub(stateMachine)),
		allow("TakeOver", []string{"states:DescribeExecution", "states:StopExecution"}, *sub(executions)),
	}
}

// readZone is for a start that waits for a window in the device's time.
func readZone() statement { return allow("ReadZone", []string{"iot:DescribeThing"}, *sub(anyThing)) }

// jobExecutions is how a function reports to the job as the device would.
func jobExecutions() []statement {
	return []statement{
		allow("ReportToJob", []string{"iotjobsdata:DescribeJobExecution", "iotjobsdata:UpdateJobExecution"},
			*sub(anyThing)),
		confirmOver(),
	}
}

// cancelJobExecution ends one as an operator does.
func cancelJobExecution() statement {
	return allow("CancelJobExecution", []string{"iot:CancelJobExecution"}, *sub(anyJob), *sub(anyThing))
}

// confirmOver asks the control plane whether a job execution is over, as the data plane says.
func confirmOver() statement {
	return allow("ConfirmOver", []string{"iot:DescribeJobExecution"}, *sub(anyJob), *sub(anyThing))
}
