package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Functions, state machines, and what AWS IoT has.

const configure, recode = "UpdateFunctionConfiguration", "UpdateFunctionCode"

var lambdaFunction = kind{
	service: "lambda", create: "CreateFunction", key: "FunctionName", name: naming{property: "FunctionName", max: 64},
	required: []string{"Code", "Role"},
	properties: members{
		"FunctionName":  text,
		"Code":          object(members{"S3Bucket": text, "S3Key": text, "S3ObjectVersion": text}).by(recode),
		"Role":          text.by(configure),
		"Handler":       text.by(configure),
		"Runtime":       text.by(configure),
		"Description":   text.by(configure).orElse(""),
		"Timeout":       number.by(configure).orElse(json.Number("3")),
		"MemorySize":    number.by(configure).orElse(json.Number("128")),
		"Architectures": texts.by(recode),
		"PackageType":   text,
		"Environment": object(members{"Variables": mappingOf(text)}).by(configure).
			orElse(map[string]any{"Variables": map[string]any{}}),
		"DeadLetterConfig": object(members{"TargetArn": text}).by(configure).orElse(map[string]any{"TargetArn": ""}),
		"LoggingConfig": object(members{"LogGroup": text, "LogFormat": text, "ApplicationLogLevel": text,
			"SystemLogLevel": text}).
			by(configure),
		"TracingConfig": object(members{"Mode": text}).by(configure).
			orElse(map[string]any{"Mode": "PassThrough"}),
		"EphemeralStorage":             unused("a function has the space that the machine has"),
		"ReservedConcurrentExecutions": number.set("PutFunctionConcurrency").drop("DeleteFunctionConcurrency"),
		"KmsKeyArn":                    unused(unusedEncryption),
		"Tags":                         tagMap,
	},
	build: map[string]func(Request, map[string]any) error{
		// The members of Code stand at the top in this operation.
		recode: func(_ Request, in map[string]any) error {
			code, _ := in["Code"].(map[string]any)
			delete(in, "Code")
			maps.Copy(in, code)
			return nil
		},
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any { return e.arn("lambda", "function:"+name) },
	},
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "Resource", value: ofAttribute("Arn")},
	remove:  "DeleteFunction", exists: []string{"ResourceConflictException"},
	notFound: []string{"ResourceNotFoundException"},
}

var lambdaPermission = kind{
	service: "lambda", create: "AddPermission", key: "StatementId", name: naming{max: 100},
	required: []string{"Action", "FunctionName", "Principal"},
	properties: members{
		"Action": text, "FunctionName": text, "Principal": text, "PrincipalOrgID": text, "SourceAccount": text,
		"SourceArn": text, "EventSourceToken": text,
	},
	build: map[string]func(Request, map[string]any) error{
		"RemovePermission": func(r Request, in map[string]any) error {
			in["FunctionName"] = r.Properties["FunctionName"]
			return nil
		},
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Id": func(_ environment, name string, _ map[string]any) any { return name },
	},
	remove: "RemovePermission", exists: []string{"ResourceConflictException"},
	notFound: []string{"ResourceNotFoundException"},
}

var eventInvokeConfig = kind{
	service: "lambda", create: "PutFunctionEventInvokeConfig", key: "FunctionName",
	name:     naming{property: "FunctionName", borrowed: true},
	required: []string{"FunctionName", "Qualifier"},
	properties: members{
		"FunctionName": text, "Qualifier": text,
		"MaximumEventAgeInSeconds": number.by("PutFunctionEventInvokeConfig"),
		"MaximumRetryAttempts":     number.by("PutFunctionEventInvokeConfig"),
		"DestinationConfig": object(members{
			"OnFailure": object(members{"Destination": text}), "OnSuccess": object(members{"Destination": text}),
		}).by("PutFunctionEventInvokeConfig"),
	},
	build: map[string]func(Request, map[string]any) error{
		"DeleteFunctionEventInvokeConfig": func(r Request, in map[string]any) error {
			in["Qualifier"] = r.Properties["Qualifier"]
			return nil
		},
	},
	remove: "DeleteFunctionEventInvokeConfig", notFound: []string{"ResourceNotFoundException"},
}

const updateMachine = "UpdateStateMachine"

