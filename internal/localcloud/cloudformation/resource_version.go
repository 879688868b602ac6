package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

// Versions and aliases of functions and state machines, and what feeds functions from queues. Updates of a stack that
// has them are played in version_test.go of package localcloud, which has Lambda and Step Functions too.

func outText(name string) func(environment, string, map[string]any) any {
	return func(_ environment, _ string, out map[string]any) any { return out[name] }
}

func physicalOut(name string) func(environment, string, map[string]any) string {
	return func(_ environment, _ string, out map[string]any) string {
		t, _ := out[name].(string)
		return t
	}
}

// lambdaVersion: publishing is idempotent while the function does not change, so a resumed creation finds its version.
var lambdaVersion = kind{
	service: "lambda", create: "PublishVersion", key: "FunctionName", name: naming{property: "FunctionName",
		borrowed: true},
	required:   []string{"FunctionName"},
	properties: members{"FunctionName": text, "CodeSha256": text, "Description": text},
	physical:   physicalOut("FunctionArn"),
	attributes: map[string]func(environment, string, map[string]any) any{
		"Version": outText("Version"), "FunctionArn": outText("FunctionArn"),
	},
	remove: "DeleteFunction", notFound: []string{"ResourceNotFoundException"},
}

var machineVersion = kind{
	service: "sfn", create: "PublishStateMachineVersion", key: "stateMachineVersionArn",
	name:  naming{property: "StateMachineArn", borrowed: true},
	spell: lowerFirst, required: []string{"StateMachineArn"},
	properties: members{"StateMachineArn": text, "StateMachineRevisionId": text.as("revisionId"), "Description": text},
	physical:   physicalOut("stateMachineVersionArn"),
	attributes: map[string]func(environment, string, map[string]any) any{"Arn": outText("stateMachineVersionArn")},
	remove:     "DeleteStateMachineVersion", notFound: []string{"ResourceNotFound"},
}

const updateMachineAlias = "UpdateStateMachineAlias"

// machineAlias: of DeploymentPreference there is the type ALL_AT_ONCE; the gradual ones are refused.
var machineAlias = kind{
	service: "sfn", create: "CreateStateMachineAlias", key: "stateMachineAliasArn",
	name:  naming{property: "Name", max: 80},
	spell: lowerFirst,
	properties: members{
		"Name": text, "Description": text.by(updateMachineAlias),
		"RoutingConfiguration": listOf(object(members{"StateMachineVersionArn": text, "Weight": number})).by(
			updateMachineAlias),
		"DeploymentPreference": object(members{"StateMachineVersionArn": text, "Type": text, "Alarms": texts}).by(
			updateMachineAlias),
	},
	build: map[string]func(Request, map[string]any) error{"CreateStateMachineAlias": allAtOnce,
		updateMachineAlias: allAtOnce},
	physical:   physicalOut("stateMachineAliasArn"),
	attributes: map[string]func(environment, string, map[string]any) any{"Arn": outText("stateMachineAliasArn")},
	remove:     "DeleteStateMachineAlias", notFound: []string{"ResourceNotFound"},
}

// allAtOnce makes a routing configuration of a deployment preference.
func allAtOnce(_ Request, in map[string]any) error {
	preference, ok := in["deploymentPreference"].(map[string]any)
	if !ok {
		return nil
	}
	delete(in, "deploymentPreference")
	if preference["type"] != "ALL_AT_ONCE" {
		return awsapi.NotBuilt(fmt.Sprintf("the DeploymentPreference %v of AWS::StepFunctions::StateMachineAlias",
			preference["type"]))
	}
	in["routingConfiguration"] = []any{map[string]any{"stateMachineVersionArn": preference["stateMachineVersionArn"],
		"weight": 100}}
	return nil
}

// machine is the Provider of AWS::StepFunctions::StateMachine: its revision is an attribute that changes with it.
type machine struct{ bound }

// Attributes implements Provider.
func (p machine) Attributes() []string {
	return append(p.bound.Attributes(), "StateMachineRevisionId")
}

// Create implements Provider.
func (p machine) Create(ctx context.Context, r Request) (Resource, error) {
	made, err := p.bound.Create(ctx, r)
	if err != nil || r.Resume {
		return p.revised(ctx, made, err)
	}
	made.Attributes["StateMachineRevisionId"] = firstRevision
	return made, nil
}

// Update implements Provider.
func (p machine) Update(ctx context.Context, r Request) (Resource, error) {
	made, err := p.bound.Update(ctx, r)
	before, after := maps.Clone(r.Old), maps.Clone(r.Properties)
	delete(before, "Tags")
	delete(after, "Tags")
	if err == nil && reflect.DeepEqual(before, after) {
		return made, nil // tags are no revision
	}
	return p.revised(ctx, made, err)
}

