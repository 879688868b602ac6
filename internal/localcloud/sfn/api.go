package sfn

import (
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
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
		Protocols: []awsapi.Protocol{awsapi.JSON10}, OneList: true,
		Operations: []awsapi.Operation{
			awsapi.Op("CreateStateMachine", s.createStateMachine,
				awsapi.On(func(c *awsapi.Call, in *CreateStateMachineInput) []string {
					return onMachine(s.arn(names.StateMachine, in.Name))
				})),
			awsapi.Op("UpdateStateMachine", s.updateStateMachine,
				awsapi.On(func(c *awsapi.Call, in *UpdateStateMachineInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			awsapi.Op("DeleteStateMachine", s.deleteStateMachine, awsapi.On(machineRef)),
			awsapi.Op("DescribeStateMachine", s.describeStateMachine, awsapi.On(machineRef)),
			awsapi.Op("ListStateMachines", s.listStateMachines),
			awsapi.Op("ValidateStateMachineDefinition", s.validateDefinition),
			awsapi.Op("PublishStateMachineVersion", s.publishVersion,
				awsapi.On(func(c *awsapi.Call, in *PublishVersionInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			awsapi.Op("DeleteStateMachineVersion", s.deleteVersion,
				awsapi.On(func(c *awsapi.Call, in *DeleteVersionInput) []string {
					return onMachine(in.StateMachineVersionARN)
				})),
			awsapi.Op("ListStateMachineVersions", s.listVersions,
				awsapi.On(func(c *awsapi.Call, in *ListVersionsInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			awsapi.Op("CreateStateMachineAlias", s.createAlias,
				awsapi.On(func(c *awsapi.Call, in *CreateAliasInput) []string {
					if len(in.Routing) == 0 {
						return nil
					}
					return onMachine(in.Routing[0].StateMachineVersionARN)
				})),
			awsapi.Op("UpdateStateMachineAlias", s.updateAlias,
				awsapi.On(func(c *awsapi.Call, in *UpdateAliasInput) []string {
					return onMachine(in.StateMachineAliasARN)
				})),
			awsapi.Op("DeleteStateMachineAlias", s.deleteAlias,
				awsapi.On(func(c *awsapi.Call, in *AliasRef) []string {
					return onMachine(in.StateMachineAliasARN)
				})),
			awsapi.Op("DescribeStateMachineAlias", s.describeAlias,
				awsapi.On(func(c *awsapi.Call, in *AliasRef) []string {
					return onMachine(in.StateMachineAliasARN)
				})),
			awsapi.Op("ListStateMachineAliases", s.listAliases,
				awsapi.On(func(c *awsapi.Call, in *ListVersionsInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			awsapi.Op("TagResource", s.tagResource),
			awsapi.Op("UntagResource", s.untagResource),
			awsapi.Op("ListTagsForResource", s.listTags),

			awsapi.Op("TestState", s.testState),
			awsapi.Op("RedriveExecution", s.redriveExecution,
				awsapi.On(func(c *awsapi.Call, in *RedriveExecutionInput) []string {
					return onMachine(in.ExecutionARN)
				})),
			awsapi.Op("ListMapRuns", s.listMapRuns, awsapi.On(func(c *awsapi.Call, in *ListMapRunsInput) []string {
				return onMachine(in.ExecutionARN)
			})),
			awsapi.Op("DescribeMapRun", s.describeMapRun, awsapi.On(func(c *awsapi.Call, in *MapRunRef) []string {
				return onMachine(in.MapRunARN)
			})),
			awsapi.Op("UpdateMapRun", s.updateMapRun, awsapi.On(func(c *awsapi.Call, in *UpdateMapRunInput) []string {
				return onMachine(in.MapRunARN)
			})),
			awsapi.Op("StartExecution", s.startExecution,
				awsapi.On(func(c *awsapi.Call, in *StartExecutionInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			awsapi.Op("StartSyncExecution", s.startSyncExecution,
				awsapi.On(func(c *awsapi.Call, in *StartExecutionInput) []string {
					return onMachine(in.StateMachineARN)
				})),
			awsapi.Op("StopExecution", s.stopExecution,
				awsapi.On(func(c *awsapi.Call, in *StopExecutionInput) []string {
					return onMachine(in.ExecutionARN)
				})),
			awsapi.Op("DescribeExecution", s.describeExecution, awsapi.On(executionRef)),
			awsapi.Op("DescribeStateMachineForExecution", s.describeForExecution, awsapi.On(executionRef)),
			awsapi.Op("ListExecutions", s.listExecutions,
				awsapi.On(func(c *awsapi.Call, in *ListExecutionsInput) []string {
					if in.StateMachineARN == "" {
						return []string{"*"}
					}
					return onMachine(in.StateMachineARN)
				})),
			awsapi.Op("GetExecutionHistory", s.getHistory,
				awsapi.On(func(c *awsapi.Call, in *GetHistoryInput) []string {
					return onMachine(in.ExecutionARN)
				})),

			awsapi.Op("SendTaskSuccess", s.sendTaskSuccess,
				awsapi.On(func(c *awsapi.Call, in *SendTaskSuccessInput) []string {
					return s.tokenResource(in.TaskToken)
				})),
			awsapi.Op("SendTaskFailure", s.sendTaskFailure,
				awsapi.On(func(c *awsapi.Call, in *SendTaskFailureInput) []string {
					return s.tokenResource(in.TaskToken)
				})),
			awsapi.Op("SendTaskHeartbeat", s.sendTaskHeartbeat,
				awsapi.On(func(c *awsapi.Call, in *SendTaskHeartbeatInput) []string {
					return s.tokenResource(in.TaskToken)
				})),

			awsapi.Op("CreateActivity", s.createActivity),
			awsapi.Op("DeleteActivity", s.deleteActivity),
			awsapi.Op("DescribeActivity", s.describeActivity),
			awsapi.Op("ListActivities", s.listActivities),
			awsapi.Op("GetActivityTask", s.getActivityTask,
				awsapi.On(func(c *awsapi.Call, in *GetActivityTaskInput) []string {
					return onMachine(in.ActivityARN)
				})),
		},
	}
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