var stateMachine = kind{
	service: "sfn", create: "CreateStateMachine", key: "stateMachineArn",
	name:  naming{property: "StateMachineName", max: 80},
	spell: lowerFirst, required: []string{"RoleArn"},
	properties: members{
		"StateMachineName":        text.as("name"),
		"StateMachineType":        text.as("type"),
		"RoleArn":                 text.by(updateMachine),
		"DefinitionString":        text.as("definition").by(updateMachine),
		"Definition":              jsonText.as("definition").by(updateMachine),
		"DefinitionSubstitutions": mappingOf(text).as("substitutions").by(updateMachine),
		"LoggingConfiguration": object(members{
			"Level": text, "IncludeExecutionData": boolean,
			"Destinations": listOf(object(members{"CloudWatchLogsLogGroup": object(members{"LogGroupArn": text})})),
		}).by(updateMachine),
		"TracingConfiguration": object(members{"Enabled": boolean}).by(updateMachine).orElse(
			map[string]any{"Enabled": false}),
		"Tags": listOf(object(members{"Key": text.as("key"), "Value": text.as("value")})),
	},
	build: map[string]func(Request, map[string]any) error{
		"CreateStateMachine": substitute, updateMachine: substitute,
	},
	physical: func(e environment, name string, _ map[string]any) string {
		return e.arn("states", "stateMachine:"+name)
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any {
			return e.arn("states", "stateMachine:"+name)
		},
		"Name": func(_ environment, name string, _ map[string]any) any { return name },
	},
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "resourceArn", value: ofAttribute("Arn")},
	remove:  "DeleteStateMachine", exists: []string{"StateMachineAlreadyExists"},
	notFound: []string{"StateMachineDoesNotExist"},
}

// substitute puts the DefinitionSubstitutions into the definition.
func substitute(r Request, in map[string]any) error {
	definition, ok := in["definition"].(string)
	if !ok {
		return fmt.Errorf("one of DefinitionString and Definition must be given")
	}
	values, _ := in["substitutions"].(map[string]any)
	delete(in, "substitutions")
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, "${"+name+"}", values[name].(string))
	}
	in["definition"] = strings.NewReplacer(pairs...).Replace(definition)
	return nil
}

// ruleAction are the actions of a topic rule, by their names in the template; the API's begin with
// a lower-case letter.
var ruleAction = object(members{
	"Lambda":         object(members{"FunctionArn": text}),
	"Sqs":            object(members{"QueueUrl": text, "RoleArn": text, "UseBase64": boolean}),
	"Sns":            object(members{"TargetArn": text, "RoleArn": text, "MessageFormat": text}),
	"StepFunctions":  object(members{"StateMachineName": text, "RoleArn": text, "ExecutionNamePrefix": text}),
	"DynamoDBv2":     object(members{"PutItem": object(members{"TableName": text}), "RoleArn": text}),
	"S3":             object(members{"BucketName": text, "Key": text, "RoleArn": text, "CannedAcl": text}),
	"CloudwatchLogs": object(members{"LogGroupName": text, "RoleArn": text, "BatchMode": boolean}),
	"CloudwatchMetric": object(members{"MetricName": text, "MetricNamespace": text, "MetricValue": text,
		"MetricUnit": text, "MetricTimestamp": text, "RoleArn": text}),
	"Republish": object(members{"Topic": text, "RoleArn": text, "Qos": number, "Headers": object(members{
		"PayloadFormatIndicator": text, "ContentType": text, "ResponseTopic": text, "CorrelationData": text,
		"MessageExpiry":  text,
		"UserProperties": listOf(object(members{"Key": text, "Value": text})),
	})}),
})

var topicRule = kind{
	service: "iot", create: "CreateTopicRule", key: "ruleName", name: naming{property: "RuleName", max: 128,
		separator: "_"},
	spell: lowerFirst, required: []string{"TopicRulePayload"},
	properties: members{
		"RuleName": text,
		"TopicRulePayload": object(members{
			"Sql": text, "AwsIotSqlVersion": text, "Description": text, "RuleDisabled": boolean,
			"Actions": listOf(ruleAction), "ErrorAction": ruleAction,
		}).by("ReplaceTopicRule"),
		"Tags": unused("tags of rules are not read by anything here"),
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any { return e.arn("iot", "rule/"+name) },
	},
	remove: "DeleteTopicRule", exists: []string{"ResourceAlreadyExistsException"},
	notFound: []string{"ResourceNotFoundException"},
}