// firstRevision is what Step Functions calls the revision of a machine that was never changed.
const firstRevision = "INITIAL"

func (p machine) revised(ctx context.Context, made Resource, err error) (Resource, error) {
	if err != nil {
		return made, err
	}
	out, err := p.s.call(ctx, "sfn", "DescribeStateMachine", map[string]any{"stateMachineArn": made.PhysicalID})
	if err != nil {
		return made, err
	}
	attributes := maps.Clone(made.Attributes)
	if attributes["StateMachineRevisionId"] = out["revisionId"]; out["revisionId"] == nil {
		attributes["StateMachineRevisionId"] = firstRevision
	}
	made.Attributes = attributes
	return made, nil
}

// lambdaAlias is the Provider of AWS::Lambda::Alias, whose operations need the function beside the name.
type lambdaAlias struct{ s *Service }

var aliasProperties = kind{
	required: []string{"FunctionName", "FunctionVersion", "Name"},
	properties: members{
		"FunctionName": text, "FunctionVersion": text, "Name": text, "Description": text,
		"RoutingConfig": object(members{"AdditionalVersionWeights": listOf(
			object(members{"FunctionVersion": text, "FunctionWeight": number}))}),
	},
}

// Check implements Provider.
func (p lambdaAlias) Check(path string, properties map[string]any) []Problem {
	return bound{aliasProperties, p.s}.Check(path, properties)
}

// Attributes implements Provider.
func (p lambdaAlias) Attributes() []string { return []string{"AliasArn"} }

func (p lambdaAlias) input(r Request) (map[string]any, error) {
	in, err := object(aliasProperties.properties).convertObject("Properties", r.Properties, asSpelled)
	if err != nil {
		return nil, err
	}
	weights := map[string]any{}
	if routing, ok := in["RoutingConfig"].(map[string]any); ok {
		list, _ := routing["AdditionalVersionWeights"].([]any)
		for _, e := range list {
			w, _ := e.(map[string]any)
			version, _ := w["FunctionVersion"].(string)
			weights[version] = w["FunctionWeight"]
		}
	}
	in["RoutingConfig"] = map[string]any{"AdditionalVersionWeights": weights}
	return in, nil
}

func (p lambdaAlias) put(ctx context.Context, operation string, r Request) (Resource, error) {
	in, err := p.input(r)
	if err != nil {
		return Resource{}, err
	}
	out, err := p.s.call(ctx, "lambda", operation, in)
	if err != nil {
		return Resource{}, err
	}
	arn, _ := out["AliasArn"].(string)
	return Resource{PhysicalID: arn, Attributes: map[string]any{"AliasArn": arn}}, nil
}

// Create implements Provider.
func (p lambdaAlias) Create(ctx context.Context, r Request) (Resource, error) {
	made, err := p.put(ctx, "CreateAlias", r)
	if r.Resume && awsapi.Code(err) == "ResourceConflictException" {
		return p.put(ctx, "UpdateAlias", r)
	}
	return made, err
}

// Update implements Provider.
func (p lambdaAlias) Update(ctx context.Context, r Request) (Resource, error) {
	if r.Old["FunctionName"] != r.Properties["FunctionName"] || r.Old["Name"] != r.Properties["Name"] {
		return Resource{}, ErrReplace
	}
	return p.put(ctx, "UpdateAlias", r)
}

// Delete implements Provider.
func (p lambdaAlias) Delete(ctx context.Context, r Request) error {
	_, err := p.s.call(ctx, "lambda", "DeleteAlias", map[string]any{"FunctionName": r.Properties["FunctionName"],
		"Name": r.Properties["Name"]})
	if awsapi.Code(err) == "ResourceNotFoundException" {
		return nil
	}
	return err
}

// eventSourceMapping is the Provider of AWS::Lambda::EventSourceMapping.
type eventSourceMapping struct{ s *Service }

var mappingProperties = kind{
	service: "lambda",
	tagging: &tagging{set: "TagResource", unset: "UntagResource", key: "Resource",
		value: ofAttribute("EventSourceMappingArn")},
	required: []string{"FunctionName"},
	properties: members{
		"EventSourceArn": text, "FunctionName": text, "Enabled": boolean, "BatchSize": number,
		"MaximumBatchingWindowInSeconds": number,
		"FilterCriteria":                 object(members{"Filters": listOf(object(members{"Pattern": jsonText}))}),
		"FunctionResponseTypes":          texts,
		"ScalingConfig":                  object(members{"MaximumConcurrency": number}),
		"Tags":                           tagMap,
	},
}

