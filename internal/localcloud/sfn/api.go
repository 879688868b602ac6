package sfn

import (
	"context"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/constraint"
	"github.com/fleetstep/fleetstep/internal/localcloud/sfn/names"
)

// API describes the service to the door.
func (s *Service) API() awsapi.Service {
	// A version and an alias are authorised as their machine. Step Functions Developer Guide, "Authorization for
	// versions and aliases" (read 2026-11).
	onMachine := func(arn string) []string { return []string{unqualified(arn)} }
	return awsapi.Service{
		Fault: awsapi.Word{Code: "InternalFailure", Status: 500},
		ID:    "sfn", Signing: "states", Prefix: "states", Target: "AWSStepFunctions",
		Protocols: []awsapi.Protocol{awsapi.JSON10},
		Operations: []awsapi.Operation{
			op("CreateStateMachine", s.createStateMachine,
				awsapi.On(func(c *awsapi.Call, in *CreateStateMachineInput) []string {
					return onMachine(s.arn(names.StateMachine, in.Name))
				})),
			op("UpdateStateMachine", s.updateStateMachine,
				awsapi.On(func(c *awsapi.Call, in *UpdateStateMachineInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			op("DeleteStateMachine", s.deleteStateMachine, awsapi.On(machineRef)),
			op("DescribeStateMachine", s.describeStateMachine, awsapi.On(machineRef)),
			op("ListStateMachines", s.listStateMachines),
			op("ValidateStateMachineDefinition", s.validateDefinition),
			op("PublishStateMachineVersion", s.publishVersion,
				awsapi.On(func(c *awsapi.Call, in *PublishVersionInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			op("DeleteStateMachineVersion", s.deleteVersion,
				awsapi.On(func(c *awsapi.Call, in *DeleteVersionInput) []string {
					return onMachine(in.StateMachineVersionARN)
				})),
			op("ListStateMachineVersions", s.listVersions,
				awsapi.On(func(c *awsapi.Call, in *ListVersionsInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			op("CreateStateMachineAlias", s.createAlias,
				awsapi.On(func(c *awsapi.Call, in *CreateAliasInput) []string {
					if len(in.Routing) == 0 {
						return nil
					}
					return onMachine(in.Routing[0].StateMachineVersionARN)
				})),
			op("UpdateStateMachineAlias", s.updateAlias,
				awsapi.On(func(c *awsapi.Call, in *UpdateAliasInput) []string {
					return onMachine(in.StateMachineAliasARN)
				})),
			op("DeleteStateMachineAlias", s.deleteAlias,
				awsapi.On(func(c *awsapi.Call, in *AliasRef) []string {
					return onMachine(in.StateMachineAliasARN)
				})),
			op("DescribeStateMachineAlias", s.describeAlias,
				awsapi.On(func(c *awsapi.Call, in *AliasRef) []string {
					return onMachine(in.StateMachineAliasARN)
				})),
			op("ListStateMachineAliases", s.listAliases,
				awsapi.On(func(c *awsapi.Call, in *ListVersionsInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			op("TagResource", s.tagResource),
			op("UntagResource", s.untagResource),
			op("ListTagsForResource", s.listTags),

			op("TestState", s.testState),
			op("RedriveExecution", s.redriveExecution,
				awsapi.On(func(c *awsapi.Call, in *RedriveExecutionInput) []string {
					return onMachine(in.ExecutionARN)
				})),
			op("ListMapRuns", s.listMapRuns, awsapi.On(func(c *awsapi.Call, in *ListMapRunsInput) []string {
				return onMachine(in.ExecutionARN)
			})),
			op("DescribeMapRun", s.describeMapRun, awsapi.On(func(c *awsapi.Call, in *MapRunRef) []string {
				return onMachine(in.MapRunARN)
			})),
			op("UpdateMapRun", s.updateMapRun, awsapi.On(func(c *awsapi.Call, in *UpdateMapRunInput) []string {
				return onMachine(in.MapRunARN)
			})),
			op("StartExecution", s.startExecution,
				awsapi.On(func(c *awsapi.Call, in *StartExecutionInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			op("StartSyncExecution", s.startSyncExecution,
				awsapi.On(func(c *awsapi.Call, in *StartExecutionInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			op("StopExecution", s.stopExecution,
				awsapi.On(func(c *awsapi.Call, in *StopExecutionInput) []string {
					return onMachine(in.ExecutionARN)
				})),
			op("DescribeExecution", s.describeExecution, awsapi.On(executionRef)),
			op("DescribeStateMachineForExecution", s.describeForExecution, awsapi.On(executionRef)),
			op("ListExecutions", s.listExecutions,
				awsapi.On(func(c *awsapi.Call, in *ListExecutionsInput) []string {
					if in.StateMachineARN == "" {
						return []string{"*"}
					}
					return onMachine(in.StateMachineARN)
				})),
			op("GetExecutionHistory", s.getHistory,
				awsapi.On(func(c *awsapi.Call, in *GetHistoryInput) []string {
					return onMachine(in.ExecutionARN)
				})),

			op("SendTaskSuccess", s.sendTaskSuccess,
				awsapi.On(func(c *awsapi.Call, in *SendTaskSuccessInput) []string {
					return s.tokenResource(in.TaskToken)
				})),
			op("SendTaskFailure", s.sendTaskFailure,
				awsapi.On(func(c *awsapi.Call, in *SendTaskFailureInput) []string {
					return s.tokenResource(in.TaskToken)
				})),
			op("SendTaskHeartbeat", s.sendTaskHeartbeat,
				awsapi.On(func(c *awsapi.Call, in *SendTaskHeartbeatInput) []string {
					return s.tokenResource(in.TaskToken)
				})),

			op("CreateActivity", s.createActivity),
			op("DeleteActivity", s.deleteActivity),
			op("DescribeActivity", s.describeActivity),
			op("ListActivities", s.listActivities),
			op("GetActivityTask", s.getActivityTask,
				awsapi.On(func(c *awsapi.Call, in *GetActivityTaskInput) []string {
					return onMachine(in.ActivityARN)
				})),
		},
	}
}

// op is an operation whose requests are first held to the API's model.
func op[In, Out any](name string, handle func(ctx context.Context, c *awsapi.Call, in *In) (*Out, error),
	options ...awsapi.Option) awsapi.Operation {
	problem := constraint.Of[In]()
	return awsapi.Op(name, func(ctx context.Context, c *awsapi.Call, in *In) (*Out, error) {
		if p := problem(in); p != "" {
			return nil, validation("%s", p)
		}
		return handle(ctx, c, in)
	}, options...)
}

func machineRef(_ *awsapi.Call, in *StateMachineRef) []string { return []string{in.StateMachineARN} }
func executionRef(_ *awsapi.Call, in *ExecutionRef) []string  { return []string{in.ExecutionARN} }

// unqualified is the ARN of a state machine without the version or alias behind its name.
func unqualified(arn string) string {
	const parts = 7 // arn:partition:states:region:account:stateMachine:name
	list := strings.SplitN(arn, ":", parts+1)
	if len(list) <= parts || list[parts-2] != "stateMachine" {
		return arn
	}
	return strings.Join(list[:parts], ":")
}