var iotPolicy = kind{
	service: "iot", create: "CreatePolicy", key: "policyName", name: naming{property: "PolicyName", max: 128},
	spell: lowerFirst, required: []string{"PolicyDocument"},
	properties: members{
		"PolicyName":     text,
		"PolicyDocument": jsonText.by("CreatePolicyVersion"),
		"Tags":           unused("tags of policies are not read by anything here"),
	},
	build: map[string]func(Request, map[string]any) error{
		"CreatePolicyVersion": func(_ Request, in map[string]any) error { in["setAsDefault"] = true; return nil },
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any { return e.arn("iot", "policy/"+name) },
		"Id":  func(_ environment, name string, _ map[string]any) any { return name },
	},
	remove: "DeletePolicy", exists: []string{"ResourceAlreadyExistsException"},
	notFound: []string{"ResourceNotFoundException"},
}

// policyWithVersions is the Provider of AWS::IoT::Policy: a change is a new version, and only the version in force is
// kept, as CloudFormation does.
type policyWithVersions struct{ bound }

// Update implements Provider.
func (p policyWithVersions) Update(ctx context.Context, r Request) (Resource, error) {
	if err := p.dropVersions(ctx, r.PhysicalID); err != nil {
		return Resource{}, err
	}
	return p.bound.Update(ctx, r)
}

// Delete implements Provider.
func (p policyWithVersions) Delete(ctx context.Context, r Request) error {
	if err := p.dropVersions(ctx, r.PhysicalID); err != nil && awsapi.Code(err) != "ResourceNotFoundException" {
		return err
	}
	return p.bound.Delete(ctx, r)
}

// dropVersions deletes the versions that are not in force.
func (p policyWithVersions) dropVersions(ctx context.Context, name string) error {
	out, err := p.s.call(ctx, "iot", "ListPolicyVersions", map[string]any{"policyName": name})
	if err != nil {
		return err
	}
	versions, _ := out["policyVersions"].([]any)
	for _, e := range versions {
		version, _ := e.(map[string]any)
		if version["isDefaultVersion"] == true {
			continue
		}
		in := map[string]any{"policyName": name, "policyVersionId": version["versionId"]}
		if _, err := p.s.call(ctx, "iot", "DeletePolicyVersion", in); err != nil {
			return err
		}
	}
	return nil
}

var rollout = object(members{
	"MaximumPerMinute": number,
	"ExponentialRolloutRate": object(members{
		"BaseRatePerMinute": number, "IncrementFactor": number,
		"RateIncreaseCriteria": object(members{"NumberOfNotifiedThings": number, "NumberOfSucceededThings": number}),
	}).as("exponentialRate"),
})

var jobTemplate = kind{
	service: "iot", create: "CreateJobTemplate", key: "jobTemplateId",
	name:  naming{property: "JobTemplateId", max: 64},
	spell: lowerFirst, required: []string{"JobTemplateId", "Description"},
	properties: members{
		"JobTemplateId":              text,
		"Description":                text,
		"Document":                   text,
		"DocumentSource":             text,
		"JobArn":                     text,
		"JobExecutionsRolloutConfig": rollout,
		"AbortConfig": object(members{"CriteriaList": listOf(object(members{
			"Action": text, "FailureType": text, "MinNumberOfExecutedThings": number, "ThresholdPercentage": number,
		}))}),
		"TimeoutConfig":      object(members{"InProgressTimeoutInMinutes": number}),
		"PresignedUrlConfig": object(members{"ExpiresInSec": number, "RoleArn": text}),
		"JobExecutionsRetryConfig": object(members{"RetryCriteriaList": listOf(object(members{
			"FailureType": text, "NumberOfRetries": number,
		})).as("criteriaList")}),
		"MaintenanceWindows": listOf(object(members{"StartTime": text, "DurationInMinutes": number})),
		"Tags":               unused("tags of job templates are not read by anything here"),
	},
	attributes: map[string]func(environment, string, map[string]any) any{
		"Arn": func(e environment, name string, _ map[string]any) any { return e.arn("iot", "jobtemplate/"+name) },
	},
	remove: "DeleteJobTemplate", exists: []string{"ResourceAlreadyExistsException", "ConflictException"},
	notFound: []string{"ResourceNotFoundException"},
}