// mappingDefaults are what properties become that a template no longer gives.
var mappingDefaults = map[string]any{
	"Enabled": true, "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FilterCriteria": map[string]any{},
	"FunctionResponseTypes": []any{}, "ScalingConfig": map[string]any{},
}

// Check implements Provider.
func (p eventSourceMapping) Check(path string, properties map[string]any) []Problem {
	return bound{mappingProperties, p.s}.Check(path, properties)
}

// Attributes implements Provider.
func (p eventSourceMapping) Attributes() []string { return []string{"EventSourceMappingArn", "Id"} }

func (p eventSourceMapping) input(r Request) (map[string]any, error) {
	return object(mappingProperties.properties).convertObject("Properties", r.Properties, asSpelled)
}

// Create implements Provider.
func (p eventSourceMapping) Create(ctx context.Context, r Request) (Resource, error) {
	in, err := p.input(r)
	if err != nil {
		return Resource{}, err
	}
	out, err := p.s.call(ctx, "lambda", "CreateEventSourceMapping", in)
	if r.Resume && awsapi.Code(err) == "ResourceConflictException" {
		list, err := p.s.call(ctx, "lambda", "ListEventSourceMappings",
			map[string]any{"EventSourceArn": in["EventSourceArn"], "FunctionName": in["FunctionName"]})
		if err != nil {
			return Resource{}, err
		}
		found, _ := list["EventSourceMappings"].([]any)
		if len(found) != 1 {
			return Resource{}, fmt.Errorf(
				"cloudformation: the event source mapping of %v is there and cannot be found", in["EventSourceArn"])
		}
		out, _ = found[0].(map[string]any)
		uuid, _ := out["UUID"].(string)
		if err := p.awaitStable(ctx, uuid); err != nil {
			return Resource{}, err
		}
		r.PhysicalID = uuid
		return p.change(ctx, r)
	}
	if err != nil {
		return Resource{}, err
	}
	uuid, _ := out["UUID"].(string)
	return p.resource(uuid), p.awaitStable(ctx, uuid)
}

func (p eventSourceMapping) resource(uuid string) Resource {
	return Resource{PhysicalID: uuid, Attributes: map[string]any{
		"Id": uuid, "EventSourceMappingArn": p.s.environment.arn("lambda", "event-source-mapping:"+uuid),
	}}
}

// awaitStable waits until a mapping's state no longer changes, or it is gone.
func (p eventSourceMapping) awaitStable(ctx context.Context, uuid string) error {
	for {
		out, err := p.s.call(ctx, "lambda", "GetEventSourceMapping", map[string]any{"UUID": uuid})
		if err != nil {
			return err
		}
		if slices.Contains([]any{"Enabled", "Disabled"}, out["State"]) {
			return nil
		}
		if err := p.s.config.Scheduler.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

func (p eventSourceMapping) change(ctx context.Context, r Request) (Resource, error) {
	in, err := p.input(r)
	if err != nil {
		return Resource{}, err
	}
	delete(in, "EventSourceArn")
	delete(in, "Tags")
	for name, value := range mappingDefaults {
		if _, ok := in[name]; !ok {
			in[name] = value
		}
	}
	in["UUID"] = r.PhysicalID
	if _, err := p.s.call(ctx, "lambda", "UpdateEventSourceMapping", in); err != nil {
		return Resource{}, err
	}
	return p.resource(r.PhysicalID), p.awaitStable(ctx, r.PhysicalID)
}

// Update implements Provider.
func (p eventSourceMapping) Update(ctx context.Context, r Request) (Resource, error) {
	if r.Old["EventSourceArn"] != r.Properties["EventSourceArn"] {
		return Resource{}, ErrReplace
	}
	made, err := p.change(ctx, r)
	if err == nil && !reflect.DeepEqual(r.Old["Tags"], r.Properties["Tags"]) {
		err = bound{mappingProperties, p.s}.retag(ctx, r, made)
	}
	return made, err
}

// Delete implements Provider.
func (p eventSourceMapping) Delete(ctx context.Context, r Request) error {
	if err := p.awaitStable(ctx, r.PhysicalID); err != nil && awsapi.Code(err) != "ResourceNotFoundException" {
		return err
	}
	_, err := p.s.call(ctx, "lambda", "DeleteEventSourceMapping", map[string]any{"UUID": r.PhysicalID})
	if err == nil {
		err = p.awaitStable(ctx, r.PhysicalID)
	}
	if awsapi.Code(err) == "ResourceNotFoundException" {
		return nil
	}
	return err
}
