// Package cloudformation makes the resources of a CloudFormation template out of the services of the local cloud.
//
// Parse reads a template in JSON and finds all its errors at once, each with its path. Service.Deploy makes or updates
// a stack: it evaluates parameters, conditions and intrinsic functions, orders the resources by what they refer to, and
// creates each through the Provider of its type. A provider calls the services as any client would, through
// awsapi.Caller and under the identity that deploys, so that a resource of a template and one made over the API are
// the same thing.
//
// A resource type or property that no provider knows is an error, unless the provider lists it as having no effect here
// together with the reason (see unused in the tables of the resource_*.go files). What CloudFormation itself has and
// this package has not (Transform, nested stacks, change sets, Fn::ImportValue, dynamic references, SSM parameter
// types, ...) is an error that names it.
//
// The state of every stack is in the store, resource by resource, before the next resource is touched. Deploying the
// same template with the same parameters again does nothing; a deployment that was cut short goes on where it was; a
// changed template creates what is new, updates or replaces what differs and deletes what is gone (with DeletionPolicy
// Retain: forgets it). A resource that must be replaced and is named by the template is refused, as CloudFormation refuses
// it; one without a name is deleted before it is made again, under the same name.
//
// Errors: a *TemplateError (AWS code ValidationError) lists what is wrong with a template or with its parameters; a
// *DeployError names the resource that could not be made and wraps the service's error. Deployments of
// one stack wait for each other; a deployment is synchronous and may wait on the scheduler for custom resources.
//
// Sources: AWS CloudFormation User Guide, "Template anatomy", "Intrinsic function reference", "Custom resource
// reference"; AWS CloudFormation API Reference, version 2010-05-15.
package cloudformation
